/* SPDX-License-Identifier: Apache-2.0
 * tunnel.c - after a 101: bytes both ways, until both sides are over.
 *
 * The two directions are alike: one read a turn into the worker's shared buffer, one write; while the
 * receiving side has too much queued, the sending side is paused. So a tunnel holds no memory of its
 * own. The end of one side's stream is passed on as such and the other direction goes on; a break is
 * passed on as a break, so that nobody takes half of something for the whole. A tunnel ends when both
 * streams have ended, when either connection breaks, when no byte has moved for the idle time,
 * or when draining has taken too long; the time a route allows for a response ends with the 101. What
 * the caller sent ahead of the 101 waited with the bytes of its next request, and goes first. Neither
 * connection carries anything afterwards. */
#include "proxy/stream.h"
#include "proxy/upgrade.h"

enum flow_result { FLOW_ON, FLOW_FROM_BROKE, FLOW_TO_BROKE };

void tunnel_caller_broke(struct stream *s)
{
    if (s->state == ST_TUNNEL)
        conn_reset_at_close(s->up->conn);
}

static enum step_result caller_broke(struct stream *s)
{
    tunnel_caller_broke(s);
    return stream_fail(s, 0, TALLY_REPLIES_DC, "DC", "downstream_remote_disconnect");
}

static enum step_result upstream_broke(struct stream *s)
{
    const struct err *e = conn_error(s->up->conn);
    conn_reset_at_close(s->down->conn);
    if (e->code)
        snprintf(s->failure, sizeof(s->failure), "%s", e->why);
    return stream_fail(s, 0, TALLY_REPLIES_UC, "UC",
                       "upstream_reset_after_response_started{connection_termination}");
}

/* The head is written; first comes what either side has sent already. */
static enum step_result go_ahead(struct stream *s, struct sv head, struct sv from_up)
{
    struct down *d = s->down;
    const struct sv to_down[] = { head, from_up };
    struct sv from_down = buf_sv(&d->in);
    s->resp_bytes += from_up.len;
    s->req_bytes += from_down.len;
    s->state = ST_TUNNEL;
    if (conn_write(d->conn, to_down, NELEMS(to_down)) < 0)
        return caller_broke(s);
    if (from_down.len && conn_write(s->up->conn, &from_down, 1) < 0)
        return upstream_broke(s);
    worker_give_block(s->worker, &d->in);
    s->can_read_down = s->can_read_up = true;
    return STEP_AGAIN;
}

enum step_result tunnel_open(struct stream *s, struct sv rest)
{
    const struct http_head *h = &s->up->h1.head;
    struct buf *head = &s->worker->head;
    if (!upgrade_is_agreed(h, s->upgrade)) {
        snprintf(s->why, sizeof(s->why), "upstream switched protocols %s",
                 s->upgrade.len ? "to another than was asked for" : "unasked");
        return stream_fail(s, 502, TALLY_REPLIES_UPE, "UPE", "upstream_protocol_error");
    }
    (void)again_after_response(s, h->status); /* never repeats: see again_forbid() */
    timer_stop(&s->timer);
    s->is_timed_out = false;
    s->status = h->status;
    s->answered_ns = clock_mono_ns();
    s->is_up_reusable = s->is_down_reusable = false;
    who_has_answered(s, h);
    buf_clear(head);
    head_for_caller(s, h, head);
    if (head->failed)
        return stream_fail(s, 503, TALLY_REPLIES_LOCAL, "OM", "overload_manager_out_of_memory");
    s->is_resp_started = s->is_resp_read = true;
    tally(TALLY_UPGRADES);
    return go_ahead(s, buf_sv(head), rest);
}

/* One read and one write. */
static enum flow_result flow(struct stream *s, struct conn *from, struct conn *to, bool *is_over,
                             uint64_t *bytes)
{
    if (*is_over)
        return FLOW_ON;
    if (conn_is_congested(to)) {
        conn_pause(from);
        return FLOW_ON;
    }
    conn_resume(from);
    ssize_t n = conn_read(from, s->worker->body, BODY_BYTES);
    if (n == 0)
        return FLOW_ON;
    if (n == ERR_CLOSED) {
        *is_over = true;
        conn_finish(to);
        return FLOW_ON;
    }
    if (n < 0)
        return FLOW_FROM_BROKE;
    struct sv part = sv_of(s->worker->body, (size_t)n);
    *bytes += part.len;
    if (conn_write(to, &part, 1) < 0)
        return FLOW_TO_BROKE;
    if (conn_is_congested(to))
        conn_pause(from);
    return FLOW_ON;
}

enum step_result tunnel_run(struct stream *s)
{
    struct conn *down = s->down->conn, *up = s->up->conn;
    enum flow_result out = FLOW_ON, back = FLOW_ON;
    if (s->is_up_failed)
        return upstream_broke(s);
    if (s->can_read_up)
        back = flow(s, up, down, &s->is_up_over, &s->resp_bytes);
    if (s->can_read_down && back == FLOW_ON)
        out = flow(s, down, up, &s->is_down_over, &s->req_bytes);
    s->can_read_up = s->can_read_down = false;
    if (back == FLOW_FROM_BROKE || out == FLOW_TO_BROKE)
        return upstream_broke(s);
    if (back == FLOW_TO_BROKE || out == FLOW_FROM_BROKE)
        return caller_broke(s);
    if (!s->is_up_over || !s->is_down_over)
        return STEP_WAIT;
    s->up->is_lingering = true; /* its last bytes may be queued */
    s->state = ST_DONE;
    return STEP_AGAIN;
}
