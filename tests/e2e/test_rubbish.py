"""test_rubbish.py COLLECTOR [PROXY APP] - wrong bytes on every port: refused, counted, survived.

The bytes come from a generator with a fixed seed, so a failure comes again. After each kind of rubbish
a right request must still be answered, by the same process.
"""
import gzip
import json
import random
import socket
import sys

import support
from support import check, http, wait_until

dice = random.Random(20260102)
KINDS = [
    ("nothing", lambda: b""),
    ("random bytes", lambda: dice.randbytes(dice.randrange(1, 3000))),
    ("random text", lambda: bytes(dice.randrange(32, 127) for _ in range(500)) + b"\r\n\r\n"),
    ("a TLS hello", lambda: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + dice.randbytes(300)),
    ("HTTP/2", lambda: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + dice.randbytes(60)),
    ("half a head", lambda: b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Le"),
    ("two lengths", lambda: b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                            b"Content-Length: 6\r\n\r\nhello"),
    ("length and chunks", lambda: b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                                  b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("bad chunk", lambda: b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
                          b"Content-Type: application/json\r\n\r\nzz\r\n"),
    ("endless head", lambda: b"GET / HTTP/1.1\r\n" + b"X-Long: " + b"y" * 200_000),
    ("a NUL in the head", lambda: b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n"),
]


def throw(host, port, data):
    """What came back, at most 64 KiB; closing or resetting is an answer too."""
    got = b""
    with socket.create_connection((host, port), 5) as s:
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            s.settimeout(5)
            while len(got) < 65536:
                piece = s.recv(8192)
                if not piece:
                    break
                got += piece
        except OSError:
            pass
    return got


def is_h2_refusal(answer):
    """Frames of a server that was asked nothing: SETTINGS and perhaps why it ends, but no response."""
    types, at = [], 0
    while at + 9 <= len(answer):
        types.append(answer[at + 3])
        at += 9 + int.from_bytes(answer[at:at + 3], "big")
    SETTINGS, GOAWAY = 4, 7
    return at == len(answer) and types[:1] == [SETTINGS] and set(types) <= {SETTINGS, GOAWAY}


def throw_everything(name, host, port, still_well):
    for kind, make in KINDS:
        for _ in range(3):
            answer = throw(host, port, make())
            line = answer.split(b"\r\n")[0]
            is_tls_alert = answer[:1] == b"\x15"
            is_refused = kind == "HTTP/2" and is_h2_refusal(answer)
            check(not answer or is_tls_alert or is_refused or line.split(b" ")[1:2] and line.split(b" ")[1][:1] in b"45",
                  f"{name}, {kind}: answered {answer[:200]!r}")
        check(still_well(), f"{name} does not answer any more after: {kind}")
    print(f"{name}: fine")


def reasons(collector):
    """Bytes that are no HTTP get a status, a reason and an offset on the query port too."""
    for data, status, at in ((b"GET\r\n\r\n", 400, 3), (b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 400, 23),
                             (b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"y" * 70_000, 431, None),
                             (b"GET / HTTP/1.1\r\nHo", 400, 18)):
        answer = throw("127.0.0.1", collector.http_port, data)
        head, _, body = answer.partition(b"\r\n\r\n")
        check(head.split(b" ")[1:2] == [str(status).encode()], f"{data[:40]!r}: {answer[:200]!r}")
        text = json.loads(body)["error"]["message"]
        check(at is None or f"byte {at}:" in text, f"{data[:40]!r}: {text}")


def refusals(collector):
    """What section and issue promise: status, reason and offset, as JSON."""
    j = {"Content-Type": "application/json"}
    p = {"Content-Type": "application/x-protobuf"}
    cases = [
        ("/v1/traces", b'{"resourceSpans": [}', j, 400), ("/v1/traces", b"\x0a\xff\xff", p, 400),
        ("/v1/logs", b"[]", j, 400), ("/v1/logs", b"\xff\xff\xff\xff", p, 400),
        ("/v1/traces", b"{}", {"Content-Type": "text/plain"}, 415),
        ("/v1/traces", b"no gzip", dict(j, **{"Content-Encoding": "gzip"}), 400),
        ("/v1/traces", b"{}", dict(j, **{"Content-Encoding": "br"}), 415),
        ("/v1/nothing", b"{}", j, 404),
        ("/v1/traces", b" " * (80 << 20), j, 413),
        ("/v1/traces", gzip.compress(b" " * (300 << 20)), dict(j, **{"Content-Encoding": "gzip"}), 413),
    ]
    for path, body, headers, want in cases:
        try:
            status, answer = http(collector.otlp + path, body, headers)
        except OSError:
            status, answer = (413, b'{"message":"closed"}') if want == 413 and len(body) > 1 << 20 else (0, b"")
        what = f"{path} {headers} {body[:30]!r}"
        check(status == want, f"{what}: {status}, want {want}: {answer[:300]!r}")
        if headers.get("Content-Type") != "application/x-protobuf":
            check(json.loads(answer).get("message"), f"{what}: no reason in {answer[:300]!r}")
    for path in ("/nothing", "/api/v1/nothing", "/api/v1/edges?nonsense=1"):
        status, answer = http(collector.base + path)
        check(status in (400, 404) and "error" in json.loads(answer), f"{path}: {status} {answer!r}")


def counter(collector, name):
    text = http(collector.base + "/metrics")[1].decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def start_sidecar(collector, proxy, app):
    net = "127.1.78.1"
    support.start("app", app, f"--listen={net}:9080", "/ ms=0")
    support.start("proxy", proxy, "--role=sidecar", f"--config={support.folder}",
                  f"--collector={collector.otlp}", "--workload=app-v1", "--namespace=default",
                  "--service-account=app", f"--listen={net}", f"--app={net}:9080")
    wait_until("the sidecar", lambda: http(f"http://{net}:15021/healthz/ready")[0] == 200)
    wait_until("the application", lambda: http(f"http://{net}:9080/")[0] == 200)
    for name, port in (("inbound", 15006), ("outbound", 15001), ("readiness", 15021),
                       ("prometheus", 15090)):
        throw_everything(name, net, port,
                         lambda: http(f"http://{net}:15006/")[0] == 200)


def main():
    collector = support.Collector(sys.argv[1])
    throw_everything("otlp/http", "127.0.0.1", collector.otlp_port, lambda: support.send_records(
        collector, [support.access_record("a", "b", 200)])[0] == 200)
    refused = counter(collector, "tulle_collector_query_malformed_total")
    throw_everything("query", "127.0.0.1", collector.http_port,
                     lambda: http(collector.base + "/healthz")[0] == 200)
    check(counter(collector, "tulle_collector_query_malformed_total") - refused >= 20, "refusals counted")
    reasons(collector)
    before = counter(collector, "tulle_collector_exports_total{outcome=\"malformed\"}")
    refusals(collector)
    after = counter(collector, "tulle_collector_exports_total{outcome=\"malformed\"}")
    check(after - before >= 4, f"malformed exports counted: {before} then {after}")
    if len(sys.argv) > 3:
        start_sidecar(collector, sys.argv[2], sys.argv[3])
    for child in support.children:
        check(child.poll() is None, f"{child.tulle_name} died")
        check(support.stop(child) == 0, f"{child.tulle_name} did not end cleanly")


main()
