/* test_table.c - columns line up, and nothing a peer is called can steer the terminal. */
#include "cli/table.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static void test_print(void **state)
{
    static const char *const titles[] = { "NAME", ">RATE", "TLS" };
    static const char want[] = "NAME      RATE  TLS\n"
                               "r\xc3\xa9views    1.5  mutual\n"
                               "x?[31m   120.0  -\n";
    AUTO_DONE(table) t;
    AUTO_DONE(buf) out = { 0 };
    (void)state;
    table_init(&t, titles, NELEMS(titles));
    table_cell(&t, "%s", "r\xc3\xa9views");
    table_cell(&t, "%.1f", 1.5);
    table_cell(&t, "%s", "mutual");
    table_cell(&t, "%s", "x\033[31m");
    table_cell(&t, "%.1f", 120.0);
    table_cell(&t, "-");
    table_print(&t, &out);
    buf_putc(&out, '\0');
    assert_string_equal(buf_sv(&out).p, want);
}

static void test_empty(void **state)
{
    static const char *const titles[] = { "A", ">B" };
    AUTO_DONE(table) t;
    AUTO_DONE(buf) out = { 0 };
    (void)state;
    table_init(&t, titles, NELEMS(titles));
    table_print(&t, &out);
    assert_true(sv_eq(buf_sv(&out), SV("A  B\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_print),
        cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
