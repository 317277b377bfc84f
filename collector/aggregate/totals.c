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
 * everything has arrived and the hold is over. Cost: 288 bytes and the used part of a histogram for
 * each edge, bucket, reporter and TLS state of the last 80 s. The histogram goes the same way as the
 * other fields, but is only added up when a scraper wants native histograms.
 *
 * Extras. The callee's view of the durations is chosen by the same rule with another order: callee's
 * record > pair as its server half saw it > caller's record > span. Outcomes follow the same column
 * as the other fields. */
#include "aggregate/totals.h"
#include "base/clock.h"
#include "base/lines.h"
#include "base/mem.h"

#define HOLD_NS   (5 * NS_PER_S)
#define SETTLE_NS (60 * NS_PER_S)

const int64_t total_bounds_ns[TOTAL_BOUNDS_LEN] = {
    500 * NS_PER_US, 1 * NS_PER_MS,  2500 * NS_PER_US, 5 * NS_PER_MS,
    10 * NS_PER_MS,  25 * NS_PER_MS, 50 * NS_PER_MS,   100 * NS_PER_MS,
    250 * NS_PER_MS, 1 * NS_PER_S,   2500 * NS_PER_MS, 10 * NS_PER_S,
};

enum { COLUMN_PAIR_SERVER = REPORTERS_LEN, COLUMNS_LEN }; /* pairs with the callee's durations */

struct total_cell { /* in the order that touches the fewest cache lines a call */
    struct total_cell *next;
    uint8_t column, tls; /* no two of a bucket have both in common */
    struct hist latency;
    struct total n;
    struct outcomes outcomes;
};
struct total_bucket {
    struct total_bucket *earlier;
    int64_t start_ns;
    int64_t last_arrival_ns;
    struct total_cell first; /* nearly always the only one */
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
    for (struct total_cell *cell = &b->first, *next; cell; cell = next) {
        next = cell->next;
        hist_done(&cell->latency);
        outcomes_done(&cell->outcomes);
        if (cell != &b->first)
            mem_free(cell);
    }
    mem_free(b);
}

static struct total_row *rows_free(struct total_row *rows)
{
    for (size_t s = 0; rows && s < TLS_STATES_LEN; s++) {
        hist_done(&rows[s].latency);
        outcomes_done(&rows[s].outcomes);
    }
    return mem_free(rows);
}

void totals_restart(struct totals *t)
{
    INVARIANT(!t->live);
    t->settled = rows_free(t->settled);
    t->shown = rows_free(t->shown);
    for (size_t s = 0; s < TLS_STATES_LEN; s++) {
        mem_free(t->states[s].exemplars);
        t->states[s] = (struct total_state){ 0 };
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
_Static_assert(sizeof(struct total) == (CODES_LEN + 4 + TOTAL_BOUNDS_LEN + 1) * sizeof(uint64_t) &&
                   sizeof(struct total_server) == (1 + TOTAL_BOUNDS_LEN + 1) * sizeof(uint64_t),
               "both are walked as arrays");
enum {
    TOTAL_FIELDS = sizeof(struct total) / sizeof(uint64_t),
    SERVER_FIELDS = sizeof(struct total_server) / sizeof(uint64_t)
};

static void fields_add(void *into, const void *from, size_t n)
{
    uint64_t *to = into;
    const uint64_t *add = from;
    for (size_t i = 0; i < n; i++)
        to[i] += add[i];
}

static void fields_raise(void *into, const void *from, size_t n)
{
    uint64_t *to = into;
    const uint64_t *other = from;
    for (size_t i = 0; i < n; i++)
        to[i] = MAX(to[i], other[i]);
}

static enum code_class class_of(uint16_t code)
{
    return code >= 100 && code < 600 ? (enum code_class)(code / 100) : CODE_NONE;
}

/* How many bounds lie below it. Halved without branches, which nobody could foretell. */
static size_t bound_of(int64_t duration_ns)
{
    const int64_t *at = total_bounds_ns;
    for (size_t n = TOTAL_BOUNDS_LEN; n > 1; n -= n / 2)
        at += at[n / 2 - 1] < duration_ns ? n / 2 : 0;
    return (size_t)(at - total_bounds_ns) + (*at < duration_ns);
}

int total_row_add(struct total_row *into, const struct total_row *from, bool with_latency)
{
    fields_add(&into->n, &from->n, TOTAL_FIELDS);
    return with_latency ? hist_merge(&into->latency, &from->latency) : 0;
}

static void count_call(struct total *t, const struct call *c, size_t bound)
{
    t->codes[class_of(c->response_code)] += call_has_begin(c);
    t->bytes_received += c->bytes_received;
    t->bytes_sent += c->bytes_sent;
    if (!call_has_end(c))
        return;
    t->errors += call_is_error(c);
    t->duration_ns += c->duration_ns > 0 ? (uint64_t)c->duration_ns : 0;
    t->counts[bound]++;
}

/* Without memory the exemplar is left out, which harms no count. */
static void keep_exemplar(struct totals *t, const struct call *c, size_t bound)
{
    if (!trace_id_is_set(c->trace_id))
        return;
    struct exemplar **list = &t->states[c->tls].exemplars;
    if (!*list)
        *list = mem_zalloc((TOTAL_BOUNDS_LEN + 1) * sizeof(**list));
    if (*list)
        (*list)[bound] = (struct exemplar){ c->trace_id, MAX(c->duration_ns, 0), c->start_ns };
}

/* Made when missing, with an empty cell for c. */
static struct total_bucket *bucket_at(struct totals *t, int64_t start_ns, const struct call *c)
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
    b->first.column = (uint8_t)c->reporter;
    b->first.tls = (uint8_t)c->tls;
    b->earlier = *link;
    *link = b;
    return b;
}

static struct total_cell *cell_find(struct total_bucket *b, size_t column, enum tls_state tls)
{
    struct total_cell *cell = &b->first;
    while (cell && !(cell->column == column && cell->tls == tls))
        cell = cell->next;
    return cell;
}

/* The cell, made when missing, with the duration (-1: none) in it; NULL when memory is out. */
static struct total_cell *cell_at(struct total_bucket *b, size_t column, enum tls_state tls,
                                  int64_t duration_ns)
{
    struct total_cell *cell = cell_find(b, column, tls);
    if (!cell) {
        cell = mem_zalloc(sizeof(*cell));
        if (!cell)
            return NULL;
        cell->column = (uint8_t)column;
        cell->tls = (uint8_t)tls;
        cell->next = b->first.next;
        b->first.next = cell;
    }
    if (duration_ns < 0)
        return cell;
    return hist_add(&cell->latency, duration_ns, 1) == 0 ? cell : NULL;
}

/* What is only counted for those who want it; without memory it is left out. */
static void count_extras(struct total_bucket *b, struct total_cell *cell, const struct call *c,
                         int64_t server_ns, unsigned extras)
{
    if (extras & TOTALS_OUTCOMES && call_has_end(c))
        (void)!outcomes_count(&cell->outcomes, c, 1);
    if (!(extras & TOTALS_SERVER) || c->reporter != REPORTER_PAIR || server_ns < 0)
        return;
    struct total_cell *server = cell_at(b, COLUMN_PAIR_SERVER, c->tls, server_ns);
    if (!server)
        return;
    server->n.duration_ns += (uint64_t)server_ns;
    server->n.counts[bound_of(server_ns)]++;
}

static void note_arrival(struct totals *t, struct total_bucket *b, const struct call *c,
                         int64_t arrival_ns)
{
    b->last_arrival_ns = MAX(b->last_arrival_ns, arrival_ns);
    t->last_arrival_ns = MAX(t->last_arrival_ns, arrival_ns);
    if (t->seen == 0)
        t->first_arrival_ns = arrival_ns;
    if (t->states[c->tls].created_ns == 0)
        t->states[c->tls].created_ns = arrival_ns;
    t->seen |= reporter_bit(c->reporter);
}

int totals_add(struct totals *t, const struct call *c, int64_t server_ns, int64_t arrival_ns,
               unsigned extras)
{
    int64_t start_ns = window_align_down(c->start_ns, BUCKET_NS);
    bool is_settled = start_ns < t->settled_to_ns;
    if (is_settled && reporters_best(t->seen) < c->reporter)
        return 0; /* its bucket was settled by better evidence */
    int64_t took_ns = call_has_end(c) ? MAX(c->duration_ns, 0) : -1;
    struct total_bucket *b = bucket_at(t, start_ns, c);
    struct total_cell *cell = b ? cell_at(b, c->reporter, c->tls, took_ns) : NULL;
    if (!cell)
        return -1;
    size_t bound = bound_of(c->duration_ns);
    count_call(&cell->n, c, bound);
    keep_exemplar(t, c, bound);
    if (extras)
        count_extras(b, cell, c, server_ns, extras);
    note_arrival(t, b, c, arrival_ns);
    return 0;
}

/* The durations of a counter are a histogram already. */
static void count_alike(struct total *t, const struct alike *a, bool is_error)
{
    double bounds[TOTAL_BOUNDS_LEN];
    uint64_t counts[TOTAL_BOUNDS_LEN + 1];
    for (size_t i = 0; i < TOTAL_BOUNDS_LEN; i++)
        bounds[i] = (double)total_bounds_ns[i];
    hist_spread(&a->latency, bounds, NELEMS(bounds), 1.0 / (double)NS_PER_S, counts);
    fields_add(t->counts, counts, NELEMS(counts));
    t->codes[class_of(a->code)] += a->times;
    t->errors += is_error ? a->times : 0;
    t->bytes_received += a->bytes_received;
    t->bytes_sent += a->bytes_sent;
    t->duration_ns += a->latency.sum_ns > 0 ? (uint64_t)a->latency.sum_ns : 0;
}

/* Whether calls tell of the edge was judged before: a settled bucket takes it, too. */
int totals_add_alike(struct totals *t, const struct alike *a, int64_t arrival_ns, unsigned extras)
{
    struct call c = alike_call(a);
    struct total_bucket *b = bucket_at(t, window_align_down(a->at_ns, BUCKET_NS), &c);
    struct total_cell *cell = b ? cell_at(b, c.reporter, a->tls, -1) : NULL;
    if (!cell || hist_merge(&cell->latency, &a->latency) < 0)
        return -1;
    count_alike(&cell->n, a, call_is_error(&c));
    if (extras & TOTALS_OUTCOMES && a->times)
        (void)!outcomes_count(&cell->outcomes, &c, a->times); /* an extra */
    note_arrival(t, b, &c, arrival_ns);
    return 0;
}

void totals_ask(const struct totals *t, const struct call *c, unsigned step)
{
    const struct exemplar *exemplars = t->states[c->tls].exemplars;
    struct total_bucket *b = t->live;
    if (step == 0 && b)
        lines_ask(b, offsetof(struct total_bucket, first.outcomes));
    if (step == 0 && exemplars)
        lines_ask(&exemplars[bound_of(c->duration_ns)], sizeof(*exemplars));
    if (step == 0 || !b)
        return;
    const struct total_cell *cell = cell_find(b, c->reporter, c->tls);
    if (cell)
        hist_ask(&cell->latency, c->duration_ns);
}

/* Bytes alone: of a connection that began earlier. A duration alone: of one that ended later. */
static bool is_used(const struct total_cell *c)
{
    return c->latency.count || total_is_used(&c->n);
}

static reporter_set seen_in(const struct total_bucket *b)
{
    reporter_set seen = 0;
    for (const struct total_cell *cell = &b->first; cell; cell = cell->next)
        if (cell->column < REPORTERS_LEN && is_used(cell))
            seen |= reporter_bit((enum reporter)cell->column);
    return seen;
}

/* Who saw the edge in a bucket and in the two beside it. */
struct around {
    reporter_set before, at, after;
};

/* later is the live bucket in front of b in the list, or NULL. */
static struct around around_of(const struct totals *t, const struct total_bucket *b,
                               const struct total_bucket *later)
{
    const struct total_bucket *earlier = b->earlier;
    struct around a = { .at = seen_in(b) };
    if (earlier && earlier->start_ns == b->start_ns - BUCKET_NS)
        a.before = seen_in(earlier);
    else if (t->settled_to_ns == b->start_ns)
        a.before = t->last_settled;
    if (later && later->start_ns == b->start_ns + BUCKET_NS)
        a.after = seen_in(later);
    return a;
}

/* b's column that counts. */
static enum reporter choose(const struct around *a)
{
    return evidence_of(a->before, a->at, a->after);
}

/* The callee's view: its columns by rank, and a set of reporters as a set of ranks. */
static const uint8_t server_columns[REPORTERS_LEN] = { REPORTER_DESTINATION, COLUMN_PAIR_SERVER,
                                                       REPORTER_SOURCE, REPORTER_SPAN,
                                                       REPORTER_SCRAPE };

static reporter_set as_ranks(reporter_set s)
{
    static const uint8_t rank[REPORTERS_LEN] = {
        [REPORTER_DESTINATION] = 0, [REPORTER_PAIR] = 1,   [REPORTER_SOURCE] = 2,
        [REPORTER_SPAN] = 3,        [REPORTER_SCRAPE] = 4,
    };
    reporter_set ranks = 0;
    for (size_t r = 0; r < REPORTERS_LEN; r++)
        if (s & reporter_bit((enum reporter)r))
            ranks |= (reporter_set)(1U << rank[r]);
    return ranks;
}

/* COLUMNS_LEN: none counts. */
static size_t choose_server(const struct around *a)
{
    size_t rank = evidence_of(as_ranks(a->before), as_ranks(a->at), as_ranks(a->after));
    return rank < REPORTERS_LEN ? server_columns[rank] : COLUMNS_LEN;
}

static void add_server(struct total_row *rows, const struct total_bucket *b, size_t column)
{
    for (const struct total_cell *cell = &b->first; cell; cell = cell->next) {
        if (cell->column != column)
            continue;
        struct total_server *server = &rows[cell->tls].server;
        server->duration_ns += cell->n.duration_ns;
        fields_add(server->counts, cell->n.counts, TOTAL_BOUNDS_LEN + 1);
    }
}

static void add_column(struct total_row *rows, const struct total_bucket *b, enum reporter r)
{
    for (const struct total_cell *cell = &b->first; cell; cell = cell->next)
        if (cell->column == r)
            fields_add(&rows[cell->tls].n, &cell->n, TOTAL_FIELDS);
}

/* All or nothing. */
static int add_latencies(struct total_row *rows, const struct total_bucket *b, enum reporter r)
{
    for (const struct total_cell *cell = &b->first; cell; cell = cell->next)
        if (cell->column == r && hist_reserve(&rows[cell->tls].latency, &cell->latency) < 0)
            return -1;
    for (const struct total_cell *cell = &b->first; cell; cell = cell->next)
        if (cell->column == r) {
            int rc = hist_merge(&rows[cell->tls].latency, &cell->latency);
            INVARIANT(rc == 0); /* there is room */
        }
    return 0;
}

static int add_outcomes(struct total_row *rows, const struct total_bucket *b, enum reporter r)
{
    int rc = 0;
    for (const struct total_cell *cell = &b->first; cell; cell = cell->next)
        if (cell->column == r)
            rc |= outcomes_add(&rows[cell->tls].outcomes, &cell->outcomes);
    return rc;
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
        struct around around = around_of(t, b, later);
        enum reporter chosen = choose(&around);
        if (!t->settled)
            t->settled = mem_zalloc(TLS_STATES_LEN * sizeof(*t->settled));
        if (!t->settled || add_latencies(t->settled, b, chosen) < 0)
            return; /* stays live, tried again later */
        add_column(t->settled, b, chosen);
        add_server(t->settled, b, choose_server(&around));
        (void)!add_outcomes(t->settled, b, chosen); /* an extra, left out without memory */
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

/* As may_show(), for the callee's view: its own record is the best there is. */
static bool may_show_server(const struct totals *t, const struct total_bucket *b, size_t column,
                            const struct totals_wish *w)
{
    if (column == REPORTER_DESTINATION)
        return true;
    bool is_reported_by_destination = t->seen & reporter_bit(REPORTER_DESTINATION);
    if (!is_reported_by_destination && t->first_arrival_ns + SETTLE_NS <= w->now_ns)
        return true;
    return b->last_arrival_ns + HOLD_NS <= w->now_ns;
}

static int add_bucket(const struct totals *t, const struct total_bucket *b,
                      const struct total_bucket *later, const struct totals_wish *w,
                      struct total_row *rows)
{
    int rc = 0;
    struct around around = around_of(t, b, later);
    size_t server = choose_server(&around);
    if (w->extras & TOTALS_SERVER && server < COLUMNS_LEN && may_show_server(t, b, server, w))
        add_server(rows, b, server);
    enum reporter chosen = choose(&around);
    if (chosen >= REPORTERS_LEN || !may_show(t, b, chosen, w))
        return 0;
    add_column(rows, b, chosen);
    if (w->with_latency)
        rc |= add_latencies(rows, b, chosen);
    if (w->extras & TOTALS_OUTCOMES)
        rc |= add_outcomes(rows, b, chosen);
    return rc;
}

/* Everything that counts now, added to rows; -1 when memory is out for latencies or outcomes. */
static int sum_up(const struct totals *t, const struct totals_wish *w, struct total_row *rows)
{
    int rc = 0;
    for (size_t s = 0; t->settled && s < TLS_STATES_LEN; s++) {
        rc |= total_row_add(&rows[s], &t->settled[s], w->with_latency);
        rows[s].server = t->settled[s].server;
        if (w->extras & TOTALS_OUTCOMES)
            rc |= outcomes_add(&rows[s].outcomes, &t->settled[s].outcomes);
    }
    const struct total_bucket *later = NULL;
    for (const struct total_bucket *b = t->live; b; later = b, b = b->earlier)
        rc |= add_bucket(t, b, later, w, rows);
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

struct total_row *totals_show(struct totals *t, const struct totals_wish *w)
{
    struct total_row rows[TLS_STATES_LEN] = { 0 };
    if (!t->shown)
        t->shown = mem_zalloc(TLS_STATES_LEN * sizeof(*t->shown));
    if (!t->shown)
        return NULL;
    bool is_complete = sum_up(t, w, rows) == 0;
    for (size_t s = 0; s < TLS_STATES_LEN; s++) {
        struct total_row *shown = &t->shown[s];
        fields_raise(&shown->n, &rows[s].n, TOTAL_FIELDS);
        fields_raise(&shown->server, &rows[s].server, SERVER_FIELDS);
        if (w->with_latency && is_complete)
            latency_raise(&shown->latency, &rows[s].latency);
        if (w->extras & TOTALS_OUTCOMES && is_complete)
            (void)!outcomes_raise(&shown->outcomes, &rows[s].outcomes); /* the next time then */
        hist_done(&rows[s].latency);
        outcomes_done(&rows[s].outcomes);
        shown->created_ns = t->states[s].created_ns;
        shown->exemplars = t->states[s].exemplars;
    }
    return t->shown;
}
