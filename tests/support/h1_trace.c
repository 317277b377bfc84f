/* h1_trace.c - what the HTTP/1 codec tells about some bytes, as text that tests compare. */
#include "h1_trace.h"
#include "base/mem.h"

#define SLOTS          24
#define HEAD_BYTES_MAX 2048

static void put_head(struct buf *to, const struct http_head *h)
{
    buf_printf(to, "HEAD(%.*s %.*s @%.*s %.*s %u '%.*s' 1.%u%s%s%s", SV_ARG(h->method),
               SV_ARG(h->target), SV_ARG(h->authority), SV_ARG(h->path), h->status,
               SV_ARG(h->reason), h->minor, h->is_keep_alive ? " keep" : "",
               h->is_chunked ? " chunked" : "", h->is_upgrade ? " upgrade" : "");
    if (h->has_length)
        buf_printf(to, " length=%llu", (unsigned long long)h->content_length);
    for (size_t i = 0; i < h->headers_len; i++)
        buf_printf(to, " [%.*s=%.*s]", SV_ARG(h->headers[i].name), SV_ARG(h->headers[i].value));
    buf_put(to, SV(")"));
}

static void put_end(struct buf *to, const struct h1 *h)
{
    buf_put(to, SV(" END"));
    for (size_t i = 0; i < h->trailers_len; i++)
        buf_printf(to, " [%.*s=%.*s]", SV_ARG(h->trailers[i].name), SV_ARG(h->trailers[i].value));
    buf_put(to, SV("\n"));
}

/* Body pieces join, however they were cut. */
static void put_event(struct buf *to, const struct h1 *h, enum h1_event ev, bool *in_body)
{
    if (ev == H1_BODY && !*in_body)
        buf_put(to, SV(" BODY:"));
    *in_body = ev == H1_BODY || (*in_body && ev == H1_NEED_MORE);
    switch (ev) {
    case H1_HEAD: put_head(to, &h->head); break;
    case H1_BODY: buf_put(to, h->body); break;
    case H1_END: put_end(to, h); break;
    case H1_BAD: buf_printf(to, " BAD %u\n", h->bad_status); break;
    case H1_NEED_MORE: break;
    }
}

void h1_trace(enum h1_kind kind, struct sv in, size_t step, bool is_at_end, struct buf *to)
{
    struct http_header slots[SLOTS];
    struct h1 h = { 0 };
    bool in_body = false, is_over = false;
    size_t from = 0, seen = 0;
    h1_begin(&h, kind, slots, SLOTS, HEAD_BYTES_MAX);
    while (!is_over && seen < in.len) {
        seen = step ? MIN(seen + step, in.len) : in.len;
        char *copy = mem_alloc(seen - from);
        memcpy(copy, in.p + from, seen - from);
        size_t at_once = seen - from;
        struct sv left = sv_of(copy, at_once);
        enum h1_event ev;
        while ((ev = h1_next(&h, &left)) != H1_NEED_MORE) {
            put_event(to, &h, ev, &in_body);
            is_over = ev == H1_BAD;
            if (is_over)
                break;
            if (ev == H1_END)
                h1_begin(&h, kind, slots, SLOTS, HEAD_BYTES_MAX);
        }
        from = seen - left.len;
        /* Views into freed memory must not be looked at again: poison them. */
        memset(copy, '#', at_once - left.len);
        mem_free(copy);
    }
    if (!is_over && is_at_end && from + h.offset > 0 && (h.scanned || h.offset))
        put_event(to, &h, h1_eof(&h), &in_body);
    h1_done(&h);
}
