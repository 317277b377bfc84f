"""Files change while requests run: rules, certificates and a gateway's ports. Nobody notices but
through what was asked for. Usage: test_live.py TULLE_PROXY FOLDER_OF_THE_DOCUMENT'S_FILES"""
from http.client import HTTPConnection, HTTPException
import json
import os
import shutil
import signal
import socket
import ssl
import sys
import threading
import time

from certificates import client_tls, make_ca, make_cert, mesh_cert
from gateway_support import ADMIN, DOOR, HTTPS, IN, OUT, Net, Proxy, Server, is_share, run
from objects import pod, service
from support import check, folder, http, wait_until

PROXY, SEEDS = sys.argv[1:3]
net = Net("127.1.31")


class Load:
    """Requests over kept connections from several threads, until stopped; what went wrong is kept."""

    def __init__(self, ip, port, host, threads=4):
        self.at, self.host, self.over = (ip, port), host, threading.Event()
        self.who, self.wrong, self.lock = [], [], threading.Lock()
        self.ended = [0] * threads  # requests, by thread
        self.threads = [threading.Thread(target=self.ask_on, args=[i], daemon=True) for i in range(threads)]
        for t in self.threads:
            t.start()

    def ask_on(self, i):
        c = http_connection(*self.at)
        while not self.over.is_set():
            try:
                c.request("GET", "/x", headers={"Host": self.host})
                r = c.getresponse()
                text = r.read()
                told = json.loads(text)["who"] if r.status == 200 else f"{r.status} {text[:200]!r}"
                with self.lock:
                    (self.who if r.status == 200 else self.wrong).append(told)
                if r.will_close:
                    c = http_connection(*self.at)
            except (OSError, HTTPException) as e:
                self.wrong.append(repr(e))
                c = http_connection(*self.at)
            with self.lock:
                self.ended[i] += 1

    def count(self):
        with self.lock:
            return len(self.who)

    def forget(self):
        """Only answers to requests that begin after this call are counted from here on."""
        with self.lock:
            under_way = list(self.ended)
        wait_until("requests under way to end", lambda: all(n > m for n, m in zip(self.ended, under_way)))
        with self.lock:
            self.who.clear()

    def stop(self):
        self.over.set()
        for t in self.threads:
            t.join()
        check(not self.wrong, f"{len(self.wrong)} of {len(self.who)} failed: {self.wrong[:5]}")


def http_connection(ip, port):
    return HTTPConnection(ip, port, timeout=20)


def write(path, text):
    """Replaced in one go, as kubectl and editors do."""
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(path + ".new", path)


def test_10_weights_change():
    """The document's canary: 90/10, then other weights, with requests running all the time."""
    p = Proxy(PROXY, net, "canary", [f"{SEEDS}/10-app-canary.yaml", net.service("app", versions=("v1", "v2"))],
              role="sidecar", labels="app=caller").wait(OUT)
    path = f"{p.config}/10-app-canary.yaml"
    with open(path, encoding="utf-8") as f:
        seed = f.read()
    load = Load(p.ip, OUT, "app")
    wait_until("a thousand requests", lambda: load.count() > 1000)
    with load.lock:
        share, n = load.who.count("app-v2"), len(load.who)
    check(is_share(share, n, 0.1), f"{share} of {n} to v2")
    for v1, v2 in ((50, 50), (0, 100), (100, 0)):
        applied = p.counter("tulle_proxy_reloads_total{what=\"configuration\",outcome=\"applied\"")
        write(path, seed.replace("weight: 90", f"weight: {v1}").replace("weight: 10 ", f"weight: {v2} "))
        began = time.monotonic()
        wait_until("the change", lambda: 
            p.counter("tulle_proxy_reloads_total{what=\"configuration\",outcome=\"applied\"") > applied)
        print(f"      {v1}/{v2} in force after {time.monotonic() - began:.2f} s")
        load.forget()
        wait_until("some hundred requests", lambda: load.count() > 400)
        with load.lock:
            share, n = load.who.count("app-v2"), len(load.who)
        check(is_share(share, n, v2 / 100), f"{share} of {n} to v2, want {v2} %")
    load.stop()
    p.stop()


def test_bad_files_are_refused():
    p = Proxy(PROXY, net, "refusing", [net.service("app")], role="sidecar", labels="app=caller").wait(OUT)
    path = f"{p.config}/rule.yaml"
    rule = ("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: r, namespace: default }\n"
            "spec: { hosts: [other], http: [{ %s: [{ destination: { host: app } }] }] }\n")
    load = Load(p.ip, OUT, "app", threads=2)
    write(path, rule % "route" + "  nonsense\n")
    wait_until("the refusal", lambda: 
        p.counter("tulle_proxy_reloads_total{what=\"configuration\",outcome=\"refused\"") == 1)
    check("rule.yaml:5:3:" in p.log() and "reload.refused" in p.log(), p.log())
    dump = json.loads(http(f"http://{p.ip}:{ADMIN}/config_dump")[1])
    check("rule.yaml:5:3:" in dump["refused_since_then"], dump["refused_since_then"])
    check(p.who("app", port=OUT) == "app-v1", "the last good state goes on")
    write(path, "a: [b")
    wait_until("another refusal", lambda: 
        p.counter("tulle_proxy_reloads_total{what=\"configuration\",outcome=\"refused\"") == 2)
    write(path, rule % "route")
    wait_until("the mended rule", lambda: p.who("other", port=OUT) == "app-v1")
    dump = json.loads(http(f"http://{p.ip}:{ADMIN}/config_dump")[1])
    check(dump["refused_since_then"] == "", dump["refused_since_then"])
    os.remove(path)
    wait_until("the rule to go", lambda: p.who("other", port=OUT) != "app-v1")
    load.stop()
    p.stop()


def test_configmap_mount():
    """Files behind two links, one of which is exchanged: how a mounted ConfigMap changes."""
    p = Proxy(PROXY, net, "mounted", [net.service("app")], role="sidecar", labels="app=caller",
              options=["--reload-interval=0s"]).wait(OUT)
    text = ("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: { name: r, namespace: default }\n"
            "spec: { hosts: [%s], http: [{ route: [{ destination: { host: app } }] }] }\n")
    for i, host in enumerate(("first", "second")):
        os.makedirs(f"{p.config}/..{i}")
        with open(f"{p.config}/..{i}/rule.yaml", "w", encoding="utf-8") as f:
            f.write(text % host)
        os.symlink(f"..{i}", f"{p.config}/..data.new")
        os.rename(f"{p.config}/..data.new", f"{p.config}/..data")
        if i == 0:
            os.symlink("..data/rule.yaml", f"{p.config}/rule.yaml")
        p.child.send_signal(signal.SIGHUP)
        wait_until(f"rule {host}", lambda: p.who(host, port=OUT) == "app-v1")
    check(p.who("first", port=OUT) != "app-v1", "the first rule is gone")
    p.stop()


STRICT = """apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
"""


def test_certificates_rotate():
    """Both sides get new certificates again and again under load: no request fails."""
    ca = make_ca("mesh-ca")
    ips = {name: net.address() for name in ("client", "server")}
    objects = "".join(service(n, IN) + pod(f"{n}-v1", ip, n, has_sidecar=True)
                      for n, ip in ips.items())
    Server(ips["server"], "server-v1")
    proxies = {}
    for name, ip in ips.items():
        mesh_cert(ca, f"{folder}/certs/{name}", name)
        fixed = type("Fixed", (), {"address": lambda self, ip=ip: ip})()
        proxies[name] = Proxy(PROXY, fixed, name, [objects], role="sidecar", labels=f"app={name}",
                              options=[f"--certs={folder}/certs/{name}", f"--service-account={name}"])
    p = proxies["client"].wait(OUT)
    proxies["server"].wait(IN)
    load = Load(p.ip, OUT, "server")
    wait_until("requests", lambda: load.count() > 200)
    for days in (2, 3, 4):
        for name in ("client", "server", "server", "client"):
            mesh_cert(ca, f"{folder}/certs/{name}", name, days)
        for q in proxies.values():
            left = days * 86400 - 3600
            wait_until("the new certificate", lambda: 
                q.counter("tulle_proxy_certificate_expiry_seconds") - time.time() > left)
        seen = load.count()
        wait_until("requests under it", lambda: load.count() > seen + 200)
    with open(f"{folder}/certs/client/key.pem", "w", encoding="ascii") as f:
        f.write("no key")
    wait_until("a refusal", lambda: "reload.refused" in p.log())
    seen = load.count()
    wait_until("requests go on", lambda: load.count() > seen + 200)
    load.stop()
    line = p.access(response_code=200)
    check(line["upstream_host"].startswith(ips["server"]), line)
    # From here on plaintext is refused: who is connected is cut off, who comes is not let in.
    caller = http_connection(ips["server"], IN)
    caller.request("GET", "/x", headers={"Host": "server"})
    check(caller.getresponse().read(), "plaintext while PERMISSIVE")
    write(f"{proxies['server'].config}/strict.yaml", STRICT)
    wait_until("the connection to be closed", lambda: caller.sock is None or caller.sock.recv(1) == b"")
    check(p.who("server", port=OUT) == "server-v1", "mutual TLS goes on")
    for q in proxies.values():
        q.stop()


def test_a_handshake_outlives_a_change():
    """Under STRICT a caller whose ClientHello is half there is no plaintext caller."""
    ca, name = make_ca("slow-ca"), "slow"
    mesh_cert(ca, f"{folder}/certs/{name}", name)
    p = Proxy(PROXY, net, name, [net.service("app-slow"), STRICT], role="sidecar", labels="app=slow",
              options=[f"--certs={folder}/certs/{name}", f"--service-account={name}"]).wait(IN)
    context = ssl.create_default_context(cafile=f"{ca}/ca.crt")
    context.check_hostname = False
    context.load_cert_chain(f"{folder}/certs/{name}/cert-chain.pem", f"{folder}/certs/{name}/key.pem")
    came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(came, goes)
    applied = 'tulle_proxy_reloads_total{what="configuration",outcome="applied"'
    with socket.create_connection((p.ip, IN), 20) as s:
        for step in range(8):
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
            hello = goes.read()
            s.sendall(hello[:100])
            if step == 0:
                before = p.counter(applied)
                write(f"{p.config}/more.yaml", STRICT.replace("name: default,", "name: other,"))
                wait_until("the change", lambda: p.counter(applied) > before)
            s.sendall(hello[100:])
            piece = s.recv(65536)
            check(piece, "the handshake was cut off")
            came.write(piece)
        check(tls.version() == "TLSv1.3", tls.version())
    p.stop()


GATEWAY = """apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: door, namespace: default }}
spec:
  selector: {{ istio: ingressgateway }}
  servers:
  - port: {{ number: {port}, name: http, protocol: HTTP }}
    hosts: ["*"]
  - port: {{ number: %d, name: https, protocol: HTTPS }}
    hosts: ["shop.test"]
    tls: {{ mode: SIMPLE, credentialName: shop }}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: shop, namespace: default }}
spec: {{ hosts: ["*"], gateways: [door], http: [{{ route: [{{ destination: {{ host: shop }} }}] }}] }}
""" % HTTPS


def test_gateway_ports_and_secrets():
    ca = make_ca("shop-ca")
    make_cert(ca, f"{folder}/shop-secrets/default/shop", "shop.test")
    g = Proxy(PROXY, net, "moving", [net.service("shop"), GATEWAY.format(port=DOOR)],
              options=[f"--secrets={folder}/shop-secrets"]).wait(DOOR)
    held = g.connect(DOOR)
    held.request("GET", "/hold", headers={"Host": "a.test"})
    wait_until("the held request", lambda: any(t["path"] == "/hold" for t in net.servers["shop-v1"].seen))
    check(g.who("shop.test", port=HTTPS, tls=client_tls(ca)) == "shop-v1", "TLS")
    for port in (DOOR + 30, DOOR, DOOR + 30):
        write(f"{g.config}/01-objects.yaml", GATEWAY.format(port=port))
        g.wait(port)
        check(g.who("a.test", port=port) == "shop-v1", f"port {port}")
    shutil.copy(f"{ca}/ca.key", f"{folder}/shop-secrets/default/shop/tls.key")  # the first half of a change
    wait_until("the key that does not fit", lambda: "gateway.certificate_kept" in g.log())
    check(g.who("shop.test", port=HTTPS, tls=client_tls(ca)) == "shop-v1", "what was in force goes on")
    write(f"{g.config}/01-objects.yaml", GATEWAY.format(port=DOOR))
    g.wait(DOOR)
    check(g.who("shop.test", port=HTTPS, tls=client_tls(ca)) == "shop-v1", "under new rules, too")
    other = make_ca("other-shop-ca")
    make_cert(other, f"{folder}/shop-secrets/default/shop", "shop.test")

    def is_shown(ca):
        try:
            return g.who("shop.test", port=HTTPS, tls=client_tls(ca)) == "shop-v1"
        except ssl.SSLError:
            return False
    wait_until("the other certificate", lambda: is_shown(other))
    check(not is_shown(ca), "the first certificate is gone")
    net.servers["shop-v1"].held.set()
    answer = held.getresponse()
    check(answer.status == 200 and answer.read(), "a request in flight ends, though its port is closed")
    g.stop()


run(globals(), sys.argv[3:])
