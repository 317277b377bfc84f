/* tallies.c - the cells behind tallies.def. */
#include "proxy/tallies.h"

static const struct tally_row rows[] = {
/* clang-format off */
#define TALLY(id, metric, labels, help) { metric, labels, help },
#include "tallies.def"
#undef TALLY
    /* clang-format on */
};
static _Atomic uint64_t cells[TALLIES_LEN];

const struct tally_table proxy_tallies = {
    .prefix = "tulle_proxy_",
    .rows = rows,
    .cells = cells,
    .len = TALLIES_LEN,
};
