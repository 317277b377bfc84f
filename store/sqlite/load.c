/* load.c - reading at start what is kept in memory: the list of chunks and the keys.
 *
 * Only heads are read: ranges, counts and fingerprints stand before the data in their rows, so the
 * pages of the data are not touched, and a start takes milliseconds whatever the file's size. */
#include "base/mem.h"
#include "store/sqlite/sqlite.h"

static struct chunk_range range_of(sqlite3_stmt *st, int at)
{
    return (struct chunk_range){ sqlite3_column_int64(st, at), sqlite3_column_int64(st, at + 1) };
}

/* Adds c with the fingerprints of column `traces_at`. */
static int add_chunk(struct sqlite_store *s, sqlite3_stmt *st, struct chunk *c, int traces_at,
                     struct err *err)
{
    struct sv traces = db_column(st, traces_at);
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
    return add_chunk(s, st, &c, 10, err);
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
    return add_chunk(s, st, &c, 8, err);
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

/* Both lists are in order of id, which is first_seq. */
static int load_errors(struct sqlite_store *s, sqlite3_stmt *st, struct err *err)
{
    (void)err;
    int64_t id = sqlite3_column_int64(st, 0);
    for (size_t from = 0, to = s->chunks.len; from < to;) {
        size_t at = from + (to - from) / 2;
        if (s->chunks.list[at].id == id)
            s->chunks.list[at].has_errors = true;
        if (s->chunks.list[at].id < id)
            from = at + 1;
        else
            to = at;
    }
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
