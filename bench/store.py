"""store.py - ./dev bench store and ./dev bench query: what is kept costs, and how fast it is found.

Both go through the collector's own doors: bench-ingest sends the seeded spans (mesh, or --workload
rich) over OTLP/HTTP, questions are asked of the JSON API over one connection. The same --spans gives
the same spans.

store   bytes a span on disk; spans per CPU-second of the first and of the last fifth of the load, so
        --spans 50000000 compares 0-10 M with 40-50 M; resident memory idle, at 10,000 and at 200,000
        spans a second; time until a collector on the file is ready
query   a trace by its id, and the newest 20 traces of a service with a duration and an attribute:
        usual (any answer is near), selective (some thirty spans match) and none; warm, and cold, when
        the kernel has been told to forget the file before each question
"""
import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse

import ingest

PORTS = {"http": 27688, "otlp": 27319}
SPANS = {"store": 1000000, "query": 1000000}
PART = 250000  # of one load: requests are made before they are sent, and take memory
RATES = (10000, 200000)
RATE_S = 8
SERVICE = "svc-3.default"
MS = 1e6


class Collector:
    """One on a folder of its own, started and stopped at will."""

    def __init__(self, programs, children, wait_for, durability="process"):
        self.programs, self.children, self.wait_for = programs, children, wait_for
        self.durability = durability
        self.data = tempfile.mkdtemp(prefix="tulle-bench-")
        self.child = None

    def start(self, is_read_only=False):
        """Seconds until it answers /readyz."""
        began = time.monotonic()
        self.child = self.children.start(
            "collector", f"{self.programs}/tulle-collector",
            *([f"--open={self.file()}"] if is_read_only else [f"--data={self.data}", f"--durability={self.durability}"]),
            f"--http-port={PORTS['http']}", f"--otlp-http-port={PORTS['otlp']}", "--grpc-port=0", "--log-level=warn")
        while time.monotonic() < began + 60:
            if self.child.poll() is not None:
                sys.exit("bench: the collector ended")
            try:
                if self.ask("/readyz")[0] == 200:
                    return time.monotonic() - began
            except OSError:
                time.sleep(0.002)
        return sys.exit("bench: the collector is never ready")

    def ask(self, path):
        host = http.client.HTTPConnection("127.0.0.1", PORTS["http"], timeout=120)
        try:
            host.request("GET", path)
            answer = host.getresponse()
            return answer.status, answer.read()
        finally:
            host.close()

    def stop(self):
        ingest.stop(self.children)

    def file(self):
        return os.path.join(self.data, "tulle.db")

    def remove(self):
        self.stop()
        shutil.rmtree(self.data, ignore_errors=True)


def send(c, args, spans, seed, rate=0):
    out = subprocess.run(
        [f"{os.path.dirname(c.programs)}/bench/bench-ingest", f"--port={PORTS['otlp']}", f"--spans={spans}",
         f"--connections={args.connections}", f"--rate={rate}", "--time=600s", f"--workload={args.workload or 'mesh'}",
         f"--seed={seed}"] + (["--gzip"] if args.gzip else []), capture_output=True, text=True, check=False)
    if out.returncode:
        sys.exit(f"bench: the load failed: {out.stderr.strip()}")
    return json.loads(out.stdout)


def fill(c, args, spans, first_seed):
    """Sends spans in parts; spans sent, CPU and wall seconds until the collector is quiet again."""
    before, sent, wall = ingest.cpu_s(c.child.pid), 0, 0
    for seed in range(first_seed, first_seed + max(1, spans // PART)):
        run = send(c, args, min(PART, spans), seed)
        sent, wall = sent + run["spans"], wall + run["wall_s"]
    return sent, ingest.settle(c.child.pid) - before, wall


def line(name, text):
    print(f"  {name:<52} {text}", flush=True)


def start_ms(c, is_read_only):
    """The best of three starts."""
    took = []
    for _ in range(3):
        took.append(c.start(is_read_only) * 1e3)
        c.stop()
    return min(took)


def memory_at(programs, children, wait_for, args, rate):
    """Peak and last resident memory while spans come in at a rate, and the rate that was reached."""
    c = Collector(programs, children, wait_for)
    c.start()
    time.sleep(1)
    run = send(c, args, rate * RATE_S, 1, rate)
    peak, last = ingest.memory_mib(c.child.pid, "VmHWM"), ingest.memory_mib(c.child.pid, "VmRSS")
    c.remove()
    return round(peak, 1), round(last, 1), round(run["spans"] / run["wall_s"])


def bench_store(programs, _folder, children, report, args, wait_for):
    spans = args.spans or SPANS["store"]
    c = Collector(programs, children, wait_for, args.durability or "process")
    print(f"store, {spans} spans, {args.workload or 'mesh'}")
    try:
        c.start()
        time.sleep(1)
        idle = round(ingest.memory_mib(c.child.pid, "VmRSS"), 1)
        fifths = [fill(c, args, max(spans // 5, 512), 1 + 1000 * part) for part in range(5)]
        c.stop()
        sent = sum(n for n, _, _ in fifths)
        rates = [n / cpu for n, cpu, _ in fifths]
        change = (rates[-1] / rates[0] - 1) * 100
        on_disk = ingest.size_of(c.data) / sent
        line("on disk", f"{on_disk:.1f} B a span")
        line("spans per CPU-second, by fifths of the load", "  ".join(f"{r:,.0f}" for r in rates))
        line("the last fifth against the first", f"{change:+.1f} %")
        opened, resumed = round(start_ms(c, True)), round(start_ms(c, False))
        line(f"ready when a file of {os.path.getsize(c.file()) / 1e6:.0f} MB is opened to be read", f"{opened} ms")
        line("... and to go on: its last two minutes are read again", f"{resumed} ms")
        line("resident memory idle", f"{idle} MiB")
        memory = {}
        for rate in RATES:
            peak, last, reached = memory[rate] = memory_at(programs, children, wait_for, args, rate)
            line(f"... at {rate} spans/s (reached {reached})", f"{last} MiB, peak {peak} MiB")
        report.add("store", spans=sent, workload=args.workload or "mesh", bytes_per_span=round(on_disk, 1),
                   spans_per_cpu_s=[round(r) for r in rates], change_percent=round(change, 1),
                   spans_per_s=[round(n / wall) for n, _, wall in fifths], open_ms=opened, resume_ms=resumed,
                   rss_idle_mib=idle, rss_mib={r: m[1] for r, m in memory.items()},
                   rss_peak_mib={r: m[0] for r, m in memory.items()}, reached={r: m[2] for r, m in memory.items()})
    finally:
        c.remove()
    print()


def forget(path):
    """Tells the kernel that the file's pages are not needed any more."""
    for name in (path, path + "-wal"):
        if os.path.exists(name):
            fd = os.open(name, os.O_RDONLY)
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)


def sql(c, text):
    out = subprocess.run([f"{c.programs}/tulle", "sql", "--format=json", c.file(), text], capture_output=True,
                         text=True, check=False)
    if out.returncode:
        sys.exit(f"bench: {out.stderr}")
    return json.loads(out.stdout)


def times(c, paths, is_cold, want):
    """Milliseconds of each question, in order of size, and how many answers were as wanted."""
    host = http.client.HTTPConnection("127.0.0.1", PORTS["http"], timeout=300)
    took, wanted = [], 0
    for path in paths:
        if is_cold:
            forget(c.file())
        began = time.monotonic_ns()
        host.request("GET", path)
        answer = host.getresponse()
        body = answer.read()
        took.append((time.monotonic_ns() - began) / MS)
        wanted += answer.status == 200 and want(json.loads(body))
    host.close()
    return sorted(took), wanted


def quantile(sorted_list, q):
    return sorted_list[min(len(sorted_list) - 1, int(q * len(sorted_list)))]


def questions(c):
    ids = [r["trace_id"] for r in sql(c, "SELECT trace_id FROM traces")]
    random.Random(1).shuffle(ids)
    edge = sql(c, f"SELECT duration_ns FROM spans WHERE service = '{SERVICE}' AND attr(attributes, 'http.method')"
                  " = 'POST' ORDER BY 1 DESC LIMIT 1 OFFSET 30")[0]["duration_ns"]

    def search(min_duration_ns, method):
        return "/api/v1/traces?" + urllib.parse.urlencode(
            {"service": SERVICE, "minDuration": f"{max(1, min_duration_ns // 1000)}us", "attr": "http.method=" + method,
             "limit": 20, "window": "24h"})

    def found(n):
        return lambda answer: len(answer["traces"]) == n

    return (
        ("trace by id", [f"/api/v1/traces/{i}" for i in ids[:200]], lambda answer: len(answer["spans"]) > 0),
        ("newest 20, usual", [search(1_000_000, "GET")] * 40, found(20)),
        ("newest 20, selective", [search(edge, "POST")] * 20, found(20)),
        ("newest 20, nothing matches", [search(3_600_000_000_000, "GET")] * 20, found(0)),
    )


def bench_query(programs, _folder, children, report, args, wait_for):
    spans = args.spans or SPANS["query"]
    c = Collector(programs, children, wait_for)
    try:
        c.start()
        sent, _, _ = fill(c, args, spans, 1)
        c.stop()
        asked = questions(c)
        c.start()
        ingest.settle(c.child.pid)
        print(f"{'query, ' + str(sent) + ' spans, ' + (args.workload or 'mesh'):<40}{'warm p50':>10}{'p99':>10}"
              f"{'cold p50':>10}{'p99 ms':>10}{'as wanted':>11}")
        for name, paths, want in asked:
            times(c, paths[:5], False, want)
            warm, as_wanted = times(c, paths, False, want)
            cold, _ = times(c, paths[:max(10, len(paths) // 4)], True, want)
            row = {"warm_p50_ms": quantile(warm, 0.5), "warm_p99_ms": quantile(warm, 0.99),
                   "cold_p50_ms": quantile(cold, 0.5), "cold_p99_ms": quantile(cold, 0.99)}
            print(f"{name:<40}" + "".join(f"{v:>10.1f}" for v in row.values()) + f"{as_wanted:>6}/{len(paths)}",
                  flush=True)
            report.add("query", spans=sent, workload=args.workload or "mesh", question=name,
                       as_wanted=as_wanted, asked=len(paths), **{k: round(v, 2) for k, v in row.items()})
    finally:
        c.remove()
    print()
