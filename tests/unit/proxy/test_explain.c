/* What is told of a request: the text, the same as JSON, and what happens when memory is out. */
#include "base/mem.h"
#include "mesh_fixture.h"
#include "proxy/explain/explain.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char rules[] =
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews}\nspec:\n"
    "  hosts: [reviews]\n  http:\n"
    "  - match: [{headers: {end-user: {exact: jason}}}]\n"
    "    route: [{destination: {host: reviews, subset: v2}}]\n"
    "  - match: [{withoutHeaders: {x-old: {}}, uri: {prefix: /api}}]\n"
    "    fault: {abort: {percentage: {value: 50}, httpStatus: 418}}\n"
    "    rewrite: {uri: /v2}\n"
    "    route: [{destination: {host: reviews, subset: v1}, weight: 3}, "
    "{destination: {host: ratings}, weight: 1}]\n"
    "  - match: [{port: 1234}]\n    directResponse: {status: 204}\n"
    "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: reviews}\n"
    "spec: {host: reviews, trafficPolicy: {loadBalancer: {simple: RANDOM}}, subsets: "
    "[{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}\n";

static struct explain_outcome explain(const struct mesh *m, const char *path,
                                      struct http_header *slots, struct buf *to, bool is_json)
{
    struct arena mem = { 0 };
    struct identity self = identity_unknown();
    struct telling t = telling_of(to, is_json);
    struct explain_outcome out;
    struct explain_ask ask = { .mesh = m,
                               .self = &self,
                               .head = mesh_fixture_request("reviews:9080", path, slots),
                               .port = 9080 };
    tell_open(&t, NULL, '{');
    explain_hop(&ask, &mem, &t, &out);
    tell_close(&t);
    out.path = out.authority = SV_NONE; /* may lie in mem */
    arena_done(&mem);
    return out;
}

static struct mesh *load(void)
{
    struct err err = { 0 };
    struct mesh *m = mesh_fixture_load((const char *[]){ mesh_fixture_reviews, rules, NULL }, &err);
    if (!m)
        print_message("%s\n", err.why);
    return m;
}

static void assert_has(const struct buf *told, const char *part)
{
    if (!sv_contains(buf_sv(told), sv_z(part)))
        print_message("%s\nis not in\n%.*s\n", part, SV_ARG(buf_sv(told)));
    assert_true(sv_contains(buf_sv(told), sv_z(part)));
}

static void test_text(void **state)
{
    (void)state;
    struct mesh *m = load();
    AUTO_DONE(buf) told = { 0 };
    assert_non_null(m);
    struct explain_outcome out = explain(m, "/api/x", NULL, &told, false);
    assert_true(out.is_passed_on);
    assert_has(&told, "route: reviews.http[1]\n");
    assert_has(&told,
               "  - rule: reviews.http[0]\n    written in: VirtualService default/reviews, ");
    assert_has(&told, "why: header end-user is absent or another, wanted: exact 'jason'\n");
    assert_has(&told, "fault:\n  abort status: 418\n  abort percent: 50\n");
    assert_has(&told, "sent on as: reviews:9080/v2/x\n");
    assert_has(&told, "  - cluster: outbound|9080|v1|reviews.default.svc.cluster.local\n"
                      "    percent: 75\n    load balancing: random\n");
    assert_has(&told,
               "  - cluster: outbound|9080||ratings.default.svc.cluster.local\n    percent: 25\n");
    assert_has(&told, "tls: mutual TLS of the mesh\n");
    assert_has(&told, "tls: plaintext, it has no sidecar\n");
    mesh_unref(m);
}

static void test_answers(void **state)
{
    (void)state;
    struct mesh *m = load();
    AUTO_DONE(buf) told = { 0 };
    assert_non_null(m);
    struct http_header old[] = { { SV("x-old"), SV("1\033[2J") }, { SV_NONE, SV_NONE } };
    struct explain_outcome out = explain(m, "/api/x", old, &told, false);
    assert_int_equal(out.status, 404);
    assert_has(&told,
               "header x-old is '1?[2J', must not be present\n"); /* nothing for the terminal */
    assert_has(&told, "answer:\n  status: 404\n");
    buf_clear(&told);
    out = explain(m, "/api/x", old, &told, true);
    assert_has(&told, "\"answer\":{\"status\":404,");
    assert_has(&told, "why\":\"port, wanted: another port\"");
    assert_has(&told,
               "{\"kind\":\"VirtualService\",\"namespace\":\"default\",\"name\":\"reviews\"");
    mesh_unref(m);
}

/* The walk for people and the one for requests never differ. */
static void test_agrees(void **state)
{
    (void)state;
    struct mesh *m = load();
    static const char *const paths[] = { "/", "/api", "/apix?a", "/x" };
    static const char *const names[] = { "end-user", "x-old", "x" };
    assert_non_null(m);
    for (size_t i = 0; i < NELEMS(paths); i++)
        for (size_t k = 0; k < NELEMS(names); k++) {
            AUTO_DONE(buf) told = { 0 };
            struct http_header one[] = { { sv_z(names[k]), SV("jason") }, { SV_NONE, SV_NONE } };
            struct http_head head = mesh_fixture_request("reviews:9080", paths[i], one);
            const struct route *r = mesh_route(m, &head, 9080);
            struct explain_outcome out = explain(m, paths[i], one, &told, false);
            size_t passed = 0;
            for (struct sv rest = buf_sv(&told), line; sv_cut(&rest, '\n', &line);)
                passed += sv_starts(line, SV("  - rule: "));
            assert_ptr_equal(out.route, r);
            assert_int_equal(passed, r ? (sv_ends(r->name, SV("[0]")) ? 0 : 1) : 3);
        }
    mesh_unref(m);
}

static void test_nomem(void **state)
{
    (void)state;
    struct mesh *m = load();
    AUTO_DONE(buf) whole = { 0 };
    assert_non_null(m);
    mem_fail_nth(0);
    (void)explain(m, "/api/x", NULL, &whole, true);
    uint64_t allocations = mem_count();
    assert_true(allocations > 5);
    for (uint64_t n = 1; n <= allocations; n++) {
        AUTO_DONE(buf) told = { 0 };
        mem_fail_nth(n);
        (void)explain(m, "/api/x", NULL, &told, true);
        mem_fail_nth(0);
        assert_true(told.failed || told.len <= whole.len);
    }
    mesh_unref(m);
}

#define INGRESS(name, note)                                                                        \
    "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: " name               \
    "\n  annotations: {nginx.ingress.kubernetes.io/" note "}\nspec: {rules: [{host: " name         \
    ".test, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: a, port: "        \
    "{number: "                                                                                    \
    "80}}}}]}}]}\n"

/* What keeps callers out of an Ingress is explained as it happens. */
static void test_kept_out(void **state)
{
    static const char yaml[] = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: "
                               "[{name: http, port: 80}]}\n" INGRESS(
                                   "denied", "denylist-source-range: 10.0.0.0/8")
                                   INGRESS("allowed", "whitelist-source-range: 10.0.0.0/8")
                                       INGRESS("others", "denylist-source-range: 11.0.0.0/8")
                                           INGRESS("asked", "auth-url: 'http://x'")
                                               INGRESS("tls", "backend-protocol: GRPCS");
    static const struct {
        const char *host, *why, *part;
        unsigned status;
    } cases[] = {
        { "denied.test", "is among the denied ones", "", 403 },
        { "allowed.test", "", "route", 0 },
        { "others.test", "", "route", 0 },
        { "asked.test", "cannot check what auth-url asks for", "", 503 },
        { "tls.test", "", "not verified, unless the mesh", 0 },
    };
    struct mesh_conf conf = mesh_fixture_conf();
    struct err err = { 0 };
    struct identity self = identity_unknown();
    (void)state;
    conf.is_gateway = true;
    conf.ingress_http = 80;
    struct mesh *m = mesh_load_text(&conf, "t.yaml", sv_z(yaml), &err);
    assert_non_null(m);
    for (size_t i = 0; i < NELEMS(cases); i++) {
        AUTO_DONE(buf) text = { 0 };
        AUTO_DONE(arena) mem = { 0 };
        struct telling t = telling_of(&text, false);
        struct explain_outcome out;
        struct explain_ask ask = { .mesh = m,
                                   .side = EXPLAIN_GATEWAY,
                                   .self = &self,
                                   .head = mesh_fixture_request(cases[i].host, "/", NULL),
                                   .source_ip = ip_of_text(SV("10.1.2.3")),
                                   .port = 80 };
        tell_open(&t, NULL, '{');
        explain_hop(&ask, &mem, &t, &out);
        tell_close(&t);
        print_message("%s: %u %s\n", cases[i].host, out.status, out.why);
        if (cases[i].status)
            assert_int_equal(out.status, cases[i].status);
        assert_non_null(strstr(out.why, cases[i].why));
        assert_has(&text, cases[i].part);
    }
    mesh_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_out), cmocka_unit_test(test_text),
        cmocka_unit_test(test_answers),  cmocka_unit_test(test_agrees),
        cmocka_unit_test(test_nomem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
