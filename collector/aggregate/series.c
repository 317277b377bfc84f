/* series.c - the budget of time series, and the rows of edges under it.
 *
 * A scraper pays for every series, so their number has a bound. An edge's row takes its share when
 * its first request shows. When the budget is used up, further rows count on the edge "other" of
 * their protocol instead, where they stay as long as they live, so that the sum over all series is
 * right at any time and no counter goes back.
 *
 * A row that has had no request for the idle time ends: its series disappear and their share is
 * free. If its edge comes back it is a new counter: it starts at zero with a new time of creation,
 * as counters of a restarted process do, and may get a share or not. What an ended row of the
 * overflow had counted stays in the overflow.
 *
 * Invariant: the sum of all rows given, and of all ended rows with series of their own, is every
 * request that was ever shown. Cost: one pass over the edges for each scrape. */
#include "aggregate/series.h"
#include "aggregate/dialects.h"
#include "base/mem.h"

bool series_take(struct series_budget *b, uint64_t n)
{
    if (b->used + n > b->conf.max)
        return false;
    b->used += n;
    return true;
}

void series_give_back(struct series_budget *b, uint64_t n)
{
    INVARIANT(b->used >= n);
    b->used -= n;
}

void edge_series_done(struct edge_series *es)
{
    for (size_t p = 0; p < PROTOCOLS_LEN; p++)
        for (size_t s = 0; s < TLS_STATES_LEN; s++)
            hist_done(&es->ended[p][s].latency);
}

struct walk {
    struct edge_series *es;
    struct series_budget *budget;
    const struct series_walk *wish;
    struct total_row overflow[PROTOCOLS_LEN][TLS_STATES_LEN];
    bool is_short; /* of memory: latencies of the overflow are incomplete */
};

static void give_row(struct walk *w, struct known_edge *e, size_t tls, const struct total_row *row)
{
    enum row_place *place = &e->places[tls];
    if (*place == ROW_NEW) {
        *place = !e->is_other && series_take(w->budget, EDGE_ROW_SERIES) ? ROW_OWN : ROW_OVERFLOW;
        w->budget->refused_rows += *place == ROW_OVERFLOW;
    }
    if (*place == ROW_OWN) {
        w->wish->sink(w->wish->to, &e->edge, (enum tls_state)tls, row);
        return;
    }
    struct total_row *sum = &w->overflow[e->edge.protocol][tls];
    int64_t *created_ns = &w->es->overflow_created_ns[e->edge.protocol][tls];
    if (*created_ns == 0)
        *created_ns = row->created_ns;
    if (total_row_add(sum, row, w->wish->with_latency) < 0)
        w->is_short = true;
}

/* Latencies are kept only where a scraper wants them; then the overflow keeps them as well. */
static void end_rows(struct walk *w, struct known_edge *e, const struct total_row *rows)
{
    for (size_t s = 0; s < TLS_STATES_LEN; s++) {
        if (e->places[s] == ROW_OWN)
            series_give_back(w->budget, EDGE_ROW_SERIES);
        else if (e->places[s] == ROW_OVERFLOW &&
                 total_row_add(&w->es->ended[e->edge.protocol][s], &rows[s], true) < 0)
            w->is_short = true;
        w->budget->ended_rows += e->places[s] != ROW_NEW;
        e->places[s] = ROW_NEW;
    }
    totals_restart(&e->totals);
    e->told = mem_free(e->told);
}

/* Without memory the dialects are told the next time. */
static void tell_dialects(struct walk *w, struct known_edge *e, struct total_row *rows)
{
    struct dialects *d = w->wish->dialects;
    if (!d || !d->set)
        return;
    if (!e->told)
        e->told = mem_zalloc(TLS_STATES_LEN * sizeof(*e->told));
    for (size_t s = 0; e->told && s < TLS_STATES_LEN; s++)
        if (total_is_used(&rows[s].n))
            dialects_row(d, &e->edge, (enum tls_state)s, &rows[s], &e->told[s], w->wish->now_ns);
}

static void walk_edge(struct walk *w, struct known_edge *e)
{
    int64_t idle_ns = w->budget->conf.idle_ns;
    if (!e->totals.live && !e->totals.settled)
        return; /* ended */
    struct totals_wish wish = { .now_ns = w->wish->now_ns,
                                .is_source_known = e->is_source_known,
                                .with_latency = w->wish->with_latency,
                                .extras = w->wish->dialects
                                              ? dialects_extras(w->wish->dialects->set)
                                              : 0 };
    struct total_row *rows = totals_show(&e->totals, &wish);
    if (!rows)
        return;
    tell_dialects(w, e, rows);
    for (size_t s = 0; s < TLS_STATES_LEN; s++)
        if (total_is_used(&rows[s].n))
            give_row(w, e, s, &rows[s]);
    if (idle_ns > 0 && !e->totals.live && e->totals.last_arrival_ns + idle_ns <= w->wish->now_ns)
        end_rows(w, e, rows);
}

static void give_overflow(struct walk *w, enum protocol p, size_t tls)
{
    struct identity other = known_edge_other();
    struct edge edge = { other, other, p, IDENTITY_UNKNOWN };
    struct total_row *row = &w->overflow[p][tls];
    if (w->is_short)
        hist_done(&row->latency);
    row->created_ns = w->es->overflow_created_ns[p][tls];
    if (total_is_used(&row->n))
        w->wish->sink(w->wish->to, &edge, (enum tls_state)tls, row);
    hist_done(&row->latency);
}

void edge_series_walk(struct edge_series *es, struct known_edges *k, struct series_budget *b,
                      const struct series_walk *walk)
{
    struct walk w = { .es = es, .budget = b, .wish = walk };
    for (size_t p = 0; p < PROTOCOLS_LEN; p++)
        for (size_t s = 0; s < TLS_STATES_LEN; s++)
            if (total_row_add(&w.overflow[p][s], &es->ended[p][s], walk->with_latency) < 0)
                w.is_short = true;
    struct known_edge *e;
    for (size_t i = 0; (e = known_edges_next(k, &i));)
        walk_edge(&w, e);
    for (size_t p = 0; p < PROTOCOLS_LEN; p++)
        for (size_t s = 0; s < TLS_STATES_LEN; s++)
            give_overflow(&w, (enum protocol)p, s);
}
