/* sql_print.h - the rows of a statement on standard output, one format each. One thread. */
#ifndef CLI_SQL_PRINT_H
#define CLI_SQL_PRINT_H

#include "base/arena.h"
#include "base/buf.h"
#include <sqlite3.h>

enum sql_format { SQL_TABLE, SQL_CSV, SQL_TSV, SQL_JSON };

/* Rows of a table wait until their widths are known; later ones are printed with those. */
enum { SQL_ROWS_HELD = 256 };

struct sql_print {
    enum sql_format format;
    struct buf out; /* written when it is large */
    int columns;
    uint64_t rows;
    struct arena held; /* the table's first rows */
    struct sv *cells;  /* of them, row by row; the titles first */
    size_t *widths;
    bool *is_number;
    bool has_printed; /* the table's first rows */
};

/* Begins with the titles of st's columns; -1 when memory is out. Afterwards sql_print_end(). */
int sql_print_begin(struct sql_print *p, enum sql_format format, sqlite3_stmt *st) MUST_USE;
/* The row that st stands on; -1 when memory or standard output failed. */
int sql_print_row(struct sql_print *p, sqlite3_stmt *st) MUST_USE;
/* What is left, and closes; -1 likewise. */
int sql_print_end(struct sql_print *p) MUST_USE;

#endif
