/* load.h - the demo's users: a steady rate of different requests, each answer read for the tree of
 * calls it caused.
 *
 * load_new() starts its threads, load_stop() lets every request under way end; both are called from
 * the main thread, which blocks its signals before. */
#ifndef DEMO_MESH_LOAD_H
#define DEMO_MESH_LOAD_H

#include "demo/mesh/counts.h"
#include <stdint.h>

struct load_conf {
    const char *net;     /* where the gateways are: NET.N; borrowed */
    const char *ca_file; /* the root that TLS is checked with; borrowed */
    uint64_t rate;       /* requests a second */
    struct counts *to;   /* borrowed */
};
struct load_stats {
    uint64_t sent, failed; /* failed: 5xx or no answer, as the user saw it */
    uint64_t unanswered;   /* no answer at all: what happened below is not known */
};
struct load;
struct load *load_new(const struct load_conf *conf) MUST_USE; /* gives; NULL: memory, threads */
void load_stop(struct load *l);
struct load_stats load_get_stats(struct load *l);
struct load *load_free(struct load *l); /* takes; stops when that is still to do */

#endif
