/* scripted_store.c - the script, and reading it back. */
#include "scripted_store.h"
#include <stdio.h>

enum { SPANS = 3 };

struct store *script_open(const char *file, enum store_durability durability,
                          struct store_keep keep)
{
    char url[200];
    struct err err = { 0 };
    snprintf(url, sizeof(url), "sqlite:%s", file);
    struct store_conf conf = { .url = sv_z(url), .durability = durability, .keep = keep };
    struct store *store = store_open(&conf, &err);
    if (!store)
        fail_msg("open %s: %s", file, err.why);
    struct sqlite_store *s = (struct sqlite_store *)store;
    pthread_mutex_lock(&s->writing);
    sqlite3_wal_autocheckpoint(s->writer.handle, SCRIPT_CHECKPOINT_PAGES);
    pthread_mutex_unlock(&s->writing);
    sqlite_set_segment_records(s, SCRIPT_SEGMENT);
    return store;
}

struct batch *script_batch(uint64_t i)
{
    struct random_source r = { i };
    struct batch *b = mesh_batch(&r, SPANS, (int64_t)i * NS_PER_S);
    char key[24];
    snprintf(key, sizeof(key), "export %llu", (unsigned long long)i);
    b->idempotency_key = arena_copy(&b->mem, sv_z(key));
    b->received_ns = (int64_t)i * NS_PER_S;
    return b;
}

int script_put_edges(struct store *s, uint64_t from, uint64_t to, struct err *err)
{
    struct edge e = { .source = identity_unknown(), .destination = identity_unknown() };
    struct edge_bucket list[16] = { 0 };
    size_t len = 0;
    for (uint64_t i = from + 1; i <= to; i++) {
        int64_t start_ns = window_align_down((int64_t)i * NS_PER_S, BUCKET_NS);
        if (len == 0 || list[len - 1].start_ns != start_ns) {
            assert_true(len < NELEMS(list));
            list[len++] =
                (struct edge_bucket){ .edge = &e, .start_ns = start_ns, .width_ns = BUCKET_NS };
        }
        struct call c = { .start_ns = start_ns, .grpc_status = -1, .response_code = 200 };
        struct edge_cell *cell = edge_bucket_cell(&list[len - 1], REPORTER_SOURCE);
        assert_true(cell && edge_cell_add(cell, &c) == 0);
    }
    struct store_progress p = { .seq = to, .time_ns = (int64_t)to };
    int rc = store_put_edges(s, list, len, &p, err);
    for (size_t i = 0; i < len; i++)
        edge_bucket_done(&list[i]);
    return rc;
}

static int say_finding(void *to, struct sv where, struct sv what)
{
    (void)to;
    print_message("%.*s: %.*s\n", SV_ARG(where), SV_ARG(what));
    return 0;
}

static bool has_span(const struct batch *b, const struct span *s)
{
    for (size_t i = 0; i < b->spans_len; i++)
        if (span_eq(&b->spans[i], s))
            return true;
    return false;
}

static int look_at_batch(void *to, const struct batch *b)
{
    struct script_held *held = to;
    if (held->last)
        assert_int_equal(b->seq, held->last + 1);
    else
        held->first = b->seq;
    held->last = b->seq;
    AUTO_FREE(batch) want = script_batch(b->seq);
    assert_int_equal(b->spans_len, want->spans_len);
    for (size_t i = 0; i < want->spans_len; i++)
        assert_true(has_span(b, &want->spans[i]));
    return 0;
}

static int count_requests(void *to, const struct edge_bucket *b)
{
    assert_non_null(b->cells[REPORTER_SOURCE]);
    *(uint64_t *)to += b->cells[REPORTER_SOURCE]->requests;
    return 0;
}

struct script_held script_check(struct store *s)
{
    struct script_held held = { 0 };
    struct store_checked checked = { 0 };
    struct store_progress progress = { 0 };
    struct err err = { 0 };
    if (store_check(s, say_finding, NULL, &checked, &err) < 0 ||
        store_replay(s, 0, INT64_MIN, look_at_batch, &held, &err) < 0 ||
        store_get_progress(s, &progress, &err) < 0)
        fail_msg("%s", err.why);
    assert_int_equal(checked.findings, 0);
    held.folded = progress.seq;
    for (size_t i = 0; i < STORE_WIDTHS_LEN; i++) {
        struct window all = { INT64_MIN / 2, INT64_MAX / 2 };
        uint64_t requests = 0;
        assert_int_equal(store_edges(s, &all, store_widths[i], count_requests, &requests, NULL), 0);
        assert_int_equal(requests, progress.seq);
    }
    return held;
}
