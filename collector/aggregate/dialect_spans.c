/* dialect_spans.c - span metrics under Tempo's names and under those of the OpenTelemetry Collector's
 * connector, which Jaeger's Monitor page asks for. Every span counts, of whatever kind, as it comes.
 *
 * Source: Tempo's metrics-generator (span metrics: 2 ms doubling 13 times); the span metrics
 * connector's default buckets in milliseconds. */
#include "aggregate/dialects.h"
#include "base/varint.h"

static const char *const tempo_labels[] = { "service", "span_name", "span_kind", "status_code" };
static const char *const otel_labels[] = { "service_name", "span_name", "span_kind",
                                           "status_code" };
static const double tempo_bounds[] = { 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128,
                                       0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384 };
static const double otel_bounds[] = { 2,   4,   6,    8,    10,   50,   100,   200,
                                      400, 800, 1000, 1400, 2000, 5000, 10000, 15000 };

enum { CALLS, DURATION, FAMILIES };
static const struct meter_family tempo_families[FAMILIES] = {
    [CALLS] = { "traces_spanmetrics_calls", "spans", NULL, 0, 0 },
    [DURATION] = { "traces_spanmetrics_latency", "duration of spans in seconds", tempo_bounds,
                   NELEMS(tempo_bounds), 1e9 },
};
static const struct meter_family otel_families[FAMILIES] = {
    [CALLS] = { "traces_span_metrics_calls", "spans", NULL, 0, 0 },
    [DURATION] = { "traces_span_metrics_duration_milliseconds", "duration of spans", otel_bounds,
                   NELEMS(otel_bounds), 1e6 },
};
const struct meter_kind spanmetrics_kind = { tempo_labels, NELEMS(tempo_labels), tempo_families,
                                             FAMILIES, "metric_overflow" };
const struct meter_kind span_metrics_kind = { otel_labels, NELEMS(otel_labels), otel_families,
                                              FAMILIES, "otel_metric_overflow" };

static struct sv kind_name(enum span_kind kind)
{
    static const char *const names[] = {
        [SPAN_KIND_UNSPECIFIED] = "SPAN_KIND_UNSPECIFIED",
        [SPAN_KIND_INTERNAL] = "SPAN_KIND_INTERNAL",
        [SPAN_KIND_SERVER] = "SPAN_KIND_SERVER",
        [SPAN_KIND_CLIENT] = "SPAN_KIND_CLIENT",
        [SPAN_KIND_PRODUCER] = "SPAN_KIND_PRODUCER",
        [SPAN_KIND_CONSUMER] = "SPAN_KIND_CONSUMER",
    };
    return sv_z(names[(size_t)kind < NELEMS(names) ? kind : SPAN_KIND_UNSPECIFIED]);
}

static struct sv status_name(enum span_status status)
{
    static const char *const names[] = { [STATUS_UNSET] = "STATUS_CODE_UNSET",
                                         [STATUS_OK] = "STATUS_CODE_OK",
                                         [STATUS_ERROR] = "STATUS_CODE_ERROR" };
    return sv_z(names[(size_t)status < NELEMS(names) ? status : STATUS_UNSET]);
}

static void count_span(struct dialects *d, const struct span *s, struct sv service, int64_t now_ns)
{
    static const enum meter_id ids[] = { METER_SPANMETRICS, METER_SPAN_METRICS };
    const struct sv values[] = { service, s->name, kind_name(s->kind), status_name(s->status) };
    uint64_t duration_ns = s->end_ns > s->start_ns ? (uint64_t)s->end_ns - (uint64_t)s->start_ns
                                                   : 0;
    buf_clear(&d->key);
    buf_put_text(&d->key, service);
    buf_put_text(&d->key, s->name);
    buf_putc(&d->key, (char)s->kind);
    buf_putc(&d->key, (char)s->status);
    for (size_t i = 0; i < NELEMS(ids); i++) {
        struct meter *m = &d->meters[ids[i]];
        struct sv key = buf_sv(&d->key);
        struct meter_row *row = d->key.failed ? NULL : meter_find(m, key, now_ns);
        if (!row && !d->key.failed)
            row = meter_make(m, key, values, now_ns);
        if (!row) {
            d->lost++;
            continue;
        }
        meter_count(m, row, CALLS, 1);
        meter_observe(m, row, DURATION, duration_ns);
    }
}

void dialects_spans(struct dialects *d, const struct batch *b)
{
    const struct resource *resource = NULL;
    struct sv service = SV_NONE;
    for (size_t i = 0; d->set & DIALECT_SPANMETRICS && i < b->spans_len; i++) {
        const struct span *s = &b->spans[i];
        if (s->resource != resource) {
            resource = s->resource;
            service = attrs_str(&resource->attrs, SV("service.name"));
            if (!service.len)
                service = IDENTITY_UNKNOWN;
        }
        count_span(d, s, service, b->received_ns);
    }
}
