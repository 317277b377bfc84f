/* aliases.h - which workload an SDK means by its service.name, learned from the sidecar beside it.
 *
 * One thread owns it. Identities are interned: they are compared by address and outlive it. */
#ifndef COLLECTOR_PAIR_ALIASES_H
#define COLLECTOR_PAIR_ALIASES_H

#include "base/map.h"
#include "pair/half.h"

struct aliases {
    struct map by_name; /* identity of an SDK to struct alias */
    struct arena mem;
    struct alias_slot *by_instance; /* NULL until the first */
};

void aliases_done(struct aliases *a);
/* Whether h's sender says nothing but its service.name, so that it may have an alias. */
bool half_is_nameless(const struct half *h);
/* The application of h was seen right beside a proxy that is known as proxy. */
void aliases_learn(struct aliases *a, const struct half *h, const struct identity *proxy);
/* Who sent h: the workload that was learned, else h->who. */
const struct identity *aliases_who(const struct aliases *a, const struct half *h);

#endif
