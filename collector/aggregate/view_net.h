/* view_net.h - a view as a net: which nodes an edge joins, how many edges a node has. Pure. */
#ifndef COLLECTOR_AGGREGATE_VIEW_NET_H
#define COLLECTOR_AGGREGATE_VIEW_NET_H

#include "aggregate/view.h"

struct net_node {
    uint32_t in_edges, out_edges;
    uint32_t rank; /* 1 for the most edges, ties share one; at most NET_RANKS */
};
enum { NET_RANKS = 100, NET_UNREACHED = UINT32_MAX };
struct view_net {
    const struct view *view;          /* without steps; borrowed, must not change */
    struct net_node *nodes;           /* one for each node of the view */
    uint32_t *sources, *destinations; /* index of the node at each end of each edge */
};
enum net_direction { NET_BOTH, NET_IN, NET_OUT }; /* in: against the arrows, to the callers */

/* Everything in mem. -1 when memory is out. */
int view_net_make(const struct view *v, struct arena *mem, struct view_net *ret_net) MUST_USE;
/* Index of the node, view->nodes_len when the view has none of that id. */
size_t view_net_find(const struct view_net *net, uint64_t node_id);
/* How many edges each node is away from the one at start, at most depth; NET_UNREACHED beyond.
 * In mem; NULL when memory is out. */
uint32_t *view_net_distances(const struct view_net *net, size_t start, uint32_t depth,
                             enum net_direction direction, struct arena *mem) MUST_USE;

#endif
