/* SPDX-License-Identifier: Apache-2.0
 * health_probe.c - one health check: connect as a request would, and when it is HTTP or gRPC ask and read the
 * status.
 *
 * 200 to 399 is well, and SERVING, as for a kubelet's probes. The connection is its own and closed afterwards: what
 * waits in a pool says nothing about whether another can be opened. The mesh is held while texts of it
 * are in use. */
#include "base/mem.h"
#include "net/conn.h"
#include "proxy/probe_ask.h"
#include "proxy/probe_grpc.h"
#include "proxy/upstream/health.h"
#include "proxy/worker.h"
#include "wire/h1.h"

#define SLOTS      64
#define HEAD_BYTES 16384
#define READ_BYTES 2048

struct health_asking {
    struct health_checked *checked;
    struct mesh *mesh;
    struct loop *loop;
    struct conn *conn;
    struct tls_client client;
    struct timer timer;
    struct defer later;
    struct h1 h1;
    struct probe_ask question; /* of grpc */
    struct buf in;
    struct http_header slots[SLOTS];
};

static void asking_gone(struct defer *d)
{
    struct health_asking *a = CONTAINER_OF(d, struct health_asking, later);
    h1_done(&a->h1);
    probe_ask_done(&a->question);
    buf_done(&a->in);
    mesh_unref(a->mesh);
    mem_free(a);
}

void health_cancel(struct health_checked *k)
{
    struct health_asking *a = TAKE(k->asking);
    if (!a)
        return;
    k->health->asking_len--;
    timer_stop(&a->timer);
    conn_close(TAKE(a->conn));
    loop_defer(a->loop, &a->later, asking_gone);
}

static void finish(struct health_asking *a, bool is_ok, const char *why)
{
    struct health_checked *k = a->checked;
    health_report(k, is_ok, why); /* why may lie in a's connection */
    health_cancel(k);
}

static void on_timeout(struct timer *t)
{
    struct health_asking *a = CONTAINER_OF(t, struct health_asking, timer);
    finish(a, false, "no answer within the timeout");
}

static void on_answer(void *owner, unsigned status, const char *why)
{
    finish(owner, status == 200, why);
}

static void begin_head(const struct cluster *c, struct sv method, struct sv path, struct buf *to)
{
    h1_put_request_line(to, method, path);
    h1_put_field(to, SV("Host"), c->check->host.len ? c->check->host : c->host);
    h1_put_field(to, SV("User-Agent"), HEALTH_USER_AGENT);
}

static void ask_grpc(struct health_asking *a)
{
    const struct cluster *c = a->checked->cluster;
    AUTO_DONE(buf) head = { 0 };
    AUTO_DONE(buf) message = { 0 };
    begin_head(c, SV("POST"), SV(PROBE_GRPC_PATH), &head);
    h1_put_field(&head, SV("Content-Type"), SV("application/grpc"));
    h1_put_field(&head, SV("TE"), SV("trailers"));
    h1_put_end(&head);
    probe_grpc_put(&message, c->check->service);
    if (head.failed || message.failed)
        finish(a, false, "out of memory");
    else
        probe_ask_begin(&a->question, a->conn, buf_sv(&head), buf_sv(&message));
}

static void ask_http(struct health_asking *a)
{
    const struct cluster *c = a->checked->cluster;
    AUTO_DONE(buf) head = { 0 };
    begin_head(c, SV("GET"), c->check->path, &head);
    h1_put_field(&head, SV("Accept"), SV("*/*"));
    h1_put_field(&head, SV("Connection"), SV("close"));
    h1_put_end(&head);
    struct sv bytes = buf_sv(&head);
    if (head.failed)
        finish(a, false, "out of memory");
    else if (conn_write(a->conn, &bytes, 1) < 0)
        finish(a, false, conn_error(a->conn)->why);
}

static void opened(struct health_asking *a)
{
    const struct health_check *p = a->checked->cluster->check;
    const struct tls_info *tls = conn_tls(a->conn);
    if (p->is_grpc)
        ask_grpc(a);
    else if (p->is_http)
        ask_http(a);
    else if (!tls || !sv_eq(tls->alpn, SV(TCP_ANSWERED_ALPN)))
        finish(a, true,
               "connected"); /* else its sidecar will say whether the application is there */
}

static void judge(struct health_asking *a, enum h1_event ev)
{
    char why[64];
    unsigned status = a->h1.head.status;
    if (ev == H1_BAD) {
        finish(a, false, a->h1.err.why);
        return;
    }
    snprintf(why, sizeof(why), "status %u", status);
    finish(a, status >= 200 && status < 400, why);
}

/* Of a sidecar, whether its application has taken the connection. */
static void read_connected(struct health_asking *a)
{
    char answer;
    ssize_t n = conn_read(a->conn, &answer, 1);
    if (n > 0 && sv_eq(sv_of(&answer, 1), TCP_ANSWER))
        finish(a, true, "connected");
    else if (n != 0)
        finish(a, false, "the sidecar could not reach its application");
}

static void read_answer(struct health_asking *a)
{
    char *to = buf_reserve(&a->in, READ_BYTES);
    ssize_t n = to ? conn_read(a->conn, to, READ_BYTES) : ERR_NOMEM;
    if (n == 0)
        return;
    if (n < 0) {
        finish(a, false, n == ERR_CLOSED ? "closed without an answer" : "the connection broke");
        return;
    }
    buf_commit(&a->in, (size_t)n);
    struct sv in = buf_sv(&a->in);
    enum h1_event ev = h1_next(&a->h1, &in);
    if (ev == H1_HEAD || ev == H1_BAD)
        judge(a, ev);
}

static void on_event(void *owner, struct conn *c, enum conn_event ev)
{
    struct health_asking *a = owner;
    switch (ev) {
    case CONN_OPEN: opened(a); return;
    case CONN_READABLE:
        if (a->question.h2)
            probe_ask_readable(&a->question, loop_now_ns(a->loop));
        else if (a->checked->cluster->check->is_http)
            read_answer(a);
        else
            read_connected(a);
        return;
    case CONN_FAILED: finish(a, false, conn_error(c)->why); return;
    default: return;
    }
}

/* What a request to this endpoint would be wrapped in; *ret NULL: nothing. */
static int choose_tls(const struct health_checked *k, struct tls_client *want, struct tls_ctx **ret,
                      struct err *err)
{
    struct worker *w = k->health->worker;
    const struct cluster *c = k->cluster;
    const struct client_tls *own = c->client_tls;
    const struct endpoint *e = k->endpoint;
    bool is_grpc = c->check->is_grpc;
    bool is_tcp = !is_grpc && !c->check->is_http && c->protocol == PORT_TCP;
    *ret = NULL;
    if (c->tls == TLS_MODE_DISABLE || (c->tls == TLS_MODE_AUTO && !(e->has_sidecar && w->certs)))
        return 0;
    if (c->tls == TLS_MODE_SIMPLE || c->tls == TLS_MODE_MUTUAL) {
        *ret = client_tls_get(is_tcp ? &w->client_tls_tcp : &w->client_tls, own,
                              c->tls == TLS_MODE_MUTUAL, is_grpc, w->opt->secrets, err);
        want->sni = own->sni.len ? own->sni : c->host;
        want->dns_name = own->trusts_anybody ? SV_NONE : own->names.len ? own->names : want->sni;
        return *ret ? 0 : ERR_TLS;
    }
    if (!w->certs)
        return err_set(err, ERR_TLS, "mutual TLS asked for, but there are no --certs");
    *ret = is_tcp ? w->certs->client_tcp : is_grpc ? w->certs->client_h2 : w->certs->client;
    want->sni = c->sni;
    want->spiffe = mesh_expected(c, e);
    return 0;
}

static int begin(struct health_asking *a, struct err *err)
{
    const struct health_checked *k = a->checked;
    const struct health_check *p = k->cluster->check;
    struct addr at;
    struct tls_ctx *tls = NULL;
    int rc = addr_parse(k->endpoint->address, p->port ? p->port : k->endpoint->port, &at, err);
    if (rc == 0)
        rc = choose_tls(k, &a->client, &tls, err);
    if (rc < 0)
        return rc;
    a->conn = conn_connect(a->loop, &at, p->timeout_ns, on_event, a, err);
    if (!a->conn)
        return ERR_IO;
    return tls ? conn_start_tls(a->conn, tls, &a->client, p->timeout_ns, err) : 0;
}

int health_ask(struct health_checked *k, struct err *err)
{
    struct health_asking *a = mem_zalloc(sizeof(*a));
    if (!a)
        return err_set(err, ERR_NOMEM, "health check");
    a->checked = k;
    a->loop = k->health->loop;
    a->question = (struct probe_ask){ .done = on_answer, .owner = a };
    h1_begin(&a->h1, H1_RESPONSE, a->slots, SLOTS, HEAD_BYTES);
    timer_init(&a->timer, a->loop, on_timeout);
    int rc = begin(a, err);
    if (rc < 0) {
        conn_close(a->conn);
        h1_done(&a->h1);
        mem_free(a);
        return rc;
    }
    a->mesh = mesh_ref(k->health->worker->mesh);
    k->asking = a;
    k->health->asking_len++;
    timer_after(&a->timer, k->cluster->check->timeout_ns);
    return 0;
}
