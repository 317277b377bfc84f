/* api_traces.c - one trace whole.
 *
 * A trace is written as it is read: the store gives one span at a time and its memory is gone
 * afterwards. One that is to be repaired for display has to be in memory first, which has a bound
 * (WHOLE_TRACE_SPANS_MAX). Resources and scopes repeat on every span, so they are written once each, told apart
 * by their own JSON text, and spans carry indexes. */
#include "query/api.h"
#include "query/graph_json.h"
#include "query/once.h"
#include "query/trace_adjust.h"
#include "query/trace_json.h"

struct trace_writer {
    struct json_out spans; /* an open list */
    struct buf spans_text;
    struct once resources, scopes, services;
    int64_t start_ns, end_ns;
    size_t len;
    bool is_out_of_memory;
};

static int put_noted(struct trace_writer *w, const struct span *s, const struct span_notes *notes)
{
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
    json_span(&w->spans, s, notes, resource, scope);
    w->start_ns = w->len ? MIN(w->start_ns, s->start_ns) : s->start_ns;
    w->end_ns = w->len ? MAX(w->end_ns, s->end_ns) : s->end_ns;
    w->len++;
    return 0;
}

static int put_span(void *to, const struct span *s)
{
    return put_noted(to, s, NULL);
}

static int put_repaired(const struct api *api, struct trace_id id, struct trace_writer *w,
                        bool *ret_is_cut, struct err *err)
{
    AUTO_DONE(whole_trace) t = { 0 };
    int rc = whole_trace_read(api->store, id, &t, err);
    if (rc == 0)
        rc = trace_adjust(&t, err);
    for (size_t i = 0; rc == 0 && i < t.len && !w->is_out_of_memory; i++)
        (void)put_noted(w, &t.spans[i], &t.notes[i]);
    *ret_is_cut = t.is_cut;
    return rc;
}

static void put_list(struct json_out *j, const char *key, const struct buf *list)
{
    json_kv_open(j, key, '[');
    json_raw(j, buf_sv(list));
    json_close(j);
}

static void put_trace(struct answer *a, struct trace_writer *w, struct trace_id id, bool is_cut)
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
    json_kv_bool(&j, "incomplete", is_cut);
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
    size_t is_sent = 1;
    bool is_cut = false;
    if (!sv_to_bytes(q->id, id.b, sizeof(id.b))) {
        answer_error(a, 400, SV("id"), "want the 32 hexadecimal digits of a trace id");
        return;
    }
    if (params_choice(&q->params, "repaired", "true|false", &is_sent) < 0) {
        answer_fault(a, &q->params);
        return;
    }
    w.spans = json_out_of(&w.spans_text);
    json_open(&w.spans, '[');
    int rc = is_sent ? store_trace(api->store, id, put_span, &w, &err)
                     : put_repaired(api, id, &w, &is_cut, &err);
    json_close(&w.spans);
    if (rc == 0 && w.is_out_of_memory)
        rc = err_set(&err, ERR_NOMEM, "trace of %zu spans", w.len);
    if (rc == ERR_NOT_FOUND)
        answer_error(a, 404, SV("id"), "no span of this trace is kept");
    else if (rc < 0)
        answer_failure(a, &err);
    else
        put_trace(a, &w, id, is_cut);
    trace_writer_done(&w);
}
