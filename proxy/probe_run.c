/* SPDX-License-Identifier: Apache-2.0
 * probe_run.c - asks the application once, as a kubelet would: connect, perhaps TLS, one request, its
 * status.
 *
 * 200 to 399 is well, as in Kubernetes; any other status is passed on, and what came instead of one is
 * 503 with the reason. A question by gRPC is one stream of HTTP/2. Nothing is kept between two probes, so each
 * finds what a kubelet would find. */
#include "base/mem.h"
#include "net/conn.h"
#include "proxy/probe_ask.h"
#include "proxy/probes.h"
#include "wire/h1.h"

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
    struct probe_ask question; /* of grpc */
    struct buf in;
    struct http_header slots[PROBE_SLOTS];
    probe_done_fn *done;
    void *to;
};

static void asking_gone(struct defer *d)
{
    struct asking *a = CONTAINER_OF(d, struct asking, later);
    h1_done(&a->h1);
    probe_ask_done(&a->question);
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

static void on_answer(void *owner, unsigned status, const char *why)
{
    finish(owner, status, why);
}

static void send_request(struct asking *a)
{
    if (a->probe->message.len)
        probe_ask_begin(&a->question, a->conn, a->probe->request, a->probe->message);
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
        if (a->question.h2)
            probe_ask_readable(&a->question, loop_now_ns(a->loop));
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
    a->question = (struct probe_ask){ .done = on_answer, .owner = a };
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
