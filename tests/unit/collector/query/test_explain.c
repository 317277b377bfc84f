/* test_explain.c - what an answer says of how its numbers are known: evidence, TLS, network, clocks;
 * and of what is missing from them. */
#include "../sample.h"
#include "base/mem.h"
#include "query/api.h"
#include <jansson.h>

struct world {
    struct api api;
    int64_t now_ns;
};

static int set_up(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    struct fold_conf c = fold_conf_default();
    struct store_conf s = { .url = SV("memory:") };
    w->now_ns = T0 + 30 * NS_PER_S;
    clock_fake(w->now_ns, NS_PER_S);
    w->api = (struct api){ .store = store_open(&s, NULL), .fold = fold_new(&c) };
    assert_true(w->api.store && w->api.fold);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    fold_free(w->api.fold);
    store_close(w->api.store);
    mem_free(w);
    clock_real();
    return 0;
}

static json_t *ask(const struct world *w, const char *target, unsigned status)
{
    AUTO_DONE(answer) a = { 0 };
    struct request rq = { .method = SV("GET"), .target = sv_z(target) };
    api_answer(&w->api, &rq, &a);
    if (a.status != status)
        fail_msg("%s: %u %.*s", target, a.status, SV_ARG(buf_sv(&a.body)));
    json_t *j = json_loadb(buf_sv(&a.body).p, a.body.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    return j;
}

/* at(j, "edges", "0", "tls"): the first that is missing fails. */
static json_t *at(json_t *j, const char *const *path)
{
    for (; *path; path++) {
        j = json_is_array(j) ? json_array_get(j, (size_t)(**path - '0'))
                             : json_object_get(j, *path);
        if (!j)
            fail_msg("no \"%s\"", *path);
    }
    return j;
}
#define AT(j, ...)   at(j, (const char *const[]){ __VA_ARGS__, NULL })
#define INT(j, ...)  json_integer_value(AT(j, __VA_ARGS__))
#define REAL(j, ...) json_number_value(AT(j, __VA_ARGS__))
#define STR(j, ...)  json_string_value(AT(j, __VA_ARGS__))

static void fold_calls(struct world *w, const struct call *calls, size_t n)
{
    struct batch *b = batch_new();
    for (size_t i = 0; i < n; i++)
        *batch_add_call(b) = calls[i];
    b->received_ns = w->now_ns;
    assert_int_equal(store_put(w->api.store, &b, 1, NULL), 0);
    fold_batch(w->api.fold, b, true);
    batch_free(b);
}

/* The caller's proxy cannot tell; the callee's can, and sees one request once more. */
static void put_records(struct world *w)
{
    struct call calls[7];
    for (int i = 0; i < 3; i++) {
        calls[i] = sample_call(SV("a"), SV("b"), REPORTER_SOURCE, T0 + i * NS_PER_S, 200);
        calls[i].tls = TLS_UNKNOWN;
        calls[i].duration_ns = 10 * NS_PER_MS;
    }
    for (int i = 3; i < 7; i++) {
        calls[i] = sample_call(SV("a"), SV("b"), REPORTER_DESTINATION, T0 + i * NS_PER_S, 200);
        calls[i].tls = i < 5 ? TLS_PLAINTEXT : TLS_MUTUAL;
        calls[i].duration_ns = 4 * NS_PER_MS;
        calls[i].trace_id = sample_trace((uint8_t)i);
        calls[i].tls_version = SV("TLSv1.3");
        calls[i].peer_cert_expiry_ns = T0 + (100 - i) * NS_PER_S;
    }
    fold_calls(w, calls, NELEMS(calls));
}

static void test_records(void **state)
{
    put_records(*state);
    json_t *j = ask(*state, "/api/v1/edges", 200), *e = AT(j, "edges", "0");
    assert_string_equal(STR(e, "evidence"), "source");
    assert_int_equal(INT(e, "evidenceCounts", "source"), 3);
    assert_int_equal(json_object_size(AT(e, "evidenceCounts")), 1);
    assert_int_equal(INT(e, "requests"), 3);
    assert_int_equal(INT(e, "received"), 4);
    assert_string_equal(STR(e, "serverLatencyEvidence"), "destination");
    assert_true(REAL(e, "networkLatency", "meanMs") == 6);
    assert_true(json_is_null(AT(e, "clock")));
    assert_string_equal(STR(e, "tls", "state"), "mixed");
    assert_int_equal(INT(e, "tls", "plaintext"), 2);
    assert_string_equal(STR(e, "tls", "confidence"), "handshake");
    assert_int_equal(INT(e, "tls", "bases", "handshake"), 3);
    assert_string_equal(STR(e, "tls", "version"), "TLSv1.3");
    assert_string_equal(STR(e, "tls", "certificateExpiry"), "2026-09-21T14:14:54.000Z");
    assert_string_equal(STR(e, "tls", "firstPlaintext", "traceId"),
                        "aa000000000000000000000000000003");
    assert_string_equal(STR(e, "tls", "lastPlaintext", "time"), "2026-09-21T14:13:24.000Z");
    json_decref(j);
}

static void add_half(struct batch *b, bool is_client, uint8_t n, const struct resource *resource)
{
    static const struct scope scope;
    static const struct attr attrs[] = { TEXT("http.request.method", "GET"),
                                         TEXT("connection_security_policy", "none"),
                                         NUMBER("http.request.resend_count", 2) };
    struct span *s = batch_add_span(b);
    /* The callee's clock is two seconds ahead; 10 ms of the 50 are spent between the two. */
    int64_t start_ns = T0 + n * NS_PER_S + (is_client ? 0 : 2 * NS_PER_S + 5 * NS_PER_MS);
    s->trace_id = sample_trace(n);
    s->span_id = sample_span_id(is_client ? 1 : 2);
    s->parent_id = sample_span_id(is_client ? 9 : 1);
    s->kind = is_client ? SPAN_KIND_CLIENT : SPAN_KIND_SERVER;
    s->start_ns = start_ns;
    s->end_ns = start_ns + (is_client ? 50 : 40) * NS_PER_MS;
    s->attrs = is_client ? (struct attrs){ attrs, 3, 0 } : (struct attrs){ attrs, 2, 0 };
    s->resource = resource;
    s->scope = &scope;
}

static void test_pair(void **state)
{
    struct world *w = *state;
    static const struct attr a[] = { TEXT("service.name", "a") },
                             c[] = { TEXT("service.name", "c") };
    static const struct resource from = { .attrs = { a, 1, 0 } }, to = { .attrs = { c, 1, 0 } };
    struct batch *b = batch_new();
    for (uint8_t n = 1; n <= 2; n++) {
        add_half(b, true, n, &from);
        add_half(b, false, n, &to);
    }
    b->received_ns = w->now_ns;
    fold_batch(w->api.fold, b, true);
    batch_free(b);
    json_t *j = ask(w, "/api/v1/edges", 200), *e = AT(j, "edges", "0");
    assert_int_equal(INT(e, "evidenceCounts", "pair"), 2);
    assert_true(json_is_null(AT(e, "received")));
    assert_int_equal(INT(e, "resends"), 2); /* each span is itself a repetition */
    assert_string_equal(STR(e, "serverLatencyEvidence"), "pair");
    assert_true(REAL(e, "networkLatency", "meanMs") == 10);
    assert_string_equal(STR(e, "clock", "verdict"), "skewed");
    assert_true(REAL(e, "clock", "offsetMs") == 2000);
    assert_int_equal(INT(e, "clock", "pairs"), 2);
    assert_string_equal(STR(e, "tls", "confidence"), "reported");
    assert_int_equal(INT(e, "tls", "plaintext"), 2);
    json_decref(j);
}

static void test_tls_roll_up(void **state)
{
    struct call more[2] = {
        sample_call(SV("b"), SV("c"), REPORTER_SOURCE, T0 + NS_PER_S, 200),
        sample_call(SV("c"), SV("d"), REPORTER_DESTINATION, T0 + NS_PER_S, 200),
    };
    put_records(*state);
    fold_calls(*state, more, 2);
    json_t *j = ask(*state, "/api/v1/tls", 200);
    assert_int_equal(INT(j, "mesh", "requests"), 5);
    assert_int_equal(INT(j, "mesh", "edges"), 3);
    assert_int_equal(INT(j, "mesh", "edgesWithPlaintext"), 1);
    assert_int_equal(INT(j, "mesh", "tls", "mutual"), 3);
    assert_int_equal(INT(j, "total"), 4);
    assert_string_equal(STR(j, "nodes", "0", "workload"), "a"); /* plaintext first, then by name */
    assert_string_equal(STR(j, "nodes", "1", "workload"), "b");
    assert_string_equal(STR(j, "nodes", "1", "in", "state"), "mixed");
    assert_string_equal(STR(j, "nodes", "1", "out", "state"), "mutual");
    json_decref(j);
    j = ask(*state, "/api/v1/tls?granularity=namespace", 200);
    assert_int_equal(INT(j, "total"), 1);
    assert_int_equal(INT(j, "nodes", "0", "inRequests"), 5);
    json_decref(j);
    j = ask(*state, "/api/v1/tls?offset=3&limit=5", 200);
    assert_int_equal(json_array_size(AT(j, "nodes")), 1);
    assert_string_equal(STR(j, "nodes", "0", "workload"), "d");
    json_decref(j);
    j = ask(*state, "/api/v1/tls?limit=0", 400);
    assert_string_equal(STR(j, "error", "parameter"), "limit");
    json_decref(j);
}

/* A span of service a in a trace of its own; end_ns its end, at_ns its arrival. */
static void fold_span(struct world *w, struct span s, int64_t end_ns, int64_t at_ns)
{
    static const struct scope scope;
    static const struct attr a[] = { TEXT("service.name", "a") };
    static const struct resource from = { .attrs = { a, 1, 0 } };
    struct batch *b = batch_new();
    s.start_ns = end_ns - NS_PER_MS;
    s.end_ns = end_ns;
    s.resource = &from;
    s.scope = &scope;
    *batch_add_span(b) = s;
    b->received_ns = at_ns;
    fold_batch(w->api.fold, b, true);
    batch_free(b);
}

#define SPAN(k, n, own, parent)                                                                    \
    (struct span)                                                                                  \
    {                                                                                              \
        .kind = SPAN_KIND_##k, .trace_id = sample_trace(n), .span_id = sample_span_id(own),        \
        .parent_id = sample_span_id(parent)                                                        \
    }

/* The row of that cause; fails when there is none. */
static json_t *row_of(json_t *j, const char *cause)
{
    json_t *rows = AT(j, "rows"), *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        if (strcmp(STR(row, "cause"), cause) == 0)
            return row;
    }
    fail_msg("no row \"%s\"", cause);
    return NULL;
}

static void test_unpaired(void **state)
{
    struct world *w = *state;
    struct span unsampled = SPAN(SERVER, 7, 1, 9);
    unsampled.flags = 0x100;
    fold_span(w, SPAN(SERVER, 1, 1, 9), T0, T0);
    fold_span(w, SPAN(SERVER, 2, 1, 9), T0, T0);
    fold_span(w, SPAN(CLIENT, 3, 1, 9), T0, T0);
    fold_span(w, SPAN(PRODUCER, 4, 1, 9), T0, T0);
    fold_span(w, SPAN(SERVER, 5, 1, 9), T0 - 300 * NS_PER_S, T0);
    fold_span(w, SPAN(SERVER, 6, 2, 1), T0, T0); /* right under a server's span */
    fold_span(w, SPAN(SERVER, 6, 1, 0), T0, T0);
    fold_span(w, unsampled, T0, T0);
    fold_span(w, SPAN(CLIENT, 8, 0, 9), T0, T0);
    fold_span(w, SPAN(CLIENT, 9, 1, 8), T0, T0); /* paired, in one workload */
    fold_span(w, SPAN(SERVER, 9, 2, 1), T0, T0);
    fold_span(w, SPAN(SERVER, 9, 3, 1), T0, T0); /* its second attempt */
    fold_tick(w->api.fold, T0 + 61 * NS_PER_S);
    fold_span(w, SPAN(SERVER, 3, 2, 1), T0 + 61 * NS_PER_S, T0 + 61 * NS_PER_S);
    fold_tick(w->api.fold, T0 + 130 * NS_PER_S);
    static const struct {
        const char *cause, *kind;
        int count;
    } wants[] = {
        { "no_caller", "server", 2 },     { "no_callee", "client", 1 },
        { "no_consumer", "producer", 1 }, { "clock", "server", 1 },
        { "late", "server", 1 },          { "unsampled", "server", 1 },
        { "no_call_span", "server", 1 },  { "no_id", "client", 1 },
        { "attempt", "server", 1 },
    };
    json_t *j = ask(w, "/api/v1/unpaired", 200);
    assert_int_equal(INT(j, "total"), NELEMS(wants));
    for (size_t i = 0; i < NELEMS(wants); i++) {
        json_t *row = row_of(j, wants[i].cause);
        print_message("case: %s\n", wants[i].cause);
        assert_int_equal(INT(row, "count"), wants[i].count);
        assert_string_equal(STR(row, "kind"), wants[i].kind);
        assert_string_equal(STR(row, "service"), "a");
    }
    assert_string_equal(STR(row_of(j, "late"), "peer"), "a");
    assert_int_equal(json_array_size(AT(row_of(j, "no_caller"), "examples")), 2);
    assert_string_equal(STR(row_of(j, "clock"), "examples", "0", "traceId"),
                        "aa000000000000000000000000000005");
    json_decref(j);
    j = ask(w, "/api/v1/unpaired?service=b", 200);
    assert_int_equal(INT(j, "total"), 0);
    json_decref(j);
    j = ask(w, "/api/v1/unpaired?offset=1&limit=2", 200);
    assert_int_equal(json_array_size(AT(j, "rows")), 2);
    json_decref(j);
    json_decref(ask(w, "/api/v1/unpaired?limit=x", 400));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pair, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tls_roll_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unpaired, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
