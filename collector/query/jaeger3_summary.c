/* jaeger3_summary.c - what Jaeger's search page shows of a trace without its spans.
 *
 * Root: the earliest span without a parent. Orphan: a span whose parent is not in the trace.
 * Counts of zero are left out, as protobuf's JSON has it. */
#include "base/map.h"
#include "query/graph_json.h"
#include "query/jaeger_span.h"

struct service_count {
    struct sv name;
    uint64_t spans, errors;
};
struct summing {
    struct arena mem;
    struct map ids, names; /* span ids; service names to index + 1 */
    struct service_count *services;
    size_t services_len;
    uint64_t errors, orphans;
    const struct span *root;
    int64_t start_ns, end_ns;
};

static void summing_done(struct summing *s)
{
    map_done(&s->ids);
    map_done(&s->names);
    arena_done(&s->mem);
}
DEFINE_AUTO_DONE(summing);

static int count_service(struct summing *s, const struct span *span)
{
    struct sv name = jaeger_service_name(span->resource);
    size_t at = (size_t)(uintptr_t)map_get(&s->names, name);
    if (!at) {
        at = ++s->services_len;
        if (map_put(&s->names, name, (void *)(uintptr_t)at, NULL) < 0)
            return -1;
        s->services[at - 1].name = name;
    }
    s->services[at - 1].spans++;
    s->services[at - 1].errors += span->status == STATUS_ERROR;
    return 0;
}

static int sum_up(struct summing *s, const struct whole_trace *t)
{
    s->services = arena_array(&s->mem, t->len + 1, sizeof(*s->services));
    if (!s->services)
        return -1;
    for (size_t i = 0; i < t->len; i++) {
        struct sv id = sv_of(t->spans[i].span_id.b, sizeof(struct span_id));
        if (map_put(&s->ids, id, s, NULL) < 0)
            return -1;
    }
    for (size_t i = 0; i < t->len; i++) {
        const struct span *span = &t->spans[i];
        bool has_parent = span_id_is_set(span->parent_id);
        s->start_ns = i ? MIN(s->start_ns, span->start_ns) : span->start_ns;
        s->end_ns = i ? MAX(s->end_ns, span->end_ns) : span->end_ns;
        s->errors += span->status == STATUS_ERROR;
        s->orphans += has_parent &&
                      !map_get(&s->ids, sv_of(span->parent_id.b, sizeof(struct span_id)));
        if (!has_parent && !s->root) /* spans are in order of their start */
            s->root = span;
        if (count_service(s, span) < 0)
            return -1;
    }
    return 0;
}

static int by_name(const void *pa, const void *pb)
{
    const struct service_count *a = pa, *b = pb;
    return sv_cmp(a->name, b->name);
}

static void put_count(struct json_out *j, const char *key, uint64_t n)
{
    if (n)
        json_kv_u64(j, key, n);
}

static void put_services(struct json_out *j, struct summing *s)
{
    qsort(s->services, s->services_len, sizeof(*s->services), by_name);
    json_kv_open(j, "services", '[');
    for (size_t i = 0; i < s->services_len; i++) {
        json_open(j, '{');
        json_kv_str(j, "name", s->services[i].name);
        put_count(j, "spanCount", s->services[i].spans);
        put_count(j, "errorSpanCount", s->services[i].errors);
        json_close(j);
    }
    json_close(j);
}

int jaeger_put_summary(struct json_out *j, const struct whole_trace *t, struct err *err)
{
    AUTO_DONE(summing) s = { 0 };
    if (sum_up(&s, t) < 0)
        return err_set(err, ERR_NOMEM, "summary of a trace of %zu spans", t->len);
    json_open(j, '{');
    json_kv_hex(j, "traceId", t->id.b, sizeof(t->id.b));
    if (s.root) {
        json_kv_str(j, "rootServiceName", jaeger_service_name(s.root->resource));
        json_kv_str(j, "rootOperationName", s.root->name);
    }
    json_kv_ns(j, "minStartTimeUnixNano", s.start_ns);
    json_kv_ns(j, "maxEndTimeUnixNano", s.end_ns);
    put_count(j, "spanCount", t->len);
    put_count(j, "errorSpanCount", s.errors);
    put_count(j, "orphanSpanCount", s.orphans);
    put_services(j, &s);
    json_close(j);
    return 0;
}
