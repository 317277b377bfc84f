/* test_workloads.c - workloads outside Kubernetes (WorkloadEntry, endpoints of ServiceEntries), and who an
 * endpoint must prove to be. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "mesh_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define OBJECT(kind, name, spec)                                                                   \
    "---\napiVersion: networking.istio.io/v1\nkind: " kind "\nmetadata: {name: " name              \
    "}\nspec: " spec "\n"
#define VM_SERVICE                                                                                 \
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: db}\n"                                   \
    "spec: {selector: {app: db}, ports: [{name: tcp, port: 3306, targetPort: 3307}]}\n"
#define VM(name, ip, version, more)                                                                \
    OBJECT("WorkloadEntry", name,                                                                  \
           "{address: " ip ", labels: {app: db, version: " version "}, " more "}")
#define SUBSETS(host)                                                                              \
    OBJECT("DestinationRule", "d",                                                                 \
           "{host: " host ", subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: "     \
           "{version: v2}}]}")                                                                     \
    OBJECT("VirtualService", "v",                                                                  \
           "{hosts: [" host "], http: [{match: [{uri: {prefix: /v1}}], route: [{destination: "     \
           "{host: " host ", subset: v1}}]}, {match: [{uri: {prefix: /v2}}], route: "              \
           "[{destination: {host: " host ", subset: v2}}]}, {route: [{destination: {host: " host   \
           "}}]}]}")
#define ENTRY(more)                                                                                \
    OBJECT("ServiceEntry", "e",                                                                    \
           "{hosts: [out.test], resolution: STATIC, ports: [{number: 80, name: http, protocol: "   \
           "HTTP, targetPort: 8080}], " more "}")
#define TLS_LABEL "security.istio.io/tlsMode: istio"

static struct mesh *load(const char *yaml)
{
    struct mesh_conf conf = mesh_fixture_conf();
    struct err err = { 0 };
    struct mesh *m = mesh_load_text(&conf, "t.yaml", sv_z(yaml), &err);
    print_message("%s\n", err.why);
    return m;
}

/* "ip:port principal, ..." of the endpoints that a GET of the path may reach. */
static void ask(const struct mesh *m, const char *host, const char *path, const char *want)
{
    AUTO_DONE(buf) got = { 0 };
    struct http_head head = mesh_fixture_request(host, path, NULL);
    const struct route *r = mesh_route(m, &head, 0);
    const struct cluster *c = r ? route_pick(r, 0)->cluster : NULL;
    for (size_t i = 0; c && i < c->endpoints_len; i++) {
        const struct endpoint *e = c->endpoints[i];
        struct sv expected = mesh_expected(c, e);
        buf_printf(&got, "%s%.*s%s%.*s", i ? " " : "", SV_ARG(e->text), e->has_sidecar ? "=" : "",
                   SV_ARG(e->has_sidecar ? expected : SV_NONE));
    }
    print_message("%s%s: got '%.*s', want '%s'\n", host, path, SV_ARG(buf_sv(&got)), want);
    assert_true(sv_eq(buf_sv(&got), sv_z(want)));
}

static void test_workload_entries(void **state)
{
    struct mesh *m = load(VM_SERVICE SUBSETS("db") VM("a", "10.0.0.1", "v1", "ports: {tcp: 13306}")
                              VM("b", "10.0.0.2", "v2", "serviceAccount: dba")
                                  VM("c", "db.name", "v2", ""));
    (void)state;
    assert_non_null(m);
    ask(m, "db", "/", "10.0.0.1:13306 10.0.0.2:3307");
    ask(m, "db", "/v1", "10.0.0.1:13306");
    ask(m, "db", "/v2", "10.0.0.2:3307");
    assert_true(mesh_fixture_warns(m, "'db.name' is no address"));
    mesh_unref(m);
    m = load(ENTRY("workloadSelector: {labels: {app: db}}") VM("a", "10.0.0.1", "v1", "")
                 VM("b", "10.0.0.2", "v1", "ports: {http: 81}, weight: 3"));
    assert_non_null(m);
    ask(m, "out.test", "/", "10.0.0.1:8080 10.0.0.2:81");
    assert_true(mesh_fixture_warns(m, "weight is not supported yet"));
    mesh_unref(m);
}

static void test_endpoint_labels(void **state)
{
    struct mesh *m = load(VM_SERVICE ENTRY(
        "endpoints: [{address: 10.0.0.1, labels: {app: db, version: v1}}, {address: 10.0.0.2, "
        "labels: "
        "{version: v2, " TLS_LABEL "}, serviceAccount: vm, ports: {http: 81}}, {address: "
        "10.0.0.3}, {address: 10.0.0.4, labels: {" TLS_LABEL "}}]") SUBSETS("out.test"));
    (void)state;
    assert_non_null(m);
    ask(m, "out.test", "/v1", "10.0.0.1:8080");
    ask(m, "out.test", "/v2", "10.0.0.2:81=spiffe://cluster.local/ns/default/sa/vm");
    ask(m, "out.test", "/",
        "10.0.0.4:8080= 10.0.0.3:8080 10.0.0.2:81=spiffe://cluster.local/ns/default/sa/vm "
        "10.0.0.1:8080");
    ask(m, "db", "/", ""); /* no selector chooses them */
    mesh_unref(m);
}

#define ID(name)  "spiffe://cluster.local/ns/default/sa/" name
#define TLS(spec) OBJECT("DestinationRule", "d", "{host: out.test, trafficPolicy: {tls: " spec "}}")
#define PEER      "endpoints: [{address: 10.0.0.1, labels: {" TLS_LABEL "}, serviceAccount: vm}]"

static void test_expected(void **state)
{
    static const struct {
        const char *yaml, *want;
    } cases[] = {
        { ENTRY(PEER), "10.0.0.1:8080=" ID("vm") },
        { ENTRY("subjectAltNames: ['" ID("a") "', '" ID("b") "'], " PEER),
          "10.0.0.1:8080=" ID("a") "," ID("b") },
        { ENTRY("subjectAltNames: ['" ID("a") "'], " PEER)
              TLS("{mode: ISTIO_MUTUAL, subjectAltNames: ['" ID("c") "']}"),
          "10.0.0.1:8080=" ID("c") },
        { ENTRY(PEER) TLS("{mode: ISTIO_MUTUAL}"), "10.0.0.1:8080=" ID("vm") },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct mesh *m = load(cases[i].yaml);
        assert_non_null(m);
        ask(m, "out.test", "/", cases[i].want);
        mesh_unref(m);
    }
}

static void test_names(void **state)
{
    static const struct {
        const char *tls, *names; /* NULL: refused */
    } cases[] = {
        { "{mode: SIMPLE, subjectAltNames: [a.test, '" ID("x") "']}", "a.test," ID("x") },
        { "{mode: SIMPLE, subjectAltNames: [a.test]}", "a.test" },
        { "{mode: SIMPLE, subjectAltNames: ['a b']}", NULL },
        { "{mode: SIMPLE, subjectAltNames: ['spiffe://a,b']}", NULL },
        { "{mode: ISTIO_MUTUAL, subjectAltNames: [a.test]}", NULL },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        char yaml[2048];
        snprintf(yaml, sizeof(yaml), "%s%s%s%s", ENTRY(PEER),
                 "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: "
                 "d}\nspec: "
                 "{host: out.test, trafficPolicy: {tls: ",
                 cases[i].tls, "}}\n");
        struct mesh *m = load(yaml);
        assert_int_equal(m != NULL, cases[i].names != NULL);
        if (!m)
            continue;
        struct http_head head = mesh_fixture_request("out.test", "/", NULL);
        const struct cluster *c = route_pick(mesh_route(m, &head, 0), 0)->cluster;
        assert_true(sv_eq(c->client_tls->names, sv_z(cases[i].names)));
        mesh_unref(m);
    }
}

static void test_pools(void **state)
{
    struct mesh *m = load(ENTRY(PEER) OBJECT(
        "DestinationRule", "d",
        "{host: out.test, trafficPolicy: {retryBudget: {percent: 12.5}, connectionPool: {tcp: "
        "{idleTimeout: 7s, "
        "maxConnectionDuration: 9s, tcpKeepalive: {probes: 3, time: 60s, interval: 5s}}, http: "
        "{idleTimeout: 8s}}}}"));
    (void)state;
    assert_non_null(m);
    struct http_head head = mesh_fixture_request("out.test", "/", NULL);
    const struct pool_limits *l = route_pick(mesh_route(m, &head, 0), 0)->cluster->limits;
    assert_true(l->tcp_idle_ns == 7 * NS_PER_S && l->idle_ns == 8 * NS_PER_S);
    assert_true(l->lifetime_ns == 9 * NS_PER_S && l->keepalive.is_on);
    assert_true(l->keepalive.probes == 3 && l->keepalive.idle_ns == 60 * NS_PER_S);
    assert_true(l->keepalive.interval_ns == 5 * NS_PER_S);
    assert_true(l->has_budget && l->budget_percent == 12.5 && l->budget_min == 3);
    const struct sv *warnings;
    assert_int_equal(mesh_warnings(m, &warnings), 0);
    mesh_unref(m);
}

/* Fails the 1st, 2nd, n-th allocation: each time an error, never a crash or a leak. */
static void test_allocations(void **state)
{
    struct mesh_conf conf = mesh_fixture_conf();
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct err err = { 0 };
        mem_fail_nth(nth);
        struct mesh *m = mesh_load_text(
            &conf, "t.yaml",
            SV(VM_SERVICE VM("a", "10.0.0.1", "v1", "ports: {tcp: 1}")
                   ENTRY("subjectAltNames: ['" ID("a") "', '" ID("b") "'], " PEER)
                       TLS("{mode: ISTIO_MUTUAL, subjectAltNames: ['" ID("c") "']}")),
            &err);
        bool was_reached = mem_count() >= nth;
        mem_fail_nth(0);
        assert_true(m || err.code == ERR_NOMEM);
        mesh_unref(m);
        if (!was_reached)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workload_entries),
        cmocka_unit_test(test_endpoint_labels),
        cmocka_unit_test(test_expected),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_pools),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
