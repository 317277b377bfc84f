/* tally.h - a program's own counters: one .def row each makes the enum, the cell, the /metrics
 * text and the documentation.
 *
 *   TALLY(SPANS_IN, "spans_received_total", "", "spans decoded")
 *   #define TALLY(id, metric, labels, help) TALLY_##id,
 *
 * Cells are atomic; any thread may add. Rows of one metric stand next to each other. */
#ifndef BASE_TALLY_H
#define BASE_TALLY_H

#include "base/buf.h"
#include <stdatomic.h>
#include <stdint.h>

struct tally_row {
    const char *metric; /* without the prefix; a counter ends in _total, else it is a gauge */
    const char *labels; /* why="queue_full" or "" */
    const char *help;
};
struct tally_table {
    const char *prefix; /* "tulle_collector_" */
    const struct tally_row *rows;
    _Atomic uint64_t *cells;
    size_t len;
};

static inline void tally_cell_add(_Atomic uint64_t *cell, uint64_t n)
{
    atomic_fetch_add_explicit(cell, n, memory_order_relaxed);
}
/* Prometheus text format 0.0.4 of all rows. */
void tally_write(const struct tally_table *t, struct buf *out);

#endif
