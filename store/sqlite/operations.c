/* operations.c - which services have which span names: a small table beside the journal.
 *
 * Asking "what is there" must not read spans, so every new (service, name, kind) becomes a row when
 * it is first committed. A set of hashes in memory keeps the rest of the spans off the table. Two
 * operations of one 64-bit hash would lose the second: one chance in a thousand million million at
 * the limit of 100,000. Beyond the limit new names are not listed; searching still finds them. */
#include "base/hash.h"
#include "base/mem.h"
#include "store/match.h"
#include "store/sqlite/sqlite.h"

static uint64_t operation_hash(const struct operation *op)
{
    uint64_t h = hash_bytes(op->service.p, op->service.len, (uint64_t)op->kind);
    h = hash_bytes(op->name.p, op->name.len, h);
    return h ? h : 1;
}

static uint64_t *find_slot(const struct operations_seen *seen, uint64_t hash)
{
    size_t i = hash & (seen->cap - 1);
    while (seen->slots[i] && seen->slots[i] != hash)
        i = (i + 1) & (seen->cap - 1);
    return &seen->slots[i];
}

static int grow(struct operations_seen *seen)
{
    struct operations_seen more = { .cap = seen->cap ? seen->cap * 2 : 256, .len = seen->len };
    more.slots = mem_zalloc(more.cap * sizeof(*more.slots));
    if (!more.slots)
        return -1;
    for (size_t i = 0; i < seen->cap; i++)
        if (seen->slots[i])
            *find_slot(&more, seen->slots[i]) = seen->slots[i];
    mem_free(seen->slots);
    *seen = more;
    return 0;
}

/* 1 when it was new and is noted now, 0 when it was known or the limit is reached, -1: no memory. */
static int note(struct operations_seen *seen, const struct operation *op)
{
    if (seen->len * 2 >= seen->cap && grow(seen) < 0)
        return -1;
    uint64_t hash = operation_hash(op), *slot = find_slot(seen, hash);
    if (*slot || seen->len >= OPERATIONS_MAX)
        return 0;
    *slot = hash;
    seen->len++;
    return 1;
}

static int add_row(struct sqlite_store *s, const struct operation *op, struct err *err)
{
    sqlite3_stmt *st = db_statement(&s->writer, ST_OPERATION_ADD, err);
    if (!st)
        return ERR_IO;
    db_bind_text(st, 1, op->service);
    db_bind_text(st, 2, op->name);
    db_bind_i64(st, 3, (int64_t)op->kind);
    return db_run(&s->writer, st, "add operation", err);
}

int operations_note(struct sqlite_store *s, const struct batch *b, struct segment_w *w,
                    struct err *err)
{
    for (size_t i = 0; i < b->spans_len; i++) {
        const struct span *span = &b->spans[i];
        if (segment_knows_operation(w, b->spans_len - i))
            continue;
        struct operation op = { span_service(span), span->name, span->kind };
        int is_new = note(&s->operations, &op);
        if (is_new < 0)
            return err_set(err, ERR_NOMEM, "operations");
        int rc = is_new ? add_row(s, &op, err) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* After a rollback the set may hold what the table does not. Rows that are there already are
 * ignored when they are added again. */
void operations_forget(struct sqlite_store *s)
{
    s->operations.slots = mem_free(s->operations.slots);
    s->operations.cap = s->operations.len = 0;
}

static struct operation operation_of_row(sqlite3_stmt *st)
{
    struct operation op;
    op.service = db_column(st, 0);
    op.name = db_column(st, 1);
    op.kind = (enum span_kind)sqlite3_column_int64(st, 2);
    return op;
}

int operations_load(struct sqlite_store *s, struct db *db, struct err *err)
{
    sqlite3_stmt *st = db_statement(db, ST_OPERATIONS, err);
    int rc = st ? 0 : ERR_IO;
    while (rc == 0 && (rc = db_step(db, st, "read operations", err)) > 0) {
        struct operation op = operation_of_row(st);
        rc = note(&s->operations, &op) < 0 ? err_set(err, ERR_NOMEM, "operations") : 0;
    }
    return rc;
}

/* All rows, copied into mem. */
static int collect(struct db *db, struct arena *mem, struct operation **ret_list, size_t *ret_len,
                   struct err *err)
{
    sqlite3_stmt *st = db_statement(db, ST_OPERATIONS, err);
    int rc = st ? 0 : ERR_IO;
    struct operation *list = NULL;
    size_t len = 0, cap = 0;
    while (rc == 0 && (rc = db_step(db, st, "read operations", err)) > 0) {
        rc = 0;
        if (len == cap) {
            cap = cap ? cap * 2 : 64;
            struct operation *more = mem_resize(list, cap * sizeof(*list));
            if (!more) {
                rc = err_set(err, ERR_NOMEM, "operations");
                break;
            }
            list = more;
        }
        struct operation op = operation_of_row(st);
        op.service = arena_copy(mem, op.service);
        op.name = arena_copy(mem, op.name);
        if (!op.service.p || !op.name.p)
            rc = err_set(err, ERR_NOMEM, "operations");
        list[len++] = op;
    }
    *ret_list = list;
    *ret_len = len;
    return rc;
}

int sqlite_operations(struct store *store, store_operation_sink *sink, void *to, struct err *err)
{
    AUTO_DONE(arena) mem = { 0 };
    struct session session;
    struct operation *list = NULL;
    size_t len = 0;
    int rc = session_begin((struct sqlite_store *)store, &session, err);
    if (rc < 0)
        return rc;
    session_looked_up(&session);
    rc = collect(&session.db, &mem, &list, &len, err);
    session_end(&session);
    if (rc == 0 && len) {
        qsort(list, len, sizeof(*list), operation_cmp);
        for (size_t i = 0; i < len; i++)
            if (sink(to, list[i].service, list[i].name, list[i].kind) != 0)
                break;
    }
    mem_free(list);
    return rc;
}
