/* api_metrics.c - /metrics: edges first, then the collector itself. */
#include "query/api.h"
#include "query/prometheus.h"

/* Megabytes, fetched every few seconds by one who is near: half the time for a quarter more bytes. */
enum { GZIP_QUICK = 1 };

void api_metrics(const struct api *api, struct query *q, struct answer *a)
{
    struct fold_stats stats;
    enum exposition_format format = exposition_wanted(q->accept);
    prometheus_put_edges(api->fold, format, &a->body);
    fold_get_stats(api->fold, &stats);
    prometheus_put_dialects(api->fold, &stats, format, &a->body);
    prometheus_put_fold(&stats, format, &a->body);
    if (api->tallies)
        prometheus_put_tallies(api->tallies, format, &a->body);
    prometheus_put_process(api->started_ns, format, &a->body);
    exposition_end(format, &a->body);
    a->gzip_level = GZIP_QUICK;
    a->content_type = exposition_content_type(format);
}
