/* random_batch.h - batches full of everything that must survive storage, from a seed. */
#ifndef TESTS_RANDOM_BATCH_H
#define TESTS_RANDOM_BATCH_H

#include "model/batch.h"

struct random_source {
    uint64_t state;
};
uint64_t random_next(struct random_source *r);              /* 0 .. 2^31 - 1 */
uint64_t random_below(struct random_source *r, uint64_t n); /* 0 .. n - 1 */

/* Odd spans: all value types, nesting, odd UTF-8, empty and long text, duplicate ids and keys,
 * events, links, extreme times. Trace ids come from a small set, so batches share traces. */
struct batch *random_batch(struct random_source *r, size_t spans, size_t calls,
                           int64_t received_ns);
/* Ordinary mesh spans, client and server pairs, about ten a trace, 14 attributes each. */
struct batch *mesh_batch(struct random_source *r, size_t spans, int64_t start_ns);
/* The same mesh with instrumented applications: 30 attributes of four types, events, links. */
struct batch *rich_batch(struct random_source *r, size_t spans, int64_t start_ns);

/* Every field. */
bool call_eq(const struct call *a, const struct call *b);

#endif
