/* downstream.c - callers' connections: is it TLS, is there a request, may another follow.
 *
 * What is spoken is decided in sniff.c; what is no HTTP belongs to tcp.c from then on. Between requests a connection holds no buffer and no
 * stream. What a caller sends ahead waits in `in` until the current stream is done. */
#include "proxy/downstream.h"
#include "base/log.h"
#include "base/mem.h"
#include "proxy/down_h2.h"
#include "proxy/original.h"
#include "proxy/sniff.h"
#include "proxy/stream.h"
#include "proxy/tcp.h"
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
    INVARIANT(!d->stream && !d->streams_len && !d->tcp);
    if (d->h2 && linger_ns)
        down_h2_goodbye(d);
    timer_stop(&d->sniff);
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

void down_read_request(struct down *d)
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

void down_end(struct down *d)
{
    if (d->h2)
        down_h2_drain(d);
    else if (d->stream)
        d->is_last = true;
    else if (!d->tcp)
        down_close(d, 0);
}

void down_abort(struct down *d)
{
    if (d->h2)
        down_h2_abort(d);
    else if (d->stream)
        stream_abort(d->stream);
    else if (d->tcp)
        tcp_abort(d->tcp);
    else
        down_close(d, 0);
}

/* The caller takes the port for one that is no HTTP, which is not for it to decide. What it sends is read as a
 * request; without an answer it would wait and send nothing. */
static void answer_mistaken(struct down *d)
{
    struct sv answer = TCP_ANSWER;
    if (conn_write(d->conn, &answer, 1) < 0)
        down_close(d, 0);
}

/* The handshake is done: TLS says by ALPN what follows. */
static void opened(struct down *d)
{
    const struct tls_info *tls = conn_tls(d->conn);
    tally(TALLY_DOWN_TLS);
    if (d->becomes_tcp)
        tcp_begin(d, false, tls ? tls->sni : SV_NONE);
    else if (tls && sv_eq(tls->alpn, SV("h2")))
        down_h2_begin(d, SV_NONE);
    else if (tls && sv_eq(tls->alpn, SV(TCP_ANSWERED_ALPN)))
        answer_mistaken(d);
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
    if (d->tcp) {
        tcp_on_down(d->tcp, ev);
        return;
    }
    switch (ev) {
    case CONN_OPEN: opened(d); return;
    case CONN_READABLE:
        if (d->is_sniffing)
            sniff_run(d);
        else if (d->h2)
            down_h2_readable(d);
        else
            down_read_request(d);
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

uint16_t down_app_port(const struct down *d)
{
    return d->has_original ? addr_port(&d->original) : d->port->app_port;
}

struct sv down_inbound_cluster(struct down *d)
{
    if (!d->has_original)
        return d->worker->inbound_cluster;
    int n = snprintf(d->cluster_text, sizeof(d->cluster_text), "inbound|%u||", down_app_port(d));
    return sv_of(d->cluster_text, n > 0 ? (size_t)n : 0);
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
    d->peer_addr = addr_text(peer, d->peer_text);
    d->local_addr = addr_text(conn_local(c), d->local_text);
    list_add_tail(&w->downs, &d->node);
    w->downs_len++;
    p->downs_len++;
    tally(TALLY_DOWN_OPENED);
    tally(TALLY_DOWN_OPEN);
    conn_set_idle(c, w->opt->idle_ns);
    if (!original_find(d)) {
        tally(TALLY_DOWN_LOOP);
        down_close(d, 0);
        return;
    }
    if (d->has_original)
        d->local_addr = addr_text(&d->original, d->local_text);
    sniff_begin(d);
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
