/* prometheus.c - edges, fold and tallies as metric families.
 *
 * Edges are visited once (under the fold's lock), so the families of edges are filled side by side
 * and ended one after the other. An edge's labels are rendered once for all its points. A TLS state
 * gives series only once it has occurred. */
#include "query/prometheus.h"
#include "base/clock.h"
#include <stdio.h>

enum edge_family { EDGE_REQUESTS, EDGE_ERRORS, EDGE_DURATION, EDGE_RECEIVED, EDGE_SENT, EDGE_LEN };

struct edge_families {
    struct family list[EDGE_LEN];
    struct labels labels;
    double bounds[TOTAL_BOUNDS_LEN]; /* in seconds */
};

static void put_labels(struct labels *l, const struct edge *e, enum tls_state tls)
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
    labels_clear(l);
    for (size_t i = 0; i < NELEMS(labels); i++)
        labels_put(l, labels[i].name, labels[i].value);
}

static void put_codes(struct family *f, struct labels *l, const struct total_row *row)
{
    static const char *const names[CODES_LEN] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };
    size_t mark = labels_mark(l);
    for (size_t i = 0; i < CODES_LEN; i++) {
        if (!row->n.codes[i])
            continue;
        labels_put(l, "code", sv_z(names[i]));
        family_put_count(f, l, row->n.codes[i], row->created_ns);
        labels_cut(l, mark);
    }
}

static void put_edge(void *to, const struct edge *e, enum tls_state tls,
                     const struct total_row *row)
{
    struct edge_families *f = to;
    struct labels *l = &f->labels;
    int64_t created_ns = row->created_ns;
    struct histogram h = { .bounds = f->bounds,
                           .bounds_len = TOTAL_BOUNDS_LEN,
                           .counts = row->n.counts,
                           .sum = (double)row->n.duration_ns / 1e9,
                           .native = row->latency.count ? &row->latency : NULL,
                           .exemplars = row->exemplars };
    put_labels(l, e, tls);
    put_codes(&f->list[EDGE_REQUESTS], l, row);
    family_put_count(&f->list[EDGE_ERRORS], l, row->n.errors, created_ns);
    family_put_histogram(&f->list[EDGE_DURATION], l, &h, created_ns);
    family_put_count(&f->list[EDGE_RECEIVED], l, row->n.bytes_received, created_ns);
    family_put_count(&f->list[EDGE_SENT], l, row->n.bytes_sent, created_ns);
}

void prometheus_put_edges(struct fold *fold, enum exposition_format format, struct buf *out)
{
    static const struct {
        const char *name, *help;
        enum family_type type;
    } rows[EDGE_LEN] = {
        [EDGE_REQUESTS] = { "tulle_edge_requests", "requests on an edge, each counted once",
                            FAMILY_COUNTER },
        [EDGE_ERRORS] = { "tulle_edge_errors",
                          "of them: no response, HTTP 5xx, or a gRPC status other than OK",
                          FAMILY_COUNTER },
        [EDGE_DURATION] = { "tulle_edge_request_duration_seconds", "duration of the requests",
                            FAMILY_HISTOGRAM },
        [EDGE_RECEIVED] = { "tulle_edge_received_bytes", "request bodies", FAMILY_COUNTER },
        [EDGE_SENT] = { "tulle_edge_sent_bytes", "response bodies", FAMILY_COUNTER },
    };
    struct edge_families f = { .labels = { .format = format } };
    for (size_t i = 0; i < TOTAL_BOUNDS_LEN; i++)
        f.bounds[i] = (double)total_bounds_ns[i] / 1e9;
    for (size_t i = 0; i < EDGE_LEN; i++)
        f.list[i] = family_of(format, rows[i].type, rows[i].name, rows[i].help);
    fold_totals(fold, format == EXPOSITION_PROTOBUF, put_edge, &f);
    for (size_t i = 0; i < EDGE_LEN; i++)
        family_end(&f.list[i], out);
    out->failed |= f.labels.bytes.failed;
    labels_done(&f.labels);
}

static void put_halves(const struct pair_stats *p, enum exposition_format format, struct buf *out)
{
    const struct {
        const char *outcome;
        uint64_t n;
    } halves[] = {
        { "paired", p->paired },
        { "virtual_peer", p->virtual_peers },
        { "root", p->roots },
        { "internal_hop", p->internal_hops },
        { "access_record", p->covered },
        { "unpaired_client", p->unpaired_client },
        { "unpaired_server", p->unpaired_server },
        { "no_id", p->unidentified },
        { "repeated", p->repeated },
    };
    struct family f = family_of(format, FAMILY_COUNTER, "tulle_collector_halves",
                                "client and server spans by outcome");
    struct labels l = { .format = format };
    for (size_t i = 0; i < NELEMS(halves); i++) {
        labels_clear(&l);
        labels_put(&l, "outcome", sv_z(halves[i].outcome));
        family_put_count(&f, &l, halves[i].n, 0);
    }
    family_end(&f, out);
    labels_done(&l);
}

void prometheus_put_fold(const struct fold_stats *f, enum exposition_format format, struct buf *out)
{
    const struct pair_stats *p = &f->pair;
    const struct {
        enum family_type type;
        const char *name, *help;
        uint64_t value;
    } rows[] = {
        { FAMILY_COUNTER, "calls_counted", "calls that reached an edge", f->calls_counted },
        { FAMILY_COUNTER, "calls_overflow", "of them on the edge other: too many edges",
          f->calls_overflow },
        { FAMILY_COUNTER, "calls_repeated", "access records that had come before",
          f->calls_repeated },
        { FAMILY_COUNTER, "calls_lost", "not counted because memory was out", f->lost + p->lost },
        { FAMILY_COUNTER, "halves_evicted", "judged early because too many waited", p->evicted },
        { FAMILY_GAUGE, "halves_waiting", "halves that wait for their other half", p->waiting },
        { FAMILY_GAUGE, "edges", "distinct edges since the start", f->edges },
        { FAMILY_GAUGE, "identities", "distinct identities of spans since the start",
          f->identities },
        { FAMILY_GAUGE, "edge_buckets_pending", "edge buckets not committed yet",
          f->pending_buckets },
        { FAMILY_GAUGE, "metric_series", "time series of edges, counted against the budget",
          f->series },
        { FAMILY_COUNTER, "metric_rows_refused",
          "rows that count on an overflow series because the budget was used up",
          f->series_refused_rows },
        { FAMILY_COUNTER, "metric_rows_ended", "rows that ended because they were idle",
          f->series_ended_rows },
    };
    for (size_t i = 0; i < NELEMS(rows); i++) {
        char name[64];
        snprintf(name, sizeof(name), "tulle_collector_%s", rows[i].name);
        exposition_put_one(format, rows[i].type, name, rows[i].help, (double)rows[i].value, out);
    }
    put_halves(p, format, out);
}

/* The one label of a tally's row, why="...", or none. */
static void put_tally_label(struct labels *l, const char *text)
{
    struct sv value = sv_z(text), name;
    char key[32];
    labels_clear(l);
    if (!value.len)
        return;
    (void)sv_cut(&value, '=', &name);
    INVARIANT(sv_to_z(name, key, sizeof(key)) && value.len >= 2);
    labels_put(l, key, sv_sub(value, 1, value.len - 2));
}

void prometheus_put_tallies(const struct tally_table *t, enum exposition_format format,
                            struct buf *out)
{
    struct labels l = { .format = format };
    for (size_t i = 0; i < t->len;) {
        const struct tally_row *head = &t->rows[i];
        struct sv metric = sv_z(head->metric);
        bool is_counter = sv_ends(metric, SV("_total"));
        size_t name_len = is_counter ? metric.len - strlen("_total") : metric.len;
        char name[96];
        snprintf(name, sizeof(name), "%s%.*s", t->prefix, (int)name_len, metric.p);
        struct family f = family_of(format, is_counter ? FAMILY_COUNTER : FAMILY_GAUGE, name,
                                    head->help);
        for (; i < t->len && sv_eq(sv_z(t->rows[i].metric), metric); i++) {
            put_tally_label(&l, t->rows[i].labels);
            family_put_count(&f, &l, atomic_load_explicit(&t->cells[i], memory_order_relaxed), 0);
        }
        family_end(&f, out);
    }
    out->failed |= l.bytes.failed;
    labels_done(&l);
}
