"""gRPC (Debian's grpcio on both ends): application, sidecar, mutual TLS, sidecar, application; and HTTP/2 upstream.
Usage: test_grpc.py TULLE_PROXY TULLE_COLLECTOR [CASE...]. Exit status 77 (skipped) without grpcio."""
import os
import subprocess
import sys
import threading
import time

try:
    import grpc
except ImportError:
    print("python3-grpcio is missing")
    sys.exit(77)

import grpc_app
import support
from gateway_support import ADMIN, APP, DOOR, IN, OUT, PROM, Net, Proxy, make_ca, mesh_cert, run
from support import check, folder, get_json, http, wait_until

PROXY = sys.argv[1]
net = Net("127.1.62")
CLIENT, SHOP, NGINX, GATEWAY, H2PORT = f"{net.net}.1", f"{net.net}.2", f"{net.net}.3", f"{net.net}.4", 21790

OBJECTS = """apiVersion: v1
kind: Service
metadata: {{ name: shop, namespace: default }}
spec: {{ selector: {{ app: shop }}, ports: [{{ name: grpc, port: 80, targetPort: {inbound} }}] }}
---
apiVersion: v1
kind: Service
metadata: {{ name: pages, namespace: default }}
spec: {{ selector: {{ app: pages }}, ports: [{{ name: web, appProtocol: kubernetes.io/h2c, port: 80, targetPort: {h2} }}] }}
---
apiVersion: v1
kind: Service
metadata: {{ name: upgraded, namespace: default }}
spec: {{ selector: {{ app: pages }}, ports: [{{ name: http, port: 80, targetPort: {h2} }}] }}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: upgraded, namespace: default }}
spec: {{ host: upgraded, trafficPolicy: {{ connectionPool: {{ http: {{ h2UpgradePolicy: UPGRADE, maxRequestsPerConnection: 5 }} }} }} }}
---
apiVersion: v1
kind: Pod
metadata: {{ name: shop-1, namespace: default, labels: {{ app: shop, version: v1, security.istio.io/tlsMode: istio }} }}
spec: {{ serviceAccountName: shop }}
status: {{ phase: Running, podIP: {shop} }}
---
apiVersion: v1
kind: Pod
metadata: {{ name: client-1, namespace: default, labels: {{ app: client, version: v1, security.istio.io/tlsMode: istio }} }}
spec: {{ serviceAccountName: client }}
status: {{ phase: Running, podIP: {client} }}
---
apiVersion: v1
kind: Pod
metadata: {{ name: pages-1, namespace: default, labels: {{ app: pages, version: v1 }} }}
spec: {{ serviceAccountName: pages }}
status: {{ phase: Running, podIP: {nginx} }}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: shop, namespace: default }}
spec:
  hosts: [shop]
  http:
  - match: [{{ headers: {{ x-fault: {{ exact: "yes" }} }} }}]
    fault: {{ abort: {{ percentage: {{ value: 100 }}, grpcStatus: "8" }} }}
    route: [{{ destination: {{ host: shop }} }}]
  - match: [{{ headers: {{ x-nowhere: {{ exact: "yes" }} }} }}]
    route: [{{ destination: {{ host: shop, subset: none }} }}]
  - match: [{{ headers: {{ x-timed: {{ exact: "yes" }} }} }}]
    timeout: 0.5s
    route: [{{ destination: {{ host: shop }} }}]
  - route: [{{ destination: {{ host: shop }} }}]
    retries: {{ attempts: 2, retryOn: "unavailable,refused-stream,connect-failure" }}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: shop, namespace: default }}
spec:
  selector: {{ matchLabels: {{ app: shop }} }}
  action: DENY
  rules: [{{ to: [{{ operation: {{ paths: ["/shop.Shop/Forbidden"] }} }}] }}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: door, namespace: default }}
spec: {{ selector: {{ istio: ingressgateway }}, servers: [{{ port: {{ number: {door}, name: http, protocol: HTTP }}, hosts: ["*"] }}] }}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: door, namespace: default }}
spec:
  hosts: ["*"]
  gateways: [door]
  http:
  - {{ match: [{{ uri: {{ prefix: /shop.Shop/ }} }}], route: [{{ destination: {{ host: shop }} }}] }}
  - {{ route: [{{ destination: {{ host: pages }} }}] }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: other-door, namespace: default }}
spec: {{ listeners: [{{ name: http, port: {grpc_door}, protocol: HTTP }}] }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {{ name: shop, namespace: default }}
spec:
  parentRefs: [{{ name: other-door }}]
  rules:
  - matches: [{{ method: {{ service: shop.Shop }} }}]
    backendRefs: [{{ name: shop, port: 80 }}]
  - matches: [{{ method: {{ service: shop.Shop, method: Count }} }}]
    backendRefs: [{{ name: nobody, port: 80 }}]
---
""".format(inbound=IN, h2=H2PORT, shop=SHOP, client=CLIENT, nginx=NGINX, door=DOOR, grpc_door=DOOR + 20)


AGING = f"""apiVersion: v1
kind: Service
metadata: {{ name: aging, namespace: default }}
spec: {{ selector: {{ app: aging }}, ports: [{{ name: grpc, port: 80, targetPort: {APP} }}] }}
---
apiVersion: v1
kind: Pod
metadata: {{ name: aging-1, namespace: default, labels: {{ app: aging, version: v1 }} }}
spec: {{ serviceAccountName: aging }}
status: {{ phase: Running, podIP: {net.net}.5 }}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: aging, namespace: default }}
spec: {{ hosts: [aging], http: [{{ route: [{{ destination: {{ host: aging }} }}], retries: {{ attempts: 0 }} }}] }}
"""
CHECKED = f"""apiVersion: v1
kind: Service
metadata:
  name: checked
  namespace: default
  annotations: {{ tulle.io/health-check: "grpc service=shop.v1 interval=200ms timeout=200ms healthy=1 unhealthy=1" }}
spec: {{ selector: {{ app: shop }}, ports: [{{ name: grpc, port: 80, targetPort: {IN} }}] }}
"""


def start_nginx():
    home = f"{folder}/nginx"
    os.makedirs(home + "/www")
    with open(home + "/www/page", "wb") as f:
        f.write(b"p" * 300000)
    with open(home + "/conf", "w", encoding="utf-8") as f:
        user = "user root;" if os.geteuid() == 0 else ""
        f.write(f"""{user} daemon off; error_log {home}/error.log; pid {home}/pid;
events {{}}
http {{
  access_log {home}/access.log; client_body_temp_path {home}/t1; proxy_temp_path {home}/t2; fastcgi_temp_path {home}/t3;
  uwsgi_temp_path {home}/t4; scgi_temp_path {home}/t5; client_max_body_size 100m;
  server {{ listen {NGINX}:{H2PORT} http2; root {home}/www;
    location = /tell {{ return 200 "$server_protocol $http_host $connection $connection_requests"; }} }}
}}""")
    return support.start("nginx", "nginx", "-c", home + "/conf", "-p", home)


class Health:
    """grpc.health.v1.Health."""
    answer = b"\x08\1"  # SERVING

    def check(self, request, context):
        assert request == b"\x0a\7shop.v1", request
        if self.answer is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return self.answer


health = Health()
server, shop = grpc_app.serve(f"{SHOP}:{APP}", {"grpc.health.v1.Health": {
    "Check": grpc.unary_unary_rpc_method_handler(health.check)}})
nginx = start_nginx()
ca = make_ca()
for name in ("client", "shop", "gateway"):
    mesh_cert(ca, f"{folder}/certs/{name}", name)
collector = support.Collector(sys.argv[2])


def proxy(name, role="sidecar", wait=OUT):
    return Proxy(PROXY, net, name, [OBJECTS], role=role, labels=f"app={name},istio=ingressgateway",
                 options=[f"--certs={folder}/certs/{name}", f"--service-account={name}", f"--collector={collector.otlp}",
                          "--tcp-report-interval=200ms"])


client_side, shop_side = proxy("client"), proxy("shop")
net.next = 4
gateway = proxy("gateway", role="gateway")
check((client_side.ip, shop_side.ip, gateway.ip) == (CLIENT, SHOP, GATEWAY), "addresses as said")
client = grpc_app.Client(f"{CLIENT}:{OUT}", "shop")


def tally(p, name):
    text = http(f"http://{p.ip}:{PROM}/stats/prometheus")[1].decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("tulle_proxy_" + name))


def fails(call, code):
    try:
        call()
    except grpc.RpcError as e:
        check(e.code() == code, f"{e.code()} {e.details()}, expected {code}")
        return e
    return support.fail(f"no error, expected {code}")


def test_unary():
    check(client.Echo(b"hello") == b"hello", "echo")
    line = client_side.access(path="/shop.Shop/Echo")
    check(line["protocol"] == "HTTP/2" and line["response_code"] == 200, f"{line}")


def test_streams():
    check([int(m) for m in client.Count(b"500")] == list(range(500)), "server streaming")
    check(client.Sum(b"%d" % i for i in range(500)) == b"124750", "client streaming")
    # Both directions at once: each answer is awaited before the next question.
    asked = threading.Semaphore(1)

    def questions():
        for i in range(50):
            asked.acquire()
            yield b"%d" % i
    told = []
    for answer in client.Chat(questions()):
        told.append(answer)
        asked.release()
    check(told == [b"re: %d" % i for i in range(50)], f"{told}")


def test_many_on_one_connection():
    before = tally(client_side, "upstream_connections_total"), tally(shop_side, "downstream_connections_total")
    calls = [client.Echo.future(b"%d" % i) for i in range(300)]
    check([c.result() for c in calls] == [b"%d" % i for i in range(300)], "300 at once")
    opened = tally(client_side, "upstream_connections_total") - before[0]
    check(opened <= 3, f"{opened} connections for 300 calls at once")


def messages(p, reporter, of):
    text = http(f"http://{p.ip}:{PROM}/stats/prometheus")[1].decode()
    lines = [line for line in text.splitlines() if line.startswith(f'istio_{of}_messages_total{{reporter="{reporter}"')]
    check(all("response_code" not in line and 'destination_workload="shop' in line for line in lines), f"{lines}")
    return sum(int(line.split()[-1]) for line in lines)


def counted():
    """(asked, told) as both sidecars have counted."""
    return [(messages(p, who, "request"), messages(p, who, "response"))
            for p, who in ((client_side, "source"), (shop_side, "destination"))]


def test_messages_are_counted():
    def since():
        return [(a - c, b - d) for (a, b), (c, d) in zip(counted(), before)]
    wait_until("calls to end", lambda: tally(client_side, "requests_active") == 0 == tally(shop_side, "requests_active"))
    before = counted()
    check(client.Echo(b"x" * 200_000) and client.Echo(b"") == b"", "two calls")
    fails(lambda: client.Fail(b""), grpc.StatusCode.FAILED_PRECONDITION)
    check(len(list(client.Count(b"700"))) == 700, "server streaming")
    check(client.Sum(b"%d" % i for i in range(40)), "client streaming")
    wait_until("the calls' ends", lambda: since() == [(1 + 1 + 1 + 1 + 40, 1 + 1 + 700 + 1)] * 2)
    before, over = counted(), threading.Event()

    def questions():
        yield from (b"1", b"2", b"3")
        over.wait(30)
        yield b"4"
    chat = client.Chat(questions())
    check([next(chat) for _ in range(3)] == [b"re: 1", b"re: 2", b"re: 3"], "a call that goes on")
    wait_until("its messages", lambda: since() == [(3, 3)] * 2)  # --tcp-report-interval
    over.set()
    check(list(chat) == [b"re: 4"], "its end")
    wait_until("each once", lambda: since() == [(4, 4)] * 2)


def test_health_checks():
    """tulle.io/health-check: grpc, through mutual TLS."""
    checked = grpc_app.Client(f"{CLIENT}:{OUT}", "checked")
    with open(f"{client_side.config}/.new", "w", encoding="utf-8") as f:
        f.write(CHECKED)
    os.rename(f"{client_side.config}/.new", f"{client_side.config}/checked.yaml")

    def said():
        clusters = get_json(f"http://{CLIENT}:{ADMIN}/clusters?format=json")
        for e in (e for c in clusters if c["host"].startswith("checked.") for e in c["endpoints"]):
            return e["healthy"], e.get("health_check", {}).get("last_answer")
    wait_until("an answer", lambda: said() == (True, "SERVING"))
    check(checked.Echo(b"well") == b"well", "it serves")
    wait_until("checks", lambda: tally(shop_side, "health_checks_answered_total") > 3)
    with open(f"{folder}/shop.access", encoding="utf-8") as f:
        check("grpc.health.v1" not in f.read(), "they are nobody's requests")
    for answer, why in ((b"\x08\2", "NOT_SERVING"), (None, "grpc-status 5 (the service is not known): unknown service")):
        health.answer = answer
        wait_until(why, lambda why=why: said() == (False, why))
        e = fails(lambda: checked.Echo(b""), grpc.StatusCode.UNAVAILABLE)
        check("no healthy endpoints" in e.details(), e.details())
        health.answer = Health.answer
        wait_until("an answer", lambda: said() == (True, "SERVING"))
        check(checked.Echo(b"again") == b"again", "it serves again")
    os.unlink(f"{client_side.config}/checked.yaml")
    wait_until("the end of it", lambda: said() is None)


def test_metadata():
    call = client.Meta.with_call(b"", metadata=(("x-a", "1"), ("x-b-bin", b"\0\1")))
    got = dict(line.split("=", 1) for line in call[0].decode().split("\n"))
    check(got["x-a"] == "1" and got["x-b-bin"] == "b'\\x00\\x01'" and "traceparent" in got, f"{got}")
    check("URI=spiffe://cluster.local/ns/default/sa/client" in got["x-forwarded-client-cert"], f"{got}")
    check(("x-first", "1") in call[1].initial_metadata(), "initial metadata")
    last = dict(call[1].trailing_metadata())
    check(last["x-last"] == "2" and last["x-bin-bin"] == b"\0\xff", f"{last}")


def test_errors():
    e = fails(lambda: client.Fail(b""), grpc.StatusCode.FAILED_PRECONDITION)
    check(e.details() == "50% of it \u00e4", e.details())
    told = dict(e.trailing_metadata())
    check(told["grpc-status-details-bin"] == b"\x08\x05" and told["x-why"] == "as asked", f"{told}")
    got = []

    def late():
        for m in client.FailLate(b""):
            got.append(m)
    fails(late, grpc.StatusCode.DATA_LOSS)
    check(got == [b"one"], f"{got}")


def test_deadlines():
    fails(lambda: client.Sleep(b"3", timeout=0.4), grpc.StatusCode.DEADLINE_EXCEEDED)
    check(shop.left[-1] < 1, f"the application knows of its {shop.left[-1]} s")
    check(shop.cancelled.wait(10), "the application's call is cancelled")
    # A route's timeout caps the caller's: the application is told of the shorter one.
    fails(lambda: client.Sleep(b"3", timeout=20, metadata=(("x-timed", "yes"),)), grpc.StatusCode.DEADLINE_EXCEEDED)
    check(shop.left[-1] < 1, f"{shop.left[-1]}")


def test_cancel():
    shop.cancelled.clear()
    began = len(shop.left)
    call = client.Sleep.future(b"5")
    wait_until("the call", lambda: len(shop.left) > began)
    call.cancel()
    check(shop.cancelled.wait(10), "the application's call is cancelled")


def test_own_errors_are_grpc():
    e = fails(lambda: client.Echo(b"", metadata=(("x-fault", "yes"),)), grpc.StatusCode.RESOURCE_EXHAUSTED)
    e = fails(lambda: client.Echo(b"", metadata=(("x-nowhere", "yes"),)), grpc.StatusCode.UNAVAILABLE)
    check("no endpoints" in e.details(), e.details())
    forbidden = client.channel.unary_unary("/shop.Shop/Forbidden")
    e = fails(lambda: forbidden(b""), grpc.StatusCode.PERMISSION_DENIED)
    check(e.details() == "RBAC: access denied", e.details())
    other = grpc_app.Client(f"{CLIENT}:{OUT}", "nobody")
    fails(lambda: other.Echo(b""), grpc.StatusCode.UNIMPLEMENTED)


def test_retries():
    check(client.Flaky(b"a") == b"2", "the second try is answered")
    check(tally(client_side, 'upstream_retries_total{why="response"}') >= 1, "counted")


def test_back_pressure():
    call = client.Flood(b"3000")  # 200 MB that nobody takes yet
    check(next(call) == b"f" * 65536, "it begins")
    time.sleep(2)
    for p in (client_side, shop_side):
        with open(f"/proc/{p.child.pid}/status", encoding="ascii") as f:
            rss = [int(line.split()[1]) for line in f if line.startswith("VmRSS")][0]
        check(rss < 128 * 1024, f"{p.name}: {rss} KiB")
    check(client.Echo(b"past it") == b"past it", "others go on")
    check(sum(1 for _ in call) == 2999, "all of it")


def test_h2_to_h1_callers_and_back():
    told = subprocess.run(["curl", "-sS", "-m", "20", "-H", "Host: pages", f"http://{CLIENT}:{OUT}/tell"],
                          capture_output=True, text=True, check=True).stdout
    check(told.startswith("HTTP/2.0 pages "), f"an HTTP/1.1 caller, HTTP/2 upstream: {told}")
    for version in ("--http1.1", "--http2-prior-knowledge"):
        told = subprocess.run(["curl", "-sS", "-m", "20", version, "-H", "Host: pages", "-w", "%{http_code} %{size_download}",
                               "-o", f"{folder}/page", f"http://{CLIENT}:{OUT}/page"], capture_output=True, text=True,
                              check=True).stdout
        check(told == "200 300000", f"{version}: {told}")
        told = subprocess.run(["curl", "-sS", "-m", "20", version, "-H", "Host: pages", "-I", f"http://{CLIENT}:{OUT}/page"],
                              capture_output=True, text=True, check=True).stdout
        check("content-length: 300000" in told.lower() and " 200" in told, f"{version}: {told}")
    # An answer before the body is read. (curl 7.88 takes HTTP/2's RST_STREAM NO_ERROR behind it for a failure.)
    told = subprocess.run(["curl", "-sS", "-m", "20", "-H", "Host: pages", "-H", "Expect:", "--data-binary",
                           f"@{folder}/page", "-w", "%{http_code}", "-o", "/dev/null", f"http://{CLIENT}:{OUT}/page"],
                          capture_output=True, text=True, check=True).stdout
    check(told == "405", told)


def test_upgrade_policy_and_requests_of_a_connection():
    told = [http(f"http://{CLIENT}:{OUT}/tell", headers={"Host": "upgraded"})[1].decode().split() for _ in range(12)]
    check(all(t[0] == "HTTP/2.0" for t in told), f"{told}")
    check(len({t[2] for t in told}) == 3, f"5 requests a connection: {told}")


def test_load():
    ended = subprocess.run(["h2load", "-n", "3000", "-c", "4", "-m", "30", "-H", ":authority: pages",
                            f"http://{CLIENT}:{OUT}/tell"], capture_output=True, text=True, check=True)
    check("3000 succeeded, 0 failed, 0 errored" in ended.stdout, ended.stdout)


def test_gateway():
    outside = grpc_app.Client(f"{GATEWAY}:{DOOR}", "shop.example.com")
    check(outside.Echo(b"from outside") == b"from outside", "through the gateway")
    check([int(m) for m in outside.Count(b"10")] == list(range(10)), "streams")
    outside = grpc_app.Client(f"{GATEWAY}:{DOOR + 20}", "shop.example.com")
    check(outside.Echo(b"by a GRPCRoute") == b"by a GRPCRoute", "through a GRPCRoute")
    e = fails(lambda: list(outside.Count(b"10")), grpc.StatusCode.UNKNOWN)  # HTTP 500, the more specific rule
    check("no Service" in e.details(), e.details())


def test_edges():
    client.Echo(b"for the map")
    fails(lambda: client.Fail(b""), grpc.StatusCode.FAILED_PRECONDITION)
    fails(lambda: list(client.FailLate(b"")), grpc.StatusCode.DATA_LOSS)

    def edge():
        for e in get_json(f"{collector.base}/api/v1/graph?window=5m")["edges"]:
            ends = e["source"]["workload"], e["destination"]["workload"]
            if e["protocol"] == "grpc" and ends == ("client", "shop") and {"0", "9", "15"} <= set(e["grpcCodes"]):
                return e
        return None
    e = wait_until("the edge", edge)
    check(e["tls"]["state"] == "mutual" and e["tls"]["mutual"] == e["requests"], f"{e['tls']}")
    check(e["errors"] == sum(n for code, n in e["grpcCodes"].items() if code != "0"), f"{e}")


class Caller(threading.Thread):
    """A channel of its own, call after call until stopped; every failure is kept."""

    def __init__(self, n, target, authority):
        super().__init__(daemon=True)
        self.client = grpc_app.Client(target, authority, ("grpc.use_local_subchannel_pool", 1), ("tulle.n", n))
        self.n, self.asked, self.wrong, self.over = n, 0, [], threading.Event()
        self.start()

    def run(self):
        while not self.over.is_set():
            try:
                if self.n % 2:
                    told = self.client.Echo(b"%d" % self.asked) == b"%d" % self.asked
                else:
                    told = len(list(self.client.Count(b"20"))) == 20
            except grpc.RpcError as e:
                told = f"{e.code()} {e.details()}"
            if told is not True:
                self.wrong.append(told)
            self.asked += 1
            time.sleep(0.01 * self.n)
        self.client.channel.close()


def test_connections_of_a_server_grow_old():
    """A server that says GOAWAY to each connection after 200 ms (MaxConnectionAge): without any retries no call is lost."""
    aging, _ = grpc_app.serve(f"{net.net}.5:{APP}", options=(
        ("grpc.max_connection_age_ms", 200), ("grpc.max_connection_age_grace_ms", 5000)))
    with open(f"{client_side.config}/.new", "w", encoding="utf-8") as f:
        f.write(AGING)
    os.rename(f"{client_side.config}/.new", f"{client_side.config}/aging.yaml")
    wait_until("the route", lambda: b"aging.default" in http(f"http://{CLIENT}:{ADMIN}/clusters")[1])
    before = tally(client_side, "upstream_connections_total")
    callers = [Caller(n, f"{CLIENT}:{OUT}", "aging") for n in range(4)]
    wait_until("connections", lambda: tally(client_side, "upstream_connections_total") > before + 10)
    for c in callers:
        c.over.set()
        c.join()
    check(not any(c.wrong for c in callers), f"{[c.wrong[:3] for c in callers]}")
    aging.stop(0)


def test_callers_move_on():
    """A gateway is taken out of rotation and put back, callers never notice; and its end cuts none off."""
    callers = [Caller(n, f"{GATEWAY}:{DOOR}", "shop.example.com") for n in range(4)]
    for _ in range(3):
        before = [c.asked for c in callers]
        opened = tally(gateway, "downstream_connections_total")
        check(http(f"http://{GATEWAY}:{ADMIN}/drain", body=b"")[0] == 200, "drain")
        wait_until("new connections", lambda: tally(gateway, "downstream_connections_total") >= opened + 8)
        check(http(f"http://{GATEWAY}:{ADMIN}/healthcheck/ok", body=b"")[0] == 200, "again")
        wait_until("calls", lambda: all(c.asked > n + 5 for c, n in zip(callers, before)))
    wait_until("nothing left behind", lambda: tally(gateway, "downstream_connections ") == 4)
    for c in callers:
        c.over.set()
        c.join()
    check(not any(c.wrong for c in callers), f"{[c.wrong[:3] for c in callers]}")


def test_goaway_while_calls_run():
    """Last: the application's sidecar ends while calls are under way; none fails."""
    slow = [client.Sleep.future(b"1") for _ in range(10)]
    wait_until("the calls", lambda: tally(shop_side, "requests_active") >= 10)
    shop_side.child.may_end = True
    shop_side.child.terminate()
    check(all(c.result() == b"slept" for c in slow), "calls under way are answered")
    check(shop_side.child.wait(30) == 0, "exit status")


run(globals(), sys.argv[3:])
server.stop(0)
