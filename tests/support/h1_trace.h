/* h1_trace.h - everything the HTTP/1 codec says of some bytes, as one line of text, so that tests
 * and the fuzz target can compare ways of cutting the bytes. */
#ifndef SUPPORT_H1_TRACE_H
#define SUPPORT_H1_TRACE_H

#include "base/buf.h"
#include "wire/h1.h"

/* Feeds all messages in `in`, at most `step` bytes more a call (0: all at once), each call in fresh
 * memory of exactly the bytes it may look at. is_at_end: the stream ends after it. */
void h1_trace(enum h1_kind kind, struct sv in, size_t step, bool is_at_end, struct buf *to);

#endif
