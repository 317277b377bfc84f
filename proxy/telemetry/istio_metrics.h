/* istio_metrics.h - Istio's standard metrics of the requests and connections this proxy carried.
 *
 * A series for each set of Istio's 25 labels (messages of gRPC have the 20 of who calls whom), up to a budget; what comes beyond it counts on one
 * series of its reporter and protocol whose names are "other", so that totals stay true. A series that was
 * not used for the expiry time goes, and so makes room. All exchanges are one proxy's: on its own side
 * the identity is always the same. One thread. */
#ifndef PROXY_TELEMETRY_ISTIO_METRICS_H
#define PROXY_TELEMETRY_ISTIO_METRICS_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "proxy/telemetry/exchange.h"

#define ISTIO_REPORTERS 2                   /* source, destination */
#define ISTIO_OTHERS    (PROTOCOLS_LEN + 1) /* requests or connections of each, and messages of gRPC */

struct istio_row;
struct istio_metrics {
    struct map rows;  /* key to struct istio_row */
    struct list list; /* the same in order of their first request */
    struct istio_row *other[ISTIO_REPORTERS][ISTIO_OTHERS];
    struct buf key;
    uint64_t max; /* series; 0: nothing is counted at all */
    int64_t expiry_ns, swept_ns;
    uint64_t expired;    /* series that went */
    uint64_t overflowed; /* requests counted on "other" */
    uint64_t lost;       /* requests not counted: no memory */
};

void istio_metrics_init(struct istio_metrics *m, uint64_t max, int64_t expiry_ns);
void istio_metrics_done(struct istio_metrics *m);
void istio_metrics_add(struct istio_metrics *m, const struct exchange *x, int64_t now_ns);
/* Only the messages of x, which goes on; istio_metrics_add() does it too. */
void istio_metrics_add_messages(struct istio_metrics *m, const struct exchange *x, int64_t now_ns);
/* Prometheus' text format 0.0.4, without what has expired. */
void istio_metrics_write(struct istio_metrics *m, int64_t now_ns, struct buf *to);

#endif
