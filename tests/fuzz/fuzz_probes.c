/* SPDX-License-Identifier: Apache-2.0
 * fuzz_probes.c - any JSON for --app-probers: what is accepted is one request with a head that our own
 * reader finds complete and alone, to a port that exists, found again by its path. And any bytes as an answer by gRPC. */
#include "proxy/probe_grpc.h"
#include "proxy/probes.h"
#include "wire/h1.h"

/* The head of a question by gRPC is always the same but for the port, and its message one frame. */
static void check_grpc(const struct probe *one)
{
    INVARIANT(sv_starts(one->request, SV("POST " PROBE_GRPC_PATH " HTTP/1.1\r\n")));
    INVARIANT(sv_ends(one->request, SV("\r\n\r\n")));
    INVARIANT(one->message.len >= 5 && one->message.p[0] == '\0');
}

/* The same bytes as an answer: whatever they are, it is judged, and only one way is well. */
static void check_answer(struct sv body)
{
    char why[PROBE_WHY_SIZE];
    struct http_header head[] = { { SV("content-type"), SV("application/grpc") } },
                       end[] = { { SV("grpc-status"), SV("0") }, { SV("grpc-message"), body } };
    struct http_head h = { .status = 200, .headers = head, .headers_len = 1 };
    struct probe_grpc_answer a = { &h, end, 2, body };
    INVARIANT((probe_grpc_judge(&a, why) == 200) == (strcmp(why, "SERVING") == 0));
    end[0].value = body;
    (void)probe_grpc_judge(&a, why);
    INVARIANT(strlen(why) < PROBE_WHY_SIZE);
}

static void check_request(struct sv text)
{
    struct http_header slots[256];
    struct h1 h = { 0 };
    struct sv in = text;
    h1_begin(&h, H1_REQUEST, slots, NELEMS(slots), text.len);
    enum h1_event ev = h1_next(&h, &in);
    if (ev == H1_HEAD) {
        INVARIANT(sv_eq(h.head.method, SV("GET")) && !h.head.is_keep_alive);
        INVARIANT(h1_next(&h, &in) == H1_END && in.len == 0);
    } else { /* a Host or a target that we would not take; it is one head all the same */
        INVARIANT(ev == H1_BAD);
        INVARIANT(memmem(text.p, text.len, "\r\n\r\n", 4) == text.p + text.len - 4);
    }
    h1_done(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    AUTO_DONE(arena) mem = { 0 };
    struct probes probes = { 0 };
    struct err err = { 0 };
    int rc = probes_parse(sv_of(p, n), &mem, &probes, &err);
    INVARIANT(rc == 0 || (err.code == (enum err_code)rc && rc != ERR_NOMEM && probes.len == 0));
    for (size_t i = 0; i < probes.len; i++) {
        const struct probe *one = &probes.list[i];
        INVARIANT(one->port > 0 && one->timeout_ns > 0);
        INVARIANT(sv_eq(probes_find(&probes, one->path)->path, one->path));
        if (one->message.len)
            check_grpc(one);
        else if (one->request.len)
            check_request(one->request);
    }
    check_answer(sv_of(p, n));
    return 0;
}
