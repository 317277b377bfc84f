"""Access logs of Envoy, as Istio's sidecars send them over OTLP or as lines over HTTP: one edge for the two
lines of a request, with its TLS state and how that is known, also after kill -9.

    python3 test_envoy_logs.py build/bin/tulle-collector
"""
import datetime
import gzip
import json
import signal
import sys
import time

from otlp import json_attributes
from support import Collector, check, get_json, http, stop, wait_until

WEB, REVIEWS, PAY = "10.44.1.23", "10.44.1.27", "10.44.1.40"
now = time.time()


def stamp(i):
    return datetime.datetime.fromtimestamp(now - 5 + i / 1000, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def line(i, cluster, upstream, local, remote, sni="-", code=200, flags="-", details="via_upstream", ulocal="-",
         request="GET /reviews/1 HTTP/1.1", ms=5):
    return (f'[{stamp(i)}] "{request}" {code} {flags} {details} - "-" 10 20 {ms} 4 "-" "curl/8.5" "id-{i}" '
            f'"reviews:9080" "{upstream}" {cluster} {ulocal} {local} {remote} {sni} default\n')


def outbound(i, **more):
    return line(i, "outbound|9080|v1|reviews.shop.svc.cluster.local", f"{REVIEWS}:9080", "10.0.45.1:9080", f"{WEB}:46520",
                ulocal=f"{WEB}:37652", ms=6, **more)


def inbound(i, sni="outbound_.9080_.v1_.reviews.shop.svc.cluster.local", **more):
    return line(i, "inbound|9080||", "127.0.0.1:9080", f"{REVIEWS}:9080", f"{WEB}:37652", sni=sni, **more)


def node(ip, pod, namespace):
    service = pod.split("-")[0]
    return {"node_name": f"sidecar~{ip}~{pod}.{namespace}~{namespace}.svc.cluster.local",
            "cluster_name": f"{service}.{namespace}", "log_name": "otel_envoy_accesslog"}


def send(c, resource, lines):
    body = {"resourceLogs": [{"resource": {"attributes": json_attributes(resource)}, "scopeLogs": [{"logRecords": [
        {"timeUnixNano": str(int((now - 5 + i / 1000) * 1e9)), "body": {"stringValue": text}}
        for i, text in enumerate(lines)]}]}]}
    status, answer = http(c.otlp + "/v1/logs", gzip.compress(json.dumps(body).encode()),
                          {"Content-Type": "application/json", "Content-Encoding": "gzip"})
    check(status == 200, f"{status} {answer!r}")
    return json.loads(answer)


def edges(c, **params):
    query = "&".join(f"{k}={v}" for k, v in {"window": "10m", **params}.items())
    return {(e["source"]["workload"], e["destination"]["workload"], e["protocol"]): e
            for e in get_json(f"{c.base}/api/v1/edges?{query}")["edges"]}


def both_sides(c):
    # each proxy says once who it is and where, then 40 requests are told by both sides
    send(c, node(WEB, "web-v1-545db77b95-wjtlq", "shop"), [outbound(0)])
    send(c, node(REVIEWS, "reviews-v1-6f7bf4bc8c-b9gvx", "shop"), [inbound(0)])
    send(c, node(WEB, "web-v1-545db77b95-wjtlq", "shop"),
         [outbound(i, code=503 if i % 10 == 0 else 200, flags="UF,URX" if i % 10 == 0 else "-") for i in range(1, 41)])
    send(c, node(REVIEWS, "reviews-v1-6f7bf4bc8c-b9gvx", "shop"),
         [inbound(i, sni="-" if i % 4 == 0 else "outbound_.9080_.v1_.reviews.shop.svc.cluster.local")
          for i in range(1, 41) if i % 10])


def check_both_sides(c):
    edge = wait_until("the edge", lambda: edges(c).get(("web-v1", "reviews-v1", "http")))
    check(edge["source"]["namespace"] == edge["destination"]["namespace"] == "shop", edge)
    check(edge["source"]["service"] == "web" and edge["destination"]["service"] == "reviews", edge)
    check(edge["destinationService"] == "reviews.shop.svc.cluster.local", edge)
    # the first outbound line came before the callee was known: it is on the edge to the service
    check(edge["requests"] == 40 and edge["errors"] == 4 and edge["flags"] == {"UF": 4, "URX": 4}, edge)
    check(edge["evidence"] == "source" and edge["received"] == 37, edge)
    check(edge["codes"]["5xx"] == 4 and edge["codes"]["2xx"] == 36, edge)
    tls = edge["tls"]
    # every fourth was plaintext on the called side: of 1..40 without the tens, 8
    check(tls["plaintext"] > 0 and tls["mutual"] > 0 and tls["state"] == "mixed", tls)
    check(tls["confidence"] == "inferred" and set(tls["bases"]) == {"inferred"}, tls)
    check(tls["firstPlaintext"] is not None, tls)
    check(abs(edge["latency"]["meanMs"] - 6) < 0.5 and abs(edge["serverLatency"]["meanMs"] - 5) < 0.5, edge)
    check(set(edges(c)) == {("web-v1", "reviews-v1", "http"), ("web-v1", "reviews", "http")}, sorted(edges(c)))
    return edge


def plain_lines(c):
    """Lines of a file, text and JSON mixed, without anybody who says which proxy wrote them."""
    text = line(1, "outbound|443||pay.bank.svc.cluster.local", f"{PAY}:443", "10.0.45.9:443", "10.9.9.9:1", code=204)
    as_json = json.dumps({"start_time": stamp(2), "method": "POST", "path": "/pay", "protocol": "HTTP/1.1", "duration": 7,
                          "response_code": 200, "response_flags": "-", "bytes_sent": 1, "bytes_received": 2,
                          "upstream_cluster": "outbound|443||pay.bank.svc.cluster.local"})
    body = (text + "what is this\n" + as_json + "\n").encode()
    status, answer = http(c.otlp + "/v1/envoy-logs", body, {"Content-Type": "text/plain"})
    check(status == 200, f"{status} {answer!r}")
    partial = json.loads(answer)["partialSuccess"]
    check(int(partial["rejectedLogRecords"]) == 1 and f"byte {len(text)}" in partial["errorMessage"], partial)
    edge = wait_until("the edge of the lines", lambda: edges(c).get(("unknown", "pay", "http")))
    check(edge["requests"] == 2 and edge["tls"]["state"] == "unknown", edge)
    check(edge["destination"]["namespace"] == "bank", edge)
    for headers, want in (({"Content-Type": "text/html"}, 415),
                          ({"Content-Type": "text/plain", "Origin": "https://example.com"}, 403)):
        status, answer = http(c.otlp + "/v1/envoy-logs", body, headers)
        check(status == want, f"{headers}: {status} {answer!r}")


def main(program):
    c = Collector(program)
    both_sides(c)
    first = check_both_sides(c)
    said = send(c, {}, ["[info] the application started", '[2026-01-02T03:04:05Z] "GET / HTTP/1.1" 200 - 1 2'])
    check(int(said["partialSuccess"]["rejectedLogRecords"]) == 1, said)
    check(b"tulle_collector_log_records_ignored_total 1" in http(c.base + "/metrics")[1], "counted")
    c.child.may_end = True
    stop(c.child, signal.SIGKILL)
    c.start()
    again = check_both_sides(c)
    check(again["tls"] == first["tls"], f"after a crash {again['tls']}, before {first['tls']}")
    plain_lines(c)
    print("access logs of Envoy: fine")


main(*sys.argv[1:])
