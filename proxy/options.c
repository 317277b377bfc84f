/* options.c - the options of tulle-proxy as rows, and the checks between them. */
#include "proxy/options.h"
#include "base/flag.h"
#include <unistd.h>

/* Each is 64 KiB of a scrape, which is made in memory and in one turn of the loop. */
#define SERIES_MAX 2000
#define OFF(field) offsetof(struct options, field)

/* clang-format off */
static const struct flag rows[] = {
    { "role",              FLAG_CHOICE, OFF(role),                 "sidecar",       "beside one workload, or the way into the mesh", "sidecar|gateway" },
    { "config",            FLAG_STR,    OFF(config),               "",              "folder of Kubernetes-format YAML: Service, VirtualService, ...", NULL },
    { "certs",             FLAG_STR,    OFF(certs),                "",              "folder with cert-chain.pem, key.pem, root-cert.pem (or tls.crt, tls.key, ca.crt); empty: plaintext only", NULL },
    { "collector",         FLAG_STR,    OFF(collector),            "",              "URL that gets access records and spans, http://HOST:4318; empty: nobody", NULL },
    { "workload",          FLAG_STR,    OFF(workload),             "unknown",       "name of the workload (Deployment)", NULL },
    { "namespace",         FLAG_STR,    OFF(namespace),            "default",       "its namespace", NULL },
    { "service-account",   FLAG_STR,    OFF(service_account),      "default",       "its service account", NULL },
    { "service",           FLAG_STR,    OFF(service),              "",              "canonical service; empty: from the workload's Pod, else the workload name", NULL },
    { "version-label",     FLAG_STR,    OFF(version),              "",              "canonical revision; empty: from the workload's Pod, else latest", NULL },
    { "cluster",           FLAG_STR,    OFF(cluster),              "Kubernetes",    "name of the cluster", NULL },
    { "pod",               FLAG_STR,    OFF(pod),                  "",              "pod name; empty: the workload name", NULL },
    { "labels",            FLAG_STR,    OFF(labels),               "",              "own labels, app=x,version=v1; empty: from the workload's Pod", NULL },
    { "trust-domain",      FLAG_STR,    OFF(trust_domain),         "cluster.local", "trust domain of SPIFFE ids", NULL },
    { "trust-domain-aliases", FLAG_STR, OFF(trust_domain_aliases), "",              "former names of it, a,b: peers of these are let in and mean the same to policies; of others nobody is then", NULL },
    { "listen",            FLAG_STR,    OFF(listen),               "127.0.0.1",     "address of every port", NULL },
    { "outbound-port",     FLAG_PORT,   OFF(outbound_port),        "15001",         "where the application sends its requests; 0 turns a port off", NULL },
    { "inbound-port",      FLAG_PORT,   OFF(inbound_port),         "15006",         "where requests for the application arrive", NULL },
    { "tcp-listen",        FLAG_STR,    OFF(tcp_listen),           "",              "ports for what is no HTTP, PORT=HOST:PORT,...: what connects to PORT goes to that Service's port", NULL },
    { "intercept",         FLAG_CHOICE, OFF(intercept_name),       "none",          "connections were taken over by the rules of tulle-proxy init: where they were going decides", "none|redirect|tproxy" },
    { "outbound-traffic-policy", FLAG_CHOICE, OFF(outbound_policy), "ALLOW_ANY",    "connections that were taken over and go to nobody we know: pass them on, or refuse them", "ALLOW_ANY|REGISTRY_ONLY" },
    { "ingress-http-port", FLAG_PORT,  OFF(ingress_http_port),  "80",            "gateway: where Ingresses are served, if there are any", NULL },
    { "ingress-https-port", FLAG_PORT, OFF(ingress_https_port), "443",           "gateway: where those with tls are", NULL },
    { "ingress-class",     FLAG_STR,    OFF(ingress_class),        "",              "gateway: serve only Ingresses of this class; empty: every one", NULL },
    { "gateway-class",     FLAG_STR,    OFF(gateway_class),        "",              "gateway: serve only the Gateway API's Gateways of this class; empty: every one", NULL },
    { "secrets",           FLAG_STR,    OFF(secrets),              "",              "gateway: folder of mounted Secrets, NAMESPACE/NAME/tls.crt and tls.key", NULL },
    { "admin-port",        FLAG_PORT,   OFF(admin_port),           "15000",         "for operators: / lists the pages", NULL },
    { "readiness-port",    FLAG_PORT,   OFF(readiness_port),       "15021",         "/healthz/ready", NULL },
    { "prometheus-port",   FLAG_PORT,   OFF(prometheus_port),      "15090",         "/stats/prometheus", NULL },
    { "app",               FLAG_STR,    OFF(app),                  "127.0.0.1:8080","HOST:PORT of the application", NULL },
    { "access-log",        FLAG_STR,    OFF(access_log),           "-",             "access log: a file, - for stdout, none", NULL },
    { "access-log-format", FLAG_STR,    OFF(access_log_format),    "json",          "json, text (both Istio's), or Envoy's operators: '%REQ(:METHOD)% %RESPONSE_CODE%'", NULL },
    { "access-log-from",   FLAG_UINT,   OFF(access_log_from),      "0",             "lines only for requests answered with this status or more, or not at all: 400", NULL },
    { "trace-sampling",    FLAG_DOUBLE, OFF(trace_sampling),       "100",           "percent of the traces begun here that send spans; records are always sent", NULL },
    { "metrics-series",    FLAG_UINT,   OFF(metrics_series),       "300",           "label sets of Istio's metrics; what comes beyond them counts as one named other; 0: no such metrics", NULL },
    { "metrics-expiry",    FLAG_NSEC,   OFF(metrics_expiry_ns),    "1h",            "a label set not used for this long goes; 0s: never", NULL },
    { "tcp-report-interval", FLAG_NSEC, OFF(tcp_report_ns),        "15s",           "how often a connection that is no HTTP, and messages of a call of gRPC, are told of while it lives, if any moved; 0s: when it ends", NULL },
    { "xff-trusted-hops",  FLAG_UINT,   OFF(xff_hops),             "0",             "gateway: proxies in front whose X-Forwarded-For is believed; 0: the peer is the caller", NULL },
    { "dns-refresh",       FLAG_NSEC,   OFF(dns_refresh_ns),       "30s",           "how often host names of ServiceEntries are looked up anew", NULL },
    { "connect-timeout",   FLAG_NSEC,   OFF(connect_timeout_ns),   "10s",           "to connect upstream, TLS included, when the configuration names none", NULL },
    { "handshake-timeout", FLAG_NSEC,   OFF(handshake_timeout_ns), "10s",           "for a caller's TLS handshake", NULL },
    { "protocol-detection-timeout", FLAG_NSEC, OFF(detection_timeout_ns), "500ms", "for a caller's first bytes where they decide what it speaks; silence is a protocol in which the server begins", NULL },
    { "head-timeout",      FLAG_NSEC,   OFF(head_timeout_ns),      "60s",           "for a caller to send a request's head", NULL },
    { "idle-timeout",      FLAG_NSEC,   OFF(idle_ns),              "1h",            "of a caller's connection between requests", NULL },
    { "upstream-idle-timeout", FLAG_NSEC, OFF(upstream_idle_ns),   "60s",           "of an upstream connection between requests", NULL },
    { "stream-idle-timeout",   FLAG_NSEC, OFF(stream_idle_ns),     "5m",            "of a request in which no byte moves; 0s: never", NULL },
    { "drain-timeout",     FLAG_NSEC,   OFF(drain_ns),             "5s",            "for requests in flight after SIGTERM", NULL },
    { "status-port",       FLAG_PORT,   OFF(status_port),          "0",             "/app-health/..., /healthz/ready, POST /quitquitquit; 15020 in injected Pods", NULL },
    { "app-probers",       FLAG_STR,    OFF(app_probers),          "",              "JSON: the application's own probes by path, as Istio's injector writes them", NULL },
    { "exit-with-app",     FLAG_BOOL,   OFF(exit_with_app),        "false",         "end when no other process is left in the Pod's process namespace", NULL },
    { "drain-waits-for-app", FLAG_BOOL, OFF(waits_for_app),        "false",         "after SIGTERM, serve the application's calls until its port is closed, or --drain-timeout is over", NULL },
    { "handover",          FLAG_STR,    OFF(handover),             "",              "Unix socket where a new process takes the ports over from the old one; empty: no hand-over", NULL },
    { "handover-timeout",  FLAG_NSEC,   OFF(handover_ns),          "10m",           "for requests in flight in the old process after a hand-over", NULL },
    { "reload-interval",   FLAG_NSEC,   OFF(reload_interval_ns),   "500ms",         "how often --config, --certs and --secrets are looked at for changes; 0s: only on SIGHUP", NULL },
    { "max-head",          FLAG_BYTES,  OFF(max_head),             "60KiB",         "largest request or response head", NULL },
    { "max-connections",   FLAG_UINT,   OFF(max_connections),      "16384",         "callers' connections a port", NULL },
    { "max-upstream",      FLAG_UINT,   OFF(max_upstream),         "1024",          "connections to one endpoint", NULL },
    { "telemetry-queue",   FLAG_BYTES,  OFF(telemetry_queue),      "8MiB",          "telemetry waiting for the collector; beyond it is dropped and counted", NULL },
    { "log-level",         FLAG_CHOICE, OFF(log_level_name),       "info",          "of the log on stderr", "error|warn|info|debug" },
};
/* clang-format on */

static const struct flag_table table = {
    .program = "tulle-proxy",
    .summary = "a service mesh's sidecar and gateway: mutual TLS, routes, telemetry",
    .rows = rows,
    .len = NELEMS(rows),
};

static int check(struct options *o, struct err *err)
{
    o->is_gateway = strcmp(o->role, "gateway") == 0;
    if (addr_parse_host_port(sv_z(o->app), &o->app_addr, err) < 0) {
        err_context(err, "--app");
        return ERR_USAGE;
    }
    struct addr unused;
    if (addr_parse(sv_z(o->listen), 1, &unused, err) < 0) {
        err_context(err, "--listen");
        return ERR_USAGE;
    }
    if (o->detection_timeout_ns <= 0)
        return err_set(err, ERR_USAGE,
                       "--protocol-detection-timeout must not be 0: where the server "
                       "speaks first, both sides would wait for ever");
    o->intercept = strcmp(o->intercept_name, "redirect") == 0 ? INTERCEPT_REDIRECT
                   : strcmp(o->intercept_name, "tproxy") == 0 ? INTERCEPT_TPROXY
                                                              : INTERCEPT_NONE;
    o->ports_listen = o->intercept == INTERCEPT_NONE            ? o->listen
                      : access("/proc/net/if_inet6", F_OK) == 0 ? "::"
                                                                : "0.0.0.0";
    o->allows_any = strcmp(o->outbound_policy, "ALLOW_ANY") == 0;
    if (o->is_gateway && (o->intercept || o->tcp_listen[0]))
        return err_set(err, ERR_USAGE, "--intercept and --tcp-listen are a sidecar's");
    if (o->max_head < 1024 || o->max_head > 1024 * 1024)
        return err_set(err, ERR_USAGE, "--max-head: %llu, want 1KiB to 1MiB",
                       (unsigned long long)o->max_head);
    if (o->max_connections == 0 || o->max_upstream == 0)
        return err_set(err, ERR_USAGE, "--max-connections and --max-upstream must not be 0");
    if (o->dns_refresh_ns < NS_PER_S)
        return err_set(err, ERR_USAGE, "--dns-refresh: want 1s or more");
    if (o->access_log_from > 999)
        return err_set(err, ERR_USAGE, "--access-log-from: want a status, 0 to 999");
    if (o->metrics_series > SERIES_MAX)
        return err_set(err, ERR_USAGE, "--metrics-series: want 0 to %d", SERIES_MAX);
    if (!(o->trace_sampling >= 0 && o->trace_sampling <= 100))
        return err_set(err, ERR_USAGE, "--trace-sampling: want 0 to 100");
    (void)log_level_from_sv(sv_z(o->log_level_name), &o->log_level);
    return 0;
}

int options_parse(struct options *o, struct arena *mem, int argc, char **argv, struct err *err)
{
    int rc = flag_parse(&table, o, mem, argc, argv, NULL, err);
    if (rc != FLAG_RUN)
        return rc;
    rc = check(o, err);
    return rc < 0 ? rc : FLAG_RUN;
}
