/* load.h - what the load generators share: connections, and what became of the times they noted. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "net/addr.h"
#include <stddef.h>
#include <stdint.h>

/* A connected socket that sends at once (TCP_NODELAY), the caller's to close; -1: see errno. Waits until it is connected. */
int load_dial(const struct addr *to);
void load_sort(int64_t *ns, size_t len);
/* Of sorted times; 0 when there are none. q: 0 to 1. */
int64_t load_quantile_ns(const int64_t *ns, size_t len, double q);

#endif
