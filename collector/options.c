/* options.c - the collector's option table and what has to fit together. */
#include "options.h"
#include "base/clock.h"
#include "base/flag.h"

/* What the store's write-ahead log takes of --max-disk: the size SQLite cuts it back to. */
#define LOG_BYTES          (UINT64_C(64) << 20)
#define MAX_DISK_LEAST     (UINT64_C(256) << 20)
/* No Prometheus takes more from one target; and counters need 80 s to settle. */
#define SERIES_MOST        UINT64_C(10000000)
#define METRICS_IDLE_LEAST (120 * NS_PER_S)

/* Requests are put in the middle between two looks. Up to 20 s that is at most one bucket from where
 * they belong, where a call's own report is preferred (model/evidence.h). */
#define SCRAPE_LEAST NS_PER_S
#define SCRAPE_MOST  (20 * NS_PER_S)

/* Shares of --max-memory. What is left is for the program itself, SQLite's page caches, edges and
 * segments in the making, which have bounds of their own. */
#define MAX_MEMORY_LEAST (UINT64_C(128) << 20)
#define EXPORTS_PART     4
#define STORE_PART       4
#define HALVES_PART      8
#define HALF_BYTES       160 /* with its place in the table and its share of names */

#define OFF(field) offsetof(struct options, field)

/* clang-format off */
static const struct flag rows[] = {
    { "data",            FLAG_STR,    OFF(data),            "./tulle-data", "folder that holds everything; made when missing", NULL },
    { "store",           FLAG_STR,    OFF(store),           "",             "where spans and edges live: sqlite:FILE or memory: (default sqlite:DATA/tulle.db)", NULL },
    { "retention",       FLAG_NSEC,   OFF(retention_ns),    "72h",          "how long spans and access records are kept; 0 for ever", NULL },
    { "edge-retention",  FLAG_NSEC,   OFF(edge_retention_ns), "30d",        "how long the history of edges is kept; 0 for ever", NULL },
    { "max-disk",        FLAG_BYTES,  OFF(max_disk),        "0",            "size of the store; beyond it the oldest spans go early; 0 no limit", NULL },
    { "max-memory",      FLAG_BYTES,  OFF(max_memory),      "0",            "shared out among exports, waiting halves and what finds spans; 0: each has a bound of its own", NULL },
    { "open",            FLAG_STR,    OFF(open),            "",             "show this file (a snapshot, say) and change nothing: no door for exports", NULL },
    { "check",           FLAG_BOOL,   OFF(is_check),        "false",        "read and check everything in the store, print what is wrong, end", NULL },
    { "durability",      FLAG_CHOICE, OFF(durability_name), "process",      "what an acknowledged export survives: kill -9, a power cut, nothing", "process|power|none" },
    { "listen",          FLAG_STR,    OFF(listen),          "127.0.0.1",    "address of every door", NULL },
    { "otlp-http-port",  FLAG_PORT,   OFF(otlp_http_port),  "4318",         "OTLP/HTTP: traces and logs; 0 turns a door off", NULL },
    { "http-port",       FLAG_PORT,   OFF(http_port),       "16686",        "dashboard, JSON API, /metrics, /healthz, /readyz", NULL },
    { "grpc-port",       FLAG_PORT,   OFF(grpc_port),       "4317",         "OTLP/gRPC and Envoy's access log service (ALS); 0: off", NULL },
    { "zipkin-port",     FLAG_PORT,   OFF(zipkin_port),     "0",            "Zipkin; not served by this version", NULL },
    { "thrift-port",     FLAG_PORT,   OFF(thrift_port),     "0",            "Jaeger thrift over HTTP; not served by this version", NULL },
    { "max-body",        FLAG_BYTES,  OFF(max_body),        "8MiB",         "largest export as sent; four times that after decompression", NULL },
    { "max-inflight",    FLAG_BYTES,  OFF(max_inflight),    "64MiB",        "exports received and not yet committed, in all", NULL },
    { "max-connections", FLAG_UINT,   OFF(max_connections), "4096",         "open connections of the OTLP/HTTP door", NULL },
    { "queue",           FLAG_UINT,   OFF(queue),           "1024",         "exports waiting for the writer", NULL },
    { "metrics-max-series", FLAG_UINT, OFF(series.max),     "200000",       "time series of edges on /metrics; further edges count on overflow series", NULL },
    { "metrics-dialects", FLAG_STR,   OFF(dialects_list),   "",             "also serve the series of: istio, servicegraph, spanmetrics, kiali (comma-separated)", NULL },
    { "metrics-idle",    FLAG_NSEC,   OFF(series.idle_ns),  "1h",           "how long the series of an idle edge stay on /metrics; 0 for ever", NULL },
    { "drain",           FLAG_NSEC,   OFF(drain_ns),        "10s",          "how long stopping waits for commits under way", NULL },
    { "latency-degraded", FLAG_NSEC,  OFF(latency_degraded_ns), "0",        "edges whose 95th percentile takes so long are degraded; 0 not judged", NULL },
    { "latency-failing", FLAG_NSEC,   OFF(latency_failing_ns), "0",         "... are failing; 0 not judged", NULL },
    { "webhook",         FLAG_STR,    OFF(webhook),         "",             "URL that changes of health are POSTed to as JSON", NULL },
    { "scrape",          FLAG_STR,    OFF(scrape),          "",             "metrics endpoints of Istio's or Linkerd's proxies to count edges by, comma-separated; for Linkerd with #NAMESPACE/WORKLOAD", NULL },
    { "scrape-interval", FLAG_NSEC,   OFF(scrape_interval_ns), "15s",       "how often they are looked at", NULL },
    { "log-level",       FLAG_CHOICE, OFF(log_level_name),  "info",         "least severe log lines to print", "error|warn|info|debug" },
};
/* clang-format on */

static const struct flag_table table = {
    .program = "tulle-collector",
    .summary = "takes telemetry in, keeps it, and shows who calls whom",
    .rows = rows,
    .len = NELEMS(rows),
};

static int work_out_url(struct options *o, struct arena *mem, struct err *err)
{
    if (o->store[0]) {
        o->store_url = sv_z(o->store);
        return 0;
    }
    const char *name = o->open[0] ? o->open : o->data, *rest = o->open[0] ? "" : "/tulle.db";
    size_t size = sizeof("sqlite:") + strlen(name) + strlen(rest);
    char *url = arena_alloc(mem, size);
    if (!url)
        return err_set(err, ERR_NOMEM, "store url");
    o->store_url = sv_of(url, (size_t)snprintf(url, size, "sqlite:%s%s", name, rest));
    return 0;
}

static int check(struct options *o, struct err *err)
{
    if (o->max_body == 0 || o->max_body > UINT64_C(1) << 30)
        return err_set(err, ERR_USAGE, "--max-body: 1 byte to 1 GiB");
    if (o->max_inflight < o->max_body)
        return err_set(err, ERR_USAGE, "--max-inflight must not be less than --max-body");
    if (o->max_connections == 0 || o->max_connections > 1000000)
        return err_set(err, ERR_USAGE, "--max-connections: 1 to 1000000");
    if (o->queue == 0 || o->queue > 1000000)
        return err_set(err, ERR_USAGE, "--queue: 1 to 1000000");
    if (o->edge_retention_ns && (!o->retention_ns || o->edge_retention_ns < o->retention_ns))
        return err_set(err, ERR_USAGE, "--edge-retention must not be less than --retention");
    if (o->max_disk && o->max_disk < MAX_DISK_LEAST)
        return err_set(err, ERR_USAGE, "--max-disk: 0, or 256 MiB and more");
    if (o->max_memory && o->max_memory < MAX_MEMORY_LEAST)
        return err_set(err, ERR_USAGE, "--max-memory: 0, or 128 MiB and more");
    if (o->max_memory && o->max_memory / EXPORTS_PART < o->max_body)
        return err_set(err, ERR_USAGE, "--max-memory must be at least four times --max-body");
    if (!dialects_from_sv(sv_z(o->dialects_list), &o->dialects))
        return err_set(err, ERR_USAGE,
                       "--metrics-dialects: a list of istio, servicegraph, spanmetrics, kiali");
    if (o->series.max > SERIES_MOST)
        return err_set(err, ERR_USAGE, "--metrics-max-series: 0 to 10000000");
    if (o->series.idle_ns && o->series.idle_ns < METRICS_IDLE_LEAST)
        return err_set(err, ERR_USAGE, "--metrics-idle: 0, or 2m and more");
    if (o->latency_failing_ns && o->latency_failing_ns < o->latency_degraded_ns)
        return err_set(err, ERR_USAGE,
                       "--latency-failing must not be less than --latency-degraded");
    if (o->scrape_interval_ns < SCRAPE_LEAST || o->scrape_interval_ns > SCRAPE_MOST)
        return err_set(err, ERR_USAGE, "--scrape-interval: 1s to 20s");
    if (o->scrape[0] && o->open[0])
        return err_set(err, ERR_USAGE, "--open changes nothing, so there is nothing to --scrape");
    if (o->open[0] && o->store[0])
        return err_set(err, ERR_USAGE, "--open names the file, so --store must not be given");
    if (o->otlp_http_port && o->otlp_http_port == o->http_port)
        return err_set(err, ERR_USAGE, "--otlp-http-port and --http-port are the same");
    return 0;
}

static void share_memory(struct options *o)
{
    if (!o->max_memory)
        return;
    o->max_inflight = MIN(o->max_inflight, o->max_memory / EXPORTS_PART);
    o->store_memory = o->max_memory / STORE_PART;
    o->halves_max = (size_t)(o->max_memory / HALVES_PART / HALF_BYTES);
}

int options_parse(struct options *o, struct arena *mem, int argc, char **argv, struct err *err)
{
    int rc = flag_parse(&table, o, mem, argc, argv, NULL, err);
    if (rc != FLAG_RUN)
        return rc;
    rc = check(o, err);
    if (rc < 0)
        return rc;
    struct sv durability = sv_z(o->durability_name);
    o->durability = sv_eq(durability, SV("power"))  ? STORE_DURABILITY_POWER
                    : sv_eq(durability, SV("none")) ? STORE_DURABILITY_NONE
                                                    : STORE_DURABILITY_PROCESS;
    INVARIANT(log_level_from_sv(sv_z(o->log_level_name), &o->log_level)); /* a FLAG_CHOICE */
    o->keep = (struct store_keep){ .raw_ns = o->retention_ns,
                                   .edges_ns = o->edge_retention_ns,
                                   .disk_bytes = o->max_disk ? o->max_disk - LOG_BYTES : 0 };
    share_memory(o);
    o->limits = limits_for(o->max_body);
    return work_out_url(o, mem, err);
}
