"""The OTLP/HTTP door of a real collector: every spelling, every refusal, and the promise that what
was acknowledged is there after kill -9 and after SIGTERM.

    python3 test_ingest.py build/bin/tulle-collector
"""
import gzip
import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
import zlib

import otlp
from support import http as ask
from support import Collector, access_record, check, folder, free_ports, get_json, log_of, start, stop, wait_until

PROTO = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json; charset=utf-8"}


def trace_id():
    return os.urandom(15).hex() + "01"


def span_id():
    return os.urandom(7).hex() + "01"


def a_span(trace, **more):
    now = time.time_ns()
    return {"trace_id": trace, "span_id": span_id(), "start": now - 5_000_000, "end": now, **more}


def spans_of(collector, trace):
    status, body = ask(f"{collector.base}/api/v1/traces/{trace}")
    return json.loads(body)["spans"] if status == 200 else []


def tally(collector, name):
    text = ask(collector.base + "/metrics")[1].decode()
    for line in text.splitlines():
        if line.startswith("tulle_collector_" + name + " "):
            return int(line.split()[-1])
    raise KeyError(name)


def nested(depth):
    value = "x"
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}
    return value


def spellings(c):
    """One span with everything, sent in each spelling, is the same span."""
    full = dict(name="GET /cart", kind=2, parent_id=span_id(), trace_state="congo=t61", flags=257,
                attrs={"s": "naïve \"q\"\n", "i": -7, "b": True, "d": 0.25, "l": ["a", 1, None], "y": b"\x00\xff",
                       "m": {"k": {"deep": 1}}, "deepest": nested(32)},
                events=[{"time": 5, "name": "exception", "attrs": {"type": "IOError"}}],
                links=[{"trace_id": trace_id(), "span_id": span_id()}],
                status={"code": 2, "message": "gone"})
    one = a_span("", **full)
    ways = {
        "protobuf": lambda s: (otlp.traces_proto([s]), PROTO),
        "json": lambda s: (otlp.traces_json([s]), JSON),
        "protobuf+gzip": lambda s: (gzip.compress(otlp.traces_proto([s])), {**PROTO, "Content-Encoding": "gzip"}),
        "json+gzip in two members": lambda s: (
            gzip.compress(otlp.traces_json([s])[:99]) + gzip.compress(otlp.traces_json([s])[99:]),
            {**JSON, "Content-Encoding": "gzip"}),
        "protobuf+deflate": lambda s: (zlib.compress(otlp.traces_proto([s])), {**PROTO, "Content-Encoding": "deflate"}),
    }
    seen = {}
    for way, encode in ways.items():
        trace = trace_id()
        body, headers = encode({**one, "trace_id": trace})
        status, answer = ask(c.otlp + "/v1/traces", body, headers)
        check(status == 200 and answer in (b"", b"{}"), f"{way}: {status} {answer!r}")
        spans = spans_of(c, trace)  # a 200 means committed, so it is there now
        check(len(spans) == 1, f"{way}: {len(spans)} spans")
        seen[way] = spans[0]
    first = seen["protobuf"]
    for way, span in seen.items():
        check(span == first, f"{way} differs: {span} != {first}")
    check(len(first["attributes"]) == len(full["attrs"]) and first["events"] and first["links"], f"lost: {first}")


def refusals(c):
    good = a_span(trace_id())
    body = otlp.traces_proto([good])
    cases = [
        ("cut short", body[:-3], PROTO, 400, b"announced"),
        ("not protobuf", b"hello, world", PROTO, 400, b"byte "),
        ("not json", b'{"resourceSpans":[}', JSON, 400, b"byte 18: '}' found"),
        ("empty json", b"", JSON, 400, b"byte 0"),
        ("type", body, {"Content-Type": "text/plain"}, 415, b"text/plain"),
        ("no type", body, {"Content-Type": ""}, 415, b"Content-Type"),
        ("coding", body, {**PROTO, "Content-Encoding": "br"}, 415, b"Content-Encoding"),
        ("not gzip", body, {**PROTO, "Content-Encoding": "gzip"}, 400, b"gzip"),
        ("bomb", gzip.compress(b"\0" * 40_000_000), {**PROTO, "Content-Encoding": "gzip"}, 413, b"limit"),
    ]
    for name, data, headers, want, part in cases:
        status, answer = ask(c.otlp + "/v1/traces", data, headers)
        check(status == want and part in answer, f"{name}: {status} {answer!r}")
    for path, method, want in (("/nope", "POST", 404), ("/v1/metrics", "POST", 404), ("/v1/traces", "GET", 405),
                               ("/v1/logs", "PUT", 405)):
        status, answer = ask(c.otlp + path, b"x" if method != "GET" else None, JSON, method)
        check(status == want and "message" in json.loads(answer), f"{method} {path}: {status} {answer!r}")
    status, answer = ask(c.otlp + "/v1/traces", otlp.traces_json([good, a_span("abcd"), a_span(trace_id())]), JSON)
    check(status == 200 and json.loads(answer)["partialSuccess"]["rejectedSpans"] == "1", f"partial: {answer!r}")
    check(len(spans_of(c, good["trace_id"])) == 1, "the good span beside a bad one is missing")


def too_large(c):
    conn = http.client.HTTPConnection("127.0.0.1", c.otlp_port, timeout=10)
    conn.putrequest("POST", "/v1/traces")
    conn.putheader("Content-Type", "application/x-protobuf")
    conn.putheader("Content-Length", str(9 << 20))
    conn.endheaders()
    conn.send(b"x" * 1000)  # the answer does not wait for the rest
    answer = conn.getresponse()
    check(answer.status == 413 and answer.getheader("Connection") == "close", f"413: {answer.status}")
    conn.close()


def raw(c, data, until, seconds=10):
    with socket.create_connection(("127.0.0.1", c.otlp_port), timeout=seconds) as s:
        s.sendall(data)
        got = b""
        while not until(got):
            part = s.recv(65536)
            if not part:
                break
            got += part
        return got


def http_liberties(c):
    """Pipelined requests are answered in order; chunked bodies and Expect work; rubbish is told."""
    def request(body, kind):
        return (b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: " + kind.encode()
                + b"\r\nContent-Length: %d\r\n\r\n" % len(body)) + body
    trace = trace_id()
    three = (request(otlp.traces_json([a_span(trace)]), "application/json")
             + request(b"rubbish", "application/json")
             + request(otlp.traces_proto([a_span(trace)]), "application/x-protobuf"))
    got = raw(c, three, lambda g: g.count(b"HTTP/1.1 ") == 3 and g.endswith(b"\r\n\r\n"))
    codes = [part[:3] for part in got.split(b"HTTP/1.1 ")[1:]]
    check(codes == [b"200", b"400", b"200"], f"pipelined: {codes}")
    check(len(spans_of(c, trace)) == 2, "pipelined spans")
    body = otlp.traces_proto([a_span(trace)])
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 40]), body[i:i + 40]) for i in range(0, len(body), 40))
    head = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
    got = raw(c, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n", lambda g: b"\r\n\r\n" in g)
    check(got.startswith(b"HTTP/1.1 200"), f"chunked: {got!r}")
    got = raw(c, head + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", lambda g: b"\r\n\r\n" in g)
    check(got == b"HTTP/1.1 100 Continue\r\n\r\n", f"expect: {got!r}")
    got = raw(c, head.replace(b"POST", b"GET") + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n", lambda g: False)
    check(got.startswith(b"HTTP/1.1 405"), f"expect refused: {got!r}")
    got = raw(c, b"\x16\x03\x01 not http at all\r\n\r\n", lambda g: False)
    check(got.startswith(b"HTTP/1.1 400"), f"rubbish: {got!r}")
    got = raw(c, b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20000 + b"\r\n\r\n", lambda g: False)
    check(got.startswith(b"HTTP/1.1 431"), f"long head: {got[:100]!r}")


def impatient(c):
    """Far more pipelined requests than any buffer holds, answers read late: each is answered."""
    wanted = 20_000
    with socket.create_connection(("127.0.0.1", c.otlp_port), timeout=20) as s:
        request = b"POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        sender = threading.Thread(target=s.sendall, args=(request * wanted,), daemon=True)
        sender.start()
        answers, rest = 0, b""
        while answers < wanted:
            part = s.recv(1 << 16)
            check(part, f"closed after {answers} of {wanted} answers")
            rest += part
            answers += rest.count(b"HTTP/1.1 404")
            rest = rest[-11:]  # shorter than what is counted
        sender.join()


def counted_once(c):
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [access_record("a", "b", 200)] * 3}]}]}).encode()
    for _ in range(3):
        status, _ = ask(c.otlp + "/v1/logs", body, {**JSON, "Idempotency-Key": "batch-1"})
        check(status == 200, f"keyed export: {status}")
    check(tally(c, 'exports_total{outcome="duplicate"}') == 2, "duplicates by key")
    edges = wait_until("the edge", lambda: get_json(c.base + "/api/v1/edges")["edges"])
    requests = [e["requests"] for e in edges if e["destination"]["service"] == "b"]
    check(requests == [3], f"requests of a repeated export: {requests}")


class Senders:
    """Threads that send traces and remember what was acknowledged."""

    def __init__(self, c, threads=3):
        self.acked, self.stopping, self.port = [], False, c.otlp_port
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def run(self):
        while not self.stopping:
            conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                while not self.stopping:
                    trace = trace_id()
                    conn.request("POST", "/v1/traces", otlp.traces_proto([a_span(trace), a_span(trace)]), PROTO)
                    answer = conn.getresponse()
                    answer.read()
                    if answer.status == 200:
                        self.acked.append(trace)
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
            finally:
                conn.close()

    def stop(self):
        self.stopping = True
        for t in self.threads:
            t.join()


def nothing_lost(c, sig, want_status):
    """Ends the collector in the middle of a stream of exports; what was acknowledged is there."""
    senders = Senders(c)
    wait_until("some acknowledged exports", lambda: len(senders.acked) > 150)
    c.child.may_end = True
    status = stop(c.child, sig)
    check(status == want_status, f"exit status {status} after {sig.name}")
    senders.stop()
    c.start()
    missing = [t for t in senders.acked if len(spans_of(c, t)) != 2]
    check(not missing, f"{sig.name}: {len(missing)} of {len(senders.acked)} acknowledged traces are missing")
    print(f"{sig.name}: {len(senders.acked)} acknowledged traces, all there")


def overload(program):
    """A bound on bytes in flight answers 429 and recovers."""
    c = Collector(program, "--store", "memory:", "--max-body", "1MiB", "--max-inflight", "1MiB")
    holder = socket.create_connection(("127.0.0.1", c.otlp_port))
    holder.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                   b"Content-Length: 1000000\r\n\r\n" + b" " * 900_000)
    wait_until("the bytes in flight", lambda: tally(c, "inflight_bytes") >= 900_000)
    conn = http.client.HTTPConnection("127.0.0.1", c.otlp_port, timeout=10)
    body = otlp.traces_proto([a_span(trace_id(), attrs={"fill": "x" * 300_000})])
    conn.request("POST", "/v1/traces", body, PROTO)
    answer = conn.getresponse()
    answer.read()
    check(answer.status == 429 and answer.getheader("Retry-After") == "1", f"overload: {answer.status}")
    holder.close()
    wait_until("the bytes to be given back", lambda: tally(c, "inflight_bytes") == 0)
    conn.request("POST", "/v1/traces", body, PROTO)  # the same connection goes on
    answer = conn.getresponse()
    check(answer.status == 200, f"after overload: {answer.status}")
    check(stop(c.child) == 0, "exit status of the overloaded collector")


def full_disk(program):
    """A disk that takes no more: 503, not ready, nothing acknowledged is lost; room again: it goes on."""
    limited = os.path.join(folder, "limited")
    with open(limited, "w", encoding="utf-8") as f:
        f.write(f'#!/bin/sh\nulimit -f 2000\nexec "{os.path.abspath(program)}" "$@"\n')  # about a mebibyte
    os.chmod(limited, 0o755)
    c = Collector(limited, "--data", os.path.join(folder, "full"))
    conn = http.client.HTTPConnection("127.0.0.1", c.otlp_port, timeout=10)
    acked, refused = [], 0
    for _ in range(2000):
        trace = trace_id()
        body = otlp.traces_proto([a_span(trace, attrs={"fill": os.urandom(4000).hex()}) for _ in range(4)])
        conn.request("POST", "/v1/traces", body, PROTO)
        answer = conn.getresponse()
        answer.read()
        if answer.status == 200:
            acked.append(trace)
        else:
            check(answer.status == 503 and answer.getheader("Retry-After"), f"full disk: {answer.status}")
            refused += 1
            if refused == 3:
                break
    check(refused == 3 and acked, f"full disk: {len(acked)} acknowledged, {refused} refused")
    check(ask(c.base + "/readyz")[0] == 503, "ready with a full disk")
    missing = [t for t in acked if len(spans_of(c, t)) != 4]
    check(not missing, f"full disk: {len(missing)} of {len(acked)} missing")
    c.child.may_end = True
    stop(c.child, signal.SIGKILL)
    c.program = program
    c.start()
    missing = [t for t in acked if len(spans_of(c, t)) != 4]
    check(not missing, f"full disk, after: {len(missing)} of {len(acked)} missing")
    status, _ = ask(c.otlp + "/v1/traces", otlp.traces_proto([a_span(trace_id())]), PROTO)
    check(status == 200, f"full disk, after: {status}")
    c.child.may_end = True
    check(stop(c.child) == 0, "exit status after the full disk")


def usage(program, c):
    port = free_ports(1)[0]
    for options, want, part in ((["--nope"], 2, "unknown option"), (["--max-body", "0"], 2, "--max-body"),
                                (["--data", os.path.dirname(program) + "/no/such/folder"], 1, "no/such/folder"),
                                (["--store", "memory:", "--http-port", port, "--otlp-http-port", c.otlp_port], 1,
                                 "in use")):
        child = start("usage", program, *options)
        child.may_end = True
        status = child.wait(10)
        with open(log_of("usage"), encoding="utf-8") as f:
            said = f.read()
        check(status == want and part in said, f"{options}: {status} {said}")


def main():
    program = sys.argv[1]
    c = Collector(program)
    spellings(c)
    refusals(c)
    too_large(c)
    http_liberties(c)
    impatient(c)
    counted_once(c)
    usage(program, c)
    nothing_lost(c, signal.SIGKILL, -signal.SIGKILL)
    nothing_lost(c, signal.SIGTERM, 0)
    c.child.may_end = True
    check(stop(c.child) == 0, "exit status")
    full_disk(program)
    overload(program)
    print("ingest: all said and done")


if __name__ == "__main__":
    main()
