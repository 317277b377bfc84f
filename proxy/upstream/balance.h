/* balance.h - which endpoint of a cluster gets the next request. */
#ifndef PROXY_UPSTREAM_BALANCE_H
#define PROXY_UPSTREAM_BALANCE_H

#include "proxy/config/mesh.h"

/* Of two random endpoints the one with fewer requests in flight (active[endpoint->id]); avoid is
 * taken only when it is the only one. NULL when there is none. */
const struct endpoint *balance_pick(const struct cluster *c, const uint32_t *active,
                                    const struct endpoint *avoid, uint64_t random);

#endif
