/* view_net.c - the net that a view's edges make.
 *
 * A view lists nodes in order of name and edges in order of traffic, joined by ids. Filters and
 * neighbourhoods walk, so the ids are turned into indexes once: nodes sorted by id, then a binary
 * search for each end. Cost: (nodes + edges) log nodes. */
#include "aggregate/view_net.h"
#include <stdlib.h>

struct named {
    uint64_t id;
    uint32_t at;
};

static int by_id(const void *pa, const void *pb)
{
    const struct named *a = pa, *b = pb;
    return (a->id > b->id) - (a->id < b->id);
}

static uint32_t index_of(const struct named *list, size_t len, uint64_t id)
{
    struct named wanted = { .id = id };
    const struct named *found = bsearch(&wanted, list, len, sizeof(*list), by_id);
    INVARIANT(found); /* a view has the nodes of its edges */
    return found->at;
}

static uint32_t edges_of(const struct net_node *n)
{
    return n->in_edges + n->out_edges;
}

static int by_edges(const void *pa, const void *pb)
{
    const struct net_node *a = *(const struct net_node *const *)pa;
    const struct net_node *b = *(const struct net_node *const *)pb;
    return (edges_of(a) < edges_of(b)) - (edges_of(a) > edges_of(b));
}

/* Ranks 1, 2, 3 by number of edges; more than NET_RANKS of them are spread over 1 .. NET_RANKS. */
static int rank(struct view_net *net, struct arena *mem)
{
    size_t n = net->view->nodes_len;
    struct net_node **order = arena_array(mem, n + 1, sizeof(*order));
    if (!order)
        return -1;
    for (size_t i = 0; i < n; i++)
        order[i] = &net->nodes[i];
    qsort(order, n, sizeof(struct net_node *), by_edges);
    uint32_t ranks = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || edges_of(order[i]) != edges_of(order[i - 1]))
            ranks++;
        order[i]->rank = ranks;
    }
    for (size_t i = 0; i < n && ranks > NET_RANKS; i++)
        order[i]->rank = 1 + (order[i]->rank - 1) * (NET_RANKS - 1) / (ranks - 1);
    return 0;
}

int view_net_make(const struct view *v, struct arena *mem, struct view_net *ret_net)
{
    struct view_net net = { .view = v };
    INVARIANT(v->step_ns == 0 && v->nodes_len < UINT32_MAX && v->edges_len < UINT32_MAX);
    struct named *names = arena_array(mem, v->nodes_len + 1, sizeof(*names));
    net.nodes = arena_array(mem, v->nodes_len + 1, sizeof(*net.nodes));
    net.sources = arena_array(mem, v->edges_len + 1, sizeof(*net.sources));
    net.destinations = arena_array(mem, v->edges_len + 1, sizeof(*net.destinations));
    if (!names || !net.nodes || !net.sources || !net.destinations)
        return -1;
    for (size_t i = 0; i < v->nodes_len; i++)
        names[i] = (struct named){ v->nodes[i].id, (uint32_t)i };
    qsort(names, v->nodes_len, sizeof(*names), by_id);
    for (size_t i = 0; i < v->edges_len; i++) {
        net.sources[i] = index_of(names, v->nodes_len, v->edges[i].source_id);
        net.destinations[i] = index_of(names, v->nodes_len, v->edges[i].destination_id);
        net.nodes[net.sources[i]].out_edges++;
        net.nodes[net.destinations[i]].in_edges++;
    }
    if (rank(&net, mem) < 0)
        return -1;
    *ret_net = net;
    return 0;
}

size_t view_net_find(const struct view_net *net, uint64_t node_id)
{
    size_t i = 0;
    while (i < net->view->nodes_len && net->view->nodes[i].id != node_id)
        i++;
    return i;
}

/* Every edge is looked at once for each step; depths are small, and a list of neighbours would
 * have to be built first. True when a node was reached. */
static bool spread(const struct view_net *net, uint32_t *distances, uint32_t at,
                   enum net_direction direction)
{
    bool has_grown = false;
    for (size_t i = 0; i < net->view->edges_len; i++) {
        uint32_t *source = &distances[net->sources[i]];
        uint32_t *destination = &distances[net->destinations[i]];
        if (direction != NET_IN && *source == at && *destination == NET_UNREACHED) {
            *destination = at + 1;
            has_grown = true;
        }
        if (direction != NET_OUT && *destination == at && *source == NET_UNREACHED) {
            *source = at + 1;
            has_grown = true;
        }
    }
    return has_grown;
}

uint32_t *view_net_distances(const struct view_net *net, size_t start, uint32_t depth,
                             enum net_direction direction, struct arena *mem)
{
    uint32_t *distances = arena_array(mem, net->view->nodes_len + 1, sizeof(*distances));
    INVARIANT(start < net->view->nodes_len);
    if (!distances)
        return NULL;
    for (size_t i = 0; i < net->view->nodes_len; i++)
        distances[i] = NET_UNREACHED;
    distances[start] = 0;
    for (uint32_t at = 0; at < depth && spread(net, distances, at, direction); at++)
        ;
    return distances;
}
