/* test_compare.c - two windows, two versions: what is new, gone, worse, better, or not to be told. */
#include "../sample.h"
#include "base/mem.h"
#include "query/compare.h"
#include <math.h>

/* Requests of one edge in the window from T0 (base) or a minute later. */
struct traffic {
    const char *source, *destination, *version;
    bool is_candidate;
    int requests, failed;
    int64_t ms; /* of each; every tenth takes ten times that */
};

static void feed(struct view_builder *b, const struct traffic *t, int64_t at_ns)
{
    struct edge e = { .source = sample_who(sv_z(t->source), SV("v1")),
                      .destination = sample_who(sv_z(t->destination), sv_z(t->version)),
                      .destination_service = SV("host") };
    struct edge_bucket bucket = { .edge = &e, .start_ns = at_ns, .width_ns = BUCKET_NS };
    struct edge_cell *cell = edge_bucket_cell(&bucket, REPORTER_SOURCE);
    for (int i = 0; i < t->requests; i++) {
        struct call c = sample_call(SV("x"), SV("y"), REPORTER_SOURCE, at_ns,
                                    i < t->failed ? 503 : 200);
        c.duration_ns = t->ms * NS_PER_MS * (i % 10 ? 1 : 10);
        assert_int_equal(edge_cell_add(cell, &c), 0);
    }
    assert_int_equal(view_builder_add(b, &bucket), 0);
    edge_bucket_done(&bucket);
}

static void read_view(const struct traffic *list, size_t n, enum granularity g, int64_t from_ns,
                      bool is_candidate, struct view *ret)
{
    struct view_wish w = { .window = { from_ns, from_ns + 60 * NS_PER_S }, .granularity = g };
    AUTO_FREE(view_builder) b = view_builder_new(&w);
    for (size_t i = 0; i < n && list[i].source; i++)
        if (g == GRANULARITY_VERSIONED_APP || list[i].is_candidate == is_candidate)
            feed(b, &list[i], from_ns);
    assert_int_equal(view_builder_finish(b, ret, NULL), 0);
}

/* clang-format off */
static const struct {
    const char *name;
    struct traffic traffic[2];
    enum compare_verdict errors, latency, rate, all;
    const char *error_test;
} cases[] = {
    { "nothing changed",
      { { "a", "b", "v1", false, 600, 6, 10 }, { "a", "b", "v2", true, 600, 6, 10 } },
      COMPARE_SAME, COMPARE_SAME, COMPARE_SAME, COMPARE_SAME, "two-proportion z-test" },
    { "more errors",
      { { "a", "b", "v1", false, 600, 6, 10 }, { "a", "b", "v2", true, 600, 60, 10 } },
      COMPARE_WORSE, COMPARE_SAME, COMPARE_SAME, COMPARE_WORSE, "two-proportion z-test" },
    { "fewer errors, few of them",
      { { "a", "b", "v1", false, 100, 9, 10 }, { "a", "b", "v2", true, 100, 0, 10 } },
      COMPARE_BETTER, COMPARE_SAME, COMPARE_SAME, COMPARE_BETTER, "Fisher's exact test" },
    { "one error more is chance",
      { { "a", "b", "v1", false, 100, 0, 10 }, { "a", "b", "v2", true, 100, 1, 10 } },
      COMPARE_SAME, COMPARE_SAME, COMPARE_SAME, COMPARE_SAME, "Fisher's exact test" },
    { "slower",
      { { "a", "b", "v1", false, 300, 0, 10 }, { "a", "b", "v2", true, 300, 0, 20 } },
      COMPARE_SAME, COMPARE_WORSE, COMPARE_SAME, COMPARE_WORSE, "Fisher's exact test" },
    { "faster",
      { { "a", "b", "v1", false, 300, 0, 20 }, { "a", "b", "v2", true, 300, 0, 10 } },
      COMPARE_SAME, COMPARE_BETTER, COMPARE_SAME, COMPARE_BETTER, "Fisher's exact test" },
    { "faster, but it fails",
      { { "a", "b", "v1", false, 300, 0, 20 }, { "a", "b", "v2", true, 300, 90, 10 } },
      COMPARE_WORSE, COMPARE_BETTER, COMPARE_SAME, COMPARE_WORSE, "two-proportion z-test" },
    { "three times the traffic",
      { { "a", "b", "v1", false, 300, 0, 10 }, { "a", "b", "v2", true, 900, 0, 10 } },
      COMPARE_SAME, COMPARE_SAME, COMPARE_WORSE, COMPARE_SAME, "Fisher's exact test" },
    { "too little",
      { { "a", "b", "v1", false, 900, 0, 10 }, { "a", "b", "v2", true, 29, 29, 90 } },
      COMPARE_TOO_LITTLE, COMPARE_TOO_LITTLE, COMPARE_TOO_LITTLE, COMPARE_TOO_LITTLE, NULL },
    { "new",
      { { "a", "b", "v2", true, 900, 0, 10 } },
      COMPARE_TOO_LITTLE, COMPARE_TOO_LITTLE, COMPARE_TOO_LITTLE, COMPARE_TOO_LITTLE, NULL },
};
/* clang-format on */

static void test_windows(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        AUTO_DONE(view) base = { 0 };
        AUTO_DONE(view) candidate = { 0 };
        AUTO_DONE(comparison) c = { 0 };
        print_message("case: %s\n", cases[i].name);
        read_view(cases[i].traffic, 2, GRANULARITY_SERVICE, T0, false, &base);
        read_view(cases[i].traffic, 2, GRANULARITY_SERVICE, T0 + 60 * NS_PER_S, true, &candidate);
        assert_int_equal(compare_windows(&base, 60, &candidate, 60, &c, NULL), 0);
        assert_int_equal(c.len, 1);
        assert_int_equal(c.pairs[0].errors.verdict, cases[i].errors);
        assert_int_equal(c.pairs[0].latency.verdict, cases[i].latency);
        assert_int_equal(c.pairs[0].rate.verdict, cases[i].rate);
        assert_int_equal(c.pairs[0].verdict, cases[i].all);
        assert_int_equal(c.verdict, cases[i].all);
        if (cases[i].error_test)
            assert_string_equal(c.pairs[0].errors.test, cases[i].error_test);
        else
            assert_null(c.pairs[0].errors.test);
    }
}

/* The canary v2 of b is slower to its callers and towards c; a > c has nothing to do with it. */
static const struct traffic canary[] = {
    { "a", "b", "v1", false, 900, 0, 10 },
    { "a", "b", "v2", false, 100, 0, 30 },
    { "x", "b", "v1", false, 50, 0, 10 },
    { "a", "c", "v1", false, 500, 0, 10 },
};

static void test_versions(void **state)
{
    const struct compare_versions w = { .service = SV("b"),
                                        .base = SV("v1"),
                                        .candidate = SV("v2") };
    AUTO_DONE(view) v = { 0 };
    AUTO_DONE(view) again = { 0 };
    AUTO_DONE(comparison) c = { 0 };
    AUTO_DONE(comparison) none = { 0 };
    (void)state;
    read_view(canary, NELEMS(canary), GRANULARITY_VERSIONED_APP, T0, false, &v);
    assert_int_equal(compare_versions(&w, &v, 60, &c, NULL), 0);
    assert_int_equal(c.len, 2);
    assert_true(sv_eq(c.pairs[0].source.service, SV("a")));
    assert_int_equal(c.pairs[0].base.requests, 900);
    assert_int_equal(c.pairs[0].candidate.requests, 100);
    assert_int_equal(c.pairs[0].verdict, COMPARE_WORSE);
    assert_null(c.pairs[0].rate.test);
    assert_int_equal(c.pairs[1].candidate.requests, 0);
    assert_int_equal(c.tests, 2);
    struct compare_versions elsewhere = w;
    elsewhere.namespace = SV("elsewhere");
    read_view(canary, NELEMS(canary), GRANULARITY_VERSIONED_APP, T0, false, &again);
    assert_int_equal(compare_versions(&elsewhere, &again, 60, &none, NULL), 0);
    assert_int_equal(none.len, 0);
    assert_int_equal(none.verdict, COMPARE_TOO_LITTLE);
}

/* A change that one test would call significant is not one among a hundred. */
static void test_many_edges(void **state)
{
    enum { EDGES = 100 };
    static struct traffic list[2 * EDGES];
    static char names[EDGES][8];
    AUTO_DONE(view) base = { 0 };
    AUTO_DONE(view) candidate = { 0 };
    AUTO_DONE(comparison) c = { 0 };
    (void)state;
    for (int i = 0; i < EDGES; i++) {
        snprintf(names[i], sizeof(names[i]), "s%d", i);
        list[2 * i] = (struct traffic){ "a", names[i], "v1", false, 100, 2, 10 };
        list[2 * i + 1] = (struct traffic){ "a", names[i], "v1", true, 100, i ? 2 : 10, 10 };
    }
    read_view(list, NELEMS(list), GRANULARITY_SERVICE, T0, false, &base);
    read_view(list, NELEMS(list), GRANULARITY_SERVICE, T0 + 60 * NS_PER_S, true, &candidate);
    assert_int_equal(compare_windows(&base, 60, &candidate, 60, &c, NULL), 0);
    assert_int_equal(c.len, EDGES);
    assert_int_equal(c.verdict, COMPARE_SAME);
    double least = 1, least_adjusted = 1;
    for (size_t i = 0; i < c.len; i++) {
        least = fmin(least, c.pairs[i].errors.p);
        least_adjusted = fmin(least_adjusted, c.pairs[i].errors.p_adjusted);
    }
    assert_true(least < 0.05 && least_adjusted > 0.05);
}

static void test_memory(void **state)
{
    (void)state;
    for (size_t n = 1;; n++) {
        AUTO_DONE(view) base = { 0 };
        AUTO_DONE(view) candidate = { 0 };
        AUTO_DONE(comparison) c = { 0 };
        read_view(cases[0].traffic, 2, GRANULARITY_SERVICE, T0, false, &base);
        read_view(cases[0].traffic, 2, GRANULARITY_SERVICE, T0, true, &candidate);
        mem_fail_nth(n);
        int rc = compare_windows(&base, 60, &candidate, 60, &c, NULL);
        mem_fail_nth(0);
        if (rc == 0)
            break;
        assert_int_equal(rc, ERR_NOMEM);
    }
    for (size_t n = 1;; n++) {
        const struct compare_versions w = { .service = SV("b"),
                                            .base = SV("v1"),
                                            .candidate = SV("v2") };
        AUTO_DONE(view) v = { 0 };
        AUTO_DONE(comparison) c = { 0 };
        read_view(canary, NELEMS(canary), GRANULARITY_VERSIONED_APP, T0, false, &v);
        mem_fail_nth(n);
        int rc = compare_versions(&w, &v, 60, &c, NULL);
        mem_fail_nth(0);
        if (rc == 0)
            break;
        assert_int_equal(rc, ERR_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_many_edges),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
