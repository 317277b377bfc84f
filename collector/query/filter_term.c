/* filter_term.c - the operands of filters as rows of a table.
 *
 * Names are Kiali's where Kiali has one (with its short forms), so that an expression can be
 * carried over; those that only Kubernetes' objects could answer are not here, and asking for one is
 * an error instead of an empty answer. Rates are requests a second, shares are percent, response
 * times milliseconds. */
#include "query/filter_term.h"
#include "aggregate/health.h"
#include <math.h>

static const struct node_view *node_of(const struct filter_thing *t)
{
    return &t->net->view->nodes[t->at];
}
static const struct edge_view *edge_of(const struct filter_thing *t)
{
    return &t->net->view->edges[t->at];
}

struct filter_thing filter_end(const struct filter_thing *edge, bool is_source)
{
    struct filter_thing end = *edge;
    end.is_edge = false;
    end.at = is_source ? edge->net->sources[edge->at] : edge->net->destinations[edge->at];
    return end;
}

static size_t one(struct sv text, struct sv out[FILTER_TEXTS_MAX])
{
    out[0] = text;
    return 1;
}

#define NODE_TEXT(what, expr)                                                                      \
    static size_t node_##what(const struct filter_thing *t, struct sv out[FILTER_TEXTS_MAX])       \
    {                                                                                              \
        const struct node_view *n = node_of(t);                                                    \
        return one(expr, out);                                                                     \
    }
NODE_TEXT(namespace, n->who.namespace)
NODE_TEXT(cluster, n->who.cluster)
NODE_TEXT(workload, n->who.workload)
NODE_TEXT(service, n->who.service)
NODE_TEXT(version, n->who.version)
NODE_TEXT(principal, n->who.principal)
NODE_TEXT(type, sv_z(node_type_name(n->type)))

/* What a person would call it. */
static size_t node_name(const struct filter_thing *t, struct sv out[FILTER_TEXTS_MAX])
{
    const struct identity *who = &node_of(t)->who;
    const struct sv names[] = { who->workload, who->service, who->namespace };
    size_t n = 0;
    for (size_t i = 0; i < NELEMS(names) && n < 2; i++)
        if (names[i].len)
            out[n++] = names[i];
    return n;
}

static double rate_of(const struct filter_thing *t, const struct node_load *l, enum protocol p)
{
    uint64_t n = p == PROTOCOLS_LEN ? node_load_requests(l) : l->requests[p];
    return (double)n / t->seconds;
}
#define NODE_RATE(what, load, protocol)                                                            \
    static double node_##what(const struct filter_thing *t)                                        \
    {                                                                                              \
        return rate_of(t, &node_of(t)->load, protocol);                                            \
    }
NODE_RATE(in, in, PROTOCOLS_LEN)
NODE_RATE(out, out, PROTOCOLS_LEN)
NODE_RATE(http_in, in, PROTOCOL_HTTP)
NODE_RATE(http_out, out, PROTOCOL_HTTP)
NODE_RATE(grpc_in, in, PROTOCOL_GRPC)
NODE_RATE(grpc_out, out, PROTOCOL_GRPC)
NODE_RATE(tcp_in, in, PROTOCOL_TCP)
NODE_RATE(tcp_out, out, PROTOCOL_TCP)

static double node_rank(const struct filter_thing *t)
{
    return t->net->nodes[t->at].rank;
}

static double any_requests(const struct filter_thing *t)
{
    if (t->is_edge)
        return (double)edge_of(t)->sum.requests;
    return (double)(node_load_requests(&node_of(t)->in) + node_load_requests(&node_of(t)->out));
}

static double any_errors(const struct filter_thing *t)
{
    if (t->is_edge)
        return (double)edge_of(t)->sum.errors;
    return (double)(node_load_errors(&node_of(t)->in) + node_load_errors(&node_of(t)->out));
}

static double any_failures(const struct filter_thing *t)
{
    if (t->is_edge)
        return (double)edge_view_failures(edge_of(t));
    return (double)(node_load_failures(&node_of(t)->in) + node_load_failures(&node_of(t)->out));
}

static double any_rate(const struct filter_thing *t)
{
    return any_requests(t) / t->seconds;
}

static double percent(double part, double all)
{
    return all > 0 ? 100 * part / all : NAN;
}

/* 4xx among them, as in Kiali's %httperr. */
static double any_error_percent(const struct filter_thing *t)
{
    return percent(any_failures(t), any_requests(t));
}

static double edge_rate_of(const struct filter_thing *t, enum protocol p)
{
    return edge_of(t)->edge.protocol == p ? any_rate(t) : NAN;
}
static double edge_http(const struct filter_thing *t)
{
    return edge_rate_of(t, PROTOCOL_HTTP);
}
static double edge_grpc(const struct filter_thing *t)
{
    return edge_rate_of(t, PROTOCOL_GRPC);
}
static double edge_tcp(const struct filter_thing *t)
{
    return edge_rate_of(t, PROTOCOL_TCP);
}

static double error_percent_of(const struct filter_thing *t, enum protocol p)
{
    return edge_of(t)->edge.protocol == p ? any_error_percent(t) : NAN;
}
static double edge_http_error(const struct filter_thing *t)
{
    return error_percent_of(t, PROTOCOL_HTTP);
}
static double edge_grpc_error(const struct filter_thing *t)
{
    return error_percent_of(t, PROTOCOL_GRPC);
}

/* Of what its source sends in that protocol. */
static double traffic_percent_of(const struct filter_thing *t, enum protocol p)
{
    struct filter_thing source = filter_end(t, true);
    if (edge_of(t)->edge.protocol != p)
        return NAN;
    return percent(any_requests(t), (double)node_of(&source)->out.requests[p]);
}
static double edge_http_traffic(const struct filter_thing *t)
{
    return traffic_percent_of(t, PROTOCOL_HTTP);
}
static double edge_grpc_traffic(const struct filter_thing *t)
{
    return traffic_percent_of(t, PROTOCOL_GRPC);
}

static double quantile_ms(const struct filter_thing *t, double q)
{
    const struct hist *h = &edge_of(t)->sum.latency;
    return h->count ? (double)hist_quantile(h, q) / 1e6 : NAN;
}
static double edge_p50(const struct filter_thing *t)
{
    return quantile_ms(t, 0.5);
}
static double edge_p95(const struct filter_thing *t)
{
    return quantile_ms(t, 0.95);
}
static double edge_p99(const struct filter_thing *t)
{
    return quantile_ms(t, 0.99);
}

static double edge_throughput(const struct filter_thing *t)
{
    const struct edge_cell *c = &edge_of(t)->sum;
    return ((double)c->bytes_received + (double)c->bytes_sent) / t->seconds;
}

#define EDGE_TEXT(what, expr)                                                                      \
    static size_t edge_##what(const struct filter_thing *t, struct sv out[FILTER_TEXTS_MAX])       \
    {                                                                                              \
        const struct edge_view *e = edge_of(t);                                                    \
        return one(expr, out);                                                                     \
    }
EDGE_TEXT(protocol, sv_z(protocol_name(e->edge.protocol)))
EDGE_TEXT(host, e->edge.destination_service)
EDGE_TEXT(source_principal, e->edge.source.principal)
EDGE_TEXT(dest_principal, e->edge.destination.principal)
EDGE_TEXT(evidence, sv_z(reporter_name(e->evidence)))

/* Every state that occurred. */
static size_t edge_tls(const struct filter_thing *t, struct sv out[FILTER_TEXTS_MAX])
{
    size_t n = 0;
    for (int s = 0; s < TLS_STATES_LEN; s++)
        if (edge_of(t)->sum.tls[s] > 0)
            out[n++] = sv_z(tls_state_name((enum tls_state)s));
    return n;
}
_Static_assert((int)TLS_STATES_LEN <= (int)FILTER_TEXTS_MAX, "an edge may have every state");

static enum health health_of(const struct filter_thing *t)
{
    if (t->is_edge)
        return edge_view_health(edge_of(t));
    return node_view_health(node_of(t));
}
static bool is_healthy(const struct filter_thing *t)
{
    return health_of(t) == HEALTH_HEALTHY;
}
static bool is_degraded(const struct filter_thing *t)
{
    return health_of(t) == HEALTH_DEGRADED;
}
static bool is_failing(const struct filter_thing *t)
{
    return health_of(t) == HEALTH_FAILING;
}
static bool is_idle(const struct filter_thing *t)
{
    return health_of(t) == HEALTH_IDLE;
}
static bool is_root(const struct filter_thing *t)
{
    return t->net->nodes[t->at].in_edges == 0;
}
static bool is_virtual(const struct filter_thing *t)
{
    return node_of(t)->type == NODE_VIRTUAL;
}
static bool is_external(const struct filter_thing *t)
{
    return node_of(t)->type == NODE_EXTERNAL;
}
static bool is_unknown(const struct filter_thing *t)
{
    return node_of(t)->type == NODE_UNKNOWN;
}
static bool has_traffic(const struct filter_thing *t)
{
    return any_requests(t) > 0;
}
static bool has_mtls(const struct filter_thing *t)
{
    return edge_of(t)->sum.tls[TLS_MUTUAL] > 0;
}
static bool has_plaintext(const struct filter_thing *t)
{
    return edge_of(t)->sum.tls[TLS_PLAINTEXT] > 0;
}

/* clang-format off */
#define N FILTER_NODES
#define E FILTER_EDGES
static const struct filter_operand operands[] = {
    { "name",            N,     node_name,             NULL,              NULL },
    { "namespace",       N,     node_namespace,        NULL,              NULL },
    { "ns",              N,     node_namespace,        NULL,              NULL },
    { "cluster",         N,     node_cluster,          NULL,              NULL },
    { "workload",        N,     node_workload,         NULL,              NULL },
    { "wl",              N,     node_workload,         NULL,              NULL },
    { "app",             N,     node_service,          NULL,              NULL },
    { "service",         N,     node_service,          NULL,              NULL },
    { "svc",             N,     node_service,          NULL,              NULL },
    { "version",         N,     node_version,          NULL,              NULL },
    { "principal",       N,     node_principal,        NULL,              NULL },
    { "node",            N,     node_type,             NULL,              NULL },
    { "in",              N,     NULL,                  node_in,           NULL },
    { "out",             N,     NULL,                  node_out,          NULL },
    { "httpin",          N,     NULL,                  node_http_in,      NULL },
    { "httpout",         N,     NULL,                  node_http_out,     NULL },
    { "grpcin",          N,     NULL,                  node_grpc_in,      NULL },
    { "grpcout",         N,     NULL,                  node_grpc_out,     NULL },
    { "tcpin",           N,     NULL,                  node_tcp_in,       NULL },
    { "tcpout",          N,     NULL,                  node_tcp_out,      NULL },
    { "rank",            N,     NULL,                  node_rank,         NULL },
    { "requests",        N | E, NULL,                  any_requests,      NULL },
    { "errors",          N | E, NULL,                  any_errors,        NULL },
    { "failures",        N | E, NULL,                  any_failures,      NULL },
    { "rate",            N | E, NULL,                  any_rate,          NULL },
    { "%err",            N | E, NULL,                  any_error_percent, NULL },
    { "protocol",        E,     edge_protocol,         NULL,              NULL },
    { "host",            E,     edge_host,             NULL,              NULL },
    { "tls",             E,     edge_tls,              NULL,              NULL },
    { "evidence",        E,     edge_evidence,         NULL,              NULL },
    { "sourceprincipal", E,     edge_source_principal, NULL,              NULL },
    { "destprincipal",   E,     edge_dest_principal,   NULL,              NULL },
    { "http",            E,     NULL,                  edge_http,         NULL },
    { "grpc",            E,     NULL,                  edge_grpc,         NULL },
    { "tcp",             E,     NULL,                  edge_tcp,          NULL },
    { "%httperr",        E,     NULL,                  edge_http_error,   NULL },
    { "%grpcerr",        E,     NULL,                  edge_grpc_error,   NULL },
    { "%httptraffic",    E,     NULL,                  edge_http_traffic, NULL },
    { "%grpctraffic",    E,     NULL,                  edge_grpc_traffic, NULL },
    { "responsetime",    E,     NULL,                  edge_p95,          NULL },
    { "rt",              E,     NULL,                  edge_p95,          NULL },
    { "p50",             E,     NULL,                  edge_p50,          NULL },
    { "p95",             E,     NULL,                  edge_p95,          NULL },
    { "p99",             E,     NULL,                  edge_p99,          NULL },
    { "throughput",      E,     NULL,                  edge_throughput,   NULL },
    { "healthy",         N | E, NULL,                  NULL,              is_healthy },
    { "degraded",        N | E, NULL,                  NULL,              is_degraded },
    { "failing",         N | E, NULL,                  NULL,              is_failing },
    { "idle",            N | E, NULL,                  NULL,              is_idle },
    { "root",            N,     NULL,                  NULL,              is_root },
    { "trafficsource",   N,     NULL,                  NULL,              is_root },
    { "virtual",         N,     NULL,                  NULL,              is_virtual },
    { "external",        N,     NULL,                  NULL,              is_external },
    { "unknown",         N,     NULL,                  NULL,              is_unknown },
    { "traffic",         E,     NULL,                  NULL,              has_traffic },
    { "mtls",            E,     NULL,                  NULL,              has_mtls },
    { "plaintext",       E,     NULL,                  NULL,              has_plaintext },
};
/* clang-format on */

const struct filter_operand *filter_operand(struct sv name, bool with_operator)
{
    for (size_t i = 0; i < NELEMS(operands); i++)
        if (sv_eq_nocase(name, sv_z(operands[i].name)) &&
            with_operator == (operands[i].flag == NULL))
            return &operands[i];
    return NULL;
}
