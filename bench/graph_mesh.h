/* graph_mesh.h - a made-up mesh of any number of services and edges, and what it does, from a seed.
 * For ./dev bench graph. One thread. */
#ifndef BENCH_GRAPH_MESH_H
#define BENCH_GRAPH_MESH_H

#include "model/batch.h"
#include "model/edge.h"
#include "random_batch.h"

struct graph_mesh {
    struct arena mem;
    struct random_source random;
    struct identity *services;
    struct resource *resources; /* one a service */
    struct edge *edges;
    size_t services_len, edges_len;
};

/* edges_len at most services_len * (services_len / 13); -1: out of memory. */
int graph_mesh_init(struct graph_mesh *m, size_t services_len, size_t edges_len) MUST_USE;
void graph_mesh_done(struct graph_mesh *m);
/* A call on the edge'th edge as that proxy tells of it; its texts live as long as m. */
struct call graph_mesh_call(struct graph_mesh *m, size_t edge, enum reporter r, int64_t start_ns);
/* Appends the client's and the server's span of a call on the edge'th edge. -1: out of memory. */
int graph_mesh_spans(struct graph_mesh *m, size_t edge, int64_t start_ns, struct batch *b) MUST_USE;

#endif
