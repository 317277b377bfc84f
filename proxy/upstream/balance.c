/* balance.c - power of two choices.
 *
 * Two endpoints drawn at random, the less loaded one wins: nearly as even as asking all of them, at
 * the cost of two reads, and without the herd that "the least loaded of all" makes. */
#include "proxy/upstream/balance.h"

static const struct endpoint *draw(const struct cluster *c, uint32_t random,
                                   const struct endpoint *avoid)
{
    size_t at = (size_t)(((uint64_t)random * c->endpoints_len) >> 32);
    if (c->endpoints[at] == avoid)
        at = (at + 1) % c->endpoints_len;
    return c->endpoints[at];
}

const struct endpoint *balance_pick(const struct cluster *c, const uint32_t *active,
                                    const struct endpoint *avoid, uint64_t random)
{
    if (c->endpoints_len == 0)
        return NULL;
    if (c->endpoints_len == 1)
        return c->endpoints[0];
    const struct endpoint *a = draw(c, (uint32_t)random, avoid);
    const struct endpoint *b = draw(c, (uint32_t)(random >> 32), avoid);
    return active[b->id] < active[a->id] ? b : a;
}
