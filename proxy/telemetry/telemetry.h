/* telemetry.h - what this proxy tells the world about the requests it carried.
 *
 * Four outputs for each finished exchange: Istio's metrics, a line of JSON access log (Istio's 24 keys), an access
 * record (OTLP log, include/wire/access_attrs.def) and, when sampled, a span (OTLP trace). Records
 * and spans are encoded at once into the pending batch, compressed and POSTed to the collector on
 * the same loop, again and again until it acknowledges; the queue is bounded in bytes and what does
 * not fit is dropped and counted. Nothing here ever blocks a request. One thread: the loop's. */
#ifndef PROXY_TELEMETRY_TELEMETRY_H
#define PROXY_TELEMETRY_TELEMETRY_H

#include "base/buf.h"
#include "base/err.h"
#include "model/identity.h"
#include "proxy/telemetry/exchange.h"

struct loop;
struct telemetry;

struct telemetry_conf {
    const char *collector_url;     /* "http://HOST:PORT[/prefix]"; NULL or "": records go nowhere */
    struct identity self;          /* resource of every record; copied */
    struct sv service_account;     /* copied; may be empty */
    struct sv pod;                 /* copied; may be empty */
    size_t queue_bytes;            /* encoded, waiting or in flight; 0: TELEMETRY_QUEUE_BYTES */
    int64_t flush_ns;              /* longest wait of a record before it is sent; 0: 1 s */
    int access_log_fd;             /* borrowed, its flags stay as they are; -1: no access log */
    size_t access_log_bytes;       /* buffered before lines are dropped; 0: 256 KiB */
    const char *access_log_format; /* "json" (NULL: this), "text", or a format string */
    unsigned access_log_from;  /* only requests answered with this status or more, or not at all */
    uint64_t metrics_series;   /* label sets of Istio's metrics; 0: none are kept */
    int64_t metrics_expiry_ns; /* a series not used for so long goes; 0: never */
};
#define TELEMETRY_QUEUE_BYTES ((size_t)8 * 1024 * 1024)

/* Gives; borrows the loop, which must outlive it. ERR_USAGE for a collector URL that is none. */
struct telemetry *telemetry_new(struct loop *loop, const struct telemetry_conf *conf,
                                struct err *err) MUST_USE;
/* Takes; what is still queued is lost: drain before. */
struct telemetry *telemetry_free(struct telemetry *t);

/* Copies all it needs out of x. Never blocks, never fails: what cannot be kept is counted. */
void telemetry_record(struct telemetry *t, const struct exchange *x);
/* Its two halves, for connections that are told of in parts (call.part): Istio's metrics, and the
 * record with, at the end, the line. */
void telemetry_count(struct telemetry *t, const struct exchange *x);
void telemetry_tell(struct telemetry *t, const struct exchange *x);
/* Messages of a call of gRPC that goes on: Istio's metrics of them, nothing else. */
void telemetry_count_messages(struct telemetry *t, const struct exchange *x);
/* Sends what is pending now instead of at the next tick. */
void telemetry_flush(struct telemetry *t);

typedef void telemetry_drained_fn(void *arg, bool is_empty);
/* Shutdown: flushes and calls done once, from the loop, when all is acknowledged or deadline_ns
 * (monotonic, clock_mono_ns()) has passed. Records that come meanwhile are still taken. */
void telemetry_drain(struct telemetry *t, int64_t deadline_ns, telemetry_drained_fn *done,
                     void *arg);

struct telemetry_stats {
    uint64_t records;                                 /* exchanges recorded */
    uint64_t logs_sent, spans_sent;                   /* acknowledged by the collector */
    uint64_t logs_dropped, spans_dropped;             /* the queue was full */
    uint64_t logs_refused, spans_refused;             /* the collector said 4xx: never again */
    uint64_t batches_sent, batches_retried;           /* requests acknowledged / repeated */
    uint64_t queued_bytes, queued_logs, queued_spans; /* gauges */
    uint64_t lines_written, lines_dropped;            /* access log */
    uint64_t series, series_expired;                  /* of Istio's metrics; a gauge, a counter */
    uint64_t series_overflowed, series_lost; /* requests beyond the budget; without memory */
};
/* Istio's metrics of what was recorded, in Prometheus' text format. */
void telemetry_write_metrics(struct telemetry *t, struct buf *to);
struct telemetry_stats telemetry_stats(const struct telemetry *t);

#endif
