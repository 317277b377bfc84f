"""WebSocket and other upgrades: caller, sidecar, mutual TLS, sidecar, application; and from a gateway.
Usage: test_upgrade.py TULLE_PROXY. Exit status 77 (skipped) without Python's websockets."""
import asyncio
from http import HTTPStatus
from http.client import HTTPConnection
import os
import socket
import sys
import threading
import time

try:
    import websockets
except ImportError:
    print("websockets is missing")
    sys.exit(77)

from certificates import make_ca, mesh_cert
from gateway_support import APP, DOOR, IN, OUT, Net, Proxy, run
from objects import pod, service
from raw_app import RawApp, field, read_all, read_head, reset
from support import check, folder, wait_until

PROXY = sys.argv[1]
net = Net("127.1.34")
MiB = 1 << 20

ROUTE = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: {name}, namespace: default }}
spec: {{ hosts: [{name}], http: [{{ {more}, route: [{{ destination: {{ host: raw }} }}] }}] }}
---
"""
# hosts that lead to raw by other rules
ROUTES = {"timed": "timeout: 1s",
          "stubborn": 'retries: { attempts: 3, retryOn: "5xx,reset,connect-failure" }',
          "mirrored": "mirror: { host: raw }, mirrorPercentage: { value: 100 }",
          "without": "headers: { request: { remove: [upgrade] } }",
          "told": "headers: { response: { set: { x-told: by-route }, remove: [x-app] } }"}
RULES = """apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: raw, namespace: default }
spec:
  selector: { matchLabels: { app: raw } }
  action: DENY
  rules: [{ to: [{ operation: { paths: ["/forbidden"] } }] }]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: door, namespace: default }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: %d, name: http, protocol: HTTP }, hosts: ["*"] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: door, namespace: default }
spec:
  hosts: [shop.example.com]
  gateways: [door]
  http:
  - { match: [{ uri: { prefix: /ws } }], route: [{ destination: { host: ws } }] }
  - { route: [{ destination: { host: raw } }] }
""" % DOOR


class Ws:
    """The application: WebSocket echo on a loop of its own."""

    def __init__(self, ip):
        self.loop, self.codes = asyncio.new_event_loop(), []
        opened = threading.Event()

        async def begin():
            await websockets.serve(self.serve, ip, APP, max_size=None, compression=None,
                                   ping_interval=None, process_request=self.admit)
            opened.set()
        threading.Thread(target=lambda: (self.loop.create_task(begin()), self.loop.run_forever()),
                         daemon=True).start()
        check(opened.wait(20), "the WebSocket application is open")

    async def admit(self, path, _):
        return {"/ws/426": (HTTPStatus(426), [], b"no\n"), "/ws/200": (HTTPStatus(200), [], b"page\n")}.get(path)

    async def serve(self, ws):
        try:
            async for message in ws:
                if message == "close":
                    await ws.close(4001, "as asked")
                else:
                    await ws.send(message)
        except websockets.ConnectionClosedError:
            pass  # a code other than 1000
        self.codes.append((ws.close_code, ws.close_reason))


CLIENT, WS, RAW, SHORT, GATEWAY, DEAD = (f"{net.net}.{n}" for n in range(1, 7))  # nobody listens at DEAD
wsapp, raw = Ws(WS), RawApp(RAW, APP)


def make_mesh():
    ca = make_ca()
    objects = RULES + "---\n"
    for name, ip in (("client", CLIENT), ("ws", WS), ("raw", RAW), ("short", SHORT), ("gateway", GATEWAY)):
        mesh_cert(ca, f"{folder}/certs/{name}", name)
        objects += pod(f"{name}-1", ip, name, has_sidecar=True) + service(name, IN)
    objects += service("half", IN)
    for n, ip in enumerate((RAW, DEAD)):
        objects += pod(f"half-{n}", ip, "half", account="raw", has_sidecar=True)
    for name, more in ROUTES.items():
        objects += service(name, IN, "raw") + ROUTE.format(name=name, more=more)
    return objects


def proxy(name, port, objects, *more, role="sidecar"):
    return Proxy(PROXY, net, name, [objects], role=role, labels=f"app={name},istio=ingressgateway", options=(
        f"--certs={folder}/certs/{name}", f"--service-account={name}", *more)).wait(port)


mesh = make_mesh()
client = proxy("client", OUT, mesh)
server_ws = proxy("ws", IN, mesh)
server_raw = proxy("raw", IN, mesh, "--drain-timeout=1s")
short = proxy("short", OUT, mesh, "--stream-idle-timeout=1s")
gateway = proxy("gateway", DOOR, mesh, role="gateway")
check((client.ip, server_ws.ip, server_raw.ip) == (CLIENT, WS, RAW), "addresses as said")
idents = iter(range(1, 1000))


def tunnel(path, host="raw", upgrade="x-tail", at=client, port=OUT, more="", ahead=b""):
    """(socket, head of the answer, bytes behind it, id)"""
    ident = f"id-{next(idents)}"
    s = socket.create_connection((at.ip, port), 30)
    s.sendall((f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: {upgrade}\r\n"
               f"x-request-id: {ident}\r\n{more}\r\n").encode() + ahead)
    head, rest = read_head(s)
    return s, head, rest, ident


def status(head):
    return int(head.split()[1])


def receive(s, n, have=b""):
    while len(have) < n:
        piece = s.recv(65536)
        check(piece, f"ended after {len(have)} of {n} bytes")
        have += piece
    return have


def seen(path):
    return [h for h in raw.heads if h.split()[1] == path]


def connect_ws(path, at, port, host):
    return websockets.connect(f"ws://{host}{path}", host=at.ip, port=port, max_size=None, compression=None,
                              ping_interval=None, open_timeout=30, close_timeout=30)


async def talk(at, port, host):
    big = os.urandom(5 * MiB)
    async with connect_ws("/ws/echo", at, port, host) as ws:
        for message in ("hello", b"", b"x" * 126, "é" * 70000, big):
            await ws.send(message)
            check(await ws.recv() == message, "the message comes back as it was")
        for i in range(50):
            await ws.send(f"n{i}")
        check([await ws.recv() for _ in range(50)] == [f"n{i}" for i in range(50)], "in order")
        await ws.close(4002, "enough")
    check(ws.close_code == 4002, f"our close is answered: {ws.close_code}")
    wait_until("the close at the application", lambda: (4002, "enough") in wsapp.codes)
    wsapp.codes.clear()
    async with connect_ws("/ws/echo", at, port, host) as ws:
        await ws.send("close")
        try:
            await ws.recv()
        except websockets.ConnectionClosed:
            pass
        check((ws.close_code, ws.close_reason) == (4001, "as asked"), f"its close: {ws.close_code}")
    for path, code in (("/ws/426", 426), ("/ws/200", 200)):
        try:
            async with connect_ws(path, at, port, host):
                check(False, f"{path} was agreed to")
        except websockets.InvalidStatusCode as e:
            check(e.status_code == code, f"{path}: {e.status_code} {e.headers}")


def test_websocket_through_sidecars():
    asyncio.run(talk(client, OUT, "ws"))
    line = client.access(path="/ws/echo", response_code=101)
    check(line["bytes_sent"] > 5 * MiB and line["bytes_received"] > 5 * MiB, line)
    check(line["response_flags"] == "-" and line["response_code_details"] == "via_upstream", line)
    check(server_ws.access(path="/ws/echo", response_code=101)["bytes_sent"] == line["bytes_sent"], line)


def test_websocket_through_a_gateway():
    asyncio.run(talk(gateway, DOOR, "shop.example.com"))
    line = gateway.access(path="/ws/echo", response_code=101)
    check(line["bytes_sent"] > 5 * MiB and line["response_flags"] == "-", line)


def test_heads():
    s, head, _, _ = tunnel("/echo?heads", more="x-mine: 1\r\n")
    check(status(head) == 101 and field(head, "upgrade") == ["x-tail"], head)
    check([v.lower() for v in field(head, "connection")] == ["upgrade"], head)
    check(field(head, "x-app") == ["raw"] and not field(head, "content-length"), head)
    check(not field(head, "x-envoy-peer-metadata") and not field(head, "transfer-encoding"), head)
    s.close()
    got, = seen("/echo?heads")
    check(field(got, "upgrade") == ["x-tail"] and field(got, "connection") == ["upgrade"], got)
    check(field(got, "x-mine") == ["1"] and field(got, "traceparent"), got)
    check("URI=spiffe://cluster.local/ns/default/sa/client" in field(got, "x-forwarded-client-cert")[0], got)
    s, head, _, _ = tunnel("/echo?told", host="told")
    check(field(head, "x-told") == ["by-route"] and not field(head, "x-app"), head)
    s.close()


def test_what_comes_ahead_of_the_101_waits():
    for at, port, host in ((client, OUT, "raw"), (gateway, DOOR, "shop.example.com")):
        s, head, rest, _ = tunnel("/early", host=host, at=at, port=port, ahead=b"ahead ")
        check(status(head) == 101, head)
        s.sendall(b"and after")
        check(receive(s, 21, rest) == b"hello ahead and after", "in order")
        s.close()
    check(raw.early == [b"", b""], f"nothing came before the 101: {raw.early}")


def test_half_closed_by_the_caller():
    body = os.urandom(3 * MiB)
    s, _, rest, ident = tunnel("/collect")
    s.sendall(body)
    s.shutdown(socket.SHUT_WR)
    check(rest + read_all(s) == body, "the whole answer comes after our end")
    line = client.access(request_id=ident)
    check((line["response_code"], line["bytes_received"], line["bytes_sent"]) == (101, len(body), len(body)), line)
    check(line["response_flags"] == "-", line)
    check(server_raw.access(request_id=ident)["bytes_sent"] == len(body), "both hops count alike")


def test_half_closed_by_the_application():
    raw.ends.clear()
    s, _, rest, ident = tunnel("/first")
    check(rest + read_all(s) == b"bye", "its end is passed on")
    s.sendall(b"y" * MiB)
    s.shutdown(socket.SHUT_WR)
    wait_until("what was sent after its end", lambda: raw.ends == [MiB])
    check(client.access(request_id=ident)["response_flags"] == "-", "an orderly end")
    s.close()


def rss_kib(p):
    with open(f"/proc/{p.child.pid}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def test_back_pressure():
    before = rss_kib(client), rss_kib(server_raw)
    s, _, rest, _ = tunnel("/hold")
    sent, piece = 0, b"z" * 65536
    s.settimeout(1)
    try:
        while sent < 512 * MiB:
            sent += s.send(piece)
    except TimeoutError:
        pass
    check(sent < 200 * MiB, f"{sent} bytes went to somebody who reads nothing")
    grown = [now - then for now, then in zip((rss_kib(client), rss_kib(server_raw)), before)]
    check(max(grown) < 16 * 1024, f"the proxies hold {grown} KiB more")
    s.settimeout(60)
    raw.go.set()
    s.shutdown(socket.SHUT_WR)
    check(rest + read_all(s) == b"%d" % sent, "and everything arrives")
    s.close()


def test_reset_by_the_application():
    s, _, _, ident = tunnel("/reset")
    s.sendall(b"12345")
    try:
        check(False, f"a reset came as an end after {len(read_all(s))} bytes")
    except ConnectionResetError:
        pass
    for p in (server_raw, client):
        line = p.access(request_id=ident)
        check((line["response_code"], line["response_flags"]) == (101, "UC"), line)
    s.close()


def test_reset_by_the_caller():
    raw.ends.clear()
    s, _, rest, ident = tunnel("/watch")
    receive(s, 5, rest)
    reset(s)
    wait_until("the end at the application", lambda: raw.ends)
    check(raw.ends == ["reset"], f"and no orderly one: {raw.ends}")
    for p in (client, server_raw):
        line = p.access(request_id=ident)
        check((line["response_code"], line["response_flags"]) == (101, "DC"), line)


def test_not_agreed():
    """A 101 that nobody asked for, or to something else, goes no further."""
    _, head, _, ident = tunnel("/other")
    check(status(head) == 502 and "UPE" in field(head, "x-tulle-reason")[0], head)
    check(server_raw.access(request_id=ident)["response_flags"] == "UPE", "flag")
    c = HTTPConnection(client.ip, OUT, timeout=30)
    c.request("GET", "/unasked", headers={"Host": "raw"})
    check(c.getresponse().status == 502, "a 101 to an ordinary request")


def test_not_carried():
    """Requests that stay ordinary; the connection carries the next one."""
    settings = "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
    for upgrade, host, more in (("h2c", "raw", settings), ("websocket, h2c", "raw", ""), ("HTTP/2.0", "raw", ""),
                                ("x-tail", "without", "")):
        raw.heads.clear()
        s, head, rest, _ = tunnel("/plain", host=host, upgrade=upgrade, more=more)
        check(status(head) == 200 and receive(s, 2, rest) == b"ok", head)
        got, = seen("/plain")
        check(not field(got, "upgrade") and not field(got, "connection"), got)
        check(not field(got, "http2-settings"), got)
        s.sendall(b"GET /plain HTTP/1.1\r\nHost: raw\r\n\r\n")
        check(status(read_head(s)[0]) == 200, "the next request")
        s.close()


def test_refused_keeps_the_connection():
    s, head, rest, ident = tunnel("/refuse")
    check(status(head) == 426 and receive(s, 3, rest) == b"no\n", head)
    check(client.access(request_id=ident)["response_code"] == 426, "recorded as any response")
    s.sendall(b"GET /plain HTTP/1.1\r\nHost: raw\r\n\r\n")
    check(status(read_head(s)[0]) == 200, "the next request")
    s.close()


def test_authorization_decides_first():
    _, head, _, _ = tunnel("/forbidden")
    check(status(head) == 403 and not seen("/forbidden"), head)


def in_time(path, **more):
    """Where a second is all there is for the 101: a slow machine may need another try."""
    def opened():
        s, head, rest, ident = tunnel(path, **more)
        return (s, rest, ident) if status(head) == 101 else None
    return wait_until("a 101 in time", opened)


def test_route_timeout_ends_with_the_101():
    s, rest, ident = in_time("/echo", host="timed")
    time.sleep(1.3)  # longer than the route's timeout
    s.sendall(b"still here")
    check(receive(s, 10, rest) == b"still here", "the tunnel goes on")
    s.close()
    line = client.access(request_id=ident)
    check(line["duration"] >= 1300 and line["response_flags"] != "UT", line)


def test_sent_once():
    _, head, _, _ = tunnel("/vanish", host="stubborn")
    check(status(head) == 503 and len(seen("/vanish")) == 1, f"{head} {len(seen('/vanish'))} tries")
    s, head, rest, _ = tunnel("/echo?mirror", host="mirrored", ahead=b"x")
    check(status(head) == 101 and receive(s, 1, rest) == b"x", head)
    s.close()
    check(client.counter("tulle_proxy_mirrored_requests_total") == 0, "no copies")
    check(len(seen("/echo?mirror")) == 1, "no copies")


def test_the_next_endpoint_when_one_is_gone():
    for i in range(20):
        s, head, rest, _ = tunnel("/echo", host="half", ahead=b"x")
        check(status(head) == 101 and receive(s, 1, rest) == b"x", f"{i}: {head}")
        s.close()
    check(client.counter('tulle_proxy_upstream_retries_total{why="connect"}') > 0, "some were tried again")


def test_idle():
    s, rest, ident = in_time("/echo", at=short)
    check(rest + read_all(s) == b"", "ended by the sidecar")
    line = short.access(request_id=ident)
    check((line["response_code"], line["response_flags"]) == (101, "SI"), line)
    check(line["duration"] >= 900, line)


def test_nothing_is_left():
    for p in (client, server_raw, server_ws, gateway, short):
        wait_until("tunnels to be gone", lambda p=p: p.counter("tulle_proxy_requests_active") == 0)
    check(client.counter("tulle_proxy_upgrades_total") > 5, "counted")


def test_draining_ends_tunnels():
    s, head, rest, _ = tunnel("/echo")
    s.sendall(b"1")
    receive(s, 1, rest)
    server_raw.stop()
    check(read_all(s) == b"", "ended after the drain timeout")
    s.close()


run(globals(), sys.argv[2:])
for one in (client, server_ws, short, gateway):
    one.stop()
