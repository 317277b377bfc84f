/* SPDX-License-Identifier: Apache-2.0
 * What an application's probes become, and who counts as the application. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "proxy/companion.h"
#include "proxy/probe_grpc.h"
#include "proxy/probes.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ONE(inner)           "{\"/app-health/a/livez\":" inner "}"
#define HTTP_GET(more)       ONE("{\"httpGet\":{\"port\":8080" more "}}")
#define HEAD(target, fields) "GET " target " HTTP/1.1\r\n" fields "connection: close\r\n\r\n"
#define AGENT                "user-agent: kube-probe/tulle\r\n"
#define CHECK_HEAD                                                                                 \
    "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: localhost:91\r\n" AGENT                   \
    "content-type: application/grpc\r\nte: trailers\r\n\r\n"

static const struct {
    const char *json, *request; /* NULL: refused */
    const char *why;
    unsigned port;
    bool is_tls;
    int timeout_s;
    const char *message; /* of grpc */
    size_t message_len;
} cases[] = {
    { HTTP_GET(",\"path\":\"/ok\""), HEAD("/ok", "host: localhost:8080\r\n" AGENT), NULL, 8080,
      false, 1, NULL, 0 },
    { HTTP_GET(""), HEAD("/", "host: localhost:8080\r\n" AGENT), NULL, 8080, false, 1, NULL, 0 },
    { HTTP_GET(",\"path\":\"a?b=1\",\"scheme\":\"HTTPS\""),
      HEAD("/a?b=1", "host: localhost:8080\r\n" AGENT), NULL, 8080, true, 1, NULL, 0 },
    { HTTP_GET(
          ",\"httpHeaders\":[{\"name\":\"Host\",\"value\":\"a.test\"},{\"name\":\"User-Agent\","
          "\"value\":\"me\"},{\"name\":\"Connection\",\"value\":\"x\"}],\"host\":\"b\""),
      HEAD("/", "host: a.test\r\nUser-Agent: me\r\n"), NULL, 8080, false, 1, NULL, 0 },
    { HTTP_GET(",\"httpHeaders\":null"), HEAD("/", "host: localhost:8080\r\n" AGENT), NULL, 8080,
      false, 1, NULL, 0 },
    { ONE("{\"tcpSocket\":{\"port\":\"91\"},\"httpGet\":null,\"timeoutSeconds\":7,\"x\":[1]}"), "",
      NULL, 91, false, 7, NULL, 0 },
    { ONE("{\"tcpSocket\":{\"port\":91},\"timeoutSeconds\":0}"), "", NULL, 91, false, 1, NULL, 0 },
    { ONE("{\"tcpSocket\":{\"port\":91},\"timeoutSeconds\":3601}"), NULL, "0 to 3600", 0, false, 0,
      NULL, 0 },
    { ONE("{\"tcpSocket\":{\"port\":0}}"), NULL, "1 to 65535", 0, false, 0, NULL, 0 },
    { ONE("{\"tcpSocket\":{\"port\":true}}"), NULL, "1 to 65535", 0, false, 0, NULL, 0 },
    { ONE("{\"tcpSocket\":{}}"), NULL, "without port", 0, false, 0, NULL, 0 },
    { ONE("{\"httpGet\":{}}"), NULL, "without port", 0, false, 0, NULL, 0 },
    { ONE("{\"grpc\":{\"port\":91,\"service\":\"\"},\"timeoutSeconds\":3}"), CHECK_HEAD, NULL, 91,
      false, 3, "\0\0\0\0\0", 5 },
    { ONE("{\"grpc\":{\"port\":91,\"service\":null,\"x\":{}},\"httpGet\":null}"), CHECK_HEAD, NULL,
      91, false, 1, "\0\0\0\0\0", 5 },
    { ONE("{\"grpc\":{\"service\":\"shop.v1\",\"port\":91}}"), CHECK_HEAD, NULL, 91, false, 1,
      "\0\0\0\0\x09\x0a\x07shop.v1", 14 },
    { ONE("{\"grpc\":{\"service\":\"shop\"}}"), NULL, "grpc: without port", 0, false, 0, NULL, 0 },
    { ONE("{\"grpc\":{\"port\":1,\"service\":7}}"), NULL, "", 0, false, 0, NULL, 0 },
    { ONE("{\"grpc\":{\"port\":1},\"tcpSocket\":{\"port\":1}}"), NULL, "one of", 0, false, 0, NULL,
      0 },
    { ONE("{\"exec\":{\"command\":[\"x\"]}}"), NULL, "exec cannot", 0, false, 0, NULL, 0 },
    { ONE("{}"), NULL, "one of httpGet, tcpSocket and grpc", 0, false, 0, NULL, 0 },
    { ONE("{\"tcpSocket\":{\"port\":1},\"httpGet\":{\"port\":1}}"), NULL, "one of", 0, false, 0,
      NULL, 0 },
    { HTTP_GET(",\"scheme\":\"FTP\""), NULL, "neither HTTP nor HTTPS", 0, false, 0, NULL, 0 },
    { HTTP_GET(",\"path\":\"/a b\""), NULL, "white space", 0, false, 0, NULL, 0 },
    { HTTP_GET(",\"httpHeaders\":[{\"name\":\"a b\",\"value\":\"\"}]"), NULL, "header's name", 0,
      false, 0, NULL, 0 },
    { HTTP_GET(",\"httpHeaders\":[{\"name\":\"a\",\"value\":\"\\r\\n\"}]"), NULL, "header's name",
      0, false, 0, NULL, 0 },
    { "{\"/healthz\":{\"tcpSocket\":{\"port\":1}}}", NULL, "begins with /app-health/", 0, false, 0,
      NULL, 0 },
    { "[]", NULL, "", 0, false, 0, NULL, 0 },
    { "{\"/app-health/a/livez\":{\"tcpSocket\":{\"port\":1}}", NULL, "", 0, false, 0, NULL, 0 },
};

static void test_what_is_asked(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        AUTO_DONE(arena) mem = { 0 };
        struct probes p = { 0 };
        struct err err = { 0 };
        printf("case: %zu\n", i);
        int rc = probes_parse(sv_z(cases[i].json), &mem, &p, &err);
        if (!cases[i].request) {
            assert_true(rc < 0 && rc != ERR_NOMEM);
            assert_non_null(strstr(err.why, cases[i].why));
            continue;
        }
        assert_int_equal(rc, 0);
        const struct probe *probe = probes_find(&p, SV("/app-health/a/livez"));
        assert_non_null(probe);
        assert_null(probes_find(&p, SV("/app-health/a/")));
        assert_true(sv_eq(probe->request, sv_z(cases[i].request)));
        assert_true(sv_eq(probe->message, sv_of(cases[i].message, cases[i].message_len)));
        assert_int_equal(probe->port, cases[i].port);
        assert_int_equal(probe->is_tls, cases[i].is_tls);
        assert_int_equal(probe->timeout_ns, cases[i].timeout_s * NS_PER_S);
    }
}

static void test_as_many_as_there_is_room_for(void **state)
{
    (void)state;
    for (unsigned extra = 0; extra < 2; extra++) {
        AUTO_DONE(arena) mem = { 0 };
        AUTO_DONE(buf) json = { 0 };
        struct probes p = { 0 };
        struct err err = { 0 };
        buf_putc(&json, '{');
        for (unsigned i = 0; i < PROBES_MAX + extra; i++)
            buf_printf(&json, "%s\"/app-health/%u/livez\":{\"tcpSocket\":{\"port\":1}}",
                       i ? "," : "", i);
        buf_putc(&json, '}');
        int rc = probes_parse(buf_sv(&json), &mem, &p, &err);
        assert_int_equal(rc, extra ? ERR_LIMIT : 0);
        assert_int_equal(p.len, extra ? 0 : PROBES_MAX);
    }
}

static void test_without_memory(void **state)
{
    (void)state;
    struct sv json = SV(HTTP_GET(
        ",\"path\":\"/\\u0041\",\"httpHeaders\":[{\"name\":\"a\",\"value\":"
        "\"b\"}]},\"/app-health/b/livez\":{\"grpc\":{\"port\":1,\"service\":\"\\u0041\"}"));
    for (uint64_t nth = 1;; nth++) {
        AUTO_DONE(arena) mem = { 0 };
        struct probes p = { 0 };
        struct err err = { 0 };
        mem_fail_nth(nth);
        int rc = probes_parse(json, &mem, &p, &err);
        mem_fail_nth(0);
        if (rc == 0) {
            assert_true(nth > 2);
            return;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
}

#define SERVES "\0\0\0\0\2\x08\1"

static const struct {
    unsigned http;
    const char *type, *in_head, *in_trailers, *message; /* grpc-status, grpc-message; NULL: none */
    const char *body;
    size_t body_len;
    unsigned status;
    const char *why;
} answers[] = {
    { 200, "application/grpc", NULL, "0", NULL, SERVES, 7, 200, "SERVING" },
    { 200, "application/grpc+proto", NULL, "0", "", SERVES, 7, 200, "SERVING" },
    { 200, "application/grpc", NULL, "0", NULL, "\0\0\0\0\4\x10\7\x08\1", 9, 200, "SERVING" },
    { 200, "application/grpc", NULL, "0", NULL, "\0\0\0\0\2\x08\2", 7, 503, "NOT_SERVING" },
    { 200, "application/grpc", NULL, "0", NULL, "\0\0\0\0\2\x08\3", 7, 503, "SERVICE_UNKNOWN" },
    { 200, "application/grpc", NULL, "0", NULL, "\0\0\0\0\2\x08\4", 7, 503, "nobody knows" },
    { 200, "application/grpc", NULL, "0", NULL, "\0\0\0\0\0", 5, 503, "UNKNOWN" },
    { 200, "application/grpc", NULL, "0", NULL, "", 0, 503, "no HealthCheckResponse" },
    { 200, "application/grpc", NULL, "0", NULL, "\1\0\0\0\2\x08\1", 7, 503,
      "no HealthCheckResponse" },
    { 200, "application/grpc", NULL, "0", NULL, "\0\0\0\0\3\x08\1", 7, 503,
      "no HealthCheckResponse" },
    { 200, "application/grpc", NULL, "0", NULL, SERVES "x", 8, 503, "no HealthCheckResponse" },
    { 200, "application/grpc", NULL, "0", NULL, "\0\0\0\0\2\x0a\1", 7, 503,
      "no HealthCheckResponse" },
    { 200, "application/grpc", "0", NULL, NULL, SERVES, 7, 200, "SERVING" },
    { 200, "application/grpc", "12", NULL, "no such%20method", "", 0, 503,
      "is not served): no such method" },
    { 200, "application/grpc", NULL, "5", NULL, "", 0, 503,
      "grpc-status 5 (the service is not known)" },
    { 200, "application/grpc", NULL, "14", "gone", SERVES, 7, 503, "grpc-status 14: gone" },
    { 200, "application/grpc", NULL, NULL, NULL, SERVES, 7, 503, "without grpc-status" },
    { 200, "application/grpc", NULL, "x", NULL, SERVES, 7, 503, "without grpc-status" },
    { 200, "text/plain", NULL, "0", NULL, SERVES, 7, 503, "no gRPC" },
    { 404, "application/grpc", NULL, "0", NULL, SERVES, 7, 503, "HTTP status 404" },
};

static void test_answers_by_grpc(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(answers); i++) {
        char why[PROBE_WHY_SIZE];
        struct http_header head[3], trailers[1];
        struct http_head h = { .status = (uint16_t)answers[i].http, .headers = head };
        struct probe_grpc_answer a = { .head = &h,
                                       .trailers = trailers,
                                       .body = sv_of(answers[i].body, answers[i].body_len) };
        head[h.headers_len++] = (struct http_header){ SV("content-type"), sv_z(answers[i].type) };
        if (answers[i].in_head)
            head[h.headers_len++] = (struct http_header){ SV("grpc-status"),
                                                          sv_z(answers[i].in_head) };
        if (answers[i].message)
            head[h.headers_len++] = (struct http_header){ SV("grpc-message"),
                                                          sv_z(answers[i].message) };
        if (answers[i].in_trailers)
            trailers[a.trailers_len++] = (struct http_header){ SV("grpc-status"),
                                                               sv_z(answers[i].in_trailers) };
        printf("case: %zu\n", i);
        assert_int_equal(probe_grpc_judge(&a, why), answers[i].status);
        assert_non_null(strstr(why, answers[i].why));
    }
}

static char proc[64];

static void put_process(const char *pid, const char *stat)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", proc, pid);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/%s/stat", proc, pid);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(stat, f);
    fclose(f);
}

static void drop_process(const char *pid)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s/stat", proc, pid);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof(path), "%s/%s", proc, pid);
    assert_int_equal(rmdir(path), 0);
}

static void test_who_is_the_application(void **state)
{
    (void)state;
    snprintf(proc, sizeof(proc), "/tmp/tulle-proc-XXXXXX");
    assert_non_null(mkdtemp(proc));
    assert_int_equal(companion_count(proc, 7), 1); /* who cannot look does not say nobody */
    put_process("1", "1 (pause) S 0 1 1");
    put_process("6", "6 (tini) S 1 6 6"); /* what started us */
    put_process("7", "7 (tulle-proxy) S 6 7 7");
    put_process("8", "8 (tulle-proxy) S 7 8 8"); /* our successor */
    put_process("9", "9 (job) Z 1 9 9");
    put_process("self", "7 (x) S 6 7 7");
    put_process("10", "cut off");
    assert_int_equal(companion_count(proc, 7), 0);
    put_process("11", "11 (a) b) (c) S 1 11 11");
    assert_int_equal(companion_count(proc, 7), 1);
    drop_process("11");
    assert_int_equal(companion_count(proc, 7), 0);
    static const char *const all[] = { "1", "6", "7", "8", "9", "10", "self" };
    for (size_t i = 0; i < NELEMS(all); i++)
        drop_process(all[i]);
    assert_int_equal(rmdir(proc), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_asked),
        cmocka_unit_test(test_as_many_as_there_is_room_for),
        cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_answers_by_grpc),
        cmocka_unit_test(test_who_is_the_application),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
