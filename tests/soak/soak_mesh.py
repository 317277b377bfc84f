"""soak_mesh.py - the mesh of the soak: pods, their objects, a gateway and a client, and what their processes need.

                    +-> web-1, web-2, web-3   HTTP: two of three always live
  gateway, client --+-> rpc-1, rpc-2          gRPC: one of two
                    +-> raw-1, raw-2          TCP: one of two
                    +-> store, ledger, queue  HTTP, gRPC, TCP: never die
"""
import os
import re
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import objects
import support
from certificates import make_ca, make_cert, mesh_cert
from gateway_support import APP, DOOR, HTTPS, IN, OUT, Net, Proxy
from support import folder, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
net = Net("127.1.88")
# name: (Service, what its port is called, what the application speaks)
PODS = {"web-1": ("web", "http"), "web-2": ("web", "http"), "web-3": ("web", "http"), "store": ("store", "http"),
        "rpc-1": ("rpc", "grpc"), "rpc-2": ("rpc", "grpc"), "ledger": ("ledger", "grpc"),
        "raw-1": ("raw", "tcp"), "raw-2": ("raw", "tcp"), "queue": ("queue", "tcp")}
MORTAL = ("web", "rpc", "raw")
STEADY = ("store", "ledger", "queue")
TCP_PORTS = {"raw": 21720, "queue": 21721}  # at the gateway and at the client
ACCOUNTS = (*MORTAL, *STEADY, "gateway", "client")
SHOP, DOMAIN = "shop.example.com", "example.com"  # of web; the others are NAME.example.com

# Of two one may be ejected and well again while the other dies: docs/adr/0035.
EJECTION = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: {name}, namespace: default }}
spec:
  host: {name}
  trafficPolicy: {{ outlierDetection: {{ consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 1s, maxEjectionPercent: 50 }} }}
  subsets:
  - {{ name: odd, labels: {{ version: odd }} }}
  - {{ name: even, labels: {{ version: even }} }}
---
"""
ROUTE = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: {name}, namespace: default }}
spec:
  hosts: [{name}, "{name}.{domain}"]
  gateways: [mesh, door]
  http:
  - route: [{{ destination: {{ host: {name} }} }}]
    retries: {{ attempts: 4, retryOn: "connect-failure,refused-stream,reset,gateway-error,unavailable" }}
---
"""
TCP_ROUTE = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: {name}, namespace: default }}
spec:
  hosts: ["*"]
  gateways: [door]
  tcp: [{{ match: [{{ port: {port} }}], route: [{{ destination: {{ host: {name}, port: {{ number: 80 }} }} }}] }}]
---
"""
FIXED = """apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{ name: default, namespace: default }}
spec: {{ mtls: {{ mode: STRICT }} }}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: door, namespace: default }}
spec:
  selector: {{ istio: ingressgateway }}
  servers:
  - {{ port: {{ number: {door}, name: http, protocol: HTTP }}, hosts: ["*"] }}
  - {{ port: {{ number: {https}, name: https, protocol: HTTPS }}, hosts: ["*"], tls: {{ mode: SIMPLE, credentialName: door }} }}
  - {{ port: {{ number: {raw}, name: tcp-raw, protocol: TCP }}, hosts: ["*"] }}
  - {{ port: {{ number: {queue}, name: tcp-queue, protocol: TCP }}, hosts: ["*"] }}
---
"""
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

    def __init__(self, mesh, name):
        self.mesh, self.name, self.ip, self.app = mesh, name, mesh.ips[name], None
        self.service, self.kind = PODS[name]
        self.start_app()
        self.proxy = mesh.proxy(name, self.service, "sidecar")

    def start_app(self):
        self.app = support.start(f"{self.name}-app", sys.executable, f"{HERE}/soak_app.py", self.ip, APP, self.name,
                                 self.kind)
        self.app.may_end = True

    def wait(self):
        wait_until(f"{self.name}'s application", lambda: socket.create_connection((self.ip, APP), 1).close() or True)


class Death:
    """A pod is being killed: what it does may be cut now, and what reaches it before `end`."""

    def __init__(self):
        self.start, self.end = now(), float("inf")


class Mesh:
    def __init__(self, program, collector):
        self.program, self.collector, self.ca = program, collector, make_ca("soak-ca")
        self.ips = {name: net.address() for name in (*PODS, "gateway", "client")}
        self.turn, self.proxies = 0, {}
        self.certs = threading.Lock()  # whoever starts reads whole sets; who runs may meet half of one
        self.deaths = {service: [] for service in (*MORTAL, *STEADY)}
        for account in ACCOUNTS:
            mesh_cert(self.ca, f"{folder}/certs/{account}", account)
        self.rotate_door()
        self.objects = self.make_objects()
        self.pods = {name: Pod(self, name) for name in PODS}
        self.gateway = self.proxy("gateway", "gateway", "gateway", f"--secrets={folder}/secrets")
        listens = ",".join(f"{port}={name}:80" for name, port in TCP_PORTS.items())
        self.client = self.proxy("client", "client", "sidecar", f"--tcp-listen={listens}")
        for pod in self.pods.values():
            pod.wait()
        self.gateway.wait(DOOR).wait(HTTPS)
        self.client.wait(OUT)

    def start_again(self, p):
        p.child = support.start(p.name, *p.child.args)
        p.child.may_end = True

    def make_objects(self):
        text = FIXED.format(door=DOOR, https=HTTPS, **TCP_PORTS)
        for name, kind in sorted(set(PODS.values())):
            text += objects.service(name, IN, port_name=kind)
            if name in MORTAL:
                text += EJECTION.format(name=name)
            if kind == "tcp":
                text += TCP_ROUTE.format(name=name, port=TCP_PORTS[name])
            elif name != "web":
                text += ROUTE.format(name=name, domain=DOMAIN)
        for name, (app, _) in PODS.items():
            version = "odd" if name[-1] in "13" else "even"
            text += objects.pod(name, self.ips[name], app, version, has_sidecar=True)
        return text

    def rules(self):
        return RULES.format(host=SHOP, turn=self.turn, weight=100 - self.turn % 50, rest=self.turn % 50)

    def proxy(self, name, account, role, *more):
        fixed = type("Fixed", (), {"address": lambda _: self.ips[name]})()
        labels = "istio=ingressgateway" if role == "gateway" else f"app={account}"
        p = Proxy(self.program, fixed, name, [self.objects], role=role, labels=labels, options=[
            f"--certs={folder}/certs/{account}", f"--service-account={account}", "--log-level=warn",
            f"--handover={folder}/{name}.sock", "--drain-timeout=5s", "--reload-interval=200ms",
            "--upstream-idle-timeout=5s", f"--collector={self.collector.otlp}", "--trace-sampling=1", *more])
        p.child.may_end = True
        write(f"{p.config}/rules.yaml", self.rules())
        self.proxies[name] = p
        return p

    def change_rules(self):
        self.turn += 1
        for p in self.proxies.values():
            write(f"{p.config}/rules.yaml", self.rules())

    def rotate(self, account):
        with self.certs:
            mesh_cert(self.ca, f"{folder}/certs/{account}", account, 2)

    def rotate_door(self):
        with self.certs:
            make_cert(self.ca, f"{folder}/secrets/default/door", SHOP, f"*.{DOMAIN}")

    def long_lived(self):
        """The proxies that live through it all."""
        return [self.gateway, self.client] + [self.pods[name].proxy for name in STEADY]

    def had_death(self, service, began, ended):
        """Was a pod of the Service being killed while that went on?"""
        return any(death.start <= ended and began <= death.end for death in list(self.deaths[service]))

    def begin_death(self, service):
        death = Death()
        self.deaths[service].append(death)
        return death

    def state(self):
        """Resident KiB, descriptors and process of what lives through it all."""
        found = {}
        for p in self.long_lived():
            found[p.name] = state_of(pid_of(p))
        found["collector"] = state_of(self.collector.child.pid)
        return found


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


def state_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]), len(os.listdir(f"/proc/{pid}/fd")), pid


def now():
    return time.monotonic()
