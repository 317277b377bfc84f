/* counts.h - requests and errors by edge: what the load generator knows, what the API says, what
 * /metrics says; all three in the same shape, so that they can be compared.
 *
 * Edges are named by their workloads; a mesh of the demo's size has some twenty. Thread-safe. */
#ifndef DEMO_MESH_COUNTS_H
#define DEMO_MESH_COUNTS_H

#include "base/sv.h"
#include <pthread.h>

enum { COUNTS_MAX = 128, COUNTS_NAME_BYTES = 64 };

struct edge_count {
    char source[COUNTS_NAME_BYTES], destination[COUNTS_NAME_BYTES];
    char tls[16]; /* "mutual", "plaintext", ..., "mixed"; empty where it is not known */
    uint64_t requests, errors;
};
struct counts {
    pthread_mutex_t lock; /* guards the rest */
    size_t len;
    uint64_t lost; /* did not fit */
    struct edge_count edges[COUNTS_MAX];
};

void counts_init(struct counts *c);
void counts_done(struct counts *c);
void counts_clear(struct counts *c);
/* tls may be empty; another state than the one before makes the edge "mixed". */
void counts_add(struct counts *c, struct sv source, struct sv destination, struct sv tls,
                uint64_t requests, uint64_t errors);
/* A copy without the lock; len 0 when the edge is missing. */
struct edge_count counts_get(struct counts *c, struct sv source, struct sv destination);
/* How many edges there are. */
size_t counts_sum(struct counts *c, uint64_t *ret_requests, uint64_t *ret_errors);

#endif
