/* table.c - the part of a virtual table that is the same for spans, traces, edges and services.
 *
 * A table is rows of columns and constraints (table.h). Planning: a constraint that the query has
 * and the table understands gets bit i of the plan's number and its value becomes the next argument
 * of xFilter; SQLite checks every row itself again, so what is pushed down only has to be no
 * narrower than what was asked. Tables are eponymous: they are there without CREATE, and hold
 * nothing of their own.
 *
 * All cursors of a statement share one session, which the first one begins and the last one ends,
 * so a join sees one moment of the store whatever its collector does meanwhile. */
#include "store/sql/table.h"
#include "base/mem.h"
#include "store/sql.h"
#include <stdio.h>

struct sql_vtab {
    sqlite3_vtab super;
    const struct sql_table *table;
    struct moment *moment;
};

/* What a module is made with. */
struct module_aux {
    const struct sql_table *table;
    struct moment *moment;
};

static void moment_unref(struct moment *m)
{
    if (--m->tables)
        return;
    store_close(m->store);
    mem_free(m);
}

static int begin_reading(struct moment *m, struct err *err)
{
    if (m->users == 0) {
        int rc = session_begin((struct sqlite_store *)m->store, &m->session, err);
        if (rc < 0)
            return rc;
        session_looked_up(&m->session);
    }
    m->users++;
    return 0;
}

static void end_reading(struct moment *m)
{
    if (--m->users == 0)
        session_end(&m->session);
}

/* Our failure in SQLite's terms: the message stays with the table until SQLite takes it. */
static int fail(sqlite3_vtab *vtab, const struct err *err)
{
    if (err->code == ERR_NOMEM)
        return SQLITE_NOMEM;
    sqlite3_free(vtab->zErrMsg);
    vtab->zErrMsg = sqlite3_mprintf("%s", err->why);
    return err->code == ERR_MALFORMED ? SQLITE_CORRUPT_VTAB : SQLITE_ERROR;
}

static void put_declaration(const struct sql_table *t, struct buf *to)
{
    buf_printf(to, "CREATE TABLE %s(", t->name);
    for (size_t i = 0; i < t->columns_len; i++)
        buf_printf(to, "%s%s %s", i ? ", " : "", t->columns[i].name, t->columns[i].type);
    buf_put(to, SV(")"));
    buf_putc(to, '\0');
}

static int table_connect(sqlite3 *db, void *aux, int argc, const char *const *argv,
                         sqlite3_vtab **ret_vtab, char **ret_message)
{
    (void)argc, (void)argv;
    const struct module_aux *of = aux;
    AUTO_DONE(buf) declaration = { 0 };
    put_declaration(of->table, &declaration);
    struct sql_vtab *vtab = declaration.failed ? NULL : mem_zalloc(sizeof(*vtab));
    if (!vtab)
        return SQLITE_NOMEM;
    int rc = sqlite3_declare_vtab(db, buf_sv(&declaration).p);
    if (rc != SQLITE_OK) {
        *ret_message = sqlite3_mprintf("%s", sqlite3_errmsg(db));
        mem_free(vtab);
        return rc;
    }
    vtab->table = of->table;
    vtab->moment = of->moment;
    vtab->moment->tables++;
    *ret_vtab = &vtab->super;
    return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *super)
{
    struct sql_vtab *vtab = (struct sql_vtab *)super;
    moment_unref(vtab->moment);
    mem_free(vtab);
    return SQLITE_OK;
}

static bool is_bound(enum sql_bound bound, unsigned char op)
{
    switch (op) {
    case SQLITE_INDEX_CONSTRAINT_EQ: return bound == BOUND_EQ;
    case SQLITE_INDEX_CONSTRAINT_GT:
    case SQLITE_INDEX_CONSTRAINT_GE: return bound == BOUND_FROM;
    case SQLITE_INDEX_CONSTRAINT_LT:
    case SQLITE_INDEX_CONSTRAINT_LE: return bound == BOUND_TO;
    default: return false;
    }
}

/* Text that is equal in another order of letters is not what we would look for; ids are looked for
 * as numbers. A list of services is read once and looked through by SQLite, not once a service. */
static bool suits(sqlite3_index_info *info, int i, const struct sql_constraint *c)
{
    const struct sqlite3_index_constraint *have = &info->aConstraint[i];
    if (have->iColumn != (int)c->column || !is_bound(c->bound, have->op))
        return false;
    if (c->how == PUSHED_SERVICE)
        return !sqlite3_vtab_in(info, i, -1) &&
               sqlite3_stricmp(sqlite3_vtab_collation(info, i), "BINARY") == 0;
    return c->how != PUSHED_TEXT || sqlite3_stricmp(sqlite3_vtab_collation(info, i), "BINARY") == 0;
}

/* The usable constraint of the query that suits; -1 when there is none. *ret_is_late: there is one
 * whose value another table gives, in another order of the join. */
static int find_constraint(sqlite3_index_info *info, const struct sql_constraint *c,
                           bool *ret_is_late)
{
    for (int i = 0; i < info->nConstraint; i++) {
        if (!suits(info, i, c))
            continue;
        if (info->aConstraint[i].usable && !info->aConstraintUsage[i].argvIndex)
            return i;
        *ret_is_late = *ret_is_late || !info->aConstraint[i].usable;
    }
    return -1;
}

#define ROWS_GUESSED 1e6  /* in a store; only how plans compare matters */
#define LAST_RESORT  1e12 /* the cost of a plan that would not get the width that was asked for */

static int table_best_index(sqlite3_vtab *super, sqlite3_index_info *info)
{
    const struct sql_table *t = ((struct sql_vtab *)super)->table;
    AUTO_DONE(buf) text = { 0 };
    double rows = ROWS_GUESSED, last_resort = 0;
    int argc = 0;
    for (size_t i = 0; i < t->constraints_len; i++) {
        const struct sql_constraint *c = &t->constraints[i];
        bool is_late = false;
        int at = find_constraint(info, c, &is_late);
        if (at < 0) {
            last_resort = is_late && c->how == PUSHED_WIDTH ? LAST_RESORT : last_resort;
            continue;
        }
        info->aConstraintUsage[at].argvIndex = ++argc;
        info->idxNum |= 1 << i;
        buf_printf(&text, "%s%s", text.len ? " " : "", c->text);
        rows *= c->share;
    }
    buf_putc(&text, '\0');
    info->estimatedCost = last_resort + rows + 100; /* one chunk has to be read in any case */
    info->estimatedRows = (sqlite3_int64)rows + 1;
    info->idxStr = text.failed ? NULL : sqlite3_mprintf("%s", buf_sv(&text).p);
    if (!info->idxStr)
        return SQLITE_NOMEM;
    info->needToFreeIdxStr = 1;
    return SQLITE_OK;
}

static void narrow(struct window *w, enum sql_bound bound, int64_t t_ns)
{
    if (bound != BOUND_TO)
        w->from_ns = MAX(w->from_ns, t_ns);
    if (bound != BOUND_FROM && t_ns < INT64_MAX)
        w->to_ns = MIN(w->to_ns, t_ns + 1);
}

static struct sv text_of(sqlite3_value *v)
{
    const void *p = sqlite3_value_text(v);
    return sv_of(p, p ? (size_t)sqlite3_value_bytes(v) : 0);
}

/* A value of another type than the column's is left to SQLite, but for ids, where text and blob
 * are all that can be equal to one. */
static void take(struct sql_given *g, const struct sql_constraint *c, sqlite3_value *v)
{
    int type = sqlite3_value_type(v);
    bool is_text = type == SQLITE_TEXT;
    int64_t t_ns;
    if (type == SQLITE_NULL) {
        g->is_nothing = true;
        return;
    }
    switch (c->how) {
    case PUSHED_TRACE:
        g->has_trace = true;
        g->is_nothing |= !is_text || !sv_to_bytes(text_of(v), g->trace.b, sizeof(g->trace.b));
        break;
    case PUSHED_SERVICE:
        g->has_service = is_text;
        g->service = is_text ? text_of(v) : SV_NONE;
        break;
    case PUSHED_NS:
        type = sqlite3_value_numeric_type(v);
        if (type == SQLITE_INTEGER || type == SQLITE_FLOAT)
            narrow(&g->window, c->bound, sqlite3_value_int64(v));
        break;
    case PUSHED_TEXT:
        if (is_text && sql_time_from_sv(text_of(v), &t_ns))
            narrow(&g->window, c->bound, t_ns);
        break;
    case PUSHED_WIDTH: g->width_s = sqlite3_value_int64(v); break;
    }
}

static int table_next(sqlite3_vtab_cursor *super)
{
    struct sql_cursor *c = (struct sql_cursor *)super;
    struct err err = { 0 };
    c->rows++;
    int rc = ((struct sql_vtab *)super->pVtab)->table->next(c, &err);
    return rc < 0 ? fail(super->pVtab, &err) : SQLITE_OK;
}

static int table_filter(sqlite3_vtab_cursor *super, int plan, const char *text, int argc,
                        sqlite3_value **argv)
{
    (void)text;
    const struct sql_table *t = ((struct sql_vtab *)super->pVtab)->table;
    struct sql_cursor *c = (struct sql_cursor *)super;
    struct sql_given given = { .window = { INT64_MIN, INT64_MAX }, .width_s = 10 };
    struct err err = { 0 };
    int at = 0;
    for (size_t i = 0; i < t->constraints_len && at < argc; i++)
        if (plan >> i & 1)
            take(&given, &t->constraints[i], argv[at++]);
    t->done(c);
    c->row = NULL;
    c->rows = -1;
    if (given.is_nothing)
        return SQLITE_OK;
    int rc = t->filter(c, &given, &err);
    return rc < 0 ? fail(super->pVtab, &err) : table_next(super);
}

static int table_open(sqlite3_vtab *super, sqlite3_vtab_cursor **ret_cursor)
{
    struct sql_vtab *vtab = (struct sql_vtab *)super;
    struct err err = { 0 };
    struct sql_cursor *c = mem_zalloc(vtab->table->cursor_bytes);
    if (!c)
        return SQLITE_NOMEM;
    c->moment = vtab->moment;
    if (begin_reading(c->moment, &err) < 0) {
        mem_free(c);
        return fail(super, &err);
    }
    *ret_cursor = &c->super;
    return SQLITE_OK;
}

static int table_close(sqlite3_vtab_cursor *super)
{
    struct sql_cursor *c = (struct sql_cursor *)super;
    ((struct sql_vtab *)super->pVtab)->table->done(c);
    end_reading(c->moment);
    mem_free(c);
    return SQLITE_OK;
}

static int table_eof(sqlite3_vtab_cursor *super)
{
    return ((struct sql_cursor *)super)->row == NULL;
}

static int table_column(sqlite3_vtab_cursor *super, sqlite3_context *to, int column)
{
    const struct sql_table *t = ((struct sql_vtab *)super->pVtab)->table;
    t->columns[column].put(to, ((struct sql_cursor *)super)->row);
    return SQLITE_OK;
}

static int table_rowid(sqlite3_vtab_cursor *super, sqlite3_int64 *ret_rowid)
{
    *ret_rowid = ((struct sql_cursor *)super)->rows;
    return SQLITE_OK;
}

/* No xCreate: there without CREATE. No xUpdate: read-only. */
static const sqlite3_module module = {
    .xConnect = table_connect,
    .xBestIndex = table_best_index,
    .xDisconnect = table_disconnect,
    .xOpen = table_open,
    .xClose = table_close,
    .xFilter = table_filter,
    .xNext = table_next,
    .xEof = table_eof,
    .xColumn = table_column,
    .xRowid = table_rowid,
};

static const struct sql_table *const tables[] = { &sql_spans, &sql_traces, &sql_edges,
                                                  &sql_services };

static void aux_free(void *p)
{
    struct module_aux *aux = p;
    moment_unref(aux->moment);
    mem_free(aux);
}

static int add_table(sqlite3 *db, const struct sql_table *t, struct moment *m, struct err *err)
{
    struct module_aux *aux = mem_zalloc(sizeof(*aux));
    if (!aux)
        return err_set(err, ERR_NOMEM, "table %s", t->name);
    *aux = (struct module_aux){ t, m };
    m->tables++;
    /* Takes aux, on failure too. */
    if (sqlite3_create_module_v2(db, t->name, &module, aux, aux_free) != SQLITE_OK)
        return err_set(err, ERR_IO, "table %s: %s", t->name, sqlite3_errmsg(db));
    /* Connected now: later an authorizer of the caller's would be asked, and SQLite declares a
     * table by what looks like a change of the schema. */
    AUTO_DONE(buf) sql = { 0 };
    sqlite3_stmt *st = NULL;
    buf_printf(&sql, "SELECT 1 FROM %s", t->name);
    int code = sql.failed ? SQLITE_NOMEM
                          : sqlite3_prepare_v2(db, buf_sv(&sql).p, (int)sql.len, &st, NULL);
    sqlite3_finalize(st);
    if (code == SQLITE_NOMEM)
        return err_set(err, ERR_NOMEM, "table %s", t->name);
    return code == SQLITE_OK ? 0
                             : err_set(err, ERR_IO, "table %s: %s", t->name, sqlite3_errmsg(db));
}

int sql_add_tables(sqlite3 *db, struct sv url, struct err *err)
{
    struct moment *m = mem_zalloc(sizeof(*m));
    if (!m)
        return err_set(err, ERR_NOMEM, "tables of a store");
    struct store_conf conf = { .url = url, .is_read_only = true };
    m->store = store_open(&conf, err);
    m->tables = 1;
    int rc = m->store ? 0 : ERR_IO;
    if (rc == 0 && !sv_eq(sv_z(store_scheme(m->store)), SV("sqlite")))
        rc = err_set(err, ERR_UNSUPPORTED, "only a store in a file has tables");
    if (rc == 0)
        rc = sql_add_attr(db, err);
    for (size_t i = 0; i < NELEMS(tables) && rc == 0; i++)
        rc = add_table(db, tables[i], m, err);
    moment_unref(m);
    return rc;
}

static void put_padded(struct buf *to, const char *text, int width)
{
    buf_printf(to, "%-*s", width, text);
}

void sql_put_schema(struct buf *to)
{
    for (size_t i = 0; i < NELEMS(tables); i++) {
        const struct sql_table *t = tables[i];
        buf_printf(to, "%s-- %s\nCREATE TABLE %s(\n", i ? "\n" : "", t->about, t->name);
        for (size_t c = 0; c < t->columns_len; c++) {
            bool is_last = c + 1 == t->columns_len;
            char type[16];
            snprintf(type, sizeof(type), "%s%s", t->columns[c].type, is_last ? "" : ",");
            buf_put(to, SV("  "));
            put_padded(to, t->columns[c].name, 22);
            put_padded(to, type, 9);
            buf_printf(to, "-- %s\n", t->columns[c].about);
        }
        buf_put(to, SV(");\n"));
    }
}
