/* test_key_orders.c - spans with the same keys share an order, others do not; the limits; no memory. */
#include "base/mem.h"
#include "ingest/decode.h"
#include "ingest/key_orders.h"
#include "otlp_write.h"
#include "sample.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* "a b c" as a list of attributes. */
static size_t list_of(const char *keys, struct attr *list)
{
    size_t n = 0;
    struct sv rest = sv_z(keys);
    for (struct sv key; rest.len && sv_cut(&rest, ' ', &key);)
        list[n++] = (struct attr){ .key = key };
    return n;
}

static void check_order(const struct batch *b, const struct key_order *o, const struct attr *list,
                        size_t n)
{
    assert_true(o->id < b->key_orders_len);
    assert_int_equal(o->len, n);
    for (size_t i = 0; i < n; i++) {
        assert_true(o->keys[i] < b->keys_len);
        assert_true(sv_eq(b->keys[o->keys[i]], list[i].key));
    }
}

/* clang-format off */
static const struct {
    const char *keys; uint32_t id, keys_len;
} steps[] = { /* in turn; id and the number of different keys afterwards */
    { "http.method http.url",              0, 2 },
    { "http.method http.url",              0, 2 },
    { "http.url http.method",              1, 2 },
    { "http.method",                       2, 2 },
    { "http.method http.url",              0, 2 },
    { "http.method http.url http.method",  3, 2 },
    { "http.methoe http.url",              4, 3 },
    { "http.method http.urk",              5, 4 },
    { "http.method http.url",              0, 4 },
    { "http.urk",                          6, 4 },
    { "a bb ccc a.long.name.that.has.more.than.forty.letters.in.all", 7, 8 },
    { "a bb ccc a.long.name.that.has.more.than.forty.letters.in.alL", 8, 9 },
    { "a bb ccc a.long.name.that.has.more.than.forty.letters.in.all", 7, 9 },
    { "a bb ccd",                          9, 10 },
};
/* clang-format on */

static void test_orders(void **state)
{
    (void)state;
    AUTO_FREE(batch) b = batch_new();
    AUTO_DONE(key_orders) t = { 0 };
    struct attr list[8];
    for (size_t i = 0; i < NELEMS(steps); i++) {
        const struct key_order *o = NULL;
        size_t n = list_of(steps[i].keys, list);
        print_message("list: %s\n", steps[i].keys);
        assert_int_equal(key_orders_find(&t, b, list, n, &o), 0);
        assert_non_null(o);
        assert_int_equal(o->id, steps[i].id);
        assert_int_equal(b->keys_len, steps[i].keys_len);
        check_order(b, o, list, n);
    }
    const struct key_order *none = &(struct key_order){ 0 };
    assert_int_equal(key_orders_find(&t, b, list, 0, &none), 0);
    assert_null(none);
}

/* Lists of `len` keys, each with its own last one, until one has no order; how many had. */
static size_t fill(struct batch *b, struct key_orders *t, size_t len, size_t lists)
{
    struct attr list[KEY_LIST_MAX + 1];
    size_t with = 0;
    for (size_t i = 0; i < len; i++) {
        char text[32];
        int n = snprintf(text, sizeof(text), "key.%zu", i);
        list[i] = (struct attr){ .key = arena_copy(&b->mem, sv_of(text, (size_t)n)) };
    }
    for (size_t i = 0; i < lists; i++) {
        const struct key_order *o;
        char text[32];
        int n = snprintf(text, sizeof(text), "last.%zu", i);
        list[len - 1].key = arena_copy(&b->mem, sv_of(text, (size_t)n));
        assert_int_equal(key_orders_find(t, b, list, len, &o), 0);
        if (o)
            check_order(b, o, list, len);
        with += o != NULL;
    }
    return with;
}

static void test_limits(void **state)
{
    (void)state;
    for (size_t len = 1; len <= KEY_LIST_MAX + 1; len += 1 + len / 2) {
        AUTO_FREE(batch) b = batch_new();
        AUTO_DONE(key_orders) t = { 0 };
        size_t with = fill(b, &t, len, 600);
        print_message("%zu keys: %zu lists with an order\n", len, with);
        assert_int_equal(with > 0, len <= KEY_LIST_MAX);
        assert_true(b->keys_len <= KEYS_MAX);
        assert_true(t.len <= KEY_NODES_MAX);
        assert_int_equal(b->key_orders_len, with);
    }
}

/* Both formats: what is decoded carries its order. */
static void test_decoded(void **state)
{
    (void)state;
    static const struct {
        decode_fn *decode;
        void (*write)(const struct span *spans, size_t n, struct buf *out);
    } formats[] = { { otlp_proto_traces_decode, otlp_write_proto },
                    { otlp_json_traces_decode, otlp_write_json } };
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    for (size_t i = 0; i < NELEMS(formats); i++) {
        AUTO_DONE(buf) body = { 0 };
        AUTO_FREE(batch) b = batch_new();
        struct span spans[] = { sample_span, sample_span, sample_span };
        spans[1].attrs.len = 0;
        formats[i].write(spans, NELEMS(spans), &body);
        assert_int_equal(formats[i].decode(buf_sv(&body), b, &lim, NULL), 0);
        assert_int_equal(b->spans_len, NELEMS(spans));
        assert_non_null(b->spans[0].key_order);
        assert_null(b->spans[1].key_order);
        assert_ptr_equal(b->spans[0].key_order, b->spans[2].key_order);
        check_order(b, b->spans[0].key_order, b->spans[0].attrs.list, b->spans[0].attrs.len);
    }
}

/* A table knows nothing of the request decoded before it into the same batch, but the batch's keys go on. */
static void test_second_request(void **state)
{
    (void)state;
    AUTO_FREE(batch) b = batch_new();
    struct attr list[8];
    for (uint32_t turn = 0; turn < 3; turn++) {
        AUTO_DONE(key_orders) t = { 0 };
        for (size_t i = 0; i < NELEMS(steps); i++) {
            const struct key_order *o = NULL;
            size_t n = list_of(steps[i].keys, list);
            assert_int_equal(key_orders_find(&t, b, list, n, &o), 0);
            check_order(b, o, list, n);
        }
        assert_int_equal(b->keys_len, 10);
        assert_int_equal(b->key_orders_len, 10 * (turn + 1));
    }
}

static void test_allocation_failures(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        AUTO_FREE(batch) b = batch_new();
        AUTO_DONE(key_orders) t = { 0 };
        struct attr list[8];
        int rc = 0;
        mem_fail_nth(nth);
        for (size_t i = 0; i < NELEMS(steps) && rc == 0; i++) {
            const struct key_order *o;
            size_t n = list_of(steps[i].keys, list);
            rc = key_orders_find(&t, b, list, n, &o);
        }
        bool was_reached = mem_count() >= nth;
        mem_fail_nth(0);
        assert_int_equal(rc, was_reached ? ERR_NOMEM : 0);
        if (!was_reached) {
            assert_true(nth > 2);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_decoded),
        cmocka_unit_test(test_second_request),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
