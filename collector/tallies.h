/* tallies.h - the collector's own counters; rows in tallies.def. Any thread. */
#ifndef COLLECTOR_TALLIES_H
#define COLLECTOR_TALLIES_H

#include "base/tally.h"

enum tally_id {
/* clang-format off */
#define TALLY(id, metric, labels, help) TALLY_##id,
#include "tallies.def"
#undef TALLY
    TALLIES_LEN
    /* clang-format on */
};

extern const struct tally_table collector_tallies;

static inline void tally(enum tally_id id, uint64_t n)
{
    tally_cell_add(&collector_tallies.cells[id], n);
}
/* For gauges. */
static inline void tally_set(enum tally_id id, uint64_t v)
{
    atomic_store_explicit(&collector_tallies.cells[id], v, memory_order_relaxed);
}

#endif
