/* balance.h - which endpoint of a cluster gets the next request. */
#ifndef PROXY_UPSTREAM_BALANCE_H
#define PROXY_UPSTREAM_BALANCE_H

#include "proxy/upstream/health.h"
#include "proxy/upstream/outlier.h"

struct balance_ask {
    const uint32_t *active;              /* requests in flight by endpoint id; NULL: nobody knows */
    struct outlier *outlier;             /* NULL: nobody is ejected */
    const struct health *health;         /* NULL: nobody is known to be unwell */
    int64_t now_ns;                      /* monotonic; for the outliers */
    uint64_t random;                     /* uniform over all 64 bits */
    const uint64_t *hash;                /* what the request goes by; NULL: by load */
    uint32_t *cursor;                    /* of round robin; NULL: at random */
    const struct endpoint *const *tried; /* by this request; again only when there is no other */
    size_t tried_len;
};
/* As the cluster's lb says: of two random endpoints the one with fewer requests in flight, any, or
 * each in turn; with a hash always the same one for
 * the same hash, as long as it is there. Ejected ones and those whose health check fails get nothing, unless fewer than
 * minHealthPercent of the cluster would be left (Envoy's panic; off by default, as in Istio). When the request has tried
 * all others, an ejected one is the last resort. NULL when there is none to take. */
const struct endpoint *balance_pick(const struct cluster *c, const struct balance_ask *ask);

#endif
