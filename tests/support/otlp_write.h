/* otlp_write.h - for tests: spans back into OTLP, in both spellings.
 *
 * Protobuf: neighbours with the same resource and scope (by address) share a group. JSON: each span is
 * a group of its own. Borrows everything; the only error is the buf's. */
#ifndef SUPPORT_OTLP_WRITE_H
#define SUPPORT_OTLP_WRITE_H

#include "base/buf.h"
#include "model/batch.h"

void otlp_write_proto(const struct span *spans, size_t n, struct buf *to);
void otlp_write_json(const struct span *spans, size_t n, struct buf *to);
/* What the decoders keep apart is equal in a and b, span by span. */
bool otlp_same_spans(const struct batch *a, const struct batch *b);

#endif
