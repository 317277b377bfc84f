/* retain_cases.c - what goes by age and for disk space, and what stays in any case. */
#include "base/clock.h"
#include "contract.h"
#include "store/sqlite/sqlite.h"
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define HOUR_NS (3600 * NS_PER_S)

static void reopen_with(struct world *w, struct store_keep keep)
{
    w->keep = keep;
    store_close(w->store);
    struct err err = { 0 };
    w->store = world_open(w, false, &err);
    if (!w->store)
        fail_msg("open: %s", err.why);
}

/* n traces of one span, from number `first` on, all received at t; the fold has seen them. */
static void put_traces(struct store *s, uint8_t first, uint8_t n, int64_t t_ns, bool is_failed)
{
    struct store_progress p = { 0 };
    for (uint8_t i = first; i < first + n; i++) {
        AUTO_FREE(batch) b = one_span_batch(i, 1, t_ns);
        if (is_failed)
            b->spans[0].status = STATUS_ERROR;
        put_one(s, b);
        p.seq = b->seq;
    }
    assert_int_equal(store_put_edges(s, NULL, 0, &p, NULL), 0);
}

static uint64_t batches_of(struct store *s)
{
    struct store_stats stats = { 0 };
    assert_int_equal(store_get_stats(s, &stats, NULL), 0);
    return stats.batches;
}

static int ignore_span(void *to, const struct span *s)
{
    (void)to;
    (void)s;
    return 0;
}

static bool has(struct store *s, uint8_t trace)
{
    int rc = store_trace(s, trace_of(trace), ignore_span, NULL, NULL);
    assert_true(rc == 0 || rc == ERR_NOT_FOUND);
    return rc == 0;
}

/* Tells the time and waits until so many batches are left. */
static struct store_dropped retain_until(struct world *w, int64_t now_ns, uint64_t batches)
{
    struct store_dropped dropped = { 0 };
    world_settle(w);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(store_retain(w->store, now_ns, &dropped, NULL), 0);
        if (batches_of(w->store) == batches) {
            assert_int_equal(store_retain(w->store, now_ns, &dropped, NULL), 0);
            return dropped;
        }
        usleep(500);
    }
    fail_msg("%d batches left, not %d", (int)batches_of(w->store), (int)batches);
    return dropped;
}

static void old_goes_fresh_stays(struct world *w)
{
    reopen_with(w, (struct store_keep){ .raw_ns = HOUR_NS });
    put_traces(w->store, 1, 16, HOUR_NS, false);
    put_traces(w->store, 17, 16, 3 * HOUR_NS, false);
    retain_until(w, 2 * HOUR_NS, 32); /* exactly as old as allowed */
    struct store_dropped d = retain_until(w, 3 * HOUR_NS, 16);
    assert_int_equal(d.spans, 16);
    assert_int_equal(d.batches, 16);
    for (uint8_t i = 1; i <= 32; i++)
        assert_int_equal(has(w->store, i), i > 16);
    world_reopen(w);
    if (w->is_durable)
        assert_int_equal(batches_of(w->store), 16);
}

static void nothing_unfolded_goes(struct world *w)
{
    reopen_with(w, (struct store_keep){ .raw_ns = HOUR_NS });
    put_traces(w->store, 1, 8, 1, false);
    for (uint8_t i = 9; i <= 24; i++) {
        AUTO_FREE(batch) b = one_span_batch(i, 1, 1); /* as old, but not folded */
        put_one(w->store, b);
    }
    retain_until(w, 9 * HOUR_NS, 16);
    for (int i = 0; i < 20; i++)
        retain_until(w, 9 * HOUR_NS, 16);
    assert_true(has(w->store, 9));
    assert_false(has(w->store, 8));
}

static void numbers_go_on(struct world *w)
{
    reopen_with(w, (struct store_keep){ .raw_ns = HOUR_NS });
    put_traces(w->store, 1, 16, 1, false);
    retain_until(w, 9 * HOUR_NS, 0);
    world_reopen(w);
    AUTO_FREE(batch) b = one_span_batch(50, 1, 9 * HOUR_NS);
    put_one(w->store, b);
    assert_int_equal(b->seq, 17);
}

static int count_bucket(void *to, const struct edge_bucket *b)
{
    (void)b;
    ++*(size_t *)to;
    return 0;
}

static size_t buckets_of(struct store *s, int64_t width_ns)
{
    size_t n = 0;
    struct window all = { 0, INT64_MAX };
    assert_int_equal(store_edges(s, &all, width_ns, count_bucket, &n, NULL), 0);
    return n;
}

static void edges_outlive_spans(struct world *w)
{
    reopen_with(w, (struct store_keep){ .raw_ns = HOUR_NS, .edges_ns = 10 * HOUR_NS });
    put_traces(w->store, 1, 8, 1, false);
    struct edge e = { .source = identity_unknown(), .destination = identity_unknown() };
    for (int i = 0; i < 4; i++) {
        struct edge_bucket b = { .edge = &e, .width_ns = BUCKET_NS };
        b.start_ns = i * 5 * HOUR_NS;
        struct store_progress p = { .seq = 8 };
        assert_non_null(edge_bucket_cell(&b, REPORTER_SPAN));
        assert_int_equal(store_put_edges(w->store, &b, 1, &p, NULL), 0);
        edge_bucket_done(&b);
    }
    retain_until(w, 9 * HOUR_NS, 0);
    assert_int_equal(buckets_of(w->store, BUCKET_NS), 4);
    /* The hour from 5 to 6 just ended ten hours before. */
    struct store_dropped d = { 0 };
    for (int i = 0; i < 100000 && buckets_of(w->store, 360 * BUCKET_NS) != 2; i++) {
        assert_int_equal(store_retain(w->store, 16 * HOUR_NS, &d, NULL), 0);
        usleep(500);
    }
    assert_int_equal(store_retain(w->store, 16 * HOUR_NS, &d, NULL), 0);
    assert_int_equal(buckets_of(w->store, 360 * BUCKET_NS), 2);
    assert_int_equal(buckets_of(w->store, BUCKET_NS), 2);
    assert_int_equal(d.edge_buckets, 2);
}

static bool has_rows(struct sqlite_store *s)
{
    pthread_mutex_lock(&s->chunks.lock);
    bool found = s->chunks.rows > 0;
    pthread_mutex_unlock(&s->chunks.lock);
    return found;
}

static void wait_until_sealed(struct sqlite_store *s)
{
    for (int i = 0; i < 100000 && has_rows(s); i++)
        usleep(500);
    assert_false(has_rows(s));
}

/* Eight segments, of which the first and the third have errors, and a disk that is too small. */
static void for_disk_errors_go_last(struct world *w)
{
    if (!w->is_durable || !w->segment_records)
        return;
    reopen_with(w, (struct store_keep){ 0 });
    for (uint8_t i = 0; i < 8; i++) {
        put_traces(w->store, (uint8_t)(1 + i * 8), 8, i + 1, i == 0 || i == 2);
        wait_until_sealed((struct sqlite_store *)w->store); /* or two would become one segment */
    }
    world_reopen(w); /* which segments have errors is known again */
    struct sqlite_store *s = (struct sqlite_store *)w->store;
    static const uint8_t order[] = { 1, 3, 4, 5, 0, 6, 2, 7 }; /* going: half of those left */
    bool is_gone[8] = { false };
    s->sealer = sealer_stop(s->sealer); /* the steps below are this thread's alone */
    s->keep.disk_bytes = 1;
    atomic_store(&s->now_ns, 100);
    for (size_t i = 0; i < NELEMS(order); i++) {
        assert_true(retain_step(s));
        is_gone[order[i]] = true;
        for (uint8_t k = 0; k < 8; k++)
            if (has(w->store, (uint8_t)(1 + k * 8)) == is_gone[k])
                fail_msg("step %zu: segment %d is %s", i, k, is_gone[k] ? "there" : "gone");
    }
    assert_false(retain_step(s)); /* nothing more to give, though it is over still */
}

/* Room that became free is used again: what is in use falls, and the file does not grow. */
static void freed_pages_are_used_again(struct world *w)
{
    if (!w->is_durable)
        return;
    reopen_with(w, (struct store_keep){ .raw_ns = 1 });
    int64_t t = 1;
    struct store_stats first = { 0 }, last = { 0 };
    for (int round = 0; round < 6; round++, t += 10) {
        put_traces(w->store, 1, 160, t, false);
        retain_until(w, t + 5, 0);
        world_reopen(w); /* empties the log */
        assert_int_equal(store_get_stats(w->store, round == 1 ? &first : &last, NULL), 0);
    }
    assert_true(last.disk_bytes <= first.disk_bytes * 5 / 4);
}

static void a_reader_follows(struct world *w)
{
    if (!w->is_durable)
        return;
    reopen_with(w, (struct store_keep){ .raw_ns = HOUR_NS });
    put_traces(w->store, 1, 16, 1, false);
    put_traces(w->store, 17, 16, 9 * HOUR_NS, false);
    world_settle(w);
    struct store *beside = world_open(w, true, NULL);
    assert_non_null(beside);
    assert_true(has(beside, 1));
    retain_until(w, 9 * HOUR_NS, 16);
    assert_false(has(beside, 1));
    assert_true(has(beside, 32));
    assert_int_equal(batches_of(beside), 16);
    struct store_dropped d;
    assert_int_equal(store_retain(beside, 1, &d, NULL), ERR_UNSUPPORTED);
    store_close(beside);
}

/* A file as version 2 left it. */
static void an_older_file_is_migrated(struct world *w)
{
    if (!w->is_durable)
        return;
    put_traces(w->store, 1, 16, 1, true);
    world_reopen(w);
    w->store = store_close(w->store);
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(w->file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "DROP TABLE segment_error; DROP TABLE dropped;"
                                  "DROP TABLE segment_digest; DROP INDEX segment_head;"
                                  "PRAGMA user_version = 2",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    struct err err = { 0 };
    assert_null(world_open(w, true, &err)); /* a reader changes nothing */
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    reopen_with(w, (struct store_keep){ .raw_ns = HOUR_NS });
    assert_true(has(w->store, 1));
    retain_until(w, 9 * HOUR_NS, 0);
}

static size_t segments_of(struct store *store, size_t *ret_rows)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    pthread_mutex_lock(&s->chunks.lock);
    size_t rows = s->chunks.rows, segments = s->chunks.len - rows;
    pthread_mutex_unlock(&s->chunks.lock);
    *ret_rows = rows;
    return segments;
}

/* Tells the time until there are so many segments and rows of the journal. */
static void tell_until(struct world *w, int64_t now_ns, size_t segments, size_t rows)
{
    struct store_dropped dropped;
    size_t got_segments = 0, got_rows = 0;
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(store_retain(w->store, now_ns, &dropped, NULL), 0);
        got_segments = segments_of(w->store, &got_rows);
        if (got_segments == segments && got_rows == rows)
            return;
        usleep(500);
    }
    fail_msg("%zu segments and %zu rows", got_segments, got_rows);
}

static int fail_on_finding(void *to, struct sv where, struct sv what)
{
    (void)to;
    fail_msg("%.*s: %.*s", SV_ARG(where), SV_ARG(what));
    return 1;
}

/* What comes slowly is sealed by its age, and eight small segments become one, of which nothing is
 * missing and nothing wrong, for who has the store open and for who opens it. */
static void small_segments_are_merged(struct world *w)
{
    if (!w->is_durable || w->segment_records)
        return; /* what is small is a part of what a segment holds as it comes */
    struct store *oracle = oracle_open();
    struct random_source r = { 41 };
    int64_t minute_ns = HOUR_NS / 60, now_ns = 1000 * HOUR_NS;
    for (size_t i = 0; i < 24; i++) {
        AUTO_FREE(batch) b = random_batch(&r, 5, 3, now_ns);
        put_one(w->store, b);
        put_one(oracle, b);
        AUTO_FREE(batch) c = mesh_batch(&r, 10, now_ns);
        c->received_ns = now_ns;
        put_one(w->store, c);
        put_one(oracle, c);
        tell_until(w, now_ns + minute_ns, i % 8 + i / 8, 2); /* too young */
        now_ns += 6 * minute_ns;
        tell_until(w, now_ns, i % 8 == 7 ? i / 8 + 1 : i / 8 + i % 8 + 1, 0);
    }
    AUTO_FREE(batch) probe = random_batch(&(struct random_source){ 41 }, 5, 3, 1);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < probe->spans_len; i++)
            assert_same_trace(oracle, w->store, probe->spans[i].trace_id);
        struct store_stats x, y;
        assert_int_equal(store_get_stats(oracle, &x, NULL), 0);
        assert_int_equal(store_get_stats(w->store, &y, NULL), 0);
        assert_int_equal(x.batches, y.batches);
        assert_int_equal(x.spans, y.spans);
        assert_int_equal(x.calls, y.calls);
        struct store_checked checked;
        assert_int_equal(store_check(w->store, fail_on_finding, NULL, &checked, NULL), 0);
        assert_int_equal(checked.findings, 0);
        assert_int_equal(checked.segments, 3);
        world_reopen(w);
    }
    store_close(oracle);
}

/* Who only reads follows a merge. Batches with something missing between them, or received long
 * after each other, stay apart. */
static void merging_stops_at_gaps(struct world *w)
{
    if (!w->is_durable || w->segment_records)
        return;
    int64_t now_ns = 1000 * HOUR_NS;
    struct err err = { 0 };
    struct store *beside = NULL;
    for (uint8_t i = 1; i <= 16; i++) {
        AUTO_FREE(batch) b = one_span_batch(i, 1, now_ns);
        put_one(w->store, b);
        now_ns += i == 9 ? 100 * HOUR_NS : HOUR_NS / 4;
        tell_until(w, now_ns, i < 8 ? i : i - 7, 0);
        if (i == 7) {
            beside = world_open(w, true, &err);
            assert_non_null(beside);
            assert_true(has(beside, 1));
        }
    }
    for (uint8_t i = 1; i <= 16; i++)
        assert_true(has(beside, i) && has(w->store, i));
    store_close(beside);
}

/* With next to no room for what finds spans, everything is found all the same, and what is held
 * stays within the bound but for the journal's own. */
static void little_memory(struct world *w)
{
    if (!w->is_durable || !w->segment_records)
        return;
    struct store_conf conf = { .url = sv_z(w->url), .memory_bytes = 4096 };
    struct random_source r = { 42 };
    struct store *oracle = oracle_open();
    AUTO_FREE(batch) b = NULL;
    w->store = store_close(w->store);
    for (int round = 0; round < 2; round++) {
        w->store = store_open(&conf, NULL);
        assert_non_null(w->store);
        sqlite_set_segment_records((struct sqlite_store *)w->store, w->segment_records);
        for (int i = 0; i < 20; i++) {
            batch_free(b);
            b = mesh_batch(&r, 30, 1000000 + i * 1000);
            put_one(w->store, b);
            put_one(oracle, b);
        }
        world_settle(w);
        for (size_t i = 0; i < b->spans_len; i++) {
            assert_same_trace(oracle, w->store, b->spans[i].trace_id);
            struct attr_wish wish = { .attr = b->spans[i].attrs.list[6] };
            struct span_query q = { .attrs = &wish, .attrs_len = 1, .limit = 5 };
            struct seen x = { 0 }, y = { 0 };
            struct search_end end;
            assert_int_equal(store_search(oracle, &q, see_trace, &x, &end, NULL), 0);
            assert_int_equal(store_search(w->store, &q, see_trace, &y, &end, NULL), 0);
            assert_int_equal(x.traces_len, y.traces_len);
            seen_done(&x);
            seen_done(&y);
        }
        assert_in_range(store_held_bytes(w->store), 0, 4096 + 8 * 30 * 4);
        w->store = store_close(w->store);
    }
    w->store = world_open(w, false, NULL);
    store_close(oracle);
}

const struct contract_case retain_cases[] = {
    { "small segments are merged", small_segments_are_merged },
    { "merging stops at gaps", merging_stops_at_gaps },
    { "little memory", little_memory },
    { "old goes, fresh stays", old_goes_fresh_stays },
    { "nothing unfolded goes", nothing_unfolded_goes },
    { "numbers go on", numbers_go_on },
    { "edges outlive spans", edges_outlive_spans },
    { "for disk, errors go last", for_disk_errors_go_last },
    { "freed pages are used again", freed_pages_are_used_again },
    { "a reader follows", a_reader_follows },
    { "an older file is migrated", an_older_file_is_migrated },
};
const size_t retain_cases_len = NELEMS(retain_cases);
