"""A connection that is no HTTP finds out whether the other sidecar's application is there before it has sent anything
(docs/adr/0036): with sidecars of ours, and with peers that agree to answer and do not.
Usage: test_tcp_answer.py TULLE_PROXY [CASE...]"""
import os
import socket
import ssl
import sys
import threading
import time

from certificates import make_ca, mesh_cert
from gateway_support import ADMIN, APP, IN, Net, Proxy, run
from objects import pod, service
from support import check, folder, http, wait_until

PROXY = sys.argv[1]
net = Net("127.1.32")
ALPN = "tulle-tcp-1"
POLICY = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: {name}, namespace: default, annotations: {{ {note} }} }}
spec: {{ host: {name}, trafficPolicy: {{ connectionPool: {{ tcp: {{ connectTimeout: 300ms }} }} }} }}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: {name}, namespace: default }}
spec:
  selector: {{ matchLabels: {{ app: closed }} }}
  action: DENY
  rules: [{{ from: [{{ source: {{ principals: ["cluster.local/ns/default/sa/client"] }} }}] }}]
---
"""
CHECK = "tulle.io/health-check: tcp interval=500ms timeout=500ms healthy=1 unhealthy=1"


class Echo:
    def __init__(self, ip):
        self.calls = 0
        self.listener = socket.create_server((ip, APP), backlog=64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        try:
            while True:
                s, _ = self.listener.accept()
                self.calls += 1
                threading.Thread(target=self.serve, args=(s,), daemon=True).start()
        except OSError:
            self.listener.close()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)

    def serve(self, s):
        try:
            while piece := s.recv(65536):
                s.sendall(piece)
        except OSError:
            pass
        s.close()


class Peer:
    """A sidecar that is not ours: ends TLS of the mesh, agrees on the ALPN or not, sends `first`, then echoes."""

    def __init__(self, ip, certs, alpn, first):
        self.first, self.got = first, b""
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(f"{certs}/cert-chain.pem", f"{certs}/key.pem")
        self.tls.set_alpn_protocols(alpn)
        self.listener = socket.create_server((ip, IN), backlog=64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, s):
        try:
            with self.tls.wrap_socket(s, server_side=True) as tls:
                tls.sendall(self.first)
                while piece := tls.recv(65536):
                    self.got += piece
                    tls.sendall(piece)
        except OSError:
            pass


# Pods and their Services: two sidecars of ours behind "half", of which one has no application; one that lets nobody in;
# and peers.
PODS = {"well": "half", "gone": "half", "closed": "closed", "mute": "mute", "wrong": "wrong", "istio": "istio"}
SERVICES = {"half": "half", "watched": "half", "closed": "closed", "mute": "mute", "wrong": "wrong", "istio": "istio"}
ca = make_ca()
ips = {name: net.address() for name in ("client", *PODS)}
certs = {name: mesh_cert(ca, f"{folder}/certs/{name}", name) for name in ips}
objects = "".join(pod(f"{name}-1", ips[name], app, account=name, has_sidecar=True) for name, app in PODS.items())
for name, app in SERVICES.items():
    objects += service(name, IN, app, "tcp") + POLICY.format(name=name, note=CHECK if name == "watched" else "")
ports = {name: 21730 + i for i, name in enumerate(SERVICES)}
apps = {name: Echo(ips[name]) for name in ("well", "closed")}
peers = {"mute": Peer(ips["mute"], certs["mute"], [ALPN], b""), "wrong": Peer(ips["wrong"], certs["wrong"], [ALPN], b"x"),
         "istio": Peer(ips["istio"], certs["istio"], ["istio-peer-exchange"], b"")}


def sidecar(name, app, *more):
    fixed = type("Fixed", (), {"address": lambda _: ips[name]})()
    return Proxy(PROXY, fixed, name, [objects], role="sidecar", labels=f"app={app},version=v1", options=(
        f"--certs={certs[name]}", f"--service-account={name}", *more))


client = sidecar("client", "client", "--tcp-listen=" + ",".join(f"{port}={name}:80" for name, port in ports.items()))
client.wait(ports["half"])
ours = {name: sidecar(name, PODS[name]).wait(IN) for name in ("well", "gone", "closed")}


def talk(name, text):
    """What comes back until the end."""
    with socket.create_connection((client.ip, ports[name]), 20) as s:
        got = b""
        try:
            s.sendall(text)
            s.shutdown(socket.SHUT_WR)
            while piece := s.recv(65536):
                got += piece
        except OSError:
            pass
        return got


def test_the_application_is_gone():
    for i in range(30):
        text = os.urandom(i + 1)
        check(talk("half", text) == text, "another endpoint has it, with all that was sent")
    check(apps["well"].calls >= 30, f"{apps['well'].calls} reached the application")
    line = ours["gone"].access(response_flags="UF")
    check(line["bytes_received"] == 0 and line["bytes_sent"] == 0, f"nothing was lost there: {line}")
    line = client.access(upstream_host=f"{ips['well']}:{IN}", response_flags="-")
    check(line["bytes_sent"] == line["bytes_received"] > 0, f"the sidecar's answer is not the application's: {line}")


def test_all_applications_are_gone():
    apps["well"].stop()
    wait_until("an end without an endpoint", lambda: talk("half", b"x") == b"")
    line = client.access(upstream_transport_failure_reason="the sidecar could not reach its application")
    check(line["response_flags"] == "UF" and line["bytes_received"] == 0, line)
    apps["well"] = Echo(ips["well"])
    check(talk("half", b"again") == b"again", "back")


def test_who_is_denied_is_not_sent_around():
    check(talk("closed", b"x") == b"", "denied")
    line = ours["closed"].access(bytes_received=0)
    check(line["connection_termination_details"].startswith("rbac_access_denied"), line)
    line = client.access(upstream_host=f"{ips['closed']}:{IN}")
    check(line["response_flags"] == "-" and apps["closed"].calls == 0, f"an answer, and no failure of the endpoint: {line}")


def test_peers_that_do_not_answer():
    for name, why in (("mute", "in time"), ("wrong", "could not reach")):
        began = time.monotonic()
        check(talk(name, b"secret") == b"" and time.monotonic() - began < 15, f"{name}: given up")
        line = client.access(upstream_host=f"{ips[name]}:{IN}", response_flags="UF")
        check(why in line["upstream_transport_failure_reason"], line)
        check(peers[name].got == b"", f"{name} got {peers[name].got}")


def test_peers_that_know_nothing_of_it():
    check(talk("istio", b"as ever") == b"as ever", "the first byte is the application's")


def test_a_check_asks_the_sidecar_for_its_application():
    def health(name):
        line = f"outbound|80||watched.default.svc.cluster.local::{ips[name]}:{IN}::health_flags::"
        page = http(f"http://{client.ip}:{ADMIN}/clusters")[1].decode()
        return next((x[len(line):] for x in page.splitlines() if x.startswith(line)), "")
    wait_until("the check of one without an application", lambda: health("gone") == "/failed_active_hc")
    wait_until("the check of the other", lambda: health("well") == "healthy")


run(globals(), sys.argv[2:])
for proxy in (client, *ours.values()):
    proxy.stop()
