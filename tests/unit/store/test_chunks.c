/* test_chunks.c - the index in memory: fingerprints in order, which rows are sealed next. */
#include "base/mem.h"
#include "random_batch.h"
#include "store/sqlite/chunks.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_sorted(size_t len, uint64_t distinct, bool is_memory_out)
{
    struct random_source r = { len };
    uint32_t *list = mem_alloc((len + 1) * sizeof(*list));
    bool *is_there = mem_zalloc(distinct);
    size_t want = 0;
    for (size_t i = 0; i < len; i++) {
        uint64_t v = random_below(&r, distinct);
        list[i] = (uint32_t)v * 2654435761u; /* odd, so distinct ones stay distinct */
        want += !is_there[v];
        is_there[v] = true;
    }
    mem_fail_nth(is_memory_out ? 1 : 0);
    size_t got = fingerprints_sort(list, len);
    mem_fail_nth(0);
    assert_int_equal(got, want);
    for (size_t i = 1; i < got; i++)
        assert_true(list[i - 1] < list[i]);
    for (size_t i = 0; i < got; i++)
        assert_true(is_there[list[i] * 244002641u]); /* the inverse, modulo 2^32 */
    mem_free(is_there);
    mem_free(list);
}

static void test_fingerprints(void **state)
{
    (void)state;
    static const size_t lens[] = { 0, 1, 2, 31, 32, 33, 100, 5000 };
    for (size_t i = 0; i < NELEMS(lens); i++)
        for (int is_memory_out = 0; is_memory_out < 2; is_memory_out++) {
            assert_sorted(lens[i], 1, is_memory_out);
            assert_sorted(lens[i], 50, is_memory_out);
            assert_sorted(lens[i], 1000000, is_memory_out);
        }
}

/* Rows of 10 spans each behind one segment; 30 make a segment. */
static void test_to_seal(void **state)
{
    (void)state;
    static const struct {
        size_t rows;
        uint64_t before_seq;
        bool is_all;
        size_t n;
    } cases[] = {
        { 0, UINT64_MAX, true, 0 },  { 2, UINT64_MAX, false, 0 }, { 2, UINT64_MAX, true, 2 },
        { 3, UINT64_MAX, false, 3 }, { 7, UINT64_MAX, true, 3 },  { 7, 102, false, 0 },
        { 7, 102, true, 2 },         { 7, 103, true, 3 },         { 7, 100, true, 0 },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct chunks c;
        size_t first = 0;
        chunks_init(&c);
        c.segment_records = 30;
        assert_int_equal(chunks_reserve(&c, 1 + cases[i].rows), 0);
        chunks_add(&c, &(struct chunk){ .kind = CHUNK_SEGMENT, .first_seq = 1, .last_seq = 99 });
        for (size_t row = 0; row < cases[i].rows; row++)
            chunks_add(&c, &(struct chunk){ .kind = CHUNK_JOURNAL,
                                            .first_seq = 100 + row,
                                            .last_seq = 100 + row,
                                            .spans = 10 });
        assert_int_equal(chunks_to_seal(&c, cases[i].before_seq, cases[i].is_all, &first),
                         cases[i].n);
        assert_int_equal(first, 1);
        chunks_done(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fingerprints),
        cmocka_unit_test(test_to_seal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
