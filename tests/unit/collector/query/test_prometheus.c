/* test_prometheus.c - the families of edges, from calls to text. */
#include "../sample.h"
#include "base/buf.h"
#include "query/prometheus.h"

#define LABELS                                                                                     \
    "source_cluster=\"demo\",source_namespace=\"shop\",source_workload=\"a\","                     \
    "source_service=\"a\",source_version=\"v1\",destination_cluster=\"demo\","                     \
    "destination_namespace=\"shop\",destination_workload=\"b\\\\\\\"\\nc\","                       \
    "destination_service=\"b\\\\\\\"\\nc\",destination_version=\"v1\",protocol=\"http\","          \
    "tls=\"mutual\""
#define DURATION      "tulle_edge_request_duration_seconds"
#define BUCKET(le, n) DURATION "_bucket{" LABELS ",le=\"" le "\"} " n "\n"

/* clang-format off */
static const char golden[] =
    "# HELP tulle_edge_requests_total requests on an edge, each counted once\n"
    "# TYPE tulle_edge_requests_total counter\n"
    "tulle_edge_requests_total{" LABELS ",code=\"2xx\"} 2\n"
    "tulle_edge_requests_total{" LABELS ",code=\"5xx\"} 1\n"
    "# HELP tulle_edge_errors_total of them: no response, HTTP 5xx, or a gRPC status other than OK\n"
    "# TYPE tulle_edge_errors_total counter\n"
    "tulle_edge_errors_total{" LABELS "} 1\n"
    "# HELP " DURATION " duration of the requests\n"
    "# TYPE " DURATION " histogram\n"
    BUCKET("0.0005", "0") BUCKET("0.001", "0") BUCKET("0.0025", "0") BUCKET("0.005", "3")
    BUCKET("0.01", "3") BUCKET("0.025", "3") BUCKET("0.05", "3") BUCKET("0.1", "3")
    BUCKET("0.25", "3") BUCKET("1", "3") BUCKET("2.5", "3") BUCKET("10", "3") BUCKET("+Inf", "3")
    DURATION "_sum{" LABELS "} 0.009\n"
    DURATION "_count{" LABELS "} 3\n"
    "# HELP tulle_edge_received_bytes_total request bodies\n"
    "# TYPE tulle_edge_received_bytes_total counter\n"
    "tulle_edge_received_bytes_total{" LABELS "} 30\n"
    "# HELP tulle_edge_sent_bytes_total response bodies\n"
    "# TYPE tulle_edge_sent_bytes_total counter\n"
    "tulle_edge_sent_bytes_total{" LABELS "} 300\n";
/* clang-format on */

static struct fold *fold_of_three(void)
{
    struct fold_conf conf = fold_conf_default();
    struct fold *f = fold_new(&conf);
    struct batch *b = batch_new();
    assert_non_null(f);
    for (int i = 0; i < 3; i++)
        *batch_add_call(b) = sample_call(SV("a"), SV("b\\\"\nc"), REPORTER_SOURCE, T0,
                                         i == 0 ? 500 : 200);
    b->received_ns = T0;
    fold_batch(f, b, true);
    batch_free(b);
    return f;
}

static void test_edges(void **state)
{
    struct fold *f = fold_of_three();
    AUTO_DONE(buf) got = { 0 };
    (void)state;
    prometheus_put_edges(f, EXPOSITION_TEXT, &got);
    fold_free(f);
    if (!sv_eq(buf_sv(&got), sv_z(golden)))
        fail_msg("got:\n%.*s\nwant:\n%s", SV_ARG(buf_sv(&got)), golden);
}

/* Every tally has a line, with its one label or without. */
static void test_tallies(void **state)
{
    static const struct tally_row rows[] = { { "a_total", "why=\"x\"", "first" },
                                             { "a_total", "why=\"y\"", "" },
                                             { "b", "", "second" } };
    static _Atomic uint64_t cells[] = { 1, 2, 3 };
    struct tally_table t = { .prefix = "p_", .rows = rows, .cells = cells, .len = NELEMS(rows) };
    AUTO_DONE(buf) got = { 0 }, text = { 0 };
    (void)state;
    prometheus_put_tallies(&t, EXPOSITION_OPENMETRICS, &got);
    assert_true(sv_eq(buf_sv(&got), SV("# HELP p_a first\n# TYPE p_a counter\n"
                                       "p_a_total{why=\"x\"} 1\np_a_total{why=\"y\"} 2\n"
                                       "# HELP p_b second\n# TYPE p_b gauge\np_b 3\n")));
    buf_clear(&got);
    prometheus_put_tallies(&t, EXPOSITION_TEXT, &got);
    tally_write(&t, &text);
    assert_true(sv_eq(buf_sv(&got), buf_sv(&text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_tallies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
