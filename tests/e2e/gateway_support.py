"""gateway_support.py - gateways and sidecars in front of services that tell what reached them."""
import http.client
import http.server
import json
import os
import re
import shutil
import socket
import threading
import time

import support
from certificates import client_tls, make_ca, make_cert, make_spiffe, mesh_cert, openssl, revoke  # for tests
from support import check, fail, folder

APP, HTTP, HTTPS, DOOR, OUT, IN, ADMIN, READY, PROM = range(21700, 21709)

SERVICE = """apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: default }}
spec: {{ selector: {{ app: {name} }}, ports: [{{ name: http, port: {port}, targetPort: {target} }}] }}
---
"""
POD = """apiVersion: v1
kind: Pod
metadata: {{ name: {name}-{version}, namespace: default, labels: {{ app: {name}, version: {version} }} }}
spec: {{ serviceAccountName: {name} }}
status: {{ phase: Running, podIP: {ip} }}
---
"""


class App(http.server.BaseHTTPRequestHandler):
    """Tells its name and everything it got; /status/N answers N, /slow/S waits."""
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def body(self):
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def do_GET(self):
        body = self.body()
        told = {"who": self.server.who, "path": self.path, "method": self.command,
                "headers": {k.lower(): v for k, v in self.headers.items()}, "body": len(body)}
        self.server.seen.append(told)
        asked = re.match(r"/status/(\d+)", self.path)
        if self.path.startswith("/hold"):
            self.server.held.wait(30)
        text = json.dumps(told).encode()
        self.send_response(int(asked[1]) if asked else 200)
        self.send_header("content-length", str(len(text)))
        self.send_header("content-type", "application/json")
        self.send_header("x-powered-by", "python")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_POST = do_PUT = do_HEAD = do_DELETE = do_OPTIONS = do_GET


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, ip, who):
        super().__init__((ip, APP), App)
        self.handle_error = lambda *_: None  # a caller that leaves is part of the tests
        self.who, self.seen, self.held = who, [], threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Net:
    """Addresses below a net, and the objects of what runs there."""

    def __init__(self, net):
        self.net, self.next, self.servers = net, 1, {}

    def address(self):
        self.next += 1
        return f"{self.net}.{self.next - 1}"

    def serve(self, ip, who):
        self.servers[who] = Server(ip, who)

    def service(self, name, port=80, versions=("v1",), target=APP):
        """The objects of a Service whose pods really listen."""
        text = SERVICE.format(name=name, port=port, target=target)
        for version in versions:
            ip = self.address()
            self.serve(ip, f"{name}-{version}")
            text += POD.format(name=name, version=version, ip=ip)
        return text


class Proxy:
    def __init__(self, program, net, name, texts, role="gateway", labels="istio=ingressgateway",
                 options=()):
        self.name, self.ip = name, net.address()
        self.config = f"{folder}/{name}"
        os.makedirs(self.config)
        for i, text in enumerate(texts):
            if os.path.exists(text):
                shutil.copy(text, self.config)
            else:
                with open(f"{self.config}/{i:02}-objects.yaml", "w", encoding="utf-8") as f:
                    f.write(text)
        self.child = support.start(
            name, program, f"--role={role}", f"--config={self.config}", f"--workload={name}",
            f"--listen={self.ip}", f"--labels={labels}", f"--ingress-http-port={HTTP}",
            f"--ingress-https-port={HTTPS}", f"--outbound-port={OUT}", f"--inbound-port={IN}",
            f"--admin-port={ADMIN}", f"--readiness-port={READY}", f"--prometheus-port={PROM}",
            f"--access-log={folder}/{name}.access", f"--app={self.ip}:{APP}", "--log-level=info",
            *options)
        self.wait(READY)

    def wait(self, port):
        for _ in range(400):
            try:
                socket.create_connection((self.ip, port), 1).close()
                return self
            except OSError:
                check(self.child.poll() is None, f"{self.name} ended")
                time.sleep(0.05)
        return fail(f"{self.name}: port {port} never opened")

    def connect(self, port=HTTP, tls=None, sni=None):
        """tls: an SSLContext."""
        c = http.client.HTTPConnection(self.ip, port, timeout=30)
        c.sock = socket.create_connection((self.ip, port), 30)
        if tls:
            c.sock = tls.wrap_socket(c.sock, server_hostname=sni)
        return c

    def ask(self, host, path="/", method="GET", body=None, port=HTTP, tls=None, sni=None,
            connection=None, **headers):
        """(status, what the service told or the body, response)"""
        c = connection or self.connect(port, tls, sni or host)
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        c.request(method, path, body=body, headers={"Host": host, **named})
        r = c.getresponse()
        text = r.read()
        is_told = r.getheader("content-type") == "application/json" and text
        return r.status, json.loads(text) if is_told else text, r

    def who(self, host, path="/", **more):
        """Which service answered, or the status."""
        status, told, _ = self.ask(host, path, **more)
        return told["who"] if status == 200 and isinstance(told, dict) else status

    def counter(self, name):
        """The sum of all samples that begin so."""
        text = support.http(f"http://{self.ip}:{PROM}/stats/prometheus")[1].decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))

    def log(self):
        with open(support.log_of(self.name), encoding="utf-8") as f:
            return f.read()

    def access(self, **want):
        """The line of the access log that has these fields."""
        for _ in range(200):
            with open(f"{folder}/{self.name}.access", encoding="utf-8") as f:
                for line in f:
                    told = json.loads(line) if line.endswith("\n") else {}
                    if all(told.get(k) == v for k, v in want.items()):
                        return told
            time.sleep(0.05)
        return fail(f"{self.name}.access has no line with {want}")

    def stop(self):
        self.child.may_end = True
        check(support.stop(self.child) == 0, f"{self.name}: exit status {self.child.returncode}")


def is_share(count, total, share):
    """Within 6 standard deviations: chance alone misses it once in a billion runs."""
    return abs(count - total * share) <= 6 * (total * share * (1 - share)) ** 0.5


def run(cases, wanted):
    for name, test in list(cases.items()):
        if name.startswith("test_") and (not wanted or name in wanted):
            print("case:", name, flush=True)
            began = time.time()
            test()
            print(f"      {time.time() - began:.1f} s", flush=True)
