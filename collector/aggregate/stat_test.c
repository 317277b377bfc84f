/* stat_test.c - statistical tests, in closed form.
 *
 * Nothing here depends on the collector; the formulas are those of the papers named in the header,
 * and the tests compare with numbers computed by other programs. Probabilities of single tables are
 * kept as logarithms (lgamma), so that a million requests do not overflow. Two-sided exact tests add
 * up outcomes that are not likelier than the one seen; a millionth is allowed for rounding. */
#include "aggregate/stat_test.h"
#include "base/mem.h"
#include <math.h>

#define LIKELIHOOD_SLACK 1e-7
#define EXACT_EVENTS_MAX 1000

static double log_factorial(double n)
{
    int sign;
    return lgamma_r(n + 1, &sign); /* lgamma() would write to a global */
}

static double log_choose(double n, double k)
{
    return log_factorial(n) - log_factorial(k) - log_factorial(n - k);
}

/* Two-sided p of a normal deviate. */
static double normal_p(double z)
{
    return erfc(fabs(z) / M_SQRT2);
}

double stat_fisher(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2)
{
    uint64_t k = k1 + k2, n = n1 + n2;
    if (n1 == 0 || n2 == 0 || k == 0 || k == n)
        return 1;
    uint64_t least = k > n2 ? k - n2 : 0, most = MIN(k, n1);
    double all = log_choose((double)n, (double)k), p = 0;
    double seen = log_choose((double)n1, (double)k1) + log_choose((double)n2, (double)k2) - all;
    for (uint64_t x = least; x <= most; x++) {
        double one = log_choose((double)n1, (double)x) + log_choose((double)n2, (double)(k - x)) -
                     all;
        if (one <= seen + LIKELIHOOD_SLACK)
            p += exp(one);
    }
    return MIN(p, 1);
}

double stat_two_proportions(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2)
{
    if (n1 == 0 || n2 == 0)
        return 1;
    double a = (double)n1, b = (double)n2, share = ((double)k1 + (double)k2) / (a + b);
    double variance = share * (1 - share) * (1 / a + 1 / b);
    return variance > 0 ? normal_p(((double)k1 / a - (double)k2 / b) / sqrt(variance)) : 1;
}

double stat_least_expected(uint64_t k1, uint64_t n1, uint64_t k2, uint64_t n2)
{
    double k = (double)k1 + (double)k2, n = (double)n1 + (double)n2;
    double rows = fmin((double)n1, (double)n2), columns = fmin(k, n - k);
    return n > 0 ? rows * columns / n : 0;
}

/* Of the bucket with that index; the one before the first holds what took no time. */
static double count_at(const struct hist *h, int32_t index, int32_t before_first)
{
    if (index == before_first)
        return (double)h->zero;
    int64_t at = (int64_t)index - h->first;
    return at >= 0 && at < h->len ? (double)h->counts[at] : 0;
}

double stat_mann_whitney(const struct hist *a, const struct hist *b, double *ret_larger)
{
    const int32_t before_first = HIST_INDEX_MIN - 1;
    double a_below = 0, pairs = 0, ties = 0; /* pairs in which b is larger; sum of t^3 - t */
    double n1 = (double)a->count, n2 = (double)b->count, n = n1 + n2;
    *ret_larger = 0.5;
    if (a->count == 0 || b->count == 0)
        return 1;
    for (int32_t i = before_first; i <= HIST_INDEX_MAX; i++) {
        double in_a = count_at(a, i, before_first), in_b = count_at(b, i, before_first);
        double tied = in_a + in_b;
        pairs += in_b * (a_below + in_a / 2);
        ties += tied * tied * tied - tied;
        a_below += in_a;
    }
    *ret_larger = pairs / (n1 * n2);
    double variance = n > 1 ? n1 * n2 / 12 * ((n + 1) - ties / (n * (n - 1))) : 0;
    double off = fabs(pairs - n1 * n2 / 2) - 0.5;
    if (variance <= 0 || off <= 0)
        return 1;
    return normal_p(off / sqrt(variance));
}

double stat_rates(uint64_t n1, double t1, uint64_t n2, double t2)
{
    double n = (double)n1 + (double)n2, share = t1 / (t1 + t2), p = 0;
    if (n1 + n2 == 0)
        return 1;
    if (n1 + n2 > EXACT_EVENTS_MAX)
        return normal_p(((double)n1 - n * share) / sqrt(n * share * (1 - share)));
    double hit = log(share), miss = log(1 - share);
    double seen = log_choose(n, (double)n1) + (double)n1 * hit + (double)n2 * miss;
    for (uint64_t x = 0; x <= n1 + n2; x++) {
        double one = log_choose(n, (double)x) + (double)x * hit + (n - (double)x) * miss;
        if (one <= seen + LIKELIHOOD_SLACK)
            p += exp(one);
    }
    return MIN(p, 1);
}

struct ranked_p {
    double p;
    size_t at;
};

static int by_p(const void *pa, const void *pb)
{
    const struct ranked_p *a = pa, *b = pb;
    return (a->p > b->p) - (a->p < b->p);
}

int stat_benjamini_hochberg(double *p, size_t n)
{
    struct ranked_p *order = mem_alloc((n + 1) * sizeof(*order));
    double least = 1;
    if (!order)
        return -1;
    for (size_t i = 0; i < n; i++)
        order[i] = (struct ranked_p){ p[i], i };
    qsort(order, n, sizeof(*order), by_p);
    for (size_t i = n; i > 0; i--) {
        least = MIN(least, order[i - 1].p * (double)n / (double)i);
        p[order[i - 1].at] = least;
    }
    mem_free(order);
    return 0;
}
