/* The engine's parts that need no socket: field names, choosing endpoints, certificates, options. */
#include "base/mem.h"
#include "proxy/fields.h"
#include "proxy/identity/certs.h"
#include "proxy/options.h"
#include "proxy/upstream/balance.h"
#include "test_certs.h"
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void test_fields(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *name;
        enum field field;
    } cases[] = {
        { "Host", FIELD_HOST },                       { "TE", FIELD_TE },
        { "Connection", FIELD_CONNECTION },           { "keep-alive", FIELD_HOP },
        { "Proxy-Connection", FIELD_HOP },            { "Upgrade", FIELD_HOP },
        { "Transfer-Encoding", FIELD_TRANSFER_ENCODING },
        { "content-length", FIELD_CONTENT_LENGTH },   { "traceparent", FIELD_TRACEPARENT },
        { "X-Request-Id", FIELD_REQUEST_ID },         { "x-forwarded-client-cert", FIELD_XFCC },
        { "x-envoy-peer-metadata", FIELD_METADATA },  { "x-envoy-peer-metadata-id", FIELD_METADATA_ID },
        { "x-forwarded-proto", FIELD_XFP },           { "x-forwarded-for", FIELD_XFF },
        { "user-agent", FIELD_USER_AGENT },           { "accept", FIELD_OTHER },
        { "grpc-timeout", FIELD_GRPC_TIMEOUT },       { "Content-Type", FIELD_CONTENT_TYPE },
        { "tracestate", FIELD_TRACESTATE },           { "grpc-status", FIELD_GRPC_STATUS },
        { "Content-Type", FIELD_CONTENT_TYPE },       { "grpc-timeout", FIELD_GRPC_TIMEOUT },
        { "HTTP2-Settings", FIELD_HOP },              { "x-forwarded-client-cern", FIELD_OTHER },
        { "x-envoy-peer-metadata-ie", FIELD_OTHER },  { "hos\x34", FIELD_OTHER },
        { "X-Tulle-Reason", FIELD_REASON },
        { "hosts", FIELD_OTHER },                     { "", FIELD_OTHER },
        { "x-something-that-is-rather-long-and-ours-to-pass-on-without-a-look-at-it-or-so", FIELD_OTHER },
    };
    /* clang-format on */
    for (size_t i = 0; i < NELEMS(cases); i++)
        assert_int_equal(field_of(sv_z(cases[i].name)), cases[i].field);
}

static void test_balance(void **state)
{
    (void)state;
    struct endpoint e[3] = { { .id = 0 }, { .id = 1 }, { .id = 2 } };
    const struct endpoint *list[] = { &e[0], &e[1], &e[2] };
    struct cluster c = { .endpoints = list };
    uint32_t active[3] = { 0, 0, 0 }, hits[3] = { 0, 0, 0 };
    const struct endpoint *tried = &e[0];
    struct balance_ask ask = { .active = active, .random = 1, .tried = &tried };
    assert_null(balance_pick(&c, &ask));
    c.endpoints_len = 1;
    ask.tried_len = 1;
    assert_ptr_equal(balance_pick(&c, &ask), &e[0]); /* the only one, tried or not */
    c.endpoints_len = 3;
    tried = &e[2];
    active[1] = 10;
    for (int i = 0; i < 3000; i++) {
        ask.random = ask.random * 6364136223846793005u + 1442695040888963407u;
        const struct endpoint *got = balance_pick(&c, &ask);
        assert_ptr_not_equal(got, &e[2]);
        hits[got->id]++;
    }
    assert_true(hits[0] > hits[1] && hits[1] > 0); /* the loaded one only when drawn twice */
    ask.tried_len = 0;
    ask.random = UINT64_MAX;
    assert_ptr_equal(balance_pick(&c, &ask), &e[2]);
}

#define ID "URI:spiffe://cluster.local/ns/default/sa/a"

static void test_certs_from_a_folder(void **state)
{
    (void)state;
    struct test_ca *ca = test_ca_new();
    struct err err = { 0 };
    test_ca_leaf(ca, "good", ID, 3600);
    test_ca_leaf(ca, "old", ID, -5);
    struct certs *c = certs_new(test_ca_path(ca, "good", ""), NULL, &err);
    assert_non_null(c);
    assert_true(sv_eq(c->spiffe, SV("spiffe://cluster.local/ns/default/sa/a")));
    assert_null(certs_free(c));
    assert_null(certs_new(test_ca_path(ca, "old", ""), NULL, &err));
    assert_non_null(strstr(err.why, "certificate has expired"));
    err = (struct err){ 0 };
    assert_null(certs_new(test_ca_path(ca, "nothing", ""), NULL, &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    for (uint64_t n = 1;; n++) { /* every allocation of ours fails once */
        mem_fail_nth(n);
        c = certs_new(test_ca_path(ca, "good", ""), NULL, NULL);
        uint64_t count = mem_count();
        mem_fail_nth(0);
        if (c && n > count)
            break;
        certs_free(c);
    }
    certs_free(c);
    test_ca_free(ca);
}

static int parse(struct options *o, struct arena *mem, const char *arg)
{
    char *argv[] = { (char *)(uintptr_t) "tulle-proxy", (char *)(uintptr_t)arg, NULL };
    return options_parse(o, mem, arg ? 2 : 1, argv, NULL);
}

static void test_options(void **state)
{
    (void)state;
    AUTO_DONE(arena) mem = { 0 };
    struct options o = { 0 };
    assert_int_equal(parse(&o, &mem, NULL), 0);
    assert_int_equal(o.outbound_port, 15001);
    assert_int_equal(addr_port(&o.app_addr), 8080);
    assert_false(o.is_gateway);
    assert_int_equal(parse(&o, &mem, "--role=gateway"), 0);
    assert_true(o.is_gateway);
    static const char *bad[] = { "--role=waiter",        "--app=x",
                                 "--listen=example.com", "--max-head=1",
                                 "--trace-sampling=101", "--max-upstream=0",
                                 "--nonsense",           "word" };
    for (size_t i = 0; i < NELEMS(bad); i++)
        assert_int_equal(parse(&o, &mem, bad[i]), ERR_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_balance),
        cmocka_unit_test(test_certs_from_a_folder),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
