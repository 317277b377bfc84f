/* known_edge.h - the edges a fold has met: one object each, found by key. Under the fold's lock. */
#ifndef COLLECTOR_AGGREGATE_KNOWN_EDGE_H
#define COLLECTOR_AGGREGATE_KNOWN_EDGE_H

#include "aggregate/totals.h"
#include "base/map.h"

enum { HOST_SIZE = 254 }; /* a DNS name and its terminator */

/* A bucket that the store has not seen yet. */
struct pending {
    struct pending *next; /* of the same edge, latest use first */
    struct edge_bucket bucket;
};
struct row_told;
/* Where an edge's row on /metrics stands; see series.h. */
enum row_place { ROW_NEW, ROW_OWN, ROW_OVERFLOW };
struct known_edge {
    struct edge edge;
    char host[HOST_SIZE]; /* behind edge.destination_service */
    struct pending *pending;
    struct known_edge *next_dirty; /* edges with pending buckets */
    bool is_dirty, is_source_known, is_other;
    enum row_place places[TLS_STATES_LEN];
    struct totals totals;
    struct row_told *told; /* TLS_STATES_LEN, for dialects.h; NULL until needed */
};
enum { KNOWN_EDGES_FRONT = 8192 };
struct known_edges {
    struct map by_key;
    struct arena mem;
    struct buf key; /* scratch */
    struct known_edge *dirty;
    size_t max;
    size_t pending_len;
    struct known_edge *front[KNOWN_EDGES_FRONT]; /* those met last, by a quick hash */
};

void known_edges_init(struct known_edges *k, size_t max);
void known_edges_done(struct known_edges *k);
/* The edge of c, met or new; past the limit the edge "other" of c's protocol and *ret_is_other.
 * NULL when memory is out. */
struct known_edge *known_edge_get(struct known_edges *k, const struct call *c, bool *ret_is_other)
    MUST_USE;
/* The pending bucket of that start, made when missing; NULL when memory is out. */
struct edge_bucket *known_edge_bucket(struct known_edges *k, struct known_edge *e, int64_t start_ns)
    MUST_USE;
/* Who stands at both ends of the edge "other". */
struct identity known_edge_other(void);
/* Frees all pending buckets. */
void known_edges_clear_pending(struct known_edges *k);

#endif
