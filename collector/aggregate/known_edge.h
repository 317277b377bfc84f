/* known_edge.h - the edges a fold has met: one object each. Under the fold's lock. */
#ifndef COLLECTOR_AGGREGATE_KNOWN_EDGE_H
#define COLLECTOR_AGGREGATE_KNOWN_EDGE_H

#include "aggregate/known_node.h"
#include "aggregate/totals.h"

enum { HOST_SIZE = 254 }; /* a DNS name and its terminator */

/* A bucket that the store has not seen yet. */
struct pending {
    struct pending *next; /* of the same edge, latest use first */
    struct edge_bucket bucket;
};
struct row_told;
/* Where an edge's row on /metrics stands; see series.h. */
enum row_place { ROW_NEW, ROW_OWN, ROW_OVERFLOW };
/* What every call touches stands together, from edge.protocol to totals: of a large mesh's edges each
 * call meets another one. */
struct known_edge {
    struct edge edge; /* its protocol and host last */
    const struct known_node *source, *destination;
    struct pending *pending;
    int64_t told_ns; /* when a call last came; 0: never */
    bool is_dirty, is_source_known, is_other, is_source_proven, is_destination_proven;
    struct pending own; /* the first of `pending`; free while own.bucket.edge is NULL */
    struct totals totals;
    char *host; /* behind edge.destination_service; host_size bytes */
    size_t host_size;
    struct known_edge *next_dirty;         /* edges with pending buckets */
    struct edge_cell *kept[REPORTERS_LEN]; /* of buckets that were committed, for the next ones */
    enum row_place places[TLS_STATES_LEN];
    struct row_told *told; /* TLS_STATES_LEN, for dialects.h; NULL until needed */
};
/* 10 MB when full: a mesh in which so many edges are busy every second. */
enum { KEPT_CELLS_MAX = 8192 };
struct known_edges {
    struct known_nodes nodes;
    struct met by_ends; /* struct known_edge */
    struct arena mem;
    struct known_edge *dirty;
    size_t max;
    size_t pending_len;
    size_t kept_len; /* cells that edges keep */
};

void known_edges_init(struct known_edges *k, size_t max);
void known_edges_done(struct known_edges *k);
static inline size_t known_edges_len(const struct known_edges *k)
{
    return k->by_ends.len;
}
/* for (size_t i = 0; (e = known_edges_next(k, &i));) */
struct known_edge *known_edges_next(const struct known_edges *k, size_t *at);

/* Where the edge of a call is looked for. */
struct edge_seek {
    const struct known_node *source, *destination; /* NULL: no edge has it */
    uint64_t hash;
    struct known_edge *guess; /* it, most likely; NULL: it is not known. Not looked at. */
};
/* The first step, which asks for the memory of the second; the ends of c are found. */
void known_edge_seek(const struct known_edges *k, const struct call *c, struct edge_seek *ret_seek);
/* The second, some calls later. */
void known_edge_guess(const struct known_edges *k, struct edge_seek *s);
/* The edge of c, met or new; s: one or both steps were done for it, or NULL. Past the limit the edge "other" of c's
 * protocol and *ret_is_other. NULL when memory is out. */
struct known_edge *known_edge_get(struct known_edges *k, const struct call *c,
                                  const struct edge_seek *s, bool *ret_is_other) MUST_USE;
/* The pending bucket of that start, made when missing; NULL when memory is out. */
struct edge_bucket *known_edge_bucket(struct known_edges *k, struct known_edge *e, int64_t start_ns)
    MUST_USE;
/* The reporter's cell of a pending bucket of e, made when missing; NULL when memory is out. */
struct edge_cell *known_edge_cell(struct known_edges *k, struct known_edge *e,
                                  struct edge_bucket *b, enum reporter r) MUST_USE;
/* Who stands at both ends of the edge "other". */
struct identity known_edge_other(void);
/* Frees all pending buckets; keeps cells for the next ones. */
void known_edges_clear_pending(struct known_edges *k);
/* Frees what edges keep to which no call has come since then. */
void known_edges_trim(struct known_edges *k, int64_t since_ns);

#endif
