"""Beginning and end of a sidecar: waiting for it, the application's probes, its end with the application.
Usage: test_lifecycle.py TULLE_PROXY"""
from http.client import HTTPConnection
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

try:
    import grpc
    import grpc_app
except ImportError:  # python3-grpcio
    grpc = None

import support
from gateway_support import APP, IN, OUT, READY, Net, Proxy, make_ca, make_cert, run
from h2_raw import END_STREAM, GOAWAY, H2
from support import check, fail, folder, http, wait_until

PROXY = sys.argv[1]
net = Net("127.1.85")
STATUS, PLAIN, TLS, RAW, GRPC, BARE = range(21720, 21726)

NGINX = """daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log off; client_body_temp_path {folder}/t; proxy_temp_path {folder}/t; fastcgi_temp_path {folder}/t;
    uwsgi_temp_path {folder}/t; scgi_temp_path {folder}/t;
    server {{
        listen {ip}:{plain};
        listen {ip}:{tls} ssl;
        ssl_certificate {folder}/app/tls.crt; ssl_certificate_key {folder}/app/tls.key;
        location / {{ return 200 "as asked\\n"; }}
        location /only {{ if ($http_x_probe != "yes please") {{ return 403; }} return 204; }}
        location /host {{ if ($host != "probe.test") {{ return 403; }} return 200; }}
        location /moved {{ return 302 /; }}
        location /sick {{ return 500; }}
        location /query {{ if ($arg_deep != "1") {{ return 403; }} return 200; }}
    }}
}}
"""


def start_app(ip):
    make_cert(make_ca("app-ca"), f"{folder}/app", "somebody.else.test")
    with open(f"{folder}/nginx.conf", "w", encoding="ascii") as f:
        f.write(NGINX.format(folder=folder, ip=ip, plain=PLAIN, tls=TLS))
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    support.start("nginx", nginx, "-c", f"{folder}/nginx.conf", "-e", f"{folder}/nginx.log")
    for port in (PLAIN, TLS):
        wait_until("nginx", lambda port=port: socket.create_connection((ip, port), 1).close() or True)


def get(port, path, **more):
    return {"httpGet": {"path": path, "port": port, **more}}


def test_probes():
    ip = net.address()
    start_app(ip)
    silent = socket.create_server((ip, RAW), backlog=8)  # connects, and never says a word
    probes = {
        "/app-health/web/readyz": get(PLAIN, "/"),
        "/app-health/web/livez": get(PLAIN, "only", httpHeaders=[{"name": "X-Probe", "value": "yes please"}]),
        "/app-health/web/startupz": get(TLS, "/query?deep=1", scheme="HTTPS"),
        "/app-health/named/readyz": get(str(PLAIN), "/host", host="ignored", httpHeaders=[
            {"name": "Host", "value": "probe.test"}]),
        "/app-health/moved/readyz": get(PLAIN, "/moved"),
        "/app-health/denied/readyz": get(PLAIN, "/only"),
        "/app-health/sick/readyz": get(TLS, "/sick", scheme="HTTPS"),
        "/app-health/tcp/livez": {"tcpSocket": {"port": RAW}, "timeoutSeconds": 2},
        "/app-health/silent/livez": get(RAW, "/"),
        "/app-health/closed/livez": {"tcpSocket": {"port": RAW + 20}},
        "/app-health/mixed/livez": get(TLS, "/"),  # plaintext to a TLS port
        "/app-health/half/livez": get(PLAIN, "/", scheme="HTTPS"),  # and the other way round
    }
    fixed = type("Fixed", (), {"address": lambda self: ip})()
    p = Proxy(PROXY, fixed, "probed", [net.service("x")], role="sidecar", labels="app=x", options=[
        f"--status-port={STATUS}", f"--app-probers={json.dumps(probes)}"]).wait(STATUS)
    want = {"web/readyz": 200, "web/livez": 200, "web/startupz": 200, "named/readyz": 200, "moved/readyz": 200,
            "denied/readyz": 403, "sick/readyz": 500, "tcp/livez": 200, "silent/livez": 503, "closed/livez": 503,
            "mixed/livez": 400, "half/livez": 503, "web/other": 404}
    base = f"http://{ip}:{STATUS}"
    for _ in range(3):
        for path, status in want.items():
            got, text = http(f"{base}/app-health/{path}")
            check(got == status, f"{path}: {got} {text}, want {status}")
    kept = HTTPConnection(ip, STATUS, timeout=10)
    for path in ("web/readyz", "sick/readyz", "tcp/livez", "silent/livez", "web/readyz"):
        kept.request("GET", f"/app-health/{path}")
        r = kept.getresponse()
        check(r.status == want[path] and r.read() and not r.will_close, f"kept: {path} {r.status}")
    with socket.create_connection((ip, STATUS)) as s:  # two at once, and the caller may leave
        s.sendall(b"GET /app-health/web/readyz HTTP/1.1\r\nHost: x\r\n\r\n"
                  b"HEAD /app-health/sick/readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        whole = b""
        while piece := s.recv(4096):
            whole += piece
        check(whole.count(b"HTTP/1.1 ") == 2 and b" 200 OK" in whole and b" 500 " in whole, whole)
    for _ in range(50):
        with socket.create_connection((ip, STATUS)) as s:
            s.sendall(b"GET /app-health/silent/livez HTTP/1.1\r\nHost: x\r\n\r\n")
    check(http(f"{base}/app-health/web/readyz", method="POST")[0] == 405, "POST")
    check(http(f"{base}/healthz/ready")[0] == 200, "ready")
    p.stop()  # with probes under way
    silent.close()


class Health:
    """grpc.health.v1.Health, by name of the service."""

    def __init__(self):
        self.asked = []

    def check(self, request, context):
        self.asked.append((request, dict(context.invocation_metadata())))
        service = request[2:].decode()
        if service == "nobody":
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        if service == "slow":
            time.sleep(1.5)
        return {"sick": b"\x08\2", "long": b"\x08\1" + b"\x10\1" * 2000}.get(service, b"\x08\1")


def test_probes_by_grpc():
    if not grpc:
        print("      skipped: python3-grpcio is missing")
        return
    ip, health = net.address(), Health()
    server, _ = grpc_app.serve(f"{ip}:{GRPC}", {"grpc.health.v1.Health": {
        "Check": grpc.unary_unary_rpc_method_handler(health.check)}})
    bare, _ = grpc_app.serve(f"{ip}:{BARE}")
    silent = socket.create_server((ip, RAW), backlog=8)
    names = {"whole": "", "shop": "shop.v1", "sick": "sick", "nobody": "nobody", "slow": "slow", "long": "long"}
    probes = {f"/app-health/{n}/livez": {"grpc": {"port": GRPC, "service": s}} for n, s in names.items()}
    probes["/app-health/plain/livez"] = {"grpc": {"port": GRPC}}
    probes["/app-health/patient/livez"] = {"grpc": {"port": GRPC, "service": "slow"}}
    probes["/app-health/bare/livez"] = {"grpc": {"port": BARE}}
    probes["/app-health/silent/livez"] = {"grpc": {"port": RAW}}
    probes["/app-health/closed/livez"] = {"grpc": {"port": RAW + 20}}
    probes["/app-health/http/livez"] = {"grpc": {"port": READY}}
    for path, probe in probes.items():
        if path not in ("/app-health/slow/livez", "/app-health/silent/livez"):  # those two wait for the default of 1 s
            probe["timeoutSeconds"] = 10
    fixed = type("Fixed", (), {"address": lambda self: ip})()
    p = Proxy(PROXY, fixed, "asked", [net.service("g")], role="sidecar", labels="app=g", options=[
        f"--status-port={STATUS}", f"--app-probers={json.dumps(probes)}"]).wait(STATUS)
    want = {"whole": (200, "SERVING"), "plain": (200, "SERVING"), "shop": (200, "SERVING"), "sick": (503, "NOT_SERVING"),
            "nobody": (503, "not known): unknown service"), "slow": (503, "within the probe's timeout"),
            "patient": (200, "SERVING"), "long": (503, "too long"), "bare": (503, "Health/Check is not served"),
            "silent": (503, "within the probe's timeout"), "closed": (503, "refused"),
            "http": (503, "")}  # a server of HTTP/1: whatever it says to a preface
    for _ in range(2):
        for name, (status, why) in want.items():
            got, text = http(f"http://{ip}:{STATUS}/app-health/{name}/livez")
            check(got == status and why in text.decode(), f"{name}: {got} {text}, want {status} {why}")
    message, fields = next(a for a in health.asked if b"shop" in a[0])
    check(message == b"\x0a\7shop.v1" and "kube-probe/" in fields["user-agent"], f"{message} {fields}")
    check(next(a for a in health.asked)[0] == b"", "the server as a whole")
    for _ in range(30):  # callers that leave
        with socket.create_connection((ip, STATUS)) as s:
            s.sendall(b"GET /app-health/slow/livez HTTP/1.1\r\nHost: x\r\n\r\n")
    check(http(f"http://{ip}:{STATUS}/app-health/whole/livez")[0] == 200, "others are served")
    p.stop()  # with probes under way
    server.stop(0)
    bare.stop(0)
    silent.close()


def test_probers_that_make_no_sense():
    def told(text):
        r = subprocess.run([PROXY, "--app-probers", text, "--status-port=1"], capture_output=True, text=True,
                           timeout=20, check=False)
        check(r.returncode == 2, f"{text}: {r.returncode} {r.stderr}")
        return r.stderr
    check("at byte" in told("{"), "cut off")
    check("begins with /app-health/" in told('{"/x":{}}'), "path")
    check("one of httpGet, tcpSocket and grpc" in told('{"/app-health/a/livez":{}}'), "nothing to ask")
    check("at byte 44" in told('{"/app-health/a/livez":{"tcpSocket":{"port":"http"}}}'), "a port's name")
    check("exec cannot be asked" in told('{"/app-health/a/livez":{"exec":{"command":["x"]}}}'), "exec")
    check("control characters" in told('{"/app-health/a/livez":{"httpGet":{"port":1,"path":"/ HTTP/1.1\\r\\nX: y"}}}'), "path")
    check("header's name" in told('{"/app-health/a/livez":{"httpGet":{"port":1,"httpHeaders":[{"name":"a","value":"b\\r\\nc"}]}}}'), "header")


def test_waiting():
    ip = net.address()
    wait = [PROXY, "wait", f"--listen={ip}", f"--readiness-port={READY}"]
    r = subprocess.run([*wait, "--timeout=300ms"], capture_output=True, text=True, timeout=20, check=False)
    check(r.returncode == 1 and f"{ip}:{READY} is not ready: Connection refused" in r.stderr, r)
    waiting = support.start("wait", *wait, "--timeout=20s")
    waiting.may_end = True
    time.sleep(0.3)
    check(waiting.poll() is None, "it waits")
    fixed = type("Fixed", (), {"address": lambda self: ip})()
    p = Proxy(PROXY, fixed, "awaited", [net.service("y")], role="sidecar", labels="app=y",
              options=["--drain-timeout=4s"])
    check(waiting.wait(20) == 0, "ready")
    held = p.connect(OUT)
    held.request("GET", "/hold", headers={"Host": "y"})
    wait_until("the held request", lambda: net.servers["y-v1"].seen)
    p.child.may_end = True
    p.child.send_signal(signal.SIGTERM)
    wait_until("draining", lambda: http(f"http://{ip}:{READY}/healthz/ready")[0] == 503)
    r = subprocess.run([*wait, "--timeout=300ms"], capture_output=True, text=True, timeout=20, check=False)
    check(r.returncode == 1 and "it answers 503" in r.stderr, r)
    net.servers["y-v1"].held.set()
    check(held.getresponse().status == 200, "the held request")
    check(p.child.wait(20) == 0, p.child.returncode)
    r = subprocess.run([PROXY, "wait", "--timeout=soon"], capture_output=True, text=True, timeout=20, check=False)
    check(r.returncode == 2, r)


def test_quit():
    p = Proxy(PROXY, net, "quits", [net.service("z")], role="sidecar", labels="app=z",
              options=[f"--status-port={STATUS}"]).wait(STATUS)
    p.child.may_end = True
    base = f"http://{p.ip}:{STATUS}"
    check(http(f"{base}/quitquitquit")[0] == 405, "only POST")
    check(http(f"{base}/quitquitquit", body=b"")[0] == 200, "POST")
    check(p.child.wait(20) == 0, p.child.returncode)
    check("why=quitquitquit" in p.log(), p.log())


def test_end_with_the_application():
    """A Pod with one process namespace: a first process, a job, and the sidecar."""
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.getuid() != 0:
        unshare.insert(1, "--map-root-user")
    tried = subprocess.run([*unshare, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        print(f"      skipped: no process namespace of our own: {tried.stderr.strip()}")
        return
    ip = net.address()
    argv = [PROXY, "--exit-with-app", f"--listen={ip}", f"--outbound-port={OUT}", f"--inbound-port={IN}",
            "--admin-port=0", f"--readiness-port={READY}", "--prometheus-port=0", "--access-log=none"]
    began = time.monotonic()
    pod = support.start("job", *unshare, "sh", "-c", '"$@" & p=$!; sh -c "sleep 1; sleep 1"; date; wait $p; exit $?',
                        "sh", *argv)
    pod.may_end = True
    check(pod.wait(20) == 0, f"status {pod.returncode}")
    with open(support.log_of("job"), encoding="utf-8") as f:
        log = f.read()
    check('why="the application has ended"' in log and log.index("UTC") < log.index("has ended"), log)
    check(time.monotonic() - began > 2, "not before the job")
    alone = support.start("alone", *unshare, "sh", "-c", '"$@" & wait $!', "sh", *argv)
    wait_until("it to run", lambda: http(f"http://{ip}:{READY}/healthz/ready")[0] == 200)
    time.sleep(2)
    check(alone.poll() is None, "a sidecar that never saw anybody stays")
    alone.may_end = True
    alone.kill()
    alone.wait()


def test_the_application_may_call_until_it_is_gone():
    ip = net.address()
    app = support.start("app", sys.executable, f"{os.path.dirname(__file__)}/proxy_app.py", ip, APP)
    app.may_end = True
    fixed = type("Fixed", (), {"address": lambda self: ip})()
    p = Proxy(PROXY, fixed, "serving", [net.service("w")], role="sidecar", labels="app=own",
              options=["--drain-timeout=60s", "--drain-waits-for-app"]).wait(IN)
    wait_until("the application", lambda: socket.create_connection((ip, APP), 1).close() or True)
    c = H2(ip, OUT)
    check(c.outcome(c.get("/x", "w"))[:2] == ("answer", 200), "HTTP/2")
    p.child.may_end = True
    p.child.send_signal(signal.SIGTERM)
    time.sleep(1.5)
    check(p.who("w", port=OUT) == "w-v1", "a way out while the application is there")
    last = [c.get("/x", "w") for _ in range(5)][-1]
    seen = []
    for kind, flags, of, _ in c.frames():
        seen.append(kind)
        if of == last and flags & END_STREAM:
            break
    check(GOAWAY not in seen, "HTTP/2 stays on its connection")
    support.stop(app)
    began = time.monotonic()
    check(GOAWAY in [f[0] for f in c.frames()], "until the end")
    check(p.child.wait(20) == 0, p.child.returncode)
    print(f"      ended {time.monotonic() - began:.1f} s after the application")


def test_callers_are_told():
    """A kept connection at SIGTERM: one more answer, and that it was the last."""
    ip = net.address()
    fixed = type("Fixed", (), {"address": lambda self: ip})()
    server = net.service("inner")
    app = net.servers["inner-v1"].server_address
    p = Proxy(PROXY, fixed, "telling", [server], role="sidecar", labels="app=own",
              options=[f"--app={app[0]}:{app[1]}", "--drain-timeout=20s"]).wait(IN)
    kept, idle = p.connect(IN), p.connect(IN)
    for c in (kept, idle):
        c.request("GET", "/x", headers={"Host": "own"})
        r = c.getresponse()
        check(r.status == 200 and r.read() and not r.will_close, r.status)
    p.child.may_end = True
    p.child.send_signal(signal.SIGTERM)
    wait_until("draining", lambda: http(f"http://{ip}:{READY}/healthz/ready")[0] == 503)
    kept.request("GET", "/x", headers={"Host": "own"})
    r = kept.getresponse()
    check(r.status == 200 and r.read() and r.getheader("connection") == "close", r.headers)
    check(idle.sock.recv(1) == b"", "the other one is closed when it rests on")
    check(p.child.wait(10) == 0, p.child.returncode)


if not shutil.which("nginx") and not os.path.exists("/usr/sbin/nginx"):
    fail("nginx is needed: package nginx-light")
run(globals(), sys.argv[2:])
