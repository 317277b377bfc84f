/* test_err.c - the first cause wins, context goes in front, nothing overflows. */
#include "base/err.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_first_cause_wins(void **state)
{
    (void)state;
    struct err err = { 0 };
    assert_int_equal(err_at(&err, ERR_MALFORMED, 17, "want %d bytes", 16), ERR_MALFORMED);
    assert_int_equal(err_set(&err, ERR_NOMEM, "later"), ERR_NOMEM);
    assert_int_equal(err.code, ERR_MALFORMED);
    assert_int_equal(err.at, 17);
    assert_string_equal(err.why, "want 16 bytes");
}

static void test_context(void **state)
{
    (void)state;
    struct err err = { 0 };
    err_context(&err, "nothing failed");
    assert_int_equal(err.code, 0);
    assert_string_equal(err.why, "");
    (void)err_set(&err, ERR_IO, "no such file");
    err_context(&err, "reading %s", "a.yaml");
    assert_string_equal(err.why, "reading a.yaml: no such file");
}

static void test_long_text_is_cut(void **state)
{
    (void)state;
    struct err err = { 0 };
    char text[1000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    (void)err_set(&err, ERR_LIMIT, "%s", text);
    err_context(&err, "%s", text);
    assert_true(strlen(err.why) < sizeof(err.why));
}

static void test_no_place_to_put_it(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_BUSY, "busy"), ERR_BUSY);
    assert_int_equal(err_at(NULL, ERR_TRUNCATED, 3, "short"), ERR_TRUNCATED);
    err_context(NULL, "nowhere");
}

static void test_every_code_has_a_name(void **state)
{
    (void)state;
    for (int code = ERR_CLOSED; code <= ERR_MALFORMED; code++) {
        assert_non_null(err_code_name(code));
        for (int other = ERR_CLOSED; other < code; other++)
            assert_string_not_equal(err_code_name(code), err_code_name(other));
    }
    assert_non_null(err_code_name(-1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_cause_wins),      cmocka_unit_test(test_context),
        cmocka_unit_test(test_long_text_is_cut),      cmocka_unit_test(test_no_place_to_put_it),
        cmocka_unit_test(test_every_code_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
