/* health.h - how nodes and edges of a view fare. Pure. */
#ifndef COLLECTOR_AGGREGATE_HEALTH_H
#define COLLECTOR_AGGREGATE_HEALTH_H

#include "aggregate/view.h"

/* Tolerance for the 95th percentile of an edge's latency; 0: it is not judged. */
struct health_rules {
    int64_t degraded_ns, failing_ns;
};
/* Judges every edge by its latency, and every node by the worst edge that leads to it. */
void view_judge_latency(struct view *v, const struct health_rules *r);
/* The worse of what requests and latency say. */
enum health edge_view_health(const struct edge_view *e);
uint64_t edge_view_failures(const struct edge_view *e); /* as node_load_failures() */
enum health node_view_health(const struct node_view *n);

#endif
