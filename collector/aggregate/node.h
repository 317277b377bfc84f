/* node.h - nodes of the graph: how edges' ends are rolled up, what they are, how they fare. Pure. */
#ifndef COLLECTOR_AGGREGATE_NODE_H
#define COLLECTOR_AGGREGATE_NODE_H

#include "model/edge.h"

enum granularity {
    GRANULARITY_WORKLOAD,      /* cluster, namespace, workload, version: what is stored */
    GRANULARITY_VERSIONED_APP, /* cluster, namespace, canonical service, version */
    GRANULARITY_APP,           /* as service; the word that Kiali's users know */
    GRANULARITY_SERVICE,       /* cluster, namespace, canonical service */
    GRANULARITY_NAMESPACE,     /* cluster, namespace */
    GRANULARITIES_LEN
};
const char *granularity_name(enum granularity g);

enum node_type {
    NODE_WORKLOAD, /* sends telemetry of its own, or a mesh knows it */
    NODE_VIRTUAL,  /* only its callers speak of it: database, queue, outside host */
    NODE_EXTERNAL, /* the caller of root requests */
    NODE_UNKNOWN,  /* nobody said who it is */
    NODE_OTHER,    /* all edges beyond the limit */
};
const char *node_type_name(enum node_type t);

enum health { HEALTH_IDLE, HEALTH_HEALTHY, HEALTH_DEGRADED, HEALTH_FAILING };
const char *health_name(enum health h);

/* Requests in one direction, kept by protocol because health is judged by protocol. */
struct node_load {
    uint64_t requests[PROTOCOLS_LEN], errors[PROTOCOLS_LEN];
    uint64_t http_none, http_4xx, http_5xx;
    uint64_t grpc_none, grpc_failed; /* no answer at all; a status other than OK */
};
void node_load_add(struct node_load *l, enum protocol p, const struct edge_cell *c);
uint64_t node_load_requests(const struct node_load *l);
uint64_t node_load_errors(const struct node_load *l);
/* Errors and HTTP 4xx: everything health looks at, and what Kiali's error rates count. */
uint64_t node_load_failures(const struct node_load *l);
enum health node_load_health(const struct node_load *l);

/* The node of who at that granularity: parts that it merges become empty. */
struct identity node_roll_up(const struct identity *who, enum granularity g);
/* Stable over restarts and the same for every edge that touches the node. */
uint64_t node_id(const struct identity *rolled_up, enum granularity g);
/* Of an identity as it is stored, not rolled up; a rolled-up node is the least of its parts'. */
enum node_type node_type_of(const struct identity *who);

#endif
