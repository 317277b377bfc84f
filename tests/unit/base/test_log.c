/* test_log.c - a line's shape, escaping of what peers send, levels, lines that are too long. */
#include "base/log.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static char captured[8192];

/* Runs write_line() with stderr going to a pipe. */
static const char *capture(void (*write_line)(void))
{
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    write_line();
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t n = read(ends[0], captured, sizeof(captured) - 1);
    close(ends[0]);
    captured[MAX(n, 0)] = '\0';
    return captured;
}

static void write_values(void)
{
    LOG_INFO("a.b", KV_STR("s", "plain"), KV_STR("q", "two words"), KV_SV("none", SV_NONE),
             KV_SV("peer", SV("\"\\\n\xff=")), KV_UINT("u", UINT64_MAX), KV_INT("i", -1),
             KV_NSEC("ns", 1500), KV_NSEC("ms", 38 * NS_PER_MS), KV_NSEC("sec", 2 * NS_PER_S),
             KV_DOUBLE("d", 0.25));
}

static void test_values(void **state)
{
    (void)state;
    clock_fake(INT64_C(1767323045678000000), 1);
    assert_string_equal(capture(write_values),
                        "t=2026-01-02T03:04:05.678Z lvl=info ev=a.b s=plain q=\"two words\" "
                        "none=\"\" peer=\"\\\"\\\\\\x0a\\xff=\" u=18446744073709551615 i=-1 "
                        "ns=1.5us ms=38ms sec=2s d=0.25\n");
    clock_real();
}

static void write_long(void)
{
    char text[5000];
    memset(text, 'x', sizeof(text));
    LOG_WARN("long", KV_SV("v", sv_of(text, sizeof(text))));
}

static void test_long_line_is_cut(void **state)
{
    (void)state;
    const char *line = capture(write_long);
    assert_true(strlen(line) <= 2048);
    assert_int_equal(line[strlen(line) - 1], '\n');
}

static void write_debug(void)
{
    LOG_DEBUG("quiet");
}

static void write_often(void)
{
    for (int i = 0; i < 10; i++)
        LOG_EVERY(NS_PER_S, LOG_WARN, "often", KV_INT("i", i));
}

static void test_levels_and_rate(void **state)
{
    (void)state;
    enum log_level level;
    assert_string_equal(capture(write_debug), "");
    assert_true(log_level_from_sv(SV("debug"), &level));
    log_set_level(level);
    assert_non_null(strstr(capture(write_debug), "ev=quiet"));
    log_set_level(LOG_LEVEL_INFO);
    assert_false(log_level_from_sv(SV("loud"), &level));
    const char *lines = capture(write_often);
    assert_non_null(strstr(lines, "i=0"));
    assert_null(strstr(lines, "i=1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_long_line_is_cut),
        cmocka_unit_test(test_levels_and_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
