/* tallies.h - the proxy's own counters; rows in tallies.def. Any thread. */
#ifndef PROXY_TALLIES_H
#define PROXY_TALLIES_H

#include "base/tally.h"

enum tally_id {
/* clang-format off */
#define TALLY(id, metric, labels, help) TALLY_##id,
#include "tallies.def"
#undef TALLY
    TALLIES_LEN
    /* clang-format on */
};

extern const struct tally_table proxy_tallies;

static inline void tally(enum tally_id id)
{
    tally_cell_add(&proxy_tallies.cells[id], 1);
}
/* For gauges: one gone. */
static inline void tally_less(enum tally_id id)
{
    tally_cell_add(&proxy_tallies.cells[id], UINT64_MAX);
}

#endif
