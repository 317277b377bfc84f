/* What is told of a connection: whose port it is, the routes it passed, and who lets it in. */
#include "base/mem.h"
#include "mesh_fixture.h"
#include "proxy/explain/explain.h"
#include "proxy/explain/request.h"
#include "proxy/route/tcp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char objects[] =
    "apiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec:\n  clusterIPs: [10.96.0.5, "
    "'fd00::5']\n"
    "  selector: {app: db}\n  ports:\n  - {name: mysql, port: 3306, targetPort: 13306}\n"
    "  - {name: http, port: 80, targetPort: 8080}\n  - {name: x, appProtocol: https, port: 443}\n"
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: other}\nspec: {clusterIP: 10.96.0.6, "
    "ports: "
    "[{name: what, port: 3306}]}\n"
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: db-1, labels: {app: db, "
    "security.istio.io/tlsMode: istio}}\nstatus: {podIP: 10.0.0.9}\n"
    "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: "
    "routes}\nspec:\n"
    "  hosts: [db]\n  tls:\n  - match: [{port: 443, sniHosts: [a.test, '*.b.test']}]\n"
    "    route: [{destination: {host: other, port: {number: 3306}}}]\n  tcp:\n"
    "  - match: [{port: 3306, destinationSubnets: [10.97.0.0/16, 'fd00::/8']}]\n"
    "    route: [{destination: {host: other}, weight: 1}, {destination: {host: db}, weight: 3}]\n"
    "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e}\nspec: "
    "{hosts: "
    "[pay.test], resolution: NONE, addresses: [192.0.2.0/24], ports: [{number: 8443, name: t, "
    "protocol: "
    "TLS}]}\n"
    "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n"
    "  selector: {app: page}\n  servers:\n"
    "  - {port: {number: 9001, name: t, protocol: MYSQL}, hosts: ['*']}\n"
    "  - {port: {number: 9002, name: p, protocol: TLS}, hosts: ['*.test'], tls: {mode: "
    "PASSTHROUGH}}\n"
    "  - {port: {number: 9003, name: e, protocol: TLS}, hosts: ['e.test'], tls: {mode: SIMPLE, "
    "credentialName: c}}\n"
    "  - {port: {number: 9004, name: h, protocol: HTTP}, hosts: ['*']}\n"
    "  - {port: {number: 9005, name: s, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, "
    "credentialName: c}}\n"
    "  - {port: {number: 9007, name: a, protocol: TLS}, hosts: ['*.local'], tls: {mode: "
    "AUTO_PASSTHROUGH}}\n"
    "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n"
    "  hosts: ['*']\n  gateways: [g]\n"
    "  tls: [{match: [{port: 9002, sniHosts: [a.test]}], route: [{destination: {host: db, port: "
    "{number: "
    "443}}}]}]\n"
    "  tcp: [{match: [{port: 9001}, {port: 9003}], route: [{destination: {host: db, port: {number: "
    "3306}}}]}]\n"
    "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p}\nspec:\n"
    "  selector: {matchLabels: {app: db}}\n  rules:\n"
    "  - to: [{operation: {methods: [GET]}}]\n"
    "  - from: [{source: {principals: [cluster.local/ns/default/sa/web]}}]\n"
    "    when: [{key: connection.sni, values: ['outbound_.*', a.test]}]\n"
    "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p}\nspec:\n"
    "  selector: {matchLabels: {app: db}}\n  portLevelMtls: {443: {mode: STRICT}, 8080: {mode: "
    "DISABLE}, "
    "99: {mode: DISABLE}}\n";

static struct mesh *load(enum explain_side side)
{
    struct err err = { 0 };
    struct mesh_conf conf = mesh_fixture_conf();
    conf.wants_tcp = true;
    conf.is_gateway = side == EXPLAIN_GATEWAY;
    conf.self_labels = side == EXPLAIN_INBOUND ? SV("app=db") : SV("app=page");
    struct mesh *m = mesh_fixture_load_as(&conf, (const char *[]){ objects, NULL }, &err);
    if (!m)
        print_message("%s\n", err.why);
    return m;
}

struct connection {
    const char *url;
    enum explain_side side;
    const char *principal, *sni; /* inbound: of the mesh's mutual TLS */
    const char *destination;
    bool is_registry_only;
};

static struct explain_outcome explain(const struct mesh *m, const struct connection *c,
                                      struct buf *to, bool is_json)
{
    AUTO_DONE(arena) mem = { 0 };
    struct identity self = identity_unknown();
    struct telling t = telling_of(to, is_json);
    struct explain_request q = { .port = 0 };
    struct explain_outcome out = { .status = 0 };
    struct sv principal = sv_z(c->principal ? c->principal : "");
    if (explain_parse(&q, sv_z(c->url), SV_NONE, &mem, NULL) < 0) {
        to->failed = true;
        return out;
    }
    struct explain_ask ask = { .mesh = m,
                               .side = c->side,
                               .self = &self,
                               .is_connection = q.is_connection,
                               .host = q.host,
                               .allows_any = !c->is_registry_only,
                               .is_tls = q.is_tls || principal.len,
                               .is_mutual = principal.len > 0,
                               .principal = principal,
                               .sni = c->sni ? sv_z(c->sni) : q.sni,
                               .destination_ip = c->destination ? ip_of_text(sv_z(c->destination))
                                                                : q.address,
                               .port = q.port };
    tell_open(&t, NULL, '{');
    explain_hop(&ask, &mem, &t, &out);
    tell_close(&t);
    return out;
}

#define WEB "spiffe://cluster.local/ns/default/sa/web"
#define SNI "outbound_.3306_._.db.default.svc.cluster.local"
static const struct {
    struct connection c;
    bool is_passed_on;
    const char *parts[4];
} cases[] = {
    { { .url = "tcp://db:3306", .side = EXPLAIN_OUTBOUND },
      true,
      { "found by: name\naddress: 10.96.0.5\nport: 3306\ndeclared: tcp\n",
        "why: destination address is 10.96.0.5, wanted: 10.97.0.0/16 or fd00::/8\n",
        "route: default\nwritten in: no rule: the Service as it is\n", "percent: 100\n" } },
    { { .url = "tcp://[fd00::5]:3306", .side = EXPLAIN_OUTBOUND },
      true,
      { "found by: address\naddress: fd00::5\n", "route: routes.tcp[0]\n", "percent: 25\n",
        "percent: 75\n" } },
    { { .url = "tls://A.test.:443", .side = EXPLAIN_OUTBOUND, .destination = "10.96.0.5" },
      false,
      { "declared: tls\n", "route: routes.tls[0]\n", "why: UH no_healthy_upstream" } },
    { { .url = "tls://c.test", .side = EXPLAIN_OUTBOUND, .destination = "10.96.0.5" },
      true,
      { "why: server name is 'c.test', wanted: 'a.test' or '*.b.test'\n" } },
    { { .url = "tls://10.96.0.5", .side = EXPLAIN_OUTBOUND },
      true,
      { "why: there is no server name, wanted: 'a.test'" } },
    { { .url = "tcp://db:443", .side = EXPLAIN_OUTBOUND },
      true,
      { "why: the connection does not begin with TLS\n" } },
    { { .url = "tcp://10.96.0.6:3306", .side = EXPLAIN_OUTBOUND },
      false,
      { "declared: nothing: the first bytes decide\n", "why: UH no_healthy_upstream" } },
    { { .url = "tcp://db:80", .side = EXPLAIN_OUTBOUND },
      false,
      { "why: the port is declared to speak HTTP" } },
    { { .url = "tcp://10.0.0.9:13306", .side = EXPLAIN_OUTBOUND },
      true,
      { "called by its own address: 10.0.0.9:13306\n" } },
    { { .url = "tls://pay.test:8443", .side = EXPLAIN_OUTBOUND, .destination = "192.0.2.7" },
      true,
      { "service: pay.test\nfound by: address\naddress: 192.0.2.7\n",
        "addresses: the one that a connection was made to" } },
    { { .url = "tls://x.test:8443", .side = EXPLAIN_OUTBOUND, .destination = "192.0.2.7" },
      true,
      { "cluster: PassthroughCluster\n" } },
    { { .url = "tcp://nobody:3306", .side = EXPLAIN_OUTBOUND },
      true,
      { "cluster: PassthroughCluster\npassed on to: the address it was made to" } },
    { { .url = "tcp://192.0.2.1:3306", .side = EXPLAIN_OUTBOUND, .is_registry_only = true },
      false,
      { "cluster: BlackHoleCluster\n", "why: UH no_healthy_upstream" } },

    { { .url = "tcp://db:13306", .side = EXPLAIN_INBOUND, .principal = WEB, .sni = SNI },
      true,
      { "declared: tcp\n", "connection: mutual TLS\n", "why: to: a connection has no method\n",
        "passed on to: the application\n" } },
    { { .url = "tcp://db:13306",
        .side = EXPLAIN_INBOUND,
        .principal = "spiffe://cluster.local/ns/x/sa/y",
        .sni = SNI },
      false,
      { "why: RBAC: access denied: no rule of default/p matches\n" } },
    { { .url = "tcp://db:13306", .side = EXPLAIN_INBOUND },
      false,
      { "connection: plaintext\n", "why: from: principal is none" } },
    { { .url = "tls://a.test", .side = EXPLAIN_INBOUND },
      false,
      { "why: TLS that is not the mesh's where mutual TLS is STRICT" } },
    { { .url = "tcp://db:443", .side = EXPLAIN_INBOUND },
      false,
      { "why: plaintext where mutual TLS is STRICT" } },
    { { .url = "tcp://db:8080", .side = EXPLAIN_INBOUND, .principal = WEB, .sni = SNI },
      false,
      { "declared to speak HTTP" } },
    { { .url = "tcp://db:99", .side = EXPLAIN_INBOUND, .principal = WEB, .sni = SNI },
      false,
      { "why: from: principal is none" } },

    { { .url = "tcp://x:9001", .side = EXPLAIN_GATEWAY },
      true,
      { "declared: MYSQL\n", "route: v.tcp[0]\n", "cluster: outbound|3306||db.default" } },
    { { .url = "tls://a.test:9002", .side = EXPLAIN_GATEWAY }, true, { "route: v.tls[0]\n" } },
    { { .url = "tls://b.test:9002", .side = EXPLAIN_GATEWAY },
      false,
      { "why: NR route_not_found" } },
    { { .url = "tcp://a.test:9002", .side = EXPLAIN_GATEWAY },
      false,
      { "why: the connection does not begin with TLS\n", "why: NR route_not_found" } },
    { { .url = "tls://e.test:9003", .side = EXPLAIN_GATEWAY },
      true,
      { "tls: ended here\n", "route: v.tcp[0]\n" } },
    { { .url = "tcp://e.test:9003", .side = EXPLAIN_GATEWAY },
      false,
      { "why: the gateway ends TLS on this port" } },
    { { .url = "tcp://x:9004", .side = EXPLAIN_GATEWAY }, false, { "explain these with http://" } },
    { { .url = "tls://x:9005", .side = EXPLAIN_GATEWAY },
      false,
      { "explain these with https://" } },
    { { .url = "tls://outbound_.3306_._.db.default.svc.cluster.local:9007",
        .side = EXPLAIN_GATEWAY },
      true,
      { "route: auto_passthrough\n", "cluster: outbound_.3306_._.db.default" } },
    { { .url = "tls://db.default.svc.cluster.local:9007", .side = EXPLAIN_GATEWAY },
      false,
      { "its server name is not of the form outbound_.PORT_.SUBSET_.HOST" } },
    { { .url = "tcp://x:9006", .side = EXPLAIN_GATEWAY },
      false,
      { "why: the gateway does not listen" } },
};

static void test_cases(void **state)
{
    (void)state;
    for (int side = EXPLAIN_OUTBOUND; side <= EXPLAIN_GATEWAY; side++) {
        struct mesh *m = load((enum explain_side)side);
        assert_non_null(m);
        for (size_t i = 0; i < NELEMS(cases); i++) {
            AUTO_DONE(buf) told = { 0 };
            if (cases[i].c.side != (enum explain_side)side)
                continue;
            struct explain_outcome out = explain(m, &cases[i].c, &told, false);
            print_message("case: %s\n%.*s", cases[i].c.url, SV_ARG(buf_sv(&told)));
            assert_false(told.failed);
            assert_int_equal(out.is_passed_on, cases[i].is_passed_on);
            assert_true(out.is_passed_on != (out.why[0] != '\0'));
            for (size_t k = 0; k < NELEMS(cases[i].parts) && cases[i].parts[k]; k++)
                assert_true(sv_contains(buf_sv(&told), sv_z(cases[i].parts[k])));
        }
        mesh_unref(m);
    }
}

/* The walk for people ends at the route that connections take. */
static void test_agrees(void **state)
{
    static const char *const names[] = { "a.test", "x.b.test", "b.test", "c.test" };
    struct mesh *m = load(EXPLAIN_OUTBOUND);
    (void)state;
    assert_non_null(m);
    for (size_t i = 0; i < NELEMS(names) * 2; i++) {
        AUTO_DONE(buf) told = { 0 };
        char url[64];
        bool is_tls = i % 2;
        snprintf(url, sizeof(url), "%s://%s:443", is_tls ? "tls" : "tcp", names[i / 2]);
        struct connection c = { .url = url, .side = EXPLAIN_OUTBOUND, .destination = "10.96.0.5" };
        struct ip ip = ip_of_text(SV("10.96.0.5"));
        struct tcp_ask ask = { .is_tls = is_tls,
                               .sni = is_tls ? sv_z(names[i / 2]) : SV_NONE,
                               .destination = ip,
                               .port = 443 };
        assert_ptr_equal(explain(m, &c, &told, true).route,
                         tcp_route(mesh_tcp_by_address(m, &ip, 443), &ask));
    }
    mesh_unref(m);
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *text, *why;
    } wrong[] = {
        { "tcp://db", "expected a port" },
        { "tcp://db:0", "no port" },
        { "tcp://db:3306/x", "without a method, path or headers" },
        { "tls://", "without a method, path or headers" },
        { "tcp://a b:1", "without a method, path or headers" },
        { "GET tcp://db:3306", "expected '[METHOD] http" },
        { "udp://db:53", "tcp://HOST:PORT" },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(wrong); i++) {
        AUTO_DONE(arena) mem = { 0 };
        struct explain_request q = { .port = 0 };
        struct err err = { 0 };
        print_message("case: %s\n", wrong[i].text);
        assert_int_equal(explain_parse(&q, sv_z(wrong[i].text), SV_NONE, &mem, &err), ERR_USAGE);
        assert_non_null(strstr(err.why, wrong[i].why));
    }
    struct explain_request q = { .port = 0 };
    AUTO_DONE(arena) mem = { 0 };
    assert_int_equal(explain_parse(&q, SV("tcp://db:1"), SV("a: b\n"), &mem, NULL), ERR_USAGE);
}

static void test_nomem(void **state)
{
    (void)state;
    struct mesh *m = load(EXPLAIN_OUTBOUND);
    AUTO_DONE(buf) whole = { 0 };
    assert_non_null(m);
    mem_fail_nth(0);
    (void)explain(m, &cases[2].c, &whole, true);
    uint64_t allocations = mem_count();
    assert_true(allocations > 3);
    for (uint64_t n = 1; n <= allocations; n++) {
        AUTO_DONE(buf) told = { 0 };
        mem_fail_nth(n);
        (void)explain(m, &cases[2].c, &told, true);
        mem_fail_nth(0);
        assert_true(told.failed || told.len <= whole.len);
    }
    mesh_unref(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_agrees),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_nomem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
