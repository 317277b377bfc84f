/* test_mesh.c - from files to routes: hosts, rules, subsets, identities, policies. */
#include "base/clock.h"
#include "base/mem.h"
#include "mesh_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define VS(name, hosts, http)                                                                      \
    "apiVersion: networking.istio.io/v1beta1\nkind: VirtualService\nmetadata: {name: " name        \
    "}\nspec:\n  hosts: " hosts "\n  http:\n" http

/* 05-reviews-header-and-weights.yaml of the document, as it is. */
static const char reviews_split[] = VS(
    "reviews", "[reviews]",
    "  - match:\n    - headers:\n        end-user:\n          exact: jason\n    route:\n"
    "    - destination:\n        host: reviews\n        subset: v2\n"
    "  - route:\n    - destination:\n        host: reviews\n        subset: v1\n      weight: 90\n"
    "    - destination:\n        host: reviews\n        subset: v3\n      weight: 10\n");

static struct mesh *load(const char *a, const char *b)
{
    struct err err = { 0 };
    const char *texts[] = { a, b, NULL };
    struct mesh *m = mesh_fixture_load(texts, &err);
    if (!m)
        print_message("%s\n", err.why);
    assert_non_null(m);
    return m;
}

static const struct cluster *target(const struct mesh *m, const char *authority, const char *path,
                                    const char *header, const char *value, uint16_t port)
{
    struct http_header slots[2] = { { sv_z(header), sv_z(value) }, { SV_NONE, SV_NONE } };
    struct http_head req = mesh_fixture_request(authority, path, slots);
    const struct route *r = mesh_route(m, &req, port);
    return r ? route_pick(r, 0)->cluster : NULL;
}

static void assert_text(struct sv got, const char *want)
{
    if (!sv_eq(got, sv_z(want)))
        print_message("got '%.*s', want '%s'\n", SV_ARG(got), want ? want : "");
    assert_true(sv_eq(got, sv_z(want)));
}

static void test_hosts(void **state)
{
    static const struct {
        const char *authority, *cluster;
        uint16_t port;
    } cases[] = {
        { "reviews", "outbound|9080||reviews.default.svc.cluster.local", 0 },
        { "Reviews.Default", "outbound|9080||reviews.default.svc.cluster.local", 0 },
        { "reviews.default.svc:9080", "outbound|9080||reviews.default.svc.cluster.local", 0 },
        { "reviews.default.svc.cluster.local.", "outbound|9080||reviews.default.svc.cluster.local",
          9080 },
        { "reviews:1", "outbound|9080||reviews.default.svc.cluster.local", 0 },
        { "ratings", "outbound|9080||ratings.default.svc.cluster.local", 0 },
        { "ratings:7000", "outbound|7000||ratings.default.svc.cluster.local", 0 },
        { "ratings", "outbound|7000||ratings.default.svc.cluster.local", 7000 },
        { "ratings.other", NULL, 0 },
        { "example.com", NULL, 0 },
        { "", NULL, 0 },
        { "[::1]:80", NULL, 0 },
        { "reviews:x", NULL, 0 },
    };
    struct mesh *m = load(mesh_fixture_reviews, NULL);
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        print_message("case: %s\n", cases[i].authority);
        const struct cluster *c = target(m, cases[i].authority, "/", NULL, NULL, cases[i].port);
        assert_int_equal(c != NULL, cases[i].cluster != NULL);
        if (c)
            assert_text(c->name, cases[i].cluster);
    }
    assert_text(mesh_service_fqdn(m, SV("reviews:9080")), "reviews.default.svc.cluster.local");
    assert_int_equal(mesh_service_fqdn(m, SV("example.com")).len, 0);
    mesh_unref(m);
}

static void test_endpoints(void **state)
{
    struct mesh *m = load(mesh_fixture_reviews, NULL);
    const struct cluster *c = target(m, "reviews", "/", NULL, NULL, 0);
    (void)state;
    assert_int_equal(c->endpoints_len, 3);
    const struct endpoint *e = mesh_endpoint_by_ip(m, SV("10.0.0.2"));
    assert_non_null(e);
    assert_int_equal(e->port, 15006);
    assert_true(e->has_sidecar);
    assert_text(e->pod, "reviews-v2-5d4f8c-bbbbb");
    assert_text(e->identity.cluster, "demo");
    assert_text(e->identity.namespace, "default");
    assert_text(e->identity.workload, "reviews-v2");
    assert_text(e->identity.service, "reviews");
    assert_text(e->identity.version, "v2");
    assert_text(e->identity.principal, "spiffe://cluster.local/ns/default/sa/bookinfo-reviews");
    c = target(m, "ratings", "/", NULL, NULL, 0); /* one of three is not ready */
    assert_int_equal(c->endpoints_len, 2);
    assert_int_equal(c->endpoints[0]->port, 15006);
    assert_false(c->endpoints[0]->has_sidecar);
    assert_text(c->sni, "outbound_.9080_._.ratings.default.svc.cluster.local");
    assert_true(c->connect_timeout_ns == 10 * NS_PER_S);
    assert_null(mesh_endpoint_by_ip(m, SV("10.0.0.9")));
    mesh_unref(m);
}

/* The own Pod is found although no Service selects it, as a gateway's often is. */
static void test_self(void **state)
{
    static const char pod[] =
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: productpage-v1-5d4f8c-ccccc\n"
        "  labels: {app: shop, version: v1, pod-template-hash: 5d4f8c}\n"
        "  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: productpage-v1-5d4f8c, "
        "controller: true}]\nspec: {serviceAccountName: shop}\nstatus: {podIP: 10.0.0.77}\n";
    struct mesh *m = load(mesh_fixture_reviews, NULL);
    (void)state;
    assert_null(mesh_self(m));
    mesh_unref(m);
    m = load(mesh_fixture_reviews, pod);
    assert_non_null(mesh_self(m));
    assert_text(mesh_self(m)->service, "shop");
    assert_text(mesh_self(m)->version, "v1");
    mesh_unref(m);
}

static void test_header_and_weights(void **state)
{
    struct mesh *m = load(mesh_fixture_reviews, reviews_split);
    (void)state;
    const struct cluster *c = target(m, "reviews", "/", "End-User", "jason", 0);
    assert_text(c->name, "outbound|9080|v2|reviews.default.svc.cluster.local");
    assert_int_equal(c->endpoints_len, 1);
    assert_text(c->endpoints[0]->address, "10.0.0.2");
    struct http_head req = mesh_fixture_request("reviews", "/", NULL);
    const struct route *r = mesh_route(m, &req, 0);
    size_t v1 = 0;
    for (uint64_t i = 0; i < 1000; i++) /* evenly spaced, so the split is exact */
        v1 += sv_eq(route_pick(r, i * (UINT64_MAX / 1000) + 1)->cluster->subset, SV("v1"));
    assert_in_range(v1, 899, 901);
    assert_text(r->name, "reviews.http[1]");
    assert_true(mesh_fixture_warns(m, "00.yaml") == false);
    assert_true(mesh_fixture_warns(m, "subset 'v1' of reviews.default.svc.cluster.local is defined "
                                      "by no DestinationRule"));
    mesh_unref(m);
}

static void test_destination_rule(void **state)
{
    static const char rule[] =
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: reviews}\n"
        "spec:\n  host: reviews.default.svc.cluster.local\n  trafficPolicy:\n"
        "    tls: {mode: ISTIO_MUTUAL}\n    connectionPool: {tcp: {connectTimeout: 250ms}}\n"
        "    loadBalancer: {simple: RANDOM, warmup: {duration: 1s}}\n  subsets:\n"
        "  - {name: v1, labels: {version: v1}}\n"
        "  - {name: v3, labels: {version: v3}, trafficPolicy: {tls: {mode: DISABLE}}}\n"
        "  - {name: v2, labels: {version: v9}}\n";
    const char *texts[] = { mesh_fixture_reviews, reviews_split, rule, NULL };
    struct mesh *m = mesh_fixture_load(texts, NULL);
    (void)state;
    assert_non_null(m);
    struct http_head req = mesh_fixture_request("reviews", "/", NULL);
    const struct route *r = mesh_route(m, &req, 0);
    assert_int_equal(r->targets[0].cluster->tls, TLS_MODE_ISTIO_MUTUAL);
    assert_int_equal(r->targets[1].cluster->tls, TLS_MODE_DISABLE);
    assert_true(r->targets[0].cluster->connect_timeout_ns == 250 * NS_PER_MS);
    assert_int_equal(target(m, "reviews", "/", "end-user", "jason", 0)->endpoints_len, 0);
    assert_true(mesh_fixture_warns(m, "02.yaml:9:36: DestinationRule reviews: "
                                      "trafficPolicy.loadBalancer.warmup is not supported yet"));
    assert_true(mesh_fixture_warns(m, "subset 'v2' of reviews.default.svc.cluster.local has no "
                                      "endpoints"));
    mesh_unref(m);
}

static void test_service_entry(void **state)
{
    static const char entry[] =
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: out}\nspec:\n"
        "  hosts: [API.partner.example, other.example, '*.wild.example']\n  location: "
        "MESH_EXTERNAL\n  resolution: STATIC\n  ports: [{number: 80, name: http, protocol: HTTP, "
        "targetPort: 8080}]\n  endpoints:\n  - {address: 192.0.2.1}\n"
        "  - {address: 192.0.2.2, ports: {http: 9090}}\n  - {address: a.name}\n"
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: pods}\n"
        "spec:\n  hosts: [pods.example]\n  resolution: STATIC\n  ports: [{number: 80, name: http, "
        "protocol: HTTP, targetPort: 1234}]\n  workloadSelector: {labels: {app: reviews}}\n";
    struct mesh *m = load(mesh_fixture_reviews, entry);
    (void)state;
    const struct cluster *c = target(m, "api.partner.example", "/", NULL, NULL, 0);
    assert_text(c->name, "outbound|80||api.partner.example");
    assert_int_equal(c->endpoints_len, 2);
    assert_int_equal(c->endpoints[0]->port + c->endpoints[1]->port, 8080 + 9090);
    assert_non_null(target(m, "other.example:80", "/", NULL, NULL, 0));
    c = target(m, "pods.example", "/", NULL, NULL, 0);
    assert_true(c->endpoints_len == 3 && c->endpoints[0]->port == 1234);
    assert_null(target(m, "x.wild.example", "/", NULL, NULL, 0));
    assert_true(mesh_fixture_warns(m, "'a.name' is no address"));
    assert_true(mesh_fixture_warns(m, "hosts with a star are not looked up"));
    assert_true(mesh_lets_out(m, SV("x.wild.example"), 80, false));
    mesh_unref(m);
}

/* A subset overrides its rule block by block; what stands for a port inherits nothing. */
static void test_traffic_policies(void **state)
{
    static const char rules[] =
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: reviews}\n"
        "spec:\n  host: reviews\n  trafficPolicy:\n    loadBalancer: {simple: RANDOM}\n"
        "    connectionPool: {tcp: {maxConnections: 7, connectTimeout: 3s}}\n"
        "    tls: {mode: DISABLE}\n  subsets:\n  - name: v1\n    labels: {version: v1}\n"
        "    trafficPolicy:\n      connectionPool: {http: {http2MaxRequests: 5}}\n"
        "  - name: v2\n    labels: {version: v2}\n    trafficPolicy:\n"
        "      portLevelSettings:\n      - port: {number: 9080}\n        loadBalancer: {simple: "
        "ROUND_ROBIN}\n";
    const char *texts[] = { mesh_fixture_reviews, reviews_split, rules, NULL };
    (void)state;
    struct mesh *with = mesh_fixture_load(texts, NULL);
    assert_non_null(with);
    const struct cluster *v1 = target(with, "reviews", "/", NULL, NULL, 0);
    assert_text(v1->subset, "v1");
    assert_true(v1->lb == LB_RANDOM && v1->tls == TLS_MODE_DISABLE);
    assert_true(v1->limits->requests_max == 5 && v1->limits->connections_max == UINT32_MAX);
    assert_true(v1->connect_timeout_ns == 10 * NS_PER_S);
    const struct cluster *v2 = target(with, "reviews", "/", "end-user", "jason", 0);
    assert_text(v2->subset, "v2");
    assert_true(v2->lb == LB_ROUND_ROBIN && v2->tls == TLS_MODE_AUTO && !v2->limits);
    mesh_unref(with);
}

/* What ports are declared to speak, towards others and towards the workload itself. */
static void test_port_protocols(void **state)
{
    static const char yaml[] =
        "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  selector: {app: s}\n  "
        "ports:\n"
        "  - {name: grpc-api, port: 1, targetPort: 101}\n  - {name: http2, port: 2, targetPort: "
        "102}\n"
        "  - {name: http, port: 3, targetPort: 103}\n"
        "  - {name: x, appProtocol: kubernetes.io/h2c, port: 4, targetPort: 104}\n"
        "  - {name: whatever, port: 5, targetPort: 105}\n---\n"
        "apiVersion: v1\nkind: Pod\nmetadata: {name: s-1, labels: {app: s}}\n"
        "status: {phase: Running, podIP: 127.1.9.1}\n---\n"
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: s}\n"
        "spec:\n  host: s\n  trafficPolicy:\n    connectionPool:\n"
        "      http: {h2UpgradePolicy: UPGRADE, useClientProtocol: true, maxConcurrentStreams: "
        "7}\n";
    static const enum port_protocol want[] = { PORT_GRPC, PORT_HTTP2, PORT_HTTP, PORT_HTTP2,
                                               PORT_UNNAMED };
    const char *texts[] = { yaml, NULL };
    struct mesh_conf conf = mesh_fixture_conf();
    (void)state;
    conf.self_labels = SV("app=s");
    struct mesh *m = mesh_fixture_load_as(&conf, texts, NULL);
    assert_non_null(m);
    for (uint16_t i = 0; i < NELEMS(want); i++) {
        char host[8];
        snprintf(host, sizeof(host), "s:%u", i + 1);
        struct http_header slots[8] = { 0 };
        struct http_head req = mesh_fixture_request(host, "/", slots);
        const struct route *route = mesh_route(m, &req, (uint16_t)(i + 1));
        assert_non_null(route);
        const struct cluster *c = route->targets[0].cluster;
        assert_int_equal(c->protocol, want[i]);
        assert_true(c->limits->upgrades_h2 && c->limits->follows_caller && !c->limits->stays_h1);
        assert_int_equal(c->limits->streams_max, 7);
        assert_int_equal(mesh_own_protocol(m, (uint16_t)(101 + i)), want[i]);
    }
    assert_int_equal(mesh_own_protocol(m, 1), PORT_UNNAMED);
    mesh_unref(m);
}

static void test_match_blocks(void **state)
{
    static const char yaml[] = VS(
        "reviews", "[reviews]",
        "  - match:\n    - {uri: {prefix: /api}, method: {exact: GET}, name: read}\n"
        "    - {uri: {regex: '/v[0-9]+'}}\n    name: api\n    timeout: 1m30s\n"
        "    route: [{destination: {host: reviews, subset: v1}}]\n"
        "  - match: [{queryParams: {debug: {exact: ''}}}, {headers: {x-debug: {}}}]\n"
        "    route: [{destination: {host: reviews, subset: v2}}]\n"
        "  - match: [{withoutHeaders: {cookie: {}}}, {sourceLabels: {app: nobody}}]\n"
        "    route: [{destination: {host: reviews, subset: v3}}]\n");
    static const struct {
        const char *path, *header, *subset, *name;
    } cases[] = {
        { "/api/x?y", NULL, "v1", "api.read" },
        { "/apix", NULL, "v1", "api.read" },
        { "/v12", NULL, "v1", "api" },
        { "/v12/", NULL, "v3", "reviews.http[2]" },
        { "/?debug", "cookie", "v2", "reviews.http[1]" },
        { "/?a=b&debug=", "cookie", "v2", "reviews.http[1]" },
        { "/?debug=1", "cookie", NULL, NULL },
        { "/", "x-debug", "v2", "reviews.http[1]" },
        { "/", NULL, "v3", "reviews.http[2]" },
        { "/", "cookie", NULL, NULL },
    };
    struct mesh *m = load(mesh_fixture_reviews, yaml);
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct http_header slots[2] = { { sv_z(cases[i].header), SV("1") }, { SV_NONE, SV_NONE } };
        struct http_head req = mesh_fixture_request("reviews", cases[i].path, slots);
        const struct route *r = mesh_route(m, &req, 0);
        print_message("case: %s\n", cases[i].path);
        assert_int_equal(r != NULL, cases[i].subset != NULL);
        if (!r)
            continue;
        assert_text(r->targets[0].cluster->subset, cases[i].subset);
        assert_text(r->name, cases[i].name);
        assert_true(r->timeout_ns == (cases[i].subset[1] == '1' ? 90 * NS_PER_S : 0));
    }
    mesh_unref(m);
}

static void test_errors_have_a_place(void **state)
{
    static const struct {
        const char *yaml, *why;
    } cases[] = {
        { "a: [", "00.yaml:2:1: not YAML: " },
        { "kind: Service\n", "00.yaml:1:1: Service : metadata.name is missing" },
        { "apiVersion: v1\nmetadata: {name: x}\n", "00.yaml:1:1: this is no Kubernetes object" },
        { "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec:\n  ports:\n  - port: \"80\"\n",
          "00.yaml:6:11: Service x: ports[0].port: expected a port from 1 to 65535, found the text "
          "\"80\"" },
        { "a: 1\na: 2\n", "00.yaml:2:1: key 'a' is given twice (first in line 1)" },
        { "a: &x 1\nb: *x\n", "00.yaml:2:4: YAML aliases are not supported" },
        { VS("v", "[a]", "  - {timeout: soon, route: [{destination: {host: a}}]}\n"),
          "00.yaml:7:15: VirtualService v: http[0].timeout: expected a duration such as 5s" },
        { VS("v", "[a]", "  - route: [{destination: {host: a}, weight: -1}]\n"),
          "00.yaml:7:46: VirtualService v: http[0].route[0].weight: expected a whole number" },
        { VS("v", "[a]", "  - route: [{destination: {host: a}}, {destination: {host: b}}]\n"),
          "00.yaml:7:12: VirtualService v: http[0].route: the weights must have a sum above 0" },
        { VS("v", "[a]", "  - match: [{uri: {regex: '('}}]\n"),
          "00.yaml:7:27: VirtualService v: http[0].match[0].uri.regex: not a regular expression" },
        { VS("v", "[a]", "  - match: [{uri: /x}]\n"),
          "00.yaml:7:19: VirtualService v: http[0].match[0].uri: expected a mapping, found '/x'" },
        { VS("v", "['a*']", ""), "00.yaml:5:11: VirtualService v: hosts[0]: expected a host" },
        { "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p}\n"
          "spec: {mtls: {mode: strict}}\n",
          "00.yaml:4:21: PeerAuthentication p: mtls.mode: expected one of UNSET, DISABLE, "
          "PERMISSIVE, STRICT, found 'strict'" },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct err err = { 0 };
        const char *texts[] = { cases[i].yaml, NULL };
        assert_null(mesh_fixture_load(texts, &err));
        if (!strstr(err.why, cases[i].why))
            print_message("got  %s\nwant %s\n", err.why, cases[i].why);
        assert_non_null(strstr(err.why, cases[i].why));
    }
}

static void test_gateway(void **state)
{
    static const char yaml[] =
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec:\n"
        "  selector: {istio: ingress}\n  servers:\n"
        "  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*.example.com']}\n"
        "  - {port: {number: 443, name: s, protocol: HTTPS}, hosts: ['*']}\n"
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: api}\n"
        "spec:\n  hosts: [api.example.com, api.other.org]\n  gateways: [gw]\n  http:\n"
        "  - route: [{destination: {host: reviews}}]\n";
    const char *texts[] = { mesh_fixture_reviews, yaml, NULL };
    struct mesh_conf conf = mesh_fixture_conf();
    struct http_head api = mesh_fixture_request("api.example.com:8080", "/", NULL);
    struct http_head other = mesh_fixture_request("api.other.org", "/", NULL);
    struct http_head service = mesh_fixture_request("reviews", "/", NULL);
    const struct gateway_port *ports;
    struct mesh *m = mesh_fixture_load(texts, NULL);
    (void)state;
    assert_null(mesh_route(m, &api, 0)); /* a sidecar has only its own and "mesh" routes */
    mesh_unref(m);
    conf.is_gateway = true;
    conf.self_labels = SV("istio=ingress,app=gateway");
    m = mesh_fixture_load_as(&conf, texts, NULL);
    assert_non_null(m);
    assert_non_null(mesh_route(m, &api, 0));
    assert_null(mesh_route(m, &other, 0));
    assert_null(mesh_route(m, &service, 0)); /* services are not exposed by themselves */
    assert_text(mesh_service_fqdn(m, SV("reviews")), "reviews.default.svc.cluster.local");
    assert_int_equal(mesh_gateway_ports(m, &ports), 1);
    assert_int_equal(ports[0].number, 80);
    assert_true(mesh_fixture_warns(m, "host api.other.org is served by none of its gateways"));
    mesh_unref(m);
}

#define PEER(name, ns, spec)                                                                       \
    "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: " name      \
    ", namespace: " ns "}\nspec: " spec "\n"

static void test_peer_authentication(void **state)
{
    static const struct {
        const char *yaml;
        enum mtls_mode all, port;
    } cases[] = {
        { "", MTLS_PERMISSIVE, MTLS_PERMISSIVE },
        { PEER("a", "istio-system", "{mtls: {mode: STRICT}}"), MTLS_STRICT, MTLS_STRICT },
        { PEER("a", "production", "{mtls: {mode: STRICT}}"), MTLS_PERMISSIVE, MTLS_PERMISSIVE },
        { PEER("a", "istio-system", "{mtls: {mode: STRICT}}")
              PEER("b", "default", "{mtls: {mode: DISABLE}}"),
          MTLS_DISABLE, MTLS_DISABLE },
        { PEER("b", "default", "{mtls: {mode: STRICT}}") PEER(
              "c", "default",
              "{selector: {matchLabels: {app: page}}, portLevelMtls: {9080: {mode: PERMISSIVE}}}"),
          MTLS_STRICT, MTLS_PERMISSIVE },
        { PEER("b", "default", "{selector: {matchLabels: {app: other}}, mtls: {mode: STRICT}}"),
          MTLS_PERMISSIVE, MTLS_PERMISSIVE },
        /* what is not set is inherited, level by level; a port's UNSET is the workload's mode */
        { PEER("a", "istio-system", "{mtls: {mode: STRICT}}")
              PEER("b", "default", "{mtls: {mode: UNSET}}"),
          MTLS_STRICT, MTLS_STRICT },
        { PEER("b", "default", "{mtls: {mode: DISABLE}}")
              PEER("c", "default", "{selector: {matchLabels: {app: page}}}"),
          MTLS_DISABLE, MTLS_DISABLE },
        { PEER("c", "default",
               "{selector: {matchLabels: {app: page}}, mtls: {mode: STRICT}, portLevelMtls: {9080: "
               "{mode: UNSET}}}"),
          MTLS_STRICT, MTLS_STRICT },
        { PEER("c", "default",
               "{selector: {matchLabels: {app: page}}, mtls: {mode: STRICT}, portLevelMtls: {9080: "
               "{mode: DISABLE}}}"),
          MTLS_STRICT, MTLS_DISABLE },
        { PEER("b", "default", "{mtls: {mode: STRICT}, portLevelMtls: {9080: {mode: DISABLE}}}"),
          MTLS_STRICT, MTLS_STRICT }, /* ports need a selector */
        { PEER("a", "istio-system", "{selector: {matchLabels: {app: page}}, mtls: {mode: STRICT}}"),
          MTLS_PERMISSIVE, MTLS_PERMISSIVE }, /* one in the root namespace is ignored */
        { PEER("a", "istio-system", "{selector: {}, mtls: {mode: STRICT}}"), MTLS_STRICT,
          MTLS_STRICT }, /* an empty one is none */
        /* of several at one level the oldest; who tells no time is the youngest */
        { PEER("young", "default, creationTimestamp: '2026-01-02T00:00:00Z'",
               "{mtls: {mode: STRICT}}")
              PEER("old", "default, creationTimestamp: '2026-01-01T00:00:00Z'",
                   "{mtls: {mode: DISABLE}}"),
          MTLS_DISABLE, MTLS_DISABLE },
        { PEER("untold", "default", "{mtls: {mode: STRICT}}")
              PEER("old", "default, creationTimestamp: '2026-01-01T00:00:00Z'",
                   "{mtls: {mode: DISABLE}}"),
          MTLS_DISABLE, MTLS_DISABLE },
        { PEER("young", "default, creationTimestamp: '2026-01-02T00:00:00Z'",
               "{selector: {matchLabels: {app: page}}, mtls: {mode: STRICT}}")
              PEER("old", "default, creationTimestamp: '2026-01-01T00:00:00Z'",
                   "{selector: {matchLabels: {app: page}}, mtls: {mode: DISABLE}, portLevelMtls: "
                   "{9080: {mode: PERMISSIVE}}}"),
          MTLS_DISABLE, MTLS_PERMISSIVE },
        { PEER("old", "default", "{mtls: {mode: STRICT}}")
              PEER("new", "default", "{mtls: {mode: DISABLE}}"),
          MTLS_STRICT, MTLS_STRICT },
    };
    struct mesh_conf conf = mesh_fixture_conf();
    conf.self_labels = SV("app=page");
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        const char *texts[] = { cases[i].yaml, NULL };
        struct mesh *m = mesh_fixture_load_as(&conf, texts, NULL);
        print_message("case: %zu\n", i);
        assert_non_null(m);
        assert_int_equal(mesh_inbound_mtls(m, 80), cases[i].all);
        assert_int_equal(mesh_inbound_mtls(m, 9080), cases[i].port);
        mesh_unref(m);
    }
}

static void test_warnings(void **state)
{
    static const struct {
        const char *yaml, *part;
    } cases[] = {
        { "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n",
          "01.yaml:1:1: Deployment x: this kind of 'apps/v1' is not supported yet, ignored" },
        { VS("v", "[reviews]",
             "  - {fault: {delay: {exponentialDelay: 1s}}, route: [{destination: {host: "
             "reviews}}]}\n"),
          "01.yaml:7:22: VirtualService v: http[0].fault.delay.exponentialDelay is not supported "
          "yet, ignored" },
        { VS("v", "[reviews]", "  - {typo: {}, route: [{destination: {host: reviews}}]}\n"),
          "http[0].typo is an unknown field, ignored" },
        { VS("v", "[reviews]", "  - {timeout: 1s}\n"),
          "http[0]: has no route this proxy can serve" },
        { VS("v", "[x]", "  - route: [{destination: {host: nobody}}]\n"),
          "host nobody.default.svc.cluster.local names no Service here" },
        { VS("v", "[x]", "  - route: [{destination: {host: reviews, port: {number: 1}}}]\n"),
          "Service reviews.default.svc.cluster.local has no port 1" },
        { VS("v", "[x]",
             "  - route: [{destination: {host: reviews}}]\n  - route: [{destination: {host: "
             "reviews}}]\n"),
          "01.yaml:8:5: VirtualService v: http[1] can never match" },
        { VS("a", "[x]", "  - route: [{destination: {host: reviews}}]\n---\n")
              VS("b", "[x]", "  - route: [{destination: {host: reviews}}]\n"),
          "VirtualService b: another VirtualService speaks for host x" },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct mesh *m = load(mesh_fixture_reviews, cases[i].yaml);
        print_message("case: %s\n", cases[i].part);
        assert_true(mesh_fixture_warns(m, cases[i].part));
        mesh_unref(m);
    }
}

/* Fails the 1st, 2nd, n-th allocation of a load: each time an error, never a crash or a leak. */
static void test_allocations(void **state)
{
    static const char checked[] =
        "apiVersion: v1\nkind: Service\nmetadata: {name: c, annotations: {tulle.io/health-check: "
        "http /}}\nspec: {selector: {app: reviews}, ports: [{name: http, port: 1}]}\n";
    static const char more[] = PEER("a", "default", "{mtls: {mode: STRICT}}") "---\n" VS(
        "y", "[y]",
        "  - match: [{uri: {regex: '/a+'}}]\n    route: [{destination: {host: reviews}}]\n");
    const char *texts[] = { mesh_fixture_reviews, reviews_split, checked, more, NULL };
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct err err = { 0 };
        mem_fail_nth(nth);
        struct mesh *m = mesh_fixture_load(texts, &err);
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
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_self),
        cmocka_unit_test(test_header_and_weights),
        cmocka_unit_test(test_destination_rule),
        cmocka_unit_test(test_service_entry),
        cmocka_unit_test(test_traffic_policies),
        cmocka_unit_test(test_port_protocols),
        cmocka_unit_test(test_match_blocks),
        cmocka_unit_test(test_errors_have_a_place),
        cmocka_unit_test(test_gateway),
        cmocka_unit_test(test_peer_authentication),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
