/* journal.c - committing batches, and giving them back in order.
 *
 * A put is one transaction for a whole group of batches: the cost of a commit is shared, and the
 * acknowledgements of the group follow it together. What has to be remembered in memory (keys,
 * chunks) is prepared before the commit, so that nothing can fail after it. */
#include "base/mem.h"
#include "store/sqlite/sqlite.h"

/* One group being committed. */
struct group {
    struct batch *const *batches;
    size_t n;
    uint64_t *seqs;       /* by batch; 0 for a repeat */
    struct chunk *chunks; /* of the batches that are not repeats */
    size_t chunks_len;
    int64_t last_key;
};

static void group_done(struct group *g)
{
    for (size_t i = 0; i < g->chunks_len; i++)
        mem_free(g->chunks[i].traces);
    mem_free(g->chunks);
    mem_free(g->seqs);
}

static int group_init(struct group *g, struct sqlite_store *s, struct batch *const *batches,
                      size_t n)
{
    *g = (struct group){ .batches = batches, .n = n, .last_key = s->last_key };
    g->seqs = mem_zalloc(n * sizeof(*g->seqs));
    g->chunks = mem_alloc(n * sizeof(*g->chunks));
    return g->seqs && g->chunks ? 0 : -1;
}

static int add_key(struct sqlite_store *s, struct group *g, struct sv key, struct err *err)
{
    if (keys_add(&s->keys, key) < 0)
        return err_set(err, ERR_NOMEM, "idempotency key");
    sqlite3_stmt *st = db_statement(&s->writer, ST_KEY_ADD, err);
    if (!st)
        return ERR_IO;
    db_bind_i64(st, 1, ++g->last_key);
    db_bind_blob(st, 2, key);
    return db_run(&s->writer, st, "add key", err);
}

static int add_row(struct sqlite_store *s, const struct batch *b, const struct chunk *c,
                   struct err *err)
{
    buf_clear(&s->rows);
    int rc = rows_encode(b, &s->texts, &s->rows, err);
    if (rc < 0)
        return rc;
    sqlite3_stmt *st = db_statement(&s->writer, ST_JOURNAL_ADD, err);
    if (!st)
        return ERR_IO;
    db_bind_i64(st, 1, c->id);
    db_bind_i64(st, 2, b->received_ns);
    db_bind_i64(st, 3, (int64_t)c->spans);
    db_bind_i64(st, 4, (int64_t)c->calls);
    db_bind_i64(st, 5, c->span_range.from_ns);
    db_bind_i64(st, 6, c->span_range.to_ns);
    db_bind_i64(st, 7, c->call_range.from_ns);
    db_bind_i64(st, 8, c->call_range.to_ns);
    db_bind_blob(st, 9, sv_of(c->traces, c->traces_len * sizeof(*c->traces)));
    db_bind_blob(st, 10, buf_sv(&s->rows));
    return db_run(&s->writer, st, "add to journal", err);
}

static int add_batch(struct sqlite_store *s, struct group *g, size_t i, struct err *err)
{
    const struct batch *b = g->batches[i];
    int rc = 0;
    if (b->idempotency_key.len && keys_has(&s->keys, b->idempotency_key))
        return 0;
    if (b->idempotency_key.len)
        rc = add_key(s, g, b->idempotency_key, err);
    if (rc < 0)
        return rc;
    uint64_t seq = s->last_seq + g->chunks_len + 1;
    struct chunk *c = &g->chunks[g->chunks_len];
    if (chunk_of_batch(b, seq, c) < 0)
        return err_set(err, ERR_NOMEM, "fingerprints of %zu spans", b->spans_len);
    g->chunks_len++;
    g->seqs[i] = seq;
    rc = add_row(s, b, c, err);
    return rc < 0 ? rc : operations_note(s, b, err);
}

/* Forgets keys so old that none of them is waited for. */
static int trim_keys(struct sqlite_store *s, const struct group *g, struct err *err)
{
    if (g->last_key == s->last_key)
        return 0;
    sqlite3_stmt *st = db_statement(&s->writer, ST_KEY_TRIM, err);
    if (!st)
        return ERR_IO;
    db_bind_i64(st, 1, g->last_key - STORE_KEYS_KEPT);
    return db_run(&s->writer, st, "trim keys", err);
}

static int commit_group(struct sqlite_store *s, struct group *g, struct err *err)
{
    int rc = db_begin(&s->writer, err);
    for (size_t i = 0; rc == 0 && i < g->n; i++)
        rc = add_batch(s, g, i, err);
    if (rc == 0)
        rc = trim_keys(s, g, err);
    if (rc == 0) {
        pthread_mutex_lock(&s->chunks.lock);
        if (chunks_reserve(&s->chunks, g->chunks_len) < 0)
            rc = err_set(err, ERR_NOMEM, "list of chunks");
        pthread_mutex_unlock(&s->chunks.lock);
    }
    return rc < 0 ? rc : db_commit(&s->writer, err);
}

/* Nothing here can fail: the group is committed. */
static void publish_group(struct sqlite_store *s, struct group *g)
{
    keys_settle(&s->keys, STORE_KEYS_KEPT);
    s->last_key = g->last_key;
    s->last_seq += g->chunks_len;
    for (size_t i = 0; i < g->n; i++)
        g->batches[i]->seq = g->seqs[i];
    pthread_mutex_lock(&s->chunks.lock);
    for (size_t i = 0; i < g->chunks_len; i++)
        chunks_add(&s->chunks, &g->chunks[i]);
    pthread_mutex_unlock(&s->chunks.lock);
    g->chunks_len = 0; /* their fingerprints belong to the list now */
}

int sqlite_put(struct store *store, struct batch *const *batches, size_t n, struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    struct group g;
    int rc = group_init(&g, s, batches, n) < 0 ? err_set(err, ERR_NOMEM, "%zu batches", n)
                                               : commit_group(s, &g, err);
    if (rc < 0) {
        db_rollback(&s->writer);
        keys_take_back(&s->keys);
        operations_forget(s);
    } else {
        publish_group(s, &g);
    }
    group_done(&g);
    return rc;
}

static int replay_row(sqlite3_stmt *st, store_batch_sink *sink, void *to, bool *ret_is_over,
                      struct err *err)
{
    AUTO_FREE(batch) b = batch_new();
    if (!b)
        return err_set(err, ERR_NOMEM, "batch");
    int rc = rows_decode(db_column(st, 2), b, err);
    if (rc < 0)
        return rc;
    b->seq = (uint64_t)sqlite3_column_int64(st, 0);
    b->received_ns = sqlite3_column_int64(st, 1);
    *ret_is_over = sink(to, b) != 0;
    return 0;
}

int sqlite_replay(struct store *store, uint64_t after_seq, int64_t since_ns, store_batch_sink *sink,
                  void *to, struct err *err)
{
    struct session session;
    int rc = session_begin((struct sqlite_store *)store, &session, err);
    if (rc < 0)
        return rc;
    session_looked_up(&session);
    sqlite3_stmt *st = db_statement(&session.db, ST_JOURNAL_FROM, err);
    rc = st ? 0 : ERR_IO;
    if (st) {
        db_bind_i64(st, 1, (int64_t)MIN(after_seq, (uint64_t)INT64_MAX));
        db_bind_i64(st, 2, since_ns);
    }
    bool is_over = false;
    while (rc == 0 && !is_over && (rc = db_step(&session.db, st, "replay", err)) > 0)
        rc = replay_row(st, sink, to, &is_over, err);
    if (st)
        sqlite3_reset(st);
    session_end(&session);
    return rc;
}

static int load_key(struct sqlite_store *s, sqlite3_stmt *st, struct err *err)
{
    s->last_key = sqlite3_column_int64(st, 0);
    if (keys_add(&s->keys, db_column(st, 1)) < 0)
        return err_set(err, ERR_NOMEM, "idempotency keys");
    keys_settle(&s->keys, STORE_KEYS_KEPT);
    return 0;
}

static int load_head(struct sqlite_store *s, sqlite3_stmt *st, struct err *err)
{
    struct chunk c = { .kind = CHUNK_JOURNAL, .batches = 1 };
    c.id = sqlite3_column_int64(st, 0);
    c.first_seq = c.last_seq = (uint64_t)c.id;
    c.received_to_ns = sqlite3_column_int64(st, 1);
    c.spans = (uint64_t)sqlite3_column_int64(st, 2);
    c.calls = (uint64_t)sqlite3_column_int64(st, 3);
    c.span_range = (struct chunk_range){ sqlite3_column_int64(st, 4), sqlite3_column_int64(st, 5) };
    c.call_range = (struct chunk_range){ sqlite3_column_int64(st, 6), sqlite3_column_int64(st, 7) };
    struct sv traces = db_column(st, 8);
    c.traces_len = traces.len / sizeof(*c.traces);
    c.traces = mem_alloc(traces.len);
    if (!c.traces || chunks_reserve(&s->chunks, 1) < 0) {
        mem_free(c.traces);
        return err_set(err, ERR_NOMEM, "list of chunks");
    }
    if (c.traces_len)
        memcpy(c.traces, traces.p, c.traces_len * sizeof(*c.traces));
    chunks_add(&s->chunks, &c);
    s->last_seq = c.last_seq;
    return 0;
}

int journal_load(struct sqlite_store *s, struct db *db, struct err *err)
{
    sqlite3_stmt *st = db_statement(db, ST_JOURNAL_HEADS, err);
    int rc = st ? 0 : ERR_IO;
    while (rc == 0 && (rc = db_step(db, st, "read journal", err)) > 0)
        rc = load_head(s, st, err);
    sqlite3_stmt *keys = rc == 0 ? db_statement(db, ST_KEYS, err) : NULL;
    if (rc == 0 && !keys)
        rc = ERR_IO;
    while (rc == 0 && (rc = db_step(db, keys, "read keys", err)) > 0)
        rc = load_key(s, keys, err);
    return rc;
}
