/* SPDX-License-Identifier: Apache-2.0
 * h2.c - an HTTP/2 connection: its streams, what comes in, and what a peer may not do.
 *
 * nghttp2 is fed and asked for bytes; its callbacks become six events. A stream's memory is one arena and
 * the body bytes that wait, and belongs to nghttp2 (until the stream is closed) and to its owner (until
 * it lets go): the last of the two frees it. Body bytes are shown where they came in and kept only when
 * nobody takes them, at most a window's worth, because windows open again by what was consumed.
 *
 * Frames that carry nothing cost the sender patience, which time and our own DATA give back; who has none
 * left is sent away with ENHANCE_YOUR_CALM. The other bounds are nghttp2's, set from h2.h's constants. */
#include "base/mem.h"
#include "h2_priv.h"
#include <stdio.h>

/* --- memory --- */

static void *on_alloc(size_t bytes, void *arg)
{
    (void)arg;
    return mem_alloc(bytes);
}

static void on_free(void *p, void *arg)
{
    (void)arg;
    mem_free(p);
}

static void *on_zalloc(size_t n, size_t bytes, void *arg)
{
    (void)arg;
    size_t all;
    return __builtin_mul_overflow(n, bytes, &all) ? NULL : mem_zalloc(all);
}

static void *on_resize(void *p, size_t bytes, void *arg)
{
    (void)arg;
    return mem_resize(p, bytes);
}

static nghttp2_mem memory = { NULL, on_alloc, on_free, on_zalloc, on_resize };

/* --- streams --- */

struct h2_stream *h2_stream_new(struct h2 *h, int32_t id)
{
    struct h2_stream *st = mem_zalloc(sizeof(*st));
    if (!st)
        return NULL;
    st->h2 = h;
    st->id = id;
    list_add_tail(&h->streams, &st->node);
    h->streams_len++;
    return st;
}

static void stream_free(struct h2_stream *st)
{
    list_remove(&st->node);
    list_remove(&st->due);
    st->h2->streams_len--;
    arena_done(&st->mem);
    buf_done(&st->in);
    buf_done(&st->out);
    buf_done(&st->out_trailers);
    mem_free(st);
}

void h2_stream_forget(struct h2_stream *st)
{
    if (st->is_closed && !st->owner && !st->is_telling)
        stream_free(st);
}

void h2_tell(struct h2_stream *st, enum h2_event ev)
{
    if (ev == H2_RESET && st->is_told_reset)
        return; /* refused before it left; closed now that its turn has come */
    st->is_told_reset = ev == H2_RESET;
    if (st->owner || ev == H2_HEAD)
        st->h2->fn(st->h2->owner, st, ev);
}

static struct h2_stream *stream_of(struct h2 *h, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h->session, id);
}

/* --- what comes in --- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    struct h2_stream *st = stream_of(h, frame->hd.stream_id);
    bool is_request = h->conf.side == H2_SERVER && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    if (is_request) {
        st = h2_stream_new(h, frame->hd.stream_id);
        if (!st)
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        (void)nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, st);
    }
    if (!st)
        return 0;
    st->is_in_trailers = st->is_head_done;
    if (!st->is_head_done)
        st->head.status = 0;
    h2_begin_fields(st);
    return 0;
}

/* False: out of patience. */
static bool spend_patience(struct h2 *h)
{
    h->patience -= 1000;
    if (h->patience > 0)
        return true;
    h->patience = 0;
    (void)nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
    return false;
}

static bool carries_nothing(const nghttp2_frame_hd *hd)
{
    switch (hd->type) {
    case NGHTTP2_DATA: return hd->length == 0 && !(hd->flags & NGHTTP2_FLAG_END_STREAM);
    case NGHTTP2_HEADERS:
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_GOAWAY: return false;
    default: return true;
    }
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
    struct h2 *h = arg;
    (void)session;
    if (carries_nothing(hd))
        (void)spend_patience(h);
    return 0;
}

static void reset_now(struct h2_stream *st, uint32_t code)
{
    st->is_broken = true;
    (void)nghttp2_submit_rst_stream(st->h2->session, NGHTTP2_FLAG_NONE, st->id, code);
}

static void on_headers(struct h2_stream *st, bool is_end)
{
    st->is_ended = st->is_ended || is_end;
    if (!h2_head_complete(st)) {
        reset_now(st, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    if (st->is_in_trailers)
        return;
    st->is_head_done = st->h2->conf.side == H2_SERVER || st->head.status >= 200 || st->bad_status;
    h2_tell(st, H2_HEAD);
}

static bool has_left(const struct h2_stream *st)
{
    return nghttp2_session_find_stream(st->h2->session, st->id) != NULL;
}

/* Asked for by us, still waiting for its turn to be sent, and no turn is left: the peer takes `most` at once. */
static struct h2_stream *first_unsent(const struct h2 *h, size_t most)
{
    size_t taken = 0;
    LIST_EACH (it, after, &h->streams) {
        taken += has_left(CONTAINER_OF(it, struct h2_stream, node));
    }
    LIST_EACH (it, after, &h->streams) {
        struct h2_stream *st = CONTAINER_OF(it, struct h2_stream, node);
        if (st->owner && !st->is_broken && !st->is_closed && !has_left(st) && taken++ >= most)
            return st;
    }
    return NULL;
}

/* The peer takes no more, or fewer than were asked for before it said how many: what has not left need not wait to be
 * told until others make room. nghttp2 lets go of it unsent when its turn comes. */
static void refuse_unsent(struct h2 *h, size_t most)
{
    for (struct h2_stream *st; (st = first_unsent(h, most)) != NULL;) {
        reset_now(st, NGHTTP2_REFUSED_STREAM);
        st->is_refused = true;
        st->code = NGHTTP2_REFUSED_STREAM;
        h2_tell(st, H2_RESET);
    }
}

static uint32_t streams_of_peer(const struct h2 *h)
{
    return nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    struct h2_stream *st = stream_of(h, frame->hd.stream_id);
    bool is_end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        if (!st || st->is_broken)
            return 0;
        on_headers(st, is_end);
        break;
    case NGHTTP2_DATA:
        if (!st || st->is_broken)
            return 0;
        st->is_ended = st->is_ended || is_end;
        break;
    case NGHTTP2_SETTINGS:
        h->is_told = true;
        if (h->conf.side == H2_CLIENT)
            refuse_unsent(h, streams_of_peer(h));
        return 0;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) && h->is_asked && !h->is_drained)
            h->is_drained = nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE,
                                                  nghttp2_session_get_last_proc_stream_id(session),
                                                  NGHTTP2_NO_ERROR, NULL, 0) == 0;
        return 0;
    case NGHTTP2_GOAWAY:
        h->is_goaway = true;
        h->fn(h->owner, NULL, H2_GOAWAY);
        if (h->conf.side == H2_CLIENT)
            refuse_unsent(h, 0);
        return 0;
    default: return 0;
    }
    st = stream_of(h, frame->hd.stream_id); /* its owner may have ended it */
    if (st && is_end && !st->is_broken)
        h2_tell(st, H2_END);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t bytes, void *arg)
{
    struct h2 *h = arg;
    struct h2_stream *st = stream_of(h, id);
    (void)flags;
    if (!st || !st->owner || st->is_broken)
        return nghttp2_session_consume(session, id, bytes) == NGHTTP2_ERR_NOMEM
                   ? NGHTTP2_ERR_CALLBACK_FAILURE
                   : 0;
    h->patience = MIN(h->patience + 1000, H2_IDLE_FRAMES_MAX * INT64_C(1000));
    st->received += bytes;
    if (st->in.len)
        buf_append(&st->in, data, bytes);
    else
        st->fresh = sv_of(data, bytes);
    h2_tell(st, H2_BODY);
    st = stream_of(h, id);
    if (!st)
        return 0;
    if (st->fresh.len && st->owner)
        buf_put(&st->in, st->fresh);
    else if (st->fresh.len)
        (void)nghttp2_session_consume(session, id, st->fresh.len);
    st->fresh = SV_NONE;
    return st->in.failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
    struct h2_stream *st = nghttp2_session_get_stream_user_data(session, id);
    (void)arg;
    if (!st)
        return 0;
    (void)nghttp2_session_set_stream_user_data(session, id, NULL);
    bool is_server = st->h2->conf.side == H2_SERVER;
    bool is_whole = is_server ? code == NGHTTP2_NO_ERROR && st->is_out_over
                              : st->is_ended && !st->is_broken;
    st->is_closed = true;
    st->is_refused = st->is_refused || code == NGHTTP2_REFUSED_STREAM;
    st->code = st->is_refused ? NGHTTP2_REFUSED_STREAM : code;
    st->is_telling = true; /* its owner may let go */
    if (!is_whole)
        h2_tell(st, H2_RESET);
    st->is_telling = false;
    h2_stream_forget(st);
    return 0;
}

/* A response was over before its request: the rest of that has no reader (RFC 9113 section 8.1). */
static void stop_asking(struct h2_stream *st)
{
    if (st->is_out_sent && !st->is_ended && !st->owner && !st->is_closed && !st->is_broken)
        reset_now(st, NGHTTP2_NO_ERROR);
}

/* nghttp2 lets a PING overtake all other frames, and whoever acknowledges this one must have read that we drain:
 * so it is submitted when the notice is on its way. */
static void ask_after_notice(struct h2 *h)
{
    static const uint8_t mark[8] = "draining";
    if (!h->is_draining || h->is_asked)
        return;
    h->is_asked = nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, mark) == 0;
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    struct h2 *h = arg;
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY && h->conf.side == H2_SERVER)
        ask_after_notice(h);
    bool is_end = (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
                  (frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    struct h2_stream *st = is_end && h->conf.side == H2_SERVER ? stream_of(h, frame->hd.stream_id)
                                                               : NULL;
    if (!st)
        return 0;
    st->is_out_sent = true;
    stop_asking(st);
    return 0;
}

/* A head cannot be sent. Of a request, because the peer said GOAWAY meanwhile: its stream is closed as refused by
 * nghttp2, and the peer, which has never heard of it, must not be told (it would be a connection error). */
static int on_unsent(nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
    struct h2_stream *st = stream_of(arg, frame->hd.stream_id);
    (void)error;
    if (!st || frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        return 0;
    st->is_refused = true;
    (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_REFUSED_STREAM);
    return 0;
}

/* --- the connection --- */

static nghttp2_option *options_new(const struct h2_conf *conf)
{
    nghttp2_option *o;
    if (nghttp2_option_new(&o) != 0)
        return NULL;
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_max_outbound_ack(o, H2_ACKS_MAX);
    nghttp2_option_set_max_settings(o, H2_SETTINGS_MAX);
    nghttp2_option_set_max_continuations(o, H2_CONTINUATIONS_MAX);
    nghttp2_option_set_stream_reset_rate_limit(o, H2_RESETS_BURST, H2_RESETS_PER_S);
    nghttp2_option_set_max_send_header_block_length(o, 2 * conf->head_bytes_max + 65536);
    return o;
}

static int session_new(struct h2 *h)
{
    nghttp2_session_callbacks *c;
    nghttp2_option *o = options_new(&h->conf);
    if (!o || nghttp2_session_callbacks_new(&c) != 0) {
        nghttp2_option_del(o);
        return NGHTTP2_ERR_NOMEM;
    }
    nghttp2_session_callbacks_set_on_begin_frame_callback(c, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(c, h2_on_field);
    nghttp2_session_callbacks_set_on_invalid_header_callback(c, h2_on_bad_field);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(c, on_unsent);
    int rc = h->conf.side == H2_SERVER ? nghttp2_session_server_new3(&h->session, c, h, o, &memory)
                                       : nghttp2_session_client_new3(&h->session, c, h, o, &memory);
    nghttp2_session_callbacks_del(c);
    nghttp2_option_del(o);
    return rc;
}

static int say_hello(struct h2 *h)
{
    const struct h2_conf *c = &h->conf;
    nghttp2_settings_entry list[4];
    size_t n = 0;
    if (c->side == H2_SERVER)
        list[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
                                              c->streams_max };
    else
        list[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 };
    list[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, c->stream_window };
    list[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
                                          (uint32_t)MIN(c->head_bytes_max, (size_t)UINT32_MAX) };
    int rc = nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, list, n);
    if (rc == 0)
        rc = nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                   (int32_t)c->connection_window);
    return rc;
}

struct h2 *h2_new(const struct h2_conf *conf, h2_fn *fn, void *owner, struct err *err)
{
    struct h2 *h = mem_zalloc(sizeof(*h));
    if (h) {
        h->conf = *conf;
        h->fn = fn;
        h->owner = owner;
        h->patience = H2_IDLE_FRAMES_MAX * INT64_C(1000);
        list_init(&h->streams);
        list_init(&h->due);
    }
    if (h && session_new(h) == 0 && say_hello(h) == 0)
        return h;
    err_set(err, ERR_NOMEM, "HTTP/2 connection");
    return h2_free(h);
}

struct h2 *h2_free(struct h2 *h)
{
    if (!h)
        return NULL;
    if (h->session)
        nghttp2_session_del(h->session);
    LIST_EACH (it, after, &h->streams) {
        stream_free(CONTAINER_OF(it, struct h2_stream, node));
    }
    buf_done(&h->scratch);
    return mem_free(h);
}

static void give_time(struct h2 *h, int64_t now_ns)
{
    if (h->fed_ns && now_ns > h->fed_ns)
        h->patience = MIN(h->patience + (now_ns - h->fed_ns) / 1000000 * H2_IDLE_FRAMES_PER_S,
                          H2_IDLE_FRAMES_MAX * INT64_C(1000));
    h->fed_ns = now_ns;
}

int h2_feed(struct h2 *h, struct sv in, int64_t now_ns, struct err *err)
{
    if (h->is_fatal)
        return err_set(err, ERR_CLOSED, "HTTP/2 connection is over");
    give_time(h, now_ns);
    ssize_t n = nghttp2_session_mem_recv(h->session, (const uint8_t *)in.p, in.len);
    if (n >= 0)
        return 0;
    h->is_fatal = true;
    return err_set(err,
                   n == NGHTTP2_ERR_NOMEM || n == NGHTTP2_ERR_CALLBACK_FAILURE ? ERR_NOMEM
                                                                               : ERR_MALFORMED,
                   "HTTP/2: %s", nghttp2_strerror((int)n));
}

bool h2_pull(struct h2 *h, struct buf *to, size_t max)
{
    size_t before = to->len;
    while (to->len - before < max && !to->failed) {
        const uint8_t *bytes;
        ssize_t n = nghttp2_session_mem_send(h->session, &bytes);
        if (n < 0)
            h->is_fatal = true;
        if (n <= 0)
            break;
        buf_append(to, bytes, (size_t)n);
    }
    for (struct h2_stream *st; (st = LIST_FIRST(&h->due, struct h2_stream, due)) != NULL;) {
        list_remove(&st->due);
        st->is_congested = false;
        h2_tell(st, H2_DRAINED);
    }
    return to->len > before || to->failed;
}

bool h2_is_over(const struct h2 *h)
{
    return h->is_fatal ||
           (!nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session));
}

void h2_drain(struct h2 *h)
{
    if (h->is_draining || h->is_fatal)
        return;
    h->is_draining = true;
    if (h->conf.side == H2_SERVER)
        (void)nghttp2_submit_shutdown_notice(h->session);
}

void h2_finish(struct h2 *h, enum h2_code code)
{
    if (!h->is_fatal && !(h->is_drained && code == H2_NO_ERROR))
        (void)nghttp2_session_terminate_session(h->session, code);
}

bool h2_is_answered(const struct h2_stream *st)
{
    return st->is_out_begun && st->is_out_over;
}

size_t h2_streams(const struct h2 *h)
{
    return h->streams_len;
}

uint32_t h2_streams_told(const struct h2 *h)
{
    return h->is_told ? MAX(streams_of_peer(h), 1) : 0; /* 0 can only be for a while */
}

size_t h2_room(const struct h2 *h)
{
    uint32_t theirs = streams_of_peer(h);
    bool is_shut = h->is_fatal || h->is_goaway || h->is_draining ||
                   !nghttp2_session_check_request_allowed(h->session);
    return is_shut || h->streams_len >= theirs ? 0 : theirs - h->streams_len;
}

struct sv h2_body(const struct h2_stream *st)
{
    return st->in.len ? buf_sv(&st->in) : st->fresh;
}

void h2_consume(struct h2_stream *st, size_t bytes)
{
    if (st->in.len)
        buf_consume(&st->in, bytes);
    else
        st->fresh = sv_from(st->fresh, bytes);
    if (st->in.mem && !st->in.len)
        buf_done(&st->in);
    if (!st->h2->is_fatal && bytes)
        (void)nghttp2_session_consume(st->h2->session, st->id, bytes);
}

void h2_reset(struct h2_stream *st, enum h2_code code)
{
    if (!st->is_closed && !st->h2->is_fatal && !st->is_broken)
        reset_now(st, code);
    st->is_broken = true;
}

void h2_let_go(struct h2_stream *st)
{
    if (!st)
        return;
    struct sv left = h2_body(st);
    st->owner = NULL;
    if (left.len)
        h2_consume(st, left.len);
    if (!st->h2->is_fatal)
        stop_asking(st);
    h2_stream_forget(st);
}

const char *h2_code_name(uint32_t code)
{
    return nghttp2_http2_strerror(code);
}
