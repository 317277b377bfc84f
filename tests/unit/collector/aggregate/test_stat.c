/* test_stat.c - the tests' p against those that SciPy 1.17 gives for the same numbers
 * (fisher_exact, chi2_contingency without correction, mannwhitneyu, binomtest,
 * false_discovery_control). */
#include "../sample.h"
#include "aggregate/stat_test.h"
#include "base/mem.h"
#include <math.h>

static void check(double said, double truth, double relative)
{
    if (!(fabs(said - truth) <= relative * truth))
        fail_msg("%.12g, not %.12g", said, truth);
}

static void test_shares(void **state)
{
    static const struct {
        uint64_t k1, n1, k2, n2;
        double fisher, two_proportions, least_expected;
    } cases[] = {
        { 3, 10, 1, 10, 0.5820433436532508, 0.26355247728296954, 2 },
        { 0, 50, 5, 50, 0.05628449442882433, 0.021781462791119595, 2.5 },
        { 1, 1000, 12, 1000, 0.003323491788793139, 0.0022073547535628128, 6.5 },
        { 8, 10, 1, 6, 0.034965034965034975, 0.013425424881491248, 2.625 },
        { 2, 100000, 3, 200, 7.810456113187827e-08, 3.187626359892367e-197, 0.00998003992015968 },
        { 10, 10, 0, 10, 1.082508822446903e-05, 7.744216431044088e-06, 5 },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        uint64_t k1 = cases[i].k1, n1 = cases[i].n1, k2 = cases[i].k2, n2 = cases[i].n2;
        check(stat_fisher(k1, n1, k2, n2), cases[i].fisher, 1e-6);
        check(stat_fisher(k2, n2, k1, n1), cases[i].fisher, 1e-6);
        check(stat_two_proportions(k1, n1, k2, n2), cases[i].two_proportions, 1e-6);
        check(stat_least_expected(k1, n1, k2, n2), cases[i].least_expected, 1e-9);
    }
    assert_true(stat_fisher(0, 0, 3, 5) == 1 && stat_fisher(0, 9, 0, 5) == 1);
    assert_true(stat_two_proportions(0, 9, 0, 5) == 1 && stat_two_proportions(0, 0, 1, 5) == 1);
}

/* from, from + step, ...: n values in milliseconds. */
static void fill(struct hist *h, int64_t from, int64_t step, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        assert_int_equal(hist_add(h, (from + i * step) * NS_PER_MS, 1), 0);
}

static void test_latencies(void **state)
{
    AUTO_DONE(hist) a = { 0 };
    AUTO_DONE(hist) b = { 0 };
    double larger;
    (void)state;
    assert_true(stat_mann_whitney(&a, &b, &larger) == 1 && larger == 0.5);
    fill(&a, 1, 1, 20);
    assert_true(stat_mann_whitney(&a, &b, &larger) == 1 && larger == 0.5);
    fill(&b, 11, 1, 20);
    check(stat_mann_whitney(&a, &b, &larger), 5.124362693687656e-05, 1e-6);
    check(larger, 0.875, 1e-9);
    check(stat_mann_whitney(&b, &a, &larger), 5.124362693687656e-05, 1e-6);
    check(larger, 0.125, 1e-9);
    hist_done(&a);
    hist_done(&b);
    fill(&a, 5, 0, 30);
    fill(&a, 50, 0, 10);
    fill(&b, 5, 0, 20);
    fill(&b, 50, 0, 20);
    check(stat_mann_whitney(&a, &b, &larger), 0.02206862750099875, 1e-6);
    check(larger, 0.625, 1e-9);
    hist_done(&a);
    hist_done(&b);
    fill(&a, 3, 0, 40);
    fill(&b, 9, 0, 35);
    check(stat_mann_whitney(&a, &b, &larger), 8.24129636058022e-18, 1e-6);
    check(larger, 1, 1e-9);
    assert_true(stat_mann_whitney(&a, &a, &larger) == 1 && larger == 0.5);
    hist_done(&a);
    hist_done(&b);
    fill(&a, 1, 3, 67);
    fill(&b, 2, 5, 60);
    check(stat_mann_whitney(&a, &b, &larger), 0.0014598157051031015, 1e-6);
    check(larger, 0.6639303482587064, 1e-9);
}

static void test_rates(void **state)
{
    static const struct {
        uint64_t n1, n2;
        double t1, t2, p;
    } cases[] = {
        { 10, 25, 60, 60, 0.016673847800120715 },
        { 0, 8, 60, 60, 0.0078125 },
        { 120, 60, 60, 30, 1 },
        { 0, 0, 60, 30, 1 },
        /* normal: 2 (1 - Phi(|z|)) by the formula */
        { 500, 560, 600, 600, 0.06534575162837805 },
        { 5000, 5300, 600, 600, 0.0031166938398668655 },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++)
        check(stat_rates(cases[i].n1, cases[i].t1, cases[i].n2, cases[i].t2), cases[i].p, 1e-6);
}

static void test_many(void **state)
{
    double p[] = { 0.01, 0.04, 0.03, 0.005, 0.5, 0.9 };
    static const double adjusted[] = { 0.03, 0.06, 0.06, 0.03, 0.6, 0.9 };
    (void)state;
    assert_int_equal(stat_benjamini_hochberg(p, NELEMS(p)), 0);
    for (size_t i = 0; i < NELEMS(p); i++)
        check(p[i], adjusted[i], 1e-12);
    assert_int_equal(stat_benjamini_hochberg(p, 0), 0);
    mem_fail_nth(1);
    assert_int_equal(stat_benjamini_hochberg(p, 2), -1);
    mem_fail_nth(0);
}

/* Where nothing differs, few p are small: that is what a p is. */
static void test_p_is_a_probability(void **state)
{
    uint64_t seed = 7;
    size_t small = 0;
    enum { ROUNDS = 2000, REQUESTS = 200 };
    (void)state;
    for (size_t i = 0; i < ROUNDS; i++) {
        uint64_t k[2] = { 0 };
        for (size_t n = 0; n < (size_t)2 * REQUESTS; n++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            k[n & 1] += seed >> 33 < (UINT64_C(1) << 31) / 20;
        }
        double p = stat_fisher(k[0], REQUESTS, k[1], REQUESTS);
        assert_true(p > 0 && p <= 1);
        small += p < 0.05;
    }
    assert_in_range(small, 1, ROUNDS / 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_latencies),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_p_is_a_probability),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
