/* h2_trace.h - what the HTTP/2 engine says of some bytes, as text that tests and the fuzz target compare. */
#ifndef SUPPORT_H2_TRACE_H
#define SUPPORT_H2_TRACE_H

#include "base/buf.h"
#include "wire/h2.h"

/* Feeds `in` to one side, at most `step` bytes a call (0: all at once), each call in memory of its own. A
 * client has a GET and a POST under way. is_answering: what the engine has to send is taken in between, else
 * only at the end. One line a stream, in order of its id; the last line says how the connection stands. */
void h2_trace(enum h2_side side, struct sv in, size_t step, bool is_answering, struct buf *to);

/* Bytes of a client or server, as an adversary would write them: nothing is checked. fields: "name: value"
 * lines, a literal each. */
void h2_put_frame(struct buf *to, unsigned type, unsigned flags, uint32_t stream,
                  struct sv payload);
void h2_put_head(struct buf *to, unsigned flags, uint32_t stream, const char *fields);

#endif
