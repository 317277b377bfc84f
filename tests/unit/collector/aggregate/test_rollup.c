/* test_rollup.c - quantiles of every roll-up are those of all its requests, and health follows
 * Kiali's thresholds. */
#include "../sample.h"
#include "aggregate/health.h"
#include <stdlib.h>

enum { REQUESTS = 4000, WORKLOADS = 6 };

/* splitmix64: the same numbers on every machine. */
static uint64_t next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static struct identity who(unsigned n)
{
    static const char *const workloads[WORKLOADS] = {
        "a-v1", "a-v2", "b-v1", "b-v2", "c-v1", "d-v1"
    };
    static const char *const services[WORKLOADS] = { "a", "a", "b", "b", "c", "d" };
    static const char *const versions[WORKLOADS] = { "v1", "v2", "v1", "v2", "v1", "v1" };
    struct identity w = { SV("demo"),        n < 4 ? SV("x") : SV("y"), sv_z(workloads[n]),
                          sv_z(services[n]), sv_z(versions[n]),         IDENTITY_UNKNOWN };
    return w;
}

struct request {
    unsigned source, destination;
    int64_t bucket, duration_ns;
};

/* Latencies over five decades, as an edge of many kinds of requests has them. */
static void make(struct request *list, uint64_t seed)
{
    for (size_t i = 0; i < REQUESTS; i++) {
        uint64_t r = next(&seed);
        int64_t decade = 1000;
        for (uint64_t k = 0; k < (r >> 40) % 6; k++)
            decade *= 10;
        list[i] = (struct request){ r % 2, 2 + (r >> 8) % 4, (int64_t)((r >> 16) % 30),
                                    decade + (int64_t)((r >> 20) % (9 * (uint64_t)decade)) };
    }
}

static void feed(struct view_builder *b, const struct request *r)
{
    struct edge e = { .source = who(r->source),
                      .destination = who(r->destination),
                      .destination_service = SV("h") };
    struct edge_bucket bucket = { .edge = &e,
                                  .start_ns = T0 + r->bucket * BUCKET_NS,
                                  .width_ns = BUCKET_NS };
    struct call c = sample_call(SV("x"), SV("y"), REPORTER_SOURCE, bucket.start_ns, 200);
    c.duration_ns = r->duration_ns;
    struct edge_cell *cell = edge_bucket_cell(&bucket, REPORTER_SOURCE);
    assert_int_equal(edge_cell_add(cell, &c), 0);
    assert_int_equal(view_builder_add(b, &bucket), 0);
    edge_bucket_done(&bucket);
}

static int by_value(const void *pa, const void *pb)
{
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    return (a > b) - (a < b);
}

/* The durations of the requests that roll up to e, sorted. */
static size_t gather(const struct request *list, const struct edge_view *e, enum granularity g,
                     int64_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < REQUESTS; i++) {
        struct identity source = who(list[i].source), destination = who(list[i].destination);
        source = node_roll_up(&source, g);
        destination = node_roll_up(&destination, g);
        if (node_id(&source, g) == e->source_id && node_id(&destination, g) == e->destination_id)
            out[n++] = list[i].duration_ns;
    }
    qsort(out, n, sizeof(*out), by_value);
    return n;
}

static void check_quantiles(const struct edge_view *e, const int64_t *sorted, size_t n)
{
    static const double quantiles[] = { 0, 0.01, 0.5, 0.9, 0.95, 0.99, 0.999, 1 };
    assert_int_equal(e->sum.requests, n);
    assert_int_equal(e->sum.latency.count, n);
    for (size_t i = 0; i < NELEMS(quantiles); i++) {
        size_t rank = (size_t)(quantiles[i] * (double)n + 0.999999);
        double truth = (double)sorted[rank ? rank - 1 : 0];
        double said = (double)hist_quantile(&e->sum.latency, quantiles[i]);
        if (said < truth * 0.91 || said > truth * 1.1)
            fail_msg("q %g of %zu requests: %g, not %g", quantiles[i], n, said, truth);
    }
}

static void test_quantiles_are_true(void **state)
{
    static struct request list[REQUESTS];
    static int64_t sorted[REQUESTS];
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        make(list, seed);
        for (int g = 0; g < GRANULARITIES_LEN; g++) {
            struct view_wish w = { .window = { T0, T0 + 30 * BUCKET_NS },
                                   .granularity = (enum granularity)g };
            AUTO_FREE(view_builder) b = view_builder_new(&w);
            AUTO_DONE(view) v = { 0 };
            struct hist all = { 0 };
            for (size_t i = 0; i < REQUESTS; i++)
                feed(b, &list[i]);
            assert_int_equal(view_builder_finish(b, &v, NULL), 0);
            for (size_t i = 0; i < v.edges_len; i++) {
                check_quantiles(&v.edges[i], sorted,
                                gather(list, &v.edges[i], w.granularity, sorted));
                assert_int_equal(hist_merge(&all, &v.edges[i].sum.latency), 0);
            }
            assert_int_equal(all.count, REQUESTS);
            hist_done(&all);
        }
    }
}

/* What Kiali says of the same rates: config/config.go's defaults by health_calculator.go's rules. */
/* clang-format off */
static const struct {
    const char *name;
    enum protocol protocol;
    uint64_t requests, none, c4xx, c5xx, grpc_bad, tcp_errors;
    enum health health;
} vectors[] = {
    { "no traffic",                PROTOCOL_HTTP, 0,    0,  0,   0,   0,  0, HEALTH_IDLE },
    { "all well",                  PROTOCOL_HTTP, 1000, 0,  0,   0,   0,  0, HEALTH_HEALTHY },
    { "one 5xx of a thousand",     PROTOCOL_HTTP, 1000, 0,  0,   1,   0,  0, HEALTH_DEGRADED },
    { "5xx just below 10 %",       PROTOCOL_HTTP, 1000, 0,  0,   99,  0,  0, HEALTH_DEGRADED },
    { "5xx at 10 %",               PROTOCOL_HTTP, 1000, 0,  0,   100, 0,  0, HEALTH_FAILING },
    { "4xx just below 10 %",       PROTOCOL_HTTP, 1000, 0,  99,  0,   0,  0, HEALTH_HEALTHY },
    { "4xx at 10 %",               PROTOCOL_HTTP, 1000, 0,  100, 0,   0,  0, HEALTH_DEGRADED },
    { "4xx just below 20 %",       PROTOCOL_HTTP, 1000, 0,  199, 0,   0,  0, HEALTH_DEGRADED },
    { "4xx at 20 %",               PROTOCOL_HTTP, 1000, 0,  200, 0,   0,  0, HEALTH_FAILING },
    { "one without a response",    PROTOCOL_HTTP, 1000, 1,  0,   0,   0,  0, HEALTH_DEGRADED },
    { "no response at 10 %",       PROTOCOL_HTTP, 1000, 100, 0,  0,   0,  0, HEALTH_FAILING },
    { "each alone below 10 %",     PROTOCOL_HTTP, 1000, 60, 0,   60,  0,  0, HEALTH_DEGRADED },
    { "gRPC well",                 PROTOCOL_GRPC, 1000, 0,  0,   0,   0,  0, HEALTH_HEALTHY },
    { "one gRPC status",           PROTOCOL_GRPC, 1000, 0,  0,   0,   1,  0, HEALTH_DEGRADED },
    { "gRPC at 10 %",              PROTOCOL_GRPC, 1000, 0,  0,   0,  100, 0, HEALTH_FAILING },
    { "gRPC, each alone below",    PROTOCOL_GRPC, 1000, 60, 0,   0,   60, 0, HEALTH_DEGRADED },
    { "gRPC without response",     PROTOCOL_GRPC, 1000, 100, 0,  0,   0,  0, HEALTH_FAILING },
    /* beyond Kiali, which never judges TCP */
    { "TCP well",                  PROTOCOL_TCP,  1000, 0,  0,   0,   0,  0, HEALTH_HEALTHY },
    { "one connection failed",     PROTOCOL_TCP,  1000, 0,  0,   0,   0,  1, HEALTH_DEGRADED },
    { "a tenth failed",            PROTOCOL_TCP,  1000, 0,  0,   0,   0, 100, HEALTH_FAILING },
};
/* clang-format on */

static void test_kialis_thresholds(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(vectors); i++) {
        print_message("case: %s\n", vectors[i].name);
        bool is_grpc = vectors[i].protocol == PROTOCOL_GRPC;
        uint64_t bad = vectors[i].none + vectors[i].c4xx + vectors[i].c5xx;
        struct edge_view e = { .edge.protocol = vectors[i].protocol };
        e.sum.requests = vectors[i].requests;
        e.sum.codes[CODE_NONE] = vectors[i].none;
        e.sum.codes[CODE_4XX] = vectors[i].c4xx;
        e.sum.codes[CODE_5XX] = vectors[i].c5xx;
        e.sum.codes[CODE_2XX] = vectors[i].requests - bad;
        if (is_grpc) {
            e.sum.grpc[14] = vectors[i].grpc_bad;
            e.sum.grpc[0] = vectors[i].requests - vectors[i].grpc_bad - vectors[i].none;
        }
        if (vectors[i].protocol == PROTOCOL_TCP) {
            e.sum.codes[CODE_NONE] = vectors[i].requests;
            e.sum.codes[CODE_2XX] = 0;
        }
        e.sum.errors = vectors[i].none + vectors[i].c5xx + vectors[i].grpc_bad +
                       vectors[i].tcp_errors;
        assert_int_equal(edge_view_health(&e), vectors[i].health);
        assert_int_equal(edge_view_failures(&e), bad + vectors[i].grpc_bad + vectors[i].tcp_errors);
    }
}

/* 100 requests, the slowest tenth takes 2 s. */
static void test_latency_tolerance(void **state)
{
    static const struct {
        struct health_rules rules;
        enum health health;
    } cases[] = {
        { { 0, 0 }, HEALTH_HEALTHY },
        { { 3 * NS_PER_S, 0 }, HEALTH_HEALTHY },
        { { NS_PER_S, 0 }, HEALTH_DEGRADED },
        { { NS_PER_S, 5 * NS_PER_S }, HEALTH_DEGRADED },
        { { 500 * NS_PER_MS, NS_PER_S }, HEALTH_FAILING },
        { { 0, NS_PER_S }, HEALTH_FAILING },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct view_wish w = { .window = { T0, T0 + BUCKET_NS } };
        AUTO_FREE(view_builder) b = view_builder_new(&w);
        AUTO_DONE(view) v = { 0 };
        for (int k = 0; k < 100; k++)
            feed(b, &(struct request){ 0, 2, 0, k < 10 ? 2 * NS_PER_S : NS_PER_MS });
        assert_int_equal(view_builder_finish(b, &v, NULL), 0);
        view_judge_latency(&v, &cases[i].rules);
        assert_int_equal(edge_view_health(&v.edges[0]), cases[i].health);
        assert_true(sv_eq(v.nodes[1].who.service, SV("b")));
        assert_int_equal(node_view_health(&v.nodes[1]), cases[i].health);
        assert_int_equal(node_view_health(&v.nodes[0]), HEALTH_HEALTHY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles_are_true),
        cmocka_unit_test(test_kialis_thresholds),
        cmocka_unit_test(test_latency_tolerance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
