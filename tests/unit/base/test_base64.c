/* test_base64.c - RFC 4648's own vectors, both alphabets, and what is refused. */
#include "base/base64.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* clang-format off */
static const struct { const char *text; bool is_valid; struct sv want; } cases[] = {
    { "",         true,  { "", 0 } },       { "Zg==",     true,  { "f", 1 } },
    { "Zm8=",     true,  { "fo", 2 } },     { "Zm9v",     true,  { "foo", 3 } },
    { "Zm9vYg==", true,  { "foob", 4 } },   { "Zm9vYmE=", true,  { "fooba", 5 } },
    { "Zm9vYmFy", true,  { "foobar", 6 } }, { "Zg",       true,  { "f", 1 } },
    { "+/8=",     true,  { "\xfb\xff", 2 } }, { "-_8",    true,  { "\xfb\xff", 2 } },
    { "Z",        false, { "", 0 } },       { "Zm9vY",    false, { "", 0 } },
    { "Zg=",      false, { "", 0 } },       { "Z===",     false, { "", 0 } },
    { "Zm 9v",    false, { "", 0 } },       { "Zm9v\n",   false, { "", 0 } },
    { "=Zg=",     false, { "", 0 } },       { "Zm9*",     false, { "", 0 } },
};
/* clang-format on */

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: '%s'\n", cases[i].text);
        AUTO_DONE(arena) mem = { 0 };
        struct sv out = SV_NONE;
        assert_int_equal(base64_is_valid(sv_z(cases[i].text)), cases[i].is_valid);
        assert_int_equal(base64_decode(&mem, sv_z(cases[i].text), &out), cases[i].is_valid);
        assert_true(sv_eq(out, cases[i].want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_table) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
