/* options.h - what the collector can be told, and the limits that follow from it. */
#ifndef COLLECTOR_OPTIONS_H
#define COLLECTOR_OPTIONS_H

#include "aggregate/dialects.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "model/limits.h"
#include "store/store.h"

struct options {
    /* as given */
    const char *data, *store, *open, *durability_name, *listen, *log_level_name, *dialects_list;
    bool is_check;
    uint16_t otlp_http_port, http_port, grpc_port, zipkin_port, thrift_port;
    uint64_t max_body, max_inflight, max_connections, queue;
    int64_t drain_ns, retention_ns, edge_retention_ns;
    uint64_t max_disk, max_memory;
    struct series_conf series;
    int64_t latency_degraded_ns, latency_failing_ns;
    const char *webhook, *scrape;
    int64_t scrape_interval_ns;
    /* worked out */
    struct sv store_url; /* in the arena */
    enum store_durability durability;
    enum log_level log_level;
    struct limits limits;
    struct store_keep keep;
    uint64_t store_memory; /* 0: as it comes, likewise halves_max */
    size_t halves_max;
    unsigned dialects; /* a set of enum dialect */
};

/* FLAG_RUN, FLAG_EXIT, or an error as flag_parse(); also ERR_USAGE when options contradict each
 * other. Text lives in mem or argv. */
int options_parse(struct options *o, struct arena *mem, int argc, char **argv, struct err *err)
    MUST_USE;

#endif
