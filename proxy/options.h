/* options.h - what tulle-proxy was told to do. */
#ifndef PROXY_OPTIONS_H
#define PROXY_OPTIONS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "net/addr.h"

enum intercept { INTERCEPT_NONE, INTERCEPT_REDIRECT, INTERCEPT_TPROXY };

struct options {
    const char *config, *certs, *collector, *role;
    const char *workload, *namespace, *service_account, *service, *version, *cluster, *trust_domain;
    const char *trust_domain_aliases; /* "a,b" */
    const char *pod, *labels;
    const char *listen, *app, *access_log, *log_level_name;
    const char *handover, *app_probers;
    uint16_t status_port;
    bool exit_with_app, waits_for_app;
    const char *secrets, *ingress_class, *gateway_class;
    const char *tcp_listen, *intercept_name, *outbound_policy;
    uint16_t ingress_http_port, ingress_https_port;
    uint16_t outbound_port, inbound_port, admin_port, readiness_port, prometheus_port;
    int64_t connect_timeout_ns, handshake_timeout_ns, head_timeout_ns;
    int64_t detection_timeout_ns;
    int64_t idle_ns, upstream_idle_ns, stream_idle_ns, drain_ns, handover_ns, reload_interval_ns;
    uint64_t max_head, max_connections, max_upstream, telemetry_queue;
    double trace_sampling;
    const char *access_log_format;
    uint64_t access_log_from;
    uint64_t xff_hops;
    int64_t dns_refresh_ns;
    uint64_t metrics_series;
    int64_t metrics_expiry_ns, tcp_report_ns;

    /* worked out from the above */
    bool is_gateway;
    enum intercept intercept;
    const char
        *ports_listen; /* address of the ports for callers: --listen, any when intercepting */
    bool allows_any;   /* connections that were taken over may leave for addresses nobody knows */
    struct addr app_addr;
    enum log_level log_level;
};

/* FLAG_RUN, FLAG_EXIT, or a negative code with err. */
int options_parse(struct options *o, struct arena *mem, int argc, char **argv, struct err *err)
    MUST_USE;

#endif
