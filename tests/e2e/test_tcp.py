"""Connections that are no HTTP: through two sidecars with mutual TLS, to the application behind one, through a
gateway; with servers that speak first and a Redis from Debian; and what the collector draws of them.
Usage: test_tcp.py TULLE_PROXY TULLE_COLLECTOR. Exit status 77 (skipped) without redis-server."""
import json
import os
import shutil
import socket
import ssl
import sys
import threading
import time

from certificates import client_tls, make_ca, make_cert, mesh_cert
from gateway_support import ADMIN, APP, IN, Net, Proxy, run
from raw_app import read_all, reset
from support import Collector, check, folder, get_json, http, log_of, start, wait_until

if not shutil.which("redis-server"):
    print("redis-server is missing")
    sys.exit(77)
PROXY, COLLECTOR = sys.argv[1], sys.argv[2]
net = Net("127.1.36")
MiB = 1 << 20
DB, CACHE, ROUTED, TLSAPP, DEAD, EMPTY, GHOST = 3306, 6379, 7001, 7002, 7003, 7004, 7005
BANNER = b"220 ready\r\n"

POD = """apiVersion: v1
kind: Pod
metadata: {{ name: {name}-1, namespace: default, labels: {{ app: {app}, version: {version}{mesh} }} }}
spec: {{ serviceAccountName: {account} }}
status: {{ phase: Running, podIP: {ip} }}
---
"""
SERVICE = """apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: default }}
spec: {{ selector: {{ app: {app} }}, ports: [{{ name: {port_name}, port: {port}, targetPort: {target} }}] }}
---
"""
MESH = ", security.istio.io/tlsMode: istio"
STRICT = """apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{ name: {app}, namespace: default }}
spec: {{ selector: {{ matchLabels: {{ app: {app} }} }}, mtls: {{ mode: {mode} }} }}
---
"""
POLICY = """apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: {app}-{n}, namespace: default }}
spec: {{ selector: {{ matchLabels: {{ app: {app} }} }}, action: {action}, rules: {rules} }}
---
"""
ROUTES = f"""apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: routed, namespace: default }}
spec:
  hosts: [routed]
  tls:
  - match: [{{ sniHosts: ["a.test", "*.sub.test"] }}]
    route: [{{ destination: {{ host: plain-a }} }}]
  tcp:
  - match: [{{ port: {ROUTED}, destinationSubnets: ["192.0.2.0/24"] }}]
    route: [{{ destination: {{ host: dead }} }}]
  - match: [{{ port: {ROUTED} }}]
    route:
    - {{ destination: {{ host: plain-a }}, weight: 75 }}
    - {{ destination: {{ host: plain-b }}, weight: 25 }}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: empty, namespace: default }}
spec: {{ host: empty, trafficPolicy: {{ connectionPool: {{ tcp: {{ maxConnections: 1 }} }} }} }}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: sticky, namespace: default }}
spec: {{ host: sticky, trafficPolicy: {{ loadBalancer: {{ consistentHash: {{ useSourceIp: true }} }} }} }}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: headers, namespace: default }}
spec: {{ host: headers, trafficPolicy: {{ loadBalancer: {{ consistentHash: {{ httpHeaderName: x-user }} }} }} }}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: nowhere, namespace: default }}
spec: {{ hosts: [nowhere.invalid], resolution: DNS, ports: [{{ number: {ROUTED}, name: t, protocol: TCP }}] }}
---
"""
GATEWAY = """apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: door, namespace: default }}
spec:
  selector: {{ istio: ingressgateway }}
  servers:
  - {{ port: {{ number: 9001, name: tcp, protocol: TCP }}, hosts: ["*"] }}
  - {{ port: {{ number: 9002, name: pass, protocol: TLS }}, hosts: ["*.pass.test"], tls: {{ mode: PASSTHROUGH }} }}
  - {{ port: {{ number: 9002, name: https, protocol: HTTPS }}, hosts: ["web.test"],
      tls: {{ mode: SIMPLE, serverCertificate: {certs}/web/tls.crt, privateKey: {certs}/web/tls.key }} }}
  - {{ port: {{ number: 9003, name: ended, protocol: TLS }}, hosts: ["ended.test"],
      tls: {{ mode: SIMPLE, serverCertificate: {certs}/ended/tls.crt, privateKey: {certs}/ended/tls.key }} }}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: door, namespace: default }}
spec:
  hosts: ["*"]
  gateways: [door]
  tls: [{{ match: [{{ port: 9002, sniHosts: ["x.pass.test"] }}], route: [{{ destination: {{ host: tls-app }} }}] }}]
  tcp:
  - {{ match: [{{ port: 9001 }}], route: [{{ destination: {{ host: db }} }}] }}
  - {{ match: [{{ port: 9003 }}], route: [{{ destination: {{ host: plain-a }} }}] }}
  http: [{{ route: [{{ destination: {{ host: web }} }}] }}]
---
"""


class Talker:
    """A server: greets if it is one that does, and echoes."""

    def __init__(self, ip, port, greeting=b"", tls=None):
        self.greeting, self.tls, self.ends, self.hold, self.peers = greeting, tls, [], threading.Event(), []
        self.listener = socket.create_server((ip, port), backlog=64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            s, peer = self.listener.accept()
            self.peers.append(peer[0])
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        s.settimeout(60)
        try:
            if self.tls:
                s = self.tls.wrap_socket(s, server_side=True)
            s.sendall(self.greeting)
            first = s.recv(65536)
            if first.startswith(b"COLLECT"):
                s.sendall(first[7:] + read_all(s))
            elif first.startswith(b"FIRST"):
                s.sendall(b"bye")
                s.shutdown(socket.SHUT_WR)
                self.ends.append(len(read_all(s)))
            elif first.startswith(b"HOLD"):
                self.hold.wait(60)
                s.sendall(b"%d" % (len(first) - 4 + len(read_all(s))))
            elif first.startswith(b"RESET"):
                reset(s)
                return
            else:
                while first:
                    s.sendall(first)
                    first = s.recv(65536)
                self.ends.append("end")
        except OSError as e:
            self.ends.append(type(e).__name__)
        s.close()


ca = make_ca()
certs = f"{folder}/certs"
for host in ("web", "ended", "x.pass", "a", "b.sub"):
    make_cert(ca, f"{certs}/{host}", f"{host}.test")
server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server_side.load_cert_chain(f"{certs}/x.pass/tls.crt", f"{certs}/x.pass/tls.key")
names = ("client", "db", "cache", "strict", "open", "locked", "shut", "gateway")
ips = {name: f"{net.net}.{i + 1}" for i, name in enumerate(names)}
for name in names:
    mesh_cert(ca, f"{certs}/{name}", name)
a_ip, b_ip, tls_ip, dead_ip = (f"{net.net}.{n}" for n in (50, 51, 52, 53))

objects = ROUTES + GATEWAY.format(certs=certs)
for name, port_name, port in (("db", "tcp-db", DB), ("cache", "redis", CACHE), ("strict", "mysql", DB),
                              ("open", "tcp", DB), ("locked", "tcp", DB), ("shut", "tcp", DB)):
    objects += POD.format(name=name, app=name, version="v1", mesh=MESH, account=name, ip=ips[name])
    objects += SERVICE.format(name=name, app=name, port_name=port_name, port=port, target=IN)
for name, app, ip in (("plain-a", "a", a_ip), ("plain-b", "b", b_ip), ("routed", "a", a_ip), ("dead", "dead", dead_ip)):
    if name != "routed":
        objects += POD.format(name=name, app=app, version="v1", mesh="", account=name, ip=ip)
    objects += SERVICE.format(name=name, app=app, port_name="tcp", port=ROUTED, target=APP)
objects += POD.format(name="tls", app="tls", version="v1", mesh="", account="tls", ip=tls_ip)
objects += SERVICE.format(name="tls-app", app="tls", port_name="tls", port=443, target=APP)
many = [f"{net.net}.{60 + i}" for i in range(4)]
for ip in many:
    objects += POD.format(name=f"many{ip[-2:]}", app="many", version="v1", mesh="", account="many", ip=ip)
for name in ("sticky", "headers"):
    objects += SERVICE.format(name=name, app="many", port_name="tcp", port=ROUTED, target=APP)
objects += SERVICE.format(name="empty", app="nobody", port_name="tcp", port=EMPTY, target=APP)
for name in ("client", "gateway"):
    objects += POD.format(name=name, app=name, version="v1", mesh=MESH, account=name, ip=ips[name])
objects += STRICT.format(app="strict", mode="STRICT") + STRICT.format(app="open", mode="DISABLE")
objects += POLICY.format(app="db", n=1, action="ALLOW", rules='[{ from: [{ source: { principals: ["cluster.local/ns/'
                         'default/sa/client", "cluster.local/ns/default/sa/gateway"] } }] }]')
objects += POLICY.format(app="locked", n=1, action="ALLOW", rules='[{ to: [{ operation: { methods: ["GET"] } }] }]')
objects += POLICY.format(app="shut", n=1, action="DENY", rules='[{ to: [{ operation: { methods: ["POST"] } }] }]')

apps = {"db": Talker(ips["db"], APP, BANNER), "strict": Talker(ips["strict"], APP, BANNER),
        "open": Talker(ips["open"], APP, BANNER), "locked": Talker(ips["locked"], APP),
        "shut": Talker(ips["shut"], APP), "a": Talker(a_ip, APP), "b": Talker(b_ip, APP),
        "tls": Talker(tls_ip, APP, tls=server_side)}
apps.update((ip, Talker(ip, APP, ip.encode())) for ip in many)
start("redis", "redis-server", "--bind", ips["cache"], "--port", APP, "--save", "", "--appendonly", "no",
      "--dir", folder)
collector = Collector(COLLECTOR)
listen = {"db": 3301, "cache": 3302, "strict": 3303, "open": 3304, "locked": 3305, "shut": 3306, "routed": 3307,
          "dead": 3308, "empty": 3309, "ghost": 3310, "db-short": 3311, "sticky": 3312, "headers": 3313,
          "nowhere.invalid": 3315}
ports_of = {"db": DB, "cache": CACHE, "strict": DB, "open": DB, "locked": DB, "shut": DB, "routed": ROUTED,
            "dead": ROUTED, "empty": EMPTY, "ghost": GHOST, "db-short": DB, "sticky": ROUTED, "headers": ROUTED,
            "nowhere.invalid": ROUTED}


def sidecar(name, *more):
    return Proxy(PROXY, net, name, [objects], role="sidecar", labels=f"app={name},version=v1", options=(
        f"--certs={certs}/{name}", f"--service-account={name}", f"--collector={collector.otlp}", *more))


tcp_listen = ",".join(f"{listen[n]}={n.replace('-short', '')}:{ports_of[n]}" for n in listen)
client = sidecar("client", f"--tcp-listen={tcp_listen}").wait(3301)
proxies = {name: sidecar(name, "--protocol-detection-timeout=300ms").wait(IN) for name in names[1:-1]}
gateway = Proxy(PROXY, net, "gateway", [objects], options=(
    f"--certs={certs}/gateway", "--service-account=gateway", f"--collector={collector.otlp}")).wait(9001)
check({p.name: p.ip for p in (client, gateway, *proxies.values())} == ips, "addresses as said")


def connect(name, at=None):
    s = socket.create_connection((client.ip, listen[name]) if at is None else at, 30)
    s.settimeout(30)
    return s


def receive(s, n):
    have = b""
    while len(have) < n:
        piece = s.recv(65536)
        check(piece, f"ended after {len(have)} of {n} bytes")
        have += piece
    return have


def is_closed(s):
    try:
        return s.recv(1) == b""
    except ConnectionResetError:
        return True


def test_the_server_speaks_first_through_mutual_tls():
    s = connect("db")
    check(receive(s, len(BANNER)) == BANNER, "the greeting comes to a silent client")
    s.sendall(b"hello")
    check(receive(s, 5) == b"hello", "echo")
    s.close()
    out = client.access(upstream_cluster=f"outbound|{DB}||db.default.svc.cluster.local", bytes_received=5)
    check(out["bytes_sent"] == len(BANNER) + 5 and out["response_flags"] == "-", out)
    check(out["response_code"] == 0 and out["method"] is None and out["protocol"] is None, out)
    inside = proxies["db"].access(bytes_received=5)
    check(inside["requested_server_name"] == f"outbound_.{DB}_._.db.default.svc.cluster.local", inside)
    check(inside["upstream_cluster"] == f"inbound|{APP}||", inside)


def handshakes():
    return [client.counter(f'tulle_proxy_upstream_tls_handshakes_total{{resumed="{how}"}}') for how in ("no", "yes")]


def test_sessions_are_resumed():
    """A second connection to an endpoint needs no certificates, and is still somebody's: db lets only two identities in."""
    def talk():
        s = connect("db")
        check(receive(s, len(BANNER)) == BANNER, "it is allowed")
        s.close()
    talk()
    whole, resumed = handshakes()
    for _ in range(5):
        talk()
    check(handshakes() == [whole, resumed + 5], f"{handshakes()} after {[whole, resumed]}")
    s = connect("cache")
    s.sendall(b"PING\r\n")
    check(receive(s, 7) == b"+PONG\r\n", "another endpoint")
    s.close()
    check(handshakes() == [whole + 1, resumed + 5], "has a session of its own")
    mesh_cert(ca, f"{certs}/client", "client")
    wait_until("the new certificate", lambda: "what=certificates" in client.log())
    talk()
    check(handshakes() == [whole + 2, resumed + 5], "none is resumed that began with another certificate of ours")
    talk()
    check(handshakes() == [whole + 2, resumed + 6], "and then again")


def test_redis():
    s = connect("cache")
    s.sendall(b"SET greeting hello\r\nGET greeting\r\n")
    check(receive(s, 16) == b"+OK\r\n$5\r\nhello\r\n", "Redis answers")
    big = os.urandom(2 * MiB)
    s.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$%d\r\n%s\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n" % (len(big), big))
    check(receive(s, 5 + 10 + len(big) + 2)[15:-2] == big, "and gives back what it got")
    s.close()


def test_strict():
    s = connect("strict")
    check(receive(s, len(BANNER)) == BANNER, "mutual TLS gets through")
    s.close()
    before = len(apps["strict"].peers)
    s = connect(None, (ips["strict"], IN))
    s.sendall(b"plain")
    check(is_closed(s), "plaintext is refused")
    s.close()
    check(len(apps["strict"].peers) == before, "and never reaches the application")
    line = proxies["strict"].access(response_flags="NR")
    check(line["connection_termination_details"] == "filter_chain_not_found" and line["bytes_received"] == 0, line)
    check(proxies["strict"].counter('tulle_proxy_tcp_failures_total{flag="NR"}') == 1, "counted")
    check(proxies["strict"].counter("istio_tcp_connections_opened_total") == 1, "as with Istio, who got through alone")


def test_permissive_in_plaintext():
    """Without mutual TLS: a silent caller after the time-out, one who speaks at once."""
    for first in (b"", b"EHLO\r\n"):
        s = connect(None, (ips["db"], IN))
        s.sendall(first)
        check(is_closed(s), "authorization wants a principal, which plaintext has not")
    line = proxies["db"].access(connection_termination_details="rbac_access_denied_matched_policy[none]")
    check(line["response_code"] == 0, line)
    s = connect(None, (ips["open"], IN))
    check(receive(s, len(BANNER)) == BANNER, "DISABLE: nobody is waited for")
    check(proxies["open"].counter("tulle_proxy_downstream_silent_total") == 0, "not waited for")
    check(proxies["db"].counter("tulle_proxy_downstream_silent_total") == 1, "waited for")
    s.close()


def test_tls_of_the_application():
    """Not the mesh's: passed on unopened, in front of an application and outbound by server name."""
    context = client_tls(ca)
    for name, host in (("routed", "a.test"), ("routed", "b.sub.test")):
        s = connect(name)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        s.sendall(b"not TLS")
        check(receive(s, 7) == b"not TLS", "no ClientHello: tcp[] decides")
        s.close()
        hello = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(*hello, server_hostname=host)
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        first, before = hello[1].read(), len(apps["a"].peers)
        s = connect(name)
        s.sendall(first[:50])
        time.sleep(0.05)
        s.sendall(first[50:])
        check(receive(s, len(first)) == first, "the ClientHello arrives as it was")
        check(len(apps["a"].peers) == before + 1 and server, f"{host}: where tls[] says")
        s.close()


def test_weights():
    for app in ("a", "b"):
        apps[app].peers.clear()
    for _ in range(60):
        s = connect("routed")
        s.sendall(b"x")
        check(receive(s, 1) == b"x", "echo")
        s.close()
    check(len(apps["a"].peers) + len(apps["b"].peers) == 60, "each went somewhere")
    check(len(apps["a"].peers) > len(apps["b"].peers) > 0, f"{len(apps['a'].peers)}:{len(apps['b'].peers)}")


def test_authorization_fails_safe():
    for name, why in (("locked", "none"), ("shut", "ns[default]-policy[shut-1]-rule[0]")):
        s = connect(name)
        s.sendall(b"x")
        check(is_closed(s), f"{name}: an ALLOW of methods allows no bytes, a DENY of methods denies them all")
        line = proxies[name].access(connection_termination_details=f"rbac_access_denied_matched_policy[{why}]")
        check(line["response_flags"] == "-" and line["bytes_received"] == 0, line)
        check(not apps[name].peers, "the application was not called")


def who_greets(name, source):
    with socket.create_connection((client.ip, listen[name]), 20, source_address=(source, 0)) as s:
        s.settimeout(20)
        return receive(s, len(many[0])).decode()


def test_consistent_hash():
    """By the caller's address: the same one has the same endpoint, others have others; by a header, which no
    connection has: any endpoint."""
    callers = [f"{net.net}.{n}" for n in range(100, 140)]
    first = {c: who_greets("sticky", c) for c in callers}
    check(set(first.values()) == set(many), f"every endpoint has callers: {first}")
    for _ in range(3):
        again = {c: who_greets("sticky", c) for c in callers}
        check(again == first, f"each its own: {[(c, first[c], again[c]) for c in callers if again[c] != first[c]]}")
    check({who_greets("headers", callers[0]) for _ in range(100)} == set(many), "at random")
    check("consistentHash only knows useSourceIp" in client.log(), "and it is said")


def test_nobody_there():
    for name, flag, cluster in (("dead", "UF", f"outbound|{ROUTED}||dead.default.svc.cluster.local"),
                                ("empty", "UH", f"outbound|{EMPTY}||empty.default.svc.cluster.local"),
                                ("nowhere.invalid", "DF", f"outbound|{ROUTED}||nowhere.invalid"),
                                ("ghost", "NR", None)):
        s = connect(name)
        check(is_closed(s), f"{name}: closed")
        line = client.access(upstream_cluster=cluster, response_flags=flag)
        check(line["bytes_sent"] == 0, line)
        check(client.counter(f'tulle_proxy_tcp_failures_total{{flag="{flag}"}}') >= 1, flag)


def test_half_closed():
    body = os.urandom(3 * MiB)
    s = connect("db")
    receive(s, len(BANNER))
    s.sendall(b"COLLECT")
    s.sendall(body)
    s.shutdown(socket.SHUT_WR)
    check(read_all(s) == body, "all of it comes back after our end")
    s.close()
    apps["db"].ends.clear()
    s = connect("db")
    receive(s, len(BANNER))
    s.sendall(b"FIRST")
    check(read_all(s) == b"bye", "its end is passed on")
    s.sendall(b"y" * MiB)
    s.shutdown(socket.SHUT_WR)
    wait_until("what was sent after its end", lambda: apps["db"].ends == [MiB])
    s.close()


def rss_kib(p):
    with open(f"/proc/{p.child.pid}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def test_back_pressure():
    before = rss_kib(client), rss_kib(proxies["db"])
    s = connect("db")
    receive(s, len(BANNER))
    s.sendall(b"HOLD")
    time.sleep(0.2)
    sent, piece = 0, b"z" * 65536
    s.settimeout(1)
    try:
        while sent < 512 * MiB:
            sent += s.send(piece)
    except TimeoutError:
        pass
    check(sent < 200 * MiB, f"{sent} bytes went to somebody who reads nothing")
    grown = [now - then for now, then in zip((rss_kib(client), rss_kib(proxies["db"])), before)]
    check(max(grown) < 16 * 1024, f"the proxies hold {grown} KiB more")
    s.settimeout(60)
    apps["db"].hold.set()
    s.shutdown(socket.SHUT_WR)
    check(read_all(s) == b"%d" % sent, "and everything arrives")
    s.close()


def test_breaks_are_breaks():
    s = connect("db")
    receive(s, len(BANNER))
    s.sendall(b"RESET")
    try:
        check(False, f"a reset came as an end: {s.recv(1)!r}")
    except ConnectionResetError:
        pass
    check(proxies["db"].access(response_flags="UC")["bytes_received"] == 5, "flag")
    apps["db"].ends.clear()
    s = connect("db")
    receive(s, len(BANNER))
    s.sendall(b"hello")
    receive(s, 5)
    reset(s)
    wait_until("the break at the application", lambda: apps["db"].ends == ["ConnectionResetError"])


def test_gateway():
    s = connect(None, (gateway.ip, 9001))
    check(receive(s, len(BANNER)) == BANNER, "TCP")
    s.close()
    context = client_tls(ca)
    s = context.wrap_socket(connect(None, (gateway.ip, 9002)), server_hostname="x.pass.test")
    check(s.getpeercert()["subject"][0][0][1] == "x.pass.test", "PASSTHROUGH: the application's own certificate")
    s.sendall(b"hi")
    check(receive(s, 2) == b"hi", "echo")
    s.close()
    s = context.wrap_socket(connect(None, (gateway.ip, 9002)), server_hostname="web.test")
    check(s.getpeercert()["subject"][0][0][1] == "web.test", "the same port, TLS ended for another name")
    s.sendall(b"GET / HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n")
    check(read_all(s).startswith(b"HTTP/1.1 503"), "and HTTP served")
    s.close()
    try:
        context.wrap_socket(connect(None, (gateway.ip, 9002)), server_hostname="other.test")
        check(False, "a name nobody serves")
    except (ssl.SSLError, ConnectionError):
        pass
    s = context.wrap_socket(connect(None, (gateway.ip, 9003)), server_hostname="ended.test")
    s.sendall(b"bytes")
    check(receive(s, 5) == b"bytes", "TLS ended, TCP behind it")
    s.close()
    line = gateway.access(upstream_cluster="outbound|443||tls-app.default.svc.cluster.local")
    check(line["requested_server_name"] == "x.pass.test" and line["bytes_sent"] > 0, line)


def test_the_graph_knows():
    def edge(source, destination):
        query = f"from={time.time_ns() - 600 * 10**9}&to={time.time_ns() + 10**9}"
        graph = get_json(f"{collector.base}/api/v1/graph?{query}")
        return [e for e in graph["edges"]
                if (e["source"]["workload"], e["destination"]["workload"]) == (source, destination)]
    with open(f"{folder}/client.access", encoding="utf-8") as f:
        lines = [line for line in map(json.loads, f)
                 if line["upstream_cluster"] == f"outbound|{DB}||db.default.svc.cluster.local"]
    want = {"protocol": "tcp", "requests": len(lines), "errors": len([x for x in lines if x["response_flags"] != "-"]),
            "bytesSent": sum(x["bytes_sent"] for x in lines),
            "bytesReceived": sum(x["bytes_received"] for x in lines)}
    told = {}

    def as_logged():
        found = edge("client", "db-1")
        told.update(found[0] if len(found) == 1 else {"edges": len(found)})
        return all(told.get(k) == v for k, v in want.items())
    wait_until(f"{want} on the edge client -> db", as_logged)
    check(told["tls"]["mutual"] == len([x for x in lines if x["response_flags"] != "UF"]), told["tls"])
    check(told["tls"]["confidence"] == "handshake" and told["flags"].get("UC") == 1, told)
    check(told["destinationService"] == "db.default.svc.cluster.local", told)


def test_nothing_is_left():
    for p in (client, gateway, *proxies.values()):
        wait_until("connections to be gone", lambda p=p: p.counter("tulle_proxy_tcp_connections ") == 0)
    check(client.counter('tulle_proxy_tcp_connections_total{listener="outbound"}') > 70, "counted")
    check(client.counter("tulle_proxy_tcp_bytes_total") > 4 * MiB, "counted")
    check(http(f"http://{client.ip}:{ADMIN}/ready")[0] == 200, "alive")


def test_draining_ends_connections():
    s = connect("open")
    receive(s, len(BANNER))
    client.stop()
    check(is_closed(s), "ended after the drain timeout")
    check("lvl=error" not in open(log_of("client"), encoding="utf-8").read(), "no errors")


run(globals(), sys.argv[3:])
