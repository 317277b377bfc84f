/* test_stages.c - which rows are held ready for sealing: whole ones, what is committed, what is
 * dropped, the bound. */
#include "random_batch.h"
#include "store/sqlite/stages.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SPANS = 10, RECORDS = 30 }; /* three rows make a segment */

static void put_rows(struct stages *s, uint64_t from_seq, size_t n, bool is_committed)
{
    struct random_source r = { from_seq };
    for (uint64_t seq = from_seq; seq < from_seq + n; seq++) {
        AUTO_FREE(batch) b = mesh_batch(&r, SPANS, 0);
        struct segment_w *w = stages_open(s, seq);
        assert_non_null(w);
        assert_int_equal(segment_add(w, b, NULL, NULL), 0);
        stages_added(s, seq, RECORDS, 100);
    }
    if (is_committed)
        stages_commit(s);
}

static void assert_first(struct stages *s, uint64_t first_seq, uint64_t last_seq)
{
    struct stage stage;
    assert_true(stages_first(s, &stage));
    assert_int_equal(stage.first_seq, first_seq);
    assert_int_equal(stage.last_seq, last_seq);
    assert_int_equal(segment_size(stage.w).batches, last_seq - first_seq + 1);
    assert_int_equal(segment_size(stage.w).spans, (last_seq - first_seq + 1) * SPANS);
    stages_pop(s);
}

static void test_in_turn(void **state)
{
    (void)state;
    struct stages s;
    struct stage stage;
    stages_init(&s);
    assert_int_equal(stages_from_seq(&s), UINT64_MAX);
    put_rows(&s, 5, 2, true);
    assert_int_equal(stages_from_seq(&s), 5);
    assert_false(stages_first(&s, &stage)); /* not whole */
    put_rows(&s, 7, 1, false);
    assert_false(stages_first(&s, &stage)); /* not committed */
    stages_commit(&s);
    put_rows(&s, 8, 4, true);
    assert_int_equal(stages_from_seq(&s), 5);
    assert_first(&s, 5, 7);
    assert_int_equal(stages_from_seq(&s), 8);
    assert_first(&s, 8, 10);
    assert_int_equal(stages_from_seq(&s), 11);
    assert_false(stages_first(&s, &stage));
    stages_done(&s);
}

static void test_dropped(void **state)
{
    (void)state;
    struct stages s;
    struct stage stage;
    stages_init(&s);
    put_rows(&s, 1, 4, true);
    put_rows(&s, 5, 3, false); /* completes the second, begins a third */
    stages_drop(&s);
    assert_first(&s, 1, 3); /* stays: it was committed */
    assert_false(stages_first(&s, &stage));
    assert_int_equal(stages_from_seq(&s), UINT64_MAX);
    put_rows(&s, 5, 3, true); /* the numbers of what was rolled back come again */
    assert_first(&s, 5, 7);
    stages_done(&s);
}

static void test_bound(void **state)
{
    (void)state;
    struct stages s;
    stages_init(&s);
    put_rows(&s, 1, 3 * STAGES_READY_MAX + 4, true);
    uint64_t at = 1; /* the one that did not fit is missing, the next row begins a new one */
    for (size_t i = 0; i < STAGES_READY_MAX; i++, at += 3)
        assert_first(&s, at, at + 2);
    assert_int_equal(stages_from_seq(&s), at + 3);
    stages_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_turn),
        cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
