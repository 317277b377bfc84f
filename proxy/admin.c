/* admin.c - the doors for operators: readiness, Prometheus and admin, and what they share.
 *
 * Paths and shapes are Envoy's where it has them, so that probes, scrapers and habits work on. Everything
 * is written from the worker's own state on its own thread. */
#include "proxy/admin.h"
#include "base/clock.h"
#include "base/json_out.h"
#include "proxy/admin_pages.h"
#include "proxy/status.h"
#include "proxy/tallies.h"
#include "tulle_version.h"

unsigned admin_ready(void *to, struct buf *body)
{
    const struct worker *w = to;
    bool is_ready = worker_is_ready(w);
    buf_put(body, is_ready ? SV("LIVE\n") : SV("DRAINING\n"));
    return is_ready ? 200 : 503;
}

/* clang-format off */
static const struct {
    const char *metric, *labels, *type, *help;
    size_t offset;
} telemetry_rows[] = {
#define ROW(metric, labels, type, field, help) \
    { metric, labels, type, help, offsetof(struct telemetry_stats, field) }
    ROW("telemetry_exchanges_total", "", "counter", records, "requests recorded"),
    ROW("telemetry_sent_total", "{kind=\"record\"}", "counter", logs_sent, "acknowledged by the collector"),
    ROW("telemetry_sent_total", "{kind=\"span\"}", NULL, spans_sent, NULL),
    ROW("telemetry_dropped_total", "{kind=\"record\"}", "counter", logs_dropped, "lost because the queue was full"),
    ROW("telemetry_dropped_total", "{kind=\"span\"}", NULL, spans_dropped, NULL),
    ROW("telemetry_refused_total", "{kind=\"record\"}", "counter", logs_refused, "the collector said no for good"),
    ROW("telemetry_refused_total", "{kind=\"span\"}", NULL, spans_refused, NULL),
    ROW("telemetry_batches_sent_total", "", "counter", batches_sent, "exports acknowledged"),
    ROW("telemetry_batches_retried_total", "", "counter", batches_retried, "exports sent again"),
    ROW("telemetry_queue_bytes", "", "gauge", queued_bytes, "waiting for the collector"),
    ROW("access_log_lines_total", "{outcome=\"written\"}", "counter", lines_written, "access log lines"),
    ROW("access_log_lines_total", "{outcome=\"dropped\"}", NULL, lines_dropped, NULL),
    ROW("metrics_series", "", "gauge", series, "label sets of the istio_ metrics"),
    ROW("metrics_series_expired_total", "", "counter", series_expired, "that were not used for --metrics-expiry"),
    ROW("metrics_overflow_total", "{why=\"budget\"}", "counter", series_overflowed, "requests without a series of their own: counted on the one named other, or lost"),
    ROW("metrics_overflow_total", "{why=\"memory\"}", NULL, series_lost, NULL),
#undef ROW
};
/* clang-format on */

unsigned admin_metrics(void *to, struct buf *body)
{
    struct worker *w = to;
    struct telemetry_stats st = telemetry_stats(w->telemetry);
    tally_write(&proxy_tallies, body);
    buf_printf(body,
               "# HELP tulle_proxy_outlier_ejected endpoints left out now\n"
               "# TYPE tulle_proxy_outlier_ejected gauge\ntulle_proxy_outlier_ejected %zu\n",
               outlier_count(&w->outlier, loop_now_ns(w->loop)));
    buf_printf(body,
               "# HELP tulle_proxy_health_checked endpoints that are asked how they are\n"
               "# TYPE tulle_proxy_health_checked gauge\ntulle_proxy_health_checked %zu\n"
               "# HELP tulle_proxy_health_unhealthy of these, left out now\n"
               "# TYPE tulle_proxy_health_unhealthy gauge\ntulle_proxy_health_unhealthy %zu\n",
               w->health.checked.len, w->health.down_len);
    for (size_t i = 0; i < NELEMS(telemetry_rows); i++) {
        const char *metric = telemetry_rows[i].metric;
        uint64_t value;
        memcpy(&value, (const char *)&st + telemetry_rows[i].offset, sizeof(value));
        if (telemetry_rows[i].type)
            buf_printf(body, "# HELP tulle_proxy_%s %s\n# TYPE tulle_proxy_%s %s\n", metric,
                       telemetry_rows[i].help, metric, telemetry_rows[i].type);
        buf_printf(body, "tulle_proxy_%s%s %llu\n", metric, telemetry_rows[i].labels,
                   (unsigned long long)value);
    }
    if (w->certs)
        buf_printf(
            body,
            "# HELP tulle_proxy_certificate_expiry_seconds end of our certificate, Unix time\n"
            "# TYPE tulle_proxy_certificate_expiry_seconds gauge\n"
            "tulle_proxy_certificate_expiry_seconds %lld\n",
            (long long)(w->certs->not_after_ns / NS_PER_S));
    telemetry_write_metrics(w->telemetry, body);
    return 200;
}

unsigned admin_server_info(void *to, struct buf *body)
{
    const struct worker *w = to;
    struct json_out j = json_out_of(body);
    json_open(&j, '{');
    json_kv_str(&j, "version", SV(TULLE_VERSION));
    json_kv_str(&j, "state", worker_is_ready(w) ? SV("LIVE") : SV("DRAINING"));
    json_kv_str(&j, "role", sv_z(w->opt->role));
    json_kv_str(&j, "workload", w->self.workload);
    json_kv_str(&j, "namespace", w->self.namespace);
    json_kv_str(&j, "service", w->self.service);
    json_kv_str(&j, "version_label", w->self.version);
    json_kv_str(&j, "spiffe", w->certs ? w->certs->spiffe : SV_NONE);
    json_kv_i64(&j, "uptime_s", (clock_mono_ns() - w->started_ns) / NS_PER_S);
    json_kv_u64(&j, "requests_active", w->streams_len);
    json_kv_u64(&j, "downstream_connections", w->downs_len);
    json_kv_u64(&j, "upstream_connections", w->ups_len);
    json_close(&j);
    return 200;
}

#define TEXT "text/plain; charset=utf-8"
#define PROM "text/plain; version=0.0.4; charset=utf-8"
/* clang-format off */
static const struct web_route readiness_routes[] = {
    { .path = "/healthz/ready", .content_type = TEXT, .answer = admin_ready },
};
static const struct web_route prometheus_routes[] = {
    { .path = "/stats/prometheus", .content_type = PROM, .answer = admin_metrics },
    { .path = "/metrics",          .content_type = PROM, .answer = admin_metrics },
};
/* clang-format on */

int admin_open(struct worker *w, struct err *err)
{
    const struct {
        const char *name;
        uint16_t port;
        struct web_routes routes;
    } doors[SERVICE_DOORS] = {
        { "admin", w->opt->admin_port, admin_pages() },
        { "readiness", w->opt->readiness_port, { readiness_routes, NELEMS(readiness_routes) } },
        { "prometheus", w->opt->prometheus_port, { prometheus_routes, NELEMS(prometheus_routes) } },
        { "status", w->opt->status_port, status_routes() },
    };
    for (size_t i = 0; i < NELEMS(doors); i++) {
        if (doors[i].port == 0)
            continue;
        w->doors[i] = web_open(w->loop, sv_z(w->opt->listen), doors[i].port, doors[i].routes, w,
                               err);
        if (!w->doors[i]) {
            err_context(err, "--%s-port", doors[i].name);
            return ERR_IO;
        }
    }
    return 0;
}

void admin_close(struct worker *w)
{
    for (size_t i = 0; i < NELEMS(w->doors); i++)
        w->doors[i] = web_close(w->doors[i]);
}
