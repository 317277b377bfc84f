/* prometheus.h - what /metrics tells, in any of the three forms. Any thread. */
#ifndef COLLECTOR_QUERY_PROMETHEUS_H
#define COLLECTOR_QUERY_PROMETHEUS_H

#include "aggregate/fold.h"
#include "base/tally.h"
#include "query/exposition.h"

/* tulle_edge_*: what each edge did since the process started. */
void prometheus_put_edges(struct fold *f, enum exposition_format format, struct buf *out);
/* istio_*, traces_*, kiali_ext_*: those that are on. Behind prometheus_put_edges(). */
void prometheus_put_dialects(struct fold *f, const struct fold_stats *stats,
                             enum exposition_format format, struct buf *out);
/* tulle_collector_*: what became of spans and calls, and what is held in memory. */
void prometheus_put_fold(const struct fold_stats *f, enum exposition_format format,
                         struct buf *out);
/* The program's own counters, as tally_write() has them. */
void prometheus_put_tallies(const struct tally_table *t, enum exposition_format format,
                            struct buf *out);
/* process_*, as Prometheus' own client libraries name them, and tulle_build_info. */
void prometheus_put_process(int64_t started_ns, enum exposition_format format, struct buf *out);

#endif
