/* SPDX-License-Identifier: Apache-2.0
 * h2_priv.h - the engine's inside, shared by h2.c (the connection), h2_in.c (heads that come) and h2_out.c
 * (what is sent). */
#ifndef WIRE_H2_PRIV_H
#define WIRE_H2_PRIV_H

#include "wire/h2.h"
#include <nghttp2/nghttp2.h>

struct h2 {
    nghttp2_session *session;
    struct h2_conf conf;
    h2_fn *fn;
    void *owner;
    struct list streams, due;
    size_t streams_len;
    int64_t fed_ns;
    int64_t patience; /* frames that carry nothing may still come, in thousandths */
    bool is_fatal;    /* nothing can be fed any more */
    bool is_goaway;   /* the peer takes no more streams */
    bool is_told;     /* the peer's SETTINGS came */
    bool is_draining;
    bool is_asked;      /* whether it has read that we drain */
    bool is_drained;    /* the peer was told the last stream */
    struct buf scratch; /* names in lower case while a head is handed over */
};

void h2_tell(struct h2_stream *st, enum h2_event ev);
struct h2_stream *h2_stream_new(struct h2 *h, int32_t id);
/* Closed and owned by nobody: gone. */
void h2_stream_forget(struct h2_stream *st);

/* h2_in.c: callbacks of nghttp2 for fields, and what is made of a complete head. */
int h2_on_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg);
int h2_on_bad_field(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                    size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                    void *arg);
void h2_begin_fields(struct h2_stream *st);
/* False: the stream was reset. */
bool h2_head_complete(struct h2_stream *st);

#endif
