/* test_tcp_routes.c - connections: whose address it is, which route a server name or an address takes,
 * and what ports are declared to speak. */
#include "base/mem.h"
#include "mesh_fixture.h"
#include "proxy/route/tcp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char objects[] =
    "apiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec:\n  clusterIPs: [10.96.0.5, "
    "'fd00::5']\n"
    "  selector: {app: db}\n  ports:\n  - {name: mysql, port: 3306, targetPort: 13306}\n"
    "  - {name: web, port: 80, targetPort: 8080}\n  - {name: x, appProtocol: https, port: 443}\n"
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: headless}\nspec:\n  clusterIP: None\n"
    "  selector: {app: db}\n  ports: [{name: tcp, port: 13306}]\n"
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: own}\nspec:\n  selector: {app: page}\n"
    "  ports: [{name: redis-x, port: 6379, targetPort: 7379}, {name: http, port: 80, targetPort: "
    "9080}]\n"
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: other}\nspec:\n  clusterIP: 10.96.0.6\n"
    "  ports: [{name: tcp, port: 3306}]\n"
    "---\napiVersion: v1\nkind: Pod\nmetadata: {name: db-1, labels: {app: db, "
    "security.istio.io/tlsMode: istio}}\nspec: {serviceAccountName: db}\nstatus: {podIP: "
    "10.0.0.9}\n"
    "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: out}\nspec:\n"
    "  hosts: [api.example.com]\n  addresses: [192.0.2.1, 198.51.100.0/24]\n  resolution: STATIC\n"
    "  ports: [{number: 443, name: tls, protocol: TLS}, {number: 27017, name: m, protocol: "
    "MONGO}]\n"
    "  endpoints: [{address: 203.0.113.7}]\n"
    "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: "
    "routes}\nspec:\n"
    "  hosts: [db, '*.example.com']\n  tls:\n"
    "  - match: [{port: 443, sniHosts: [a.test, '*.b.test']}]\n"
    "    route: [{destination: {host: other, port: {number: 3306}}}]\n  tcp:\n"
    "  - match: [{port: 3306, destinationSubnets: [10.96.0.0/16]}]\n"
    "    route: [{destination: {host: other}, weight: 1}, {destination: {host: db}, weight: 3}]\n"
    "  - match: [{port: 3306, sourceLabels: {app: stranger}}]\n"
    "    route: [{destination: {host: nobody}}]\n";

static struct mesh *load(const char *more, bool wants_tcp, struct err *err)
{
    struct mesh_conf conf = mesh_fixture_conf();
    const char *texts[] = { objects, more, NULL };
    conf.wants_tcp = wants_tcp;
    conf.self_labels = SV("app=page");
    return mesh_fixture_load_as(&conf, texts, err);
}

static void test_addresses(void **state)
{
    static const struct {
        const char *ip;
        uint16_t port;
        const char *host;
        uint16_t service_port;
        enum port_protocol protocol;
    } cases[] = {
        { "10.96.0.5", 3306, "db.default.svc.cluster.local", 3306, PORT_TCP },
        { "fd00::5", 80, "db.default.svc.cluster.local", 80, PORT_UNNAMED },
        { "10.96.0.5", 443, "db.default.svc.cluster.local", 443, PORT_TLS },
        { "10.96.0.5", 13306, NULL, 0, PORT_UNNAMED },
        { "10.0.0.9", 13306, "db.default.svc.cluster.local", 3306,
          PORT_TCP }, /* of two the first name */
        { "10.0.0.9", 8080, "db.default.svc.cluster.local", 80, PORT_UNNAMED },
        { "10.96.0.6", 3306, "other.default.svc.cluster.local", 3306, PORT_TCP },
        { "192.0.2.1", 443, "api.example.com", 443, PORT_TLS },
        { "192.0.2.1", 27017, "api.example.com", 27017, PORT_TCP },
        { "203.0.113.7", 443, "api.example.com", 443, PORT_TLS },
        { "198.51.100.1", 443, NULL, 0,
          PORT_UNNAMED }, /* the server name has a say: test_tcp_nets.c */
        { "198.51.100.1", 27017, "api.example.com", 27017, PORT_TCP },
    };
    struct mesh *m = load(NULL, true, NULL);
    (void)state;
    assert_non_null(m);
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct ip ip = ip_of_text(sv_z(cases[i].ip));
        const struct tcp_service *s = mesh_tcp_by_address(m, &ip, cases[i].port);
        print_message("case: %s %u\n", cases[i].ip, cases[i].port);
        assert_true((s != NULL) == (cases[i].host != NULL));
        if (!s)
            continue;
        assert_true(sv_eq(s->host, sv_z(cases[i].host)));
        assert_int_equal(s->port, cases[i].service_port);
        assert_int_equal(s->protocol, cases[i].protocol);
        assert_true(s->entries_len > 0);
    }
    struct ip unknown = { .is_known = false };
    assert_null(mesh_tcp_by_address(m, &unknown, 0));
    mesh_unref(m);
}

static struct sv where(const struct tcp_service *s, const struct tcp_ask *ask, uint64_t random)
{
    const struct route *r = tcp_route(s, ask);
    return r ? route_pick(r, random)->cluster->name : SV("nowhere");
}

static void test_routes(void **state)
{
    static const struct {
        const char *name, *host;
        uint16_t port;
        bool is_tls;
        const char *sni, *destination;
        uint64_t random;
        const char *want;
    } cases[] = {
#define OTHER "outbound|3306||other.default.svc.cluster.local"
        { "by server name", "db", 443, true, "a.test", "", 0, OTHER },
        { "by its suffix", "db", 443, true, "x.y.b.test", "", 0, OTHER },
        { "not the suffix itself", "db", 443, true, "b.test", "", 0,
          "outbound|443||db.default.svc.cluster.local" },
        { "without TLS", "db", 443, false, "a.test", "", 0,
          "outbound|443||db.default.svc.cluster.local" },
        { "without a name", "db", 443, true, "", "", 0,
          "outbound|443||db.default.svc.cluster.local" },
        { "by subnet", "db.default", 3306, false, "", "10.96.0.5", 0, OTHER },
        { "by weight", "db", 3306, false, "", "10.96.0.5", UINT64_MAX,
          "outbound|3306||db.default.svc.cluster.local" },
        { "by subnet, another", "db", 3306, false, "", "10.97.0.5", 0,
          "outbound|3306||db.default.svc.cluster.local" },
        { "address not known", "db", 3306, false, "", "", 0,
          "outbound|3306||db.default.svc.cluster.local" },
        { "a wildcard of hosts", "api.example.com", 443, true, "a.test", "", 0, OTHER },
        { "by itself", "other", 3306, false, "", "", 0, OTHER },
#undef OTHER
    };
    struct mesh *m = load(NULL, true, NULL);
    (void)state;
    assert_non_null(m);
    for (size_t i = 0; i < NELEMS(cases); i++) {
        const struct tcp_service *s = mesh_tcp_by_host(m, sv_z(cases[i].host), cases[i].port);
        struct tcp_ask ask = { .is_tls = cases[i].is_tls,
                               .sni = sv_z(cases[i].sni),
                               .destination = ip_of_text(sv_z(cases[i].destination)),
                               .port = cases[i].port };
        assert_non_null(s);
        struct sv got = where(s, &ask, cases[i].random);
        print_message("case: %s: %.*s\n", cases[i].name, SV_ARG(got));
        assert_true(sv_eq(got, sv_z(cases[i].want)));
    }
    assert_true(mesh_tcp_by_host(m, SV("db"), 443)->wants_sni);
    assert_false(mesh_tcp_by_host(m, SV("db"), 3306)->wants_sni);
    assert_null(mesh_tcp_by_host(m, SV("db"), 3307));
    assert_null(mesh_tcp_by_host(m, SV("nobody"), 3306));
    mesh_unref(m);
}

static void test_only_when_wanted(void **state)
{
    struct mesh *m = load(NULL, false, NULL);
    struct ip ip = ip_of_text(SV("10.96.0.5"));
    (void)state;
    assert_non_null(m);
    assert_null(mesh_tcp_by_host(m, SV("db"), 3306));
    assert_null(mesh_tcp_by_address(m, &ip, 3306));
    assert_int_equal(mesh_own_protocol(m, 7379), PORT_TCP); /* this is always known */
    assert_int_equal(mesh_own_protocol(m, 9080), PORT_HTTP);
    assert_int_equal(mesh_own_protocol(m, 6379), PORT_UNNAMED);
    assert_true(sv_eq(mesh_own_service(m, 1, 7379), SV("own.default.svc.cluster.local")));
    assert_int_equal(mesh_own_service(m, 1, 2).len, 0);
    mesh_unref(m);
}

static const char gateway[] =
    "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n"
    "  selector: {app: page}\n  servers:\n"
    "  - {port: {number: 9001, name: t, protocol: MYSQL}, hosts: ['*']}\n"
    "  - {port: {number: 9002, name: p, protocol: TLS}, hosts: ['*.test'], tls: {mode: "
    "PASSTHROUGH}}\n"
    "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n"
    "  hosts: ['*']\n  gateways: [g]\n"
    "  tls: [{match: [{port: 9002, sniHosts: [a.test]}], route: [{destination: {host: db, port: "
    "{number: 443}}}]}]\n"
    "  tcp: [{match: [{port: 9001}], route: [{destination: {host: db, port: {number: 3306}}}]}]\n";

static void test_gateway(void **state)
{
    struct mesh_conf conf = mesh_fixture_conf();
    const char *texts[] = { objects, gateway, NULL };
    struct tcp_ask ask = { .is_tls = true, .sni = SV("a.test") }, plain = { .is_tls = false };
    conf.is_gateway = true;
    conf.self_labels = SV("app=page");
    struct mesh *m = mesh_fixture_load_as(&conf, texts, NULL);
    (void)state;
    assert_non_null(m);
    const struct tcp_service *s = mesh_gateway_tcp(m, 9001);
    assert_true(s && s->protocol == PORT_TCP && !s->wants_sni);
    assert_true(sv_eq(where(s, &plain, 0), SV("outbound|3306||db.default.svc.cluster.local")));
    s = mesh_gateway_tcp(m, 9002);
    assert_true(s && s->wants_sni);
    assert_true(sv_eq(where(s, &ask, 0), SV("outbound|443||db.default.svc.cluster.local")));
    assert_true(sv_eq(where(s, &plain, 0), SV("nowhere")));
    assert_null(mesh_gateway_tcp(m, 9003));
    mesh_unref(m);
}

static const char east_west[] =
    "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n"
    "  selector: {app: page}\n  servers:\n"
    "  - {port: {number: 9001, name: a, protocol: TLS}, hosts: ['*.local'], tls: {mode: "
    "AUTO_PASSTHROUGH}}\n"
    "  - {port: {number: 9002, name: b, protocol: TLS}, hosts: ['*.com'], tls: {mode: "
    "AUTO_PASSTHROUGH}}\n"
    "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\nspec:\n"
    "  host: db\n  trafficPolicy: {tls: {mode: ISTIO_MUTUAL, sni: other.test}}\n"
    "  subsets: [{name: V1, labels: {version: v1}}]\n"
    "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n"
    "  hosts: ['*']\n  gateways: [g]\n"
    "  tls: [{match: [{port: 9001, sniHosts: [a.test]}], route: [{destination: {host: db, port: "
    "{number: 443}}}]}]\n";

static void test_by_name(void **state)
{
    static const struct {
        const char *sni, *want;
        uint16_t port;
        bool is_tls;
    } cases[] = {
#define OF_DB "db.default.svc.cluster.local"
        { "outbound_.3306_._." OF_DB, "outbound_.3306_._." OF_DB, 9001, true },
        { "outbound_.443_._." OF_DB, "outbound_.443_._." OF_DB, 9001, true },
        { "outbound_.80_.v1_." OF_DB, "outbound_.80_.V1_." OF_DB, 9001, true },
        { "outbound_.80_.v2_." OF_DB, "nowhere", 9001, true },
        { "outbound_.81_._." OF_DB, "nowhere", 9001, true },
        { "outbound_.80_._.nobody.default.svc.cluster.local", "nowhere", 9001, true },
        { "outbound_.443_._.api.example.com", "nowhere", 9002, true }, /* of a ServiceEntry */
        { "outbound_.80_._." OF_DB, "nowhere", 9002, true },
        { "outbound_.80_._." OF_DB, "nowhere", 9001, false },
        { OF_DB, "nowhere", 9001, true },
        { "other.test", "nowhere", 9001, true },
        { "", "nowhere", 9001, true },
        { "a.test", "outbound|443||" OF_DB, 9001, true }, /* routes are asked first */
    };
    struct mesh_conf conf = mesh_fixture_conf();
    const char *texts[] = { objects, east_west, NULL };
    conf.is_gateway = true;
    conf.self_labels = SV("app=page");
    struct mesh *m = mesh_fixture_load_as(&conf, texts, NULL);
    (void)state;
    assert_non_null(m);
    for (size_t i = 0; i < NELEMS(cases); i++) {
        const struct tcp_service *s = mesh_gateway_tcp(m, cases[i].port);
        struct tcp_ask ask = { .is_tls = cases[i].is_tls, .sni = sv_z(cases[i].sni) };
        print_message("case: %s\n", cases[i].sni);
        assert_true(sv_eq(where(s, &ask, 0), sv_z(cases[i].want)));
        assert_int_equal(tcp_is_unopened(s, &ask), tcp_route(s, &ask) != NULL);
    }
    struct tcp_ask ask = { .is_tls = true, .sni = SV("outbound_.3306_._." OF_DB) };
    const struct route *r = tcp_route(mesh_gateway_tcp(m, 9001), &ask);
    assert_int_equal(r->targets[0].cluster->tls, TLS_MODE_DISABLE); /* it is TLS already */
    assert_int_equal(r->targets[0].cluster->endpoints_len, 1);
    ask.sni = SV("a.test");
    r = tcp_route(mesh_gateway_tcp(m, 9001), &ask);
    assert_true(sv_eq(r->targets[0].cluster->sni, SV("other.test")));
    assert_true(mesh_gateway_tcp(m, 9001)->wants_sni);
    assert_false(mesh_gateway_tcp(m, 9002)->wants_sni);
    mesh_unref(m);
#undef OF_DB
}

/* An endpoint whose PeerAuthentication says DISABLE is spoken to in plaintext. */
static void test_disabled_endpoints(void **state)
{
#define AUTH(spec)                                                                                 \
    "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p}\nspec: " spec \
    "\n"
    static const struct {
        const char *yaml;
        bool on_3306, on_80;
    } cases[] = {
        { AUTH("{mtls: {mode: STRICT}}"), true, true },
        { AUTH("{mtls: {mode: DISABLE}}"), false, false },
        { AUTH("{selector: {matchLabels: {app: db}}, mtls: {mode: DISABLE}}"), false, false },
        { AUTH("{selector: {matchLabels: {app: x}}, mtls: {mode: DISABLE}}"), true, true },
        { AUTH("{selector: {matchLabels: {app: db}}, portLevelMtls: {13306: {mode: DISABLE}}}"),
          false, true },
    };
#undef AUTH
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct mesh *m = load(cases[i].yaml, true, NULL);
        print_message("case: %s", cases[i].yaml);
        assert_non_null(m);
        for (int k = 0; k < 2; k++) {
            struct tcp_ask ask = { .port = k ? 80 : 3306 };
            const struct tcp_service *s = mesh_tcp_by_host(m, SV("db"), ask.port);
            const struct cluster *c = route_pick(tcp_route(s, &ask), 0)->cluster;
            assert_int_equal(c->endpoints_len, 1);
            assert_true(c->endpoints[0]->has_sidecar == (k ? cases[i].on_80 : cases[i].on_3306));
        }
        mesh_unref(m);
    }
}

/* Only the caller's address is a key that connections have. */
static void test_hash(void **state)
{
#define RULE(host, key)                                                                            \
    "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: h}\nspec: "       \
    "{host: " host ", trafficPolicy: {loadBalancer: {consistentHash: {" key "}}}}\n"
    static const struct {
        const char *yaml;
        bool warns;
    } cases[] = {
        { RULE("other", "useSourceIp: true"), false },
        { RULE("other", "httpHeaderName: x"), true },
        { RULE("other", "httpQueryParameterName: x"), true },
        { RULE("other", "httpCookie: {name: x}"), true },
        { RULE("web", "httpHeaderName: x"), false },
        { "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{name: http, port: "
          "80}]}\n---\n" RULE("web", "httpHeaderName: x"),
          false },
    };
#undef RULE
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct mesh *m = load(cases[i].yaml, true, NULL);
        print_message("case: %s", cases[i].yaml);
        assert_non_null(m);
        assert_int_equal(mesh_fixture_warns(m, "consistentHash only knows useSourceIp"),
                         cases[i].warns);
        mesh_unref(m);
    }
}

static void test_mistakes(void **state)
{
#define VS(spec)                                                                                   \
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec: "        \
    "{hosts: [db], " spec "}\n"
    static const struct {
        const char *yaml, *part;
    } cases[] = {
        { VS("tls: [{route: [{destination: {host: db}}]}]"), "match is missing" },
        { VS("tls: [{match: [{port: 443}], route: [{destination: {host: db}}]}]"),
          "sniHosts is missing" },
        { VS("tls: [{match: [{sniHosts: ['a*']}], route: [{destination: {host: db}}]}]"),
          "expected a server name" },
        { VS("tcp: [{match: [{destinationSubnets: [10.0.0.0/99]}], route: [{destination: {host: "
             "db}}]}]"),
          "10.0.0.0/99" },
        { VS("tcp: [{match: [{port: 80}]}]"), "route is missing" },
        { VS("tcp: [1]"), "expected a mapping" },
    };
#undef VS
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct err err = { 0 };
        struct mesh *m = load(cases[i].yaml, true, &err);
        print_message("case: %s (%s)\n", cases[i].part, err.why);
        assert_null(m);
        assert_non_null(strstr(err.why, cases[i].part));
    }
}

static void test_allocations(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct err err = { 0 };
        mem_fail_nth(nth);
        struct mesh *m = load(NULL, true, &err);
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
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_only_when_wanted),
        cmocka_unit_test(test_gateway),
        cmocka_unit_test(test_disabled_endpoints),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_allocations),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
