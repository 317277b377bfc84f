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
    struct pending *pending;
    bool is_dirty, is_source_known, is_other;
    int64_t told_ns; /* when a call last came; 0: never */
    struct totals totals;
    char host[HOST_SIZE];          /* behind edge.destination_service */
    struct known_edge *next_dirty; /* edges with pending buckets */
    enum row_place places[TLS_STATES_LEN];
    struct row_told *told; /* TLS_STATES_LEN, for dialects.h; NULL until needed */
};
enum {
    KNOWN_EDGES_FRONT = 8192,
    SPARE_CELLS_MAX =
        8192, /* 10 MB when full: a mesh in which so many edges are busy every second */
};
struct known_edges {
    struct map by_key;
    struct arena mem;
    struct buf key; /* scratch */
    struct known_edge *dirty;
    size_t max;
    size_t pending_len;
    struct edge_cell **spare; /* of buckets that were committed, for the next ones */
    size_t spare_len, spare_cap;
    struct known_edge *front[KNOWN_EDGES_FRONT]; /* those met last, by a quick hash */
};

void known_edges_init(struct known_edges *k, size_t max);
void known_edges_done(struct known_edges *k);
/* The edge that c is of, most likely; NULL: none like it was met lately. It is not looked at. */
struct known_edge *known_edge_guess(const struct known_edges *k, const struct call *c);
/* The edge of c, met or new; guess is what known_edge_guess() said of it, or NULL. Past the limit the edge "other" of c's protocol and *ret_is_other.
 * NULL when memory is out. */
struct known_edge *known_edge_get(struct known_edges *k, const struct call *c,
                                  struct known_edge *guess, bool *ret_is_other) MUST_USE;
/* The pending bucket of that start, made when missing; NULL when memory is out. */
struct edge_bucket *known_edge_bucket(struct known_edges *k, struct known_edge *e, int64_t start_ns)
    MUST_USE;
/* The reporter's cell of a pending bucket, made when missing; NULL when memory is out. */
struct edge_cell *known_edge_cell(struct known_edges *k, struct edge_bucket *b, enum reporter r)
    MUST_USE;
/* Who stands at both ends of the edge "other". */
struct identity known_edge_other(void);
/* Frees all pending buckets; keeps cells for the next ones. */
void known_edges_clear_pending(struct known_edges *k);
/* Frees what is kept: nothing has come for a while. */
void known_edges_trim(struct known_edges *k);

#endif
