/* ahead.c - counts of thousands of edges do not fit into a cache, but what comes is known.
 *
 * Counting a record follows pointers: to the edge, its bucket, the reporter's cell, the histogram in it,
 * and the same again for the totals. On a large mesh each step misses the cache, and one miss waits
 * for the one before. A batch holds hundreds of records, so the steps of a dozen of them are taken
 * at the same time: each record's next line is asked for some records before it is followed. Guesses
 * may be wrong; then counting is only slower. */
#include "aggregate/ahead.h"
#include "base/lines.h"

static void ask_edge(const struct known_edge *e)
{
    lines_ask(e, offsetof(struct known_edge, host) + LINE_BYTES);
    lines_ask(e + 1, 3 * LINE_BYTES); /* its texts lie behind it */
}

static const struct edge_cell *cell_of(const struct known_edge *e, const struct call *c)
{
    return e->pending ? e->pending->bucket.cells[c->reporter] : NULL;
}

/* What step 1, 2 ... of e touch. */
static void ask(const struct known_edge *e, const struct call *c, unsigned step)
{
    if (step == 1 && e->pending)
        lines_ask(e->pending, sizeof(*e->pending));
    const struct edge_cell *cell = step > 1 ? cell_of(e, c) : NULL;
    if (cell && step == 2)
        lines_ask(cell, offsetof(struct edge_cell, grpc));
    else if (cell)
        hist_ask(&cell->latency, c->duration_ns);
    totals_ask(&e->totals, c, step - 1);
}

static void ask_call(struct ahead *a, size_t at)
{
    if (at >= a->len)
        return;
    struct known_edge *e = known_edge_guess(a->edges, &a->calls[at]);
    a->guesses[at % NELEMS(a->guesses)] = e;
    if (e)
        ask_edge(e);
}

static void step_call(struct ahead *a, size_t at, unsigned step)
{
    const struct known_edge *e = at < a->len ? a->guesses[at % NELEMS(a->guesses)] : NULL;
    if (e)
        ask(e, &a->calls[at], step);
}

void ahead_start(struct ahead *a, const struct known_edges *k, const struct call *calls, size_t n)
{
    a->edges = k;
    a->calls = calls;
    a->len = n;
    for (size_t i = 0; i < AHEAD_LEN; i++)
        ask_call(a, i);
}

struct known_edge *ahead_next(struct ahead *a, size_t at)
{
    ask_call(a, at + AHEAD_LEN);
    for (unsigned step = 1; step < AHEAD_STEPS; step++)
        step_call(a, at + AHEAD_LEN - step * AHEAD_APART, step);
    return a->guesses[at % NELEMS(a->guesses)];
}
