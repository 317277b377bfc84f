"""bench.py --build DIR [memory|proxy|ingest ...] - what the programs cost, measured on this machine.

memory  resident memory of one sidecar and of the collector, at rest
proxy   requests per second of CPU time through one sidecar (outbound role, plaintext, keep-alive,
        answers of 1 KiB, telemetry on), beside nginx as a plain proxy, in turn, medians
ingest  spans per second of the collector's CPU time over OTLP/HTTP into SQLite, see ingest.py

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
import statistics
import subprocess
import sys
import tempfile
import time

import ingest

NET = "127.1.200"
PORTS = {"backend": 9080, "nginx": 18080, "http": 27686, "otlp": 27318}
TICKS = os.sysconf("SC_CLK_TCK")

SERVICE = """apiVersion: v1
kind: Service
metadata: {{ name: backend, namespace: default }}
spec:
  selector: {{ app: backend }}
  ports: [{{ name: http, port: 9080, targetPort: 9080 }}]
---
apiVersion: v1
kind: Pod
metadata:
  name: backend-1
  namespace: default
  labels: {{ app: backend, version: v1 }}
spec: {{ serviceAccountName: backend }}
status: {{ phase: Running, podIP: {net}.2 }}
---
apiVersion: v1
kind: Pod
metadata:
  name: client-1
  namespace: default
  labels: {{ app: client, version: v1, security.istio.io/tlsMode: istio }}
spec: {{ serviceAccountName: client }}
status: {{ phase: Running, podIP: {net}.1 }}
"""

NGINX = """worker_processes 1;
daemon off;
error_log {dir}/nginx.log;
pid {dir}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    keepalive_requests 1000000000;
    upstream backend {{ server {net}.2:9080; keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen {net}.1:18080;
        location / {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
        }}
    }}
}}
"""


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
        f"--http-port={PORTS['http']}", f"--otlp-http-port={PORTS['otlp']}")
    wait_for("127.0.0.1", PORTS["http"], child)
    return child


def make_certs(folder):
    """One self-signed identity: what mutual TLS costs in memory, as in every real sidecar."""
    certs = os.path.join(folder, "certs")
    os.makedirs(certs, exist_ok=True)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "1", "-subj", "/O=cluster.local", "-keyout", f"{certs}/key.pem", "-out",
         f"{certs}/cert-chain.pem", "-addext",
         "subjectAltName=URI:spiffe://cluster.local/ns/default/sa/client"],
        check=True, capture_output=True)
    shutil.copy(f"{certs}/cert-chain.pem", f"{certs}/root-cert.pem")
    return certs


def start_sidecar(programs, folder, children):
    config = os.path.join(folder, "config")
    os.makedirs(config, exist_ok=True)
    with open(os.path.join(config, "mesh.yaml"), "w", encoding="utf-8") as f:
        f.write(SERVICE.format(net=NET))
    child = children.start(
        "sidecar", f"{programs}/tulle-proxy", "--role=sidecar", f"--config={config}",
        f"--certs={make_certs(folder)}",
        f"--collector=http://127.0.0.1:{PORTS['otlp']}", "--workload=client-v1",
        "--namespace=default", "--service-account=client", f"--listen={NET}.1",
        f"--app={NET}.1:9080", "--access-log=none")
    wait_for(f"{NET}.1", 15001, child)
    return child


def wrk(port, seconds, connections=32):
    out = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-H", "Host: backend:9080",
         f"http://{NET}.1:{port}/"], capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    if bad or "Socket errors" in out:
        print(f"bench: warning: not every request succeeded:\n{out}", file=sys.stderr)
    return requests


class Report:
    def __init__(self, path):
        self.path = path

    def add(self, bench, **values):
        with open(self.path, "a", encoding="utf-8") as f:
            f.write(json.dumps({"bench": bench, **values}) + "\n")


def bench_memory(programs, folder, children, report, _args):
    collector = start_collector(programs, folder, children)
    sidecar = start_sidecar(programs, folder, children)
    time.sleep(3)
    print(f"{'memory at rest':<34} {'RSS':>10}  {'budget':>10}")
    for name, child, budget in (("sidecar", sidecar, 8), ("collector", collector, 20)):
        mib = rss_kib(child.pid) / 1024
        print(f"{name:<34} {mib:>6.1f} MiB  {budget:>6} MiB")
        report.add("memory", program=name, rss_mib=round(mib, 2), budget_mib=budget)
    print()


def measure(port, pids, seconds):
    before = cpu_s(pids)
    started = time.monotonic()
    requests = wrk(port, seconds)
    return requests / max(cpu_s(pids) - before, 1 / TICKS), requests / (time.monotonic() - started)


def start_nginx(folder, children):
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(NGINX.format(dir=folder, net=NET))
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    child = children.start("nginx", binary, "-c", path, "-e", os.path.join(folder, "nginx.log"))
    wait_for(f"{NET}.1", PORTS["nginx"], child)
    return child


def bench_proxy(programs, folder, children, report, _args, runs=5, seconds=4):
    build = os.path.dirname(programs)
    start_collector(programs, folder, children)
    backend = children.start("backend", f"{build}/bench/bench-backend", f"{NET}.2", "9080")
    wait_for(f"{NET}.2", 9080, backend)
    sidecar = start_sidecar(programs, folder, children)
    nginx = start_nginx(folder, children)
    targets = (("tulle-proxy, telemetry on", 15001, [sidecar.pid]),
               ("nginx, no log", PORTS["nginx"], [nginx.pid] + children_of(nginx.pid)))
    results = {name: [] for name, _, _ in targets}
    for name, port, pids in targets:
        measure(port, pids, 1)  # warm: connections, caches
    for _ in range(runs):
        for name, port, pids in targets:
            results[name].append(measure(port, pids, seconds))
    print(f"{'through one proxy, 1 KiB answers':<34} {'req/CPU-s':>10} {'lowest':>9} {'highest':>9}"
          f" {'req/s':>9}")
    for name, port, pids in targets:
        per_cpu = [r[0] for r in results[name]]
        rate = statistics.median(r[1] for r in results[name])
        print(f"{name:<34} {statistics.median(per_cpu):>10.0f} {min(per_cpu):>9.0f}"
              f" {max(per_cpu):>9.0f} {rate:>9.0f}")
        report.add("proxy", program=name, requests_per_cpu_s=[round(v) for v in per_cpu],
                   median=round(statistics.median(per_cpu)), requests_per_s=round(rate))
    ratio = (statistics.median(r[0] for r in results[targets[0][0]]) /
             statistics.median(r[0] for r in results[targets[1][0]]))
    print(f"{'ratio':<34} {ratio:>10.2f}\n")
    print(f"after it: sidecar {rss_kib(sidecar.pid) / 1024:.1f} MiB")


def bench_ingest(programs, folder, children, report, args):
    ingest.bench_ingest(programs, folder, children, report, args, wait_for)


BENCHES = {"memory": bench_memory, "proxy": bench_proxy, "ingest": bench_ingest}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build")
    parser.add_argument("names", nargs="*", choices=[[], *BENCHES])
    ingest.arguments(parser)
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
