"""Gateways with TLS, and everything a VirtualService can do with a request, at real programs.
Usage: test_traffic.py TULLE_PROXY FOLDER_OF_THE_DOCUMENT'S_FILES"""
import re
import ssl
import sys
import threading

import support
from gateway_support import (APP, DOOR, HTTPS, OUT, POD, PROM, SERVICE, Net, Proxy, client_tls,
                             is_share, make_ca, make_cert, run)
from support import check, folder, wait_until

PROXY, SEEDS = sys.argv[1:3]
net = Net("127.1.29")
ca, other_ca = make_ca(), make_ca("other-ca")

GATEWAY = f"""apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: door, namespace: default }}
spec:
  selector: {{ istio: ingressgateway }}
  servers:
  - port: {{ number: {DOOR}, name: http, protocol: HTTP }}
    hosts: ["plain.test", "shop.test"]
  - port: {{ number: {DOOR + 20}, name: redirect, protocol: HTTP }}
    hosts: ["shop.test"]
    tls: {{ httpsRedirect: true }}
  - port: {{ number: {HTTPS}, name: simple, protocol: HTTPS }}
    hosts: ["shop.test", "*.shop.test"]
    tls: {{ mode: SIMPLE, credentialName: shop }}
  - port: {{ number: {HTTPS}, name: mutual, protocol: HTTPS }}
    hosts: ["bank.test"]
    tls: {{ mode: MUTUAL, credentialName: bank, minProtocolVersion: TLSV1_3 }}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: shop, namespace: default }}
spec:
  hosts: ["shop.test", "*.shop.test", "bank.test", "plain.test"]
  gateways: [door]
  http:
  - match: [{{ port: {DOOR} }}]
    route: [{{ destination: {{ host: plain }} }}]
  - match: [{{ scheme: {{ exact: https }} }}]
    route: [{{ destination: {{ host: shop }} }}]
---
"""


def test_gateway_tls():
    secrets = f"{folder}/secrets/default"
    make_cert(ca, f"{secrets}/shop", "shop.test", "*.shop.test")
    bank = make_cert(ca, f"{secrets}/bank", "bank.test")
    with open(f"{ca}/ca.crt", "rb") as src, open(f"{bank}/ca.crt", "wb") as dst:
        dst.write(src.read())
    good = make_cert(ca, f"{folder}/good", "somebody")
    bad = make_cert(other_ca, f"{folder}/bad", "nobody")
    g = Proxy(PROXY, net, "door", [GATEWAY, net.service("shop"), net.service("plain")],
              options=[f"--secrets={folder}/secrets"]).wait(HTTPS)
    tls = client_tls(ca)
    check(g.who("shop.test", port=HTTPS, tls=tls) == "shop-v1", "SIMPLE")
    check(g.who("a.shop.test", port=HTTPS, tls=tls) == "shop-v1", "SIMPLE by a wildcard")
    check(g.who("plain.test", port=DOOR) == "plain-v1", "without TLS, by port")
    check(g.who("shop.test", port=DOOR) == "plain-v1", "the same host without TLS")
    status, _, r = g.ask("shop.test", "/a?b", port=DOOR + 20)
    check((status, r.getheader("location")) == (301, "https://shop.test/a?b"), f"{status}")
    _, told, _ = g.ask("bank.test", port=HTTPS, tls=client_tls(ca, good), X_Forwarded_Client_Cert="By=liar")
    cert = told["headers"]["x-forwarded-client-cert"]
    check(told["who"] == "shop-v1" and re.fullmatch('Hash=[0-9a-f]{64};Subject="CN=somebody"', cert), f"MUTUAL: {told}")
    _, told, _ = g.ask("shop.test", port=HTTPS, tls=tls, X_Forwarded_Client_Cert="By=liar")
    check("x-forwarded-client-cert" not in told["headers"], "what a caller claims")
    for what, cert in (("no certificate", None), ("one of another authority", bad)):
        try:
            g.ask("bank.test", port=HTTPS, tls=client_tls(ca, cert))
            support.fail(f"MUTUAL with {what}")
        except (ssl.SSLError, ConnectionError):
            pass
    status, text, r = g.ask("bank.test", port=HTTPS, tls=tls, sni="shop.test")
    check(status == 421 and "misdirected" in r.getheader("x-tulle-reason"), f"{status} {text}")
    old = client_tls(ca, good)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    try:
        g.connect(HTTPS, old, "bank.test")
        support.fail("TLS 1.2 where 1.3 is asked for")
    except (ssl.SSLError, ConnectionError):
        pass
    check(g.connect(HTTPS, client_tls(ca), "shop.test").sock.version() == "TLSv1.3", "TLS 1.3")
    g.stop()


RULES = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: all, namespace: default }
spec:
  hosts: [shop]
  http:
  - match: [{ uri: { prefix: /old } }]
    rewrite: { uri: /new, authority: inner.test }
    route: [{ destination: { host: shop } }]
  - match: [{ uri: { prefix: /service/ } }]
    rewrite: { uriRegexRewrite: { match: "^/service/([^/]+)(/.*)$", rewrite: "\\\\2/of/\\\\1" } }
    route: [{ destination: { host: shop } }]
  - match: [{ uri: { exact: /moved } }]
    redirect: { uri: /there, authority: new.test, scheme: https, redirectCode: 307 }
  - match: [{ uri: { prefix: /elsewhere } }]
    redirect: { prefixRewrite: /here, port: 8080 }
  - match: [{ uri: { exact: /direct } }]
    directResponse: { status: 418, body: { string: "a teapot" } }
    headers: { response: { set: { x-pot: "1" } } }
  - match: [{ uri: { exact: /fields } }]
    headers:
      request: { set: { x-set: "new", Host: set.test }, add: { x-more: "2" }, remove: [x-gone] }
      response: { set: { x-out: "1" }, remove: [x-powered-by] }
    route:
    - destination: { host: shop }
      headers: { request: { set: { x-last: "3" } }, response: { add: { x-out: "2" } } }
  - match: [{ uri: { exact: /hosted } }]
    rewrite: { authority: rule.test }
    route:
    - { destination: { host: shop }, weight: 50, headers: { request: { set: { Host: one.test } } } }
    - { destination: { host: shop }, weight: 50 }
  - match: [{ uri: { exact: /made } }]
    headers:
      request:
        set:
          x-ip: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
          x-from: "%REQ(x-nobody?user-agent)% by %PROTOCOL%, 100%%"
          x-missing: "%REQ(x-nobody)%"
          x-odd: "100%"
        add: { x-start: "%START_TIME%" }
      response: { add: { x-served-by: "%UPSTREAM_HOST%", x-cluster: "%UPSTREAM_CLUSTER%" } }
    route: [{ destination: { host: shop } }]
  - match: [{ uri: { exact: /keeps } }]
    redirect: { scheme: https, derivePort: FROM_REQUEST_PORT }
  - match: [{ uri: { exact: /abort } }]
    fault: { abort: { percentage: { value: 100 }, httpStatus: 503 } }
    route: [{ destination: { host: shop } }]
  - match: [{ uri: { exact: /grpc } }]
    fault: { abort: { percentage: { value: 100 }, grpcStatus: UNAVAILABLE } }
    route: [{ destination: { host: shop } }]
  - match: [{ uri: { exact: /half } }]
    fault: { abort: { percentage: { value: 50 }, httpStatus: 500 } }
    route: [{ destination: { host: shop } }]
  - match: [{ uri: { exact: /delay } }]
    timeout: 0.2s
    fault: { delay: { percentage: { value: 100 }, fixedDelay: 0.4s } }
    route: [{ destination: { host: shop } }]
  - match: [{ uri: { prefix: /never } }]
    fault: { abort: { httpStatus: 500 }, delay: { fixedDelay: 10s } }
    route: [{ destination: { host: shop } }]
  - match: [{ uri: { prefix: /cors } }]
    corsPolicy:
      allowOrigins: [{ exact: "https://a.test" }, { regex: "https://.*[.]b[.]test" }]
      allowMethods: [GET, PUT]
      allowHeaders: [x-a, x-b]
      exposeHeaders: [x-c]
      maxAge: 24h
      allowCredentials: true
    route: [{ destination: { host: shop } }]
  - match: [{ uri: { prefix: /mirror } }]
    mirror: { host: spy }
    route: [{ destination: { host: shop } }]
  - match: [{ uri: { prefix: /sometimes } }]
    mirrors: [{ destination: { host: spy }, percentage: { value: 50 } }]
    route: [{ destination: { host: shop } }]
  - match: [{ uri: { prefix: /delegated } }]
    delegate: { name: team }
  - match: [{ uri: { prefix: /Case }, ignoreUriCase: true, method: { exact: GET }, queryParams: { a: { exact: b } },
             withoutHeaders: { x-not: {} } }]
    directResponse: { status: 299 }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: team, namespace: default }
spec:
  http:
  - match: [{ uri: { prefix: /delegated/spy } }]
    route: [{ destination: { host: spy } }]
  - route: [{ destination: { host: shop } }]
---
"""


def check_rewrites(p):
    c = p.connect(OUT)
    _, told, _ = p.ask("shop", "/old/x?y", connection=c)
    check(told["path"] == "/new/x?y" and told["headers"]["host"] == "inner.test", told)
    check(p.ask("shop", "/service/a/b?c", connection=c)[1]["path"] == "/b/of/a?c", "regex")
    for path, want in (("/moved?q", (307, "https://new.test/there?q")),
                       ("/elsewhere/x?q", (301, "http://shop:8080/here/x?q"))):
        status, _, r = p.ask("shop", path, connection=c)
        check((status, r.getheader("location")) == want, f"{status} {r.getheader('location')}")
    status, text, r = p.ask("shop", "/direct", connection=c)
    check((status, text, r.getheader("x-pot")) == (418, b"a teapot", "1"), f"{status} {text}")
    check(r.getheader("x-tulle-reason") == "direct_response", r.getheader("x-tulle-reason"))


def check_fields(p):
    _, told, r = p.ask("shop", "/fields", port=OUT, X_Set="old", X_More="1", X_Gone="1")
    h = told["headers"]
    check(h["x-set"] == "new" and h["host"] == "set.test" and "x-gone" not in h, h)
    check(h["x-more"] == "2" and h["x-last"] == "3", h)  # http.server keeps the last of two
    check(r.getheader("x-out") == "1, 2" and not r.getheader("x-powered-by"), r.getheaders())


def check_made_fields(p):
    """Operators in values, a host for a destination, and a redirect that keeps the port."""
    hosts = {p.ask("shop", "/hosted", port=OUT)[1]["headers"]["host"] for _ in range(64)}
    check(hosts == {"one.test", "rule.test"}, f"each destination its host: {hosts}")
    _, told, r = p.ask("shop", "/made", port=OUT, User_Agent="me", X_Missing="old")
    h = told["headers"]
    check(h["x-ip"] == "127.0.0.1" and h["x-from"] == "me by HTTP/1.1, 100%", h)
    check("x-missing" not in h and h["x-odd"] == "100%", h)
    check(h["x-start"].startswith("20") and h["x-start"].endswith("Z"), h)
    check(r.getheader("x-served-by").endswith(f":{APP}"), r.getheaders())
    check(r.getheader("x-cluster") == "outbound|80||shop.default.svc.cluster.local", r.getheaders())
    check("'%' is no operator that is known here" in p.log(), p.log())
    for host, want in (("shop", "https://shop:80/keeps"), ("shop:9080", "https://shop:9080/keeps")):
        status, _, r = p.ask(host, "/keeps", port=OUT)
        check((status, r.getheader("location")) == (301, want), f"{host}: {status} {r.getheader('location')}")


def check_faults(p):
    status, text, r = p.ask("shop", "/abort", port=OUT, x_request_id="abort")
    check(status == 503 and text == b"fault filter abort", f"{status} {text}")
    line = p.access(request_id="abort")
    check(line["response_flags"] == "FI" and line["response_code_details"] == "fault_filter_abort", line)
    status, text, r = p.ask("shop", "/grpc", port=OUT)
    check(status == 200 and r.getheader("grpc-status") == "14" and not text, f"{status} {text}")
    c = p.connect(OUT)
    n = sum(p.ask("shop", "/half", connection=c)[0] == 500 for _ in range(400))
    check(is_share(n, 400, 0.5), f"{n} of 400 aborted")
    status, told, _ = p.ask("shop", "/delay", port=OUT, x_request_id="delay")
    check(status == 200, f"a delay is not part of the route's timeout: {status}")
    line = p.access(request_id="delay")
    check(line["response_flags"] == "DI" and line["duration"] >= 399, line)
    check(p.ask("shop", "/never", port=OUT)[0] == 200, "faults without percentage")


def check_cors(p):
    def ask(origin, method="OPTIONS", **more):
        return p.ask("shop", "/cors", port=OUT, method=method, Origin=origin, **more)
    status, _, r = ask("https://x.b.test", Access_Control_Request_Method="PUT")
    check(status == 200 and r.getheader("access-control-allow-origin") == "https://x.b.test", f"{status}")
    check(r.getheader("access-control-allow-methods") == "GET,PUT", r.getheaders())
    check(r.getheader("access-control-max-age") == "86400", r.getheaders())
    status, told, r = ask("https://a.test", "GET")
    check(told["who"] == "shop-v1" and r.getheader("access-control-allow-credentials") == "true", told)
    check(r.getheader("access-control-expose-headers") == "x-c", r.getheaders())
    status, told, r = ask("https://evil.test", Access_Control_Request_Method="PUT")
    check(told["who"] == "shop-v1" and not r.getheader("access-control-allow-origin"), told)


def check_mirror(p):
    spy = net.servers["spy-v1"]
    status, told, _ = p.ask("shop", "/mirror/x", method="POST", body=b"x" * 300000, port=OUT)
    check(told["who"] == "shop-v1" and told["body"] == 300000, told)
    wait_until("the copy", lambda: [s for s in spy.seen if s["path"] == "/mirror/x"])
    copy = [s for s in spy.seen if s["path"] == "/mirror/x"][0]
    check(copy["body"] == 300000 and copy["method"] == "POST", copy)
    check(copy["headers"]["traceparent"].endswith("-00"), copy)
    check((told["headers"]["host"], copy["headers"]["host"]) == ("shop", "shop-shadow"), "the copy says that it is one")
    check(told["headers"]["traceparent"].endswith("-01"), told)
    status, told, _ = p.ask("shop", "/mirror/y", method="PUT", body=iter([b"ab", b"cde"]), port=OUT)
    check(status == 200 and told["body"] == 5, f"{status} {told}")
    wait_until("the copy in chunks",
               lambda: [s for s in spy.seen if s["path"] == "/mirror/y" and s["body"] == 5])
    c = p.connect(OUT)
    for _ in range(200):
        check(p.ask("shop", "/sometimes", connection=c)[0] == 200, "sometimes")
    sent = int(metric(p, 'tulle_proxy_mirrored_requests_total{outcome="sent"}')) - 2
    check(is_share(sent, 200, 0.5), f"{sent} of 200 copied")
    wait_until("half of the copies",
               lambda: len([s for s in spy.seen if s["path"] == "/sometimes"]) == sent)


def metric(p, name):
    _, text, _ = p.ask("x", "/stats/prometheus", port=PROM)
    return next(line.split()[-1] for line in text.decode().splitlines() if line.startswith(name))


def check_matches(p):
    for path, method, headers, want in (
            ("/cASE/x?a=b", "GET", {}, 299), ("/case?a=c", "GET", {}, 404), ("/case?a=b", "PUT", {}, 404),
            ("/case?c&a=b", "GET", {"x_not": "1"}, 404), ("/delegated/spy", "GET", {}, "spy-v1"),
            ("/delegated/x", "GET", {}, "shop-v1"), ("/nothing", "GET", {}, 404)):
        status, told, _ = p.ask("shop", path, method=method, port=OUT, **headers)
        got = told["who"] if status == 200 else status
        check(got == want, f"{method} {path}: {got}, want {want}")


def test_virtual_service():
    p = Proxy(PROXY, net, "caller", [RULES, net.service("shop"), net.service("spy")],
              role="sidecar").wait(OUT)
    for each in (check_rewrites, check_fields, check_faults, check_cors, check_mirror, check_matches):
        print("  ", each.__name__, flush=True)
        each(p)
    p.stop()


DESTINATIONS = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: turns, namespace: default }
spec: { host: turns, trafficPolicy: { loadBalancer: { simple: ROUND_ROBIN } } }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: sticky, namespace: default }
spec:
  host: sticky
  trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: x-user } } }
  subsets:
  - name: cookie
    trafficPolicy: { loadBalancer: { consistentHash: { httpCookie: { name: who, path: /, ttl: 60s }, maglev: { tableSize: 101 } } } }
  - name: query
    trafficPolicy: { loadBalancer: { consistentHash: { httpQueryParameterName: q, ringHash: { minimumRingSize: 64 } } } }
  - name: address
    trafficPolicy: { loadBalancer: { consistentHash: { useSourceIp: true } } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: sticky, namespace: default }
spec:
  hosts: [sticky]
  http:
  - match: [{ uri: { prefix: /cookie } }]
    route: [{ destination: { host: sticky, subset: cookie } }]
  - match: [{ uri: { prefix: /query } }]
    route: [{ destination: { host: sticky, subset: query } }]
  - match: [{ uri: { prefix: /address } }]
    route: [{ destination: { host: sticky, subset: address } }]
  - route: [{ destination: { host: sticky } }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: narrow, namespace: default }
spec:
  host: narrow
  trafficPolicy:
    connectionPool: { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1, maxRequestsPerConnection: 2 } }
    portLevelSettings:
    - port: { number: 81 }
      connectionPool: { http: { http2MaxRequests: 1 } }
---
"""


def check_sticky(p):
    c = p.connect(OUT)
    def one_each(path, **more):
        return {p.who("sticky", path, connection=c, **more) for _ in range(10)}
    users = [one_each("/", x_user=f"u{i}") for i in range(40)]
    check(all(len(u) == 1 for u in users) and len(set.union(*users)) == 3, f"by header: {users}")
    check(len({p.who("sticky", "/", connection=c) for _ in range(100)}) == 3, "without the header by load")
    asked = [one_each(f"/query?a&q={i}") for i in range(40)]
    check(all(len(u) == 1 for u in asked) and len(set.union(*asked)) == 3, f"by parameter: {asked}")
    check(len(one_each("/address")) == 1, "by address")
    _, told, r = p.ask("sticky", "/cookie", connection=c)
    cookie = r.getheader("set-cookie")
    check(cookie.startswith("who=") and "; Path=/; Max-Age=60" in cookie, cookie)
    check(one_each("/cookie", Cookie=cookie.split(";")[0]) == {told["who"]}, "by cookie")


def in_background(p, results, *argv, **more):
    t = threading.Thread(target=lambda: results.append(p.ask(*argv, port=OUT, **more)))
    t.start()
    return t


def check_pool(p):
    server, results = net.servers["narrow-v1"], []
    first = in_background(p, results, "narrow", "/hold")
    wait_until("the first request", lambda: server.seen)
    second = in_background(p, results, "narrow", "/second", x_request_id="second")
    wait_until("the second one in the queue", lambda: int(metric(p, "tulle_proxy_requests_active")) == 2)
    status, text, r = p.ask("narrow", "/third", port=OUT, x_request_id="third")
    check(status == 503 and r.getheader("x-envoy-overloaded") == "true", f"{status} {text}")
    check(p.access(request_id="third")["response_flags"] == "UO", "UO")
    check(len(server.seen) == 1, server.seen)
    server.held.set()
    first.join()
    second.join()
    check([r[0] for r in results] == [200, 200], f"{results}")
    before = int(metric(p, "tulle_proxy_upstream_connections_total"))
    c = p.connect(OUT)
    for _ in range(10):
        check(p.ask("narrow", "/x", connection=c)[0] == 200, "one after the other")
    opened = int(metric(p, "tulle_proxy_upstream_connections_total")) - before
    check(opened == 5, f"{opened} connections for 10 requests, two on each")


def outside_entry():
    """A host outside, at the address of another service's pod."""
    ip = net.servers["turns-v1"].server_address[0]
    return f"""apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: partner, namespace: default }}
spec:
  hosts: [api.partner.test]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP, targetPort: {APP} }}]
  endpoints: [{{ address: {ip} }}]
"""


def test_destination_rule():
    p = Proxy(PROXY, net, "rules", [DESTINATIONS, net.service("turns", 80, ("v1", "v2", "v3")),
                                    net.service("sticky", 80, ("v1", "v2", "v3")),
                                    net.service("narrow"), outside_entry()],
              role="sidecar").wait(OUT)
    c = p.connect(OUT)
    check(p.who("api.partner.test", connection=c) == "turns-v1", "a ServiceEntry")
    check(p.who("partner.test", connection=c) == 404, "no ServiceEntry")
    got = [p.who("turns", connection=c) for _ in range(9)]
    check(sorted(got[:3]) == ["turns-v1", "turns-v2", "turns-v3"] and got[:3] * 3 == got, f"{got}")
    check_sticky(p)
    check_pool(p)
    p.stop()


def tls_rule(name, mode, more):
    return f"""apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: {name}, namespace: default }}
spec: {{ host: {name}, trafficPolicy: {{ tls: {{ mode: {mode}, {more} }} }} }}
---
"""


def test_upstream_tls():
    """The other end is a gateway of ours, which asks for what a service outside would."""
    own = make_cert(ca, f"{folder}/own", "caller.test")
    secrets = f"{folder}/up/default"
    make_cert(ca, f"{secrets}/shop", "shop.test", "*.shop.test")
    bank = make_cert(ca, f"{secrets}/bank", "bank.test")
    with open(f"{ca}/ca.crt", "rb") as src, open(f"{bank}/ca.crt", "wb") as dst:
        dst.write(src.read())
    g = Proxy(PROXY, net, "outside", [GATEWAY, net.service("shop"), net.service("plain")],
              options=[f"--secrets={folder}/up"]).wait(HTTPS)
    text, files = "", f"caCertificates: {ca}/ca.crt"
    for name, mode, more in (
            ("simple", "SIMPLE", f"{files}, sni: shop.test"),
            ("named", "SIMPLE", f"{files}, sni: shop.test, subjectAltNames: [other.test, a.shop.test]"),
            ("misnamed", "SIMPLE", f"{files}, sni: shop.test, subjectAltNames: [other.test]"),
            ("mistrusted", "SIMPLE", f"caCertificates: {other_ca}/ca.crt, sni: shop.test"),
            ("anybody", "SIMPLE", "insecureSkipVerify: true, sni: shop.test"),
            ("mutual", "MUTUAL", f"{files}, sni: bank.test, clientCertificate: {own}/tls.crt, privateKey: {own}/tls.key"),
            ("shy", "SIMPLE", f"{files}, sni: bank.test")):
        text += tls_rule(name, mode, more) + SERVICE.format(name=name, port=80, target=HTTPS)
        text += POD.format(name=name, version="v1", ip=g.ip)
        text += f"""apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: {name}, namespace: default }}
spec:
  hosts: [{name}]
  http: [{{ rewrite: {{ authority: {'bank' if name in ('mutual', 'shy') else 'shop'}.test }}, route: [{{ destination: {{ host: {name} }} }}] }}]
---
"""
    p = Proxy(PROXY, net, "client", [text], role="sidecar").wait(OUT)
    for name, want in (("simple", "shop-v1"), ("named", "shop-v1"), ("misnamed", 503), ("mistrusted", 503),
                       ("anybody", "shop-v1"), ("mutual", "shop-v1"), ("shy", 503)):
        got = p.who(name, port=OUT)
        check(got == want, f"{name}: {got}, want {want}")
    line = p.access(authority="mistrusted")
    check(line["response_flags"].startswith("UF") and "certificate" in
          line["upstream_transport_failure_reason"], line)
    p.stop()
    g.stop()


HTTP_ROUTES = f"""apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: main, namespace: default }}
spec:
  gatewayClassName: tulle
  listeners:
  - {{ name: http, port: {DOOR}, protocol: HTTP, hostname: "*.api.test" }}
  - {{ name: https, port: {HTTPS}, protocol: HTTPS, hostname: www.api.test,
      tls: {{ certificateRefs: [{{ name: www }}] }} }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: first, namespace: default }}
spec:
  parentRefs: [{{ name: main, sectionName: http }}]
  hostnames: [www.api.test, elsewhere.test]
  rules:
  - backendRefs: [{{ name: web, port: 80 }}]
  - matches: [{{ path: {{ type: PathPrefix, value: /a }} }}]
    backendRefs: [{{ name: one, port: 80 }}]
  - matches: [{{ path: {{ type: PathPrefix, value: /a }}, method: POST }}]
    backendRefs: [{{ name: two, port: 80 }}]
  - matches: [{{ path: {{ type: PathPrefix, value: /a }}, headers: [{{ name: x-v, value: "2" }}] }},
              {{ path: {{ type: Exact, value: /a/exact }} }}]
    backendRefs: [{{ name: two, port: 80 }}]
  - matches: [{{ path: {{ value: /query }}, queryParams: [{{ name: q, value: "1" }}] }}]
    backendRefs: [{{ name: two, port: 80 }}]
  - matches: [{{ path: {{ value: /split }} }}]
    backendRefs: [{{ name: one, port: 80, weight: 3 }}, {{ name: two, port: 80 }}]
  - matches: [{{ path: {{ value: /old }} }}]
    filters:
    - {{ type: URLRewrite, urlRewrite: {{ hostname: inner.test, path: {{ type: ReplacePrefixMatch, replacePrefixMatch: /new }} }} }}
    - {{ type: RequestHeaderModifier, requestHeaderModifier: {{ set: [{{ name: x-set, value: "1" }}], remove: [x-gone] }} }}
    - {{ type: ResponseHeaderModifier, responseHeaderModifier: {{ add: [{{ name: x-out, value: "1" }}] }} }}
    - {{ type: RequestMirror, requestMirror: {{ backendRef: {{ name: spy, port: 80 }} }} }}
    backendRefs: [{{ name: web, port: 80 }}]
  - matches: [{{ path: {{ value: /go }} }}]
    filters:
    - {{ type: RequestRedirect, requestRedirect: {{ scheme: https, path: {{ type: ReplacePrefixMatch, replacePrefixMatch: /gone }} }} }}
  - matches: [{{ path: {{ value: /hold }} }}]
    timeouts: {{ request: 300ms }}
    backendRefs: [{{ name: web, port: 80 }}]
  - matches: [{{ path: {{ value: /nowhere }} }}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: second, namespace: default, annotations: {{ tulle.io/limit-rpm: "1", tulle.io/limit-burst: "5", tulle.io/limit-per: route }} }}
spec:
  parentRefs: [{{ name: main }}]
  hostnames: [www.api.test]
  rules:
  - matches: [{{ path: {{ value: /a/deeper }} }}]
    backendRefs: [{{ name: web, port: 80 }}]
---
"""


def test_gateway_api():
    make_cert(ca, f"{folder}/k8s-secrets/default/www", "www.api.test")
    g = Proxy(PROXY, net, "k8s", [HTTP_ROUTES] + [net.service(s) for s in ("web", "one", "two", "spy")],
              options=[f"--secrets={folder}/k8s-secrets"]).wait(HTTPS)
    host = "www.api.test"
    for path, method, headers, want in (
            ("/", "GET", {}, "web-v1"), ("/a", "GET", {}, "one-v1"), ("/a/b", "GET", {}, "one-v1"),
            ("/ab", "GET", {}, "web-v1"), ("/a", "POST", {}, "two-v1"), ("/a", "GET", {"x_v": "2"}, "two-v1"),
            ("/a/exact", "GET", {}, "two-v1"), ("/query?q=1", "GET", {}, "two-v1"),
            ("/query?q=2", "GET", {}, "web-v1"), ("/nowhere", "GET", {}, 500), ("/hold", "GET", {}, 504)):
        got = g.who(host, path, method=method, port=DOOR, **headers)
        check(got == want, f"{method} {path}: {got}, want {want}")
    for other in ("x.api.test", "elsewhere.test", "api.test"):
        check(g.ask(other, port=DOOR)[0] == 404, other)
    c = g.connect(DOOR)
    n = sum(g.who(host, "/split", connection=c) == "two-v1" for _ in range(800))
    check(is_share(n, 800, 0.25), f"{n} of 800")
    _, told, r = g.ask(host, "/old/x?y", port=DOOR, X_Gone="1")
    h = told["headers"]
    check(told["path"] == "/new/x?y" and h["host"] == "inner.test" and h["x-set"] == "1", told)
    check("x-gone" not in h and r.getheader("x-out") == "1", f"{h} {r.getheaders()}")
    wait_until("the copy", lambda: net.servers["spy-v1"].seen)
    status, _, r = g.ask(host, "/go/x", port=DOOR)
    check((status, r.getheader("location")) == (302, f"https://{host}/gone/x"), r.getheader("location"))
    tls = client_tls(ca)
    check(g.ask(host, "/", port=HTTPS, tls=tls)[0] == 404, "the first route is for HTTP alone")
    got = [g.ask(host, "/a/deeper", port=HTTPS, tls=tls)[0] for _ in range(6)]
    check(got == [200] * 5 + [429], f"{got}")
    net.servers["web-v1"].held.set()
    g.stop()


def test_05_and_10_in_a_sidecar():
    seeds = [f"{SEEDS}/05-reviews-header-and-weights.yaml", f"{SEEDS}/10-app-canary.yaml"]
    p = Proxy(PROXY, net, "weights", seeds + [net.service("reviews", 9080, ("v1", "v2", "v3")),
                                              net.service("app", 80, ("v1", "v2"))],
              role="sidecar").wait(OUT)
    c, n = p.connect(OUT), 1000
    check({p.who("reviews:9080", connection=c, end_user="jason") for _ in range(50)} == {"reviews-v2"},
          "jason")
    got = [p.who("reviews:9080", connection=c) for _ in range(n)]
    check(set(got) == {"reviews-v1", "reviews-v3"} and is_share(got.count("reviews-v3"), n, 0.1),
          f"{got.count('reviews-v3')} of {n} to v3")
    got = [p.who("app", connection=c) for _ in range(n)]
    check(set(got) == {"app-v1", "app-v2"} and is_share(got.count("app-v2"), n, 0.1),
          f"{got.count('app-v2')} of {n} to v2")
    p.stop()


run(globals(), sys.argv[3:])
