/* view.c - from buckets to a picture: best evidence, edge by edge and bucket by bucket.
 *
 * Which column of a bucket counts depends on the buckets beside it, and buckets come in any order.
 * The caller's own column is an exception: nothing beats it, so it is added up at once. Worse
 * columns are copied and wait until everything has been seen (where the caller's record is already
 * there they never count, and are dropped at once). Then each chosen column is merged into the
 * edge it rolls up to; latencies merge as histograms, so quantiles of a roll-up are true ones.
 *
 * Two things are taken from columns that do not count: the latency that the called side measured,
 * and the TLS state, where the counted reporter could not tell it (Istio's client-side records).
 *
 * Memory: for each edge a byte for each bucket of the window, and the copies. */
#include "aggregate/view.h"
#include "aggregate/view_roll.h"
#include "base/map.h"
#include "base/mem.h"

/* A worse column that may yet count. */
struct deferred {
    struct deferred *next;
    size_t at; /* index of the bucket */
    enum reporter reporter;
    struct edge_cell cell;
};
struct edge_seen {
    struct edge edge; /* as stored */
    struct deferred *deferred;
    struct edge_seen *next;
    struct rolled_edge *rolled;
    reporter_set seen[]; /* a bucket of the window each, and one more on both sides */
};
struct view_builder {
    struct view_wish wish;
    struct view view; /* owns mem; grows into the result */
    int64_t width_ns;
    size_t buckets_len;
    struct map by_key; /* edge key to struct edge_seen */
    struct edge_seen *all;
    struct roll roll;
    struct buf key;
    bool is_out_of_memory;
};

void view_done(struct view *v)
{
    for (size_t i = 0; i < v->edges_len; i++) {
        edge_cell_done(&v->edges[i].sum);
        hist_done(&v->edges[i].server_latency);
    }
    mem_free(v->edges);
    mem_free(v->nodes);
    arena_done(&v->mem);
    *v = (struct view){ 0 };
}

struct view_builder *view_builder_new(const struct view_wish *w)
{
    struct view_builder *b = mem_zalloc(sizeof(*b));
    if (!b)
        return NULL;
    b->wish = *w;
    b->width_ns = w->width_ns ? w->width_ns : BUCKET_NS;
    b->view.window.from_ns = window_align_down(w->window.from_ns, b->width_ns);
    b->view.window.to_ns = window_align_up(w->window.to_ns, b->width_ns);
    b->view.granularity = w->granularity;
    b->view.step_ns = w->step_ns;
    INVARIANT(b->view.window.from_ns <= b->view.window.to_ns);
    INVARIANT(w->step_ns % b->width_ns == 0);
    b->buckets_len = (size_t)((b->view.window.to_ns - b->view.window.from_ns) / b->width_ns) + 2;
    b->roll = (struct roll){ .mem = &b->view.mem, .granularity = w->granularity };
    return b;
}

static void deferred_free(struct edge_seen *e)
{
    while (e->deferred) {
        struct deferred *d = e->deferred;
        e->deferred = d->next;
        edge_cell_done(&d->cell);
        mem_free(d);
    }
}

struct view_builder *view_builder_free(struct view_builder *b)
{
    if (!b)
        return NULL;
    for (struct edge_seen *e = b->all; e; e = e->next)
        deferred_free(e);
    map_done(&b->by_key);
    buf_done(&b->key);
    roll_done(&b->roll);
    view_done(&b->view);
    return mem_free(b);
}

struct window view_builder_window(const struct view_builder *b)
{
    struct window w = b->view.window;
    if (b->width_ns > BUCKET_NS)
        return w;
    return (struct window){ w.from_ns - BUCKET_NS, w.to_ns + BUCKET_NS };
}

static bool is_in(struct sv namespaces, struct sv name)
{
    for (struct sv one; sv_cut(&namespaces, ',', &one);)
        if (sv_eq(one, name))
            return true;
    return false;
}

static bool is_wanted(const struct view_builder *b, const struct edge *e)
{
    struct sv wanted = b->wish.namespaces;
    if (wanted.len && !is_in(wanted, e->source.namespace) &&
        !is_in(wanted, e->destination.namespace))
        return false;
    return b->wish.edge_id == 0 || edge_roll_up_id(e, b->wish.granularity) == b->wish.edge_id;
}

static int edge_copy(struct arena *mem, const struct edge *from, struct edge *ret_to)
{
    ret_to->protocol = from->protocol;
    ret_to->destination_service = arena_copy(mem, from->destination_service);
    return identity_copy(mem, &from->source, &ret_to->source) < 0 ||
                   identity_copy(mem, &from->destination, &ret_to->destination) < 0 ||
                   !ret_to->destination_service.p
               ? -1
               : 0;
}

/* What is known of the edge, NULL when memory is out. */
static struct edge_seen *seen_of(struct view_builder *b, const struct edge *edge)
{
    buf_clear(&b->key);
    edge_key_put(edge, &b->key);
    if (b->key.failed)
        return NULL;
    struct edge_seen *e = map_get(&b->by_key, buf_sv(&b->key));
    if (e)
        return e;
    e = arena_zalloc(&b->view.mem, sizeof(*e) + b->buckets_len);
    if (!e || edge_copy(&b->view.mem, edge, &e->edge) < 0 ||
        map_put(&b->by_key, buf_sv(&b->key), e, NULL) < 0)
        return NULL;
    e->next = b->all;
    b->all = e;
    e->rolled = roll_edge(&b->roll, &e->edge);
    return e->rolled ? e : NULL;
}

static size_t step_of(const struct view_builder *b, size_t at)
{
    return b->wish.step_ns ? (at - 1) / (size_t)(b->wish.step_ns / b->width_ns) : 0;
}

static int defer(struct edge_seen *e, size_t at, enum reporter r, const struct edge_cell *cell)
{
    struct deferred *d = mem_zalloc(sizeof(*d));
    if (!d || edge_cell_merge(&d->cell, cell) < 0) {
        mem_free(d);
        return -1;
    }
    d->at = at;
    d->reporter = r;
    d->next = e->deferred;
    e->deferred = d;
    return 0;
}

/* Who saw the edge beside bucket `at`; of a wide bucket that says nothing of this one. */
static reporter_set beside(const struct view_builder *b, const struct edge_seen *e, size_t at)
{
    return b->width_ns > BUCKET_NS ? 0 : e->seen[at - 1] | e->seen[at + 1];
}

static int add_columns(struct view_builder *b, struct edge_seen *e, size_t at,
                       const struct edge_bucket *bucket)
{
    size_t step = step_of(b, at);
    reporter_set around = beside(b, e, at) | e->seen[at];
    const struct edge_cell *called = bucket->cells[REPORTER_DESTINATION];
    if (called && roll_add_called(&b->roll, e->rolled, step, called) < 0)
        return -1;
    for (int r = 0; r < REPORTERS_LEN; r++) {
        const struct edge_cell *cell = bucket->cells[r];
        int rc = 0;
        if (!cell || !edge_cell_is_used(cell))
            continue;
        if (r == REPORTER_SOURCE)
            rc = roll_add(&b->roll, e->rolled, step, REPORTER_SOURCE, cell);
        else if (!(around & reporter_bit(REPORTER_SOURCE)))
            rc = defer(e, at, (enum reporter)r, cell);
        if (rc < 0)
            return -1;
    }
    return 0;
}

int view_builder_add(void *to, const struct edge_bucket *bucket)
{
    struct view_builder *b = to;
    struct window w = view_builder_window(b);
    if (!window_contains(w, bucket->start_ns) || !is_wanted(b, bucket->edge))
        return 0;
    int64_t first_ns = b->view.window.from_ns - b->width_ns;
    size_t at = (size_t)((bucket->start_ns - first_ns) / b->width_ns);
    struct edge_seen *e = seen_of(b, bucket->edge);
    if (!e) {
        b->is_out_of_memory = true;
        return 1;
    }
    e->seen[at] |= reporters_of(bucket);
    if (window_contains(b->view.window, bucket->start_ns) && add_columns(b, e, at, bucket) < 0) {
        b->is_out_of_memory = true;
        return 1;
    }
    return 0;
}

static int add_deferred(struct view_builder *b, struct edge_seen *e)
{
    for (struct deferred *d = e->deferred; d; d = d->next)
        if (evidence_of(beside(b, e, d->at), e->seen[d->at], 0) == d->reporter &&
            roll_add(&b->roll, e->rolled, step_of(b, d->at), d->reporter, &d->cell) < 0)
            return -1;
    deferred_free(e);
    return 0;
}

int view_builder_add_total(void *to, const struct edge *edge, const struct edge_total *t)
{
    struct view_builder *b = to;
    if (!is_wanted(b, edge))
        return 0;
    struct edge *copy = arena_zalloc(&b->view.mem, sizeof(*copy));
    struct rolled_edge *rolled = NULL;
    if (copy && edge_copy(&b->view.mem, edge, copy) == 0)
        rolled = roll_edge(&b->roll, copy);
    b->is_out_of_memory |= !rolled || roll_add_total(&b->roll, rolled, t) < 0;
    return b->is_out_of_memory;
}

static void settle_deferred(struct view_builder *b)
{
    for (struct edge_seen *e = b->all; e && !b->is_out_of_memory; e = e->next)
        b->is_out_of_memory = add_deferred(b, e) < 0;
}

int view_builder_totals(struct view_builder *b, edge_total_sink *sink, void *to, struct err *err)
{
    settle_deferred(b);
    if (b->is_out_of_memory)
        return err_set(err, ERR_NOMEM, "sums of %zu edges", b->by_key.len);
    roll_totals(&b->roll, sink, to);
    return 0;
}

int view_builder_finish(struct view_builder *b, struct view *ret_view, struct err *err)
{
    settle_deferred(b);
    if (b->is_out_of_memory || roll_finish(&b->roll, &b->view) < 0)
        return err_set(err, ERR_NOMEM, "view of %zu edges", b->by_key.len);
    roll_done(&b->roll); /* what it holds lies in the memory that goes with the view */
    b->all = NULL;
    *ret_view = b->view;
    b->view = (struct view){ 0 };
    return 0;
}
