/* SPDX-License-Identifier: Apache-2.0
 * table.c - keeps all rows, then prints them as wide as their widest cell. */
#include "cli/table.h"
#include <stdarg.h>
#include <stdio.h>

#define CELL_BYTES_MAX 512
#define GAP            2

void table_init(struct table *t, const char *const *titles, size_t columns)
{
    INVARIANT(columns <= TABLE_COLUMNS_MAX);
    *t = (struct table){ .titles = titles, .columns = columns };
}

void table_done(struct table *t)
{
    arena_done(&t->mem);
}

static struct sv printable(struct table *t, struct sv text)
{
    char *copy = arena_alloc(&t->mem, text.len);
    for (size_t i = 0; copy && i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        copy[i] = c < 0x20 || c == 0x7f ? '?' : text.p[i];
    }
    t->failed = t->failed || !copy;
    return sv_of(copy, copy ? text.len : 0);
}

void table_cell(struct table *t, const char *fmt, ...)
{
    char text[CELL_BYTES_MAX];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (!t->row) {
        t->row = arena_zalloc(&t->mem, sizeof(*t->row));
        t->failed = t->failed || !t->row;
        if (t->row && t->last)
            t->last->next = t->row;
        else if (t->row)
            t->first = t->row;
        t->last = t->row ? t->row : t->last;
    }
    size_t len = n < 0 ? 0 : MIN((size_t)n, sizeof(text) - 1);
    if (t->row)
        t->row->cells[t->at] = printable(t, sv_of(text, len));
    if (++t->at == t->columns) {
        t->at = 0;
        t->row = NULL;
    }
}

static size_t width_of(struct sv text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += ((unsigned char)text.p[i] & 0xc0) != 0x80;
    return width;
}

static bool is_number(const struct table *t, size_t column)
{
    return t->titles[column][0] == '>';
}

static struct sv title(const struct table *t, size_t column)
{
    return sv_z(t->titles[column] + is_number(t, column));
}

static void put_cell(const struct table *t, struct buf *to, size_t column, struct sv text,
                     size_t width)
{
    size_t spaces = width - width_of(text);
    bool is_last = column + 1 == t->columns;
    if (is_number(t, column))
        for (size_t i = 0; i < spaces; i++)
            buf_putc(to, ' ');
    buf_put(to, text);
    if (!is_number(t, column) && !is_last)
        for (size_t i = 0; i < spaces; i++)
            buf_putc(to, ' ');
    for (size_t i = 0; i < (is_last ? 0 : GAP); i++)
        buf_putc(to, ' ');
    if (is_last)
        buf_putc(to, '\n');
}

void table_print(const struct table *t, struct buf *to)
{
    size_t widths[TABLE_COLUMNS_MAX];
    for (size_t i = 0; i < t->columns; i++) {
        widths[i] = width_of(title(t, i));
        for (const struct table_row *r = t->first; r; r = r->next)
            widths[i] = MAX(widths[i], width_of(r->cells[i]));
    }
    for (size_t i = 0; i < t->columns; i++)
        put_cell(t, to, i, title(t, i), widths[i]);
    for (const struct table_row *r = t->first; r; r = r->next)
        for (size_t i = 0; i < t->columns; i++)
            put_cell(t, to, i, r->cells[i], widths[i]);
    to->failed = to->failed || t->failed;
}
