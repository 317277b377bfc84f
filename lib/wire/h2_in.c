/* SPDX-License-Identifier: Apache-2.0
 * h2_in.c - heads and trailers as they come: collected, judged, and made what HTTP/1 would have said.
 *
 * nghttp2 has refused by then what RFC 9113 section 8 calls malformed in form: pseudo fields out of place or
 * missing, fields of a connection, capitals, lengths that do not agree. Here is judged what would differ
 * behind us: a Host that is not :authority, characters that could end a line of HTTP/1, a path that is none.
 * Those are answered (400), the former are reset. Several cookie fields become one, so that everybody behind
 * sees the same (section 8.2.3).
 *
 * Limits: fields and their bytes, as for HTTP/1 (431); what comes beyond is decoded, because HPACK's table
 * must stay in step, and dropped. */
#include "h2_priv.h"
#include "wire/h1.h"
#include <stdio.h>

static void refuse(struct h2_stream *st, unsigned status, const char *why)
{
    if (st->bad_status)
        return;
    err_set(&st->err, status == 431 ? ERR_LIMIT : ERR_MALFORMED, "%s", why);
    st->bad_status = (uint16_t)status;
}

void h2_begin_fields(struct h2_stream *st)
{
    st->slots = NULL;
    st->slots_len = st->text_bytes = 0;
}

static struct sv *pseudo_of(struct h2_stream *st, struct sv name)
{
    const struct {
        struct sv name;
        struct sv *to;
    } rows[] = { { SV(":method"), &st->method },
                 { SV(":scheme"), &st->scheme },
                 { SV(":path"), &st->path },
                 { SV(":authority"), &st->authority } };
    for (size_t i = 0; i < NELEMS(rows); i++)
        if (sv_eq(rows[i].name, name))
            return rows[i].to;
    return NULL;
}

/* False: memory is out. */
static bool keep(struct h2_stream *st, struct sv name, struct sv value)
{
    size_t max = st->is_in_trailers ? H2_TRAILERS_MAX : st->h2->conf.fields_max;
    st->text_bytes += name.len + value.len;
    if (st->text_bytes > st->h2->conf.head_bytes_max || st->slots_len >= max) {
        st->is_too_large = true;
        return true;
    }
    struct sv kept = arena_copy(&st->mem, value);
    if (!kept.p)
        return false;
    if (name.len && name.p[0] == ':') {
        struct sv *to = pseudo_of(st, name);
        uint64_t status;
        if (to)
            *to = kept;
        else if (sv_eq(name, SV(":status")) && sv_to_u64(value, &status))
            st->head.status = (uint16_t)status;
        return true;
    }
    if (!st->slots)
        st->slots = arena_alloc(&st->mem, max * sizeof(*st->slots));
    struct sv known = arena_copy(&st->mem, name);
    if (!st->slots || !known.p)
        return false;
    st->slots[st->slots_len++] = (struct http_header){ known, kept };
    return true;
}

int h2_on_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
    struct h2_stream *st = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    (void)flags;
    (void)arg;
    if (!st || st->is_broken)
        return 0;
    return keep(st, sv_of(name, name_len), sv_of(value, value_len)) ? 0
                                                                    : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* nghttp2 would leave such a field out; a hop that drops what it does not understand is how two hops come to see
 * two requests. */
int h2_on_bad_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                    void *arg)
{
    struct h2_stream *st = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    (void)name, (void)name_len, (void)value, (void)value_len, (void)flags, (void)arg;
    if (!st || st->is_broken)
        return 0;
    st->is_broken = true;
    return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, st->id, NGHTTP2_PROTOCOL_ERROR) ==
                   NGHTTP2_ERR_NOMEM
               ? NGHTTP2_ERR_CALLBACK_FAILURE
               : 0;
}

/* What may stand in a request line. */
static bool is_visible(struct sv text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] <= 0x20 || text.p[i] >= 0x7f)
            return false;
    return text.len > 0;
}

static bool is_token(struct sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return text.len > 0;
}

static void check_fields(struct h2_stream *st)
{
    for (size_t i = 0; i < st->slots_len; i++)
        if (!is_token(st->slots[i].name) || !http_is_field_value(st->slots[i].value))
            refuse(st, 400, "a field that HTTP/1 could not carry");
}

/* "a; b" of several cookie fields, in the place of the first. */
static bool join_cookies(struct h2_stream *st)
{
    size_t bytes = 0, first = st->slots_len, kept = 0;
    for (size_t i = 0; i < st->slots_len; i++)
        if (sv_eq(st->slots[i].name, SV("cookie"))) {
            first = MIN(first, i);
            bytes += st->slots[i].value.len + 2;
        }
    if (first == st->slots_len || bytes == st->slots[first].value.len + 2)
        return true;
    char *text = arena_alloc(&st->mem, bytes), *at = text;
    if (!text)
        return false;
    for (size_t i = 0; i < st->slots_len; i++) {
        struct http_header f = st->slots[i];
        bool is_cookie = sv_eq(f.name, SV("cookie"));
        if (!is_cookie || i == first)
            st->slots[kept++] = f;
        if (!is_cookie)
            continue;
        if (f.value.len)
            memcpy(at, f.value.p, f.value.len);
        at += f.value.len;
        *at++ = ';';
        *at++ = ' ';
    }
    st->slots_len = kept;
    st->slots[first].value = sv_of(text, bytes - 2);
    return true;
}

/* Host and :authority must be one (RFC 9113 section 8.3.1); afterwards neither is a field. */
static void check_authority(struct h2_stream *st)
{
    struct http_head *h = &st->head;
    struct sv host = http_get(h, SV("host"));
    for (size_t i = 0; i < h->headers_len; i++)
        if (sv_eq(h->headers[i].name, SV("host")) && !sv_eq_nocase(h->headers[i].value, host))
            refuse(st, 400, "more than one Host");
    if (host.p && st->authority.p && !sv_eq_nocase(host, st->authority))
        refuse(st, 400, "Host is not :authority");
    h->authority = st->authority.p ? st->authority : host;
    if (!http_is_authority(h->authority))
        refuse(st, 400,
               h->authority.len ? ":authority is not a host name" : "neither :authority nor Host");
}

static void check_request(struct h2_stream *st)
{
    struct http_head *h = &st->head;
    h->method = st->method;
    h->target = h->path = st->path;
    h->is_keep_alive = true;
    if (sv_eq(st->method, SV("CONNECT"))) {
        refuse(st, 501, "CONNECT is not served");
        return;
    }
    if (!is_token(st->method))
        refuse(st, 400, ":method is not a token");
    if (!is_visible(st->path))
        refuse(st, 400, ":path has a character that no path has");
    else if (st->path.p[0] != '/' &&
             !(sv_eq(st->path, SV("*")) && sv_eq(st->method, SV("OPTIONS"))))
        refuse(st, 400, ":path does not begin with /");
    if (!sv_eq_nocase(st->scheme, SV("http")) && !sv_eq_nocase(st->scheme, SV("https")))
        refuse(st, 400, ":scheme is neither http nor https");
    check_authority(st);
    struct sv expect = http_get(h, SV("expect"));
    if (expect.p && !sv_eq_nocase(expect, SV("100-continue")))
        refuse(st, 417, "Expect is not 100-continue");
}

static void note_framing(struct h2_stream *st)
{
    struct http_head *h = &st->head;
    struct sv length = http_get(h, SV("content-length"));
    bool has_no_body = st->is_ended || h1_status_has_no_body(h->status) || st->is_head_request;
    h->minor = 1;
    if (length.p && sv_to_u64(length, &h->content_length))
        h->has_length = true;
    h->is_chunked = !h->has_length && !has_no_body;
    bool means_a_body = sv_eq(st->method, SV("POST")) || sv_eq(st->method, SV("PUT")) ||
                        sv_eq(st->method, SV("PATCH"));
    bool could_have = st->h2->conf.side == H2_SERVER
                          ? means_a_body /* some servers of HTTP/1 want to be told */
                          : !h1_status_has_no_body(h->status) && !st->is_head_request;
    if (st->is_ended && could_have)
        h->has_length = true;
}

bool h2_head_complete(struct h2_stream *st)
{
    struct http_head *h = &st->head;
    if (st->is_in_trailers) {
        check_fields(st);
        if (st->bad_status || st->is_too_large)
            return false;
        st->trailers = st->slots;
        st->trailers_len = st->slots_len;
        return true;
    }
    bool is_request = st->h2->conf.side == H2_SERVER;
    if (st->is_too_large)
        refuse(st, is_request ? 431 : 502, "more header fields than are taken");
    check_fields(st);
    if (!st->bad_status && is_request && !join_cookies(st))
        return false;
    h->headers = st->slots;
    h->headers_len = st->slots_len;
    note_framing(st);
    if (is_request)
        check_request(st);
    else if (h->status < 100 || h->status > 999 || h->status == 101)
        refuse(st, 502, "no status that HTTP/2 has");
    if (!is_request && st->bad_status)
        st->bad_status = 502;
    return true;
}
