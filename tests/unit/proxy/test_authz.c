/* AuthorizationPolicy from YAML to decision: what holds, what is refused, what is only noted. */
#include "base/mem.h"
#include "mesh_fixture.h"
#include "proxy/authz/authz.h"
#include "proxy/authz/path_template.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define POLICY(name, ns, more, spec)                                                               \
    "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"                           \
    "metadata: {name: " name ", namespace: " ns more "}\nspec: " spec "\n"
#define ONE(spec) POLICY("p", "default", "", spec)

static struct mesh *load_one(const char *yaml, struct err *err)
{
    struct mesh_conf conf = mesh_fixture_conf();
    const char *texts[] = { yaml, NULL };
    conf.self_labels = SV("app=database,version=v1");
    return mesh_fixture_load_as(&conf, texts, err);
}

/* GET /api/query of db:8080 by default/backend, from 10.1.2.3 for 192.0.2.7, token "t". */
static struct http_header slots[] = { { { "X-Token", 7 }, { "t", 1 } },
                                      { { "x-many", 6 }, { "good", 4 } },
                                      { { "X-Many", 6 }, { "bad", 3 } } };
static struct http_head head;
static struct authz_request usual(void)
{
    head = (struct http_head){ .method = SV("GET"),
                               .path = SV("/api/query?x=1"),
                               .authority = SV("DB:8080"),
                               .headers = slots,
                               .headers_len = NELEMS(slots) };
    return (struct authz_request){ .head = &head,
                                   .path = SV("/api/query"),
                                   .principal = SV("cluster.local/ns/default/sa/backend"),
                                   .trust_domain = SV("cluster.local"),
                                   .namespace = SV("default"),
                                   .account = SV("backend"),
                                   .sni = SV("outbound_.80_._.db"),
                                   .source_ip = ip_of_text(SV("10.1.2.3")),
                                   .remote_ip = ip_of_text(SV("192.0.2.7")),
                                   .destination_ip = ip_of_text(SV("10.9.9.9")),
                                   .port = 8080 };
}

static struct authz_request nobody(void)
{
    struct authz_request q = usual();
    q.principal = q.trust_domain = q.namespace = q.account = SV_NONE;
    return q;
}

/* -1: the load failed. */
static int decide(const char *yaml, const struct authz_request *q)
{
    struct err err = { 0 };
    struct authz_decision d = { .is_allowed = true };
    struct mesh *m = load_one(yaml, &err);
    if (!m) {
        print_message("%s\n", err.why);
        return -1;
    }
    if (mesh_authz(m))
        authz_decide(mesh_authz(m), q, &d);
    mesh_unref(m);
    return d.is_allowed;
}

#define SOURCE(s)         ONE("{rules: [{from: [{source: {" s "}}]}]}")
#define OPERATION(s)      ONE("{rules: [{to: [{operation: {" s "}}]}]}")
#define WHEN(key, values) ONE("{rules: [{when: [{key: '" key "', " values "}]}]}")
#define DENY_WHEN(key, values)                                                                     \
    ONE("{action: DENY, rules: [{when: [{key: '" key "', " values "}]}]}")

/* clang-format off */
static const struct {
    const char *yaml;
    int usual, nobody; /* 1 allowed, 0 denied, -1 refused */
} cases[] = {
    { "",                                                              1, 1 },
    { ONE("{}"),                                                       0, 0 },
    { ONE("{rules: [{}]}"),                                            1, 1 },
    { ONE("{rules: []}"),                                              0, 0 },
    { ONE("{action: DENY}"),                                           1, 1 },
    { ONE("{action: DENY, rules: [{}]}"),                              0, 0 },
    { ONE("{action: AUDIT, rules: [{}]}"),                             1, 1 },
    { ONE("{action: CUSTOM, provider: {name: x}, rules: [{}]}"),       0, 0 },
    { ONE("{action: allow, rules: [{}]}"),                             -1, -1 },
    { ONE("{selector: {matchLabels: {app: database}}}"),               0, 0 },
    { ONE("{selector: {matchLabels: {app: other}}}"),                  1, 1 },
    { POLICY("p", "other", "", "{}"),                                  1, 1 },
    { POLICY("p", "istio-system", "", "{}"),                           0, 0 },
    { POLICY("p", "istio-system", "", "{selector: {matchLabels: {app: database}}}"), 0, 0 },
    { POLICY("p", "default", ", annotations: {istio.io/dry-run: 'true'}", "{}"), 1, 1 },
    { POLICY("p", "default", ", annotations: {istio.io/dry-run: 'false'}", "{}"), 0, 0 },
    { ONE("{rules: [{}]}") POLICY("q", "default", "", "{}"),           1, 1 },
    { ONE("{rules: [{}]}") POLICY("q", "default", "", "{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}"), 0, 0 },
    /* who */
    { SOURCE("principals: ['cluster.local/ns/default/sa/backend']"),   1, 0 },
    { SOURCE("principals: ['cluster.local/ns/default/sa/back']"),      0, 0 },
    { SOURCE("principals: ['cluster.local/ns/default/*']"),            1, 0 },
    { SOURCE("principals: ['*/sa/backend']"),                          1, 0 },
    { SOURCE("principals: ['*']"),                                     1, 0 },
    { SOURCE("notPrincipals: ['*']"),                                  0, 1 },
    { SOURCE("notPrincipals: ['*/sa/other']"),                         1, 1 },
    { SOURCE("principals: ['*'], notPrincipals: ['*/sa/backend']"),    0, 0 },
    { SOURCE("namespaces: [default]"),                                 1, 0 },
    { SOURCE("namespaces: ['def*']"),                                  1, 0 },
    { SOURCE("namespaces: ['*']"),                                     1, 0 },
    { SOURCE("namespaces: ['a*b']"),                                   -1, -1 },
    { SOURCE("notNamespaces: [default]"),                              0, 1 },
    { SOURCE("serviceAccounts: [backend]"),                            1, 0 },
    { SOURCE("serviceAccounts: [default/backend]"),                    1, 0 },
    { SOURCE("serviceAccounts: [other/backend]"),                      0, 0 },
    { SOURCE("serviceAccounts: ['*']"),                                -1, -1 },
    { SOURCE("serviceAccounts: [backend], namespaces: [default]"),     -1, -1 },
    { SOURCE("trustDomains: [cluster.local]"),                         1, 0 },
    { SOURCE("ipBlocks: [10.0.0.0/8]"),                                1, 1 },
    { SOURCE("ipBlocks: [10.1.2.3]"),                                  1, 1 },
    { SOURCE("ipBlocks: ['::/0', 10.1.2.4/31]"),                       1, 1 },
    { SOURCE("ipBlocks: [10.1.2.4/31]"),                               0, 0 },
    { SOURCE("notIpBlocks: [10.1.2.2/31]"),                            0, 0 },
    { SOURCE("ipBlocks: [10.0.0.0/33]"),                               -1, -1 },
    { SOURCE("ipBlocks: [ten]"),                                       -1, -1 },
    { SOURCE("remoteIpBlocks: [192.0.2.0/24]"),                        1, 1 },
    { SOURCE("remoteIpBlocks: [10.0.0.0/8]"),                          0, 0 },
    { SOURCE("requestPrincipals: ['*']"),                              0, 0 },
    { SOURCE("notRequestPrincipals: ['*']"),                           -1, -1 },
    { ONE("{action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]}"), 0, 0 },
    { ONE("{action: DENY, rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}"),    -1, -1 },
    { ONE("{rules: [{from: [{source: {principals: [x]}}, {source: {ipBlocks: [10.1.2.3]}}]}]}"), 1, 1 },
    { ONE("{rules: [{from: [{source: {principals: ['*']}}], to: [{operation: {methods: [PUT]}}]}]}"), 0, 0 },
    { ONE("{rules: [{to: [{operation: {methods: [PUT]}}]}, {to: [{operation: {methods: [GET]}}]}]}"), 1, 1 },
    /* what */
    { OPERATION("hosts: ['db:8080']"),                                 1, 1 },
    { OPERATION("hosts: ['db']"),                                      0, 0 },
    { OPERATION("hosts: ['dB:*']"),                                    1, 1 },
    { OPERATION("notHosts: ['*:8080']"),                               0, 0 },
    { OPERATION("ports: ['8080']"),                                    1, 1 },
    { OPERATION("ports: ['80', '443']"),                               0, 0 },
    { OPERATION("ports: ['http']"),                                    -1, -1 },
    { OPERATION("methods: [GET, POST]"),                               1, 1 },
    { OPERATION("methods: [get]"),                                     0, 0 },
    { OPERATION("methods: ['G*']"),                                    1, 1 },
    { OPERATION("notMethods: [GET]"),                                  0, 0 },
    { OPERATION("paths: [/api/query]"),                                1, 1 },
    { OPERATION("paths: [/API/query]"),                                0, 0 },
    { OPERATION("paths: ['/api*']"),                                   1, 1 },
    { OPERATION("paths: ['*/query']"),                                 1, 1 },
    { OPERATION("paths: ['/api/*/x', '/{*}/query']"),                  1, 1 },
    { OPERATION("paths: ['/api/{*}.txt']"),                            -1, -1 },
    { OPERATION("paths: ['/a'], notPaths: ['/b']"),                    0, 0 },
    { OPERATION("notPaths: ['/b']"),                                   1, 1 },
    /* when */
    { WHEN("source.ip", "values: [10.1.0.0/16]"),                      1, 1 },
    { WHEN("remote.ip", "notValues: [192.0.2.7]"),                     0, 0 },
    { WHEN("destination.ip", "values: [10.9.9.9]"),                    1, 1 },
    { WHEN("destination.port", "values: ['8080']"),                    1, 1 },
    { WHEN("connection.sni", "values: ['outbound_*']"),                1, 1 },
    { WHEN("source.namespace", "values: [default]"),                   1, 0 },
    { WHEN("source.principal", "values: ['*backend']"),                1, 0 },
    { WHEN("source.serviceAccount", "values: [default/backend]"),      1, 0 },
    { WHEN("source.serviceAccount", "notValues: [backend]"),           0, 1 },
    { WHEN("source.serviceAccount", "values: ['*']"),                  -1, -1 },
    { WHEN("source.trustDomain", "values: [cluster.local]"),           1, 0 },
    { WHEN("source.trustDomain", "values: ['cluster*']"),              1, 0 },
    { WHEN("source.trustDomain", "values: [other]"),                   0, 0 },
    { WHEN("source.trustDomain", "notValues: [other]"),                1, 1 },
    { WHEN("source.principal", "notValues: ['*']"),                    0, 1 },
    { WHEN("source.namespace", "notValues: [default]"),                0, 1 },
    { WHEN("destination.ip", "notValues: [10.0.0.0/8]"),               0, 0 },
    { WHEN("destination.port", "notValues: ['8080']"),                 0, 0 },
    { WHEN("destination.port", "values: [http]"),                      -1, -1 },
    { WHEN("connection.sni", "notValues: ['outbound_*']"),             0, 0 },
    { WHEN("source.ip", "values: [10.1.0.0/16], notValues: [10.1.2.3]"), 0, 0 },
    { DENY_WHEN("source.trustDomain", "notValues: [cluster.local]"),   1, 0 },
    { DENY_WHEN("source.serviceAccount", "notValues: [default/backend]"), 1, 0 },
    { SOURCE("notTrustDomains: [cluster.local]"),                      0, 1 },
    { SOURCE("notServiceAccounts: [default/backend]"),                 0, 1 },
    { SOURCE("notRemoteIpBlocks: [192.0.2.0/24]"),                     0, 0 },
    { WHEN("request.headers[x-token]", "values: [t]"),                 1, 1 },
    { WHEN("request.headers[x-token]", "values: ['*']"),               1, 1 },
    { WHEN("request.headers[x-none]", "values: ['*']"),                0, 0 },
    { WHEN("request.headers[x-none]", "notValues: ['*']"),             1, 1 },
    { WHEN("request.headers[:path]", "values: ['*x=1']"),              1, 1 },
    { WHEN("request.headers[x-many]", "values: [good]"),               0, 0 }, /* one of two is not enough */
    { WHEN("request.headers[x-many]", "values: [good, bad]"),          1, 1 },
    { WHEN("request.headers[x-many]", "notValues: [bad]"),             0, 0 },
    { DENY_WHEN("request.headers[x-many]", "values: [bad]"),           0, 0 }, /* one of two is enough */
    { DENY_WHEN("request.headers[x-many]", "notValues: [good]"),       0, 0 },
    { WHEN("request.auth.claims[iss]", "values: [x]"),                 0, 0 },
    { WHEN("request.auth.claims[iss]", "notValues: [x]"),              -1, -1 },
    { WHEN("request.auth.principal", "values: ['*']"),                 0, 0 },
    { WHEN("request.auth.audiences", "values: [a]"),                   0, 0 },
    { WHEN("request.auth.presenter", "values: [p]"),                   0, 0 },
    { DENY_WHEN("request.auth.principal", "values: ['*']"),            -1, -1 },
    { DENY_WHEN("request.auth.principal", "notValues: ['*']"),         0, 0 },
    { WHEN("experimental.envoy.filters.network.mysql_proxy[d.t]", "values: [x]"),      0, 0 },
    { DENY_WHEN("experimental.envoy.filters.network.mysql_proxy[d.t]", "values: [x]"), -1, -1 },
    { WHEN("no.such.key", "values: [x]"),                              0, 0 },
    { DENY_WHEN("no.such.key", "values: [x]"),                         -1, -1 },
    { WHEN("request.headers[]", "values: [x]"),                        0, 0 },
    { ONE("{rules: [{when: [{key: source.ip, values: [10.1.2.3]}, {key: destination.port, values: ['1']}]}]}"), 0, 0 },
    /* what would mean something else without a word */
    { ONE("{rule: [{}]}"),                                             -1, -1 },
    { SOURCE("principal: [x]"),                                        -1, -1 },
    { ONE("{rules: [{from: []}]}"),                                    -1, -1 },
    { ONE("{rules: [{from: [{}]}]}"),                                  -1, -1 },
    { ONE("{rules: [{from: [{source: {}}]}]}"),                        -1, -1 },
    { OPERATION("methods: []"),                                        -1, -1 },
    { OPERATION("methods: ['']"),                                      -1, -1 },
    { WHEN("source.ip", "value: [10.1.2.3]"),                          -1, -1 },
    { POLICY("'a b'", "default", "", "{}"),                            -1, -1 },
};
/* clang-format on */

static void test_semantics(void **state)
{
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct authz_request q = usual();
        print_message("case %zu: %s\n", i, cases[i].yaml);
        assert_int_equal(decide(cases[i].yaml, &q), cases[i].usual);
        q = nobody();
        assert_int_equal(decide(cases[i].yaml, &q), cases[i].nobody);
    }
}

/* Without a request, what only requests have vanishes: to the safe side. */
static void test_trust_domains(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *own, *aliases, *policy;
        bool is_by_own, is_by_old, is_by_local, is_by_other; /* td1, old, cluster.local, other */
    } cases_of_domains[] = {
        { "td1", "",         "td1/ns/default/sa/backend",           true,  false, false, false },
        { "td1", "",         "cluster.local/ns/default/sa/backend", true,  false, false, false },
        { "td1", "old",      "td1/ns/default/sa/backend",           true,  true,  false, false },
        { "td1", "old",      "old/ns/default/sa/backend",           true,  true,  false, false },
        { "td1", "x, old ,", "cluster.local/ns/default/*",          true,  true,  false, false },
        { "td1", "old",      "other/ns/default/sa/backend",         false, false, false, true },
        { "td1", "old",      "*/ns/default/sa/backend",             true,  true,  true,  true },
        { "td1", "old",      "*",                                   true,  true,  true,  true },
        { "td1", "old",      "td1/ns/default/sa/front",             false, false, false, false },
        { "cluster.local", "td1", "cluster.local/ns/default/sa/backend", true, false, true, false },
    };
    /* clang-format on */
    for (size_t i = 0; i < NELEMS(cases_of_domains); i++) {
        char yaml[512];
        const char *texts[] = { yaml, NULL };
        struct mesh_conf conf = mesh_fixture_conf();
        conf.trust_domain = sv_z(cases_of_domains[i].own);
        conf.trust_domain_aliases = sv_z(cases_of_domains[i].aliases);
        snprintf(yaml, sizeof(yaml), SOURCE("principals: ['%s']"), cases_of_domains[i].policy);
        print_message("case: %s in %s + %s\n", cases_of_domains[i].policy, cases_of_domains[i].own,
                      cases_of_domains[i].aliases);
        struct mesh *m = mesh_fixture_load_as(&conf, texts, NULL);
        assert_non_null(m);
        const struct {
            const char *principal;
            bool is_allowed;
        } callers[] = {
            { "td1/ns/default/sa/backend", cases_of_domains[i].is_by_own },
            { "old/ns/default/sa/backend", cases_of_domains[i].is_by_old },
            { "cluster.local/ns/default/sa/backend", cases_of_domains[i].is_by_local },
            { "other/ns/default/sa/backend", cases_of_domains[i].is_by_other },
        };
        for (size_t k = 0; k < NELEMS(callers); k++) {
            struct authz_decision d;
            struct authz_request q = usual();
            q.principal = sv_z(callers[k].principal);
            authz_decide(mesh_authz(m), &q, &d);
            assert_int_equal(d.is_allowed, callers[k].is_allowed);
        }
        mesh_unref(m);
    }
}

static void test_tcp(void **state)
{
    struct authz_request q = usual();
    q.head = NULL;
    q.path = SV_NONE;
    (void)state;
    assert_int_equal(decide(OPERATION("methods: [GET]"), &q), 0);
    assert_int_equal(decide(OPERATION("notMethods: [GET]"), &q), 0);
    assert_int_equal(decide(SOURCE("namespaces: [default]"), &q), 1);
    assert_int_equal(
        decide(ONE("{action: DENY, rules: [{to: [{operation: {methods: [POST]}}]}]}"), &q), 0);
    assert_int_equal(
        decide(ONE("{action: DENY, rules: [{to: [{operation: {methods: [POST], ports: ['1']}}]}]}"),
               &q),
        1);
}

static void test_names(void **state)
{
    static const char yaml[] = POLICY("a", "default", "",
                                      "{rules: [{to: [{operation: {methods: [PUT]}}]}]}")
        POLICY("d", "default", "",
               "{action: DENY, rules: [{to: [{operation: {ports: ['1']}}]},"
               " {to: [{operation: {methods: [DELETE]}}]}]}")
            POLICY("note", "default", "", "{action: AUDIT, rules: [{}]}")
                POLICY("dry", "default", ", annotations: {istio.io/dry-run: 'true'}",
                       "{action: DENY, rules: [{}]}")
                    POLICY("dry2", "default", ", annotations: {istio.io/dry-run: 'true'}",
                           "{action: ALLOW}");
    struct authz_request q = usual();
    struct authz_decision d;
    struct mesh *m = load_one(yaml, NULL);
    (void)state;
    assert_non_null(m);
    authz_decide(mesh_authz(m), &q, &d);
    assert_false(d.is_allowed);
    assert_int_equal(d.rule.len, 0);
    assert_true(sv_eq(d.policy, SV("default/a")));
    assert_true(sv_eq(d.audit, SV("ns[default]-policy[note]-rule[0]")));
    assert_true(sv_eq(d.would_deny, SV("ns[default]-policy[dry]-rule[0]")));
    assert_true(d.has_allow_dry_run && !d.would_allow.len);
    head.method = SV("DELETE");
    authz_decide(mesh_authz(m), &q, &d);
    assert_true(sv_eq(d.rule, SV("ns[default]-policy[d]-rule[1]")));
    assert_true(sv_eq(d.policy, SV("default/d")));
    head.method = SV("PUT");
    authz_decide(mesh_authz(m), &q, &d);
    assert_true(d.is_allowed && sv_eq(d.rule, SV("ns[default]-policy[a]-rule[0]")));
    mesh_unref(m);
}

static void test_templates(void **state)
{
    static const struct {
        const char *text, *path;
        int want; /* -1: no template */
    } table[] = {
        { "/foo/{*}", "/foo/bar", 1 },
        { "/foo/{*}", "/foo/bar/baz", 0 },
        { "/foo/{*}", "/foo/", 0 },
        { "/foo/{*}", "/foo", 0 },
        { "/{*}/b/{*}", "/a/b/c", 1 },
        { "/{*}/b/{*}", "/a/x/c", 0 },
        { "/a/{**}", "/a", 0 },
        { "/a/{**}", "/a/", 1 },
        { "/a/{**}", "/a/b/c", 1 },
        { "/a/{**}/z", "/a/b/c/z", 1 },
        { "/a/{**}/z", "/a/z", 0 },
        { "/a/{**}/z", "/a/b/zz", 0 },
        { "/a/{*}/c/{**}", "/a/b/c/", 1 },
        { "/a/{*}/c/{**}", "/a/b/c", 0 },
        { "/{**}", "/", 1 },
        { "/{**}/{*}", "", -1 },
        { "/{**}/x/{**}", "", -1 },
        { "/a/{*}.txt", "", -1 },
        { "/*/{*}", "", -1 },
        { "a/{*}", "", -1 },
        { "/{a}/{*}", "", -1 },
        { "/{*}{*}", "", -1 },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(table); i++) {
        struct sv text = sv_z(table[i].text);
        print_message("case: %s %s\n", table[i].text, table[i].path);
        assert_true(path_template_is(text));
        bool is_good = path_template_check(text, NULL) == 0;
        assert_int_equal(is_good, table[i].want >= 0);
        if (is_good)
            assert_int_equal(path_template_matches(text, sv_z(table[i].path)), table[i].want);
    }
    assert_false(path_template_is(SV("/a/*")));
}

static void test_findings(void **state)
{
    static const struct {
        const char *yaml, *warning, *error;
    } table[] = {
        { ONE("{action: CUSTOM, rules: [{}]}"), "requests that match the rules are denied", NULL },
        { WHEN("no.such.key", "values: [x]"), "the rule never matches", NULL },
        { OPERATION("paths: ['/a/*/b']"), "is an ordinary character", NULL },
        { ONE("{targetRefs: [{kind: Service, name: x}]}"), "in force nowhere", NULL },
        { SOURCE("ipBlocks: [ten]"), NULL, "AuthorizationPolicy p: " },
        { SOURCE("principal: [x]"), NULL, "00.yaml:5:" },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(table); i++) {
        struct err err = { 0 };
        struct mesh *m = load_one(table[i].yaml, &err);
        print_message("case %zu: %s\n", i, err.why);
        assert_int_equal(m == NULL, table[i].error != NULL);
        assert_true(m ? mesh_fixture_warns(m, table[i].warning)
                      : strstr(err.why, table[i].error) != NULL);
        mesh_unref(m);
    }
}

/* A policy that only half fits into memory must not become one that says less. */
static void test_allocations(void **state)
{
    static const char yaml[] = ONE(
        "{rules: [{from: [{source: {principals: [a, 'b*'], serviceAccounts: null}}], "
        "to: [{operation: {paths: ['/{*}/x'], ports: ['1']}}], "
        "when: [{key: 'request.headers[a]', notValues: [b]}]}]}");
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct err err = { 0 };
        mem_fail_nth(nth);
        struct mesh *m = load_one(yaml, &err);
        bool was_reached = mem_count() >= nth;
        mem_fail_nth(0);
        assert_true(m ? mesh_authz(m) != NULL : err.code == ERR_NOMEM);
        mesh_unref(m);
        if (!was_reached)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trust_domains), cmocka_unit_test(test_semantics),
        cmocka_unit_test(test_tcp),           cmocka_unit_test(test_names),
        cmocka_unit_test(test_templates),     cmocka_unit_test(test_findings),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
