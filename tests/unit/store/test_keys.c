/* test_keys.c - idempotency keys, the book of edges, the list of chunks. */
#include "base/mem.h"
#include "store/edge_book.h"
#include "store/keys.h"
#include "store/sqlite/chunks.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_oldest_key_goes_first(void **state)
{
    (void)state;
    struct keys k = { 0 };
    assert_int_equal(keys_add(&k, SV("a")), 0);
    assert_int_equal(keys_add(&k, SV("b")), 0);
    keys_settle(&k, 2);
    assert_int_equal(keys_add(&k, SV("c")), 0);
    assert_true(keys_has(&k, SV("a")) && keys_has(&k, SV("c")));
    keys_take_back(&k);
    assert_false(keys_has(&k, SV("c")));
    assert_true(keys_has(&k, SV("b")));
    assert_int_equal(keys_add(&k, SV("d")), 0);
    keys_settle(&k, 2);
    assert_false(keys_has(&k, SV("a")));
    assert_true(keys_has(&k, SV("b")) && keys_has(&k, SV("d")));
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mem_fail_nth(nth);
        assert_int_equal(keys_add(&k, SV("e")), -1);
        assert_false(keys_has(&k, SV("e")));
    }
    mem_fail_nth(0);
    keys_done(&k);
    keys_done(&k);
}

static void test_edge_book(void **state)
{
    (void)state;
    struct edge_book book = { 0 };
    struct edge e = { .source = identity_unknown(), .destination = identity_unknown() };
    e.source.service = SV("one");
    assert_null(edge_book_find(&book, &e));
    for (uint64_t nth = 1;; nth++) {
        mem_fail_nth(nth);
        struct edge_entry *added = edge_book_add(&book, &e);
        mem_fail_nth(0);
        if (added)
            break;
        assert_null(edge_book_find(&book, &e));
        assert_int_equal(book.len, 0);
    }
    struct edge_entry *at = edge_book_find(&book, &e);
    assert_int_equal(at->id, 1);
    e.source.service = SV("unknown");
    assert_false(edge_entry_is_news(at, &e));
    e.source.service = SV("two");
    assert_true(edge_entry_is_news(at, &e));
    mem_fail_nth(1);
    assert_int_equal(edge_entry_learn(at, &e), -1);
    mem_fail_nth(0);
    assert_true(sv_eq(at->edge.source.service, SV("one")));
    assert_int_equal(edge_entry_learn(at, &e), 0);
    assert_true(sv_eq(at->edge.source.service, SV("two")));
    assert_true(sv_eq(at->edge.destination.service, SV("unknown")));
    edge_book_remove_last(&book);
    assert_null(edge_book_find(&book, &e));
    edge_book_done(&book);
}

static void test_fingerprints(void **state)
{
    (void)state;
    uint32_t list[] = { 5, 0, UINT32_MAX, 5, 7, 0 };
    assert_int_equal(fingerprints_sort(list, NELEMS(list)), 4);
    assert_int_equal(list[0], 0);
    assert_int_equal(list[1], 5);
    assert_int_equal(list[2], 7);
    assert_int_equal(list[3], UINT32_MAX);
    assert_int_equal(fingerprints_sort(list, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oldest_key_goes_first),
        cmocka_unit_test(test_edge_book),
        cmocka_unit_test(test_fingerprints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
