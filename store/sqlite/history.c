/* history.c - edges over time: buckets at 10 s, a minute and an hour.
 *
 * A bucket is a row (width, start, edge) whose blob holds the cells of its reporters: a varint of
 * their mask, then each cell with its length. A put reads the row that is there, merges, and writes
 * it back; the wider rows are kept in the same transaction, so that any window can be answered from
 * the coarsest width that fits, and late data lands in all of them. */
#include "base/clock.h"
#include "store/sqlite/cells.h"
#include "store/sqlite/sqlite.h"

/* Binds the texts of an identity from `at` on; the next free place. */
static int bind_identity(sqlite3_stmt *st, int at, const struct identity *who)
{
    db_bind_text(st, at, who->cluster);
    db_bind_text(st, at + 1, who->namespace);
    db_bind_text(st, at + 2, who->workload);
    db_bind_text(st, at + 3, who->service);
    db_bind_text(st, at + 4, who->version);
    db_bind_text(st, at + 5, who->principal);
    return at + 6;
}

static int insert_edge(struct sqlite_store *s, const struct edge_entry *e, struct err *err)
{
    sqlite3_stmt *st = db_statement(&s->writer, ST_EDGE_ADD, err);
    if (!st)
        return ERR_IO;
    db_bind_i64(st, 1, e->id);
    db_bind_i64(st, 2, (int64_t)e->edge.protocol);
    int at = bind_identity(st, 3, &e->edge.source);
    at = bind_identity(st, at, &e->edge.destination);
    db_bind_text(st, at, e->edge.destination_service);
    return db_run(&s->writer, st, "add edge", err);
}

static int update_edge(struct sqlite_store *s, const struct edge_entry *e, struct err *err)
{
    sqlite3_stmt *st = db_statement(&s->writer, ST_EDGE_LEARN, err);
    if (!st)
        return ERR_IO;
    db_bind_i64(st, 1, e->id);
    db_bind_text(st, 2, e->edge.source.service);
    db_bind_text(st, 3, e->edge.source.principal);
    db_bind_text(st, 4, e->edge.destination.service);
    db_bind_text(st, 5, e->edge.destination.principal);
    db_bind_text(st, 6, e->edge.destination_service);
    return db_run(&s->writer, st, "update edge", err);
}

/* The edge's id, its row made or brought up to date. Facts learned in a transaction that fails
 * stay in memory and are written with the next change: they are newer either way. */
static int edge_id(struct sqlite_store *s, const struct edge *e, int64_t *ret_id, struct err *err)
{
    pthread_mutex_lock(&s->edges_lock);
    struct edge_entry *entry = edge_book_find(&s->edges, e);
    bool is_new = !entry, is_news = entry && edge_entry_is_news(entry, e);
    if (is_new)
        entry = edge_book_add(&s->edges, e);
    int rc = !entry || (is_news && edge_entry_learn(entry, e) < 0) ? err_set(err, ERR_NOMEM, "edge")
                                                                   : 0;
    pthread_mutex_unlock(&s->edges_lock);
    if (rc == 0 && is_new)
        rc = insert_edge(s, entry, err);
    else if (rc == 0 && is_news)
        rc = update_edge(s, entry, err);
    if (rc == 0)
        *ret_id = entry->id;
    return rc;
}

static void bind_place(sqlite3_stmt *st, int64_t width_ns, int64_t start_ns, int64_t edge)
{
    db_bind_i64(st, 1, width_ns / NS_PER_S);
    db_bind_i64(st, 2, start_ns / NS_PER_S);
    db_bind_i64(st, 3, edge);
}

/* Reads the row of (width, start, edge), merges b into it and writes it back. */
static int merge_row(struct sqlite_store *s, int64_t width_ns, int64_t edge,
                     const struct edge_bucket *b, struct buf *scratch, struct err *err)
{
    struct edge_bucket sum = { .width_ns = width_ns };
    int64_t start_ns = window_align_down(b->start_ns, width_ns);
    sqlite3_stmt *get = db_statement(&s->writer, ST_BUCKET_GET, err);
    if (!get)
        return ERR_IO;
    bind_place(get, width_ns, start_ns, edge);
    int rc = db_step(&s->writer, get, "read bucket", err);
    if (rc > 0) {
        rc = cells_merge(db_column(get, 0), &sum, err);
        sqlite3_reset(get);
    }
    if (rc == 0 && edge_bucket_merge(&sum, b) < 0)
        rc = err_set(err, ERR_NOMEM, "edge bucket");
    if (rc == 0 && cells_encode(&sum, &s->rows, scratch) < 0)
        rc = err_set(err, ERR_NOMEM, "edge bucket");
    edge_bucket_done(&sum);
    sqlite3_stmt *set = rc == 0 ? db_statement(&s->writer, ST_BUCKET_SET, err) : NULL;
    if (!set)
        return rc < 0 ? rc : ERR_IO;
    bind_place(set, width_ns, start_ns, edge);
    db_bind_blob(set, 4, buf_sv(&s->rows));
    return db_run(&s->writer, set, "write bucket", err);
}

static int set_progress(struct sqlite_store *s, const struct store_progress *p, struct err *err)
{
    sqlite3_stmt *st = db_statement(&s->writer, ST_PROGRESS_SET, err);
    if (!st)
        return ERR_IO;
    db_bind_i64(st, 1, (int64_t)p->seq);
    db_bind_i64(st, 2, p->time_ns);
    return db_run(&s->writer, st, "write progress", err);
}

static int put_all(struct sqlite_store *s, const struct edge_bucket *buckets, size_t n,
                   const struct store_progress *progress, struct err *err)
{
    AUTO_DONE(buf) scratch = { 0 };
    int rc = db_begin(&s->writer, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        int64_t edge = 0;
        rc = edge_id(s, buckets[i].edge, &edge, err);
        for (size_t w = 0; rc == 0 && w < STORE_WIDTHS_LEN; w++)
            rc = merge_row(s, store_widths[w], edge, &buckets[i], &scratch, err);
    }
    if (rc == 0)
        rc = set_progress(s, progress, err);
    return rc < 0 ? rc : db_commit(&s->writer, err);
}

int sqlite_put_edges(struct store *store, const struct edge_bucket *buckets, size_t n,
                     const struct store_progress *progress, struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    size_t edges_before = s->edges.len;
    pthread_mutex_lock(&s->writing);
    int rc = put_all(s, buckets, n, progress, err);
    if (rc < 0)
        db_rollback(&s->writer);
    pthread_mutex_unlock(&s->writing);
    if (rc == 0)
        return 0;
    pthread_mutex_lock(&s->edges_lock);
    while (s->edges.len > edges_before)
        edge_book_remove_last(&s->edges);
    pthread_mutex_unlock(&s->edges_lock);
    return rc;
}

int sqlite_get_progress(struct store *store, struct store_progress *ret_p, struct err *err)
{
    struct session session;
    int rc = session_begin((struct sqlite_store *)store, &session, err);
    if (rc < 0)
        return rc;
    session_looked_up(&session);
    sqlite3_stmt *st = db_statement(&session.db, ST_PROGRESS, err);
    rc = st ? db_step(&session.db, st, "read progress", err) : ERR_IO;
    if (rc > 0) {
        ret_p->seq = (uint64_t)sqlite3_column_int64(st, 0);
        ret_p->time_ns = sqlite3_column_int64(st, 1);
        sqlite3_reset(st);
        rc = 0;
    }
    session_end(&session);
    return rc;
}
