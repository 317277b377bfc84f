/* test_rows.c - the journal's row format: exact round trips, damaged input, failing memory. */
#include "base/mem.h"
#include "random_batch.h"
#include "store/sqlite/rows.h"
#include "store/sqlite/segment.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int journal_row(struct segment_w *w, const struct batch *b, struct buf *out)
{
    segment_start(w);
    return segment_add(w, b, out, NULL);
}

static void assert_same(const struct batch *a, const struct batch *b)
{
    assert_int_equal(a->spans_len, b->spans_len);
    assert_int_equal(a->calls_len, b->calls_len);
    for (size_t i = 0; i < a->spans_len; i++)
        assert_true(span_eq(&a->spans[i], &b->spans[i]));
    for (size_t i = 0; i < a->calls_len; i++)
        assert_true(call_eq(&a->calls[i], &b->calls[i]));
}

static void test_roundtrip(void **state)
{
    (void)state;
    struct random_source r = { 1 };
    AUTO_FREE(segment_w) w = segment_w_new();
    AUTO_DONE(buf) out = { 0 };
    for (size_t i = 0; i < 40; i++) {
        AUTO_FREE(batch)
        b = i % 4 ? random_batch(&r, random_below(&r, 200), random_below(&r, 20), 77)
                  : mesh_batch(&r, 300, 1000);
        AUTO_FREE(batch) back = batch_new();
        buf_clear(&out);
        assert_int_equal(journal_row(w, b, &out), 0);
        assert_int_equal(rows_decode(buf_sv(&out), back, NULL), 0);
        assert_same(b, back);
    }
}

/* Rows of one segment in the making know nothing of each other, however many there are. */
static void test_row_after_row(void **state)
{
    (void)state;
    struct random_source r = { 2 };
    AUTO_FREE(segment_w) w = segment_w_new();
    AUTO_DONE(buf) out = { 0 };
    for (size_t i = 0; i < 30; i++) {
        AUTO_FREE(batch)
        b = i % 3 ? mesh_batch(&r, 200, 1000) : random_batch(&r, 20, random_below(&r, 20), 77);
        AUTO_FREE(batch) back = batch_new();
        buf_clear(&out);
        assert_int_equal(segment_add(w, b, &out, NULL), 0);
        assert_int_equal(rows_decode(buf_sv(&out), back, NULL), 0);
        assert_same(b, back);
    }
}

/* More resources than have numbers at one time, met in turns. */
static void test_many_resources(void **state)
{
    (void)state;
    enum { N = 700 };
    AUTO_FREE(batch) b = batch_new();
    AUTO_FREE(batch) back = batch_new();
    static struct resource resources[N];
    static struct scope scopes[N];
    static char names[N][16];
    for (size_t i = 0; i < N; i++) {
        snprintf(names[i], sizeof(names[i]), "schema-%zu", i);
        resources[i].schema_url = scopes[i].name = sv_z(names[i]);
    }
    for (size_t i = 0; i < 5000; i++) {
        struct span *s = batch_add_span(b);
        s->resource = &resources[i * i % N];
        s->scope = &scopes[i * 7 % 300];
    }
    AUTO_FREE(segment_w) w = segment_w_new();
    AUTO_DONE(buf) out = { 0 };
    assert_int_equal(journal_row(w, b, &out), 0);
    assert_int_equal(rows_decode(buf_sv(&out), back, NULL), 0);
    assert_same(b, back);
}

static void test_too_deep(void **state)
{
    (void)state;
    struct value nest[VALUE_DEPTH_MAX + 2] = { { .type = VALUE_EMPTY } };
    for (size_t i = 1; i < NELEMS(nest); i++)
        nest[i] = (struct value){ .type = VALUE_ARRAY, .len = 1, .array = &nest[i - 1] };
    struct attr a = { SV("deep"), nest[VALUE_DEPTH_MAX + 1] };
    static const struct resource resource;
    static const struct scope scope;
    AUTO_FREE(batch) b = batch_new();
    AUTO_FREE(batch) back = batch_new();
    *batch_add_span(
        b) = (struct span){ .attrs = { &a, 1, 0 }, .resource = &resource, .scope = &scope };
    AUTO_FREE(segment_w) w = segment_w_new();
    AUTO_DONE(buf) out = { 0 };
    assert_int_equal(journal_row(w, b, &out), ERR_LIMIT);
    a.value = nest[VALUE_DEPTH_MAX];
    buf_clear(&out);
    assert_int_equal(journal_row(w, b, &out), 0);
    assert_int_equal(rows_decode(buf_sv(&out), back, NULL), 0);
    assert_same(b, back);
}

/* Every prefix is refused, every flipped byte is refused or read as something else, never worse. */
static void test_damaged(void **state)
{
    (void)state;
    struct random_source r = { 3 };
    AUTO_FREE(segment_w) w = segment_w_new();
    AUTO_DONE(buf) out = { 0 };
    AUTO_FREE(batch) b = random_batch(&r, 8, 2, 50);
    assert_int_equal(journal_row(w, b, &out), 0);
    AUTO_FREE(batch) back = batch_new();
    for (size_t cut = 0; cut < out.len; cut++) {
        assert_true(rows_decode(sv_sub(buf_sv(&out), 0, cut), back, NULL) < 0);
        assert_int_equal(back->spans_len, 0);
    }
    for (size_t at = 0; at < out.len; at++) {
        AUTO_FREE(batch) odd = batch_new();
        out.mem[at] ^= (char)(1 + random_below(&r, 255));
        (void)!rows_decode(buf_sv(&out), odd, NULL);
    }
}

static void test_failing_memory(void **state)
{
    (void)state;
    struct random_source r = { 4 };
    AUTO_FREE(batch) b = random_batch(&r, 60, 2, 50);
    int rc = ERR_NOMEM;
    for (uint64_t nth = 1; rc < 0; nth++) {
        AUTO_FREE(segment_w) w = segment_w_new();
        AUTO_DONE(buf) out = { 0 };
        mem_fail_nth(nth);
        rc = journal_row(w, b, &out);
        mem_fail_nth(0);
        assert_true(rc == 0 || rc == ERR_NOMEM);
    }
    AUTO_FREE(segment_w) w = segment_w_new();
    AUTO_DONE(buf) out = { 0 };
    assert_int_equal(journal_row(w, b, &out), 0);
    rc = ERR_NOMEM;
    for (uint64_t nth = 1; rc < 0; nth++) {
        AUTO_FREE(batch) back = batch_new();
        mem_fail_nth(nth);
        rc = rows_decode(buf_sv(&out), back, NULL);
        mem_fail_nth(0);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        assert_true(rc == 0 || back->spans_len == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roundtrip),     cmocka_unit_test(test_many_resources),
        cmocka_unit_test(test_row_after_row), cmocka_unit_test(test_too_deep),
        cmocka_unit_test(test_damaged),       cmocka_unit_test(test_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
