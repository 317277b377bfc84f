/* load.c - reading at start what is kept in memory: the list of chunks and the keys.
 *
 * Of segments only the heads are read, which an index has side by side: 80 bytes for each, some
 * 1,500 segments (a million spans each 60) a millisecond. Fingerprints and digests follow when they
 * are wanted (briefs.c). Rows of the journal are few; theirs are read at once. */
#include "base/mem.h"
#include "store/sqlite/sqlite.h"

static struct chunk_range range_of(sqlite3_stmt *st, int at)
{
    return (struct chunk_range){ sqlite3_column_int64(st, at), sqlite3_column_int64(st, at + 1) };
}

static int add_row(struct sqlite_store *s, sqlite3_stmt *st, struct chunk *c, struct err *err)
{
    struct sv traces = db_column(st, 8);
    c->has_traces = true;
    c->traces_len = traces.len / sizeof(*c->traces);
    c->traces = mem_alloc(traces.len);
    if (!c->traces || chunks_reserve(&s->chunks, 1) < 0) {
        mem_free(c->traces);
        return err_set(err, ERR_NOMEM, "list of chunks");
    }
    if (c->traces_len)
        memcpy(c->traces, traces.p, c->traces_len * sizeof(*c->traces));
    chunks_add(&s->chunks, c);
    s->last_seq = c->last_seq;
    return 0;
}

static int load_segment(struct sqlite_store *s, sqlite3_stmt *st, struct err *err)
{
    struct chunk c = { .kind = CHUNK_SEGMENT, .id = sqlite3_column_int64(st, 0) };
    c.first_seq = (uint64_t)sqlite3_column_int64(st, 1);
    c.last_seq = (uint64_t)sqlite3_column_int64(st, 2);
    c.batches = c.last_seq - c.first_seq + 1;
    c.received_to_ns = sqlite3_column_int64(st, 3);
    c.spans = (uint64_t)sqlite3_column_int64(st, 4);
    c.calls = (uint64_t)sqlite3_column_int64(st, 5);
    c.span_range = range_of(st, 6);
    c.call_range = range_of(st, 8);
    if (chunks_reserve(&s->chunks, 1) < 0)
        return err_set(err, ERR_NOMEM, "list of chunks");
    chunks_add(&s->chunks, &c);
    s->last_seq = c.last_seq;
    return 0;
}

static int load_row(struct sqlite_store *s, sqlite3_stmt *st, struct err *err)
{
    struct chunk c = { .kind = CHUNK_JOURNAL, .batches = 1, .id = sqlite3_column_int64(st, 0) };
    c.first_seq = c.last_seq = (uint64_t)c.id;
    c.received_to_ns = sqlite3_column_int64(st, 1);
    c.spans = (uint64_t)sqlite3_column_int64(st, 2);
    c.calls = (uint64_t)sqlite3_column_int64(st, 3);
    c.span_range = range_of(st, 4);
    c.call_range = range_of(st, 6);
    return add_row(s, st, &c, err);
}

/* Every row of a statement through f. */
static int each_row(struct sqlite_store *s, struct db *db, enum db_statement id, const char *what,
                    int (*f)(struct sqlite_store *, sqlite3_stmt *, struct err *), struct err *err)
{
    sqlite3_stmt *st = db_statement(db, id, err);
    int rc = st ? 0 : ERR_IO;
    while (rc == 0 && (rc = db_step(db, st, what, err)) > 0)
        rc = f(s, st, err);
    if (st)
        sqlite3_reset(st);
    return rc;
}

static int load_errors(struct sqlite_store *s, sqlite3_stmt *st, struct err *err)
{
    (void)err;
    struct chunk *c = chunks_find(&s->chunks, sqlite3_column_int64(st, 0));
    if (c)
        c->has_errors = true;
    return 0;
}

int chunks_load(struct sqlite_store *s, struct db *db, struct err *err)
{
    int rc = each_row(s, db, ST_SEGMENT_HEADS, "read segments", load_segment, err);
    if (rc == 0)
        rc = each_row(s, db, ST_SEGMENT_ERRORS, "read segments with errors", load_errors, err);
    return rc < 0 ? rc : each_row(s, db, ST_JOURNAL_HEADS, "read journal", load_row, err);
}

static int load_key(struct sqlite_store *s, sqlite3_stmt *st, struct err *err)
{
    s->last_key = sqlite3_column_int64(st, 0);
    if (keys_add(&s->keys, db_column(st, 1)) < 0)
        return err_set(err, ERR_NOMEM, "idempotency keys");
    keys_settle(&s->keys, STORE_KEYS_KEPT);
    return 0;
}

int keys_load(struct sqlite_store *s, struct db *db, struct err *err)
{
    return each_row(s, db, ST_KEYS, "read keys", load_key, err);
}
