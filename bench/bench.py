"""bench.py --build DIR [memory|proxy|mesh|ingest|store|query|graph ...] - what the programs cost, measured on this machine.

memory  resident memory of one sidecar and of the collector, at rest
proxy   CPU a request through one sidecar and through two with mutual TLS, and what they add to its time,
        beside nginx and HAProxy, see proxy.py and latency.py
mesh    memory and CPU of the demo with fifty sidecars, gateway and collector under load, see mesh.py
ingest  spans per second of the collector's CPU time over OTLP/HTTP into SQLite, see ingest.py
store   what stored spans take: disk, memory, time to start; query: how fast they are found, see store.py
graph   the graph of a mesh of 5,000 edges and the cost of counting a call, see graph.py

CPU time is the proxy process's own (user and system, from /proc), so a busy machine disturbs it
little. Prints a table, and one JSON line a measurement to DIR/bench.jsonl.
"""
import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import graph
import ingest
import mesh
import proxy
import store

PORTS = {"http": 27686, "otlp": 27318}
TICKS = os.sysconf("SC_CLK_TCK")


class Children:
    """Processes that end with this one."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []

    def start(self, name, *argv):
        with open(os.path.join(self.folder, name + ".log"), "w", encoding="utf-8") as log:
            child = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.running.append(child)
        return child

    def stop(self):
        for child in reversed(self.running):
            child.send_signal(signal.SIGTERM)
        for child in reversed(self.running):
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def wait_for(address, port, child, seconds=15):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if child.poll() is not None:
            sys.exit(f"bench: {child.args[0]} ended with status {child.returncode}")
        try:
            socket.create_connection((address, port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"bench: {child.args[0]} does not listen on {address}:{port}")


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def cpu_s(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(p) for p in f.read().split()]


def start_collector(programs, folder, children):
    child = children.start(
        "collector", f"{programs}/tulle-collector", f"--data={folder}/data",
        f"--http-port={PORTS['http']}", f"--otlp-http-port={PORTS['otlp']}", "--grpc-port=0")
    wait_for("127.0.0.1", PORTS["http"], child)
    return child


class Report:
    def __init__(self, path):
        self.path = path

    def add(self, bench, **values):
        with open(self.path, "a", encoding="utf-8") as f:
            f.write(json.dumps({"bench": bench, **values}) + "\n")


def bench_memory(programs, folder, children, report, _args):
    collector = start_collector(programs, folder, children)
    proxies = proxy.Proxies(sys.modules[__name__], programs, folder, children)
    proxy.make_certs(folder, ("client",))
    proxy.make_config(f"{folder}/config")
    sidecar = proxies.sidecar("client", proxy.OUT, f"{folder}/config", 15001)[0]
    time.sleep(3)
    print(f"{'memory at rest':<34} {'RSS':>10}  {'budget':>10}")
    for name, pid, budget in (("sidecar", sidecar, 8), ("collector", collector.pid, 20)):
        mib = rss_kib(pid) / 1024
        print(f"{name:<34} {mib:>6.1f} MiB  {budget:>6} MiB")
        report.add("memory", program=name, rss_mib=round(mib, 2), budget_mib=budget)
    print()


def bench_proxy(programs, folder, children, report, args):
    proxy.bench_proxy(sys.modules[__name__], programs, folder, children, report, args)


def bench_mesh(programs, folder, _children, report, args):
    mesh.bench_mesh(sys.modules[__name__], programs, folder, report, args)


def bench_ingest(programs, folder, children, report, args):
    ingest.bench_ingest(programs, folder, children, report, args, wait_for)


def bench_store(programs, folder, children, report, args):
    store.bench_store(programs, folder, children, report, args, wait_for)


def bench_query(programs, folder, children, report, args):
    store.bench_query(programs, folder, children, report, args, wait_for)


def bench_graph(programs, _folder, children, report, args):
    graph.bench_graph(programs, children, report, args, wait_for)


BENCHES = {"memory": bench_memory, "proxy": bench_proxy, "mesh": bench_mesh, "ingest": bench_ingest, "store": bench_store,
           "query": bench_query, "graph": bench_graph}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("names", nargs="*", choices=[[], *BENCHES])
    ingest.arguments(parser)
    graph.arguments(parser)
    mesh.arguments(parser)
    args = parser.parse_args()
    build = os.path.abspath(args.build)
    report = Report(os.path.join(build, "bench.jsonl"))
    for name in args.names or BENCHES:
        folder = tempfile.mkdtemp(prefix="tulle-bench-")
        children = Children(folder)
        try:
            BENCHES[name](os.path.join(build, "bin"), folder, children, report, args)
        finally:
            children.stop()
            shutil.rmtree(folder, ignore_errors=True)


main()
