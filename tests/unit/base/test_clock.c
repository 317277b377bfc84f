/* test_clock.c - standing still for tests, and times as text before and after 1970. */
#include "base/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_fake(void **state)
{
    (void)state;
    clock_fake(11, 22);
    assert_int_equal(clock_wall_ns(), 11);
    assert_int_equal(clock_mono_ns(), 22);
    clock_real();
    assert_true(clock_wall_ns() > INT64_C(1600000000) * NS_PER_S);
    int64_t before_ns = clock_mono_ns();
    assert_true(clock_mono_ns() >= before_ns);
}

static void test_text(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        { 0, "1970-01-01T00:00:00.000Z" },
        { INT64_C(1767323045678999999), "2026-01-02T03:04:05.678Z" },
        { -1, "1969-12-31T23:59:59.999Z" },
        { -NS_PER_S, "1969-12-31T23:59:59.000Z" },
        { INT64_MAX, "2262-04-11T23:47:16.854Z" },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        char out[CLOCK_RFC3339_SIZE];
        assert_string_equal(clock_rfc3339(cases[i].ns, out), cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_fake), cmocka_unit_test(test_text) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
