/* health.c - verdicts on edges and nodes.
 *
 * What requests say is judged in node.c, by Kiali's thresholds. Latency is judged only when the
 * operator has said what is too slow, because no default fits a cache and a report alike. An edge
 * with less than LATENCY_REQUESTS_MIN requests is not judged by latency: the 95th percentile of
 * three requests is the slowest of them. */
#include "aggregate/health.h"

enum { LATENCY_REQUESTS_MIN = 20 }; /* the slowest twentieth is then one request */

static enum health judge(const struct hist *latency, const struct health_rules *r)
{
    if (latency->count < LATENCY_REQUESTS_MIN)
        return HEALTH_IDLE;
    int64_t p95_ns = hist_quantile(latency, 0.95);
    if (r->failing_ns && p95_ns >= r->failing_ns)
        return HEALTH_FAILING;
    return r->degraded_ns && p95_ns >= r->degraded_ns ? HEALTH_DEGRADED : HEALTH_HEALTHY;
}

void view_judge_latency(struct view *v, const struct health_rules *r)
{
    if (!r->degraded_ns && !r->failing_ns)
        return;
    for (size_t i = 0; i < v->edges_len; i++) {
        struct edge_view *e = &v->edges[i];
        e->latency_health = judge(&e->sum.latency, r);
        if (e->latency_health <= HEALTH_HEALTHY)
            continue;
        for (size_t k = 0; k < v->nodes_len; k++)
            if (v->nodes[k].id == e->destination_id)
                v->nodes[k].latency_health = MAX(v->nodes[k].latency_health, e->latency_health);
    }
}

enum health edge_view_health(const struct edge_view *e)
{
    struct node_load load = { 0 };
    node_load_add(&load, e->edge.protocol, &e->sum);
    return MAX(node_load_health(&load), e->latency_health);
}

uint64_t edge_view_failures(const struct edge_view *e)
{
    struct node_load load = { 0 };
    node_load_add(&load, e->edge.protocol, &e->sum);
    return node_load_failures(&load);
}

enum health node_view_health(const struct node_view *n)
{
    enum health requests = MAX(node_load_health(&n->in), node_load_health(&n->out));
    return MAX(requests, n->latency_health);
}
