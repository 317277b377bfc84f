"""dashboards.py [--check] - writes the Grafana dashboards beside it from the tables below.

A dashboard is a list of rows of panels, a panel a title, a unit and its expressions. --check writes
nothing and fails when a file differs from what would be written. Import the JSON files in Grafana
(10 or later); they ask for a Prometheus data source.
"""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
IN = 'destination_namespace=~"$namespace"'
EDGE = ('source_service=~"$source",destination_service=~"$destination",'
        'destination_namespace=~"$namespace"')
RATE = "[$__rate_interval]"


def rate(family, labels, by=""):
    return f"sum{f' by ({by})' if by else ''} (rate({family}{{{labels}}}{RATE}))"


def ratio(part, whole):
    """0 while there is traffic without the part; nothing without traffic."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def quantile(q, labels, by=""):
    labels_of_sum = "le, " + by if by else "le"
    buckets = rate("tulle_edge_request_duration_seconds_bucket", labels, labels_of_sum)
    return f"histogram_quantile({q}, {buckets})"


REQUESTS, ERRORS = "tulle_edge_requests_total", "tulle_edge_errors_total"
TO = "destination_service"
PAIR = "source_service, destination_service"

# Panels: (kind, title, unit, width of 24, [(expression, legend)]).
MESH = [
    [
        ("stat", "Requests", "reqps", 5, [(rate(REQUESTS, IN), "")]),
        ("stat", "Failed", "percentunit", 5,
         [(ratio(rate(ERRORS, IN), rate(REQUESTS, IN)), "")]),
        ("stat", "95th percentile", "s", 5, [(quantile(0.95, IN), "")]),
        ("stat", "Mutual TLS", "percentunit", 5,
         [(ratio(rate(REQUESTS, IN + ',tls="mutual"'), rate(REQUESTS, IN)), "")]),
        ("stat", "Edges", "none", 4,
         [(f"count(count by (source_workload, source_version, destination_workload, "
           f"destination_version, protocol) ({REQUESTS}{{{IN}}}))", "")]),
    ],
    [
        ("timeseries", "Requests by called service", "reqps", 12,
         [(rate(REQUESTS, IN, TO), "{{destination_service}}")]),
        ("timeseries", "Failed, by called service", "percentunit", 12,
         [(ratio(rate(ERRORS, IN, TO), rate(REQUESTS, IN, TO)), "{{destination_service}}")]),
    ],
    [
        ("timeseries", "95th percentile by called service", "s", 12,
         [(quantile(0.95, IN, TO), "{{destination_service}}")]),
        ("timeseries", "Requests by class of code", "reqps", 6,
         [(rate(REQUESTS, IN, "code"), "{{code}}")]),
        ("timeseries", "Requests by protection", "reqps", 6,
         [(rate(REQUESTS, IN, "tls"), "{{tls}}")]),
    ],
    [
        ("table", "Edges", "none", 24, [
            (rate(REQUESTS, IN, PAIR), "requests/s"),
            (ratio(rate(ERRORS, IN, PAIR), rate(REQUESTS, IN, PAIR)), "failed"),
            (quantile(0.95, IN, PAIR), "p95"),
        ]),
    ],
]

DETAIL = [
    [
        ("stat", "Requests", "reqps", 6, [(rate(REQUESTS, EDGE), "")]),
        ("stat", "Failed", "percentunit", 6,
         [(ratio(rate(ERRORS, EDGE), rate(REQUESTS, EDGE)), "")]),
        ("stat", "99th percentile", "s", 6, [(quantile(0.99, EDGE), "")]),
        ("stat", "Mutual TLS", "percentunit", 6,
         [(ratio(rate(REQUESTS, EDGE + ',tls="mutual"'), rate(REQUESTS, EDGE)), "")]),
    ],
    [
        ("timeseries", "Requests by class of code", "reqps", 12,
         [(rate(REQUESTS, EDGE, "code"), "{{code}}")]),
        ("timeseries", "Duration", "s", 12,
         [(quantile(q, EDGE), name) for q, name in ((0.5, "p50"), (0.9, "p90"), (0.99, "p99"))]),
    ],
    [
        ("heatmap", "Durations", "s", 12,
         [(f"sum by (le) (increase(tulle_edge_request_duration_seconds_bucket{{{EDGE}}}{RATE}))",
           "{{le}}")]),
        ("timeseries", "Requests by version called", "reqps", 12,
         [(rate(REQUESTS, EDGE, "destination_workload, destination_version"),
           "{{destination_workload}} {{destination_version}}")]),
    ],
    [
        ("timeseries", "Bodies", "Bps", 12,
         [(rate("tulle_edge_received_bytes_total", EDGE), "requests"),
          (rate("tulle_edge_sent_bytes_total", EDGE), "responses")]),
        ("timeseries", "Requests by protection", "reqps", 12,
         [(rate(REQUESTS, EDGE, "tls"), "{{tls}}")]),
    ],
]

C = "tulle_collector_"
SELF = 'instance=~"$instance"'


def own(name, by=""):
    return rate(C + name, SELF, by)


COLLECTOR = [
    [
        ("stat", "Version", "none", 4, [(f"tulle_build_info{{{SELF}}}", "{{version}}")]),
        ("stat", "Up since", "dateTimeFromNow", 4,
         [(f"1000 * process_start_time_seconds{{{SELF}}}", "")]),
        ("stat", "Memory", "bytes", 4, [(f"process_resident_memory_bytes{{{SELF}}}", "")]),
        ("stat", "CPU", "percentunit", 4,
         [(f"rate(process_cpu_seconds_total{{{SELF}}}{RATE})", "")]),
        ("stat", "Edges", "none", 4, [(f"{C}edges{{{SELF}}}", "")]),
        ("stat", "Series of edges", "none", 4, [(f"{C}metric_series{{{SELF}}}", "")]),
    ],
    [
        ("timeseries", "Exports by outcome", "reqps", 12,
         [(own("exports_total", "outcome"), "{{outcome}}")]),
        ("timeseries", "Committed", "cps", 12,
         [(own("spans_received_total"), "spans"),
          (own("access_records_received_total"), "access records")]),
    ],
    [
        ("timeseries", "Refused and failed", "cps", 12,
         [(own("spans_rejected_total"), "spans refused"),
          (own("access_records_rejected_total"), "access records refused"),
          (own("store_commit_failures_total"), "commits failed"),
          (own("edge_flush_failures_total"), "edges written late"),
          (own("calls_lost_total"), "calls not counted"),
          (own("http_requests_refused_total"), "not exports at all")]),
        ("timeseries", "Waiting", "short", 12,
         [(f"{C}queue_batches{{{SELF}}}", "batches for the writer"),
          (f"{C}edge_buckets_pending{{{SELF}}}", "buckets of edges"),
          (f"{C}halves_waiting{{{SELF}}}", "halves of pairs")]),
    ],
    [
        ("timeseries", "What became of spans", "cps", 12,
         [(own("halves_total", "outcome"), "{{outcome}}")]),
        ("timeseries", "Bytes in", "Bps", 12,
         [(own("received_bytes_total"), "as sent"), (own("inflated_bytes_total"), "decompressed")]),
    ],
    [
        ("timeseries", "Memory", "bytes", 12,
         [(f"process_resident_memory_bytes{{{SELF}}}", "resident"),
          (f"{C}inflight_bytes{{{SELF}}}", "not yet committed")]),
        ("timeseries", "Connections and files", "none", 12,
         [(f"{C}connections_open{{{SELF}}}", "connections"),
          (f"process_open_fds{{{SELF}}}", "open files")]),
    ],
]


def variable(name, label, query):
    return {"name": name, "label": label, "type": "query", "query": query, "refresh": 2,
            "datasource": {"type": "prometheus", "uid": "${datasource}"}, "includeAll": True,
            "allValue": ".*", "multi": True, "sort": 1,
            "current": {"text": "All", "value": "$__all"}}


NAMESPACE = variable("namespace", "Namespace",
                     f"label_values({REQUESTS}, destination_namespace)")
DASHBOARDS = {
    "mesh": ("Tulle: mesh", MESH, [NAMESPACE]),
    "edge": ("Tulle: one edge", DETAIL, [
        NAMESPACE, variable("source", "Caller", f"label_values({REQUESTS}, source_service)"),
        variable("destination", "Called", f"label_values({REQUESTS}, destination_service)")]),
    "collector": ("Tulle: the collector itself", COLLECTOR, [
        variable("instance", "Collector", "label_values(tulle_build_info, instance)")]),
}


def targets_of(kind, expressions):
    targets = []
    for i, (expr, legend) in enumerate(expressions):
        target = {"refId": chr(ord("A") + i), "expr": expr, "legendFormat": legend or "__auto"}
        if kind in ("stat", "table"):
            target["instant"] = True
        if kind == "table":
            target["format"] = "table"
        if kind == "heatmap":
            target["format"] = "heatmap"
        if kind == "timeseries":
            target["exemplar"] = "duration_seconds_bucket" in expr
        targets.append(target)
    return targets


def panel_of(number, kind, title, unit, expressions, place):
    panel = {"id": number, "type": kind, "title": title, "gridPos": place,
             "datasource": {"type": "prometheus", "uid": "${datasource}"},
             "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
             "targets": targets_of(kind, expressions)}
    if kind == "table":
        names = {f"Value #{t['refId']}": legend for t, (_, legend)
                 in zip(panel["targets"], expressions)}
        units = {"requests/s": "reqps", "failed": "percentunit", "p95": "s"}
        panel["fieldConfig"]["overrides"] = [
            {"matcher": {"id": "byName", "options": name},
             "properties": [{"id": "unit", "value": units[name]}]} for name in units]
        panel["transformations"] = [
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": True},
                                           "renameByName": names}}]
    if kind == "stat" and title == "Version":
        panel["options"] = {"textMode": "name"}
    if kind == "heatmap":
        panel["options"] = {"calculate": False, "yAxis": {"unit": unit}}
    return panel


def dashboard_of(name):
    title, rows, variables = DASHBOARDS[name]
    panels, y = [], 0
    for row in rows:
        x, height = 0, 4 if row[0][0] == "stat" else 8
        for kind, panel_title, unit, width, expressions in row:
            place = {"x": x, "y": y, "w": width, "h": height}
            panels.append(panel_of(len(panels) + 1, kind, panel_title, unit, expressions, place))
            x += width
        y += height
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource",
              "query": "prometheus", "refresh": 1}
    return {"uid": "tulle-" + name, "title": title, "tags": ["tulle"], "schemaVersion": 39,
            "editable": True, "refresh": "10s", "time": {"from": "now-1h", "to": "now"},
            "timezone": "", "templating": {"list": [source] + variables}, "panels": panels}


def main():
    for name in DASHBOARDS:
        path = os.path.join(HERE, name + ".json")
        text = json.dumps(dashboard_of(name), indent=1) + "\n"
        if "--check" not in sys.argv[1:]:
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            continue
        with open(path, encoding="utf-8") as f:
            if f.read() != text:
                sys.exit(f"{path} is not what dashboards.py writes")


if __name__ == "__main__":
    main()
