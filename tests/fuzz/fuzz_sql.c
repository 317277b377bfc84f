/* fuzz_sql.c - property: whatever text is run as SQL on a store's tables, each statement ends in
 * rows or in an error, and the store stays readable.
 *
 * The store is a small one in a file that is removed as soon as it is open everywhere. Statements
 * are cut short after a number of steps of SQLite's machine, so that an endless recursion is no
 * finding. */
#include "base/clock.h"
#include "store/sql.h"
#include "store/store.h"
#include <stdio.h>
#include <unistd.h>

enum { STEPS_BETWEEN = 1000, STEPS_MAX = 20, ROWS_MAX = 200 };

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void fill(struct store *s)
{
    static const struct attr attrs[] = {
        { { "http.route", 10 }, { .type = VALUE_STR, .str = { "/cart", 5 } } },
        { { "n", 1 }, { .type = VALUE_INT, .integer = 7 } },
    };
    static const struct attr name = { { "service.name", 12 },
                                      { .type = VALUE_STR, .str = { "web", 3 } } };
    static const struct resource resource = { .attrs = { &name, 1, 0 } };
    static const struct scope scope;
    for (uint8_t i = 1; i < 10; i++) {
        struct batch *b = batch_new();
        struct span *span = b ? batch_add_span(b) : NULL;
        INVARIANT(span);
        *span = (struct span){ .trace_id = { { i / 2 + 1 } },
                               .span_id = { { i } },
                               .start_ns = i * NS_PER_S,
                               .end_ns = i * NS_PER_S + 5,
                               .attrs = { attrs, NELEMS(attrs), 0 },
                               .resource = &resource,
                               .scope = &scope };
        INVARIANT(store_put(s, &b, 1, NULL) == 0);
        batch_free(b);
    }
}

static sqlite3 *the_tables(void)
{
    static sqlite3 *db;
    char dir[] = "/tmp/tulle-fuzz-XXXXXX", url[64];
    if (db)
        return db;
    INVARIANT(mkdtemp(dir));
    snprintf(url, sizeof(url), "sqlite:%s/t.db", dir);
    struct store_conf conf = { .url = sv_z(url) };
    struct store *s = store_open(&conf, NULL);
    INVARIANT(s);
    fill(s);
    store_close(s);
    INVARIANT(sqlite3_open(":memory:", &db) == SQLITE_OK);
    INVARIANT(sql_add_tables(db, sv_z(url), NULL) == 0);
    sqlite3_stmt *st = NULL; /* opens what reading needs */
    INVARIANT(sqlite3_prepare_v2(db, "SELECT 1 FROM spans", -1, &st, NULL) == SQLITE_OK);
    INVARIANT(sqlite3_step(st) == SQLITE_ROW);
    sqlite3_finalize(st);
    static const char *const made[] = { "t.db", "t.db-wal", "t.db-shm", "t.db-owner" };
    for (size_t i = 0; i < NELEMS(made); i++) {
        char path[64];
        snprintf(path, sizeof(path), "%s/%s", dir, made[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 1000000);
    sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, 10000);
    return db;
}

/* Reading is what people can do: the same as the command allows. */
static int authorize(void *unused, int action, const char *a, const char *b, const char *c,
                     const char *d)
{
    (void)unused, (void)a, (void)b, (void)c, (void)d;
    bool is_reading = action == SQLITE_SELECT || action == SQLITE_READ ||
                      action == SQLITE_FUNCTION || action == SQLITE_RECURSIVE;
    return is_reading ? SQLITE_OK : SQLITE_DENY;
}

static int is_enough(void *calls)
{
    return ++*(int *)calls > STEPS_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    sqlite3 *db = the_tables();
    const char *sql = (const char *)p;
    sqlite3_set_authorizer(db, authorize, NULL);
    for (const char *end = sql + n; sql < end;) {
        int calls = 0, rows = 0;
        sqlite3_stmt *st = NULL;
        const char *rest = end;
        sqlite3_progress_handler(db, STEPS_BETWEEN, is_enough, &calls);
        if (sqlite3_prepare_v2(db, sql, (int)(end - sql), &st, &rest) != SQLITE_OK)
            break;
        while (st && rows++ < ROWS_MAX && sqlite3_step(st) == SQLITE_ROW)
            for (int i = 0; i < sqlite3_column_count(st); i++)
                (void)sqlite3_column_text(st, i);
        sqlite3_finalize(st);
        sql = rest > sql ? rest : end;
    }
    sqlite3_progress_handler(db, 0, NULL, NULL);
    sqlite3_stmt *st = NULL;
    INVARIANT(sqlite3_prepare_v2(db, "SELECT count(*) FROM spans", -1, &st, NULL) == SQLITE_OK);
    INVARIANT(sqlite3_step(st) == SQLITE_ROW && sqlite3_column_int64(st, 0) == 9);
    sqlite3_finalize(st);
    return 0;
}
