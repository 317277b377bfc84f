"""test_prometheus.py COLLECTOR - Debian's Prometheus scrapes /metrics and counts what was sent.

Known numbers of requests are sent as access records; promtool must find nothing to complain about in
the text, and PromQL must give the very numbers.
"""
import json
import os
import shutil
import subprocess
import sys
import urllib.parse

import support
from support import check, http, send_records, access_record, wait_until

EDGES = [  # source, destination, tls, answered, failed
    ("gateway", "frontend", "mutual", 120, 3),
    ("frontend", "reviews", "mutual", 77, 0),
    ("reviews", "inventory", "plaintext", 40, 40),
]

CONFIG = """global: {{ scrape_interval: 1s }}
scrape_configs:
  - job_name: tulle
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
"""


def send_edges(collector):
    for source, destination, tls, answered, failed in EDGES:
        records = [access_record(source, destination, 200, tls) for _ in range(answered)]
        records += [access_record(source, destination, 503, tls) for _ in range(failed)]
        status, body = send_records(collector, records)
        check(status == 200, f"export: {status} {body!r}")


def check_with_promtool(collector):
    status, text = http(collector.base + "/metrics")
    check(status == 200, f"/metrics: {status}")
    run = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                         check=False)
    said = (run.stdout + run.stderr).decode()
    check(run.returncode == 0 and not said.strip(), f"promtool: status {run.returncode}: {said}")


def start_prometheus(collector):
    [port] = support.free_ports(1)
    path = os.path.join(support.folder, "prometheus.yml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(CONFIG.format(port=collector.http_port))
    support.start("prometheus", "prometheus", f"--config.file={path}",
                  f"--storage.tsdb.path={support.folder}/tsdb",
                  f"--web.listen-address=127.0.0.1:{port}")
    base = f"http://127.0.0.1:{port}"
    wait_until("prometheus", lambda: http(base + "/-/ready")[0] == 200, 60)
    return base


def query(base, promql):
    status, body = http(base + "/api/v1/query?" + urllib.parse.urlencode({"query": promql}))
    check(status == 200, f"{promql}: {status} {body!r}")
    return {(r["metric"].get("source_service"), r["metric"].get("destination_service"),
             r["metric"].get("tls")): float(r["value"][1])
            for r in json.loads(body)["data"]["result"]}


def main():
    if not shutil.which("prometheus") or not shutil.which("promtool"):
        sys.exit(77)
    collector = support.Collector(sys.argv[1])
    send_edges(collector)
    base = start_prometheus(collector)
    by = "sum by (source_service, destination_service, tls)"
    requests = {(s, d, t): a + f for s, d, t, a, f in EDGES}
    errors = {(s, d, t): f for s, d, t, _, f in EDGES}
    wait_until("the requests in Prometheus", lambda: query(
        base, f"{by} (tulle_edge_requests_total)") == requests, 30)
    seen = query(base, f"{by} (tulle_edge_errors_total)")
    check({k: v for k, v in seen.items() if v} == {k: v for k, v in errors.items() if v},
          f"errors: {seen}, sent {errors}")
    count = query(base, f"{by} (tulle_edge_request_duration_seconds_count)")
    check(count == requests, f"histogram counts: {count}, sent {requests}")
    quantile = query(base, "histogram_quantile(0.5, sum by (le, source_service, "
                           "destination_service, tls) (tulle_edge_request_duration_seconds_bucket))")
    check(all(0 < v <= 0.05 for v in quantile.values()), f"medians of 5 ms: {quantile}")
    check_with_promtool(collector)
    check(support.stop(collector.child) == 0, "the collector did not end cleanly")


main()
