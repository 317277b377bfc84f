/* table.h - rows of text in aligned columns. Widths count characters of UTF-8; control characters
 * of peers' names are shown as '?', so that no name can steer the terminal. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "base/arena.h"
#include "base/buf.h"

enum { TABLE_COLUMNS_MAX = 16 };
struct table_row {
    struct sv cells[TABLE_COLUMNS_MAX];
    struct table_row *next;
};
struct table {
    struct arena mem;
    const char *const *titles; /* a title that begins with '>' is a column of numbers */
    size_t columns;
    struct table_row *first, *last;
    struct table_row *row; /* being filled */
    size_t at;
    bool failed;
};
void table_init(struct table *t, const char *const *titles, size_t columns);
void table_done(struct table *t);
/* The next cell; rows begin by themselves. */
void table_cell(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void table_print(const struct table *t, struct buf *to);

DEFINE_AUTO_DONE(table);

#endif
