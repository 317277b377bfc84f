/* batch.h - what one export brought: spans and calls with one owner, moved through the pipeline by
 * pointer and freed once, after it has been committed, paired and aggregated.
 *
 * Strings of spans and calls point into `mem` or into the request body, which the batch adopts. */
#ifndef MODEL_BATCH_H
#define MODEL_BATCH_H

#include "base/arena.h"
#include "base/err.h"
#include "model/call.h"
#include "model/span.h"

struct batch {
    struct arena mem; /* every byte that spans[] and calls[] point to */
    struct span *spans;
    size_t spans_len, spans_cap;
    struct call *calls;
    size_t calls_len, calls_cap;
    const struct sv *keys; /* the different keys of spans that have a key_order; in mem */
    uint32_t keys_len,
        key_orders_len;        /* both bounded by ingest/key_orders.h, 0 when nobody looked */
    struct sv idempotency_key; /* of the export request; empty when the sender gave none */
    uint64_t seq;              /* set by the store at commit: 1, 2, 3 ... in commit order */
    int64_t received_ns;       /* wall clock, set when the export arrived */
    size_t rejected;           /* records refused while the rest was kept (partial success) */
    struct err first_rejection;
};

struct batch *batch_new(void) MUST_USE;
struct batch *batch_free(struct batch *b);
/* A zeroed element at the end; NULL when memory is out. Valid until the next add. */
struct span *batch_add_span(struct batch *b) MUST_USE;
struct call *batch_add_call(struct batch *b) MUST_USE;

DEFINE_AUTO_FREE(batch);

#endif
