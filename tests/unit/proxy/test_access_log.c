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
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_slow_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
