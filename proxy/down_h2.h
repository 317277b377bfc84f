/* SPDX-License-Identifier: Apache-2.0
 * down_h2.h - a caller's connection that speaks HTTP/2: many streams at once. */
#ifndef PROXY_DOWN_H2_H
#define PROXY_DOWN_H2_H

#include "proxy/downstream.h"
#include "wire/h2.h"

/* From here on it is HTTP/2; first: bytes that were read already, the preface among them. May close d. */
void down_h2_begin(struct down *d, struct sv first);
/* Something of the connection happened. */
void down_h2_readable(struct down *d);
/* What streams have written leaves at the end of the turn. */
void down_h2_later(struct down *d);
/* Ends every stream as if the caller had gone. */
void down_h2_abort(struct down *d);
/* No new requests; closes when those under way are over. */
void down_h2_drain(struct down *d);
/* A request is being answered: when we send callers away (HTTP/1: Connection: close) it was opened for
 * nothing more, and those under way are over when they are. */
void down_h2_answered(struct down *d);
/* The stream of st is recorded and gone. is_cut: the caller must see a break if its response is not whole. */
void down_h2_stream_done(struct down *d, struct h2_stream *st, bool is_cut);
/* Last words, before d's connection is closed. */
void down_h2_goodbye(struct down *d);

#endif
