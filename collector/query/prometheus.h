/* prometheus.h - families of /metrics, text format 0.0.4. */
#ifndef COLLECTOR_QUERY_PROMETHEUS_H
#define COLLECTOR_QUERY_PROMETHEUS_H

#include "aggregate/fold.h"
#include "base/buf.h"

/* tulle_edge_*: what each edge did since the process started. */
void prometheus_put_edges(struct fold *f, struct buf *out);
/* tulle_collector_*: what became of spans and calls, and what is held in memory. */
void prometheus_put_fold(const struct fold_stats *f, struct buf *out);
/* process_*, as Prometheus' own client libraries name them, and tulle_build_info. */
void prometheus_put_process(int64_t started_ns, struct buf *out);
/* text as a label value between its quotes: escaped, bad UTF-8 replaced by U+FFFD. */
void prometheus_put_label(struct buf *out, struct sv text);

#endif
