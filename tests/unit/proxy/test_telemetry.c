/* test_telemetry.c - what goes in comes out of the collector's own decoders, once, whatever the
 * network does in between. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "exchange_fixture.h"
#include "fake_collector.h"
#include "proxy/telemetry/telemetry.h"
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct run {
    struct loop *loop;
    struct telemetry *telemetry;
    bool is_empty;
};

static void on_drained(void *arg, bool is_empty)
{
    struct run *run = arg;
    run->is_empty = is_empty;
    loop_stop(run->loop);
}

/* Everything recorded so far is brought over, or the time is up. */
static bool drain(struct run *run, int64_t ns)
{
    run->is_empty = false;
    telemetry_drain(run->telemetry, clock_mono_ns() + ns, on_drained, run);
    loop_run(run->loop);
    return run->is_empty;
}

static struct run start(struct loop *loop, const char *url, size_t queue_bytes)
{
    struct telemetry_conf conf = { .collector_url = url,
                                   .self = identity_fixture("productpage-v1", "v1"),
                                   .pod = SV("productpage-v1-abc"),
                                   .queue_bytes = queue_bytes,
                                   .access_log_fd = -1 };
    struct err err = { 0 };
    struct run run = { .loop = loop, .telemetry = telemetry_new(loop, &conf, &err) };
    assert_non_null(run.telemetry);
    return run;
}

static void assert_same_call(const struct call *a, const struct call *b)
{
    assert_int_equal(a->reporter, b->reporter);
    assert_int_equal(a->protocol, b->protocol);
    assert_int_equal(a->tls, b->tls);
    assert_true(identity_same_node(&a->source, &b->source));
    assert_true(identity_same_node(&a->destination, &b->destination));
    assert_true(a->start_ns == b->start_ns && a->duration_ns == b->duration_ns);
    assert_true(a->bytes_received == b->bytes_received && a->bytes_sent == b->bytes_sent);
    assert_int_equal(a->response_code, b->response_code);
    assert_true(sv_eq(a->method, b->method) && sv_eq(a->path, b->path));
    assert_true(sv_eq(a->authority, b->authority) && sv_eq(a->request_id, b->request_id));
    assert_true(sv_eq(a->user_agent, b->user_agent) && sv_eq(a->route_name, b->route_name));
    assert_true(sv_eq(a->destination_service, b->destination_service));
    assert_true(sv_eq(a->upstream_host, b->upstream_host));
    assert_true(sv_eq(a->tls_version, b->tls_version) && sv_eq(a->tls_cipher, b->tls_cipher));
    assert_true(sv_eq(a->source_principal_seen, b->source_principal_seen));
    assert_true(sv_eq(a->destination_principal_seen, b->destination_principal_seen));
    assert_true(a->peer_cert_expiry_ns == b->peer_cert_expiry_ns);
    assert_true(trace_id_eq(a->trace_id, b->trace_id) && span_id_eq(a->span_id, b->span_id));
}

static int64_t int_attr(const struct span *s, const char *key)
{
    const struct value *v = attrs_get(&s->attrs, sv_z(key));
    return v && v->type == VALUE_INT ? v->integer : -1;
}

static void assert_span(const struct span *s, const struct exchange *x)
{
    assert_int_equal(s->kind, SPAN_KIND_CLIENT);
    assert_int_equal(s->status, STATUS_UNSET);
    assert_true(sv_eq(s->name, SV("reviews.default.svc.cluster.local:9080/*")));
    assert_true(span_id_eq(s->parent_id, x->parent_id) && sv_eq(s->trace_state, x->trace_state));
    assert_true(s->end_ns - s->start_ns == x->call.duration_ns);
    assert_true(sv_eq(attrs_str(&s->attrs, SV("url.path")), SV("/reviews/0")));
    assert_true(sv_eq(attrs_str(&s->attrs, SV("url.query")), SV("a=b")));
    assert_true(sv_eq(attrs_str(&s->attrs, SV("server.address")), SV("reviews")));
    assert_true(sv_eq(attrs_str(&s->attrs, SV("network.peer.address")), SV("127.1.0.7")));
    assert_true(sv_eq(attrs_str(&s->attrs, SV("tls_state")), SV("mutual")));
    assert_int_equal(int_attr(s, "server.port"), 9080);
    assert_int_equal(int_attr(s, "http.response.status_code"), 200);
    assert_int_equal(int_attr(s, "http.request.resend_count"), 2);
    assert_int_equal(int_attr(s, "http.response.body.size"), 295);
    const struct attrs *who = &s->resource->attrs;
    assert_true(sv_eq(attrs_str(who, SV("service.name")), SV("reviews")));
    assert_true(sv_eq(attrs_str(who, SV("k8s.deployment.name")), SV("productpage-v1")));
    assert_true(sv_eq(attrs_str(who, SV("telemetry.sdk.name")), SV("tulle")));
    assert_true(sv_eq(s->scope->name, SV("tulle-proxy")));
}

static void test_round_trip(void **state)
{
    struct loop *loop = loop_new(NULL);
    struct fake_collector *f = fake_collector_new(loop, 0, NULL, 0);
    struct run run = start(loop, fake_collector_url(f), 0);
    struct exchange x = exchange_fixture();
    const struct call *calls;
    const struct span *spans;
    (void)state;
    telemetry_record(run.telemetry, &x);
    x.is_sampled = false;
    telemetry_record(run.telemetry, &x);
    assert_int_equal(telemetry_stats(run.telemetry).queued_logs, 2);
    assert_true(drain(&run, 10 * NS_PER_S));
    assert_int_equal(fake_collector_calls(f, &calls), 2);
    assert_int_equal(fake_collector_spans(f, &spans), 1);
    assert_same_call(&calls[0], &x.call);
    assert_span(&spans[0], &x);
    struct telemetry_stats s = telemetry_stats(run.telemetry);
    assert_true(s.records == 2 && s.logs_sent == 2 && s.spans_sent == 1 && s.batches_sent == 2);
    assert_true(s.queued_bytes == 0 && s.queued_logs == 0 && s.queued_spans == 0);
    telemetry_free(run.telemetry);
    fake_collector_free(f);
    loop_free(loop);
}

/* What a span is called, and whether it failed. */
static void test_spans(void **state)
{
    static const struct {
        enum reporter reporter;
        const char *service, *method;
        unsigned code;
        const char *name;
        enum span_status status;
    } cases[] = {
        { REPORTER_SOURCE, "a.b.svc.cluster.local", "GET", 404, "a.b.svc.cluster.local:9080/*",
          STATUS_UNSET },
        { REPORTER_SOURCE, "", "GET", 500, "GET", STATUS_ERROR },
        { REPORTER_SOURCE, "", "BREW", 0, "HTTP", STATUS_ERROR },
        { REPORTER_DESTINATION, "", "GET", 503, "reviews:9080/*", STATUS_ERROR },
    };
    struct loop *loop = loop_new(NULL);
    struct fake_collector *f = fake_collector_new(loop, 0, NULL, 0);
    struct run run = start(loop, fake_collector_url(f), 0);
    const struct span *spans;
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct exchange x = exchange_fixture();
        x.call.reporter = cases[i].reporter;
        x.call.destination_service = sv_z(cases[i].service);
        x.call.method = sv_z(cases[i].method);
        x.call.response_code = (uint16_t)cases[i].code;
        telemetry_record(run.telemetry, &x);
    }
    assert_true(drain(&run, 10 * NS_PER_S));
    assert_int_equal(fake_collector_spans(f, &spans), NELEMS(cases));
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: %s\n", cases[i].name);
        assert_true(sv_eq(spans[i].name, sv_z(cases[i].name)));
        assert_int_equal(spans[i].status, cases[i].status);
        assert_int_equal(spans[i].kind, cases[i].reporter == REPORTER_SOURCE ? SPAN_KIND_CLIENT
                                                                             : SPAN_KIND_SERVER);
    }
    telemetry_free(run.telemetry);
    fake_collector_free(f);
    loop_free(loop);
}

static void test_answers(void **state)
{
    static const struct {
        const char *name;
        unsigned answers[4];
        size_t len, requests;
        uint64_t sent, refused;
    } cases[] = {
        { "kept", { 200 }, 1, 2, 1, 0 },
        { "again after 503", { 503, 503 }, 2, 4, 1, 0 },
        { "again after 429", { 429 }, 1, 3, 1, 0 },
        { "again after a lost answer", { 0 }, 1, 3, 1, 0 },
        { "a lost answer, then busy", { 0, 503, 0 }, 3, 5, 1, 0 },
        { "never after 400", { 400 }, 1, 2, 0, 1 },
        { "never after 500", { 500 }, 1, 2, 0, 1 },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct loop *loop = loop_new(NULL);
        struct fake_collector *f = fake_collector_new(loop, 0, cases[i].answers, cases[i].len);
        struct run run = start(loop, fake_collector_url(f), 0);
        struct exchange x = exchange_fixture();
        const struct fake_request *r;
        print_message("case: %s\n", cases[i].name);
        telemetry_record(run.telemetry, &x);
        assert_true(drain(&run, 20 * NS_PER_S));
        size_t len = fake_collector_requests(f, &r);
        assert_int_equal(len, cases[i].requests);
        for (size_t k = 1; k < len; k++) /* one batch of logs, one of spans: a key each */
            assert_true((strcmp(r[k].key, r[k - 1].key) == 0) ==
                        (r[k].is_logs == r[k - 1].is_logs));
        struct telemetry_stats s = telemetry_stats(run.telemetry);
        assert_true(s.logs_sent == cases[i].sent && s.logs_refused == cases[i].refused);
        assert_true(s.spans_sent == 1);
        telemetry_free(run.telemetry);
        fake_collector_free(f);
        loop_free(loop);
    }
}

/* A port that nobody listens on and nobody else can get; a listener may join it later. */
static int reserve_port(uint16_t *ret_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

/* Nobody listens; then somebody does: all that fitted the queue arrives, once. */
static void test_outage(void **state)
{
    enum { RECORDS = 1500 };
    struct loop *loop = loop_new(NULL);
    uint16_t port;
    int reserved = reserve_port(&port);
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
    struct run run = start(loop, url, 0);
    struct exchange x = exchange_fixture();
    const struct call *calls;
    const struct span *spans;
    (void)state;
    for (uint64_t i = 0; i < RECORDS; i++) {
        x.call.bytes_sent = i;
        telemetry_record(run.telemetry, &x);
    }
    assert_false(drain(&run, 500 * NS_PER_MS));
    assert_true(telemetry_stats(run.telemetry).batches_retried > 0);
    struct fake_collector *f = fake_collector_new(loop, port, NULL, 0);
    assert_true(drain(&run, 20 * NS_PER_S));
    assert_int_equal(fake_collector_calls(f, &calls), RECORDS);
    assert_int_equal(fake_collector_spans(f, &spans), RECORDS);
    for (uint64_t i = 0; i < RECORDS; i++)
        assert_true(calls[i].bytes_sent == i);
    assert_int_equal(telemetry_stats(run.telemetry).logs_dropped, 0);
    close(reserved);
    telemetry_free(run.telemetry);
    fake_collector_free(f);
    loop_free(loop);
}

/* More edges in turn than a batch has groups: each record comes out as its own edge's. */
static void test_many_edges(void **state)
{
    enum { EDGES = 50, RECORDS = 400 };
    struct loop *loop = loop_new(NULL);
    struct fake_collector *f = fake_collector_new(loop, 0, NULL, 0);
    struct run run = start(loop, fake_collector_url(f), 0);
    static struct exchange sent[RECORDS];
    bool is_seen[RECORDS] = { false };
    char names[EDGES][16];
    const struct call *calls;
    (void)state;
    for (int i = 0; i < EDGES; i++)
        snprintf(names[i], sizeof(names[i]), "edge-%d", i);
    for (int i = 0; i < RECORDS; i++) {
        sent[i] = exchange_fixture();
        sent[i].call.destination.workload = sv_z(names[i * 7 % EDGES]);
        sent[i].call.tls = i % 3 ? TLS_MUTUAL : TLS_PLAINTEXT;
        sent[i].call.bytes_sent = (uint64_t)i;
        telemetry_record(run.telemetry, &sent[i]);
    }
    assert_true(drain(&run, 10 * NS_PER_S));
    assert_int_equal(fake_collector_calls(f, &calls), RECORDS);
    for (int i = 0; i < RECORDS; i++) {
        uint64_t n = calls[i].bytes_sent;
        assert_true(n < RECORDS && !is_seen[n]);
        is_seen[n] = true;
        assert_same_call(&calls[i], &sent[n].call);
    }
    telemetry_free(run.telemetry);
    fake_collector_free(f);
    loop_free(loop);
}

static void test_queue_is_bounded(void **state)
{
    struct loop *loop = loop_new(NULL);
    struct run run = start(loop, "http://127.0.0.1:1", 20000);
    struct exchange x = exchange_fixture();
    (void)state;
    for (int i = 0; i < 1000; i++)
        telemetry_record(run.telemetry, &x);
    struct telemetry_stats s = telemetry_stats(run.telemetry);
    assert_true(s.queued_bytes <= 20000 && s.queued_bytes > 10000);
    assert_true(s.logs_dropped > 0 && s.logs_dropped + s.queued_logs == 1000);
    assert_true(s.spans_dropped + s.queued_spans == 1000);
    assert_false(drain(&run, 300 * NS_PER_MS));
    telemetry_free(run.telemetry);
    loop_free(loop);
}

static void test_url(void **state)
{
    static const char *const bad[] = { "https://a:1", "127.0.0.1:4318", "http://",    "http://:1",
                                       "http://a:0",  "http://a:70000", "http://a b", "ftp://x" };
    struct loop *loop = loop_new(NULL);
    (void)state;
    for (size_t i = 0; i < NELEMS(bad); i++) {
        struct telemetry_conf conf = { .collector_url = bad[i], .access_log_fd = -1 };
        struct err err = { 0 };
        print_message("case: %s\n", bad[i]);
        assert_null(telemetry_new(loop, &conf, &err));
        assert_int_equal(err.code, ERR_USAGE);
    }
    loop_free(loop);
}

static void test_allocations(void **state)
{
    struct loop *loop = loop_new(NULL);
    struct exchange x = exchange_fixture();
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct telemetry_conf conf = { .collector_url = "http://127.0.0.1:1", .access_log_fd = -1 };
        mem_fail_nth(nth);
        struct telemetry *t = telemetry_new(loop, &conf, NULL);
        for (int i = 0; t && i < 20; i++) { /* more groups than a batch has */
            x.call.response_code_details = sv_of("abcdefghijklmnopqrstuvwxyz", (size_t)i + 1);
            telemetry_record(t, &x);
        }
        if (t)
            telemetry_flush(t);
        bool was_reached = mem_count() >= nth;
        mem_fail_nth(0);
        telemetry_free(t);
        if (!was_reached)
            break;
    }
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_answers),
        cmocka_unit_test(test_spans),      cmocka_unit_test(test_outage),
        cmocka_unit_test(test_many_edges), cmocka_unit_test(test_queue_is_bounded),
        cmocka_unit_test(test_url),        cmocka_unit_test(test_allocations),
    };
    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
