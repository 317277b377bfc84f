"""test_js_sdk.py COLLECTOR WORK_DIR - the OpenTelemetry SDK for JavaScript, as people use it.

The SDK sends a server span with a client span below it, once as protobuf, once as JSON and once over gRPC; both must
come out of /api/v1/traces with everything the SDK put in: types, events, links, resource, scope.
"""
import json
import os
import shutil
import subprocess
import sys

import support
from support import check, get_json, wait_until


def install(work):
    """npm ci from the lock file; the packages stay for the next run."""
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "js")
    os.makedirs(work, exist_ok=True)
    lock = os.path.join(here, "package-lock.json")
    stamp = os.path.join(work, "installed-lock.json")
    for name in ("package.json", "package-lock.json", "send.js"):
        shutil.copy(os.path.join(here, name), work)
    with open(lock, encoding="utf-8") as f:
        wanted = f.read()
    if os.path.exists(stamp) and open(stamp, encoding="utf-8").read() == wanted:
        return
    npm = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund",
                          "--loglevel=error"], cwd=work, capture_output=True, text=True, check=False)
    check(npm.returncode == 0, f"npm ci: {npm.stdout}{npm.stderr}")
    shutil.copy(lock, stamp)


def plain(attributes):
    return {a["key"]: (a["type"], a.get("value")) for a in attributes}


def span_named(trace, name):
    found = [s for s in trace["spans"] if s["name"] == name]
    check(len(found) == 1, f"{name}: {len(found)} spans in {json.dumps(trace)[:2000]}")
    return found[0]


def check_trace(trace, sent, protocol):
    server, client = span_named(trace, "GET /cart"), span_named(trace, "GET /prices")
    check(client["parentId"] == server["spanId"] == sent["serverSpanId"], "parent and child")
    check(server["kind"] == "server" and client["kind"] == "client", "kinds")
    check(server["status"] == "ok" and client["status"] == "error", "status")
    check(client["statusMessage"] == "price list is gone", "status message")
    attributes = plain(server["attributes"])
    want = {"http.request.method": ("string", "GET"), "http.response.status_code": ("int", "200"),
            "app.ratio": ("double", 0.25), "app.is_vip": ("bool", True),
            "app.text": ("string", "grüße, 世界 \" \\ \n")}
    for key, value in want.items():
        check(attributes.get(key) == value, f"{protocol} {key}: {attributes.get(key)}, sent {value}")
    items = attributes["app.items"]
    check(items[0] == "array" and [v["value"] for v in items[1]] == ["a", "b"], f"array: {items}")
    events = client["events"]
    check(len(events) == 1 and events[0]["name"] == "exception", f"events: {events}")
    check(plain(events[0]["attributes"])["exception.message"][1] == "gone", "event's attributes")
    links = server["links"]
    check(len(links) == 1 and links[0]["traceId"] == "0af7651916cd43dd8448eb211c80319c", "link")
    resource = plain(trace["resources"][server["resource"]]["attributes"])
    check(resource["service.name"] == ("string", "cart-" + protocol), f"resource: {resource}")
    check(resource["telemetry.sdk.language"][1] == "nodejs", f"resource: {resource}")
    scope = trace["scopes"][server["scope"]]
    check((scope["name"], scope["version"]) == ("shop", "1.2.3"), f"scope: {scope}")


def main():
    collector_program, work = sys.argv[1:]
    if not shutil.which("node") or not shutil.which("npm"):
        sys.exit(77)
    install(work)
    collector = support.Collector(collector_program)
    for protocol in ("proto", "json", "grpc"):
        url = f"http://127.0.0.1:{collector.grpc_port}" if protocol == "grpc" else collector.otlp + "/v1/traces"
        run = subprocess.run(["node", "send.js", url, protocol], cwd=work,
                             capture_output=True, text=True, check=False, timeout=60)
        check(run.returncode == 0, f"{protocol}: {run.stdout}{run.stderr}")
        sent = json.loads(run.stdout)
        url = f"{collector.base}/api/v1/traces?service=cart-{protocol}"
        found = wait_until("the trace", lambda url=url: get_json(url)["traces"], 10)
        check([t["traceId"] for t in found] == [sent["traceId"]], f"search: {found}")
        check_trace(get_json(f"{collector.base}/api/v1/traces/{sent['traceId']}"), sent, protocol)
        services = get_json(collector.base + "/api/v1/services")["services"]
        check("cart-" + protocol in [s["name"] for s in services], f"services: {services}")
    check(support.stop(collector.child) == 0, "the collector did not end cleanly")


main()
