/* relay.c - heads and bodies between the two connections, with flow control.
 *
 * Each direction reads once a turn into the worker's shared buffer, lets the codec cut it into body
 * pieces, and writes head and pieces with one call; nothing is kept between turns but what a socket
 * refused. When the receiving side has too much queued, the sending side is paused until it has
 * drained. So a body of any size costs the same memory. Framing is written anew for the next hop:
 * chunked in, chunked out; a body that ends with its connection becomes chunked for HTTP/1.1. */
#include "proxy/down_h2.h"
#include "proxy/stream.h"
#include "proxy/upstream/up_h2.h"

#define INTERIMS_MAX 32 /* 1xx heads before the answer; an upstream may not send them for ever */

/* The caller's codec over `in`; what lies behind the request's end waits for the next one. */
static enum step_result take_request_h1(struct stream *s, struct sv *in, struct sink *o)
{
    struct h1 *h = &s->down->h1;
    for (;;) {
        switch (h1_next(h, in)) {
        case H1_BODY:
            s->req_bytes += h->body.len;
            messages_of_request(s, h->body);
            if (traffic_is_too_large(s))
                return traffic_refuse_size(s);
            sink_body(o, h->body);
            break;
        case H1_END:
            s->is_req_read = true;
            sink_end(o, h->trailers, h->trailers_len);
            buf_append(&s->down->in, in->p, in->len);
            *in = SV_NONE;
            return STEP_AGAIN;
        case H1_BAD:
            sink_flush(o);
            snprintf(s->why, sizeof(s->why), "%s at %zu", h->err.why, h->err.at);
            return stream_fail(s, h->bad_status, TALLY_REPLIES_DPE, "DPE", "http1.codec_error");
        case H1_HEAD:
        case H1_NEED_MORE: sink_flush(o); return STEP_AGAIN;
        }
    }
}

/* The same of a stream of HTTP/2: what its peer has sent waits in it. */
static enum step_result take_request_h2(struct stream *s, struct sink *o)
{
    struct h2_stream *st = s->down_h2;
    struct sv body = h2_body(st);
    if (body.len) {
        s->req_bytes += body.len;
        messages_of_request(s, body);
        if (traffic_is_too_large(s))
            return traffic_refuse_size(s);
        sink_body(o, body);
        sink_flush(o);
        h2_consume(st, body.len);
    }
    if (st->is_ended) {
        s->is_req_read = true;
        sink_end(o, st->trailers, st->trailers_len);
    }
    return STEP_AGAIN;
}

/* What has come of the body by the time the head is sent. */
static enum step_result take_request(struct stream *s, struct sink *o)
{
    return s->down_h2 ? take_request_h2(s, o) : take_request_h1(s, &s->req_rest, o);
}

static enum step_result upstream_gone(struct stream *s);

/* After something was written upstream. */
static enum step_result sent(struct stream *s, const struct sink *o)
{
    if (o->is_broken)
        return upstream_gone(s);
    s->sent_ns = clock_mono_ns();
    stream_touch(s);
    if (s->down_h2)
        return STEP_AGAIN; /* what is not taken stays in its stream */
    if (s->is_req_read || !sink_is_full(o))
        conn_resume(s->down->conn); /* to learn of its end, too */
    else
        conn_pause(s->down->conn);
    return STEP_AGAIN;
}

/* A rule that takes or writes these fields itself leaves no upgrade of ours. */
static bool is_upgrade_hidden(const struct stream *s)
{
    return traffic_hides(s, SV("upgrade")) || traffic_hides(s, SV("connection"));
}

static void request_trailers(const struct stream *s, const struct http_header **ret_list,
                             size_t *ret_len)
{
    const struct h1 *h = &s->down->h1;
    *ret_list = s->down_h2 ? s->down_h2->trailers : h->trailers;
    *ret_len = s->down_h2 ? s->down_h2->trailers_len : h->trailers_len;
}

/* The head goes. False: the connection takes no more requests. */
static bool begin_sending(struct stream *s, struct sink *o)
{
    struct worker *w = s->worker;
    const struct http_header *trailers;
    size_t trailers_len;
    request_trailers(s, &trailers, &trailers_len);
    if (s->up->h2) {
        again_expect_refusal(s);
        bool is_end = s->is_req_read && !s->kept.len && !trailers_len;
        bool is_sent = up_h2_send_head(s, buf_sv(&w->head), is_end);
        sink_init(o, s->up->conn, s->up_h2, s->is_req_chunked);
        return is_sent;
    }
    sink_init(o, s->up->conn, NULL, s->is_req_chunked);
    h1_begin(&s->up->h1, H1_RESPONSE, s->resp_slots, HEADERS_MAX, w->opt->max_head);
    if (s->is_head_request)
        h1_expect_no_body(&s->up->h1);
    sink_head(o, buf_sv(&w->head), false);
    return true;
}

/* What was kept of an earlier try. */
static void send_kept(struct stream *s, struct sink *o)
{
    const struct http_header *trailers;
    size_t trailers_len;
    if (s->kept.len)
        sink_body(o, buf_sv(&s->kept));
    if (!s->is_req_read) {
        sink_flush(o); /* before `kept` grows and moves */
        return;
    }
    request_trailers(s, &trailers, &trailers_len);
    sink_end(o, trailers, trailers_len);
}

enum step_result relay_send(struct stream *s)
{
    struct sink o;
    struct worker *w = s->worker;
    if (s->upgrade.len && is_upgrade_hidden(s))
        s->upgrade = SV_NONE;
    buf_clear(&w->head);
    head_for_upstream(s, &w->head);
    if (w->head.failed)
        return stream_fail(s, 503, TALLY_REPLIES_LOCAL, "OM", "overload_manager_out_of_memory");
    s->state = ST_RELAY;
    if (!begin_sending(s, &o))
        return upstream_gone(s);
    s->is_req_started = true;
    s->sent_ns = clock_mono_ns();
    if (s->upgrade.len)
        again_forbid(s); /* what an opened tunnel has done, nobody can tell */
    else
        mirror_begin(s, buf_sv(&w->head));
    send_kept(s, &o);
    o.keeper = s;
    if (!s->is_req_read)
        (void)take_request(s, &o);
    sink_flush(&o);
    return s->state == ST_RELAY ? sent(s, &o) : STEP_AGAIN;
}

static enum step_result pump_request(struct stream *s)
{
    struct sink o;
    sink_init(&o, s->up->conn, s->up_h2, s->is_req_chunked);
    o.keeper = s;
    s->can_read_down = false;
    if (sink_is_full(&o)) {
        if (!s->down_h2)
            conn_pause(s->down->conn);
        return STEP_WAIT;
    }
    enum step_result r;
    if (s->down_h2) {
        r = take_request_h2(s, &o);
        return s->state == ST_RELAY ? sent(s, &o) : r;
    }
    conn_resume(s->down->conn);
    ssize_t n = conn_read(s->down->conn, s->worker->body, BODY_BYTES);
    if (n == 0)
        return STEP_WAIT;
    if (n < 0)
        return stream_fail(s, 0, TALLY_REPLIES_DC, "DC", "downstream_remote_disconnect");
    struct sv in = sv_of(s->worker->body, (size_t)n);
    r = take_request_h1(s, &in, &o);
    return s->state == ST_RELAY ? sent(s, &o) : r;
}

/* Nothing of the response has come: neither bytes nor an interim head; and the connection had been used before,
 * or (HTTP/2) has ended with all its streams. */
static bool is_untouched(const struct stream *s)
{
    if (s->up->h2)
        return s->up->is_retired && !s->is_resp_started && !s->interims && !s->is_up_head_due;
    return s->up->requests > 0 && s->up->h1.scanned == 0 && s->resp_block.len == 0 &&
           !s->is_resp_started && !s->interims;
}

/* Why the upstream ended before its time. */
static struct err failure_of(const struct stream *s)
{
    struct err e = *conn_error(s->up->conn);
    if (!e.code && s->up_h2 && s->up_h2->code)
        err_set(&e, ERR_CLOSED, "stream reset with %s", h2_code_name(s->up_h2->code));
    return e;
}

/* The upstream connection ended too early. A reused one that was closed before it said anything has
 * most likely not seen the request: an idempotent one is sent again at once, unless its body has
 * left our hands. The rest is for the route's policy. */
static enum step_result upstream_gone(struct stream *s)
{
    const struct err why = failure_of(s), *e = &why; /* the connection may go now */
    bool is_unsent = s->up->h2 && (!s->up_h2 || s->up_h2->is_refused) && !s->is_resp_started;
    bool is_stale = is_unsent || (is_untouched(s) && s->is_idempotent);
    if (is_untouched(s) && !s->up->h2)
        pool_note_stale(s->up);
    if (is_stale && !s->is_body_lost && !s->is_fresh_wanted) {
        tally(TALLY_UP_STALE);
        s->is_fresh_wanted = true;
        stream_drop_up(s, false);
        s->state = ST_CONNECT;
        return STEP_AGAIN;
    }
    if (again_after_failure(s, is_unsent ? RETRY_REFUSED : RETRY_RESET))
        return STEP_AGAIN;
    if (e->code)
        snprintf(s->failure, sizeof(s->failure), "%s", e->why);
    snprintf(s->why, sizeof(s->why), "upstream closed the connection%s%s", e->code ? ": " : "",
             e->code ? e->why : "");
    return stream_fail(s, 503, TALLY_REPLIES_UC, "UC",
                       "upstream_reset_%s_response_started{connection_termination}",
                       s->is_resp_started ? "after" : "before");
}

static const struct http_head *response_of(const struct stream *s)
{
    return s->up_h2 ? &s->up_h2->head : &s->up->h1.head;
}

static void begin_response(struct stream *s, struct sink *o)
{
    const struct http_head *h = response_of(s), *req = s->req;
    bool has_body = !s->is_head_request && !h1_status_has_no_body(h->status);
    bool is_open_ended = has_body && !h->is_chunked && !h->has_length;
    s->status = h->status;
    s->flag = s->is_exhausted ? "URX" : NULL;
    s->answered_ns = clock_mono_ns();
    s->is_resp_grpc = s->is_grpc && grpc_is_content_type(http_get(h, SV("content-type")));
    s->is_resp_chunked = has_body && req->minor > 0 && (h->is_chunked || is_open_ended);
    bool ends_by_close = !s->down_h2 && req->minor == 0 && (is_open_ended || h->is_chunked);
    s->is_down_reusable = req->is_keep_alive && !ends_by_close &&
                          !worker_sends_away(s->worker, s->side);
    who_has_answered(s, h);
    head_for_caller(s, h, &s->worker->head);
    o->is_chunked = s->is_resp_chunked;
    bool is_empty = h->has_length &&
                    h->content_length == 0; /* gRPC: a status is told so, without trailers */
    sink_head(o, buf_sv(&s->worker->head), !has_body || is_empty);
    s->is_resp_started = true;
    again_forbid(s);
    if (s->down_h2)
        down_h2_answered(s->down);
}

/* rest: the bytes behind the head. */
static enum step_result on_response_head(struct stream *s, struct sv rest, struct sink *o)
{
    const struct http_head *h = response_of(s);
    bool is_interim = h->status < 200 && h->status != 101;
    if (is_interim && ++s->interims > INTERIMS_MAX) {
        snprintf(s->why, sizeof(s->why), "more than %d interim responses", INTERIMS_MAX);
        return stream_fail(s, 502, TALLY_REPLIES_UPE, "UPE", "upstream_protocol_error");
    }
    sink_flush(o);
    if (h->status == 101)
        return tunnel_open(s, rest);
    buf_clear(&s->worker->head);
    if (h->status >= 200) {
        s->grpc_status = http_get(h, SV("grpc-status"));
        if (again_after_response(s, h->status))
            return STEP_AGAIN;
        begin_response(s, o);
        if (s->worker->head.failed)
            return stream_fail(s, 0, TALLY_REPLIES_LOCAL, "OM", "overload_manager_out_of_memory");
    } else if (s->req->minor > 0) {
        head_for_caller(s, h, &s->worker->head);
        sink_head(o, buf_sv(&s->worker->head), false);
        sink_flush(o);
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

static void end_response(struct stream *s, struct sv *in, struct sink *o)
{
    struct h1 *h = &s->up->h1;
    if (h->head.status < 200) {
        h1_begin(h, H1_RESPONSE, s->resp_slots, HEADERS_MAX, s->worker->opt->max_head);
        if (s->is_head_request)
            h1_expect_no_body(h);
        return;
    }
    sink_end(o, h->trailers, h->trailers_len);
    again_after_trailers(s, h->trailers, h->trailers_len);
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

static enum step_result take_response(struct stream *s, struct sv *in, struct sink *o)
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
            messages_of_response(s, h->body);
            sink_body(o, h->body);
            break;
        case H1_END: end_response(s, in, o); break;
        case H1_BAD: sink_flush(o); return bad_response(s);
        case H1_NEED_MORE: sink_flush(o); return STEP_AGAIN;
        }
    }
    return STEP_AGAIN;
}

/* The upstream's stream ended: that may be how the response says it is complete. */
static enum step_result response_ended(struct stream *s, struct sink *o, ssize_t n)
{
    struct sv none = SV_NONE;
    if (n != ERR_CLOSED || !s->is_resp_started || h1_eof(&s->up->h1) != H1_END)
        return upstream_gone(s);
    end_response(s, &none, o);
    s->is_up_reusable = false;
    return STEP_AGAIN;
}

static enum step_result read_response(struct stream *s, struct sink *o)
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

static enum step_result bad_response_h2(struct stream *s)
{
    again_judge(s, OUTLIER_GATEWAY_ERROR);
    snprintf(s->failure, sizeof(s->failure), "%s", s->up_h2->err.why);
    snprintf(s->why, sizeof(s->why), "upstream's response: %.100s", s->up_h2->err.why);
    return stream_fail(s, 502, TALLY_REPLIES_UPE, "UPE", "upstream_protocol_error");
}

/* The same of a stream of HTTP/2: what its peer has sent waits in it. */
static enum step_result read_response_h2(struct stream *s, struct sink *o)
{
    struct h2_stream *st = s->up_h2;
    if (s->is_up_head_due) {
        s->is_up_head_due = false;
        if (st->bad_status)
            return bad_response_h2(s);
        (void)on_response_head(s, SV_NONE, o);
    }
    if (s->state != ST_RELAY || !s->is_resp_started)
        return STEP_AGAIN;
    struct sv body = h2_body(st);
    if (body.len) {
        s->resp_bytes += body.len;
        messages_of_response(s, body);
        sink_body(o, body);
    }
    sink_flush(o);
    if (body.len)
        h2_consume(st, body.len);
    if (st->is_ended) {
        sink_end(o, st->trailers, st->trailers_len);
        again_after_trailers(s, st->trailers, st->trailers_len);
        s->is_resp_read = s->is_up_reusable = true;
    }
    return STEP_AGAIN;
}

static enum step_result pump_response(struct stream *s)
{
    struct sink o;
    sink_init(&o, s->down->conn, s->down_h2, s->is_resp_chunked);
    s->can_read_up = false;
    if (sink_is_full(&o)) {
        if (!s->up_h2)
            conn_pause(s->up->conn);
        return STEP_WAIT;
    }
    if (!s->up_h2)
        conn_resume(s->up->conn);
    enum step_result r = s->up_h2 ? read_response_h2(s, &o) : read_response(s, &o);
    if (s->state != ST_RELAY)
        return r;
    if (o.is_broken)
        return stream_fail(s, 0, TALLY_REPLIES_DC, "DC", "downstream_remote_disconnect");
    stream_touch(s);
    if (!s->is_resp_read && !s->up_h2 && sink_is_full(&o))
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
