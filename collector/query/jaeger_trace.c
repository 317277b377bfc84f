/* jaeger_trace.c - one trace in the form of Jaeger's page, and the route that gives one.
 *
 * Spans are written while the processes they belong to are collected beside them, told apart by
 * their own JSON text; p1 is the first one met. */
#include "base/clock.h"
#include "query/jaeger_span.h"
#include "query/trace_adjust.h"
#include <stdio.h>

struct sv jaeger_service_name(const struct resource *r)
{
    struct sv name = attrs_str(&r->attrs, SV("service.name"));
    if (name.len)
        return name;
    return r->attrs.len ? SV("missing-service-name") : SV("OTLPResourceNoServiceName");
}

/* The text after "p1": . */
static void put_process(struct buf *to, const struct resource *r, bool is_adjusted)
{
    struct json_out j = json_out_of(to);
    json_open(&j, '{');
    json_kv_str(&j, "serviceName", jaeger_service_name(r));
    json_kv_open(&j, "tags", '[');
    for (uint32_t i = 0; i < r->attrs.len; i++)
        if (!sv_eq(r->attrs.list[i].key, SV("service.name")))
            jaeger_put_tag(&j, &r->attrs.list[i], is_adjusted);
    json_close(&j);
    json_close(&j);
}

/* The processes of a trace: their texts, and "p1":{...},"p2":{...} as it grows. */
struct processes {
    struct once seen;
    struct buf list, text;
    size_t len;
};

static void processes_done(struct processes *p)
{
    once_done(&p->seen);
    buf_done(&p->list);
    buf_done(&p->text);
}
DEFINE_AUTO_DONE(processes);

static int process_of(struct processes *p, const struct resource *r, bool is_adjusted,
                      size_t *ret_index)
{
    buf_clear(&p->text);
    put_process(&p->text, r, is_adjusted);
    buf_put(&p->seen.one, buf_sv(&p->text));
    if (p->text.failed || once_put(&p->seen, ret_index) < 0)
        return -1;
    if (*ret_index == p->len) {
        buf_printf(&p->list, "%s\"p%zu\":", p->len ? "," : "", p->len + 1);
        buf_put(&p->list, buf_sv(&p->text));
        p->len++;
    }
    return 0;
}

static int put_spans(struct json_out *j, const struct whole_trace *t, struct processes *p)
{
    const struct resource *last = NULL;
    size_t process = 0;
    for (size_t i = 0; i < t->len; i++) {
        if (t->spans[i].resource != last &&
            process_of(p, t->spans[i].resource, t->is_adjusted, &process) < 0)
            return -1;
        last = t->spans[i].resource;
        jaeger_put_span(j, &t->spans[i], &t->notes[i], t->is_adjusted, process);
    }
    return 0;
}

static void put_trace_warnings(struct json_out *j, const struct whole_trace *t, struct sv note)
{
    char cut[96];
    json_key(j, SV("warnings"));
    if (!t->is_cut && !note.len) {
        json_null(j);
        return;
    }
    json_open(j, '[');
    int n = snprintf(cut, sizeof(cut), "trace has more than %d spans, showing first %d spans only",
                     WHOLE_TRACE_SPANS_MAX, WHOLE_TRACE_SPANS_MAX);
    if (t->is_cut)
        json_str(j, sv_of(cut, (size_t)n));
    if (note.len)
        json_str(j, note);
    json_close(j);
}

int jaeger_put_trace(struct json_out *j, const struct whole_trace *t, struct sv note)
{
    AUTO_DONE(processes) p = { 0 };
    json_open(j, '{');
    jaeger_kv_trace_id(j, "traceID", t->id);
    json_kv_open(j, "spans", '[');
    int rc = put_spans(j, t, &p);
    json_close(j);
    json_kv_open(j, "processes", '{');
    json_raw(j, buf_sv(&p.list));
    json_close(j);
    put_trace_warnings(j, t, note);
    json_close(j);
    j->to->failed |= p.list.failed;
    return rc;
}

/* raw, start, end: the two times are hints for stores that need them; ours does not. */
static int read_wish(struct params *p, bool *ret_is_raw)
{
    int64_t start_ns, end_ns;
    if (jaeger_bool(p, "raw", ret_is_raw) < 0 || jaeger_time(p, "start", NS_PER_US, &start_ns) < 0)
        return -1;
    return jaeger_time(p, "end", NS_PER_US, &end_ns);
}

void jaeger_trace(const struct api *api, struct query *q, struct answer *a)
{
    AUTO_DONE(whole_trace) t = { 0 };
    struct trace_id id;
    struct err err = { 0 };
    bool is_raw = false;
    if (!jaeger_path_trace_id(q, &id)) {
        jaeger_error(a, 400, "unable to parse param 'traceID': " JAEGER_WANT_TRACE_ID);
        return;
    }
    if (read_wish(&q->params, &is_raw) < 0) {
        jaeger_fault(a, &q->params);
        return;
    }
    int rc = whole_trace_read(api->store, id, &t, &err);
    if (rc == 0 && !is_raw)
        rc = trace_adjust(&t, &err);
    if (rc == ERR_NOT_FOUND) {
        jaeger_error(a, 404, "trace not found");
        return;
    }
    struct json_out j = jaeger_open(a);
    json_open(&j, '[');
    if (rc == 0 && jaeger_put_trace(&j, &t, SV_NONE) < 0)
        rc = err_set(&err, ERR_NOMEM, "processes of a trace");
    if (rc < 0) {
        jaeger_failure(a, &err);
        return;
    }
    json_close(&j);
    jaeger_close(&j, 0);
}
