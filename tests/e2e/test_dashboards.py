"""test_dashboards.py COLLECTOR DASHBOARD.json... - every expression of every Grafana dashboard, asked of
a real Prometheus that scrapes a collector with traffic: none may be refused, none may be empty.
"""
import json
import sys

import prometheus
import support
from support import check, http, send_records, access_record, wait_until

VALUES = {"$__rate_interval": "1m", "$namespace": ".*", "$source": ".*", "$destination": ".*",
          "$instance": ".*"}


def expressions(path):
    """(where, PromQL)"""
    with open(path, encoding="utf-8") as f:
        dashboard = json.load(f)
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            promql = target["expr"]
            for name, value in VALUES.items():
                promql = promql.replace(name, value)
            check("$" not in promql, f"{path}: {panel['title']}: a variable is left: {promql}")
            yield f"{dashboard['title']}, {panel['title']}", promql


def variables(path):
    """(metric, label) of the drop-down lists."""
    with open(path, encoding="utf-8") as f:
        for one in json.load(f)["templating"]["list"]:
            if one["type"] == "query":
                metric, label = one["query"].removeprefix("label_values(").rstrip(")").split(", ")
                yield metric, label


def send(collector):
    records = [access_record(source, destination, code, tls)
               for source, destination, tls in (("gateway", "frontend", "mutual"),
                                                ("frontend", "reviews", "plaintext"))
               for code in [200] * 9 + [503]]
    status, body = send_records(collector, records)
    check(status == 200, f"export: {status} {body!r}")


def main():
    prometheus.or_skip()
    collector = support.Collector(sys.argv[1])
    send(collector)
    p = prometheus.Prometheus(collector)
    requests = "sum(tulle_edge_requests_total)"
    wait_until("the first scrape", lambda: p.by(requests) == {(): 20}, 30)
    send(collector)
    wait_until("the second", lambda: p.by(requests) == {(): 40} and p.by("up") and
               p.vector("rate(tulle_edge_requests_total[1m]) > 0"), 30)
    asked = 0
    for path in sys.argv[2:]:
        for where, promql in expressions(path):
            found = p.vector(promql)
            check(found, f"{where}: nothing for {promql}")
            check(all(v == v for _, v in found), f"{where}: {promql} gives {found}")
            asked += 1
        for metric, label in variables(path):
            status, body = http(f"{p.base}/api/v1/label/{label}/values?match[]={metric}")
            check(status == 200 and json.loads(body)["data"], f"{path}: no {label} of {metric}")
    check(asked > 40, f"only {asked} expressions")
    seen = p.by("sum by (destination_service) (rate(tulle_edge_errors_total[1m])) / "
                "sum by (destination_service) (rate(tulle_edge_requests_total[1m]))",
                "destination_service")
    check(all(abs(v - 0.1) < 1e-9 for v in seen.values()) and len(seen) == 2, f"errors: {seen}")
    check(support.stop(collector.child) == 0, "the collector did not end cleanly")


main()
