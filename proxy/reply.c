/* reply.c - answers the proxy makes itself: short, plain, and saying why.
 *
 * The body is one line for people (or Envoy's words where programs look for them); the same cause
 * stands in x-tulle-reason and in the record, so that a 503 seen by an application can be found
 * again. Callers of a gateway are outsiders: words that name endpoints, clusters or policies stay in
 * the record, and what a sidecar behind it put into its header is cut alike. A request whose body was not read to its end cannot be followed by another one on the
 * connection. */
#include "proxy/down_h2.h"
#include "proxy/stream.h"
#include "wire/grpc.h"

#define GRPC_STATUS_SIZE 8

/* A caller of gRPC understands only its own statuses: "trailers-only", a head that says it all. */
static void put_grpc(struct stream *s, struct sv message, struct buf *to)
{
    char *text = arena_alloc(&s->mem, GRPC_STATUS_SIZE);
    bool is_late = s->flag && sv_starts(sv_z(s->flag), SV("UT"));
    unsigned status = is_late ? GRPC_DEADLINE_EXCEEDED : grpc_status_of_http(s->status);
    h1_put_status_line(to, 200, SV_NONE);
    h1_put_field(to, SV("content-type"), SV("application/grpc"));
    if (!sv_contains(s->traffic.fields, SV("grpc-status: "))) {
        int n = text ? snprintf(text, GRPC_STATUS_SIZE, "%u", status) : 0;
        s->grpc_status = text ? sv_of(text, (size_t)MAX(n, 0)) : SV("2");
        h1_put_field(to, SV("grpc-status"), s->grpc_status);
    }
    buf_put(to, SV("grpc-message: "));
    grpc_message_put(to, s->own_body.len ? s->own_body : message);
    buf_put(to, SV("\r\n"));
    s->status = 200;
}

/* Words may quote what others sent or OpenSSL said: nothing in them shall end the field. */
static void put_words(struct buf *to, const char *why)
{
    if (!why[0])
        return;
    buf_put(to, SV(" ("));
    for (const char *p = why; *p; p++)
        buf_putc(to, (unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e ? '?' : *p);
    buf_putc(to, ')');
}

struct sv reply_reason_outside(struct sv reason)
{
    struct sv head = sv_sub(reason, 0, sv_index(reason, '['));
    return sv_trim(sv_sub(head, 0, sv_index(head, '(')));
}

static void put_reason(const struct stream *s, const char *why, struct sv details, struct buf *to)
{
    buf_put(to, SV("x-tulle-reason: "));
    if (s->flag)
        buf_printf(to, "%s ", s->flag);
    buf_put(to, details);
    put_words(to, why);
    buf_put(to, SV("\r\n"));
}

enum step_result reply_run(struct stream *s)
{
    struct buf *to = &s->worker->head;
    struct down *d = s->down;
    bool is_outside = s->side == SIDE_GATEWAY;
    const char *why = is_outside && s->is_why_inside ? "" : s->why;
    struct sv details = is_outside ? reply_reason_outside(sv_z(s->details)) : sv_z(s->details);
    char body[512];
    int n = snprintf(body, sizeof(body), "%s: %.*s (%s%s%.*s)\n", http_reason(s->status),
                     SV_ARG(why[0] ? sv_z(why) : details), s->flag ? s->flag : "",
                     s->flag ? " " : "", SV_ARG(details));
    struct sv text = s->own_body.p ? s->own_body
                                   : sv_of(body, MIN((size_t)MAX(n, 0), sizeof(body) - 1));
    s->is_down_reusable = s->is_req_read && s->req->is_keep_alive &&
                          !worker_sends_away(s->worker, s->side);
    buf_clear(to);
    bool is_grpc = s->is_grpc && s->down_h2 &&
                   (s->status >= 400 || sv_contains(s->traffic.fields, SV("grpc-status: ")));
    bool has_body = !is_grpc && !h1_status_has_no_body(s->status);
    if (!has_body)
        text = SV_NONE;
    if (is_grpc)
        put_grpc(s, why[0] ? sv_z(why) : details, to);
    else
        h1_put_status_line(to, s->status, SV_NONE);
    if (has_body) {
        buf_put(to, SV("content-type: text/plain\r\ncontent-length: "));
        buf_put_u64(to, text.len);
        buf_put(to, SV("\r\n"));
    }
    buf_put(to, s->traffic.fields);
    traffic_put_response(s, to);
    h1_put_field(to, SV("server"), SV("tulle"));
    put_reason(s, why, details, to);
    if (!s->is_down_reusable)
        h1_put_field(to, SV("connection"), SV("close"));
    h1_put_end(to);
    s->resp_bytes = s->is_head_request ? 0 : text.len;
    bool is_end = s->is_head_request || !has_body;
    struct sink o;
    sink_init(&o, d->conn, s->down_h2, false);
    s->is_resp_started = true;
    s->state = ST_DONE;
    sink_head(&o, buf_sv(to), is_end);
    if (!is_end)
        sink_body(&o, text);
    sink_end(&o, NULL, 0);
    if (to->failed || o.is_broken)
        s->is_down_reusable = false;
    if (s->down_h2)
        down_h2_answered(d);
    return STEP_AGAIN;
}
