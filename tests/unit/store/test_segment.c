/* test_segment.c - segments: what went in comes out, damaged input, failing memory. */
#include "base/hash.h"
#include "base/mem.h"
#include "random_batch.h"
#include "store/match.h"
#include "store/sqlite/segment.h"
#include "store/sqlite/texts.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { BATCHES_MAX = 20 };

struct input {
    struct batch *batches[BATCHES_MAX];
    size_t len;
};

static void input_done(struct input *in)
{
    for (size_t i = 0; i < in->len; i++)
        batch_free(in->batches[i]);
}

/* Every span of the input has its equal among those of its batch in the output, and only once. */
static void assert_same(const struct input *in, const struct batch *out,
                        const struct segment_origins *o)
{
    size_t spans = 0, calls = 0;
    bool *is_taken = mem_zalloc(out->spans_len);
    assert_int_equal(o->batches_len, in->len);
    for (size_t b = 0; b < in->len; b++) {
        const struct batch *want = in->batches[b];
        spans += want->spans_len;
        assert_int_equal(o->received_ns[b], want->received_ns);
        assert_int_equal(o->calls_len[b], want->calls_len);
        for (size_t i = 0; i < want->spans_len; i++) {
            bool found = false;
            for (size_t j = 0; j < out->spans_len && !found; j++)
                if (o->batch_of_span[j] == b && !is_taken[j] &&
                    span_eq(&want->spans[i], &out->spans[j]))
                    found = is_taken[j] = true;
            assert_true(found);
        }
        for (size_t i = 0; i < want->calls_len; i++)
            assert_true(call_eq(&want->calls[i], &out->calls[calls++]));
    }
    assert_int_equal(out->spans_len, spans);
    assert_int_equal(out->calls_len, calls);
    mem_free(is_taken);
}

/* Traces lie side by side, each in order. */
static void assert_ordered(const struct batch *b)
{
    for (size_t i = 1; i < b->spans_len; i++) {
        struct span_at x = { &b->spans[i - 1], 0 }, y = { &b->spans[i], 1 };
        if (trace_id_eq(x.span->trace_id, y.span->trace_id)) {
            assert_true(span_at_cmp(&x, &y) < 0);
            continue;
        }
        for (size_t j = i + 1; j < b->spans_len; j++)
            assert_false(trace_id_eq(b->spans[j].trace_id, x.span->trace_id));
    }
}

/* Some traces read alone are the same spans in the same order as when everything is read. */
static void assert_traces_alone(struct sv segment, const struct batch *all)
{
    for (size_t step = 1; step < all->spans_len; step += 1 + all->spans_len / 7) {
        struct trace_id ids[3] = { all->spans[step].trace_id, all->spans[step / 2].trace_id };
        size_t want = 0, got = 0;
        AUTO_FREE(batch) some = batch_new();
        assert_int_equal(segment_decode_traces(segment, ids, 1 + step % 3, false, some, NULL), 0);
        for (size_t i = 0; i < all->spans_len; i++) {
            bool is_wanted = false;
            for (size_t n = 0; n < 1 + step % 3; n++)
                is_wanted |= trace_id_eq(ids[n], all->spans[i].trace_id);
            want += is_wanted;
            if (is_wanted && got < some->spans_len)
                assert_true(span_eq(&all->spans[i], &some->spans[got++]));
        }
        assert_int_equal(some->spans_len, want);
        assert_int_equal(some->calls_len, 0);
    }
}

static void check(struct segment_w *w, const struct input *in)
{
    AUTO_DONE(buf) out = { 0 };
    AUTO_FREE(batch) back = batch_new();
    struct segment_origins o;
    struct err err = { 0 };
    if (segment_encode(w, in->batches, in->len, &out, &err) < 0 ||
        segment_decode(buf_sv(&out), back, &o, &err) < 0)
        fail_msg("%s", err.why);
    assert_same(in, back, &o);
    assert_ordered(back);
    assert_traces_alone(buf_sv(&out), back);
}

static void test_roundtrip(void **state)
{
    (void)state;
    AUTO_FREE(segment_w) w = segment_w_new();
    struct random_source r = { 21 };
    for (size_t round = 0; round < 25; round++) {
        struct input in = { .len = random_below(&r, BATCHES_MAX) };
        for (size_t i = 0; i < in.len; i++)
            in.batches[i] = random_below(&r, 3)
                                ? random_batch(&r, random_below(&r, 30), random_below(&r, 9), 5000)
                                : mesh_batch(&r, random_below(&r, 200), (int64_t)i * 1000);
        check(w, &in);
        input_done(&in);
    }
}

/* One trace of very many spans, ids repeated, parents before and behind and of other traces. */
static void test_large_trace(void **state)
{
    (void)state;
    AUTO_FREE(segment_w) w = segment_w_new();
    struct random_source r = { 22 };
    struct input in = { { mesh_batch(&r, 3000, 0) }, 1 };
    for (size_t i = 0; i < in.batches[0]->spans_len; i++) {
        struct span *s = &in.batches[0]->spans[i];
        memset(s->trace_id.b, 5, sizeof(s->trace_id.b));
        s->start_ns = (int64_t)random_below(&r, 500);
        if (i % 100 == 0 && i)
            s->span_id = in.batches[0]->spans[i - 1].span_id;
        s->parent_id = in.batches[0]->spans[random_below(&r, 3000)].span_id;
    }
    check(w, &in);
    input_done(&in);
}

/* So many spans that columns of distinct texts are not looked up any more; then texts repeat. */
static void test_plain_columns(void **state)
{
    (void)state;
    AUTO_FREE(segment_w) w = segment_w_new();
    struct random_source r = { 25 }, again = { 25 };
    struct input in = { { mesh_batch(&r, 2200, 0), mesh_batch(&again, 100, 7) }, 2 };
    check(w, &in);
    input_done(&in);
}

/* What was finished can be finished again, and what was started anew has forgotten everything. */
static void test_finished_twice(void **state)
{
    (void)state;
    AUTO_FREE(segment_w) w = segment_w_new();
    AUTO_DONE(buf) once = { 0 };
    AUTO_DONE(buf) twice = { 0 };
    struct random_source r = { 26 };
    struct input in = { { random_batch(&r, 40, 9, 9), mesh_batch(&r, 70, 3) }, 2 };
    for (size_t i = 0; i < 2; i++) {
        buf_clear(&once);
        buf_clear(&twice);
        assert_int_equal(segment_encode(w, in.batches, in.len, &once, NULL), 0);
        assert_int_equal(segment_finish(w, &twice, NULL, NULL), 0);
        assert_true(sv_eq(buf_sv(&once), buf_sv(&twice)));
    }
    assert_int_equal(segment_size(w).batches, 2);
    assert_int_equal(segment_size(w).spans, 110);
    segment_start(w);
    assert_int_equal(segment_size(w).spans, 0);
    check(w, &in);
    input_done(&in);
}

static void test_damaged(void **state)
{
    (void)state;
    AUTO_FREE(segment_w) w = segment_w_new();
    struct random_source r = { 23 };
    struct input in = { { random_batch(&r, 20, 4, 9), mesh_batch(&r, 20, 3) }, 2 };
    AUTO_DONE(buf) out = { 0 };
    assert_int_equal(segment_encode(w, in.batches, in.len, &out, NULL), 0);
    for (size_t cut = 0; cut < out.len; cut++) {
        AUTO_FREE(batch) back = batch_new();
        assert_true(segment_decode(sv_sub(buf_sv(&out), 0, cut), back, NULL, NULL) < 0);
        assert_int_equal(back->spans_len, 0);
    }
    for (size_t at = 13; at < out.len; at++) {
        AUTO_FREE(batch) back = batch_new();
        char was = out.mem[at];
        out.mem[at] ^= (char)(1 + random_below(&r, 255));
        assert_int_equal(segment_decode(buf_sv(&out), back, NULL, NULL), ERR_MALFORMED);
        /* The same damage with a checksum that fits: refused or read, never worse. */
        uint64_t sum = hash_bytes(out.mem + 13, out.len - 13, 0);
        char head[8];
        memcpy(head, out.mem + 5, sizeof(head));
        for (unsigned i = 0; i < 8; i++)
            out.mem[5 + i] = (char)(sum >> 8 * i);
        struct segment_origins o;
        (void)!segment_decode(buf_sv(&out), back, &o, NULL);
        memcpy(out.mem + 5, head, sizeof(head));
        out.mem[at] = was;
    }
    input_done(&in);
}

static void test_failing_memory(void **state)
{
    (void)state;
    struct random_source r = { 24 };
    struct input in = { { random_batch(&r, 20, 3, 9), mesh_batch(&r, 20, 3) }, 2 };
    int rc = ERR_NOMEM;
    for (uint64_t nth = 2; rc < 0; nth++) {
        AUTO_FREE(segment_w) w = segment_w_new();
        AUTO_DONE(buf) out = { 0 };
        mem_fail_nth(nth - 1);
        rc = segment_encode(w, in.batches, in.len, &out, NULL);
        mem_fail_nth(0);
        assert_true(rc == 0 || rc == ERR_NOMEM);
    }
    AUTO_FREE(segment_w) w = segment_w_new();
    AUTO_DONE(buf) out = { 0 };
    assert_int_equal(segment_encode(w, in.batches, in.len, &out, NULL), 0);
    rc = ERR_NOMEM;
    for (uint64_t nth = 1; rc < 0; nth++) {
        AUTO_FREE(batch) back = batch_new();
        struct segment_origins o;
        mem_fail_nth(nth);
        rc = segment_decode(buf_sv(&out), back, &o, NULL);
        mem_fail_nth(0);
        assert_true(rc == 0 || rc == ERR_NOMEM);
    }
    input_done(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roundtrip),     cmocka_unit_test(test_large_trace),
        cmocka_unit_test(test_plain_columns), cmocka_unit_test(test_finished_twice),
        cmocka_unit_test(test_damaged),       cmocka_unit_test(test_failing_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
