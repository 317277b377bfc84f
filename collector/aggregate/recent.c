/* recent.c - the last minutes of every edge, and sums of what lies before them.
 *
 * A picture of the last minute of 5,000 edges is made of some 70,000 columns. Read from the store
 * they cost a quarter of a second, as slims in memory a few milliseconds. Columns stay apart by
 * reporter for HOLD_NS, so the choice of evidence is the one a view makes of stored buckets, however late
 * a better reporter comes.
 *
 * A longer window has a standing sum: [from, to) with the evidence chosen. When it is asked for,
 * buckets that are older than SETTLE_NS are added to it and to_ns moves on. What is committed later
 * still for a time before to_ns counts if its reporter is as good as the best evidence of that sum, as in
 * totals.c. So a window that begins at a fixed time is read from the store once. Those that slide
 * begin at steps (window_step() of the API), and are read again when they reach the next.
 *
 * Memory: about 250 bytes for each column of ten seconds and 500 for each edge and standing sum;
 * 40 MB for 5,000 edges that two proxies tell of all the time. Beyond RECENT_BYTES_MAX all of it
 * is given up and views are read from the store. */
#include "aggregate/recent_priv.h"
#include "base/mem.h"

#define IDLE_NS          (120 * NS_PER_S)
#define RECENT_BYTES_MAX ((size_t)192 << 20)

static void slim_free(struct recent *r, struct slim *x)
{
    if (x)
        r->bytes -= slim_bytes(x);
    mem_free(x);
}

void recent_done(struct recent *r)
{
    for (struct recent_edge *e = r->all; e; e = e->next) {
        for (uint32_t i = 0; i < e->rows_len; i++)
            slim_free(r, e->rows[i].slim);
        mem_free(e->rows);
        for (size_t i = 0; i < STANDING_LEN; i++) {
            slim_free(r, e->sums[i]);
            slim_free(r, e->called[i]);
        }
    }
    map_done(&r->by_key);
    buf_done(&r->key);
    arena_done(&r->mem);
    mem_free(r->sum);
    *r = (struct recent){ 0 };
}

static bool is_unknown(struct sv text)
{
    return text.len == 0 || sv_eq(text, IDENTITY_UNKNOWN);
}

static void learn_text(struct recent *r, struct sv *fact, struct sv said)
{
    if (!is_unknown(*fact) || is_unknown(said))
        return;
    struct sv copy = arena_copy(&r->mem, said);
    if (copy.p)
        *fact = copy;
}

static void learn(struct recent *r, struct recent_edge *e, const struct edge *said)
{
    struct sv host = said->destination_service;
    learn_text(r, &e->edge.source.service, said->source.service);
    learn_text(r, &e->edge.source.principal, said->source.principal);
    learn_text(r, &e->edge.destination.service, said->destination.service);
    learn_text(r, &e->edge.destination.principal, said->destination.principal);
    if (!is_unknown(host) && host.len < HOST_SIZE && !sv_eq(host, e->edge.destination_service)) {
        memcpy(e->host, host.p, host.len);
        e->edge.destination_service = sv_of(e->host, host.len);
    }
}

struct recent_edge *recent_edge_of(struct recent *r, const struct edge *edge)
{
    buf_clear(&r->key);
    edge_key_put(edge, &r->key);
    if (r->key.failed)
        return NULL;
    struct recent_edge *e = map_get(&r->by_key, buf_sv(&r->key));
    if (e) {
        learn(r, e, edge);
        return e;
    }
    e = arena_zalloc(&r->mem, sizeof(*e));
    if (!e || identity_copy(&r->mem, &edge->source, &e->edge.source) < 0 ||
        identity_copy(&r->mem, &edge->destination, &e->edge.destination) < 0 ||
        map_put(&r->by_key, buf_sv(&r->key), e, NULL) < 0)
        return NULL;
    e->edge.protocol = edge->protocol;
    e->edge.destination_service = IDENTITY_UNKNOWN;
    learn(r, e, edge);
    e->next = r->all;
    r->all = e;
    return e;
}

int recent_replace(struct recent *r, struct slim **slot, const struct edge_sum *s)
{
    struct slim *fresh = slim_new(s);
    if (!fresh)
        return -1;
    slim_free(r, *slot);
    r->bytes += slim_bytes(fresh);
    *slot = fresh;
    return 0;
}

void recent_start(struct recent *r, const struct recent_edge *e, size_t nth)
{
    edge_sum_clear(r->sum);
    edge_sum_clear(r->called);
    if (nth < STANDING_LEN && e->sums[nth])
        edge_sum_add_slim(r->sum, e->sums[nth]);
    if (nth < STANDING_LEN && e->called[nth])
        edge_sum_add_slim(r->called, e->called[nth]);
}

static int put_sum(struct recent *r, struct slim **slot, const struct edge_sum *s)
{
    return s->evidence < REPORTERS_LEN ? recent_replace(r, slot, s) : 0;
}

int recent_finish(struct recent *r, struct recent_edge *e, size_t nth)
{
    return put_sum(r, &e->sums[nth], r->sum) < 0 ? -1 : put_sum(r, &e->called[nth], r->called);
}

/* The column's place, its slim NULL when it is new; NULL when memory is out. */
static struct row *row_of(struct recent *r, struct recent_edge *e, int64_t start_ns,
                          enum reporter reporter)
{
    for (uint32_t i = e->rows_len; i-- > 0;)
        if (e->rows[i].start_ns == start_ns && e->rows[i].reporter == reporter)
            return &e->rows[i];
    if (e->rows_len == e->rows_cap) {
        uint32_t cap = e->rows_cap ? e->rows_cap * 2 : 4;
        struct row *rows = mem_resize(e->rows, cap * sizeof(*rows));
        if (!rows)
            return NULL;
        r->bytes += (cap - e->rows_cap) * sizeof(*rows);
        e->rows = rows;
        e->rows_cap = cap;
    }
    e->rows[e->rows_len] = (struct row){ start_ns, NULL, reporter };
    return &e->rows[e->rows_len++];
}

static int add_row(struct recent *r, struct recent_edge *e, int64_t start_ns,
                   enum reporter reporter, const struct edge_cell *cell)
{
    struct row *row = row_of(r, e, start_ns, reporter);
    if (!row)
        return -1;
    edge_sum_clear(r->sum);
    if (row->slim)
        edge_sum_add_slim(r->sum, row->slim);
    edge_sum_add(r->sum, reporter, cell);
    return recent_replace(r, &row->slim, r->sum);
}

bool recent_counts_late(const struct slim *sum, enum reporter reporter)
{
    return !sum || slim_evidence(sum) >= reporter;
}

static int add_late(struct recent *r, struct recent_edge *e, size_t nth, enum reporter reporter,
                    const struct edge_cell *cell)
{
    bool counts = recent_counts_late(e->sums[nth], reporter);
    if (!counts && reporter != REPORTER_DESTINATION)
        return 0;
    recent_start(r, e, nth);
    if (counts)
        edge_sum_add(r->sum, reporter, cell);
    if (reporter == REPORTER_DESTINATION)
        edge_sum_add(r->called, reporter, cell);
    return recent_finish(r, e, nth);
}

static int add_cell(struct recent *r, struct recent_edge *e, int64_t start_ns,
                    enum reporter reporter, const struct edge_cell *cell)
{
    for (size_t i = 0; i < STANDING_LEN; i++)
        if (standing_holds(&r->standings[i], start_ns) && add_late(r, e, i, reporter, cell) < 0)
            return -1;
    return start_ns >= r->begin_ns ? add_row(r, e, start_ns, reporter, cell) : 0;
}

int recent_add_bucket(struct recent *r, const struct edge_bucket *b)
{
    struct recent_edge *e = recent_edge_of(r, b->edge);
    if (!e)
        return -1;
    for (int i = 0; i < REPORTERS_LEN; i++)
        if (b->cells[i] && edge_cell_is_used(b->cells[i]) &&
            add_cell(r, e, b->start_ns, (enum reporter)i, b->cells[i]) < 0)
            return -1;
    return r->bytes > RECENT_BYTES_MAX ? -1 : 0;
}

void recent_add(struct recent *r, const struct edge_bucket *b)
{
    if (recent_is_active(r) && recent_add_bucket(r, b) < 0)
        recent_done(r);
}

void recent_drop(struct recent *r, size_t nth)
{
    for (struct recent_edge *e = r->all; e; e = e->next) {
        slim_free(r, e->sums[nth]);
        slim_free(r, e->called[nth]);
        e->sums[nth] = e->called[nth] = NULL;
    }
    r->standings[nth] = (struct standing){ 0 };
}

static void drop_rows(struct recent *r, struct recent_edge *e)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < e->rows_len; i++) {
        if (e->rows[i].start_ns >= r->begin_ns)
            e->rows[kept++] = e->rows[i];
        else
            slim_free(r, e->rows[i].slim);
    }
    e->rows_len = kept;
}

void recent_tick(struct recent *r, int64_t now_ns)
{
    if (!recent_is_active(r))
        return;
    if (r->asked_ns + IDLE_NS < now_ns) {
        recent_done(r);
        return;
    }
    int64_t begin_ns = window_align_down(now_ns - HOLD_NS, BUCKET_NS);
    for (size_t i = 0; i < STANDING_LEN; i++) {
        struct standing *st = &r->standings[i];
        if (st->to_ns && st->asked_ns + IDLE_NS < now_ns)
            recent_drop(r, i);
        else if (st->to_ns) /* and who was there just before */
            begin_ns = MIN(begin_ns, st->to_ns - BUCKET_NS);
    }
    if (begin_ns <= r->begin_ns)
        return;
    r->begin_ns = begin_ns;
    for (struct recent_edge *e = r->all; e; e = e->next)
        drop_rows(r, e);
}
