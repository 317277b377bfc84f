"""test_prometheus.py COLLECTOR - Debian's Prometheus scrapes /metrics and counts what was sent.

Known numbers of requests are sent as access records; promtool must find nothing to complain about in
the text, and PromQL must give the very numbers: through OpenMetrics with exemplars, and through
protobuf with native histograms.
"""
import subprocess
import sys

import prometheus
import support
from support import check, http, send_records, access_record, wait_until

EDGES = [  # source, destination, tls, answered, failed
    ("gateway", "frontend", "mutual", 120, 3),
    ("frontend", "reviews", "mutual", 77, 0),
    ("reviews", "inventory", "plaintext", 40, 40),
]
NAMES = ("source_service", "destination_service", "tls")
BY = f"sum by ({', '.join(NAMES)})"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def send_edges(collector):
    for number, (source, destination, tls, answered, failed) in enumerate(EDGES, 1):
        records = [access_record(source, destination, 200, tls) for _ in range(answered)]
        records += [access_record(source, destination, 503, tls) for _ in range(failed)]
        records[-1].update(traceId=TRACE, spanId=f"{number:016x}")
        status, body = send_records(collector, records)
        check(status == 200, f"export: {status} {body!r}")


def check_with_promtool(collector):
    status, text = http(collector.base + "/metrics")
    check(status == 200, f"/metrics: {status}")
    run = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                         check=False)
    said = (run.stdout + run.stderr).decode()
    check(run.returncode == 0 and not said.strip(), f"promtool: status {run.returncode}: {said}")


def check_counts(p):
    requests = {(s, d, t): a + f for s, d, t, a, f in EDGES}
    errors = {(s, d, t): f for s, d, t, _, f in EDGES if f}
    wait_until("the requests in Prometheus", lambda: p.by(
        f"{BY} (tulle_edge_requests_total)", *NAMES) == requests, 30)
    seen = p.by(f"{BY} (tulle_edge_errors_total) > 0", *NAMES)
    check(seen == errors, f"errors: {seen}, sent {errors}")
    return requests


def check_classic(p, requests):
    count = p.by(f"{BY} (tulle_edge_request_duration_seconds_count)", *NAMES)
    check(count == requests, f"histogram counts: {count}, sent {requests}")
    quantile = p.by(f"histogram_quantile(0.5, sum by (le, {', '.join(NAMES)}) "
                    "(tulle_edge_request_duration_seconds_bucket))", *NAMES)
    check(len(quantile) == len(EDGES) and all(0 < v <= 0.05 for v in quantile.values()),
          f"medians of 5 ms: {quantile}")
    found = p.ask("query_exemplars", query="tulle_edge_request_duration_seconds_bucket",
                  start="0", end="9999999999")
    traces = {e["labels"]["trace_id"] for series in found for e in series["exemplars"]}
    check(len(found) == len(EDGES) and traces == {TRACE}, f"exemplars: {found}")
    [(_, created)] = p.vector("min(tulle_edge_requests_created)")
    [(_, started)] = p.vector("process_start_time_seconds")
    check(created >= started, f"created {created}, process started {started}")


def check_native(p, requests):
    """The whole histogram is one series; a bucket is 9 % wide."""
    count = p.by(f"histogram_count({BY} (tulle_edge_request_duration_seconds))", *NAMES)
    check(count == requests, f"native counts: {count}, sent {requests}")
    total = p.by(f"histogram_sum({BY} (tulle_edge_request_duration_seconds))", *NAMES)
    check(all(abs(total[k] - n * 0.005) < 1e-9 for k, n in requests.items()), f"sums: {total}")
    quantile = p.by(f"histogram_quantile(0.5, {BY} (tulle_edge_request_duration_seconds))", *NAMES)
    check(len(quantile) == len(EDGES) and all(abs(v / 0.005 - 1) < 0.1 for v in quantile.values()),
          f"medians of 5 ms: {quantile}")


def check_budget(program):
    """With room for one row only, the others count on the edge other."""
    small = support.Collector(program, "--metrics-max-series=30", "--store=memory:")
    send_edges(small)
    text = http(small.base + "/metrics")[1].decode()
    rows = {}
    for line in text.splitlines():
        if line.startswith("tulle_edge_requests_total{"):
            other = 'source_workload="other"' in line
            rows[other] = rows.get(other, 0) + int(line.rsplit(" ", 1)[1])
    check(sum(rows.values()) == sum(a + f for *_, a, f in EDGES) and set(rows) == {False, True},
          f"own and overflow: {rows}")
    check("tulle_collector_metric_rows_refused_total 2" in text, "refused rows are counted")
    small.child.may_end = True
    check(support.stop(small.child) == 0, "the collector did not end cleanly")


def main():
    prometheus.or_skip()
    check_budget(sys.argv[1])
    collector = support.Collector(sys.argv[1])
    send_edges(collector)
    classic = prometheus.Prometheus(collector, "classic", ["exemplar-storage"])
    native = prometheus.Prometheus(collector, "native", ["native-histograms"])
    check_classic(classic, check_counts(classic))
    check_native(native, check_counts(native))
    check_with_promtool(collector)
    check(support.stop(collector.child) == 0, "the collector did not end cleanly")


main()
