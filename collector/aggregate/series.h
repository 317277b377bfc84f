/* series.h - which rows of /metrics have series of their own: a budget, an overflow, an end.
 *
 * Part of the fold, used under its lock. */
#ifndef COLLECTOR_AGGREGATE_SERIES_H
#define COLLECTOR_AGGREGATE_SERIES_H

#include "aggregate/known_edge.h"

struct dialects;

struct series_conf {
    uint64_t max;    /* time series in all, beside those of overflow rows */
    int64_t idle_ns; /* a row without a request for so long ends; 0: never */
};
/* What all rows share. */
struct series_budget {
    struct series_conf conf;
    uint64_t used;         /* series of rows that exist */
    uint64_t refused_rows; /* rows of edges that count on an overflow row, since the start */
    uint64_t ended_rows;   /* rows that ended because they were idle, since the start */
};
/* Takes n series; false when there are not so many left. */
bool series_take(struct series_budget *b, uint64_t n) MUST_USE;
void series_give_back(struct series_budget *b, uint64_t n);

/* What a row of an edge takes: 6 code classes, errors, 13 buckets, sum and count, 2 of bytes. */
enum { EDGE_ROW_SERIES = CODES_LEN + 1 + TOTAL_BOUNDS_LEN + 1 + 2 + 2 };

/* Rows of one edge and TLS state; all borrowed. */
typedef void totals_sink(void *to, const struct edge *edge, enum tls_state tls,
                         const struct total_row *row);

/* The rows of edges; all-zero is valid. */
struct edge_series {
    struct total_row ended[PROTOCOLS_LEN][TLS_STATES_LEN]; /* of overflow rows that ended */
    int64_t overflow_created_ns[PROTOCOLS_LEN][TLS_STATES_LEN];
};
void edge_series_done(struct edge_series *e);
struct series_walk {
    int64_t now_ns;
    bool with_latency;
    struct dialects *dialects; /* told of every row that has changed; NULL: none */
    totals_sink *sink;
    void *to;
};
/* Gives every row to the sink; the overflow ones as the edges "other", one a protocol. Afterwards
 * rows that are idle end, so that their last state was given once. */
void edge_series_walk(struct edge_series *es, struct known_edges *k, struct series_budget *b,
                      const struct series_walk *walk);

#endif
