"""test_dialects.py COLLECTOR - the questions that Kiali and the dashboards of Istio and Grafana ask.

A known load is sent as records of both proxies, as spans and as TCP connections. The collector serves
it in every dialect; promtool must find nothing to complain about; a real Prometheus scrapes it while
more is sent, and the shapes of PromQL those tools use must give the true numbers. Rates are checked
where they are exact: increase() over two scrapes would extrapolate, so the load is sent before the
first scrape and again after it, and differences are taken of the counters themselves; the rate()
shapes must select the right series and agree with each other.
"""
import json
import subprocess
import sys
import time

import prometheus
import support
from support import attribute, check, http, send_records, access_record, wait_until

G = ("source_cluster,source_workload_namespace,source_workload,source_canonical_service,"
     "source_canonical_revision,destination_cluster,destination_service_namespace,"
     "destination_service,destination_service_name,destination_workload_namespace,"
     "destination_workload,destination_canonical_service,destination_canonical_revision")
PRINCIPAL = "spiffe://cluster.local/ns/default/sa/"
CALLS = [  # source, destination, code, gRPC status, flags, how many
    ("frontend", "reviews", 200, None, "", 30),
    ("frontend", "reviews", 503, None, "UF", 6),
    ("frontend", "reviews", 404, None, "", 4),
    ("reviews", "ratings", 200, 0, "", 20),
    ("reviews", "ratings", 200, 14, "", 5),
]
SPANS = 12  # pairs checkout -> billing, a third of which failed
TCP = 3     # connections billing -> ledger


COMPLAINTS = [f"{name} use base unit \"seconds\" instead of \"milliseconds\"" for name in (
    "istio_request_duration_milliseconds", "traces_span_metrics_duration_milliseconds")]


def record(reporter, source, destination, code, grpc, flags):
    more = {"reporter": reporter, "source_principal": PRINCIPAL + source,
            "destination_principal": PRINCIPAL + destination,
            "duration_ns": 8_000_000 if reporter == "source" else 6_000_000}
    if grpc is not None:
        more.update(request_protocol="grpc", grpc_response_status=grpc)
    if flags:
        more["response_flags"] = flags
    return access_record(source, destination, code, **more)


def connection(reporter):
    return access_record("billing", "ledger", 0, "plaintext", reporter=reporter,
                         request_protocol="tcp", bytes_received=100, bytes_sent=7000)


def span(service, number, parent, kind, failed, start, ms):
    attributes = [attribute("http.request.method", "GET"),
                  attribute("http.response.status_code", 500 if failed else 200)]
    return {"resource": {"attributes": [attribute("service.name", service),
                                        attribute("k8s.namespace.name", "default")]},
            "scopeSpans": [{"scope": {"name": "test"}, "spans": [{
                "traceId": f"{start:032x}", "spanId": f"{number:016x}", "name": "GET /pay",
                "parentSpanId": f"{parent:016x}" if parent else "", "kind": kind,
                "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + ms * 1_000_000),
                "status": {"code": 2} if failed else {}, "attributes": attributes}]}]}


def send_all(collector):
    records = [record(reporter, s, d, code, grpc, flags)
               for s, d, code, grpc, flags, n in CALLS for _ in range(n)
               for reporter in ("source", "destination") if (reporter, flags) != ("destination", "UF")]
    records += [connection(reporter) for _ in range(TCP) for reporter in ("source", "destination")]
    status, body = send_records(collector, records)
    check(status == 200, f"records: {status} {body!r}")
    spans = []
    for i in range(SPANS):
        start = time.time_ns() + i
        spans += [span("checkout", 1, 9, 3, i % 3 == 0, start, 8),
                  span("billing", 2, 1, 2, i % 3 == 0, start, 6)]
    status, body = http(collector.otlp + "/v1/traces", json.dumps({"resourceSpans": spans}).encode(),
                        {"Content-Type": "application/json"})
    check(status == 200, f"spans: {status} {body!r}")


def expect(p, what, promql, want, *labels):
    seen = {k: v for k, v in p.by(promql, *labels).items() if v}
    check(seen == want, f"{what}: {promql}\n  gives {seen}\n  want  {want}")


def check_istio(p, times):
    per_edge = {}
    for s, d, code, grpc, flags, n in CALLS:
        key = (s, d, str(code), None if grpc is None else str(grpc), flags or "-")
        per_edge[key] = n * times
    labels = ("source_canonical_service", "destination_canonical_service", "response_code",
              "grpc_response_status", "response_flags")
    by = f"sum by ({G},request_protocol,response_code,grpc_response_status,response_flags)"
    ns = 'source_workload_namespace="default"'
    meshed = 'source_canonical_service=~"frontend|reviews"'
    expect(p, "Kiali, out of a namespace",
           f'{by} (istio_requests_total{{reporter="source",{ns},{meshed}}})', per_edge, *labels)
    reached = {k: v for k, v in per_edge.items() if k[4] != "UF"}
    expect(p, "Kiali, into a namespace", f'{by} (istio_requests_total{{reporter="destination",'
           f'destination_workload_namespace="default",{meshed}}})', reached, *labels)
    total = sum(v for v in per_edge.values())
    ok = sum(v for k, v in per_edge.items() if not k[2].startswith("5"))
    spans_ok = sum(i % 3 != 0 for i in range(SPANS)) * times
    expect(p, "Istio's success rate", 'sum(istio_requests_total{reporter=~"source|waypoint",'
           'response_code!~"5.*"}) / sum(istio_requests_total{reporter=~"source|waypoint"})',
           {(): (ok + spans_ok) / (total + SPANS * times)})
    expect(p, "Istio's mutual TLS panels", 'sum by (connection_security_policy) '
           f'(istio_requests_total{{reporter="destination",{meshed},'
           'destination_service=~".*default.svc.cluster.local"})',
           {("mutual_tls",): sum(reached.values())}, "connection_security_policy")
    expect(p, "Kiali's lock", "sum by (source_principal,destination_principal) (istio_requests_total"
           f'{{reporter="destination",{meshed},connection_security_policy="mutual_tls"}})',
           {(PRINCIPAL + "frontend", PRINCIPAL + "reviews"): 34 * times,
            (PRINCIPAL + "reviews", PRINCIPAL + "ratings"): 25 * times},
           "source_principal", "destination_principal")
    for reporter in ("source", "destination"):
        expect(p, "bytes of TCP", "sum by (destination_canonical_service) (istio_tcp_sent_bytes_total"
               f'{{reporter="{reporter}",app!="ztunnel"}})', {("ledger",): 7000 * TCP * times},
               "destination_canonical_service")
    expect(p, "bytes of responses", 'sum(istio_response_bytes_sum{reporter="source",'
           f'{meshed}}})', {(): 1000 * total})


def check_graph(p, times):
    edges = {("frontend", "reviews"): 40, ("reviews", "ratings"): 25, ("checkout", "billing"): SPANS,
             ("billing", "ledger"): TCP}
    edges = {k: v * times for k, v in edges.items()}
    failed = {("frontend", "reviews"): 6, ("reviews", "ratings"): 5,
              ("checkout", "billing"): sum(i % 3 == 0 for i in range(SPANS))}
    expect(p, "service graph", "sum by (client, server) (traces_service_graph_request_total)",
           edges, "client", "server")
    expect(p, "service graph, failed",
           "sum by (client, server) (traces_service_graph_request_failed_total)",
           {k: v * times for k, v in failed.items()}, "client", "server")
    seconds = p.by("sum by (client, server) (traces_service_graph_request_server_seconds_sum) / "
                   "sum by (client, server) (traces_service_graph_request_server_seconds_count)",
                   "client", "server")
    check(all(abs(seconds[k] - 0.006) < 1e-9 for k in list(failed)), f"server seconds: {seconds}")
    expect(p, "Grafana's table of spans", 'sum by (span_name) (traces_spanmetrics_calls_total'
           '{status_code="STATUS_CODE_ERROR"})',
           {("GET /pay",): 2 * times * failed[("checkout", "billing")]}, "span_name")
    expect(p, "Jaeger's Monitor", 'sum by (service_name, span_kind) (traces_span_metrics_calls_total)',
           {("checkout", "SPAN_KIND_CLIENT"): SPANS * times,
            ("billing", "SPAN_KIND_SERVER"): SPANS * times}, "service_name", "span_kind")
    requests = {(s, d): n for (s, d), n in edges.items() if d != "ledger"}
    expect(p, "Kiali's extension", "sum by (source_name, dest_name) "
           '(kiali_ext_requests_total{extension="tulle"})', requests, "source_name", "dest_name")
    expect(p, "Kiali's extension, TCP", "sum by (source_name, dest_name) "
           '(kiali_ext_tcp_received_total{extension="tulle"})',
           {("billing", "ledger"): 7000 * TCP * times}, "source_name", "dest_name")


RATES = [  # with rate() as the tools ask it: how many series, and the value where it does not depend on time
    ('round(sum(rate(istio_requests_total{reporter="source",source_workload_namespace="default"}[60s]))'
     f' by ({G},request_protocol,response_code,grpc_response_status,response_flags) > 0, 0.001)', 7, None),
    ('histogram_quantile(0.95, sum(rate(istio_request_duration_milliseconds_bucket{reporter="destination",'
     f'destination_service_namespace="default"}}[60s])) by (le,{G},request_protocol)) > 0', 3, (5, 10)),
    ('sum(rate(istio_request_duration_milliseconds_sum{reporter="source"}[60s])) by (destination_service)'
     ' / sum(rate(istio_request_duration_milliseconds_count{reporter="source"}[60s])) by '
     '(destination_service)', 3, (8, 8)),
    ('label_join((histogram_quantile(0.50, sum(rate(istio_request_duration_milliseconds_bucket{'
     'reporter=~"source|waypoint"}[60s])) by (le, destination_workload, destination_workload_namespace))'
     ' / 1000), "destination_workload_var", ".", "destination_workload", '
     '"destination_workload_namespace")', 3, (0.005, 0.01)),
    ('sum(rate(traces_service_graph_request_total[60s])) by (client, server)', 4, None),
    ('histogram_quantile(.9, sum(rate(traces_service_graph_request_server_seconds_bucket[60s])) '
     'by (le, client, server)) and on (client, server) traces_service_graph_request_failed_total > 0',
     3, (0.005, 0.01)),
    ('topk(5, sum(rate(traces_spanmetrics_calls_total{}[60s])) by (span_name))', 1, None),
    ('histogram_quantile(.9, sum(rate(traces_spanmetrics_latency_bucket{span_name=~"GET /pay"}[60s]))'
     ' by (le))', 1, (0.004, 0.008)),
    ('histogram_quantile(.95, sum(rate(traces_span_metrics_duration_milliseconds_bucket{'
     'service_name="billing"}[60s])) by (service_name, le))', 1, (4, 6)),
    ('sum(rate(kiali_ext_requests_total{extension="tulle"} [60s])) by (dest_cluster, dest_namespace, '
     'dest_name, flags, protocol, secure, source_cluster, source_is_root, source_namespace, source_name, '
     'status_code) > 0', 7, None),
]


def check_rates(p):
    for promql, series, between in RATES:
        seen = p.vector(promql)
        check(len(seen) == series, f"{promql}: {len(seen)} series, want {series}: {seen}")
        for labels, value in seen:
            check(value > 0 and (not between or between[0] - 1e-9 <= value <= between[1] + 1e-9),
                  f"{promql}: {labels} {value}, want {between}")


def main():
    prometheus.or_skip()
    collector = support.Collector(sys.argv[1], "--metrics-dialects",
                                  "istio,servicegraph,spanmetrics,kiali")
    send_all(collector)
    p = prometheus.Prometheus(collector)
    arrived = "sum(traces_service_graph_request_total)"
    one = sum(c[-1] for c in CALLS) + SPANS + TCP
    for times in (1, 2):
        wait_until("the load in Prometheus",
                   lambda n=times: p.by(arrived) == {(): one * n} and
                   p.by("sum(traces_service_graph_request_server_seconds_count)") ==
                   {(): (one - 6) * n}, 60)
        check_istio(p, times)
        check_graph(p, times)
        if times == 1:
            send_all(collector)
    wait_until("a scrape more", lambda: len(p.vector(RATES[0][0])) == RATES[0][1], 30)
    check_rates(p)
    status, text = http(collector.base + "/metrics")
    check(status == 200, f"/metrics: {status}")
    run = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                         check=False)
    said = (run.stdout + run.stderr).decode().splitlines()
    check(sorted(filter(None, said)) == COMPLAINTS, f"promtool: status {run.returncode}: {said}")
    check(support.stop(collector.child) == 0, "the collector did not end cleanly")


main()
