/* downstream.c - callers' connections: is it TLS, is there a request, may another follow.
 *
 * On the inbound port the first byte decides: a ClientHello must become mutual TLS, anything else is
 * plaintext and welcome only under PERMISSIVE. Between requests a connection holds no buffer and no
 * stream. What a caller sends ahead waits in `in` until the current stream is done. */
#include "proxy/downstream.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/down_h2.h"
#include "proxy/stream.h"
#include <unistd.h>

static void down_gone(struct defer *d)
{
    struct down *down = CONTAINER_OF(d, struct down, later);
    h1_done(&down->h1);
    h2_free(down->h2);
    peer_cache_done(&down->peer);
    mem_free(down);
}

void down_close(struct down *d, int64_t linger_ns)
{
    struct worker *w = d->worker;
    if (d->is_closed)
        return;
    d->is_closed = true;
    INVARIANT(!d->stream && !d->streams_len);
    if (d->h2 && linger_ns)
        down_h2_goodbye(d);
    list_remove(&d->node);
    w->downs_len--;
    tally_less(TALLY_DOWN_OPEN);
    if (linger_ns)
        conn_close_gently(TAKE(d->conn), linger_ns);
    else
        conn_close(TAKE(d->conn));
    worker_give_block(w, &d->in);
    d->port->downs_len--;
    if (d->port->listener)
        listener_conn_gone(d->port->listener);
    worker_check_drained(w);
    defer_cancel(&d->later);
    defer_cancel(&d->flush);
    loop_defer(w->loop, &d->later, down_gone);
}

/* Bytes of a request are there, or its end of stream: begin a stream if there is none. */
static void read_request(struct down *d)
{
    if (!d->stream)
        d->stream = stream_new(d);
    if (!d->stream) {
        down_close(d, 0);
        return;
    }
    d->stream->can_read_down = true;
    stream_run(d->stream);
}

static void run_pipelined(struct defer *later)
{
    struct down *d = CONTAINER_OF(later, struct down, later);
    if (d->stream || d->is_closed)
        return;
    d->stream = stream_new(d);
    if (d->stream)
        stream_run(d->stream);
    else
        down_close(d, 0);
}

/* PeerAuthentication's answer for this port; without certificates nothing can be asked for. */
static void sniff(struct down *d)
{
    struct worker *w = d->worker;
    char first[16];
    ssize_t n = conn_peek(d->conn, first, sizeof(first));
    if (n == 0)
        return;
    if (n < 0) {
        down_close(d, 0);
        return;
    }
    d->is_sniffing = false;
    bool is_hello = tls_looks_like_hello(sv_of(first, (size_t)n));
    enum mtls_mode mode = mesh_inbound_mtls(w->mesh, d->port->app_port);
    if (!is_hello && mode != MTLS_STRICT) {
        read_request(d);
        return;
    }
    if (is_hello && w->certs) {
        if (conn_start_tls(d->conn, w->certs->server, NULL, w->opt->handshake_timeout_ns, NULL) < 0)
            down_close(d, 0);
        return;
    }
    tally(is_hello ? TALLY_DOWN_NO_CERTS : TALLY_DOWN_STRICT);
    LOG_EVERY(10 * NS_PER_S, LOG_WARN, "inbound.refused", KV_SV("peer", d->peer_addr),
              KV_STR("why", is_hello ? "TLS, but there are no certificates"
                                     : "plaintext, but PeerAuthentication says STRICT"));
    down_close(d, 0);
}

bool down_is_busy(const struct down *d)
{
    return d->stream || d->streams_len;
}

void down_end(struct down *d)
{
    if (d->h2)
        down_h2_drain(d);
    else if (d->stream)
        d->is_last = true;
    else
        down_close(d, 0);
}

void down_abort(struct down *d)
{
    if (d->h2)
        down_h2_abort(d);
    else if (d->stream)
        stream_abort(d->stream);
    else
        down_close(d, 0);
}

/* The handshake is done: TLS says by ALPN what follows. */
static void opened(struct down *d)
{
    const struct tls_info *tls = conn_tls(d->conn);
    tally(TALLY_DOWN_TLS);
    if (tls && sv_eq(tls->alpn, SV("h2")))
        down_h2_begin(d, SV_NONE);
}

static void failed(struct down *d)
{
    const struct err *e = conn_error(d->conn);
    if (e->code == ERR_TLS) {
        tally(TALLY_DOWN_TLS_FAILED);
        LOG_EVERY(10 * NS_PER_S, LOG_WARN, "inbound.handshake_failed", KV_SV("peer", d->peer_addr),
                  KV_STR("why", e->why));
    }
    down_close(d, 0);
}

static void on_event(void *owner, struct conn *c, enum conn_event ev)
{
    struct down *d = owner;
    (void)c;
    switch (ev) {
    case CONN_OPEN: opened(d); return;
    case CONN_READABLE:
        if (d->is_sniffing)
            sniff(d);
        else if (d->h2)
            down_h2_readable(d);
        else
            read_request(d);
        return;
    case CONN_DRAINED:
        if (d->h2) {
            down_h2_later(d);
        } else if (d->stream) {
            d->stream->can_read_up = true;
            stream_run(d->stream);
        }
        return;
    case CONN_IDLE:
        if (d->h2) {
            down_h2_abort(d);
            return;
        }
        if (!d->stream) {
            if (conn_is_quiet(d->conn))
                down_close(d, 0);
            else /* it is about to be told of what has come */
                conn_set_idle(d->conn, worker_idle_ns(d->worker));
            return;
        }
        d->stream->is_down_idle = true;
        stream_run(d->stream);
        return;
    case CONN_FAILED:
        if (d->h2) {
            down_h2_abort(d);
            return;
        }
        if (!d->stream) {
            failed(d);
            return;
        }
        tunnel_caller_broke(d->stream);
        stream_abort(d->stream);
        return;
    }
}

void down_accept(void *port, struct listener *l, int fd, const struct addr *peer)
{
    struct port *p = port;
    struct worker *w = p->worker;
    struct down *d = mem_zalloc(sizeof(*d));
    struct conn *c = d ? conn_accept(w->loop, fd, peer, on_event, d, NULL) : NULL;
    if (!c) {
        if (!d)
            close(fd);
        mem_free(d);
        listener_conn_gone(l);
        return;
    }
    d->worker = w;
    d->port = p;
    d->conn = c;
    d->is_sniffing = p->side == SIDE_INBOUND;
    d->peer_addr = addr_text(peer, d->peer_text);
    d->local_addr = addr_text(conn_local(c), d->local_text);
    list_add_tail(&w->downs, &d->node);
    w->downs_len++;
    p->downs_len++;
    tally(TALLY_DOWN_OPENED);
    tally(TALLY_DOWN_OPEN);
    conn_set_idle(c, w->opt->idle_ns);
    struct tls_ctx *tls = p->side == SIDE_GATEWAY ? gateway_tls_port(w->gateway_tls, p->number)
                                                  : NULL;
    if (tls && conn_start_tls(c, tls, NULL, w->opt->handshake_timeout_ns, NULL) < 0)
        down_close(d, 0);
}

void down_stream_done(struct down *d, bool may_go_on, bool is_cut)
{
    d->stream = NULL;
    if (d->is_h2_due) {
        struct buf first = d->in;
        d->is_h2_due = false;
        d->in = (struct buf){ 0 };
        down_h2_begin(d, buf_sv(&first));
        worker_give_block(d->worker, &first);
        return;
    }
    d->requests++;
    if (!may_go_on || d->is_last) {
        down_close(d, is_cut ? 0 : DOWN_LINGER_NS);
        return;
    }
    conn_set_idle(d->conn, worker_idle_ns(d->worker));
    conn_resume(d->conn);
    if (d->in.len)
        loop_defer(d->worker->loop, &d->later, run_pipelined);
    else
        worker_give_block(d->worker, &d->in);
}
