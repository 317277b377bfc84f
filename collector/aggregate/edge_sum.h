/* edge_sum.h - adding up what an edge did, many buckets at a time, without memory of its own.
 *
 * An edge_sum is one large struct of plain counters that is cleared and filled for one edge after
 * the other. A slim is what a sum or a cell comes to when only the counters in use are kept: some
 * 200 bytes for ten seconds of an edge, where a cell with its histogram takes about 1,000. Adding a
 * slim to a sum touches only these counters. Not thread-safe. */
#ifndef COLLECTOR_AGGREGATE_EDGE_SUM_H
#define COLLECTOR_AGGREGATE_EDGE_SUM_H

#include "model/edge.h"

enum {
    SUM_HIST_LEN = HIST_INDEX_MAX - HIST_INDEX_MIN + 1,
    SUM_REQUESTS = 0,
    SUM_ERRORS,
    SUM_RESENDS,
    SUM_CODES,
    SUM_GRPC = SUM_CODES + CODES_LEN,
    SUM_TLS = SUM_GRPC + GRPC_STATUSES_LEN,
    SUM_TLS_BASES = SUM_TLS + TLS_STATES_LEN,
    SUM_PARTS = SUM_TLS_BASES + TLS_BASES_LEN,
    SUM_COUNTED = SUM_PARTS + TLS_STATES_LEN, /* requests by the reporter that counts */
    SUM_ZERO = SUM_COUNTED + REPORTERS_LEN,   /* of each histogram: durations <= 0 */
};
enum sum_hist { SUM_LATENCY, SUM_SERVER, SUM_HISTS_LEN };
enum { SUM_SMALL_LEN = SUM_ZERO + SUM_HISTS_LEN };

struct edge_sum {
    uint64_t small[SUM_SMALL_LEN];
    uint64_t hist[SUM_HISTS_LEN][SUM_HIST_LEN];       /* by index - HIST_INDEX_MIN */
    int16_t first[SUM_HISTS_LEN], end[SUM_HISTS_LEN]; /* in use; first == end: nothing */
    int64_t sum_ns[SUM_HISTS_LEN];
    enum reporter evidence; /* the best that was added; REPORTERS_LEN: none */
    struct edge_cell facts; /* what is no counter: bytes, flags, names, traces, times */
};
void edge_sum_clear(struct edge_sum *s); /* also the first time, on zeroed memory */
void edge_sum_add(struct edge_sum *s, enum reporter r, const struct edge_cell *c);
/* The sum as a cell, which borrows the histograms of s; these must not change meanwhile. */
void edge_sum_cell(struct edge_sum *s, struct edge_cell *ret);

/* What an edge did in all of a window. */
struct edge_total {
    struct edge_cell cell;           /* of the reporters that count */
    struct edge_cell called;         /* of the called side's records, whether they count or not */
    enum reporter evidence;          /* the best of those that count */
    uint64_t counted[REPORTERS_LEN]; /* requests by the reporter that counts */
};

void edge_sum_add_total(struct edge_sum *s, const struct edge_total *t); /* its cell, that is */
/* The counted side of *ret, from s; its cell as edge_sum_cell() gives it. */
void edge_sum_total(struct edge_sum *s, struct edge_total *ret);

struct slim;
/* What s holds. Gives, to be mem_free()d; NULL when memory is out. */
struct slim *slim_new(const struct edge_sum *s) MUST_USE;
enum reporter slim_evidence(const struct slim *x);
size_t slim_bytes(const struct slim *x);
void edge_sum_add_slim(struct edge_sum *s, const struct slim *x);

#endif
