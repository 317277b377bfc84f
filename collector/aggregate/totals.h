/* totals.h - what each edge did since the process started, for counters that never go back.
 *
 * Owned by the fold and used under its lock; presenters only see struct total in a sink. */
#ifndef COLLECTOR_AGGREGATE_TOTALS_H
#define COLLECTOR_AGGREGATE_TOTALS_H

#include "aggregate/outcomes.h"
#include "model/edge.h"
#include "model/evidence.h"

/* Upper bounds of the latency histogram on /metrics, in nanoseconds; +Inf is understood. */
enum { TOTAL_BOUNDS_LEN = 12 };
extern const int64_t total_bounds_ns[TOTAL_BOUNDS_LEN];

/* One edge's requests of one TLS state. Every field only grows. */
struct total {
    uint64_t codes[CODES_LEN]; /* requests by code class */
    uint64_t errors;
    uint64_t bytes_received, bytes_sent;
    uint64_t duration_ns;                  /* sum */
    uint64_t counts[TOTAL_BOUNDS_LEN + 1]; /* not cumulative; the last one is above all bounds */
};
uint64_t total_requests(const struct total *t);
/* Requests, or bytes of connections that were opened before. */
static inline bool total_is_used(const struct total *t)
{
    return t->bytes_received || t->bytes_sent || total_requests(t) > 0;
}

/* The newest request with a trace whose duration lies in one bucket of counts[]. */
struct exemplar {
    struct trace_id trace; /* not set: none yet */
    int64_t value_ns, time_ns;
};
/* The durations as the callee's side saw them, where anybody did; every field only grows. */
struct total_server {
    uint64_t duration_ns;
    uint64_t counts[TOTAL_BOUNDS_LEN + 1];
};
/* What is counted besides, for those who want it. */
enum totals_extra {
    TOTALS_SERVER = 1,   /* total_row.server */
    TOTALS_OUTCOMES = 2, /* total_row.outcomes */
};
/* What is shown of one edge and TLS state. */
struct total_row {
    struct total n;
    struct total_server server;
    struct outcomes outcomes;
    struct hist latency;              /* the same durations, finely; empty unless asked for */
    int64_t created_ns;               /* when the first of them arrived */
    const struct exemplar *exemplars; /* one for each of n.counts; NULL: none */
};

/* Totals of one edge. All-zero is valid and empty. */
struct total_bucket;
struct totals {
    struct total_bucket *live; /* not settled yet, latest start first */
    int64_t settled_to_ns;     /* buckets that start before it are settled */
    int64_t first_arrival_ns, last_arrival_ns;
    reporter_set last_settled; /* who saw the bucket just before settled_to_ns */
    reporter_set seen;         /* every reporter that ever saw this edge */
    struct total_state {
        int64_t created_ns;
        struct exemplar *exemplars;
    } states[TLS_STATES_LEN];
    struct total_row *settled; /* TLS_STATES_LEN each; NULL until first used */
    struct total_row *shown;   /* the highest values ever shown */
};

void totals_done(struct totals *t);
/* Forgets what was counted, as if the edge had been quiet from the start; for edges idle since long,
 * without live buckets. Who reports the edge is remembered. */
void totals_restart(struct totals *t);
/* Counts c, received at arrival_ns; -1 when memory is out and nothing was counted. server_ns is the
 * duration of a pair's called half, -1 otherwise; extras are enum totals_extra. */
int totals_add(struct totals *t, const struct call *c, int64_t server_ns, int64_t arrival_ns,
               unsigned extras) MUST_USE;
/* Counts all of a, which a counter has told of by arrival_ns; -1 as above. */
int totals_add_alike(struct totals *t, const struct alike *a, int64_t arrival_ns, unsigned extras)
    MUST_USE;
/* Asks for the memory that counting c will touch; step 0 and 1, some calls apart. */
void totals_ask(const struct totals *t, const struct call *c, unsigned step);
/* Moves buckets that are old enough into the settled sums and frees them. */
void totals_settle(struct totals *t, int64_t now_ns);
struct totals_wish {
    int64_t now_ns;
    bool is_source_known; /* the edge's source is a named workload */
    bool with_latency;    /* fills total_row.latency, too */
    unsigned extras;      /* the same as those that were added */
};
/* TLS_STATES_LEN rows as of now, never less than shown before; NULL when memory is out. Valid
 * until the next call. */
struct total_row *totals_show(struct totals *t, const struct totals_wish *w);
/* Adds n and latency; -1 when memory is out (the latency is then not added). */
int total_row_add(struct total_row *into, const struct total_row *from, bool with_latency) MUST_USE;

#endif
