/* exemplars.h - requests of one edge to look at, some from every part of its latencies. */
#ifndef COLLECTOR_QUERY_EXEMPLARS_H
#define COLLECTOR_QUERY_EXEMPLARS_H

#include "query/api.h"

enum {
    EXEMPLARS_MAX = 20,      /* of a range */
    EXEMPLAR_RANGES = 4 + 1, /* up to p50, to p95, to p99, beyond; and the failed ones */
};
struct exemplar_range {
    uint64_t requests;              /* that were looked at and lie in it */
    struct sv taken[EXEMPLARS_MAX]; /* as JSON objects */
    size_t len;
};
struct exemplars {
    struct arena mem;
    int64_t bounds_ns[EXEMPLAR_RANGES - 2]; /* p50, p95, p99 */
    struct exemplar_range ranges[EXEMPLAR_RANGES];
    uint64_t looked_at; /* records or traces */
    bool is_complete;   /* everything in the window was looked at */
};
void exemplars_done(struct exemplars *x);
/* Looks for requests of e in its window, by the evidence that counts there: in access records, or in
 * traces. At most per_range of each, every one with the same chance. ERR_NOMEM, what the store says;
 * *ret is to be done with in any case. */
int exemplars_find(const struct api *api, const struct edge_view *e, enum granularity g,
                   const struct window *w, size_t per_range, struct exemplars *ret, struct err *err)
    MUST_USE;

DEFINE_AUTO_DONE(exemplars);

#endif
