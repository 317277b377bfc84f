"""ingest.py - ./dev bench ingest: what a stored span costs the collector, end to end.

A fresh collector (SQLite) for every run, the load from another process (bench-ingest). CPU is the
collector's whole process from /proc, user and system, until it is quiet again after the last
acknowledgement, so that what it puts off (sealing, edges) is counted. Bytes a span are its data
folder after it stopped; what is not sealed by then weighs more in a short run.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TICKS = os.sysconf("SC_CLK_TCK")
PORTS = {"http": 27687, "otlp": 27319}
SPANS = 150000
SCENES = (  # name, gzip, durability, workload
    ("plain", False, "process", "mesh"),
    ("gzip, fsync before ack", True, "power", "mesh"),
    ("plain, rich spans", False, "process", "rich"),
)


def arguments(parser):
    group = parser.add_argument_group("ingest", "any of the next three: one scene of that kind")
    group.add_argument("--gzip", action="store_true", help="compressed bodies")
    group.add_argument("--durability", choices=["process", "power", "none"])
    group.add_argument("--workload", choices=["mesh", "rich"])
    group.add_argument("--spans", type=int, default=0,
                       help="a run (default 150000; of store and query 1000000)")
    group.add_argument("--connections", type=int, default=16)
    group.add_argument("--rate", type=int, default=0, help="spans a second; 0 as fast as taken")
    group.add_argument("--runs", type=int, default=3)
    group.add_argument("--seconds", type=int, default=60, help="longest time of one run's load")


def scenes(args):
    if not (args.gzip or args.durability or args.workload):
        return SCENES
    gzip, durability = args.gzip, args.durability or "process"
    workload = args.workload or "mesh"
    name = f"{'gzip' if gzip else 'plain'}, {durability}, {workload}"
    return ((name, gzip, durability, workload),)


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid, what):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        for line in f:
            if line.startswith(what + ":"):
                return int(line.split()[1]) / 1024
    return 0.0


def settle(pid, seconds=15):
    """Waits until half a second costs less than two ticks; the CPU time used so far."""
    until, before = time.monotonic() + seconds, cpu_s(pid)
    while time.monotonic() < until:
        time.sleep(0.5)
        now = cpu_s(pid)
        if now - before < 2 / TICKS:
            return now
        before = now
    return before


def size_of(folder):
    return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))


def load(build, args, gzip, workload, seed):
    out = subprocess.run(
        [f"{build}/bench/bench-ingest", f"--port={PORTS['otlp']}", f"--spans={args.spans}",
         f"--connections={args.connections}", f"--rate={args.rate}", f"--time={args.seconds}s",
         f"--workload={workload}", f"--seed={seed}"] + (["--gzip"] if gzip else []),
        capture_output=True, text=True, check=False)
    if out.returncode:
        sys.exit(f"bench: the load failed: {out.stderr.strip()}")
    return json.loads(out.stdout)


def stop(children):
    children.stop()
    children.running.clear()


def one_run(programs, children, wait_for, args, scene, seed):
    _, gzip, durability, workload = scene
    data = tempfile.mkdtemp(prefix="tulle-bench-")
    child = children.start(
        "collector", f"{programs}/tulle-collector", f"--data={data}", f"--durability={durability}",
        f"--http-port={PORTS['http']}", f"--otlp-http-port={PORTS['otlp']}", "--grpc-port=0", "--log-level=warn")
    try:
        wait_for("127.0.0.1", PORTS["otlp"], child)
        time.sleep(0.5)
        idle, before = memory_mib(child.pid, "VmRSS"), cpu_s(child.pid)
        run = load(os.path.dirname(programs), args, gzip, workload, seed)
        run["cpu_s"] = round(settle(child.pid) - before, 2)
        if seed == args.runs:
            time.sleep(4)  # what is free goes back to the system after three quiet seconds
        run["rss_idle_mib"] = round(idle, 1)
        run["rss_peak_mib"] = round(memory_mib(child.pid, "VmHWM"), 1)
        run["rss_after_mib"] = round(memory_mib(child.pid, "VmRSS"), 1)
        stop(children)
        run["bytes_per_span"] = round(size_of(data) / run["spans"], 1)
    finally:
        stop(children)
        shutil.rmtree(data, ignore_errors=True)
    run["spans_per_cpu_s"] = round(run["spans"] / run["cpu_s"])
    run["spans_per_s"] = round(run["spans"] / run["wall_s"])
    return run


COLUMNS = (  # heading, key, width, decimals
    ("spans/CPU-s", "spans_per_cpu_s", 12, 0), ("spans/s", "spans_per_s", 9, 0),
    ("ack p50", "ack_p50_ms", 9, 1), ("p99 ms", "ack_p99_ms", 8, 1),
    ("RSS idle", "rss_idle_mib", 9, 1), ("peak", "rss_peak_mib", 7, 1),
    ("after MiB", "rss_after_mib", 10, 1), ("B/span", "bytes_per_span", 8, 1),
    ("body B", "body_bytes_per_span", 8, 0), ("refused", "refused", 8, 0))


def bench_ingest(programs, _folder, children, report, args, wait_for):
    args.spans = args.spans or SPANS
    print(f"{'ingest, ' + str(args.spans) + ' spans a run':<28}"
          + "".join(f"{heading:>{width}}" for heading, _, width, _ in COLUMNS))
    for scene in scenes(args):
        runs = [one_run(programs, children, wait_for, args, scene, seed + 1)
                for seed in range(args.runs)]
        for r in runs[:-1]:
            r["rss_after_mib"] = runs[-1]["rss_after_mib"]
        median = {key: statistics.median(r[key] for r in runs) for _, key, _, _ in COLUMNS}
        print(f"{scene[0]:<28}"
              + "".join(f"{median[key]:>{width}.{decimals}f}" for _, key, width, decimals in COLUMNS),
              flush=True)
        report.add("ingest", scene=scene[0], gzip=scene[1], durability=scene[2], workload=scene[3],
                   rate=args.rate, connections=args.connections, median=median, runs=runs)
    print()

