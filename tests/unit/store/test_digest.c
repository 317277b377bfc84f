/* test_digest.c - a digest never says no of what is there, seldom perhaps of what is not, and is
 * refused when a byte of it has changed. */
#include "base/mem.h"
#include "random_batch.h"
#include "store/match.h"
#include "store/sqlite/digest.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct sealed {
    struct batch *batch;
    struct buf segment, digest, coarse; /* coarse: as older programs wrote it */
};

static struct sealed seal(struct batch *b)
{
    struct sealed s = { .batch = b };
    AUTO_FREE(segment_w) w = segment_w_new();
    AUTO_DONE(segment_scratch) scratch = { 0 };
    AUTO_DONE(buf) of_bytes = { 0 };
    struct err err = { 0 };
    if (segment_add(w, b, NULL, &err) < 0 || segment_finish(w, &s.segment, &s.digest, &err) < 0 ||
        digest_encode(&scratch, buf_sv(&s.segment), false, &of_bytes, &err) < 0 ||
        digest_encode(&scratch, buf_sv(&s.segment), true, &s.coarse, &err) < 0 ||
        digest_check(buf_sv(&s.digest), &err) < 0 || digest_check(buf_sv(&s.coarse), &err) < 0)
        fail_msg("%s", err.why);
    assert_true(sv_eq(buf_sv(&s.digest), buf_sv(&of_bytes))); /* made either way it is the same */
    return s;
}

static void sealed_done(struct sealed *s)
{
    batch_free(s->batch);
    buf_done(&s->segment);
    buf_done(&s->digest);
    buf_done(&s->coarse);
}

static bool may(const struct sealed *s, const struct span_query *q)
{
    struct digest_query d = digest_query_of(q);
    bool may = digest_may_match(buf_sv(&s->digest), &d);
    assert_true(!may || digest_may_match(buf_sv(&s->coarse), &d)); /* it never says less */
    return may;
}

static void assert_attrs(const struct sealed *s, struct span_query q, const struct attrs *a,
                         enum attr_level level)
{
    for (uint32_t i = 0; i < a->len; i++) {
        struct attr_wish wish = { a->list[i], level };
        q.attrs = &wish;
        q.attrs_len = 1;
        assert_true(may(s, &q));
    }
}

/* Everything that can be asked of a span at once, with each of its attributes. */
static void assert_span(const struct sealed *s, const struct span *span)
{
    struct span_query q = { .service = span_service(span), .operation = span->name };
    q.kinds = (unsigned)span->kind < 32 ? 1u << span->kind : 0;
    q.statuses = (unsigned)span->status < 32 ? 1u << span->status : 0;
    q.min_duration_ns = q.max_duration_ns = span_duration_ns(span);
    assert_true(may(s, &q));
    assert_attrs(s, q, &span->attrs, ATTR_OF_SPAN);
    assert_attrs(s, q, &span->attrs, ATTR_OF_SPAN_OR_RESOURCE);
    assert_attrs(s, q, &span->resource->attrs, ATTR_OF_RESOURCE);
    assert_attrs(s, q, &span->resource->attrs, ATTR_OF_SPAN_OR_RESOURCE);
    assert_attrs(s, q, &span->scope->attrs, ATTR_OF_SCOPE);
    for (uint32_t i = 0; i < span->events_len; i++)
        assert_attrs(s, q, &span->events[i].attrs, ATTR_OF_EVENT);
    for (uint32_t i = 0; i < span->links_len; i++)
        assert_attrs(s, q, &span->links[i].attrs, ATTR_OF_LINK);
    for (uint32_t i = 0; i < span->events_len; i++)
        assert_attrs(s, q, &span->events[i].attrs, ATTR_ANYWHERE);
    assert_attrs(s, q, &span->scope->attrs, ATTR_ANYWHERE);
}

static void test_never_no(void **state)
{
    (void)state;
    struct random_source r = { 31 };
    for (int round = 0; round < 12; round++) {
        struct batch *b = round % 3 == 0   ? random_batch(&r, 60, 3, 5000)
                          : round % 3 == 1 ? mesh_batch(&r, 300, 1000)
                                           : rich_batch(&r, 300, 1000);
        struct sealed s = seal(b);
        for (size_t i = 0; i < b->spans_len; i++)
            assert_span(&s, &b->spans[i]);
        sealed_done(&s);
    }
}

static void test_seldom_perhaps(void **state)
{
    (void)state;
    struct random_source r = { 32 };
    struct sealed s = seal(mesh_batch(&r, 4000, 1000));
    size_t wrong = 0;
    for (int64_t i = 0; i < 1000; i++) {
        struct attr_wish wish = { { SV("request_size"), { .type = VALUE_INT } }, ATTR_OF_SPAN };
        struct span_query q = { .attrs = &wish, .attrs_len = 1 };
        wish.attr.value.integer = 1000000 + i;
        wrong += may(&s, &q);
    }
    assert_in_range(wrong, 0, 50);
    struct span_query service = { .service = SV("nobody") }, name = { .operation = SV("nothing") };
    struct span_query kind = { .kinds = 1u << SPAN_KIND_PRODUCER };
    struct span_query slow = { .min_duration_ns = INT64_C(60000000000) };
    assert_false(may(&s, &service));
    assert_false(may(&s, &name));
    assert_false(may(&s, &kind));
    assert_false(may(&s, &slow));
    sealed_done(&s);
}

/* Nothing is as long as a nanosecond more than the longest; the coarse one cannot tell. */
static void test_longest(void **state)
{
    (void)state;
    static const int64_t lengths[] = { 1, 2, 3, 1000, 20090663, 134217727, INT64_MAX >> 1 };
    static const struct resource resource;
    static const struct scope scope;
    for (size_t i = 0; i < NELEMS(lengths); i++) {
        struct batch *b = batch_new();
        struct span *s = batch_add_span(b);
        *s = (struct span){ .resource = &resource, .scope = &scope, .end_ns = lengths[i] };
        s->trace_id.b[0] = 1;
        struct sealed sealed = seal(b);
        struct span_query q = { .min_duration_ns = lengths[i] };
        assert_true(may(&sealed, &q));
        q.min_duration_ns += MAX(lengths[i] >> 26, 1);
        assert_false(may(&sealed, &q));
        sealed_done(&sealed);
    }
}

/* A value of its own for every span under many keys, and a name: more than is room for. What was
 * left out is perhaps, what was kept is still told. */
static void test_too_much(void **state)
{
    (void)state;
    enum { SPANS = 3000, KEYS = 12 };
    static const struct resource resource;
    static const struct scope scope;
    struct batch *b = batch_new();
    for (uint32_t i = 0; i < SPANS; i++) {
        struct span *s = batch_add_span(b);
        struct attr *a = arena_array(&b->mem, KEYS, sizeof(*a));
        AUTO_DONE(buf) text = { 0 };
        buf_printf(&text, "name %u", i);
        *s = (struct span){ .resource = &resource, .scope = &scope };
        memcpy(s->trace_id.b, &i, sizeof(i));
        s->trace_id.b[15] = 1;
        s->name = arena_copy(&b->mem, buf_sv(&text));
        for (uint32_t k = 0; k < KEYS; k++) {
            a[k].key = arena_copy(&b->mem, sv_of(&"abcdefghijkl"[k], 1));
            a[k].value = (struct value){ .type = VALUE_INT, .integer = k ? i * 7 + k : i % 5 };
        }
        s->attrs = (struct attrs){ a, KEYS, 0 };
    }
    struct sealed s = seal(b);
    assert_in_range(s.digest.len, 1, SPANS * 4 + 1200 + 2048 * 15);
    for (size_t i = 0; i < SPANS; i += 50)
        assert_span(&s, &b->spans[i]);
    struct attr_wish wish = { { SV("a"), { .type = VALUE_INT, .integer = 77 } }, ATTR_OF_SPAN };
    struct span_query q = { .attrs = &wish, .attrs_len = 1 };
    assert_false(may(&s, &q));
    sealed_done(&s);
}

static void test_damaged(void **state)
{
    (void)state;
    struct random_source r = { 33 };
    struct sealed s = seal(rich_batch(&r, 40, 1000));
    for (size_t at = 0; at < s.digest.len; at++) {
        s.digest.mem[at] ^= 0x55;
        assert_true(digest_check(buf_sv(&s.digest), NULL) < 0);
        s.digest.mem[at] ^= 0x55;
        assert_true(digest_check(sv_sub(buf_sv(&s.digest), 0, at), NULL) < 0);
    }
    AUTO_DONE(segment_scratch) scratch = { 0 };
    AUTO_DONE(buf) out = { 0 };
    s.segment.mem[40] ^= 1;
    assert_int_equal(digest_encode(&scratch, buf_sv(&s.segment), false, &out, NULL), ERR_MALFORMED);
    assert_int_equal(out.len, 0);
    sealed_done(&s);
}

static void test_failing_memory(void **state)
{
    (void)state;
    struct random_source r = { 34 };
    struct sealed s = seal(rich_batch(&r, 300, 1000));
    bool is_done = false;
    for (uint64_t nth = 1; !is_done; nth++) {
        AUTO_DONE(segment_scratch) scratch = { 0 };
        AUTO_DONE(buf) out = { 0 };
        mem_fail_nth(nth);
        int rc = digest_encode(&scratch, buf_sv(&s.segment), false, &out, NULL);
        mem_fail_nth(0);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        is_done = rc == 0;
        if (is_done)
            assert_true(sv_eq(buf_sv(&out), buf_sv(&s.digest)));
    }
    AUTO_FREE(segment_w) w = segment_w_new();
    assert_int_equal(segment_add(w, s.batch, NULL, NULL), 0);
    is_done = false;
    for (uint64_t nth = 1; !is_done; nth++) {
        AUTO_DONE(buf) segment = { 0 };
        AUTO_DONE(buf) digest = { 0 };
        mem_fail_nth(nth);
        int rc = segment_finish(w, &segment, &digest, NULL);
        mem_fail_nth(0);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        is_done = rc == 0;
        if (is_done)
            assert_true(sv_eq(buf_sv(&segment), buf_sv(&s.segment)) &&
                        sv_eq(buf_sv(&digest), buf_sv(&s.digest)));
    }
    sealed_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_no), cmocka_unit_test(test_seldom_perhaps),
        cmocka_unit_test(test_longest),  cmocka_unit_test(test_too_much),
        cmocka_unit_test(test_damaged),  cmocka_unit_test(test_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
