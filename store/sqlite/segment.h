/* segment.h - some thousands of spans in columns: what the journal is sealed into. Private to
 * store/sqlite/; docs/store-format.md has the bytes. */
#ifndef SQLITE_SEGMENT_H
#define SQLITE_SEGMENT_H

#include "base/buf.h"
#include "model/batch.h"

struct segment_w; /* scratch of one thread, reused from segment to segment */
struct segment_w *segment_w_new(void) MUST_USE;
struct segment_w *segment_w_free(struct segment_w *w);

/* Appends the spans and calls of the batches, which are in order of seq, to out. ERR_NOMEM;
 * ERR_LIMIT when an attribute nests too deep. */
int segment_encode(struct segment_w *w, struct batch *const *batches, size_t n, struct buf *out,
                   struct err *err) MUST_USE;

/* Which batch each record came with, for replay. */
struct segment_origins {
    size_t batches_len;
    int64_t *received_ns;    /* by batch */
    uint32_t *calls_len;     /* by batch; calls are in order of batches */
    uint32_t *batch_of_span; /* by span, in the order they were decoded */
};
/* Appends the spans, those of a trace side by side in order of start, and the calls to b; they
 * point into `in` and b->mem. ret_origins may be NULL; its arrays lie in b->mem. */
int segment_decode(struct sv in, struct batch *b, struct segment_origins *ret_origins,
                   struct err *err) MUST_USE;
/* The same for the spans of some traces only, without the calls; the rest is passed over. */
int segment_decode_traces(struct sv in, const struct trace_id *ids, size_t ids_len, struct batch *b,
                          struct err *err) MUST_USE;

DEFINE_AUTO_FREE(segment_w);

#endif
