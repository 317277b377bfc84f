/* Policies with targetRefs: at which ports of which proxy they are asked, and which are refused. */
#include "base/mem.h"
#include "mesh_fixture.h"
#include "proxy/authz/authz.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define K8S(name, ns, port)                                                                        \
    "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: " name         \
    ", namespace: " ns "}\nspec: {gatewayClassName: t, listeners: [{name: h, port: " port          \
    ", protocol: HTTP}]}\n"
static const char gateways[] = K8S("a", "default", "8001") K8S("b", "default", "8002")
    K8S("a", "other", "8003") "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: "
                              "{name: a}\nspec: {selector: "
                              "{app: gate}, servers: [{port: {number: 8004, name: h, protocol: "
                              "HTTP}, hosts: ['*']}, {port: "
                              "{number: 8005, name: t, protocol: TCP}, hosts: ['*']}]}\n";

#define POLICY(ns, spec)                                                                           \
    "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, "       \
    "namespace: " ns "}\nspec: {" spec "}\n"
#define DENY(ns, targets) POLICY(ns, "action: DENY, rules: [{}], targetRefs: [" targets "]")
#define K8S_GATEWAY       "group: gateway.networking.k8s.io, kind: Gateway"
#define ISTIO_GATEWAY     "group: networking.istio.io, kind: Gateway"

/* The ports from 8001 on at which everything is denied, as letters; NULL: refused. */
static const char *denied_at(const char *yaml, const char *labels, bool is_gateway, struct err *err,
                             bool *ret_warns, const char *warning)
{
    static char text[8];
    struct mesh_conf conf = mesh_fixture_conf();
    conf.self_labels = sv_z(labels);
    conf.is_gateway = is_gateway;
    struct mesh *m = mesh_fixture_load_as(&conf, (const char *[]){ gateways, yaml, NULL }, err);
    size_t len = 0;
    if (!m)
        return NULL;
    for (uint16_t port = 8001; port <= 8005; port++) {
        struct authz_request q = { .port = port };
        struct authz_decision d = { .is_allowed = true };
        if (mesh_authz(m))
            authz_decide(mesh_authz(m), &q, &d);
        if (!d.is_allowed)
            text[len++] = (char)('1' + port - 8001);
    }
    text[len] = '\0';
    *ret_warns = warning && mesh_fixture_warns(m, warning);
    mesh_unref(m);
    return text;
}

#define GATE    "app=gate"
#define NAMED   "app=gate,gateway.networking.k8s.io/gateway-name=a"
#define NOWHERE "in force nowhere"
static const struct {
    const char *yaml, *labels;
    bool is_gateway;
    const char *denied, *warning;
} cases[] = {
    { DENY("default", "{" K8S_GATEWAY ", name: a}"), GATE, true, "1", NULL },
    { DENY("default", "{" K8S_GATEWAY ", name: b}"), GATE, true, "2", NULL },
    { DENY("other", "{" K8S_GATEWAY ", name: a}"), GATE, true, "3", NULL },
    { DENY("default", "{" ISTIO_GATEWAY ", name: a}"), GATE, true, "45", NULL },
    { DENY("default", "{" K8S_GATEWAY ", name: b}, {" ISTIO_GATEWAY ", name: a}"), GATE, true,
      "245", NULL },
    { DENY("default", "{" K8S_GATEWAY ", name: a}"), NAMED, true, "12345", NULL },
    { DENY("other", "{" K8S_GATEWAY ", name: a}"), NAMED, true, "3", NULL },
    { DENY("default", "{" K8S_GATEWAY ", name: c}"), GATE, true, "", "no Gateway default/c here" },
    { DENY("default", "{" ISTIO_GATEWAY ", name: b}"), GATE, true, "",
      "no Gateway default/b here" },
    { DENY("istio-system", "{" K8S_GATEWAY ", name: a}"), GATE, true, "", "no Gateway" },
    { DENY("default", "{" K8S_GATEWAY ", name: a}"), GATE, false, "", NULL },
    { DENY("default", "{kind: Service, name: x}"), GATE, false, "", NOWHERE },
    { DENY("default", "{group: networking.istio.io, kind: ServiceEntry, name: x}"), GATE, true, "",
      NOWHERE },
    { DENY("istio-system", "{group: gateway.networking.k8s.io, kind: GatewayClass, name: "
                           "istio-waypoint}"),
      GATE, true, "", NOWHERE },
    { POLICY("default", "action: DENY, rules: [{}], targetRef: {" K8S_GATEWAY ", name: b}"), GATE,
      true, "2", NULL },
    /* who asks for something denies only where it is asked */
    { POLICY("default", "targetRefs: [{" K8S_GATEWAY ", name: a}]"), GATE, true, "1", NULL },
    { POLICY("default", "targetRefs: [{" K8S_GATEWAY ", name: a}]")
          POLICY("default", "rules: [{}]"),
      GATE, true, "", NULL },
    { POLICY("default", "rules: [{to: [{operation: {ports: ['8001']}}]}]")
          DENY("default", "{" K8S_GATEWAY ", name: b}"),
      GATE, true, "2345", NULL },
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct err err = { 0 };
        bool warns = false;
        const char *denied = denied_at(cases[i].yaml, cases[i].labels, cases[i].is_gateway, &err,
                                       &warns, cases[i].warning);
        print_message("case %zu: %s %s\n", i, denied ? denied : err.why, cases[i].yaml);
        assert_non_null(denied);
        assert_string_equal(denied, cases[i].denied);
        assert_int_equal(warns, cases[i].warning != NULL);
    }
}

static void test_shared_port(void **state)
{
    (void)state;
    bool warns;
    const char *denied = denied_at(
        K8S("z", "default", "8001") DENY("default", "{" K8S_GATEWAY ", name: z}"), GATE, true, NULL,
        &warns, "port 8001 is also open for Gateway default/a");
    assert_non_null(denied);
    assert_string_equal(denied, "1");
    assert_true(warns);
}

static void test_mistakes(void **state)
{
#define FOUR                                                                                       \
    "{kind: Service, name: a}, {kind: Service, name: b}, {kind: Service, name: c}, {kind: "        \
    "Service, name: d}"
    static const struct {
        const char *yaml, *why;
    } wrong[] = {
        { DENY("default", ""), "targetRefs: is empty" },
        { DENY("default", "{" K8S_GATEWAY "}"), "name is missing" },
        { DENY("default", "{kind: Gateway, name: x}"), "kind 'Gateway' of group '' is no target" },
        { DENY("default", "{group: apps, kind: Deployment, name: x}"),
          "kind 'Deployment' of group 'apps' is no target" },
        { DENY("default", "{" K8S_GATEWAY ", name: x, namespace: other}"),
          "namespace is not allowed" },
        { DENY("default", "{" K8S_GATEWAY ", name: x, sectionName: h}"), "is an unknown field" },
        { DENY("default", "x"), "expected a mapping" },
        { DENY("default", "{group: gateway.networking.k8s.io, kind: GatewayClass, name: x}"),
          "must be in the root namespace" },
        { POLICY("default",
                 "selector: {matchLabels: {a: b}}, targetRefs: [{" K8S_GATEWAY ", name: x}]"),
          "only one of selector, targetRef and targetRefs" },
        { POLICY("default",
                 "targetRef: {kind: Service, name: x}, targetRefs: [{kind: Service, name: x}]"),
          "only one of selector, targetRef and targetRefs" },
        { DENY("default", FOUR ", " FOUR ", " FOUR ", " FOUR ", {kind: Service, name: x}"),
          "has 17 targets, at most 16" },
    };
#undef FOUR
    (void)state;
    for (size_t i = 0; i < NELEMS(wrong); i++) {
        struct err err = { 0 };
        bool warns;
        assert_null(denied_at(wrong[i].yaml, GATE, true, &err, &warns, NULL));
        print_message("case %zu: %s\n", i, err.why);
        assert_non_null(strstr(err.why, wrong[i].why));
    }
}

/* A policy that only half fits into memory must not become one that says less. */
static void test_allocations(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct err err = { 0 };
        bool warns;
        mem_fail_nth(nth);
        const char *denied = denied_at(cases[4].yaml, GATE, true, &err, &warns, NULL);
        bool was_reached = mem_count() >= nth;
        mem_fail_nth(0);
        assert_true(denied ? strcmp(denied, "245") == 0 : err.code == ERR_NOMEM);
        if (!was_reached)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_shared_port),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
