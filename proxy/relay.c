/* relay.c - heads and bodies between the two connections, with flow control.
 *
 * Each direction reads once a turn into the worker's shared buffer, lets the codec cut it into body
 * pieces, and writes head and pieces with one call; nothing is kept between turns but what a socket
 * refused. When the receiving side has too much queued, the sending side is paused until it has
 * drained. So a body of any size costs the same memory. Framing is written anew for the next hop:
 * chunked in, chunked out; a body that ends with its connection becomes chunked for HTTP/1.1. */
#include "proxy/stream.h"

#define PARTS_MAX    60 /* with a chunk's frame three parts; stays below one writev's 64 */
#define FRAMES_MAX   20
#define INTERIMS_MAX 32 /* 1xx heads before the answer; an upstream may not send them for ever */

/* What one call of conn_write() will send. */
struct outgoing {
    struct conn *to;
    struct sv parts[PARTS_MAX];
    size_t len;
    char frames[FRAMES_MAX][H1_CHUNK_HEAD_SIZE];
    size_t frames_len;
    bool is_broken;
    struct stream *keeper; /* keeps the parts for a retry; NULL: not needed */
};

static void flush(struct outgoing *o)
{
    if (o->len && !o->is_broken && conn_write(o->to, o->parts, o->len) < 0)
        o->is_broken = true;
    o->len = o->frames_len = 0;
}

static void put(struct outgoing *o, struct sv part)
{
    if (o->len == PARTS_MAX)
        flush(o);
    if (o->keeper) {
        again_keep(o->keeper, part);
        mirror_part(o->keeper, part);
    }
    o->parts[o->len++] = part;
}

static void put_body(struct outgoing *o, struct sv body, bool is_chunked)
{
    if (!is_chunked) {
        put(o, body);
        return;
    }
    if (o->len + 3 > PARTS_MAX || o->frames_len == FRAMES_MAX)
        flush(o);
    put(o, h1_chunk_head(o->frames[o->frames_len++], body.len));
    put(o, body);
    put(o, SV("\r\n"));
}

/* The last chunk with trailers; flushes, because their text goes with the codec's next message. */
static void put_last_chunk(struct outgoing *o, const struct h1 *h)
{
    put(o, SV("0\r\n"));
    for (size_t i = 0; i < h->trailers_len; i++) {
        if (o->len + 4 > PARTS_MAX)
            flush(o);
        put(o, h->trailers[i].name);
        put(o, SV(": "));
        put(o, h->trailers[i].value);
        put(o, SV("\r\n"));
    }
    put(o, SV("\r\n"));
}

/* The caller's codec over `in`; what lies behind the request's end waits for the next one. */
static enum step_result take_request(struct stream *s, struct sv *in, struct outgoing *o)
{
    struct h1 *h = &s->down->h1;
    for (;;) {
        switch (h1_next(h, in)) {
        case H1_BODY:
            s->req_bytes += h->body.len;
            if (traffic_is_too_large(s))
                return traffic_refuse_size(s);
            put_body(o, h->body, s->is_req_chunked);
            break;
        case H1_END:
            s->is_req_read = true;
            if (s->is_req_chunked)
                put_last_chunk(o, h);
            flush(o);
            buf_append(&s->down->in, in->p, in->len);
            *in = SV_NONE;
            return STEP_AGAIN;
        case H1_BAD:
            flush(o);
            snprintf(s->why, sizeof(s->why), "%s at %zu", h->err.why, h->err.at);
            return stream_fail(s, h->bad_status, TALLY_REPLIES_DPE, "DPE", "http1.codec_error");
        case H1_HEAD:
        case H1_NEED_MORE: flush(o); return STEP_AGAIN;
        }
    }
}

static enum step_result upstream_gone(struct stream *s);

/* After something was written upstream. */
static enum step_result sent(struct stream *s, const struct outgoing *o)
{
    if (o->is_broken)
        return upstream_gone(s);
    s->sent_ns = clock_mono_ns();
    if (s->is_req_read)
        conn_resume(s->down->conn); /* to learn of its end */
    else if (conn_is_congested(s->up->conn))
        conn_pause(s->down->conn);
    else
        conn_resume(s->down->conn);
    return STEP_AGAIN;
}

/* A rule that takes or writes these fields itself leaves no upgrade of ours. */
static bool is_upgrade_hidden(const struct stream *s)
{
    return traffic_hides(s, SV("upgrade")) || traffic_hides(s, SV("connection"));
}

enum step_result relay_send(struct stream *s)
{
    struct outgoing o = { .to = s->up->conn };
    struct worker *w = s->worker;
    if (s->upgrade.len && is_upgrade_hidden(s))
        s->upgrade = SV_NONE;
    buf_clear(&w->head);
    head_for_upstream(s, &w->head);
    if (w->head.failed)
        return stream_fail(s, 503, TALLY_REPLIES_LOCAL, "OM", "overload_manager_out_of_memory");
    h1_begin(&s->up->h1, H1_RESPONSE, s->resp_slots, HEADERS_MAX, w->opt->max_head);
    if (s->is_head_request)
        h1_expect_no_body(&s->up->h1);
    s->state = ST_RELAY;
    s->is_req_started = true;
    s->sent_ns = clock_mono_ns();
    if (s->upgrade.len)
        again_forbid(s); /* what an opened tunnel has done, nobody can tell */
    else
        mirror_begin(s, buf_sv(&w->head));
    put(&o, buf_sv(&w->head));
    if (s->kept.len)
        put(&o, buf_sv(&s->kept));
    if (!s->is_req_read && s->kept.len)
        flush(&o); /* before `kept` grows and moves */
    o.keeper = s;
    if (!s->is_req_read && take_request(s, &s->req_rest, &o) != STEP_AGAIN)
        return STEP_AGAIN;
    flush(&o);
    return s->state == ST_RELAY ? sent(s, &o) : STEP_AGAIN;
}

static enum step_result pump_request(struct stream *s)
{
    struct outgoing o = { .to = s->up->conn, .keeper = s };
    s->can_read_down = false;
    if (conn_is_congested(s->up->conn)) {
        conn_pause(s->down->conn);
        return STEP_WAIT;
    }
    conn_resume(s->down->conn);
    ssize_t n = conn_read(s->down->conn, s->worker->body, BODY_BYTES);
    if (n == 0)
        return STEP_WAIT;
    if (n < 0)
        return stream_fail(s, 0, TALLY_REPLIES_DC, "DC", "downstream_remote_disconnect");
    struct sv in = sv_of(s->worker->body, (size_t)n);
    enum step_result r = take_request(s, &in, &o);
    if (s->state != ST_RELAY)
        return r;
    return sent(s, &o);
}

/* Nothing of the response has come: neither bytes nor an interim head. */
static bool is_untouched(const struct stream *s)
{
    return s->up->requests > 0 && s->up->h1.scanned == 0 && s->resp_block.len == 0 &&
           !s->is_resp_started && !s->interims;
}

/* The upstream connection ended too early. A reused one that was closed before it said anything has
 * most likely not seen the request: an idempotent one is sent again at once, unless its body has
 * left our hands. The rest is for the route's policy. */
static enum step_result upstream_gone(struct stream *s)
{
    const struct err *e = conn_error(s->up->conn);
    if (is_untouched(s) && s->is_idempotent && !s->is_body_lost && !s->is_fresh_wanted) {
        tally(TALLY_UP_STALE);
        s->is_fresh_wanted = true;
        stream_drop_up(s, false);
        s->state = ST_CONNECT;
        return STEP_AGAIN;
    }
    const struct err why = *e; /* the connection may go now */
    if (again_after_failure(s, RETRY_RESET))
        return STEP_AGAIN;
    e = &why;
    if (e->code)
        snprintf(s->failure, sizeof(s->failure), "%s", e->why);
    snprintf(s->why, sizeof(s->why), "upstream closed the connection%s%s", e->code ? ": " : "",
             e->code ? e->why : "");
    return stream_fail(s, 503, TALLY_REPLIES_UC, "UC",
                       "upstream_reset_%s_response_started{connection_termination}",
                       s->is_resp_started ? "after" : "before");
}

static void begin_response(struct stream *s, struct outgoing *o)
{
    const struct http_head *h = &s->up->h1.head, *req = &s->down->h1.head;
    bool has_body = !s->is_head_request && !h1_status_has_no_body(h->status);
    bool is_open_ended = has_body && !h->is_chunked && !h->has_length;
    s->status = h->status;
    s->flag = s->is_exhausted ? "URX" : NULL;
    s->answered_ns = clock_mono_ns();
    s->is_resp_chunked = has_body && req->minor > 0 && (h->is_chunked || is_open_ended);
    bool ends_by_close = req->minor == 0 && (is_open_ended || h->is_chunked);
    s->is_down_reusable = req->is_keep_alive && !ends_by_close && !s->worker->is_draining;
    who_has_answered(s, h);
    head_for_caller(s, h, &s->worker->head);
    put(o, buf_sv(&s->worker->head));
    s->is_resp_started = true;
}

/* rest: the bytes behind the head. */
static enum step_result on_response_head(struct stream *s, struct sv rest, struct outgoing *o)
{
    struct h1 *h = &s->up->h1;
    bool is_interim = h->head.status < 200 && h->head.status != 101;
    if (is_interim && ++s->interims > INTERIMS_MAX) {
        snprintf(s->why, sizeof(s->why), "more than %d interim responses", INTERIMS_MAX);
        return stream_fail(s, 502, TALLY_REPLIES_UPE, "UPE", "upstream_protocol_error");
    }
    flush(o);
    if (h->head.status == 101)
        return tunnel_open(s, rest);
    buf_clear(&s->worker->head);
    if (h->head.status >= 200) {
        s->grpc_status = http_get(&h->head, SV("grpc-status"));
        if (again_after_response(s, h->head.status))
            return STEP_AGAIN;
        begin_response(s, o);
        if (s->worker->head.failed)
            return stream_fail(s, 0, TALLY_REPLIES_LOCAL, "OM", "overload_manager_out_of_memory");
    } else if (s->down->h1.head.minor > 0) {
        head_for_caller(s, &h->head, &s->worker->head);
        put(o, buf_sv(&s->worker->head));
        flush(o);
    }
    return STEP_AGAIN;
}

/* A status without a body came with a body's framing: who wrote it may send one all the same, and it
 * must not be taken for the next response. (304 tells the length of what is not sent.) */
static bool announces_a_body(const struct http_head *h)
{
    return (h->status == 204 && (h->is_chunked || h->content_length)) ||
           (h->status == 304 && h->is_chunked);
}

static void end_response(struct stream *s, struct sv *in, struct outgoing *o)
{
    struct h1 *h = &s->up->h1;
    if (h->head.status < 200) {
        h1_begin(h, H1_RESPONSE, s->resp_slots, HEADERS_MAX, s->worker->opt->max_head);
        if (s->is_head_request)
            h1_expect_no_body(h);
        return;
    }
    if (s->is_resp_chunked)
        put_last_chunk(o, h);
    flush(o);
    s->is_resp_read = true;
    s->is_up_reusable = h->head.is_keep_alive && in->len == 0 && !announces_a_body(&h->head);
}

static enum step_result bad_response(struct stream *s)
{
    const struct err *e = &s->up->h1.err;
    again_judge(s, OUTLIER_GATEWAY_ERROR);
    snprintf(s->failure, sizeof(s->failure), "%s", e->why);
    snprintf(s->why, sizeof(s->why), "upstream's response: %.100s at %zu", e->why, e->at);
    return stream_fail(s, 502, TALLY_REPLIES_UPE, "UPE", "upstream_protocol_error");
}

static enum step_result take_response(struct stream *s, struct sv *in, struct outgoing *o)
{
    struct h1 *h = &s->up->h1;
    while (!s->is_resp_read) {
        switch (h1_next(h, in)) {
        case H1_HEAD:
            (void)on_response_head(s, *in, o);
            if (s->state != ST_RELAY)
                return STEP_AGAIN;
            break;
        case H1_BODY:
            s->resp_bytes += h->body.len;
            put_body(o, h->body, s->is_resp_chunked);
            break;
        case H1_END: end_response(s, in, o); break;
        case H1_BAD: flush(o); return bad_response(s);
        case H1_NEED_MORE: flush(o); return STEP_AGAIN;
        }
    }
    return STEP_AGAIN;
}

/* The upstream's stream ended: that may be how the response says it is complete. */
static enum step_result response_ended(struct stream *s, struct outgoing *o, ssize_t n)
{
    struct sv none = SV_NONE;
    if (n != ERR_CLOSED || !s->is_resp_started || h1_eof(&s->up->h1) != H1_END)
        return upstream_gone(s);
    end_response(s, &none, o);
    s->is_up_reusable = false;
    return STEP_AGAIN;
}

static enum step_result read_response(struct stream *s, struct outgoing *o)
{
    struct worker *w = s->worker;
    bool is_in_head = !s->is_resp_started;
    char *to = w->body;
    size_t room = BODY_BYTES;
    if (is_in_head) {
        if (!s->resp_block.mem)
            worker_take_block(w, &s->resp_block);
        to = buf_reserve(&s->resp_block, BLOCK_BYTES / 4);
        room = s->resp_block.cap - s->resp_block.from - s->resp_block.len;
        if (!to)
            return stream_fail(s, 503, TALLY_REPLIES_LOCAL, "OM", "overload_manager_out_of_memory");
    }
    ssize_t n = conn_read(s->up->conn, to, room);
    if (n == 0)
        return STEP_WAIT;
    if (n < 0)
        return response_ended(s, o, n);
    struct sv in = sv_of(to, (size_t)n);
    if (!is_in_head)
        return take_response(s, &in, o);
    buf_commit(&s->resp_block, (size_t)n);
    in = buf_sv(&s->resp_block);
    enum step_result r = take_response(s, &in, o);
    if (s->state == ST_RELAY)
        buf_consume(&s->resp_block, s->resp_block.len - in.len);
    if (s->is_resp_started)
        worker_give_block(w, &s->resp_block);
    return r;
}

static enum step_result pump_response(struct stream *s)
{
    struct outgoing o = { .to = s->down->conn };
    s->can_read_up = false;
    if (conn_is_congested(s->down->conn)) {
        conn_pause(s->up->conn);
        return STEP_WAIT;
    }
    conn_resume(s->up->conn);
    enum step_result r = read_response(s, &o);
    if (s->state != ST_RELAY)
        return r;
    if (o.is_broken)
        return stream_fail(s, 0, TALLY_REPLIES_DC, "DC", "downstream_remote_disconnect");
    if (!s->is_resp_read && conn_is_congested(s->down->conn))
        conn_pause(s->up->conn);
    return r;
}

enum step_result relay_run(struct stream *s)
{
    if (s->is_up_failed)
        return upstream_gone(s);
    if (s->can_read_up)
        (void)pump_response(s);
    if (s->state == ST_RELAY && !s->is_resp_read && !s->is_req_read && s->can_read_down)
        (void)pump_request(s);
    if (s->state != ST_RELAY)
        return STEP_AGAIN;
    if (!s->is_resp_read)
        return STEP_WAIT;
    /* An answer before the request was complete: the rest of the request has no reader. */
    if (!s->is_req_read)
        s->is_down_reusable = s->is_up_reusable = false;
    s->state = ST_DONE;
    return STEP_AGAIN;
}
