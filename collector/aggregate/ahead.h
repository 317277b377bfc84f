/* ahead.h - asks for the memory of records that will be counted soon. Under the fold's lock. */
#ifndef COLLECTOR_AGGREGATE_AHEAD_H
#define COLLECTOR_AGGREGATE_AHEAD_H

#include "aggregate/known_edge.h"

/* Records on their way; see ahead_next(). */
enum { AHEAD_STEPS = 4, AHEAD_APART = 3, AHEAD_LEN = AHEAD_STEPS * AHEAD_APART };
struct ahead {
    const struct known_edges *edges;
    const struct call *calls;
    size_t len;
    struct known_edge *guesses[AHEAD_LEN + 1]; /* of calls[at], [at + 1], ..., in a ring */
};
/* Before the first. */
void ahead_start(struct ahead *a, const struct known_edges *k, const struct call *calls, size_t n);
/* Before calls[at], for each at in turn; what known_edge_guess() says of it. */
struct known_edge *ahead_next(struct ahead *a, size_t at);

#endif
