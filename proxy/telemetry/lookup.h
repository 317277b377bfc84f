/* lookup.h - a host name to an address, without blocking the loop. One thread: the loop's. */
#ifndef PROXY_TELEMETRY_LOOKUP_H
#define PROXY_TELEMETRY_LOOKUP_H

#include "net/addr.h"
#include "net/loop.h"

struct lookup;
/* Called once, in a later turn; addr is NULL when there is none, and err says why. */
typedef void lookup_fn(void *to, const struct addr *addr, const struct err *err);
/* The same with every address of the name, LOOKUP_MAX at most; len 0: none, and err says why. */
#define LOOKUP_MAX 64
typedef void lookup_all_fn(void *to, const struct addr *list, size_t len, const struct err *err);
struct lookup *lookup_all(struct loop *l, struct sv host, lookup_all_fn *fn, void *to,
                          struct err *err) MUST_USE;
/* host is copied. Gives; the object is gone once fn was called. NULL when memory is out. */
struct lookup *lookup_start(struct loop *l, struct sv host, uint16_t port, lookup_fn *fn, void *to,
                            struct err *err) MUST_USE;
/* Takes; fn will not be called. NULL is fine. */
void lookup_cancel(struct lookup *l);

#endif
