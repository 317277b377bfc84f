/* test_traffic.c - what traffic rules are made of: rewrites, limits, header edits, hashing. */
#include "base/clock.h"
#include "base/mem.h"
#include "proxy/edits.h"
#include "proxy/limit.h"
#include "proxy/route/header_format.h"
#include "proxy/upstream/balance.h"
#include "proxy/upstream/breaker.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_text(struct sv got, const char *want)
{
    if (!sv_eq(got, sv_z(want)))
        print_message("got '%.*s', want '%s'\n", SV_ARG(got), want);
    assert_true(sv_eq(got, sv_z(want)));
}

static void test_rewrite(void **state)
{
    static const struct {
        enum rewrite_kind kind;
        const char *text, *path, *want;
        size_t prefix_len;
    } cases[] = {
        { REWRITE_NONE, "", "/a?b", "/a?b", 0 },
        { REWRITE_WHOLE, "/x", "/a/b?c=d", "/x?c=d", 0 },
        { REWRITE_WHOLE, "x", "/a", "/x", 0 },
        { REWRITE_PREFIX, "/", "/foo/x", "//x", 4 },
        { REWRITE_PREFIX, "/v2/", "/v1/x?y", "/v2/x?y", 4 },
        { REWRITE_PREFIX, "", "/foo/x", "/x", 4 },
        { REWRITE_PREFIX, "", "/foo", "/", 4 },
        { REWRITE_ELEMENTS, "/", "/foo/x", "/x", 4 },
        { REWRITE_ELEMENTS, "/bar/", "/foo/x", "/bar/x", 4 },
        { REWRITE_ELEMENTS, "/bar", "/foo", "/bar", 4 },
        { REWRITE_ELEMENTS, "/bar", "/x", "/bar/x", 1 },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        AUTO_DONE(arena) mem = { 0 };
        struct rewrite w = { .kind = cases[i].kind,
                             .text = sv_z(cases[i].text),
                             .prefix_len = cases[i].prefix_len };
        assert_text(rewrite_path(&w, sv_z(cases[i].path), &mem), cases[i].want);
    }
}

static void test_regex_rewrite(void **state)
{
    static const struct {
        const char *pattern, *text, *path, *want;
        char mark;
        bool is_whole;
    } cases[] = {
        { "^/service/([^/]+)(/.*)$", "\\2/instance/\\1", "/service/foo/v1/api?x",
          "/v1/api/instance/foo?x", '\\', false },
        { "one", "two", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/two/zzz", '\\', false },
        { "x*", "-", "/ab", "/-/-a-b-", '\\', false },
        { "nothing", "y", "/a", "/a", '\\', false },
        { "/thing(/|$)(.*)", "/$2", "/thing/a?q", "/a?q", '$', true },
        { "/a", "/$1$9$0$", "/a/rest", "//a$", '$', true },
        { "(a)?b", "/[\\1]", "/b", "/[]", '\\', true },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        AUTO_DONE(arena) mem = { 0 };
        struct regex *re = regex_new_search(sv_z(cases[i].pattern), false, false, NULL);
        struct rewrite w = { .kind = REWRITE_REGEX,
                             .text = sv_z(cases[i].text),
                             .regex = re,
                             .mark = cases[i].mark,
                             .is_whole = cases[i].is_whole };
        print_message("case: %s\n", cases[i].pattern);
        assert_non_null(re);
        assert_text(rewrite_path(&w, sv_z(cases[i].path), &mem), cases[i].want);
        regex_free(re);
    }
}

static bool take(struct limiter *l, const struct rate_limit *limit, const char *client, int64_t at)
{
    struct limit_bucket *hold;
    bool is_ok = limit_take(l, limit, sv_z(client), at, &hold);
    limit_release(hold);
    return is_ok;
}

static void test_rate(void **state)
{
    struct limiter l = { 0 };
    struct rate_limit each = { .id = SV("a"), .per_s = 2, .burst = 3, .is_per_client = true };
    struct rate_limit all = { .id = SV("b"), .per_s = 1, .burst = 1 };
    int64_t now = 1000 * NS_PER_S;
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(take(&l, &each, "10.0.0.1", now));
    assert_false(take(&l, &each, "10.0.0.1", now));
    assert_true(take(&l, &each, "10.0.0.2", now)); /* another client */
    assert_false(take(&l, &each, "10.0.0.1", now + 499 * NS_PER_MS));
    assert_true(take(&l, &each, "10.0.0.1", now + 500 * NS_PER_MS));
    assert_false(take(&l, &each, "10.0.0.1", now + 500 * NS_PER_MS));
    for (int i = 0; i < 3; i++) /* never more than the burst */
        assert_true(take(&l, &each, "10.0.0.1", now + 3600 * NS_PER_S));
    assert_false(take(&l, &each, "10.0.0.1", now + 3600 * NS_PER_S));
    assert_true(take(&l, &all, "10.0.0.1", now));
    assert_false(take(&l, &all, "10.0.0.2", now)); /* one for all */
    limiter_done(&l);
}

static void test_in_flight(void **state)
{
    struct limiter l = { 0 };
    struct limit_bucket *a, *b, *c;
    struct rate_limit two = { .id = SV("a"), .active_max = 2, .is_per_client = true };
    (void)state;
    assert_true(limit_take(&l, &two, SV("x"), 1, &a) && a);
    assert_true(limit_take(&l, &two, SV("x"), 1, &b) && b);
    assert_false(limit_take(&l, &two, SV("x"), 1, &c));
    limit_release(a);
    assert_true(limit_take(&l, &two, SV("x"), 1, &c));
    limit_release(b);
    limit_release(c);
    limiter_done(&l);
}

/* A flood of addresses takes no more memory than the bound, and is limited as one. */
static void test_buckets_are_bounded(void **state)
{
    struct limiter l = { 0 };
    struct rate_limit each = { .id = SV("a"), .per_s = 1, .burst = 2, .is_per_client = true };
    char text[32];
    int64_t now = NS_PER_S;
    size_t refused = 0;
    (void)state;
    for (int i = 0; i < LIMIT_BUCKETS_MAX + 10; i++) {
        snprintf(text, sizeof(text), "%d", i);
        refused += !take(&l, &each, text, now);
    }
    assert_int_equal(refused, 8);
    assert_true(l.buckets.len <= LIMIT_BUCKETS_MAX + 1);
    assert_true(take(&l, &each, "late", now + 60 * NS_PER_S)); /* they are full again and go */
    assert_true(l.buckets.len < 10);
    limiter_done(&l);
}

static void test_without_memory_nobody_is_refused(void **state)
{
    struct limiter l = { 0 };
    struct rate_limit each = { .id = SV("a"), .per_s = 1, .burst = 1, .is_per_client = true };
    (void)state;
    for (uint64_t nth = 1; nth < 6; nth++) {
        mem_fail_nth(nth);
        assert_true(take(&l, &each, "x", 3600 * NS_PER_S * (int64_t)nth));
        mem_fail_nth(0);
    }
    limiter_done(&l);
}

/* "op[argument] ..." of a value, or where it is wrong. */
static void test_header_formats(void **state)
{
    /* clang-format off */
    static const struct {
        const char *text;
        bool has_operators;
        size_t at;             /* of what is wrong; SIZE_MAX: nothing is */
        size_t parts;
        enum header_op op;     /* of the last part, and its text */
        const char *last;
    } cases[] = {
        { "",                                   false, SIZE_MAX, 0, 0, "" },
        { "plain",                              false, SIZE_MAX, 1, HEADER_OP_TEXT, "plain" },
        { "%PROTOCOL%",                         true,  SIZE_MAX, 1, HEADER_OP_PROTOCOL, "" },
        { "from %REQ(x-a?:authority)%",         true,  SIZE_MAX, 2, HEADER_OP_REQ, "x-a?:authority" },
        { "100%%",                              true,  SIZE_MAX, 2, HEADER_OP_TEXT, "%" },
        { "%%PROTOCOL%%",                       true,  SIZE_MAX, 3, HEADER_OP_TEXT, "%" },
        { "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", true, SIZE_MAX, 1, HEADER_OP_REMOTE_IP, "" },
        { "100%",                               true,  3, 0, 0, "" },
        { "%PROTOCOL",                          true,  0, 0, 0, "" },
        { "a%NOBODY%",                          true,  1, 0, 0, "" },
        { "%REQ%",                              true,  0, 0, 0, "" },
        { "%REQ()%",                            true,  0, 0, 0, "" },
        { "%REQ(a%",                            true,  0, 0, 0, "" },
        { "%PROTOCOL(a)%",                      true,  0, 0, 0, "" },
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct err err = { 0 };
        bool has_operators = false;
        size_t parts = 0;
        struct header_part part = { 0 };
        struct sv rest = sv_z(cases[i].text);
        print_message("case: %s\n", cases[i].text);
        int rc = header_format_check(rest, &has_operators, &err);
        assert_int_equal(has_operators, cases[i].has_operators);
        assert_int_equal(rc == 0, cases[i].at == SIZE_MAX);
        if (rc < 0) {
            assert_int_equal(err.at, cases[i].at);
            continue;
        }
        while (header_format_next(&rest, &part))
            parts++;
        assert_int_equal(parts, cases[i].parts);
        assert_int_equal(part.op, cases[i].op);
        assert_true(sv_eq(part.text, sv_z(cases[i].last)));
    }
}

static void test_edits(void **state)
{
    static const struct header_edit first[] = {
        { HEADER_REMOVE, { "x-gone", 6 }, { NULL, 0 }, false },
        { HEADER_SET, { "x-set", 5 }, { "1", 1 }, false },
        { HEADER_ADD, { "x-more", 6 }, { "1", 1 }, false },
    };
    static const struct header_edit second[] = {
        { HEADER_SET, { "X-Set", 5 }, { "2", 1 }, false },
        { HEADER_ADD, { "x-more", 6 }, { "2", 1 }, false },
    };
    const struct header_edits a = { first, 3 }, b = { second, 2 }, none = { NULL, 0 };
    AUTO_DONE(buf) text = { 0 };
    struct edits e = { 0 };
    (void)state;
    edits_push(&e, NULL);
    edits_push(&e, &none);
    assert_int_equal(e.len, 0);
    edits_push(&e, &a);
    edits_push(&e, &b);
    assert_true(edits_hide(&e, SV("X-Gone")));
    assert_true(edits_hide(&e, SV("x-set")));
    assert_false(edits_hide(&e, SV("x-more")));
    edits_put(&e, NULL, &text);
    assert_text(buf_sv(&text), "x-more: 1\r\nX-Set: 2\r\nx-more: 2\r\n");
}

static void test_hash_keeps_its_endpoint(void **state)
{
    enum { N = 5, KEYS = 1000 };
    struct endpoint all[N] = { { .id = 0 } };
    const struct endpoint *list[N];
    char texts[N][16];
    uint32_t active[N] = { 0 };
    size_t got[N] = { 0 }, moved = 0;
    (void)state;
    for (uint32_t i = 0; i < N; i++) {
        snprintf(texts[i], sizeof(texts[i]), "10.0.0.%u:80", i);
        all[i].text = sv_z(texts[i]);
        all[i].id = i;
        list[i] = &all[i];
    }
    struct cluster five = { .endpoints = list, .endpoints_len = N };
    struct cluster four = { .endpoints = list, .endpoints_len = N - 1 };
    for (uint64_t key = 0; key < KEYS; key++) {
        struct balance_ask ask = { .active = active, .hash = &key, .random = key << 40 };
        const struct endpoint *e = balance_pick(&five, &ask), *less = balance_pick(&four, &ask);
        assert_ptr_equal(balance_pick(&five, &ask), e);
        got[e->id]++;
        if (e->id == N - 1)
            moved++;
        else
            assert_ptr_equal(less, e); /* who had another one keeps it */
        ask.tried = &e;
        ask.tried_len = 1;
        assert_ptr_not_equal(balance_pick(&five, &ask), e);
    }
    for (size_t i = 0; i < N; i++)
        assert_in_range(got[i], KEYS / N / 2, KEYS / N * 2);
    assert_int_equal(moved, got[N - 1]);
}

static void run_nothing(struct defer *d)
{
    (void)d;
}

static void test_breaker(void **state)
{
    struct pool_limits narrow = { .connections_max = 1,
                                  .pending_max = 1,
                                  .requests_max = 3,
                                  .retries_max = 1,
                                  .per_connection_max = UINT32_MAX };
    struct cluster c = { .name = SV("outbound|80||a"), .limits = &narrow };
    struct breaker_seat s[4] = { { .use = NULL } };
    struct breakers all = { 0 };
    struct loop *loop = loop_new(NULL);
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(breaker_begin(&all, &s[i], &c));
    assert_false(breaker_begin(&all, &s[3], &c));
    assert_int_equal(breaker_connect(&s[0]), BREAKER_GO);
    assert_int_equal(breaker_connect(&s[0]), BREAKER_GO); /* it has one */
    assert_int_equal(breaker_connect(&s[1]), BREAKER_WAIT);
    assert_int_equal(breaker_connect(&s[1]), BREAKER_WAIT);
    assert_int_equal(breaker_connect(&s[2]), BREAKER_FULL);
    assert_true(breaker_retry(&s[0]) && breaker_retry(&s[0]));
    assert_false(breaker_retry(&s[1]));
    breaker_end(&s[0], loop, run_nothing);
    assert_true(s[1].has_turn && breaker_connect(&s[1]) == BREAKER_GO);
    assert_int_equal(breaker_connect(&s[2]), BREAKER_WAIT); /* the place is taken */
    breaker_end(&s[2], loop, run_nothing);                  /* it left the queue */
    breaker_end(&s[1], loop, run_nothing);
    breaker_end(&s[3], loop, run_nothing);
    assert_true(breaker_begin(&all, &s[0], &c) && breaker_connect(&s[0]) == BREAKER_GO);
    breaker_end(&s[0], loop, run_nothing);
    breakers_done(&all);
    loop_free(loop);
}

/* retryBudget: a share of the requests at once, and a few in any case. */
static void test_retry_budget(void **state)
{
    static const struct {
        double percent;
        uint32_t least;
        int requests, retries;
    } cases[] = {
        { 20, 3, 10, 3 }, { 20, 0, 10, 2 }, { 50, 1, 10, 5 }, { 0, 0, 10, 0 }, { 100, 0, 10, 10 }
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct pool_limits limits = { .connections_max = UINT32_MAX,
                                      .pending_max = UINT32_MAX,
                                      .requests_max = UINT32_MAX,
                                      .retries_max = 1, /* is not asked */
                                      .has_budget = true,
                                      .budget_percent = cases[i].percent,
                                      .budget_min = cases[i].least };
        struct cluster c = { .name = SV("outbound|80||a"), .limits = &limits };
        struct breaker_seat s[10] = { { .use = NULL } };
        struct breakers all = { 0 };
        struct loop *loop = loop_new(NULL);
        int retries = 0;
        for (int k = 0; k < cases[i].requests; k++)
            assert_true(breaker_begin(&all, &s[k], &c));
        for (int k = 0; k < cases[i].requests; k++)
            retries += breaker_retry(&s[k]);
        assert_int_equal(retries, cases[i].retries);
        for (int k = 0; k < cases[i].requests; k++)
            breaker_end(&s[k], loop, run_nothing);
        breakers_done(&all);
        loop_free(loop);
    }
}

static void test_round_robin(void **state)
{
    struct endpoint all[3] = { { .text = SV("a") }, { .text = SV("b") }, { .text = SV("c") } };
    const struct endpoint *list[3] = { &all[0], &all[1], &all[2] };
    struct cluster c = { .endpoints = list, .endpoints_len = 3, .lb = LB_ROUND_ROBIN };
    uint32_t cursor = 0, active[1] = { 0 };
    const struct endpoint *tried = &all[0];
    struct balance_ask ask = { .active = active, .cursor = &cursor };
    (void)state;
    for (size_t i = 0; i < 9; i++)
        assert_ptr_equal(balance_pick(&c, &ask), list[i % 3]);
    ask.tried = &tried;
    ask.tried_len = 1;
    for (size_t i = 0; i < 9; i++)
        assert_ptr_not_equal(balance_pick(&c, &ask), tried);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rewrite),
        cmocka_unit_test(test_regex_rewrite),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_in_flight),
        cmocka_unit_test(test_buckets_are_bounded),
        cmocka_unit_test(test_without_memory_nobody_is_refused),
        cmocka_unit_test(test_header_formats),
        cmocka_unit_test(test_edits),
        cmocka_unit_test(test_hash_keeps_its_endpoint),
        cmocka_unit_test(test_retry_budget),
        cmocka_unit_test(test_breaker),
        cmocka_unit_test(test_round_robin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
