/* mesh_metric.h - what a series of Istio's or Linkerd's proxies says of an edge. Pure. */
#ifndef COLLECTOR_SCRAPE_MESH_METRIC_H
#define COLLECTOR_SCRAPE_MESH_METRIC_H

#include "model/call.h"
#include "scrape/prom_text.h"

enum mesh_count {
    MESH_REQUESTS,       /* requests, or connections opened */
    MESH_DURATIONS,      /* those that took at most bound_ns */
    MESH_DURATION_SUM,   /* in units of unit_ns */
    MESH_BYTES_RECEIVED, /* of requests */
    MESH_BYTES_SENT,     /* of responses */
};
struct mesh_metric {
    enum mesh_count count;
    bool is_calling;  /* told by the caller's side */
    double bound_ns;  /* MESH_DURATIONS; infinite in the last bucket */
    double unit_ns;   /* MESH_DURATION_SUM */
    struct call call; /* both ends, protocol, code, status, flags, TLS; no times */
};
/* own: whose endpoint it is, for Linkerd, which does not say; parts may be empty. False: this series
 * counts nothing on an edge. Text points into s and own. */
bool mesh_metric_of(const struct prom_sample *s, const struct identity *own,
                    struct mesh_metric *ret);

#endif
