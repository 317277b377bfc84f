/* dialects.h - the same requests under the names other tools ask for.
 *
 * Part of the fold, used under its lock. What each name means is in docs/metrics.md. */
#ifndef COLLECTOR_AGGREGATE_DIALECTS_H
#define COLLECTOR_AGGREGATE_DIALECTS_H

#include "aggregate/meter.h"
#include "model/batch.h"

enum dialect { /* a set of bits */
               DIALECT_ISTIO = 1,
               DIALECT_SERVICEGRAPH = 2,
               DIALECT_SPANMETRICS = 4,
               DIALECT_KIALI = 8
};
/* "istio,kiali" into a set; false when a name is none of them. */
bool dialects_from_sv(struct sv list, unsigned *ret_set);

enum meter_id {
    METER_ISTIO_HTTP,
    METER_ISTIO_TCP,
    METER_SERVICEGRAPH,
    METER_SPANMETRICS,  /* Tempo's */
    METER_SPAN_METRICS, /* the OpenTelemetry Collector's */
    METER_KIALI_HTTP,
    METER_KIALI_TCP,
    METERS_LEN
};
/* What of an edge's row went on to the meters that count each request once; one for a row. */
struct row_told {
    struct total n;
    struct total_server server;
};
struct dialects {
    unsigned set;
    struct meter meters[METERS_LEN];
    struct buf key; /* scratch */
    uint64_t lost;  /* not counted because memory was out */
};

void dialects_init(struct dialects *d, unsigned set, struct series_budget *b);
void dialects_done(struct dialects *d);
/* Which extras totals have to keep for the dialects that are on: enum totals_extra. */
unsigned dialects_extras(unsigned set);

/* One call on its edge, before it is added to the edge's totals; server_ns as totals_add(). */
void dialects_call(struct dialects *d, const struct known_edge *e, const struct call *c,
                   int64_t server_ns, int64_t now_ns);
/* Calls that a counter of one of the two sides tells of; who as fold_scraped(). */
void dialects_alike(struct dialects *d, const struct known_edge *e, const struct call *who,
                    const struct alike *a, int64_t now_ns);
/* Every span of a batch. */
void dialects_spans(struct dialects *d, const struct batch *b);
/* A row as it is shown now; what is new since *told is counted. */
void dialects_row(struct dialects *d, const struct edge *e, enum tls_state tls,
                  struct total_row *row, struct row_told *told, int64_t now_ns);
void dialects_expire(struct dialects *d, int64_t now_ns);

/* The dialects one by one; for dialects.c. */
extern const struct meter_kind istio_http_kind, istio_tcp_kind, servicegraph_kind, spanmetrics_kind,
    span_metrics_kind, kiali_http_kind, kiali_tcp_kind;
void istio_call(struct dialects *d, const struct known_edge *e, const struct call *c,
                int64_t server_ns, int64_t now_ns);
void istio_alike(struct dialects *d, const struct known_edge *e, const struct call *who,
                 const struct alike *a, int64_t now_ns);
void servicegraph_row(struct dialects *d, const struct edge *e, const struct total_row *row,
                      const struct row_told *told, int64_t now_ns);
void kiali_row(struct dialects *d, const struct edge *e, enum tls_state tls, struct total_row *row,
               const struct row_told *told, int64_t now_ns);

#endif
