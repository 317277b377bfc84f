"""Annotations of ingress-nginx that lead elsewhere, keep out, or say how services are spoken to.
Usage: test_nginx_notes.py TULLE_PROXY"""
import socket
import ssl
import sys
import threading

from gateway_support import APP, HTTP, POD, SERVICE, Net, Proxy, make_ca, make_cert, run
from support import check, folder

PROXY = sys.argv[1]
net = Net("127.1.78")
ca = make_ca()
NGINX = "nginx.ingress.kubernetes.io/"


def ingress(name, service, spec="", **notes):
    lines = "".join(f"    {NGINX}{k.replace('_', '-')}: {v!r}\n" for k, v in notes.items())
    return f"""apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
  annotations:
    about: x
{lines}spec:
{spec}  rules:
  - host: {name}.test
    http: {{ paths: [{{ path: /, pathType: Prefix, backend: {{ service: {{ name: {service}, port: {{ number: 80 }} }} }} }}] }}
---
"""


def status_of(g, host, path="/", **more):
    s, _, r = g.ask(host, path, **more)
    return s, r.getheader("location") or r.getheader("x-tulle-reason")


def test_kept_out():
    """Checks that this proxy cannot make let nobody in; denied addresses stay out."""
    objects = net.service("shop") + ingress("denied", "shop", denylist_source_range="127.0.0.0/8") + \
        ingress("open", "shop", denylist_source_range="10.0.0.0/8, 192.0.2.1", proxy_buffering="off") + \
        ingress("asked", "shop", auth_url="https://auth.test/", permanent_redirect="https://secret.test/") + \
        ingress("basic", "shop", auth_type="basic", auth_secret="users") + \
        ingress("maybe", "shop", auth_tls_secret="default/ca", auth_tls_verify_client="optional") + \
        ingress("certs", "shop", auth_tls_secret="default/ca")
    g = Proxy(PROXY, net, "kept-out", [objects]).wait(HTTP)
    check(status_of(g, "denied.test") == (403, "client_address_not_allowed (this client's address is in "
                                               "denylist-source-range)"), "denied")
    for host in ("open.test", "maybe.test"):
        check(g.who(host) == "shop-v1", host)
    for host, name in (("asked", "auth-url"), ("basic", "auth-type"), ("certs", "auth-tls-secret")):
        want = (503, f"protection_not_supported (this proxy cannot check what {name} asks for)")
        check(status_of(g, f"{host}.test") == want, f"{host}: {status_of(g, f'{host}.test')}")
        check(f"{NGINX}{name} is a check that this proxy cannot make" in g.log(), g.log())
    check("proxy-buffering" not in g.log(), "what nothing is missing without")
    check(not any(x["path"] == "/" and x["headers"]["host"] == "asked.test" for x in net.servers["shop-v1"].seen), "unseen")
    g.stop()


def test_other_names():
    objects = net.service("names") + ingress("main", "names", server_alias="alias.test, *.many.test", from_to_www_redirect="true") + \
        ingress("www.site", "names", from_to_www_redirect="true")
    g = Proxy(PROXY, net, "names", [objects]).wait(HTTP)
    for host in ("main.test", "alias.test", "ALIAS.test:80", "x.many.test"):
        check(g.who(host, "/x") == "names-v1", host)
    check(status_of(g, "www.main.test", "/a?b") == (308, "http://main.test/a?b"), "to the name without www")
    check(status_of(g, "site.test", "/a") == (308, "http://www.site.test/a"), "to the name with www")
    check(status_of(g, "www.main.test:8080", "/a") == (308, "http://main.test:8080/a"), "the port that was asked")
    check(g.ask("many.test")[0] == 404, "one label")
    g.stop()


class Speaker:
    """Answers one line of HTTP/1.1 over TLS, or takes down what begins as HTTP/2."""

    def __init__(self, name, cert):
        self.ip, self.first, self.sni = net.address(), [], []
        self.tls = None
        if cert:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(f"{cert}/tls.crt", f"{cert}/tls.key")
            self.tls.set_alpn_protocols(["h2", "http/1.1"])
            self.tls.sni_callback = lambda _s, name, _c: self.sni.append(name)
        self.objects = SERVICE.format(name=name, port=80, target=APP) + POD.format(name=name, version="v1", ip=self.ip)
        self.listener = socket.create_server((self.ip, APP))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            s = self.listener.accept()[0]
            try:
                if self.tls:
                    s = self.tls.wrap_socket(s, server_side=True)
                first = s.recv(65536)
                self.first.append((first, s.selected_alpn_protocol() if self.tls else None))
                if not first.startswith(b"PRI"):
                    s.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            except OSError:
                pass
            s.close()


def test_backends():
    cert = make_cert(ca, f"{folder}/backend", "backend.test")
    secret = f"{folder}/secrets/default/checked"
    make_cert(ca, secret, "gateway")
    with open(f"{ca}/ca.crt", "rb") as src, open(f"{secret}/ca.crt", "wb") as dst:
        dst.write(src.read())
    tls, h2, h2s = Speaker("tls", cert), Speaker("h2", None), Speaker("h2s", cert)
    objects = tls.objects + h2.objects + h2s.objects + \
        ingress("plain", "tls") + ingress("any", "tls", backend_protocol="HTTPS") + \
        ingress("checked", "tls", backend_protocol="HTTPS", proxy_ssl_verify="on", proxy_ssl_name="backend.test",
                proxy_ssl_secret="default/checked") + \
        ingress("wrong", "tls", backend_protocol="HTTPS", proxy_ssl_verify="on", proxy_ssl_name="other.test",
                proxy_ssl_secret="default/checked") + \
        ingress("grpc", "h2", backend_protocol="GRPC") + ingress("grpcs", "h2s", backend_protocol="GRPCS")
    g = Proxy(PROXY, net, "backends", [objects], options=[f"--secrets={folder}/secrets"]).wait(HTTP)
    check(g.ask("plain.test")[0] >= 500, "plaintext to a port with TLS")
    check(g.ask("any.test")[1] == b"ok" and tls.sni[-1] == "any.test", f"unchecked: {tls.sni}")
    check(g.ask("checked.test")[1] == b"ok" and tls.sni[-1] == "backend.test", f"checked: {tls.sni}")
    check(status_of(g, "wrong.test") == (503, "UF,URX upstream_reset_before_response_started{tls_failure}"), "another's name")
    for host, speaker, alpn in (("grpc.test", h2, None), ("grpcs.test", h2s, "h2")):
        g.ask(host)
        check(speaker.first and all(x[0].startswith(b"PRI * HTTP/2.0") and x[1] == alpn for x in speaker.first),
              f"{host}: {speaker.first}")
    g.stop()


def test_tries():
    dead = SERVICE.format(name="dead", port=80, target=APP) + POD.format(name="dead", version="v1", ip=net.address())
    g = Proxy(PROXY, net, "tries", [dead + ingress("usual", "dead") + ingress("off", "dead", proxy_next_upstream="off") +
                                    ingress("once", "dead", proxy_next_upstream_tries="1") +
                                    ingress("words", "dead", proxy_next_upstream="error http_502")]).wait(HTTP)
    for host, flags in (("usual", "UF,URX"), ("off", "UF"), ("once", "UF"), ("words", "UF,URX")):
        status, reason = status_of(g, f"{host}.test")
        check(status == 503 and reason.split(" ")[0] == flags, f"{host}: {reason}")
    check("only off is supported" in g.log(), g.log())
    g.stop()


def test_hashes():
    objects = net.service("many", versions=("v1", "v2", "v3"))
    cases = {"uri": "$request_uri", "braces": "${request_uri}", "host": "$host", "head": "$http_x_user",
             "cookie": "$cookie_user", "arg": "$arg_user", "address": "$remote_addr"}
    for name, by in cases.items():
        objects += ingress(name, "many", upstream_hash_by=by)
    objects += ingress("hosts", "many", upstream_hash_by="$host", server_alias=",".join(f"h{i}.test" for i in range(30)))
    g = Proxy(PROXY, net, "hashes", [objects]).wait(HTTP)
    ways = {"uri": lambda i: dict(path=f"/{i}"), "braces": lambda i: dict(path=f"/?a={i}"), "head": lambda i: dict(x_user=str(i)),
            "cookie": lambda i: dict(Cookie=f"a=b; user={i}"), "arg": lambda i: dict(path=f"/?user={i}&x=1")}
    for name, way in ways.items():
        chosen = [{g.who(f"{name}.test", **way(i)) for _ in range(3)} for i in range(30)]
        check(all(len(x) == 1 for x in chosen), f"{name}: the same goes to the same: {chosen}")
        check(len(set.union(*chosen)) == 3, f"{name}: others go elsewhere: {chosen}")
    check(len({g.who("address.test") for _ in range(20)}) == 1, "one address")
    check(len({g.who(f"h{i}.test") for i in range(30)}) == 3, "hosts")
    g.stop()


def test_cors():
    objects = net.service("api") + ingress("cors", "api", enable_cors="true",
                                           cors_allow_origin="https://*.shop.test, http://a.test:8080")
    g = Proxy(PROXY, net, "cors", [objects]).wait(HTTP)
    for origin, is_allowed in (("https://www.shop.test", True), ("http://a.test:8080", True), ("https://shop.test", False),
                               ("https://a.b.shop.test", False), ("https://evil-shop.test", False), ("https://x.shopxtest", False)):
        r = g.ask("cors.test", method="OPTIONS", Origin=origin, Access_Control_Request_Method="PUT")[2]
        got = r.getheader("access-control-allow-origin")
        check(got == (origin if is_allowed else None), f"{origin}: {got}")
    g.stop()


run(globals(), sys.argv[2:])
