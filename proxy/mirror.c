/* SPDX-License-Identifier: Apache-2.0
 * mirror.c - a request's copy: a connection of its own, the same bytes, and nobody who reads the
 * answer.
 *
 * A copy must never slow down the request it is made of: what its connection does not take is kept up
 * to COPY_BYTES_MAX, then the copy is cut. Its trace is not sampled, so that it is no second story of
 * the same request. Answers are read and dropped; "connection: close" ends them, or the end of the
 * stream of HTTP/2, COPY_NS at the latest. Copies in flight are bounded; beyond that they are lost and counted. */
#include "proxy/mirror.h"
#include "base/mem.h"
#include "proxy/stream.h"
#include "wire/h2.h"

#define COPY_BYTES_MAX ((size_t)1024 * 1024)
#define COPIES_MAX     1024
#define SHADOW         SV("-shadow")
#define COPY_NS        (15 * NS_PER_S)

struct mirror_copy {
    struct list node; /* worker->copies */
    struct worker *worker;
    struct stream *stream; /* NULL: it has left */
    struct conn *conn;
    struct buf waiting; /* of HTTP/1: until the connection is open */
    struct h2 *h2;      /* it speaks HTTP/2 */
    struct h2_stream *h2_stream;
    struct timer timer;
    struct defer later;
    struct defer flush; /* of HTTP/2: what was written leaves at the end of the turn */
    bool is_open, is_tls;
};

static void copy_gone(struct defer *d)
{
    struct mirror_copy *c = CONTAINER_OF(d, struct mirror_copy, later);
    buf_done(&c->waiting);
    h2_free(c->h2);
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
    defer_cancel(&c->flush);
    loop_defer(c->worker->loop, &c->later, copy_gone);
}

static void on_timer(struct timer *t)
{
    copy_close(CONTAINER_OF(t, struct mirror_copy, timer));
}

static void lose(struct mirror_copy *c)
{
    if (c->conn)
        tally(TALLY_MIRRORS_LOST);
    copy_close(c);
}

/* What the engine has to say, as far as the connection takes it. Once it says no more, the copy is over. */
static void flush(struct defer *d)
{
    struct mirror_copy *c = CONTAINER_OF(d, struct mirror_copy, flush);
    struct buf *out = &c->worker->h2_out;
    while (c->conn && c->is_open && !conn_is_congested(c->conn)) {
        buf_clear(out);
        if (!h2_pull(c->h2, out, BODY_BYTES)) {
            if (h2_is_over(c->h2))
                copy_close(c);
            return;
        }
        struct sv part = buf_sv(out);
        if (out->failed || (c->conn && conn_write(c->conn, &part, 1) < 0))
            lose(c);
    }
}

static void push(struct mirror_copy *c)
{
    if (c->conn)
        loop_defer(c->worker->loop, &c->flush, flush);
}

/* Of the answer only its end matters. */
static void on_h2(void *owner, struct h2_stream *st, enum h2_event ev)
{
    struct mirror_copy *c = owner;
    if (!st || !c->conn)
        return;
    if (ev == H2_BODY)
        h2_consume(st, h2_body(st).len);
    else if (ev == H2_END)
        copy_close(c);
    else if (ev == H2_RESET)
        lose(c);
}

static void drop_answer_h2(struct mirror_copy *c)
{
    struct err err = { 0 };
    ssize_t n = conn_read(c->conn, c->worker->body, BODY_BYTES);
    if (n == 0)
        return;
    if (n < 0 ||
        h2_feed(c->h2, sv_of(c->worker->body, (size_t)n), loop_now_ns(c->worker->loop), &err) < 0)
        lose(c);
    push(c);
}

static void send_waiting(struct mirror_copy *c)
{
    struct sv part = buf_sv(&c->waiting);
    c->is_open = true;
    pool_count_handshake(c->conn);
    if (c->h2)
        push(c);
    else if (conn_write(c->conn, &part, 1) < 0)
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
    case CONN_READABLE:
        if (c->h2)
            drop_answer_h2(c);
        else
            drop_answer(c);
        return;
    case CONN_FAILED: lose(c); return;
    case CONN_DRAINED:
        if (c->h2)
            push(c);
        return;
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

/* TLS as of any request to that cluster; false when it cannot be spoken to. */
static bool start_tls(struct mirror_copy *c, struct stream *s, const struct cluster *cluster,
                      const struct endpoint *e)
{
    struct target to = { .address = e->address, .port = e->port, .is_h2 = c->h2 != NULL };
    if (connect_tls(s, cluster, e, &to, NULL) < 0)
        return false;
    c->is_tls = to.tls != NULL;
    if (!c->is_tls)
        return true;
    struct tls_client want = { .sni = to.sni,
                               .spiffe = to.spiffe,
                               .dns_name = to.names,
                               .session = pool_session(c->worker, &to) };
    return conn_start_tls(c->conn, to.tls, &want, 0, NULL) == 0;
}

static struct h2 *session_new(struct mirror_copy *c)
{
    const struct h2_conf conf = { .side = H2_CLIENT,
                                  .fields_max = HEADERS_MAX,
                                  .head_bytes_max = c->worker->opt->max_head,
                                  .stream_window = H2_STREAM_WINDOW,
                                  .connection_window = H2_CONNECTION_WINDOW };
    return h2_new(&conf, on_h2, c, NULL);
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
    bool is_h2 = connect_wants_h2(s, cluster);
    c->h2 = is_h2 ? session_new(c) : NULL;
    c->conn = is_h2 && !c->h2
                  ? NULL
                  : conn_connect(w->loop, &a, cluster->connect_timeout_ns, on_event, c, NULL);
    if (!c->conn) {
        h2_free(c->h2);
        return mem_free(c);
    }
    c->stream = s;
    timer_init(&c->timer, w->loop, on_timer);
    timer_after(&c->timer, COPY_NS);
    list_add_tail(&w->copies, &c->node);
    w->copies_len++;
    if (start_tls(c, s, cluster, e))
        return c;
    copy_close(c);
    return NULL;
}

/* Where in a head a field's value begins; head.len: it is not there. name: "\r\nfoo: ". */
static size_t value_at(struct sv head, struct sv name)
{
    const char *at = memmem(head.p, head.len, name.p, name.len);
    return at ? (size_t)(at - head.p) + name.len : head.len;
}

/* Up to where a copy's host is the request's: "-shadow" follows, before a port. Addresses in brackets have no
 * name to add to. */
static size_t host_ends(struct sv head)
{
    size_t from = value_at(head, SV("\r\nhost: "));
    struct sv host = sv_sub(head, from, sv_index(sv_from(head, from), '\r'));
    bool is_named = host.len && host.p[0] != '[';
    return is_named ? from + sv_index(host, ':') : head.len;
}

/* As Envoy's copies: the host says that it is one. And "...-01" becomes "...-00": it is no part of the trace that
 * is shown. */
static void put_head(struct buf *to, struct sv head)
{
    size_t host = host_ends(head), from = to->from + to->len;
    size_t trace = value_at(head, SV("\r\ntraceparent: "));
    struct sv all = sv_sub(head, 0, head.len - 2);
    buf_put(to, sv_sub(all, 0, host));
    if (host < head.len)
        buf_put(to, SHADOW);
    buf_put(to, sv_from(all, host));
    buf_put(to, SV("connection: close\r\n\r\n"));
    if (to->failed || trace + TRACEPARENT_SIZE > head.len)
        return;
    size_t moved = host < trace ? SHADOW.len : 0;
    to->mem[from + trace + moved + TRACEPARENT_SIZE - 1] = '0';
}

/* The request on HTTP/2's own stream, from the head that waits. */
static bool open_stream(struct mirror_copy *c)
{
    const struct stream *s = c->stream;
    if (!c->waiting.failed)
        c->h2_stream = h2_open(c->h2, buf_sv(&c->waiting), c->is_tls ? SV("https") : SV("http"),
                               s->is_req_read, c);
    buf_done(&c->waiting);
    return c->h2_stream != NULL;
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
        t->copies[t->copies_len++] = c;
        put_head(&c->waiting, head);
        if (c->h2 && !open_stream(c))
            lose(c);
    }
}

/* False: the copy is broken, or too much waits. */
static bool send_part_h2(struct mirror_copy *c, struct sv part)
{
    return h2_unsent(c->h2_stream) + part.len <= COPY_BYTES_MAX &&
           h2_write(c->h2_stream, part) == 0;
}

/* The same. */
static bool send_part_h1(struct mirror_copy *c, struct sv part)
{
    size_t unsent = c->is_open ? conn_unsent(c->conn) : c->waiting.len;
    if (unsent + part.len > COPY_BYTES_MAX)
        return false;
    if (c->is_open)
        return conn_write(c->conn, &part, 1) == 0;
    buf_put(&c->waiting, part);
    return !c->waiting.failed;
}

static void body_h1(struct mirror_copy *c, struct sv body, bool is_chunked)
{
    char frame[H1_CHUNK_HEAD_SIZE];
    bool is_sent = (!is_chunked || send_part_h1(c, h1_chunk_head(frame, body.len))) &&
                   send_part_h1(c, body) && (!is_chunked || send_part_h1(c, SV("\r\n")));
    if (!is_sent)
        lose(c);
}

static void body_h2(struct mirror_copy *c, struct sv body)
{
    if (send_part_h2(c, body))
        push(c);
    else
        lose(c);
}

void mirror_body(struct stream *s, struct sv body)
{
    for (size_t i = 0; i < s->traffic.copies_len; i++) {
        struct mirror_copy *c = s->traffic.copies[i];
        if (c && c->h2)
            body_h2(c, body);
        else if (c)
            body_h1(c, body, s->is_req_chunked);
    }
}

void mirror_end(struct stream *s)
{
    for (size_t i = 0; i < s->traffic.copies_len; i++) {
        struct mirror_copy *c = s->traffic.copies[i];
        if (c && c->h2) {
            if (h2_end(c->h2_stream, NULL, 0) < 0)
                lose(c);
            push(c);
        } else if (c && s->is_req_chunked && !send_part_h1(c, SV("0\r\n\r\n"))) {
            lose(c);
        }
    }
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
