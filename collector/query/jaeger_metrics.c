/* jaeger_metrics.c - the routes under /api/metrics: what Jaeger's Monitor page draws: rates, errors and latencies of
 * services over time.
 *
 * Jaeger asks Prometheus for sums over a sliding window (ratePer) at every step. Here every step's
 * numbers are read once, and a point adds up the steps of its window; histograms merge, so a
 * quantile is that of all requests in the window. Steps are whole tens of seconds, at most
 * POINTS_MAX of them.
 *
 * Services are counted from edges: a server's requests are those that come in, a client's those that go
 * out. Operations are not counted at ingest; they are taken from the stored spans, the newest
 * TRACES_MAX traces of the service in the window. Where there are more, the points before the oldest
 * of them are left out, so that what is shown is complete. */
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "query/jaeger.h"
#include <math.h>

enum {
    POINTS_MAX = 720,     /* two hours of steps of 10 s */
    SERVICES_MAX = 32,    /* the page asks for one */
    SERIES_MAX = 200,     /* operations shown */
    TRACES_MAX = 1500,    /* as many as any search gives */
    RATE_STEPS_MAX = 120, /* steps that a point adds up */
};
#define LOOKBACK_MAX_NS (48 * 3600 * NS_PER_S) /* the longest that the page offers */
#define STEP_MIN_NS     BUCKET_NS

struct asked {
    struct sv services[SERVICES_MAX];
    size_t services_len;
    bool by_operation;
    uint32_t kinds; /* a bit 1 << enum span_kind each */
    double quantile;
    int64_t now_ns, end_ns, step_ns;
    size_t points, rate_steps; /* steps shown, steps that a point adds up */
};
/* What one step of a series did. */
struct tick {
    uint64_t calls, errors;
    struct hist latency;
};
struct series {
    struct sv service, operation;
    struct tick *ticks; /* points + rate_steps of them, oldest first */
};
struct table {
    struct arena mem;
    struct map by_name;
    struct series *list[SERIES_MAX];
    size_t len, ticks_len;
    int64_t from_ns;  /* start of the first tick */
    int64_t known_ns; /* before it, nothing is known */
    bool is_out_of_memory;
};
enum metric { METRIC_LATENCIES, METRIC_CALLS, METRIC_ERRORS };

static void table_done(struct table *t)
{
    for (size_t i = 0; i < t->len; i++)
        for (size_t k = 0; k < t->ticks_len; k++)
            hist_done(&t->list[i]->ticks[k].latency);
    map_done(&t->by_name);
    arena_done(&t->mem);
}
DEFINE_AUTO_DONE(table);

static int read_kinds(struct params *p, uint32_t *ret_kinds)
{
    *ret_kinds = 0;
    for (size_t i = 0; i < p->len; i++) {
        bool is_known = false;
        if (!sv_eq(p->list[i].name, SV("spanKind")) || !p->list[i].value.len)
            continue;
        for (int k = SPAN_KIND_UNSPECIFIED; k <= SPAN_KIND_CONSUMER; k++)
            if (sv_eq_nocase(p->list[i].value, sv_z(span_kind_name((enum span_kind)k)))) {
                *ret_kinds |= UINT32_C(1) << k;
                is_known = true;
            }
        if (!is_known)
            return params_fault(p, "spanKind", "unsupported span kind: '%.*s'",
                                SV_ARG(sv_sub(p->list[i].value, 0, 64)));
    }
    if (!*ret_kinds)
        *ret_kinds = UINT32_C(1) << SPAN_KIND_SERVER;
    return 0;
}

static int read_services(struct params *p, struct asked *a)
{
    for (size_t i = 0; i < p->len; i++)
        if (sv_eq(p->list[i].name, SV("service")) && p->list[i].value.len) {
            if (a->services_len == SERVICES_MAX)
                return params_fault(p, "service", "more than %d service names", SERVICES_MAX);
            a->services[a->services_len++] = p->list[i].value;
        }
    if (a->services_len == 0)
        return params_fault(p, "service", "please provide at least one service name");
    return 0;
}

static int read_quantile(struct params *p, double *ret_q)
{
    struct sv text;
    if (!jaeger_get(p, "quantile", &text))
        return params_fault(p, "quantile", "missing");
    return params_number(p, "quantile", 0, 1, ret_q);
}

static int read_times(struct params *p, struct asked *a)
{
    int64_t lookback_ns = 3600 * NS_PER_S, rate_ns = 600 * NS_PER_S;
    a->now_ns = a->end_ns = p->now_ns;
    a->step_ns = 5 * NS_PER_S;
    if (jaeger_time(p, "endTs", NS_PER_MS, &a->end_ns) < 0 ||
        jaeger_time(p, "lookback", NS_PER_MS, &lookback_ns) < 0 ||
        jaeger_time(p, "step", NS_PER_MS, &a->step_ns) < 0 ||
        jaeger_time(p, "ratePer", NS_PER_MS, &rate_ns) < 0)
        return -1;
    a->end_ns = MIN(a->end_ns, window_align_up(p->now_ns, BUCKET_NS));
    lookback_ns = MIN(lookback_ns, LOOKBACK_MAX_NS);
    a->step_ns = MAX(MIN(a->step_ns, LOOKBACK_MAX_NS), lookback_ns / POINTS_MAX);
    a->step_ns = window_align_up(MAX(a->step_ns, STEP_MIN_NS), STEP_MIN_NS);
    rate_ns = MIN(rate_ns, RATE_STEPS_MAX * a->step_ns);
    a->points = (size_t)(lookback_ns / a->step_ns) + 1;
    a->rate_steps = (size_t)MAX(window_align_up(rate_ns, a->step_ns) / a->step_ns, 1);
    a->end_ns = MAX(window_align_up(a->end_ns, BUCKET_NS),
                    (int64_t)(a->points + a->rate_steps) * a->step_ns);
    return 0;
}

static int read_request(struct params *p, enum metric m, struct asked *a)
{
    *a = (struct asked){ 0 };
    return read_services(p, a) < 0 ||
                   (m == METRIC_LATENCIES && read_quantile(p, &a->quantile) < 0) ||
                   jaeger_bool(p, "groupByOperation", &a->by_operation) < 0 ||
                   read_kinds(p, &a->kinds) < 0 || read_times(p, a) < 0
               ? -1
               : 0;
}

static bool is_asked(const struct asked *a, struct sv service)
{
    for (size_t i = 0; i < a->services_len; i++)
        if (sv_eq(a->services[i], service))
            return true;
    return false;
}

/* NULL past SERIES_MAX, or when memory is out. */
static struct series *series_of(struct table *t, struct sv service, struct sv operation)
{
    AUTO_DONE(buf) key = { 0 };
    buf_put_u64(&key, service.len);
    buf_putc(&key, ' ');
    buf_put(&key, service);
    buf_put(&key, operation);
    struct series *s = key.failed ? NULL : map_get(&t->by_name, buf_sv(&key));
    t->is_out_of_memory |= key.failed;
    if (s || key.failed || t->len == SERIES_MAX)
        return s;
    s = arena_zalloc(&t->mem, sizeof(*s));
    if (s) {
        s->service = arena_copy(&t->mem, service);
        s->operation = arena_copy(&t->mem, operation);
        s->ticks = arena_array(&t->mem, t->ticks_len, sizeof(*s->ticks));
    }
    if (!s || !s->service.p || !s->operation.p || !s->ticks ||
        map_put(&t->by_name, buf_sv(&key), s, NULL) < 0) {
        t->is_out_of_memory = true;
        return NULL;
    }
    t->list[t->len++] = s;
    return s;
}

static void add_edge(struct table *t, size_t at, struct sv service, const struct edge_view *e)
{
    struct series *s = series_of(t, service, SV_NONE);
    if (!s)
        return;
    s->ticks[at].calls += e->sum.requests;
    s->ticks[at].errors += e->sum.errors;
    if (hist_merge(&s->ticks[at].latency, &e->sum.latency) < 0)
        t->is_out_of_memory = true;
}

static void add_view(const struct asked *a, struct table *t, size_t at, const struct view *v)
{
    const uint32_t called = UINT32_C(1) << SPAN_KIND_SERVER | UINT32_C(1) << SPAN_KIND_CONSUMER;
    const uint32_t calling = UINT32_C(1) << SPAN_KIND_CLIENT | UINT32_C(1) << SPAN_KIND_PRODUCER;
    for (size_t i = 0; i < v->edges_len; i++) {
        const struct edge_view *e = &v->edges[i];
        if ((a->kinds & called) && is_asked(a, e->edge.destination.service))
            add_edge(t, at, e->edge.destination.service, e);
        if ((a->kinds & calling) && is_asked(a, e->edge.source.service))
            add_edge(t, at, e->edge.source.service, e);
    }
}

static int count_edges(const struct api *api, const struct asked *a, struct table *t,
                       struct err *err)
{
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < t->ticks_len; at++) {
        int64_t from_ns = t->from_ns + (int64_t)at * a->step_ns;
        struct view_wish wish = { .window = { from_ns, from_ns + a->step_ns },
                                  .granularity = GRANULARITY_SERVICE };
        AUTO_DONE(view) v = { 0 };
        rc = api_read_view(api, &wish, &v, err);
        if (rc == 0)
            add_view(a, t, at, &v);
    }
    return rc;
}

struct trace_ids {
    struct trace_id list[TRACES_MAX];
    size_t len;
};

static int on_trace(void *to, const struct trace_summary *s)
{
    struct trace_ids *ids = to;
    ids->list[ids->len++] = s->trace_id;
    return ids->len == TRACES_MAX;
}

struct span_counter {
    const struct asked *asked;
    struct table *table;
    struct sv service;
};

static int count_span(void *to, const struct span *s)
{
    const struct span_counter *c = to;
    const struct asked *a = c->asked;
    int64_t off_ns = s->start_ns - c->table->from_ns;
    if (!(a->kinds & UINT32_C(1) << s->kind) || s->start_ns < c->table->from_ns ||
        off_ns >= (int64_t)c->table->ticks_len * a->step_ns ||
        !sv_eq(attrs_str(&s->resource->attrs, SV("service.name")), c->service))
        return 0;
    struct series *series = series_of(c->table, c->service, s->name);
    if (!series)
        return c->table->is_out_of_memory;
    struct tick *t = &series->ticks[off_ns / a->step_ns];
    int64_t took_ns;
    if (__builtin_sub_overflow(s->end_ns, s->start_ns, &took_ns))
        took_ns = 0;
    t->calls++;
    t->errors += s->status == STATUS_ERROR;
    if (hist_add(&t->latency, MAX(took_ns, 0), 1) < 0)
        c->table->is_out_of_memory = true;
    return c->table->is_out_of_memory;
}

static int count_service_spans(const struct api *api, const struct asked *a, struct sv service,
                               struct table *t, struct trace_ids *ids, struct err *err)
{
    struct window w = { t->from_ns, t->from_ns + (int64_t)t->ticks_len * a->step_ns };
    struct span_query q = {
        .window = w, .service = service, .kinds = a->kinds, .limit = TRACES_MAX
    };
    struct span_counter counter = { a, t, service };
    struct search_end end = { 0 };
    ids->len = 0;
    int rc = store_search(api->store, &q, on_trace, ids, &end, err);
    if (rc == 0 && end.has_more)
        t->known_ns = MAX(t->known_ns, end.next.match_ns);
    for (size_t i = 0; rc == 0 && i < ids->len; i++) {
        rc = store_trace(api->store, ids->list[i], count_span, &counter, err);
        rc = rc == ERR_NOT_FOUND ? 0 : rc; /* retention was faster */
    }
    return rc;
}

static int count_spans(const struct api *api, const struct asked *a, struct table *t,
                       struct err *err)
{
    int rc = 0;
    struct trace_ids *ids = arena_alloc(&t->mem, sizeof(*ids));
    if (!ids)
        return err_set(err, ERR_NOMEM, "metrics");
    for (size_t i = 0; rc == 0 && i < a->services_len; i++)
        rc = count_service_spans(api, a, a->services[i], t, ids, err);
    return rc;
}

/* The sum of the steps that end with the one at `last`; latencies where they are wanted. */
static int add_up(const struct series *s, enum metric m, size_t last, size_t steps,
                  struct tick *ret)
{
    for (size_t i = last + 1 - steps; i <= last; i++) {
        ret->calls += s->ticks[i].calls;
        ret->errors += s->ticks[i].errors;
        if (m == METRIC_LATENCIES && hist_merge(&ret->latency, &s->ticks[i].latency) < 0)
            return -1;
    }
    return 0;
}

/* seconds: how much of the point's window has passed. */
static double value_of(enum metric m, const struct asked *a, const struct tick *t, double seconds)
{
    if (m == METRIC_CALLS)
        return (double)t->calls / seconds;
    if (t->calls == 0)
        return NAN;
    if (m == METRIC_ERRORS)
        return (double)t->errors / (double)t->calls;
    return (double)hist_quantile(&t->latency, a->quantile) / 1e6;
}

static void put_label(struct json_out *j, const char *name, struct sv value)
{
    json_open(j, '{');
    json_kv_str(j, "name", sv_z(name));
    json_kv_str(j, "value", value);
    json_close(j);
}

static int put_points(struct json_out *j, enum metric m, const struct asked *a,
                      const struct table *t, const struct series *s)
{
    char when[CLOCK_RFC3339_SIZE];
    const int64_t window_ns = (int64_t)a->rate_steps * a->step_ns;
    json_kv_open(j, "metricPoints", '[');
    for (size_t i = 0; i < a->points; i++) {
        size_t last = i + a->rate_steps - 1;
        int64_t at_ns = t->from_ns + (int64_t)(last + 1) * a->step_ns;
        struct tick sum = { 0 };
        if (at_ns - window_ns < t->known_ns)
            continue;
        int rc = add_up(s, m, last, a->rate_steps, &sum);
        int64_t passed_ns = MIN(window_ns, window_ns - (at_ns - a->now_ns));
        double v = value_of(m, a, &sum, (double)MAX(passed_ns, NS_PER_S) / 1e9);
        hist_done(&sum.latency);
        if (rc < 0)
            return -1;
        json_open(j, '{');
        json_kv_open(j, "gaugeValue", '{');
        if (isnan(v))
            json_kv_str(j, "doubleValue", SV("NaN"));
        else
            json_kv_double(j, "doubleValue", v);
        json_close(j);
        json_kv_str(j, "timestamp", sv_z(clock_rfc3339(at_ns, when)));
        json_close(j);
    }
    json_close(j);
    return 0;
}

static void put_head(struct json_out *j, enum metric m, const struct asked *a)
{
    static const char *const names[] = { "latencies", "call_rate", "error_rate" };
    char text[160];
    const char *by = a->by_operation ? "service & operation" : "service";
    snprintf(text, sizeof(text), "service_%s%s", a->by_operation ? "operation_" : "", names[m]);
    json_kv_str(j, "name", sv_z(text));
    json_kv_str(j, "type", SV("GAUGE"));
    if (m == METRIC_LATENCIES)
        snprintf(text, sizeof(text), "%.2fth quantile latency, grouped by %s", a->quantile, by);
    else if (m == METRIC_CALLS)
        snprintf(text, sizeof(text), "calls/sec, grouped by %s", by);
    else
        snprintf(text, sizeof(text),
                 "error rate, computed as a fraction of errors/sec over calls/sec, grouped by %s",
                 by);
    json_kv_str(j, "help", sv_z(text));
}

static int write_family(struct answer *out, enum metric m, const struct asked *a,
                        const struct table *t)
{
    struct json_out j = json_out_of(&out->body);
    json_open(&j, '{');
    put_head(&j, m, a);
    json_kv_open(&j, "metrics", '[');
    for (size_t i = 0; i < t->len; i++) {
        json_open(&j, '{');
        json_kv_open(&j, "labels", '[');
        put_label(&j, "service_name", t->list[i]->service);
        if (a->by_operation)
            put_label(&j, "operation", t->list[i]->operation);
        json_close(&j);
        if (put_points(&j, m, a, t, t->list[i]) < 0)
            return -1;
        json_close(&j);
    }
    json_close(&j);
    json_close(&j);
    return 0;
}

static void answer_metric(const struct api *api, struct query *q, struct answer *out, enum metric m)
{
    AUTO_DONE(table) t = { 0 };
    struct asked a;
    struct err err = { 0 };
    if (read_request(&q->params, m, &a) < 0) {
        jaeger_fault(out, &q->params);
        return;
    }
    t.ticks_len = a.points + a.rate_steps - 1;
    t.from_ns = a.end_ns - (int64_t)t.ticks_len * a.step_ns;
    int rc = a.by_operation ? count_spans(api, &a, &t, &err) : count_edges(api, &a, &t, &err);
    if (rc == 0 && (t.is_out_of_memory || write_family(out, m, &a, &t) < 0))
        rc = err_set(&err, ERR_NOMEM, "metrics");
    if (rc < 0)
        jaeger_failure(out, &err);
}

void jaeger_latencies(const struct api *api, struct query *q, struct answer *a)
{
    answer_metric(api, q, a, METRIC_LATENCIES);
}

void jaeger_calls(const struct api *api, struct query *q, struct answer *a)
{
    answer_metric(api, q, a, METRIC_CALLS);
}

void jaeger_errors(const struct api *api, struct query *q, struct answer *a)
{
    answer_metric(api, q, a, METRIC_ERRORS);
}

void jaeger_minstep(const struct api *api, struct query *q, struct answer *a)
{
    (void)api;
    (void)q;
    struct json_out j = jaeger_open(a);
    json_u64(&j, STEP_MIN_NS / NS_PER_MS);
    jaeger_close(&j, 0);
}
