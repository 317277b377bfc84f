"""Two sidecars, a gateway, an application that misbehaves on request: what goes through, what is
refused, what is said about it. Usage: test_proxy.py TULLE_PROXY"""
import http.client
import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time

import support
from certificates import make_ca, mesh_cert
from objects import pod, service
from support import check, fail, folder, wait_port

PROXY = sys.argv[1]
NET = "127.1.81"
CLIENT, SERVER, GATEWAY, STRICT, DEAD, LIAR, PEER = (f"{NET}.{n}" for n in (1, 2, 3, 4, 5, 6, 7))
OUT, IN, ADMIN, READY, PROM, APP, GW = 21001, 21006, 21000, 21021, 21090, 21080, 21088
HERE = os.path.dirname(os.path.abspath(__file__))

REST = """apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: strict, namespace: default }
spec: { selector: { matchLabels: { app: strict } }, mtls: { mode: STRICT } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: slow, namespace: default }
spec: { hosts: [slow], http: [{ timeout: 0.5s, route: [{ destination: { host: server } }] }] }
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
spec: { hosts: [shop.example.com], gateways: [door], http: [{ route: [{ destination: { host: server } }] }] }
""" % GW


def replica(name, ip, account, has_sidecar, labels=""):
    """A Pod as a Deployment makes it: the workload is its owner's name without the last part."""
    owner = f"{name}-v1-7d4b9c"
    return pod(f"{owner}-1", ip, name, account=account, has_sidecar=has_sidecar, labels=labels,
               more=f", ownerReferences: [{{ apiVersion: apps/v1, kind: ReplicaSet, name: {owner}, controller: true }}]")


def make_config():
    os.makedirs(f"{folder}/config")
    with open(f"{folder}/config/mesh.yaml", "w", encoding="utf-8") as f:
        for name, ip, port, account in (
                ("client", CLIENT, IN, "client"), ("server", SERVER, IN, "server"), ("strict", STRICT, IN, "strict"),
                ("plain", SERVER, APP, "x"), ("dead", DEAD, IN, "dead"), ("refused", DEAD, APP, "x"),
                ("liar", LIAR, IN, "somebody-else"), ("peer", PEER, IN, "server")):
            f.write(service(name, port) + replica(name, ip, account, port == IN))
        f.write(service("nobody", IN) + service("slow", IN))
        f.write(replica("gateway", GATEWAY, "gateway", True, ", istio: ingressgateway"))
        f.write(REST)


def start_proxy(name, ip, *more, role="sidecar", account=None):
    argv = [PROXY, f"--role={role}", f"--config={folder}/config", f"--workload={name}-v1",
            "--namespace=default", f"--service-account={name}", f"--listen={ip}",
            f"--outbound-port={OUT}", f"--inbound-port={IN}", f"--admin-port={ADMIN}",
            f"--readiness-port={READY}", f"--prometheus-port={PROM}", f"--app={SERVER}:{APP}",
            f"--access-log={folder}/{name}.access", "--connect-timeout=1s", "--log-level=debug",
            f"--certs={folder}/certs/{account or name}", *more]
    return support.start(name, *argv)


class Caller:
    """One keep-alive connection."""

    def __init__(self, ip=CLIENT, port=OUT):
        self.c = http.client.HTTPConnection(ip, port, timeout=20)

    def __call__(self, method, path, host="server", body=None, headers=None, **more):
        self.c.request(method, path, body=body, headers={"Host": host, **(headers or {})}, **more)
        r = self.c.getresponse()
        return r.status, r.read(), r


def call(method, path, host="server", body=None, headers=None, ip=CLIENT, port=OUT, **more):
    return Caller(ip, port)(method, path, host, body, headers, **more)


def raw(ip, port, data, shut=False):
    """Everything that comes back until the end."""
    with socket.create_connection((ip, port), 10) as s:
        try:
            s.sendall(data)
            if shut:
                s.shutdown(socket.SHUT_WR)
            got = b""
            while piece := s.recv(65536):
                got += piece
        except ConnectionError:
            pass
        return got


def access(name, at_least=1):
    """Lines of an access log, once there are enough."""
    for _ in range(100):
        with open(f"{folder}/{name}.access", encoding="utf-8") as f:
            lines = [json.loads(line) for line in f if line.endswith("\n")]
        if len(lines) >= at_least:
            return lines
        time.sleep(0.05)
    fail(f"{name}.access: {len(lines)} lines, want {at_least}")


def last_access(name, request_id):
    for _ in range(100):
        for line in access(name):
            if line["request_id"] == request_id:
                return line
        time.sleep(0.05)
    fail(f"{name}.access has no line of {request_id}")


def seen_headers(**more):
    status, body, _ = call("GET", "/headers", **more)
    check(status == 200, f"/headers: {status} {body}")
    return dict(json.loads(body))


def test_mutual_tls_and_headers():
    h = seen_headers(headers={"X-Mine": "1", "Connection": "keep-alive, x-gone", "X-Gone": "1",
                              "x-request-id": "id-1", "tracestate": "a=b",
                              "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})
    check(h["host"] == "server" and h["x-mine"] == "1", f"passed on: {h}")
    check("x-gone" not in h and "connection" not in h, f"hop by hop: {h}")
    got = raw(CLIENT, OUT, b"GET /headers HTTP/1.1\r\nHost: server\r\nConnection: close\r\nX-One: 1\r\n"
              b"Connection: x-two, x-one\r\nX-Two: 2\r\nX-Three: 3\r\n\r\n")
    check(b"x-three" in got and b"x-one" not in got and b"x-two" not in got,
          f"named by the second of two Connection fields: {got}")
    check(not any(k.startswith("x-envoy-peer") for k in h), f"peer metadata reached the app: {h}")
    check("URI=spiffe://cluster.local/ns/default/sa/client" in h["x-forwarded-client-cert"],
          f"client certificate: {h}")
    check("By=spiffe://cluster.local/ns/default/sa/server;Hash=" in h["x-forwarded-client-cert"],
          f"client certificate: {h}")
    check(h["x-request-id"] == "id-1" and h["tracestate"] == "a=b", f"ids: {h}")
    check(h["traceparent"].startswith("00-4bf92f3577b34da6a3ce929d0e0e4736-")
          and "00f067aa0ba902b7" not in h["traceparent"], f"trace: {h}")
    line = last_access("server", "id-1")
    check(line["requested_server_name"] == "outbound_.80_._.server.default.svc.cluster.local",
          f"SNI: {line}")
    check(line["upstream_cluster"] == f"inbound|{APP}||" and line["response_code"] == 200, line)
    line = last_access("client", "id-1")
    check(line["upstream_host"] == f"{SERVER}:{IN}" and line["method"] == "GET", line)
    h = seen_headers()
    check(len(h["x-request-id"]) == 36 and len(h["traceparent"]) == 55, f"made up: {h}")


def test_keep_alive_and_pool():
    before = int(metric(CLIENT, "tulle_proxy_upstream_connections_total"))
    c = Caller()
    for i in range(50):
        status, body, r = c("POST", "/sink", body=b"x" * i)
        check(status == 200 and int(body) == i, f"{status} {body}")
    after = int(metric(CLIENT, "tulle_proxy_upstream_connections_total"))
    check(after - before <= 1, f"{after - before} upstream connections for 50 requests in a row")
    got = raw(CLIENT, OUT, b"GET /sink HTTP/1.1\r\nHost: server\r\n\r\n" * 5
              + b"GET /sink HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n")
    check(got.count(b"HTTP/1.1 200 OK") == 6, f"pipelined: {got}")
    got = raw(CLIENT, OUT, b"GET http://server/sink HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    check(got.startswith(b"HTTP/1.1 200"), f"absolute form: {got}")
    got = raw(CLIENT, OUT, b"GET /until-close HTTP/1.0\r\nHost: server\r\n\r\n")
    check(got.count(b"x") >= 100000 and b"chunked" not in got, f"HTTP/1.0: {got[:300]}")


def test_bodies():
    big = os.urandom(10 * 1024 * 1024)
    c = Caller()
    status, body, _ = c("POST", "/echo", body=big)
    check(status == 200 and body == big, f"10 MB by length: {status} {len(body)}")
    pieces = [big[i:i + 70001] for i in range(0, len(big), 70001)]
    status, body, r = c("POST", "/echo", body=iter(pieces), encode_chunked=True,
                        headers={"Transfer-Encoding": "chunked"})
    check(status == 200 and body == big, f"10 MB in chunks: {status} {len(body)}")
    status, body, _ = c("GET", "/big?n=20000000")
    check(status == 200 and len(body) == 20000000, f"20 MB down: {status} {len(body)}")
    status, body, r = c("GET", "/until-close")
    check(status == 200 and len(body) == 100000, f"until close: {status} {len(body)}")
    check(r.getheader("transfer-encoding") == "chunked", "until close becomes chunked")
    status, body, r = c("HEAD", "/big?n=5")
    check(status == 200 and body == b"" and r.getheader("content-length") == "5", "HEAD")
    status, body, _ = c("GET", "/empty")
    check(status == 204 and body == b"", f"204: {status} {body}")
    got = raw(CLIENT, OUT, b"POST /echo HTTP/1.1\r\nHost: server\r\nTransfer-Encoding: chunked\r\n"
              b"Connection: close\r\n\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\n")
    check(got.endswith(b"3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n"), f"trailers: {got}")
    check_memory("after bodies of 10 MB")


def test_slow_reader_holds_the_sender():
    with socket.create_connection((CLIENT, OUT), 20) as s:
        s.sendall(b"GET /big?n=60000000 HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n")
        time.sleep(1)
        check_memory("while the caller does not read")
        total = 0
        while piece := s.recv(1 << 20):
            total += len(piece)
    check(total > 60000000, f"{total} bytes")


def test_expect_continue():
    with socket.create_connection((CLIENT, OUT), 10) as s:
        s.sendall(b"POST /sink HTTP/1.1\r\nHost: server\r\nExpect: 100-continue\r\n"
                  b"Content-Length: 5\r\nConnection: close\r\n\r\n")
        got = s.recv(4096)
        check(got.startswith(b"HTTP/1.1 100 "), f"100: {got}")
        s.sendall(b"hello")
        got = b""
        while piece := s.recv(4096):
            got += piece
    check(got.startswith(b"HTTP/1.1 200") and got.endswith(b"5"), f"after 100: {got}")
    got = raw(CLIENT, OUT, b"POST /refuse HTTP/1.1\r\nHost: server\r\nExpect: 100-continue\r\n"
              b"Content-Length: 5\r\nConnection: close\r\n\r\n")
    check(got.startswith(b"HTTP/1.1 417"), f"417: {got}")


def expect_answer(what, status, flag, details, **request):
    ident = f"fail-{what.replace(' ', '-')}"
    path = request.pop("path", "/sink")
    got, body, r = call("GET", path, headers={"x-request-id": ident}, **request)
    check(got == status, f"{what}: {got} {body}")
    reason = r.getheader("x-tulle-reason")
    check(reason.startswith(f"{flag} {details}"), f"{what}: {reason}")
    check(flag.encode() in body, f"{what}: {body}")
    line = last_access("client", ident)
    check(line["response_flags"] == flag and line["response_code"] == status, f"{what}: {line}")
    check(line["response_code_details"].startswith(details), f"{what}: {line}")
    return line


def test_own_answers():
    expect_answer("no route", 404, "NR", "route_not_found", host="stranger.example")
    expect_answer("no endpoints", 503, "UH", "no_healthy_upstream", host="nobody")
    line = expect_answer("refused", 503, "UF,URX", "upstream_reset_before", host="refused")
    check("refused" in line["upstream_transport_failure_reason"], line)
    expect_answer("mtls to nobody", 503, "UF,URX", "upstream_reset_before", host="dead")
    line = expect_answer("wrong identity", 503, "UF,URX", "upstream_reset_before", host="liar")
    check("expected spiffe://cluster.local/ns/default/sa/somebody-else"
          in line["upstream_transport_failure_reason"], line)
    expect_answer("route timeout", 504, "UT", "response_timeout", host="slow", path="/slow?s=3")
    expect_answer("reset", 503, "UC", "upstream_reset_before", path="/reset", host="plain")
    expect_answer("garbage", 502, "UPE", "upstream_protocol_error", path="/garbage", host="plain")
    status, body, r = call("GET", "/reset")
    check(status == 503 and r.getheader("x-tulle-reason").startswith("UC"), "503 of the other sidecar")
    got = raw(CLIENT, OUT, b"GET /cut HTTP/1.1\r\nHost: server\r\nx-request-id: cut-1\r\n\r\n")
    check(got.endswith(b"only this"), f"cut short stays short: {got}")
    line = last_access("client", "cut-1")
    check(line["response_flags"] == "UC" and line["response_code"] == 200, line)


def test_stale_connections_are_not_errors():
    c = Caller()
    for _ in range(40):  # the application closes after each answer without saying so
        for host in ("plain", "server"):
            status, body, _ = c("GET", "/then-close", host=host)
            check(status == 200, f"{host}: {status} {body}")


def test_caller_leaves():
    with socket.create_connection((CLIENT, OUT), 10) as s:
        s.sendall(b"GET /slow?s=5 HTTP/1.1\r\nHost: server\r\nx-request-id: left-1\r\n\r\n")
        wait_for_request(CLIENT)
    line = last_access("client", "left-1")
    check(line["response_flags"] == "DC" and line["response_code"] == 0, line)


def test_permissive_and_strict():
    h = seen_headers(ip=SERVER, port=IN, headers={"x-forwarded-client-cert": "By=liar",
                                                  "x-envoy-peer-metadata": "x"})
    check("x-forwarded-client-cert" not in h, f"plaintext cannot claim a certificate: {h}")
    check(raw(STRICT, IN, b"GET / HTTP/1.1\r\nHost: strict\r\n\r\n") == b"", "STRICT lets plaintext in")
    status, body, _ = call("GET", "/sink", host="strict")
    check(status == 200, f"mutual TLS to a STRICT workload: {status} {body}")


def mesh_tls(side, account):
    context = ssl.SSLContext(side)
    context.check_hostname = False
    context.load_verify_locations(f"{folder}/certs/{account}/root-cert.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(f"{folder}/certs/{account}/cert-chain.pem", f"{folder}/certs/{account}/key.pem")
    return context


METADATA, METADATA_ID = "x-envoy-peer-metadata", "x-envoy-peer-metadata-id"


def from_server_v1():
    _, body, _ = call("GET", "/stats/prometheus", ip=SERVER, port=PROM)
    return sum(int(line.rsplit(" ", 1)[1]) for line in body.decode().splitlines()
               if line.startswith("istio_requests_total") and 'source_workload="server-v1"' in line)


def test_a_caller_says_once_who_it_is():
    """As our sidecar does it, and as Istio's: who has not promised to remember is nobody without its headers."""
    def told(metadata, name):
        c.request("GET", "/sink", headers={"Host": "server"} | (
            {METADATA: metadata, METADATA_ID: name} if metadata else {}))
        r = c.getresponse()
        r.read()
        return r.getheader(METADATA), r.getheader(METADATA_ID, "")

    c = http.client.HTTPSConnection(SERVER, IN, timeout=20, context=mesh_tls(ssl.PROTOCOL_TLS_CLIENT, "client"))
    text, name = told("!", "a~tulle")  # cannot be read, so it is not remembered
    check(text and name.startswith("sidecar~") and not name.endswith("~tulle"), f"{text} {name}")
    before = from_server_v1()
    for metadata, mine, counts, answer in ((text, "a", 1, True), (None, "", 0, False), (text, "a~tulle", 1, True),
                                           (None, "", 1, False), (None, "", 1, False), (text, "a", 1, True),
                                           (None, "", 0, False)):
        got, name = told(metadata, mine)
        before += counts
        check((got is not None) == answer, f"{mine}: {got}")
        check(name.endswith("~tulle") == mine.endswith("~tulle"), f"{mine}: {name}")
        check(from_server_v1() == before, f"{mine}, {answer}: {from_server_v1()} from server-v1, want {before}")


def test_who_remembers_is_told_once():
    """A server that our sidecar calls: the last field of its answers' ids decides what it is told."""
    seen, answers = [], []

    class Peer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            seen.append(METADATA in self.headers and self.headers[METADATA_ID].endswith("~tulle"))
            self.send_response(200)
            for field, value in zip((METADATA, METADATA_ID), answers):
                self.send_header(field, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    httpd = http.server.ThreadingHTTPServer((PEER, IN), Peer)
    httpd.socket = mesh_tls(ssl.PROTOCOL_TLS_SERVER, "server").wrap_socket(httpd.socket, server_side=True)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    c = http.client.HTTPSConnection(SERVER, IN, timeout=20, context=mesh_tls(ssl.PROTOCOL_TLS_CLIENT, "client"))
    c.request("GET", "/sink", headers={"Host": "server", METADATA: "!", METADATA_ID: "a"})
    text = c.getresponse().getheader(METADATA)
    try:
        for answer, expected in (((), True), ((text, "a"), True), (("!", "a~tulle"), True), ((text, "a~tulle"), True),
                                 ((), False), ((), False), ((text, "a"), False), ((), True)):
            answers[:] = answer
            status, _, _ = call("GET", "/", host="peer")
            check(status == 200 and seen[-1] == expected, f"{answer}: {status} {seen}")
    finally:
        httpd.shutdown()
        httpd.server_close()


def test_gateway():
    h = seen_headers(ip=GATEWAY, port=GW, host="shop.example.com",
                     headers={"x-forwarded-for": "9.9.9.9", "x-forwarded-client-cert": "By=liar",
                              "x-request-id": "gw-1"})
    check(h["x-forwarded-for"].startswith("9.9.9.9, 127."), f"XFF: {h}")
    check("sa/gateway" in h["x-forwarded-client-cert"] and "liar" not in h["x-forwarded-client-cert"],
          f"XFCC: {h}")
    status, body, _ = call("GET", "/", host="other.example.com", ip=GATEWAY, port=GW)
    check(status == 404, f"unknown host: {status}")
    lines = [x for x in access("gateway", 3) if x["request_id"] == "gw-1"]
    check(len(lines) == 2, f"a gateway's request is two hops: {lines}")


def metric(ip, name):
    _, body, _ = call("GET", "/stats/prometheus", ip=ip, port=PROM)
    for line in body.decode().splitlines():
        if line.startswith(name + " "):
            return line.split()[1]
    return fail(f"no metric {name}")


def rss_kib(child):
    with open(f"/proc/{child.pid}/status", encoding="utf-8") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def check_memory(when):
    if at_rest > 12 * 1024:  # a sanitizer's own memory hides ours
        return
    for name in ("client", "server"):
        rss = rss_kib(children[name])
        check(rss < 16 * 1024, f"{name}: {rss} KiB {when}")


def test_operators_pages():
    status, body, _ = call("GET", "/healthz/ready", ip=CLIENT, port=READY)
    check(status == 200, f"ready: {status}")
    for path in ("/ready", "/clusters", "/config_dump", "/server_info", "/stats/prometheus"):
        status, body, _ = call("GET", path, ip=CLIENT, port=ADMIN)
        check(status == 200 and body, f"{path}: {status}")
        if path in ("/config_dump", "/server_info"):
            json.loads(body)
    check(call("GET", "/nothing", ip=CLIENT, port=ADMIN)[0] == 404, "404")
    check(call("POST", "/ready", ip=CLIENT, port=ADMIN)[0] == 405, "405")


def test_garbage():
    rubbish = (b"\x00" * 100, b"hello there\r\n\r\n", os.urandom(3000), b"\r\n" * 50000,
               b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200000 + b"\r\n\r\n",
               b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
               b"POST / HTTP/1.1\r\nHost: server\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
               b"GET / HTTP/1.1\r\nHost: server\r\nX: a\r\n b\r\n\r\n")
    for ip, port in ((CLIENT, OUT), (SERVER, IN), (GATEWAY, GW), (CLIENT, ADMIN), (CLIENT, READY),
                     (CLIENT, PROM)):
        for data in rubbish:
            if port == IN and data[:1] == b"\x16":
                continue
            got = raw(ip, port, data, shut=True)
            check(got == b"" or got.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431")),
                  f"{ip}:{port} {data[:40]}: {got[:200]}")
    check(b" 400 " in raw(CLIENT, OUT, b"hello there\r\n\r\n"), "400 is said")
    check(b" 431 " in raw(CLIENT, OUT, rubbish[5]), "431 is said")
    raw(SERVER, IN, b"\x16\x03\x01\x02\x00\x01" + b"\x00" * 600)
    check(call("GET", "/sink")[0] == 200, "and it lives")


def wait_for_request(ip):
    """The proxy has one in flight."""
    def is_active():
        text = call("GET", "/stats/prometheus", ip=ip, port=PROM)[1].decode()
        return any(line.startswith("tulle_proxy_requests_active") and line.split()[-1] == "1" for line in text.splitlines())
    support.wait_until("the request in flight", is_active)


def test_drain():
    results = []
    child = children["client"]
    held = socket.create_connection((CLIENT, OUT), 10)  # idle: must not hold the drain up (its timeout is a minute)

    def slow():
        results.append(call("GET", "/slow?s=1.5")[0])

    t = threading.Thread(target=slow)
    t.start()
    wait_for_request(CLIENT)
    child.may_end = True
    child.terminate()
    t.join()
    check(results == [200], f"a request in flight at SIGTERM: {results}")
    check(child.wait(10) == 0, f"exit status {child.returncode}")
    held.close()
    test_drain_can_call_out()


def test_drain_can_call_out():
    """While the server's sidecar drains, its application may call through it, outsiders may not."""
    results = []
    child = children["server"]
    t = threading.Thread(target=lambda: results.append(
        call("GET", "/slow?s=1.5", ip=SERVER, port=IN)[0]))
    t.start()
    wait_for_request(SERVER)
    child.may_end = True
    child.terminate()
    support.wait_until("draining", lambda: call("GET", "/healthz/ready", ip=SERVER, port=READY)[0] == 503)
    check(call("GET", "/sink", ip=SERVER, port=OUT, host="plain")[0] == 200, "no way out while draining")
    try:
        socket.create_connection((SERVER, IN), 2).close()
        fail("a draining sidecar takes new callers")
    except ConnectionRefusedError:
        pass
    t.join()
    check(results == [200] and child.wait(10) == 0, f"{results} {child.returncode}")


def test_usage():
    def status(*argv):
        return subprocess.run([PROXY, *argv], capture_output=True, text=True, timeout=20, check=False)
    check(status("--version").returncode == 0, "--version")
    check("--outbound-port" in status("--help").stdout, "--help")
    check(status("--no-such").returncode == 2, "unknown option")
    check(status("--app=nowhere").returncode == 2, "--app")
    broken = f"{folder}/certs/broken"
    os.makedirs(broken)
    for name, source in (("cert-chain.pem", "client"), ("key.pem", "server"), ("root-cert.pem", "client")):
        with open(f"{folder}/certs/{source}/{name}", "rb") as src, open(f"{broken}/{name}", "wb") as dst:
            dst.write(src.read())
    r = status(f"--certs={broken}", "--outbound-port=0", "--inbound-port=0", "--admin-port=0",
               "--readiness-port=0", "--prometheus-port=0")
    check(r.returncode == 2 and "key" in r.stderr, f"key of another certificate: {r.returncode} {r.stderr}")


make_config()
ca = make_ca()
for name in ("client", "server", "strict", "gateway"):
    mesh_cert(ca, f"{folder}/certs/{name}", name)
app = support.start("app", sys.executable, f"{HERE}/proxy_app.py", SERVER, APP)
children = {"client": start_proxy("client", CLIENT, "--drain-timeout=60s"), "server": start_proxy("server", SERVER),
            "strict": start_proxy("strict", STRICT), "liar": start_proxy("liar", LIAR, account="server"),
            "gateway": start_proxy("gateway", GATEWAY, role="gateway")}
wait_port(SERVER, APP, app)
for proxy, where in (("client", (CLIENT, OUT)), ("server", (SERVER, IN)), ("strict", (STRICT, IN)),
                     ("liar", (LIAR, IN)),
                     ("gateway", (GATEWAY, GW))):
    wait_port(*where, children[proxy])
at_rest = rss_kib(children["client"])
print({name: f"{rss_kib(child)} KiB" for name, child in children.items()})
wanted = sys.argv[2:]
for name, test in list(globals().items()):
    if name.startswith("test_") and name != "test_drain_can_call_out" and (not wanted or name in wanted):
        print("case:", name, flush=True)
        began = time.time()
        test()
        print(f"      {time.time() - began:.1f} s", flush=True)
        for other in children.values():
            check(other.poll() in (None, 0), f"{other.tulle_name} ended with {other.poll()}")
for child in children.values():
    check(support.stop(child) == 0, f"{child.tulle_name}: exit status {child.returncode}")
