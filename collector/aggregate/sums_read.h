/* sums_read.h - what edges did in a long window, out of the store. */
#ifndef COLLECTOR_AGGREGATE_SUMS_READ_H
#define COLLECTOR_AGGREGATE_SUMS_READ_H

#include "aggregate/view.h"
#include "store/store.h"

/* Reads w, which lies on whole steps of BUCKET_NS, in the finest buckets that are bearably many for
 * about that many edges; an edge may be given several times, with totals to be added. Reads what is
 * stored, nothing that is pending. Errors of the store, ERR_NOMEM. */
int sums_read(struct store *s, const struct window *w, size_t edges, edge_total_sink *sink,
              void *to, struct err *err) MUST_USE;

#endif
