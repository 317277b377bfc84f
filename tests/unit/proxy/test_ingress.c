/* test_ingress.c - Ingresses and Gateways as ports, hosts and rules of a gateway. */
#include "base/mem.h"
#include "mesh_fixture.h"
#include "proxy/route/action.h"
#include "proxy/route/tcp.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define INGRESS(name, notes, spec)                                                                 \
    "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: " name               \
    "\n  annotations: {" notes "}\nspec: " spec "\n"
#define NGINX "nginx.ingress.kubernetes.io/"
#define PATH(path, type, service)                                                                  \
    "{path: '" path "', pathType: " type ", backend: {service: {name: " service                    \
    ", port: {number: 80}}}}"
#define SERVICE(name)                                                                              \
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: " name                                   \
    "}\nspec: {ports: [{name: http, port: 80}]}\n"

static struct mesh *load(const char *yaml, struct err *err)
{
    struct mesh_conf conf = mesh_fixture_conf();
    conf.is_gateway = true;
    conf.self_labels = SV("istio=ingressgateway");
    conf.ingress_http = 8080;
    conf.ingress_https = 8443;
    return mesh_load_text(&conf, "t.yaml", sv_z(yaml), err);
}

/* "cluster's host", "-> status" of an answer, or "". */
static void ask(const struct mesh *m, const char *host, const char *path, bool is_tls,
                const char *want)
{
    struct http_head head = mesh_fixture_request(host, path, NULL);
    struct route_ask q = { .req = &head, .is_tls = is_tls, .listen = is_tls ? 8443 : 8080 };
    const struct route *r = mesh_gateway_route(m, &q);
    char got[300] = "";
    if (r && r->actions && r->actions->redirect)
        snprintf(got, sizeof(got), "-> %u", r->actions->redirect->status);
    else if (r)
        snprintf(got, sizeof(got), "%.*s", SV_ARG(route_pick(r, 0)->cluster->host));
    if (strncmp(got, want, strlen(want)) != 0 || (!want[0] && got[0]))
        print_message("%s%s: got '%s', want '%s'\n", host, path, got, want);
    assert_true(strncmp(got, want, strlen(want)) == 0 && (want[0] || !got[0]));
}

static const char paths[] = SERVICE("a") SERVICE("b") SERVICE("c") SERVICE("d") INGRESS(
    "one", "about: x",
    "{rules: [{host: h.test, http: {paths: [" PATH("/", "Prefix", "c") ", " PATH(
        "/x", "Prefix", "a") ", " PATH("/x", "Exact", "b") ", " PATH("/y/", "Prefix", "d") "]}}]}")
    INGRESS("two", "about: x",
            "{rules: [{host: '*.w.test', http: {paths: [" PATH(
                "/z/*", "ImplementationSpecific",
                "a") "]}}, {http: {paths: [" PATH("/any", "Prefix", "b") "]}}]}");

static void test_paths(void **state)
{
    static const struct {
        const char *host, *path, *want;
    } cases[] = {
        { "h.test", "/x", "b." },   { "h.test", "/x/", "a." },      { "h.test", "/x/1", "a." },
        { "h.test", "/xy", "c." },  { "h.test", "/y", "d." },       { "h.test", "/y/z", "d." },
        { "h.test", "/", "c." },    { "H.TEST:8080", "/y", "d." },  { "a.w.test", "/z/1", "a." },
        { "a.w.test", "/z", "a." }, { "a.w.test", "/zz", "" },      { "a.b.w.test", "/z/1", "" },
        { "w.test", "/z/1", "" },   { "other.test", "/any", "b." }, { "other.test", "/x", "" },
        { "h.test", "/any", "c." },
    };
    struct mesh *m = load(paths, NULL);
    (void)state;
    assert_non_null(m);
    for (size_t i = 0; i < NELEMS(cases); i++)
        ask(m, cases[i].host, cases[i].path, false, cases[i].want);
    mesh_unref(m);
}

static const char secured[] = SERVICE("a") SERVICE("b")
    INGRESS("one", "about: x",
            "{tls: [{hosts: [s.test], secretName: s}], rules: [{host: s.test, http: {paths: "
            "[" PATH("/", "Prefix", "a") "]}}, {host: p.test, http: {paths: [" PATH(
                "/", "Prefix", "b") "]}}]}") "---\napiVersion: v1\nkind: Secret\nmetadata: "
                                             "{name: s}\nstringData: {tls.crt: CERT, "
                                             "tls.key: KEY}\n";

static void test_tls_and_ports(void **state)
{
    const struct gateway_port *ports;
    struct mesh *m = load(secured, NULL);
    (void)state;
    assert_int_equal(mesh_gateway_ports(m, &ports), 2);
    assert_true(ports[0].listen == 8080 && !ports[0].is_tls);
    assert_true(ports[1].listen == 8443 && ports[1].is_tls);
    assert_int_equal(ports[1].certs_len, 1);
    assert_true(sv_eq(ports[1].certs[0].hosts[0], SV("s.test")));
    assert_true(sv_eq(ports[1].certs[0].cert, SV("CERT")));
    ask(m, "s.test", "/", false, "-> 308");
    ask(m, "s.test", "/", true, "a.");
    ask(m, "p.test", "/", false, "b."); /* no certificate, no redirect */
    mesh_unref(m);
    m = load(paths, NULL);
    assert_int_equal(mesh_gateway_ports(m, &ports), 1); /* nobody needs TLS */
    mesh_unref(m);
}

static void test_findings(void **state)
{
    static const struct {
        const char *yaml, *part;
        bool is_error;
    } cases[] = {
        { INGRESS("i", NGINX "nonsense: '1'", "{}"),
          "metadata.annotations.nginx.ingress.kubernetes.io/nonsense is not supported, ignored",
          false },
        { INGRESS("i", NGINX "canary-weight: '101'," NGINX "canary: 'true'", "{}"),
          "expected a weight from 0 to canary-weight-total", true },
        { INGRESS("i", NGINX "canary: yes please", "{}"), "expected \"true\" or \"false\"", true },
        { INGRESS("i", NGINX "limit-rps: many", "{}"), "expected a whole number in quotes", true },
        { INGRESS("i", NGINX "limit-rps: 10", "{}"), "put a number that is meant as text in quotes",
          true },
        { INGRESS("i", NGINX "whitelist-source-range: 10.0.0.0/99", "{}"), "10.0.0.0/99", true },
        { INGRESS("i", NGINX "proxy-body-size: big", "{}"), "expected a size such as 8m", true },
        { INGRESS("i", NGINX "rewrite-target: '/a b'", "{}"), "cannot have spaces", true },
        { INGRESS("i", "about: x", "{rules: [{host: 'a b', http: {paths: []}}]}"),
          "expected a host name or '*.suffix'", true },
        { INGRESS("i", "about: x", "{rules: [{http: {paths: [{path: x, pathType: Exact}]}}]}"),
          "a path begins with a slash", true },
        { INGRESS("i", "about: x", "{rules: [{http: {paths: [{path: /x, pathType: exact}]}}]}"),
          "expected one of Prefix, Exact, ImplementationSpecific, found 'exact'", true },
        { SERVICE("a") INGRESS("i", "about: x",
                               "{rules: [{http: {paths: [" PATH("/x", "Prefix", "a") "]}}]}")
              INGRESS("k", "about: x",
                      "{rules: [{http: {paths: [" PATH("/x", "Prefix", "a") "]}}]}"),
          "Ingress i has the path '/x' of this host already", false },
        { SERVICE("a") INGRESS("i", NGINX "canary: 'true'",
                               "{rules: [{http: {paths: [" PATH("/x", "Prefix", "a") "]}}]}"),
          "is a canary of nothing", false },
        { INGRESS("i", "about: x", "{}"), "has neither rules nor defaultBackend", false },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct err err = { 0 };
        struct mesh *m = load(cases[i].yaml, &err);
        print_message("case: %s (%s)\n", cases[i].part, err.why);
        assert_int_equal(m == NULL, cases[i].is_error);
        assert_true(m ? mesh_fixture_warns(m, cases[i].part)
                      : strstr(err.why, cases[i].part) != NULL);
        mesh_unref(m);
    }
}

static const char gateways[] = SERVICE("a") SERVICE(
    "b") "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n"
         "  selector: {istio: ingressgateway}\n  servers:\n"
         "  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: [a.test, '*.w.test'], tls: "
         "{httpsRedirect: true}}\n"
         "  - {port: {number: 8443, name: s, protocol: HTTPS}, hosts: [a.test], tls: {mode: "
         "SIMPLE, "
         "credentialName: s}}\n"
         "  - {port: {number: 9443, name: m, protocol: HTTPS}, hosts: ['./m.test'], tls: {mode: "
         "MUTUAL, "
         "credentialName: m, minProtocolVersion: TLSV1_3}}\n"
         "  - {port: {number: 9444, name: p, protocol: TLS}, hosts: ['*'], tls: {mode: "
         "PASSTHROUGH}}\n"
         "  - {port: {number: 9445, name: q, protocol: TLS}, hosts: ['*'], tls: {mode: "
         "AUTO_PASSTHROUGH}}\n"
         "  - {port: {number: 9446, name: t, protocol: TCP}, hosts: ['*']}\n"
         "  - {port: {number: 9447, name: u, protocol: HTTPS}, hosts: ['*'], tls: {mode: "
         "ISTIO_MUTUAL, credentialName: x}}\n"
         "  - {port: {number: 9448, name: w, protocol: HTTPS}, hosts: ['*'], tls: {mode: "
         "AUTO_PASSTHROUGH}}\n"
         "  - {port: {number: 9457, name: g, protocol: GRPC}, hosts: ['*']}\n"
         "  - {port: {number: 9458, name: h, protocol: HTTP2}, hosts: ['*'], bind: 0.0.0.0}\n"
         "  - {port: {number: 9459, name: b, protocol: HTTP}, hosts: ['*'], bind: 127.0.0.1}\n"
         "  - {port: {number: 9460, name: v, protocol: HTTPS}, hosts: ['*'], tls: {mode: MUTUAL, "
         "credentialName: m, verifyCertificateHash: [ab]}}\n"
         "  - {port: {number: 9461, name: n, protocol: HTTPS}, hosts: ['*'], tls: {mode: MUTUAL, "
         "credentialName: m, subjectAltNames: [a.test, 'spiffe://x/y']}}\n"
         "  - {port: {number: 9462, name: u, protocol: UDP}, hosts: ['*']}\n"
         "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: "
         "v}\nspec:\n"
         "  hosts: ['*.test', x.w.test]\n  gateways: [g]\n  http:\n  - route: [{destination: "
         "{host: a}}]\n";

static void test_gateways(void **state)
{
    const struct gateway_port *ports;
    struct mesh *m = load(gateways, NULL);
    (void)state;
    assert_non_null(m);
    assert_int_equal(mesh_gateway_ports(m, &ports), 10);
    assert_true(ports[7].number == 9457 && !ports[7].is_tls && !ports[7].is_tcp);
    assert_true(ports[8].number == 9458 && ports[9].number == 9461);
    assert_true(sv_eq(ports[9].certs[0].peer_names, SV("a.test,spiffe://x/y")));
    assert_true(
        mesh_fixture_warns(m, "servers[10].bind is not supported: this port is not opened"));
    assert_true(mesh_fixture_warns(m, "verifyCertificateHash is not supported: this port is not"));
    assert_true(mesh_fixture_warns(m, "expected HTTP, HTTP2, GRPC, HTTPS, TLS or TCP"));
    assert_true(ports[3].is_tls && ports[3].certs_len == 0);
    assert_true(ports[4].is_tls && ports[4].certs_len == 0);
    assert_true(ports[5].is_tcp && !ports[5].is_tls);
    assert_true(ports[6].is_tls && ports[6].certs[0].is_mesh && ports[6].certs[0].is_mutual);
    assert_true(ports[2].certs[0].is_mutual && ports[2].certs[0].tls_min == 0x0304);
    assert_true(sv_eq(ports[2].certs[0].hosts[0], SV("m.test")));
    ask(m, "a.test", "/", false, "-> 301");
    ask(m, "y.w.test", "/", false, "-> 301");
    ask(m, "other.test", "/", false, ""); /* the VirtualService has it, the Gateway has not */
    ask(m, "a.test", "/", true, "a.");
    assert_true(mesh_fixture_warns(m, "ISTIO_MUTUAL takes the mesh's certificates"));
    assert_true(mesh_fixture_warns(m, "AUTO_PASSTHROUGH is for protocol TLS"));
    mesh_unref(m);
}

#define K8S "gateway.networking.k8s.io/v1"
#define ROUTE(rules)                                                                               \
    SERVICE("a")                                                                                   \
    SERVICE("b")                                                                                   \
    "---\napiVersion: " K8S "\nkind: Gateway\nmetadata: {name: g}\nspec: {gatewayClassName: x, "   \
    "listeners: [{name: l, port: 8080, protocol: HTTP}]}\n---\napiVersion: " K8S                   \
    "\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  parentRefs: [{name: g}]\n  "                 \
    "rules: [" rules "]\n"
#define TO(name) "backendRefs: [{name: " name ", port: 80}]"

#define GRPC(rules)                                                                                \
    "---\napiVersion: " K8S                                                                        \
    "\nkind: GRPCRoute\nmetadata: {name: r}\nspec: {parentRefs: [{name: g}], rules: [" rules       \
    "]}\n"
#define L4(kind, rules)                                                                            \
    "---\napiVersion: " K8S "\nkind: " kind                                                        \
    "\nmetadata: {name: r}\nspec: {parentRefs: [{name: g}], rules: [" rules "]}\n"
#define REFERENCE(spec)                                                                            \
    "---\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: "  \
    "x, namespace: other}\nspec: " spec "\n"

static const char routes[] = ROUTE(
    "{" TO("a") "}, {matches: [{path: {value: /x}, headers: [{name: h, value: '1'}]}], filters: "
                "[{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, "
                "replacePrefixMatch: /y}}}, "
                "{type: RequestMirror, requestMirror: {percent: 5, backendRef: {name: a, port: "
                "80}}}], " TO("b") "}, "
                                   "{matches: [{path: {value: /x}}], timeouts: {request: 1s, "
                                   "backendRequest: 500ms}, " TO("b") "}");

static void test_routes(void **state)
{
    struct mesh *m = load(routes, NULL);
    (void)state;
    assert_non_null(m);
    ask(m, "any.test", "/", false, "a.");
    ask(m, "any.test", "/x/1", false, "b."); /* although the first rule takes everything */
    ask(m, "any.test", "/xy", false, "a.");
    mesh_unref(m);
}

/* What may be named in another namespace, and what becomes of requests for what may not. */
static const char references[] =
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: far, namespace: other}\nspec: {ports: "
    "[{name: http, port: 80}]}\n" REFERENCE(
        "{from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}], to: "
        "[{group: '', kind: Service, name: far}]}")
        ROUTE(
            "{backendRefs: [{name: far, namespace: other, port: 80}, {name: a, port: 80, weight: "
            "0}, {name: b, namespace: other, port: 80}, {name: nobody, port: 80}, {name: a, kind: "
            "Bucket}]}")
            GRPC("{matches: [{method: {service: s, method: m}}, {method: {method: m}}], "
                 "backendRefs: [{name: far, namespace: other, port: 80}]}");

static void test_references(void **state)
{
    static const bool broken[] = { false, false, true, true, true };
    struct mesh *m = load(references, NULL);
    struct http_head head = mesh_fixture_request("any.test", "/", NULL);
    struct route_ask q = { .req = &head, .listen = 8080 };
    (void)state;
    assert_non_null(m);
    const struct route *r = mesh_gateway_route(m, &q);
    assert_int_equal(r->targets_len, NELEMS(broken));
    for (size_t i = 0; i < NELEMS(broken); i++)
        assert_int_equal(r->targets[i].is_broken, broken[i]);
    head = mesh_fixture_request("any.test", "/s/m", NULL); /* the grant is not for GRPCRoutes */
    r = mesh_gateway_route(m, &q);
    assert_true(r->targets_len == 1 && r->targets[0].is_broken);
    assert_true(mesh_fixture_warns(m, "lets GRPCRoutes of namespace default"));
    mesh_unref(m);
}

/* Routes of a Service, in a sidecar of its namespace. */
static const char parents[] = SERVICE("a")
    SERVICE("b") "---\napiVersion: v1\nkind: Service\nmetadata: {name: two}\nspec: {ports: [{name: "
                 "http, port: "
                 "80}, {name: http-b, port: 81}]}\n"
                 "---\napiVersion: " K8S
                 "\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  parentRefs: [{kind: "
                 "Service, name: two, port: 81}, {kind: Service, name: a}]\n"
                 "  rules: [{matches: [{path: {value: /x}}], " TO(
                     "b") "}]\n"
                          "---\napiVersion: " K8S
                          "\nkind: HTTPRoute\nmetadata: {name: s, namespace: other}\nspec:\n"
                          "  parentRefs: [{kind: Service, name: a, namespace: default}]\n  rules: "
                          "[{backendRefs: [{name: b, "
                          "namespace: default, port: 80}]}]\n";

static const char connections[] = SERVICE(
    "a") "---\napiVersion: " K8S
         "\nkind: Gateway\nmetadata: {name: g}\nspec: {listeners: [{name: t, port: "
         "8080, protocol: TCP}, {name: p, port: 8443, protocol: TLS, hostname: '*.x.test', tls: "
         "{mode: "
         "Passthrough}}, {name: q, port: 8444, protocol: HTTPS, tls: {mode: Passthrough}}]}\n" L4(
             "TCPRoute",
             "{" TO(
                 "a") "}") "---\napiVersion: " K8S
                           "\nkind: TLSRoute\nmetadata: {name: s}\nspec: {parentRefs: [{name: g}], "
                           "hostnames: ['*', b.y.test], rules: [{" TO("a") "}]}\n";

static void test_connections(void **state)
{
    struct mesh *m = load(connections, NULL);
    struct tcp_ask plain = { .is_tls = false }, named = { .is_tls = true, .sni = SV("a.x.test") };
    (void)state;
    assert_non_null(m);
    assert_non_null(tcp_route(mesh_gateway_tcp(m, 8080), &plain));
    assert_non_null(tcp_route(mesh_gateway_tcp(m, 8443), &named));
    assert_true(tcp_is_unopened(mesh_gateway_tcp(m, 8443), &named));
    named.sni = SV("b.y.test"); /* the listener has it not */
    assert_true(!tcp_is_unopened(mesh_gateway_tcp(m, 8443), &named));
    assert_null(mesh_gateway_tcp(m, 8444));
    assert_true(mesh_fixture_warns(m, "Passthrough is for protocol TLS"));
    mesh_unref(m);
}

static struct mesh *load_sidecar(const char *yaml, struct err *err)
{
    struct mesh_conf conf = mesh_fixture_conf();
    conf.self_labels = SV("app=x");
    return mesh_load_text(&conf, "t.yaml", sv_z(yaml), err);
}

static void test_services_as_parents(void **state)
{
    static const struct {
        const char *host, *path, *want;
        uint16_t port;
    } cases[] = {
        { "a", "/x/y", "b.", 0 }, { "a", "/", "", 0 },        { "two", "/x", "b.", 81 },
        { "two", "/", "", 81 },   { "two", "/", "two.", 80 }, { "two", "/x", "two.", 80 },
        { "b", "/", "b.", 0 },
    };
    struct mesh *m = load_sidecar(parents, NULL);
    (void)state;
    assert_non_null(m);
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct http_head head = mesh_fixture_request(cases[i].host, cases[i].path, NULL);
        const struct route *r = mesh_route(m, &head, cases[i].port);
        struct sv got = r ? route_pick(r, 0)->cluster->host : SV_NONE;
        print_message("case: %s:%u%s: %.*s\n", cases[i].host, cases[i].port, cases[i].path,
                      SV_ARG(got));
        assert_true((got.len > 0) == (cases[i].want[0] != '\0'));
        assert_true(sv_starts(got, sv_z(cases[i].want)));
    }
    mesh_unref(m);
}

static void test_route_findings(void **state)
{
    static const struct {
        const char *yaml, *part;
        bool is_error;
    } cases[] = {
        { ROUTE("{filters: [{type: ExtensionRef, extensionRef: {name: x}}]}"),
          "the filter 'ExtensionRef' is not supported", true },
        { ROUTE("{matches: [{path: {value: x}}]}"), "a path begins with a slash", true },
        { ROUTE("{backendRefs: [{name: a, namespace: other, port: 80}]}"),
          "RefNotPermitted: no ReferenceGrant in namespace other lets HTTPRoutes of namespace "
          "default name the Service a: its requests are answered 500",
          false },
        { ROUTE("{backendRefs: [{name: a, kind: Bucket}]}"), "InvalidKind", false },
        { ROUTE("{backendRefs: [{name: a, port: 80, filters: [{type: URLRewrite, urlRewrite: "
                "{hostname: x}}]}]}"),
          "only header filters are supported for one backend", true },
        { GRPC("{matches: [{method: {}}]}"), "expected service, or method, or both", true },
        { GRPC("{matches: [{method: {service: a/b}}]}"), "is no name of a gRPC service", true },
        { GRPC("{filters: [{type: URLRewrite, urlRewrite: {hostname: x}}], " TO("a") "}"),
          "can neither redirect nor rewrite", true },
        { REFERENCE("{from: [{group: x}], to: []}"), "kind is missing", true },
        { L4("TLSRoute", "{backendRefs: []}"), "has no backend: its connections are closed",
          false },
        { L4("TCPRoute", ""), "rules is empty", true },
        { L4("TCPRoute", "{backendRefs: [{name: a, namespace: other, port: 80}]}"),
          "lets TCPRoutes of namespace default name the Service a: its connections are closed",
          false },
        { "---\napiVersion: " K8S
          "\nkind: Gateway\nmetadata: {name: g}\nspec: {listeners: [{name: l, port: 80, protocol: "
          "HTTP, allowedRoutes: {namespaces: {from: Selector}}}]}\n",
          "selector is missing", true },
        { ROUTE("{backendRefs: [{name: a, port: 80, weight: 0}]}"), "is answered 500", false },
        { ROUTE("{filters: [{type: RequestRedirect, requestRedirect: {statusCode: 200}}]}"),
          "expected one of 301, 302", true },
    };
    (void)state;
    for (size_t i = 0; i < NELEMS(cases); i++) {
        struct err err = { 0 };
        struct mesh *m = load(cases[i].yaml, &err);
        print_message("case: %s (%s)\n", cases[i].part, err.why);
        assert_int_equal(m == NULL, cases[i].is_error);
        assert_true(m ? mesh_fixture_warns(m, cases[i].part)
                      : strstr(err.why, cases[i].part) != NULL);
        mesh_unref(m);
    }
}

/* Fails the 1st, 2nd, n-th allocation: each time an error, never a crash or a leak. */
typedef struct mesh *load_fn(const char *yaml, struct err *err);

static void sweep_as(const char *yaml, load_fn *load_it)
{
    for (uint64_t nth = 1;; nth++) {
        struct err err = { 0 };
        mem_fail_nth(nth);
        struct mesh *m = load_it(yaml, &err);
        bool was_reached = mem_count() >= nth;
        mem_fail_nth(0);
        assert_true(m || err.code == ERR_NOMEM);
        mesh_unref(m);
        if (!was_reached)
            break;
    }
}

static void sweep(const char *yaml)
{
    sweep_as(yaml, load);
}

static const char annotated[] = SERVICE("a") SERVICE("b") INGRESS(
    "i",
    NGINX "limit-rps: '5'," NGINX "limit-connections: '2'," NGINX
          "whitelist-source-range: 10.0.0.0/8," NGINX "rewrite-target: /$1," NGINX
          "affinity: cookie," NGINX "enable-cors: 'true'," NGINX "app-root: /x," NGINX
          "x-forwarded-prefix: /p",
    "{defaultBackend: {service: {name: b, port: {name: http}}}, rules: [{host: h, http: {paths: "
    "[" PATH("/(.*)", "ImplementationSpecific", "a") "]}}]}")
    INGRESS(
        "n", NGINX "canary: 'true'," NGINX "canary-by-header: x," NGINX "canary-by-cookie: y",
        "{rules: [{host: h, http: {paths: [" PATH("/(.*)", "ImplementationSpecific", "b") "]}}]}");

static void test_allocations(void **state)
{
    (void)state;
    sweep(secured);
    sweep(gateways);
    sweep(annotated);
    sweep(routes);
    sweep(references);
    sweep(connections);
    sweep_as(parents, load_sidecar);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_tls_and_ports),
        cmocka_unit_test(test_findings),
        cmocka_unit_test(test_gateways),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_route_findings),
        cmocka_unit_test(test_services_as_parents),
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
