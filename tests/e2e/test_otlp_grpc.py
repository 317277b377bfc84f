"""The collector's gRPC door with Debian's grpcio as exporter, and with frames that no exporter sends.
Usage: test_otlp_grpc.py TULLE_COLLECTOR ALS_GOLDEN. Exit status 77 (skipped) without grpcio."""
import datetime
import json
import random
import signal
import sys
import threading
import time

try:
    import grpc
    import hpack
except ImportError as missing:
    print(f"{missing.name} is missing (python3-grpcio, python3-hpack)")
    sys.exit(77)

import h2_raw
import otlp
import support
from support import check, get_json, http, stop, wait_until

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
ALS = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"
HEALTH = "/grpc.health.v1.Health/Check"
dice = random.Random(11)


def span(service_span="GET /", **more):
    now = time.time_ns()
    return {"trace_id": dice.randbytes(16).hex(), "span_id": dice.randbytes(8).hex(), "name": service_span, "kind": 2,
            "start": now - 10**6, "end": now, "attrs": {"http.response.status_code": 200}, **more}


def counter(c, name):
    text = http(c.base + "/metrics")[1].decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def caller(channel, path):
    return channel.unary_unary(path, request_serializer=None, response_deserializer=None)


def refused(channel, path, body, **more):
    try:
        caller(channel, path)(body, timeout=20, **more)
    except grpc.RpcError as e:
        return e
    return support.fail(f"{path}: {body[:40]!r} was taken")


def trace(c, trace_id):
    status, _ = http(f"{c.base}/api/v1/traces/{trace_id}")
    return status == 200


def test_exports(c, channel):
    for name, compression in (("plain", grpc.Compression.NoCompression), ("gzip", grpc.Compression.Gzip),
                              ("deflate", grpc.Compression.Deflate)):
        s = span(name)
        answer = caller(channel, TRACES)(otlp.traces_proto([s], {"service.name": f"cart-{name}"}), timeout=20,
                                         compression=compression)
        check(answer == b"", f"{name}: {answer!r}")
        check(trace(c, s["trace_id"]), f"{name}: not there after OK")
    empty = caller(channel, TRACES)(b"", timeout=20)
    check(empty == b"", f"an empty request: {empty!r}")


def test_records_become_edges(c, channel):
    record = {a["key"]: list(a["value"].values())[0] for a in
              support.access_record("web", "cart", 200)["attributes"]}
    body = otlp.logs_proto([otlp.access("source", time.time_ns(), **{
        k: v for k, v in record.items() if k != "reporter"})])
    check(caller(channel, LOGS)(body, timeout=20) == b"", "access records")
    wait_until("the edge", lambda: any(e["destination"]["service"] == "cart" for e in
                                       get_json(f"{c.base}/api/v1/graph?window=1m")["edges"]))


def fields_of(body):
    """The fields of a message in protobuf, each with its tag: all of them are length-delimited."""
    out, at = [], 0
    while at < len(body):
        begin, at, size, shift = at, at + 1, 0, 0
        while True:
            byte, at = body[at], at + 1
            size, shift = size | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                break
        at += size
        out.append(body[begin:at])
    return out


def test_access_log_stream(c, channel):
    """Envoy names its node once a stream; what comes later belongs to it all the same."""
    with open(sys.argv[2], "rb") as f:  # made with Envoy's own messages, see tests/golden/als.py
        whole = f.read()
    now = int(time.time())
    whole = whole.replace(otlp.varint(1767323045), otlp.varint(now))
    entries = b"".join(part for part in fields_of(whole) if part[0] >> 3 != 1)
    check(0 < len(entries) < len(whole) - 100, "the golden message has an identifier")
    stream = channel.stream_unary(ALS, request_serializer=None, response_deserializer=None)
    check(stream(iter([whole, entries, entries]), timeout=30) == b"", "the stream's answer")

    def seen():
        edges = get_json(f"{c.base}/api/v1/graph?from={(now - 60) * 10**9}&to={(now + 60) * 10**9}")["edges"]
        return {(e["source"]["service"], e["destination"]["service"]): (e["requests"], e["tls"]["state"])
                for e in edges if e["destination"]["service"] == "reviews"}

    want = {("productpage", "reviews"): (3, "mutual"), ("unknown", "reviews"): (3, "plaintext")}
    try:
        wait_until("both edges", lambda: seen() == want)
    except SystemExit:
        print(seen())
        raise
    try:
        stream(iter([whole, b"\x12\xff"]), timeout=30)
        support.fail("a broken message was taken")
    except grpc.RpcError as e:
        check(e.code() == grpc.StatusCode.INVALID_ARGUMENT and "byte" in e.details(), f"broken: {e}")
    wait_until("the message before it", lambda: seen()[("productpage", "reviews")][0] == 4)


def test_a_pod_may_use_either_door(c, channel):
    """The callee's line over gRPC tells whose its address is; the caller's line comes over HTTP."""
    now_ns = time.time_ns()
    stamp = datetime.datetime.fromtimestamp(now_ns / 1e9, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]

    def line(cluster, upstream, upstream_local, local, remote):
        return (f'[{stamp}Z] "GET / HTTP/1.1" 200 - via_upstream - "-" 10 20 5 4 "-" "curl/8.5" "id-1" "stock:9080" '
                f'"{upstream}" {cluster} {upstream_local} {local} {remote} - default\n')

    def node(ip, pod):
        return {"node_name": f"sidecar~{ip}~{pod}.shop~shop.svc.cluster.local", "log_name": "otel_envoy_accesslog"}

    called = line("inbound|9080||", "127.0.0.1:9080", "-", "10.46.1.27:9080", "10.46.1.23:37652")
    record = otlp.fixed64(1, now_ns) + otlp.message(5, otlp.text(1, called))
    resource = otlp.attributes(1, node("10.46.1.27", "stock-v1-6f7bf4bc8c-b9gvx"))
    body = otlp.message(1, otlp.message(1, resource) + otlp.message(2, otlp.message(2, record)))
    check(caller(channel, LOGS)(body, timeout=20) == b"", "the callee's line")
    calling = line("outbound|9080|v1|stock.shop.svc.cluster.local", "10.46.1.27:9080", "10.46.1.23:37652",
                   "10.0.45.1:9080", "10.46.1.23:46520")
    body = json.dumps({"resourceLogs": [{
        "resource": {"attributes": otlp.json_attributes(node("10.46.1.23", "basket-v1-545db77b95-wjtlq"))},
        "scopeLogs": [{"logRecords": [{"timeUnixNano": str(now_ns), "body": {"stringValue": calling}}]}]}]}).encode()
    check(http(c.otlp + "/v1/logs", body, {"Content-Type": "application/json"})[0] == 200, "the caller's line")
    wait_until("the edge between pods", lambda: ("basket-v1", "stock-v1") in {
        (e["source"]["workload"], e["destination"]["workload"])
        for e in get_json(f"{c.base}/api/v1/edges?window=1m")["edges"]})


def test_partial_success(c, channel):
    good, bad = span("good"), span("bad")
    bad["trace_id"] = "00" * 16
    answer = caller(channel, TRACES)(otlp.traces_proto([bad, good], {"service.name": "partly"}), timeout=20)
    check(b"byte" in answer and answer[:1] == b"\x0a", f"partial success: {answer!r}")
    check(trace(c, good["trace_id"]), "the good one is kept")


def test_refusals(c, channel):
    e = refused(channel, TRACES, b"\x0a\xff\xff")
    check(e.code() == grpc.StatusCode.INVALID_ARGUMENT and "byte" in e.details(), f"malformed: {e}")
    e = refused(channel, METRICS, b"")
    check(e.code() == grpc.StatusCode.UNIMPLEMENTED and "no method" in e.details(), f"metrics: {e}")
    e = refused(channel, TRACES, b" " * (9 << 20))
    check(e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "limit" in e.details(), f"too large: {e}")
    check(not any(k == "grpc-status-details-bin" for k, _ in e.trailing_metadata()), "must not be sent again")
    e = refused(channel, TRACES, otlp.traces_proto([span()], {"a": " " * (40 << 20)}), compression=grpc.Compression.Gzip)
    check(e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, f"a bomb: {e}")
    check(counter(c, "tulle_collector_grpc_calls_refused_total") > 0, "counted")
    answer = caller(channel, HEALTH)(b"", timeout=20)
    check(answer == b"\x08\x01", f"health: {answer!r}")


def prefixed(body, flag=0):
    return bytes([flag]) + len(body).to_bytes(4, "big") + body


def fields(path, content_type="application/grpc", method="POST"):
    return [(":method", method), (":scheme", "http"), (":authority", "collector"), (":path", path),
            ("content-type", content_type), ("te", "trailers")]


def answer_to(c, head, body):
    """The first head of the answer."""
    h = h2_raw.H2("127.0.0.1", c.grpc_port)
    stream = h.head(head, is_end=not body)
    if body:
        h.send(h2_raw.DATA, h2_raw.END_STREAM, stream, body)
    try:
        for kind, _, of, payload in h.frames(10):
            if kind == h2_raw.HEADERS and of == stream:
                return dict(hpack.Decoder().decode(payload))
    finally:
        h.close()
    return {}


def test_frames_no_exporter_sends(c, _channel):
    message = otlp.traces_proto([span()], {"service.name": "raw"})
    cases = [
        ("a first byte of 2", fields(TRACES), prefixed(message, 2), "13", "first byte is 2"),
        ("compressed without a coding", fields(TRACES), prefixed(message, 1), "13", "names no coding"),
        ("cut short", fields(TRACES), prefixed(message)[:-3], "13", "inside a message"),
        ("cut in the prefix", fields(TRACES), b"\0\0\0", "13", "inside a message"),
        ("no message", fields(TRACES), b"", "13", "without a message"),
        ("two messages", fields(TRACES), prefixed(message) * 2, "12", "more than one"),
        ("another coding", fields(TRACES) + [("grpc-encoding", "br")], prefixed(message), "12", "gzip and deflate"),
        ("no gzip", fields(TRACES) + [("grpc-encoding", "gzip")], prefixed(message, 1), "3", "decompressing"),
    ]
    for name, head, body, status, why in cases:
        answer = answer_to(c, head, body)
        check(answer.get(":status") == "200" and answer.get("grpc-status") == status and
              why in answer.get("grpc-message", "").replace("%20", " "), f"{name}: {answer}")
    for name, head, status in (("a GET", fields(TRACES, method="GET"), "405"),
                               ("JSON", fields(TRACES, "application/json"), "415")):
        answer = answer_to(c, head, b"")
        check(answer.get(":status") == status and "grpc-status" not in answer, f"{name}: {answer}")
    check(http(c.base + "/healthz")[0] == 200, "still there")


def test_many_at_once(c, channel):
    export, ids = caller(channel, TRACES), []
    futures = []
    for _ in range(300):
        s = span("many")
        ids.append(s["trace_id"])
        futures.append(export.future(otlp.traces_proto([s], {"service.name": "many"}), timeout=60))
    for f in futures:
        check(f.result() == b"", "an export among many")
    for trace_id in ids:
        check(trace(c, trace_id), "acknowledged and there")


def test_kill(c, channel):
    """What was acknowledged is there after kill -9."""
    acked, stopping = [], threading.Event()

    def export():
        while not stopping.is_set():
            s = span("kill")
            try:
                caller(channel, TRACES)(otlp.traces_proto([s], {"service.name": "kill"}), timeout=5)
            except grpc.RpcError:
                return
            acked.append(s["trace_id"])

    threads = [threading.Thread(target=export) for _ in range(4)]
    for t in threads:
        t.start()
    wait_until("some exports", lambda: len(acked) > 100)
    c.child.may_end = True
    stop(c.child, signal.SIGKILL)
    stopping.set()
    for t in threads:
        t.join()
    c.start()
    for trace_id in acked:
        check(trace(c, trace_id), "acknowledged before kill -9 and lost")
    print(f"      {len(acked)} acknowledged exports survived")


def test_end(c, _channel):
    """SIGTERM: calls are answered or refused, none hangs, and the collector ends cleanly."""
    channel = grpc.insecure_channel(f"127.0.0.1:{c.grpc_port}")
    grpc.channel_ready_future(channel).result(timeout=20)
    codes = []

    def export():
        while True:
            try:
                caller(channel, TRACES)(otlp.traces_proto([span("end")], {"service.name": "end"}), timeout=20)
            except grpc.RpcError as e:
                codes.append(e.code())
                return

    t = threading.Thread(target=export)
    t.start()
    time.sleep(0.3)
    c.child.may_end = True
    check(stop(c.child) == 0, "a clean end")
    t.join()
    check(codes and codes[0] == grpc.StatusCode.UNAVAILABLE, f"{codes}")


def main():
    c = support.Collector(sys.argv[1])
    channel = grpc.insecure_channel(f"127.0.0.1:{c.grpc_port}", options=[("grpc.max_send_message_length", 64 << 20)])
    for test in (test_exports, test_records_become_edges, test_access_log_stream, test_a_pod_may_use_either_door,
                 test_partial_success, test_refusals, test_frames_no_exporter_sends, test_many_at_once, test_kill,
                 test_end):
        print(f"case: {test.__name__}", flush=True)
        test(c, channel)
    channel.close()


main()
