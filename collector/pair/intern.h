/* intern.h - one copy of every identity that waiting halves refer to. One thread owns it. */
#ifndef COLLECTOR_PAIR_INTERN_H
#define COLLECTOR_PAIR_INTERN_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "model/identity.h"

/* Every part of the identity that stands for all beyond the limit. */
#define INTERN_OTHER SV("other")

struct interner {
    struct arena mem;
    struct map by_key;
    struct buf key;        /* scratch */
    struct identity other; /* answer beyond max */
    size_t max;
};

void interner_init(struct interner *in, size_t max);
void interner_done(struct interner *in);
/* Valid until interner_done(); NULL when memory is out. */
const struct identity *interner_get(struct interner *in, const struct identity *who) MUST_USE;

#endif
