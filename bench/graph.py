"""graph.py - ./dev bench graph: the picture of a large mesh, and what counting its calls costs.

A store is seeded with a day of buckets (bench-graph seed), a collector opens it, and a load of fresh
calls goes on while one client asks for the graph again and again, compressed, over one
connection. CPU is the collector's while it answers, less what it uses beside the same load alone.
Freshness: from sending a call of a new edge until the graph shows it. The cost of counting is
measured in a process of its own (bench-cost).
"""
import gzip
import http.client
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

TICKS = os.sysconf("SC_CLK_TCK")
WINDOWS = ("1m", "10m", "1h", "24h")
METRICS_EDGES = 1000


def arguments(parser):
    group = parser.add_argument_group("graph")
    group.add_argument("--services", type=int, default=1000)
    group.add_argument("--edges", type=int, default=5000)
    group.add_argument("--calls", type=int, default=500, help="fresh ones a second meanwhile")
    group.add_argument("--requests", type=int, default=200, help="for each window (default 200)")
    group.add_argument("--most", type=float, default=15, help="seconds for one window")
    group.add_argument("--pause", type=float, default=0.02, help="seconds between two requests")


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid, what):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith(what + ":"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def quantile(values, q):
    return sorted(values)[min(int(q * len(values)), len(values) - 1)]


class Client:
    """One keep-alive connection."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def get(self, path, headers=None):
        started = time.monotonic()
        self.connection.request("GET", path, headers=headers or {})
        answer = self.connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            sys.exit(f"bench: {path} answered {answer.status}: {body[:200]}")
        return body, (time.monotonic() - started) * 1e3

    def graph(self, window):
        return self.get(f"/api/v1/graph?window={window}", {"Accept-Encoding": "gzip"})


def one_window(pid, client, window, args, idle_cpu):
    body, first_ms = client.graph(window)
    edges = len(json.loads(gzip.decompress(body))["edges"])
    times, before, started = [], cpu_s(pid), time.monotonic()
    while len(times) < args.requests and time.monotonic() - started < args.most:
        time.sleep(args.pause)
        body, ms = client.graph(window)
        times.append(ms)
    used = cpu_s(pid) - before - idle_cpu * (time.monotonic() - started)
    return {"window": window, "edges": edges, "first_ms": round(first_ms, 1),
            "p50_ms": round(quantile(times, 0.5), 1), "p99_ms": round(quantile(times, 0.99), 1),
            "max_ms": round(max(times), 1), "gzip_kib": round(len(body) / 1024),
            "requests": len(times), "cpu_ms": round(used * 1e3 / len(times), 1)}


def fresh_call(name):
    trace, span = os.urandom(16).hex(), os.urandom(8).hex()
    now = time.time_ns()

    def group(service, kind, own, parent):
        return {"resource": {"attributes": [{"key": "service.name",
                                             "value": {"stringValue": service}}]},
                "scopeSpans": [{"spans": [{
                    "traceId": trace, "spanId": own, "parentSpanId": parent, "name": "fresh",
                    "kind": kind, "startTimeUnixNano": str(now),
                    "endTimeUnixNano": str(now + 1000000)}]}]}
    return json.dumps({"resourceSpans": [group(name, 3, span, ""),
                                         group("fresh-end", 2, os.urandom(8).hex(), span)]})


def freshness(http_port, otlp_port, tries=20):
    times = []
    client = Client(http_port)
    for i in range(tries):
        name = f"fresh-{i}"
        door = http.client.HTTPConnection("127.0.0.1", otlp_port, timeout=10)
        door.request("POST", "/v1/traces", fresh_call(name), {"Content-Type": "application/json"})
        started = time.monotonic()
        door.getresponse().read()
        door.close()
        while name.encode() not in gzip.decompress(client.graph("1m")[0]):
            if time.monotonic() - started > 30:
                sys.exit("bench: a fresh call did not come onto the graph")
        times.append((time.monotonic() - started) * 1e3)
    return {"p50_ms": round(quantile(times, 0.5)), "max_ms": round(max(times))}


def edges_in(exposition):
    return len({line.rsplit(b" ", 1)[0] for line in exposition.splitlines()
                if line.startswith(b"tulle_edge_errors_total{")})


def wait_for_edges(client, wanted, most_s=90):
    """A pair of spans shows when nothing better can come for its ten seconds any more, and the load is random."""
    started = time.monotonic()
    while (edges := edges_in(client.get("/metrics")[0])) < wanted:
        if time.monotonic() - started > most_s:
            sys.exit(f"bench: /metrics has {edges} of {wanted} edges after {most_s} s")
        time.sleep(1)


def metrics(pid, client, args, idle_cpu):
    times, before, started = [], cpu_s(pid), time.monotonic()
    for _ in range(args.requests):
        time.sleep(args.pause)
        body, ms = client.get("/metrics")
        times.append(ms)
    used = cpu_s(pid) - before - idle_cpu * (time.monotonic() - started)
    return {"edges": edges_in(body), "p50_ms": round(quantile(times, 0.5), 1),
            "p99_ms": round(quantile(times, 0.99), 1), "kib": round(len(body) / 1024),
            "cpu_ms": round(used * 1e3 / len(times), 1)}


def cost(build, report):
    runs = []
    for _ in range(3):
        out = subprocess.run([f"{build}/bench/bench-cost"], capture_output=True, text=True,
                             check=True).stdout
        runs.append({row["what"]: row["ns"] for row in map(json.loads, out.splitlines())})
    print(f"{'CPU, one thread':<36} {'ns':>8}")
    for what in runs[0]:
        ns = statistics.median(run[what] for run in runs)
        print(f"{what:<36} {ns:>8.0f}")
        report.add("graph-cost", what=what, ns=ns, runs=[run[what] for run in runs])
    print()


def start_load(build, children, port, edges, args):
    child = children.start("load", f"{build}/bench/bench-graph", f"--port={port}",
                           f"--services={args.services}", f"--edges={edges}",
                           f"--rate={args.calls}", "load")
    time.sleep(3)
    return child


def collector(programs, children, data, ports, wait_for):
    child = children.start("collector", f"{programs}/tulle-collector", f"--data={data}",
                           f"--http-port={ports['http']}", f"--otlp-http-port={ports['otlp']}", "--grpc-port=0",
                           "--log-level=warn")
    wait_for("127.0.0.1", ports["http"], child)
    wait_for("127.0.0.1", ports["otlp"], child)
    return child


def stop(children):
    children.stop()
    children.running.clear()


def idle_cpu_of(pid, seconds=3):
    before = cpu_s(pid)
    time.sleep(seconds)
    return (cpu_s(pid) - before) / seconds


def bench_windows(programs, children, report, args, ports, wait_for):
    build = os.path.dirname(programs)
    data = tempfile.mkdtemp(prefix="tulle-bench-")
    try:
        subprocess.run([f"{build}/bench/bench-graph", f"--store=sqlite:{data}/tulle.db",
                        f"--services={args.services}", f"--edges={args.edges}", "seed"],
                       check=True, capture_output=True)
        child = collector(programs, children, data, ports, wait_for)
        before_mib = memory_mib(child.pid, "VmRSS")
        start_load(build, children, ports["otlp"], args.edges, args)
        idle_cpu = idle_cpu_of(child.pid)
        print(f"{'graph, ' + str(args.edges) + ' edges':<16}{'first ms':>10}{'p50':>8}{'p99':>8}"
              f"{'max':>8}{'gzip KiB':>10}{'CPU ms':>8}{'RSS MiB':>9}")
        for window in WINDOWS:
            row = one_window(child.pid, Client(ports["http"]), window, args, idle_cpu)
            row["rss_mib"] = round(memory_mib(child.pid, "VmRSS"), 1)
            print(f"{window:<16}{row['first_ms']:>10}{row['p50_ms']:>8}{row['p99_ms']:>8}"
                  f"{row['max_ms']:>8}{row['gzip_kib']:>10}{row['cpu_ms']:>8}{row['rss_mib']:>9}",
                  flush=True)
            report.add("graph", **row)
        fresh = freshness(ports["http"], ports["otlp"])
        print(f"a fresh call is on the graph after {fresh['p50_ms']} ms (median), "
              f"{fresh['max_ms']} ms (longest of 20)")
        print(f"memory: {before_mib:.1f} MiB before the first graph, peak "
              f"{memory_mib(child.pid, 'VmHWM'):.1f} MiB\n")
        report.add("graph-fresh", **fresh)
    finally:
        stop(children)
        shutil.rmtree(data, ignore_errors=True)


def bench_metrics(programs, children, report, args, ports, wait_for):
    data = tempfile.mkdtemp(prefix="tulle-bench-")
    try:
        child = collector(programs, children, data, ports, wait_for)
        start_load(os.path.dirname(programs), children, ports["otlp"], METRICS_EDGES, args)
        wait_for_edges(Client(ports["http"]), METRICS_EDGES)
        row = metrics(child.pid, Client(ports["http"]), args, idle_cpu_of(child.pid))
        print(f"/metrics, {row['edges']} edges: p50 {row['p50_ms']} ms, p99 {row['p99_ms']} ms, "
              f"CPU {row['cpu_ms']} ms, {row['kib']} KiB\n")
        report.add("graph-metrics", **row)
    finally:
        stop(children)
        shutil.rmtree(data, ignore_errors=True)


def bench_graph(programs, children, report, args, wait_for):
    ports = {"http": free_port(), "otlp": free_port()}
    bench_windows(programs, children, report, args, ports, wait_for)
    bench_metrics(programs, children, report, args, ports, wait_for)
    cost(os.path.dirname(programs), report)
