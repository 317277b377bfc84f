/* SPDX-License-Identifier: Apache-2.0
 * telemetry.c - from finished exchanges to sealed batches.
 *
 * A record is encoded at once into the open batch of its signal, behind those of the same second,
 * because the exchange's text is gone a moment later and encoded bytes are the most compact way to
 * keep it. A batch is sealed (framed, compressed, given its key) when it is big or old enough, and
 * goes to the exporter. What is open and what waits in the exporter is one queue with one bound in
 * bytes; when that is reached, the newest record is the one dropped, because older ones may be in
 * flight already. Compressed batches are a tenth of their records, so the default of 8 MiB holds
 * some minutes of a busy sidecar while its collector is away. */
#include "proxy/telemetry/telemetry.h"
#include "base/clock.h"
#include "base/gzip_quick.h"
#include "base/mem.h"
#include "proxy/telemetry/access_log.h"
#include "proxy/telemetry/exporter.h"
#include "proxy/telemetry/istio_metrics.h"
#include "proxy/telemetry/open_batch.h"
#include "wire/trace_ctx.h"

#define SEAL_RECORDS 512
#define SEAL_BYTES   ((size_t)96 * 1024) /* with its copy it stays in the second-level cache */
#define FLUSH_NS     NS_PER_S
#define LOG_BYTES    ((size_t)256 * 1024)
#define BUSY_RECORDS 64 /* fewer in a batch: the memory for batches is given back */

struct telemetry {
    struct loop *loop;
    struct arena mem; /* copies of the configuration */
    struct collector_url url;
    struct sv resource; /* encoded once */
    size_t queue_bytes;
    int64_t flush_ns;
    struct access_log log;
    struct istio_metrics metrics;
    struct exporter *exporter; /* NULL: no collector */
    struct open_batch open[OTLP_SIGNALS_LEN];
    struct buf request, packed; /* of the batch being sealed; kept while busy */
    struct gzip_quick *gzip;    /* likewise; NULL between */
    struct timer flush, drain;
    telemetry_drained_fn *drained;
    void *drained_arg;
    int64_t drain_deadline_ns;
    struct telemetry_stats stats;
};

static void count(enum otlp_signal signal, uint64_t n, uint64_t *logs, uint64_t *spans)
{
    *(signal == OTLP_LOGS ? logs : spans) += n;
}

static bool is_empty(const struct telemetry *t)
{
    return !t->exporter || (exporter_is_empty(t->exporter) && !t->open[OTLP_LOGS].records &&
                            !t->open[OTLP_SPANS].records);
}

static size_t queued_bytes(const struct telemetry *t)
{
    return t->open[OTLP_LOGS].bytes + t->open[OTLP_SPANS].bytes +
           (t->exporter ? exporter_bytes(t->exporter) : 0);
}

static void on_fate(void *to, const struct batch_out *b, enum batch_fate fate)
{
    struct telemetry *t = to;
    struct telemetry_stats *s = &t->stats;
    if (fate == BATCH_RETRIED) {
        s->batches_retried++;
        return;
    }
    *(b->signal == OTLP_LOGS ? &s->queued_logs : &s->queued_spans) -= b->records;
    if (fate == BATCH_SENT) {
        s->batches_sent++;
        count(b->signal, b->records, &s->logs_sent, &s->spans_sent);
    } else {
        count(b->signal, b->records, &s->logs_refused, &s->spans_refused);
    }
    if (t->drained && is_empty(t))
        timer_after(&t->drain, 0);
}

static int pack(struct telemetry *t, enum otlp_signal signal)
{
    buf_clear(&t->request);
    buf_clear(&t->packed);
    open_batch_take(&t->open[signal], t->resource, &t->request);
    if (!t->gzip)
        t->gzip = gzip_quick_new();
    if (t->request.failed || !t->gzip)
        return ERR_NOMEM;
    return gzip_quick_write(t->gzip, buf_sv(&t->request), &t->packed, NULL);
}

static struct batch_out *make_batch(struct telemetry *t, enum otlp_signal signal, uint32_t records)
{
    struct batch_out *b = mem_zalloc(sizeof(*b));
    if (!b)
        return NULL;
    uint64_t random[2] = { random_u64(), random_u64() };
    hex_encode(b->key, (const uint8_t *)random, sizeof(random));
    b->signal = signal;
    b->records = records;
    if (pack(t, signal) < 0)
        return batch_out_free(b);
    buf_put(&b->body, buf_sv(&t->packed)); /* no bigger than it has to be: it may wait for long */
    return b->body.failed ? batch_out_free(b) : b;
}

static void give_back(struct telemetry *t)
{
    for (enum otlp_signal s = 0; s < OTLP_SIGNALS_LEN; s++)
        if (!t->open[s].records)
            open_batch_done(&t->open[s]);
    buf_done(&t->request);
    buf_done(&t->packed);
    t->gzip = gzip_quick_free(t->gzip);
}

static void seal(struct telemetry *t, enum otlp_signal signal)
{
    uint32_t records = t->open[signal].records;
    if (!records)
        return;
    struct batch_out *b = make_batch(t, signal, records);
    if (!b) {
        open_batch_done(&t->open[signal]);
        count(signal, records, &t->stats.logs_dropped, &t->stats.spans_dropped);
        *(signal == OTLP_LOGS ? &t->stats.queued_logs : &t->stats.queued_spans) -= records;
    } else {
        exporter_push(t->exporter, b);
    }
    if (records < BUSY_RECORDS)
        give_back(t);
}

void telemetry_flush(struct telemetry *t)
{
    timer_stop(&t->flush);
    for (enum otlp_signal s = 0; s < OTLP_SIGNALS_LEN; s++)
        seal(t, s);
}

static void on_flush(struct timer *timer)
{
    telemetry_flush(CONTAINER_OF(timer, struct telemetry, flush));
}

static void add(struct telemetry *t, enum otlp_signal signal, const struct exchange *x)
{
    struct open_batch *open = &t->open[signal];
    size_t queued = queued_bytes(t);
    if (queued >= t->queue_bytes ||
        !open_batch_add(open, signal, x, open->bytes + t->queue_bytes - queued)) {
        count(signal, 1, &t->stats.logs_dropped, &t->stats.spans_dropped);
        return;
    }
    *(signal == OTLP_LOGS ? &t->stats.queued_logs : &t->stats.queued_spans) += 1;
    if (open->records >= SEAL_RECORDS || open->bytes >= SEAL_BYTES)
        seal(t, signal);
    else if (!timer_is_set(&t->flush))
        timer_after(&t->flush, t->flush_ns);
}

void telemetry_count(struct telemetry *t, const struct exchange *x)
{
    istio_metrics_add(&t->metrics, x, loop_now_ns(t->loop));
}

void telemetry_count_messages(struct telemetry *t, const struct exchange *x)
{
    istio_metrics_add_messages(&t->metrics, x, loop_now_ns(t->loop));
}

void telemetry_tell(struct telemetry *t, const struct exchange *x)
{
    t->stats.records++;
    if (call_has_end(&x->call))
        access_log_add(&t->log, x);
    if (!t->exporter)
        return;
    add(t, OTLP_LOGS, x);
    if (x->is_sampled && !x->is_span_silent && trace_id_is_set(x->call.trace_id))
        add(t, OTLP_SPANS, x);
}

void telemetry_record(struct telemetry *t, const struct exchange *x)
{
    telemetry_count(t, x);
    telemetry_tell(t, x);
}

static void on_drain(struct timer *timer)
{
    struct telemetry *t = CONTAINER_OF(timer, struct telemetry, drain);
    bool all_gone = is_empty(t);
    if (!all_gone && loop_now_ns(t->loop) < t->drain_deadline_ns) {
        timer_set(&t->drain, t->drain_deadline_ns);
        return;
    }
    telemetry_drained_fn *done = TAKE(t->drained);
    if (done)
        done(t->drained_arg, all_gone);
}

void telemetry_drain(struct telemetry *t, int64_t deadline_ns, telemetry_drained_fn *done,
                     void *arg)
{
    t->drained = done;
    t->drained_arg = arg;
    t->drain_deadline_ns = deadline_ns;
    if (t->exporter)
        exporter_hurry(t->exporter);
    telemetry_flush(t);
    if (is_empty(t))
        timer_after(&t->drain, 0);
    else
        timer_set(&t->drain, deadline_ns);
}

static int set_format(struct telemetry *t, const struct telemetry_conf *conf, struct err *err)
{
    struct sv text = sv_z(conf->access_log_format);
    t->log.status_min = conf->access_log_from;
    if (!text.len || sv_eq(text, SV("json")))
        return 0;
    if (sv_eq(text, SV("text")))
        text = sv_z(log_format_istio);
    else if (sv_index(text, '%') == text.len)
        return err_set(err, ERR_USAGE, "access log format: expected json, text, or a text with %%");
    int rc = log_format_compile(text, &t->mem, &t->log.format, err);
    if (rc < 0)
        err_context(err, "access log format");
    return rc;
}

static int set_up(struct telemetry *t, const struct telemetry_conf *conf, struct err *err)
{
    AUTO_DONE(buf) resource = { 0 };
    struct sv url = arena_copy(&t->mem, sv_z(conf->collector_url));
    otlp_put_resource(&resource,
                      &(struct otlp_resource){ .self = conf->self,
                                               .pod = conf->pod,
                                               .service_account = conf->service_account });
    t->resource = arena_copy(&t->mem, buf_sv(&resource));
    if (!url.p || resource.failed || !t->resource.p)
        return err_set(err, ERR_NOMEM, "telemetry");
    int rc = set_format(t, conf, err);
    if (rc < 0 || !url.len)
        return rc;
    rc = collector_url_parse(url, &t->url, err);
    if (rc < 0)
        return rc;
    t->exporter = exporter_new(t->loop, &t->url, on_fate, t, err);
    return t->exporter ? 0 : ERR_NOMEM;
}

struct telemetry *telemetry_new(struct loop *loop, const struct telemetry_conf *conf,
                                struct err *err)
{
    struct telemetry *t = mem_zalloc(sizeof(*t));
    if (!t) {
        err_set(err, ERR_NOMEM, "telemetry");
        return NULL;
    }
    t->loop = loop;
    t->queue_bytes = conf->queue_bytes ? conf->queue_bytes : TELEMETRY_QUEUE_BYTES;
    t->flush_ns = conf->flush_ns ? conf->flush_ns : FLUSH_NS;
    timer_init(&t->flush, loop, on_flush);
    timer_init(&t->drain, loop, on_drain);
    istio_metrics_init(&t->metrics, conf->metrics_series, conf->metrics_expiry_ns);
    access_log_init(&t->log, loop, conf->access_log_fd,
                    conf->access_log_bytes ? conf->access_log_bytes : LOG_BYTES);
    return set_up(t, conf, err) < 0 ? telemetry_free(t) : t;
}

struct telemetry *telemetry_free(struct telemetry *t)
{
    if (!t)
        return NULL;
    timer_stop(&t->flush);
    timer_stop(&t->drain);
    access_log_done(&t->log);
    istio_metrics_done(&t->metrics);
    exporter_free(t->exporter);
    for (enum otlp_signal s = 0; s < OTLP_SIGNALS_LEN; s++)
        t->open[s].records = 0;
    give_back(t);
    arena_done(&t->mem);
    mem_free(t);
    return NULL;
}

struct telemetry_stats telemetry_stats(const struct telemetry *t)
{
    struct telemetry_stats s = t->stats;
    s.queued_bytes = queued_bytes(t);
    s.lines_written = t->log.lines_written;
    s.lines_dropped = t->log.lines_dropped;
    s.series = t->metrics.rows.len;
    s.series_expired = t->metrics.expired;
    s.series_overflowed = t->metrics.overflowed;
    s.series_lost = t->metrics.lost;
    return s;
}

void telemetry_write_metrics(struct telemetry *t, struct buf *to)
{
    istio_metrics_write(&t->metrics, loop_now_ns(t->loop), to);
}
