/* api_traces.c - finding traces, and one trace whole.
 *
 * A trace is written as it is read: the store gives one span at a time and its memory is gone
 * afterwards. Resources and scopes repeat on every span, so they are written once each, told apart
 * by their own JSON text, and spans carry indexes. */
#include "base/clock.h"
#include "query/api.h"
#include "query/graph_json.h"
#include "query/once.h"
#include "query/trace_json.h"

#define SEARCH_DEFAULT_NS (3600 * NS_PER_S)
#define SEARCH_MAX_NS     INT64_MAX

enum { TRACES_DEFAULT = 20, TRACES_MAX = 1000, ATTRS_MAX = 16 };

/* "5" in quotes is text; true, false, integers and decimals are what they look like. */
static struct value value_from_sv(struct sv text)
{
    struct value v = { .type = VALUE_STR, .str = text };
    if (text.len >= 2 && text.p[0] == '"' && text.p[text.len - 1] == '"') {
        v.str = sv_sub(text, 1, text.len - 2);
    } else if (sv_eq(text, SV("true")) || sv_eq(text, SV("false"))) {
        v.type = VALUE_BOOL;
        v.boolean = text.p[0] == 't';
    } else if (sv_to_i64(text, &v.integer)) {
        v.type = VALUE_INT;
    } else if (sv_to_double(text, &v.real)) {
        v.type = VALUE_DOUBLE;
    } else {
        v.str = text;
    }
    return v;
}

static int read_attrs(struct params *p, struct attr_wish *attrs, size_t *ret_len)
{
    size_t n = 0;
    for (size_t i = 0; i < p->len; i++) {
        if (!sv_eq(p->list[i].name, SV("attr")))
            continue;
        struct sv value = p->list[i].value, key;
        size_t eq = sv_index(value, '=');
        if (eq == 0 || eq == value.len)
            return params_fault(p, "attr", "want key=value");
        if (n == ATTRS_MAX)
            return params_fault(p, "attr", "given more than %d times", ATTRS_MAX);
        key = sv_sub(value, 0, eq);
        attrs[n++].attr = (struct attr){ key, value_from_sv(sv_from(value, eq + 1)) };
    }
    *ret_len = n;
    return 0;
}

static int read_search(struct params *p, struct span_query *s, struct attr_wish *attrs)
{
    size_t status = 0;
    uint64_t limit = TRACES_DEFAULT;
    (void)params_get(p, "service", &s->service);
    (void)params_get(p, "operation", &s->operation);
    if (params_window(p, SEARCH_DEFAULT_NS, SEARCH_MAX_NS, &s->window) < 0 ||
        params_choice(p, "status", "any|error", &status) < 0 ||
        params_duration(p, "minDuration", 0, INT64_MAX, &s->min_duration_ns) < 0 ||
        params_duration(p, "maxDuration", 0, INT64_MAX, &s->max_duration_ns) < 0 ||
        params_u64(p, "limit", 1, TRACES_MAX, &limit) < 0 ||
        read_attrs(p, attrs, &s->attrs_len) < 0)
        return -1;
    if (s->max_duration_ns && s->min_duration_ns > s->max_duration_ns)
        return params_fault(p, "minDuration", "is more than maxDuration");
    s->errors_only = status == 1;
    s->attrs = attrs;
    s->limit = (size_t)limit;
    return 0;
}

static int put_summary(void *to, const struct trace_summary *t)
{
    struct json_out *j = to;
    json_open(j, '{');
    json_kv_hex(j, "traceId", t->trace_id.b, sizeof(t->trace_id.b));
    json_kv_time(j, "start", t->start_ns);
    json_kv_ns(j, "startNs", t->start_ns);
    json_kv_span_ms(j, "durationMs", t->start_ns, t->end_ns);
    json_kv_u64(j, "spans", t->spans_len);
    json_kv_u64(j, "errors", t->errors_len);
    json_kv_str(j, "rootService", t->root_service);
    json_kv_str(j, "rootName", t->root_name);
    json_close(j);
    return 0;
}

void api_traces(const struct api *api, struct query *q, struct answer *a)
{
    struct attr_wish attrs[ATTRS_MAX];
    struct span_query search = { 0 };
    struct err err = { 0 };
    struct search_end end;
    if (read_search(&q->params, &search, attrs) < 0) {
        answer_fault(a, &q->params);
        return;
    }
    struct json_out j = json_out_of(&a->body);
    json_open(&j, '{');
    json_kv_time(&j, "from", search.window.from_ns);
    json_kv_time(&j, "to", search.window.to_ns);
    json_kv_open(&j, "traces", '[');
    if (store_search(api->store, &search, put_summary, &j, &end, &err) < 0) {
        answer_failure(a, &err);
        return;
    }
    json_close(&j);
    json_kv_bool(&j, "incomplete", end.bound != SEARCH_NO_BOUND);
    json_close(&j);
}

struct trace_writer {
    struct json_out spans; /* an open list */
    struct buf spans_text;
    struct once resources, scopes, services;
    int64_t start_ns, end_ns;
    size_t len;
    bool is_out_of_memory;
};

static int put_span(void *to, const struct span *s)
{
    struct trace_writer *w = to;
    size_t resource, scope, service;
    struct json_out r = json_out_of(&w->resources.one), c = json_out_of(&w->scopes.one);
    json_resource(&r, s->resource);
    json_scope(&c, s->scope);
    json_put_quoted(&w->services.one, attrs_str(&s->resource->attrs, SV("service.name")));
    if (once_put(&w->resources, &resource) < 0 || once_put(&w->scopes, &scope) < 0 ||
        once_put(&w->services, &service) < 0) {
        w->is_out_of_memory = true;
        return 1;
    }
    json_span(&w->spans, s, resource, scope);
    w->start_ns = w->len ? MIN(w->start_ns, s->start_ns) : s->start_ns;
    w->end_ns = w->len ? MAX(w->end_ns, s->end_ns) : s->end_ns;
    w->len++;
    return 0;
}

static void put_list(struct json_out *j, const char *key, const struct buf *list)
{
    json_kv_open(j, key, '[');
    json_raw(j, buf_sv(list));
    json_close(j);
}

static void put_trace(struct answer *a, struct trace_writer *w, struct trace_id id)
{
    struct json_out j = json_out_of(&a->body);
    json_open(&j, '{');
    json_kv_hex(&j, "traceId", id.b, sizeof(id.b));
    json_kv_time(&j, "start", w->start_ns);
    json_kv_ns(&j, "startNs", w->start_ns);
    json_kv_span_ms(&j, "durationMs", w->start_ns, w->end_ns);
    put_list(&j, "services", &w->services.list);
    json_key(&j, SV("spans"));
    json_raw(&j, buf_sv(&w->spans_text));
    put_list(&j, "resources", &w->resources.list);
    put_list(&j, "scopes", &w->scopes.list);
    json_close(&j);
    a->body.failed |= w->spans_text.failed | w->resources.list.failed | w->scopes.list.failed |
                      w->services.list.failed;
}

static void trace_writer_done(struct trace_writer *w)
{
    buf_done(&w->spans_text);
    once_done(&w->resources);
    once_done(&w->scopes);
    once_done(&w->services);
}

void api_trace(const struct api *api, struct query *q, struct answer *a)
{
    struct trace_writer w = { 0 };
    struct trace_id id;
    struct err err = { 0 };
    if (!sv_to_bytes(q->id, id.b, sizeof(id.b))) {
        answer_error(a, 400, SV("id"), "want the 32 hexadecimal digits of a trace id");
        return;
    }
    w.spans = json_out_of(&w.spans_text);
    json_open(&w.spans, '[');
    int rc = store_trace(api->store, id, put_span, &w, &err);
    json_close(&w.spans);
    if (rc == 0 && w.is_out_of_memory)
        rc = err_set(&err, ERR_NOMEM, "trace of %zu spans", w.len);
    if (rc == ERR_NOT_FOUND)
        answer_error(a, 404, SV("id"), "no span of this trace is kept");
    else if (rc < 0)
        answer_failure(a, &err);
    else
        put_trace(a, &w, id);
    trace_writer_done(&w);
}
