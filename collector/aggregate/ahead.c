/* ahead.c - counts of thousands of edges do not fit into a cache, but what comes is known.
 *
 * Counting a record follows pointers: from the names of both ends to the edge, to the reporter's cell of its
 * bucket and the histogram in it, and the same again for the totals. On a large mesh each step misses
 * the cache, and one miss waits for the one before. A batch holds hundreds of records, so the steps of a
 * dozen of them are taken at the same time: each record's next line is asked for some records before it
 * is followed. Guesses may be wrong; then counting is only slower. Of 5,000 edges a record takes some 250 ns,
 * of which 70 are not waiting. */
#include "aggregate/ahead.h"
#include "base/lines.h"

enum { RECORDS_AHEAD = 8 }; /* asked for before the first step */

static void ask_edge(const struct known_edge *e)
{
    if (e)
        lines_ask(&e->edge.protocol, offsetof(struct known_edge, totals.settled) -
                                         offsetof(struct known_edge, edge.protocol));
}

static const struct edge_cell *cell_of(const struct known_edge *e, const struct call *c)
{
    const struct edge_cell *cell = e->pending ? e->pending->bucket.cells[c->reporter] : NULL;
    return cell ? cell : e->kept[c->reporter];
}

/* What step 2, 3 ... of e touch. */
static void ask(const struct known_edge *e, const struct call *c, unsigned step)
{
    const struct edge_cell *cell = cell_of(e, c);
    if (step == 2)
        lines_ask(e->edge.destination_service.p, e->edge.destination_service.len);
    if (cell && step == 2)
        lines_ask(cell, offsetof(struct edge_cell, grpc));
    else if (cell)
        hist_ask(&cell->latency, c->duration_ns);
    totals_ask(&e->totals, c, step - 2);
}

static void seek_call(struct ahead *a, size_t at)
{
    if (at + RECORDS_AHEAD < a->len)
        lines_ask(&a->calls[at + RECORDS_AHEAD], offsetof(struct call, response_code_details));
    if (at >= a->len)
        return;
    const struct call *c = &a->calls[at];
    if (a->edges)
        known_edge_seek(a->edges, c, &a->seeks[at % NELEMS(a->seeks)]);
    if (a->told)
        marks_ask(a->told, &c->trace_id, &c->span_id, c->reporter == REPORTER_SOURCE);
}

static void step_call(struct ahead *a, size_t at, unsigned step)
{
    if (at >= a->len)
        return;
    struct edge_seek *s = &a->seeks[at % NELEMS(a->seeks)];
    if (step == 1) {
        known_edge_guess(a->edges, s);
        ask_edge(s->guess);
    } else if (s->guess) {
        ask(s->guess, &a->calls[at], step);
    }
}

void ahead_start(struct ahead *a, const struct known_edges *k, const struct marks *told,
                 const struct call *calls, size_t n)
{
    *a = (struct ahead){ .edges = k, .told = told, .calls = calls, .len = n };
    for (size_t i = 0; i < AHEAD_LEN; i++)
        seek_call(a, i);
}

const struct edge_seek *ahead_next(struct ahead *a, size_t at)
{
    seek_call(a, at + AHEAD_LEN);
    for (unsigned step = 1; a->edges && step < AHEAD_STEPS; step++)
        step_call(a, at + AHEAD_LEN - step * AHEAD_APART, step);
    return &a->seeks[at % NELEMS(a->seeks)];
}
