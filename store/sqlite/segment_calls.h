/* segment_calls.h - reading the access records of a segment. Private to store/sqlite/. */
#ifndef SQLITE_SEGMENT_CALLS_H
#define SQLITE_SEGMENT_CALLS_H

#include "model/batch.h"
#include "store/sqlite/stream.h"

/* Appends n calls to b; traces are the segment's trace ids. Failures latch in r->rd. */
void segment_get_calls(struct streams_r *r, struct batch *b, uint64_t n, struct sv traces);

#endif
