"""Callers of a gateway: what they read in its own answers (the reason, and nothing about the inside), and which certificates
let them in.
Usage: test_outsiders.py TULLE_PROXY"""
import http.server
import shutil
import ssl
import sys
import threading

from gateway_support import (APP, DOOR, HTTPS, POD, SERVICE, Net, Proxy, client_tls, make_ca, make_cert, make_spiffe,
                             revoke, run)
from support import check, folder, wait_until

PROXY = sys.argv[1]
net = Net("127.1.77")
DEAD, HONEST = net.address(), net.address()

RULES = f"""apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: door, namespace: default }}
spec: {{ selector: {{ istio: ingressgateway }}, servers: [{{ port: {{ number: {DOOR}, name: http, protocol: HTTP }}, hosts: ["*"] }}] }}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: all, namespace: default }}
spec:
  hosts: ["*"]
  gateways: [door]
  http:
  - {{ match: [{{ uri: {{ prefix: /dead }} }}], retries: {{ attempts: 0 }}, route: [{{ destination: {{ host: dead }} }}] }}
  - {{ match: [{{ uri: {{ prefix: /empty }} }}], route: [{{ destination: {{ host: empty }} }}] }}
  - {{ match: [{{ uri: {{ prefix: /sidecar }} }}], route: [{{ destination: {{ host: honest }} }}] }}
  - {{ match: [{{ uri: {{ prefix: /hold }} }}], timeout: 0.1s, route: [{{ destination: {{ host: shop }} }}] }}
  - {{ match: [{{ uri: {{ prefix: /shut }} }}], route: [{{ destination: {{ host: shop }} }}] }}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: keeper, namespace: default }}
spec: {{ action: DENY, rules: [{{ to: [{{ operation: {{ paths: ["/shut"] }} }}] }}] }}
---
"""
INNER = "UF upstream_reset_before_response_started{remote_connection_failure} (10.1.2.3:80: connect: refused)"


class Honest(http.server.BaseHTTPRequestHandler):
    """Answers as a sidecar that could not reach its application."""
    def log_message(self, *args):
        pass

    def do_GET(self):
        self.send_response(503)
        self.send_header("x-tulle-reason", INNER)
        self.send_header("content-length", "0")
        self.end_headers()


def test_reasons():
    server = http.server.ThreadingHTTPServer((HONEST, APP), Honest)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    objects = RULES + net.service("shop") + SERVICE.format(name="empty", port=80, target=APP)
    for name, ip in (("dead", DEAD), ("honest", HONEST)):
        objects += SERVICE.format(name=name, port=80, target=APP) + POD.format(name=name, version="v1", ip=ip)
    g = Proxy(PROXY, net, "door", [objects],
              options=["--access-log-format=%REQ(X-REQUEST-ID)% %TULLE_REASON%"]).wait(DOOR)
    failed = "UF upstream_reset_before_response_started{remote_connection_failure}"
    late = "no complete response within the route's timeout"
    for path, code, public, private in (
            ("/dead", 503, failed, f"{DEAD}:{APP}: connect: Connection refused"),
            ("/empty", 503, "UH no_healthy_upstream", "no endpoints for outbound|80||empty.default.svc.cluster.local"),
            ("/nothing", 404, "NR route_not_found (no route for host 'any.test')", "no route for host 'any.test'"),
            ("/hold", 504, f"UT response_timeout ({late})", late),
            ("/shut", 403, "rbac_access_denied_matched_policy", "denied by policy default/keeper"),
            ("/sidecar", 503, failed, "-")):
        status, body, r = g.ask("any.test", path, port=DOOR, X_Request_Id=f"id{path}")
        header = r.getheader("x-tulle-reason")
        check((status, header) == (code, public), f"{path}: {status} {header}")
        for word in ("127.1.", "10.1.", "outbound|", "keeper", "svc.cluster"):
            check(word not in body.decode(), f"{path}: {word} in {body}")
        wait_until(f"the line of {path} with '{private}'",
                   lambda: f"id{path} {private}\n" in open(f"{folder}/door.access", encoding="utf-8").read())
    net.servers["shop-v1"].held.set()
    g.stop()


GATEWAY = f"""apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: door, namespace: default }}
spec:
  selector: {{ istio: ingressgateway }}
  servers:
  - port: {{ number: {HTTPS}, name: named, protocol: HTTPS }}
    hosts: ["named.test"]
    tls: {{ mode: MUTUAL, credentialName: named, subjectAltNames: ["partner.test", "spiffe://cluster.local/ns/default/sa/robot"] }}
  - port: {{ number: {HTTPS}, name: listed, protocol: HTTPS }}
    hosts: ["listed.test"]
    tls: {{ mode: MUTUAL, credentialName: listed }}
  - port: {{ number: {DOOR}, name: grpc, protocol: GRPC }}
    hosts: ["grpc.test"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: all, namespace: default }}
spec: {{ hosts: ["*"], gateways: [door], http: [{{ route: [{{ destination: {{ host: shop }} }}] }}] }}
---
"""


def test_who_may_call():
    ca = make_ca()
    secrets = f"{folder}/secrets/default"
    for name in ("named", "listed"):
        make_cert(ca, f"{secrets}/{name}", f"{name}.test")
        shutil.copy(f"{ca}/ca.crt", f"{secrets}/{name}/ca.crt")
    partner, other, robot = (make_cert(ca, f"{folder}/partner", "partner.test"), make_cert(ca, f"{folder}/other", "other.test"),
                             make_spiffe(ca, f"{folder}/robot", "robot"))
    for old, new in (("cert-chain.pem", "tls.crt"), ("key.pem", "tls.key")):
        shutil.copy(f"{robot}/{old}", f"{robot}/{new}")
    revoke(ca, f"{other}/tls.crt", f"{secrets}/listed/ca.crl")
    g = Proxy(PROXY, net, "callers", [GATEWAY, net.service("callers").replace("callers", "shop")],
              options=[f"--secrets={folder}/secrets"]).wait(HTTPS)
    for host, cert, is_let_in in (("named.test", partner, True), ("named.test", robot, True), ("named.test", other, False),
                                  ("listed.test", partner, True), ("listed.test", other, False)):
        try:
            status = g.ask(host, port=HTTPS, tls=client_tls(ca, cert))[0]
        except (ssl.SSLError, ConnectionError):
            status = 0
        check((status == 200) == is_let_in, f"{host} {cert}: {status}")
    check(g.ask("grpc.test", port=DOOR)[0] == 200, "a port of protocol GRPC")
    g.stop()


run(globals(), sys.argv[2:])
