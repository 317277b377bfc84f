"""What DestinationRules say of connections: how old they may become, how long they may be silent, whether the kernel asks for
the other side, and whose certificate is the right one.
Usage: test_connections.py TULLE_PROXY"""
import http.server
import socket
import ssl
import sys
import threading

import support
from gateway_support import APP, OUT, POD, PROM, SERVICE, Net, Proxy, make_ca, make_spiffe, revoke, run
from support import check, folder, wait_until

PROXY = sys.argv[1]
net = Net("127.1.79")
ca = make_ca()
RULE = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: {name}, namespace: default }}
spec: {{ host: {name}, trafficPolicy: {policy} }}
---
"""


def rule(name, policy):
    return RULE.format(name=name, policy=policy)


class Peers:
    """An application, with TLS if it has a certificate, that knows its callers' connections."""

    def __init__(self, name, cert=None):
        self.ip, self.ports = net.address(), []
        peers = self

        class App(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                peers.ports.append(self.client_address[1])
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

        server = http.server.ThreadingHTTPServer((self.ip, APP), App)
        server.handle_error = lambda *_: None
        if cert:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(f"{cert}/cert-chain.pem", f"{cert}/key.pem")
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.objects = SERVICE.format(name=name, port=80, target=APP) + POD.format(name=name, version="v1", ip=self.ip)


def start(name, objects, *options):
    return Proxy(PROXY, net, name, [objects], role="sidecar", labels="app=client", options=options).wait(OUT)


def keepalive_timer(port, ip):
    """Of our connection from that port to the application: is it the kernel's keepalive timer that runs (2)?"""
    want = f"{int.from_bytes(socket.inet_aton(ip), 'little'):08X}:{APP:04X}"
    with open("/proc/net/tcp", encoding="ascii") as f:
        for line in f.readlines()[1:]:
            cells = line.split()
            if cells[2] == want and int(cells[1].split(":")[1], 16) == port:
                return cells[5].startswith("02")
    return None


def test_age():
    short, long = Peers("short"), Peers("long")
    g = start("age", short.objects + long.objects +
              rule("short", "{ connectionPool: { tcp: { maxConnectionDuration: 1ms } } }") +
              rule("long", "{ connectionPool: { tcp: { maxConnectionDuration: 1h } } }"))
    for _ in range(5):
        for host in ("short", "long"):
            check(g.ask(host, port=OUT)[0] == 200, host)
    check(len(set(long.ports)) == 1, f"one connection: {long.ports}")
    check(len(set(short.ports)) == 5, f"each has grown old: {short.ports}")
    g.stop()


def test_keepalive():
    asked, silent = Peers("asked"), Peers("silent")
    g = start("keepalive", asked.objects + silent.objects +
              rule("asked", "{ connectionPool: { tcp: { tcpKeepalive: { time: 600s, interval: 75s, probes: 3 } } } }"))
    for host in ("asked", "silent"):
        check(g.ask(host, port=OUT)[0] == 200, host)
    check(keepalive_timer(asked.ports[0], asked.ip) is True, "the kernel asks")
    check(keepalive_timer(silent.ports[0], silent.ip) is False, "nobody said so")
    g.stop()


def test_bytes():
    """Connections that are no HTTP."""
    ip = net.address()
    listener = socket.create_server((ip, APP))
    held = []
    threading.Thread(target=lambda: [held.append(listener.accept()[0]) for _ in range(9)], daemon=True).start()
    objects = "".join(SERVICE.format(name=x, port=80, target=APP).replace("name: http", "name: tcp") +
                      POD.format(name=x, version="v1", ip=ip) for x in ("old", "silent"))
    g = start("bytes", objects + rule("old", "{ connectionPool: { tcp: { maxConnectionDuration: 0.2s } } }") +
              rule("silent", "{ connectionPool: { tcp: { idleTimeout: 0.2s }, http: { idleTimeout: 1h } } }"),
              f"--tcp-listen={PROM + 20}=old:80,{PROM + 21}=silent:80")
    for host, port, flags, details in (("old", PROM + 20, "DT", "max_connection_duration_reached"),
                                       ("silent", PROM + 21, "-", "tcp_session_idle_timeout")):
        s = socket.create_connection((g.ip, port), 10)
        s.settimeout(20)
        s.sendall(b"x")
        try:
            check(s.recv(1) == b"", f"{host}: closed")
        except ConnectionResetError:
            pass
        line = g.access(upstream_cluster=f"outbound|80||{host}.default.svc.cluster.local")
        check(line["response_flags"] == flags and details in str(line), line)
    g.stop()


def test_whose_certificate():
    """subjectAltNames may be URIs: any of the names will do. caCrl names whose certificate is worth nothing any more."""
    cert, other = (make_spiffe(ca, f"{folder}/{x}", x) for x in ("partner", "other"))
    for who, to in ((cert, "theirs"), (other, "another")):
        revoke(ca, f"{who}/cert-chain.pem", f"{folder}/{to}.crl")
    partner = Peers("partner", cert)
    objects = partner.objects
    right = "spiffe://cluster.local/ns/default/sa/partner"
    cases = {"fits": [right], "among": ["other.test", right], "other": [right + "2"], "dns": ["partner.test"]}
    for name in ("theirs", "another"):
        objects += SERVICE.format(name=name, port=80, target=APP) + POD.format(name=name, version="v1", ip=partner.ip)
        objects += rule(name, f"{{ tls: {{ mode: SIMPLE, caCertificates: {ca}/ca.crt, caCrl: {folder}/{name}.crl, "
                              f"subjectAltNames: [{right}] }} }}")
    for name, names in cases.items():
        objects += SERVICE.format(name=name, port=80, target=APP) + POD.format(name=name, version="v1", ip=partner.ip)
        objects += rule(name, f"{{ tls: {{ mode: SIMPLE, caCertificates: {ca}/ca.crt, subjectAltNames: {names} }} }}")
    g = start("whose", objects)
    for name in (*cases, "theirs", "another"):
        status, _, r = g.ask(name, port=OUT)
        is_fine = name in ("fits", "among", "another")
        check((status == 200) == is_fine, f"{name}: {status}")
        check(is_fine or "tls_failure" in r.getheader("x-tulle-reason"), f"{name}: {r.getheader('x-tulle-reason')}")
        check(name != "other" or "none of the names" in r.getheader("x-tulle-reason"), r.getheader("x-tulle-reason"))
    g.stop()


def test_cookies():
    """httpCookie with attributes of its own."""
    app = Peers("sticky")
    g = start("cookies", app.objects + rule("sticky", "{ loadBalancer: { consistentHash: { httpCookie: { name: at, ttl: 60s, "
                                            "attributes: [{ name: SameSite, value: Strict }, { name: Secure }] } } } }"))
    cookie = g.ask("sticky", port=OUT)[2].getheader("set-cookie")
    check(cookie.startswith("at=") and cookie.endswith("; Max-Age=60; SameSite=Strict; Secure; HttpOnly"), cookie)
    g.stop()


def test_workloads():
    """A WorkloadEntry with a sidecar: mutual TLS, and only with who it must be."""
    certs = {who: make_spiffe(ca, f"{folder}/certs/{who}", who) for who in ("client", "vm")}
    vm_ip = net.address()
    vm = support.start("vm", PROXY, "--role=sidecar", f"--listen={vm_ip}", f"--certs={certs['vm']}", "--workload=vm",
                       f"--inbound-port={APP}", "--outbound-port=0", "--admin-port=0", "--readiness-port=0",
                       "--prometheus-port=0", f"--app={net.address()}:{APP}", f"--access-log={folder}/vm.access")
    app = http.server.ThreadingHTTPServer((f"{net.net}.{net.next - 1}", APP), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=app.serve_forever, daemon=True).start()
    entry = """apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{ name: {name}, namespace: default }}
spec: {{ address: {ip}, labels: {{ app: {name}, security.istio.io/tlsMode: istio }}, serviceAccount: {account} }}
---
"""
    objects = "".join(SERVICE.format(name=name, port=80, target=APP) + entry.format(name=name, ip=vm_ip, account=account)
                      for name, account in (("right", "vm"),))
    wrong = SERVICE.format(name="wrong", port=80, target=APP + 1) + entry.format(name="wrong", ip=vm_ip, account="other")
    g = start("workloads", objects, f"--certs={certs['client']}")
    wait_until("the vm", lambda: socket.create_connection((vm_ip, APP), 1))
    check(g.ask("right", port=OUT)[0] in (200, 404), "mutual TLS with the VM")
    line = wait_until("its line", lambda: [x for x in open(f"{folder}/vm.access", encoding="utf-8") if "outbound_.80_" in x])
    check(line, "by the mesh's server name")
    g.stop()
    g = start("strangers", wrong.replace(f"targetPort: {APP + 1}", f"targetPort: {APP}"), f"--certs={certs['client']}")
    status, _, r = g.ask("wrong", port=OUT)
    check(status == 503 and "expected spiffe://cluster.local/ns/default/sa/other" in r.getheader("x-tulle-reason"),
          r.getheader("x-tulle-reason"))
    g.stop()
    support.stop(vm)


run(globals(), sys.argv[2:])
