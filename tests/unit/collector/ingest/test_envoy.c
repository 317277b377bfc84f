/* test_envoy.c - lines of Istio's access log, as its documentation and its users' reports show them:
 * where each field is, which way the call went, who took part, whether it was protected. */
#include "base/mem.h"
#include "ingest/decode.h"
#include "ingest/envoy_line.h"
#include "tallies.h"
#include "wire/otlp_fields.h"
#include "wire/pb.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TIME "[2026-01-02T03:04:05.678Z] "
#define TAIL "\"-\" \"curl/8.5\" \"84961386-6d84-929d-98bd-c5aee93b5c88\" \"httpbin:8000\" "
#define OUTBOUND                                                                                   \
    TIME "\"GET /status/418 HTTP/1.1\" 418 - via_upstream - \"-\" 0 135 4 4 " TAIL                 \
         "\"10.44.1.27:80\" outbound|8000||httpbin.foo.svc.cluster.local 10.44.1.23:37652 "        \
         "10.0.45.184:8000 10.44.1.23:46520 - default"
#define INBOUND                                                                                    \
    TIME "\"GET /status/418 HTTP/1.1\" 418 - via_upstream - \"-\" 0 135 3 1 " TAIL                 \
         "\"127.0.0.1:80\" inbound|8000|| 127.0.0.1:41854 10.44.1.27:80 10.44.1.23:37652 "         \
         "outbound_.8000_._.httpbin.foo.svc.cluster.local default"
#define INBOUND_PLAIN                                                                              \
    TIME "\"GET /x HTTP/1.1\" 200 - via_upstream - \"-\" 0 1 3 1 " TAIL                            \
         "\"10.44.1.27:80\" inbound|80|| 127.0.0.6:41854 10.44.1.27:80 10.44.1.99:37652 - default"
#define REFUSED                                                                                    \
    TIME "\"POST /pay HTTP/2\" 503 UF,URX "                                                        \
         "upstream_reset_before_response_started{connection_failure,delayed_connect_error:_111} "  \
         "- \"delayed_connect_error:_111\" 0 95 27 - " TAIL                                        \
         "\"10.44.1.27:80\" outbound|80|v2|pay.shop.svc.cluster.local - 10.0.45.184:80 "           \
         "10.44.1.23:46520 - -"
#define GRPC                                                                                       \
    TIME "\"POST /hipster.Cart/Get HTTP/2\" 200 - via_upstream - \"-\" 43 5 1 1 \"-\" "            \
         "\"grpc-go/1.62.0\" \"id\" \"cart:7070\" \"10.44.1.9:7070\" "                             \
         "outbound|7070||cart.shop.svc.cluster.local 10.44.1.23:37652 10.0.45.184:7070 "           \
         "10.44.1.23:46520 - default"
#define TCP                                                                                        \
    TIME "\"- - -\" 0 - - - \"-\" 1024 2048 5006 - \"-\" \"-\" \"-\" \"-\" \"10.44.1.40:3306\" "   \
         "outbound|3306||mysql.db.svc.cluster.local 10.44.1.23:37652 10.0.45.1:3306 "              \
         "10.44.1.23:46520 - -"
#define TCP_REFUSED                                                                                \
    TIME "\"- - -\" 0 NR filter_chain_not_found - \"-\" 0 0 0 - \"-\" \"-\" \"-\" \"-\" \"-\" - "  \
         "- 10.44.1.27:80 10.44.1.23:37652 - -"
#define PASSTHROUGH                                                                                \
    TIME "\"GET / HTTP/1.1\" 200 - via_upstream - \"-\" 0 9 8 7 \"-\" \"curl/8\" \"id\" "          \
         "\"api.example.com:8080\" \"93.184.216.34:8080\" PassthroughCluster 10.44.1.23:37652 "    \
         "93.184.216.34:8080 10.44.1.23:46520 - allow_any"
#define OLD                                                                                        \
    TIME "\"GET /status/418 HTTP/1.1\" 418 - \"-\" \"-\" 0 135 4 4 " TAIL                          \
         "\"127.0.0.1:80\" inbound|8000|http|httpbin.foo.svc.cluster.local 127.0.0.1:41854 "       \
         "10.44.1.27:80 10.44.1.23:37652 outbound_.8000_._.httpbin.foo.svc.cluster.local default"
#define QUOTES                                                                                     \
    TIME "\"GET / HTTP/1.1\" 200 - via_upstream - \"-\" 0 9 8 7 \"-\" "                            \
         "\"x\" \"1\" \"evil:1\" \"9.9.9.9:9\" outbound|1||evil - - - - -\" \"id\" \"a:80\" "      \
         "\"10.44.1.27:80\" outbound|80||a.ns.svc.cluster.local 10.44.1.23:37652 "                 \
         "10.0.0.1:80 10.44.1.23:46520 - default"
#define ZTUNNEL                                                                                    \
    "2026-01-02T03:04:05.690Z\tinfo\taccess\tconnection complete\tsrc.addr=10.244.0.33:50676 "     \
    "src.workload=\"sleep-7656cf8794-6lsm4\" src.namespace=\"bar\" "                               \
    "src.identity=\"spiffe://cluster.local/ns/bar/sa/sleep\" dst.addr=10.244.0.29:15008 "          \
    "dst.hbone_addr=10.244.0.29:5000 dst.service=\"hello.foo.svc.cluster.local\" "                 \
    "dst.workload=\"hello-v1-77d4694cb-2wxzv\" dst.namespace=\"foo\" "                             \
    "dst.identity=\"spiffe://cluster.local/ns/foo/sa/hello\" "
#define ZTUNNEL_OUT ZTUNNEL "direction=\"outbound\" bytes_sent=84 bytes_recv=358 duration=\"12ms\""
#define ZTUNNEL_IN  ZTUNNEL "direction=\"inbound\" bytes_sent=358 bytes_recv=84 duration=\"12ms\""
#define ZTUNNEL_REFUSED                                                                            \
    "2026-01-02T03:04:05.678Z error access connection complete src.addr=10.244.0.33:50676 "        \
    "dst.addr=10.244.0.29:5000 dst.service=\"hello.foo.svc.cluster.local\" "                       \
    "direction=\"outbound\" bytes_sent=0 bytes_recv=0 duration=\"0ms\" "                           \
    "error=\"io error: \\\"deadline\\\" has elapsed\""
#define JSON                                                                                       \
    "{\"start_time\":\"2026-01-02T03:04:05.678Z\",\"method\":\"GET\",\"path\":\"/a\\\"b\","        \
    "\"protocol\":\"HTTP/1.1\",\"response_code\":200,\"response_flags\":\"-\",\"duration\":12,"    \
    "\"bytes_sent\":4,\"bytes_received\":3,\"upstream_cluster\":\"inbound|80||\","                 \
    "\"requested_server_name\":null,\"authority\":\"web.ns:80\",\"more\":{\"x\":[1]}}"

/* clang-format off */
static const struct {
    const char *name, *line;
    enum reporter reporter; enum protocol protocol; unsigned code; int grpc; int64_t duration_ms;
    uint64_t received, sent; const char *flags, *host, *workload, *namespace; enum tls_state tls;
} cases[] = {
    { "outbound",      OUTBOUND,      REPORTER_SOURCE,      PROTOCOL_HTTP, 418, -1, 4, 0, 135, "", "httpbin.foo.svc.cluster.local", "httpbin", "foo", TLS_UNKNOWN },
    { "inbound",       INBOUND,       REPORTER_DESTINATION, PROTOCOL_HTTP, 418, -1, 3, 0, 135, "", "httpbin.foo.svc.cluster.local", "httpbin", "foo", TLS_MUTUAL },
    { "inbound plain", INBOUND_PLAIN, REPORTER_DESTINATION, PROTOCOL_HTTP, 200, -1, 3, 0, 1, "", "httpbin", "httpbin", "unknown", TLS_PLAINTEXT },
    { "refused",       REFUSED,       REPORTER_SOURCE,      PROTOCOL_HTTP, 503, -1, 27, 0, 95, "UF,URX", "pay.shop.svc.cluster.local", "pay", "shop", TLS_UNKNOWN },
    { "grpc",          GRPC,          REPORTER_SOURCE,      PROTOCOL_GRPC, 200, 0, 1, 43, 5, "", "cart.shop.svc.cluster.local", "cart", "shop", TLS_UNKNOWN },
    { "tcp",           TCP,           REPORTER_SOURCE,      PROTOCOL_TCP, 0, -1, 5006, 1024, 2048, "", "mysql.db.svc.cluster.local", "mysql", "db", TLS_UNKNOWN },
    { "tcp, no chain", TCP_REFUSED,   REPORTER_DESTINATION, PROTOCOL_TCP, 0, -1, 0, 0, 0, "NR", "", "unknown", "unknown", TLS_PLAINTEXT },
    { "passthrough",   PASSTHROUGH,   REPORTER_SOURCE,      PROTOCOL_HTTP, 200, -1, 8, 0, 9, "", "api.example.com", "api.example.com", "unknown", TLS_UNKNOWN },
    { "before 1.9",    OLD,           REPORTER_DESTINATION, PROTOCOL_HTTP, 418, -1, 4, 0, 135, "", "httpbin.foo.svc.cluster.local", "httpbin", "foo", TLS_MUTUAL },
    { "quotes",        QUOTES,        REPORTER_SOURCE,      PROTOCOL_HTTP, 200, -1, 8, 0, 9, "", "a.ns.svc.cluster.local", "a", "ns", TLS_UNKNOWN },
    { "ztunnel out",   ZTUNNEL_OUT,   REPORTER_SOURCE,      PROTOCOL_TCP, 0, -1, 12, 84, 358, "", "hello.foo.svc.cluster.local", "hello-v1", "foo", TLS_MUTUAL },
    { "ztunnel in",    ZTUNNEL_IN,    REPORTER_DESTINATION, PROTOCOL_TCP, 0, -1, 12, 84, 358, "", "hello.foo.svc.cluster.local", "hello-v1", "foo", TLS_MUTUAL },
    { "ztunnel error", ZTUNNEL_REFUSED, REPORTER_SOURCE,    PROTOCOL_TCP, 0, -1, 0, 0, 0, "error", "hello.foo.svc.cluster.local", "hello", "foo", TLS_UNKNOWN },
    { "json",          JSON,          REPORTER_DESTINATION, PROTOCOL_HTTP, 200, -1, 12, 3, 4, "", "web.ns", "web.ns", "unknown", TLS_PLAINTEXT },
};
/* clang-format on */

static void check_call(const struct call *c, size_t n)
{
    assert_int_equal(c->reporter, cases[n].reporter);
    assert_int_equal(c->protocol, cases[n].protocol);
    assert_int_equal(c->response_code, cases[n].code);
    assert_int_equal(c->grpc_status, cases[n].grpc);
    assert_int_equal(c->duration_ns, cases[n].duration_ms * 1000000);
    assert_int_equal(c->bytes_received, cases[n].received);
    assert_int_equal(c->bytes_sent, cases[n].sent);
    assert_true(sv_eq(c->response_flags, sv_z(cases[n].flags)));
    assert_true(sv_eq(c->destination_service, sv_z(cases[n].host)));
    assert_true(sv_eq(c->destination.workload, sv_z(cases[n].workload)));
    assert_true(sv_eq(c->destination.namespace, sv_z(cases[n].namespace)));
    bool has_source = c->protocol == PROTOCOL_TCP && c->tls == TLS_MUTUAL; /* ztunnel's */
    assert_true(sv_eq(c->source.workload, has_source ? SV("sleep") : IDENTITY_UNKNOWN));
    assert_int_equal(c->tls, cases[n].tls);
    assert_int_equal(c->tls_basis, has_source ? TLS_BASIS_REPORTED
                                   : c->tls   ? TLS_BASIS_INFERRED
                                              : TLS_BASIS_NONE);
    assert_int_equal(c->start_ns, INT64_C(1767323045678000000));
}

static void test_lines(void **state)
{
    (void)state;
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    for (size_t n = 0; n < NELEMS(cases); n++) {
        print_message("case: %s\n", cases[n].name);
        AUTO_FREE(batch) b = batch_new();
        assert_int_equal(envoy_lines_decode(sv_z(cases[n].line), b, &lim, NULL), 0);
        if (b->rejected)
            print_message("%s\n", b->first_rejection.why);
        assert_int_equal(b->calls_len, 1);
        check_call(&b->calls[0], n);
    }
}

static void test_ztunnel(void **state)
{
    (void)state;
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    static const char lines[] = ZTUNNEL_OUT
        "\n" ZTUNNEL_REFUSED "\n"
        "{\"level\":\"info\",\"time\":\"2026-01-02T03:04:05.690Z\",\"scope\":\"access\","
        "\"message\":"
        "\"connection complete\",\"src.addr\":\"10.0.0.1:2\",\"src.workload\":\"a-b\",\"dst.addr\":"
        "\"10.0.0.2:3\",\"direction\":\"inbound\",\"bytes_sent\":1,\"bytes_recv\":2,\"duration\":"
        "\"1ms\"}\n" ZTUNNEL "direction=sideways duration=\"1ms\"\n" ZTUNNEL
        "direction=inbound duration=\"1s\"\n" ZTUNNEL "direction=inbound bytes_sent=many\n";
    AUTO_FREE(batch) b = batch_new();
    assert_int_equal(envoy_lines_decode(SV(lines), b, &lim, NULL), 0);
    assert_int_equal(b->calls_len, 3);
    assert_int_equal(b->rejected, 3);
    assert_non_null(strstr(b->first_rejection.why, "direction is 'sideways'"));
    assert_true(sv_eq(b->calls[0].source.principal, SV("spiffe://cluster.local/ns/bar/sa/sleep")));
    assert_true(sv_eq(b->calls[0].destination.service, SV("hello")));
    assert_true(sv_eq(b->calls[0].upstream_host, SV("10.244.0.29:5000")));
    assert_true(sv_contains(b->calls[1].response_code_details, SV("deadline")));
    assert_int_equal(b->calls[2].bytes_received, 2);
    assert_true(sv_eq(b->calls[2].source.workload, SV("a-b")));
}

static void test_user_agent_may_hold_anything(void **state)
{
    (void)state;
    struct envoy_line l;
    assert_true(envoy_line_from_text(SV(QUOTES "\n"), &l, NULL));
    assert_true(sv_eq(l.field[ENVOY_USER_AGENT],
                      SV("x\" \"1\" \"evil:1\" \"9.9.9.9:9\" outbound|1||evil - - - - -")));
    assert_true(sv_eq(l.field[ENVOY_REQUEST_ID], SV("id")));
    assert_true(sv_eq(l.field[ENVOY_ROUTE], SV("default")));
}

/* Lines among others: what is none is refused alone, with the place and the reason. */
static void test_bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *line, *why;
    } bad[] = {
        { "hello", "no access-log line in Istio's text format" },
        { "{\"response_flags\":\"-\"}", "no access-log line" },
        { TIME "\"GET / HTTP/1.1\" 200 - 0 9 8 7", "byte" },
        { TIME "\"GET / HTTP/1.1\" 200 - via_upstream - \"-\" 0 9 8 7 \"-\" \"-\" - - -", "no " },
        { "{\"response_flags\":\"-\",\"upstream_cluster\":\"inbound|1||\",\"response_code\":\"x\"}",
          "response_code is 'x'" },
        { "{\"response_flags\":\"-\",\"upstream_cluster\":\"inbound|1||\",\"response_code\":1000}",
          "response_code is above 999" },
        { "{\"response_flags\":\"-\",\"upstream_cluster\":\"a\",\"start_time\":\"noon\"}",
          "start_time is 'noon'" },
        { "{\"response_flags\":\"-\",\"upstream_cluster\":\"a\"}", "the time is missing" },
        { "\xff\xfe", "no UTF-8" },
    };
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    for (size_t i = 0; i < NELEMS(bad); i++) {
        print_message("line: %s\n", bad[i].line);
        AUTO_DONE(buf) body = { 0 };
        AUTO_FREE(batch) b = batch_new();
        buf_put(&body, SV(INBOUND "\n\n"));
        size_t at = body.len;
        buf_put(&body, sv_z(bad[i].line));
        buf_put(&body, SV("\r\n" OUTBOUND));
        assert_int_equal(envoy_lines_decode(buf_sv(&body), b, &lim, NULL), 0);
        assert_int_equal(b->calls_len, 2);
        assert_int_equal(b->rejected, 1);
        assert_int_equal(b->first_rejection.at, at);
        assert_non_null(strstr(b->first_rejection.why, bad[i].why));
    }
}

struct pair {
    const char *key, *value;
};

static void put_attrs(struct buf *to, uint32_t field, const struct pair *list)
{
    for (; list->key; list++) {
        size_t attr = pb_open(to, field);
        pb_put_bytes(to, OTLP_KEY_VALUE_KEY, sv_z(list->key));
        size_t any = pb_open(to, OTLP_KEY_VALUE_VALUE);
        pb_put_bytes(to, OTLP_VALUE_STRING, sv_z(list->value));
        pb_close(to, any);
        pb_close(to, attr);
    }
}

/* As Envoy's open telemetry access logger sends it: the line is the body. */
static void put_record(struct buf *to, const char *line, const struct pair *resource,
                       const struct pair *labels)
{
    size_t group = pb_open(to, OTLP_LOGS_REQUEST_RESOURCE_LOGS);
    size_t res = pb_open(to, OTLP_RESOURCE_LOGS_RESOURCE);
    put_attrs(to, OTLP_RESOURCE_ATTRIBUTES, resource);
    pb_close(to, res);
    size_t scopes = pb_open(to, OTLP_RESOURCE_LOGS_SCOPE_LOGS);
    size_t log = pb_open(to, OTLP_SCOPE_LOGS_LOG_RECORDS);
    pb_put_fixed64(to, OTLP_LOG_TIME, UINT64_C(1767323045678000000));
    size_t any = pb_open(to, OTLP_LOG_BODY);
    pb_put_bytes(to, OTLP_VALUE_STRING, sv_z(line));
    pb_close(to, any);
    put_attrs(to, OTLP_LOG_ATTRIBUTES, labels);
    pb_put_bytes(to, OTLP_LOG_TRACE_ID, SV("0123456789abcdef"));
    pb_put_bytes(to, OTLP_LOG_SPAN_ID, SV("01234567"));
    pb_close(to, log);
    pb_close(to, scopes);
    pb_close(to, group);
}

static const struct pair nobody[] = { { NULL, NULL } };

static const struct pair by_node[] = {
    { "log_name", "otel_envoy_accesslog" },
    { "node_name", "sidecar~10.44.1.27~httpbin-v2-545db77b95-wjtlq.foo~foo.svc.cluster.local" },
    { "cluster_name", "httpbin.foo" },
    { NULL, NULL },
};
static const struct pair by_kubernetes[] = { { "service.name", "httpbin" },
                                             { "k8s.namespace.name", "foo" },
                                             { "k8s.deployment.name", "httpbin-v2" },
                                             { "service.version", "v2" },
                                             { NULL, NULL } };
static const struct pair by_label[] = {
    { "destination_workload", "httpbin-v2" },
    { "destination_workload_namespace", "foo" },
    { "destination_canonical_service", "httpbin" },
    { "source_workload", "sleep" },
    { "source_workload_namespace", "bar" },
    { "source_canonical_service", "-" },
    { "downstream_peer_uri_san", "spiffe://td/ns/bar/sa/sleep" },
    { "downstream_tls_version", "TLSv1.3" },
    { NULL, NULL },
};

static void test_who(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const struct pair *resource, *labels;
        const char *version, *source;
        enum tls_basis basis;
    } who[] = {
        { "node", by_node, nobody, "latest", "unknown", TLS_BASIS_INFERRED },
        { "kubernetes", by_kubernetes, nobody, "v2", "unknown", TLS_BASIS_INFERRED },
        { "labels", nobody, by_label, "unknown", "sleep", TLS_BASIS_REPORTED },
    };
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    for (size_t i = 0; i < NELEMS(who); i++) {
        print_message("case: %s\n", who[i].name);
        AUTO_DONE(buf) body = { 0 };
        AUTO_FREE(batch) b = batch_new();
        put_record(&body, INBOUND "\n", who[i].resource, who[i].labels);
        assert_int_equal(otlp_proto_logs_decode(buf_sv(&body), b, &lim, NULL), 0);
        assert_int_equal(b->calls_len, 1);
        const struct call *c = &b->calls[0];
        assert_true(sv_eq(c->destination.workload, SV("httpbin-v2")));
        assert_true(sv_eq(c->destination.namespace, SV("foo")));
        assert_true(sv_eq(c->destination.service, SV("httpbin")));
        assert_true(sv_eq(c->destination.version, sv_z(who[i].version)));
        assert_true(sv_eq(c->source.workload, sv_z(who[i].source)));
        assert_int_equal(c->tls, TLS_MUTUAL);
        assert_int_equal(c->tls_basis, who[i].basis);
        assert_memory_equal(c->trace_id.b, "0123456789abcdef", 16);
        assert_memory_equal(c->span_id.b, "01234567", 8);
    }
}

/* What only looks like one is another log record: accepted, counted, not kept. */
static void test_other_records(void **state)
{
    (void)state;
    static const char *const bodies[] = { "",  "[info] started", "{\"msg\":\"x\"}",
                                          "{", "[1] \"a b\" c",  TIME "\"GET / FTP/1\" 200" };
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    for (size_t i = 0; i < NELEMS(bodies); i++) {
        AUTO_DONE(buf) body = { 0 };
        AUTO_FREE(batch) b = batch_new();
        uint64_t ignored = collector_tallies.cells[TALLY_LOGS_IGNORED];
        put_record(&body, bodies[i], nobody, nobody);
        assert_int_equal(otlp_proto_logs_decode(buf_sv(&body), b, &lim, NULL), 0);
        assert_int_equal(b->calls_len + b->rejected, 0);
        assert_int_equal(collector_tallies.cells[TALLY_LOGS_IGNORED] - ignored, 1);
    }
}

static const char otlp_json[] =
    "{\"resourceLogs\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":"
    "{\"stringValue\":\"web\"}}]},\"scopeLogs\":[{\"logRecords\":[{\"timeUnixNano\":\"5\",\"body\":"
    "{\"kvlistValue\":{\"values\":[{\"key\":\"response_flags\",\"value\":{\"stringValue\":\"-\"}},"
    "{\"key\":\"upstream_cluster\",\"value\":{\"stringValue\":\"outbound|80||a.b.svc.cluster."
    "local\"}},"
    "{\"key\":\"response_code\",\"value\":{\"intValue\":\"204\"}},"
    "{\"key\":\"method\",\"value\":{\"stringValue\":\"PUT\"}}]}}}]}]}]}";

static void test_body_as_map(void **state)
{
    (void)state;
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    AUTO_FREE(batch) b = batch_new();
    assert_int_equal(otlp_json_logs_decode(sv_z(otlp_json), b, &lim, NULL), 0);
    assert_int_equal(b->calls_len, 1);
    assert_int_equal(b->calls[0].response_code, 204);
    assert_int_equal(b->calls[0].start_ns, 5);
    assert_true(sv_eq(b->calls[0].source.service, SV("web")));
    assert_true(sv_eq(b->calls[0].destination.service, SV("a")));
}

static void test_allocation_failures(void **state)
{
    (void)state;
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    AUTO_DONE(buf) proto = { 0 };
    put_record(&proto, JSON, by_node, by_label);
    for (int is_json = 0; is_json < 2; is_json++) {
        bool was_reached = true;
        for (uint64_t nth = 1; was_reached; nth++) {
            AUTO_FREE(batch) b = batch_new();
            mem_fail_nth(nth);
            int rc = is_json ? otlp_json_logs_decode(sv_z(otlp_json), b, &lim, NULL)
                             : otlp_proto_logs_decode(buf_sv(&proto), b, &lim, NULL);
            was_reached = mem_count() >= nth;
            mem_fail_nth(0);
            assert_int_equal(rc, was_reached ? ERR_NOMEM : 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_ztunnel),
        cmocka_unit_test(test_user_agent_may_hold_anything),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_who),
        cmocka_unit_test(test_other_records),
        cmocka_unit_test(test_body_as_map),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
