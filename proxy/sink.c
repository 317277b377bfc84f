/* SPDX-License-Identifier: Apache-2.0
 * sink.c - what one turn writes to one side.
 *
 * For HTTP/1 heads and bodies are parts of one writev, chunk frames written anew between them; nothing is
 * copied. For HTTP/2 there is nothing to collect, because a stream's bytes leave with those of its neighbours at
 * the end of the turn. */
#include "proxy/sink.h"
#include "proxy/stream.h"

void sink_init(struct sink *o, struct conn *conn, struct h2_stream *h2, bool is_chunked)
{
    o->conn = conn;
    o->h2 = h2;
    o->is_chunked = is_chunked;
    o->is_broken = false;
    o->keeper = NULL;
    o->len = o->frames_len = 0;
}

void sink_flush(struct sink *o)
{
    if (o->len && !o->is_broken && conn_write(o->conn, o->parts, o->len) < 0)
        o->is_broken = true;
    o->len = o->frames_len = 0;
}

static void put(struct sink *o, struct sv part)
{
    if (o->len == SINK_PARTS_MAX)
        sink_flush(o);
    o->parts[o->len++] = part;
}

void sink_head(struct sink *o, struct sv text, bool is_end)
{
    if (!o->h2)
        put(o, text);
    else if (!o->is_broken && h2_respond(o->h2, text, is_end) < 0)
        o->is_broken = true;
}

/* An upstream that has answered in full may stop reading the request (RFC 9113 section 8.1). */
static bool is_answered(const struct sink *o)
{
    return o->keeper && o->h2->is_ended;
}

void sink_body(struct sink *o, struct sv body)
{
    if (o->keeper) {
        again_keep(o->keeper, body);
        mirror_body(o->keeper, body);
    }
    if (o->h2) {
        if (!o->is_broken && h2_write(o->h2, body) < 0)
            o->is_broken = !is_answered(o);
        return;
    }
    if (!o->is_chunked) {
        put(o, body);
        return;
    }
    if (o->len + 3 > SINK_PARTS_MAX || o->frames_len == SINK_FRAMES_MAX)
        sink_flush(o);
    put(o, h1_chunk_head(o->frames[o->frames_len++], body.len));
    put(o, body);
    put(o, SV("\r\n"));
}

/* The last chunk with trailers; flushes, because their text goes with the codec's next message. */
static void put_last_chunk(struct sink *o, const struct http_header *trailers, size_t len)
{
    put(o, SV("0\r\n"));
    for (size_t i = 0; i < len; i++) {
        if (o->len + 4 > SINK_PARTS_MAX)
            sink_flush(o);
        put(o, trailers[i].name);
        put(o, SV(": "));
        put(o, trailers[i].value);
        put(o, SV("\r\n"));
    }
    put(o, SV("\r\n"));
}

void sink_end(struct sink *o, const struct http_header *trailers, size_t trailers_len)
{
    if (o->keeper)
        mirror_end(o->keeper);
    if (o->h2) {
        if (!o->is_broken && h2_end(o->h2, trailers, trailers_len) < 0)
            o->is_broken = !is_answered(o);
        return;
    }
    if (o->is_chunked)
        put_last_chunk(o, trailers, trailers_len);
    sink_flush(o);
}
