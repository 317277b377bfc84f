/* test_map.c - compared with a plain array under random puts and removes; failing memory. */
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { KEYS = 300 };

static struct sv key_of(size_t i, char *text, size_t size)
{
    int n = snprintf(text, size, "key-%zu", i);
    return sv_of(text, (size_t)n);
}

static void check_same(const struct map *m, int **oracle)
{
    char text[32];
    size_t n = 0, seen = 0;
    void *value;
    for (size_t k = 0; k < KEYS; k++) {
        assert_ptr_equal(map_get(m, key_of(k, text, sizeof(text))), oracle[k]);
        n += oracle[k] != NULL;
    }
    assert_int_equal(m->len, n);
    for (size_t at = 0; map_next(m, &at, NULL, &value);)
        seen++;
    assert_int_equal(seen, n);
}

static void test_against_array(void **state)
{
    (void)state;
    AUTO_DONE(map) m = { 0 };
    static int values[KEYS];
    int *oracle[KEYS] = { NULL };
    char text[32];
    for (uint64_t turn = 0; turn < 6000; turn++) {
        uint64_t dice = hash_bytes(&turn, sizeof(turn), 1);
        size_t k = dice % KEYS;
        struct sv key = key_of(k, text, sizeof(text));
        if (dice >> 32 & 1) {
            void *old;
            assert_int_equal(map_put(&m, key, &values[k], &old), 0);
            assert_ptr_equal(old, oracle[k]);
            oracle[k] = &values[k];
        } else {
            assert_ptr_equal(map_remove(&m, key), oracle[k]);
            oracle[k] = NULL;
        }
        if (turn % 500 == 0)
            check_same(&m, oracle);
    }
    check_same(&m, oracle);
}

/* Removing while walking leaves out nobody, whatever moves into the holes. */
static void test_remove_while_walking(void **state)
{
    (void)state;
    static int values[500];
    char text[32];
    for (size_t keep = 1; keep < 8; keep++) {
        AUTO_DONE(map) m = { 0 };
        void *value;
        for (size_t k = 0; k < NELEMS(values); k++)
            assert_int_equal(map_put(&m, key_of(k, text, sizeof(text)), &values[k], NULL), 0);
        for (size_t i = 0; map_next(&m, &i, NULL, &value);)
            if ((size_t)((int *)value - values) % keep)
                map_remove_given(&m, &i);
        assert_int_equal(m.len, (NELEMS(values) + keep - 1) / keep);
        for (size_t k = 0; k < NELEMS(values); k++)
            assert_ptr_equal(map_get(&m, key_of(k, text, sizeof(text))),
                             k % keep ? NULL : &values[k]);
    }
}

static void test_odd_keys(void **state)
{
    (void)state;
    AUTO_DONE(map) m = { 0 };
    int a, b;
    assert_null(map_get(&m, SV("x")));
    assert_null(map_remove(&m, SV("x")));
    assert_int_equal(map_put(&m, SV_NONE, &a, NULL), 0);
    assert_int_equal(map_put(&m, SV("a\0b"), &b, NULL), 0);
    assert_ptr_equal(map_get(&m, SV("")), &a);
    assert_null(map_get(&m, SV("a")));
    assert_ptr_equal(map_get(&m, SV("a\0b")), &b);
}

static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    int value;
    char text[32];
    uint64_t nth = 0;
    for (bool failed = true; failed;) {
        AUTO_DONE(map) m = { 0 };
        failed = false;
        mem_fail_nth(++nth);
        for (size_t k = 0; k < 40; k++) {
            size_t before = m.len;
            if (map_put(&m, key_of(k, text, sizeof(text)), &value, NULL) < 0) {
                failed = true;
                assert_int_equal(m.len, before);
                assert_null(map_get(&m, key_of(k, text, sizeof(text))));
            }
        }
        assert_true(nth < 200);
    }
    mem_fail_nth(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_array),
        cmocka_unit_test(test_remove_while_walking),
        cmocka_unit_test(test_odd_keys),
        cmocka_unit_test(test_every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
