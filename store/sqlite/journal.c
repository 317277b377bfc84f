/* journal.c - committing batches.
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
    struct segment_w *w = stages_open(&s->stages, (uint64_t)c->id);
    buf_clear(&s->rows);
    int rc = w ? segment_add(w, b, &s->rows, err) : err_set(err, ERR_NOMEM, "segment");
    if (rc == 0)
        rc = operations_note(s, b, w, err);
    if (rc < 0)
        return rc;
    stages_added(&s->stages, (uint64_t)c->id, s->chunks.segment_records, SEGMENT_ROWS);
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
    return add_row(s, b, c, err);
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
    stages_commit(&s->stages);
    bool is_seal_due = chunks_is_seal_due(&s->chunks);
    pthread_mutex_unlock(&s->chunks.lock);
    g->chunks_len = 0; /* their fingerprints belong to the list now */
    if (is_seal_due)
        sealer_wake(s->sealer);
}

int sqlite_put(struct store *store, struct batch *const *batches, size_t n, struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    struct group g;
    pthread_mutex_lock(&s->writing);
    int rc = group_init(&g, s, batches, n) < 0 ? err_set(err, ERR_NOMEM, "%zu batches", n)
                                               : commit_group(s, &g, err);
    if (rc < 0)
        db_rollback(&s->writer);
    pthread_mutex_unlock(&s->writing);
    if (rc < 0) {
        keys_take_back(&s->keys);
        operations_forget(s);
        stages_drop(&s->stages);
    } else {
        publish_group(s, &g);
    }
    group_done(&g);
    return rc;
}
