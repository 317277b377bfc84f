/* test_params.c - strict parameters: what is taken, what is refused, and who is blamed. */
#include "../sample.h"
#include "base/mem.h"
#include "query/params.h"

static const struct param_rule rules[] = {
    { "window", false }, { "from", false }, { "to", false },
    { "limit", false },  { "attr", true },  { NULL, false },
};

static const struct {
    const char *query;
    const char *bad; /* NULL: fine; "": the query as a whole */
} parses[] = {
    { "", NULL },
    { "limit=5", NULL },
    { "limit=5&window=60s", NULL },
    { "attr=a=b&attr=c=d", NULL },
    { "&&limit=5&", NULL },
    { "limit=", NULL },
    { "limit=%35", NULL },
    { "li%6dit=5", NULL },
    { "limits=5", "limits" },
    { "limit=5&limit=5", "limit" },
    { "Limit=5", "Limit" },
    { "=5", "" },
    { "limit=%", "" },
    { "limit=%4", "" },
    { "limit=%zz", "" },
    { "limit=%00", "" },
    { "limit=%ff", "" },
    { "%=5", "" },
    { "limit", NULL },
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(parses); i++) {
        struct params p;
        print_message("case: %s\n", parses[i].query);
        int rc = params_parse(&p, sv_z(parses[i].query), rules, T0);
        assert_int_equal(rc, parses[i].bad ? -1 : 0);
        assert_int_equal(p.why[0] != '\0', rc < 0);
        if (parses[i].bad && !sv_eq(p.bad, sv_z(parses[i].bad)))
            fail_msg("blames %.*s, not %s", SV_ARG(p.bad), parses[i].bad);
        params_done(&p);
    }
}

static void test_values(void **state)
{
    AUTO_DONE(params) p = { 0 };
    struct sv v;
    (void)state;
    assert_int_equal(params_parse(&p, SV("limit=a%20b+c&attr=x%3Dy=%C3%A9"), rules, T0), 0);
    assert_true(params_get(&p, "limit", &v));
    assert_true(sv_eq(v, SV("a b c")));
    assert_true(params_get(&p, "attr", &v));
    assert_true(sv_eq(v, SV("x=y=\xc3\xa9")));
    assert_false(params_get(&p, "from", &v));
}

static void test_too_much(void **state)
{
    char query[PARAM_TEXT_MAX + 2];
    struct params p;
    size_t n = 0;
    (void)state;
    memset(query, 'a', sizeof(query));
    assert_int_equal(params_parse(&p, sv_of(query, sizeof(query)), rules, T0), -1);
    params_done(&p);
    for (int i = 0; i <= PARAMS_MAX; i++)
        n += (size_t)snprintf(query + n, sizeof(query) - n, "attr=a&");
    assert_int_equal(params_parse(&p, sv_of(query, n), rules, T0), -1);
    assert_true(sv_eq(p.bad, SV("attr")));
    params_done(&p);
}

static const struct {
    const char *text;
    int64_t want_ns; /* -1: refused */
} times[] = {
    { "0", 0 },
    { "1790000000", T0 },
    { "1790000000000", T0 },
    { "1790000000000000", T0 },
    { "1790000000000000000", T0 },
    { "2026-09-21T14:13:20Z", T0 },
    { "2026-09-21t14:13:20z", T0 },
    { "2026-09-21T16:13:20+02:00", T0 },
    { "2026-09-21T16:13:20 02:00", T0 },
    { "2026-09-21T09:43:20-04:30", T0 },
    { "2026-09-21T14:13:20.5Z", T0 + NS_PER_S / 2 },
    { "2026-09-21T14:13:20.000000001Z", T0 + 1 },
    { "1970-01-01T00:00:00Z", 0 },
    { "2024-02-29T00:00:00Z", INT64_C(1709164800) * NS_PER_S },
    { "2023-02-29T00:00:00Z", -1 },
    { "1969-12-31T23:59:59Z", -1 },
    { "1970-01-01T00:00:00+01:00", -1 },
    { "2026-13-01T00:00:00Z", -1 },
    { "2026-00-01T00:00:00Z", -1 },
    { "2026-09-31T00:00:00Z", -1 },
    { "2026-09-21T24:00:00Z", -1 },
    { "2026-09-21T14:13:20", -1 },
    { "2026-09-21 14:13:20Z", -1 },
    { "2026-09-21T14:13:20.Z", -1 },
    { "2026-09-21T14:13:20.1234567890Z", -1 },
    { "2026-09-21T14:13:20Zx", -1 },
    { "9999-01-01T00:00:00Z", -1 },
    { "9999999999", -1 },
    { "9999999999999999999", -1 },
    { "18446744073709551615", -1 },
    { "-1", -1 },
    { "1e9", -1 },
    { "", -1 },
    { "now", -1 },
};

static void test_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(times); i++) {
        int64_t got = -1;
        print_message("case: %s\n", times[i].text);
        assert_int_equal(time_from_sv(sv_z(times[i].text), &got), times[i].want_ns >= 0);
        assert_int_equal(got, times[i].want_ns);
    }
}

#define HOUR (3600 * NS_PER_S)

static const struct {
    const char *query;
    int64_t from_ns, to_ns;
    const char *bad; /* NULL: fine */
} windows[] = {
    { "", T0 - 60 * NS_PER_S, T0, NULL },
    { "window=5m", T0 - 300 * NS_PER_S, T0, NULL },
    { "window=24h", T0 - 24 * HOUR, T0, NULL },
    { "from=1789999990", T0 - 10 * NS_PER_S, T0, NULL },
    { "from=1789999990&to=1789999995", T0 - 10 * NS_PER_S, T0 - 5 * NS_PER_S, NULL },
    { "from=1790000000&to=1790000000", T0, T0, NULL },
    { "from=1790000000&to=1790000010", T0, T0 + 10 * NS_PER_S, NULL },
    { "window=60", 0, 0, "window" },
    { "window=0s", 0, 0, "window" },
    { "window=-5s", 0, 0, "window" },
    { "window=25h", 0, 0, "window" },
    { "window=99999999999999999999h", 0, 0, "window" },
    { "window=60s&from=1789999990", 0, 0, "window" },
    { "to=1790000000", 0, 0, "from" },
    { "from=1790000001", 0, 0, "from" },
    { "from=1789999995&to=1789999990", 0, 0, "from" },
    { "from=1700000000", 0, 0, "from" },
    { "from=yesterday", 0, 0, "from" },
    { "from=1789999990&to=x", 0, 0, "to" },
};

static void test_windows(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(windows); i++) {
        AUTO_DONE(params) p = { 0 };
        struct window w = { 0, 0 };
        print_message("case: %s\n", windows[i].query);
        assert_int_equal(params_parse(&p, sv_z(windows[i].query), rules, T0), 0);
        int rc = params_window(&p, 60 * NS_PER_S, 24 * HOUR, &w);
        assert_int_equal(rc, windows[i].bad ? -1 : 0);
        assert_int_equal(w.from_ns, windows[i].from_ns);
        assert_int_equal(w.to_ns, windows[i].to_ns);
        if (windows[i].bad)
            assert_true(sv_eq(p.bad, sv_z(windows[i].bad)));
    }
}

static void test_typed(void **state)
{
    AUTO_DONE(params) p = { 0 };
    uint64_t n = 7;
    size_t at = 9;
    (void)state;
    assert_int_equal(params_parse(&p, SV("limit=12&from=b"), rules, T0), 0);
    assert_int_equal(params_u64(&p, "to", 1, 20, &n), 0);
    assert_int_equal(n, 7);
    assert_int_equal(params_u64(&p, "limit", 1, 20, &n), 0);
    assert_int_equal(n, 12);
    assert_int_equal(params_choice(&p, "from", "a|b|c", &at), 0);
    assert_int_equal(at, 1);
    assert_int_equal(params_u64(&p, "limit", 1, 10, &n), -1);
    assert_int_equal(n, 12);
    assert_int_equal(params_choice(&p, "from", "a|c", &at), -1);
    assert_true(sv_eq(p.bad, SV("limit"))); /* the first fault stays */
}

static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 3; nth++) {
        struct params p;
        mem_fail_nth(nth);
        int rc = params_parse(&p, SV("limit=5"), rules, T0);
        mem_fail_nth(0);
        assert_int_equal(rc < 0, p.why[0] != '\0');
        params_done(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),     cmocka_unit_test(test_values),
        cmocka_unit_test(test_too_much),  cmocka_unit_test(test_times),
        cmocka_unit_test(test_windows),   cmocka_unit_test(test_typed),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
