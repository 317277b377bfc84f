/* SPDX-License-Identifier: Apache-2.0
 * sink.h - the writing half of a side, whatever version it speaks: a head, body pieces, an end.
 *
 * Lives for one turn, on the stack. HTTP/1: pieces are collected and leave with one call, so what they look at
 * must stay until sink_flush(). HTTP/2: each goes into its stream's queue at once. */
#ifndef PROXY_SINK_H
#define PROXY_SINK_H

#include "net/conn.h"
#include "wire/h1.h"
#include "wire/h2.h"

#define SINK_PARTS_MAX  60 /* with a chunk's frame three parts; stays below one writev's 64 */
#define SINK_FRAMES_MAX 20

struct stream;

struct sink {
    struct conn *conn;    /* HTTP/1 */
    struct h2_stream *h2; /* HTTP/2; else NULL */
    bool is_chunked;      /* HTTP/1: how the body is framed */
    bool is_broken;       /* writing failed: the rest is dropped */
    struct stream
        *keeper; /* a request's body is kept for retries and copied to mirrors; NULL: not */
    size_t len, frames_len;
    struct sv parts[SINK_PARTS_MAX];
    char frames[SINK_FRAMES_MAX][H1_CHUNK_HEAD_SIZE];
};

void sink_init(struct sink *o, struct conn *conn, struct h2_stream *h2, bool is_chunked);
/* A response's head in HTTP/1's text; is_end: nothing follows. */
void sink_head(struct sink *o, struct sv text, bool is_end);
void sink_body(struct sink *o, struct sv body);
/* Flushes. */
void sink_end(struct sink *o, const struct http_header *trailers, size_t trailers_len);
void sink_flush(struct sink *o);
/* The source has to stop until the connection says CONN_DRAINED, the stream H2_DRAINED. */
static inline bool sink_is_full(const struct sink *o)
{
    return o->h2 ? h2_is_congested(o->h2) : conn_is_congested(o->conn);
}

#endif
