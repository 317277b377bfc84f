/* ahead.h - asks for the memory of records that will be counted soon. Under the fold's lock. */
#ifndef COLLECTOR_AGGREGATE_AHEAD_H
#define COLLECTOR_AGGREGATE_AHEAD_H

#include "aggregate/known_edge.h"
#include "pair/marks.h"

/* Records on their way; see ahead_next(). */
enum { AHEAD_STEPS = 4, AHEAD_APART = 3, AHEAD_LEN = AHEAD_STEPS * AHEAD_APART };
struct ahead {
    const struct known_edges *edges; /* NULL: nothing is counted */
    const struct marks *told;        /* NULL: nobody looks there */
    const struct call *calls;
    size_t len;
    struct edge_seek seeks[AHEAD_LEN + 1]; /* of calls[at], [at + 1], ..., in a ring */
};
/* Before the first; told is where marks_note() will look for each. */
void ahead_start(struct ahead *a, const struct known_edges *k, const struct marks *told,
                 const struct call *calls, size_t n);
/* Before calls[at], for each at in turn; where its edge is, if it is counted. */
const struct edge_seek *ahead_next(struct ahead *a, size_t at);

#endif
