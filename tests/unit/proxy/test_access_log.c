/* test_access_log.c - Istio's 24 keys, and a reader that does not read. */
#include "base/clock.h"
#include "base/mem.h"
#include "exchange_fixture.h"
#include "proxy/telemetry/access_log.h"
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static json_t *formatted(const struct exchange *x)
{
    AUTO_DONE(buf) line = { 0 };
    access_log_format(&line, x);
    assert_false(line.failed);
    json_t *o = json_loadb(buf_sv(&line).p, line.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    return o;
}

static void test_keys(void **state)
{
    static const char *const keys[] = {
        "start_time",
        "route_name",
        "method",
        "path",
        "protocol",
        "response_code",
        "response_flags",
        "response_code_details",
        "connection_termination_details",
        "bytes_received",
        "bytes_sent",
        "duration",
        "upstream_service_time",
        "x_forwarded_for",
        "user_agent",
        "request_id",
        "authority",
        "upstream_host",
        "upstream_cluster",
        "upstream_local_address",
        "downstream_local_address",
        "downstream_remote_address",
        "requested_server_name",
        "upstream_transport_failure_reason",
    };
    struct exchange x = exchange_fixture();
    json_t *o = formatted(&x);
    (void)state;
    assert_int_equal(json_object_size(o), 24);
    for (size_t i = 0; i < NELEMS(keys); i++)
        assert_non_null(json_object_get(o, keys[i]));
    assert_string_equal(json_string_value(json_object_get(o, "start_time")),
                        "2026-01-02T03:04:05.678Z");
    assert_int_equal(json_integer_value(json_object_get(o, "response_code")), 200);
    assert_int_equal(json_integer_value(json_object_get(o, "duration")), 12);
    assert_string_equal(json_string_value(json_object_get(o, "upstream_service_time")), "11");
    assert_string_equal(json_string_value(json_object_get(o, "response_flags")), "-");
    assert_string_equal(json_string_value(json_object_get(o, "user_agent")), "curl/7 \"x\"");
    assert_true(json_is_null(json_object_get(o, "x_forwarded_for")));
    json_decref(o);
    x.upstream_service_time_ns = -1;
    o = formatted(&x);
    assert_true(json_is_null(json_object_get(o, "upstream_service_time")));
    json_decref(o);
}

/* Against what Envoy writes for the same request. */
static void test_format(void **state)
{
    (void)state;
    static const struct {
        const char *format, *want; /* want NULL: refused */
    } cases[] = {
        { log_format_istio,
          "[2026-01-02T03:04:05.678Z] \"POST /reviews/0?a=b HTTP/1.1\" 200 - via_upstream - \"-\" "
          "3 295 12 "
          "11 \"-\" \"curl/7 \"x\"\" \"8d3a40d5-0000-4000-8000-000000000001\" \"reviews:9080\" "
          "\"127.1.0.7:15006\" outbound|9080|v2|reviews.default.svc.cluster.local - "
          "127.1.0.3:15001 "
          "127.1.0.3:41000 - default" },
        { "a%%b", "a%b" },
        { "%REQ(x-one)% %REQ(X-ONE?:PATH):3% %REQ(none?:PATH):3% %REQ(none)%", "first fir /re -" },
        { "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%|%DOWNSTREAM_LOCAL_PORT%", "127.1.0.3|15001" },
        { "%UPSTREAM_PEER_URI_SAN%|%DOWNSTREAM_PEER_URI_SAN%",
          "spiffe://cluster.local/ns/default/sa/reviews|-" },
        { "%UPSTREAM_TLS_VERSION% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %GRPC_STATUS_NUMBER%",
          "TLSv1.3 3 -" },
        { "%TRACE_ID%", "01020300000000000000000000000000" },
        { "%TULLE_REASON%", "no ?endpoints" },
        { "%PROTOCOL:4%", "HTTP" },
        { "%", NULL },
        { "x %REQ(:PATH) y", NULL },
        { "%FOO%", NULL },
        { "%REQ%", NULL },
        { "%REQ()%", NULL },
        { "%PROTOCOL(x)%", NULL },
        { "%PROTOCOL:0%", NULL },
        { "%PROTOCOL:x%", NULL },
        { "%RESP(content-type)%", NULL },
        { "%START_TIME(%s)%", NULL },
    };
    for (size_t i = 0; i < NELEMS(cases); i++) {
        AUTO_DONE(arena) mem = { 0 };
        AUTO_DONE(buf) line = { 0 };
        struct log_format f;
        struct err err = { 0 };
        struct exchange x = exchange_fixture();
        struct http_header slots[] = { { SV("X-One"), SV("first") } };
        struct http_head head = { .headers = slots, .headers_len = 1 };
        x.request = &head;
        x.reason = SV("no \nendpoints");
        print_message("case: %s\n", cases[i].format);
        int rc = log_format_compile(sv_z(cases[i].format), &mem, &f, &err);
        if (!cases[i].want) {
            print_message("  %s\n", err.why);
            assert_int_equal(rc, ERR_USAGE);
            continue;
        }
        assert_int_equal(rc, 0);
        log_format_put(&f, &x, &line);
        assert_int_equal(line.len, strlen(cases[i].want));
        assert_memory_equal(buf_sv(&line).p, cases[i].want, line.len);
    }
}

static void test_format_of_tcp(void **state)
{
    (void)state;
    AUTO_DONE(arena) mem = { 0 };
    AUTO_DONE(buf) line = { 0 };
    struct log_format f;
    struct exchange x = { .call = { .grpc_status = -1, .duration_ns = 5000000, .bytes_sent = 7 },
                          .upstream_service_time_ns = -1 };
    assert_int_equal(log_format_compile(sv_z(log_format_istio), &mem, &f, NULL), 0);
    log_format_put(&f, &x, &line);
    assert_true(sv_contains(buf_sv(&line), SV("] \"- - -\" 0 - - - \"-\" 0 7 5 - \"-\" ")));
}

static void test_only_failures(void **state)
{
    (void)state;
    struct loop *loop = loop_new(NULL);
    struct access_log log;
    static const uint16_t statuses[] = { 200, 399, 400, 503, 0 };
    access_log_init(&log, loop, STDOUT_FILENO, 65536);
    log.status_min = 400;
    for (size_t i = 0; i < NELEMS(statuses); i++) {
        struct exchange x = exchange_fixture();
        x.call.response_code = statuses[i];
        access_log_add(&log, &x);
    }
    size_t lines = 0;
    for (size_t i = 0; i < log.waiting.len; i++)
        lines += buf_sv(&log.waiting).p[i] == '\n';
    assert_int_equal(lines, 3);
    buf_clear(&log.waiting);
    access_log_done(&log);
    loop_free(loop);
}

static void test_format_nomem(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        AUTO_DONE(arena) mem = { 0 };
        struct log_format f;
        mem_fail_nth(n);
        int rc = log_format_compile(sv_z(log_format_istio), &mem, &f, NULL);
        mem_fail_nth(0);
        assert_true(rc == ERR_NOMEM || n == 2);
    }
}

static void on_stop(struct timer *t)
{
    loop_stop(t->loop);
}

static void turns(struct loop *loop, int64_t ns)
{
    struct timer stop;
    timer_init(&stop, loop, on_stop);
    timer_after(&stop, ns);
    loop_run(loop);
}

static void test_slow_reader(void **state)
{
    enum { LINES = 1000 };
    struct loop *loop = loop_new(NULL);
    struct access_log log;
    struct exchange x = exchange_fixture();
    static char read_back[1 << 20];
    size_t lines = 0;
    int fds[2];
    (void)state;
    assert_int_equal(pipe(fds), 0);
    access_log_init(&log, loop, fds[1], 65536);
    for (int i = 0; i < LINES; i++) { /* a pipe holds 64 KiB, the buffer as much, then no more */
        access_log_add(&log, &x);
        if (i % 50 == 0)
            turns(loop, NS_PER_MS);
    }
    assert_true(log.lines_dropped > 0 && log.lines_written > 0);
    for (int i = 0; i < 100 && log.waiting.len; i++) {
        ssize_t n = read(fds[0], read_back, sizeof(read_back));
        for (ssize_t k = 0; k < n; k++)
            lines += read_back[k] == '\n';
        turns(loop, 30 * NS_PER_MS);
    }
    access_log_done(&log);
    close(fds[1]);
    for (ssize_t n; (n = read(fds[0], read_back, sizeof(read_back))) > 0;)
        for (ssize_t k = 0; k < n; k++)
            lines += read_back[k] == '\n';
    assert_int_equal(lines, log.lines_written);
    assert_int_equal(log.lines_written + log.lines_dropped, LINES);
    close(fds[0]);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),          cmocka_unit_test(test_format),
        cmocka_unit_test(test_format_of_tcp), cmocka_unit_test(test_only_failures),
        cmocka_unit_test(test_format_nomem),  cmocka_unit_test(test_slow_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
