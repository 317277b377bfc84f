/* SPDX-License-Identifier: Apache-2.0
 * sql_print.c - rows as a table, CSV (RFC 4180), TSV or JSON, written as they come.
 *
 * A table needs widths before its first line: the first 256 rows wait and decide them, so memory
 * does not grow with the result. What would steer the terminal is shown as '?', and a cell is cut
 * at 80 characters; the other formats give everything. */
#include "cli/sql_print.h"
#include "base/base64.h"
#include "base/json_out.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { CELL_CHARACTERS_MAX = 80, GAP = 2 };
#define OUT_BYTES ((size_t)64 * 1024)

static int write_out(struct sql_print *p)
{
    struct sv rest = buf_sv(&p->out);
    if (p->out.failed)
        return -1;
    while (rest.len) {
        ssize_t n = write(STDOUT_FILENO, rest.p, rest.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        rest = sv_from(rest, (size_t)n);
    }
    buf_clear(&p->out);
    return 0;
}

static struct sv text_of(sqlite3_stmt *st, int at)
{
    const void *text = sqlite3_column_blob(st, at);
    return sv_of(text, (size_t)sqlite3_column_bytes(st, at));
}

/* The same as people and CSV readers expect it: blobs in base64. */
static void put_value(struct buf *to, sqlite3_stmt *st, int at)
{
    if (sqlite3_column_type(st, at) == SQLITE_BLOB) {
        base64_put(to, text_of(st, at));
        return;
    }
    const void *text = sqlite3_column_text(st, at);
    if (text)
        buf_put(to, sv_of(text, (size_t)sqlite3_column_bytes(st, at)));
}

static bool is_start_of_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

static size_t width_of(struct sv text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += is_start_of_character(text.p[i]);
    return width;
}

/* A copy that is fit for a terminal and not too wide. */
static struct sv cell_of(struct arena *mem, struct sv text)
{
    size_t len = 0, width = 0;
    for (; len < text.len; len++) {
        if (is_start_of_character(text.p[len]) && ++width > CELL_CHARACTERS_MAX)
            break;
    }
    bool is_cut = len < text.len;
    char *copy = arena_alloc(mem, len + 3);
    if (!copy)
        return SV_NONE;
    bool is_utf8 = sv_is_utf8(sv_sub(text, 0, len));
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool is_c1 = c == 0xc2 && i + 1 < len && (unsigned char)text.p[i + 1] < 0xa0;
        bool is_odd = c < 0x20 || c == 0x7f || (c >= 0x80 && !is_utf8) || is_c1;
        copy[i] = is_odd ? '?' : text.p[i];
        if (is_c1)
            copy[++i] = '?';
    }
    if (is_cut)
        memcpy(copy + len, "\xe2\x80\xa6", 3); /* an ellipsis */
    return sv_of(copy, len + (is_cut ? 3 : 0));
}

static void put_cell(struct sql_print *p, int column, struct sv text)
{
    size_t width = width_of(text);
    size_t spaces = p->widths[column] > width ? p->widths[column] - width : 0;
    bool is_last = column + 1 == p->columns;
    for (size_t i = 0; p->is_number[column] && i < spaces; i++)
        buf_putc(&p->out, ' ');
    buf_put(&p->out, text);
    for (size_t i = 0; !is_last && i < (p->is_number[column] ? 0 : spaces) + GAP; i++)
        buf_putc(&p->out, ' ');
    if (is_last)
        buf_putc(&p->out, '\n');
}

static void print_held(struct sql_print *p)
{
    size_t rows = MIN(p->rows, (uint64_t)SQL_ROWS_HELD) + 1;
    for (size_t r = 0; r < rows; r++)
        for (int c = 0; c < p->columns; c++)
            p->widths[c] = MAX(p->widths[c],
                               width_of(p->cells[r * (size_t)p->columns + (size_t)c]));
    for (size_t r = 0; r < rows; r++)
        for (int c = 0; c < p->columns; c++)
            put_cell(p, c, p->cells[r * (size_t)p->columns + (size_t)c]);
    p->has_printed = true;
}

static int table_row(struct sql_print *p, sqlite3_stmt *st)
{
    AUTO_DONE(arena) brief = { 0 };
    AUTO_DONE(buf) value = { 0 };
    bool is_held = p->rows < SQL_ROWS_HELD;
    if (!is_held && !p->has_printed)
        print_held(p);
    for (int c = 0; c < p->columns; c++) {
        buf_clear(&value);
        put_value(&value, st, c);
        struct sv cell = cell_of(is_held ? &p->held : &brief, buf_sv(&value));
        if (!cell.p || value.failed)
            return -1;
        int type = sqlite3_column_type(st, c);
        if (p->rows == 0)
            p->is_number[c] = type == SQLITE_INTEGER || type == SQLITE_FLOAT;
        if (is_held)
            p->cells[(p->rows + 1) * (uint64_t)p->columns + (uint64_t)c] = cell;
        else
            put_cell(p, c, cell);
    }
    return 0;
}

static void put_csv(struct buf *to, struct sv text)
{
    bool needs_quotes = false;
    for (size_t i = 0; i < text.len; i++)
        needs_quotes = needs_quotes || memchr(",\"\r\n", text.p[i], 4);
    if (!needs_quotes) {
        buf_put(to, text);
        return;
    }
    buf_putc(to, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] == '"')
            buf_putc(to, '"');
        buf_putc(to, text.p[i]);
    }
    buf_putc(to, '"');
}

static void put_tsv(struct buf *to, struct sv text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.p[i]) {
        case '\t': buf_put(to, SV("\\t")); break;
        case '\n': buf_put(to, SV("\\n")); break;
        case '\r': buf_put(to, SV("\\r")); break;
        case '\\': buf_put(to, SV("\\\\")); break;
        default: buf_putc(to, text.p[i]);
        }
    }
}

/* A cell of CSV or TSV, with what stands in front of or behind it. */
static void put_separated(struct sql_print *p, int column, struct sv text)
{
    if (column)
        buf_putc(&p->out, p->format == SQL_CSV ? ',' : '\t');
    if (p->format == SQL_CSV)
        put_csv(&p->out, text);
    else
        put_tsv(&p->out, text);
    if (column + 1 == p->columns)
        buf_putc(&p->out, '\n');
}

static int separated_row(struct sql_print *p, sqlite3_stmt *st)
{
    AUTO_DONE(buf) value = { 0 };
    for (int c = 0; c < p->columns; c++) {
        buf_clear(&value);
        put_value(&value, st, c);
        put_separated(p, c, buf_sv(&value));
    }
    return value.failed ? -1 : 0;
}

static int json_row(struct sql_print *p, sqlite3_stmt *st)
{
    AUTO_DONE(buf) blob = { 0 };
    struct json_out j = json_out_of(&p->out);
    if (p->rows)
        buf_put(&p->out, SV(",\n"));
    json_open(&j, '{');
    for (int c = 0; c < p->columns; c++) {
        json_key(&j, sv_z(sqlite3_column_name(st, c)));
        switch (sqlite3_column_type(st, c)) {
        case SQLITE_INTEGER: json_i64(&j, sqlite3_column_int64(st, c)); break;
        case SQLITE_FLOAT: json_double(&j, sqlite3_column_double(st, c)); break;
        case SQLITE_TEXT: json_str(&j, text_of(st, c)); break;
        case SQLITE_BLOB:
            buf_clear(&blob);
            base64_put(&blob, text_of(st, c));
            json_str(&j, buf_sv(&blob));
            break;
        default: json_null(&j);
        }
    }
    json_close(&j);
    return blob.failed ? -1 : 0;
}

int sql_print_begin(struct sql_print *p, enum sql_format format, sqlite3_stmt *st)
{
    *p = (struct sql_print){ .format = format, .columns = sqlite3_column_count(st) };
    size_t n = (size_t)p->columns;
    p->widths = arena_array(&p->held, n, sizeof(*p->widths));
    p->is_number = arena_array(&p->held, n, sizeof(*p->is_number));
    p->cells = arena_array(&p->held, (SQL_ROWS_HELD + 1) * n, sizeof(*p->cells));
    if (!p->widths || !p->is_number || !p->cells)
        return -1;
    for (int c = 0; c < p->columns; c++) {
        struct sv title = sv_z(sqlite3_column_name(st, c));
        if (format == SQL_TABLE)
            p->cells[c] = cell_of(&p->held, title);
        else if (format != SQL_JSON)
            put_separated(p, c, title);
    }
    if (format == SQL_JSON)
        buf_putc(&p->out, '[');
    return 0;
}

int sql_print_row(struct sql_print *p, sqlite3_stmt *st)
{
    static int (*const rows[])(struct sql_print *, sqlite3_stmt *) = {
        [SQL_TABLE] = table_row,
        [SQL_CSV] = separated_row,
        [SQL_TSV] = separated_row,
        [SQL_JSON] = json_row,
    };
    int rc = rows[p->format](p, st);
    p->rows++;
    return rc == 0 && p->out.len > OUT_BYTES ? write_out(p) : rc;
}

int sql_print_end(struct sql_print *p)
{
    if (p->format == SQL_TABLE && p->cells && !p->has_printed)
        print_held(p);
    if (p->format == SQL_JSON)
        buf_put(&p->out, SV("]\n"));
    int rc = write_out(p);
    buf_done(&p->out);
    arena_done(&p->held);
    return rc;
}
