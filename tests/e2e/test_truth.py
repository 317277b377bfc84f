"""A made-up mesh whose every request is known, told to a real collector over OTLP/HTTP.

    python3 test_truth.py build/bin/tulle-collector [seed]

The same requests are delivered in order, shuffled, late, more than once, cut into small exports, and
around a kill -9; each time the graph must have the exact counts, errors and TLS states, and
quantiles within 5 %. The seed is printed when something is wrong.
"""
import json
import math
import random
import shutil
import signal
import sys
import time
import urllib.parse

import otlp
import support
from support import Collector, access_record, check, get_json, http, stop, wait_until

PROTO = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
REQUESTS = 1200
SPREAD_S = 40   # requests start within so many seconds before now
CODES = (200, 200, 200, 204, 404, 500, 503)
CLIENT, SERVER, PRODUCER, CONSUMER = 3, 2, 4, 5


class Edge:
    def __init__(self, kind, source, destination, evidence):
        self.kind, self.source, self.destination, self.evidence = kind, source, destination, evidence
        self.durations, self.errors = [], 0
        self.tls = {"mutual": 0, "tls": 0, "plaintext": 0, "unknown": 0}

    def quantile(self, q):
        return sorted(self.durations)[math.ceil(q * len(self.durations)) - 1]


class Mesh:
    """Requests, and what each reporter says of them: ("log", record) or ("span", service, span)."""

    KINDS = {"records": "source", "caller": "source", "callee": "destination", "sdk": "pair",
             "shared": "pair", "database": "span", "root": "span", "message": "pair"}

    def __init__(self, rng, run):
        self.rng, self.told = rng, []
        now = time.time_ns() - 2_000_000_000
        self.edges = []
        for i, (kind, evidence) in enumerate(self.KINDS.items()):
            source = "user" if kind == "root" else f"a{i}{run}"
            self.edges.append(Edge(kind, source, f"b{i}{run}", evidence))
        for _ in range(REQUESTS):
            self.request(rng.choice(self.edges), now - rng.randrange(SPREAD_S * 10**9))

    def id(self, size):
        return f"{self.rng.getrandbits(8 * size) | 1:0{2 * size}x}"

    def log(self, edge, reporter, code, tls, start, duration):
        record = access_record(edge.source, edge.destination, code, tls=tls, at_ns=start, reporter=reporter,
                               duration_ns=duration, source_workload=edge.source,
                               destination_workload=edge.destination)
        self.told.append(("log", {**record, "traceId": self.id(16), "spanId": self.id(8)}))

    def span(self, service, start, duration, **more):
        attrs = {"http.request.method": "GET", **more.pop("attrs", {})}
        self.told.append(("span", service, {"start": start, "end": start + duration, "attrs": attrs, **more}))

    def request(self, edge, start):
        code = self.rng.choice(CODES)
        duration = int(800_000 * 2 ** self.rng.uniform(0, 11))
        wire = self.rng.randrange(duration // 4)
        tls = self.rng.choice(("mutual", "tls", "plaintext")) if edge.kind in ("records", "caller", "callee") else "unknown"
        called = (start + wire, duration - 2 * wire)
        edge.durations.append(called[1] if edge.kind == "callee" else duration)
        edge.errors += code >= 500
        edge.tls[tls] += 1
        if edge.kind in ("records", "caller"):
            self.log(edge, "source", code, tls, start, duration)
        if edge.kind in ("records", "callee"):
            self.log(edge, "destination", code, tls, *called)
        if not edge.tls["unknown"]:
            return
        trace, one, two = self.id(16), self.id(8), self.id(8)
        attrs = {"http.response.status_code": code}
        if edge.kind in ("sdk", "shared"):
            shared = edge.kind == "shared"
            self.span(edge.source, start, duration, trace_id=trace, span_id=one, parent_id=two if shared else "",
                      kind=CLIENT, attrs={**attrs, "server.address": edge.destination})
            self.span(edge.destination, *called, trace_id=trace, span_id=one if shared else two,
                      parent_id=two if shared else one, kind=SERVER, attrs=attrs)
        elif edge.kind == "database":
            self.span(edge.source, start, duration, trace_id=trace, span_id=one, parent_id=two, kind=CLIENT,
                      attrs={**attrs, "db.system.name": "mysql", "server.address": edge.destination})
        elif edge.kind == "root":
            self.span(edge.destination, start, duration, trace_id=trace, span_id=one, kind=SERVER, attrs=attrs)
        else:
            self.span(edge.source, start, duration, trace_id=trace, span_id=one, kind=PRODUCER, attrs=attrs)
            self.span(edge.destination, *called, trace_id=self.id(16), span_id=two, kind=CONSUMER, attrs=attrs,
                      links=[{"trace_id": trace, "span_id": one}])


def exports(rng, told, most):
    """Requests to the collector: (path, body, headers). Some in protobuf, some in JSON."""
    out, at = [], 0
    while at < len(told):
        part = told[at:at + rng.randint(1, most)]
        at += len(part)
        logs = [item[1] for item in part if item[0] == "log"]
        if logs:
            body = {"resourceLogs": [{"resource": {"attributes": []}, "scopeLogs": [
                {"scope": {"name": "tulle-proxy"}, "logRecords": logs}]}]}
            out.append(("/v1/logs", json.dumps(body).encode(), JSON))
        by_service = {}
        for item in part:
            if item[0] == "span":
                by_service.setdefault(item[1], []).append(item[2])
        for service, spans in by_service.items():
            resource = {"service.name": service, "k8s.namespace.name": "default", "k8s.cluster.name": "demo",
                        "k8s.deployment.name": service, "service.version": "v1"}
            is_proto = rng.random() < 0.5
            encode = otlp.traces_proto if is_proto else otlp.traces_json
            out.append(("/v1/traces", encode(spans, resource), PROTO if is_proto else JSON))
    return out


def send(collector, export, key=None):
    path, body, headers = export
    headers = {**headers, "Idempotency-Key": key} if key else headers
    status, answer = http(collector.otlp + path, body, headers)
    check(status == 200, f"{path}: {status} {answer[:200]!r}")


def kill(collector):
    collector.child.may_end = True
    stop(collector.child, signal.SIGKILL)
    collector.start()


def compare(collector, mesh, since_ns):
    """None when the graph is the truth, else the first thing that is not."""
    query = urllib.parse.urlencode({"from": since_ns, "to": time.time_ns() + 10**9})
    graph = get_json(f"{collector.base}/api/v1/graph?{query}")
    have = {(e["source"]["workload"], e["destination"]["workload"]): e for e in graph["edges"]}
    for edge in mesh.edges:
        name = f"{edge.kind}, {edge.source} > {edge.destination}"
        told = have.get((edge.source, edge.destination))
        if not told:
            return f"{name}: missing"
        wants = {"requests": len(edge.durations), "errors": edge.errors, "evidence": edge.evidence}
        for key, want in wants.items():
            if told[key] != want:
                return f"{name}: {key} is {told[key]}, want {want}"
        for state, want in edge.tls.items():
            if told["tls"][state] != want:
                return f"{name}: tls {state} is {told['tls'][state]}, want {want}"
        for key, q in (("p50Ms", 0.5), ("p95Ms", 0.95), ("p99Ms", 0.99)):
            want = edge.quantile(q) / 1e6
            if abs(told["latency"][key] / want - 1) > 0.05:
                return f"{name}: {key} is {told['latency'][key]}, want {want:.3f}"
    strangers = set(have) - {(e.source, e.destination) for e in mesh.edges}
    return f"edges that are not there: {strangers}" if strangers else None


MODES = ("in order", "shuffled", "late", "again", "split", "killed")


def deliver(collector, rng, mesh, mode):
    told = list(mesh.told)
    if mode in ("shuffled", "again", "split", "killed"):
        rng.shuffle(told)
    late = []
    if mode == "late": # many a half comes after all else
        late = [item for item in told if rng.random() < 0.4]
        told = [item for item in told if item not in late]
    parts = exports(rng, told, 3 if mode == "split" else 60)
    for i, export in enumerate(parts + exports(rng, late, 60)):
        key = f"{mode}-{i}" if mode == "again" and i % 2 else None
        send(collector, export, key)
        if mode == "again": # with its key, and as SDKs do it without one
            send(collector, export, key)
        if mode == "killed" and i in (3, len(parts) // 2, len(parts) - 1):
            kill(collector)


def main():
    program = sys.argv[1]
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
    for store in ("sqlite", "memory:"):
        for mode in MODES:
            if mode == "killed" and store == "memory:":
                continue # nothing of it is left by design
            rng = random.Random(f"{seed} {mode}")
            since_ns = time.time_ns() - (SPREAD_S + 5) * 10**9
            options = () if store == "sqlite" else ("--store", store)
            collector = Collector(program, *options)
            mesh = Mesh(rng, "")
            deliver(collector, rng, mesh, mode)
            last = [None]

            def is_true():
                last[0] = compare(collector, mesh, since_ns)
                return last[0] is None
            try:
                wait_until(f"the truth: {store}, {mode}", is_true, seconds=15)
            except SystemExit:
                print(f"seed {seed}, {store}, {mode}: {last[0]}")
                raise
            collector.child.may_end = True
            stop(collector.child)
            shutil.rmtree(support.folder + "/data", ignore_errors=True)
    print(f"truth: exact in every order, seed {seed}")


if __name__ == "__main__":
    main()
