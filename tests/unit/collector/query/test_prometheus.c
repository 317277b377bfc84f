/* test_prometheus.c - the text of tulle_edge_*, byte for byte. */
#include "../sample.h"
#include "base/buf.h"
#include "query/prometheus.h"

#define LABELS                                                                                     \
    "source_cluster=\"demo\",source_namespace=\"shop\",source_workload=\"a\","                     \
    "source_service=\"a\",source_version=\"v1\",destination_cluster=\"demo\","                     \
    "destination_namespace=\"shop\",destination_workload=\"b\\\\\\\"\\nc\","                       \
    "destination_service=\"b\\\\\\\"\\nc\",destination_version=\"v1\",protocol=\"http\","          \
    "tls=\"mutual\""
#define HELP(name, type, text) "# HELP " name " " text "\n# TYPE " name " " type "\n"
#define BUCKET(le, n)          "tulle_edge_request_duration_seconds_bucket{" LABELS ",le=\"" le "\"} " n "\n"

static const char golden[] = HELP(
    "tulle_edge_requests_total", "counter",
    "requests on an edge, each counted once") "tulle_edge_requests_total{" LABELS
                                              ",code=\"2xx\"} 2\n"
                                              "tulle_edge_requests_total{" LABELS
                                              ",code=\"5xx\"} 1\n" HELP("tulle_edge_errors_total", "counter", "of them: no response, HTTP 5xx, or a gRPC status other than OK") "tulle_edge_errors_total{" LABELS "} 1\n" HELP(
                                                  "tulle_edge_request_duration_seconds",
                                                  "histogram",
                                                  "duration of the requests") BUCKET("0.0005", "0")
                                                  BUCKET("0.001", "0") BUCKET("0.0025", "0")
                                                      BUCKET("0.005", "3") BUCKET("0.01", "3")
                                                          BUCKET("0.025", "3") BUCKET("0.05", "3")
                                                              BUCKET("0.1",
                                                                     "3") BUCKET("0.25", "3")
                                                                  BUCKET("1", "3") BUCKET(
                                                                      "2.5", "3") BUCKET("10", "3")
                                                                      BUCKET(
                                                                          "+Inf",
                                                                          "3") "tulle_edge_"
                                                                               "request_"
                                                                               "duration_"
                                                                               "seconds_"
                                                                               "sum{" LABELS
                                                                               "} 0.009\n"
                                                                               "tulle_edge_"
                                                                               "request_"
                                                                               "duration_"
                                                                               "seconds_"
                                                                               "count"
                                                                               "{" LABELS
                                                                               "} 3\n" HELP(
                                                                                   "tulle_"
                                                                                   "edge_"
                                                                                   "receive"
                                                                                   "d_"
                                                                                   "bytes_"
                                                                                   "total",
                                                                                   "counte"
                                                                                   "r",
                                                                                   "request"
                                                                                   " bodie"
                                                                                   "s") "tu"
                                                                                        "ll"
                                                                                        "e_"
                                                                                        "ed"
                                                                                        "ge"
                                                                                        "_r"
                                                                                        "ec"
                                                                                        "ei"
                                                                                        "ve"
                                                                                        "d_"
                                                                                        "by"
                                                                                        "te"
                                                                                        "s_"
                                                                                        "to"
                                                                                        "ta"
                                                                                        "l"
                                                                                        "{" LABELS
                                                                                        "} "
                                                                                        "30"
                                                                                        "\n" HELP(
                                                                                            "tulle_"
                                                                                            "edge_"
                                                                                            "sent_"
                                                                                            "bytes_"
                                                                                            "total",
                                                                                            "counte"
                                                                                            "r",
                                                                                            "respon"
                                                                                            "se "
                                                                                            "bodie"
                                                                                            "s") "t"
                                                                                                 "u"
                                                                                                 "l"
                                                                                                 "l"
                                                                                                 "e"
                                                                                                 "_"
                                                                                                 "e"
                                                                                                 "d"
                                                                                                 "g"
                                                                                                 "e"
                                                                                                 "_"
                                                                                                 "s"
                                                                                                 "e"
                                                                                                 "n"
                                                                                                 "t"
                                                                                                 "_"
                                                                                                 "b"
                                                                                                 "y"
                                                                                                 "t"
                                                                                                 "e"
                                                                                                 "s"
                                                                                                 "_"
                                                                                                 "t"
                                                                                                 "o"
                                                                                                 "t"
                                                                                                 "a"
                                                                                                 "l"
                                                                                                 "{" LABELS
                                                                                                 "}"
                                                                                                 " "
                                                                                                 "3"
                                                                                                 "0"
                                                                                                 "0"
                                                                                                 "\n";

static void test_edges(void **state)
{
    struct fold_conf conf = fold_conf_default();
    struct fold *f = fold_new(&conf);
    struct batch *b = batch_new();
    AUTO_DONE(buf) got = { 0 };
    (void)state;
    for (int i = 0; i < 3; i++)
        *batch_add_call(b) = sample_call(SV("a"), SV("b\\\"\nc"), REPORTER_SOURCE, T0,
                                         i == 0 ? 500 : 200);
    fold_batch(f, b, true);
    batch_free(b);
    prometheus_put_edges(f, &got);
    fold_free(f);
    if (!sv_eq(buf_sv(&got), sv_z(golden)))
        fail_msg("got:\n%.*s\nwant:\n%s", SV_ARG(buf_sv(&got)), golden);
}

static void test_labels(void **state)
{
    AUTO_DONE(buf) got = { 0 };
    (void)state;
    prometheus_put_label(&got, SV("caf\xc3\xa9 \xff\"\\\n"));
    /* one bad byte makes every byte outside ASCII suspect */
    assert_true(sv_eq(buf_sv(&got), SV("caf\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\\\"\\\\\\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
