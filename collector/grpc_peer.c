/* SPDX-License-Identifier: Apache-2.0
 * grpc_peer.c - one connection of the gRPC door: bytes between it and the HTTP/2 engine, events to calls.
 *
 * Whatever is to be sent is gathered until the end of the turn and leaves with one write. */
#include "base/log.h"
#include "base/mem.h"
#include "grpc_priv.h"
#include <unistd.h>

#define READ_BYTES    ((size_t)65536)
#define PULL_BYTES    ((size_t)65536)
#define LINGER_NS     (2 * NS_PER_S) /* for the last words to arrive before a reset could kill them */
/* Bodies are taken as they come unless a stream waits for the store: a quarter of a MiB keeps a sender
 * on a long line busy. */
#define STREAM_WINDOW 262144

static void peer_free(struct defer *def)
{
    struct grpc_peer *p = CONTAINER_OF(def, struct grpc_peer, last);
    h2_free(p->h2);
    mem_free(p);
}

void grpc_peer_close(struct grpc_peer *p, int64_t linger_ns)
{
    if (p->is_closed)
        return;
    p->is_closed = true;
    for (struct grpc_call *c; (c = LIST_FIRST(&p->calls, struct grpc_call, node)) != NULL;)
        grpc_call_drop(c);
    list_remove(&p->node);
    defer_cancel(&p->flush);
    if (linger_ns)
        conn_close_gently(p->conn, linger_ns);
    else
        conn_close(p->conn);
    grpc_peer_gone(p->door);
    loop_defer(p->door->conf.loop, &p->last, peer_free);
}

static void on_call(void *owner, struct h2_stream *st, enum h2_event ev)
{
    struct grpc_peer *p = owner;
    struct grpc_call *c = st ? st->owner : NULL;
    if (ev == H2_HEAD && !c)
        st->owner = c = grpc_call_new(p, st);
    if (!c)
        return;
    switch (ev) {
    case H2_BODY:
    case H2_END: grpc_call_read(c); break;
    case H2_RESET: grpc_call_drop(c); break;
    case H2_HEAD:
    case H2_DRAINED:
    case H2_GOAWAY: break;
    }
}

/* False: the connection is broken. */
static bool push(struct grpc_peer *p)
{
    struct buf *out = &p->door->out;
    for (;;) {
        buf_clear(out);
        if (conn_is_congested(p->conn) || !h2_pull(p->h2, out, PULL_BYTES))
            return true;
        struct sv part = buf_sv(out);
        if (out->failed || conn_write(p->conn, &part, 1) < 0)
            return false;
    }
}

static void flush(struct defer *def)
{
    struct grpc_peer *p = CONTAINER_OF(def, struct grpc_peer, flush);
    if (!push(p))
        grpc_peer_close(p, 0);
    else if ((p->is_over || h2_is_over(p->h2)) && !conn_is_congested(p->conn))
        grpc_peer_close(p, LINGER_NS);
}

void grpc_peer_later(struct grpc_peer *p)
{
    if (!p->is_closed)
        loop_defer(p->door->conf.loop, &p->flush, flush);
}

static void give_up(struct grpc_peer *p, const struct err *err)
{
    char text[ADDR_TEXT_SIZE];
    tally(TALLY_GRPC_REFUSED, 1);
    LOG_EVERY(NS_PER_S, LOG_WARN, "grpc.refused",
              KV_SV("peer", addr_text(conn_peer(p->conn), text)), KV_STR("why", err->why));
    p->is_over = true;
}

static void read_all(struct grpc_peer *p)
{
    char in[READ_BYTES];
    while (!p->is_closed && !p->is_over) {
        struct err err = { 0 };
        ssize_t n = conn_read(p->conn, in, sizeof(in));
        if (n < 0) {
            grpc_peer_close(p, 0);
            return;
        }
        if (n == 0)
            break;
        if (h2_feed(p->h2, sv_of(in, (size_t)n), loop_now_ns(p->door->conf.loop), &err) < 0)
            give_up(p, &err);
    }
    grpc_peer_later(p);
}

static void on_idle(struct grpc_peer *p)
{
    if (p->calls_len) {
        conn_set_idle(p->conn, GRPC_IDLE_NS);
        return;
    }
    h2_finish(p->h2, H2_NO_ERROR);
    grpc_peer_later(p);
}

static void on_event(void *owner, struct conn *conn, enum conn_event ev)
{
    struct grpc_peer *p = owner;
    (void)conn;
    switch (ev) {
    case CONN_READABLE: read_all(p); return;
    case CONN_DRAINED: grpc_peer_later(p); return;
    case CONN_IDLE: on_idle(p); return;
    case CONN_FAILED: grpc_peer_close(p, 0); return;
    case CONN_OPEN: return;
    }
}

void grpc_peer_drain(struct grpc_peer *p)
{
    LIST_EACH (it, after, &p->calls)
        grpc_call_stop(CONTAINER_OF(it, struct grpc_call, node));
    h2_drain(p->h2);
    grpc_peer_later(p);
}

struct grpc_peer *grpc_peer_new(struct grpc_door *d, int fd, const struct addr *peer)
{
    static const struct h2_conf conf = {
        .side = H2_SERVER,
        .fields_max = GRPC_FIELDS_MAX,
        .head_bytes_max = GRPC_HEAD_BYTES_MAX,
        .streams_max = H2_STREAMS_MAX,
        .stream_window = STREAM_WINDOW,
        .connection_window = H2_CONNECTION_WINDOW,
    };
    struct grpc_peer *p = mem_zalloc(sizeof(*p));
    struct h2 *h2 = p ? h2_new(&conf, on_call, p, NULL) : NULL;
    if (!h2) {
        close(fd);
        return mem_free(p);
    }
    struct conn *conn = conn_accept(d->conf.loop, fd, peer, on_event, p, NULL);
    if (!conn) {
        h2_free(h2);
        return mem_free(p);
    }
    p->door = d;
    p->conn = conn;
    p->h2 = h2;
    list_init(&p->calls);
    list_add_tail(&d->peers, &p->node);
    conn_set_idle(conn, GRPC_IDLE_NS);
    grpc_peer_later(p);
    return p;
}
