/* test_hist.c - bucket boundaries, merging, quantiles, the stored form, failing memory. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/varint.h"
#include "model/hist.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* clang-format off */
static const struct { int64_t value_ns; int32_t index; } index_cases[] = {
    { 1,                         -239 },
    { 2,                         -231 },
    { INT64_C(500000000),          -8 },
    { INT64_C(500000001),          -7 },
    { INT64_C(999999999),           0 },
    { INT64_C(1000000000),          0 },
    { INT64_C(1000000001),          1 },
    { INT64_C(1090507732),          1 }, /* 2^(1/8) s = 1.0905077326... */
    { INT64_C(1090507733),          2 },
    { INT64_C(2000000000),          8 },
    { INT64_C(131072000000000),   136 }, /* 2^17 s */
    { INT64_C(131072000000001),   136 }, /* clamped from here on */
    { INT64_MAX,                  136 },
};
/* clang-format on */

static void test_index(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(index_cases); i++) {
        print_message("case: %lld ns\n", (long long)index_cases[i].value_ns);
        assert_int_equal(hist_index(index_cases[i].value_ns), index_cases[i].index);
    }
    int32_t before = HIST_INDEX_MIN;
    for (int64_t v = 1; v < INT64_MAX / 3; v += v / 7 + 1) {
        int32_t at = hist_index(v);
        assert_true(at >= before);
        before = at;
        if (at > HIST_INDEX_MIN && at < HIST_INDEX_MAX) {
            assert_true((double)v / 1e9 <= hist_upper_s(at));
            assert_true((double)v / 1e9 > hist_upper_s(at - 1));
        }
    }
}

/* Around every bound, as the definition has it: the first bucket whose upper bound is not below. */
static void test_every_bound(void **state)
{
    (void)state;
    for (int32_t i = HIST_INDEX_MIN; i < HIST_INDEX_MAX; i++) {
        int64_t near_ns = (int64_t)(hist_upper_s(i) * 1e9);
        for (int64_t v = near_ns - 2; v <= near_ns + 2; v++) {
            int32_t want = HIST_INDEX_MIN;
            if (v <= 0)
                continue;
            while (want < HIST_INDEX_MAX && hist_upper_s(want) < (double)v / 1e9)
                want++;
            assert_int_equal(hist_index(v), want);
        }
    }
}

static void test_upper(void **state)
{
    (void)state;
    for (int32_t i = HIST_INDEX_MIN; i <= HIST_INDEX_MAX; i++)
        assert_true(fabs(hist_upper_s(i) / pow(2, i / 8.0) - 1) < 1e-14);
    assert_true(hist_upper_s(0) == 1.0);
    assert_true(hist_upper_s(-8) == 0.5);
    assert_true(hist_upper_s(8) == 2.0);
}

static void add(struct hist *h, int64_t value_ns, uint64_t times)
{
    assert_int_equal(hist_add(h, value_ns, times), 0);
}

/* Several at once are what each is alone. */
static void test_quantiles(void **state)
{
    static const double q[] = { -1, 0, 0.1, 0.5, 0.5, 0.9, 0.95, 0.99, 1, 2 };
    (void)state;
    AUTO_DONE(hist) h = { 0 };
    for (int n = 0; n < 40; n++) {
        int64_t ns[NELEMS(q)];
        hist_quantiles(&h, q, NELEMS(q), ns);
        for (size_t i = 0; i < NELEMS(q); i++)
            assert_int_equal(ns[i], hist_quantile(&h, q[i]));
        add(&h, n % 5 ? INT64_C(1000) << (n * 7 % 30) : 0, (uint64_t)(1 + n % 3));
    }
}

static void test_quantile(void **state)
{
    (void)state;
    AUTO_DONE(hist) h = { 0 };
    assert_int_equal(hist_quantile(&h, 0.5), 0);
    for (int64_t ms = 1; ms <= 1000; ms++)
        add(&h, ms * 1000000, 1);
    for (double q = 0.01; q < 1; q += 0.01) {
        double want_ns = q * 1e9;
        assert_true(fabs((double)hist_quantile(&h, q) / want_ns - 1) < 0.05);
    }
    int64_t last_ns = hist_quantile(&h, 1); /* the middle of the bucket (917, 1000] ms */
    assert_int_equal(last_ns, 957603281);
    assert_true(hist_quantile(&h, -1) > 0 && hist_quantile(&h, 7) == last_ns);
    add(&h, 0, 5000);
    add(&h, -5, 1);
    assert_int_equal(h.zero, 5001);
    assert_int_equal(hist_quantile(&h, 0.5), 0);
    assert_int_equal(hist_count_below(&h, 0), 5001);
    assert_int_equal(hist_count_below(&h, 1.0), 6001);
}

static void test_saturation(void **state)
{
    (void)state;
    AUTO_DONE(hist) h = { 0 };
    add(&h, INT64_MAX, 3);
    add(&h, 1, UINT64_MAX);
    add(&h, 1, 5);
    assert_int_equal(h.count, UINT64_MAX);
    assert_int_equal(h.sum_ns, INT64_MAX);
    assert_int_equal(h.len, HIST_INDEX_MAX - HIST_INDEX_MIN + 1);
}

static uint64_t count_at(const struct hist *h, int32_t index)
{
    uint32_t at = (uint32_t)(index - h->first);
    return at < h->len ? h->counts[at] : 0;
}

/* Which part of the range they have room for does not matter. */
static bool same(const struct hist *a, const struct hist *b)
{
    bool is_same = a->count == b->count && a->zero == b->zero && a->sum_ns == b->sum_ns;
    for (int32_t i = HIST_INDEX_MIN; i <= HIST_INDEX_MAX; i++)
        is_same &= count_at(a, i) == count_at(b, i);
    return is_same;
}

static void test_merge_is_addition(void **state)
{
    (void)state;
    AUTO_DONE(hist) all = { 0 }, odd = { 0 }, even = { 0 }, copy = { 0 };
    uint64_t seed = 42;
    for (int i = 0; i < 5000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        int64_t v = (int64_t)(seed >> (2 + seed % 50)) - 3;
        if (v > INT64_C(1) << 40)
            v >>= 22;
        add(&all, v, 1);
        add(i % 2 ? &odd : &even, v, 1);
    }
    assert_int_equal(hist_copy(&copy, &odd), 0);
    assert_true(same(&copy, &odd));
    assert_int_equal(hist_merge(&odd, &even), 0);
    assert_true(same(&odd, &all));
}

static void test_roundtrip(void **state)
{
    (void)state;
    AUTO_DONE(hist) h = { 0 };
    for (int round = 0; round < 4; round++) {
        AUTO_DONE(buf) out = { 0 };
        AUTO_DONE(hist) back = { 0 };
        hist_encode(&h, &out);
        struct rd r = rd_of(buf_sv(&out));
        assert_int_equal(hist_decode(&r, &back, NULL), 0);
        assert_int_equal(rd_left(&r), 0);
        assert_true(same(&h, &back));
        for (size_t cut = 0; cut < out.len; cut++) {
            struct hist none = { .zero = 77 };
            struct rd part = rd_of(sv_sub(buf_sv(&out), 0, cut));
            struct err err = { 0 };
            assert_int_equal(hist_decode(&part, &none, &err), ERR_TRUNCATED);
            assert_int_equal(none.zero, 77);
        }
        add(&h, round == 0 ? -1 : (int64_t)1 << round * 12, 300);
    }
}

/* clang-format off */
static const struct { const char *name; int64_t first; uint64_t len; } bad_ranges[] = {
    { "first too low",       HIST_INDEX_MIN - 1, 1 },
    { "first too high",      HIST_INDEX_MAX + 1, 1 },
    { "one past the end",    HIST_INDEX_MAX,     2 },
    { "very long",           0,                  UINT64_MAX },
    { "first at the limit",  INT64_MIN,          3 },
};
/* clang-format on */

static void test_bad_ranges(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(bad_ranges); i++) {
        print_message("case: %s\n", bad_ranges[i].name);
        AUTO_DONE(buf) in = { 0 };
        buf_put_varint(&in, 0);
        buf_put_zigzag(&in, 0);
        buf_put_varint(&in, bad_ranges[i].len);
        buf_put_zigzag(&in, bad_ranges[i].first);
        for (int n = 0; n < 8; n++)
            buf_put_varint(&in, 1);
        struct rd r = rd_of(buf_sv(&in));
        struct hist h;
        assert_int_equal(hist_decode(&r, &h, NULL), ERR_MALFORMED);
    }
}

static void test_failing_memory(void **state)
{
    (void)state;
    AUTO_DONE(hist) h = { 0 }, far = { 0 };
    add(&h, 1000, 1);
    add(&far, 1000000000, 1);
    uint32_t len = h.len;
    mem_fail_nth(1);
    assert_int_equal(hist_add(&h, 1000000, 1), -1);
    mem_fail_nth(1);
    assert_int_equal(hist_merge(&h, &far), -1);
    mem_fail_nth(1);
    struct hist copy;
    assert_int_equal(hist_copy(&copy, &far), -1);
    mem_fail_nth(0);
    assert_int_equal(h.count, 1);
    assert_int_equal(h.len, len);
}

/* What is stored depends on the values alone: not on their order, nor on room that was made. */
static void test_order_of_values(void **state)
{
    static const int64_t values_ns[] = { 3 * NS_PER_MS, 90 * NS_PER_MS, 40000, 2 * NS_PER_S };
    AUTO_DONE(buf) first = { 0 };
    (void)state;
    for (size_t turn = 0; turn < NELEMS(values_ns); turn++) {
        AUTO_DONE(hist) h = { 0 };
        AUTO_DONE(buf) bytes = { 0 };
        assert_int_equal(hist_reserve_at(&h, turn % 2 ? 1 : 100 * NS_PER_S), 0);
        for (size_t i = 0; i < NELEMS(values_ns); i++)
            add(&h, values_ns[(i + turn) % NELEMS(values_ns)], 1);
        hist_encode(&h, turn ? &bytes : &first);
        if (turn)
            assert_true(sv_eq(buf_sv(&bytes), buf_sv(&first)));
    }
    size_t between = (size_t)(hist_index(2 * NS_PER_S) - hist_index(40000) + 1);
    assert_true(first.len < between + 16); /* a byte each */
}

/* What lay at another histogram's upper bounds is found at the same bounds. */
static void test_spread(void **state)
{
    (void)state;
    static const double ms[] = { 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500 };
    uint64_t counts[NELEMS(ms) + 1];
    AUTO_DONE(hist) h = { 0 };
    for (size_t i = 0; i < NELEMS(ms); i++)
        assert_int_equal(hist_add(&h, (int64_t)(ms[i] * 1e6), i + 1), 0);
    assert_int_equal(hist_add(&h, 0, 1), 0);
    assert_int_equal(hist_add(&h, INT64_C(60000000000), 7), 0);
    hist_spread(&h, ms, NELEMS(ms), 1e-3, counts);
    assert_int_equal(counts[0], 2);
    for (size_t i = 1; i < NELEMS(ms); i++)
        assert_int_equal(counts[i], i + 1);
    assert_int_equal(counts[NELEMS(ms)], 7);
}

static void test_share(void **state)
{
    (void)state;
    static const double cuts[] = { 0, 0.1, 1.0 / 3, 0.75, 1 };
    AUTO_DONE(hist) h = { 0 };
    AUTO_DONE(hist) sum = { 0 };
    for (int64_t i = 0; i < 50; i++)
        assert_int_equal(hist_add(&h, i * i * 1000, (uint64_t)(i * 7 + 1)), 0);
    for (size_t i = 1; i < NELEMS(cuts); i++) {
        AUTO_DONE(hist) part = { 0 };
        assert_int_equal(hist_share(&part, &h, cuts[i - 1], cuts[i]), 0);
        double want = (double)h.count * (cuts[i] - cuts[i - 1]);
        assert_true(fabs((double)part.count - want) <= (double)h.len);
        assert_int_equal(hist_merge(&sum, &part), 0);
    }
    assert_int_equal(sum.count, h.count);
    assert_int_equal(sum.zero, h.zero);
    assert_int_equal(sum.sum_ns, h.sum_ns);
    for (uint32_t i = 0; i < h.len; i++)
        assert_int_equal(sum.counts[i], h.counts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_upper),
        cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_every_bound),
        cmocka_unit_test(test_saturation),
        cmocka_unit_test(test_merge_is_addition),
        cmocka_unit_test(test_roundtrip),
        cmocka_unit_test(test_bad_ranges),
        cmocka_unit_test(test_order_of_values),
        cmocka_unit_test(test_failing_memory),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
