/* file_cases.c - checking a store and copying it while it is in use. */
#include "base/mem.h"
#include "contract.h"
#include "store/sqlite/sqlite.h"
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int note_finding(void *to, struct sv where, struct sv what)
{
    struct buf *text = to;
    buf_put(text, where);
    buf_put(text, SV(": "));
    buf_put(text, what);
    buf_putc(text, '\n');
    return 0;
}

static void fill(struct store *s)
{
    for (uint8_t i = 1; i <= 20; i++) {
        AUTO_FREE(batch) b = one_span_batch(i, 1, i * 10);
        put_one(s, b);
    }
    struct edge e = { .source = identity_unknown(), .destination = identity_unknown() };
    struct edge_bucket bucket = { .edge = &e, .width_ns = BUCKET_NS };
    struct store_progress p = { .seq = 20 };
    assert_non_null(edge_bucket_cell(&bucket, REPORTER_SPAN));
    assert_int_equal(store_put_edges(s, &bucket, 1, &p, NULL), 0);
    edge_bucket_done(&bucket);
}

static struct store_checked check_with(struct store *s, struct buf *text)
{
    struct store_checked checked = { 0 };
    struct err err = { 0 };
    if (store_check(s, note_finding, text, &checked, &err) < 0)
        fail_msg("check: %s", err.why);
    buf_putc(text, '\0');
    return checked;
}

static void a_sound_store_passes(struct world *w)
{
    AUTO_DONE(buf) text = { 0 };
    fill(w->store);
    struct store_checked checked = check_with(w->store, &text);
    if (checked.findings)
        fail_msg("%s", buf_sv(&text).p);
    assert_int_equal(checked.spans, 20);
    world_reopen(w);
    if (!w->is_durable)
        return;
    struct store *beside = world_open(w, true, NULL);
    assert_non_null(beside);
    AUTO_DONE(buf) again = { 0 };
    checked = check_with(beside, &again);
    assert_int_equal(checked.findings, 0);
    assert_int_equal(checked.spans, 20);
    assert_true(checked.edge_buckets >= 1);
    assert_true(w->segment_records ? checked.segments > 0 : checked.journal_rows == 20);
    store_close(beside);
}

static void exec_on_file(const struct world *w, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(w->file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Each kind of damage, and the words that tell of it. */
static void damage_is_found(struct world *w)
{
    static const struct {
        bool in_segments; /* needs one */
        const char *sql, *word;
    } cases[] = {
        { true, "UPDATE segment SET data = substr(data, 1, length(data) - 1) || x'5a' WHERE id = 1",
          "segment 1: checksum" },
        { true, "UPDATE segment SET data = substr(data, 1, 9) WHERE id = 1", "segment 1: " },
        { true, "UPDATE segment SET spans = spans + 1 WHERE id = 1", "1: number of spans" },
        { true, "UPDATE segment SET traces = x'00000000' WHERE id = 1", "1: fingerprints" },
        { true, "UPDATE segment_digest SET data = zeroblob(30) WHERE id = 1",
          "1: its digest is wrong" },
        { true, "INSERT INTO segment_digest VALUES(99999, x'00')", "digest 99999: there is no" },
        { true, "UPDATE segment SET last_seq = last_seq + 1 WHERE id = 1", "number of batches" },
        { false, "UPDATE journal SET data = x'09' WHERE seq = 20", "journal row 20: " },
        { false, "UPDATE journal SET span_from_ns = 7 WHERE seq = 20", "20: range of the spans" },
        { false, "UPDATE journal SET calls = 1 WHERE seq = 20", "20: number of calls" },
        { false, "UPDATE edge_bucket SET cells = x'ff' WHERE width_s = 60", "bucket of 60 s" },
        { false, "UPDATE edge_bucket SET edge = 9 WHERE width_s = 60", "no such edge" },
        { false, "UPDATE edge SET protocol = 99", "edge 1: its protocol" },
    };
    if (!w->is_durable)
        return;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        if (cases[i].in_segments && !w->segment_records)
            continue;
        print_message("case: %s\n", cases[i].sql);
        if (!w->store)
            w->store = world_open(w, false, NULL);
        assert_non_null(w->store);
        fill(w->store);
        world_reopen(w); /* waits for sealing */
        w->store = store_close(w->store);
        exec_on_file(w, cases[i].sql);
        struct store *s = world_open(w, true, NULL);
        assert_non_null(s);
        AUTO_DONE(buf) text = { 0 };
        struct store_checked checked = check_with(s, &text);
        store_close(s);
        if (!checked.findings || !strstr(buf_sv(&text).p, cases[i].word))
            fail_msg("want \"%s\", found: %s", cases[i].word, buf_sv(&text).p);
        unlink(w->file);
    }
    w->store = world_open(w, false, NULL);
    assert_non_null(w->store);
}

/* Bytes overwritten behind SQLite's back, anywhere behind the first page. */
static void torn_pages_are_found(struct world *w)
{
    if (!w->is_durable)
        return;
    fill(w->store);
    world_reopen(w);
    w->store = store_close(w->store);
    FILE *f = fopen(w->file, "r+");
    assert_non_null(f);
    struct stat st;
    assert_int_equal(fstat(fileno(f), &st), 0);
    for (long at = 16384; at < st.st_size; at += 16384) {
        assert_int_equal(fseek(f, at, SEEK_SET), 0);
        for (int i = 0; i < 512; i++)
            fputc(0xa5, f);
    }
    fclose(f);
    struct store *s = world_open(w, true, NULL);
    assert_non_null(s);
    AUTO_DONE(buf) text = { 0 };
    assert_true(check_with(s, &text).findings > 0);
    store_close(s);
    unlink(w->file);
    w->store = world_open(w, false, NULL);
    assert_non_null(w->store);
}

static int count_span(void *to, const struct span *s)
{
    (void)s;
    ++*(size_t *)to;
    return 0;
}

static void a_snapshot_holds_everything(struct world *w)
{
    char file[128];
    struct err err = { 0 };
    fill(w->store);
    snprintf(file, sizeof(file), "%s/copy.db", w->dir);
    int rc = store_snapshot(w->store, file, &err);
    if (!w->is_durable) {
        assert_int_equal(rc, ERR_UNSUPPORTED);
        return;
    }
    if (rc < 0)
        fail_msg("snapshot: %s", err.why);
    assert_int_equal(store_snapshot(w->store, file, NULL), ERR_CONFLICT);
    AUTO_FREE(batch) later = one_span_batch(99, 1, 99);
    put_one(w->store, later);
    char url[160], wal[160];
    snprintf(url, sizeof(url), "sqlite:%s", file);
    snprintf(wal, sizeof(wal), "%s-wal", file);
    assert_int_equal(access(wal, F_OK), -1);
    struct store_conf conf = { .url = sv_z(url), .is_read_only = true };
    struct store *copy = store_open(&conf, NULL);
    assert_non_null(copy);
    for (uint8_t i = 1; i <= 20; i++)
        assert_same_trace(w->store, copy, trace_of(i));
    size_t found = 0;
    assert_int_equal(store_trace(copy, trace_of(99), count_span, &found, NULL), ERR_NOT_FOUND);
    AUTO_DONE(buf) text = { 0 };
    assert_int_equal(check_with(copy, &text).findings, 0);
    store_close(copy);
    /* It is a store like any other. */
    conf.is_read_only = false;
    copy = store_open(&conf, NULL);
    assert_non_null(copy);
    put_one(copy, later);
    assert_int_equal(later->seq, 21);
    store_close(copy);
}

static void a_failed_snapshot_leaves_nothing(struct world *w)
{
    if (!w->is_durable)
        return;
    struct err err = { 0 };
    assert_int_equal(store_snapshot(w->store, "/tmp/tulle-no-such-folder/x.db", &err), ERR_IO);
    char file[128];
    snprintf(file, sizeof(file), "%s/copy.db", w->dir);
    w->store = store_close(w->store);
    struct store *s = world_open(w, true, NULL);
    assert_non_null(s);
    exec_on_file(w, "PRAGMA application_id = 77"); /* somebody else's by the time it is copied */
    assert_int_equal(store_snapshot(s, file, NULL), ERR_UNSUPPORTED);
    assert_int_equal(access(file, F_OK), -1);
    store_close(s);
}

const struct contract_case file_cases[] = {
    { "a sound store passes", a_sound_store_passes },
    { "damage is found", damage_is_found },
    { "torn pages are found", torn_pages_are_found },
    { "a snapshot holds everything", a_snapshot_holds_everything },
    { "a failed snapshot leaves nothing", a_failed_snapshot_leaves_nothing },
};
const size_t file_cases_len = NELEMS(file_cases);
