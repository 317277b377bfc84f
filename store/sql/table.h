/* table.h - what one virtual table is: rows of columns, what can be pushed down, how to read on.
 * Private to store/sql/. table.c does everything SQLite asks for that is the same for all. */
#ifndef SQL_TABLE_H
#define SQL_TABLE_H

#include "store/sql.h"
#include "store/sqlite/sqlite.h"

/* A column: its declaration, and its value for a row of the table's own type. */
struct sql_column {
    const char *name, *type, *about;
    void (*put)(sqlite3_context *to, const void *row);
};

/* What a query says about the rows it wants. Everything here may be a little wider than the query:
 * SQLite looks at each row again. */
struct sql_given {
    struct window window; /* on the start; INT64_MIN to INT64_MAX: any */
    bool has_trace, has_service;
    struct trace_id trace;
    struct sv service; /* borrowed from SQLite until filter() returns */
    int64_t width_s;   /* edges: 10 unless told */
    bool is_nothing;   /* no row can match */
};

enum sql_pushed { /* how a constraint's value is understood */
                  PUSHED_TRACE,
                  PUSHED_SERVICE,
                  PUSHED_NS,   /* nanoseconds since the epoch */
                  PUSHED_TEXT, /* our text form of a time, or the beginning of one */
                  PUSHED_WIDTH,
};
enum sql_bound { BOUND_EQ, BOUND_FROM, BOUND_TO }; /* =; > or >=; < or <= */

struct sql_constraint {
    unsigned column;
    enum sql_bound bound;
    enum sql_pushed how;
    const char *text; /* for EXPLAIN QUERY PLAN: "trace_id=" */
    double share;     /* of the rows that are left, for the planner */
};

/* Everything that reads the store for one statement. */
struct moment {
    struct store *store; /* read-only, nobody else uses it */
    struct session session;
    size_t users;  /* cursors; the session is open while there are any */
    size_t tables; /* modules and tables that refer to this */
};

struct sql_cursor {
    sqlite3_vtab_cursor super;
    struct moment *moment;
    const void *row; /* NULL at the end */
    int64_t rows;    /* given so far */
};

struct sql_table {
    const char *name, *about;
    const struct sql_column *columns;
    size_t columns_len;
    const struct sql_constraint *constraints; /* bit i of a plan's number is constraints[i] */
    size_t constraints_len;
    size_t cursor_bytes; /* of the table's own cursor, whose first member is a sql_cursor */
    /* Starts over with what is given; then the first next() is called. */
    int (*filter)(struct sql_cursor *c, const struct sql_given *given, struct err *err);
    /* Sets c->row, NULL at the end. */
    int (*next)(struct sql_cursor *c, struct err *err);
    void (*done)(struct sql_cursor *c); /* frees what filter() made; again is harmless */
};
extern const struct sql_table sql_spans, sql_traces, sql_edges, sql_services;

int sql_add_attr(sqlite3 *db, struct err *err) MUST_USE; /* attr.c: the function attr() */

/* values.c: NULL for an empty view and for an unset id. */
void sql_put_text(sqlite3_context *to, struct sv text);
void sql_put_text_or_null(sqlite3_context *to, struct sv text);
void sql_put_trace_id(sqlite3_context *to, struct trace_id id);
void sql_put_span_id(sqlite3_context *to, struct span_id id);
void sql_put_buf(sqlite3_context *to, const struct buf *text); /* out of memory when it failed */
/* "2026-11-22 18:00:00.123456789", UTC: as SQLite's own date functions read and write. */
void sql_put_time(sqlite3_context *to, int64_t t_ns);
/* Nanoseconds of such a text, or of the beginning of one (the earliest time that begins so); false
 * when it is neither. */
bool sql_time_from_sv(struct sv text, int64_t *ret_ns);

#endif
