/* retain.c - dropping what is older than asked for, or more than the disk shall hold.
 *
 * Age: a segment goes when the newest batch in it was received before the retention began; rows of
 * the journal likewise, so that a store that gets little does not keep its last rows for ever.
 * Disk: while more pages are in use than allowed, of the older half of the segments the oldest
 * without a failed span goes, and when all of them have one, the oldest. So errors outlive their
 * neighbours, and old errors never push out what is fresh. Edges go by a retention of their own, a
 * step of time at once. What the fold has not seen yet stays in any case: edges count everything.
 *
 * Each step is a transaction of a segment, some rows, or one step of the edges' time - a few
 * milliseconds - and between steps the writing thread has its turn. Freed pages are used again by
 * what comes; the file does not shrink. Like sealing, a step commits under the lock of the list of
 * chunks, so no reader's snapshot and list disagree. */
#include "base/clock.h"
#include "base/mem.h"
#include "store/sqlite/sqlite.h"

#define ROWS_A_STEP ((size_t)256)

/* What one step takes out of the list. */
struct choice {
    size_t first, n;
    enum chunk_kind kind;
    int64_t last_id;
    struct store_dropped sum;
};

static int progress_seq(struct sqlite_store *s, uint64_t *ret_seq, struct err *err)
{
    sqlite3_stmt *st = db_statement(&s->writer, ST_PROGRESS, err);
    int rc = st ? db_step(&s->writer, st, "read progress", err) : ERR_IO;
    if (rc <= 0)
        return rc < 0 ? rc : err_set(err, ERR_IO, "no progress");
    *ret_seq = (uint64_t)sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return 0;
}

/* The oldest segment, or the oldest rows, that were received before then and are folded. */
static bool choose_old(const struct chunks *c, int64_t before_ns, uint64_t folded_seq,
                       struct choice *ret)
{
    size_t segments = c->len - c->rows;
    for (size_t i = 0; i <= segments && i < c->len; i++) {
        size_t n = 0, most = i < segments ? 1 : ROWS_A_STEP;
        while (n < most && i + n < c->len && c->list[i + n].received_to_ns < before_ns &&
               c->list[i + n].last_seq <= folded_seq)
            n++;
        if (n) {
            *ret = (struct choice){ .first = i, .n = n };
            return true;
        }
    }
    return false;
}

static bool choose_for_disk(const struct chunks *c, uint64_t folded_seq, struct choice *ret)
{
    size_t segments = c->len - c->rows, older = (segments + 1) / 2;
    size_t oldest = SIZE_MAX, oldest_sound = SIZE_MAX;
    for (size_t i = 0; i < older && oldest_sound == SIZE_MAX; i++) {
        if (c->list[i].last_seq > folded_seq)
            break;
        if (oldest == SIZE_MAX)
            oldest = i;
        if (!c->list[i].has_errors)
            oldest_sound = i;
    }
    if (oldest == SIZE_MAX)
        return false;
    *ret = (struct choice){ .first = oldest_sound != SIZE_MAX ? oldest_sound : oldest, .n = 1 };
    return true;
}

static int is_over_disk(struct sqlite_store *s, bool *ret_is_over, struct err *err)
{
    int64_t pages = 0, free_pages = 0, page_bytes = 0;
    int rc = db_integer(&s->writer, "PRAGMA page_count", &pages, err);
    if (rc == 0)
        rc = db_integer(&s->writer, "PRAGMA freelist_count", &free_pages, err);
    if (rc == 0)
        rc = db_integer(&s->writer, "PRAGMA page_size", &page_bytes, err);
    if (rc == 0)
        *ret_is_over = (uint64_t)(pages - free_pages) * (uint64_t)page_bytes > s->keep.disk_bytes;
    return rc;
}

static int choose(struct sqlite_store *s, int64_t now_ns, bool *ret_found, struct choice *ret,
                  struct err *err)
{
    uint64_t folded_seq = 0;
    bool is_over = false, found = false;
    int rc = progress_seq(s, &folded_seq, err);
    if (rc == 0 && s->keep.disk_bytes)
        rc = is_over_disk(s, &is_over, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&s->chunks.lock);
    if (s->keep.raw_ns)
        found = choose_old(&s->chunks, now_ns - s->keep.raw_ns, folded_seq, ret);
    if (!found && is_over)
        found = choose_for_disk(&s->chunks, folded_seq, ret);
    for (size_t i = ret->first; found && i < ret->first + ret->n; i++) {
        const struct chunk *c = &s->chunks.list[i];
        ret->kind = c->kind;
        ret->last_id = c->id;
        ret->sum.batches += c->batches;
        ret->sum.spans += c->spans;
        ret->sum.calls += c->calls;
    }
    pthread_mutex_unlock(&s->chunks.lock);
    *ret_found = found;
    return 0;
}

static int run_with(struct sqlite_store *s, enum db_statement id, int64_t a, struct err *err)
{
    sqlite3_stmt *st = db_statement(&s->writer, id, err);
    if (!st)
        return ERR_IO;
    db_bind_i64(st, 1, a);
    return db_run(&s->writer, st, "drop", err);
}

static int note_dropped(struct sqlite_store *s, size_t chunks, const struct store_dropped *d,
                        struct err *err)
{
    sqlite3_stmt *st = db_statement(&s->writer, ST_DROPPED_ADD, err);
    if (!st)
        return ERR_IO;
    db_bind_i64(st, 1, (int64_t)chunks);
    db_bind_i64(st, 2, (int64_t)d->batches);
    db_bind_i64(st, 3, (int64_t)d->spans);
    db_bind_i64(st, 4, (int64_t)d->calls);
    db_bind_i64(st, 5, (int64_t)d->edge_buckets);
    return db_run(&s->writer, st, "note what was dropped", err);
}

/* Commits under the lock of the list, takes the chunks out of it, and counts. */
static int commit_drop(struct sqlite_store *s, size_t first, size_t n,
                       const struct store_dropped *d, struct err *err)
{
    pthread_mutex_lock(&s->chunks.lock);
    int rc = db_commit(&s->writer, err);
    if (rc == 0) {
        chunks_remove(&s->chunks, first, n);
        s->dropped.batches += d->batches;
        s->dropped.spans += d->spans;
        s->dropped.calls += d->calls;
        s->dropped.edge_buckets += d->edge_buckets;
    }
    pthread_mutex_unlock(&s->chunks.lock);
    return rc;
}

static int drop_chunks(struct sqlite_store *s, const struct choice *c, struct err *err)
{
    int rc = db_begin(&s->writer, err);
    if (rc == 0 && c->kind == CHUNK_JOURNAL)
        rc = run_with(s, ST_JOURNAL_TRIM, c->last_id, err);
    if (rc == 0 && c->kind == CHUNK_SEGMENT)
        rc = segment_rows_drop(s, c->last_id, err);
    if (rc == 0)
        rc = note_dropped(s, c->n, &c->sum, err);
    return rc < 0 ? rc : commit_drop(s, c->first, c->n, &c->sum, err);
}

/* The oldest start of a width whose buckets ended before then; INT64_MAX when there is none. */
static int oldest_bucket(struct sqlite_store *s, int64_t width_s, int64_t *ret_start_s,
                         struct err *err)
{
    sqlite3_stmt *st = db_statement(&s->writer, ST_BUCKETS_OLDEST, err);
    if (!st)
        return ERR_IO;
    db_bind_i64(st, 1, width_s);
    int rc = db_step(&s->writer, st, "oldest bucket", err);
    if (rc > 0) {
        bool is_none = sqlite3_column_type(st, 0) == SQLITE_NULL;
        *ret_start_s = is_none ? INT64_MAX : sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
    }
    return rc < 0 ? rc : 0;
}

static int drop_buckets(struct sqlite_store *s, int64_t width_s, int64_t start_s, struct err *err)
{
    int rc = db_begin(&s->writer, err);
    sqlite3_stmt *st = rc == 0 ? db_statement(&s->writer, ST_BUCKETS_DROP, err) : NULL;
    if (!st)
        return rc < 0 ? rc : ERR_IO;
    db_bind_i64(st, 1, width_s);
    db_bind_i64(st, 2, start_s);
    rc = db_run(&s->writer, st, "drop buckets", err);
    struct store_dropped d = { 0 };
    if (width_s == BUCKET_NS / NS_PER_S)
        d.edge_buckets = (uint64_t)sqlite3_changes64(s->writer.handle);
    if (rc == 0)
        rc = note_dropped(s, 0, &d, err);
    return rc < 0 ? rc : commit_drop(s, 0, 0, &d, err);
}

static int drop_old_edges(struct sqlite_store *s, int64_t before_ns, bool *ret_dropped,
                          struct err *err)
{
    for (size_t i = 0; i < STORE_WIDTHS_LEN; i++) {
        int64_t width_s = store_widths[i] / NS_PER_S, start_s = INT64_MAX;
        int rc = oldest_bucket(s, width_s, &start_s, err);
        if (rc < 0)
            return rc;
        if (start_s == INT64_MAX || start_s > before_ns / NS_PER_S - width_s)
            continue;
        rc = drop_buckets(s, width_s, start_s, err);
        *ret_dropped = rc == 0;
        return rc;
    }
    return 0;
}

bool retain_step(struct sqlite_store *s)
{
    int64_t now_ns = atomic_load(&s->now_ns);
    struct choice c = { 0 };
    bool found = false, dropped = false;
    if (now_ns == 0)
        return false;
    pthread_mutex_lock(&s->writing);
    int rc = choose(s, now_ns, &found, &c, NULL);
    if (rc == 0 && found) {
        rc = drop_chunks(s, &c, NULL);
        dropped = rc == 0;
    } else if (rc == 0 && s->keep.edges_ns) {
        rc = drop_old_edges(s, now_ns - s->keep.edges_ns, &dropped, NULL);
    }
    if (rc < 0)
        db_rollback(&s->writer); /* the next store_retain() tries again */
    pthread_mutex_unlock(&s->writing);
    return dropped;
}

int sqlite_retain(struct store *store, int64_t now_ns, struct store_dropped *ret_dropped,
                  struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    (void)err;
    atomic_store(&s->now_ns, now_ns);
    pthread_mutex_lock(&s->chunks.lock);
    bool is_aged = chunks_is_aged(&s->chunks, now_ns - SEAL_AGE_NS);
    *ret_dropped = s->dropped;
    pthread_mutex_unlock(&s->chunks.lock);
    if (is_aged)
        stages_drop(&s->stages); /* rows that are sealed by age are few, and read back */
    if (is_aged || s->keep.raw_ns || s->keep.edges_ns || s->keep.disk_bytes)
        sealer_wake(s->sealer);
    return 0;
}
