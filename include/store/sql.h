/* sql.h - a store as tables for people: spans, traces, edges, services.
 *
 * The tables are virtual ones of an SQLite connection that the caller opens. They read the store's
 * file beside its owner and never change it. All tables of a statement show the store at one
 * moment: when its first table was opened. With them comes the function attr(JSON object, key). The connection belongs to one thread. */
#ifndef STORE_SQL_H
#define STORE_SQL_H

#include "base/buf.h"
#include "base/err.h"
#include <sqlite3.h>

/* Opens the store at url ("sqlite:FILE") read-only and adds its tables to db; sqlite3_close(db)
 * closes the store. ERR_UNSUPPORTED: another kind of store; ERR_NOMEM; and those of store_open(). */
int sql_add_tables(sqlite3 *db, struct sv url, struct err *err) MUST_USE;

/* The tables with every column, its type and what it says, as commented CREATE TABLE text. */
void sql_put_schema(struct buf *to);

#endif
