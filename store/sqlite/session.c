/* session.c - a reader's connection and snapshot.
 *
 * The list of chunks in memory and the rows in the file must be of one moment, or a reader would
 * ask for a journal row that was sealed into a segment meanwhile. So the snapshot is begun while
 * the list's lock is held, and sealing commits under the same lock. Plain commits need no lock:
 * they only add, and a chunk is listed after it was committed. */
#include "base/mem.h"
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

int chunk_load(struct session *session, const struct chunk_ref *ref, struct batch **ret_b,
               struct err *err)
{
    sqlite3_stmt *st = db_statement(&session->db, ST_JOURNAL_DATA, err);
    if (!st)
        return ERR_IO;
    db_bind_i64(st, 1, ref->id);
    int rc = db_step(&session->db, st, "read journal", err);
    if (rc <= 0)
        return rc < 0 ? rc : err_set(err, ERR_IO, "journal row %lld is gone", (long long)ref->id);
    AUTO_FREE(batch) b = batch_new();
    struct sv bytes = b ? arena_copy(&b->mem, db_column(st, 0)) : SV_NONE;
    sqlite3_reset(st);
    if (!bytes.p)
        return err_set(err, ERR_NOMEM, "chunk %lld", (long long)ref->id);
    rc = rows_decode(bytes, b, err);
    if (rc < 0)
        return rc;
    *ret_b = TAKE(b);
    return 0;
}
