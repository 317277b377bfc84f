/* prometheus.c - edges as Prometheus counters and histograms.
 *
 * A family's lines must stand together, and edges are visited once (under the fold's lock), so each
 * family is written to a buffer of its own and the buffers are joined. An edge's labels are
 * rendered once and copied into its lines. A TLS state gives series only once it has occurred. */
#include "query/prometheus.h"
#include "base/clock.h"

struct families {
    struct buf requests, errors, duration, received, sent;
    struct buf labels; /* of the edge and TLS state being written, without braces */
};

void prometheus_put_label(struct buf *out, struct sv text)
{
    bool is_clean = sv_is_utf8(text);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (c == '\\')
            buf_put(out, SV("\\\\"));
        else if (c == '"')
            buf_put(out, SV("\\\""));
        else if (c == '\n')
            buf_put(out, SV("\\n"));
        else if (!is_clean && (c & 0x80))
            buf_put(out, SV("\xef\xbf\xbd"));
        else
            buf_putc(out, c);
    }
}

static void put_pair(struct buf *out, const char *name, struct sv value)
{
    if (out->len)
        buf_putc(out, ',');
    buf_put(out, sv_z(name));
    buf_put(out, SV("=\""));
    prometheus_put_label(out, value);
    buf_putc(out, '"');
}

static void render_labels(struct buf *out, const struct edge *e, enum tls_state tls)
{
    const struct {
        const char *name;
        struct sv value;
    } labels[] = {
        { "source_cluster", e->source.cluster },
        { "source_namespace", e->source.namespace },
        { "source_workload", e->source.workload },
        { "source_service", e->source.service },
        { "source_version", e->source.version },
        { "destination_cluster", e->destination.cluster },
        { "destination_namespace", e->destination.namespace },
        { "destination_workload", e->destination.workload },
        { "destination_service", e->destination.service },
        { "destination_version", e->destination.version },
        { "protocol", sv_z(protocol_name(e->protocol)) },
        { "tls", sv_z(tls_state_name(tls)) },
    };
    buf_clear(out);
    for (size_t i = 0; i < NELEMS(labels); i++)
        put_pair(out, labels[i].name, labels[i].value);
}

/* name{labels,more="value"} n */
static void put_line(struct buf *out, const char *name, struct sv labels, const char *more,
                     struct sv value)
{
    buf_put(out, sv_z(name));
    buf_putc(out, '{');
    buf_put(out, labels);
    if (more) {
        buf_putc(out, ',');
        buf_put(out, sv_z(more));
        buf_put(out, SV("=\""));
        buf_put(out, value);
        buf_putc(out, '"');
    }
    buf_put(out, SV("} "));
}

static void put_count(struct buf *out, const char *name, struct sv labels, uint64_t n)
{
    put_line(out, name, labels, NULL, SV_NONE);
    buf_put_u64(out, n);
    buf_putc(out, '\n');
}

static void put_codes(struct buf *out, struct sv labels, const struct total *t)
{
    static const char *const names[CODES_LEN] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };
    for (size_t i = 0; i < CODES_LEN; i++) {
        if (!t->codes[i])
            continue;
        put_line(out, "tulle_edge_requests_total", labels, "code", sv_z(names[i]));
        buf_put_u64(out, t->codes[i]);
        buf_putc(out, '\n');
    }
}

static void put_histogram(struct buf *out, struct sv labels, const struct total *t)
{
    static const char *const bounds[TOTAL_BOUNDS_LEN] = {
        "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025",
        "0.05",   "0.1",   "0.25",   "1",     "2.5",  "10",
    };
    uint64_t below = 0;
    for (size_t i = 0; i <= TOTAL_BOUNDS_LEN; i++) {
        below += t->counts[i];
        put_line(out, "tulle_edge_request_duration_seconds_bucket", labels, "le",
                 i < TOTAL_BOUNDS_LEN ? sv_z(bounds[i]) : SV("+Inf"));
        buf_put_u64(out, below);
        buf_putc(out, '\n');
    }
    put_line(out, "tulle_edge_request_duration_seconds_sum", labels, NULL, SV_NONE);
    buf_put_double(out, (double)t->duration_ns / 1e9);
    buf_putc(out, '\n');
    put_count(out, "tulle_edge_request_duration_seconds_count", labels, below);
}

static void put_edge(void *to, const struct edge *e, const struct total *totals)
{
    struct families *f = to;
    for (int s = 0; s < TLS_STATES_LEN; s++) {
        const struct total *t = &totals[s];
        if (total_requests(t) == 0)
            continue;
        render_labels(&f->labels, e, (enum tls_state)s);
        struct sv labels = buf_sv(&f->labels);
        put_codes(&f->requests, labels, t);
        put_count(&f->errors, "tulle_edge_errors_total", labels, t->errors);
        put_histogram(&f->duration, labels, t);
        put_count(&f->received, "tulle_edge_received_bytes_total", labels, t->bytes_received);
        put_count(&f->sent, "tulle_edge_sent_bytes_total", labels, t->bytes_sent);
    }
}

static void put_head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void prometheus_put_edges(struct fold *fold, struct buf *out)
{
    struct families f = { 0 };
    fold_totals(fold, put_edge, &f);
    const struct {
        const char *name, *type, *help;
        struct buf *lines;
    } families[] = {
        { "tulle_edge_requests_total", "counter", "requests on an edge, each counted once",
          &f.requests },
        { "tulle_edge_errors_total", "counter",
          "of them: no response, HTTP 5xx, or a gRPC status other than OK", &f.errors },
        { "tulle_edge_request_duration_seconds", "histogram", "duration of the requests",
          &f.duration },
        { "tulle_edge_received_bytes_total", "counter", "request bodies", &f.received },
        { "tulle_edge_sent_bytes_total", "counter", "response bodies", &f.sent },
    };
    for (size_t i = 0; i < NELEMS(families); i++) {
        put_head(out, families[i].name, families[i].type, families[i].help);
        buf_put(out, buf_sv(families[i].lines));
        out->failed |= families[i].lines->failed;
        buf_done(families[i].lines);
    }
    out->failed |= f.labels.failed;
    buf_done(&f.labels);
}

void prometheus_put_fold(const struct fold_stats *f, struct buf *out)
{
    const struct pair_stats *p = &f->pair;
    const struct {
        const char *name, *labels, *type, *help;
        uint64_t value;
    } rows[] = {
        { "calls_counted_total", "", "counter", "calls that reached an edge", f->calls_counted },
        { "calls_overflow_total", "", "counter", "of them on the edge other: too many edges",
          f->calls_overflow },
        { "calls_repeated_total", "", "counter", "access records that had come before",
          f->calls_repeated },
        { "calls_lost_total", "", "counter", "not counted because memory was out",
          f->lost + p->lost },
        { "halves_total", "{outcome=\"paired\"}", "counter", "client and server spans by outcome",
          p->paired },
        { "halves_total", "{outcome=\"virtual_peer\"}", NULL, NULL, p->virtual_peers },
        { "halves_total", "{outcome=\"root\"}", NULL, NULL, p->roots },
        { "halves_total", "{outcome=\"internal_hop\"}", NULL, NULL, p->internal_hops },
        { "halves_total", "{outcome=\"access_record\"}", NULL, NULL, p->covered },
        { "halves_total", "{outcome=\"unpaired_client\"}", NULL, NULL, p->unpaired_client },
        { "halves_total", "{outcome=\"unpaired_server\"}", NULL, NULL, p->unpaired_server },
        { "halves_total", "{outcome=\"no_id\"}", NULL, NULL, p->unidentified },
        { "halves_total", "{outcome=\"repeated\"}", NULL, NULL, p->repeated },
        { "halves_evicted_total", "", "counter", "judged early because too many waited",
          p->evicted },
        { "halves_waiting", "", "gauge", "halves that wait for their other half", p->waiting },
        { "edges", "", "gauge", "distinct edges since the start", f->edges },
        { "identities", "", "gauge", "distinct identities of spans since the start",
          f->identities },
        { "edge_buckets_pending", "", "gauge", "edge buckets not committed yet",
          f->pending_buckets },
    };
    for (size_t i = 0; i < NELEMS(rows); i++) {
        char name[64];
        snprintf(name, sizeof(name), "tulle_collector_%s", rows[i].name);
        if (rows[i].type)
            put_head(out, name, rows[i].type, rows[i].help);
        buf_printf(out, "%s%s ", name, rows[i].labels);
        buf_put_u64(out, rows[i].value);
        buf_putc(out, '\n');
    }
}
