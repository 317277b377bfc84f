/* jaeger3_traces.c - traces in Jaeger's third API: OTLP JSON, and summaries for its search page.
 *
 * Parameters are written both ways, query.serviceName and query.service_name: Grafana sends the
 * older one. Both times are required, as in Jaeger. */
#include "base/clock.h"
#include "base/map.h"
#include "query/graph_json.h"
#include "query/jaeger_search.h"
#include "query/jaeger_span.h"
#include "query/otlp_out.h"
#include "query/trace_adjust.h"

/* The value under either name; *ret_name is the one that was sent, for messages. */
static const char *sent(const struct params *p, const char *name, const char *old)
{
    struct sv text;
    return !jaeger_get(p, name, &text) && jaeger_get(p, old, &text) ? old : name;
}

static int read_times(struct params *p, struct window *ret_w)
{
    const char *from = sent(p, "query.startTimeMin", "query.start_time_min");
    const char *to = sent(p, "query.startTimeMax", "query.start_time_max");
    struct sv text;
    if (!jaeger_get(p, from, &text) || !jaeger_get(p, to, &text))
        return params_fault(p, NULL, "query.startTimeMin and query.startTimeMax are required");
    if (jaeger_rfc3339(p, from, &ret_w->from_ns) < 0 || jaeger_rfc3339(p, to, &ret_w->to_ns) < 0)
        return -1;
    if (ret_w->from_ns >= ret_w->to_ns)
        return params_fault(p, NULL, "query.startTimeMin should be before query.startTimeMax");
    return 0;
}

static int read_search(struct params *p, struct jaeger_search *s)
{
    struct span_query *q = &s->query;
    struct sv attributes, filter;
    uint64_t limit = JAEGER_TRACES_DEFAULT;
    const char *depth = sent(p, "query.searchDepth", "query.search_depth");
    (void)jaeger_get(p, sent(p, "query.serviceName", "query.service_name"), &q->service);
    (void)jaeger_get(p, sent(p, "query.operationName", "query.operation_name"), &q->operation);
    if (jaeger_get(p, "query.filter", &filter)) /* ignored, it would find too much */
        return params_fault(p, "query.filter", "structured filters are not served");
    if (read_times(p, &q->window) < 0 ||
        jaeger_go_duration(p, sent(p, "query.durationMin", "query.duration_min"),
                           &q->min_duration_ns) < 0 ||
        jaeger_go_duration(p, sent(p, "query.durationMax", "query.duration_max"),
                           &q->max_duration_ns) < 0 ||
        jaeger_bool(p, sent(p, "query.rawTraces", "query.raw_traces"), &s->is_raw) < 0 ||
        jaeger_u64(p, sent(p, depth, "query.num_traces"), INT64_MAX, &limit) < 0)
        return -1;
    if (q->max_duration_ns && q->min_duration_ns > q->max_duration_ns)
        return params_fault(p, "query.durationMin", "is more than query.durationMax");
    q->limit = limit ? (size_t)MIN(limit, JAEGER_TRACES_MAX) : JAEGER_TRACES_DEFAULT;
    if (!jaeger_get(p, "query.attributes", &attributes))
        return 0;
    return jaeger_add_tags(p, "query.attributes", s, attributes);
}

/* False when the answer is made already. */
static bool find(const struct api *api, struct query *q, struct jaeger_search *s,
                 struct found_traces *f, struct answer *a)
{
    struct err err = { 0 };
    int rc;
    if (read_search(&q->params, s) < 0) {
        jaeger3_fault(a, &q->params);
        return false;
    }
    rc = jaeger_find(api->store, s, f, &err);
    if (rc == ERR_LIMIT)
        jaeger3_error(a, 400, "%s", err.why);
    else if (rc < 0)
        jaeger3_failure(a, &err);
    return rc == 0;
}

static int read_trace(const struct api *api, struct trace_id id, bool is_raw,
                      struct whole_trace *ret_t, struct err *err)
{
    int rc = whole_trace_read(api->store, id, ret_t, err);
    return rc == 0 && !is_raw ? trace_adjust(ret_t, err) : rc;
}

static struct json_out open_result(struct answer *a)
{
    struct json_out j = json_out_of(&a->body);
    json_open(&j, '{');
    json_kv_open(&j, "result", '{');
    json_kv_open(&j, "resourceSpans", '[');
    return j;
}

static void close_all(struct json_out *j)
{
    while (j->depth)
        json_close(j);
}

void jaeger3_traces(const struct api *api, struct query *q, struct answer *a)
{
    AUTO_DONE(found_traces) f = { 0 };
    struct jaeger_search s = { 0 };
    if (!find(api, q, &s, &f, a))
        return;
    if (f.len == 0) {
        jaeger3_error(a, 404, "No traces found");
        return;
    }
    struct json_out j = open_result(a);
    for (size_t i = 0; i < f.len && a->body.len < JAEGER_BODY_MAX; i++) {
        AUTO_DONE(whole_trace) t = { 0 };
        struct err err = { 0 };
        int rc = read_trace(api, f.list[i].trace_id, s.is_raw, &t, &err);
        if (rc == ERR_NOT_FOUND) /* retention may take it in between */
            continue;
        if (rc == 0)
            rc = otlp_put_resource_spans(&j, &t, &err);
        if (rc < 0) {
            jaeger3_failure(a, &err);
            return;
        }
    }
    close_all(&j);
}

void jaeger3_trace(const struct api *api, struct query *q, struct answer *a)
{
    AUTO_DONE(whole_trace) t = { 0 };
    struct params *p = &q->params;
    struct trace_id id;
    struct err err = { 0 };
    int64_t hint_ns;
    bool is_raw = false;
    if (!jaeger_path_trace_id(q, &id)) {
        jaeger3_error(a, 400, "malformed parameter trace_id: " JAEGER_WANT_TRACE_ID);
        return;
    }
    if (jaeger_rfc3339(p, sent(p, "startTime", "start_time"), &hint_ns) < 0 ||
        jaeger_rfc3339(p, sent(p, "endTime", "end_time"), &hint_ns) < 0 ||
        jaeger_bool(p, sent(p, "rawTraces", "raw_traces"), &is_raw) < 0) {
        jaeger3_fault(a, p);
        return;
    }
    int rc = read_trace(api, id, is_raw, &t, &err);
    if (rc == ERR_NOT_FOUND) {
        jaeger3_error(a, 404, "No traces found");
        return;
    }
    struct json_out j = open_result(a);
    if (rc == 0)
        rc = otlp_put_resource_spans(&j, &t, &err);
    if (rc < 0)
        jaeger3_failure(a, &err);
    else
        close_all(&j);
}

void jaeger3_summaries(const struct api *api, struct query *q, struct answer *a)
{
    AUTO_DONE(found_traces) f = { 0 };
    struct jaeger_search s = { 0 };
    if (!find(api, q, &s, &f, a))
        return;
    struct json_out j = json_out_of(&a->body);
    json_open(&j, '{');
    if (f.len)
        json_kv_open(&j, "summaries", '[');
    for (size_t i = 0; i < f.len; i++) {
        AUTO_DONE(whole_trace) t = { 0 };
        struct err err = { 0 };
        int rc = whole_trace_read(api->store, f.list[i].trace_id, &t, &err);
        if (rc == ERR_NOT_FOUND)
            continue;
        if (rc == 0)
            rc = jaeger_put_summary(&j, &t, &err);
        if (rc < 0) {
            jaeger3_failure(a, &err);
            return;
        }
    }
    close_all(&j);
}
