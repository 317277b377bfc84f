/* totals.c - counters for Prometheus by best evidence, exact and never falling.
 *
 * A view of a past window can choose the best column when everything has come in. A counter has
 * to choose while reports still arrive, and may never take back what it has shown. So:
 *
 *  - Recent calls stay in small buckets of 10 s, a column a reporter; evidence_of() chooses among
 *    them on every reading, exactly as a view does.
 *  - The caller's own record is the best there is and shows at once. A worse column waits until
 *    nothing more has come for its bucket for HOLD_NS, because the caller's record may still be on
 *    its way. It shows at once too where that cannot happen: the caller has no name, hence no
 *    proxy that could report, or the edge has been known for SETTLE_NS without such a record.
 *  - After SETTLE_NS a bucket's choice is final, its numbers move to the settled sums and the
 *    bucket is freed. What comes later still counts if it is as good as the best evidence the edge
 *    ever had.
 *  - `shown` remembers the highest value of every field and is what is given out. It matters only
 *    while a held bucket grows again, and when a caller's record comes after its bucket showed a
 *    worse column (more than HOLD_NS late): then some fields stay too high for good.
 *
 * So with reporters that deliver within HOLD_NS of each other, the counters are exact as soon as
 * everything has arrived and the hold is over. Cost: 224 bytes and the used part of a histogram for
 * each edge, bucket, reporter and TLS state of the last 80 s. The histogram goes the same way as the
 * other fields, but is only added up when a scraper wants native histograms. */
#include "aggregate/totals.h"
#include "base/clock.h"
#include "base/mem.h"

#define HOLD_NS   (5 * NS_PER_S)
#define SETTLE_NS (60 * NS_PER_S)

const int64_t total_bounds_ns[TOTAL_BOUNDS_LEN] = {
    500 * NS_PER_US, 1 * NS_PER_MS,  2500 * NS_PER_US, 5 * NS_PER_MS,
    10 * NS_PER_MS,  25 * NS_PER_MS, 50 * NS_PER_MS,   100 * NS_PER_MS,
    250 * NS_PER_MS, 1 * NS_PER_S,   2500 * NS_PER_MS, 10 * NS_PER_S,
};

struct total_cell {
    struct total n;
    struct hist latency;
};
struct total_bucket {
    struct total_bucket *earlier;
    int64_t start_ns;
    int64_t last_arrival_ns;
    struct total_cell *cells[REPORTERS_LEN][TLS_STATES_LEN];
};

uint64_t total_requests(const struct total *t)
{
    uint64_t n = 0;
    for (size_t i = 0; i < CODES_LEN; i++)
        n += t->codes[i];
    return n;
}

static void bucket_free(struct total_bucket *b)
{
    for (size_t r = 0; r < REPORTERS_LEN; r++)
        for (size_t s = 0; s < TLS_STATES_LEN; s++) {
            if (b->cells[r][s])
                hist_done(&b->cells[r][s]->latency);
            mem_free(b->cells[r][s]);
        }
    mem_free(b);
}

static struct total_row *rows_free(struct total_row *rows)
{
    for (size_t s = 0; rows && s < TLS_STATES_LEN; s++)
        hist_done(&rows[s].latency);
    return mem_free(rows);
}

void totals_restart(struct totals *t)
{
    INVARIANT(!t->live);
    t->settled = rows_free(t->settled);
    t->shown = rows_free(t->shown);
    for (size_t s = 0; s < TLS_STATES_LEN; s++) {
        t->exemplars[s] = mem_free(t->exemplars[s]);
        t->created_ns[s] = 0;
    }
}

void totals_done(struct totals *t)
{
    while (t->live) {
        struct total_bucket *b = t->live;
        t->live = b->earlier;
        bucket_free(b);
    }
    totals_restart(t);
    *t = (struct totals){ 0 };
}

/* Field by field: every member is a uint64_t. */
_Static_assert(sizeof(struct total) == (CODES_LEN + 4 + TOTAL_BOUNDS_LEN + 1) * sizeof(uint64_t),
               "struct total is walked as an array");
enum { TOTAL_FIELDS = sizeof(struct total) / sizeof(uint64_t) };

static void total_add(struct total *into, const struct total *from)
{
    uint64_t *to = (uint64_t *)into;
    const uint64_t *add = (const uint64_t *)from;
    for (size_t i = 0; i < TOTAL_FIELDS; i++)
        to[i] += add[i];
}

static void total_raise(struct total *into, const struct total *from)
{
    uint64_t *to = (uint64_t *)into;
    const uint64_t *other = (const uint64_t *)from;
    for (size_t i = 0; i < TOTAL_FIELDS; i++)
        to[i] = MAX(to[i], other[i]);
}

static enum code_class class_of(uint16_t code)
{
    return code >= 100 && code < 600 ? (enum code_class)(code / 100) : CODE_NONE;
}

static size_t bound_of(int64_t duration_ns)
{
    size_t i = 0;
    while (i < TOTAL_BOUNDS_LEN && duration_ns > total_bounds_ns[i])
        i++;
    return i;
}

int total_row_add(struct total_row *into, const struct total_row *from, bool with_latency)
{
    total_add(&into->n, &from->n);
    return with_latency ? hist_merge(&into->latency, &from->latency) : 0;
}

static void count_call(struct total *t, const struct call *c, size_t bound)
{
    t->codes[class_of(c->response_code)]++;
    t->errors += call_is_error(c);
    t->bytes_received += c->bytes_received;
    t->bytes_sent += c->bytes_sent;
    t->duration_ns += c->duration_ns > 0 ? (uint64_t)c->duration_ns : 0;
    t->counts[bound]++;
}

/* Without memory the exemplar is left out, which harms no count. */
static void keep_exemplar(struct totals *t, const struct call *c, size_t bound)
{
    if (!trace_id_is_set(c->trace_id))
        return;
    struct exemplar **list = &t->exemplars[c->tls];
    if (!*list)
        *list = mem_zalloc((TOTAL_BOUNDS_LEN + 1) * sizeof(**list));
    if (*list)
        (*list)[bound] = (struct exemplar){ c->trace_id, MAX(c->duration_ns, 0), c->start_ns };
}

static struct total_bucket *bucket_at(struct totals *t, int64_t start_ns)
{
    struct total_bucket **link = &t->live;
    while (*link && (*link)->start_ns > start_ns)
        link = &(*link)->earlier;
    if (*link && (*link)->start_ns == start_ns)
        return *link;
    struct total_bucket *b = mem_zalloc(sizeof(*b));
    if (!b)
        return NULL;
    b->start_ns = start_ns;
    b->earlier = *link;
    *link = b;
    return b;
}

int totals_add(struct totals *t, const struct call *c, int64_t arrival_ns)
{
    int64_t start_ns = window_align_down(c->start_ns, BUCKET_NS);
    bool is_settled = start_ns < t->settled_to_ns;
    if (is_settled && reporters_best(t->seen) < c->reporter)
        return 0; /* its bucket was settled by better evidence */
    struct total_bucket *b = bucket_at(t, start_ns);
    if (!b)
        return -1;
    struct total_cell **cell = &b->cells[c->reporter][c->tls];
    if (!*cell)
        *cell = mem_zalloc(sizeof(**cell));
    if (!*cell || hist_add(&(*cell)->latency, c->duration_ns, 1) < 0)
        return -1;
    size_t bound = bound_of(c->duration_ns);
    count_call(&(*cell)->n, c, bound);
    keep_exemplar(t, c, bound);
    b->last_arrival_ns = MAX(b->last_arrival_ns, arrival_ns);
    t->last_arrival_ns = MAX(t->last_arrival_ns, arrival_ns);
    if (t->seen == 0)
        t->first_arrival_ns = arrival_ns;
    if (t->created_ns[c->tls] == 0)
        t->created_ns[c->tls] = arrival_ns;
    t->seen |= reporter_bit(c->reporter);
    return 0;
}

static reporter_set seen_in(const struct total_bucket *b)
{
    reporter_set seen = 0;
    for (int r = 0; r < REPORTERS_LEN; r++)
        for (size_t s = 0; s < TLS_STATES_LEN; s++)
            if (b->cells[r][s] && b->cells[r][s]->latency.count)
                seen |= reporter_bit((enum reporter)r);
    return seen;
}

/* b's column that counts; later is the live bucket in front of it in the list, or NULL. */
static enum reporter choose(const struct totals *t, const struct total_bucket *b,
                            const struct total_bucket *later)
{
    const struct total_bucket *earlier = b->earlier;
    reporter_set before = 0, after = 0;
    if (earlier && earlier->start_ns == b->start_ns - BUCKET_NS)
        before = seen_in(earlier);
    else if (t->settled_to_ns == b->start_ns)
        before = t->last_settled;
    if (later && later->start_ns == b->start_ns + BUCKET_NS)
        after = seen_in(later);
    return evidence_of(before, seen_in(b), after);
}

static void add_column(struct total_row *rows, const struct total_bucket *b, enum reporter r)
{
    for (size_t s = 0; r < REPORTERS_LEN && s < TLS_STATES_LEN; s++)
        if (b->cells[r][s])
            total_add(&rows[s].n, &b->cells[r][s]->n);
}

/* All or nothing. */
static int add_latencies(struct total_row *rows, const struct total_bucket *b, enum reporter r)
{
    for (size_t s = 0; r < REPORTERS_LEN && s < TLS_STATES_LEN; s++)
        if (b->cells[r][s] && hist_reserve(&rows[s].latency, &b->cells[r][s]->latency) < 0)
            return -1;
    for (size_t s = 0; r < REPORTERS_LEN && s < TLS_STATES_LEN; s++)
        if (b->cells[r][s]) {
            int rc = hist_merge(&rows[s].latency, &b->cells[r][s]->latency);
            INVARIANT(rc == 0); /* there is room */
        }
    return 0;
}

static bool is_old(const struct total_bucket *b, int64_t now_ns)
{
    return b->start_ns + 2 * BUCKET_NS + SETTLE_NS <= now_ns &&
           b->last_arrival_ns + SETTLE_NS <= now_ns;
}

/* The earliest live bucket; *ret_later is the one in front of it. */
static struct total_bucket *earliest(const struct totals *t, struct total_bucket **ret_later)
{
    struct total_bucket *later = NULL, *b = t->live;
    for (; b && b->earlier; b = b->earlier)
        later = b;
    *ret_later = later;
    return b;
}

void totals_settle(struct totals *t, int64_t now_ns)
{
    struct total_bucket *later, *b;
    while ((b = earliest(t, &later)) && is_old(b, now_ns)) {
        enum reporter chosen = choose(t, b, later);
        if (!t->settled)
            t->settled = mem_zalloc(TLS_STATES_LEN * sizeof(*t->settled));
        if (!t->settled || add_latencies(t->settled, b, chosen) < 0)
            return; /* stays live, tried again later */
        add_column(t->settled, b, chosen);
        if (b->start_ns + BUCKET_NS > t->settled_to_ns) {
            t->settled_to_ns = b->start_ns + BUCKET_NS;
            t->last_settled = seen_in(b);
        }
        if (later)
            later->earlier = NULL;
        else
            t->live = NULL;
        bucket_free(b);
    }
}

static bool may_show(const struct totals *t, const struct total_bucket *b, enum reporter chosen,
                     const struct totals_wish *w)
{
    if (chosen == REPORTER_SOURCE || !w->is_source_known)
        return true;
    bool is_reported_by_source = t->seen & reporter_bit(REPORTER_SOURCE);
    if (!is_reported_by_source && t->first_arrival_ns + SETTLE_NS <= w->now_ns)
        return true;
    return b->last_arrival_ns + HOLD_NS <= w->now_ns;
}

/* Everything that counts now, added to rows; -1 when memory is out for the latencies. */
static int sum_up(const struct totals *t, const struct totals_wish *w, struct total_row *rows)
{
    int rc = 0;
    for (size_t s = 0; t->settled && s < TLS_STATES_LEN; s++)
        rc |= total_row_add(&rows[s], &t->settled[s], w->with_latency);
    const struct total_bucket *later = NULL;
    for (const struct total_bucket *b = t->live; b; later = b, b = b->earlier) {
        enum reporter chosen = choose(t, b, later);
        if (chosen >= REPORTERS_LEN || !may_show(t, b, chosen, w))
            continue;
        add_column(rows, b, chosen);
        if (w->with_latency)
            rc |= add_latencies(rows, b, chosen);
    }
    return rc;
}

/* Bucket by bucket the higher count; without memory into stays as it is. */
static void latency_raise(struct hist *into, const struct hist *from)
{
    if (hist_reserve(into, from) < 0)
        return;
    for (uint32_t i = 0; i < from->len; i++) {
        uint64_t *to = &into->counts[from->first - into->first + (int32_t)i];
        *to = MAX(*to, from->counts[i]);
    }
    into->zero = MAX(into->zero, from->zero);
    into->sum_ns = MAX(into->sum_ns, from->sum_ns);
    into->count = into->zero;
    for (uint32_t i = 0; i < into->len; i++)
        into->count += into->counts[i];
}

const struct total_row *totals_show(struct totals *t, const struct totals_wish *w)
{
    struct total_row rows[TLS_STATES_LEN] = { 0 };
    if (!t->shown)
        t->shown = mem_zalloc(TLS_STATES_LEN * sizeof(*t->shown));
    if (!t->shown)
        return NULL;
    bool is_complete = sum_up(t, w, rows) == 0;
    for (size_t s = 0; s < TLS_STATES_LEN; s++) {
        struct total_row *shown = &t->shown[s];
        total_raise(&shown->n, &rows[s].n);
        if (w->with_latency && is_complete)
            latency_raise(&shown->latency, &rows[s].latency);
        hist_done(&rows[s].latency);
        shown->created_ns = t->created_ns[s];
        shown->exemplars = t->exemplars[s];
    }
    return t->shown;
}
