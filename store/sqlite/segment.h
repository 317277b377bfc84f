/* segment.h - some thousands of spans in columns: what the journal is sealed into. Private to
 * store/sqlite/; docs/store-format.md has the bytes. */
#ifndef SQLITE_SEGMENT_H
#define SQLITE_SEGMENT_H

#include "base/buf.h"
#include "store/store.h"
#include <zstd.h>

/* A segment in the making, reused from one to the next; of one thread at a time. */
struct segment_w;
struct segment_w *segment_w_new(void) MUST_USE;
struct segment_w *segment_w_free(struct segment_w *w);

/* Forgets what was added, keeps the memory. A new one is empty. */
void segment_start(struct segment_w *w);
/* Takes the batch, the next in order of seq, apart: nothing of it is needed afterwards. Appends its
 * row of the journal to ret_row, if that is given. ERR_NOMEM; ERR_LIMIT when an attribute nests too
 * deep or there are too many records. On failure start anew. */
int segment_add(struct segment_w *w, const struct batch *b, struct buf *ret_row, struct err *err)
    MUST_USE;
/* What was added, errors being spans whose status is ERROR. */
struct segment_size {
    uint64_t batches, spans, calls, errors;
};
struct segment_size segment_size(const struct segment_w *w);
/* Whether service, name and kind of the span that was added as n-th from the end, 1 being the last,
 * are known to be those of one asked about before. False now and then although they are. */
bool segment_knows_operation(struct segment_w *w, size_t n);
/* Appends the segment of what was added to out, and its digest (digest.h) to ret_digest, if that is
 * given. ERR_NOMEM, and it may be tried again; ERR_LIMIT. */
int segment_finish(struct segment_w *w, struct buf *out, struct buf *ret_digest, struct err *err)
    MUST_USE;
/* All of it: starts, adds the batches, finishes. */
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
/* The same for the spans of some traces only, without the calls; the rest is passed over. An
 * outline is a span without attributes, events, links, status message and trace state. */
int segment_decode_traces(struct sv in, const struct trace_id *ids, size_t ids_len, bool is_outline,
                          struct batch *b, struct err *err) MUST_USE;

/* What reading one segment after another needs again and again. All-zero is valid; of one thread. */
struct segment_scratch {
    struct arena mem;
    ZSTD_DCtx *zstd;
};
void segment_scratch_done(struct segment_scratch *scratch);

/* A trace with a span that matches, and the start of the newest one that does. 0 to go on. */
typedef int segment_hit_sink(void *to, struct trace_id id, int64_t match_ns);
/* Gives the traces of which a span matches q (whose limit, place and bound mean nothing here), in
 * no particular order. Only the columns that the predicates need are unpacked. ERR_NOMEM when the
 * sink refused. */
int segment_scan(struct segment_scratch *scratch, struct sv in, const struct span_query *q,
                 segment_hit_sink *sink, void *to, struct err *err) MUST_USE;

DEFINE_AUTO_FREE(segment_w);
DEFINE_AUTO_DONE(segment_scratch);

#endif
