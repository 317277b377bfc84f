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

static void test_from_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ns; /* -1: refused */
    } cases[] = {
        { "1970-01-01T00:00:00Z", 0 },
        { "2026-01-02T03:04:05.678Z", INT64_C(1767323045678000000) },
        { "2026-01-02T05:04:05.678000001+02:00", INT64_C(1767323045678000001) },
        { "2024-02-29t00:00:00z", INT64_C(1709164800000000000) },
        { "2023-02-29T00:00:00Z", -1 },
        { "2026-01-02 03:04:05Z", -1 },
        { "2026-01-02T03:04:05", -1 },
        { "2026-01-02T24:04:05Z", -1 },
        { "2026-01-02T03:04:05.Z", -1 },
        { "2026-01-02T03:04:05.0123456789Z", -1 },
        { "1969-12-31T23:59:59Z", -1 },
        { "2201-01-01T00:00:00Z", -1 },
        { "2026-01-02T03:04:05Z ", -1 },
        { "", -1 },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        int64_t ns = -1;
        print_message("%s\n", cases[i].text);
        assert_int_equal(clock_from_rfc3339(sv_z(cases[i].text), &ns), cases[i].ns >= 0);
        assert_int_equal(ns, cases[i].ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_fake), cmocka_unit_test(test_text),
                                        cmocka_unit_test(test_from_text) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
