/* api_graph.c - the graph, its edges as a table, and one edge over time.
 *
 * All three are one view of a window (aggregate/view.h), written differently. */
#include "base/clock.h"
#include "query/api.h"
#include "query/graph_json.h"
#include "query/picture.h"

#define STEP_MAX_NS (24 * 3600 * NS_PER_S)

enum { EDGES_DEFAULT = 1000, EDGES_MAX = 10000, POINTS_DEFAULT = 240, POINTS_MAX = 8640 };

int params_granularity(struct params *p, enum granularity *ret_g)
{
    size_t at = GRANULARITY_WORKLOAD;
    if (params_choice(p, "granularity", "workload|versionedApp|app|service|namespace", &at) < 0)
        return -1;
    *ret_g = (enum granularity)at;
    return 0;
}

/* The sum over a window, as the fold keeps it; ERR_UNSUPPORTED: read its buckets. */
static int read_totals(const struct api *api, const struct view_wish *w, struct view *ret_view,
                       struct err *err)
{
    AUTO_FREE(view_builder) b = view_builder_new(w);
    if (!b)
        return err_set(err, ERR_NOMEM, "view");
    struct window whole = { window_align_down(w->window.from_ns, BUCKET_NS),
                            window_align_up(w->window.to_ns, BUCKET_NS) };
    int rc = fold_window(api->fold, api->store, &whole, view_builder_add_total, b, err);
    return rc < 0 ? rc : view_builder_finish(b, ret_view, err);
}

static int read_buckets(const struct api *api, const struct view_wish *w, struct view *ret_view,
                        struct err *err)
{
    AUTO_FREE(view_builder) b = view_builder_new(w);
    if (!b)
        return err_set(err, ERR_NOMEM, "view");
    struct window wanted = view_builder_window(b);
    int rc = fold_read(api->fold, api->store, &wanted, view_builder_add, b, err);
    return rc < 0 ? rc : view_builder_finish(b, ret_view, err);
}

int api_read_view(const struct api *api, const struct view_wish *w, struct view *ret_view,
                  struct err *err)
{
    int rc = w->step_ns ? ERR_UNSUPPORTED : read_totals(api, w, ret_view, err);
    if (rc == ERR_UNSUPPORTED)
        rc = read_buckets(api, w, ret_view, err);
    if (rc == 0)
        view_judge_latency(ret_view, &api->health);
    return rc;
}

int64_t window_begin(int64_t from_ns, int64_t length_ns)
{
    static const struct {
        int64_t length_ns, step_ns;
    } steps[] = {
        { 12 * 3600 * NS_PER_S, 3600 * NS_PER_S },
        { 3600 * NS_PER_S, 300 * NS_PER_S },
        { 181 * NS_PER_S, 60 * NS_PER_S }, /* up to three minutes the fold has all buckets */
        { 0, BUCKET_NS },
    };
    size_t i = 0;
    while (length_ns < steps[i].length_ns)
        i++;
    return window_align_down(from_ns, steps[i].step_ns);
}

double view_seconds(const struct view *v, int64_t now_ns)
{
    int64_t to_ns = MIN(v->window.to_ns, now_ns);
    int64_t ns = to_ns > v->window.from_ns ? to_ns - v->window.from_ns : 0;
    return (double)MAX(ns, NS_PER_S) / 1e9;
}

static bool read_view(const struct api *api, const struct view_wish *w, struct view *ret_view,
                      struct answer *a)
{
    struct err err = { 0 };
    if (api_read_view(api, w, ret_view, &err) == 0)
        return true;
    answer_failure(a, &err);
    return false;
}

bool api_read_picture(const struct api *api, struct query *q, struct view *ret_view,
                      struct answer *a)
{
    struct picture x;
    struct err err = { 0 };
    const char *blamed;
    if (picture_parse(&q->params, &x) < 0) {
        answer_fault(a, &q->params);
        return false;
    }
    int rc = picture_draw(api, &x, q->params.now_ns, ret_view, &blamed, &err);
    if (rc == ERR_NOT_FOUND)
        answer_error(a, 404, sv_z(blamed), "%s", err.why);
    else if (rc < 0)
        answer_failure(a, &err);
    return rc == 0;
}

void api_graph(const struct api *api, struct query *q, struct answer *a)
{
    AUTO_DONE(view) v = { 0 };
    struct err err = { 0 };
    uint64_t limit = UINT32_MAX, offset = 0;
    if (params_u64(&q->params, "limit", 1, UINT32_MAX, &limit) < 0 ||
        params_u64(&q->params, "offset", 0, UINT32_MAX, &offset) < 0) {
        answer_fault(a, &q->params);
        return;
    }
    if (!api_read_picture(api, q, &v, a))
        return;
    size_t nodes = v.nodes_len, edges = v.edges_len;
    if (sieve_page(&v, offset, limit, &err) < 0) {
        answer_failure(a, &err);
        return;
    }
    double seconds = view_seconds(&v, q->params.now_ns);
    struct json_out j = json_out_of(&a->body);
    json_open(&j, '{');
    json_view_head(&j, &v, q->params.now_ns);
    json_kv_open(&j, "total", '{');
    json_kv_u64(&j, "nodes", nodes);
    json_kv_u64(&j, "edges", edges);
    json_close(&j);
    json_kv_open(&j, "nodes", '[');
    for (size_t i = 0; i < v.nodes_len; i++)
        json_node(&j, &v.nodes[i], seconds);
    json_close(&j);
    AUTO_DONE(json_ends) ends = { 0 };
    json_kv_open(&j, "edges", '[');
    for (size_t i = 0; i < v.edges_len; i++)
        json_edge(&j, &v.edges[i], seconds, &ends);
    json_close(&j);
    json_close(&j);
}

/* Orders of the table; most first. */
static double key_requests(const struct edge_view *e)
{
    return (double)e->sum.requests;
}
static double key_errors(const struct edge_view *e)
{
    return (double)e->sum.errors;
}
static double key_error_rate(const struct edge_view *e)
{
    return (double)e->sum.errors / (double)e->sum.requests;
}
static double key_p95(const struct edge_view *e)
{
    return (double)hist_quantile(&e->sum.latency, 0.95);
}

static double key_failures(const struct edge_view *e)
{
    return (double)edge_view_failures(e);
}
static double key_failure_rate(const struct edge_view *e)
{
    return key_failures(e) / (double)e->sum.requests;
}

#define SORT_WORDS "requests|rate|errors|errorRate|failures|failureRate|p95"
static double (*const sort_keys[])(const struct edge_view *) = {
    key_requests, key_requests, key_errors, key_error_rate, key_failures, key_failure_rate, key_p95,
};

struct ranked {
    double key;
    size_t at;
};

static int by_key(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;
    if (a->key != b->key)
        return a->key > b->key ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

void api_edges(const struct api *api, struct query *q, struct answer *a)
{
    AUTO_DONE(view) v = { 0 };
    size_t sort = 0;
    uint64_t limit = EDGES_DEFAULT, offset = 0;
    if (params_choice(&q->params, "sort", SORT_WORDS, &sort) < 0 ||
        params_u64(&q->params, "limit", 1, EDGES_MAX, &limit) < 0 ||
        params_u64(&q->params, "offset", 0, UINT32_MAX, &offset) < 0) {
        answer_fault(a, &q->params);
        return;
    }
    if (!api_read_picture(api, q, &v, a))
        return;
    struct ranked *order = arena_array(&v.mem, v.edges_len + 1, sizeof(*order));
    if (!order) {
        answer_failure(a, &(struct err){ .code = ERR_NOMEM, .why = "order of edges" });
        return;
    }
    for (size_t i = 0; i < v.edges_len; i++)
        order[i] = (struct ranked){ sort_keys[sort](&v.edges[i]), i };
    qsort(order, v.edges_len, sizeof(*order), by_key);
    double seconds = view_seconds(&v, q->params.now_ns);
    struct json_out j = json_out_of(&a->body);
    json_open(&j, '{');
    json_view_head(&j, &v, q->params.now_ns);
    json_kv_u64(&j, "total", v.edges_len);
    AUTO_DONE(json_ends) ends = { 0 };
    json_kv_open(&j, "edges", '[');
    for (size_t i = offset; i < v.edges_len && i - offset < limit; i++)
        json_edge(&j, &v.edges[order[i].at], seconds, &ends);
    json_close(&j);
    json_close(&j);
}

static void json_point(struct json_out *j, int64_t at_ns, int64_t step_ns, int64_t now_ns,
                       const struct edge_view *e)
{
    static const struct edge_cell nothing;
    const struct edge_cell *c = e ? &e->sum : &nothing;
    uint64_t failures = e ? edge_view_failures(e) : 0;
    int64_t passed_ns = MIN(step_ns, MAX(now_ns - at_ns, NS_PER_S));
    json_open(j, '{');
    json_kv_time(j, "time", at_ns);
    json_kv_u64(j, "requests", c->requests);
    json_kv_rounded(j, "rate", (double)c->requests * 1e9 / (double)passed_ns, 4);
    json_kv_u64(j, "errors", c->errors);
    json_kv_rounded(j, "errorRate", c->requests ? (double)c->errors / (double)c->requests : 0, 6);
    json_kv_u64(j, "failures", failures);
    json_kv_rounded(j, "failureRate", c->requests ? (double)failures / (double)c->requests : 0, 6);
    json_kv_ms(j, "p50Ms", hist_quantile(&c->latency, 0.5));
    json_kv_ms(j, "p95Ms", hist_quantile(&c->latency, 0.95));
    json_kv_ms(j, "p99Ms", hist_quantile(&c->latency, 0.99));
    json_kv_ms(j, "meanMs", c->requests ? c->latency.sum_ns / (int64_t)c->requests : 0);
    json_kv_str(j, "health", sv_z(health_name(e ? edge_view_health(e) : HEALTH_IDLE)));
    json_kv_text_or_null(j, "evidence", e ? sv_z(reporter_name(e->evidence)) : SV_NONE);
    json_close(j);
}

static void json_points(struct json_out *j, const struct view *v, int64_t now_ns)
{
    int64_t end_ns = MIN(v->window.to_ns, window_align_up(now_ns, BUCKET_NS));
    size_t i = 0, step = 0;
    json_kv_open(j, "points", '[');
    for (int64_t at_ns = v->window.from_ns; at_ns < end_ns; at_ns += v->step_ns, step++) {
        bool is_here = i < v->edges_len && v->edges[i].step == step;
        json_point(j, at_ns, v->step_ns, now_ns, is_here ? &v->edges[i] : NULL);
        i += is_here;
    }
    json_close(j);
}

/* The step to use: what was asked, else the shortest that gives at most POINTS_DEFAULT. */
static int read_step(struct params *p, const struct window *w, int64_t *ret_step_ns)
{
    int64_t length_ns = window_align_up(w->to_ns, BUCKET_NS) -
                        window_align_down(w->from_ns, BUCKET_NS);
    int64_t step_ns = window_align_up(length_ns / POINTS_DEFAULT, BUCKET_NS);
    step_ns = MAX(step_ns, BUCKET_NS);
    if (params_duration(p, "step", BUCKET_NS, STEP_MAX_NS, &step_ns) < 0)
        return -1;
    if (step_ns % BUCKET_NS != 0)
        return params_fault(p, "step", "want a whole multiple of 10s");
    *ret_step_ns = step_ns;
    return 0;
}

bool api_edge_id(const struct query *q, uint64_t *ret_id, struct answer *a)
{
    uint8_t bytes[8];
    uint64_t id = 0;
    if (!sv_to_bytes(q->id, bytes, sizeof(bytes))) {
        answer_error(a, 400, SV("id"), "want the 16 hexadecimal digits of an edge's id");
        return false;
    }
    for (size_t i = 0; i < sizeof(bytes); i++)
        id = id << 8 | bytes[i];
    if (id == 0) /* a wish for any edge */
        answer_error(a, 404, SV("id"), "no such edge in this window at this granularity");
    *ret_id = id;
    return id != 0;
}

void api_edge_history(const struct api *api, struct query *q, struct answer *a)
{
    struct view_wish wish = { 0 };
    AUTO_DONE(view) v = { 0 };
    AUTO_DONE(view) whole = { 0 };
    int64_t window_ns;
    if (!api_edge_id(q, &wish.edge_id, a))
        return;
    if (picture_read_wish(&q->params, &wish, &window_ns) < 0) {
        answer_fault(a, &q->params);
        return;
    }
    if (!read_view(api, &wish, &whole, a))
        return;
    if (read_step(&q->params, &wish.window, &wish.step_ns) < 0) {
        answer_fault(a, &q->params);
        return;
    }
    if (whole.edges_len == 0) {
        answer_error(a, 404, SV("id"), "no such edge in this window at this granularity");
        return;
    }
    if (!read_view(api, &wish, &v, a))
        return;
    struct json_out j = json_out_of(&a->body);
    json_open(&j, '{');
    json_view_head(&j, &v, q->params.now_ns);
    json_kv_double(&j, "stepSeconds", (double)v.step_ns / 1e9);
    json_key(&j, SV("edge"));
    json_edge(&j, &whole.edges[0], view_seconds(&whole, q->params.now_ns), NULL);
    json_points(&j, &v, q->params.now_ns);
    json_close(&j);
}
