/* test_dialects.c - the same load in every dialect: nothing twice, nothing missing, right labels. */
#include "../sample.h"
#include "aggregate/fold.h"
#include "base/mem.h"

enum { ALL = DIALECT_ISTIO | DIALECT_SERVICEGRAPH | DIALECT_SPANMETRICS | DIALECT_KIALI };

static struct fold *new_fold(unsigned set, uint64_t series_max)
{
    struct fold_conf c = fold_conf_default();
    c.dialects = set;
    c.series.max = series_max;
    struct fold *f = fold_new(&c);
    assert_non_null(f);
    return f;
}

static void ignore_row(void *to, const struct edge *e, enum tls_state tls,
                       const struct total_row *row)
{
    (void)to;
    (void)e;
    (void)tls;
    (void)row;
}

/* The numbers of one family over all rows that have name="value". */
struct wanted {
    const char *family, *label, *value;
    uint64_t sum; /* of the counter, or of all buckets */
    uint64_t raw; /* of a histogram */
    size_t rows;
};

static bool has_label(const struct meter *m, const struct meter_row *row, const struct wanted *w)
{
    if (!w->label)
        return true;
    for (size_t i = 0; row->values && i < m->kind->labels_len; i++)
        if (sv_eq(sv_z(m->kind->labels[i]), sv_z(w->label)))
            return sv_eq(row->values[i], sv_z(w->value));
    return false;
}

static void add_meter(void *to, const struct meter *m)
{
    struct wanted *w = to;
    const struct meter_row *row;
    for (size_t at = 0; (row = meter_next(m, &at));)
        for (size_t i = 0; i < m->kind->families_len; i++) {
            const struct meter_family *f = &m->kind->families[i];
            if (!sv_eq(sv_z(f->name), sv_z(w->family)) || !has_label(m, row, w))
                continue;
            const uint64_t *n = meter_numbers(m, row, i);
            w->rows++;
            for (size_t b = 0; b < (f->bounds ? f->bounds_len + 1 : 1); b++)
                w->sum += n[b];
            w->raw += f->bounds ? n[f->bounds_len + 1] : 0;
        }
}

static struct wanted look(struct fold *f, const char *family, const char *label, const char *value)
{
    struct wanted w = { .family = family, .label = label, .value = value };
    fold_totals(f, false, ignore_row, NULL);
    fold_meters(f, add_meter, &w);
    return w;
}

static void assert_sum(struct fold *f, const char *family, const char *label, const char *value,
                       uint64_t want)
{
    struct wanted w = look(f, family, label, value);
    if (w.sum != want)
        fail_msg("%s{%s=\"%s\"}: %llu, want %llu", family, label ? label : "", value ? value : "",
                 (unsigned long long)w.sum, (unsigned long long)want);
}

static void put(struct fold *f, const struct call *c, int times)
{
    struct batch *b = batch_new();
    for (int i = 0; i < times; i++)
        *batch_add_call(b) = *c;
    b->received_ns = c->start_ns;
    fold_batch(f, b, true);
    batch_free(b);
}

/* Both proxies report 5 requests, one of which failed; and a gRPC call, and a TCP connection. */
static struct fold *known_load(void)
{
    struct fold *f = new_fold(ALL, 100000);
    struct call c = sample_call(SV("a"), SV("b"), REPORTER_SOURCE, T0, 200);
    c.destination_service = SV("b.shop.svc.cluster.local");
    c.source_principal_seen = SV("spiffe://td/ns/shop/sa/a");
    put(f, &c, 4);
    c.response_code = 503;
    c.response_flags = SV("UF,URX");
    put(f, &c, 1);
    c = sample_call(SV("a"), SV("b"), REPORTER_DESTINATION, T0, 200);
    c.duration_ns = 2 * NS_PER_MS;
    c.destination_service = SV("b.shop.svc.cluster.local");
    put(f, &c, 4);
    c.protocol = PROTOCOL_GRPC;
    c.grpc_status = 14;
    c.tls = TLS_PLAINTEXT;
    put(f, &c, 1);
    c.protocol = PROTOCOL_TCP;
    c.response_code = 0;
    c.grpc_status = -1;
    put(f, &c, 2);
    fold_tick(f, T0 + 200 * NS_PER_S); /* everything settles */
    return f;
}

static void test_istio(void **state)
{
    struct fold *f = known_load();
    (void)state;
    assert_sum(f, "istio_requests", "reporter", "source", 5);
    assert_sum(f, "istio_requests", "reporter", "destination", 5);
    assert_sum(f, "istio_requests", "response_code", "503", 1);
    assert_sum(f, "istio_requests", "response_flags", "UF,URX", 1);
    assert_sum(f, "istio_requests", "response_flags", "-", 9);
    assert_sum(f, "istio_requests", "grpc_response_status", "14", 1);
    assert_sum(f, "istio_requests", "grpc_response_status", "", 9);
    assert_sum(f, "istio_requests", "request_protocol", "grpc", 1);
    assert_sum(f, "istio_requests", "connection_security_policy", "mutual_tls", 9);
    assert_sum(f, "istio_requests", "connection_security_policy", "none", 1);
    assert_sum(f, "istio_requests", "source_principal", "spiffe://td/ns/shop/sa/a",
               9); /* not the edge of gRPC */
    assert_sum(f, "istio_requests", "destination_service", "b.shop.svc.cluster.local", 10);
    assert_sum(f, "istio_requests", "destination_service_name", "b", 10);
    assert_sum(f, "istio_requests", "destination_service_namespace", "shop", 10);
    assert_sum(f, "istio_requests", "source_canonical_revision", "v1", 10);
    struct wanted w = look(f, "istio_request_duration_milliseconds", "reporter", "source");
    assert_int_equal(w.sum, 5);
    assert_int_equal(w.raw, 15 * NS_PER_MS);
    w = look(f, "istio_response_bytes", NULL, NULL);
    assert_int_equal(w.raw, 1000);
    assert_sum(f, "istio_tcp_connections_closed", NULL, NULL, 2);
    assert_sum(f, "istio_tcp_sent_bytes", NULL, NULL, 200);
    assert_sum(f, "istio_tcp_received_bytes", "reporter", "destination", 20);
    fold_free(f);
}

static void test_servicegraph(void **state)
{
    struct fold *f = known_load();
    (void)state;
    for (int i = 0; i < 3; i++) { /* asking again changes nothing */
        assert_sum(f, "traces_service_graph_request", NULL, NULL, 8);
        assert_sum(f, "traces_service_graph_request_failed", "client", "a", 1 + 1);
    }
    struct wanted w = look(f, "traces_service_graph_request_client_seconds", NULL, NULL);
    assert_int_equal(w.raw, (5 * 3 + 3 * 2) * NS_PER_MS);
    w = look(f, "traces_service_graph_request_server_seconds", "server", "b");
    assert_int_equal(w.sum, 4 + 3); /* the failed one never reached it */
    assert_int_equal(w.raw, 7 * 2 * NS_PER_MS);
    assert_int_equal(w.rows, 1);
    for (size_t i = 0; i < TOTAL_BOUNDS_LEN; i++)
        assert_true(servicegraph_kind.families[2].bounds[i] == (double)total_bounds_ns[i] / 1e9);
    fold_free(f);
}

static void test_kiali(void **state)
{
    struct fold *f = known_load();
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_sum(f, "kiali_ext_requests", NULL, NULL, 6);
        assert_sum(f, "kiali_ext_requests", "status_code", "200", 4);
        assert_sum(f, "kiali_ext_requests", "status_code", "503", 1);
        assert_sum(f, "kiali_ext_requests", "status_code", "14", 1);
        assert_sum(f, "kiali_ext_requests", "flags", "UF,URX", 1);
        assert_sum(f, "kiali_ext_requests", "secure", "true", 5);
        assert_sum(f, "kiali_ext_requests", "reporter", "combined", 6);
        assert_sum(f, "kiali_ext_tcp_sent", NULL, NULL, 20);
        assert_sum(f, "kiali_ext_tcp_received", "dest_name", "b", 200);
    }
    fold_free(f);
}

static const struct attr name_a[] = { TEXT("service.name", "a") };
static const struct attr name_b[] = { TEXT("service.name", "b") };
static const struct attr http_attrs[] = { TEXT("http.method", "GET") };
static const struct resource resource_a = { .attrs = { name_a, 1, 0 } };
static const struct resource resource_b = { .attrs = { name_b, 1, 0 } };
static const struct scope no_scope;

static void add_half(struct batch *b, bool is_client)
{
    struct span *s = batch_add_span(b);
    *s = (struct span){
        .trace_id = sample_trace(1),
        .span_id = sample_span_id(is_client ? 1 : 2),
        .parent_id = sample_span_id(is_client ? 9 : 1),
        .kind = is_client ? SPAN_KIND_CLIENT : SPAN_KIND_SERVER,
        .status = is_client ? STATUS_ERROR : STATUS_UNSET,
        .name = SV("GET /"),
        .start_ns = T0,
        .end_ns = T0 + (is_client ? 5 : 3) * NS_PER_MS,
        .attrs = { http_attrs, 1, 0 },
        .resource = is_client ? &resource_a : &resource_b,
        .scope = &no_scope,
    };
}

/* A pair of spans is one request, seen by both sides. */
static void put_alike(struct fold *f, const struct alike *like, uint64_t times)
{
    struct call who = sample_call(SV("a"), SV("b"), REPORTER_SCRAPE, T0, 200);
    struct alike a = *like;
    who.destination_service = SV("b.shop.svc.cluster.local");
    who.protocol = a.protocol;
    a.at_ns = T0;
    a.times = times;
    if (a.protocol != PROTOCOL_TCP)
        assert_int_equal(hist_add(&a.latency, 5 * NS_PER_MS, times), 0);
    assert_int_equal(fold_scraped(f, &who, &a, T0 + 2 * NS_PER_S), 0);
    hist_done(&a.latency);
}

/* Counters of both proxies: each side under its reporter, each request once in the others. */
static void test_scraped(void **state)
{
    (void)state;
    struct fold *f = new_fold(ALL, 100000);
    struct alike calling = { .tls = TLS_MUTUAL,
                             .tls_basis = TLS_BASIS_REPORTED,
                             .code = 503,
                             .grpc = -1,
                             .flags = SV("UF"),
                             .is_calling = true,
                             .bytes_sent = 600 };
    struct alike called = calling, bytes = { .protocol = PROTOCOL_TCP, .is_calling = true };
    called.is_calling = false;
    called.is_beside = true;
    called.code = 200;
    called.flags = SV_NONE;
    put_alike(f, &calling, 6);
    put_alike(f, &called, 4);
    put_alike(f, &bytes, 2);
    bytes.bytes_received = 70;
    put_alike(f, &bytes, 0); /* of those that are open */
    fold_tick(f, T0 + 200 * NS_PER_S);
    assert_sum(f, "istio_requests", "reporter", "source", 6);
    assert_sum(f, "istio_requests", "reporter", "destination", 4);
    assert_sum(f, "istio_requests", "response_code", "503", 6);
    assert_sum(f, "istio_requests", "response_flags", "UF", 6);
    assert_sum(f, "istio_requests", "destination_service_name", "b", 10);
    assert_sum(f, "istio_requests", "connection_security_policy", "mutual_tls", 10);
    struct wanted w = look(f, "istio_request_duration_milliseconds", "reporter", "source");
    assert_int_equal(w.sum, 6);
    assert_int_equal(w.raw, 30 * NS_PER_MS);
    w = look(f, "istio_response_bytes", "reporter", "source");
    assert_int_equal(w.sum, 6);
    assert_int_equal(w.raw, 600);
    assert_sum(f, "istio_tcp_connections_opened", NULL, NULL, 2);
    assert_sum(f, "istio_tcp_received_bytes", NULL, NULL, 70);
    assert_sum(f, "traces_service_graph_request", NULL, NULL, 8);
    assert_sum(f, "traces_service_graph_request_failed", NULL, NULL, 6);
    assert_sum(f, "kiali_ext_requests", "status_code", "503", 6);
    assert_sum(f, "kiali_ext_requests", "secure", "true", 6);
    assert_sum(f, "kiali_ext_tcp_sent", NULL, NULL, 70);
    put_alike(f, &bytes, 0); /* the row has been shown; no further connection */
    fold_tick(f, T0 + 400 * NS_PER_S);
    assert_sum(f, "kiali_ext_tcp_sent", NULL, NULL, 140);
    fold_free(f);
}

static void test_spans(void **state)
{
    struct fold *f = new_fold(ALL, 100000);
    struct batch *b = batch_new();
    (void)state;
    add_half(b, true);
    add_half(b, false);
    b->received_ns = T0;
    fold_batch(f, b, false); /* a replay counts nothing */
    assert_sum(f, "traces_spanmetrics_calls", NULL, NULL, 0);
    fold_free(f);
    f = new_fold(ALL, 100000);
    fold_batch(f, b, true);
    batch_free(b);
    fold_tick(f, T0 + 200 * NS_PER_S);
    assert_sum(f, "traces_spanmetrics_calls", NULL, NULL, 2);
    assert_sum(f, "traces_spanmetrics_calls", "status_code", "STATUS_CODE_ERROR", 1);
    assert_sum(f, "traces_spanmetrics_calls", "service", "b", 1);
    assert_sum(f, "traces_span_metrics_calls", "service_name", "a", 1);
    assert_sum(f, "traces_span_metrics_calls", "span_kind", "SPAN_KIND_SERVER", 1);
    struct wanted w = look(f, "traces_span_metrics_duration_milliseconds", NULL, NULL);
    assert_int_equal(w.raw, 8 * NS_PER_MS);
    w = look(f, "istio_request_duration_milliseconds", "reporter", "source");
    assert_int_equal(w.raw, 5 * NS_PER_MS);
    w = look(f, "istio_request_duration_milliseconds", "reporter", "destination");
    assert_int_equal(w.raw, 3 * NS_PER_MS);
    w = look(f, "traces_service_graph_request_server_seconds", NULL, NULL);
    assert_int_equal(w.raw, 3 * NS_PER_MS);
    assert_sum(f, "kiali_ext_requests", NULL, NULL, 1);
    fold_free(f);
}

/* Whatever the budget, the sum over all rows of a family is what was sent. */
static void test_budget(void **state)
{
    (void)state;
    for (uint64_t max = 0; max < 4000; max += 333) {
        struct fold *f = new_fold(ALL, max);
        for (int i = 0; i < 40; i++) {
            char name[8];
            snprintf(name, sizeof(name), "w%d", i % 13);
            struct call c = sample_call(SV("a"), sv_z(name), REPORTER_SOURCE, T0,
                                        (uint16_t)(200 + i % 3));
            put(f, &c, i);
            assert_sum(f, "istio_requests", NULL, NULL, (uint64_t)(i * (i + 1) / 2));
            assert_sum(f, "kiali_ext_requests", NULL, NULL, (uint64_t)(i * (i + 1) / 2));
            assert_sum(f, "traces_service_graph_request", NULL, NULL, (uint64_t)(i * (i + 1) / 2));
            struct fold_stats stats;
            fold_get_stats(f, &stats);
            assert_true(stats.series <= max);
        }
        fold_free(f);
    }
}

/* Idle rows end and give their share back; those that come back begin at zero. */
static void test_idle(void **state)
{
    static const char *const labels[] = { "x" };
    static const struct meter_family families[] = { { "m", "", NULL, 0, 0 } };
    static const struct meter_kind kind = { labels, 1, families, 1, NULL };
    struct series_budget budget = { .conf = { 1000, NS_PER_S } };
    struct meter m;
    (void)state;
    meter_init(&m, &kind, &budget);
    for (int round = 0; round < 3; round++) {
        int64_t now_ns = T0 + round * 10 * NS_PER_S;
        for (int i = 0; i < 500; i++) {
            char text[8];
            snprintf(text, sizeof(text), "%d", i);
            struct sv value = sv_z(text);
            struct meter_row *row = meter_row(&m, &value, now_ns + (i % 2) * NS_PER_S);
            assert_non_null(row);
            assert_int_equal(row->n[0], 0);
            meter_count(&m, row, 0, 1);
        }
        meter_expire(&m, now_ns + NS_PER_S);
        assert_int_equal(m.rows.len, 250);
        assert_int_equal(budget.used, 250);
        meter_expire(&m, now_ns + 2 * NS_PER_S);
        assert_int_equal(m.rows.len, 0);
        assert_int_equal(budget.used, 0);
    }
    meter_done(&m);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 60; nth++) {
        struct fold *f = new_fold(ALL, 100000);
        struct call c = sample_call(SV("a"), SV("b"), REPORTER_SOURCE, T0, 200);
        struct batch *b = batch_new();
        *batch_add_call(b) = c;
        b->received_ns = T0;
        mem_fail_nth(nth);
        fold_batch(f, b, true);
        struct wanted w = look(f, "istio_requests", NULL, NULL);
        mem_fail_nth(0);
        assert_true(w.sum <= 1);
        batch_free(b);
        put(f, &c, 1);
        assert_true(look(f, "istio_requests", NULL, NULL).sum >= 1);
        fold_free(f);
    }
}

static void test_names(void **state)
{
    unsigned set = 99;
    (void)state;
    assert_true(dialects_from_sv(SV(""), &set) && set == 0);
    assert_true(dialects_from_sv(SV("kiali, istio"), &set));
    assert_int_equal(set, DIALECT_KIALI | DIALECT_ISTIO);
    assert_true(dialects_from_sv(SV("istio,servicegraph,spanmetrics,kiali"), &set));
    assert_int_equal(set, ALL);
    assert_false(dialects_from_sv(SV("istio,"), &set));
    assert_false(dialects_from_sv(SV("Istio"), &set));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_istio),   cmocka_unit_test(test_servicegraph),
        cmocka_unit_test(test_kiali),   cmocka_unit_test(test_spans),
        cmocka_unit_test(test_scraped), cmocka_unit_test(test_budget),
        cmocka_unit_test(test_idle),    cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
