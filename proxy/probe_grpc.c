/* SPDX-License-Identifier: Apache-2.0
 * probe_grpc.c - the question of gRPC's health checking protocol, and its answers.
 *
 * As for a kubelet only SERVING is well: an application that does not know the service (NOT_FOUND) or serves no
 * such protocol (UNIMPLEMENTED) has to be told so by its probe. */
#include "proxy/probe_grpc.h"
#include "wire/grpc.h"
#include "wire/pb.h"
#include <stdio.h>

#define FIELD_SERVICE   1 /* of HealthCheckRequest */
#define FIELD_STATUS    1 /* of HealthCheckResponse */
#define SERVING         1
#define GRPC_FRAME_SIZE 5 /* is it compressed, and its length in four bytes */

void probe_grpc_put(struct buf *to, struct sv service)
{
    AUTO_DONE(buf) message = { 0 };
    if (service.len)
        pb_put_bytes(&message, FIELD_SERVICE, service);
    buf_putc(to, '\0');
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_putc(to, (char)(message.len >> shift & 0xff));
    buf_put(to, buf_sv(&message));
    to->failed = to->failed || message.failed;
}

/* False: it is not one message that is not compressed. */
static bool read_status(struct sv body, uint64_t *ret_status)
{
    size_t length = 0;
    if (body.len < GRPC_FRAME_SIZE || body.p[0] != '\0')
        return false;
    for (size_t i = 1; i < GRPC_FRAME_SIZE; i++)
        length = length << 8 | (uint8_t)body.p[i];
    if (length != body.len - GRPC_FRAME_SIZE)
        return false;
    struct rd r = rd_of(sv_from(body, GRPC_FRAME_SIZE));
    *ret_status = 0;
    for (struct pb_tag t; pb_next(&r, &t);) {
        if (t.field == FIELD_STATUS)
            *ret_status = pb_varint(&r, t);
        else
            pb_skip(&r, t);
    }
    return rd_finish(&r, NULL) == 0;
}

static struct sv field_of_end(const struct probe_grpc_answer *a, struct sv name)
{
    for (size_t i = 0; i < a->trailers_len; i++)
        if (sv_eq_nocase(a->trailers[i].name, name))
            return a->trailers[i].value;
    return http_get(a->head, name);
}

static unsigned judge_status(const struct probe_grpc_answer *a, uint64_t status, char why[])
{
    AUTO_DONE(buf) words = { 0 };
    grpc_message_decode(&words, field_of_end(a, SV("grpc-message")));
    struct sv text = sv_sub(buf_sv(&words), 0, 120);
    const char *what = status == GRPC_UNIMPLEMENTED ? " (" PROBE_GRPC_PATH " is not served)"
                       : status == GRPC_NOT_FOUND   ? " (the service is not known)"
                                                    : "";
    snprintf(why, PROBE_WHY_SIZE, "grpc-status %u%s%s%.*s", (unsigned)MIN(status, (uint64_t)9999),
             what, text.len ? ": " : "", SV_ARG(text));
    return 503;
}

unsigned probe_grpc_judge(const struct probe_grpc_answer *a, char why[PROBE_WHY_SIZE])
{
    static const char *const names[] = { "UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN" };
    uint64_t code, status;
    if (a->head->status != 200 || !grpc_is_content_type(http_get(a->head, SV("content-type")))) {
        snprintf(why, PROBE_WHY_SIZE, "HTTP status %u, and no gRPC", a->head->status);
        return 503;
    }
    if (!sv_to_u64(field_of_end(a, SV("grpc-status")), &code)) {
        snprintf(why, PROBE_WHY_SIZE, "an answer without grpc-status");
        return 503;
    }
    if (code != GRPC_OK)
        return judge_status(a, code, why);
    if (!read_status(a->body, &status)) {
        snprintf(why, PROBE_WHY_SIZE, "the answer is no HealthCheckResponse");
        return 503;
    }
    snprintf(why, PROBE_WHY_SIZE, "%s",
             status < NELEMS(names) ? names[status] : "a status of health that nobody knows");
    return status == SERVING ? 200 : 503;
}
