/* dialect_graph.c - the service graph under Tempo's names, and Kiali's extension metrics.
 *
 * Both count each request once, so they take over what the rows of /metrics have gained. The service
 * graph's server side is the callee's own view where there is one; its buckets are Tempo's no more
 * than they have to be: Tempo's begin at 100 ms, in which nearly every call of a mesh lies.
 * Source: Tempo's metrics-generator; Kiali's extension framework. */
#include "aggregate/dialects.h"
#include <stdio.h>

static const char *const graph_labels[] = { "client", "server", "connection_type",
                                            "client_service_namespace",
                                            "server_service_namespace" };
/* total_bounds_ns in seconds; a test compares them. */
static const double bounds[TOTAL_BOUNDS_LEN] = { 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                 0.05,   0.1,   0.25,   1,     2.5,  10 };

enum { GRAPH_REQUESTS, GRAPH_FAILED, GRAPH_CLIENT, GRAPH_SERVER, GRAPH_LEN };
static const struct meter_family graph_families[GRAPH_LEN] = {
    [GRAPH_REQUESTS] = { "traces_service_graph_request", "requests from client to server", NULL, 0,
                         0 },
    [GRAPH_FAILED] = { "traces_service_graph_request_failed", "of them, failed ones", NULL, 0, 0 },
    [GRAPH_CLIENT] = { "traces_service_graph_request_client_seconds",
                       "duration as the client saw it", bounds, NELEMS(bounds), 1e9 },
    [GRAPH_SERVER] = { "traces_service_graph_request_server_seconds",
                       "duration as the server saw it", bounds, NELEMS(bounds), 1e9 },
};
const struct meter_kind servicegraph_kind = { graph_labels, NELEMS(graph_labels), graph_families,
                                              GRAPH_LEN, "metric_overflow" };

static void counts_since(uint64_t *ret, const uint64_t *now, const uint64_t *before)
{
    for (size_t i = 0; i <= TOTAL_BOUNDS_LEN; i++)
        ret[i] = now[i] - before[i];
}

/* A node that others speak of and that says nothing itself; see identity_of_peer(). */
static bool is_virtual(const struct identity *who)
{
    return sv_eq(who->version, IDENTITY_UNKNOWN);
}

void servicegraph_row(struct dialects *d, const struct edge *e, const struct total_row *row,
                      const struct row_told *told, int64_t now_ns)
{
    uint64_t counts[TOTAL_BOUNDS_LEN + 1];
    struct meter *m = &d->meters[METER_SERVICEGRAPH];
    uint64_t requests = total_requests(&row->n) - total_requests(&told->n);
    bool has_server = memcmp(&row->server, &told->server, sizeof(row->server)) != 0;
    if (requests == 0 && !has_server)
        return;
    const struct sv values[NELEMS(graph_labels)] = {
        e->source.service,
        e->destination.service,
        is_virtual(&e->source) || is_virtual(&e->destination) ? SV("virtual_node") : SV_NONE,
        e->source.namespace,
        e->destination.namespace,
    };
    struct meter_row *to = meter_row(m, values, now_ns);
    if (!to) {
        d->lost += requests;
        return;
    }
    meter_count(m, to, GRAPH_REQUESTS, requests);
    meter_count(m, to, GRAPH_FAILED, row->n.errors - told->n.errors);
    counts_since(counts, row->n.counts, told->n.counts);
    meter_add_counts(m, to, GRAPH_CLIENT, counts, row->n.duration_ns - told->n.duration_ns);
    counts_since(counts, row->server.counts, told->server.counts);
    meter_add_counts(m, to, GRAPH_SERVER, counts,
                     row->server.duration_ns - told->server.duration_ns);
}

#define KIALI_LABELS                                                                               \
    "extension", "source_cluster", "source_namespace", "source_name", "source_is_root",            \
        "dest_cluster", "dest_namespace", "dest_name", "secure", "reporter", "reporter_id"

static const char *const kiali_http_labels[] = { KIALI_LABELS, "protocol", "status_code", "flags" };
static const char *const kiali_tcp_labels[] = { KIALI_LABELS };
static const struct meter_family kiali_requests[] = {
    { "kiali_ext_requests", "requests, each counted once", NULL, 0, 0 },
};
enum { KIALI_SENT, KIALI_RECEIVED, KIALI_TCP_LEN };
static const struct meter_family kiali_tcp[KIALI_TCP_LEN] = {
    [KIALI_SENT] = { "kiali_ext_tcp_sent", "bytes from source to destination", NULL, 0, 0 },
    [KIALI_RECEIVED] = { "kiali_ext_tcp_received", "bytes from destination to source", NULL, 0, 0 },
};
const struct meter_kind kiali_http_kind = { kiali_http_labels, NELEMS(kiali_http_labels),
                                            kiali_requests, 1, NULL };
const struct meter_kind kiali_tcp_kind = { kiali_tcp_labels, NELEMS(kiali_tcp_labels), kiali_tcp,
                                           KIALI_TCP_LEN, NULL };

/* gRPC's status, unless HTTP itself failed or there is none; "-" when no response came. */
static void write_status(const struct outcome *o, char *out, size_t size)
{
    bool has_failed = o->code >= 400;
    if (o->grpc >= 0 && !has_failed)
        snprintf(out, size, "%d", o->grpc);
    else if (o->code)
        snprintf(out, size, "%u", o->code);
    else
        snprintf(out, size, "-");
}

static void fill_kiali(struct sv *v, const struct edge *e, enum tls_state tls)
{
    const struct sv values[NELEMS(kiali_tcp_labels)] = {
        SV("tulle"),
        e->source.cluster,
        e->source.namespace,
        e->source.service,
        SV("false"),
        e->destination.cluster,
        e->destination.namespace,
        e->destination.service,
        tls == TLS_MUTUAL ? SV("true") : SV("false"),
        SV("combined"),
        SV("tulle"),
    };
    memcpy(v, values, sizeof(values));
}

void kiali_row(struct dialects *d, const struct edge *e, enum tls_state tls, struct total_row *row,
               const struct row_told *told, int64_t now_ns)
{
    struct sv values[NELEMS(kiali_http_labels)];
    fill_kiali(values, e, tls);
    if (e->protocol == PROTOCOL_TCP) {
        uint64_t to_source = row->n.bytes_sent - told->n.bytes_sent;
        uint64_t to_destination = row->n.bytes_received - told->n.bytes_received;
        if (!to_source && !to_destination)
            return;
        struct meter *m = &d->meters[METER_KIALI_TCP];
        struct meter_row *to = meter_row(m, values, now_ns);
        if (!to) {
            d->lost++;
            return;
        }
        meter_count(m, to, KIALI_SENT, to_destination);
        meter_count(m, to, KIALI_RECEIVED, to_source);
        return;
    }
    struct meter *m = &d->meters[METER_KIALI_HTTP];
    for (uint32_t i = 0; i < row->outcomes.len; i++) {
        struct outcome *o = &row->outcomes.list[i];
        char status[8];
        if (o->n == o->told)
            continue;
        write_status(o, status, sizeof(status));
        values[NELEMS(kiali_tcp_labels)] = sv_z(protocol_name(e->protocol));
        values[NELEMS(kiali_tcp_labels) + 1] = sv_z(status);
        values[NELEMS(kiali_tcp_labels) + 2] = o->flags[0] ? sv_z(o->flags) : SV("-");
        struct meter_row *to = meter_row(m, values, now_ns);
        if (!to)
            continue; /* the next time then */
        meter_count(m, to, 0, o->n - o->told);
        o->told = o->n;
    }
}
