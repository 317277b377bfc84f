/* test_evidence.c - which reporter's column counts. */
#include "model/evidence.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { NONE = 0, S = 1 << REPORTER_SOURCE, D = 1 << REPORTER_DESTINATION };
enum { P = 1 << REPORTER_PAIR, L = 1 << REPORTER_SPAN, C = 1 << REPORTER_SCRAPE };

static const struct {
    const char *name;
    int before, at, after;
    int want; /* REPORTERS_LEN: none counts */
} cases[] = {
    { "nothing", NONE, NONE, NONE, REPORTERS_LEN },
    { "caller alone", NONE, S, NONE, REPORTER_SOURCE },
    { "both proxies", NONE, S | D, NONE, REPORTER_SOURCE },
    { "all four", S | D | P | L, S | D | P | L, S | D | P | L, REPORTER_SOURCE },
    { "callee alone", NONE, D, NONE, REPORTER_DESTINATION },
    { "callee before pair", NONE, D | P, NONE, REPORTER_DESTINATION },
    { "pair before span", NONE, P | L, NONE, REPORTER_PAIR },
    { "span alone", NONE, L, NONE, REPORTER_SPAN },
    { "counters alone", NONE, C, NONE, REPORTER_SCRAPE },
    { "span before counters", NONE, L | C, NONE, REPORTER_SPAN },
    { "counters beside a span", L, C, NONE, REPORTERS_LEN },
    { "caller in the bucket before", S, D, NONE, REPORTERS_LEN },
    { "caller in the bucket after", NONE, D, S, REPORTERS_LEN },
    { "callee beside a pair", D, P, NONE, REPORTERS_LEN },
    { "span beside a pair", NONE, L, P, REPORTERS_LEN },
    { "worse ones beside do not matter", D | P, S, L, REPORTER_SOURCE },
    { "the same beside", D, D, D, REPORTER_DESTINATION },
};

static void test_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: %s\n", cases[i].name);
        assert_int_equal(evidence_of((reporter_set)cases[i].before, (reporter_set)cases[i].at,
                                     (reporter_set)cases[i].after),
                         cases[i].want);
    }
}

static void test_reporters_of(void **state)
{
    struct edge_cell seen = { .requests = 1 }, empty = { 0 };
    struct edge_bucket b = { .cells = { &empty, &seen, NULL, &seen } };
    (void)state;
    assert_int_equal(reporters_of(&b), D | L);
    assert_int_equal(reporters_best(0), REPORTERS_LEN);
    assert_int_equal(reporters_best(P | L), REPORTER_PAIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule),
        cmocka_unit_test(test_reporters_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
