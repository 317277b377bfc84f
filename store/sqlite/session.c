/* session.c - a reader's connection and snapshot.
 *
 * The list of chunks in memory and the rows in the file must be of one moment, or a reader would
 * ask for a journal row that was sealed into a segment meanwhile. So the snapshot is begun while
 * the list's lock is held, and sealing commits under the same lock. Plain commits need no lock:
 * they only add, and a chunk is listed after it was committed. */
#include "base/mem.h"
#include "store/match.h"
#include "store/sqlite/sqlite.h"

static int borrow(struct sqlite_store *s, struct db *ret_db, struct err *err)
{
    pthread_mutex_lock(&s->readers_lock);
    bool has_idle = s->idle_len > 0;
    if (has_idle)
        *ret_db = s->idle[--s->idle_len];
    pthread_mutex_unlock(&s->readers_lock);
    return has_idle ? 0 : db_open(ret_db, s->file, DB_READER, s->durability, err);
}

static void give_back(struct sqlite_store *s, struct db *db)
{
    pthread_mutex_lock(&s->readers_lock);
    bool has_room = s->idle_len < READERS_IDLE_MAX;
    if (has_room)
        s->idle[s->idle_len++] = *db;
    pthread_mutex_unlock(&s->readers_lock);
    if (!has_room)
        db_close(db);
}

/* BEGIN alone takes no snapshot; the first read does. */
static int take_snapshot(struct db *db, struct err *err)
{
    sqlite3_stmt *begin = db_statement(db, ST_BEGIN_READ, err);
    int rc = begin ? db_run(db, begin, "begin to read", err) : ERR_IO;
    if (rc < 0)
        return rc;
    sqlite3_stmt *st = db_statement(db, ST_PROGRESS, err);
    return st ? db_run(db, st, "first read", err) : ERR_IO;
}

int session_begin(struct sqlite_store *s, struct session *ret_session, struct err *err)
{
    struct session session = { .store = s };
    int rc = borrow(s, &session.db, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&s->chunks.lock);
    rc = take_snapshot(&session.db, err);
    if (rc == 0 && s->super.is_read_only)
        rc = reload_if_changed(s, &session.db, err);
    if (rc < 0) {
        pthread_mutex_unlock(&s->chunks.lock);
        session_end(&session);
        return rc;
    }
    *ret_session = session;
    return 0;
}

void session_looked_up(struct session *session)
{
    pthread_mutex_unlock(&session->store->chunks.lock);
}

void session_end(struct session *session)
{
    db_rollback(&session->db);
    give_back(session->store, &session->db);
}

int reload_if_changed(struct sqlite_store *s, struct db *db, struct err *err)
{
    int64_t newest[4] = { 0 };
    sqlite3_stmt *st = db_statement(db, ST_NEWEST, err);
    int rc = st ? db_step(db, st, "look for news", err) : ERR_IO;
    if (rc <= 0)
        return rc < 0 ? rc : err_set(err, ERR_IO, "no answer about news");
    for (int i = 0; i < 4; i++)
        newest[i] = sqlite3_column_int64(st, i);
    sqlite3_reset(st);
    if (memcmp(newest, s->newest, sizeof(newest)) == 0)
        return 0;
    chunks_clear(&s->chunks);
    rc = chunks_load(s, db, err);
    if (rc == 0) {
        pthread_mutex_lock(&s->edges_lock);
        edge_book_done(&s->edges);
        rc = history_load(s, db, err);
        pthread_mutex_unlock(&s->edges_lock);
    }
    if (rc == 0)
        memcpy(s->newest, newest, sizeof(newest));
    else
        memset(s->newest, 0, sizeof(s->newest)); /* try again with the next question */
    return rc;
}

/* What is appended to b points into the bytes. */
static int decode_bytes(struct sv bytes, enum chunk_kind kind, struct trace_choice choice,
                        struct batch *b, struct err *err)
{
    if (kind == CHUNK_JOURNAL)
        return rows_decode(bytes, b, err);
    if (choice.ids)
        return segment_decode_traces(bytes, choice.ids, choice.len, choice.is_outline, b, err);
    return segment_decode(bytes, b, NULL, err);
}

int batch_of_bytes(struct sv bytes, enum chunk_kind kind, struct trace_choice choice,
                   struct batch **ret_b, struct err *err)
{
    AUTO_FREE(batch) b = batch_new();
    struct sv copy = b ? arena_copy(&b->mem, bytes) : SV_NONE;
    if (!copy.p)
        return err_set(err, ERR_NOMEM, "%zu bytes of a chunk", bytes.len);
    int rc = decode_bytes(copy, kind, choice, b, err);
    if (rc < 0)
        return rc;
    *ret_b = TAKE(b);
    return 0;
}

/* The bytes of a chunk, valid until *ret_st is reset, which is the caller's to do. */
static int read_chunk(struct session *session, const struct chunk_ref *ref, sqlite3_stmt **ret_st,
                      struct err *err)
{
    bool is_segment = ref->kind == CHUNK_SEGMENT;
    sqlite3_stmt *st = db_statement(&session->db, is_segment ? ST_SEGMENT_DATA : ST_JOURNAL_DATA,
                                    err);
    if (!st)
        return ERR_IO;
    db_bind_i64(st, 1, ref->id);
    int rc = db_step(&session->db, st, "read chunk", err);
    if (rc <= 0)
        return rc < 0 ? rc : err_set(err, ERR_IO, "chunk %lld is gone", (long long)ref->id);
    *ret_st = st;
    return 0;
}

static int blame(const struct chunk_ref *ref, int rc, struct err *err)
{
    if (rc < 0)
        err_context(err, "%s %lld", ref->kind == CHUNK_SEGMENT ? "segment" : "journal row",
                    (long long)ref->id);
    return rc;
}

int chunk_load(struct session *session, const struct chunk_ref *ref, struct trace_choice choice,
               struct batch **ret_b, struct err *err)
{
    sqlite3_stmt *st;
    int rc = read_chunk(session, ref, &st, err);
    if (rc < 0)
        return rc;
    rc = batch_of_bytes(db_column(st, 0), ref->kind, choice, ret_b, err);
    sqlite3_reset(st);
    return blame(ref, rc, err);
}

int chunk_visit(struct session *session, const struct chunk_ref *ref, struct trace_choice choice,
                chunk_visit_fn *visit, void *to, struct err *err)
{
    sqlite3_stmt *st;
    AUTO_FREE(batch) b = batch_new();
    if (!b)
        return err_set(err, ERR_NOMEM, "spans of a chunk");
    int rc = read_chunk(session, ref, &st, err);
    if (rc < 0)
        return rc;
    rc = decode_bytes(db_column(st, 0), ref->kind, choice, b, err);
    if (rc == 0)
        rc = visit(to, b, err);
    sqlite3_reset(st);
    return blame(ref, rc, err);
}

struct row_scan {
    const struct span_query *q;
    segment_hit_sink *sink;
    void *to;
};

static int scan_row(void *to, const struct batch *b, struct err *err)
{
    struct row_scan *scan = to;
    for (size_t i = 0; i < b->spans_len; i++)
        if (query_matches(scan->q, &b->spans[i]) &&
            scan->sink(scan->to, b->spans[i].trace_id, b->spans[i].start_ns) != 0)
            return err_set(err, ERR_NOMEM, "hits");
    return 0;
}

int chunk_scan(struct session *session, const struct chunk_ref *ref, const struct span_query *q,
               struct segment_scratch *scratch, segment_hit_sink *sink, void *to, struct err *err)
{
    sqlite3_stmt *st;
    struct row_scan row = { q, sink, to };
    if (ref->kind == CHUNK_JOURNAL)
        return chunk_visit(session, ref, (struct trace_choice){ 0 }, scan_row, &row, err);
    int rc = read_chunk(session, ref, &st, err);
    if (rc < 0)
        return rc;
    rc = segment_scan(scratch, db_column(st, 0), q, sink, to, err);
    sqlite3_reset(st);
    return blame(ref, rc, err);
}
