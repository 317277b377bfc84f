/* SPDX-License-Identifier: Apache-2.0
 * h2.h - one HTTP/2 connection (RFC 9113), either side: bytes in, events and bytes out. Knows no sockets.
 *
 * nghttp2 does frames, HPACK and flow control; on top of it this engine refuses what an HTTP/1 hop behind
 * could read differently, and bounds what a peer can make it hold or do. Heads go out in the form that
 * h1_put_*() writes, so that one writer serves both versions; what belongs to HTTP/1's own hop stays out.
 *
 *     h2_feed(h, bytes, now);            calls fn with events
 *     while (h2_pull(h, &out)) ...       bytes to be sent
 *
 * Flow control is the owner's: what h2_consume() was told is what the peer may send again, so a body that
 * cannot go on stays with who sends it. One thread. */
#ifndef WIRE_H2_H
#define WIRE_H2_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "wire/http_msg.h"

struct h2;

enum h2_side { H2_SERVER, H2_CLIENT };

/* RFC 9113 section 7, those that we say ourselves. */
enum h2_code {
    H2_NO_ERROR = 0,
    H2_PROTOCOL_ERROR = 1,
    H2_INTERNAL_ERROR = 2,
    H2_REFUSED_STREAM = 7, /* nothing was done: it can be sent again */
    H2_CANCEL = 8,
    H2_ENHANCE_YOUR_CALM = 11,
};

enum h2_event {
    H2_HEAD, /* st->head is complete: a request, or a response (interim ones too). Server side: st->owner is
                   to be set now. st->bad_status: it must be answered with that, st->err says why */
    H2_BODY,    /* h2_body() has more */
    H2_END,     /* the peer's side is over, st->trailers; body bytes may still wait */
    H2_RESET,   /* broken: by the peer, or by the engine because of what the peer sent; st->code */
    H2_DRAINED, /* was congested; less than half is queued */
    H2_GOAWAY,  /* st is NULL: the peer takes no more streams */
};

/* One exchange. Valid until h2_let_go(), or until its event callback returns when nobody owns it. */
struct h2_stream {
    void *owner; /* the caller's; NULL: no events */
    int32_t id;
    struct http_head
        head; /* views into mem; method, path, authority and values may be changed in place */
    struct http_header *trailers;
    size_t trailers_len;
    struct err err;
    uint16_t bad_status; /* 0: the head is fine */
    uint32_t code;       /* of H2_RESET */
    bool is_ended;       /* the peer's side is over */
    bool is_closed;      /* nothing more can be sent */
    bool is_refused;     /* code says that nothing was done */

    /* private */
    struct h2 *h2;
    struct list node, due; /* every stream; those with H2_DRAINED due */
    struct arena mem;
    struct http_header *slots;
    size_t slots_len, text_bytes;
    struct sv method, scheme, path, authority, host, fresh;
    struct buf in, out, out_trailers;
    uint64_t received; /* body bytes */
    bool is_head_done, is_out_begun, is_out_over, is_congested, is_too_large, is_broken;
    bool is_head_request, is_in_trailers, is_telling, is_out_sent, is_told_reset;
};

typedef void h2_fn(void *owner, struct h2_stream *st, enum h2_event ev);

struct h2_conf {
    enum h2_side side;
    size_t fields_max;          /* of a head; more: 431 */
    size_t head_bytes_max;      /* names and values; more: 431 */
    uint32_t streams_max;       /* that the peer may have open; clients: never asked */
    uint32_t stream_window;     /* body bytes of a stream that may wait here */
    uint32_t connection_window; /* the same of all streams together */
};

/* What a peer can push on, and what it is there for. */
#define H2_STREAMS_MAX       100     /* as Envoy's edge: work one connection can order */
#define H2_STREAMS_MAX_MESH  1000    /* of a caller in the mesh, whose streams belong to many */
#define H2_STREAM_WINDOW     65535   /* a body that nobody takes costs this much */
#define H2_CONNECTION_WINDOW 1048576 /* and all bodies of a connection this much */
#define H2_CONTINUATIONS_MAX                                                                       \
    64 /* a head in endless pieces (CVE-2024-28182); a piece that arrives in pieces counts as many */
#define H2_ACKS_MAX     100 /* PING and SETTINGS ask for answers that nobody reads (CVE-2019-9512) */
#define H2_RESETS_BURST 200 /* streams opened and reset at once (CVE-2023-44487) */
#define H2_RESETS_PER_S 33
#define H2_IDLE_FRAMES_MAX                                                                         \
    1000 /* frames that carry nothing: empty DATA, PRIORITY, WINDOW_UPDATE (CVE-2019-9511) */
#define H2_IDLE_FRAMES_PER_S 100
#define H2_SETTINGS_MAX      32 /* entries of a SETTINGS frame */
#define H2_TRAILERS_MAX      32
#define H2_OUT_HIGH_WATER    65536 /* queued of a stream: it is congested */

/* Gives; the first bytes to send (preface, SETTINGS) are ready. fn is called by h2_feed() and h2_pull() only and
 * may call everything here but those two and h2_free(). */
struct h2 *h2_new(const struct h2_conf *conf, h2_fn *fn, void *owner, struct err *err) MUST_USE;
struct h2 *h2_free(struct h2 *h); /* takes, streams too; NULL is fine */

/* now_ns: monotonic. <0: the connection is over, err says why; h2_pull() may still have a GOAWAY. */
int h2_feed(struct h2 *h, struct sv in, int64_t now_ns, struct err *err) MUST_USE;
/* Appends what is to be sent, some max bytes; false when there is nothing. Memory out: `to` has failed. */
bool h2_pull(struct h2 *h, struct buf *to, size_t max);
/* Neither side has anything more to say: close. */
bool h2_is_over(const struct h2 *h);
/* No new streams; those open go on. The peer is told first, and may open some until it has answered. */
void h2_drain(struct h2 *h);
/* Ends it: the peer is told the last stream that was looked at, and why. */
void h2_finish(struct h2 *h, enum h2_code code);
size_t h2_streams(const struct h2 *h); /* open, also those nobody owns any more */
/* Client: how many more streams may be opened now; 0 once the peer said GOAWAY. */
size_t h2_room(const struct h2 *h);
/* Client: how many the peer takes at once; 0 until it has said so. */
uint32_t h2_streams_told(const struct h2 *h);

/* Client: sends a request. head: text as h1_put_*() makes it; scheme "http" or "https". NULL: memory, or the
 * connection takes no more streams. */
struct h2_stream *h2_open(struct h2 *h, struct sv head, struct sv scheme, bool is_end, void *owner)
    MUST_USE;
/* Server: sends a response's head, interim ones first. <0: memory; the stream is reset. */
int h2_respond(struct h2_stream *st, struct sv head, bool is_end) MUST_USE;
/* A piece of the body; copied. <0: memory, or the stream is closed. */
int h2_write(struct h2_stream *st, struct sv part) MUST_USE;
bool h2_is_congested(struct h2_stream *st);   /* true: H2_DRAINED will come */
size_t h2_unsent(const struct h2_stream *st); /* body bytes that wait */
/* Our side is over. */
int h2_end(struct h2_stream *st, const struct http_header *trailers, size_t trailers_len) MUST_USE;

/* All of a response has been handed over. */
bool h2_is_answered(const struct h2_stream *st);

/* The body bytes that wait; after h2_consume() of less, the rest. */
struct sv h2_body(const struct h2_stream *st);
void h2_consume(struct h2_stream *st, size_t bytes);
void h2_reset(struct h2_stream *st, enum h2_code code);
/* The owner has no more interest: what is queued is still sent, what comes is dropped. NULL is fine. */
void h2_let_go(struct h2_stream *st);

const char *h2_code_name(uint32_t code);
/* What the first bytes of a client's connection are; enough for it with `len` of them. */
#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

#endif
