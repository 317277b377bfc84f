/* recent_totals.c - what every edge did in a window that reaches to now.
 *
 * Edge by edge: its columns of the window are laid out by bucket and reporter, those that are
 * committed (slims) and those that are pending (cells), evidence is chosen bucket by bucket, and what is
 * chosen is added up. What lies before comes from the standing sum. */
#include "aggregate/recent_priv.h"
#include "aggregate/sums_read.h"
#include "base/mem.h"

enum { BLOCKS_MAX = 48 };
_Static_assert((HOLD_NS + SETTLE_NS + AHEAD_NS) / BUCKET_NS + 4 <= BLOCKS_MAX, "all that is held");

struct column {
    const struct slim *slim;
    const struct edge_cell *cell;
};
/* The buckets of a range and one beside it on both sides. */
struct columns {
    int64_t first_ns, end_ns; /* of at[0] and behind the last one */
    size_t len;
    reporter_set seen[BLOCKS_MAX];
    struct column at[BLOCKS_MAX][REPORTERS_LEN];
};

static int64_t settled_ns(int64_t now_ns)
{
    return window_align_down(now_ns - SETTLE_NS, BUCKET_NS);
}

static bool is_recent(int64_t from_ns, int64_t begin_ns)
{
    return from_ns - BUCKET_NS >= begin_ns;
}

static int64_t begin_ns(int64_t now_ns)
{
    return window_align_down(now_ns - HOLD_NS, BUCKET_NS);
}

bool recent_may_load(const struct window *w, int64_t now_ns)
{
    if (w->from_ns >= w->to_ns || w->to_ns > now_ns + AHEAD_NS)
        return false;
    return is_recent(w->from_ns, begin_ns(now_ns)) || w->to_ns > settled_ns(now_ns);
}

/* The standing sum from there on that is not too far behind; STANDING_LEN: none. */
static size_t find_standing(const struct recent *r, int64_t from_ns, int64_t now_ns)
{
    int64_t reach_ns = settled_ns(now_ns) - (BLOCKS_MAX - 2) * BUCKET_NS;
    size_t i = 0;
    while (i < STANDING_LEN &&
           (r->standings[i].to_ns <= reach_ns || r->standings[i].to_ns - BUCKET_NS < r->begin_ns ||
            r->standings[i].from_ns != from_ns))
        i++;
    return i;
}

bool recent_has(const struct recent *r, const struct window *w, int64_t now_ns)
{
    if (!recent_is_active(r) || !recent_may_load(w, now_ns))
        return false;
    return is_recent(w->from_ns, r->begin_ns) ||
           find_standing(r, w->from_ns, now_ns) < STANDING_LEN;
}

static int load_bucket(void *to, const struct edge_bucket *b)
{
    return recent_add_bucket(to, b);
}

static int load_total(void *to, const struct edge *edge, const struct edge_total *t)
{
    struct recent *r = to;
    struct recent_edge *e = recent_edge_of(r, edge);
    if (!e)
        return -1;
    recent_start(r, e, 0);
    if (edge_cell_is_used(&t->cell))
        edge_sum_add_total(r->sum, t);
    if (edge_cell_is_used(&t->called))
        edge_sum_add(r->called, REPORTER_DESTINATION, &t->called);
    return recent_finish(r, e, 0);
}

int recent_load(struct store *s, const struct window *w, int64_t now_ns, size_t edges,
                bool is_first, struct recent *ret, struct err *err)
{
    struct window before = { w->from_ns, settled_ns(now_ns) };
    struct window held = { begin_ns(now_ns), INT64_MAX };
    int rc = 0;
    ret->sum = mem_zalloc(2 * sizeof(*ret->sum));
    ret->asked_ns = now_ns;
    if (!ret->sum)
        return err_set(err, ERR_NOMEM, "edges of the last minutes");
    ret->called = ret->sum + 1;
    edge_sum_clear(ret->sum);
    edge_sum_clear(ret->called);
    ret->begin_ns = held.from_ns;
    ret->has_rows = is_first;
    if (is_first)
        rc = store_edges(s, &held, BUCKET_NS, load_bucket, ret, err);
    if (rc == 0 && !is_recent(w->from_ns, ret->begin_ns)) {
        rc = sums_read(s, &before, MAX(edges, ret->by_key.len), load_total, ret, err);
        ret->standings[0] = (struct standing){ before.from_ns, before.to_ns, now_ns };
    }
    return rc;
}

/* An unused place, or that of the sum not asked for longest. */
static size_t place_for_standing(struct recent *r)
{
    size_t best = 0;
    for (size_t i = 1; i < STANDING_LEN; i++)
        if (r->standings[i].asked_ns < r->standings[best].asked_ns)
            best = i;
    recent_drop(r, best);
    return best;
}

static void move_slim(struct recent *from, struct slim **slot, struct recent *to,
                      struct slim **ret_slot)
{
    size_t bytes = *slot ? slim_bytes(*slot) : 0;
    from->bytes -= bytes;
    to->bytes += bytes;
    *ret_slot = TAKE(*slot);
}

static int join_standing(struct recent *r, struct recent *from)
{
    size_t at = place_for_standing(r);
    for (struct recent_edge *e = from->all; e; e = e->next) {
        if (!e->sums[0] && !e->called[0])
            continue;
        struct recent_edge *mine = recent_edge_of(r, &e->edge);
        if (!mine)
            return -1;
        move_slim(from, &e->sums[0], r, &mine->sums[at]);
        move_slim(from, &e->called[0], r, &mine->called[at]);
    }
    r->standings[at] = from->standings[0];
    return 0;
}

int recent_join(struct recent *r, struct recent *from)
{
    if (!recent_is_active(r) && !from->has_rows)
        return -1;
    if (!recent_is_active(r)) {
        *r = *from;
        *from = (struct recent){ 0 };
        return 0;
    }
    if (from->standings[0].to_ns && join_standing(r, from) < 0) {
        recent_done(r);
        return -1;
    }
    return 0;
}

static struct column *column_at(struct columns *c, int64_t start_ns, int reporter)
{
    if (start_ns < c->first_ns || start_ns >= c->end_ns)
        return NULL;
    size_t at = (size_t)((start_ns - c->first_ns) / BUCKET_NS);
    c->seen[at] |= reporter_bit((enum reporter)reporter);
    return &c->at[at][reporter];
}

/* Lays out what e has of [from, to); false: nothing. */
static bool lay_out(struct columns *c, const struct recent_edge *e, int64_t from_ns, int64_t to_ns)
{
    struct column *col;
    bool is_any = false;
    c->first_ns = from_ns - BUCKET_NS;
    c->end_ns = to_ns + BUCKET_NS;
    c->len = (size_t)((c->end_ns - c->first_ns) / BUCKET_NS);
    memset(c->seen, 0, c->len * sizeof(c->seen[0]));
    memset(c->at, 0, c->len * sizeof(c->at[0]));
    for (uint32_t i = 0; i < e->rows_len; i++) {
        col = column_at(c, e->rows[i].start_ns, e->rows[i].reporter);
        if (col)
            col->slim = e->rows[i].slim;
        is_any |= col != NULL;
    }
    for (const struct pending *p = e->pending; p; p = p->next)
        for (int i = 0; i < REPORTERS_LEN; i++) {
            const struct edge_cell *cell = p->bucket.cells[i];
            col = cell && edge_cell_is_used(cell) ? column_at(c, p->bucket.start_ns, i) : NULL;
            if (col)
                col->cell = cell;
            is_any |= col != NULL;
        }
    return is_any;
}

static void add_column(struct edge_sum *s, const struct column *c, enum reporter reporter)
{
    if (c->slim)
        edge_sum_add_slim(s, c->slim);
    if (c->cell)
        edge_sum_add(s, reporter, c->cell);
}

static void add_chosen(struct recent *r, const struct columns *c)
{
    for (size_t i = 1; i + 1 < c->len; i++) {
        enum reporter chosen = evidence_of(c->seen[i - 1], c->seen[i], c->seen[i + 1]);
        add_column(r->called, &c->at[i][REPORTER_DESTINATION], REPORTER_DESTINATION);
        if (chosen < REPORTERS_LEN)
            add_column(r->sum, &c->at[i][chosen], chosen);
    }
}

/* Adds what has become old enough to the nth standing sum. */
static int absorb(struct recent *r, size_t nth, int64_t to_ns)
{
    struct standing *st = &r->standings[nth];
    struct columns columns;
    if (to_ns <= st->to_ns)
        return 0;
    for (struct recent_edge *e = r->all; e; e = e->next) {
        if (!lay_out(&columns, e, st->to_ns, to_ns))
            continue;
        recent_start(r, e, nth);
        add_chosen(r, &columns);
        if (recent_finish(r, e, nth) < 0)
            return -1;
    }
    st->to_ns = to_ns;
    return 0;
}

/* Pending columns of a time that the standing sum holds already. */
static void add_late(struct recent *r, const struct recent_edge *e, const struct standing *st,
                     const struct slim *sum)
{
    for (const struct pending *p = e->pending; p; p = p->next)
        for (int i = 0; i < REPORTERS_LEN && standing_holds(st, p->bucket.start_ns); i++) {
            const struct edge_cell *cell = p->bucket.cells[i];
            if (cell && i == REPORTER_DESTINATION)
                edge_sum_add(r->called, REPORTER_DESTINATION, cell);
            if (cell && recent_counts_late(sum, (enum reporter)i))
                edge_sum_add(r->sum, (enum reporter)i, cell);
        }
}

static int attach_pending(struct recent *r, const struct known_edges *k)
{
    for (const struct known_edge *e = k->dirty; e; e = e->next_dirty) {
        struct recent_edge *mine = recent_edge_of(r, &e->edge);
        if (!mine)
            return -1;
        mine->pending = e->pending;
    }
    return 0;
}

static void give_totals(struct recent *r, size_t nth, const struct window *w, edge_total_sink *sink,
                        void *to)
{
    const struct standing *st = nth < STANDING_LEN ? &r->standings[nth] : NULL;
    struct window rest = { st ? st->to_ns : w->from_ns, w->to_ns };
    struct columns columns;
    struct edge_total total;
    for (struct recent_edge *e = r->all; e; e = e->next) {
        bool has_rest = lay_out(&columns, e, rest.from_ns, rest.to_ns);
        if (!has_rest && !e->pending && (!st || (!e->sums[nth] && !e->called[nth])))
            continue;
        recent_start(r, e, nth);
        if (st)
            add_late(r, e, st, e->sums[nth]);
        if (has_rest)
            add_chosen(r, &columns);
        edge_sum_total(r->sum, &total);
        edge_sum_cell(r->called, &total.called);
        if (edge_cell_is_used(&total.cell) && sink(to, &e->edge, &total) != 0)
            return;
    }
}

int recent_totals(struct recent *r, const struct known_edges *k, const struct window *w,
                  int64_t now_ns, edge_total_sink *sink, void *to)
{
    size_t nth = STANDING_LEN;
    int rc = 0;
    r->asked_ns = now_ns;
    if (!is_recent(w->from_ns, r->begin_ns)) {
        nth = find_standing(r, w->from_ns, now_ns);
        INVARIANT(nth < STANDING_LEN); /* recent_has() said so */
        r->standings[nth].asked_ns = now_ns;
        rc = absorb(r, nth, settled_ns(now_ns));
    }
    if (rc == 0)
        rc = attach_pending(r, k);
    if (rc == 0)
        give_totals(r, nth, w, sink, to);
    for (struct recent_edge *e = r->all; e; e = e->next)
        e->pending = NULL;
    if (rc < 0)
        recent_done(r);
    return rc;
}
