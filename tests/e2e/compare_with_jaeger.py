"""The same spans to Jaeger itself and to a collector, the same questions to both: where do the answers differ?

    python3 compare_with_jaeger.py build/bin/tulle-collector JAEGER

By hand, for nobody has Jaeger's program at hand by chance: it takes ten minutes to build from its module
(go get -tool github.com/jaegertracing/jaeger/cmd/jaeger@v1.76.0; go build -o JAEGER github.com/jaegertracing/jaeger/cmd/jaeger). Jaeger is told
nothing and so takes its usual ports of 127.0.0.1; run both in a network namespace of their own. What differs and is meant to is in MEANT.
"""
import json
import re
import sys
import time
import urllib.parse

import otlp
from support import Collector, check, http, start, wait_until

JAEGER, JAEGER_OTLP = "http://127.0.0.1:16686", "http://127.0.0.1:4318"
MS = 1_000_000
NOW = time.time_ns() // 1000 * 1000
SECOND_US = 1_000_000
TRACE, SHORT, BAD = "0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000abc", "1bf7651916cd43dd8448eb211c80319d"
START, END = NOW // 1000 - 3600 * SECOND_US, NOW // 1000 + 3600 * SECOND_US

# Differences that are meant: question, line of the difference (regular expressions), why.
MEANT = (
    (r"^/api/(quality-metrics|deep-dependencies)", r"", "a sample that is part of Jaeger's program"),
    (r"^/api/metrics/", r"", "Jaeger needs a Prometheus of its own for these; ours answers"),
    (r"^/(api/|api/nothing|api/v3/nothing|api/v3/dependencies.*|search)$", r"", "Jaeger answers with its page"),
    (r"", r"\.(msg|message): ", "the words of an error are ours; they say what was wanted"),
    (r"", r"\.flags: only ours has 1", "flags that came over OTLP are kept"),
    (r"", r"startTime: |\.warnings(\[\d\])?: .*(clock skew|not in the trace|were adjusted)", "Jaeger's skew adjustment is off by default"),
    (r"/traces", r"Negative duration detected|endTimeUnixNano: .*001\" \|", "a span may take no time; Jaeger makes it a nanosecond"),
    (r"raw=true", r"spans: 5 items, ours 6", "a span sent twice is stored twice; raw shows it"),
    (r"/api/v3/traces", r"resourceSpans: (3 items, ours 2|5 items, ours 4)", "one resource, one entry"),
    (r"/api/v3/traces", r"only ours has (0|\"\")$|attributes: only Jaeger has \[\]", "what is empty may be there or not"),
    (r"/api/traces/0+(\?|$)|/api/v3/traces/0+(\?|$)", r"", "an id of zeros is no id: 400"),
    (r"spanKind=nonsense|/api/v3/operations$|limit=(0|-1)|lookback=-1", r"", "a bad parameter is a 400, not an empty answer or a 500"),
    (r"^/api/traces\?service=cart&start=\d+&end=\d+$", r"status 200 \| ours 400|\.data: \[\] \||\.errors: null", "start behind end"),
    (r"^/api/traces$", r"", "ours searches without a service too"),
    (r"traceID=f", r"code: only ours has 404", "the error of a missing trace has a code"),
    (r"span.kind", r"data: 0 items", "span.kind is the span's kind"),
    (r"^/api/services/nobody", r"null \| ours \[\]", "no operations: an empty list"),
    (r"^/api/dependencies", r"\.data: (4|2) items, ours 1", "a span inside its own service is no call"),
    (r"^/api/v3/operations.*night", r"", "an operation without a name is one"),
    (r"^/api/v3/traces.*attributes=%7B$", r"", "bad JSON is a bad parameter"),
)


def spans():
    root = dict(trace_id=TRACE, span_id="00000000000000a1", name="GET /cart", kind=2, start=NOW - 900 * MS,
                end=NOW - 800 * MS, flags=1, trace_state="a=b", status={"code": 2, "message": "no stock"},
                attrs={"http.response.status_code": 503, "big": 2 ** 60, "ok": False, "ratio": 0.5, "whole": 2.0,
                       "list": ["x", 1], "map": {"a": {"b": [1]}}, "raw": b"\x00\x01", "none": "", "ip": 0x7F000001,
                       "text": "<b>&\"\u2028é"},
                events=[{"time": NOW - 850 * MS, "name": "retry", "attrs": {"n": 2}},
                        {"time": NOW - 849 * MS, "name": "named", "attrs": {"event": "other"}}])
    call = dict(trace_id=TRACE, span_id="00000000000000a2", parent_id="00000000000000a1", name="stock.get", kind=3,
                start=NOW - 890 * MS, end=NOW - 810 * MS, status={"code": 1})
    queue = dict(trace_id=TRACE, span_id="00000000000000a3", parent_id="00000000000000a1", name="orders send", kind=4,
                 start=NOW - 880 * MS, end=NOW - 879 * MS,
                 links=[{"trace_id": TRACE, "span_id": "00000000000000a1"}])
    yield "cart", {"host.name": "n1", "ip": "10.0.0.1"}, [root, call, queue]
    late = dict(trace_id=TRACE, span_id="00000000000000b1", parent_id="00000000000000a2", name="get", kind=2,
                start=NOW + 1120 * MS, end=NOW + 1180 * MS,
                links=[{"trace_id": SHORT, "span_id": "00000000000000ff"},
                       {"trace_id": BAD, "span_id": "00000000000000fe", "attrs": {"opentracing.ref_type": "child_of"}}])
    taken = dict(trace_id=TRACE, span_id="00000000000000b2", parent_id="00000000000000a3", name="orders receive", kind=5,
                 start=NOW - 870 * MS, end=NOW - 600 * MS)
    yield "stock", {"host.name": "n2"}, [late, taken]
    yield "stock", {"host.name": "n2"}, [late]  # a retried export
    yield "night shift/1", {}, [
        dict(trace_id=SHORT, span_id="0000000000000001", name="sweep & mop", kind=1, start=NOW - 50 * MS,
             end=NOW - 20 * MS, attrs={"code": "503"}),
        dict(trace_id=SHORT, span_id="0000000000000002", parent_id="0000000000000001", name="", kind=0,
             start=NOW - 40 * MS, end=NOW - 40 * MS)]
    yield "alone", {}, [
        dict(trace_id=BAD, span_id="00000000000000c1", parent_id="00000000000000cc", name="orphan", kind=2,
             start=NOW - 300 * MS, end=NOW - 299 * MS, attrs={"error": True}),
        dict(trace_id=BAD, span_id="00000000000000c2", parent_id="00000000000000c1", name="child outlives", kind=1,
             start=NOW - 299 * MS, end=NOW - 100 * MS)]


def questions():
    """Paths and queries that Jaeger's page, Grafana and people ask; right and wrong ones."""
    def q(path, **params):
        text = urllib.parse.urlencode(params, doseq=True)
        return path + ("?" + text if text else "")
    yield "/api/services"
    for service in ("cart", "stock", "night shift/1", "nobody"):
        yield f"/api/services/{urllib.parse.quote(service, safe='')}/operations"
        yield q("/api/operations", service=service)
        yield q("/api/v3/operations", service=service)
        yield q("/api/traces", service=service, start=START, end=END)
        yield q("/api/traces", service=service, start=START, end=END, limit=1, lookback="1h")
    yield "/api/operations"
    yield q("/api/operations", service="cart", spanKind="server")
    yield q("/api/operations", service="cart", spanKind="nonsense")
    for t in (TRACE, SHORT, SHORT.lstrip("0"), BAD, TRACE.upper(), "f" * 32, "0", "zz", "1" * 33, "0" * 32):
        yield f"/api/traces/{t}"
        yield f"/api/traces/{t}?raw=true"
        yield f"/api/v3/traces/{t}"
        yield f"/api/v3/traces/{t}?raw_traces=true"
    yield f"/api/traces/{TRACE}?raw=maybe"
    yield f"/api/traces/{TRACE}?start=x"
    yield f"/api/traces/{TRACE}?start={START}&end={END}"
    yield "/api/traces"
    search = dict(service="cart", start=START, end=END)
    for more in (
            {"operation": "GET /cart"}, {"operation": "nothing"}, {"tag": "ok:false"}, {"tag": "big"}, {"tag": "a:b:c"},
            {"tags": '{"ok":"false"}'}, {"tags": "{"}, {"tags": '{"ok":false}'}, {"tags": '{"http.response.status_code":"503"}'},
            {"tags": '{"error":"true"}'}, {"tags": '{"host.name":"n1"}'}, {"tags": '{"event":"retry"}'}, {"tags": '{"n":"2"}'},
            {"tags": '{"span.kind":"server"}'}, {"tags": '{"w3c.tracestate":"a=b"}'}, {"tags": '{"otel.status_description":"no stock"}'},
            {"minDuration": "50ms"}, {"minDuration": "5s"}, {"maxDuration": "1ms"}, {"minDuration": "x"}, {"maxDuration": "x"},
            {"minDuration": "2s", "maxDuration": "1s"}, {"minDuration": "100ms", "maxDuration": "100ms"}, {"limit": "x"},
            {"limit": "0"}, {"limit": "-1"}, {"raw": "true"}, {"raw": "maybe"}, {"prettyPrint": "true"}, {"traceID": TRACE},
            {"traceID": [TRACE, "f" * 32]}, {"traceID": "zz"}, {"spanKind": "server"}):
        yield q("/api/traces", **{**search, **more})
    yield q("/api/traces", service="cart")
    yield q("/api/traces", service="cart", start="x")
    yield q("/api/traces", service="cart", start=START, end="x")
    yield q("/api/traces", service="cart", start=END, end=START)
    yield q("/api/traces", traceID=TRACE)
    yield q("/api/traces", traceID=[SHORT, BAD])
    for lookback in (3600_000, "x", 0, -1):
        yield q("/api/dependencies", endTs=NOW // MS + 60_000, lookback=lookback)
    yield "/api/dependencies"
    yield q("/api/dependencies", endTs="x")
    yield q("/api/dependencies", endTs=NOW // MS + 60_000, lookback=3600_000, service="cart")
    yield q("/api/v3/dependencies", start_time="x")
    yield "/api/v3/services"
    yield "/api/v3/operations"
    yield q("/api/v3/operations", service="cart", span_kind="server")
    v3 = {"query.service_name": "cart", "query.start_time_min": rfc3339(START), "query.start_time_max": rfc3339(END),
          "query.num_traces": "20"}
    for more in ({}, {"query.operation_name": "GET /cart"}, {"query.duration_min": "50ms"}, {"query.duration_min": "5s"},
                 {"query.duration_min": "x"}, {"query.num_traces": "1"}, {"query.num_traces": "x"},
                 {"query.raw_traces": "true"}, {"query.raw_traces": "x"},
                 {"query.attributes": '{"ok":"false"}'}, {"query.attributes": "{"}, {"query.start_time_min": "x"},
                 {"query.start_time_max": ""}, {"query.service_name": "nobody"}, {"query.service_name": ""}):
        yield q("/api/v3/traces", **{**v3, **more})
    yield "/api/v3/traces"
    for kind in ("latencies", "calls", "errors"):
        yield f"/api/metrics/{kind}"
        yield f"/api/metrics/{kind}?service=cart&quantile=0.95"
    yield "/api/metrics/minstep"
    yield "/api/quality-metrics"
    yield "/api/nothing"
    yield "/api/v3/nothing"
    yield "/api/"
    yield "/search"


def rfc3339(us):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(us // SECOND_US))


def plain(value, path=()):
    """What an answer says, without what may differ: the order of sets, numbers of processes, attributes' order in OTLP."""
    if isinstance(value, dict):
        if "processes" in value and "spans" in value:
            processes = value["processes"]
            for span in value["spans"]:
                span["process"] = processes.get(span.pop("processID", None))
            value = {k: v for k, v in value.items() if k != "processes"}
        return {k: plain(v, path + (k,)) for k, v in value.items()}
    if isinstance(value, list):
        items = [plain(v, path) for v in value if not is_warning(v)]
        if path and path[-1] in ("data", "spans", "services", "operations", "attributes", "tags", "resourceSpans",
                                 "scopeSpans", "processes", "logs"):
            items.sort(key=lambda v: (isinstance(v, dict) and v.get("spanId") or "", json.dumps(v, sort_keys=True)))
        return items
    return value


def is_warning(v):
    """Jaeger keeps a span's warnings in an attribute, and shows it in its third API."""
    return isinstance(v, dict) and v.get("key") == "@jaeger@warnings"


def ask(base, path, body=None, headers=None):
    status, raw = http(base + path, body, headers)
    try:
        said = plain(json.loads(raw))
    except ValueError:
        said = raw.decode(errors="replace").strip()
    return status, said


def differences(a, b, path=""):
    """Where two values differ, one line each: path, Jaeger's, ours."""
    if isinstance(a, dict) and isinstance(b, dict):
        for k in sorted(set(a) | set(b)):
            if k not in a:
                yield f"{path}.{k}: only ours has {short(b[k])}"
            elif k not in b:
                yield f"{path}.{k}: only Jaeger has {short(a[k])}"
            else:
                yield from differences(a[k], b[k], f"{path}.{k}")
    elif isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            yield f"{path}: {len(a)} items, ours {len(b)}: {short(a)} | {short(b)}"
        else:
            for i, (x, y) in enumerate(zip(a, b)):
                yield from differences(x, y, f"{path}[{i}]")
    elif type(a) is not type(b) or a != b:
        yield f"{path}: {short(a)} | ours {short(b)}"


def short(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 240 else text[:240] + "..."


def is_meant(path, line):
    return any(re.search(p, path) and re.search(d, line) for p, d, _ in MEANT)


def main():
    start("jaeger", sys.argv[2])
    c = Collector(sys.argv[1])
    wait_until("Jaeger", lambda: http(JAEGER + "/api/services")[0] == 200)
    wait_until("its door", lambda: http(JAEGER_OTLP + "/v1/traces")[0])
    for service, resource, some in spans():
        body = otlp.traces_json(some, {"service.name": service, **resource}, "lib")
        for base in (JAEGER_OTLP, c.otlp):
            status, answer = http(base + "/v1/traces", body, {"Content-Type": "application/json"})
            check(status == 200, f"export to {base}: {status} {answer!r}")
    for base in (JAEGER, c.base):
        wait_until("every trace", lambda b=base: all(http(f"{b}/api/traces/{t}")[0] == 200 for t in (TRACE, SHORT, BAD)))
    time.sleep(2)  # batches of the other program
    same = told = 0
    for path in questions():
        (jaeger_status, jaeger), (our_status, ours) = ask(JAEGER, path), ask(c.base, path)
        lines = list(differences(jaeger, ours))
        if jaeger_status != our_status:
            lines.insert(0, f"status {jaeger_status} | ours {our_status}")
        lines = [line for line in lines if not is_meant(path, line)]
        same += not lines
        if not lines:
            continue
        told += 1
        print(path)
        for line in lines[:8]:
            print("   ", line)
    print(f"{same} answers agree but for what is meant, {told} do not")
    sys.exit(1 if told else 0)


main()
