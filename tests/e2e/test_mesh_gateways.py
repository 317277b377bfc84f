"""Gateways that speak the mesh's own mutual TLS: ISTIO_MUTUAL ends it with the gateway's identity, AUTO_PASSTHROUGH
passes it on unopened to the Service that the server name means.
Usage: test_mesh_gateways.py TULLE_PROXY TULLE_COLLECTOR"""
import http.client
import json
import socket
import ssl
import sys

from gateway_support import DOOR, IN, OUT, Net, Proxy, make_ca, make_cert, make_spiffe, mesh_cert, run
from support import Collector, check, folder, get_json, wait_until

PROXY, COLLECTOR = sys.argv[1:3]
net = Net("127.1.91")
ca = make_ca("mesh-ca")
collector = Collector(COLLECTOR)
PORT, TCP_DOOR, TCP_PORT = 9080, DOOR + 20, 9090
SERVICE = """apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: default }}
spec: {{ selector: {{ app: {name} }}, ports: [{{ name: http, port: {port}, targetPort: {target} }}] }}
---
"""
POD = """apiVersion: v1
kind: Pod
metadata: {{ name: {name}-{version}, namespace: default,
  labels: {{ app: {name}, version: {version}, security.istio.io/tlsMode: istio }} }}
spec: {{ serviceAccountName: {name} }}
status: {{ phase: Running, podIP: {ip} }}
---
"""
STRICT = """apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
---
"""
NAME = "outbound_.{port}_.{subset}_.{host}.default.svc.cluster.local"


class Address:
    """One that is known before the proxy is started."""

    def __init__(self):
        self.ip = net.address()

    def address(self):
        return self.ip


def start(name, at, texts, role="sidecar", labels="", certs=True, account=None):
    account = account or name.rsplit("-", 1)[0]
    options = [f"--collector={collector.otlp}", f"--service-account={account}"]
    if certs:
        to = f"{folder}/certs/{account}"
        options.append(f"--certs={make_spiffe(ca, to, account)}")
    return Proxy(PROXY, at, name, texts, role=role, labels=labels or f"app={account}", options=options)


def tls_of(cert=None, alpn=("istio-http/1.1", "istio", "http/1.1"), names=("cert-chain.pem", "key.pem"), root=ca):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(f"{root}/ca.crt")
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if cert:
        context.load_cert_chain(f"{cert}/{names[0]}", f"{cert}/{names[1]}")
    return context


def peer_of(sock):
    return [v for k, v in sock.getpeercert()["subjectAltName"] if k == "URI"]


def is_refused(ip, port, sni, tls=None, say=b"GET / HTTP/1.1\r\nHost: server\r\n\r\n"):
    """Nothing comes back, in whatever way the connection ends."""
    try:
        with socket.create_connection((ip, port), 20) as raw:
            s = tls.wrap_socket(raw, server_hostname=sni) if tls else raw
            s.sendall(say)
            return s.recv(1000) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def edge(source, destination):
    found = get_json(f"{collector.base}/api/v1/edges?window=10m")["edges"]
    return next((e for e in found if e["source"]["workload"] == source and e["destination"]["workload"] == destination),
                None)


AUTO = """apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: east-west, namespace: default }}
spec:
  selector: {{ istio: eastwestgateway }}
  servers:
  - port: {{ number: {door}, name: tls, protocol: TLS }}
    hosts: ["*.local"]
    tls: {{ mode: AUTO_PASSTHROUGH }}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: server, namespace: default }}
spec:
  host: server
  trafficPolicy: {{ tls: {{ mode: ISTIO_MUTUAL }} }}
  subsets:
  - {{ name: v1, labels: {{ version: v1 }} }}
  - {{ name: v2, labels: {{ version: v2 }} }}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: outside, namespace: default }}
spec: {{ hosts: [outside.local], resolution: STATIC, endpoints: [{{ address: 127.0.0.1 }}],
  ports: [{{ number: {port}, name: http, protocol: HTTP }}] }}
---
"""


def ask_by_name(ip, subset, tls):
    """(who answered, XFCC it was shown)"""
    sni = NAME.format(port=PORT, subset=subset, host="server")
    c = http.client.HTTPConnection(ip, DOOR, timeout=30)
    c.sock = tls.wrap_socket(socket.create_connection((ip, DOOR), 30), server_hostname=sni)
    check(peer_of(c.sock) == ["spiffe://cluster.local/ns/default/sa/server"], "the Service's own certificate")
    c.request("GET", "/x", headers={"Host": "server"})
    r = c.getresponse()
    check(r.status == 200, f"{r.status}")
    told = json.loads(r.read())
    return told["who"], told["headers"]["x-forwarded-client-cert"]


def test_auto_passthrough():
    at = {v: Address() for v in ("v1", "v2")}
    objects = SERVICE.format(name="server", port=PORT, target=IN) + STRICT
    objects += "".join(POD.format(name="server", version=v, ip=a.ip) for v, a in at.items())
    for v, a in at.items():
        net.serve(a.ip, f"server-{v}")
        start(f"server-{v}", a, [objects], labels=f"app=server,version={v}").wait(IN)
    gateway = start("eastwest-1", Address(), [objects + AUTO.format(door=DOOR, port=PORT)], role="gateway",
                    labels="istio=eastwestgateway", certs=False).wait(DOOR)
    client = make_spiffe(ca, f"{folder}/certs/caller", "caller")
    tls = tls_of(client)
    for _ in range(10):
        for subset in at:
            who, cert = ask_by_name(gateway.ip, subset, tls)
            check(who == f"server-{subset}", f"{subset}: {who}")
            check("URI=spiffe://cluster.local/ns/default/sa/caller" in cert, cert)
    check({ask_by_name(gateway.ip, "", tls)[0] for _ in range(40)} == {"server-v1", "server-v2"}, "without a subset both")
    for sni in (NAME.format(port=PORT, subset="v3", host="server"), NAME.format(port=81, subset="", host="server"),
                NAME.format(port=PORT, subset="", host="nobody"), "server.default.svc.cluster.local", "server.local",
                f"outbound_.{PORT}_._.outside.local", "a.example.com", None):
        check(is_refused(gateway.ip, DOOR, sni, tls), f"{sni}")
    check(is_refused(gateway.ip, DOOR, None), "plaintext")
    name = NAME.format(port=PORT, subset="v2", host="server")
    gateway.access(requested_server_name=name, upstream_cluster=name, route_name="auto_passthrough", response_flags="-")
    gateway.access(requested_server_name="a.example.com", response_flags="NR")


def test_a_sidecar_through_it():
    """To the caller's sidecar the gateway is where the Service's pods are, as in a mesh of two networks."""
    server, gateway_at = Address(), Address()
    net.serve(server.ip, "far-v1")
    there = SERVICE.format(name="far", port=PORT, target=IN) + STRICT + POD.format(name="far", version="v1", ip=server.ip)
    start("far-v1", server, [there], account="far").wait(IN)
    start("eastwest-2", gateway_at, [there + AUTO.format(door=DOOR, port=PORT)], role="gateway",
          labels="istio=eastwestgateway", certs=False).wait(DOOR)
    here = SERVICE.format(name="far", port=PORT, target=DOOR) + POD.format(name="far", version="v1", ip=gateway_at.ip)
    near = start("near-v1", Address(), [here]).wait(OUT)
    for _ in range(20):
        check(near.who(f"far:{PORT}", port=OUT) == "far-v1", "through two networks")
    e = wait_until("the edge", lambda: (e := edge("near-v1", "far-v1")) and e["requests"] == 20 and e)
    check(e["tls"]["state"] == "mutual" and e["errors"] == 0, e)


MESH = """apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: inner, namespace: default }}
spec:
  selector: {{ app: {gateway} }}
  servers:
  - port: {{ number: {door}, name: https, protocol: HTTPS }}
    hosts: {hosts}
    tls: {{ mode: ISTIO_MUTUAL }}
  - port: {{ number: {tcp}, name: tls, protocol: TLS }}
    hosts: ["*"]
    tls: {{ mode: ISTIO_MUTUAL }}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: inner, namespace: default }}
spec:
  hosts: ["*"]
  gateways: [inner]
  http: [{{ route: [{{ destination: {{ host: web }} }}] }}]
  tcp: [{{ match: [{{ port: {tcp} }}], route: [{{ destination: {{ host: web }} }}] }}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: inner, namespace: default }}
spec:
  selector: {{ matchLabels: {{ app: {gateway} }} }}
  rules: [{{ from: [{{ source: {{ principals: ["cluster.local/ns/default/sa/shop", "cluster.local/ns/default/sa/front"] }} }}] }}]
---
"""


def mesh_gateway(name, hosts='["*"]', certs=True):
    at = Address()
    objects = net.service("web") if "web-v1" not in net.servers else ""
    mesh_gateway.web = objects or mesh_gateway.web
    text = mesh_gateway.web + MESH.format(gateway=name, door=DOOR, tcp=TCP_DOOR, hosts=hosts)
    return start(f"{name}-v1", at, [text], role="gateway", certs=certs).wait(DOOR)


def to_gateway(name, gateway, more=""):
    ports = f"[{{ name: http, port: {PORT}, targetPort: {DOOR} }}, {{ name: tcp, port: {TCP_PORT}, targetPort: {TCP_DOOR} }}]"
    return (f"apiVersion: v1\nkind: Service\nmetadata: {{ name: {name}, namespace: default }}\n"
            f"spec: {{ selector: {{ app: {name} }}, ports: {ports} }}\n---\n"
            + POD.format(name=name, version="v1", ip=gateway.ip) + more)


def test_istio_mutual():
    gateway = mesh_gateway("inner")
    objects = to_gateway("inner", gateway)
    shop = start("shop-v1", Address(), [objects + POD.format(name="shop", version="v1", ip="127.1.91.250")]).wait(OUT)
    for _ in range(30):
        status, told, _ = shop.ask(f"inner:{PORT}", "/x", port=OUT, X_Forwarded_Client_Cert="URI=liar")
        check(status == 200 and told["who"] == "web-v1", f"{status} {told}")
    cert = told["headers"]["x-forwarded-client-cert"]
    check(cert.startswith("By=spiffe://cluster.local/ns/default/sa/inner;Hash=") and "liar" not in cert and
          "," not in cert and cert.endswith("URI=spiffe://cluster.local/ns/default/sa/shop"), cert)
    check(told["headers"]["x-forwarded-proto"] == "https", told)
    thief = start("thief-v1", Address(), [objects]).wait(OUT)
    check(thief.ask(f"inner:{PORT}", port=OUT)[0] == 403, "another account")
    e = wait_until("the edge", lambda: (e := edge("shop-v1", "inner-v1")) and e["requests"] == 30 and e)
    check(e["tls"]["state"] == "mutual", e)
    check(e["source"]["principal"] == "spiffe://cluster.local/ns/default/sa/shop" and
          e["destination"]["principal"] == "spiffe://cluster.local/ns/default/sa/inner", e)
    e = wait_until("the denied one", lambda: edge("thief-v1", "inner-v1"))
    check(e["requests"] == 1, e)
    wait_until("what goes on", lambda: (e := edge("inner-v1", "web-v1")) and e["requests"] == 30)
    check(edge("unknown", "inner-v1") is None, "the caller is known")


def test_who_is_refused():
    gateway = mesh_gateway("picky")
    shop = f"{folder}/certs/shop"
    make_spiffe(ca, shop, "shop")
    c = tls_of(shop)
    got = gateway.ask("a.test", tls=c, sni="any.name", port=DOOR)
    check(got[0] == 200, f"{got[:2]}")
    old = tls_of(shop)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    dns = tls_of(make_cert(ca, f"{folder}/dns", "shop.test"), names=("tls.crt", "tls.key"))
    other = make_ca("other-ca")
    stranger = tls_of(make_spiffe(other, f"{folder}/stranger", "shop"))
    foreign = tls_of(make_spiffe(ca, f"{folder}/foreign", "shop", "elsewhere.example"))
    for what, tls in (("no certificate", tls_of()), ("TLS 1.2", old), ("no SPIFFE id", dns), ("another root", stranger),
                      ("plaintext", None)):
        check(is_refused(gateway.ip, DOOR, "any.name", tls), what)
    check(gateway.ask("a.test", tls=foreign, sni="any.name", port=DOOR)[0] == 403, "another trust domain is another principal")
    named = mesh_gateway("named", '["app.example.com"]')
    check(named.ask("app.example.com", tls=c, port=DOOR)[0] == 200, "by server name")
    check(is_refused(named.ip, DOOR, "other.example.com", c), "a name that no server has")
    bare = mesh_gateway("bare", certs=False)
    check("gateway.no_certificate" in bare.log() and "there are no --certs" in bare.log(), bare.log())
    check(is_refused(bare.ip, DOOR, "any.name", c), "without certificates of its own")


def test_sni_of_a_destination_rule():
    gateway = mesh_gateway("egress", '["app.example.com"]')
    rule = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: egress, namespace: default }
spec: { host: egress, trafficPolicy: { tls: { mode: ISTIO_MUTUAL%s } } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: app, namespace: default }
spec: { hosts: [app.example.com], http: [{ route: [{ destination: { host: egress, port: { number: 9080 } } }] }] }
"""
    named = start("front-v1", Address(), [to_gateway("egress", gateway, rule % ", sni: app.example.com")]).wait(OUT)
    status, told, _ = named.ask("app.example.com", port=OUT)
    check(status == 200, f"{status} {told}")
    plain = start("front-v2", Address(), [to_gateway("egress", gateway, rule % "")], account="front").wait(OUT)
    check(plain.ask("app.example.com", port=OUT)[0] == 503, "outbound_... is no name of this server")


def test_connections():
    """protocol: TLS and a route of tcp[]: the gateway ends mutual TLS and passes bytes on."""
    gateway = mesh_gateway("bytes")
    make_spiffe(ca, f"{folder}/certs/shop", "shop")
    for account, want in (("shop", b"HTTP/1.1 200"), ("nobody", b"")):
        tls = tls_of(make_spiffe(ca, f"{folder}/certs/{account}", account), alpn=("istio",))
        with tls.wrap_socket(socket.create_connection((gateway.ip, TCP_DOOR), 20), server_hostname="x") as s:
            check(peer_of(s) == ["spiffe://cluster.local/ns/default/sa/bytes"], "the gateway's identity")
            try:
                s.sendall(b"GET /raw HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
                got = s.recv(12)
            except (ConnectionError, ssl.SSLError):
                got = b""
            check(got == want, f"{account}: {got}")

    def is_told():
        found = get_json(f"{collector.base}/api/v1/edges?window=10m")["edges"]
        return [e for e in found if e["destination"]["workload"] == "bytes-v1" and e["protocol"] == "tcp" and
                e["source"]["principal"].endswith("/sa/shop") and e["tls"]["state"] == "mutual"]
    wait_until("the connection's edge", is_told)


def test_rotation():
    gateway = mesh_gateway("turning")
    tls = tls_of(make_spiffe(ca, f"{folder}/certs/shop", "shop"))

    def serial():
        with tls.wrap_socket(socket.create_connection((gateway.ip, DOOR), 20), server_hostname="x") as s:
            return s.getpeercert()["serialNumber"]
    before = serial()
    kept = gateway.connect(DOOR, tls, "x")
    check(gateway.ask("a.test", connection=kept)[0] == 200, "before")
    mesh_cert(ca, f"{folder}/certs/turning", "turning")
    wait_until("the new certificate", lambda: serial() != before)
    check(gateway.ask("a.test", connection=kept)[0] == 200, "a connection of before goes on")


run(globals(), sys.argv[3:])
