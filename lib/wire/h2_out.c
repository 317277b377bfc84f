/* SPDX-License-Identifier: Apache-2.0
 * h2_out.c - what is sent: heads from HTTP/1's text, bodies from a queue for each stream.
 *
 * A head comes as the text that an HTTP/1 hop would get; splitting it again costs one memchr a line, and
 * there is one writer of heads instead of two. Bodies wait in their stream until the peer's windows let them
 * go; H2_OUT_HIGH_WATER is where their source has to stop. */
#include "h2_priv.h"

#define FIELDS_OUT_MAX                                                                             \
    160 /* what a head may have by the time it is sent: as came, and what is added */

struct fields {
    nghttp2_nv list[FIELDS_OUT_MAX];
    size_t len;
};

static void add(struct fields *f, struct sv name, struct sv value)
{
    if (f->len == FIELDS_OUT_MAX)
        return;
    f->list[f->len++] = (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name.p,
                                      .value = (uint8_t *)(uintptr_t)(value.len ? value.p : ""),
                                      .namelen = name.len,
                                      .valuelen = value.len };
}

/* Fields that HTTP/2 does not have (RFC 9113 section 8.2.2); TE comes only as "trailers". */
static bool is_of_connection(struct sv name)
{
    static const struct sv names[] = {
        { "connection", 10 }, { "transfer-encoding", 17 },
        { "keep-alive", 10 }, { "proxy-connection", 16 },
        { "upgrade", 7 },     { "http2-settings", 14 },
    };
    for (size_t i = 0; i < NELEMS(names); i++)
        if (sv_eq(names[i], name))
            return true;
    return false;
}

/* The text with its names in lower case, so that views of it can be handed on. NULL: memory. */
static char *lower_names(struct h2 *h, struct sv text)
{
    buf_clear(&h->scratch);
    buf_put(&h->scratch, text);
    if (h->scratch.failed || !text.len)
        return NULL;
    char *p = h->scratch.mem + h->scratch.from, *end = p + text.len;
    while (p < end) {
        for (; p < end && *p != ':' && *p != '\n'; p++)
            if (*p >= 'A' && *p <= 'Z')
                *p = (char)(*p - 'A' + 'a');
        p = memchr(p, '\n', (size_t)(end - p));
        if (!p)
            break;
        p++;
    }
    return h->scratch.mem + h->scratch.from;
}

/* One "name: value" line off the front; false at the end of the head. */
static bool next_line(struct sv *rest, struct sv *ret_name, struct sv *ret_value)
{
    struct sv line;
    if (!sv_cut(rest, '\n', &line) || line.len < 2)
        return false;
    if (line.p[line.len - 1] == '\r')
        line.len--;
    size_t colon = sv_index(line, ':');
    *ret_name = sv_sub(line, 0, colon);
    *ret_value = sv_trim(sv_from(line, colon + 1));
    return line.len > 0;
}

static void add_lines(struct fields *f, struct sv rest, bool is_request)
{
    struct sv name, value;
    while (next_line(&rest, &name, &value))
        if (!is_of_connection(name) && !(is_request && sv_eq(name, SV("host"))))
            add(f, name, value);
}

static struct sv find(struct sv rest, struct sv wanted)
{
    struct sv name, value;
    while (next_line(&rest, &name, &value))
        if (sv_eq(name, wanted))
            return value;
    return SV_NONE;
}

/* Reads up to the first line's end; its words lie in the original text, where capitals are kept. */
static struct sv first_line(struct sv text)
{
    struct sv line = sv_sub(text, 0, sv_index(text, '\n'));
    return line.len && line.p[line.len - 1] == '\r' ? sv_sub(line, 0, line.len - 1) : line;
}

static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *to, size_t max,
                        uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct h2_stream *st = source->ptr;
    struct h2 *h = arg;
    size_t bytes = MIN(max, st->out.len);
    if (bytes) {
        memcpy(to, buf_sv(&st->out).p, bytes);
        buf_consume(&st->out, bytes);
        h->patience += 2000; /* WINDOW_UPDATEs of stream and connection are due for it */
    }
    if (st->is_congested && st->out.len <= H2_OUT_HIGH_WATER / 2 && !list_is_linked(&st->due))
        list_add_tail(&h->due, &st->due);
    if (st->out.len)
        return (ssize_t)bytes;
    buf_done(&st->out);
    if (!st->is_out_over)
        return bytes ? (ssize_t)bytes : NGHTTP2_ERR_DEFERRED;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (st->out_trailers.len) {
        struct fields f;
        f.len = 0;
        add_lines(&f, buf_sv(&st->out_trailers), false);
        if (f.len && nghttp2_submit_trailer(session, id, f.list, f.len) != 0)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        if (f.len)
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    return (ssize_t)bytes;
}

static nghttp2_data_provider provider_of(struct h2_stream *st)
{
    return (nghttp2_data_provider){ .source = { .ptr = st }, .read_callback = read_out };
}

struct h2_stream *h2_open(struct h2 *h, struct sv head, struct sv scheme, bool is_end, void *owner)
{
    struct fields f;
    struct sv line = first_line(head), method, path;
    f.len = 0;
    if (h->is_fatal || h->is_goaway || !sv_cut(&line, ' ', &method) || !sv_cut(&line, ' ', &path))
        return NULL;
    char *lower = lower_names(h, head);
    if (!lower)
        return NULL;
    struct sv rest = sv_of(lower, head.len), skipped;
    (void)sv_cut(&rest, '\n', &skipped);
    add(&f, SV(":method"), method);
    add(&f, SV(":scheme"), scheme);
    add(&f, SV(":authority"), find(rest, SV("host")));
    add(&f, SV(":path"), path);
    add_lines(&f, rest, true);
    struct h2_stream *st = f.len < FIELDS_OUT_MAX ? h2_stream_new(h, 0) : NULL;
    if (!st)
        return NULL;
    nghttp2_data_provider body = provider_of(st);
    int32_t id = nghttp2_submit_request(h->session, NULL, f.list, f.len, is_end ? NULL : &body, st);
    if (id < 0) {
        st->is_closed = true;
        h2_stream_forget(st);
        return NULL;
    }
    st->id = id;
    st->owner = owner;
    st->is_out_begun = true;
    st->is_out_over = is_end;
    st->is_head_request = sv_eq(method, SV("HEAD"));
    return st;
}

int h2_respond(struct h2_stream *st, struct sv head, bool is_end)
{
    struct h2 *h = st->h2;
    struct fields f;
    char *lower = lower_names(h, head);
    struct sv line = first_line(head), version, status;
    f.len = 0;
    if (st->is_closed || h->is_fatal)
        return ERR_CLOSED;
    if (!lower || !sv_cut(&line, ' ', &version) || !sv_cut(&line, ' ', &status))
        return ERR_NOMEM;
    struct sv rest = sv_of(lower, head.len), skipped;
    (void)sv_cut(&rest, '\n', &skipped);
    add(&f, SV(":status"), status);
    add_lines(&f, rest, false);
    nghttp2_data_provider body = provider_of(st);
    int rc = f.len == FIELDS_OUT_MAX ? NGHTTP2_ERR_NOMEM : 0;
    if (rc == 0 && status.len && status.p[0] == '1')
        rc = nghttp2_submit_headers(h->session, NGHTTP2_FLAG_NONE, st->id, NULL, f.list, f.len,
                                    NULL);
    else if (rc == 0) {
        st->is_out_begun = true;
        st->is_out_over = is_end;
        rc = nghttp2_submit_response(h->session, st->id, f.list, f.len, is_end ? NULL : &body);
    }
    if (rc == 0)
        return 0;
    h2_reset(st, H2_INTERNAL_ERROR);
    return ERR_NOMEM;
}

/* Somebody waits in read_out() for more. */
static int go_on(struct h2_stream *st)
{
    int rc = nghttp2_session_resume_data(st->h2->session, st->id);
    return rc == NGHTTP2_ERR_NOMEM ? ERR_NOMEM : 0; /* not deferred: it will be asked anyway */
}

int h2_write(struct h2_stream *st, struct sv part)
{
    if (st->is_closed || st->h2->is_fatal)
        return ERR_CLOSED;
    buf_put(&st->out, part);
    if (st->out.failed)
        return ERR_NOMEM;
    return go_on(st);
}

bool h2_is_congested(struct h2_stream *st)
{
    if (st->out.len > H2_OUT_HIGH_WATER)
        st->is_congested = true;
    return st->is_congested;
}

size_t h2_unsent(const struct h2_stream *st)
{
    return st->out.len;
}

int h2_end(struct h2_stream *st, const struct http_header *trailers, size_t trailers_len)
{
    if (st->is_out_over)
        return 0;
    if (st->is_closed || st->h2->is_fatal)
        return ERR_CLOSED;
    for (size_t i = 0; i < trailers_len; i++) {
        size_t from = st->out_trailers.len;
        buf_put(&st->out_trailers, trailers[i].name);
        for (size_t k = from; k < st->out_trailers.len; k++) {
            char *c = &st->out_trailers.mem[st->out_trailers.from + k];
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
        }
        buf_put(&st->out_trailers, SV(": "));
        buf_put(&st->out_trailers, trailers[i].value);
        buf_put(&st->out_trailers, SV("\r\n"));
    }
    if (st->out_trailers.failed)
        return ERR_NOMEM;
    st->is_out_over = true;
    return go_on(st);
}
