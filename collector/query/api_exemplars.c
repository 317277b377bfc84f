/* api_exemplars.c - /api/v1/edges/{id}/exemplars: requests of one edge, by range of latency. */
#include "base/clock.h"
#include "query/exemplars.h"
#include "query/graph_json.h"

#define WINDOW_DEFAULT_NS (300 * NS_PER_S)
#define WINDOW_MAX_NS     (24 * 3600 * NS_PER_S)

enum { PER_RANGE_DEFAULT = 5 };

static void put_taken(struct json_out *j, const struct exemplar_range *r)
{
    json_kv_u64(j, "requests", r->requests);
    json_kv_open(j, "exemplars", '[');
    for (size_t i = 0; i < r->len; i++)
        json_raw(j, r->taken[i]);
    json_close(j);
}

static void put_bound(struct json_out *j, const char *key, const int64_t *ns)
{
    if (ns) {
        json_kv_ms(j, key, *ns);
        return;
    }
    json_key(j, sv_z(key));
    json_null(j);
}

static void put_exemplars(struct json_out *j, const struct exemplars *x)
{
    static const char *const names[] = { "p0-p50", "p50-p95", "p95-p99", "p99-p100" };
    enum { FAILED = EXEMPLAR_RANGES - 1, BOUNDS = NELEMS(x->bounds_ns) };
    _Static_assert(NELEMS(names) == FAILED, "a name for each");
    json_kv_u64(j, "lookedAt", x->looked_at);
    json_kv_bool(j, "complete", x->is_complete);
    json_kv_open(j, "ranges", '[');
    for (size_t i = 0; i < NELEMS(names); i++) {
        json_open(j, '{');
        json_kv_str(j, "range", sv_z(names[i]));
        put_bound(j, "aboveMs", i > 0 ? &x->bounds_ns[i - 1] : NULL);
        put_bound(j, "upToMs", i < BOUNDS ? &x->bounds_ns[i] : NULL);
        put_taken(j, &x->ranges[i]);
        json_close(j);
    }
    json_close(j);
    json_kv_open(j, "failed", '{');
    put_taken(j, &x->ranges[FAILED]);
    json_close(j);
}

static int read_request(struct query *q, struct view_wish *w, uint64_t *ret_limit)
{
    uint64_t limit = PER_RANGE_DEFAULT;
    (void)params_get(&q->params, "namespace", &w->namespaces);
    if (params_window(&q->params, WINDOW_DEFAULT_NS, WINDOW_MAX_NS, &w->window) < 0 ||
        params_granularity(&q->params, &w->granularity) < 0 ||
        params_u64(&q->params, "limit", 1, EXEMPLARS_MAX, &limit) < 0)
        return -1;
    *ret_limit = limit;
    return 0;
}

void api_edge_exemplars(const struct api *api, struct query *q, struct answer *a)
{
    struct view_wish wish = { 0 };
    AUTO_DONE(view) v = { 0 };
    AUTO_DONE(exemplars) x = { 0 };
    struct err err = { 0 };
    uint64_t limit;
    if (!api_edge_id(q, &wish.edge_id, a))
        return;
    if (read_request(q, &wish, &limit) < 0) {
        answer_fault(a, &q->params);
        return;
    }
    int rc = api_read_view(api, &wish, &v, &err);
    if (rc == 0 && v.edges_len == 0) {
        answer_error(a, 404, SV("id"), "no such edge in this window at this granularity");
        return;
    }
    if (rc == 0)
        rc = exemplars_find(api, &v.edges[0], wish.granularity, &v.window, limit, &x, &err);
    if (rc < 0) {
        answer_failure(a, &err);
        return;
    }
    struct json_out j = json_out_of(&a->body);
    json_open(&j, '{');
    json_view_head(&j, &v, q->params.now_ns);
    json_key(&j, SV("edge"));
    json_edge(&j, &v.edges[0], view_seconds(&v, q->params.now_ns), NULL);
    put_exemplars(&j, &x);
    json_close(&j);
}
