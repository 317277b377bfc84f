/* history_read.c - reading edges and their buckets back.
 *
 * The texts of an edge may be replaced by the writer at any time, so a reader copies those it needs
 * under the lock, each edge once a question. */
#include "base/clock.h"
#include "base/mem.h"
#include "store/sqlite/cells.h"
#include "store/sqlite/sqlite.h"

static struct identity identity_of_row(sqlite3_stmt *st, int at)
{
    struct identity who;
    who.cluster = db_column(st, at);
    who.namespace = db_column(st, at + 1);
    who.workload = db_column(st, at + 2);
    who.service = db_column(st, at + 3);
    who.version = db_column(st, at + 4);
    who.principal = db_column(st, at + 5);
    return who;
}

static int load_edge(struct sqlite_store *s, sqlite3_stmt *st, struct err *err)
{
    int64_t id = sqlite3_column_int64(st, 0), protocol = sqlite3_column_int64(st, 1);
    if (protocol < 0 || protocol >= PROTOCOLS_LEN || id != (int64_t)s->edges.len + 1)
        return err_set(err, ERR_MALFORMED, "edge %lld of protocol %lld", (long long)id,
                       (long long)protocol);
    struct edge e = { .source = identity_of_row(st, 2),
                      .destination = identity_of_row(st, 8),
                      .protocol = (enum protocol)protocol,
                      .destination_service = db_column(st, 14) };
    return edge_book_add(&s->edges, &e) ? 0 : err_set(err, ERR_NOMEM, "edges");
}

int history_load(struct sqlite_store *s, struct db *db, struct err *err)
{
    sqlite3_stmt *st = db_statement(db, ST_EDGES, err);
    int rc = st ? 0 : ERR_IO;
    while (rc == 0 && (rc = db_step(db, st, "read edges", err)) > 0)
        rc = load_edge(s, st, err);
    if (st)
        sqlite3_reset(st);
    return rc;
}

/* The edges one question has met so far, by id. */
struct met_edges {
    struct arena mem;
    struct edge **list; /* list[id - 1], NULL when not met */
    size_t cap;
};

static int copy_edge(struct met_edges *met, const struct edge *from, struct edge **ret_e)
{
    struct edge *e = arena_zalloc(&met->mem, sizeof(*e));
    if (!e || identity_copy(&met->mem, &from->source, &e->source) < 0 ||
        identity_copy(&met->mem, &from->destination, &e->destination) < 0)
        return -1;
    e->destination_service = arena_copy(&met->mem, from->destination_service);
    e->protocol = from->protocol;
    *ret_e = e;
    return e->destination_service.p ? 0 : -1;
}

static const struct edge *meet(struct sqlite_store *s, struct met_edges *met, int64_t id,
                               struct err *err)
{
    if (id >= 1 && (uint64_t)id <= met->cap && met->list[id - 1])
        return met->list[id - 1];
    const struct edge *found = NULL;
    pthread_mutex_lock(&s->edges_lock);
    if (id < 1 || (uint64_t)id > s->edges.len) {
        err_set(err, ERR_MALFORMED, "bucket of edge %lld, of %zu", (long long)id, s->edges.len);
    } else {
        if ((uint64_t)id > met->cap) {
            struct edge **list = mem_resize(met->list, s->edges.len * sizeof(struct edge *));
            if (list) {
                memset(list + met->cap, 0, (s->edges.len - met->cap) * sizeof(struct edge *));
                met->list = list;
                met->cap = s->edges.len;
            }
        }
        if ((uint64_t)id > met->cap ||
            copy_edge(met, &s->edges.list[id - 1]->edge, &met->list[id - 1]) < 0)
            err_set(err, ERR_NOMEM, "edge");
        else
            found = met->list[id - 1];
    }
    pthread_mutex_unlock(&s->edges_lock);
    return found;
}

/* Hands one row to the sink. */
static int give_row(struct sqlite_store *s, sqlite3_stmt *st, int64_t width_ns,
                    struct met_edges *met, store_edge_sink *sink, void *to, bool *ret_is_over,
                    struct err *err)
{
    struct edge_bucket b = { .start_ns = sqlite3_column_int64(st, 0) * NS_PER_S,
                             .width_ns = width_ns };
    struct err why = { 0 };
    b.edge = meet(s, met, sqlite3_column_int64(st, 1), &why);
    int rc = b.edge ? cells_merge(db_column(st, 2), &b, &why) : (int)why.code;
    if (rc == 0)
        *ret_is_over = sink(to, &b) != 0;
    else
        err_set(err, (enum err_code)rc, "%s", why.why);
    edge_bucket_done(&b);
    return rc;
}

/* The first whole second at or after t: starts lie on whole seconds. */
static int64_t ceil_s(int64_t t_ns)
{
    return t_ns / NS_PER_S + (t_ns % NS_PER_S > 0);
}

int sqlite_edges(struct store *store, const struct window *w, int64_t width_ns,
                 store_edge_sink *sink, void *to, struct err *err)
{
    struct sqlite_store *s = (struct sqlite_store *)store;
    struct session session;
    int rc = session_begin(s, &session, err);
    if (rc < 0)
        return rc;
    session_looked_up(&session);
    sqlite3_stmt *st = db_statement(&session.db, ST_BUCKETS, err);
    rc = st ? 0 : ERR_IO;
    if (st) {
        db_bind_i64(st, 1, width_ns / NS_PER_S);
        db_bind_i64(st, 2, ceil_s(w->from_ns));
        db_bind_i64(st, 3, ceil_s(w->to_ns));
    }
    struct met_edges met = { 0 };
    bool is_over = false;
    while (rc == 0 && !is_over && (rc = db_step(&session.db, st, "read buckets", err)) > 0)
        rc = give_row(s, st, width_ns, &met, sink, to, &is_over, err);
    if (st)
        sqlite3_reset(st);
    arena_done(&met.mem);
    mem_free(met.list);
    session_end(&session);
    return rc;
}
