/* SPDX-License-Identifier: Apache-2.0
 * probe_ask.c - a question by gRPC: one stream of HTTP/2, whose answer is judged when it is whole. */
#include "proxy/probe_ask.h"
#include "proxy/probe_grpc.h"

#define FIELDS_MAX     64
#define HEAD_BYTES_MAX 16384
#define READ_BYTES     4096

static void answer(struct probe_ask *q, unsigned status, const char *why)
{
    if (q->is_over)
        return;
    q->is_over = true;
    q->done(q->owner, status, why);
}

static void judge(struct probe_ask *q, const struct h2_stream *st)
{
    char why[PROBE_WHY_SIZE];
    struct probe_grpc_answer a = { .head = &st->head,
                                   .trailers = st->trailers,
                                   .trailers_len = st->trailers_len,
                                   .body = buf_sv(&q->body) };
    unsigned status = probe_grpc_judge(&a, why);
    answer(q, status, why);
}

static void keep_body(struct probe_ask *q, struct h2_stream *st)
{
    struct sv body = h2_body(st);
    bool is_too_long = q->body.len + body.len > PROBE_ANSWER_MAX;
    if (!is_too_long)
        buf_put(&q->body, body);
    h2_consume(st, body.len);
    if (is_too_long || q->body.failed)
        answer(q, 503, "an answer that is too long");
}

static void on_event(void *owner, struct h2_stream *st, enum h2_event ev)
{
    struct probe_ask *q = owner;
    char why[100];
    if (!st || q->is_over)
        return;
    switch (ev) {
    case H2_HEAD:
        if (st->bad_status)
            answer(q, 503, st->err.why);
        return;
    case H2_BODY: keep_body(q, st); return;
    case H2_END: judge(q, st); return;
    case H2_RESET:
        snprintf(why, sizeof(why), "the stream was reset with %s", h2_code_name(st->code));
        answer(q, 503, why);
        return;
    case H2_DRAINED:
    case H2_GOAWAY: return;
    }
}

static void push(struct probe_ask *q)
{
    AUTO_DONE(buf) out = { 0 };
    if (q->is_over || !h2_pull(q->h2, &out, HEAD_BYTES_MAX))
        return;
    struct sv part = buf_sv(&out);
    if (out.failed)
        answer(q, 503, "out of memory");
    else if (!q->is_over && conn_write(q->conn, &part, 1) < 0)
        answer(q, 503, conn_error(q->conn)->why);
}

void probe_ask_begin(struct probe_ask *q, struct conn *c, struct sv head, struct sv message)
{
    static const struct h2_conf conf = { .side = H2_CLIENT,
                                         .fields_max = FIELDS_MAX,
                                         .head_bytes_max = HEAD_BYTES_MAX,
                                         .stream_window = H2_STREAM_WINDOW,
                                         .connection_window = H2_STREAM_WINDOW };
    struct sv scheme = conn_tls(c) ? SV("https") : SV("http");
    q->conn = c;
    q->h2 = h2_new(&conf, on_event, q, NULL);
    struct h2_stream *st = q->h2 ? h2_open(q->h2, head, scheme, false, q) : NULL;
    if (!st || h2_write(st, message) < 0 || h2_end(st, NULL, 0) < 0)
        answer(q, 503, "out of memory");
    push(q);
}

void probe_ask_readable(struct probe_ask *q, int64_t now_ns)
{
    char in[READ_BYTES];
    struct err err = { 0 };
    ssize_t n = conn_read(q->conn, in, sizeof(in));
    if (n == 0)
        return;
    if (n < 0)
        answer(q, 503, "the connection ended before an answer by gRPC");
    else if (h2_feed(q->h2, sv_of(in, (size_t)n), now_ns, &err) < 0)
        answer(q, 503, err.why);
    push(q);
}

void probe_ask_done(struct probe_ask *q)
{
    h2_free(q->h2);
    buf_done(&q->body);
    *q = (struct probe_ask){ 0 };
}
