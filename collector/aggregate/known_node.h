/* known_node.h - the ends of the edges a fold has met: one object each, so that an edge is known by two
 * addresses. Under the fold's lock. */
#ifndef COLLECTOR_AGGREGATE_KNOWN_NODE_H
#define COLLECTOR_AGGREGATE_KNOWN_NODE_H

#include "aggregate/met.h"
#include "base/arena.h"
#include "model/identity.h"

/* What identity_same_node() compares. */
struct known_node {
    struct sv workload, namespace, version, cluster;
};
struct known_nodes {
    struct met by_name; /* struct known_node */
    struct arena mem;
};

void known_nodes_done(struct known_nodes *n);
/* NULL: not met. */
const struct known_node *known_node_find(const struct known_nodes *n, const struct identity *who);
/* Met or new; who has no empty part. NULL when memory is out. */
const struct known_node *known_node_get(struct known_nodes *n, const struct identity *who) MUST_USE;

#endif
