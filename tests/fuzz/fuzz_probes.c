/* SPDX-License-Identifier: Apache-2.0
 * fuzz_probes.c - any JSON for --app-probers: what is accepted is one request with a head that our own
 * reader finds complete and alone, to a port that exists, found again by its path. */
#include "proxy/probes.h"
#include "wire/h1.h"

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
        if (one->request.len)
            check_request(one->request);
    }
    return 0;
}
