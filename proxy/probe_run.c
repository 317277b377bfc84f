/* SPDX-License-Identifier: Apache-2.0
 * probe_run.c - asks the application once, as a kubelet would: connect, perhaps TLS, one request, its
 * status.
 *
 * 200 to 399 is well, as in Kubernetes; any other status is passed on, and what came instead of one is
 * 503 with the reason. A question by gRPC is one stream of HTTP/2. Nothing is kept between two probes, so each
 * finds what a kubelet would find. */
#include "base/mem.h"
#include "net/conn.h"
#include "proxy/probe_grpc.h"
#include "proxy/probes.h"
#include "wire/h1.h"
#include "wire/h2.h"

#define PROBE_SLOTS      64
#define PROBE_HEAD_BYTES 16384

struct asking {
    struct list node;
    const struct probe *probe;
    struct loop *loop;
    struct conn *conn;
    struct tls_ctx *tls;
    struct tls_client client;
    struct timer timer;
    struct defer later;
    struct h1 h1;
    struct h2 *h2;            /* of grpc */
    struct h2_stream *stream; /* its only one */
    struct buf in;            /* a head, or the body of an answer of gRPC */
    struct http_header slots[PROBE_SLOTS];
    probe_done_fn *done;
    void *to;
};

static void asking_gone(struct defer *d)
{
    struct asking *a = CONTAINER_OF(d, struct asking, later);
    h1_done(&a->h1);
    h2_free(a->h2);
    buf_done(&a->in);
    tls_ctx_unref(a->tls);
    mem_free(a);
}

static void end(struct asking *a)
{
    list_remove(&a->node);
    timer_stop(&a->timer);
    conn_close(TAKE(a->conn));
    loop_defer(a->loop, &a->later, asking_gone);
}

static void finish(struct asking *a, unsigned status, const char *why)
{
    a->done(a->to, status >= 200 && status < 400 ? 200 : status, why);
    end(a);
}

static void on_timeout(struct timer *t)
{
    finish(CONTAINER_OF(t, struct asking, timer), 503, "no answer within the probe's timeout");
}

static void on_answered(struct asking *a, struct h2_stream *st)
{
    char why[PROBE_WHY_SIZE];
    struct probe_grpc_answer answer = { .head = &st->head,
                                        .trailers = st->trailers,
                                        .trailers_len = st->trailers_len,
                                        .body = buf_sv(&a->in) };
    unsigned status = probe_grpc_judge(&answer, why);
    finish(a, status, why);
}

static void keep_body(struct asking *a, struct h2_stream *st)
{
    struct sv body = h2_body(st);
    bool is_too_long = a->in.len + body.len > PROBE_ANSWER_MAX;
    if (!is_too_long)
        buf_put(&a->in, body);
    h2_consume(st, body.len);
    if (is_too_long || a->in.failed)
        finish(a, 503, "an answer that is too long");
}

/* Of the stream; after finish() the connection is gone, and a itself at the end of the turn. */
static void on_h2(void *owner, struct h2_stream *st, enum h2_event ev)
{
    struct asking *a = owner;
    char why[100];
    if (!st || !a->conn)
        return;
    switch (ev) {
    case H2_HEAD:
        if (st->bad_status)
            finish(a, 503, st->err.why);
        return;
    case H2_BODY: keep_body(a, st); return;
    case H2_END: on_answered(a, st); return;
    case H2_RESET:
        snprintf(why, sizeof(why), "the stream was reset with %s", h2_code_name(st->code));
        finish(a, 503, why);
        return;
    case H2_DRAINED:
    case H2_GOAWAY: return;
    }
}

static void push(struct asking *a)
{
    AUTO_DONE(buf) out = { 0 };
    if (!a->conn || !h2_pull(a->h2, &out, PROBE_HEAD_BYTES))
        return;
    struct sv part = buf_sv(&out);
    if (out.failed)
        finish(a, 503, "out of memory");
    else if (a->conn && conn_write(a->conn, &part, 1) < 0)
        finish(a, 503, conn_error(a->conn)->why);
}

static void ask_grpc(struct asking *a)
{
    static const struct h2_conf conf = { .side = H2_CLIENT,
                                         .fields_max = PROBE_SLOTS,
                                         .head_bytes_max = PROBE_HEAD_BYTES,
                                         .stream_window = H2_STREAM_WINDOW,
                                         .connection_window = H2_STREAM_WINDOW };
    a->h2 = h2_new(&conf, on_h2, a, NULL);
    a->stream = a->h2 ? h2_open(a->h2, a->probe->request, SV("http"), false, a) : NULL;
    if (!a->stream || h2_write(a->stream, a->probe->message) < 0 || h2_end(a->stream, NULL, 0) < 0)
        finish(a, 503, "out of memory");
    push(a);
}

static void read_grpc(struct asking *a)
{
    char in[4096];
    struct err err = { 0 };
    ssize_t n = conn_read(a->conn, in, sizeof(in));
    if (n == 0)
        return;
    if (n < 0)
        finish(a, 503, "the connection ended before an answer by gRPC");
    else if (h2_feed(a->h2, sv_of(in, (size_t)n), loop_now_ns(a->loop), &err) < 0 && a->conn)
        finish(a, 503, err.why);
    push(a);
}

static void send_request(struct asking *a)
{
    if (a->probe->message.len)
        ask_grpc(a);
    else if (!a->probe->request.len)
        finish(a, 200, "connected");
    else if (conn_write(a->conn, &a->probe->request, 1) < 0)
        finish(a, 503, conn_error(a->conn)->why);
}

static void read_answer(struct asking *a)
{
    char *to = buf_reserve(&a->in, 4096);
    ssize_t n = to ? conn_read(a->conn, to, 4096) : ERR_NOMEM;
    if (n == 0)
        return;
    if (n < 0) {
        finish(a, 503,
               n == ERR_CLOSED ? "the application closed the connection unanswered"
                               : "the connection broke");
        return;
    }
    buf_commit(&a->in, (size_t)n);
    struct sv in = buf_sv(&a->in);
    enum h1_event ev = h1_next(&a->h1, &in);
    if (ev == H1_BAD)
        finish(a, 503, a->h1.err.why);
    else if (ev == H1_HEAD)
        finish(a, a->h1.head.status >= 200 ? a->h1.head.status : 503, "the application's answer");
}

static void on_event(void *owner, struct conn *c, enum conn_event ev)
{
    struct asking *a = owner;
    switch (ev) {
    case CONN_OPEN: send_request(a); return;
    case CONN_READABLE:
        if (a->h2)
            read_grpc(a);
        else
            read_answer(a);
        return;
    case CONN_FAILED: finish(a, 503, conn_error(c)->why); return;
    default: return;
    }
}

static int start_tls(struct asking *a, struct err *err)
{
    const struct tls_conf conf = { .peer = TLS_PEER_NONE };
    if (!a->probe->is_tls)
        return 0;
    a->tls = tls_ctx_new(&conf, err);
    return a->tls ? conn_start_tls(a->conn, a->tls, &a->client, a->probe->timeout_ns, err)
                  : ERR_TLS;
}

int probe_run(struct loop *l, struct probes *all, const struct probe *p, const struct addr *host,
              probe_done_fn *done, void *to, struct err *err)
{
    struct asking *a = mem_zalloc(sizeof(*a));
    struct addr at = *host;
    if (!a)
        return err_set(err, ERR_NOMEM, "probe");
    if (at.sa.sa_family == AF_INET6)
        at.v6.sin6_port = htons(p->port);
    else
        at.v4.sin_port = htons(p->port);
    a->probe = p;
    a->loop = l;
    a->done = done;
    a->to = to;
    h1_begin(&a->h1, H1_RESPONSE, a->slots, PROBE_SLOTS, PROBE_HEAD_BYTES);
    a->conn = conn_connect(l, &at, p->timeout_ns, on_event, a, err);
    if (!a->conn || start_tls(a, err) < 0) {
        conn_close(a->conn);
        tls_ctx_unref(a->tls);
        mem_free(a);
        return err && err->code ? (int)err->code : ERR_IO;
    }
    if (!all->asking.next)
        list_init(&all->asking);
    list_add_tail(&all->asking, &a->node);
    timer_init(&a->timer, l, on_timeout);
    timer_after(&a->timer, p->timeout_ns);
    return 0;
}

void probes_cancel(struct probes *all)
{
    if (!all->asking.next)
        return;
    LIST_EACH (it, after, &all->asking)
        finish(CONTAINER_OF(it, struct asking, node), 503, "the proxy ends");
}
