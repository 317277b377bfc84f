/* test_flag.c - values of every type, precedence of the four sources, what is refused. */
#include "base/flag.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

struct conf {
    const char *name, *mode;
    bool is_on;
    uint64_t n, bytes;
    uint16_t port;
    int64_t wait_ns;
    double share;
};
#define OFF(field) offsetof(struct conf, field)
static const struct flag rows[] = {
    { "name", FLAG_STR, OFF(name), "x", "a text", NULL },
    { "mode", FLAG_CHOICE, OFF(mode), "slow", "a choice", "slow|fast" },
    { "on", FLAG_BOOL, OFF(is_on), "false", "a switch", NULL },
    { "count", FLAG_UINT, OFF(n), "3", "a number", NULL },
    { "max-bytes", FLAG_BYTES, OFF(bytes), "8MiB", "a size", NULL },
    { "port", FLAG_PORT, OFF(port), "80", "a port", NULL },
    { "wait", FLAG_NSEC, OFF(wait_ns), "1m30s", "a duration", NULL },
    { "share", FLAG_DOUBLE, OFF(share), "0.5", "a share", NULL },
};
static const struct flag_table table = { "prog", "a program", NULL, rows, NELEMS(rows) };
static const struct flag_table with_operands = { "prog", "a program", " FILE", rows, NELEMS(rows) };

static int parse(struct conf *c, struct arena *mem, char **argv, struct err *err)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    return flag_parse(&table, c, mem, argc, argv, NULL, err);
}

static void test_defaults(void **state)
{
    (void)state;
    AUTO_DONE(arena) mem = { 0 };
    struct conf c;
    assert_int_equal(parse(&c, &mem, (char *[]){ "prog", NULL }, NULL), FLAG_RUN);
    assert_string_equal(c.name, "x");
    assert_string_equal(c.mode, "slow");
    assert_false(c.is_on);
    assert_int_equal(c.n, 3);
    assert_int_equal(c.bytes, 8 << 20);
    assert_int_equal(c.port, 80);
    assert_int_equal(c.wait_ns, INT64_C(90000000000));
    assert_true(c.share == 0.5);
}

static void test_precedence(void **state)
{
    (void)state;
    AUTO_DONE(arena) mem = { 0 };
    struct conf c;
    char path[] = "/tmp/test_flag_XXXXXX";
    int fd = mkstemp(path);
    static const char yaml[] = "# three of them\ncount: 10\nport: 1000\nmax-bytes: 2KiB\n";
    assert_int_equal(write(fd, yaml, sizeof(yaml) - 1), sizeof(yaml) - 1);
    close(fd);
    setenv("TULLE_PORT", "2000", 1);
    setenv("TULLE_MAX_BYTES", "3K", 1);
    char *argv[] = { "prog", "--max-bytes=4k", "--config-file", path, NULL };
    struct err err = { 0 };
    assert_int_equal(parse(&c, &mem, argv, &err), ERR_USAGE); /* k is no unit */
    argv[1] = "--max-bytes=4K";
    assert_int_equal(parse(&c, &mem, argv, NULL), FLAG_RUN);
    unsetenv("TULLE_PORT");
    unsetenv("TULLE_MAX_BYTES");
    unlink(path);
    assert_int_equal(c.n, 10);
    assert_int_equal(c.port, 2000);
    assert_int_equal(c.bytes, 4096);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        char *arg, *value, *why;
    } cases[] = {
        { "--nonsense", NULL, "--nonsense: unknown option, see --help" },
        { "-x", NULL, "-x: unknown option, see --help" },
        { "--port", NULL, "--port: a value is missing" },
        { "--port", "70000", "--port: '70000' is not a port, 0 to 65535" },
        { "--count", "-1", "--count: '-1' is not a whole number" },
        { "--wait", "10", "--wait: '10' is not a duration such as 10s" },
        { "--on=maybe", NULL, "--on: 'maybe' is not true or false" },
        { "--mode", "medium", "--mode: 'medium' is not one of slow|fast" },
        { "operand", NULL, "'operand': no operand is expected, see --help" },
        { "--config-file", "/nowhere", "/nowhere: No such file or directory" },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: %s\n", cases[i].why);
        AUTO_DONE(arena) mem = { 0 };
        struct conf c;
        struct err err = { 0 };
        char *argv[] = { "prog", cases[i].arg, cases[i].value, NULL };
        assert_true(parse(&c, &mem, argv, &err) < 0);
        assert_string_equal(err.why, cases[i].why);
    }
}

static void test_operands(void **state)
{
    (void)state;
    AUTO_DONE(arena) mem = { 0 };
    struct conf c;
    int operand = 0;
    char *argv[] = { "prog", "--on", "--", "--port", NULL };
    assert_int_equal(flag_parse(&with_operands, &c, &mem, 4, argv, &operand, NULL), FLAG_RUN);
    assert_true(c.is_on);
    assert_int_equal(operand, 3);
}

/* Operands may stand between options; "--" ends these; -H may be given again and again. */
static void test_mixed(void **state)
{
    (void)state;
    static const struct flag lines[] = {
        { "name", FLAG_STR, OFF(name), "x", "a text", NULL },
        { "header", FLAG_LINES, OFF(mode), "", "a field", "H" },
    };
    static const struct flag_table t = { "prog", "a program", " ...", lines, NELEMS(lines) };
    AUTO_DONE(arena) mem = { 0 };
    struct conf c;
    int at = 0;
    char *argv[] = { "prog",   "one", "-H", "a: 1", "two", "--header=b: 2",
                     "--name", "y",   "-",  "--",   "-H",  NULL };
    assert_int_equal(flag_parse(&t, &c, &mem, 11, argv, &at, NULL), FLAG_RUN);
    assert_string_equal(c.mode, "a: 1\nb: 2");
    assert_string_equal(c.name, "y");
    assert_int_equal(at, 7);
    static const char *const operands[] = { "one", "two", "-", "-H" };
    for (size_t i = 0; i < NELEMS(operands); i++)
        assert_string_equal(argv[at + (int)i], operands[i]);
    struct err err = { 0 };
    char *cut[] = { "prog", "one", "-H", NULL };
    assert_true(flag_parse(&t, &c, &mem, 3, cut, &at, &err) < 0);
    assert_string_equal(err.why, "-H: a value is missing");
}

static void test_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_duration, is_size;
        int64_t ns;
        uint64_t bytes;
    } cases[] = {
        { "250ms", true, false, 250000000, 0 },
        { "7d", true, false, INT64_C(604800000000000), 0 },
        { "1.5h", true, false, INT64_C(5400000000000), 0 },
        { "0", true, true, 0, 0 },
        { "512", false, true, 0, 512 },
        { "64KiB", false, true, 0, 65536 },
        { "2G", false, true, 0, UINT64_C(2) << 30 },
        { "1TB", false, true, 0, UINT64_C(1) << 40 },
        { "99999999999G", false, false, 0, 0 },
        { "10 s", false, false, 0, 0 },
        { "999999d9999999d", false, false, 0, 0 },
        { "", false, false, 0, 0 },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: '%s'\n", cases[i].text);
        int64_t ns = 0;
        uint64_t bytes = 0;
        assert_int_equal(duration_from_sv(sv_z(cases[i].text), &ns), cases[i].is_duration);
        assert_int_equal(bytes_from_sv(sv_z(cases[i].text), &bytes), cases[i].is_size);
        assert_int_equal(ns, cases[i].ns);
        assert_int_equal(bytes, cases[i].bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_operands),
        cmocka_unit_test(test_mixed),    cmocka_unit_test(test_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
