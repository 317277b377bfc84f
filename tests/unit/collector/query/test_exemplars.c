/* test_exemplars.c - requests picked from what is stored: the right edge, the right range, by chance. */
#include "../sample.h"
#include "base/mem.h"
#include "query/exemplars.h"
#include <jansson.h>

enum { REQUESTS = 1000, TRACES = 30 };
#define T1 (T0 + 60 * NS_PER_S)

static const struct window minute = { T0, T1 };

static int64_t sixty(int i)
{
    return T0 + i * 60 * NS_PER_MS;
}

/* a > b takes 1 to 1000 ms and every tenth fails; told by both proxies. c > b is another edge. */
static void add_records(struct batch *b)
{
    for (int i = 0; i < REQUESTS; i++)
        for (int r = REPORTER_SOURCE; r <= REPORTER_DESTINATION; r++) {
            struct call *c = batch_add_call(b);
            *c = sample_call(SV("a"), SV("b"), (enum reporter)r, sixty(i), i % 10 ? 200 : 503);
            c->duration_ns = (i + 1) * NS_PER_MS;
            c->trace_id = sample_trace((uint8_t)(i % 250 + 1));
        }
    *batch_add_call(b) = sample_call(SV("c"), SV("b"), REPORTER_SOURCE, T0, 200);
}

static const struct attr who_x[] = { TEXT("service.name", "x") };
static const struct attr who_y[] = { TEXT("service.name", "y") };
static const struct resource x = { .attrs = { who_x, 1, 0 } };
static const struct resource y = { .attrs = { who_y, 1, 0 } };
static const struct scope scope;

/* x > y, a client and a server span in every trace. */
static void add_spans(struct batch *b)
{
    for (uint8_t i = 0; i < TRACES; i++)
        for (uint8_t side = 0; side < 2; side++) {
            struct span *s = batch_add_span(b);
            *s = (struct span){ .trace_id = sample_trace((uint8_t)(100 + i)),
                                .span_id = sample_span_id((uint8_t)(side + 1)),
                                .parent_id = side ? sample_span_id(1) : (struct span_id){ { 9 } },
                                .kind = side ? SPAN_KIND_SERVER : SPAN_KIND_CLIENT,
                                .start_ns = sixty(i),
                                .end_ns = sixty(i) + (20 - side) * NS_PER_MS,
                                .name = SV("get"),
                                .resource = side ? &y : &x,
                                .scope = &scope };
        }
}

struct world {
    struct api api;
    struct view view;
};

static int set_up(void **state)
{
    static struct world w;
    struct store_conf sc = { .url = SV("memory:") };
    struct fold_conf fc = fold_conf_default();
    w = (struct world){ .api = { .store = store_open(&sc, NULL), .fold = fold_new(&fc) } };
    struct batch *b = batch_new();
    add_records(b);
    add_spans(b);
    b->received_ns = T1;
    assert_int_equal(store_put(w.api.store, &b, 1, NULL), 0);
    fold_batch(w.api.fold, b, true);
    batch_free(b);
    struct view_wish wish = { .window = minute };
    assert_int_equal(api_read_view(&w.api, &wish, &w.view, NULL), 0);
    *state = &w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    view_done(&w->view);
    fold_free(w->api.fold);
    store_close(w->api.store);
    return 0;
}

static const struct edge_view *edge_from(const struct world *w, struct sv service)
{
    for (size_t i = 0; i < w->view.edges_len; i++)
        if (sv_eq(w->view.edges[i].edge.source.service, service))
            return &w->view.edges[i];
    fail_msg("no edge from %.*s", SV_ARG(service));
    return NULL;
}

static double duration_of(struct sv call)
{
    json_t *j = json_loadb(call.p, call.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    assert_true(json_is_string(json_object_get(j, "traceId")));
    double ms = json_number_value(json_object_get(j, "durationMs"));
    json_decref(j);
    return ms;
}

static void test_records(void **state)
{
    struct world *w = *state;
    AUTO_DONE(exemplars) e = { 0 };
    AUTO_DONE(exemplars) again = { 0 };
    const struct edge_view *edge = edge_from(w, SV("a"));
    uint64_t all = 0;
    assert_int_equal(exemplars_find(&w->api, edge, GRANULARITY_WORKLOAD, &minute, 5, &e, NULL), 0);
    assert_int_equal(exemplars_find(&w->api, edge, GRANULARITY_WORKLOAD, &minute, 5, &again, NULL),
                     0);
    assert_true(e.is_complete);
    assert_int_equal(e.looked_at, 2 * REQUESTS + 1);
    for (size_t r = 0; r < EXEMPLAR_RANGES - 1; r++) {
        all += e.ranges[r].requests;
        assert_int_equal(e.ranges[r].len, MIN(e.ranges[r].requests, 5));
        for (size_t i = 0; i < e.ranges[r].len; i++) {
            double ns = duration_of(e.ranges[r].taken[i]) * 1e6;
            assert_true(r == 0 || ns > (double)e.bounds_ns[r - 1]);
            assert_true(r == 3 || ns <= (double)e.bounds_ns[r]);
            assert_true(sv_eq(e.ranges[r].taken[i], again.ranges[r].taken[i]));
        }
    }
    assert_int_equal(all, REQUESTS);
    assert_int_equal(e.ranges[EXEMPLAR_RANGES - 1].requests, REQUESTS / 10);
    assert_int_equal(e.ranges[EXEMPLAR_RANGES - 1].len, 5);
}

static void test_spans(void **state)
{
    struct world *w = *state;
    AUTO_DONE(exemplars) e = { 0 };
    const struct edge_view *edge = edge_from(w, SV("x"));
    uint64_t all = 0;
    assert_int_equal(edge->evidence, REPORTER_PAIR);
    assert_int_equal(exemplars_find(&w->api, edge, GRANULARITY_WORKLOAD, &minute, 20, &e, NULL), 0);
    for (size_t r = 0; r < EXEMPLAR_RANGES - 1; r++)
        all += e.ranges[r].requests;
    assert_int_equal(all, TRACES);
    assert_int_equal(e.looked_at, TRACES);
    assert_true(e.is_complete);
}

/* Every request has the same chance: over many edges, early and late ones are picked alike. */
static void test_chance(void **state)
{
    struct world *w = *state;
    struct edge_view edge = *edge_from(w, SV("a"));
    size_t early = 0, all = 0;
    (void)hist_quantile(&edge.sum.latency, 0.5);
    for (int g = 0; g < GRANULARITIES_LEN; g++) {
        struct view_wish wish = { .window = minute, .granularity = (enum granularity)g };
        AUTO_DONE(view) v = { 0 };
        AUTO_DONE(exemplars) e = { 0 };
        assert_int_equal(api_read_view(&w->api, &wish, &v, NULL), 0);
        assert_int_equal(exemplars_find(&w->api, &v.edges[0], (enum granularity)g, &minute,
                                        EXEMPLARS_MAX, &e, NULL),
                         0);
        for (size_t i = 0; i < e.ranges[0].len; i++, all++)
            early += duration_of(e.ranges[0].taken[i]) < 250;
    }
    assert_true(all >= (size_t)4 * EXEMPLARS_MAX);
    assert_in_range(early, all / 5, all * 4 / 5);
}

static void test_memory(void **state)
{
    struct world *w = *state;
    const struct edge_view *edge = edge_from(w, SV("x"));
    for (size_t n = 1;; n++) {
        AUTO_DONE(exemplars) e = { 0 };
        mem_fail_nth(n);
        int rc = exemplars_find(&w->api, edge, GRANULARITY_WORKLOAD, &minute, 2, &e, NULL);
        bool is_over = mem_count() < n;
        mem_fail_nth(0);
        if (is_over)
            break;
        assert_true(rc == 0 || rc == ERR_NOMEM); /* a half that could not wait is lost */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_chance),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
