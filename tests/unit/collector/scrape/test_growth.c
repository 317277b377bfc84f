/* test_growth.c - counters in, what edges did out: nothing of before, nothing twice, nothing lost. */
#include "base/clock.h"
#include "base/mem.h"
#include "model/edge.h"
#include "scrape/growth.h"
#include "scrape/mesh_metric.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define T0 (INT64_C(1800000000) * NS_PER_S)
#define ENDS                                                                                       \
    "source_workload=\"a-v1\",source_canonical_service=\"a\",source_canonical_revision=\"v1\","    \
    "source_workload_namespace=\"x\",destination_workload=\"b-v1\",destination_workload_namespace" \
    "=\"x\",destination_canonical_service=\"b\",destination_canonical_revision=\"v1\","            \
    "destination_service=\"b.x.svc.cluster.local\",request_protocol=\"http\""
#define CALLER "reporter=\"source\"," ENDS ",connection_security_policy=\"unknown\""
#define CALLEE "reporter=\"destination\"," ENDS ",connection_security_policy=\"mutual_tls\""

struct seen {
    size_t given;
    uint64_t requests, errors, beside;
    struct call who;
    struct edge_cell cell; /* all rounds */
};

static void see(void *to, const struct call *who, const struct alike *a)
{
    struct seen *s = to;
    s->who = *who;
    if (a->is_beside) {
        assert_false(a->is_calling);
        s->beside += a->times;
        return;
    }
    s->given++;
    s->requests += a->times;
    assert_int_equal(edge_cell_add_alike(&s->cell, a), 0);
    s->errors = s->cell.errors;
}

static int64_t at_s; /* of the look before */

static struct growth_result look(struct growth *g, uint32_t target, bool is_first, const char *text)
{
    static const struct identity own = { .namespace = { "shop", 4 }, .workload = { "web", 3 } };
    struct growth_look l = { target, &own, is_first, T0 + at_s * NS_PER_S,
                             T0 + (at_s + 10) * NS_PER_S };
    struct growth_result r = { 0 };
    assert_int_equal(growth_look(g, &l, sv_z(text), &r), 0);
    return r;
}

static uint64_t round_of(struct growth *g, struct seen *s)
{
    uint64_t before = s->requests;
    growth_round(g, see, s);
    at_s += 10;
    return s->requests - before;
}

static void test_first_growth_reset(void **state)
{
    (void)state;
    AUTO_FREE(growth) g = growth_new();
    struct seen s = { 0 };
    at_s = 0;
    (void)look(g, 0, true, "istio_requests_total{" CALLER ",response_code=\"200\"} 100\n");
    assert_int_equal(round_of(g, &s), 0);
    (void)look(g, 0, false,
               "istio_requests_total{" CALLER ",response_code=\"200\"} 103\n"
               "istio_requests_total{" CALLER
               ",response_code=\"503\",response_flags=\"UF,URX\"} 2\n");
    assert_int_equal(round_of(g, &s), 5);
    assert_int_equal(s.errors, 2);
    assert_int_equal(s.cell.flags_len, 2);
    assert_int_equal(s.cell.first_ns, T0 + 15 * NS_PER_S); /* the middle */
    assert_true(sv_eq(s.who.source.version, SV("v1")));
    (void)look(g, 0, false, "istio_requests_total{" CALLER ",response_code=\"200\"} 4\n");
    assert_int_equal(round_of(g, &s), 4);
    (void)look(g, 0, false, "istio_requests_total{" CALLER ",response_code=\"200\"} NaN\nbad\n");
    assert_int_equal(round_of(g, &s), 0);
    assert_int_equal(round_of(g, &s), 0); /* an endpoint that is down */
    assert_int_equal(growth_series(g), 2);
    edge_cell_done(&s.cell);
}

static void test_both_sides(void **state)
{
    (void)state;
    AUTO_FREE(growth) g = growth_new();
    struct seen s = { 0 };
    at_s = 0;
    (void)look(g, 0, true, "");
    (void)look(g, 1, true, "");
    (void)round_of(g, &s);
    /* the callee's word waits a round, in which the caller's comes */
    (void)look(g, 0, false, "");
    (void)look(g, 1, false, "istio_requests_total{" CALLEE ",response_code=\"200\"} 3\n");
    assert_int_equal(round_of(g, &s), 0);
    (void)look(g, 0, false, "istio_requests_total{" CALLER ",response_code=\"200\"} 8\n");
    (void)look(g, 1, false, "istio_requests_total{" CALLEE ",response_code=\"200\"} 8\n");
    assert_int_equal(round_of(g, &s), 8);
    assert_int_equal(s.given, 1);
    assert_int_equal(s.beside, 8); /* what waited, and what came since */
    assert_int_equal(s.cell.tls[TLS_MUTUAL], 8);
    assert_int_equal(s.cell.tls_bases[TLS_BASIS_REPORTED], 8);
    /* the caller is down: nothing counts until it is back */
    (void)look(g, 1, false, "istio_requests_total{" CALLEE ",response_code=\"200\"} 20\n");
    assert_int_equal(round_of(g, &s), 0);
    (void)look(g, 0, false, "istio_requests_total{" CALLER ",response_code=\"200\"} 20\n");
    assert_int_equal(round_of(g, &s), 12);
    /* gone for good: the callee's word counts */
    at_s += 700;
    (void)look(g, 1, false, "istio_requests_total{" CALLEE ",response_code=\"200\"} 25\n");
    (void)round_of(g, &s);
    (void)look(g, 1, false, "istio_requests_total{" CALLEE ",response_code=\"200\"} 25\n");
    (void)round_of(g, &s);
    assert_int_equal(s.requests, 25);
    edge_cell_done(&s.cell);
}

/* The callee's word is about what reached it. */
static void test_never_arrived(void **state)
{
    (void)state;
    static const struct {
        const char *ending; /* labels of the caller's series */
        bool has_arrived;
    } endings[] = {
        { "response_code=\"200\"", true },
        { "response_code=\"503\"", true },
        { "response_code=\"503\",response_flags=\"UC\"", true },
        { "response_code=\"0\",response_flags=\"DC\"", false },
        { "response_code=\"503\",response_flags=\"UF,URX\"", false },
        { "response_code=\"404\",response_flags=\"NR\"", false },
    };
    for (size_t i = 0; i < NELEMS(endings); i++) {
        AUTO_FREE(growth) g = growth_new();
        struct seen s = { 0 };
        char text[1024];
        print_message("%s\n", endings[i].ending);
        snprintf(text, sizeof(text), "istio_requests_total{" CALLER ",%s} 2\n", endings[i].ending);
        at_s = 0;
        (void)look(g, 0, true, "");
        (void)look(g, 1, true, "");
        (void)round_of(g, &s);
        (void)look(g, 0, false, text);
        (void)look(g, 1, false, "istio_requests_total{" CALLEE ",response_code=\"200\"} 3\n");
        assert_int_equal(round_of(g, &s), 2);
        assert_int_equal(s.cell.tls[TLS_MUTUAL], endings[i].has_arrived ? 2 : 0);
        assert_int_equal(s.cell.tls[TLS_UNKNOWN], endings[i].has_arrived ? 0 : 2);
        edge_cell_done(&s.cell);
    }
}

#define CALLEE_PLAIN "reporter=\"destination\"," ENDS ",connection_security_policy=\"none\""

/* A callee that takes both: nothing is lost in the shares. */
static void test_shares(void **state)
{
    (void)state;
    AUTO_FREE(growth) g = growth_new();
    struct seen s = { 0 };
    at_s = 0;
    (void)look(g, 0, true, "");
    (void)look(g, 1, true, "");
    (void)round_of(g, &s);
    (void)look(g, 0, false,
               "istio_requests_total{" CALLER ",response_code=\"200\"} 9\n"
               "istio_request_bytes_sum{" CALLER ",response_code=\"200\"} 1001\n"
               "istio_request_duration_milliseconds_bucket{" CALLER
               ",response_code=\"200\",le=\"5\"} 9\n"
               "istio_request_duration_milliseconds_sum{" CALLER ",response_code=\"200\"} 33\n");
    (void)look(g, 1, false,
               "istio_requests_total{" CALLEE ",response_code=\"200\"} 2\n"
               "istio_requests_total{" CALLEE_PLAIN ",response_code=\"200\"} 1\n");
    assert_int_equal(round_of(g, &s), 9);
    assert_int_equal(s.cell.tls[TLS_MUTUAL], 6);
    assert_int_equal(s.cell.tls[TLS_PLAINTEXT], 3);
    assert_true(s.cell.first_plaintext.at_ns > 0);
    assert_int_equal(s.cell.bytes_received, 1001);
    assert_int_equal(s.cell.latency.count, 9);
    assert_int_equal(s.cell.latency.sum_ns, 33 * NS_PER_MS);
    edge_cell_done(&s.cell);
}

/* However many ways to end a proxy makes up, they are bounded, and errors stay exact. */
static void test_many_kinds(void **state)
{
    (void)state;
    AUTO_FREE(growth) g = growth_new();
    struct seen s = { 0 };
    AUTO_DONE(buf) text = { 0 };
    for (int i = 0; i < 500; i++) {
        char line[1024];
        snprintf(line, sizeof(line),
                 "istio_requests_total{" CALLER ",response_code=\"%d\",response_flags=\"F%d\"} 1\n",
                 200 + i % 400, i);
        buf_put(&text, sv_z(line));
    }
    buf_putc(&text, '\0');
    at_s = 0;
    (void)look(g, 0, true, "");
    (void)round_of(g, &s);
    (void)look(g, 0, false, buf_sv(&text).p);
    assert_int_equal(round_of(g, &s), 500);
    assert_true(s.given <= GROWTH_KINDS_MAX + 4 /* classes */);
    assert_int_equal(s.cell.codes[CODE_5XX], 100);
    assert_int_equal(s.errors, 100);
    edge_cell_done(&s.cell);
}

static void note_times(void *to, const struct call *who, const struct alike *a)
{
    int64_t *at_ns = to;
    (void)who;
    at_ns[a->times == 90] = a->at_ns; /* [1]: of the endpoint that was away */
}

/* Two proxies of one workload; one of them was away. */
static void test_away(void **state)
{
    (void)state;
    AUTO_FREE(growth) g = growth_new();
    struct seen s = { 0 };
    int64_t at_ns[2] = { 0 };
    at_s = 0;
    (void)look(g, 0, true, "");
    (void)look(g, 1, true, "");
    (void)round_of(g, &s);
    at_s = 200;
    (void)look(g, 0, false, "istio_requests_total{" CALLER ",response_code=\"200\"} 10\n");
    struct growth_look late = { 1, &(struct identity){ .workload = SV_NONE }, false,
                                T0 + 10 * NS_PER_S, T0 + 210 * NS_PER_S };
    struct growth_result r = { 0 };
    assert_int_equal(growth_look(g, &late,
                                 SV("istio_requests_total{" CALLER ",response_code=\"200\"} 90\n"),
                                 &r),
                     0);
    growth_round(g, note_times, at_ns);
    assert_int_equal(at_ns[0], T0 + 205 * NS_PER_S);
    assert_int_equal(at_ns[1], T0 + 110 * NS_PER_S);
}

/* Bytes of a connection that stays open do not wait for the next one. */
static void test_open_connection(void **state)
{
    (void)state;
#define TCP "reporter=\"source\"," ENDS ",response_flags=\"-\""
    AUTO_FREE(growth) g = growth_new();
    struct seen s = { 0 };
    at_s = 0;
    (void)look(g, 0, true, "");
    (void)round_of(g, &s);
    (void)look(g, 0, false,
               "istio_tcp_connections_opened_total{" TCP "} 1\n"
               "istio_tcp_sent_bytes_total{" TCP "} 10\n");
    assert_int_equal(round_of(g, &s), 1);
    (void)look(g, 0, false,
               "istio_tcp_connections_opened_total{" TCP "} 1\n"
               "istio_tcp_sent_bytes_total{" TCP "} 25\n");
    assert_int_equal(round_of(g, &s), 0);
    assert_int_equal(s.cell.bytes_sent, 25);
    assert_int_equal(s.cell.parts[TLS_UNKNOWN], 1);
    edge_cell_done(&s.cell);
}

static void test_latency(void **state)
{
    (void)state;
#define BUCKET "istio_request_duration_milliseconds_bucket{" CALLER ",le="
    AUTO_FREE(growth) g = growth_new();
    struct seen s = { 0 };
    at_s = 0;
    (void)look(g, 0, true, BUCKET "\"5\"} 10\n" BUCKET "\"10\"} 10\n" BUCKET "\"+Inf\"} 10\n");
    (void)round_of(g, &s);
    (void)look(g, 0, false,
               BUCKET "\"5\"} 13\n" BUCKET "\"10\"} 20\n" BUCKET "\"+Inf\"} 21\n"
                      "istio_request_duration_milliseconds_sum{" CALLER "} 77\n"
                      "istio_request_bytes_sum{" CALLER "} 500\nistio_response_bytes_sum{" CALLER
                      "} 600\n"
                      "istio_requests_total{" CALLER ",response_code=\"200\"} 11\n");
    assert_int_equal(round_of(g, &s), 11);
    assert_int_equal(s.cell.latency.count, 11);
    assert_int_equal(hist_count_below(&s.cell.latency, 0.0055), 3);
    assert_int_equal(hist_count_below(&s.cell.latency, 0.011), 11);
    assert_int_equal(s.cell.latency.sum_ns, 77 * NS_PER_MS);
    assert_int_equal(s.cell.bytes_received, 500);
    assert_int_equal(s.cell.bytes_sent, 600);
    /* latencies wait a round for their requests, not longer */
    for (int i = 0; i < 2; i++) {
        (void)look(g, 0, false, BUCKET "\"5\"} 14\n" BUCKET "\"10\"} 21\n" BUCKET "\"+Inf\"} 22\n");
        assert_int_equal(round_of(g, &s), 0);
    }
    (void)look(g, 0, false, "istio_requests_total{" CALLER ",response_code=\"200\"} 12\n");
    assert_int_equal(round_of(g, &s), 1);
    assert_int_equal(s.cell.latency.count, 11);
    edge_cell_done(&s.cell);
}

/* --- what a series says --- */

static const struct {
    const char *text;
    bool is_calling;
    enum protocol protocol;
    const char *from, *to;
    enum tls_state tls;
    enum tls_basis basis;
} said[] = {
    { "istio_requests_total{" CALLER "} 1", true, PROTOCOL_HTTP, "a-v1", "b-v1", TLS_UNKNOWN,
      TLS_BASIS_NONE },
    { "istio_requests_total{" CALLER ",destination_principal=\"spiffe://t/ns/x/sa/b\"} 1", true,
      PROTOCOL_HTTP, "a-v1", "b-v1", TLS_MUTUAL, TLS_BASIS_INFERRED },
    { "istio_requests_total{" CALLEE "} 1", false, PROTOCOL_HTTP, "a-v1", "b-v1", TLS_MUTUAL,
      TLS_BASIS_REPORTED },
    { "istio_requests_total{reporter=\"waypoint\",connection_security_policy=\"none\",source_"
      "workload=\"a\","
      "destination_workload=\"b\",request_protocol=\"grpc\"} 1",
      false, PROTOCOL_GRPC, "a", "b", TLS_PLAINTEXT, TLS_BASIS_REPORTED },
    { "istio_tcp_connections_opened_total{reporter=\"source\",connection_security_policy=\"none\","
      "source_workload="
      "\"a\",destination_workload=\"b\"} 1",
      true, PROTOCOL_TCP, "a", "b", TLS_UNKNOWN, TLS_BASIS_NONE },
    { "response_total{direction=\"outbound\",tls=\"true\",dst_statefulset=\"db\"} 1", true,
      PROTOCOL_HTTP, "web", "db", TLS_MUTUAL, TLS_BASIS_REPORTED },
    { "response_total{direction=\"outbound\",tls=\"no_identity\",dst_deployment=\"v\",grpc_status="
      "\"0\"} 1",
      true, PROTOCOL_GRPC, "web", "v", TLS_PLAINTEXT, TLS_BASIS_REPORTED },
    { "response_total{direction=\"inbound\",tls=\"disabled\"} 1", false, PROTOCOL_HTTP, "", "web",
      TLS_UNKNOWN, TLS_BASIS_NONE },
    { "response_total{direction=\"inbound\",tls=\"opaque\"} 1", false, PROTOCOL_HTTP, "", "web",
      TLS_UNKNOWN, TLS_BASIS_NONE },
    { "response_total{direction=\"inbound\",tls=\"true\"} 1", false, PROTOCOL_HTTP, "", "web",
      TLS_ONE_WAY, TLS_BASIS_REPORTED },
    { "response_total{direction=\"inbound\",tls=\"true\",client_id=\"c.ns.serviceaccount.identity."
      "l.cluster.local\"} 1",
      false, PROTOCOL_HTTP, "c", "web", TLS_MUTUAL, TLS_BASIS_REPORTED },
};

static void test_what_series_say(void **state)
{
    (void)state;
    const struct identity own = { .workload = SV("web") };
    for (size_t i = 0; i < NELEMS(said); i++) {
        AUTO_DONE(arena) mem = { 0 };
        struct prom_text t = prom_text_of(sv_z(said[i].text), &mem);
        struct prom_sample s;
        struct mesh_metric m;
        print_message("%s\n", said[i].text);
        assert_int_equal(prom_next(&t, &s, NULL), 1);
        assert_true(mesh_metric_of(&s, &own, &m));
        assert_int_equal(m.is_calling, said[i].is_calling);
        assert_int_equal(m.call.protocol, said[i].protocol);
        assert_true(sv_eq(m.call.source.workload, sv_z(said[i].from)));
        assert_true(sv_eq(m.call.destination.workload, sv_z(said[i].to)));
        assert_int_equal(m.call.tls, said[i].tls);
        assert_int_equal(m.call.tls_basis, said[i].basis);
    }
}

static void test_other_series(void **state)
{
    (void)state;
    static const char *const others[] = {
        "up 1",
        "istio_requests_total 1",
        "istio_requests_total{reporter=\"source\"} 1",
        "istio_request_duration_milliseconds_bucket{" CALLER "} 1",
        "istio_request_duration_milliseconds_bucket{" CALLER ",le=\"x\"} 1",
        "response_total{direction=\"sideways\"} 1",
        "tcp_open_total{direction=\"outbound\"} 1",
    };
    AUTO_FREE(growth) g = growth_new();
    struct seen s = { 0 };
    for (size_t i = 0; i < NELEMS(others); i++)
        assert_int_equal(look(g, 0, false, others[i]).samples, 0);
    assert_int_equal(look(g, 0, false, "a\nb 1\nc{\n").malformed, 2);
    assert_int_equal(round_of(g, &s), 0);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    static const char text[] = "istio_requests_total{" CALLER ",response_code=\"200\"} 4\n"
                               "istio_request_duration_milliseconds_bucket{" CALLER
                               ",le=\"5\",x=\"\\\\\"} 4\n";
    bool was_reached = true;
    for (uint64_t nth = 1; was_reached; nth++) {
        mem_fail_nth(nth);
        AUTO_FREE(growth) g = growth_new();
        struct growth_look l = { .own = &(struct identity){ .workload = SV_NONE },
                                 .from_ns = T0,
                                 .to_ns = T0 + NS_PER_S };
        struct growth_result r = { 0 };
        int rc = g ? growth_look(g, &l, sv_z(text), &r) : ERR_NOMEM;
        was_reached = mem_count() >= nth;
        mem_fail_nth(0);
        assert_int_equal(rc, was_reached ? ERR_NOMEM : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_growth_reset),  cmocka_unit_test(test_both_sides),
        cmocka_unit_test(test_never_arrived),       cmocka_unit_test(test_shares),
        cmocka_unit_test(test_many_kinds),          cmocka_unit_test(test_away),
        cmocka_unit_test(test_open_connection),     cmocka_unit_test(test_latency),
        cmocka_unit_test(test_what_series_say),     cmocka_unit_test(test_other_series),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
