"""Clients of Jaeger that others wrote, unchanged, against a real collector: one for its JSON API, one for api_v3.

    python3 test_jaeger_clients.py build/bin/tulle-collector WORK_DIR

They come from PyPI, by the version (clients/*.txt), with pip --target: nothing of them is kept here, and a run after
the first needs no network.
"""
import json
import os
import shutil
import subprocess
import sys
import time

import otlp
from support import Collector, check, http

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")
NOW = time.time_ns() // 1000 * 1000
MS = 1_000_000
BAD, GOOD = "0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319d"


def install(work, name):
    """pip install from the list; the packages stay for the next run."""
    wanted, target = os.path.join(HERE, name + ".txt"), os.path.join(work, name)
    stamp = os.path.join(target, "installed.txt")
    with open(wanted, encoding="utf-8") as f:
        text = f.read()
    if os.path.exists(stamp) and open(stamp, encoding="utf-8").read() == text:
        return target
    shutil.rmtree(target, ignore_errors=True)
    pip = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check",
                          "--root-user-action=ignore", "--target", target, "-r", wanted],
                         capture_output=True, text=True, check=False)
    check(pip.returncode == 0, f"pip install {name}: {pip.stdout}{pip.stderr}")
    shutil.copy(wanted, stamp)
    return target


def run(packages, script, *argv):
    environment = {**os.environ, "PYTHONPATH": packages, "no_proxy": "*"}
    child = subprocess.run([sys.executable, os.path.join(HERE, script), *argv], env=environment, capture_output=True,
                           text=True, check=False, timeout=60)
    check(child.returncode == 0, f"{script}: {child.stdout}{child.stderr}")
    return json.loads(child.stdout)


def send(c, spans, service):
    status, answer = http(c.otlp + "/v1/traces", otlp.traces_json(spans, {"service.name": service}, "lib"),
                          {"Content-Type": "application/json"})
    check(status == 200, f"export: {status} {answer!r}")


def fill(c):
    """Two requests of a shop that asks its stock, one of them failed."""
    for trace, code, at in ((BAD, 503, NOW - 900 * MS), (GOOD, 200, NOW - 700 * MS)):
        root = dict(trace_id=trace, span_id="00000000000000a1", name="GET /cart", kind=2, start=at, end=at + 100 * MS,
                    attrs={"http.response.status_code": code},
                    status={"code": 2, "message": "no stock"} if code == 503 else {"code": 0, "message": ""},
                    events=[{"time": at + 50 * MS, "name": "retry", "attrs": {"n": 2}}])
        call = dict(trace_id=trace, span_id="00000000000000a2", parent_id="00000000000000a1", name="stock.get", kind=3,
                    start=at + 10 * MS, end=at + 90 * MS)
        send(c, [root, call], "shop")
        send(c, [dict(trace_id=trace, span_id="00000000000000b1", parent_id="00000000000000a2", name="get", kind=2,
                      start=at + 20 * MS, end=at + 80 * MS)], "stock")


def equal(got, want, what):
    check(got == want, f"{what}:\n got {json.dumps(got)}\nwant {json.dumps(want)}")


def check_json_api(told):
    equal(told["services"], ["shop", "stock"], "services")
    equal(told["dependencies"], [{"parent": "shop", "child": "stock", "call_count": 2}], "dependencies")
    spans = {s["span_id"]: s for s in told["trace"]["spans"]}
    equal(sorted(spans), ["00000000000000a1", "00000000000000a2", "00000000000000b1"], "spans of the trace")
    root = spans["00000000000000a1"]
    equal((root["service_name"], root["operation"], root["parent_span_id"], root["duration_us"], root["error"]),
          ("shop", "GET /cart", None, 100_000, True), "the root")
    equal(spans["00000000000000b1"]["parent_span_id"], "00000000000000a2", "the parent of the stock's span")
    check(any(f["value"] == "retry" for log in root["logs"] for f in log["fields"]), f"the root's event: {root}")
    equal([(t["trace_id"], t["span_count"], t["service_count"], t["errors_count"]) for t in told["found"]],
          [(GOOD, 3, 2, 0), (BAD, 3, 2, 1)], "search, newest first")
    equal([t["trace_id"] for t in told["by_tag"]], [BAD], "search by operation, tag, duration and time")
    equal(told["none"], [], "search that finds nothing")
    equal(sorted(t["trace_id"] for t in told["both"]), [BAD, GOOD], "several traces")
    changed = told["compared"]["changed_spans"]
    equal([(s["operation_name"], s["tags_changed"]) for s in changed],
          [("GET /cart", {"http.response.status_code": "200"})], "what differs between the two")
    equal([s["operation"] for s in told["critical"]["critical_path"]], ["GET /cart", "stock.get", "get"], "critical path")
    counts = {s["operation"]: (s["count"], s["error_count"]) for s in told["statistics"]["stats"]}
    equal(counts, {"GET /cart": (2, 1), "get": (2, 0), "stock.get": (2, 0)}, "statistics")
    check("404" in told["missing"], f"a trace that is not there: {told['missing']}")


def check_api_v3(told):
    equal(sorted(told["services"]["services"]), ["shop", "stock"], "services")
    equal(told["operations"]["operations"], [{"name": "GET /cart", "spanKind": "server"},
                                             {"name": "stock.get", "spanKind": "client"}], "operations")
    summaries = [(s["traceId"], s["rootServiceName"], s["rootOperationName"], s["spanCount"], s["minStartTimeUnixNano"])
                 for s in told["summaries"]["summaries"]]
    equal(summaries, [(GOOD, "shop", "GET /cart", 3, str(NOW - 700 * MS)), (BAD, "shop", "GET /cart", 3, str(NOW - 900 * MS))],
          "summaries")
    equal(told["by_operation"], told["summaries"], "summaries by operation")
    overview = told["overview"]
    equal((overview["spanCount"], overview["errorCount"], overview["totalDurationMs"]), (3, 1, 100), "overview")
    equal([s["operationName"] for s in told["slowest"]["spans"]], ["GET /cart"], "slowest span")
    equal([e["spanId"] for e in told["errors"]["errors"]], ["00000000000000a1"], "errors")


def main(program, work):
    packages = {name: install(work, name) for name in ("jaeger-mcp", "mcp-server-jaeger")}
    c = Collector(program)
    fill(c)
    check_json_api(run(packages["jaeger-mcp"], "json_api.py", c.base, BAD, GOOD))
    check_api_v3(run(packages["mcp-server-jaeger"], "api_v3.py", c.base, BAD))
    print("clients of Jaeger: fine")


main(*sys.argv[1:])
