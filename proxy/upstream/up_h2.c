/* SPDX-License-Identifier: Apache-2.0
 * up_h2.c - HTTP/2 with an endpoint: one connection for the requests of many callers.
 *
 * Requests that come while it is being opened wait for it instead of opening their own. An event of the connection
 * is an event of each of its streams: they are told one after the other, and since telling may end any of them,
 * the list is taken apart from the front while that goes on. It is closed when the endpoint has said GOAWAY, when it has served
 * as many requests as the DestinationRule lets it, or when it has been idle; requests under way are waited for. */
#include "proxy/upstream/up_h2.h"
#include "base/log.h"
#include "proxy/stream.h"

#define READ_BYTES                                                                                 \
    16384 /* a TLS record; on the stack, because streams use the worker's buffer meanwhile */
#define PULL_BYTES 65536
#define UP_WINDOW  (256 * 1024)       /* of a response that its caller does not take, at most */
#define UP_WINDOWS (16 * 1024 * 1024) /* one slow caller must not stop the others */

static void on_event(void *owner, struct h2_stream *st, enum h2_event ev)
{
    struct up *up = owner;
    struct stream *s = st ? st->owner : NULL;
    if (ev == H2_GOAWAY)
        up->is_retired = true;
    if (!s)
        return;
    switch (ev) {
    case H2_HEAD: s->is_up_head_due = s->can_read_up = true; break;
    case H2_BODY:
    case H2_END: s->can_read_up = true; break;
    case H2_RESET: s->is_up_failed = true; break;
    case H2_DRAINED: s->can_read_down = true; break;
    case H2_GOAWAY: return;
    }
    stream_run(s);
}

bool up_h2_init(struct up *up)
{
    const struct h2_conf conf = { .side = H2_CLIENT,
                                  .fields_max = HEADERS_MAX,
                                  .head_bytes_max = up->worker->opt->max_head,
                                  .stream_window = UP_WINDOW,
                                  .connection_window = UP_WINDOWS };
    list_init(&up->streams);
    up->h2 = h2_new(&conf, on_event, up, NULL);
    return up->h2 != NULL;
}

size_t up_h2_room(const struct up *up, uint32_t streams_max)
{
    if (up->is_closed || up->is_retired)
        return 0;
    bool is_told = h2_streams_told(up->h2) > 0;
    size_t most = MIN(streams_max ? streams_max : UINT32_MAX,
                      is_told ? up->streams_len + h2_room(up->h2) : up->pool->streams_most);
    return up->streams_len < most ? most - up->streams_len : 0;
}

void up_h2_attach(struct up *up, struct stream *s)
{
    list_add_tail(&up->streams, &s->up_node);
    up->streams_len++;
    up->requests++;
    conn_set_idle(up->conn, 0);
}

bool up_h2_send_head(struct stream *s, struct sv head, bool is_end)
{
    struct up *up = s->up;
    s->is_up_head_due = false;
    s->up_h2 = h2_open(up->h2, head, up->pool->tls ? SV("https") : SV("http"), is_end, s);
    up_h2_later(up);
    return s->up_h2 != NULL;
}

void up_h2_detach(struct stream *s)
{
    struct up *up = s->up;
    struct h2_stream *st = TAKE(s->up_h2);
    list_remove(&s->up_node);
    up->streams_len--;
    if (st && !up->is_closed) {
        bool is_whole = st->is_ended && h2_is_answered(st);
        if (!is_whole)
            h2_reset(st, H2_CANCEL);
        h2_let_go(st);
    }
}

/* Tells every stream; some end by that, and with them others. */
static void tell_all(struct up *up, bool is_failed)
{
    struct list told;
    list_init(&told);
    for (struct stream *s; (s = LIST_FIRST(&up->streams, struct stream, up_node)) != NULL;) {
        list_remove(&s->up_node);
        list_add_tail(&told, &s->up_node);
        s->is_up_failed = s->is_up_failed || is_failed;
        stream_run(s);
    }
    for (struct stream *s; (s = LIST_FIRST(&told, struct stream, up_node)) != NULL;) {
        list_remove(&s->up_node);
        list_add_tail(&up->streams, &s->up_node);
    }
}

/* flush() takes it down. */
static void broke(struct up *up)
{
    up->is_broken = up->is_retired = true;
    tell_all(up, true);
}

/* False: the connection is broken. */
static bool push(struct up *up)
{
    struct buf *out = &up->worker->h2_out;
    for (;;) {
        buf_clear(out);
        if (conn_is_congested(up->conn) || !h2_pull(up->h2, out, PULL_BYTES))
            return true;
        struct sv part = buf_sv(out);
        if (out->failed || conn_write(up->conn, &part, 1) < 0)
            return false;
    }
}

static void flush(struct defer *d)
{
    struct up *up = CONTAINER_OF(d, struct up, flush);
    if (up->is_closed)
        return;
    bool can_send = up->is_open && !up->is_broken;
    if (can_send && (!push(up) || (h2_is_over(up->h2) && !conn_is_congested(up->conn))))
        broke(up);
    if (!up->streams_len && (up->is_open || up->is_broken))
        pool_rest(up);
}

void up_h2_later(struct up *up)
{
    if (!up->is_closed)
        loop_defer(up->worker->loop, &up->flush, flush);
}

static void readable(struct up *up)
{
    char in[READ_BYTES];
    struct err err = { 0 };
    ssize_t n = conn_read(up->conn, in, sizeof(in));
    if (n == 0)
        return;
    bool is_broken = n < 0;
    if (!is_broken &&
        h2_feed(up->h2, sv_of(in, (size_t)n), loop_now_ns(up->worker->loop), &err) < 0) {
        is_broken = true;
        tally(TALLY_H2_UP_BROKEN);
        LOG_EVERY(10 * NS_PER_S, LOG_WARN, "upstream.http2_broken",
                  KV_SV("endpoint", up->pool->addr_text), KV_STR("why", err.why));
    }
    if (h2_streams_told(up->h2))
        up->pool->streams_most = MIN(h2_streams_told(up->h2), (uint32_t)POOL_STREAMS_WAIT);
    if (is_broken)
        broke(up);
    up_h2_later(up);
}

void up_h2_on_event(struct up *up, enum conn_event ev)
{
    switch (ev) {
    case CONN_OPEN:
        up->is_open = true;
        tally(TALLY_H2_UP);
        pool_count_handshake(up->conn);
        tell_all(up, false);
        break;
    case CONN_READABLE:
        if (!up->is_broken)
            readable(up);
        return;
    case CONN_DRAINED: break;
    case CONN_IDLE: up->is_retired = true; break;
    case CONN_FAILED:
        if (!up->is_open)
            tally(TALLY_UP_FAILED);
        broke(up);
        break;
    }
    up_h2_later(up);
}
