"""The Gateway API where namespaces meet: ReferenceGrants, listeners that take routes of some namespaces, and GRPCRoutes.
What rules match and filters do is in test_traffic.py. Usage: test_gateway_api.py TULLE_PROXY TULLE"""
import os
import socket
import ssl
import subprocess
import sys
import threading

from gateway_support import APP, DOOR, HTTPS, OUT, POD, SERVICE, Net, Proxy, client_tls, is_share, make_ca, make_cert, run
from support import check, folder, wait_until

PROXY, TULLE = sys.argv[1:3]
net = Net("127.1.92")
ca = make_ca()
API = "gateway.networking.k8s.io"


def service(name, namespace="default"):
    return net.service(name).replace("namespace: default", f"namespace: {namespace}")


def grant(namespace, kind, of, to, name=""):
    named = f", name: {name}" if name else ""
    return f"""apiVersion: {API}/v1beta1
kind: ReferenceGrant
metadata: {{ name: for-{kind.lower()}-{of}, namespace: {namespace} }}
spec: {{ from: [{{ group: {API}, kind: {kind}, namespace: {of} }}], to: [{{ group: "", kind: {to}{named} }}] }}
---
"""


def route(name, namespace, rules, kind="HTTPRoute", parent="main", host=None):
    return f"""apiVersion: {API}/v1
kind: {kind}
metadata: {{ name: {name}, namespace: {namespace} }}
spec:
  parentRefs: [{{ name: {parent}, namespace: default }}]
  hostnames: ["{host or name + '.test'}"]
  rules: {rules}
---
"""


def gateway(listeners, name="main"):
    return f"""apiVersion: {API}/v1
kind: Gateway
metadata: {{ name: {name}, namespace: default }}
spec: {{ gatewayClassName: tulle, listeners: {listeners} }}
---
"""


OPEN = f"[{{ name: http, port: {DOOR}, protocol: HTTP, allowedRoutes: {{ namespaces: {{ from: All }} }} }}]"


def write(g, name, text):
    with open(f"{g.config}/.{name}", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(f"{g.config}/.{name}", f"{g.config}/{name}")


def check_files(path):
    done = subprocess.run([TULLE, "check", path], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_backends():
    data = service("db", "data") + service("other", "data") + service("near", "shop") + service("spy", "data")
    backend = "{ name: db, namespace: data, port: 80 }"
    routes = route("far", "shop", f"[{{ backendRefs: [{backend}] }}]")
    routes += route("some", "shop", f"[{{ backendRefs: [{{ name: near, port: 80, weight: 3 }}, {backend}] }}]")
    routes += route("none", "shop", "[{ backendRefs: [{ name: nobody, port: 80 }] }]")
    routes += route("bucket", "shop", "[{ backendRefs: [{ group: storage.example, kind: Bucket, name: near }] }]")
    routes += route("copied", "shop", "[{ filters: [{ type: RequestMirror, requestMirror: { backendRef: "
                    "{ name: spy, namespace: data, port: 80 } } }], backendRefs: [{ name: near, port: 80 }] }]")
    g = Proxy(PROXY, net, "grants", [gateway(OPEN) + routes, data]).wait(DOOR)
    for name in ("far", "none", "bucket"):
        status, text, r = g.ask(f"{name}.test", port=DOOR)
        check(status == 500 and r.getheader("x-tulle-reason").startswith("NC cluster_not_found"), f"{name}: {status} {text}")
    check(g.access(authority="far.test")["response_flags"] == "NC", "the flag")
    c = g.connect(DOOR)
    answers = [g.who("some.test", connection=c) for _ in range(800)]
    check(set(answers) == {"near-v1", 500} and is_share(answers.count(500), 800, 0.25), "a quarter is answered 500")
    check(g.who("copied.test", port=DOOR) == "near-v1", "beside a copy that may not be made")
    refused = "RefNotPermitted: no ReferenceGrant in namespace data lets HTTPRoutes of namespace shop name the Service db"
    for told in (g.log(), check_files(g.config)):
        check(refused in told and "InvalidKind" in told, told)
    for wrong in (grant("data", "HTTPRoute", "stranger", "Service"), grant("shop", "HTTPRoute", "shop", "Service"),
                  grant("data", "GRPCRoute", "shop", "Service"), grant("data", "HTTPRoute", "shop", "Secret"),
                  grant("data", "HTTPRoute", "shop", "Service", "other")):
        write(g, "grant.yaml", wrong + service(f"mark{len(net.servers)}"))
        mark = f"mark{len(net.servers) - 1}"
        write(g, "mark.yaml", route("mark", "default", f"[{{ backendRefs: [{{ name: {mark}, port: 80 }}] }}]"))
        wait_until("the change", lambda mark=mark: g.who("mark.test", port=DOOR) == f"{mark}-v1")
        check(g.who("far.test", port=DOOR) == 500, wrong)
    write(g, "grant.yaml", grant("data", "HTTPRoute", "shop", "Service", "db"))
    wait_until("the grant", lambda: g.who("far.test", port=DOOR) == "db-v1")
    check({g.who("some.test", port=DOOR) for _ in range(60)} == {"near-v1", "db-v1"}, "both")
    check(refused not in check_files(g.config), "nothing to warn of")
    check(not net.servers["spy-v1"].seen, "the copy was not granted")
    write(g, "spy.yaml", grant("data", "HTTPRoute", "shop", "Service"))
    wait_until("a copy", lambda: g.who("copied.test", port=DOOR) and net.servers["spy-v1"].seen)
    write(g, "grant.yaml", "")
    write(g, "spy.yaml", "")
    wait_until("the end of the grant", lambda: g.who("far.test", port=DOOR) == 500)
    g.stop()


def test_certificates():
    make_cert(ca, f"{folder}/secrets/vault/www", "www.test")
    listener = (f"[{{ name: https, port: {HTTPS}, protocol: HTTPS, tls: {{ certificateRefs: [{{ name: www, namespace: vault }}] }} }}, "
                f"{{ name: http, port: {DOOR}, protocol: HTTP }}]")
    text = gateway(listener) + service("web") + route("www", "default", "[{ backendRefs: [{ name: web, port: 80 }] }]")
    g = Proxy(PROXY, net, "vaults", [text], options=[f"--secrets={folder}/secrets"]).wait(DOOR)
    check("RefNotPermitted: no ReferenceGrant in namespace vault lets Gateways of namespace default name the Secret www: "
          "its listener is not opened" in g.log(), g.log())
    try:
        g.connect(HTTPS).close()
        raise AssertionError("a key that was not granted")
    except ConnectionRefusedError:
        pass
    write(g, "grant.yaml", grant("vault", "Gateway", "default", "Secret", "www"))
    g.wait(HTTPS)
    check(g.who("www.test", port=HTTPS, tls=client_tls(ca)) == "web-v1", "granted")
    g.stop()


def test_whose_routes():
    """Which namespaces' routes, and which kinds, a listener takes."""
    def door(i, allowed):
        return f"{{ name: l{i}, port: {DOOR + i}, protocol: HTTP, allowedRoutes: {allowed} }}"
    selectors = ["{ matchLabels: { team: red } }", "{ matchLabels: { kubernetes.io/metadata.name: blue } }",
                 "{ matchExpressions: [{ key: team, operator: In, values: [red, green] }] }",
                 "{ matchExpressions: [{ key: team, operator: NotIn, values: [red] }] }",
                 "{ matchExpressions: [{ key: team, operator: Exists }], matchLabels: { size: small } }",
                 "{ matchExpressions: [{ key: team, operator: DoesNotExist }] }"]
    doors = [door(20 + i, f"{{ namespaces: {{ from: Selector, selector: {s} }} }}") for i, s in enumerate(selectors)]
    doors += [door(26, "{ namespaces: { from: Same } }"), door(27, "{ namespaces: { from: All } }"),
              door(28, "{ namespaces: { from: All }, kinds: [{ kind: GRPCRoute }] }")]
    text = gateway("[" + ", ".join(doors) + "]")
    for name, labels in (("red", "team: red, size: small"), ("green", "team: green"), ("blue", "")):
        text += f"apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {name}, labels: {{ {labels} }} }}\n---\n"
    for name in ("red", "green", "blue", "default"):
        text += service(f"of-{name}", name) + route(name, name, f"[{{ backendRefs: [{{ name: of-{name}, port: 80 }}] }}]")
    g = Proxy(PROXY, net, "doors", [text]).wait(DOOR + 28)
    want = ["red", "blue", "red green", "green blue default", "red", "blue default", "default", "red green blue default", ""]
    for i, names in enumerate(want):
        got = {n for n in ("red", "green", "blue", "default") if g.who(f"{n}.test", port=DOOR + 20 + i) == f"of-{n}-v1"}
        check(got == set(names.split()), f"{doors[i]}: {got}")
    g.stop()


def test_grpc_routes():
    rules = """
  - matches: [{ method: { service: shop.Cart, method: Add } }]
    backendRefs: [{ name: exact, port: 80 }]
  - matches: [{ method: { service: shop.Cart } }]
    backendRefs: [{ name: of-service, port: 80 }]
  - matches: [{ method: { method: Watch } }]
    backendRefs: [{ name: of-method, port: 80 }]
  - matches: [{ method: { type: RegularExpression, service: "shop[.](Stock|Price)", method: "Get.*" } }]
    backendRefs: [{ name: pattern, port: 80 }]
  - matches: [{ method: { service: shop.Cart, method: Add }, headers: [{ name: x-canary, value: "1" }] }]
    filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x-set, value: "1" }] } }]
    backendRefs: [{ name: canary, port: 80 }]
"""
    text = gateway(OPEN) + route("grpc", "default", rules, "GRPCRoute")
    text += "".join(service(n) for n in ("exact", "of-service", "of-method", "pattern", "canary"))
    g = Proxy(PROXY, net, "grpc-routes", [text]).wait(DOOR)
    for path, headers, want in (
            ("/shop.Cart/Add", {}, "exact-v1"), ("/shop.Cart/Remove", {}, "of-service-v1"), ("/shop.Carts/Add", {}, 404),
            ("/a.B/Watch", {}, "of-method-v1"), ("/a.B/Watch2", {}, 404), ("/a/b/Watch", {}, 404),
            ("/shop.Cart/Watch", {}, "of-service-v1"), ("/shop.Stock/GetAll", {}, "pattern-v1"),
            ("/shop.Price/Set", {}, 404), ("/shop.Cart/Add", {"x_canary": "1"}, "canary-v1"),
            ("/shop.Cart/Add", {"x_canary": "2"}, "exact-v1")):
        got = g.who("grpc.test", path, method="POST", port=DOOR, **headers)
        check(got == want, f"{path} {headers}: {got}, want {want}")
    check(net.servers["canary-v1"].seen[0]["headers"]["x-set"] == "1", "filters")
    g.stop()


def test_cors():
    rules = """
  - filters: [{ type: CORS, cors: { allowOrigins: [https://a.example, "https://*.b.example"], allowMethods: [GET, PUT],
                                    allowHeaders: [x-a, x-b], exposeHeaders: [x-c], maxAge: 60 } }]
    backendRefs: [{ name: shared, port: 80 }]
  - matches: [{ path: { value: /all } }]
    filters: [{ type: CORS, cors: { allowOrigins: ["*"], allowMethods: ["*"], allowHeaders: ["*"], allowCredentials: true } }]
    backendRefs: [{ name: shared, port: 80 }]
"""
    g = Proxy(PROXY, net, "cors", [gateway(OPEN) + route("cors", "default", rules) + service("shared")]).wait(DOOR)

    def preflight(path, origin):
        status, _, r = g.ask("cors.test", path, method="OPTIONS", port=DOOR, Origin=origin,
                             Access_Control_Request_Method="PATCH", Access_Control_Request_Headers="x-z")
        return status, {k.lower()[21:]: v for k, v in r.getheaders() if k.lower().startswith("access-control-allow-")}, r
    for origin in ("https://a.example", "https://x.b.example", "https://x.y.b.example"):
        status, told, r = preflight("/", origin)
        check((status, told) == (200, {"origin": origin, "methods": "GET,PUT", "headers": "x-a,x-b"}), f"{status} {told}")
        check(r.getheader("access-control-max-age") == "60", "maxAge")
        status, _, r = g.ask("cors.test", "/", port=DOOR, Origin=origin)
        check(status == 200 and r.getheader("access-control-allow-origin") == origin and
              r.getheader("access-control-expose-headers") == "x-c", f"{r.getheaders()}")
    for origin in ("http://a.example", "https://b.example", "https://x.b.example.org", "https://evil/.b.example"):
        status, told, _ = preflight("/", origin)
        check((status, told) == (403, {}), f"{origin}: {status} {told}")
        status, _, r = g.ask("cors.test", "/", port=DOOR, Origin=origin)
        check(status == 200 and not r.getheader("access-control-allow-origin"), "the browser decides")
    seen = len(net.servers["shared-v1"].seen)
    status, told, r = preflight("/all", "https://anybody.example")
    check((status, told) == (200, {"origin": "https://anybody.example", "credentials": "true", "methods": "PATCH", "headers": "x-z"}),
          f"{status} {told}")
    check(r.getheader("access-control-max-age") == "5" and len(net.servers["shared-v1"].seen) == seen, "the default; not asked")
    g.stop()


class Hello:
    """Says who it is, in TLS when there is a certificate, and what it was told."""

    def __init__(self, ip, who, cert=None):
        self.who, self.tls = who, None
        if cert:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(f"{cert}/tls.crt", f"{cert}/tls.key")
        self.listener = socket.create_server((ip, APP))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            s, _ = self.listener.accept()
            try:
                s.settimeout(20)
                s = self.tls.wrap_socket(s, server_side=True) if self.tls else s
                s.sendall(f"{self.who}: ".encode() + s.recv(100))
            except OSError:
                pass
            s.close()


def hello(name, namespace="default", cert=None):
    ip = net.address()
    Hello(ip, name, cert)
    return (SERVICE.format(name=name, port=80, target=APP) + POD.format(name=name, version="v1", ip=ip)).replace(
        "namespace: default", f"namespace: {namespace}")


def say(ip, port, tls=None, sni=None):
    """What came back, b"" when the connection was closed."""
    try:
        s = socket.create_connection((ip, port), 20)
        s = tls.wrap_socket(s, server_hostname=sni) if tls else s
        s.sendall(b"hi")
        got = b""
        while part := s.recv(100):
            got += part
        return got
    except (ssl.SSLError, ConnectionError):
        return b""


def test_connections():
    """TLSRoutes by server name, passed on unopened; TCPRoutes, also behind TLS that the listener ends."""
    secrets = f"{folder}/l4-secrets/default"
    make_cert(ca, f"{secrets}/ended", "ended.test")
    a, b = (make_cert(ca, f"{folder}/{n}", f"{n}.pass.test") for n in "ab")
    text = gateway(f"""[
      {{ name: pass, port: {DOOR}, protocol: TLS, hostname: "*.pass.test", tls: {{ mode: Passthrough }} }},
      {{ name: tcp, port: {DOOR + 20}, protocol: TCP }},
      {{ name: ended, port: {DOOR + 21}, protocol: TLS, hostname: ended.test, tls: {{ certificateRefs: [{{ name: ended }}] }} }},
      {{ name: http, port: {DOOR + 22}, protocol: HTTP }},
      {{ name: far, port: {DOOR + 23}, protocol: TCP }}]""")
    text += hello("a", cert=a) + hello("b", cert=b) + hello("plain") + hello("far", "data")
    for kind, name, section, hosts, rules in (
            ("TLSRoute", "first", "pass", "hostnames: [A.pass.test, a.other.test]", "[{ backendRefs: [{ name: a, port: 80 }] }]"),
            ("TLSRoute", "second", "pass", 'hostnames: ["*.pass.test"]',
             "[{ backendRefs: [{ name: b, port: 80, weight: 0 }, { name: b, port: 80 }] }]"),
            ("TCPRoute", "third", "tcp", "", "[{ backendRefs: [{ name: plain, port: 80 }] }]"),
            ("TCPRoute", "fourth", "ended", "", "[{ backendRefs: [{ name: plain, port: 80 }] }]"),
            ("TCPRoute", "fifth", "far", "", "[{ backendRefs: [{ name: far, namespace: data, port: 80 }] }]"),
            ("HTTPRoute", "sixth", "http", "", "[{ backendRefs: [{ name: plain, port: 80 }] }]")):
        text += f"""apiVersion: {API}/v1alpha2
kind: {kind}
metadata: {{ name: {name}, namespace: default }}
spec:
  parentRefs: [{{ name: main, sectionName: {section} }}]
  {hosts}
  rules: {rules}
---
"""
    g = Proxy(PROXY, net, "l4", [text], options=[f"--secrets={folder}/l4-secrets"]).wait(DOOR + 23)
    tls = client_tls(ca)
    any_name = client_tls(ca)
    any_name.check_hostname = False
    check(say(g.ip, DOOR, tls, "a.pass.test") == b"a: hi", "the application's own certificate, by name")
    check(say(g.ip, DOOR, tls, "b.pass.test") == b"b: hi", "by wildcard")
    for sni in ("a.other.test", "pass.test", None):
        check(say(g.ip, DOOR, any_name, sni) == b"", f"{sni}: not of this listener")
    check(say(g.ip, DOOR) == b"", "plaintext")
    check(say(g.ip, DOOR + 20) == b"plain: hi", "TCPRoute")
    check(say(g.ip, DOOR + 21, tls, "ended.test") == b"plain: hi", "TLS that ends here")
    check(say(g.ip, DOOR + 23) == b"", "a Service that may not be named")
    g.access(response_flags="NC")
    write(g, "grant.yaml", grant("data", "TCPRoute", "default", "Service"))
    wait_until("the grant", lambda: say(g.ip, DOOR + 23) == b"far: hi")
    g.stop()


def parents(name, namespace, rules, port="", of="default", kind="HTTPRoute", service_name="shop"):
    ported = f", port: {port}" if port else ""
    return f"""apiVersion: {API}/v1
kind: {kind}
metadata: {{ name: {name}, namespace: {namespace} }}
spec:
  parentRefs: [{{ group: "", kind: Service, name: {service_name}, namespace: {of}{ported} }}]
  hostnames: [means-nothing.test]
  rules: {rules}
---
"""


def sidecar(name, namespace, texts):
    return Proxy(PROXY, net, name, texts, role="sidecar", labels="app=caller", options=[f"--namespace={namespace}"]).wait(OUT)


def test_services_as_parents():
    """Rules of callers' sidecars: the Service's own word, the callers' own, ports."""
    text = service("shop") + service("v1") + service("v2") + service("far", "data") + service("free")
    text += parents("own", "default", """
  - matches: [{ path: { value: /a } }]
    backendRefs: [{ name: v1, port: 80 }]
  - matches: [{ path: { value: /a }, headers: [{ name: x-v, value: "2" }] }]
    filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: x-set, value: "1" }] } }]
    backendRefs: [{ name: v2, port: 80 }]
  - matches: [{ path: { value: /far } }]
    backendRefs: [{ name: far, namespace: data, port: 80 }]
  - matches: [{ path: { value: /nobody } }]
    backendRefs: [{ name: nobody, port: 80 }]
  - matches: [{ path: { value: /hold } }]
    timeouts: { request: 200ms }
    backendRefs: [{ name: shop, port: 80 }]""")
    text += parents("more", "default", """
  - matches: [{ path: { value: /a/deeper } }]
    backendRefs: [{ name: shop, port: 80 }]""")
    text += parents("callers", "red", "[{ backendRefs: [{ name: v2, namespace: default, port: 80 }] }]")
    text += parents("nowhere", "default", "[{ backendRefs: [{ name: v1, port: 80 }] }]", service_name="nobody")
    s = sidecar("in-default", "default", [text])
    for path, headers, want in (
            ("/a", {}, "v1-v1"), ("/a/b", {}, "v1-v1"), ("/ab", {}, 404), ("/", {}, 404), ("/a", {"x_v": "2"}, "v2-v1"),
            ("/a/deeper", {}, "shop-v1"), ("/a/deeper/x", {"x_v": "2"}, "shop-v1"), ("/far", {}, "far-v1"), ("/nobody", {}, 500),
            ("/hold", {}, 504)):
        for host in ("shop", "shop.default:80", "shop.default.svc.cluster.local"):
            got = s.who(host, path, port=OUT, **headers)
            check(got == want, f"{host}{path} {headers}: {got}, want {want}")
    check(any(t["headers"].get("x-set") == "1" for t in net.servers["v2-v1"].seen), "filters")
    check(s.who("free", port=OUT) == "free-v1" and s.who("means-nothing.test", port=OUT) == 404, "others are as they were")
    red, blue = sidecar("in-red", "red", [text]), sidecar("in-blue", "blue", [text])
    check({red.who("shop.default", p, port=OUT) for p in ("/", "/a", "/a/deeper")} == {"v2-v1"}, "the callers' own word")
    check(blue.who("shop.default", "/a", port=OUT) == "v1-v1" and blue.who("shop.default", "/", port=OUT) == 404,
          "the Service's word holds elsewhere")
    write(s, "99-grpc.yaml", parents("grpc", "default", "[{ matches: [{ method: { service: s.S } }], backendRefs: "
                                     "[{ name: v2, port: 80 }] }]", kind="GRPCRoute"))
    wait_until("a GRPCRoute beside them", lambda: s.who("shop", "/s.S/M", port=OUT) == "v2-v1")
    check(s.who("shop", "/a", port=OUT) == "v1-v1", "the others stay")


def test_ports_of_parents():
    two = service("two").replace("ports: [{", "ports: [{ name: http-b, port: 81, targetPort: 21700 }, {") + service("other")
    for name, attached, want in (("one", [81], {80: "two-v1", 81: "other-v1"}), ("both", [80, 81], {80: "other-v1", 81: "other-v1"}),
                                 ("any", [""], {80: "other-v1", 81: "other-v1"})):
        text = two + "".join(parents(f"p{p}", "default", "[{ backendRefs: [{ name: other, port: 80 }] }]", port=p,
                                     service_name="two") for p in attached)
        s = sidecar(f"ports-{name}", "default", [text])
        for port, who in want.items():
            got = s.who(f"two:{port}", port=OUT)
            check(got == who, f"{name} {port}: {got}, want {who}")
        s.stop()


run(globals(), sys.argv[3:])
