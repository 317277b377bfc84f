/* SPDX-License-Identifier: Apache-2.0
 * down_h2.c - HTTP/2 with a caller: bytes between the connection and the engine, events to streams.
 *
 * What arrives is fed to the engine, whose events run the streams; what they write waits in the engine until the
 * turn ends and leaves with as few writes as it takes, and only while the connection takes it. A stream that
 * does not get its response sent stays in the engine after ours is gone, within the engine's bounds.
 *
 * Draining follows RFC 9113 section 6.8: GOAWAY without a number, then, once the caller must have seen it, the
 * last stream that will be answered. A connection that is opened while we send callers away is told with its
 * first answer, because one that were told at once would never be good for a request. */
#include "proxy/down_h2.h"
#include "base/log.h"
#include "proxy/stream.h"

#define READ_BYTES                                                                                 \
    16384 /* a TLS record; on the stack, because streams use the worker's buffer meanwhile */
#define PULL_BYTES 65536

static void on_head(struct down *d, struct h2_stream *st)
{
    struct stream *s = st->owner ? NULL : stream_new_h2(d, st);
    if (!s) {
        h2_reset(st, H2_REFUSED_STREAM);
        return;
    }
    st->owner = s;
    list_add_tail(&d->streams, &s->down_node);
    d->streams_len++;
    conn_set_idle(d->conn, 0); /* streams have timers of their own */
    stream_run(s);
}

static void on_event(void *owner, struct h2_stream *st, enum h2_event ev)
{
    struct down *d = owner;
    struct stream *s = st ? st->owner : NULL;
    if (ev == H2_HEAD) {
        on_head(d, st);
        return;
    }
    if (!s)
        return;
    switch (ev) {
    case H2_BODY:
    case H2_END: s->can_read_down = true; break;
    case H2_RESET:
        s->is_down_gone = true;
        tally(st->code == H2_PROTOCOL_ERROR ? TALLY_H2_MALFORMED : TALLY_H2_RESETS);
        break;
    case H2_DRAINED: s->can_read_up = true; break;
    case H2_HEAD:
    case H2_GOAWAY: return;
    }
    stream_run(s);
}

void down_h2_begin(struct down *d, struct sv first)
{
    struct worker *w = d->worker;
    struct err err = { 0 };
    const struct h2_conf conf = {
        .side = H2_SERVER,
        .fields_max = HEADERS_MAX,
        .head_bytes_max = w->opt->max_head,
        .streams_max = d->port->side == SIDE_GATEWAY ? H2_STREAMS_MAX : H2_STREAMS_MAX_MESH,
        .stream_window = H2_STREAM_WINDOW,
        .connection_window = H2_CONNECTION_WINDOW,
    };
    list_init(&d->streams);
    d->h2 = h2_new(&conf, on_event, d, &err);
    if (!d->h2) {
        down_close(d, 0);
        return;
    }
    tally(TALLY_H2_DOWN);
    conn_set_idle(d->conn, worker_idle_ns(w));
    if (first.len && h2_feed(d->h2, first, loop_now_ns(w->loop), &err) < 0)
        d->is_h2_over = true;
    down_h2_later(d);
}

/* The engine has given up: what it still says is sent. */
static void give_up(struct down *d, const struct err *err)
{
    tally(TALLY_H2_BROKEN);
    LOG_EVERY(10 * NS_PER_S, LOG_WARN, "downstream.http2_broken", KV_SV("peer", d->peer_addr),
              KV_STR("why", err->why));
    d->is_h2_over = true;
    down_h2_later(d);
}

void down_h2_readable(struct down *d)
{
    char in[READ_BYTES];
    struct err err = { 0 };
    ssize_t n = conn_read(d->conn, in, sizeof(in));
    if (n == 0 || d->is_h2_over)
        return;
    if (n < 0) {
        down_h2_abort(d);
        return;
    }
    if (h2_feed(d->h2, sv_of(in, (size_t)n), loop_now_ns(d->worker->loop), &err) < 0)
        give_up(d, &err);
    down_h2_later(d);
}

/* False: the connection is broken. */
static bool push(struct down *d)
{
    struct buf *out = &d->worker->h2_out;
    for (;;) {
        buf_clear(out);
        if (conn_is_congested(d->conn) || !h2_pull(d->h2, out, PULL_BYTES))
            return true;
        struct sv part = buf_sv(out);
        if (out->failed || conn_write(d->conn, &part, 1) < 0)
            return false;
    }
}

static void flush(struct defer *defer)
{
    struct down *d = CONTAINER_OF(defer, struct down, flush);
    if (d->is_closed)
        return;
    if (!push(d)) {
        down_h2_abort(d);
        return;
    }
    bool is_over = d->is_h2_over || h2_is_over(d->h2);
    if (is_over && !conn_is_congested(d->conn))
        down_h2_abort(d);
}

void down_h2_later(struct down *d)
{
    if (!d->is_closed)
        loop_defer(d->worker->loop, &d->flush, flush);
}

void down_h2_abort(struct down *d)
{
    d->is_aborting = true;
    for (struct stream *s; (s = LIST_FIRST(&d->streams, struct stream, down_node)) != NULL;)
        stream_abort(s);
    d->is_aborting = false;
    down_close(d, DOWN_LINGER_NS);
}

void down_h2_drain(struct down *d)
{
    d->is_last = true;
    h2_drain(d->h2);
    if (!d->streams_len)
        conn_set_idle(d->conn, worker_idle_ns(d->worker));
    down_h2_later(d);
}

void down_h2_answered(struct down *d)
{
    const struct worker *w = d->worker;
    bool is_ours = d->port->side == SIDE_OUTBOUND && !w->is_yielding; /* it would only come again */
    if (!d->is_last && !is_ours && worker_sends_away(w, d->port->side))
        down_h2_drain(d);
}

void down_h2_goodbye(struct down *d)
{
    if (!push(d)) /* first, because what streams still have is lost behind the last word */
        return;
    h2_finish(d->h2, H2_NO_ERROR);
    (void)push(d);
}

void down_h2_stream_done(struct down *d, struct h2_stream *st, bool is_cut)
{
    d->requests++;
    d->streams_len--;
    if (is_cut || !h2_is_answered(st))
        h2_reset(st, H2_INTERNAL_ERROR);
    h2_let_go(st);
    if (d->is_aborting || d->is_closed)
        return;
    if (!d->streams_len)
        conn_set_idle(d->conn, worker_idle_ns(d->worker));
    down_h2_later(d);
}
