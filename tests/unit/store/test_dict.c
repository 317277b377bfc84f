/* test_dict.c - texts of a column: numbers, copies, the switch to plain, failing memory. */
#include "base/mem.h"
#include "store/sqlite/dict.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t number;
    } cases[] = {
        { "", 0 },
        { "a", 1 },
        { "a", 1 },
        { "", 0 },
        { "ab", 2 },
        { "abc", 3 },
        { "abcd", 4 },
        { "abce", 5 },
        { "abcd", 4 },
        { "abcdefgh", 6 },
        { "abc", 3 },
        { "abcdefgi", 7 },
        { "abcdefghi", 8 },
        { "abcdefghj", 9 },
        { "abcdefghi", 8 },
        { "bbcdefghijklmnopq", 10 },
        { "bbcdefghijklmnopr", 11 },
        { "a", 1 },
    };
    AUTO_DONE(arena) mem = { 0 };
    AUTO_DONE(dict) d = { 0 };
    for (unsigned round = 0; round < 3; round++) {
        dict_start(&d);
        for (size_t i = 0; i < NELEMS(cases); i++) {
            char gone[32]; /* what is added may die */
            snprintf(gone, sizeof(gone), "%s", cases[i].text);
            assert_int_equal(dict_add(&d, &mem, sv_z(gone)), cases[i].number);
            memset(gone, 'x', sizeof(gone));
        }
        assert_int_equal(d.rows, NELEMS(cases));
        for (size_t i = 0; i < NELEMS(cases); i++) {
            const struct dict_text *t = &d.list[cases[i].number];
            assert_true(sv_eq(sv_of(t->p, t->len), sv_z(cases[i].text)));
        }
    }
}

static void test_plain(void **state)
{
    (void)state;
    AUTO_DONE(arena) mem = { 0 };
    AUTO_DONE(dict) d = { 0 };
    char text[32];
    for (int i = 0; i < 20000; i++) { /* half of them repeat: looked up to the end */
        snprintf(text, sizeof(text), "text-%d", i % 10000);
        assert_int_equal(dict_add(&d, &mem, sv_z(text)), i < 4096 || !d.is_plain ? i % 10000 : i);
    }
    assert_true(d.is_plain || d.len == 10000);
    dict_start(&d);
    assert_false(d.is_plain);
    for (int i = 0; i < 3000; i++) {
        snprintf(text, sizeof(text), "text-%d", i);
        (void)dict_add(&d, &mem, sv_z(text));
    }
    assert_true(d.is_plain);
    uint32_t len = d.len;
    assert_int_equal(dict_add(&d, &mem, SV("text-7")), len); /* not looked up */
    assert_int_equal(dict_add(&d, &mem, SV("text-7")), len); /* the one before is */
    assert_true(sv_eq(sv_of(d.list[len].p, d.list[len].len), SV("text-7")));
    dict_start(&d);
    assert_int_equal(dict_add(&d, &mem, SV("a")), 0);
    assert_int_equal(dict_add(&d, &mem, SV("b")), 1);
    assert_int_equal(dict_add(&d, &mem, SV("a")), 0);
}

static void test_failing_memory(void **state)
{
    (void)state;
    uint64_t failures = 0;
    for (uint64_t nth = 1; nth == 1 || failures == nth - 1; nth++) {
        AUTO_DONE(arena) mem = { 0 };
        AUTO_DONE(dict) d = { 0 };
        char text[32];
        bool failed = false;
        mem_fail_nth(nth);
        for (uint32_t i = 0; i < 300; i++) {
            snprintf(text, sizeof(text), "text-%u", i);
            uint32_t number = dict_add(&d, &mem, sv_z(text));
            failed |= number == DICT_FULL;
            if (number == DICT_FULL) /* and then it works */
                number = dict_add(&d, &mem, sv_z(text));
            assert_int_equal(number, i);
        }
        mem_fail_nth(0);
        failures += failed;
    }
    assert_true(failures > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
