/* test_http_msg.c - which bytes a field's value may hold, wherever they stand. */
#include "wire/http_msg.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_field_value(void **state)
{
    (void)state;
    assert_true(http_is_field_value(SV_NONE));
    for (unsigned c = 0; c < 256; c++)
        for (size_t len = 1; len < 40; len++)
            for (size_t at = 0; at < len; at++) {
                char value[40];
                memset(value, at % 2 ? '\t' : 'v', sizeof(value));
                value[at] = (char)c;
                bool is_allowed = c == '\t' || (c >= 0x20 && c != 0x7f);
                assert_int_equal(http_is_field_value(sv_of(value, len)), is_allowed);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_field_value) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
