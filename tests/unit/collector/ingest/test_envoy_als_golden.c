/* test_envoy_als_golden.c - Envoy's access log service, field by field: messages made with Envoy's own classes by
 * tests/golden/als.py, which says what a sidecar of Istio has put into them. */
#include "base/mem.h"
#include "ingest/decode.h"
#include "tallies.h"
#include "wire/pb.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const char *folder; /* of the messages */

static void read_file(const char *name, struct buf *to)
{
    char path[4096];
    assert_true((size_t)snprintf(path, sizeof(path), "%s/%s", folder, name) < sizeof(path));
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    char bytes[8192];
    size_t n = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    assert_true(n < sizeof(bytes));
    buf_put(to, sv_of(bytes, n));
    assert_true(to->len > 100);
}

static struct batch *decode(struct sv body)
{
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    struct err err = { 0 };
    struct batch *b = batch_new();
    assert_non_null(b);
    assert_int_equal(envoy_als_decode(body, b, &lim, &err), 0);
    assert_int_equal(err.code, 0);
    return b;
}

static uint64_t ignored(void)
{
    return collector_tallies.cells[TALLY_LOGS_IGNORED];
}

static void is_text(struct sv have, const char *want)
{
    if (!sv_eq(have, sv_z(want)))
        fail_msg("'%.*s', want '%s'", SV_ARG(have), want);
}

static void is_node(const struct identity *who, const char *service, const char *version)
{
    is_text(who->cluster, "Kubernetes");
    is_text(who->namespace, "default");
    is_text(who->service, service);
    is_text(who->version, version);
    assert_true(sv_starts(who->workload, sv_z(service)) && sv_ends(who->workload, sv_z(version)));
}

#define CLIENT     "spiffe://cluster.local/ns/default/sa/bookinfo-productpage"
#define SERVER     "spiffe://cluster.local/ns/default/sa/bookinfo-reviews"
#define STARTED_NS INT64_C(1767323045678901234)

static void is_mutual(const struct call *c)
{
    assert_int_equal(c->tls, TLS_MUTUAL);
    assert_int_equal(c->tls_basis, TLS_BASIS_REPORTED);
    is_text(c->tls_version, "TLSv1.3");
    is_text(c->tls_cipher, "TLS_AES_256_GCM_SHA384");
    is_text(c->source.principal, CLIENT);
    is_text(c->destination.principal, SERVER);
}

static void test_inbound(void **state)
{
    (void)state;
    AUTO_DONE(buf) body = { 0 };
    read_file("istio-inbound", &body);
    AUTO_FREE(batch) b = decode(buf_sv(&body));
    assert_int_equal(b->calls_len, 2);
    assert_int_equal(b->rejected, 0);
    for (size_t i = 0; i < b->calls_len; i++) {
        const struct call *c = &b->calls[i];
        assert_int_equal(c->reporter, REPORTER_DESTINATION);
        assert_int_equal(c->protocol, PROTOCOL_HTTP);
        is_node(&c->destination, "reviews", "v2");
        assert_true(c->start_ns == STARTED_NS && c->duration_ns == 12345678);
        assert_true(c->bytes_received == 43 && c->bytes_sent == 295);
        assert_int_equal(c->response_code, 200);
        assert_int_equal(c->grpc_status, -1);
        is_text(c->response_flags, "");
        is_text(c->response_code_details, "via_upstream");
        is_text(c->method, "GET");
        is_text(c->path, "/reviews/0?x=1");
        is_text(c->authority, "reviews:9080");
        is_text(c->route_name, "default");
        is_text(c->request_id, "84961386-6d84-929d-98bd-c5aee93b5c88");
        is_text(c->user_agent, "curl/8.5");
        is_text(c->upstream_host, "10.44.1.27:9080");
        is_text(c->own_address, "10.44.1.27:9080");
        is_text(c->peer_address, "10.44.1.23:37652");
        assert_memory_equal(c->trace_id.b, "\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb", 11);
        assert_false(span_id_is_set(c->span_id));
    }
    is_mutual(&b->calls[0]);
    is_node(&b->calls[0].source, "productpage", "v1");
    is_text(b->calls[0].destination_service, "reviews.default.svc.cluster.local");
    assert_int_equal(b->calls[1].tls, TLS_PLAINTEXT);
    assert_int_equal(b->calls[1].tls_basis, TLS_BASIS_REPORTED);
    is_text(b->calls[1].source.workload, "unknown");
    is_text(b->calls[1].source.principal, "unknown");
}

static void test_outbound(void **state)
{
    (void)state;
    AUTO_DONE(buf) body = { 0 };
    read_file("istio-outbound", &body);
    uint64_t before = ignored();
    AUTO_FREE(batch) b = decode(buf_sv(&body));
    assert_int_equal(ignored() - before, 1);
    assert_int_equal(b->calls_len, 2);
    for (size_t i = 0; i < b->calls_len; i++) {
        assert_int_equal(b->calls[i].reporter, REPORTER_SOURCE);
        assert_int_equal(b->calls[i].tls, TLS_UNKNOWN);
        is_text(b->calls[i].tls_version, "");
        is_node(&b->calls[i].source, "productpage", "v1");
    }
    const struct call *grpc = &b->calls[0], *failed = &b->calls[1];
    assert_int_equal(grpc->protocol, PROTOCOL_GRPC);
    assert_int_equal(grpc->grpc_status, 14);
    assert_true(call_is_error(grpc));
    is_text(grpc->method, "POST");
    is_text(grpc->destination_service, "reviews.default.svc.cluster.local");
    is_node(&grpc->destination, "reviews", "v2");
    is_text(grpc->own_address, "10.44.1.23:37652");
    is_text(grpc->peer_address, "10.44.1.27:9080");
    assert_int_equal(failed->protocol, PROTOCOL_HTTP);
    assert_int_equal(failed->response_code, 503);
    is_text(failed->method, "PUT");
    is_text(failed->response_flags, "UF,URX");
    is_text(failed->destination.workload, "pay");
    is_text(failed->destination.namespace, "shop");
    is_text(failed->upstream_host, "");
}

static void test_tcp(void **state)
{
    (void)state;
    AUTO_DONE(buf) body = { 0 };
    read_file("istio-tcp", &body);
    uint64_t before = ignored();
    AUTO_FREE(batch) b = decode(buf_sv(&body));
    assert_int_equal(ignored() - before, 1);
    assert_int_equal(b->calls_len, 1);
    const struct call *c = &b->calls[0];
    assert_int_equal(c->reporter, REPORTER_DESTINATION);
    assert_int_equal(c->protocol, PROTOCOL_TCP);
    assert_true(c->bytes_received == 1234 && c->bytes_sent == 56789);
    assert_true(c->duration_ns == 3012345678);
    is_mutual(c);
    is_node(&c->destination, "reviews", "v2");
}

static void test_listener(void **state)
{
    (void)state;
    AUTO_DONE(buf) body = { 0 };
    read_file("istio-listener", &body);
    AUTO_FREE(batch) b = decode(buf_sv(&body));
    assert_int_equal(b->calls_len, 1);
    const struct call *c = &b->calls[0];
    assert_int_equal(c->reporter, REPORTER_DESTINATION);
    assert_int_equal(c->tls, TLS_UNKNOWN);
    is_text(c->response_flags, "NR");
    is_text(c->response_code_details, "filter_chain_not_found");
    assert_true(call_is_error(c));
    is_node(&c->destination, "reviews", "v2");
}

static void test_allocation_failures(void **state)
{
    (void)state;
    struct limits lim = limits_for(LIMIT_BODY_BYTES);
    static const char *const files[] = { "istio-inbound", "istio-outbound", "istio-tcp" };
    for (size_t i = 0; i < NELEMS(files); i++) {
        AUTO_DONE(buf) body = { 0 };
        read_file(files[i], &body);
        bool was_reached = true;
        for (uint64_t nth = 1; was_reached; nth++) {
            AUTO_FREE(batch) b = batch_new();
            mem_fail_nth(nth);
            int rc = envoy_als_decode(buf_sv(&body), b, &lim, NULL);
            was_reached = mem_count() >= nth;
            mem_fail_nth(0);
            assert_int_equal(rc, was_reached ? ERR_NOMEM : 0);
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inbound),
        cmocka_unit_test(test_outbound),
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_listener),
        cmocka_unit_test(test_allocation_failures),
    };
    if (argc != 2)
        return 2;
    folder = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
