/* db.c - opening connections and running prepared statements.
 *
 * Write-ahead logging lets readers go on beside the writer. Durability is SQLite's `synchronous`:
 * NORMAL leaves a commit with the operating system, which is what survives kill -9; FULL waits for
 * the disk; OFF never does. Each reading thread borrows a connection of its own, so no lock of
 * ours is held while SQLite works. */
#include "store/sqlite/db.h"
#include "store/sqlite/schema.h"

static const char *const statement_sql[STATEMENTS_LEN] = {
#define STATEMENT(name, sql) [ST_##name] = sql,
#include "store/sqlite/statements.def"
#undef STATEMENT
};

enum { BUSY_WAIT_MS = 5000 };

static const char *const synchronous_sql[] = {
    [STORE_DURABILITY_PROCESS] = "PRAGMA synchronous = NORMAL",
    [STORE_DURABILITY_POWER] = "PRAGMA synchronous = FULL",
    [STORE_DURABILITY_NONE] = "PRAGMA synchronous = OFF",
};

/* 16 KiB pages: blobs are large. The page cache of the writer only holds edges and the journal's
 * end; a reader's holds little more than one segment. */
static const char *const writer_sql[] = {
    "PRAGMA page_size = 16384",  "PRAGMA journal_mode = WAL",
    "PRAGMA cache_size = -8192", "PRAGMA journal_size_limit = 67108864",
    "PRAGMA secure_delete = 0", /* Debian's default writes zeros over freed pages */
};
static const char *const reader_sql[] = {
    "PRAGMA query_only = 1",
    "PRAGMA cache_size = -2048",
};

static enum err_code code_of(int sqlite_code)
{
    switch (sqlite_code & 0xff) {
    case SQLITE_NOMEM: return ERR_NOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_FULL: return ERR_BUSY;
    case SQLITE_NOTADB: return ERR_UNSUPPORTED;
    case SQLITE_CORRUPT: return ERR_MALFORMED;
    default: return ERR_IO;
    }
}

int db_fail(struct db *db, const char *what, struct err *err)
{
    int code = db->handle ? sqlite3_extended_errcode(db->handle) : SQLITE_NOMEM;
    const char *why = db->handle ? sqlite3_errmsg(db->handle) : "out of memory";
    if ((code & 0xff) == SQLITE_NOTADB)
        why = "not a SQLite database";
    return err_set(err, code_of(code), "%s: %s", what, why);
}

int db_exec(struct db *db, const char *sql, struct err *err)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : db_fail(db, sql, err);
}

int db_integer(struct db *db, const char *sql, int64_t *ret_v, struct err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = 0;
    if (sqlite3_prepare_v2(db->handle, sql, -1, &st, NULL) != SQLITE_OK)
        return db_fail(db, sql, err);
    if (sqlite3_step(st) == SQLITE_ROW)
        *ret_v = sqlite3_column_int64(st, 0);
    else
        rc = db_fail(db, sql, err);
    sqlite3_finalize(st);
    return rc;
}

static int configure(struct db *db, enum db_mode mode, enum store_durability durability,
                     struct err *err)
{
    const char *const *sql = mode == DB_WRITER ? writer_sql : reader_sql;
    size_t len = mode == DB_WRITER ? NELEMS(writer_sql) : NELEMS(reader_sql);
    for (size_t i = 0; i < len; i++) {
        int rc = db_exec(db, sql[i], err);
        if (rc < 0)
            return rc;
    }
    return mode == DB_WRITER ? db_exec(db, synchronous_sql[durability], err) : 0;
}

/* Whose file it is comes before any change to it, and changing the journal mode is one. */
static int check_and_configure(struct db *db, enum db_mode mode, enum store_durability durability,
                               struct err *err)
{
    bool is_fresh = false;
    int rc = schema_check(db, &is_fresh, err);
    if (rc == 0 && is_fresh && mode == DB_READER)
        rc = err_set(err, ERR_UNSUPPORTED, "an empty file, not a Tulle store");
    bool is_current = true;
    if (rc == 0 && mode == DB_READER)
        rc = schema_is_current(db, &is_current, err);
    if (rc == 0 && !is_current)
        rc = err_set(err, ERR_UNSUPPORTED,
                     "written by an older version: start a collector on it once");
    return rc < 0 ? rc : configure(db, mode, durability, err);
}

int db_open(struct db *db, const char *file, enum db_mode mode, enum store_durability durability,
            struct err *err)
{
    *db = (struct db){ 0 };
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE;
    if (mode == DB_WRITER)
        flags |= SQLITE_OPEN_CREATE;
    int rc = 0;
    if (sqlite3_open_v2(file, &db->handle, flags, NULL) != SQLITE_OK)
        rc = db_fail(db, file, err);
    else
        sqlite3_busy_timeout(db->handle, BUSY_WAIT_MS);
    /* Who only reads must not change the file by being the last to close it. */
    if (rc == 0 && mode == DB_READER)
        sqlite3_db_config(db->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    if (rc == 0)
        rc = check_and_configure(db, mode, durability, err);
    if (rc < 0)
        db_close(db);
    return rc;
}

void db_close(struct db *db)
{
    for (size_t i = 0; i < STATEMENTS_LEN; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->handle);
    *db = (struct db){ 0 };
}

sqlite3_stmt *db_statement(struct db *db, enum db_statement id, struct err *err)
{
    sqlite3_stmt **st = &db->statements[id];
    if (!*st && sqlite3_prepare_v3(db->handle, statement_sql[id], -1, SQLITE_PREPARE_PERSISTENT, st,
                                   NULL) != SQLITE_OK) {
        db_fail(db, statement_sql[id], err);
        return NULL;
    }
    sqlite3_reset(*st);
    sqlite3_clear_bindings(*st);
    return *st;
}

int db_step(struct db *db, sqlite3_stmt *st, const char *what, struct err *err)
{
    int code = sqlite3_step(st);
    if (code == SQLITE_ROW)
        return 1;
    int rc = code == SQLITE_DONE ? 0 : db_fail(db, what, err);
    sqlite3_reset(st);
    return rc;
}

int db_run(struct db *db, sqlite3_stmt *st, const char *what, struct err *err)
{
    int rc = db_step(db, st, what, err);
    sqlite3_reset(st);
    return rc < 0 ? rc : 0;
}

static int run_simple(struct db *db, enum db_statement id, const char *what, struct err *err)
{
    sqlite3_stmt *st = db_statement(db, id, err);
    return st ? db_run(db, st, what, err) : db_fail(db, what, err);
}

int db_begin(struct db *db, struct err *err)
{
    return run_simple(db, ST_BEGIN, "begin", err);
}

int db_commit(struct db *db, struct err *err)
{
    return run_simple(db, ST_COMMIT, "commit", err);
}

void db_rollback(struct db *db)
{
    if (db->handle && !sqlite3_get_autocommit(db->handle))
        (void)run_simple(db, ST_ROLLBACK, "rollback", NULL);
}

/* An empty view may have no address, and NULL would bind SQL's NULL. */
void db_bind_blob(sqlite3_stmt *st, int at, struct sv s)
{
    sqlite3_bind_blob64(st, at, s.len ? s.p : "", s.len, SQLITE_STATIC);
}

void db_bind_text(sqlite3_stmt *st, int at, struct sv s)
{
    sqlite3_bind_text64(st, at, s.len ? s.p : "", s.len, SQLITE_STATIC, SQLITE_UTF8);
}

void db_bind_i64(sqlite3_stmt *st, int at, int64_t v)
{
    sqlite3_bind_int64(st, at, v);
}

struct sv db_column(sqlite3_stmt *st, int at)
{
    const void *p = sqlite3_column_blob(st, at);
    return sv_of(p, (size_t)sqlite3_column_bytes(st, at));
}
