"""The document's Ingress files, unchanged, in front of services that tell who they are.
Usage: test_ingress.py TULLE_PROXY FOLDER_OF_THE_DOCUMENT'S_FILES"""
import base64
import socket
import ssl
import sys
import threading

import support
from gateway_support import (DOOR, HTTP, HTTPS, Net, Proxy, client_tls, is_share, make_ca,
                             make_cert, run)
from support import check, folder, wait_until

PROXY, SEEDS = sys.argv[1:3]
net = Net("127.1.28")
ca = make_ca()


def seed(name):
    return f"{SEEDS}/{name}.yaml"


def test_01_basic():
    g = Proxy(PROXY, net, "basic", [seed("01-ingress-basic"), net.service("user-service", 8080),
                                    net.service("shop-service", 8080)]).wait(HTTP)
    for host, path, want in (
            ("api.example.com", "/users", "user-service-v1"),
            ("api.example.com", "/users/", "user-service-v1"),
            ("API.example.com:80", "/users/7?a=b", "user-service-v1"),
            ("api.example.com", "/usersx", 404), ("api.example.com", "/", 404),
            ("shop.example.com", "/", "shop-service-v1"),
            ("shop.example.com", "/users", "shop-service-v1"),
            ("other.example.com", "/users", 404), ("user-service", "/users", 404)):
        check(g.who(host, path) == want, f"{host}{path}: {g.who(host, path)}, want {want}")
    _, told, _ = g.ask("api.example.com", "/users", X_Forwarded_Host="liar", X_Real_IP="1.2.3.4")
    h = told["headers"]
    check(h["host"] == h["x-forwarded-host"] == "api.example.com", h)
    check(h["x-forwarded-proto"] == "http" and h["x-real-ip"] == "127.0.0.1", h)
    g.stop()


def test_02_hosts():
    g = Proxy(PROXY, net, "hosts", [seed("02-ingress-hosts"), net.service("api-service", 7777),
                                    net.service("web-service", 8888)]).wait(HTTP)
    check(g.who("api.example.com", "/x") == "api-service-v1", "api")
    check(g.who("web.example.com", "/x") == "web-service-v1", "web")
    check(g.who("example.com", "/x") == 404, "no such host")
    check("backend.service: port is missing: the Service's only port is meant" in g.log(), g.log())
    g.stop()


def test_03_paths():
    g = Proxy(PROXY, net, "paths", [seed("03-ingress-paths"), net.service("api-service"),
                                    net.service("admin-service"),
                                    net.service("frontend-service")]).wait(HTTP)
    for path, want in (("/api", "api"), ("/api/v1/x", "api"), ("/apix", "frontend"),
                       ("/admin/", "admin"), ("/administer", "frontend"), ("/", "frontend"),
                       ("/x/api", "frontend"), ("/api/../admin", "admin")):
        check(g.who("example.com", path) == f"{want}-service-v1", f"{path}: {g.who('example.com', path)}")
    g.stop()


def check_tls(g):
    tls = client_tls(ca)
    status, told, _ = g.ask("example.com", "/x", port=HTTPS, tls=tls)
    check(status == 200 and told["who"] == "web-service-v1", f"{status} {told}")
    h = told["headers"]
    check(h["x-forwarded-proto"] == "https" and h["x-forwarded-port"] == "443", h)
    status, _, r = g.ask("example.com", "/x?y=1")
    check(status == 308 and r.getheader("location") == "https://example.com/x?y=1",
          f"{status} {r.getheader('location')}")
    c = g.connect(HTTPS, tls, "example.com")
    check(c.sock.version() == "TLSv1.3" and c.sock.selected_alpn_protocol() is None, c.sock.version())
    for _ in range(3):
        check(g.ask("example.com", connection=c)[0] == 200, "keep-alive with TLS")
    loose = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    loose.check_hostname, loose.verify_mode = False, ssl.CERT_NONE
    try:
        g.connect(HTTPS, loose, "stranger.example.org")
        support.fail("a certificate for a name nobody has")
    except ssl.SSLError as e:
        check("UNRECOGNIZED_NAME" in str(e).upper(), f"{e}")
    check(g.ask("example.com", port=HTTPS, tls=loose, sni=None)[0] == 200, "without a name")
    with socket.create_connection((g.ip, HTTPS), 10) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
        got = s.recv(4096)
    check(not got.startswith(b"HTTP/1.1 200"), f"plaintext at the TLS port: {got}")


def test_04_tls():
    cert = make_cert(ca, f"{folder}/secrets/default/tls-secret", "example.com")
    web = net.service("web-service")
    g = Proxy(PROXY, net, "tls", [seed("04-ingress-tls"), web],
              options=[f"--secrets={folder}/secrets"]).wait(HTTPS)
    check_tls(g)
    g.stop()
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: tls-secret}\ntype: kubernetes.io/tls\ndata:\n"
    for name in ("tls.crt", "tls.key"):
        with open(f"{cert}/{name}", "rb") as f:
            text += f"  {name}: {base64.b64encode(f.read()).decode()}\n"
    g = Proxy(PROXY, net, "tls-object", [seed("04-ingress-tls"), web, text]).wait(HTTPS)
    check_tls(g)
    g.stop()
    g = Proxy(PROXY, net, "tls-missing", [seed("04-ingress-tls"), web]).wait(HTTPS)
    check("gateway.no_certificate" in g.log(), g.log())
    try:
        g.connect(HTTPS, client_tls(ca), "example.com")
        support.fail("TLS without a certificate")
    except ssl.SSLError:
        pass
    g.stop()


def test_09_canary():
    g = Proxy(PROXY, net, "canary", [seed("09-ingress-canary-annotations"), net.service("app-v1"),
                                     net.service("app-v2")]).wait(HTTP)
    c, n = g.connect(), 1000
    new = sum(g.who("example.com", connection=c) == "app-v2-v1" for _ in range(n))
    check(is_share(new, n, 0.1), f"{new} of {n} went to the canary")
    g.stop()


GATEWAY_SERVICE = f"""apiVersion: v1
kind: Service
metadata: {{ name: istio-ingressgateway, namespace: default }}
spec: {{ selector: {{ istio: ingressgateway }}, ports: [{{ name: http, port: 80, targetPort: {DOOR} }}] }}
---
"""


def test_11_ingress_gateway_canary():
    make_cert(ca, f"{folder}/secrets11/default/tls-cert", "api.example.com")
    g = Proxy(PROXY, net, "whole", [seed("11-ingress-gateway-canary"), GATEWAY_SERVICE,
                                    net.service("user-service"),
                                    net.service("order-service", versions=("v1", "v2"))],
              options=[f"--secrets={folder}/secrets11"]).wait(HTTPS).wait(DOOR)
    log = g.log()
    check("subset 'v1' of order-service.default.svc.cluster.local is defined by no "
          "DestinationRule: routed by the label version=v1" in log, log)
    tls, host = client_tls(ca), "api.example.com"
    check(g.ask(host, "/users")[0] == 308, "HTTP at the Ingress is redirected")
    check(g.who(host, "/users/1", port=DOOR) == "user-service-v1", "the Gateway's own port")
    check(g.who(host, "/other", port=DOOR) == 404, "no such path")
    c = g.connect(DOOR)
    n = 1000
    new = sum(g.who(host, "/orders", connection=c) == "order-service-v2" for _ in range(n))
    check(is_share(new, n, 0.1), f"{new} of {n} orders went to v2")
    c = g.connect(HTTPS, tls, host)
    answers = []
    while 429 not in answers and len(answers) < 20000:
        status, told, r = g.ask(host, "/users", connection=c, x_request_id=f"n{len(answers)}")
        answers.append(status)
        if status == 200:
            check(told["who"] == "user-service-v1" and told["headers"]["x-forwarded-proto"] == "https",
                  told)
    check(answers[:100] == [200] * 100 and answers[-1] == 429, f"{len(answers)}: {answers[-3:]}")
    check(r.getheader("retry-after") == "1", "retry-after")
    check(r.getheader("x-tulle-reason").startswith("RL local_rate_limited"),
          r.getheader("x-tulle-reason"))
    line = g.access(request_id=f"n{len(answers) - 1}")
    check(line["response_flags"] == "RL" and line["response_code"] == 429, line)
    g.access(request_id="n0", upstream_cluster="outbound|80||user-service.default.svc.cluster.local",
             route_name="api-routes.http[0]")
    wait_until("the bucket to fill again",
               lambda: g.ask(host, "/users", connection=c)[0] == 200)
    g.stop()


def ingress(name, path="/", service="main", annotations="", kind="Prefix", spec=""):
    notes = "".join(f"    nginx.ingress.kubernetes.io/{k}: \"{v}\"\n" for k, v in annotations)
    return f"""apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  annotations:
    about: "a test"
{notes}spec:
  rules:
  - host: {name.split('.')[0]}.test
    http:
      paths:
      - {{ path: '{path}', pathType: {kind}, backend: {{ service: {{ name: {service}, port: {{ name: http }} }} }} }}
{spec}---
"""


RULES = [
    ("walled", {"whitelist-source-range": "10.0.0.0/8, 192.168.0.0/16"}, "/", "Prefix"),
    ("open", {"whitelist-source-range": "127.0.0.0/8"}, "/", "Prefix"),
    ("small", {"proxy-body-size": "1k"}, "/", "Prefix"),
    ("root", {"rewrite-target": "/", "upstream-vhost": "inner.example"}, "/app", "Prefix"),
    ("group", {"rewrite-target": "/$2"}, "/thing(/|$)(.*)", "ImplementationSpecific"),
    ("moved", {"permanent-redirect": "https://new.example/x"}, "/", "Prefix"),
    ("start", {"app-root": "/start"}, "/", "Prefix"),
    ("busy", {"limit-connections": "2"}, "/", "Prefix"),
    ("bursts", {"limit-rpm": "1", "limit-burst-multiplier": "3", "limit-req-status-code": "503"}, "/", "Prefix"),
    ("free", {"limit-rpm": "1", "limit-burst-multiplier": "1", "limit-whitelist": "127.0.0.1"}, "/", "Prefix"),
    ("sticky", {"affinity": "cookie", "session-cookie-name": "route", "session-cookie-max-age": "60"}, "/", "Prefix"),
    ("cors", {"enable-cors": "true", "cors-allow-origin": "https://a.example"}, "/", "Prefix"),
    ("exact", {}, "/only", "Exact"),
    ("strange", {"no-such-thing": "1"}, "/", "Prefix"),
]


def start_annotated():
    text = "".join(ingress(name, path, "main", notes.items(), kind) for name, notes, path, kind in RULES)
    text += ingress("new", "/", "main")
    for name, notes in (("by-header", {"canary-by-header": "x-new", "canary-by-cookie": "new"}),):
        text += ingress("new." + name, "/", "other", {"canary": "true", **notes}.items())
    text += """apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: last }
spec: { defaultBackend: { service: { name: other, port: { number: 80 } } } }
"""
    return Proxy(PROXY, net, "annotated", [text, net.service("main", versions=("v1", "v2", "v3")),
                                           net.service("other")]).wait(HTTP)


def check_limits(g):
    held = []
    threads = [threading.Thread(target=lambda: held.append(g.ask("busy.test", "/hold")[0]))
               for _ in range(2)]
    servers = [s for name, s in net.servers.items() if name.startswith("main-")]
    for t in threads:
        t.start()
    wait_until("two requests in flight",
               lambda: sum(x["path"] == "/hold" for s in servers for x in s.seen) == 2)
    check(g.ask("busy.test")[0] == 429, "a third request at once")
    for s in servers:
        s.held.set()
    for t in threads:
        t.join()
    check(held == [200, 200] and g.ask("busy.test")[0] == 200, f"{held}")
    answers = [g.ask("bursts.test")[0] for _ in range(4)]
    check(answers[:3] == [200] * 3 and answers[3] == 503, f"{answers}")
    check([g.ask("free.test")[0] for _ in range(4)] == [200] * 4, "limit-whitelist")


def check_canary(g):
    for headers, want in (({}, "main"), ({"x_new": "always"}, "other"), ({"x_new": "never"}, "main"),
                          ({"x_new": "perhaps"}, "main"), ({"Cookie": "a=b; new=always"}, "other"),
                          ({"Cookie": "new=never"}, "main"), ({"Cookie": "renew=always"}, "main"),
                          ({"x_new": "never", "Cookie": "new=always"}, "main")):
        check(g.who("new.test", **headers).startswith(want), f"{headers}")


def check_affinity(g):
    c = g.connect()
    status, told, r = g.ask("sticky.test", connection=c)
    cookie = r.getheader("set-cookie")
    check(status == 200 and cookie.startswith("route=") and "Max-Age=60" in cookie, cookie)
    for _ in range(20):
        status, again, r = g.ask("sticky.test", connection=c, Cookie=cookie.split(";")[0])
        check(again["who"] == told["who"] and not r.getheader("set-cookie"), f"{again}")
    seen = {g.who("sticky.test", connection=c, Cookie=f"route={i}") for i in range(64)}
    check(len(seen) == 3, f"other cookies go elsewhere: {seen}")


def test_annotations():
    g = start_annotated()
    check(g.ask("walled.test")[0] == 403 and g.ask("open.test")[0] == 200, "whitelist")
    check(g.ask("small.test", method="POST", body=b"x" * 1024)[0] == 200, "1k")
    check(g.ask("small.test", method="POST", body=b"x" * 1025)[0] == 413, "more than 1k")
    check(g.ask("small.test", method="POST", body=iter([b"x" * 600] * 3))[0] == 413, "in chunks")
    _, told, _ = g.ask("root.test", "/app/x?q=1")
    check(told["path"] == "/?q=1" and told["headers"]["host"] == "inner.example", told)
    check(g.ask("group.test", "/thing/a/b?q")[1]["path"] == "/a/b?q", "groups")
    status, _, r = g.ask("moved.test", "/y")
    check((status, r.getheader("location")) == (301, "https://new.example/x"), f"{status}")
    status, _, r = g.ask("start.test", "/")
    check((status, r.getheader("location")) == (302, "/start"), f"{status}")
    check(g.ask("start.test", "/a")[0] == 200, "beside app-root")
    check(g.who("exact.test", "/only") != 404 and g.who("exact.test", "/only/") == "other-v1", "Exact")
    check(g.who("nowhere.test") == "other-v1", "the default backend")
    status, _, r = g.ask("cors.test", method="OPTIONS", Origin="https://a.example",
                         Access_Control_Request_Method="PUT")
    check(status == 200 and r.getheader("access-control-allow-origin") == "https://a.example", "CORS")
    check("no-such-thing is not supported, ignored" in g.log(), g.log())
    check_limits(g)
    check_canary(g)
    check_affinity(g)
    g.stop()


run(globals(), sys.argv[3:])
