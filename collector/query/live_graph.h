/* live_graph.h - what one kind of stream (a list of parameters) has last told its clients. Used by
 * live.c only, under its lock. */
#ifndef COLLECTOR_QUERY_LIVE_GRAPH_H
#define COLLECTOR_QUERY_LIVE_GRAPH_H

#include "base/map.h"
#include "query/api.h"

struct live_graph {
    struct map edges, nodes; /* id to the hash of what was told, never 0 */
    uint64_t generation;     /* of the counts at the last reading */
    int64_t bucket_ns;       /* in which the last reading lay */
    struct buf full, part;   /* events; part is empty when nothing changed */
};

void live_graph_done(struct live_graph *g);
/* True when a new reading could differ from the last. */
bool live_graph_is_stale(const struct live_graph *g, uint64_t generation, int64_t now_ns);
/* Renders both events and remembers what they tell. -1 when memory is out: nothing is sent. */
int live_graph_update(struct live_graph *g, const struct view *v, int64_t now_ns) MUST_USE;

#endif
