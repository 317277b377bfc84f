/* put_cases.c - committing batches: sequence, all or nothing, repeated keys, replay, progress. */
#include "base/clock.h"
#include "base/mem.h"
#include "contract.h"

static void seq_counts_up(struct world *w)
{
    struct batch *b[3] = { one_span_batch(1, 1, 10), batch_new(), one_span_batch(2, 1, 20) };
    assert_int_equal(store_put(w->store, b, 3, NULL), 0);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(b[i]->seq, i + 1);
    world_reopen(w);
    struct batch *again = one_span_batch(3, 1, 30);
    put_one(w->store, again);
    assert_int_equal(again->seq, 4);
    assert_int_equal(store_put(w->store, NULL, 0, NULL), 0);
    batch_free(again);
    for (size_t i = 0; i < 3; i++)
        batch_free(b[i]);
}

static struct batch *keyed(const char *key, uint8_t trace)
{
    struct batch *b = one_span_batch(trace, 1, 10);
    b->idempotency_key = sv_z(key);
    return b;
}

static void repeated_keys_are_skipped(struct world *w)
{
    struct batch *b[4] = { keyed("a", 1), keyed("b", 2), keyed("a", 3), keyed("", 4) };
    assert_int_equal(store_put(w->store, b, 4, NULL), 0);
    assert_int_equal(b[0]->seq, 1);
    assert_int_equal(b[1]->seq, 2);
    assert_int_equal(b[2]->seq, 0);
    assert_int_equal(b[3]->seq, 3);
    world_reopen(w);
    struct batch *late[2] = { keyed("b", 5), keyed("c", 6) };
    assert_int_equal(store_put(w->store, late, 2, NULL), 0);
    assert_int_equal(late[0]->seq, 0);
    assert_int_equal(late[1]->seq, 4);
    struct store_stats stats;
    assert_int_equal(store_get_stats(w->store, &stats, NULL), 0);
    assert_int_equal(stats.batches, 4);
    assert_int_equal(stats.spans, 4);
    for (size_t i = 0; i < 4; i++)
        batch_free(b[i]);
    for (size_t i = 0; i < 2; i++)
        batch_free(late[i]);
}

static int count_span(void *to, const struct span *s)
{
    (void)s;
    ++*(size_t *)to;
    return 0;
}

/* Each allocation of a put fails once; afterwards nothing of it may be there, and a put works. */
static void put_is_all_or_nothing(struct world *w)
{
    for (uint64_t nth = 1; nth < 200; nth++) {
        struct batch *b[2] = { keyed("k1", 1), keyed("k2", 1) };
        mem_fail_nth(nth);
        int rc = store_put(w->store, b, 2, NULL);
        mem_fail_nth(0);
        size_t found = 0;
        int trace_rc = store_trace(w->store, trace_of(1), count_span, &found, NULL);
        assert_int_equal(found, rc == 0 ? 2 : 0);
        assert_int_equal(trace_rc, rc == 0 ? 0 : ERR_NOT_FOUND);
        assert_int_equal(b[0]->seq, rc == 0 ? 1 : 0);
        batch_free(b[0]);
        batch_free(b[1]);
        if (rc == 0)
            return;
        assert_int_equal(rc, ERR_NOMEM);
    }
    fail_msg("put never succeeded");
}

struct replayed {
    size_t len;
    uint64_t seqs[64];
    const struct batch **want; /* by seq - 1; NULL when contents are not compared */
    size_t stop_after;
};

/* Spans of a batch may come back in another order: each must have its equal. */
static void assert_same_records(const struct batch *a, const struct batch *b)
{
    assert_int_equal(a->spans_len, b->spans_len);
    assert_int_equal(a->calls_len, b->calls_len);
    for (size_t i = 0; i < a->spans_len; i++) {
        bool found = false;
        for (size_t j = 0; j < b->spans_len && !found; j++)
            found = span_eq(&a->spans[i], &b->spans[j]);
        assert_true(found);
    }
    for (size_t i = 0; i < a->calls_len; i++)
        assert_true(call_eq(&a->calls[i], &b->calls[i]));
}

static int on_replay(void *to, const struct batch *b)
{
    struct replayed *r = to;
    assert_true(r->len < NELEMS(r->seqs));
    r->seqs[r->len++] = b->seq;
    if (r->want) {
        const struct batch *want = r->want[b->seq - 1];
        assert_int_equal(b->received_ns, want->received_ns);
        assert_same_records(b, want);
    }
    return r->len == r->stop_after;
}

static void replay_gives_batches_whole(struct world *w)
{
    enum { N = 12 };
    struct random_source r = { 5 };
    const struct batch *kept[N];
    struct batch *put[N];
    for (size_t i = 0; i < N; i++) {
        put[i] = random_batch(&r, random_below(&r, 40), random_below(&r, 5), (int64_t)i * 1000);
        kept[i] = put[i];
        put_one(w->store, put[i]);
    }
    for (int round = 0; round < 2; round++) {
        struct replayed all = { .want = kept };
        assert_int_equal(store_replay(w->store, 0, INT64_MAX, on_replay, &all, NULL), 0);
        assert_int_equal(all.len, N);
        for (size_t i = 0; i < N; i++)
            assert_int_equal(all.seqs[i], i + 1);
        struct replayed some = { .want = kept };
        assert_int_equal(store_replay(w->store, 10, 9000, on_replay, &some, NULL), 0);
        assert_int_equal(some.len, 3); /* seq 10 by its time, 11 and 12 */
        assert_int_equal(some.seqs[0], 10);
        struct replayed first = { .stop_after = 1 };
        assert_int_equal(store_replay(w->store, 3, INT64_MAX, on_replay, &first, NULL), 0);
        assert_int_equal(first.len, 1);
        assert_int_equal(first.seqs[0], 4);
        world_reopen(w);
    }
    for (size_t i = 0; i < N; i++)
        batch_free(put[i]);
}

static void stats_count(struct world *w)
{
    struct random_source r = { 6 };
    uint64_t spans = 0, calls = 0;
    for (size_t i = 0; i < 5; i++) {
        AUTO_FREE(batch) b = random_batch(&r, 10 + i, i, 5000);
        spans += b->spans_len;
        calls += b->calls_len;
        put_one(w->store, b);
    }
    world_reopen(w);
    struct store_stats stats;
    assert_int_equal(store_get_stats(w->store, &stats, NULL), 0);
    assert_int_equal(stats.batches, 5);
    assert_int_equal(stats.spans, spans);
    assert_int_equal(stats.calls, calls);
    assert_int_equal(stats.edge_buckets, 0);
    assert_int_equal(stats.disk_bytes > 0, w->is_durable);
}

/* Everything random, from both stores, before and after a restart. */
static void random_spans_come_back(struct world *w)
{
    struct store *oracle = oracle_open();
    struct random_source r = { 77 };
    for (size_t i = 0; i < 30; i++) {
        AUTO_FREE(batch)
        b = random_batch(&r, random_below(&r, 30), random_below(&r, 8), 1000000 + (int64_t)i * 100);
        put_one(w->store, b);
        put_one(oracle, b);
    }
    for (int round = 0; round < 2; round++) {
        for (int first = 0; first < 12; first++)
            assert_same_trace(oracle, w->store, trace_of((uint8_t)first));
        world_reopen(w);
    }
    store_close(oracle);
}

static void mesh_spans_come_back(struct world *w)
{
    struct store *oracle = oracle_open();
    struct random_source r = { 78 };
    struct trace_id ids[8];
    for (size_t i = 0; i < 8; i++) {
        AUTO_FREE(batch) b = mesh_batch(&r, 500, (int64_t)i * NS_PER_S);
        ids[i] = b->spans[b->spans_len / 2].trace_id;
        put_one(w->store, b);
        put_one(oracle, b);
    }
    for (size_t i = 0; i < 8; i++)
        assert_same_trace(oracle, w->store, ids[i]);
    store_close(oracle);
}

const struct contract_case put_cases[] = {
    { "seq counts up", seq_counts_up },
    { "repeated keys are skipped", repeated_keys_are_skipped },
    { "put is all or nothing", put_is_all_or_nothing },
    { "replay gives batches whole", replay_gives_batches_whole },
    { "stats count", stats_count },
    { "random spans come back", random_spans_come_back },
    { "mesh spans come back", mesh_spans_come_back },
};
const size_t put_cases_len = NELEMS(put_cases);
