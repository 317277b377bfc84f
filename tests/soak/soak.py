"""soak.py TULLE_PROXY [--for SECONDS] - mixed load through a gateway and sidecars with mutual TLS while everything
changes: applications and whole pods die and come back, certificates rotate, rules change every second, and
proxies are followed by new processes. No request fails that had a healthy endpoint; in the end memory and
descriptors are where they were after warming up.

                    +-> web-1 (sidecar + application)     GETs and POSTs: two of three always live
  gateway, client --+-> web-2
                    +-> web-3
                    +-> store (sidecar + application)     1 MiB both ways, WebSocket: never dies
"""
import argparse
import hashlib
from http.client import HTTPConnection, HTTPException
import os
import random
import re
import signal
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import support
from gateway_support import (APP, DOOR, IN, OUT, PROM, READY, Net, Proxy, make_ca, mesh_cert)
from support import check, folder, http, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
net = Net("127.1.88")
PODS = ("web-1", "web-2", "web-3", "store")
GROWTH_KIB = 1024  # of a proxy's resident memory between warm and end: libc's rest of a peak
HOST = "shop.example.com"

SERVICE = """apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: default }}
spec: {{ selector: {{ app: {name} }}, ports: [{{ name: http, port: 80, targetPort: {port} }}] }}
---
"""
POD = """apiVersion: v1
kind: Pod
metadata: {{ name: {pod}, namespace: default, labels: {{ app: {app}, version: {version}, security.istio.io/tlsMode: istio }} }}
spec: {{ serviceAccountName: {app} }}
status: {{ phase: Running, podIP: {ip} }}
---
"""
FIXED = """apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: door, namespace: default }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: %d, name: http, protocol: HTTP }, hosts: ["*"] }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: web, namespace: default }
spec:
  host: web
  trafficPolicy: { outlierDetection: { consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 1s, maxEjectionPercent: 50,
    minHealthPercent: 60 } } # of two one may be ejected and well again while the other dies
  subsets:
  - { name: odd, labels: { version: odd } }
  - { name: even, labels: { version: even } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: store, namespace: default }
spec:
  hosts: [store, "big.example.com"]
  gateways: [mesh, door]
  http: [{ route: [{ destination: { host: store } }] }]
""" % DOOR
RULES = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: web, namespace: default }}
spec:
  hosts: [web, "{host}"]
  gateways: [mesh, door]
  http:
  - match: [{{ headers: {{ turn: {{ exact: "{turn}" }} }} }}]
    route: [{{ destination: {{ host: web }} }}]
    headers: {{ response: {{ set: {{ x-turn: "{turn}" }} }} }}
  - route:
    - {{ destination: {{ host: web }}, weight: {weight} }}
    - {{ destination: {{ host: web, subset: odd }}, weight: {rest} }}
    retries: {{ attempts: 4, retryOn: "connect-failure,refused-stream,reset,gateway-error" }}
    timeout: 20s
"""


def write(path, text):
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(path + ".new", path)


class Pod:
    """An application and its sidecar, which die and come back together or one by one."""

    def __init__(self, mesh, name, ip):
        self.mesh, self.name, self.ip, self.app = mesh, name, ip, None
        self.start_app()
        self.proxy = mesh.proxy(name, ip, name.split("-")[0], "sidecar")

    def start_app(self):
        self.app = support.start(f"{self.name}-app", sys.executable, f"{HERE}/soak_app.py", self.ip, APP, self.name)
        self.app.may_end = True

    def wait(self):
        wait_until(f"{self.name}'s application", lambda: socket.create_connection((self.ip, APP), 1).close() or True)


class Mesh:
    def __init__(self, program):
        self.program, self.ca = program, make_ca("soak-ca")
        self.ips = {name: net.address() for name in (*PODS, "gateway", "client")}
        self.objects = SERVICE.format(name="web", port=IN) + SERVICE.format(name="store", port=IN)
        for name in PODS:
            version = "odd" if name in ("web-1", "web-3") else "even"
            self.objects += POD.format(pod=name, app=name.split("-")[0], version=version, ip=self.ips[name])
        self.objects += FIXED
        self.turn, self.proxies = 0, {}
        for account in ("web", "store", "gateway", "client"):
            mesh_cert(self.ca, f"{folder}/certs/{account}", account)
        self.pods = {name: Pod(self, name, self.ips[name]) for name in PODS}
        self.gateway = self.proxy("gateway", self.ips["gateway"], "gateway", "gateway")
        self.client = self.proxy("client", self.ips["client"], "client", "sidecar")
        for pod in self.pods.values():
            pod.wait()
        self.gateway.wait(DOOR)
        self.client.wait(OUT)

    def rules(self):
        return RULES.format(host=HOST, turn=self.turn, weight=100 - self.turn % 50, rest=self.turn % 50)

    def proxy(self, name, ip, account, role):
        fixed = type("Fixed", (), {"address": lambda self: ip})()
        labels = "istio=ingressgateway" if role == "gateway" else f"app={account}"
        p = Proxy(self.program, fixed, name, [self.objects], role=role, labels=labels, options=[
            f"--certs={folder}/certs/{account}", f"--service-account={account}", "--log-level=warn",
            f"--handover={folder}/{name}.sock", "--drain-timeout=5s", "--reload-interval=200ms", "--upstream-idle-timeout=5s"])
        p.child.may_end = True
        write(f"{p.config}/rules.yaml", self.rules())
        self.proxies[name] = p
        return p

    def change_rules(self):
        self.turn += 1
        for p in self.proxies.values():
            write(f"{p.config}/rules.yaml", self.rules())


def counter(p, name):
    text = http(f"http://{p.ip}:{PROM}/stats/prometheus")[1].decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def pid_of(p):
    """The newest process that serves for p."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if f"--config={p.config}".encode() not in f.read().split(b"\0"):
                    continue
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            if fields[0] != "Z":
                found.append((int(fields[19]), int(pid)))
        except OSError:
            continue
    return max(found)[1] if found else 0


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


class Caller(threading.Thread):
    """One kind of caller; every answer is checked."""
    made = []

    def __init__(self, kind, at, host):
        super().__init__(daemon=True)
        self.kind, self.at, self.host = kind, at, host
        self.asked, self.wrong, self.over, self.c = 0, [], threading.Event(), None
        self.dice = random.Random(len(Caller.made))
        Caller.made.append(self)

    def run(self):
        while not self.over.is_set():
            try:
                why = getattr(self, self.kind)()
            except (OSError, HTTPException, ValueError) as e:
                why = repr(e)
                self.c = None
            self.asked += 1
            if why:
                self.wrong.append(f"{time.strftime('%H:%M:%S')} {self.kind} via {self.at}: {why}")
                time.sleep(0.05)
        if self.c:
            self.c.close()

    def ask(self, method, path, body=None, keeps=True, size=None, **fields):
        if not self.c:
            self.c = HTTPConnection(*self.at, timeout=40)
        self.c.request(method, path, body=body, headers={"Host": self.host, **fields},
                       encode_chunked="Transfer-Encoding" in fields)
        r = self.c.getresponse()
        text = r.read()
        if r.will_close or not keeps:
            self.c.close()
            self.c = None
        if r.status != 200:
            return f"{r.status} {text[:300]!r}"
        if size is not None:
            return None if len(text) == size else f"{len(text)} bytes"
        whole = b"".join(body) if isinstance(body, list) else body or b""
        return None if text.endswith(hashlib.sha256(whole).hexdigest().encode()) else f"{text[:100]!r}"

    def keep(self):
        return self.ask("GET", "/x")

    def new(self):
        time.sleep(0.005)
        return self.ask("GET", "/x", keeps=False)

    def rest(self):
        time.sleep(self.dice.uniform(0, 0.6))
        return self.ask("GET", "/x")

    def put(self):
        time.sleep(0.01)
        return self.ask("PUT", "/x", body=b"p" * self.dice.randrange(1, 30000))

    def big(self):
        time.sleep(0.05)
        return self.ask("GET", "/big", size=1 << 20)

    def post(self):
        time.sleep(0.05)
        return self.ask("POST", "/x", body=os.urandom(self.dice.randrange(1, 1 << 20)))

    def chunked(self):
        time.sleep(0.05)
        return self.ask("POST", "/x", body=[os.urandom(20000) for _ in range(10)], **{"Transfer-Encoding": "chunked"})

    def tunnel(self):
        """A WebSocket's upgrade, then bytes both ways for a while."""
        with socket.create_connection(self.at, 40) as s:
            s.sendall(f"GET /echo HTTP/1.1\r\nHost: {self.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode())
            got = b""
            while b"\r\n\r\n" not in got:
                piece = s.recv(4096)
                if not piece:
                    return f"no upgrade: {got[:200]!r}"
                got += piece
            if not got.startswith(b"HTTP/1.1 101 "):
                return f"{got[:300]!r}"
            for _ in range(self.dice.randrange(1, 30)):
                sent = os.urandom(self.dice.randrange(1, 20000))
                s.sendall(sent)
                back = b""
                while len(back) < len(sent):
                    piece = s.recv(65536)
                    if not piece:
                        return f"cut after {len(back)} of {len(sent)} bytes"
                    back += piece
                if back != sent:
                    return "other bytes came back"
                time.sleep(0.05)
        return None


class Trouble(threading.Thread):
    """Something happens all the time; what it is follows from the time that has passed."""

    def __init__(self, mesh, seconds):
        super().__init__(daemon=True)
        self.mesh, self.seconds, self.over = mesh, seconds, threading.Event()
        self.done, self.failed = {}, None

    def note(self, what):
        self.done[what] = self.done.get(what, 0) + 1

    def kill_application(self, pod):
        pod.app.kill()
        pod.app.wait()
        time.sleep(0.7)
        pod.start_app()
        pod.wait()
        self.note("applications killed")

    def end_pod(self, pod):
        """As a rollout does: the sidecar drains, the application ends, both come back."""
        os.kill(pid_of(pod.proxy), signal.SIGTERM)
        pod.proxy.child.wait()
        pod.app.kill()
        pod.app.wait()
        time.sleep(0.3)
        pod.start_app()
        pod.wait()
        pod.proxy.child = support.start(pod.name, *pod.proxy.child.args)
        pod.proxy.child.may_end = True
        pod.proxy.wait(IN)
        self.note("pods ended and started")

    def kill_sidecar(self, pod):
        os.kill(pid_of(pod.proxy), signal.SIGKILL)
        pod.proxy.child.wait()
        time.sleep(0.3)
        pod.proxy.child = support.start(pod.name, *pod.proxy.child.args)
        pod.proxy.child.may_end = True
        pod.proxy.wait(IN)
        self.note("sidecars killed")

    def rotate(self, account):
        mesh_cert(self.mesh.ca, f"{folder}/certs/{account}", account, 2)
        self.note("certificates rotated")

    def follow(self, p):
        before = pid_of(p)
        child = support.start(p.name, *p.child.args)
        child.may_end = True
        p.child = child
        wait_until(f"{p.name}'s successor", lambda: pid_of(p) != before and counter(
            p, 'tulle_proxy_handovers_total{outcome="taken"') == 1)
        self.note("hand-overs")

    def change_every_second(self):
        while not self.over.wait(1):
            self.mesh.change_rules()
            self.note("changes of rules")

    def run(self):
        threading.Thread(target=self.change_every_second, daemon=True).start()
        pods = [self.mesh.pods[name] for name in PODS if name != "store"]
        began, turn, followed = time.monotonic(), 0, False
        try:
            while not self.over.wait(0.5):
                pod = pods[turn % 3]
                (self.kill_application, self.end_pod, self.kill_sidecar)[turn // 3 % 3](pod)
                self.rotate(("web", "gateway", "client", "store")[turn % 4])
                turn += 1
                if not followed and time.monotonic() - began > self.seconds / 2:
                    followed = True
                    for p in (self.mesh.gateway, self.mesh.client, self.mesh.pods["store"].proxy):
                        self.follow(p)
        except BaseException as e:  # a check that failed ends the thread with SystemExit
            self.failed = repr(e)
            raise


def callers(mesh):
    gateway, client = (mesh.gateway.ip, DOOR), (mesh.client.ip, OUT)
    for at, web, store in ((gateway, HOST, "big.example.com"), (client, "web", "store")):
        for kind in ("keep", "new", "rest", "rest", "put"):
            Caller(kind, at, web)
        for kind in ("big", "post", "chunked", "tunnel", "tunnel"):
            Caller(kind, at, store)
    return Caller.made


def state(mesh):
    """Resident KiB and descriptors of the proxies that live through it all."""
    found = {}
    for p in (mesh.gateway, mesh.client, mesh.pods["store"].proxy):
        pid = pid_of(p)
        found[p.name] = (rss_kib(pid), len(os.listdir(f"/proc/{pid}/fd")), pid)
    return found


def at_rest(mesh):
    for p in (mesh.gateway, mesh.client, mesh.pods["store"].proxy):
        wait_until(f"{p.name}'s callers to be gone",
                   lambda p=p: counter(p, "tulle_proxy_downstream_connections ") == 0, 60)


def report(what, now):
    print(f"  {what:<30}" + "  ".join(f"{name} {rss / 1024:.1f} MiB, {fds} descriptors"
                                      for name, (rss, fds, _) in now.items()), flush=True)


def seconds_of(text):
    found = re.fullmatch(r"(\d+)([smh]?)", text)
    seconds = int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]] if found else 0
    if seconds < 30:
        raise argparse.ArgumentTypeError(f"{text!r}: want 30s or more, as 90s, 10m, 2h")
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--for", dest="seconds", type=seconds_of, default="10m", help="90s, 10m, 2h; at least 30s")
    args = parser.parse_args()
    mesh = Mesh(args.program)
    for p, port, web, store in ((mesh.gateway, DOOR, HOST, "big.example.com"), (mesh.client, OUT, "web", "store")):
        for host in (web, store):  # rules, pods and certificates are all there
            wait_until(f"{host} by {p.name}", lambda p=p, port=port, host=host: p.ask(host, port=port)[0] == 200)
    everybody = callers(mesh)
    for c in everybody:
        c.start()
    trouble = Trouble(mesh, args.seconds)
    trouble.start()
    began = time.monotonic()
    warm = None
    while time.monotonic() - began < args.seconds:
        time.sleep(min(5, args.seconds / 10))
        elapsed = time.monotonic() - began
        wrong = sum(len(c.wrong) for c in everybody)
        if warm is None and trouble.done.get("hand-overs", 0) == 3 and elapsed > args.seconds * 0.7:
            warm = state(mesh)
            report("warm", warm)
        if args.seconds >= 60 and int(elapsed) % 30 < 5:
            report(f"{elapsed:.0f} s, {sum(c.asked for c in everybody)} asked, {wrong} failed", state(mesh))
        check(trouble.failed is None, f"trouble: {trouble.failed}")
    trouble.over.set()
    trouble.join(60)
    for c in everybody:
        c.over.set()
    for c in everybody:
        c.join(60)
        check(not c.is_alive(), f"{c.kind} via {c.at} hangs")
    finish(mesh, everybody, trouble, warm)


def finish(mesh, everybody, trouble, warm):
    asked, wrong = sum(c.asked for c in everybody), [w for c in everybody for w in c.wrong]
    print("  " + ", ".join(f"{n} {what}" for what, n in sorted(trouble.done.items())))
    by_kind = {}
    for c in everybody:
        by_kind[c.kind] = by_kind.get(c.kind, 0) + c.asked
    print(f"  {asked} requests: " + ", ".join(f"{n} {kind}" for kind, n in by_kind.items()))
    check(not wrong, f"{len(wrong)} of {asked} failed:\n" + "\n".join(sorted(wrong)[:20]))
    check(warm is not None, "the time was too short for three hand-overs and a look after them")
    for what in ("applications killed", "certificates rotated", "changes of rules", "hand-overs"):
        check(trouble.done.get(what), f"no {what}")
    for c in everybody:
        check(c.asked > 5, f"{c.kind} via {c.at} asked {c.asked} times")
    at_rest(mesh)
    end = state(mesh)
    report("at rest in the end", end)
    for name, (rss, fds, pid) in end.items():
        check(pid == warm[name][2], f"{name} is another process than before")
        check(rss - warm[name][0] <= GROWTH_KIB, f"{name} grew from {warm[name][0]} to {rss} KiB")
        check(fds <= warm[name][1], f"{name}: {warm[name][1]} descriptors under load, {fds} at rest")
    idle = {name: fds for name, (_, fds, _) in end.items()}
    time.sleep(1)
    for name, (_, fds, _) in state(mesh).items():
        check(fds <= idle[name], f"{name}: descriptors grow at rest")
    print("  no request failed")


main()
