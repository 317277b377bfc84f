/* db.h - one SQLite connection with its prepared statements. Private to store/sqlite/.
 *
 * A connection belongs to one thread at a time. */
#ifndef SQLITE_DB_H
#define SQLITE_DB_H

#include "base/err.h"
#include "base/sv.h"
#include "store/store.h"
#include <sqlite3.h>

/* STATEMENT(name, sql) */
enum db_statement {
#define STATEMENT(name, sql) ST_##name,
#include "store/sqlite/statements.def"
#undef STATEMENT
    STATEMENTS_LEN
};

struct db {
    sqlite3 *handle;
    sqlite3_stmt *statements[STATEMENTS_LEN]; /* prepared when first asked for */
};

enum db_mode { DB_WRITER, DB_READER };
/* Opens file (the writer creates it) with our settings. On failure nothing is left open. */
int db_open(struct db *db, const char *file, enum db_mode mode, enum store_durability durability,
            struct err *err) MUST_USE;
void db_close(struct db *db);
/* The statement, reset and unbound; NULL with err set. */
sqlite3_stmt *db_statement(struct db *db, enum db_statement id, struct err *err) MUST_USE;
/* Maps what SQLite said last to one of our codes, with its words. */
int db_fail(struct db *db, const char *what, struct err *err);
/* Runs a statement that gives no rows, then resets it. */
int db_run(struct db *db, sqlite3_stmt *st, const char *what, struct err *err) MUST_USE;
/* 1 when a row is there, 0 at the end (st is reset then), or an error (likewise). */
int db_step(struct db *db, sqlite3_stmt *st, const char *what, struct err *err) MUST_USE;
/* Text outside the table: pragmas, migrations. */
int db_exec(struct db *db, const char *sql, struct err *err) MUST_USE;
/* One integer from a query without parameters; fallback when it gives no row. */
int db_integer(struct db *db, const char *sql, int64_t *ret_v, struct err *err) MUST_USE;

int db_begin(struct db *db, struct err *err) MUST_USE; /* BEGIN IMMEDIATE */
int db_commit(struct db *db, struct err *err) MUST_USE;
void db_rollback(struct db *db); /* nothing when no transaction is open */

void db_bind_blob(sqlite3_stmt *st, int at, struct sv s); /* s must outlive the step */
void db_bind_text(sqlite3_stmt *st, int at, struct sv s);
void db_bind_i64(sqlite3_stmt *st, int at, int64_t v);
struct sv db_column(sqlite3_stmt *st, int at); /* blob or text; valid until the next step */

#endif
