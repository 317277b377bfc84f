/* api_metrics.c - /metrics: edges first, then the collector itself. */
#include "query/api.h"
#include "query/prometheus.h"

void api_metrics(const struct api *api, struct query *q, struct answer *a)
{
    struct fold_stats stats;
    (void)q;
    fold_get_stats(api->fold, &stats);
    prometheus_put_edges(api->fold, &a->body);
    prometheus_put_fold(&stats, &a->body);
    if (api->tallies)
        tally_write(api->tallies, &a->body);
    prometheus_put_process(api->started_ns, &a->body);
    a->content_type = "text/plain; version=0.0.4; charset=utf-8";
}
