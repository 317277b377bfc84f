"""The document's mesh files, unchanged, between real sidecars with mutual TLS and beside a collector.
Usage: test_seeds.py TULLE_PROXY TULLE_COLLECTOR FOLDER_OF_THE_DOCUMENT'S_FILES

What else proves them: 01 to 04, 09 and 11 in test_ingress.py, 07 in test_authz.py, time-outs and retries of 08
in test_resilience.py, 10 in test_live.py and test_traffic.py."""
import os
import shutil
import socket
import sys
import threading
import time

import support
from gateway_support import (ADMIN, APP, IN, OUT, Proxy, Server, make_ca, is_share, run)
from gateway_support import openssl
from support import check, folder, get_json, http, wait_until

PROXY, COLLECTOR, SEEDS = sys.argv[1:4]
NET = "127.1.89"
HERE = os.path.dirname(os.path.abspath(__file__))
SERVICE = """apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: {ns} }}
spec: {{ selector: {{ app: {name} }}, ports: [{{ name: http, port: 9080, targetPort: {port} }}] }}
---
"""
POD = """apiVersion: v1
kind: Pod
metadata:
  name: {workload}-7d4b9c-{n}
  namespace: {ns}
  labels: {{ app: {name}, version: {version}, pod-template-hash: 7d4b9c, security.istio.io/tlsMode: istio }}
  ownerReferences: [{{ apiVersion: apps/v1, kind: ReplicaSet, name: {workload}-7d4b9c, controller: true }}]
spec: {{ serviceAccountName: {name} }}
status: {{ phase: Running, podIP: {ip} }}
---
"""
SUBSETS = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews, namespace: default }
spec:
  host: reviews
  subsets:
  - { name: v1, labels: { version: v1 } }
  - { name: v2, labels: { version: v2 } }
  - { name: v3, labels: { version: v3 } }
---
"""
ca = make_ca("seeds-ca")
collector = support.Collector(COLLECTOR)
next_ip = iter(range(1, 255))


def seed(name):
    return f"{SEEDS}/{name}.yaml"


def certificate(ns, account):
    to = f"{folder}/certs/{ns}-{account}"
    if os.path.exists(to):
        return to
    os.makedirs(to)
    with open(f"{to}/ext", "w", encoding="utf-8") as f:
        f.write(f"subjectAltName=URI:spiffe://cluster.local/ns/{ns}/sa/{account}\n"
                "extendedKeyUsage=serverAuth,clientAuth\n")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{to}/key.pem",
            "-out", f"{to}/csr.pem", "-subj", f"/CN={account}")
    openssl("x509", "-req", "-in", f"{to}/csr.pem", "-CA", f"{ca}/ca.crt", "-CAkey", f"{ca}/ca.key",
            "-CAcreateserial", "-out", f"{to}/cert-chain.pem", "-days", "1", "-extfile", f"{to}/ext")
    shutil.copy(f"{ca}/ca.crt", f"{to}/root-cert.pem")
    return to


class Mesh:
    """Pods of the table (name, version), each with a sidecar in front of an application that listens."""

    def __init__(self, title, ns, pods, seeds, extra=""):
        self.ns, self.proxies, self.pods = ns, [], []
        for name, version in pods:
            self.pods.append((name, version, f"{NET}.{next(next_ip)}"))
        objects = "".join(SERVICE.format(name=n, ns=ns, port=IN) for n in dict(pods))
        for i, (name, version, ip) in enumerate(self.pods):
            objects += POD.format(workload=f"{name}-{version}", n=i, ns=ns, name=name, version=version, ip=ip)
        for i, (name, version, ip) in enumerate(self.pods):
            fixed = type("Fixed", (), {"address": lambda self, ip=ip: ip})()
            self.proxies.append(Proxy(
                PROXY, fixed, f"{title}-{i}", [seed(s) for s in seeds] + [objects + extra], role="sidecar",
                labels=f"app={name},version={version}", options=[
                    f"--certs={certificate(ns, name)}", f"--service-account={name}", f"--namespace={ns}",
                    f"--workload={name}-{version}", f"--collector={collector.otlp}"]))
        for p in self.proxies:
            p.wait(OUT).wait(IN)

    def edges(self):
        """From the first pod, by workload."""
        name, version, _ = self.pods[0]
        found = get_json(f"{collector.base}/api/v1/edges?window=10m")["edges"]
        return {e["destination"]["workload"]: e for e in found
                if e["source"]["workload"] == f"{name}-{version}" and e["source"]["namespace"] == self.ns}

    def stop(self):
        for p in self.proxies:
            p.stop()


def test_05_reviews():
    mesh = Mesh("reviews", "default", [("productpage", "v1"), ("reviews", "v1"), ("reviews", "v2"), ("reviews", "v3")],
                ["05-reviews-header-and-weights"], SUBSETS)
    for name, version, ip in mesh.pods[1:]:
        Server(ip, f"{name}-{version}")
    p, total, got, lock = mesh.proxies[0], 10_000, [], threading.Lock()
    c = p.connect(OUT)
    check({p.who("reviews:9080", connection=c, end_user="jason") for _ in range(100)} == {"reviews-v2"}, "jason")

    def ask(n):
        connection = p.connect(OUT)
        mine = [p.who("reviews:9080", connection=connection) for _ in range(n)]
        with lock:
            got.extend(mine)
    threads = [threading.Thread(target=ask, args=(total // 8,)) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    v3 = got.count("reviews-v3")
    check(set(got) == {"reviews-v1", "reviews-v3"} and len(got) == total, "somebody else answered")
    print(f"      {v3} of {total} to v3: {(v3 - total / 10) / (total * 0.09) ** 0.5:+.1f} standard deviations from 10 %")
    check(is_share(v3, total, 0.1), f"{v3} of {total} to v3")
    wait_until("the map to tell the same", lambda: {w: e["requests"] for w, e in mesh.edges().items()} == {
        "reviews-v1": total - v3, "reviews-v2": 100, "reviews-v3": v3})
    mesh.stop()


def test_06_strict():
    mesh = Mesh("strict", "production", [("client", "v1"), ("server", "v1")], ["06-mtls-strict"])
    _, _, ip = mesh.pods[1]
    server = Server(ip, "server-v1")
    p = mesh.proxies[0]
    for _ in range(60):
        check(p.who("server:9080", port=OUT) == "server-v1", "sidecar to sidecar")
    told = server.seen[-1]["headers"]["x-forwarded-client-cert"]
    check("URI=spiffe://cluster.local/ns/production/sa/client" in told, told)
    seen = len(server.seen)
    for first in (b"GET /x HTTP/1.1\r\nHost: server\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"hello\r\n"):
        with socket.create_connection((ip, IN), 20) as s:
            s.sendall(first)
            try:
                got = s.recv(1000)
            except ConnectionResetError:
                got = b""
            check(got == b"", f"plaintext from outside: {got}")
    check(len(server.seen) == seen, "nothing of it came to the application")

    def is_mutual():
        e = mesh.edges().get("server-v1")
        return e and e["requests"] == 60 and e
    edge = wait_until("the edge", is_mutual)
    print(f"      the map: {edge['tls']}")
    check(edge["tls"]["state"] == "mutual", edge)
    mesh.stop()


def test_08_out_for_thirty_seconds():
    """One of three instances fails: out after five errors, back after thirty seconds, callers hear nothing."""
    mesh = Mesh("ratings", "default", [("reviews", "v1")] + [("ratings", "v1")] * 3, ["08-ratings-resilience"])
    ips = [ip for _, _, ip in mesh.pods[1:]]
    for i, ip in enumerate(ips):
        support.start(f"ratings-app-{i}", sys.executable, f"{HERE}/ratings_app.py", ip, APP)
        wait_until("the application", lambda ip=ip: http(f"http://{ip}:{APP}/times")[0] == 200)
    p, bad = mesh.proxies[0], ips[0]

    def is_out():
        return f"{bad}:{IN}::health_flags::/failed_outlier_check" in http(f"http://{p.ip}:{ADMIN}/clusters")[1].decode()

    def ask():
        status, body, _ = p.ask("ratings:9080", port=OUT)
        check(status == 200, f"{status} {body}")
        return body.split()[0].decode()
    http(f"http://{bad}:{APP}/mode/fail")
    for _ in range(200):
        check(ask() in ips[1:], "an instance that is well")
        if is_out():
            break
    out_since = time.monotonic()
    check(is_out(), "ejected")
    check(len(get_json(f"http://{bad}:{APP}/times")) == 5, "after five errors")
    http(f"http://{bad}:{APP}/mode/ok")
    http(f"http://{bad}:{APP}/forget")
    while time.monotonic() - out_since < 28:
        check(ask() in ips[1:], "nobody goes there while it is out")
        time.sleep(0.05)
    check(is_out(), "out for thirty seconds")
    wait_until("the return", lambda: not is_out())
    print(f"      out for {time.monotonic() - out_since:.1f} s")
    check(bad in {ask() for _ in range(100)}, "it has its share again")
    mesh.stop()


run(globals(), sys.argv[4:])
