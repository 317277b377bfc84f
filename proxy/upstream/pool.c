/* pool.c - finds, makes, keeps and drops upstream connections.
 *
 * The pool of an endpoint is found by a key of address, port, SNI and SPIFFE id, so it survives a
 * reload of the configuration. A waiting connection still reads: anything that comes means it cannot be used
 * again, because a server that speaks unasked is closing or confused. The race that remains (the
 * server closes while our request is on its way) is the stream's to repair: it knows what was sent.
 * Bound: --max-upstream connections an endpoint; beyond it pool_get() refuses. */
#include "proxy/upstream/pool.h"
#include "base/mem.h"
#include "proxy/original.h"
#include "proxy/stream.h"
#include "proxy/upstream/up_h2.h"

#define LINGER_NS (2 * NS_PER_S) /* for the last bytes of a tunnel; as long as a caller gets */

static void up_gone(struct defer *d)
{
    struct up *up = CONTAINER_OF(d, struct up, later);
    h1_done(&up->h1);
    h2_free(up->h2);
    peer_cache_done(&up->peer);
    mem_free(up);
}

static void up_close(struct up *up)
{
    if (up->is_closed)
        return;
    up->is_closed = true;
    list_remove(&up->all);
    if (list_is_linked(&up->node)) {
        list_remove(&up->node);
        up->pool->idle_len -= !up->h2;
    }
    up->pool->conns--;
    up->worker->ups_len--;
    tally_less(TALLY_UP_OPEN);
    if (up->is_lingering)
        conn_close_gently(TAKE(up->conn), LINGER_NS);
    else
        conn_close(TAKE(up->conn));
    defer_cancel(&up->flush);
    loop_defer(up->worker->loop, &up->later, up_gone);
}

static void on_event(void *owner, struct conn *c, enum conn_event ev)
{
    struct up *up = owner;
    struct stream *s = up->stream;
    if (up->h2) {
        up_h2_on_event(up, ev);
        return;
    }
    if (!s) {
        /* Waiting: TLS may have something to say (a ticket); anything else is the end. */
        char byte;
        ssize_t n = ev == CONN_READABLE ? conn_read(c, &byte, 1) : 1;
        int64_t now_ns = loop_now_ns(up->worker->loop);
        if (n == ERR_CLOSED && up->requests)
            rest_closed(&up->pool->rest, now_ns - up->since_ns, now_ns);
        if (n != 0)
            up_close(up);
        return;
    }
    switch (ev) {
    case CONN_OPEN:
        up->is_open = true;
        pool_count_handshake(c);
        break;
    case CONN_READABLE: s->can_read_up = true; break;
    case CONN_DRAINED: s->can_read_down = true; break;
    case CONN_IDLE: return; /* the caller's side watches a stream */
    case CONN_FAILED:
        s->is_up_failed = true;
        if (!up->is_open)
            tally(TALLY_UP_FAILED);
        break;
    }
    stream_run(s);
}

#define KEY_BYTES 768 /* address, SNI (a host name: 255) and SPIFFE id (255) fit */

static void put(char *key, size_t *at, struct sv part)
{
    size_t bytes = MIN(part.len, KEY_BYTES - 1 - *at);
    if (bytes)
        memcpy(key + *at, part.p, bytes);
    *at += bytes;
}

static struct sv address_bytes(const struct addr *a)
{
    return a->sa.sa_family == AF_INET6 ? sv_of(&a->v6.sin6_addr, sizeof(a->v6.sin6_addr))
                                       : sv_of(&a->v4.sin_addr, sizeof(a->v4.sin_addr));
}

/* Port and address in bytes, because printing them costs more than the whole search; with TLS also
 * "|sni|spiffe": what differs here shares no connection. */
static struct sv key_of(const struct target *t, const struct addr *a, char key[KEY_BYTES])
{
    uint16_t port = addr_port(a);
    size_t at = 0;
    put(key, &at, sv_of(&port, sizeof(port)));
    put(key, &at, address_bytes(a));
    if (t->is_h2 || t->is_tcp)
        put(key, &at, t->is_h2 ? SV("2") : SV("t"));
    if (t->has_from)
        put(key, &at, SV("<"));
    if (t->tls) {
        put(key, &at, SV("|"));
        put(key, &at, t->sni);
        put(key, &at, SV("|"));
        put(key, &at, t->spiffe);
    }
    if (t->tls && !t->is_mtls) {
        put(key, &at, sv_of(&t->tls, sizeof(t->tls)));
        put(key, &at, t->names);
    }
    return sv_of(key, at);
}

static struct pool *pool_new(const struct target *t, const struct addr *a)
{
    struct pool *p = mem_zalloc(sizeof(*p));
    if (!p)
        return NULL;
    list_init(&p->idle);
    list_init(&p->shared);
    p->is_h2 = t->is_h2;
    p->is_tcp = t->is_tcp;
    p->streams_most = POOL_STREAMS_WAIT;
    p->addr = *a;
    p->addr_text = addr_text(a, p->addr_text_mem);
    p->is_mtls = t->is_mtls;
    p->sni = arena_copy(&p->mem, t->sni);
    p->spiffe = arena_copy(&p->mem, t->spiffe);
    p->names = arena_copy(&p->mem, t->names);
    p->tls = t->tls ? tls_ctx_ref(t->tls) : NULL;
    if (!p->sni.p || !p->spiffe.p || !p->names.p) {
        tls_ctx_unref(p->tls);
        arena_done(&p->mem);
        return mem_free(p);
    }
    return p;
}

static struct pool *pool_of(struct worker *w, const struct target *t, struct err *err)
{
    struct addr a;
    char text[KEY_BYTES];
    if (t->addr)
        a = *t->addr;
    else if (addr_parse(t->address, t->port, &a, err) < 0)
        return NULL;
    struct sv key = key_of(t, &a, text);
    struct pool *p = map_get(&w->pools, key);
    if (p)
        return p;
    p = pool_new(t, &a);
    if (p && map_put(&w->pools, key, p, NULL) == 0)
        return p;
    if (p) {
        tls_ctx_unref(p->tls);
        arena_done(&p->mem);
    }
    mem_free(p);
    err_set(err, ERR_NOMEM, "upstream pool");
    return NULL;
}

struct tls_session *pool_session(struct worker *w, const struct target *t)
{
    struct pool *p = pool_of(w, t, NULL);
    return p ? &p->session : NULL;
}

void pool_count_handshake(const struct conn *c)
{
    const struct tls_info *tls = conn_tls(c);
    if (tls)
        tally(tls->is_resumed ? TALLY_UP_TLS_RESUMED : TALLY_UP_TLS_WHOLE);
}

/* The mesh's certificates as connections of p show them. */
static struct tls_ctx *mesh_tls(const struct worker *w, const struct pool *p)
{
    const struct certs *c = w->certs;
    return p->is_tcp ? c->client_tcp : p->is_h2 ? c->client_h2 : c->client;
}

/* Is the connection from where the target wants it? Ports do not matter. */
static bool is_from(const struct up *up, const struct target *t)
{
    if (!t->has_from)
        return true;
    struct sv have = address_bytes(&up->from), want = address_bytes(&t->from.addr);
    return sv_eq(have, want);
}

static struct up *take_idle(struct pool *p, const struct target *t, struct stream *s,
                            bool is_checked)
{
    LIST_EACH (it, after, &p->idle) {
        struct up *up = CONTAINER_OF(it, struct up, node);
        if (!is_from(up, t))
            continue;
        int64_t now_ns = loop_now_ns(s->worker->loop), waited_ns = now_ns - up->since_ns;
        if (is_checked && !rest_is_short(&p->rest, waited_ns, now_ns))
            return NULL; /* the others have waited longer */
        if (is_checked && !conn_is_quiet(up->conn)) {
            up_close(up);
            continue;
        }
        list_remove(&up->node);
        p->idle_len--;
        up->stream = s;
        up->since_ns = waited_ns;
        conn_set_idle(up->conn, 0);
        tally(TALLY_UP_REUSED);
        return up;
    }
    return NULL;
}

/* Where connections are not everybody's, one that waits for another caller makes room. */
static bool is_full(struct worker *w, struct pool *p, const struct target *t)
{
    if (p->conns >= w->opt->max_upstream && t->has_from && p->idle_len)
        up_close(CONTAINER_OF(p->idle.prev, struct up, node));
    return p->conns >= w->opt->max_upstream;
}

static struct up *up_new(struct worker *w, struct pool *p, const struct target *t, struct stream *s,
                         struct err *err)
{
    struct up *up = mem_zalloc(sizeof(*up));
    if (!up) {
        err_set(err, ERR_NOMEM, "upstream connection");
        return NULL;
    }
    up->worker = w;
    up->pool = p;
    up->stream = s;
    if (p->is_h2 && !up_h2_init(up)) {
        err_set(err, ERR_NOMEM, "upstream connection");
        return mem_free(up);
    }
    struct conn_from from = t->from;
    if (t->has_from)
        original_choose_port(w, &from);
    up->from = from.addr;
    up->conn = conn_connect_from(w->loop, &p->addr, t->has_from ? &from : NULL,
                                 t->connect_timeout_ns, on_event, up, err);
    if (!up->conn) {
        h2_free(up->h2);
        return mem_free(up);
    }
    up->opened_ns = loop_now_ns(w->loop);
    if (t->keepalive && t->keepalive->is_on)
        conn_keep_alive(up->conn, t->keepalive->probes, t->keepalive->idle_ns,
                        t->keepalive->interval_ns);
    p->conns++;
    w->ups_len++;
    list_add_tail(&w->ups, &up->all);
    tally(TALLY_UP_OPENED);
    tally(TALLY_UP_OPEN);
    struct tls_client want = {
        .sni = p->sni, .spiffe = p->spiffe, .dns_name = p->names, .session = &p->session
    };
    struct tls_ctx *tls = p->is_mtls ? mesh_tls(w, p) : p->tls;
    if (tls && conn_start_tls(up->conn, tls, &want, 0, err) < 0) {
        up_close(up);
        return NULL;
    }
    return up;
}

static int64_t age_ns(const struct up *up)
{
    return loop_now_ns(up->worker->loop) - up->opened_ns;
}

/* One of HTTP/2 that takes another request. */
static struct up *find_shared(struct pool *p, const struct target *t, bool is_checked)
{
    LIST_EACH (it, after, &p->shared) {
        struct up *up = CONTAINER_OF(it, struct up, node);
        bool is_used_up = (t->requests_max && up->requests >= t->requests_max) ||
                          (t->lifetime_ns && age_ns(up) >= t->lifetime_ns);
        if (is_used_up || !is_from(up, t) || !up_h2_room(up, t->streams_max))
            continue;
        if (up->streams_len || !is_checked || conn_is_quiet(up->conn))
            return up;
    }
    return NULL;
}

static int get_shared(struct worker *w, struct pool *p, const struct target *t, enum pool_use use,
                      struct stream *s, struct up **ret_up, struct err *err)
{
    struct up *up = use == POOL_FRESH ? NULL : find_shared(p, t, use == POOL_CHECKED);
    if (up)
        tally(TALLY_UP_REUSED);
    else if (is_full(w, p, t))
        return err_set(err, ERR_LIMIT, "%zu connections to %.*s", p->conns, SV_ARG(p->addr_text));
    else if ((up = up_new(w, p, t, NULL, err)) != NULL)
        list_add_head(&p->shared, &up->node);
    if (!up)
        return ERR_IO;
    up_h2_attach(up, s);
    *ret_up = up;
    return 0;
}

int pool_get(struct worker *w, const struct target *t, enum pool_use use, struct stream *s,
             struct up **ret_up, struct err *err)
{
    struct pool *p = pool_of(w, t, err);
    if (!p)
        return ERR_IO;
    if (p->is_h2)
        return get_shared(w, p, t, use, s, ret_up, err);
    struct up *up = use == POOL_FRESH ? NULL : take_idle(p, t, s, use == POOL_CHECKED);
    if (!up && is_full(w, p, t))
        return err_set(err, ERR_LIMIT, "%zu connections to %.*s", p->conns, SV_ARG(p->addr_text));
    if (!up)
        up = up_new(w, p, t, s, err);
    if (!up)
        return ERR_IO;
    *ret_up = up;
    return 0;
}

void pool_rest(struct up *up)
{
    bool is_over = up->is_retired || up->worker->is_draining;
    if (up->is_broken || (is_over && !conn_unsent(up->conn)))
        up_close(up);
    else
        conn_set_idle(up->conn, is_over ? LINGER_NS : up->idle_ns);
}

void pool_put(struct up *up, bool may_wait)
{
    if (up->h2) {
        up->is_retired = up->is_retired || !may_wait;
        up_h2_later(up);
        return;
    }
    up->stream = NULL;
    if (!may_wait || up->is_retired || up->worker->is_draining || conn_unsent(up->conn)) {
        up_close(up);
        return;
    }
    if (up->requests++)
        rest_served(&up->pool->rest, up->since_ns);
    up->since_ns = loop_now_ns(up->worker->loop);
    conn_resume(up->conn);
    conn_set_idle(up->conn, up->idle_ns);
    list_add_head(&up->pool->idle, &up->node);
    up->pool->idle_len++;
}

void pool_note_stale(struct up *up)
{
    rest_closed(&up->pool->rest, up->since_ns, loop_now_ns(up->worker->loop));
}

void pools_retire(struct worker *w)
{
    void *value;
    for (size_t i = 0; map_next(&w->pools, &i, NULL, &value);) {
        struct pool *p = value;
        if (!p->is_mtls)
            continue;
        tls_session_done(&p->session);
        tls_ctx_unref(p->tls);
        p->tls = tls_ctx_ref(mesh_tls(w, p));
    }
    LIST_EACH (it, after, &w->ups) {
        struct up *up = CONTAINER_OF(it, struct up, all);
        if (up->pool->is_mtls && (up->stream || up->streams_len))
            up->is_retired = true;
        else if (up->pool->is_mtls)
            up_close(up);
    }
}

void pools_close_idle(struct worker *w)
{
    LIST_EACH (it, after, &w->ups) {
        struct up *up = CONTAINER_OF(it, struct up, all);
        if (!up->stream && !up->streams_len)
            up_close(up);
    }
}

void pools_done(struct worker *w)
{
    void *value;
    for (size_t i = 0; map_next(&w->pools, &i, NULL, &value);) {
        struct pool *p = value;
        INVARIANT(p->conns == 0);
        tls_session_done(&p->session);
        tls_ctx_unref(p->tls);
        arena_done(&p->mem);
        mem_free(p);
    }
    map_done(&w->pools);
}
