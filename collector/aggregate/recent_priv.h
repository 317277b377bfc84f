/* recent_priv.h - what recent.c (holding) and recent_totals.c (adding up) share. */
#ifndef COLLECTOR_AGGREGATE_RECENT_PRIV_H
#define COLLECTOR_AGGREGATE_RECENT_PRIV_H

#include "aggregate/recent.h"
#include "base/clock.h"

#define HOLD_NS   (210 * NS_PER_S) /* a window of three minutes needs no standing sum */
#define SETTLE_NS (90 * NS_PER_S)  /* halves wait a minute, exports take some seconds */
#define AHEAD_NS  (120 * NS_PER_S) /* senders whose clocks are ahead */

/* One column of one bucket; what a search looks at stands here, side by side. */
struct row {
    int64_t start_ns;
    struct slim *slim;
    enum reporter reporter;
};
struct recent_edge {
    struct recent_edge *next;
    struct edge edge;
    char host[HOST_SIZE];
    struct row *rows; /* in no order */
    uint32_t rows_len, rows_cap;
    struct slim *sums[STANDING_LEN];   /* what counts */
    struct slim *called[STANDING_LEN]; /* the called side's records */
    const struct pending *pending;     /* while totals are made */
};

/* The edge, made when missing; NULL when memory is out. */
struct recent_edge *recent_edge_of(struct recent *r, const struct edge *edge) MUST_USE;
/* -1: out of memory, of the process or of RECENT_BYTES_MAX. */
int recent_add_bucket(struct recent *r, const struct edge_bucket *b) MUST_USE;
/* Puts what s holds in the place of *slot. */
int recent_replace(struct recent *r, struct slim **slot, const struct edge_sum *s) MUST_USE;
/* Both scratch sums: what the nth standing sum of e holds, nothing of STANDING_LEN; and their way
 * back. */
void recent_start(struct recent *r, const struct recent_edge *e, size_t nth);
int recent_finish(struct recent *r, struct recent_edge *e, size_t nth) MUST_USE;
/* Whether a column of a time that is in sum already still counts. */
bool recent_counts_late(const struct slim *sum, enum reporter reporter);
void recent_drop(struct recent *r, size_t nth); /* the nth standing sum */
static inline bool standing_holds(const struct standing *st, int64_t start_ns)
{
    return st->from_ns <= start_ns && start_ns < st->to_ns;
}

#endif
