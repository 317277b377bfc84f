/* h1.c - HTTP/1.1 messages read by llhttp, as events to pull.
 *
 * llhttp pushes callbacks while it scans; a stream engine wants to pull one event, act on it, and
 * perhaps stop. So each callback that makes an event pauses the scanner, and h1_next() resumes it.
 * A head is never copied: its fields are views into the caller's bytes, collected piece by piece as
 * the bytes come. When the caller's buffer moved in between, the views move along. A body piece is a
 * view too. Only trailers are copied, because they arrive when nobody keeps bytes any more.
 *
 * llhttp is lenient about the framing of chunks, so h1_chunk.c reads that a second time, strictly, and
 * both must agree.
 *
 * Limits: the head in bytes and fields (431), trailers likewise, and chunk framing between two body
 * pieces, which llhttp itself would skip for ever.
 *
 * Invariant: what comes out does not depend on how the bytes were cut (the fuzz target's property). */
#include "wire/h1.h"
#include "h1_chunk.h"
#include "h1_head.h"

#define FRAMING_BYTES_MAX 16384 /* chunk sizes, extensions, trailers between two body pieces */

static struct h1 *h1_of(llhttp_t *p)
{
    return CONTAINER_OF(p, struct h1, parser);
}

static int stop_with(struct h1 *h, enum h1_event ev)
{
    h->pending = ev;
    return HPE_PAUSED;
}

static size_t offset_at(const struct h1 *h, const char *at)
{
    return h->offset + (size_t)(at - h->base);
}

/* Joins the next piece to a view; false when bytes lie between them. */
static bool extend(struct sv *view, const char *at, size_t len)
{
    if (!view->p)
        *view = sv_of(at, len);
    else if (view->p + view->len == at)
        view->len += len;
    else
        return len == 0;
    return true;
}

static int on_method(llhttp_t *p, const char *at, size_t len)
{
    return extend(&h1_of(p)->head.method, at, len) ? 0 : HPE_USER;
}

static int on_url(llhttp_t *p, const char *at, size_t len)
{
    return extend(&h1_of(p)->head.target, at, len) ? 0 : HPE_USER;
}

static int on_status(llhttp_t *p, const char *at, size_t len)
{
    return extend(&h1_of(p)->head.reason, at, len) ? 0 : HPE_USER;
}

/* Trailer text never moves: its room is reserved whole with the first byte. */
static int trailer_text(struct h1 *h, struct sv *view, const char *at, size_t len)
{
    if (h->trailer_text.len + len > H1_TRAILER_BYTES_MAX) {
        h1_refuse(h, 431, offset_at(h, at), "trailers of more than %d bytes", H1_TRAILER_BYTES_MAX);
        return HPE_USER;
    }
    if (h->trailer_text.len == 0 && !buf_reserve(&h->trailer_text, H1_TRAILER_BYTES_MAX)) {
        h1_refuse(h, 400, offset_at(h, at), "out of memory for trailers");
        return HPE_USER;
    }
    struct sv before = buf_sv(&h->trailer_text);
    buf_append(&h->trailer_text, at, len);
    return extend(view, before.p + before.len, len) ? 0 : HPE_USER;
}

static struct http_header *last_field(struct h1 *h)
{
    return h->is_head_done ? &h->trailers[h->trailers_len - 1]
                           : &h->head.headers[h->head.headers_len - 1];
}

static int open_field(struct h1 *h, const char *at)
{
    size_t used = h->head.headers_len + h->trailers_len;
    bool is_full = used >= h->slots_cap || (h->is_head_done && h->trailers_len >= H1_TRAILERS_MAX);
    if (is_full) {
        h1_refuse(h, 431, offset_at(h, at), "more than %zu header fields", used);
        return HPE_USER;
    }
    if (h->is_head_done) {
        h->trailers = h->head.headers + h->head.headers_len;
        h->trailers_len++;
    } else {
        h->head.headers_len++;
    }
    *last_field(h) = (struct http_header){ SV_NONE, SV_NONE };
    h->is_field_open = true;
    return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t len)
{
    struct h1 *h = h1_of(p);
    if (!h->is_field_open && open_field(h, at) != 0)
        return HPE_USER;
    if (h->is_head_done)
        return trailer_text(h, &last_field(h)->name, at, len);
    return extend(&last_field(h)->name, at, len) ? 0 : HPE_USER;
}

static int on_field_end(llhttp_t *p)
{
    h1_of(p)->is_field_open = false;
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t len)
{
    struct h1 *h = h1_of(p);
    if (h->head.headers_len + h->trailers_len == 0)
        return HPE_USER;
    if (h->is_head_done)
        return trailer_text(h, &last_field(h)->value, at, len);
    if (extend(&last_field(h)->value, at, len))
        return 0;
    h1_refuse(h, 400, offset_at(h, at), "folded header line");
    return HPE_USER;
}

static void note_head(struct h1 *h)
{
    const llhttp_t *p = &h->parser;
    struct http_head *head = &h->head;
    head->status = p->status_code;
    head->minor = p->http_minor;
    head->is_keep_alive = llhttp_should_keep_alive(p) != 0;
    head->is_chunked = (p->flags & F_CHUNKED) != 0;
    head->has_length = (p->flags & F_CONTENT_LENGTH) != 0;
    head->content_length = head->has_length ? p->content_length : 0;
    for (size_t i = 0; i < head->headers_len; i++)
        head->headers[i].value = sv_trim(head->headers[i].value);
}

static int on_head(llhttp_t *p)
{
    struct h1 *h = h1_of(p);
    h->head.is_upgrade = p->upgrade != 0;
    p->upgrade = 0; /* whether to switch is the caller's business; until then this is HTTP */
    bool has_no_body = p->type == HTTP_RESPONSE &&
                       (h->is_response_to_head || h1_status_has_no_body(p->status_code));
    if (has_no_body)
        p->flags |= F_SKIPBODY;
    note_head(h);
    return stop_with(h, H1_HEAD);
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
    struct h1 *h = h1_of(p);
    if (len == 0) /* llhttp reports an open body at the end of empty input too */
        return 0;
    if (offset_at(h, at) - h->framing_from > FRAMING_BYTES_MAX) {
        h1_refuse(h, 400, offset_at(h, at), "too much chunk framing");
        return HPE_USER;
    }
    h->body = sv_of(at, len);
    h->body_bytes += len;
    h->framing_from = offset_at(h, at + len);
    return stop_with(h, H1_BODY);
}

static int on_end(llhttp_t *p)
{
    struct h1 *h = h1_of(p);
    for (size_t i = 0; i < h->trailers_len; i++)
        h->trailers[i].value = sv_trim(h->trailers[i].value);
    return stop_with(h, H1_END);
}

static const llhttp_settings_t settings = {
    .on_method = on_method,
    .on_url = on_url,
    .on_status = on_status,
    .on_header_field = on_field,
    .on_header_field_complete = on_field_end,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_end,
};

void h1_begin(struct h1 *h, enum h1_kind kind, struct http_header *slots, size_t slots_cap,
              size_t head_bytes_max)
{
    struct buf kept = h->trailer_text;
    buf_clear(&kept);
    *h = (struct h1){ .slots_cap = slots_cap, .head_bytes_max = head_bytes_max };
    h->trailer_text = kept;
    h->head.headers = slots;
    llhttp_init(&h->parser, kind == H1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
}

void h1_expect_no_body(struct h1 *h)
{
    h->is_response_to_head = true;
}

void h1_done(struct h1 *h)
{
    buf_done(&h->trailer_text);
}

static void move_view(struct sv *v, const char *from, const char *to)
{
    if (v->p)
        v->p = to + ((uintptr_t)v->p - (uintptr_t)from);
}

/* The caller's buffer moved since the last call. */
static void move_views(struct h1 *h, const char *to)
{
    if (h->base && h->base != to) {
        move_view(&h->head.method, h->base, to);
        move_view(&h->head.target, h->base, to);
        move_view(&h->head.reason, h->base, to);
        for (size_t i = 0; i < h->head.headers_len; i++) {
            move_view(&h->head.headers[i].name, h->base, to);
            move_view(&h->head.headers[i].value, h->base, to);
        }
    }
    h->base = to;
}

static enum h1_event fail(struct h1 *h, size_t at)
{
    const char *why = llhttp_get_error_reason(&h->parser);
    unsigned status = h->parser.error == HPE_INVALID_VERSION ? 505 : 400;
    h1_refuse(h, status, at, "%s",
              why && *why ? why : llhttp_errno_name((llhttp_errno_t)h->parser.error));
    h->pending = H1_BAD;
    return H1_BAD;
}

/* Runs the scanner over `bytes` at `at`; *ret_used tells how far it got. */
static enum h1_event scan(struct h1 *h, const char *at, size_t bytes, size_t *ret_used)
{
    llhttp_resume(&h->parser);
    h->pending = H1_NEED_MORE;
    llhttp_errno_t rc = llhttp_execute(&h->parser, at, bytes);
    const char *stop = rc == HPE_OK ? at + bytes : llhttp_get_error_pos(&h->parser);
    *ret_used = stop >= at && stop <= at + bytes ? (size_t)(stop - at) : bytes;
    if (rc != HPE_OK && rc != HPE_PAUSED)
        return fail(h, offset_at(h, at + *ret_used));
    return h->pending;
}

/* Blank lines in front of a request line are allowed and no part of the head; a CR or LF alone is no
 * line. */
static struct sv without_blank_lines(struct sv raw)
{
    while (sv_starts(raw, SV("\r\n")))
        raw = sv_from(raw, 2);
    return raw;
}

static enum h1_event next_in_head(struct h1 *h, struct sv *in)
{
    size_t visible = MIN(in->len, h->head_bytes_max), used = 0;
    if (visible <= h->scanned && visible < h->head_bytes_max)
        return H1_NEED_MORE;
    move_views(h, in->p);
    enum h1_event ev = scan(h, in->p + h->scanned, visible - h->scanned, &used);
    h->scanned += used;
    if (ev == H1_NEED_MORE && h->scanned >= h->head_bytes_max) {
        h1_refuse(h, 431, h->scanned, "head of more than %zu bytes", h->head_bytes_max);
        ev = h->pending = H1_BAD;
    }
    if (ev != H1_HEAD)
        return ev;
    if (!h1_head_check(h, without_blank_lines(sv_sub(*in, 0, h->scanned)))) {
        h->pending = H1_BAD;
        return H1_BAD;
    }
    h->is_head_done = true;
    *in = sv_from(*in, h->scanned);
    h->offset = h->framing_from = h->scanned;
    return H1_HEAD;
}

enum h1_event h1_next(struct h1 *h, struct sv *in)
{
    if (h->pending == H1_BAD)
        return H1_BAD;
    if (h->pending == H1_END)
        return H1_NEED_MORE;
    if (!h->is_head_done)
        return next_in_head(h, in);
    size_t used = 0;
    h->base = in->p ? in->p : "";
    enum h1_event ev = scan(h, h->base, in->len, &used);
    if (ev != H1_BAD && !h1_chunk_check(h, ev, sv_sub(*in, 0, used)))
        ev = h->pending = H1_BAD;
    h->offset += used;
    *in = sv_from(*in, used);
    if (ev != H1_BAD && h->offset - h->framing_from > FRAMING_BYTES_MAX) {
        h1_refuse(h, 400, h->offset, "too much chunk framing");
        ev = h->pending = H1_BAD;
    }
    return ev;
}

enum h1_event h1_eof(struct h1 *h)
{
    if (h->pending == H1_BAD || h->pending == H1_END)
        return h->pending;
    llhttp_resume(&h->parser);
    h->pending = H1_NEED_MORE;
    llhttp_errno_t rc = llhttp_finish(&h->parser);
    if (h->is_head_done && (rc == HPE_OK || rc == HPE_PAUSED) && h->pending == H1_END)
        return H1_END;
    h1_refuse(h, 400, h->is_head_done ? h->offset : h->scanned,
              "the stream ended inside a message");
    h->err.code = ERR_TRUNCATED;
    h->pending = H1_BAD;
    return H1_BAD;
}
