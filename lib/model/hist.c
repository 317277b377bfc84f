/* hist.c - exponential histogram: finding buckets, adding, merging.
 *
 * counts[] covers the used range of indexes without gaps (and some room behind it), so a merge is
 * an addition of two arrays and memory follows the spread of the latencies, not the number of
 * requests. The bucket of a value is found exactly: a double's exponent is the power of two, and eight
 * thresholds decide the rest, so 1 s lies in bucket 0 on every machine.
 *
 * Invariants: count = zero + sum of counts[] (until one of them stops at its maximum);
 * len = 0 or HIST_INDEX_MIN <= first and first + len - 1 <= HIST_INDEX_MAX. */
#include "model/hist.h"
#include "base/lines.h"
#include "base/mem.h"
#include "base/sv.h"
#include <math.h>

#define STEPS_PER_POWER 8
#define NS_PER_SECOND   1e9

/* Upper bounds 2^(j/8) / 2 of the eight buckets in (0.5, 1], as correctly rounded doubles. */
static const double thresholds[STEPS_PER_POWER] = {
    0x1.172b83c7d517bp-1, 0x1.306fe0a31b715p-1, 0x1.4bfdad5362a27p-1, 0x1.6a09e667f3bcdp-1,
    0x1.8ace5422aa0dbp-1, 0x1.ae89f995ad3adp-1, 0x1.d5818dcfba487p-1, 0x1p+0,
};

static uint64_t add_capped(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static int64_t sum_capped(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

void hist_done(struct hist *h)
{
    mem_free(h->counts);
    *h = (struct hist){ 0 };
}

/* How many of the first seven thresholds lie below the number whose 52 bits behind the point are given. */
static inline int32_t thresholds_below(uint64_t bits)
{
    static const uint64_t bits_of[STEPS_PER_POWER - 1] = {
        0x172b83c7d517b, 0x306fe0a31b715, 0x4bfdad5362a27, 0x6a09e667f3bcd,
        0x8ace5422aa0db, 0xae89f995ad3ad, 0xd5818dcfba487,
    };
    int32_t n = bits_of[3] < bits ? 4 : 0;
    n += bits_of[n + 1] < bits ? 2 : 0;
    return n + (bits_of[n] < bits);
}

static inline int32_t index_of(int64_t value_ns)
{
    double seconds = (double)value_ns / NS_PER_SECOND;
    uint64_t bits;
    memcpy(&bits, &seconds, sizeof(bits)); /* sign, 11 bits of exponent, 52 behind the point */
    int32_t power = (int32_t)(bits >> 52) - 1023;
    bits &= (UINT64_C(1) << 52) - 1;
    int32_t index = power * STEPS_PER_POWER + (bits ? 1 + thresholds_below(bits) : 0);
    return MIN(MAX(index, HIST_INDEX_MIN), HIST_INDEX_MAX);
}

void hist_clear(struct hist *h)
{
    if (h->len)
        memset(h->counts, 0, h->len * sizeof(*h->counts));
    *h = (struct hist){ .counts = h->counts, .cap = h->cap };
}

int32_t hist_index(int64_t value_ns)
{
    INVARIANT(value_ns > 0);
    return index_of(value_ns);
}

double hist_upper_s(int32_t index)
{
    int power = index >= 0 ? index / STEPS_PER_POWER
                           : -((STEPS_PER_POWER - 1 - index) / STEPS_PER_POWER);
    int step = index - power * STEPS_PER_POWER; /* 0..7 */
    return step == 0 ? ldexp(1.0, power) : ldexp(thresholds[step - 1], power + 1);
}

/* Makes counts[] cover first..last too. It begins at every 32nd index, so that values that come in no order
 * seldom move what is there. */
static int cover(struct hist *h, int32_t first, int32_t last)
{
    int32_t h_last = h->first + (int32_t)h->len - 1;
    if (h->len && first >= h->first && last <= h_last)
        return 0;
    first = MAX(first & ~(HIST_STEP - 1), HIST_INDEX_MIN);
    if (h->len) {
        first = MIN(first, h->first);
        last = MAX(last, h_last);
    }
    uint32_t len = (uint32_t)(last - first + 1);
    size_t shift = h->len ? (size_t)(h->first - first) : 0;
    if (len > h->cap) {
        size_t room = hist_room(len);
        uint64_t *counts = mem_zalloc(room * sizeof(*counts));
        if (!counts)
            return -1;
        if (h->len)
            memcpy(counts + shift, h->counts, h->len * sizeof(*counts));
        mem_free(h->counts);
        h->counts = counts;
        h->cap = (uint32_t)room;
    } else if (shift) {
        memmove(h->counts + shift, h->counts, h->len * sizeof(*h->counts));
        memset(h->counts, 0, shift * sizeof(*h->counts));
    }
    h->first = first;
    h->len = len;
    return 0;
}

void hist_ask(const struct hist *h, int64_t value_ns)
{
    if (value_ns <= 0)
        return;
    int32_t index = index_of(value_ns);
    uint32_t at = (uint32_t)(index - (h->len ? h->first : index & ~(HIST_STEP - 1)));
    if (at < h->cap)
        lines_ask(&h->counts[at], sizeof(h->counts[at]));
}

int hist_add(struct hist *h, int64_t value_ns, uint64_t times)
{
    if (times == 0)
        return 0;
    if (value_ns <= 0) {
        h->zero = add_capped(h->zero, times);
        h->count = add_capped(h->count, times);
        return 0;
    }
    int32_t index = index_of(value_ns);
    if ((uint32_t)(index - h->first) >= h->len && cover(h, index, index) < 0)
        return -1;
    uint64_t *cell = &h->counts[index - h->first];
    *cell = add_capped(*cell, times);
    h->count = add_capped(h->count, times);
    int64_t added_ns;
    if (times > INT64_MAX || __builtin_mul_overflow(value_ns, (int64_t)times, &added_ns))
        added_ns = INT64_MAX;
    h->sum_ns = sum_capped(h->sum_ns, added_ns);
    return 0;
}

int hist_reserve(struct hist *into, const struct hist *from)
{
    return from->len ? cover(into, from->first, from->first + (int32_t)from->len - 1) : 0;
}

int hist_reserve_at(struct hist *h, int64_t value_ns)
{
    if (value_ns <= 0)
        return 0;
    int32_t index = hist_index(value_ns);
    return cover(h, index, index);
}

int hist_merge(struct hist *into, const struct hist *from)
{
    if (hist_reserve(into, from) < 0)
        return -1;
    for (uint32_t i = 0; i < from->len; i++) {
        uint64_t *cell = &into->counts[from->first - into->first + (int32_t)i];
        *cell = add_capped(*cell, from->counts[i]);
    }
    into->zero = add_capped(into->zero, from->zero);
    into->count = add_capped(into->count, from->count);
    into->sum_ns = sum_capped(into->sum_ns, from->sum_ns);
    return 0;
}

int hist_copy(struct hist *ret_to, const struct hist *from)
{
    struct hist copy = { 0 };
    if (hist_merge(&copy, from) < 0)
        return -1;
    *ret_to = copy;
    return 0;
}

/* In the middle between the bucket's bounds, on the scale of powers. */
static int64_t middle_ns(int32_t index)
{
    return (int64_t)llround(exp2((index - 0.5) / STEPS_PER_POWER) * NS_PER_SECOND);
}

void hist_quantiles(const struct hist *h, const double *q, size_t n, int64_t *ret_ns)
{
    double below = (double)h->zero;
    int32_t last = h->first;
    uint32_t i = 0;
    for (size_t k = 0; k < n; k++) {
        double rank = (q[k] > 0 ? fmin(q[k], 1.0) : 0.0) * (double)h->count;
        INVARIANT(k == 0 || q[k] >= q[k - 1]);
        if (h->count == 0 || (h->zero && rank <= (double)h->zero)) {
            ret_ns[k] = 0;
            continue;
        }
        bool is_found = i > 0 && rank <= below;
        for (; i < h->len && !is_found; i++) {
            if (h->counts[i] == 0)
                continue;
            last = h->first + (int32_t)i;
            below += (double)h->counts[i];
            is_found = rank <= below;
        }
        ret_ns[k] = middle_ns(last); /* past the end only by the rounding of very large counts */
    }
}

int64_t hist_quantile(const struct hist *h, double q)
{
    int64_t ns;
    hist_quantiles(h, &q, 1, &ns);
    return ns;
}

uint64_t hist_count_below(const struct hist *h, double bound_s)
{
    uint64_t n = h->zero;
    for (uint32_t i = 0; i < h->len && hist_upper_s(h->first + (int32_t)i) <= bound_s; i++)
        n = add_capped(n, h->counts[i]);
    return n;
}

void hist_spread(const struct hist *h, const double *bounds, size_t n, double unit_s,
                 uint64_t *ret_counts)
{
    size_t at = 0;
    memset(ret_counts, 0, (n + 1) * sizeof(*ret_counts));
    ret_counts[0] = h->zero;
    for (uint32_t i = 0; i < h->len; i++) {
        double lower_s = hist_upper_s(h->first + (int32_t)i - 1);
        while (at < n && lower_s >= bounds[at] * unit_s)
            at++;
        ret_counts[at] += h->counts[i];
    }
}

uint64_t share_of(uint64_t n, double from, double to)
{
    return (uint64_t)((double)n * to + 0.5) - (uint64_t)((double)n * from + 0.5);
}

int hist_share(struct hist *ret_part, const struct hist *h, double from, double to)
{
    struct hist part;
    if (hist_copy(&part, h) < 0)
        return -1;
    part.zero = part.count = share_of(h->zero, from, to);
    part.sum_ns = h->sum_ns > 0 ? (int64_t)share_of((uint64_t)h->sum_ns, from, to) : 0;
    for (uint32_t i = 0; i < part.len; i++) {
        part.counts[i] = share_of(part.counts[i], from, to);
        part.count += part.counts[i];
    }
    *ret_part = part;
    return 0;
}
