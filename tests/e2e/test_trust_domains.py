"""A mesh whose trust domain was renamed: callers and servers of the old name go on, others do not.
Usage: test_trust_domains.py TULLE_PROXY"""
import http.client
import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import support
from gateway_support import make_ca, make_spiffe
from support import check, folder, wait_until

PROXY = sys.argv[1]
NET = "127.1.92"
PODS = {"server": (f"{NET}.1", "td1"), "plain": (f"{NET}.2", "td1"), "new": (f"{NET}.3", "td1"),
        "old": (f"{NET}.4", "old.example"), "stranger": (f"{NET}.5", "other.example")}
OUT, IN, ADMIN, READY, PROM, APP = 35101, 35106, 35100, 35121, 35190, 35180
POD = """apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: default }}
spec: {{ selector: {{ app: {name} }}, ports: [{{ name: http, port: 80, targetPort: {port} }}] }}
---
apiVersion: v1
kind: Pod
metadata: {{ name: {name}-1, namespace: default, labels: {{ app: {name}, security.istio.io/tlsMode: istio }} }}
spec: {{ serviceAccountName: {account} }}
status: {{ phase: Running, podIP: {ip} }}
---
"""
POLICY = """apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: callers, namespace: default }
spec: { rules: [{ from: [{ source: { principals: [cluster.local/ns/default/sa/client] } }] }] }
"""


class App(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")


def start(name, *more):
    ip = PODS[name][0]
    child = support.start(
        name, PROXY, "--role=sidecar", f"--config={folder}/config", f"--workload={name}", "--namespace=default",
        f"--certs={folder}/certs/{name}", f"--listen={ip}", f"--outbound-port={OUT}", f"--inbound-port={IN}",
        f"--admin-port={ADMIN}", f"--readiness-port={READY}", f"--prometheus-port={PROM}", f"--app={ip}:{APP}",
        "--access-log=none", f"--labels=app={name}", "--trust-domain=td1", *more)
    wait_until(name, lambda: socket.create_connection((ip, OUT), 1).close() is None)
    return child


def call(caller, host):
    c = http.client.HTTPConnection(PODS[caller][0], OUT, timeout=30)
    c.request("GET", "/", headers={"Host": host})
    r = c.getresponse()
    answer = r.status, r.getheader("x-tulle-reason")
    c.close()
    return answer


os.makedirs(f"{folder}/config")
with open(f"{folder}/config/mesh.yaml", "w", encoding="utf-8") as f:
    for pod, (pod_ip, _) in PODS.items():
        f.write(POD.format(name=pod, ip=pod_ip, port=IN, account="app" if pod in ("server", "plain") else "client"))
    f.write(POLICY)
ca = make_ca()
for pod, (pod_ip, td) in PODS.items():
    make_spiffe(ca, f"{folder}/certs/{pod}", "app" if pod in ("server", "plain") else "client", td)
    threading.Thread(target=ThreadingHTTPServer((pod_ip, APP), App).serve_forever, daemon=True).start()
ALIASES = "--trust-domain-aliases=old.example,older.example"
proxies = [start("server", ALIASES), start("plain"), start("new", ALIASES), start("old", ALIASES), start("stranger")]
print("case: callers of both names")
for pod in ("new", "old"):
    check(call(pod, "server")[0] == 200, f"{pod}: {call(pod, 'server')}")
print("case: a caller of another domain is not let in, though its authority is trusted")
got = call("stranger", "server")
check(got[0] == 503 and got[1].startswith("U"), f"{got}")
print("case: without aliases the old name is somebody else to policies")
check(call("new", "plain")[0] == 200, f"{call('new', 'plain')}")
got = call("old", "plain")
check(got[0] == 403, f"{got}")
print("case: a server of the old name is the one that is meant")
check(call("new", "old")[0] == 200, f"{call('new', 'old')}")
got = call("plain", "old")
check(got[0] == 503 and "expected spiffe://td1/ns/default/sa/client" in got[1], f"{got}")
for proxy in proxies:
    check(support.stop(proxy) == 0, f"{proxy.tulle_name}: exit status {proxy.returncode}")
