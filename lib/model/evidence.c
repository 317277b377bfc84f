/* evidence.c - up to five reporters describe one request; a view counts it once.
 *
 * Every reporter has its own column in each bucket of an edge, and a bucket's best column counts.
 * One thing spoils that: the two proxies of a request start their clocks at different moments, so
 * a request may lie in bucket 7 for the caller and in bucket 8 for the callee. If the caller has
 * nothing else in bucket 8, its best column is the callee's, and the request counts twice. So a
 * worse column counts only where no better one exists for that edge in the bucket itself nor in
 * the two beside it. The price: where the better reporter falls silent or starts, one bucket of
 * the worse one is not counted. */
#include "model/evidence.h"

_Static_assert(REPORTERS_LEN <= 8, "a reporter_set has 8 bits");

reporter_set reporters_of(const struct edge_bucket *b)
{
    reporter_set seen = 0;
    for (int r = 0; r < REPORTERS_LEN; r++)
        if (b->cells[r] && edge_cell_is_used(b->cells[r]))
            seen |= reporter_bit((enum reporter)r);
    return seen;
}

enum reporter reporters_best(reporter_set seen)
{
    for (int r = 0; r < REPORTERS_LEN; r++)
        if (seen & reporter_bit((enum reporter)r))
            return (enum reporter)r;
    return REPORTERS_LEN;
}

enum reporter evidence_of(reporter_set before, reporter_set at, reporter_set after)
{
    enum reporter best = reporters_best(at);
    enum reporter beside = reporters_best(before | after);
    return beside < best ? REPORTERS_LEN : best;
}
