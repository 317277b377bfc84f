/* test_trace_ctx.c - traceparent and tracestate: what is read, refused and written. */
#include "wire/trace_ctx.h"
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN  "00f067aa0ba902b7"

/* clang-format off */
static const struct {
    const char *name, *header;
    int rc;
    bool is_sampled;
} cases[] = {
    { "sampled",           "00-" TRACE "-" SPAN "-01", 0, true },
    { "not sampled",       "00-" TRACE "-" SPAN "-00", 0, false },
    { "other flags",       "00-" TRACE "-" SPAN "-03", 0, true },
    { "future version",    "01-" TRACE "-" SPAN "-01-more", 0, true },
    { "future, bad tail",  "01-" TRACE "-" SPAN "-01more", ERR_MALFORMED, false },
    { "version 0, tail",   "00-" TRACE "-" SPAN "-01-more", ERR_MALFORMED, false },
    { "version ff",        "ff-" TRACE "-" SPAN "-01", ERR_MALFORMED, false },
    { "all-zero trace",    "00-00000000000000000000000000000000-" SPAN "-01", ERR_MALFORMED, false },
    { "all-zero span",     "00-" TRACE "-0000000000000000-01", ERR_MALFORMED, false },
    { "upper case",        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01", ERR_MALFORMED, false },
    { "not hex",           "00-4bf92f3577b34da6a3ce929d0e0e473x-" SPAN "-01", ERR_MALFORMED, false },
    { "wrong separator",   "00-" TRACE "_" SPAN "-01", ERR_MALFORMED, false },
    { "cut short",         "00-" TRACE "-", ERR_TRUNCATED, false },
    { "empty",             "", ERR_TRUNCATED, false },
};
/* clang-format on */

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct trace_ctx ctx;
        char out[TRACEPARENT_SIZE];
        print_message("case: %s\n", cases[i].name);
        assert_int_equal(traceparent_parse(sv_z(cases[i].header), &ctx, NULL), cases[i].rc);
        if (cases[i].rc != 0)
            continue;
        assert_int_equal(ctx.is_sampled, cases[i].is_sampled);
        struct sv text = traceparent_format(&ctx, out);
        assert_memory_equal(text.p + 2, cases[i].header + 2, TRACEPARENT_SIZE - 4);
    }
}

static void test_tracestate(void **state)
{
    (void)state;
    assert_true(tracestate_is_valid(SV("a=1,b@c=2 , d=x y")));
    assert_false(tracestate_is_valid(SV("")));
    assert_false(tracestate_is_valid(SV("A=1")));
    assert_false(tracestate_is_valid(SV("a")));
    assert_false(tracestate_is_valid(SV("a=b=c")));
    assert_false(tracestate_is_valid(SV("a=\x01")));
}

static void test_ids(void **state)
{
    (void)state;
    struct trace_id a = trace_id_new(), b = trace_id_new();
    assert_false(trace_id_eq(a, b));
    char u[UUID_SIZE], v[UUID_SIZE];
    struct sv x = uuid_new(u), y = uuid_new(v);
    assert_false(sv_eq(x, y));
    assert_int_equal(u[8], '-');
    assert_int_equal(u[14], '4');
    assert_int_equal(u[23], '-');
    struct span_id s = span_id_new(), t = span_id_new();
    assert_false(span_id_eq(s, t));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_tracestate),
        cmocka_unit_test(test_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
