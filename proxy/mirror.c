/* SPDX-License-Identifier: Apache-2.0
 * mirror.c - a request's copy: a connection of its own, the same bytes, and nobody who reads the
 * answer.
 *
 * A copy must never slow down the request it is made of: what its connection does not take is kept up
 * to COPY_BYTES_MAX, then the copy is cut. Its trace is not sampled, so that it is no second story of
 * the same request. Answers are read and dropped; "connection: close" ends them, COPY_NS at the
 * latest. Copies in flight are bounded; beyond that they are lost and counted. */
#include "proxy/mirror.h"
#include "base/mem.h"
#include "proxy/stream.h"

#define COPY_BYTES_MAX ((size_t)1024 * 1024)
#define COPIES_MAX     1024
#define COPY_NS        (15 * NS_PER_S)

struct mirror_copy {
    struct list node; /* worker->copies */
    struct worker *worker;
    struct stream *stream; /* NULL: it has left */
    struct conn *conn;
    struct buf waiting; /* until the connection is open */
    struct timer timer;
    struct defer later;
    bool is_open;
};

static void copy_gone(struct defer *d)
{
    struct mirror_copy *c = CONTAINER_OF(d, struct mirror_copy, later);
    buf_done(&c->waiting);
    mem_free(c);
}

static void forget(struct mirror_copy *c)
{
    struct traffic *t = c->stream ? &c->stream->traffic : NULL;
    for (size_t i = 0; t && i < t->copies_len; i++)
        if (t->copies[i] == c)
            t->copies[i] = NULL;
    c->stream = NULL;
}

static void copy_close(struct mirror_copy *c)
{
    if (!c->conn)
        return;
    forget(c);
    timer_stop(&c->timer);
    list_remove(&c->node);
    c->worker->copies_len--;
    conn_close(TAKE(c->conn));
    loop_defer(c->worker->loop, &c->later, copy_gone);
}

static void on_timer(struct timer *t)
{
    copy_close(CONTAINER_OF(t, struct mirror_copy, timer));
}

static void lose(struct mirror_copy *c)
{
    tally(TALLY_MIRRORS_LOST);
    copy_close(c);
}

static void send_waiting(struct mirror_copy *c)
{
    struct sv part = buf_sv(&c->waiting);
    c->is_open = true;
    if (conn_write(c->conn, &part, 1) < 0)
        lose(c);
    else
        buf_done(&c->waiting);
}

static void drop_answer(struct mirror_copy *c)
{
    ssize_t n;
    do
        n = conn_read(c->conn, c->worker->body, BODY_BYTES);
    while (n > 0);
    if (n < 0)
        copy_close(c);
}

static void on_event(void *owner, struct conn *conn, enum conn_event ev)
{
    struct mirror_copy *c = owner;
    (void)conn;
    switch (ev) {
    case CONN_OPEN: send_waiting(c); return;
    case CONN_READABLE: drop_answer(c); return;
    case CONN_FAILED: lose(c); return;
    case CONN_DRAINED:
    case CONN_IDLE: return;
    }
}

static const struct endpoint *pick(const struct stream *s, const struct cluster *cluster)
{
    struct worker *w = s->worker;
    struct balance_ask ask = { .active = worker_loads(w, s->mesh),
                               .outlier = &w->outlier,
                               .health = &w->health,
                               .now_ns = loop_now_ns(w->loop),
                               .random = random_u64() };
    return balance_pick(cluster, &ask);
}

/* Mutual TLS as for any request to that cluster; false when it cannot be spoken to. */
static bool start_tls(struct mirror_copy *c, const struct cluster *cluster,
                      const struct endpoint *e)
{
    struct certs *certs = c->worker->certs;
    bool is_auto = cluster->tls == TLS_MODE_AUTO && e->has_sidecar && certs;
    bool is_named = e->identity.principal.len && !sv_eq(e->identity.principal, IDENTITY_UNKNOWN);
    if (cluster->tls == TLS_MODE_SIMPLE || cluster->tls == TLS_MODE_MUTUAL ||
        (cluster->tls == TLS_MODE_ISTIO_MUTUAL && !certs))
        return false;
    if (!is_auto && cluster->tls != TLS_MODE_ISTIO_MUTUAL)
        return true;
    struct tls_client want = { .sni = cluster->sni,
                               .spiffe = is_named ? e->identity.principal : SV_NONE };
    return conn_start_tls(c->conn, certs->client, &want, 0, NULL) == 0;
}

static struct mirror_copy *copy_new(struct stream *s, const struct cluster *cluster)
{
    struct worker *w = s->worker;
    const struct endpoint *e = pick(s, cluster);
    struct addr a;
    struct mirror_copy *c = NULL;
    if (e && w->copies_len < COPIES_MAX && addr_parse(e->address, e->port, &a, NULL) == 0)
        c = mem_zalloc(sizeof(*c));
    if (!c)
        return NULL;
    c->worker = w;
    c->conn = conn_connect(w->loop, &a, cluster->connect_timeout_ns, on_event, c, NULL);
    if (!c->conn)
        return mem_free(c);
    c->stream = s;
    timer_init(&c->timer, w->loop, on_timer);
    timer_after(&c->timer, COPY_NS);
    list_add_tail(&w->copies, &c->node);
    w->copies_len++;
    if (start_tls(c, cluster, e))
        return c;
    copy_close(c);
    return NULL;
}

/* "...-01" becomes "...-00": the copy is no part of the trace that is shown. */
static void put_head(struct buf *to, struct sv head)
{
    static const struct sv name = { "\r\ntraceparent: ", 15 };
    size_t from = to->from + to->len;
    buf_put(to, sv_sub(head, 0, head.len - 2));
    buf_put(to, SV("connection: close\r\n\r\n"));
    if (to->failed)
        return;
    for (size_t i = 0; i + name.len + TRACEPARENT_SIZE <= head.len; i++)
        if (memcmp(head.p + i, name.p, name.len) == 0) {
            to->mem[from + i + name.len + TRACEPARENT_SIZE - 1] = '0';
            return;
        }
}

void mirror_begin(struct stream *s, struct sv head)
{
    const struct route_actions *a = s->route ? s->route->actions : NULL;
    struct traffic *t = &s->traffic;
    if (!a || !a->mirrors_len || t->was_mirrored || !sv_ends(head, SV("\r\n\r\n")))
        return;
    t->was_mirrored = true;
    for (size_t i = 0; i < a->mirrors_len && t->copies_len < MIRRORS_MAX; i++) {
        bool is_drawn = a->mirrors[i].share >= SHARE_ALL ||
                        random_u64() % SHARE_ALL < a->mirrors[i].share;
        if (!is_drawn)
            continue;
        struct mirror_copy *c = copy_new(s, a->mirrors[i].cluster);
        if (!c) {
            tally(TALLY_MIRRORS_LOST);
            continue;
        }
        tally(TALLY_MIRRORS_SENT);
        put_head(&c->waiting, head);
        t->copies[t->copies_len++] = c;
    }
}

static void send_part(struct stream *s, struct sv part)
{
    for (size_t i = 0; i < s->traffic.copies_len; i++) {
        struct mirror_copy *c = s->traffic.copies[i];
        if (!c)
            continue;
        bool is_full = c->is_open ? conn_unsent(c->conn) + part.len > COPY_BYTES_MAX
                                  : c->waiting.len + part.len > COPY_BYTES_MAX;
        if (is_full || (c->is_open && conn_write(c->conn, &part, 1) < 0)) {
            lose(c);
            continue;
        }
        if (!c->is_open)
            buf_put(&c->waiting, part);
        if (c->waiting.failed)
            lose(c);
    }
}

void mirror_body(struct stream *s, struct sv body)
{
    char frame[H1_CHUNK_HEAD_SIZE];
    if (!s->traffic.copies_len)
        return;
    if (s->is_req_chunked)
        send_part(s, h1_chunk_head(frame, body.len));
    send_part(s, body);
    if (s->is_req_chunked)
        send_part(s, SV("\r\n"));
}

void mirror_end(struct stream *s)
{
    if (s->is_req_chunked)
        send_part(s, SV("0\r\n\r\n"));
}

void mirror_leave(struct stream *s)
{
    for (size_t i = 0; i < s->traffic.copies_len; i++) {
        struct mirror_copy *c = s->traffic.copies[i];
        if (c && !s->is_req_read)
            lose(c);
        else if (c)
            forget(c);
    }
    s->traffic.copies_len = 0;
}

void mirrors_close(struct worker *w)
{
    LIST_EACH (it, after, &w->copies) {
        copy_close(CONTAINER_OF(it, struct mirror_copy, node));
    }
}
