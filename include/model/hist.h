/* hist.h - exponential histogram of latency, mergeable.
 *
 * Schema 3 of Prometheus native histograms = scale 3 of OpenTelemetry's: bucket i holds
 * (2^((i-1)/8), 2^(i/8)] seconds, so a quantile is off by at most 4.5 %. Indexes are clamped to
 * HIST_INDEX_MIN..HIST_INDEX_MAX (about 1 ns to 36 h), which bounds the memory at 3 KiB.
 * All-zero is the valid empty histogram; it owns `counts`. Not thread-safe. */
#ifndef MODEL_HIST_H
#define MODEL_HIST_H

#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/rd.h"
#include <stdint.h>

#define HIST_SCHEMA    3
#define HIST_INDEX_MIN (-239)
#define HIST_INDEX_MAX 136

struct hist {
    uint64_t count; /* all observations */
    uint64_t zero;  /* of them, durations <= 0 */
    int64_t sum_ns;
    int32_t first;    /* bucket index of counts[0], which may be 0 */
    uint32_t len;     /* counters from there on that are in use */
    uint64_t *counts; /* cap of them are allocated, those not in use are 0 */
    uint32_t cap;
};
/* Four powers of two: rounded to them, a histogram that spreads index by index seldom moves. */
enum { HIST_STEP = 32 };
static inline size_t hist_room(uint32_t len)
{
    return ((size_t)len + HIST_STEP - 1) / HIST_STEP * HIST_STEP;
}

void hist_done(struct hist *h);
void hist_clear(struct hist *h); /* empty, but keeps the memory */
/* Moves the histogram out; h is empty afterwards. */
static inline struct hist hist_move(struct hist *h)
{
    struct hist moved = *h;
    *h = (struct hist){ 0 };
    return moved;
}
/* -1 when memory is out; h is then unchanged. Counters and sum stop at their type's maximum. */
int hist_add(struct hist *h, int64_t value_ns, uint64_t times) MUST_USE;
/* Asks for the memory that hist_add() of that value will touch; h itself is there. */
void hist_ask(const struct hist *h, int64_t value_ns);
int hist_merge(struct hist *into, const struct hist *from) MUST_USE;
/* Makes room, so that the next hist_merge() of the same two cannot fail. */
int hist_reserve(struct hist *into, const struct hist *from) MUST_USE;
/* Likewise for hist_add() of that value. */
int hist_reserve_at(struct hist *h, int64_t value_ns) MUST_USE;
int hist_copy(struct hist *ret_to, const struct hist *from) MUST_USE;
/* q in 0..1; nanoseconds, the middle of the bucket that holds the observation of that rank, so off by
 * at most 4.5 % however few there are; 0 when empty. */
int64_t hist_quantile(const struct hist *h, double q);
/* n of them in ascending order, in one pass. */
void hist_quantiles(const struct hist *h, const double *q, size_t n, int64_t *ret_ns);
/* Bucket index of a positive duration. */
int32_t hist_index(int64_t value_ns);
/* Upper bound of bucket i in seconds. */
double hist_upper_s(int32_t index);
/* Observations <= bound_s (whole buckets whose upper bound is <= bound_s, zero included). */
uint64_t hist_count_below(const struct hist *h, double bound_s);
/* How many lie in each of n + 1 ranges between ascending bounds (of so many seconds a unit), the last one
 * beyond them all. A bucket lies where its lower end does, so what was put in at another histogram's upper
 * bound is found at or below the same bound. */
void hist_spread(const struct hist *h, const double *bounds, size_t n, double unit_s,
                 uint64_t *ret_counts);
/* Of every bucket (and the sum) what lies between two shares of it, 0 to 1; shares that join have all. -1 when
 * memory is out. */
int hist_share(struct hist *ret_part, const struct hist *h, double from, double to) MUST_USE;
/* The same of a number. */
uint64_t share_of(uint64_t n, double from, double to);
/* Compact stored form: varints; see docs/store-format.md. */
void hist_encode(const struct hist *h, struct buf *out);
int hist_decode(struct rd *r, struct hist *ret_h, struct err *err) MUST_USE;

DEFINE_AUTO_DONE(hist);

#endif
