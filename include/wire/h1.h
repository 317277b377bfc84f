/* h1.h - HTTP/1.1 messages: bytes in, events out; and heads and chunks back into bytes.
 *
 * Knows no sockets. llhttp in strict mode does the scanning; on top of it this codec refuses what
 * two parsers could read differently (RFC 9112): both Content-Length and Transfer-Encoding, any
 * transfer coding but a final chunked, folded lines, a bare LF or CR, space before a colon, control
 * characters, a missing, doubled or invalid Host, a start line with more than single spaces, chunk
 * sizes that are not plain hex digits, trailers that speak of framing or of who the caller is.
 *
 * Reading one message:
 *
 *     h1_begin(&h, H1_REQUEST, slots, NELEMS(slots), head_bytes_max);
 *     while ((e = h1_next(&h, &in)) != H1_NEED_MORE) ...
 *
 * Until H1_HEAD has come, `in` must start at the first byte of the message each time, with more
 * bytes behind than before (it may lie elsewhere: views are moved along). From then on `in` is
 * consumed, bodies are views into it, and nothing is copied but trailers. The views of the head
 * stay valid as long as the memory `in` pointed to when H1_HEAD came. */
#ifndef WIRE_H1_H
#define WIRE_H1_H

#include "base/buf.h"
#include "base/err.h"
#include "wire/http_msg.h"
#include <llhttp.h>

enum h1_kind { H1_REQUEST, H1_RESPONSE };
/* What the next byte of a chunked body belongs to. */
enum h1_chunk_state {
    H1_CHUNK_SIZE_FIRST,
    H1_CHUNK_SIZE,
    H1_CHUNK_EXTENSION,
    H1_CHUNK_SIZE_LF,
    H1_CHUNK_DATA,
    H1_CHUNK_DATA_CR,
    H1_CHUNK_DATA_LF,
    H1_CHUNK_LINE, /* a trailer's first byte, or the CR that ends them */
    H1_CHUNK_NAME,
    H1_CHUNK_VALUE,
    H1_CHUNK_VALUE_LF,
    H1_CHUNK_END_LF,
    H1_CHUNK_OVER,
    H1_CHUNK_STATES,
};
enum h1_event {
    H1_NEED_MORE, /* all of `in` is looked at (and, past the head, consumed) */
    H1_HEAD,      /* h->head is complete */
    H1_BODY,      /* h->body holds the next piece; valid as long as `in`'s memory */
    H1_END,       /* the message is over; h->trailers; `in` starts at the next message */
    H1_BAD,       /* h->err says what and where (offset in the message); h->bad_status what to
                     answer; the connection cannot be used further */
};

struct h1 {
    struct http_head head;
    struct sv body;
    struct http_header *trailers; /* views into trailer_text, valid until h1_begin()/h1_done() */
    size_t trailers_len;
    struct err err;
    uint16_t bad_status; /* 400, 417, 431, 501, 505; responses: 502 */
    uint64_t body_bytes; /* body seen so far, without chunk framing */

    /* private */
    llhttp_t parser;
    const char *base;      /* where the message (later: this piece of input) begins */
    size_t scanned;        /* bytes of the head that the parser has seen */
    uint64_t offset;       /* of base in the message, once the head is done */
    uint64_t framing_from; /* where the last body piece ended */
    size_t slots_cap, head_bytes_max;
    struct buf trailer_text;
    uint64_t chunk_left, chunk_bytes; /* of this chunk still to come; of all chunks seen */
    enum h1_chunk_state chunk_state;
    enum h1_event pending; /* what the parser paused for */
    bool is_head_done, is_response_to_head, is_field_open;
};

#define H1_TRAILER_BYTES_MAX 8192 /* as much as a small head; a peer may not grow it further */
#define H1_TRAILERS_MAX      32

/* Begins a message. slots: room for header fields, the caller's, used until the message is over;
 * one field more than slots_cap is 431. An all-zero h is fine before the first call. */
void h1_begin(struct h1 *h, enum h1_kind kind, struct http_header *slots, size_t slots_cap,
              size_t head_bytes_max);
/* Responses, after h1_begin(): the request was HEAD, so no body follows. */
void h1_expect_no_body(struct h1 *h);
enum h1_event h1_next(struct h1 *h, struct sv *in);
/* The peer's stream ended: H1_END when that ends a response body properly, else H1_BAD. */
enum h1_event h1_eof(struct h1 *h);
void h1_done(struct h1 *h); /* frees trailer memory */

/* Response statuses that never have a body: 1xx, 204, 304. */
static inline bool h1_status_has_no_body(unsigned status)
{
    return status / 100 == 1 || status == 204 || status == 304;
}

/* Writers: no checks, the caller passes what a codec or itself made. Text with CR, LF or NUL must
 * not get here: see http_is_field_value(). */
void h1_put_request_line(struct buf *to, struct sv method, struct sv target);
void h1_put_status_line(struct buf *to, unsigned status, struct sv reason); /* empty: standard */
void h1_put_field(struct buf *to, struct sv name, struct sv value);
void h1_put_end(struct buf *to);
#define H1_CHUNK_HEAD_SIZE 20
/* "1f4\r\n"; after the data "\r\n" is due. The view looks into out. */
struct sv h1_chunk_head(char out[H1_CHUNK_HEAD_SIZE], uint64_t bytes);

#endif
