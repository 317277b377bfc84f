"""HTTP/2 from callers: curl, h2load, and a client that writes its frames by hand.
Usage: test_http2.py TULLE_PROXY [CASE...]"""
import os
import ssl
import subprocess
import sys
import time

import support
from gateway_support import (ADMIN, APP, DOOR, HTTPS, IN, OUT, PROM, READY, Net, Proxy, make_ca, make_cert, mesh_cert,
                             run)
from h2_raw import (DATA, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, WINDOW_UPDATE, H2, frame)
from support import check, folder, http, wait_until

PROXY = sys.argv[1]
net = Net("127.1.61")
MiB = 1 << 20

ROUTES = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: door, namespace: default }}
spec:
  hosts: ["*"]
  gateways: [door]
  http:
  - {{ match: [{{ uri: {{ prefix: /app }} }}], rewrite: {{ uri: / }}, route: [{{ destination: {{ host: app }} }}] }}
  - match: [{{ uri: {{ prefix: /fault }} }}]
    fault: {{ abort: {{ percentage: {{ value: 100 }}, httpStatus: 418 }} }}
    route: [{{ destination: {{ host: web }} }}]
  - {{ match: [{{ uri: {{ prefix: /timed }} }}], timeout: 0.3s, rewrite: {{ uri: /slow }}, route: [{{ destination: {{ host: app }} }}] }}
  - {{ match: [{{ uri: {{ prefix: /moved }} }}], redirect: {{ uri: {moved} }} }}
  - {{ route: [{{ destination: {{ host: web }} }}] }}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: door, namespace: default }}
spec:
  selector: {{ istio: ingressgateway }}
  servers:
  - {{ port: {{ number: {door}, name: http, protocol: HTTP }}, hosts: ["*"] }}
  - {{ port: {{ number: {https}, name: https, protocol: HTTPS }}, hosts: ["*"], tls: {{ mode: SIMPLE, serverCertificate: {cert}/tls.crt, privateKey: {cert}/tls.key }} }}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{ name: no, namespace: default }}
spec: {{ action: DENY, rules: [{{ to: [{{ operation: {{ paths: ["/forbidden*"] }} }}] }}] }}
---
"""
ca = make_ca()
make_cert(ca, f"{folder}/door", "web.example.com")
app_ip = net.address()
app = support.start("app", sys.executable, os.path.join(os.path.dirname(__file__), "proxy_app.py"), app_ip, APP)
objects = net.service("web") + f"""apiVersion: v1
kind: Service
metadata: {{ name: app, namespace: default }}
spec: {{ selector: {{ app: app }}, ports: [{{ name: http, port: 80, targetPort: {APP} }}] }}
---
apiVersion: v1
kind: Pod
metadata: {{ name: app-1, namespace: default, labels: {{ app: app, version: v1 }} }}
spec: {{ serviceAccountName: app }}
status: {{ phase: Running, podIP: {app_ip} }}
---
"""
web = net.servers["web-v1"]


def routes(moved="/there"):
    return ROUTES.format(moved=moved, door=DOOR, https=HTTPS, cert=f"{folder}/door")


mesh_cert(ca, f"{folder}/mesh", "client")
support.wait_port(app_ip, APP, app)
gateway = Proxy(PROXY, net, "gateway", [objects, routes()], options=[f"--max-head=8192"])
sidecar = Proxy(PROXY, net, "sidecar", [objects], role="sidecar", labels="app=web",
                options=[f"--certs={folder}/mesh", f"--app={web.server_address[0]}:{APP}"])
PLAIN, TLS = f"http://{gateway.ip}:{DOOR}", f"https://web.example.com:{HTTPS}"


def curl(*options, data=None):
    """(what -w told, the body)"""
    ended = subprocess.run(["curl", "-sS", "-m", "30", "-o", f"{folder}/body", "-w",
                            "%{http_code} %{http_version} %header{location}", *options], input=data,
                           capture_output=True, check=False)
    check(ended.returncode == 0, f"curl {options}: {ended.stderr}")
    with open(f"{folder}/body", "rb") as f:
        return ended.stdout.decode().strip(), f.read()


def tally(proxy, name):
    text = http(f"http://{proxy.ip}:{PROM}/stats/prometheus")[1].decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("tulle_proxy_" + name))


def test_curl():
    told, body = curl("--http2-prior-knowledge", PLAIN + "/a?b=c")
    check(told == "200 2" and b'"path": "/a?b=c"' in body, f"{told} {body}")
    told, body = curl("--http2-prior-knowledge", "--data-binary", "@-", PLAIN + "/post", data=b"x" * 3 * MiB)
    check(told == "200 2" and b'"body": 3145728' in body, f"{told} {body}")
    told, body = curl("--http2-prior-knowledge", "-T", "-", PLAIN + "/app/echo", data=b"y" * MiB)
    check(told == "200 2" and body == b"y" * MiB, f"{told} {len(body)}")
    told, body = curl("--http2-prior-knowledge", "-I", PLAIN + "/head")
    check(told == "200 2", told)
    told, body = curl("--http2-prior-knowledge", PLAIN + "/app/empty")
    check(told == "204 2" and not body, told)
    told, body = curl("--http2-prior-knowledge", PLAIN + f"/app/big?n={20 * MiB}")
    check(told == "200 2" and body == b"b" * 20 * MiB, f"{told} {len(body)}")
    told, _ = curl("--http2-prior-knowledge", PLAIN + "/app/until-close")
    check(told == "200 2", told)


def test_what_routes_do():
    for path, want in (("/forbidden/x", "403 2"), ("/fault", "418 2"), ("/moved", "301 2"), ("/timed?s=2", "504 2"),
                       ("/app/garbage", "502 2")):
        told, body = curl("--http2-prior-knowledge", PLAIN + path)
        check(told.startswith(want), f"{path}: {told} {body}")
    line = gateway.access(path="/fault")
    check(line["protocol"] == "HTTP/2" and line["response_flags"] == "FI", f"{line}")


def test_upgrade_is_left_alone():
    told, _ = curl("--http2", PLAIN + "/h2c")  # curl asks for Upgrade: h2c; RFC 9113 has none
    check(told == "200 1.1", told)


def test_many_at_once():
    before = tally(gateway, "downstream_connections_total")
    ended = subprocess.run(["h2load", "-n", "2000", "-c", "4", "-m", "50", PLAIN + "/x"], capture_output=True,
                           text=True, check=True)
    check("2000 succeeded, 0 failed, 0 errored" in ended.stdout, ended.stdout)
    check(tally(gateway, "downstream_connections_total") - before == 4, "on four connections")


def test_alpn():
    at = ["--cacert", f"{ca}/ca.crt", "--resolve", f"web.example.com:{HTTPS}:{gateway.ip}"]
    told, _ = curl("--http2", *at, TLS + "/tls")
    check(told == "200 2", told)
    told, _ = curl("--http1.1", *at, TLS + "/tls")
    check(told == "200 1.1", told)


def test_mutual_tls():
    context = ssl.create_default_context(cafile=f"{ca}/ca.crt")
    context.check_hostname = False
    context.load_cert_chain(f"{folder}/mesh/cert-chain.pem", f"{folder}/mesh/key.pem")
    context.set_alpn_protocols(["istio-h2", "istio", "h2"])
    c = H2(sidecar.ip, IN, context)
    check(c.sock.selected_alpn_protocol() == "h2", "h2 is chosen, and nothing of Istio's")
    ids = [c.get(f"/mtls/{i}") for i in range(3)]
    check(c.outcome(ids[-1])[:2] == ("answer", 200), "an answer")
    told = [t for t in web.seen if t["path"] == "/mtls/0"][0]
    check("URI=spiffe://cluster.local/ns/default/sa/client" in told["headers"]["x-forwarded-client-cert"], told)
    c.close()


def test_a_reader_that_stands_still():
    c = H2(gateway.ip, DOOR)
    for _ in range(20):
        c.get(f"/app/big?n={100 * MiB}")
    check(c.outcome(1, 3) == ("nothing",), "windows are full")
    with open(f"/proc/{gateway.child.pid}/status", encoding="ascii") as f:
        rss = [int(line.split()[1]) for line in f if line.startswith("VmRSS")][0]
    check(rss < 160 * 1024, f"{rss} KiB while 20 bodies of 100 MiB wait")
    other = c.get("/still-alive")
    check(c.outcome(other)[0] in ("answer", "nothing"), "others go on")  # the connection's window may be used up
    c.close()
    wait_until("streams to end", lambda: tally(gateway, "requests_active") == 0)


def test_floods_end_the_connection():
    c = H2(gateway.ip, DOOR)
    try:
        for _ in range(400):
            c.send(RST_STREAM, 0, c.get("/reset"), b"\0\0\0\x08")
    except OSError:
        pass  # it has ended in the middle
    check(any(f[0] == GOAWAY for f in c.frames()), "GOAWAY")
    c.close()
    wait_until("streams to end", lambda: tally(gateway, "requests_active") == 0)
    check(http(f"{PLAIN}/after")[0] == 200, "others are served")


def test_reload_with_an_open_connection():
    c = H2(gateway.ip, DOOR)
    check(c.outcome(c.get("/moved"))[0] == "answer", "first")
    with open(f"{gateway.config}/new", "w", encoding="utf-8") as f:
        f.write(routes("/elsewhere"))
    os.rename(f"{gateway.config}/new", f"{gateway.config}/01-objects.yaml")
    wait_until("the new route", lambda: curl("--http2-prior-knowledge", PLAIN + "/moved")[0].endswith("/elsewhere"))
    check(c.outcome(c.get("/moved"))[0] == "answer", "the connection is still there")
    c.close()


GET = [(":method", "GET"), (":scheme", "http"), (":authority", "web"), (":path", "/smuggled")]
POST = [(":method", "POST")] + GET[1:]


def with_field(name, value):
    return GET + [(name, value)]


def changed(name, value):
    return [(n, value if n == name else v) for n, v in GET]


# Heads that an HTTP/1 hop would read as something else: none may get there.
SHAPES = {
    "CRLF in a value": with_field("x", b"a\r\nHost: b"),
    "LF in a value": with_field("x", b"a\nTransfer-Encoding: chunked"),
    "CR in a value": with_field("x", b"a\rb"),
    "NUL in a value": with_field("x", b"a\0b"),
    "CRLF in a name": with_field(b"x\r\ny", "a"),
    "colon in a name": with_field("x: y", "a"),
    "space in a name": with_field("x y", "a"),
    "capitals in a name": with_field("X-Y", "a"),
    "empty name": with_field("", "a"),
    "CRLF in the path": changed(":path", b"/ HTTP/1.1\r\nHost: b\r\n\r\nGET /smuggled"),
    "space in the path": changed(":path", "/smuggled HTTP/1.1"),
    "tab in the path": changed(":path", "/smuggled\tx"),
    "fragment": changed(":path", "/smuggled#x"),
    "path without a slash": changed(":path", "smuggled"),
    "empty path": changed(":path", ""),
    "URL as path": changed(":path", "http://web/smuggled"),
    "CRLF in the method": changed(":method", b"GET / HTTP/1.1\r\nHost: b\r\n\r\nGET"),
    "space in the method": changed(":method", "GET /smuggled"),
    "CRLF in the authority": changed(":authority", b"web\r\nx: y"),
    "path in the authority": changed(":authority", "web/x"),
    "userinfo in the authority": changed(":authority", "u@web"),
    "empty authority": changed(":authority", ""),
    "no authority": [f for f in GET if f[0] != ":authority"],
    "CRLF in the scheme": changed(":scheme", b"http\r\nx: y"),
    "another scheme": changed(":scheme", "ftp"),
    "another Host": with_field("host", "other"),
    "two Hosts": GET[:2] + GET[3:] + [("host", "web"), ("host", "other")],
    "method twice": [(":method", "POST")] + GET,
    "path twice": GET + [(":path", "/smuggled2")],
    "pseudo field behind others": GET[:3] + [("x", "y"), GET[3]],
    "pseudo field nobody knows": [(":x", "y")] + GET,
    "status in a request": [(":status", "200")] + GET,
    "transfer-encoding": POST + [("transfer-encoding", "chunked")],
    "connection": with_field("connection", "x"),
    "keep-alive": with_field("keep-alive", "x"),
    "proxy-connection": with_field("proxy-connection", "keep-alive"),
    "upgrade": with_field("upgrade", "websocket"),
    "te": with_field("te", "chunked"),
    "length without a body": POST + [("content-length", "5")],
    "length that is none": POST + [("content-length", "0x0")],
    "length with a sign": POST + [("content-length", "+0")],
    "length list": POST + [("content-length", "0, 0")],
    "two lengths": POST + [("content-length", "0"), ("content-length", "0")],
    "expectation": with_field("expect", "x"),
    "CONNECT": [(":method", "CONNECT"), (":authority", "web:80")],
    "extended CONNECT": [(":method", "CONNECT"), (":protocol", "websocket")] + GET[1:],
    "too many fields": GET + [("x", "y")] * 101,
    "too long": with_field("x", "y" * 9000),
}


def test_smuggling_shapes():
    for name, fields in SHAPES.items():
        c = H2(gateway.ip, DOOR)
        outcome = c.outcome(c.head(fields))
        refused = outcome[0] in ("reset", "goaway") or (outcome[0] == "answer" and outcome[1] in (400, 0))
        check(refused, f"{name}: {outcome}")
        c.close()
    smuggled = [t for t in web.seen if "smuggled" in t["path"]]
    check(not smuggled, f"{smuggled}")


def test_bodies_that_lie():
    for name, length, pieces in (("shorter", 10, [b"123"]), ("longer", 2, [b"12345"]),
                                 ("longer in pieces", 2, [b"12", b"GET /smuggled HTTP/1.1\r\nhost: web\r\n\r\n"])):
        c = H2(gateway.ip, DOOR)
        stream = c.head(POST[:3] + [(":path", "/lies"), ("content-length", str(length))], is_end=False)
        # in one go: an application that has got its two bytes may answer before the lie shows
        c.sock.sendall(b"".join(frame(DATA, END_STREAM if i + 1 == len(pieces) else 0, stream, piece)
                                for i, piece in enumerate(pieces)))
        check(c.outcome(stream)[0] in ("reset", "goaway"), name)
        c.close()
    check(curl("--http2-prior-knowledge", PLAIN + "/x")[0] == "200 2", "the pool is fine")
    check(not [t for t in web.seen if "smuggled" in t["path"]], "nothing came of it")


def test_cookies_and_te():
    c = H2(gateway.ip, DOOR)
    outcome = c.outcome(c.get("/cookies", "web", ("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers")))
    check(outcome[:2] == ("answer", 200), f"{outcome}")
    told = [t for t in web.seen if t["path"] == "/cookies"][0]["headers"]
    check(told["cookie"] == "a=1; b=2" and told["te"] == "trailers" and told["host"] == "web", f"{told}")
    c.close()


def test_caller_leaves():
    before = tally(gateway, "http2_reset_streams_total")
    c = H2(gateway.ip, DOOR)
    stream = c.get("/app/slow?s=5")
    other = c.get("/app/slow?s=1")
    wait_until("both requests", lambda: tally(gateway, "requests_active") == 2)
    c.send(RST_STREAM, 0, stream, b"\0\0\0\x08")
    check(c.outcome(other)[:2] == ("answer", 200), "its neighbour is answered")
    check(tally(gateway, "http2_reset_streams_total") == before + 1, "counted")
    line = gateway.access(path="/app/slow?s=5")
    check(line["response_flags"] == "DC" and line["response_code"] == 0, f"{line}")
    c.close()


def test_answer_before_the_body():
    c = H2(gateway.ip, DOOR)
    stream = c.head(POST[:3] + [(":path", "/forbidden")], is_end=False)
    seen = []
    for kind, flags, of, payload in c.frames():
        if of == stream and kind in (HEADERS, RST_STREAM):
            seen.append((kind, payload if kind == RST_STREAM else None))
        if kind == RST_STREAM:
            break
    check(seen == [(HEADERS, None), (RST_STREAM, b"\0\0\0\0")], f"{seen}")
    c.close()


def farewell(c, stream):
    """(the GOAWAYs as (last stream, code), whether the stream was answered) until the connection ends."""
    began = time.monotonic()
    seen, answered = [], False
    for kind, flags, of, payload in c.frames():
        if kind == PING and not flags & 1:
            c.send(PING, 1, 0, payload)
        if kind == GOAWAY:
            seen.append((int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big")))
        answered = answered or (kind == DATA and of == stream and bool(flags & END_STREAM))
    check(time.monotonic() - began < 9, "the connection ends")
    return seen, answered


def test_taken_out_of_rotation():
    """POST /drain with a request under way that says nothing for two seconds, and connections without one."""
    c, resting, begun = H2(gateway.ip, DOOR), H2(gateway.ip, DOOR), H2(gateway.ip, DOOR, preface=PREFACE[:10])
    check(resting.outcome(resting.get("/x"))[:2] == ("answer", 200), "before")
    stream = c.get("/app/slow?s=2")
    wait_until("the request", lambda: tally(gateway, "requests_active") == 1)
    check(http(f"http://{gateway.ip}:{ADMIN}/drain", body=b"")[0] == 200, "drain")
    begun.sock.sendall(PREFACE[10:] + frame(SETTINGS, 0, 0))
    late = H2(gateway.ip, DOOR)
    # Connections of before are told at once, those of after with their first answer.
    check(farewell(c, stream) == ([(2**31 - 1, 0), (stream, 0)], True), "the request under way is answered")
    check(farewell(resting, 1) == ([(2**31 - 1, 0), (1, 0)], False), "one that rests ends")
    for of_after in (begun, late):
        check(farewell(of_after, of_after.get("/x")) == ([(2**31 - 1, 0), (1, 0)], True), "one request each")
    check(http(f"http://{gateway.ip}:{ADMIN}/healthcheck/ok", body=b"")[0] == 200, "again")
    kept = H2(gateway.ip, DOOR)
    for _ in range(3):
        check(kept.outcome(kept.get("/x"))[:2] == ("answer", 200), "as before")
    for connection in (c, resting, begun, late, kept):
        connection.close()


def test_drain():
    """Last: the gateway ends."""
    c, late, begun = H2(gateway.ip, DOOR), H2(gateway.ip, DOOR), H2(gateway.ip, DOOR, preface=PREFACE[:10])
    stream = c.get("/app/slow?s=2")
    wait_until("the request", lambda: tally(gateway, "requests_active") == 1)
    gateway.child.may_end = True
    gateway.child.terminate()
    wait_until("draining", lambda: http(f"http://{gateway.ip}:{READY}/healthz/ready")[0] == 503)
    begun.sock.sendall(PREFACE[10:] + frame(SETTINGS, 0, 0))
    check(farewell(begun, begun.get("/x")) == ([(2**31 - 1, 0), (1, 0)], True), "one that spoke only now")
    check(farewell(late, 1) == ([(2**31 - 1, 0), (0, 0)], False), "one that never asked")
    check(farewell(c, stream) == ([(2**31 - 1, 0), (stream, 0)], True), "the request under way is answered")
    check(gateway.child.wait(20) == 0, "exit status")


run(globals(), sys.argv[2:])
