/* lookup.h - a host name to an address, without blocking the loop. One thread: the loop's. */
#ifndef PROXY_TELEMETRY_LOOKUP_H
#define PROXY_TELEMETRY_LOOKUP_H

#include "net/addr.h"
#include "net/loop.h"

struct lookup;
/* Called once, in a later turn; addr is NULL when there is none, and err says why. */
typedef void lookup_fn(void *to, const struct addr *addr, const struct err *err);
/* host is copied. Gives; the object is gone once fn was called. NULL when memory is out. */
struct lookup *lookup_start(struct loop *l, struct sv host, uint16_t port, lookup_fn *fn, void *to,
                            struct err *err) MUST_USE;
/* Takes; fn will not be called. NULL is fine. */
void lookup_cancel(struct lookup *l);

#endif
