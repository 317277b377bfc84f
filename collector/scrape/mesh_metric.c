/* mesh_metric.c - Istio's standard metrics and Linkerd's, as counts on an edge.
 *
 * Istio's series name both ends, so they are read whoever serves them. The calling side never knows
 * whether it was protected (connection_security_policy is "unknown" there), but a SPIFFE id of the
 * callee is one that was proven. The called side (and a waypoint) knows.
 *
 * Linkerd's series name the other end only, and only of what it calls: dst_* labels. A caller is known by
 * its identity, which is a service account: it stands for the workload of that name. The proxy's own end
 * is whom the operator says the endpoint belongs to. Its tcp_* series count the connections of HTTP
 * and others alike, so they make no edge. */
#include "scrape/mesh_metric.h"
#include "base/clock.h"
#include <math.h>

struct family {
    const char *name;
    enum mesh_count count;
    bool is_tcp;
};

/* clang-format off */
static const struct family istio[] = {
    { "istio_requests_total",                          MESH_REQUESTS,       false },
    { "istio_request_duration_milliseconds_bucket",    MESH_DURATIONS,      false },
    { "istio_request_duration_milliseconds_sum",       MESH_DURATION_SUM,   false },
    { "istio_request_bytes_sum",                       MESH_BYTES_RECEIVED, false },
    { "istio_response_bytes_sum",                      MESH_BYTES_SENT,     false },
    { "istio_tcp_connections_opened_total",            MESH_REQUESTS,       true },
    { "istio_tcp_received_bytes_total",                MESH_BYTES_RECEIVED, true },
    { "istio_tcp_sent_bytes_total",                    MESH_BYTES_SENT,     true },
};
static const struct family linkerd[] = {
    { "response_total",                                MESH_REQUESTS,       false },
    { "response_latency_ms_bucket",                    MESH_DURATIONS,      false },
    { "response_latency_ms_sum",                       MESH_DURATION_SUM,   false },
};
/* clang-format on */

static const struct family *find(const struct family *list, size_t len, struct sv name)
{
    for (size_t i = 0; i < len; i++)
        if (sv_eq(sv_z(list[i].name), name))
            return &list[i];
    return NULL;
}

static int16_t grpc_of(struct sv text)
{
    uint64_t status;
    return text.len && sv_to_u64(text, &status) && status < INT16_MAX ? (int16_t)status : -1;
}

static uint16_t code_of(struct sv text)
{
    uint64_t code;
    return text.len && sv_to_u64(text, &code) && code < 1000 ? (uint16_t)code : 0;
}

static bool is_spiffe(struct sv principal)
{
    return sv_starts(principal, SV("spiffe://"));
}

static void istio_tls(const struct prom_sample *s, bool is_calling, struct call *c)
{
    struct sv policy = prom_label(s, SV("connection_security_policy"));
    if (sv_eq(policy, SV("mutual_tls"))) {
        c->tls = TLS_MUTUAL;
        c->tls_basis = TLS_BASIS_REPORTED;
    } else if (!is_calling && sv_eq(policy, SV("none"))) {
        c->tls = TLS_PLAINTEXT;
        c->tls_basis = TLS_BASIS_REPORTED;
    } else if (is_calling && is_spiffe(c->destination.principal)) {
        c->tls = TLS_MUTUAL;
        c->tls_basis = TLS_BASIS_INFERRED;
    }
}

static bool istio_ends(const struct prom_sample *s, struct call *c)
{
    c->source = (struct identity){ .cluster = prom_label(s, SV("source_cluster")),
                                   .namespace = prom_label(s, SV("source_workload_namespace")),
                                   .workload = prom_label(s, SV("source_workload")),
                                   .service = prom_label(s, SV("source_canonical_service")),
                                   .version = prom_label(s, SV("source_canonical_revision")),
                                   .principal = prom_label(s, SV("source_principal")) };
    c->destination =
        (struct identity){ .cluster = prom_label(s, SV("destination_cluster")),
                           .namespace = prom_label(s, SV("destination_workload_namespace")),
                           .workload = prom_label(s, SV("destination_workload")),
                           .service = prom_label(s, SV("destination_canonical_service")),
                           .version = prom_label(s, SV("destination_canonical_revision")),
                           .principal = prom_label(s, SV("destination_principal")) };
    c->destination_service = prom_label(s, SV("destination_service"));
    return c->source.workload.len && c->destination.workload.len;
}

static bool read_istio(const struct prom_sample *s, const struct family *f, struct mesh_metric *m)
{
    struct call *c = &m->call;
    struct sv reporter = prom_label(s, SV("reporter"));
    struct sv protocol = prom_label(s, SV("request_protocol"));
    struct sv flags = prom_label(s, SV("response_flags"));
    m->is_calling = sv_eq(reporter, SV("source"));
    if (!m->is_calling && !sv_eq(reporter, SV("destination")) && !sv_eq(reporter, SV("waypoint")))
        return false;
    c->protocol = f->is_tcp ? PROTOCOL_TCP : PROTOCOL_HTTP;
    if (!f->is_tcp && sv_eq(protocol, SV("grpc")))
        c->protocol = PROTOCOL_GRPC;
    c->response_code = code_of(prom_label(s, SV("response_code")));
    c->grpc_status = grpc_of(prom_label(s, SV("grpc_response_status")));
    c->response_flags = sv_eq(flags, SV("-")) ? SV_NONE : flags;
    if (!istio_ends(s, c))
        return false;
    istio_tls(s, m->is_calling, c);
    return true;
}

static struct sv linkerd_workload(const struct prom_sample *s)
{
    static const char *const names[] = { "dst_deployment", "dst_statefulset", "dst_daemonset",
                                         "dst_replicaset", "dst_job",         "dst_pod",
                                         "dst_service" };
    struct sv found = SV_NONE;
    for (size_t i = 0; i < NELEMS(names) && !found.len; i++)
        found = prom_label(s, sv_z(names[i]));
    return found;
}

/* "web.shop.serviceaccount.identity.linkerd.cluster.local" */
static struct identity linkerd_client(struct sv id)
{
    struct identity who = { .principal = id };
    struct sv rest = id;
    if (sv_contains(id, SV(".serviceaccount.")) && sv_cut(&rest, '.', &who.workload))
        (void)sv_cut(&rest, '.', &who.namespace);
    return who;
}

static void linkerd_tls(const struct prom_sample *s, struct sv peer, bool is_calling,
                        struct call *c)
{
    struct sv tls = prom_label(s, SV("tls"));
    if (sv_eq(tls, SV("true")))
        c->tls = is_calling || peer.len ? TLS_MUTUAL : TLS_ONE_WAY;
    else if (sv_eq(tls, SV("no_identity")))
        c->tls = TLS_PLAINTEXT;
    else
        return;
    c->tls_basis = TLS_BASIS_REPORTED;
}

static bool read_linkerd(const struct prom_sample *s, const struct identity *own,
                         struct mesh_metric *m)
{
    struct call *c = &m->call;
    struct sv direction = prom_label(s, SV("direction"));
    struct sv peer = prom_label(s, SV("server_id"));
    m->is_calling = sv_eq(direction, SV("outbound"));
    if (m->is_calling) {
        c->source = *own;
        c->destination = (struct identity){ .namespace = prom_label(s, SV("dst_namespace")),
                                            .workload = linkerd_workload(s),
                                            .service = prom_label(s, SV("dst_service")),
                                            .principal = peer };
    } else if (sv_eq(direction, SV("inbound"))) {
        peer = prom_label(s, SV("client_id"));
        c->source = linkerd_client(peer);
        c->destination = *own;
    } else {
        return false;
    }
    c->destination_service = prom_label(s, SV("authority"));
    c->grpc_status = grpc_of(prom_label(s, SV("grpc_status")));
    c->protocol = c->grpc_status >= 0 ? PROTOCOL_GRPC : PROTOCOL_HTTP;
    c->response_code = code_of(prom_label(s, SV("status_code")));
    linkerd_tls(s, peer, m->is_calling, c);
    return true;
}

bool mesh_metric_of(const struct prom_sample *s, const struct identity *own,
                    struct mesh_metric *ret)
{
    struct mesh_metric m = { .unit_ns = (double)NS_PER_MS, .call = { .grpc_status = -1 } };
    const struct family *f = find(istio, NELEMS(istio), s->name);
    bool is_istio = f != NULL;
    m.call.reporter = REPORTER_SCRAPE;
    if (!f)
        f = find(linkerd, NELEMS(linkerd), s->name);
    if (!f)
        return false;
    m.count = f->count;
    if (f->count == MESH_DURATIONS) {
        struct sv bound = prom_label(s, SV("le"));
        double ms = INFINITY;
        if (!sv_eq(bound, SV("+Inf")) && (!sv_to_double(bound, &ms) || !(ms >= 0)))
            return false;
        m.bound_ns = ms * (double)NS_PER_MS;
    }
    if (is_istio ? !read_istio(s, f, &m) : !read_linkerd(s, own, &m))
        return false;
    *ret = m;
    return true;
}
