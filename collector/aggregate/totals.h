/* totals.h - what each edge did since the process started, for counters that never go back.
 *
 * Owned by the fold and used under its lock; presenters only see struct edge_total in a sink. */
#ifndef COLLECTOR_AGGREGATE_TOTALS_H
#define COLLECTOR_AGGREGATE_TOTALS_H

#include "model/edge.h"

/* Upper bounds of the latency histogram on /metrics, in nanoseconds; +Inf is understood. */
enum { TOTAL_BOUNDS_LEN = 12 };
extern const int64_t total_bounds_ns[TOTAL_BOUNDS_LEN];

/* One edge's requests of one TLS state. */
struct total {
    uint64_t codes[CODES_LEN]; /* requests by code class */
    uint64_t errors;
    uint64_t bytes_received, bytes_sent;
    uint64_t duration_ns;                  /* sum */
    uint64_t counts[TOTAL_BOUNDS_LEN + 1]; /* not cumulative; the last one is above all bounds */
};
uint64_t total_requests(const struct total *t);

/* edge and totals (TLS_STATES_LEN of them, indexed by enum tls_state) are borrowed. */
typedef void totals_sink(void *to, const struct edge *edge, const struct total *totals);

#endif
