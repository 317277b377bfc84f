/* dialect_istio.c - Istio's standard metrics, as its sidecars would have reported the calls.
 *
 * An access record counts under its reporter. A call known from spans only counts under both, with
 * the duration each side saw, as long as no record has told of its edge: records and spans of one
 * request would count twice. Scraped counters count under the side that
 * shows them. Labels and their values are Istio's; the TLS state is said by both
 * reporters, where Istio's client side always says "unknown".
 * Source: istio/proxy, testdata/metric; Envoy's default histogram buckets. */
#include "aggregate/dialects.h"
#include "base/varint.h"
#include "normalize/identity.h"

#define LABELS_BEFORE                                                                              \
    "reporter", "source_workload", "source_canonical_service", "source_canonical_revision",        \
        "source_workload_namespace", "source_principal", "source_app", "source_version",           \
        "source_cluster", "destination_workload", "destination_workload_namespace",                \
        "destination_principal", "destination_app", "destination_version", "destination_service",  \
        "destination_canonical_service", "destination_canonical_revision",                         \
        "destination_service_name", "destination_service_namespace", "destination_cluster",        \
        "request_protocol", "response_flags", "connection_security_policy"

static const char *const http_labels[] = { LABELS_BEFORE, "response_code", "grpc_response_status" };
static const char *const tcp_labels[] = { LABELS_BEFORE };

static const double bounds[] = { 0.5,   1,      5,      10,      25,     50,    100,
                                 250,   500,    1000,   2500,    5000,   10000, 30000,
                                 60000, 300000, 600000, 1800000, 3600000 };

enum { HTTP_REQUESTS, HTTP_DURATION, HTTP_REQUEST_BYTES, HTTP_RESPONSE_BYTES, HTTP_LEN };
static const struct meter_family http_families[HTTP_LEN] = {
    [HTTP_REQUESTS] = { "istio_requests", "requests by reporter", NULL, 0, 0 },
    [HTTP_DURATION] = { "istio_request_duration_milliseconds", "duration of requests", bounds,
                        NELEMS(bounds), 1e6 },
    [HTTP_REQUEST_BYTES] = { "istio_request_bytes", "request bodies", bounds, NELEMS(bounds), 1 },
    [HTTP_RESPONSE_BYTES] = { "istio_response_bytes", "response bodies", bounds, NELEMS(bounds),
                              1 },
};
enum { TCP_OPENED, TCP_CLOSED, TCP_SENT, TCP_RECEIVED, TCP_LEN };
static const struct meter_family tcp_families[TCP_LEN] = {
    [TCP_OPENED] = { "istio_tcp_connections_opened", "connections", NULL, 0, 0 },
    [TCP_CLOSED] = { "istio_tcp_connections_closed", "connections that ended", NULL, 0, 0 },
    [TCP_SENT] = { "istio_tcp_sent_bytes", "bytes the server sent", NULL, 0, 0 },
    [TCP_RECEIVED] = { "istio_tcp_received_bytes", "bytes the server received", NULL, 0, 0 },
};
const struct meter_kind istio_http_kind = { http_labels, NELEMS(http_labels), http_families,
                                            HTTP_LEN, NULL };
const struct meter_kind istio_tcp_kind = { tcp_labels, NELEMS(tcp_labels), tcp_families, TCP_LEN,
                                           NULL };
_Static_assert(NELEMS(http_labels) <= METER_LABELS_MAX, "values[] has room");

/* Proven on this very connection, else what is known of the edge. */
static struct sv principal_of(struct sv seen, const struct identity *who)
{
    return seen.len ? seen : who->principal;
}

static struct sv policy_of(enum tls_state tls)
{
    static const char *const policies[TLS_STATES_LEN] = { [TLS_UNKNOWN] = "unknown",
                                                          [TLS_PLAINTEXT] = "none",
                                                          [TLS_ONE_WAY] = "none",
                                                          [TLS_MUTUAL] = "mutual_tls" };
    return sv_z(policies[tls]);
}

static bool is_known(struct sv text)
{
    return text.len > 0 && !sv_eq(text, IDENTITY_UNKNOWN);
}

struct scratch {
    char code[8], grpc[8];
    struct buf host; /* a name made up of service and namespace */
};

/* The host that was asked for; a span names none, so the one Kubernetes would give the service. */
static struct sv host_of(const struct call *c, const struct edge *e, struct scratch *s)
{
    struct sv ns = e->destination.namespace, service = e->destination.service;
    if (is_known(c->destination_service))
        return c->destination_service;
    if (!is_known(service) || !is_known(ns))
        return service;
    buf_put(&s->host, service);
    buf_putc(&s->host, '.');
    buf_put(&s->host, ns);
    buf_put(&s->host, SV(".svc.cluster.local"));
    return s->host.failed ? service : buf_sv(&s->host);
}

/* In the order of http_labels. */
static void fill_values(struct sv *v, const struct edge *e, const struct call *c,
                        enum reporter reporter, struct scratch *s)
{
    const struct identity *from = &e->source, *to = &e->destination;
    struct sv host = host_of(c, e, s), ns;
    struct sv name = service_of_host(host, &ns);
    snprintf(s->code, sizeof(s->code), "%u", c->response_code);
    s->grpc[0] = '\0';
    if (c->grpc_status >= 0)
        snprintf(s->grpc, sizeof(s->grpc), "%d", c->grpc_status);
    const struct sv values[NELEMS(http_labels)] = {
        sv_z(reporter_name(reporter)),
        from->workload,
        from->service,
        from->version,
        from->namespace,
        principal_of(c->source_principal_seen, from),
        from->service,
        from->version,
        from->cluster,
        to->workload,
        to->namespace,
        principal_of(c->destination_principal_seen, to),
        to->service,
        to->version,
        host,
        to->service,
        to->version,
        name,
        ns.len ? ns : to->namespace,
        to->cluster,
        sv_z(protocol_name(c->protocol)),
        c->response_flags.len ? c->response_flags : SV("-"),
        policy_of(c->tls),
        sv_z(s->code),
        sv_z(s->grpc),
    };
    memcpy(v, values, sizeof(values));
}

/* What tells rows of one edge apart, shorter than all label values. */
static struct sv key_of(struct buf *key, const struct known_edge *e, const struct call *c,
                        enum reporter reporter)
{
    uintptr_t edge = (uintptr_t)e;
    uint16_t numbers[] = { (uint16_t)reporter, (uint16_t)c->tls, (uint16_t)c->protocol,
                           c->response_code, (uint16_t)c->grpc_status };
    buf_clear(key);
    buf_append(key, &edge, sizeof(edge));
    buf_append(key, numbers, sizeof(numbers));
    buf_put_text(key, c->response_flags);
    buf_put_text(key, c->source_principal_seen);
    buf_put_text(key, c->destination_principal_seen);
    buf_put(key, c->destination_service);
    return buf_sv(key);
}

static void count(struct meter *m, struct meter_row *row, const struct call *c, int64_t duration_ns)
{
    if (c->protocol == PROTOCOL_TCP) {
        meter_count(m, row, TCP_OPENED, call_has_begin(c));
        meter_count(m, row, TCP_CLOSED, call_has_end(c));
        meter_count(m, row, TCP_SENT, c->bytes_sent);
        meter_count(m, row, TCP_RECEIVED, c->bytes_received);
        return;
    }
    meter_count(m, row, HTTP_REQUESTS, 1);
    meter_observe(m, row, HTTP_DURATION, duration_ns > 0 ? (uint64_t)duration_ns : 0);
    meter_observe(m, row, HTTP_REQUEST_BYTES, c->bytes_received);
    meter_observe(m, row, HTTP_RESPONSE_BYTES, c->bytes_sent);
}

static struct meter *meter_of(struct dialects *d, const struct call *c)
{
    return &d->meters[c->protocol == PROTOCOL_TCP ? METER_ISTIO_TCP : METER_ISTIO_HTTP];
}

/* NULL when memory is out. */
static struct meter_row *row_of(struct dialects *d, const struct known_edge *e,
                                const struct call *c, enum reporter reporter, int64_t now_ns)
{
    struct meter *m = meter_of(d, c);
    struct sv key = key_of(&d->key, e, c, reporter);
    struct meter_row *row = d->key.failed ? NULL : meter_find(m, key, now_ns);
    if (!row && !d->key.failed) {
        struct sv values[NELEMS(http_labels)];
        struct scratch s = { .host = { 0 } };
        fill_values(values, &e->edge, c, reporter, &s);
        row = meter_make(m, key, values, now_ns);
        buf_done(&s.host);
    }
    return row;
}

static void report(struct dialects *d, const struct known_edge *e, const struct call *c,
                   enum reporter reporter, int64_t duration_ns, int64_t now_ns)
{
    struct meter_row *row = row_of(d, e, c, reporter, now_ns);
    if (row)
        count(meter_of(d, c), row, c, duration_ns);
    else
        d->lost++;
}

/* Of bytes only the sum is known: each request is given the mean. */
static void count_bytes(const struct meter *m, struct meter_row *row, size_t family,
                        const struct alike *a, uint64_t bytes)
{
    uint64_t counts[NELEMS(bounds) + 1] = { 0 };
    size_t i = 0;
    while (a->times && i < NELEMS(bounds) && (double)bytes / (double)a->times > bounds[i])
        i++;
    counts[i] = a->times;
    meter_add_counts(m, row, family, counts, bytes);
}

static void count_alike(struct meter *m, struct meter_row *row, const struct alike *a)
{
    uint64_t counts[NELEMS(bounds) + 1];
    if (a->protocol == PROTOCOL_TCP) {
        meter_count(m, row, TCP_OPENED, a->times);
        meter_count(m, row, TCP_SENT, a->bytes_sent);
        meter_count(m, row, TCP_RECEIVED, a->bytes_received);
        return;
    }
    hist_spread(&a->latency, bounds, NELEMS(bounds), 1e-3, counts);
    meter_count(m, row, HTTP_REQUESTS, a->times);
    meter_add_counts(m, row, HTTP_DURATION, counts, (uint64_t)MAX(a->latency.sum_ns, 0));
    count_bytes(m, row, HTTP_REQUEST_BYTES, a, a->bytes_received);
    count_bytes(m, row, HTTP_RESPONSE_BYTES, a, a->bytes_sent);
}

void istio_alike(struct dialects *d, const struct known_edge *e, const struct call *who,
                 const struct alike *a, int64_t now_ns)
{
    struct call c = alike_call(a);
    c.destination_service = who->destination_service;
    struct meter_row *row = row_of(d, e, &c, a->is_calling ? REPORTER_SOURCE : REPORTER_DESTINATION,
                                   now_ns);
    if (row)
        count_alike(meter_of(d, &c), row, a);
    else
        d->lost += a->times;
}

void istio_call(struct dialects *d, const struct known_edge *e, const struct call *c,
                int64_t server_ns, int64_t now_ns)
{
    reporter_set records = reporter_bit(REPORTER_SOURCE) | reporter_bit(REPORTER_DESTINATION);
    if (reporter_bit(c->reporter) & records) {
        report(d, e, c, c->reporter, c->duration_ns, now_ns);
        return;
    }
    if (e->totals.seen & records)
        return;
    /* A lone span was seen by its own side: the callee's when the caller is only spoken of. */
    bool is_pair = c->reporter == REPORTER_PAIR;
    bool is_called = !is_pair && sv_eq(e->edge.source.version, IDENTITY_UNKNOWN);
    if (!is_called)
        report(d, e, c, REPORTER_SOURCE, c->duration_ns, now_ns);
    if (is_pair || is_called)
        report(d, e, c, REPORTER_DESTINATION, server_ns >= 0 ? server_ns : c->duration_ns, now_ns);
}
