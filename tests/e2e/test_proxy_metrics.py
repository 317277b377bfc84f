"""Istio's metrics on the proxies' own port: a real Prometheus scrapes two sidecars and a gateway, and the
questions that Kiali and Istio's dashboards ask give the true numbers. Usage: test_proxy_metrics.py TULLE_PROXY"""
import http.client
import subprocess
import sys

import prometheus
from gateway_support import (APP, DOOR, IN, OUT, PROM, Net, Proxy, Server, make_ca, make_spiffe)
from support import check, folder, wait_until

PROXY = sys.argv[1]
net = Net("127.1.38")
REVIEWS, PAGE, GATE, SMALL = (f"{net.net}.{n}" for n in range(1, 5))
PRINCIPAL = "spiffe://cluster.local/ns/default/sa/"
MESH = f"""apiVersion: v1
kind: Service
metadata: {{ name: reviews, namespace: default }}
spec: {{ selector: {{ app: reviews }}, ports: [{{ name: http, port: 9080, targetPort: {IN} }}] }}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: door, namespace: default }}
spec: {{ selector: {{ app: gate }}, servers: [{{ port: {{ number: {DOOR}, name: http, protocol: HTTP }}, hosts: ["*"] }}] }}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: door, namespace: default }}
spec: {{ hosts: [shop.example.com], gateways: [door], http: [{{ route: [{{ destination: {{ host: reviews }} }}] }}] }}
---
""" + "---\n".join(f"""apiVersion: v1
kind: Pod
metadata: {{ name: {name}-v1-1, namespace: default, labels: {{ app: {name}, version: v1, security.istio.io/tlsMode: istio }} }}
spec: {{ serviceAccountName: {name} }}
status: {{ phase: Running, podIP: {ip} }}
""" for name, ip in (("reviews", REVIEWS), ("page", PAGE), ("gate", GATE)))
G = ("source_cluster,source_workload_namespace,source_workload,source_canonical_service,"
     "source_canonical_revision,destination_cluster,destination_service_namespace,"
     "destination_service,destination_service_name,destination_workload_namespace,"
     "destination_workload,destination_canonical_service,destination_canonical_revision")
HOST = "reviews.default.svc.cluster.local"
# caller, path, host, code, flags, how many
LOAD = [("page", "/", "reviews:9080", 200, "-", 30), ("page", "/status/503", "reviews:9080", 503, "-", 6),
        ("page", "/status/404", "reviews:9080", 404, "-", 4), ("page", "/", "nobody", 404, "NR", 3),
        ("gate", "/", "shop.example.com", 200, "-", 20), ("gate", "/", "invented-{}.example", 404, "NR", 5)]


def send():
    for caller, path, host, code, _, n in LOAD:
        ip, port = (PAGE, OUT) if caller == "page" else (GATE, DOOR)
        for i in range(n):
            c = http.client.HTTPConnection(ip, port, timeout=30)
            c.request("POST", path, body=b"x" * 20, headers={"Host": host.format(i)})
            r = c.getresponse()
            r.read()
            c.close()
            check(r.status == code, f"{caller} {host}{path}: {r.status}, want {code}")


def metrics(ip):
    c = http.client.HTTPConnection(ip, PROM, timeout=30)
    c.request("GET", "/stats/prometheus")
    return c.getresponse().read().decode()


def expect(what, promql, want, *labels):
    seen = {k: v for k, v in p.by(promql, *labels).items() if v}
    check(seen == want, f"{what}: {promql}\n  gives {seen}\n  want  {want}")


def test_kiali():
    by = f"sum by ({G},request_protocol,response_code,grpc_response_status,response_flags)"
    labels = ("source_workload", "destination_workload", "destination_service", "destination_service_name",
              "response_code", "response_flags")
    want = {("page-v1", "reviews-v1", HOST, "reviews", "200", "-"): 30.0,
            ("page-v1", "reviews-v1", HOST, "reviews", "503", "-"): 6.0,
            ("page-v1", "reviews-v1", HOST, "reviews", "404", "-"): 4.0,
            ("page-v1", "unknown", "nobody", "nobody", "404", "NR"): 3.0,
            ("gate-v1", "reviews-v1", HOST, "reviews", "200", "-"): 20.0,
            ("gate-v1", "unknown", "unknown", "unknown", "404", "NR"): 5.0}
    expect("out of a namespace", f'{by} (istio_requests_total{{reporter="source",'
           'source_workload_namespace="default"}})'.replace("}})", "})"), want, *labels)
    reached = {k: v for k, v in want.items() if k[1] == "reviews-v1"}
    expect("into a namespace", f'{by} (istio_requests_total{{reporter="destination",'
           'destination_workload_namespace="default"})', reached, *labels)


def test_lock():
    """The badge of Kiali and the panels of Istio: by what the server's side proved."""
    of = 'istio_requests_total{reporter="destination",connection_security_policy="mutual_tls"}'
    expect("principals", f"sum by (source_principal,destination_principal) ({of})",
           {(PRINCIPAL + "page", PRINCIPAL + "reviews"): 40.0, (PRINCIPAL + "gate", PRINCIPAL + "reviews"): 20.0},
           "source_principal", "destination_principal")
    expect("policies", "sum by (reporter,connection_security_policy) (istio_requests_total)",
           {("source", "unknown"): 68.0, ("destination", "mutual_tls"): 60.0}, "reporter",
           "connection_security_policy")


def test_dashboards():
    expect("success rate", 'sum(istio_requests_total{reporter="source",response_code!~"5.*"}) / '
           'sum(istio_requests_total{reporter="source"})', {(): 62 / 68})
    expect("request bytes", 'sum(istio_request_bytes_sum{reporter="destination"})', {(): 60 * 20.0})
    expect("no empty histogram", "count(istio_request_duration_milliseconds_count) - count(istio_requests_total)", {})
    for family in ("istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes"):
        expect(family, f'sum by (reporter) ({family}_count)', {("source",): 68.0, ("destination",): 60.0}, "reporter")
        expect(family, f'sum by (reporter) ({family}_bucket{{le="+Inf"}})',
               {("source",): 68.0, ("destination",): 60.0}, "reporter")
    quantile = p.vector("histogram_quantile(0.95, sum by (le, destination_workload) "
                        '(istio_request_duration_milliseconds_bucket{reporter="destination"}))')
    check(len(quantile) == 1 and 0 < quantile[0][1] < 60000, quantile)
    expect("who counts", 'count by (component) (istio_build{tag!=""})', {("proxy",): 3.0}, "component")


def test_own_counters_stay():
    expect("ours", 'sum by (listener) (tulle_proxy_requests_total{listener=~"outbound|gateway"})',
           {("outbound",): 43.0, ("gateway",): 25.0}, "listener")


def test_promtool():
    r = subprocess.run(["promtool", "check", "metrics"], input=metrics(PAGE), capture_output=True, text=True,
                       timeout=30, check=False)
    left = [x for x in (r.stdout + r.stderr).splitlines() if "milliseconds" not in x]
    check(not left, left)


def test_budget():
    """Two label sets: what comes beyond them is counted as "other", and totals stay true."""
    g = Proxy(PROXY, net, "small", [MESH], role="sidecar", labels="app=page", options=("--metrics-series=2",)).wait(OUT)
    for i in range(20):
        check(g.who(f"nobody-{i}", port=OUT) == 404, "no such host")
    text = metrics(g.ip)
    rows = [x for x in text.splitlines() if x.startswith("istio_requests_total{")]
    check(len(rows) == 3 and sum(int(x.rsplit(" ", 1)[1]) for x in rows) == 20, rows)
    check('destination_service="other"' in rows[2] and rows[2].endswith(" 18"), rows)
    check('tulle_proxy_metrics_overflow_total{why="budget"} 18' in text, "overflow is counted")
    g.stop()
    g = Proxy(PROXY, net, "none", [MESH], role="sidecar", labels="app=page", options=("--metrics-series=0",)).wait(OUT)
    g.who("nobody", port=OUT)
    check("istio_requests_total" not in metrics(g.ip), "off")
    g.stop()


prometheus.or_skip()
ca = make_ca()
Server(REVIEWS, "reviews-v1")
proxies = {}
for name, role in (("reviews", "sidecar"), ("page", "sidecar"), ("gate", "gateway")):
    proxies[name] = Proxy(PROXY, net, f"{name}-v1", [MESH], role=role, labels=f"app={name},version=v1",
                          options=(f"--certs={make_spiffe(ca, f'{folder}/certs-{name}', name)}",
                                   f"--service-account={name}"))
proxies["page"].wait(OUT)
proxies["gate"].wait(DOOR)
proxies["reviews"].wait(IN)
send()
p = prometheus.Prometheus(None, targets=[f"{ip}:{PROM}" for ip in (REVIEWS, PAGE, GATE)], scraped="/stats/prometheus")
wait_until("scrapes", lambda: p.by("sum(istio_requests_total)").get((), 0) == 128, 60)
for name, test in list(globals().items()):
    if name.startswith("test_"):
        print("case:", name, flush=True)
        test()
for proxy in proxies.values():
    proxy.stop()
