"""--scrape: edges from the metrics of proxies that tell nothing else. Two of our sidecars show Istio's metrics,
a server shows Linkerd's. Usage: test_scrape.py TULLE_COLLECTOR TULLE_PROXY"""
import http.client
import http.server
import re
import shutil
import signal
import sys
import threading

import prometheus
import support
from gateway_support import IN, OUT, PROM, Net, Proxy, Server, make_ca, make_spiffe
from support import Collector, access_record, check, folder, get_json, send_records, wait_until

COLLECTOR, PROXY = sys.argv[1:3]
net = Net("127.1.44")
REVIEWS, PAGE = (f"{net.net}.{n}" for n in (1, 2))
MESH = f"""apiVersion: v1
kind: Service
metadata: {{ name: reviews, namespace: default }}
spec: {{ selector: {{ app: reviews }}, ports: [{{ name: http, port: 9080, targetPort: {IN} }}] }}
---
""" + "---\n".join(f"""apiVersion: v1
kind: Pod
metadata: {{ name: {name}-v1-1, namespace: default, labels: {{ app: {name}, version: v1, security.istio.io/tlsMode: istio }} }}
spec: {{ serviceAccountName: {name} }}
status: {{ phase: Running, podIP: {ip} }}
""" for name, ip in (("reviews", REVIEWS), ("page", PAGE)))
LINKERD = """# TYPE response_total counter
response_total{direction="outbound",tls="true",server_id="voting.shop.serviceaccount.identity.linkerd.cluster.local",authority="voting.shop.svc.cluster.local:8080",dst_namespace="shop",dst_deployment="voting",status_code="200",classification="success"} %(n)d
response_total{direction="outbound",tls="true",server_id="voting.shop.serviceaccount.identity.linkerd.cluster.local",authority="voting.shop.svc.cluster.local:8080",dst_namespace="shop",dst_deployment="voting",status_code="503",classification="failure"} %(bad)d
response_total{direction="outbound",tls="no_identity",no_tls_reason="not_provided_by_service_discovery",dst_namespace="shop",dst_deployment="old",status_code="200",classification="success"} %(n)d
response_total{direction="inbound",tls="disabled",status_code="200",classification="success"} %(n)d
response_total{direction="inbound",tls="true",client_id="gate.edge.serviceaccount.identity.linkerd.cluster.local",status_code="200",classification="success",grpc_status="0"} %(n)d
this line is none
response_latency_ms_bucket{direction="outbound",tls="true",server_id="voting.shop.serviceaccount.identity.linkerd.cluster.local",dst_namespace="shop",dst_deployment="voting",status_code="200",le="10"} %(half)d
response_latency_ms_bucket{direction="outbound",tls="true",server_id="voting.shop.serviceaccount.identity.linkerd.cluster.local",dst_namespace="shop",dst_deployment="voting",status_code="200",le="50"} %(n)d
response_latency_ms_bucket{direction="outbound",tls="true",server_id="voting.shop.serviceaccount.identity.linkerd.cluster.local",dst_namespace="shop",dst_deployment="voting",status_code="200",le="+Inf"} %(n)d
response_latency_ms_sum{direction="outbound",tls="true",server_id="voting.shop.serviceaccount.identity.linkerd.cluster.local",dst_namespace="shop",dst_deployment="voting",status_code="200"} %(sum)d
"""
ISTIO = ('istio_requests_total{reporter="source",source_workload="a-v1",source_canonical_service="a",'
         'source_canonical_revision="v1",source_workload_namespace="default",source_cluster="demo",'
         'destination_workload="%s-v1",destination_canonical_service="%s",destination_canonical_revision="v1",'
         'destination_workload_namespace="default",destination_cluster="demo",'
         'destination_service="%s.default.svc.cluster.local",request_protocol="http",response_code="200",'
         'response_flags="-",connection_security_policy="unknown"} %d\n')


class Shown(http.server.ThreadingHTTPServer):
    """An endpoint that shows `text`."""
    daemon_threads = True

    def __init__(self, text):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                body = self.server.text.encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
        super().__init__(("127.0.0.1", 0), Handler)
        self.text = text
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/metrics"


def counter(c, name):
    text = support.http(c.base + "/metrics")[1].decode()
    return sum(float(v) for v in re.findall(rf"^{re.escape('tulle_collector_' + name)} (\S+)$", text, re.M))


def edges(c):
    return {(e["source"]["workload"], e["destination"]["workload"], e["protocol"]): e
            for e in get_json(f"{c.base}/api/v1/edges?window=10m")["edges"]}


def looks(c, n):
    """That many endpoints more have been looked at."""
    want = counter(c, 'scrapes_total{outcome="done"}') + n
    wait_until("scrapes", lambda: counter(c, 'scrapes_total{outcome="done"}') >= want)


def send(n, path="/", host="reviews:9080", want=200):
    for _ in range(n):
        c = http.client.HTTPConnection(PAGE, OUT, timeout=30)
        c.request("POST", path, body=b"x" * 20, headers={"Host": host})
        r = c.getresponse()
        r.read()
        c.close()
        check(r.status == want, f"{host}{path}: {r.status}, want {want}")


def expect(c, key, requests, errors, tls, n=2, **more):
    """The edge gets there, and after further looks it is still that."""
    wait_until(f"{key} with {requests}", lambda: edges(c).get(key, {"requests": 0})["requests"] >= requests)
    looks(c, 3 * n)
    e = edges(c)[key]
    check(e["requests"] == requests and e["errors"] == errors, e)
    check({k: e["tls"][k] for k in ("mutual", "plaintext", "unknown")} ==
          {"mutual": 0, "plaintext": 0, "unknown": 0, **tls}, e["tls"])
    check(e["evidence"] == "scrape" and e["evidenceCounts"] == {"scrape": requests}, e)
    for k, v in more.items():
        check(e[k] == v, f"{k}: {e[k]}, want {v}")
    return e


def end(c):
    c.child.may_end = True
    check(support.stop(c.child) == 0, "the end")


def proxy(name, at):
    net.next = at
    shutil.rmtree(f"{folder}/{name}-v1", ignore_errors=True)
    return Proxy(PROXY, net, f"{name}-v1", [MESH], role="sidecar", labels=f"app={name},version=v1",
                 options=(f"--certs={folder}/certs-{name}", f"--service-account={name}"))


def test_istio():
    """Both sides are scraped: each request counts once, survives kill -9, and a proxy that starts again is no loss."""
    both = Collector(COLLECTOR, "--scrape-interval=1s", "--scrape",
                     ",".join(f"http://{ip}:{PROM}/stats/prometheus" for ip in (PAGE, REVIEWS)))
    looks(both, 2)
    send(30)
    send(6, "/status/503", want=503)
    send(4, "/status/404", want=404)
    send(3, host="nobody", want=404)
    key = ("page-v1", "reviews-v1", "http")
    e = expect(both, key, 40, 6, {"mutual": 40})
    check(e["codes"]["2xx"] == 30 and e["codes"]["4xx"] == 4 and e["codes"]["5xx"] == 6, e["codes"])
    check(e["destinationService"] == "reviews.default.svc.cluster.local", e)
    check(0 < e["latency"]["p95Ms"] < 60000 and e["latency"]["meanMs"] > 0, e["latency"])
    check(e["source"]["version"] == "latest" and e["source"]["namespace"] == "default", e)
    check(e["tls"]["bases"] == {"reported": 40}, e["tls"])
    lost = next(e for k, e in edges(both).items() if k != key)
    check(lost["requests"] == 3 and lost["flags"] == {"NR": 3} and lost["tls"]["unknown"] == 3, lost)
    check(len(edges(both)) == 2, sorted(edges(both)))
    both.child.may_end = True
    support.stop(both.child, signal.SIGKILL)
    both.start()
    looks(both, 2)
    send(10)
    expect(both, key, 50, 6, {"mutual": 50})
    proxies["page"].stop()
    wait_until("a failed look", lambda: counter(both, 'scrapes_total{outcome="failed"}') >= 1)
    proxies["page"] = proxy("page", 2).wait(OUT)
    send(5)
    expect(both, key, 55, 6, {"mutual": 55})
    end(both)


def test_called_side_alone():
    c = Collector(COLLECTOR, "--store=memory:", "--scrape-interval=1s",
                  f"--scrape=http://{REVIEWS}:{PROM}/stats/prometheus")
    looks(c, 1)
    send(7)
    e = expect(c, ("page-v1", "reviews-v1", "http"), 7, 0, {"mutual": 7}, n=1)
    check(e["tls"]["confidence"] == "reported", e["tls"])
    end(c)


def test_linkerd():
    shown = Shown(LINKERD % {"n": 100, "bad": 1, "half": 50, "sum": 2000})
    c = Collector(COLLECTOR, "--store=memory:", "--scrape-interval=1s",
                  f"--scrape={shown.url()}#shop/web")
    looks(c, 2)
    check(not edges(c), "what was counted before the first look is not new")
    shown.text = LINKERD % {"n": 120, "bad": 4, "half": 60, "sum": 2400}
    e = expect(c, ("web", "voting", "http"), 23, 3, {"mutual": 23}, n=1,
               destinationService="voting.shop.svc.cluster.local:8080")
    check(abs(e["latency"]["meanMs"] - 20) < 0.01 and 45 < e["latency"]["p95Ms"] < 51, e["latency"])
    check(9 < e["latency"]["p50Ms"] < 10.5, e["latency"])
    expect(c, ("web", "old", "http"), 20, 0, {"plaintext": 20}, n=1)
    expect(c, ("unknown", "web", "http"), 20, 0, {"unknown": 20}, n=1)
    e = expect(c, ("gate", "web", "grpc"), 20, 0, {"mutual": 20}, n=1)
    check(e["source"]["namespace"] == "edge", e["source"])
    check(len(edges(c)) == 4, sorted(edges(c)))
    check(counter(c, "scraped_lines_malformed_total") >= 3, "the line that is none")
    end(c)


def test_records_are_better():
    """An edge that access records tell of takes no counters."""
    shown = Shown(ISTIO % ("b", "b", "b", 10) + ISTIO % ("c", "c", "c", 10))
    c = Collector(COLLECTOR, "--store=memory:", "--scrape-interval=1s", f"--scrape={shown.url()}")
    looks(c, 2)
    check(send_records(c, [access_record("a", "b", 200) for _ in range(4)])[0] == 200, "records")
    wait_until("the edge", lambda: ("a-v1", "b-v1", "http") in edges(c))
    shown.text = ISTIO % ("b", "b", "b", 14) + ISTIO % ("c", "c", "c", 14)
    expect(c, ("a-v1", "c-v1", "http"), 4, 0, {"unknown": 4}, n=1)
    b = edges(c)[("a-v1", "b-v1", "http")]
    check(b["requests"] == 4 and b["evidenceCounts"] == {"source": 4}, b)
    check(counter(c, 'scraped_requests_total{outcome="told_better"}') == 4, "told better")
    end(c)


def test_metrics():
    """Prometheus finds the scraped edges at the collector, too: each request once, whoever tells of it; what reached
    nobody is not called protected; counters never fall, and the budget of series holds."""
    if not shutil.which("prometheus"):
        return print("left out: there is no prometheus")
    c = Collector(COLLECTOR, "--store=memory:", "--scrape-interval=1s", "--metrics-dialects=istio,servicegraph,kiali",
                  f"--scrape=http://{PAGE}:{PROM}/stats/prometheus,http://{REVIEWS}:{PROM}/stats/prometheus")
    looks(c, 2)
    p = prometheus.Prometheus(c)
    send(20)
    send(5, "/status/503", want=503)
    send(2, "/status/404", want=404)
    send(3, host="nobody", want=404)
    edge = 'source_workload="page-v1",destination_workload="reviews-v1"'
    seen = []

    def requests():
        seen.append(sum(v for _, v in p.vector("tulle_edge_requests_total")))
        return seen[-1]

    wait_until("30 requests in Prometheus", lambda: requests() >= 30, 60)
    send(10)
    wait_until("40 requests in Prometheus", lambda: requests() >= 40, 60)
    looks(c, 6)
    check(requests() == 40 and seen == sorted(seen), seen)
    check(p.by(f"tulle_edge_requests_total{{{edge}}} > 0", "tls", "code") ==
          {("mutual", "2xx"): 30, ("mutual", "4xx"): 2, ("mutual", "5xx"): 5}, p.vector("tulle_edge_requests_total"))
    check(p.by('sum by (tls) (tulle_edge_requests_total{destination_workload!="reviews-v1"} > 0)', "tls") ==
          {("unknown",): 3}, "NR")
    check(p.by(f"sum by (tls) (tulle_edge_errors_total{{{edge}}})", "tls") == {("mutual",): 5}, "errors")
    check(p.by(f"tulle_edge_request_duration_seconds_count{{{edge}}}", "tls") == {("mutual",): 37}, "durations")
    check(p.by(f"tulle_edge_received_bytes_total{{{edge}}}", "tls") == {("mutual",): 37 * 20}, "bytes")
    for reporter in ("source", "destination"):
        check(p.by(f'sum by (response_code) (istio_requests_total{{reporter="{reporter}",{edge}}})', "response_code") ==
              {("200",): 30, ("404",): 2, ("503",): 5}, reporter)
    graph = p.by("traces_service_graph_request_total", "client", "server")
    check(sorted(graph.values()) == [3, 37], graph)
    check(p.by('sum by (status_code,secure) (kiali_ext_requests_total{dest_name=~"reviews.*"})', "status_code", "secure") ==
          {("200", "true"): 30, ("404", "true"): 2, ("503", "true"): 5}, "kiali")
    e = edges(c)[("page-v1", "reviews-v1", "http")]
    check(e["requests"] == 37 and e["evidence"] == "scrape", e)
    end(c)
    few = Collector(COLLECTOR, "--store=memory:", "--scrape-interval=1s", "--metrics-max-series=24",
                    f"--scrape=http://{PAGE}:{PROM}/stats/prometheus")
    looks(few, 2)
    send(4)
    send(3, host="nobody", want=404)
    rows = lambda: re.findall(r'^tulle_edge_requests_total{.*source_workload="([^"]*)".*} ([1-9]\S*)$',
                              support.http(few.base + "/metrics")[1].decode(), re.M)
    wait_until("7 requests in all", lambda: sum(float(v) for _, v in rows()) >= 7)
    looks(few, 3)
    check(sum(float(v) for _, v in rows()) == 7 and {w for w, _ in rows()} == {"page-v1", "other"}, rows())
    end(few)


def test_metrics_of_both():
    """Records come for an edge that was scraped: the scraped requests are theirs. Its own stay."""
    shown = Shown(ISTIO % ("b", "b", "b", 10) + ISTIO % ("c", "c", "c", 10))
    c = Collector(COLLECTOR, "--store=memory:", "--scrape-interval=1s", f"--scrape={shown.url()}")
    looks(c, 2)
    shown.text = ISTIO % ("b", "b", "b", 14) + ISTIO % ("c", "c", "c", 17)
    wait_until("the scraped edge", lambda: ("a-v1", "b-v1", "http") in edges(c))
    check(send_records(c, [access_record("a", "b", 200) for _ in range(4)])[0] == 200, "records")
    rows = lambda: dict(re.findall(r'^tulle_edge_requests_total{.*destination_workload="([^"]*)".*code="2xx"} (\S+)$',
                                   support.http(c.base + "/metrics")[1].decode(), re.M))
    wait_until("both", lambda: len(rows()) == 2, 30)
    looks(c, 3)
    check(rows() == {"b-v1": "4", "c-v1": "7"}, rows())
    end(c)


ca = make_ca()
Server(REVIEWS, "reviews-v1")
for name in ("reviews", "page"):
    make_spiffe(ca, f"{folder}/certs-{name}", name)
proxies = {"reviews": proxy("reviews", 1).wait(IN), "page": proxy("page", 2).wait(OUT)}
for name, test in list(globals().items()):
    if name.startswith("test_"):
        print("case:", name, flush=True)
        test()
for p in proxies.values():
    p.stop()
