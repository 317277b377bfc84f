/* SPDX-License-Identifier: Apache-2.0
 * sql.c - `tulle sql FILE 'SELECT ...'`: questions to a store in SQL.
 *
 * The statement runs in an SQLite of our own that holds nothing but the store's tables, beside the
 * collector if one runs. An authorizer allows reading and nothing else, so whatever is asked, no
 * file changes and no other file is opened. Rows are printed as they come; Ctrl-C ends the program,
 * which leaves nothing behind. */
#include "store/sql.h"
#include "cli/cli.h"
#include "cli/sql_print.h"
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SQL_BYTES_MAX ((size_t)1024 * 1024) /* of text from a file: enough for any question */

/* clang-format off */
static const struct flag rows[] = {
    { "data",   FLAG_STR,    CLI_OFF(data),      "./tulle-data", "the collector's folder", NULL },
    { "store",  FLAG_STR,    CLI_OFF(store),     "",     "its store, sqlite:FILE (default sqlite:DATA/tulle.db)", NULL },
    { "file",   FLAG_STR,    CLI_OFF(file),      "",     "read the SQL from this file, - for standard input", NULL },
    { "format", FLAG_CHOICE, CLI_OFF(format),    "auto", "auto: table on a terminal, else csv", "auto|table|csv|tsv|json" },
    { "limit",  FLAG_UINT,   CLI_OFF(limit),     "0",    "rows of a statement at most, 0 all of them", NULL },
    { "schema", FLAG_BOOL,   CLI_OFF(is_schema), "false", "print the tables and their columns", NULL },
};

/* What reading needs; everything else is refused. */
static const int allowed[] = { SQLITE_SELECT, SQLITE_READ, SQLITE_FUNCTION, SQLITE_RECURSIVE };
static const char *const allowed_pragmas[] = { "table_info", "table_xinfo", "table_list",
                                               "function_list", "compile_options" };
/* clang-format on */

static int authorize(void *unused, int action, const char *a, const char *b, const char *c,
                     const char *d)
{
    (void)unused, (void)b, (void)c, (void)d;
    for (size_t i = 0; i < NELEMS(allowed); i++)
        if (action == allowed[i])
            return SQLITE_OK;
    for (size_t i = 0; action == SQLITE_PRAGMA && i < NELEMS(allowed_pragmas); i++)
        if (sqlite3_stricmp(a, allowed_pragmas[i]) == 0)
            return SQLITE_OK;
    return SQLITE_DENY;
}

static int read_text(const char *file, struct buf *to, struct err *err)
{
    bool is_stdin = strcmp(file, "-") == 0;
    FILE *f = is_stdin ? stdin : fopen(file, "r");
    if (!f)
        return err_set(err, ERR_IO, "%s: %s", file, strerror(errno));
    for (size_t n = 1; n && to->len <= SQL_BYTES_MAX && !to->failed;) {
        char *at = buf_reserve(to, 65536);
        n = at ? fread(at, 1, 65536, f) : 0;
        buf_commit(to, n);
    }
    int rc = ferror(f) ? err_set(err, ERR_IO, "%s: %s", file, strerror(errno)) : 0;
    if (!is_stdin)
        fclose(f);
    if (rc == 0 && to->len > SQL_BYTES_MAX)
        rc = err_set(err, ERR_LIMIT, "%s: more than %zu bytes of SQL", file, SQL_BYTES_MAX);
    return rc;
}

static bool is_file(const char *name)
{
    struct stat st;
    return stat(name, &st) == 0 && S_ISREG(st.st_mode);
}

/* FILE SQL, or one of them, or none: the store is then --data's, the SQL then --file's or standard
 * input's. */
static int read_operands(const struct cli *c, struct buf *url, struct buf *sql, struct err *err)
{
    bool has_file = c->operands_len == 2 || (c->operands_len == 1 && is_file(c->operands[0]));
    const char *text = c->operands_len > has_file ? c->operands[c->operands_len - 1] : NULL;
    if (has_file)
        buf_printf(url, "sqlite:%s", c->operands[0]);
    else if (c->store[0])
        buf_put(url, sv_z(c->store));
    else
        buf_printf(url, "sqlite:%s/tulle.db", c->data);
    if (text && c->file[0])
        return err_set(err, ERR_USAGE, "SQL given twice, by --file and as an operand");
    if (text)
        buf_put(sql, sv_z(text));
    else if (!c->file[0] && isatty(STDIN_FILENO))
        return err_set(err, ERR_USAGE, "no SQL given; tulle sql --schema prints the tables");
    int rc = text ? 0 : read_text(c->file[0] ? c->file : "-", sql, err);
    buf_putc(sql, '\0');
    return rc == 0 && (url->failed || sql->failed) ? err_set(err, ERR_NOMEM, "SQL") : rc;
}

/* The line that offset lies in, and a mark below the place. */
static void point_at(const char *sql, int offset)
{
    if (offset < 0)
        return;
    struct sv text = sv_z(sql);
    size_t at = MIN((size_t)offset, text.len);
    struct sv before = sv_sub(text, 0, at);
    size_t newline = sv_rindex(before, '\n');
    size_t from = newline == before.len ? 0 : newline + 1;
    struct sv line = sv_from(text, from);
    line = sv_sub(line, 0, sv_index(line, '\n'));
    size_t width = 0;
    for (size_t i = from; i < at; i++)
        width += ((unsigned char)sql[i] & 0xc0) != 0x80;
    fprintf(stderr, "  %.*s\n  %*s^\n", SV_ARG(line), (int)width, "");
}

static int fail_sql(sqlite3 *db, const char *sql)
{
    bool is_refused = sqlite3_errcode(db) == SQLITE_AUTH;
    int offset = sqlite3_error_offset(db);
    fprintf(stderr, "tulle: %s\n",
            is_refused ? "this is read-only: SELECT, VALUES, WITH and EXPLAIN are what it runs"
                       : sqlite3_errmsg(db));
    point_at(sql, offset);
    return EXIT_FAILED;
}

static enum sql_format format_of(const char *name)
{
    static const struct {
        const char *name;
        enum sql_format format;
    } formats[] = {
        { "table", SQL_TABLE }, { "csv", SQL_CSV }, { "tsv", SQL_TSV }, { "json", SQL_JSON }
    };
    for (size_t i = 0; i < NELEMS(formats); i++)
        if (strcmp(name, formats[i].name) == 0)
            return formats[i].format;
    return isatty(STDOUT_FILENO) ? SQL_TABLE : SQL_CSV;
}

static int run_statement(sqlite3 *db, sqlite3_stmt *st, const char *sql, const struct cli *c)
{
    struct sql_print p;
    int code = SQLITE_ROW;
    int rc = sql_print_begin(&p, format_of(c->format), st);
    while (rc == 0 && (c->limit == 0 || p.rows < c->limit) &&
           (code = sqlite3_step(st)) == SQLITE_ROW)
        rc = sql_print_row(&p, st);
    if (sql_print_end(&p) < 0 || rc < 0) {
        fprintf(stderr, "tulle: standard output: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    return code == SQLITE_ROW || code == SQLITE_DONE ? EXIT_OK : fail_sql(db, sql);
}

/* Each statement of the text, up to the first that fails. */
static int run_all(sqlite3 *db, const char *sql, const struct cli *c)
{
    int status = EXIT_OK;
    while (status == EXIT_OK && *sql) {
        sqlite3_stmt *st = NULL;
        const char *rest = sql;
        if (sqlite3_prepare_v2(db, sql, -1, &st, &rest) != SQLITE_OK)
            return fail_sql(db, sql);
        if (st) /* else nothing but space or a comment */
            status = run_statement(db, st, sql, c);
        sqlite3_finalize(st);
        sql = rest;
    }
    return status;
}

static int run_sql(const struct cli *c)
{
    AUTO_DONE(buf) url = { 0 };
    AUTO_DONE(buf) sql = { 0 };
    struct err err = { 0 };
    if (c->is_schema) {
        sql_put_schema(&sql);
        return cli_print(&sql);
    }
    int rc = read_operands(c, &url, &sql, &err);
    if (rc < 0) {
        (void)cli_fail(&err);
        return rc == ERR_USAGE ? EXIT_USAGE : EXIT_FAILED;
    }
    sqlite3 *db = NULL;
    if (sqlite3_open(":memory:", &db) != SQLITE_OK)
        rc = err_set(&err, ERR_NOMEM, "SQLite");
    if (rc == 0)
        rc = sql_add_tables(db, buf_sv(&url), &err);
    if (rc == 0)
        sqlite3_set_authorizer(db, authorize, NULL);
    int status = rc < 0 ? cli_fail(&err) : run_all(db, buf_sv(&sql).p, c);
    sqlite3_close(db);
    return status;
}

const struct command command_sql = {
    .name = "sql",
    .flags = { "tulle sql", "ask a store in SQL: tables spans, traces, edges, services",
               " [FILE] ['SELECT ...']", rows, NELEMS(rows) },
    .run = run_sql,
    .operands_min = 0,
    .operands_max = 2,
};
