/* identities.h - one copy of every identity that waiting halves refer to. One thread owns it. */
#ifndef COLLECTOR_PAIR_IDENTITIES_H
#define COLLECTOR_PAIR_IDENTITIES_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "model/identity.h"

/* Every part of the identity that stands for all beyond the limit. */
#define IDENTITY_OTHER SV("other")

enum { IDENTITIES_FRONT = 1024 };
struct identities {
    struct arena mem;
    struct map by_key;
    struct buf key;        /* scratch */
    struct identity other; /* answer beyond max */
    size_t max;
    const struct identity *front[IDENTITIES_FRONT]; /* of those asked for last, by a quick hash */
};

void identities_init(struct identities *in, size_t max);
void identities_done(struct identities *in);
/* Valid until identities_done(); NULL when memory is out. */
const struct identity *identities_get(struct identities *in, const struct identity *who) MUST_USE;

#endif
