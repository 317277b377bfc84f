/* test_scope.c - what a proxy is meant to see: exportTo, workloadSelector, Sidecar, hosts with a star. */
#include "base/mem.h"
#include "mesh_fixture.h"
#include "proxy/authz/ip_block.h"
#include "proxy/route/tcp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define OBJECT(kind, name, ns, spec)                                                               \
    "---\napiVersion: networking.istio.io/v1\nkind: " kind "\nmetadata: {name: " name              \
    ", namespace: " ns "}\nspec: " spec "\n"
#define SERVICE(name, ns, notes)                                                                   \
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: " name ", namespace: " ns                \
    ", annotations: {" notes "}}\nspec: {clusterIP: 10.9.9.9, ports: [{name: http, port: 80}]}\n"
#define EXPORT(to) "networking.istio.io/exportTo: " to
#define TELEMETRY(name, ns, spec)                                                                  \
    "---\napiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: " name              \
    ", namespace: " ns "}\nspec: " spec "\n"
#define FOR_ME "selector: {matchLabels: {app: me}}, "
#define LEADS(hosts, to)                                                                           \
    "{hosts: [" hosts "], http: [{name: ruled, route: [{destination: {host: " to "}}]}]}"

static struct mesh *load(const char *yaml, const char *namespace, struct err *err)
{
    struct mesh_conf conf = mesh_fixture_conf();
    conf.self.namespace = sv_z(namespace);
    conf.self_labels = SV("app=me,version=v1");
    conf.wants_tcp = true;
    return mesh_load_text(&conf, "t.yaml", sv_z(yaml), err);
}

/* The route's name, or "". */
static void ask(const struct mesh *m, const char *host, const char *want)
{
    struct http_head head = mesh_fixture_request(host, "/", NULL);
    const struct route *r = mesh_route(m, &head, 80);
    struct sv got = r ? r->name : SV("");
    print_message("%s: got '%.*s', want '%s'\n", host, SV_ARG(got), want ? want : "");
    assert_true(sv_eq(got, sv_z(want)));
}

static void test_exports(void **state)
{
    /* clang-format off */
    static const struct {
        const char *yaml, *namespace, *host, *want;
    } cases[] = {
        /* a VirtualService that is not exported is as if it were not there */
        { SERVICE("a", "x", "") OBJECT("VirtualService", "v", "x", LEADS("a", "a")), "y", "a.x", "ruled" },
        { SERVICE("a", "x", "") OBJECT("VirtualService", "v", "x", "{exportTo: [.], hosts: [a], http: "
          "[{name: ruled, route: [{destination: {host: a}}]}]}"), "y", "a.x", "default" },
        { SERVICE("a", "x", "") OBJECT("VirtualService", "v", "x", "{exportTo: [.], hosts: [a], http: "
          "[{name: ruled, route: [{destination: {host: a}}]}]}"), "x", "a", "ruled" },
        { SERVICE("a", "x", "") OBJECT("VirtualService", "v", "x", "{exportTo: [z, y], hosts: [a], http: "
          "[{name: ruled, route: [{destination: {host: a}}]}]}"), "y", "a.x", "ruled" },
        /* a Service, by its annotation */
        { SERVICE("a", "x", EXPORT("'.'")), "y", "a.x", "" },
        { SERVICE("a", "x", EXPORT("'.'")), "x", "a", "default" },
        { SERVICE("a", "x", EXPORT("'z, y'")), "y", "a.x", "default" },
        { SERVICE("a", "x", EXPORT("'~'")), "x", "a", "" },
        /* a route that is seen leads to one that is not */
        { SERVICE("a", "x", EXPORT("'.'")) OBJECT("VirtualService", "v", "y", LEADS("b.test", "a.x.svc.cluster.local")),
          "y", "b.test", "ruled" },
        /* a ServiceEntry */
        { OBJECT("ServiceEntry", "e", "x", "{hosts: [e.test], resolution: STATIC, ports: [{number: 80, name: http, "
          "protocol: HTTP}], endpoints: [{address: 10.0.0.1}]}"), "y", "e.test", "default" },
        { OBJECT("ServiceEntry", "e", "x", "{exportTo: ['.'], hosts: [e.test], resolution: STATIC, ports: [{number: 80, "
          "name: http, protocol: HTTP}], endpoints: [{address: 10.0.0.1}]}"), "y", "e.test", "" },
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct err err = { 0 };
        struct mesh *m = load(cases[i].yaml, cases[i].namespace, &err);
        print_message("case %zu: %s\n", i, err.why);
        assert_non_null(m);
        ask(m, cases[i].host, cases[i].want);
        mesh_unref(m);
    }
}

/* Two ServiceEntries for one host: the own namespace's, then the one that can be seen. */
static void test_same_host(void **state)
{
#define SAME(name, ns, more, ip)                                                                   \
    OBJECT("ServiceEntry", name, ns,                                                               \
           "{hosts: [e.test], " more "resolution: STATIC, ports: [{number: 80, name: http, "       \
           "protocol: HTTP}], endpoints: [{address: " ip "}]}")
    static const struct {
        const char *yaml, *want;
    } cases[] = {
        { SAME("a", "y", "", "10.0.0.1") SAME("b", "z", "", "10.0.0.2"), "10.0.0.1" },
        { SAME("a", "y", "", "10.0.0.1") SAME("b", "x", "", "10.0.0.2"), "10.0.0.2" },
        { SAME("a", "y", "exportTo: [.], ", "10.0.0.1") SAME("b", "z", "", "10.0.0.2"),
          "10.0.0.2" },
        { SAME("a", "y", "exportTo: [.], ", "10.0.0.1")
              SAME("b", "x", "exportTo: [.], ", "10.0.0.2"),
          "10.0.0.2" },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct err err = { 0 };
        struct mesh *m = load(cases[i].yaml, "x", &err);
        assert_non_null(m);
        struct http_head head = mesh_fixture_request("e.test", "/", NULL);
        const struct route *r = mesh_route(m, &head, 80);
        print_message("case %zu\n", i);
        assert_non_null(r);
        assert_true(sv_eq(route_pick(r, 0)->cluster->endpoints[0]->address, sv_z(cases[i].want)));
        assert_int_equal(mesh_fixture_warns(m, "there is another Service or ServiceEntry"), i < 2);
        mesh_unref(m);
    }
}

/* Out of sight by name is out of sight by address. */
static void test_addresses(void **state)
{
    struct ip ip = ip_of_text(SV("10.9.9.9"));
    struct err err = { 0 };
    (void)state;
    for (int is_seen = 0; is_seen < 2; is_seen++) {
        struct mesh *m = load(SERVICE("a", "x", EXPORT("'.'")), is_seen ? "x" : "y", &err);
        assert_non_null(m);
        assert_int_equal(mesh_tcp_by_address(m, &ip, 80) != NULL, is_seen);
        mesh_unref(m);
    }
}

#define RULE(selector)                                                                             \
    OBJECT("DestinationRule", "d", "x",                                                            \
           "{host: a, " selector "trafficPolicy: {loadBalancer: {simple: RANDOM}}}")

static void test_workload_selector(void **state)
{
    /* clang-format off */
    static const struct {
        const char *rule, *namespace;
        enum lb_kind want;
    } cases[] = {
        { RULE(""), "x", LB_RANDOM },
        { RULE(""), "y", LB_RANDOM },
        { RULE("workloadSelector: {matchLabels: {app: me}}, "), "x", LB_RANDOM },
        { RULE("workloadSelector: {matchLabels: {app: me}}, "), "y", LB_LEAST_REQUEST },
        { RULE("workloadSelector: {matchLabels: {app: you}}, "), "x", LB_LEAST_REQUEST },
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        char yaml[2048];
        struct err err = { 0 };
        snprintf(yaml, sizeof(yaml), "%s%s", SERVICE("a", "x", ""), cases[i].rule);
        struct mesh *m = load(yaml, cases[i].namespace, &err);
        assert_non_null(m);
        struct http_head head = mesh_fixture_request("a.x", "/", NULL);
        assert_int_equal(route_pick(mesh_route(m, &head, 80), 0)->cluster->lb, cases[i].want);
        mesh_unref(m);
    }
}

#define SIDECAR(name, ns, spec) OBJECT("Sidecar", name, ns, spec)
#define WORLD                                                                                      \
    SERVICE("a", "x", "")                                                                          \
    SERVICE("b", "x", "")                                                                          \
    SERVICE("c", "y", "")                                                                          \
    OBJECT("VirtualService", "v", "x", LEADS("w.test", "a"))                                       \
    OBJECT("ServiceEntry", "e", "y",                                                               \
           "{hosts: ['*.wild.test'], resolution: NONE, ports: [{number: 443, name: tls, "          \
           "protocol: TLS}]}")

static void test_sidecar(void **state)
{
    /* seen: which of a.x b.x c.y w.test and *.wild.test */
    /* clang-format off */
    static const struct {
        const char *yaml, *seen;
        bool allows_any; /* when the option says no */
    } cases[] = {
        { WORLD, "abcw*", false },
        { WORLD SIDECAR("s", "x", "{egress: [{hosts: ['*/*']}]}"), "abcw*", false },
        { WORLD SIDECAR("s", "x", "{egress: [{hosts: ['./*']}]}"), "abw", false },
        { WORLD SIDECAR("s", "x", "{egress: [{hosts: ['y/*']}]}"), "c*", false },
        { WORLD SIDECAR("s", "x", "{egress: [{hosts: ['~/*']}]}"), "", false },
        { WORLD SIDECAR("s", "x", "{egress: [{hosts: ['./a.x.svc.cluster.local']}, {hosts: [x/w.test]}]}"), "aw", false },
        { WORLD SIDECAR("s", "x", "{egress: [{hosts: ['*/*.y.svc.cluster.local']}]}"), "c", false },
        { WORLD SIDECAR("s", "x", "{egress: [{hosts: ['y/*.wild.test']}]}"), "*", false },
        /* whose it is */
        { WORLD SIDECAR("s", "y", "{egress: [{hosts: ['~/*']}]}"), "abcw*", false },
        { WORLD SIDECAR("s", "istio-system", "{egress: [{hosts: ['./*']}]}"), "abw", false },
        { WORLD SIDECAR("s", "istio-system", "{egress: [{hosts: ['~/*']}]}")
              SIDECAR("t", "x", "{egress: [{hosts: ['y/*']}]}"), "c*", false },
        { WORLD SIDECAR("s", "x", "{egress: [{hosts: ['~/*']}]}")
              SIDECAR("t", "x", "{workloadSelector: {labels: {app: me}}, egress: [{hosts: ['./*']}]}"), "abw", false },
        { WORLD SIDECAR("s", "x", "{workloadSelector: {labels: {app: you}}, egress: [{hosts: ['~/*']}]}"), "abcw*", false },
        { WORLD SIDECAR("s", "x", "{egress: [{hosts: ['./*']}]}") SIDECAR("t", "x", "{egress: [{hosts: ['~/*']}]}"),
          "abw", false }, /* the older one */
        { WORLD SIDECAR("s", "x", "{outboundTrafficPolicy: {mode: ALLOW_ANY}}"), "abcw*", true },
        { WORLD SIDECAR("s", "x", "{outboundTrafficPolicy: {}}"), "abcw*", false },
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct err err = { 0 };
        struct mesh *m = load(cases[i].yaml, "x", &err);
        print_message("case %zu: %s\n", i, err.why);
        assert_non_null(m);
        ask(m, "a.x", strchr(cases[i].seen, 'a') ? "default" : "");
        ask(m, "b.x", strchr(cases[i].seen, 'b') ? "default" : "");
        ask(m, "c.y", strchr(cases[i].seen, 'c') ? "default" : "");
        ask(m, "w.test", strchr(cases[i].seen, 'w') ? "ruled" : "");
        assert_int_equal(mesh_lets_out(m, SV("q.Wild.test:443"), 443, false),
                         strchr(cases[i].seen, '*') != NULL);
        assert_int_equal(mesh_lets_out(m, SV("any"), 1, false), cases[i].allows_any);
        mesh_unref(m);
    }
}

static void test_policy(void **state)
{
    struct err err = { 0 };
    struct mesh *m = load(SIDECAR("s", "x", "{outboundTrafficPolicy: {mode: REGISTRY_ONLY}}"), "x",
                          &err);
    (void)state;
    assert_false(mesh_lets_out(m, SV("any"), 1, true));
    mesh_unref(m);
    m = load(WORLD, "x", &err);
    assert_true(mesh_lets_out(m, SV("any"), 1, true));
    assert_true(mesh_lets_out(m, SV("q.wild.test"), 443, false));
    assert_false(mesh_lets_out(m, SV("wild.test"), 443, false));
    assert_false(mesh_lets_out(m, SV("q.wild.test"), 80, false));
    assert_false(mesh_lets_out(m, SV("q.wild.test.evil"), 443, false));
    assert_false(mesh_lets_out(m, SV(""), 443, false));
    mesh_unref(m);
}

static void test_findings(void **state)
{
    /* clang-format off */
    static const struct {
        const char *yaml, *part;
        bool is_error;
    } cases[] = {
        { SIDECAR("s", "x", "{egress: [{hosts: [reviews]}]}"), "expected NAMESPACE/HOST", true },
        { SIDECAR("s", "x", "{egress: [{port: {number: 80}}]}"), "hosts is missing", true },
        { SIDECAR("s", "x", "{outboundTrafficPolicy: {mode: SOME}}"), "expected one of REGISTRY_ONLY, ALLOW_ANY", true },
        { SIDECAR("s", "x", "{ingress: [{port: {number: 80}}]}"), "ingress is not supported yet", false },
        { SIDECAR("s", "x", "{egress: [{hosts: ['./*'], port: {number: 80}}]}"), "port is not supported yet", false },
        { "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p, namespace: x}\n"
          "sepc: {mtls: {mode: STRICT}}\n", "sepc: is an unknown field", true },
        { "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p, namespace: x}\n"
          "spec: {mtsl: {mode: STRICT}}\n", "mtsl: is an unknown field", true },
        { "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p, namespace: x}\n"
          "spec: {selector: {matchExpressions: []}, mtls: {mode: STRICT}}\n", "matchExpressions: is an unknown field", true },
        { SERVICE("a", "x", "") OBJECT("VirtualService", "v", "x", LEADS("a", "a")) "http: []\n",
          "http is an unknown field, ignored", false },
        { TELEMETRY("a", "x", "{tracing: [{randomSamplingPercentage: 101}]}"), "expected a percentage", true },
        { TELEMETRY("a", "x", "{metrics: [{}]}"), "metrics is not supported yet", false },
        { TELEMETRY("a", "x", "{accessLogging: [{filter: {expression: 'connection.mtls'}}]}"), "only 'response.code >= N'", false },
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct err err = { 0 };
        struct mesh *m = load(cases[i].yaml, "x", &err);
        print_message("case: %s (%s)\n", cases[i].part, err.why);
        assert_int_equal(m == NULL, cases[i].is_error);
        assert_true(m ? mesh_fixture_warns(m, cases[i].part)
                      : strstr(err.why, cases[i].part) != NULL);
        mesh_unref(m);
    }
}

static void test_telemetry(void **state)
{
    /* clang-format off */
    static const struct {
        const char *yaml;
        double client_sampling, server_sampling;
        enum telemetry_switch spans, client_log, server_log;
        unsigned log_from;
    } cases[] = {
        { "", -1, -1, 0, 0, 0, 0 },
        { TELEMETRY("a", "istio-system", "{tracing: [{randomSamplingPercentage: 10}]}"), 10, 10, 0, 0, 0, 0 },
        { TELEMETRY("a", "y", "{tracing: [{randomSamplingPercentage: 10}]}"), -1, -1, 0, 0, 0, 0 },
        { TELEMETRY("a", "istio-system", "{" FOR_ME "tracing: [{randomSamplingPercentage: 10}]}"), -1, -1, 0, 0, 0, 0 },
        { TELEMETRY("a", "istio-system", "{tracing: [{randomSamplingPercentage: 10, disableSpanReporting: true}]}")
          TELEMETRY("b", "x", "{tracing: [{randomSamplingPercentage: 0.5}]}"), 0.5, 0.5, TELEMETRY_OFF, 0, 0, 0 },
        { TELEMETRY("b", "x", "{tracing: [{randomSamplingPercentage: 0.5}]}")
          TELEMETRY("c", "x", "{" FOR_ME "tracing: [{match: {mode: SERVER}, randomSamplingPercentage: 7}]}"), 0.5, 7, 0, 0, 0, 0 },
        { TELEMETRY("b", "x", "{tracing: [{randomSamplingPercentage: 1}]}")
          TELEMETRY("c", "x", "{tracing: [{randomSamplingPercentage: 2}]}"), 1, 1, 0, 0, 0, 0 },
        { TELEMETRY("a", "istio-system", "{accessLogging: [{disabled: true}]}"), -1, -1, 0, TELEMETRY_OFF, TELEMETRY_OFF, 0 },
        { TELEMETRY("a", "x", "{accessLogging: [{match: {mode: CLIENT}, disabled: true}]}"), -1, -1, 0, TELEMETRY_OFF, 0, 0 },
        { TELEMETRY("a", "istio-system", "{accessLogging: [{disabled: true}]}")
          TELEMETRY("b", "x", "{accessLogging: [{filter: {expression: 'response.code >= 400'}, providers: [{name: envoy}]}]}"),
          -1, -1, 0, TELEMETRY_ON, TELEMETRY_ON, 400 },
        { TELEMETRY("b", "x", "{accessLogging: [{filter: {expression: response.code>399}}]}"), -1, -1, 0, TELEMETRY_ON, TELEMETRY_ON, 400 },
        { TELEMETRY("b", "x", "{accessLogging: [{filter: {expression: connection.mtls}}]}"), -1, -1, 0, TELEMETRY_ON, TELEMETRY_ON, 0 },
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct err err = { 0 };
        struct mesh *m = load(cases[i].yaml, "x", &err);
        print_message("case %zu: %s\n", i, err.why);
        assert_non_null(m);
        const struct telemetry_rules *client = mesh_telemetry(m, false);
        const struct telemetry_rules *server = mesh_telemetry(m, true);
        assert_true(client->sampling == cases[i].client_sampling);
        assert_true(server->sampling == cases[i].server_sampling);
        assert_int_equal(client->spans, cases[i].spans);
        assert_int_equal(client->log, cases[i].client_log);
        assert_int_equal(server->log, cases[i].server_log);
        assert_int_equal(server->log_from, cases[i].log_from);
        mesh_unref(m);
    }
}

/* What asks for claims of tokens fits no request; what asks for their absence fits every one. */
static void test_claims(void **state)
{
    /* clang-format off */
    static const struct {
        const char *match, *want;
    } cases[] = {
        { "{headers: {'@request.auth.claims.group': {exact: admin}}}", "rest" },
        { "{uri: {prefix: /}, headers: {'@request.auth.claims.group': {exact: admin}}}", "rest" },
        { "{withoutHeaders: {'@request.auth.claims.group': {exact: admin}}}", "first" },
        { "{headers: {'@request.auth.claims.group': {}}}, {uri: {prefix: /}}", "first" },
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        char yaml[2048];
        struct err err = { 0 };
        snprintf(yaml, sizeof(yaml), "%s%s%s%s", SERVICE("a", "x", ""),
                 "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: "
                 "v, namespace: "
                 "x}\nspec: {hosts: [a], http: [{name: first, match: [",
                 cases[i].match,
                 "], route: [{destination: {host: a}}]}, {name: rest, route: [{destination: {host: "
                 "a}}]}]}\n");
        struct mesh *m = load(yaml, "x", &err);
        print_message("case: %s (%s)\n", cases[i].match, err.why);
        assert_non_null(m);
        ask(m, "a", cases[i].want);
        assert_true(mesh_fixture_warns(m, "claims of tokens"));
        mesh_unref(m);
    }
}

/* Fails the 1st, 2nd, n-th allocation: each time an error, never a crash or a leak. */
static void test_allocations(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct err err = { 0 };
        mem_fail_nth(nth);
        struct mesh *m = load(
            WORLD SIDECAR("s", "x", "{egress: [{hosts: ['./*', 'y/*.wild.test']}]}")
                SERVICE("d", "x", EXPORT("'z, x'"))
                    RULE("workloadSelector: {matchLabels: {app: me}}, ")
                        TELEMETRY("a", "x", "{tracing: [{disableSpanReporting: true}]}"),
            "x", &err);
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
        cmocka_unit_test(test_exports),   cmocka_unit_test(test_same_host),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_workload_selector),
        cmocka_unit_test(test_sidecar),   cmocka_unit_test(test_policy),
        cmocka_unit_test(test_findings),  cmocka_unit_test(test_telemetry),
        cmocka_unit_test(test_claims),    cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
