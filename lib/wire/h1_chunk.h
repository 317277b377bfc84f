/* h1_chunk.h - chunk framing by the letter; private to the codec. */
#ifndef WIRE_H1_CHUNK_H
#define WIRE_H1_CHUNK_H

#include "wire/h1.h"

/* After the scanner read `used` behind the head and reported ev: false when a chunked body's framing
 * has any other form than the one everybody reads alike, or a trailer may not be one; then h->err
 * says why. Other bodies are always fine. Source: RFC 9112 section 7.1, RFC 9110 section 6.5.1. */
bool h1_chunk_check(struct h1 *h, enum h1_event ev, struct sv used);

#endif
