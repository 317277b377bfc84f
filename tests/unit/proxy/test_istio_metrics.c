/* Labels and values of Istio's metrics, their budget, and that nothing is counted twice or not at all. */
#include "base/clock.h"
#include "base/mem.h"
#include "exchange_fixture.h"
#include "proxy/telemetry/istio_metrics.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_has(const struct buf *text, const char *part)
{
    if (!sv_contains(buf_sv(text), sv_z(part)))
        print_message("%s\nis not in\n%.*s\n", part, SV_ARG(buf_sv(text)));
    assert_true(sv_contains(buf_sv(text), sv_z(part)));
}

static void written(struct istio_metrics *m, int64_t now_ns, struct buf *to)
{
    buf_clear(to);
    istio_metrics_write(m, now_ns, to);
    assert_false(to->failed);
}

/* The sum over all series of one family whose labels contain part. */
static double sum_of(struct istio_metrics *m, int64_t now_ns, const char *family, const char *part)
{
    AUTO_DONE(buf) text = { 0 };
    double sum = 0;
    written(m, now_ns, &text);
    for (struct sv rest = buf_sv(&text), line; sv_cut(&rest, '\n', &line);) {
        double value;
        size_t len = strlen(family);
        if (!sv_starts(line, sv_z(family)) || line.p[len] != '{' || !sv_contains(line, sv_z(part)))
            continue;
        assert_true(sv_to_double(sv_from(line, sv_rindex(line, ' ') + 1), &value));
        sum += value;
    }
    return sum;
}

static void test_labels(void **state)
{
    (void)state;
    struct istio_metrics m;
    AUTO_DONE(buf) text = { 0 };
    struct exchange x = exchange_fixture();
    istio_metrics_init(&m, 10, 0);
    istio_metrics_add(&m, &x, 1);
    istio_metrics_add(&m, &x, 2);
    x.call.reporter = REPORTER_DESTINATION;
    x.call.protocol = PROTOCOL_GRPC;
    x.call.grpc_status = 14;
    x.call.response_flags = SV("UF,URX");
    istio_metrics_add(&m, &x, 3);
    x.call.tls = TLS_ONE_WAY;
    x.call.response_code = 0;
    x.call.destination_service = SV("a\"b\\c\nd");
    x.call.source_principal_seen = SV_NONE;
    istio_metrics_add(&m, &x, 3);
    written(&m, 3, &text);
    assert_has(&text, "# TYPE istio_requests_total counter\n"
                      "istio_requests_total{reporter=\"source\",source_workload=\"productpage-v1\","
                      "source_canonical_service=\"reviews\",source_canonical_revision=\"v1\","
                      "source_workload_namespace=\"default\","
                      "source_principal=\"spiffe://cluster.local/ns/default/sa/page\","
                      "source_app=\"reviews\",source_version=\"v1\",source_cluster=\"demo\","
                      "destination_workload=\"reviews-v2\","
                      "destination_workload_namespace=\"default\","
                      "destination_principal=\"spiffe://cluster.local/ns/default/sa/reviews\","
                      "destination_app=\"reviews\",destination_version=\"v2\","
                      "destination_service=\"reviews.default.svc.cluster.local\","
                      "destination_canonical_service=\"reviews\","
                      "destination_canonical_revision=\"v2\",destination_service_name=\"reviews\","
                      "destination_service_namespace=\"default\",destination_cluster=\"demo\","
                      "request_protocol=\"http\",response_flags=\"-\","
                      "connection_security_policy=\"unknown\",response_code=\"200\","
                      "grpc_response_status=\"\"} 2\n");
    assert_has(&text, "request_protocol=\"grpc\",response_flags=\"UF,URX\","
                      "connection_security_policy=\"mutual_tls\",response_code=\"200\","
                      "grpc_response_status=\"14\"} 1\n");
    assert_has(&text, "destination_service_name=\"a\\\"b\\\\c\\nd\"");
    assert_has(&text, "connection_security_policy=\"none\",response_code=\"0\"");
    assert_has(&text, "source_principal=\"unknown\"");
    assert_has(&text, "istio_build{component=\"proxy\",tag=\"");
    istio_metrics_done(&m);
}

static void test_histograms(void **state)
{
    (void)state;
    struct istio_metrics m;
    struct exchange x = exchange_fixture();
    static const int64_t durations[] = { 0, 500000, 500001, 5000000, INT64_C(4000) * NS_PER_S };
    istio_metrics_init(&m, 10, 0);
    for (size_t i = 0; i < NELEMS(durations); i++) {
        x.call.duration_ns = durations[i];
        istio_metrics_add(&m, &x, 1);
    }
    static const struct {
        const char *le;
        double want;
    } cases[] = { { "le=\"0.5\"", 2 }, { "le=\"1\"", 3 },       { "le=\"5\"", 4 },
                  { "le=\"10\"", 4 },  { "le=\"3600000\"", 4 }, { "le=\"+Inf\"", 5 } };
    for (size_t i = 0; i < NELEMS(cases); i++)
        assert_true(sum_of(&m, 1, "istio_request_duration_milliseconds_bucket", cases[i].le) ==
                    cases[i].want);
    assert_true(sum_of(&m, 1, "istio_request_duration_milliseconds_count", "") == 5);
    assert_true(sum_of(&m, 1, "istio_request_duration_milliseconds_sum", "") == 4000006.000001);
    assert_true(sum_of(&m, 1, "istio_response_bytes_sum", "") == 5 * 295);
    assert_true(sum_of(&m, 1, "istio_request_bytes_bucket", "le=\"5\"") == 5);
    istio_metrics_done(&m);
}

static void test_tcp(void **state)
{
    (void)state;
    struct istio_metrics m;
    AUTO_DONE(buf) text = { 0 };
    struct exchange x = exchange_fixture();
    x.call.protocol = PROTOCOL_TCP;
    istio_metrics_init(&m, 10, 0);
    istio_metrics_add(&m, &x, 1);
    istio_metrics_add(&m, &x, 1);
    written(&m, 1, &text);
    assert_has(&text,
               "request_protocol=\"tcp\",response_flags=\"-\","
               "connection_security_policy=\"unknown\"} 590\n"); /* no code, no gRPC status */
    assert_true(sum_of(&m, 1, "istio_tcp_connections_opened_total", "") == 2);
    assert_true(sum_of(&m, 1, "istio_tcp_connections_closed_total", "") == 2);
    assert_true(sum_of(&m, 1, "istio_tcp_received_bytes_total", "") == 6);
    assert_true(sum_of(&m, 1, "istio_requests_total", "") == 0);
    istio_metrics_done(&m);
}

/* Open, 3 and 4 bytes while it lives, 10 in all. */
static void test_tcp_in_parts(void **state)
{
    (void)state;
    static const struct {
        enum call_part part;
        uint64_t bytes, before;
        double opened, closed, sum;
    } steps[] = {
        { CALL_BEGIN, 0, 0, 1, 0, 0 },
        { CALL_BYTES, 3, 0, 1, 0, 3 },
        { CALL_BYTES, 4, 0, 1, 0, 7 },
        { CALL_END, 10, 7, 1, 1, 10 },
    };
    struct istio_metrics m;
    struct exchange x = exchange_fixture();
    x.call.protocol = PROTOCOL_TCP;
    istio_metrics_init(&m, 10, 0);
    for (size_t i = 0; i < NELEMS(steps); i++) {
        x.call.part = steps[i].part;
        x.call.bytes_received = x.call.bytes_sent = steps[i].bytes;
        x.call.bytes_received_before = x.call.bytes_sent_before = steps[i].before;
        istio_metrics_add(&m, &x, 1);
        assert_true(sum_of(&m, 1, "istio_tcp_connections_opened_total", "") == steps[i].opened);
        assert_true(sum_of(&m, 1, "istio_tcp_connections_closed_total", "") == steps[i].closed);
        assert_true(sum_of(&m, 1, "istio_tcp_received_bytes_total", "") == steps[i].sum);
        assert_true(sum_of(&m, 1, "istio_tcp_sent_bytes_total", "") == steps[i].sum);
    }
    istio_metrics_done(&m);
}

/* Told while a call goes on and at its end, each once; without labels of how it ended. */
static void test_messages(void **state)
{
    (void)state;
    struct istio_metrics m;
    AUTO_DONE(buf) text = { 0 };
    struct exchange x = exchange_fixture();
    x.call.protocol = PROTOCOL_GRPC;
    istio_metrics_init(&m, 10, 0);
    x.request_messages = 3;
    istio_metrics_add_messages(&m, &x, 1);
    x.response_messages = 4;
    istio_metrics_add_messages(&m, &x, 1);
    assert_true(sum_of(&m, 1, "istio_requests_total", "") == 0);
    x.request_messages = 0;
    x.response_messages = 2;
    x.call.grpc_status = 14;
    x.call.response_flags = SV("UC");
    istio_metrics_add(&m, &x, 1);
    x.call.grpc_status = 0;
    x.response_messages = 0; /* the call without messages makes no series of them */
    x.call.reporter = REPORTER_DESTINATION;
    istio_metrics_add(&m, &x, 1);
    assert_true(sum_of(&m, 1, "istio_requests_total", "") == 2);
    assert_true(sum_of(&m, 1, "istio_request_messages_total", "") == 6);
    written(&m, 1, &text);
    assert_has(
        &text,
        "# TYPE istio_response_messages_total counter\n"
        "istio_response_messages_total{reporter=\"source\",source_workload=\"productpage-v1\"");
    assert_has(&text,
               "destination_service_namespace=\"default\",destination_cluster=\"demo\"} 6\n");
    assert_int_equal(m.rows.len, 3);
    istio_metrics_done(&m);
    /* Beyond the budget, and of a gateway's way to the caller. */
    istio_metrics_init(&m, 1, 0);
    x.request_messages = 5;
    istio_metrics_add(&m, &x, 1);
    assert_int_equal(m.overflowed, 0);
    assert_true(sum_of(&m, 1, "istio_request_messages_total", "source_workload=\"other\"") == 5);
    x.is_front = x.has_back = true;
    istio_metrics_add(&m, &x, 1);
    assert_true(sum_of(&m, 1, "istio_request_messages_total", "") == 5);
    istio_metrics_done(&m);
}

/* Passed on: told by the way to the upstream. Answered by the gateway itself: as a source. */
static void test_gateway(void **state)
{
    (void)state;
    struct istio_metrics m;
    struct exchange x = exchange_fixture();
    x.is_front = x.has_back = true;
    x.call.reporter = REPORTER_DESTINATION;
    istio_metrics_init(&m, 10, 0);
    istio_metrics_add(&m, &x, 1);
    assert_true(sum_of(&m, 1, "istio_requests_total", "") == 0);
    x.has_back = false;
    x.call.destination_service = SV("invented.example");
    istio_metrics_add(&m, &x, 1);
    assert_true(sum_of(&m, 1, "istio_requests_total", "invented") == 0);
    assert_true(sum_of(&m, 1, "istio_requests_total",
                       "reporter=\"source\",source_workload=\"reviews-v2\"") == 1);
    assert_true(sum_of(&m, 1, "istio_requests_total", "destination_workload=\"unknown\"") == 1);
    istio_metrics_done(&m);
}

/* Whatever callers invent: as many series as the budget, and every request counted once. */
static void test_budget(void **state)
{
    (void)state;
    struct istio_metrics m;
    struct exchange x = exchange_fixture();
    char host[32];
    istio_metrics_init(&m, 3, 10 * NS_PER_S);
    for (int i = 0; i < 100; i++) {
        snprintf(host, sizeof(host), "host-%d", i);
        x.call.destination_service = sv_z(host);
        x.call.reporter = i % 2 ? REPORTER_SOURCE : REPORTER_DESTINATION;
        istio_metrics_add(&m, &x, NS_PER_S);
    }
    assert_int_equal(m.rows.len, 3);
    assert_int_equal(m.overflowed, 97);
    assert_true(sum_of(&m, NS_PER_S, "istio_requests_total", "") == 100);
    assert_true(sum_of(&m, NS_PER_S, "istio_requests_total", "reporter=\"source\"") == 50);
    assert_true(sum_of(&m, NS_PER_S, "istio_requests_total", "destination_service=\"other\"") ==
                97);
    /* room for others once they are unused, not earlier */
    x.call.destination_service = SV("late");
    istio_metrics_add(&m, &x, 10 * NS_PER_S);
    assert_int_equal(m.overflowed, 98);
    istio_metrics_add(&m, &x, 11 * NS_PER_S);
    assert_int_equal(m.overflowed, 98);
    assert_int_equal(m.expired, 3);
    assert_true(sum_of(&m, 12 * NS_PER_S, "istio_requests_total", "destination_service=\"late\"") ==
                1);
    assert_true(sum_of(&m, 21 * NS_PER_S, "istio_requests_total", "destination_service=\"late\"") ==
                0);
    istio_metrics_done(&m);
}

static void test_off(void **state)
{
    (void)state;
    struct istio_metrics m;
    AUTO_DONE(buf) text = { 0 };
    struct exchange x = exchange_fixture();
    istio_metrics_init(&m, 0, 0);
    istio_metrics_add(&m, &x, 1);
    written(&m, 1, &text);
    assert_int_equal(text.len, 0);
    istio_metrics_done(&m);
}

static void test_nomem(void **state)
{
    (void)state;
    struct exchange x = exchange_fixture();
    x.request_messages = 1;
    for (uint64_t n = 1, made = 1; n <= made; n++) {
        struct istio_metrics m;
        istio_metrics_init(&m, 2, 0);
        mem_fail_nth(n);
        istio_metrics_add(&m, &x, 1);
        made = MAX(made, mem_count());
        mem_fail_nth(0);
        uint64_t counted = (uint64_t)sum_of(&m, 1, "istio_requests_total", "");
        assert_int_equal(counted + m.lost, 1);
        istio_metrics_done(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels),       cmocka_unit_test(test_histograms),
        cmocka_unit_test(test_tcp),          cmocka_unit_test(test_gateway),
        cmocka_unit_test(test_tcp_in_parts), cmocka_unit_test(test_budget),
        cmocka_unit_test(test_messages),     cmocka_unit_test(test_off),
        cmocka_unit_test(test_nomem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
