"""Jaeger's API of a real collector: what its page, Grafana's data source and scripts ask for, after
spans have come in over OTLP.

    python3 test_jaeger.py build/bin/tulle-collector
"""
import base64
import json
import sys
import time
import urllib.parse

import otlp
from support import Collector, access_record, check, http, send_records, wait_until

NOW = time.time_ns() // 1000 * 1000
TRACE = "0af7651916cd43dd8448eb211c80319c"
SHORT = "00000000000000000000000000000abc"
MS = 1_000_000


def equal(got, want, what):
    check(got == want, f"{what}:\n got {json.dumps(got)}\nwant {json.dumps(want)}")


def send(c, spans, service, **resource):
    body = otlp.traces_json(spans, {"service.name": service, **resource}, "lib")
    status, answer = http(c.otlp + "/v1/traces", body, {"Content-Type": "application/json"})
    check(status == 200, f"export: {status} {answer!r}")


def fill(c):
    root = dict(trace_id=TRACE, span_id="00000000000000a1", name="GET /cart", kind=2, start=NOW - 900 * MS,
                end=NOW - 800 * MS, flags=1, trace_state="a=b", status={"code": 2, "message": "no stock"},
                attrs={"http.response.status_code": 503, "big": 2 ** 60, "ok": False, "ratio": 0.5,
                       "list": ["x", 1], "raw": b"\x00\x01", "ip": 0x7F000001},
                events=[{"time": NOW - 850 * MS, "name": "retry", "attrs": {"n": 2}}])
    call = dict(trace_id=TRACE, span_id="00000000000000a2", parent_id="00000000000000a1", name="stock.get", kind=3,
                start=NOW - 890 * MS, end=NOW - 810 * MS)
    send(c, [root, call], "cart", **{"host.name": "n1"})
    # the clock of the other host runs two seconds ahead
    late = dict(trace_id=TRACE, span_id="00000000000000b1", parent_id="00000000000000a2", name="get", kind=2,
                start=NOW + 1120 * MS, end=NOW + 1180 * MS,
                links=[{"trace_id": SHORT, "span_id": "00000000000000ff"}])
    send(c, [late], "stock", **{"host.name": "n2"})
    send(c, [late], "stock", **{"host.name": "n2"})  # a retried export
    send(c, [dict(trace_id=SHORT, span_id="0000000000000001", name="sweep & mop", kind=1, start=NOW - 50 * MS,
                  end=NOW - 20 * MS, attrs={"code": "503"})], "night shift/1")
    check(send_records(c, [access_record("cart", "stock", 200), access_record("cart", "stock", 503)])[0] == 200,
          "access records")


def ask(c, path, **params):
    query = urllib.parse.urlencode(params, doseq=True)
    status, body = http(c.base + path + ("?" + query if query else ""))
    return status, json.loads(body)


def data(c, path, **params):
    status, body = ask(c, path, **params)
    check(status == 200, f"{path} {params}: {status} {body}")
    equal(list(body), ["data", "total", "limit", "offset", "errors"], "envelope")
    equal(body["errors"], None, "errors")
    return body["data"]


def lists(c):
    equal(ask(c, "/api/services")[1],
          {"data": ["cart", "night shift/1", "stock"], "total": 3, "limit": 0, "offset": 0, "errors": None}, "services")
    equal(data(c, "/api/services/cart/operations"), ["GET /cart", "stock.get"], "operations")
    equal(data(c, "/api/services/night%20shift%2F1/operations"), ["sweep & mop"], "operations, encoded")
    equal(data(c, "/api/services/nobody/operations"), [], "operations of nobody")
    equal(data(c, "/api/operations", service="cart", spanKind="server"),
          [{"name": "GET /cart", "spanKind": "server"}], "operations by kind")
    equal(ask(c, "/api/v3/services")[1], {"services": ["cart", "night shift/1", "stock"]}, "v3 services")
    equal(ask(c, "/api/v3/operations", service="stock")[1], {"operations": [{"name": "get", "spanKind": "server"}]},
          "v3 operations")


def one_trace(c):
    trace, = data(c, "/api/traces/" + TRACE)
    equal([trace["traceID"], trace["warnings"], len(trace["spans"])], [TRACE, None, 3], "trace, without the double")
    equal(trace["processes"], {
        "p1": {"serviceName": "cart", "tags": [{"key": "host.name", "type": "string", "value": "n1"}]},
        "p2": {"serviceName": "stock", "tags": [{"key": "host.name", "type": "string", "value": "n2"}]}}, "processes")
    root, call, late = trace["spans"]
    equal(root, {
        "traceID": TRACE, "spanID": "00000000000000a1", "flags": 1, "operationName": "GET /cart", "references": [],
        "startTime": (NOW - 900 * MS) // 1000, "duration": 100_000,
        "tags": [
            {"key": "otel.scope.name", "type": "string", "value": "lib"},
            {"key": "otel.scope.version", "type": "string", "value": "1.0"},
            {"key": "http.response.status_code", "type": "int64", "value": 503},
            {"key": "big", "type": "int64", "value": str(2 ** 60)},
            {"key": "ok", "type": "bool", "value": False},
            {"key": "ratio", "type": "float64", "value": 0.5},
            {"key": "list", "type": "string", "value": '["x",1]'},
            {"key": "raw", "type": "binary", "value": "AAE="},
            {"key": "ip", "type": "string", "value": "127.0.0.1"},
            {"key": "span.kind", "type": "string", "value": "server"},
            {"key": "otel.status_code", "type": "string", "value": "ERROR"},
            {"key": "error", "type": "bool", "value": True},
            {"key": "otel.status_description", "type": "string", "value": "no stock"},
            {"key": "w3c.tracestate", "type": "string", "value": "a=b"}],
        "logs": [{"timestamp": (NOW - 850 * MS) // 1000, "fields": [
            {"key": "event", "type": "string", "value": "retry"}, {"key": "n", "type": "int64", "value": 2}]}],
        "processID": "p1", "warnings": None}, "root span")
    equal(call["references"], [{"refType": "CHILD_OF", "traceID": TRACE, "spanID": "00000000000000a1"}], "parent")
    equal(late["references"], [{"refType": "CHILD_OF", "traceID": TRACE, "spanID": "00000000000000a2"},
                               {"refType": "FOLLOWS_FROM", "traceID": SHORT[16:], "spanID": "00000000000000ff"}], "link")
    equal(late["startTime"], (NOW - 880 * MS) // 1000, "moved into the middle of its caller")
    equal(late["warnings"], ["This span's timestamps were adjusted by -2000ms"], "and says so")
    raw, = data(c, "/api/traces/" + TRACE, raw="true", start=1, end=2)
    equal([len(raw["spans"]), raw["spans"][-1]["startTime"], raw["spans"][-1]["warnings"]],
          [4, (NOW + 1120 * MS) // 1000, None], "raw")
    repaired = ask(c, f"/api/v1/traces/{TRACE}", repaired="true")[1]["spans"]
    equal([len(repaired), repaired[-1]["startNs"], repaired[-1]["movedNs"], repaired[-1]["warnings"]],
          [3, str(NOW - 880 * MS), str(-2000 * MS), late["warnings"]], "the same repairs in our own form")
    equal(data(c, "/api/traces/abc")[0]["traceID"], SHORT[16:], "short id")
    for text in (base64.b64encode(bytes.fromhex(TRACE)), base64.urlsafe_b64encode(bytes.fromhex(TRACE)).rstrip(b"=")):
        path = "/" + urllib.parse.quote(text, safe="")
        equal(data(c, "/api/traces" + path)[0]["traceID"], TRACE, "id in base64")
        check(ask(c, "/api/v3/traces" + path)[0] == 200, "id in base64, v3")
    plain, pretty = (http(f"{c.base}/api/traces/{TRACE}{q}")[1] for q in ("", "?prettyPrint=true"))
    equal(json.loads(pretty), json.loads(plain), "prettyPrint")
    check(pretty.startswith(b'{\n    "data": [\n        {\n            "traceID": "'), pretty[:80])
    check(http(f"{c.base}/api/traces/{TRACE}?prettyPrint=false")[1] == plain, "prettyPrint=false")
    check(http(c.base + "/api/traces/fff?prettyPrint=1")[1].startswith(b'{\n    "data": null,\n'), "an error, pretty")


def found(c, **params):
    return sorted(t["traceID"] for t in data(c, "/api/traces", **params))


def searches(c):
    both, cart, night = sorted([TRACE, SHORT[16:]]), [TRACE], [SHORT[16:]]
    us = NOW // 1000
    rows = [
        (dict(service="cart"), cart), (dict(service="night shift/1"), night), (dict(service="nobody"), []),
        (dict(service="cart", operation="stock.get"), cart), (dict(service="cart", operation="get"), []),
        (dict(), both), (dict(limit=1), None),
        (dict(service="cart", tags='{"http.response.status_code":"503","error":"true"}'), cart),
        (dict(service="cart", tags='{"http.response.status_code":"504"}'), []),
        (dict(service="cart", tags='http.response.status_code=503 ratio=0.5'), cart),
        (dict(tags='code=503'), night), (dict(tags='otel.status_code=ERROR'), cart),
        (dict(tag=["ok:false", "ratio:0.5"]), cart), (dict(tags='{"host.name":"n1"}'), cart),
        (dict(tags='n=2'), cart), (dict(tags='span.kind=internal'), night), (dict(tags='{"span.kind":"server"}'), cart),
        (dict(minDuration="90ms"), cart), (dict(maxDuration="40000µs", minDuration="20ms", service="night shift/1"), night),
        (dict(start=us - 60_000, end=us), night), (dict(start=us - 2_000_000, end=us - 500_000), cart),
        (dict(service="cart", lookback="1h", limit="20", maxDuration="", minDuration="", start="", end=""), cart),
        (dict(service="cart", lookback="custom", start=us - 10_000_000, end=us + 10_000_000, unknown="x"), cart),
    ]
    for params, want in rows:
        got = found(c, **params)
        if want is None:
            check(len(got) == 1, f"{params}: {got}")
        else:
            equal(got, want, f"search {params}")
    status, several = ask(c, "/api/traces", traceID=[TRACE, "fff", "abc"])
    equal([status, [t["traceID"] for t in several["data"]], several["errors"]],
          [200, [TRACE, SHORT[16:]], [{"code": 404, "msg": "trace not found", "traceID": "0000000000000fff"}]],
          "several by id")


def dependencies(c):
    def counts():
        return {(d["parent"], d["child"]): d["callCount"] for d in data(c, "/api/dependencies")}
    # the access records of a call outrank its spans, so two calls and not three
    wait_until("dependencies", lambda: counts().get(("cart", "stock"), 0) >= 2)
    now_ms = NOW // MS
    week = data(c, "/api/dependencies", endTs=now_ms + 60_000, lookback=604_800_000)
    check({"parent": "cart", "child": "stock"}.items() <= week[0].items(), f"a week: {week}")
    equal(data(c, "/api/dependencies", service="nobody"), [], "filtered")
    equal(data(c, "/api/dependencies", endTs=now_ms - 3_600_000, lookback=60_000), [], "an hour ago")


def last_point(c, what, **params):
    """The family, and the value of the newest point of its only series."""
    status, family = ask(c, "/api/metrics/" + what, step=10000, ratePer=60000, lookback=60000, **params)
    check(status == 200, f"{what}: {status} {family}")
    equal(list(family), ["name", "type", "help", "metrics"], "a family, no envelope")
    check(len(family["metrics"]) == 1, f"{what} {params}: {family}")
    points = family["metrics"][0]["metricPoints"]
    check(len(points) == 7, f"a minute in steps of ten seconds: {points}")
    check(points[-1]["timestamp"].endswith("Z"), "time")
    return family, points[-1]["gaugeValue"]["doubleValue"]


def monitor(c):
    """What the Monitor page asks: by service from the edges, by operation from the spans."""
    family, calls = last_point(c, "calls", service="stock", spanKind="server")
    equal(family["name"], "service_call_rate", "name")
    equal(family["help"], "calls/sec, grouped by service", "help")
    equal(family["metrics"][0]["labels"], [{"name": "service_name", "value": "stock"}], "labels")
    check(3 / 60 <= calls <= 3 / 49, f"two records and a pair of spans in a minute that is not over: {calls}")
    check(abs(last_point(c, "errors", service="stock")[1] - 1 / 3) < 1e-9, "one of three failed")
    family, p50 = last_point(c, "latencies", service="stock", quantile=0.5)
    equal((family["name"], family["help"]), ("service_latencies", "0.50th quantile latency, grouped by service"), "p50")
    check(4.5 < p50 < 5.5, f"two took 5 ms: {p50}")
    again = last_point(c, "calls", service="cart", spanKind="client")[1]
    check(3 / 60 <= again <= 3 / 49, f"the same from the other side: {again}")
    family, calls = last_point(c, "calls", service="cart", groupByOperation="true")
    equal(family["name"], "service_operation_call_rate", "name")
    equal(family["metrics"][0]["labels"], [{"name": "service_name", "value": "cart"},
                                           {"name": "operation", "value": "GET /cart"}], "labels")
    check(1 / 60 <= calls <= 1 / 49, f"one call in a minute that is not over: {calls}")
    equal(last_point(c, "errors", service="cart", groupByOperation="true")[1], 1, "it failed")
    p50 = last_point(c, "latencies", service="cart", groupByOperation="true", quantile=0.5)[1]
    check(90 < p50 < 110, f"100 ms: {p50}")
    family = ask(c, "/api/metrics/calls", service="nobody")[1]
    equal(family["metrics"], [], "an unknown service")
    equal(data(c, "/api/metrics/minstep"), 10000, "ms")
    for params, why in ((dict(), "please provide at least one service name"), (dict(service="a", spanKind="x"), "spanKind"),
                        (dict(service="a", step="x"), "step")):
        status, body = ask(c, "/api/metrics/calls", **params)
        check(status == 400 and why in body["errors"][0]["msg"], f"{params}: {body}")
    equal(ask(c, "/api/metrics/latencies", service="a")[0], 400, "no quantile")


def uploads(c):
    """A file from somebody's disk comes back as traces, and nothing is stored; there is no archive."""
    known = len(data(c, "/api/services"))
    other = "0af7651916cd43dd8448eb211c80319d"
    body = otlp.traces_json([dict(trace_id=t, span_id=f"00000000000000{n}", name=f"op{n}", kind=2, start=NOW + int(n),
                                  end=NOW + MS, attrs={"a": 1}) for t, n in ((other, "12"), (TRACE, "11"), (other, "10"))],
                            {"service.name": "uploaded"}, "lib")
    json_type = {"Content-Type": "application/json"}
    status, answer = http(c.base + "/api/transform", body, json_type)
    check(status == 200, f"transform: {status} {answer!r}")
    traces = json.loads(answer)["data"]
    equal([(t["traceID"], [s["operationName"] for s in t["spans"]]) for t in traces],
          [(TRACE, ["op11"]), (other, ["op10", "op12"])], "traces and their spans")
    equal(traces[1]["processes"]["p1"]["serviceName"], "uploaded", "process")
    equal(len(data(c, "/api/services")), known, "stored")
    for bad, want in ((b"", 400), (b"{", 400), (b"[]", 400), (b'{"resourceSpans":[{"scopeSpans":[{"spans":{}}]}]}', 400),
                      (b" " * (4 << 20) + b"{}", 413), (b"{}", 200)):
        status, answer = http(c.base + "/api/transform", bad, json_type)
        equal(status, want, f"transform of {bad[:60]}")
        check(want == 200 or json.loads(answer)["errors"][0]["code"] == want, f"{answer!r}")
    status, answer = http(c.base + "/api/archive/" + TRACE, b"", method="POST")
    equal((status, json.loads(answer)["errors"][0]["msg"]), (500, "archive span storage was not configured"), "archive")
    equal(http(c.base + "/api/archive/xyz", b"", method="POST")[0], 400, "archive of no trace")
    equal(http(c.base + "/api/transform")[0], 405, "GET")
    equal(http(c.base + "/api/traces", b"{}", json_type)[0], 405, "POST")


def stamp(ns):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // 10 ** 9)) + f".{ns % 10 ** 9:09d}Z"


def third(c):
    span_of = {"query.startTimeMin": stamp(NOW - 60 * 10 ** 9), "query.startTimeMax": stamp(NOW + 60 * 10 ** 9)}
    status, body = ask(c, "/api/v3/traces", **span_of, **{"query.serviceName": "night shift/1"})
    groups = body["result"]["resourceSpans"]
    equal([status, groups], [200, [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "night shift/1"}}]},
        "scopeSpans": [{"scope": {"name": "lib", "version": "1.0"}, "spans": [{
            "traceId": SHORT, "spanId": "0000000000000001", "name": "sweep & mop", "kind": 1,
            "startTimeUnixNano": str(NOW - 50 * MS), "endTimeUnixNano": str(NOW - 20 * MS),
            "attributes": [{"key": "code", "value": {"stringValue": "503"}}], "status": {}}]}]}]], "v3 search")
    status, body = ask(c, "/api/v3/traces/" + TRACE, rawTraces="true")
    check(status == 200, f"v3 trace: {body}")
    # what was written can be sent again as it is
    status, _ = http(c.otlp + "/v1/traces", json.dumps(body["result"]).encode(), {"Content-Type": "application/json"})
    check(status == 200, f"v3 answer as an export: {status}")
    old = {k.replace("startTimeM", "start_time_m"): v for k, v in span_of.items()}
    status, body = ask(c, "/api/v3/trace-summaries", **old, **{"query.service_name": "cart", "query.num_traces": 5})
    summary, = body["summaries"]
    services = [s["name"] for s in summary["services"]]
    equal([summary["traceId"], summary["rootServiceName"], summary["rootOperationName"], services,
           summary["minStartTimeUnixNano"], summary["maxEndTimeUnixNano"]],
          [TRACE, "cart", "GET /cart", ["cart", "stock"], str(NOW - 900 * MS), str(NOW + 1180 * MS)], "summary")
    equal(ask(c, "/api/v3/trace-summaries", **span_of, **{"query.serviceName": "nobody"}), (200, {}), "no summaries")


def errors(c):
    rows = [
        ("/api/traces/fff", 404, "trace not found"), ("/api/traces/xyz", 400, "traceID"),
        ("/api/traces/" + "0" * 32, 400, "traceID"), ("/api/traces/" + "1" * 33, 400, "traceID"),
        ("/api/traces/abc?raw=perhaps", 400, "'raw'"), ("/api/traces/abc?start=now", 400, "'start'"),
        ("/api/operations", 400, "parameter 'service' is required"), ("/api/operations?service=a&spanKind=x", 400, "spanKind"),
        ("/api/traces?service=a&limit=many", 400, "'limit'"), ("/api/traces?service=a&minDuration=5", 400, "minDuration"),
        ("/api/traces?service=a&minDuration=2s&maxDuration=1s", 400, "'maxDuration' should be greater than 'minDuration'"),
        ("/api/traces?service=a&tag=nocolon", 400, "malformed 'tag' parameter, expecting key:value"),
        ("/api/traces?service=a&tags={", 400, "malformed 'tags' parameter, cannot unmarshal JSON"),
        ("/api/traces?service=a&tags={%22a%22:1}", 400, "malformed 'tags'"), ("/api/traces?tags=novalue", 400, "malformed 'tags'"),
        ("/api/traces?tags=a=1%20b=1%20c=1%20d=1", 400, "readings"), ("/api/traces?traceID=zz", 400, "traceID"),
        ("/api/traces?start=5&end=4", 400, "start"), ("/api/traces?service=%ff", 400, "UTF-8"),
        ("/api/dependencies?endTs=x", 400, "'endTs'"), ("/api/dependencies?lookback=-1", 400, "'lookback'"),
    ]
    for path, want, contains in rows:
        status, body = http(c.base + path)
        answer = json.loads(body)
        check(status == want and body.endswith(b"\n"), f"{path}: {status} {body!r}")
        equal([list(answer), answer["data"], answer["errors"][0]["code"]],
              [["data", "total", "limit", "offset", "errors"], None, want], path)
        check(contains in answer["errors"][0]["msg"], f"{path}: {answer}")
    times = "query.startTimeMin=2026-01-01T00:00:00Z&query.startTimeMax=2026-01-02T00:00:00Z"
    rows = [
        ("/api/v3/traces/fff", 404, "No traces found"), ("/api/v3/traces/xyz", 400, "trace_id"), ("/api/v3/traces", 400, "are required"),
        ("/api/v3/traces?" + times, 404, "No traces found"), ("/api/v3/traces?query.durationMin=x&" + times, 400, "query.durationMin"),
        ("/api/v3/traces?query.startTimeMin=yesterday&query.startTimeMax=2026-01-02T00:00:00Z", 400, "query.startTimeMin"),
        ("/api/v3/operations", 400, "'service'"), ("/api/v3/traces?query.attributes=%7B&" + times, 400, "query.attributes"),
        ("/api/v3/traces?query.filter=%7B%7D&" + times, 400, "query.filter"),
        ("/api/v3/trace-summaries?query.filter=%7B%7D&" + times, 400, "query.filter"),
    ]
    for path, want, contains in rows:
        status, body = http(c.base + path)
        answer = json.loads(body)["error"]
        check(status == want and answer["httpCode"] == want and contains in answer["message"], f"{path}: {status} {body!r}")


def odd_parameters(c):
    """Whatever is asked, the answer is no 5xx."""
    values = ["", "0", "-1", "18446744073709551616", "9223372036854775807", "9" * 30, "NaN", "1e300", "%00", "%", "%ff",
              "{}", "[]", '{"a":{}}'.replace('"', "%22"), "a=%22", "µs", "1h" * 50, "2026-02-30T00:00:00Z", "true"]
    names = ["service", "operation", "tags", "tag", "start", "end", "minDuration", "maxDuration", "limit", "traceID", "lookback", "step", "ratePer", "quantile",
             "raw", "endTs", "spanKind", "query.startTimeMin", "query.attributes", "query.searchDepth"]
    paths = ["/api/services", "/api/operations", "/api/traces", "/api/traces/abc", "/api/dependencies", "/api/v3/traces",
             "/api/v3/operations", "/api/metrics/latencies", "/api/metrics/calls?service=cart&lookback=1", "/api/v3/trace-summaries", "/api/v3/traces/abc", "/api/services/%ff/operations"]
    for path in paths:
        for name in names:
            for value in values:
                url = f"{c.base}{path}{'&' if '?' in path else '?'}{name}={urllib.parse.quote(value, safe='%')}"
                status, body = http(url)
                check(status < 500, f"{url}: {status} {body[:200]!r}")


def main():
    c = Collector(sys.argv[1])
    fill(c)
    lists(c)
    one_trace(c)
    searches(c)
    dependencies(c)
    monitor(c)
    uploads(c)
    third(c)
    errors(c)
    odd_parameters(c)
    print("Jaeger's API answers what its clients ask")


main()
