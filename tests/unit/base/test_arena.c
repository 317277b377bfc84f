/* test_arena.c - alignment, growth, adoption, reset, and every allocation failing in turn. */
#include "base/arena.h"
#include "base/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_alignment_and_content(void **state)
{
    (void)state;
    AUTO_DONE(arena) a = { 0 };
    unsigned char *pieces[400];
    for (size_t i = 0; i < NELEMS(pieces); i++) {
        size_t bytes = (i * 37) % 3000;
        pieces[i] = arena_alloc(&a, bytes);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        memset(pieces[i], (int)(i & 255), bytes);
    }
    for (size_t i = 0; i < NELEMS(pieces); i++)
        for (size_t k = 0; k < (i * 37) % 3000; k++)
            assert_int_equal(pieces[i][k], i & 255);
}

static void test_overflow(void **state)
{
    (void)state;
    AUTO_DONE(arena) a = { 0 };
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_array(&a, SIZE_MAX / 2, 3));
    assert_non_null(arena_copy(&a, SV_NONE).p);
    assert_true(sv_eq(arena_lower(&a, SV("A-Z.@[`{\xc3\x84")), SV("a-z.@[`{\xc3\x84")));
    assert_non_null(arena_lower(&a, SV_NONE).p);
    int *zeros = arena_array(&a, 10, sizeof(int));
    for (int i = 0; i < 10; i++)
        assert_int_equal(zeros[i], 0);
}

static void test_large_piece_keeps_the_chunk(void **state)
{
    (void)state;
    AUTO_DONE(arena) a = { 0 };
    char *first = arena_alloc(&a, 16);
    assert_non_null(arena_alloc(&a, 1 << 20));
    char *next = arena_alloc(&a, 16);
    assert_ptr_equal(next, first + 16);
}

static void test_reset_keeps_one_chunk(void **state)
{
    (void)state;
    AUTO_DONE(arena) a = { 0 };
    for (int i = 0; i < 1000; i++)
        assert_non_null(arena_alloc(&a, 100));
    size_t before = a.held_bytes;
    arena_reset(&a);
    assert_true(a.held_bytes > 0 && a.held_bytes < before);
    size_t held = a.held_bytes;
    assert_non_null(arena_alloc(&a, 64));
    assert_int_equal(a.held_bytes, held);
}

static int build(struct arena *a)
{
    void *p = mem_alloc(100);
    if (!p)
        return -1;
    if (arena_adopt(a, p, 100) < 0) {
        mem_free(p); /* still ours */
        return -1;
    }
    for (int i = 0; i < 50; i++)
        if (!arena_alloc(a, 700))
            return -1;
    return arena_copy(a, SV("text")).p ? 0 : -1;
}

static void test_every_allocation_fails_once(void **state)
{
    (void)state;
    uint64_t nth = 0;
    for (int rc = -1; rc < 0;) {
        AUTO_DONE(arena) a = { 0 };
        mem_fail_nth(++nth);
        rc = build(&a);
        assert_true(nth < 100);
    }
    mem_fail_nth(0);
    assert_true(nth > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment_and_content),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_large_piece_keeps_the_chunk),
        cmocka_unit_test(test_reset_keeps_one_chunk),
        cmocka_unit_test(test_every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
