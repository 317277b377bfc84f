/* h2_trace.c - the engine's events as text, one line a stream. */
#include "h2_trace.h"
#include "base/mem.h"

#define STREAMS_MAX 400

struct tracer {
    struct h2 *h2;
    struct buf lines[STREAMS_MAX]; /* by stream id / 2 */
    struct buf bodies
        [STREAMS_MAX]; /* told at the end: how much of a broken one comes depends on the cut */
    bool is_goaway;
};

static void put_fields(struct buf *to, const struct http_header *list, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buf_printf(to, " [%.*s=%.*s]", SV_ARG(list[i].name), SV_ARG(list[i].value));
}

static void put_head(struct buf *to, const struct h2_stream *st)
{
    const struct http_head *h = &st->head;
    if (st->bad_status) {
        buf_printf(to, " BAD %u", st->bad_status);
        return;
    }
    buf_printf(to, " HEAD(%.*s @%.*s %.*s %u%s", SV_ARG(h->method), SV_ARG(h->authority),
               SV_ARG(h->path), h->status, h->is_chunked ? " open" : "");
    if (h->has_length)
        buf_printf(to, " length=%llu", (unsigned long long)h->content_length);
    put_fields(to, h->headers, h->headers_len);
    buf_putc(to, ')');
}

static void on_event(void *owner, struct h2_stream *st, enum h2_event ev)
{
    struct tracer *t = owner;
    if (!st) {
        t->is_goaway = true;
        return;
    }
    size_t at = MIN((size_t)st->id / 2, (size_t)STREAMS_MAX - 1);
    struct buf *to = &t->lines[at];
    if (ev == H2_HEAD && !st->owner && t->is_goaway)
        return; /* whether a peer that has said goodbye is still heard depends on the cut */
    st->owner = t;
    switch (ev) {
    case H2_HEAD: put_head(to, st); break;
    case H2_BODY: {
        struct sv body = h2_body(st);
        buf_put(&t->bodies[at], body);
        h2_consume(st, body.len);
        break;
    }
    case H2_END:
        if (t->bodies[at].len)
            buf_printf(to, " BODY:%.*s", SV_ARG(buf_sv(&t->bodies[at])));
        buf_put(to, SV(" END"));
        put_fields(to, st->trailers, st->trailers_len);
        break;
    case H2_RESET:
        buf_printf(to, " RESET(%s)", h2_code_name(st->code));
        h2_let_go(st);
        break;
    case H2_DRAINED:
    case H2_GOAWAY: break;
    }
}

static void pull(struct tracer *t)
{
    AUTO_DONE(buf) out = { 0 };
    while (h2_pull(t->h2, &out, 4096) && !out.failed)
        buf_clear(&out);
}

static void feed(struct tracer *t, struct sv in, size_t step, bool is_answering)
{
    while (in.len) {
        size_t bytes = step ? MIN(step, in.len) : in.len;
        char *copy = mem_alloc(bytes);
        if (!copy)
            return;
        memcpy(copy, in.p, bytes);
        int rc = h2_feed(t->h2, sv_of(copy, bytes), 1, NULL);
        memset(copy, '#', bytes);
        mem_free(copy);
        in = sv_from(in, bytes);
        if (is_answering)
            pull(t);
        if (rc < 0 || (is_answering && h2_is_over(t->h2)))
            return;
    }
}

void h2_trace(enum h2_side side, struct sv in, size_t step, bool is_answering, struct buf *to)
{
    const struct h2_conf conf = { side, 20, 2048, 10, H2_STREAM_WINDOW, H2_CONNECTION_WINDOW };
    struct tracer *t = mem_zalloc(sizeof(*t));
    if (t)
        t->h2 = h2_new(&conf, on_event, t, NULL);
    if (t && t->h2 && side == H2_CLIENT) {
        (void)!h2_open(t->h2, SV("GET /1 HTTP/1.1\r\nhost: a\r\n\r\n"), SV("http"), true, t);
        (void)!h2_open(t->h2, SV("POST /3 HTTP/1.1\r\nhost: a\r\n\r\n"), SV("http"), false, t);
    }
    if (t && t->h2) {
        AUTO_DONE(buf) hello = { 0 };
        (void)h2_pull(t->h2, &hello, 65536);
        feed(t, in, step, is_answering);
        pull(t);
        for (size_t i = 0; i < STREAMS_MAX; i++)
            if (t->lines[i].len)
                buf_printf(to, "%zu%.*s\n", 2 * i + 1, SV_ARG(buf_sv(&t->lines[i])));
        buf_printf(to, "%s\n", t->is_goaway ? "goaway" : h2_is_over(t->h2) ? "over" : "open");
    }
    if (t)
        h2_free(t->h2);
    for (size_t i = 0; t && i < STREAMS_MAX; i++) {
        buf_done(&t->lines[i]);
        buf_done(&t->bodies[i]);
    }
    mem_free(t);
}

void h2_put_frame(struct buf *to, unsigned type, unsigned flags, uint32_t stream, struct sv payload)
{
    const unsigned char head[9] = {
        (unsigned char)(payload.len >> 16),
        (unsigned char)(payload.len >> 8),
        (unsigned char)payload.len,
        (unsigned char)type,
        (unsigned char)flags,
        (unsigned char)(stream >> 24),
        (unsigned char)(stream >> 16),
        (unsigned char)(stream >> 8),
        (unsigned char)stream,
    };
    buf_append(to, head, sizeof(head));
    buf_put(to, payload);
}

/* RFC 7541 section 5.2, without Huffman. */
static void put_text(struct buf *to, struct sv text)
{
    size_t left = text.len;
    if (left < 127) {
        buf_putc(to, (char)left);
    } else {
        buf_putc(to, 127);
        for (left -= 127; left >= 128; left /= 128)
            buf_putc(to, (char)(left % 128 + 128));
        buf_putc(to, (char)left);
    }
    buf_put(to, text);
}

void h2_put_head(struct buf *to, unsigned flags, uint32_t stream, const char *fields)
{
    AUTO_DONE(buf) block = { 0 };
    struct sv rest = sv_z(fields), line;
    while (sv_cut(&rest, '\n', &line)) {
        size_t colon = line.len ? 1 + sv_index(sv_from(line, 1), ':') : 0;
        if (!line.len)
            continue;
        buf_putc(&block, 0);
        put_text(&block, sv_sub(line, 0, colon));
        put_text(&block, sv_from(line, colon + 2));
    }
    h2_put_frame(to, 1, flags, stream, buf_sv(&block));
}
