"""proxy.py - what a request costs in a proxy, ours beside nginx and HAProxy, in turn, medians.

One hop in plaintext: a sidecar's outbound side (routes by a VirtualService with a header match) and
its inbound side (decides by an AuthorizationPolicy), both with access records, spans and metrics on.
Two hops with mutual TLS 1.3 between them: CPU of both proxies. nginx once with its access log to a
file and once without, HAProxy without a log. Answers of 1 KiB, keep-alive, 32 connections, one worker
each, as fast as answered. CPU is the processes' own time, user and system, from /proc; the collector's, which
takes part in the same load, stands beside it.

Then, at steady rates, what each adds to the time of a request: see latency.py. And
memory: an idle sidecar that knows 10 and 5,000 Services, and one that holds 10,000 idle connections.
"""
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import time

import latency

NET = "127.1.200"
OUT, IN, BACK = f"{NET}.1", f"{NET}.2", f"{NET}.3"
NGINX_PLAIN, NGINX_QUIET, NGINX_OUT, NGINX_IN = 18080, 18079, 18081, 18443
HAPROXY_PLAIN, HAPROXY_OUT, HAPROXY_IN = 18180, 18181, 18543
APP = 9080

SERVICE = """apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: default }}
spec: {{ selector: {{ app: {name} }}, ports: [{{ name: http, port: 9080, targetPort: {port} }}] }}
---
"""
POD = """apiVersion: v1
kind: Pod
metadata:
  name: {name}-1
  namespace: default
  labels: {{ app: {name}, version: v1{tls} }}
spec: {{ serviceAccountName: {name} }}
status: {{ phase: Running, podIP: {ip} }}
---
"""
RULES = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: backend, namespace: default }
spec:
  hosts: [backend]
  http:
  - match: [{ headers: { end-user: { exact: jason } } }]
    route: [{ destination: { host: secure } }]
  - route: [{ destination: { host: backend } }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: secure, namespace: default }
spec:
  selector: { matchLabels: { app: secure } }
  action: ALLOW
  rules:
  - to: [{ operation: { methods: [GET, HEAD], paths: ["/*"] } }]
"""

NGINX = """worker_processes 1;
daemon off;
error_log {dir}/nginx.log;
pid {dir}/nginx{n}.pid;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    keepalive_requests 1000000000;
    upstream backend {{ server {back}:9080; keepalive 64; keepalive_requests 1000000000; }}
    upstream inner {{ server {inn}:18443; keepalive 64; keepalive_requests 1000000000; }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $host;
    ssl_protocols TLSv1.3;
    {servers}
}}
"""
NGINX_PLAIN_SERVER = """server {{ listen {out}:{port}; access_log {log};
        location / {{ proxy_pass http://backend; }} }}
"""
NGINX_OUT_SERVER = """server {{ listen {out}:18081; access_log {dir}/out.access;
        location / {{ proxy_pass https://inner; proxy_ssl_protocols TLSv1.3; proxy_ssl_verify on;
            proxy_ssl_name inner; proxy_ssl_trusted_certificate {certs}/root-cert.pem;
            proxy_ssl_certificate {certs}/cert-chain.pem; proxy_ssl_certificate_key {certs}/key.pem; }} }}
"""
NGINX_IN_SERVER = """server {{ listen {inn}:18443 ssl; access_log {dir}/in.access;
        ssl_certificate {certs}/cert-chain.pem; ssl_certificate_key {certs}/key.pem;
        ssl_client_certificate {certs}/root-cert.pem; ssl_verify_client on;
        location / {{ proxy_pass http://backend; }} }}
"""
HAPROXY = """global
    nbthread 1
    maxconn 1000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
{servers}
"""
HAPROXY_PLAIN_SERVER = """listen plain
    bind {out}:18180
    server b {back}:9080
"""
HAPROXY_OUT_SERVER = """listen out
    bind {out}:18181
    server b {inn}:18543 ssl verify required ca-file {certs}/root-cert.pem crt {certs}/both.pem force-tlsv13
"""
HAPROXY_IN_SERVER = """listen in
    bind {inn}:18543 ssl crt {certs}/both.pem ca-file {certs}/root-cert.pem verify required force-tlsv13
    server b {back}:9080
"""


def openssl(*argv):
    subprocess.run(["openssl", *argv], check=True, capture_output=True)


def make_certs(folder, accounts):
    """One authority and a certificate for each account, with a SPIFFE id and the name "inner"."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem", "-days", "1",
            "-subj", "/CN=root")
    for account in accounts:
        to = f"{folder}/certs-{account}"
        os.makedirs(to)
        with open(f"{to}/ext", "w", encoding="ascii") as f:
            f.write(f"subjectAltName=URI:spiffe://cluster.local/ns/default/sa/{account},DNS:inner\n"
                    "extendedKeyUsage=serverAuth,clientAuth\n")
        openssl("req", *key, "-keyout", f"{to}/key.pem", "-out", f"{to}/csr.pem", "-subj", f"/CN={account}")
        openssl("x509", "-req", "-in", f"{to}/csr.pem", "-CA", f"{folder}/ca.pem", "-CAkey",
                f"{folder}/ca.key", "-CAcreateserial", "-out", f"{to}/cert-chain.pem", "-days", "1",
                "-extfile", f"{to}/ext")
        shutil.copy(f"{folder}/ca.pem", f"{to}/root-cert.pem")
        with open(f"{to}/both.pem", "w", encoding="ascii") as both:
            for part in ("cert-chain.pem", "key.pem"):
                with open(f"{to}/{part}", encoding="ascii") as f:
                    both.write(f.read())


def make_config(folder, services=0):
    os.makedirs(folder, exist_ok=True)
    mtls = ", security.istio.io/tlsMode: istio"
    with open(f"{folder}/mesh.yaml", "w", encoding="ascii") as f:
        for name, ip, port, tls in (("backend", BACK, APP, ""), ("secure", IN, 15006, mtls),
                                    ("client", OUT, 15006, mtls)):
            f.write(SERVICE.format(name=name, port=port) + POD.format(name=name, ip=ip, tls=tls))
        for i in range(services):
            name = f"other-{i}"
            f.write(SERVICE.format(name=name, port=APP) +
                    POD.format(name=name, ip=f"127.7.{i // 250}.{i % 250 + 1}", tls=""))
        f.write(RULES)


class Proxies:
    """Starts proxies in one folder and measures them."""

    def __init__(self, bench, programs, folder, children):
        self.bench, self.programs, self.folder, self.children = bench, programs, folder, children

    def path(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        return path

    def certs(self, account):
        return f"{self.folder}/certs-{account}"

    def sidecar(self, name, ip, config, port):
        child = self.children.start(
            f"sidecar-{name}", f"{self.programs}/tulle-proxy", "--role=sidecar", f"--config={config}",
            f"--certs={self.certs(name)}", f"--collector=http://127.0.0.1:{self.bench.PORTS['otlp']}",
            f"--workload={name}", "--namespace=default", f"--service-account={name}", f"--listen={ip}",
            f"--app={BACK}:{APP}", "--access-log=none", f"--labels=app={name},version=v1")
        self.bench.wait_for(ip, port, child)
        return [child.pid]

    def nginx(self, name, server, ip, port, **values):
        values.update(dir=self.folder, out=OUT, inn=IN, back=BACK, port=port)
        conf = self.path(f"nginx-{name}.conf", NGINX.format(
            n=name, servers=server.format(**values), **values))
        binary = shutil.which("nginx") or "/usr/sbin/nginx"
        child = self.children.start(f"nginx-{name}", binary, "-c", conf, "-e", f"{self.folder}/nginx.log")
        self.bench.wait_for(ip, port, child)
        return [child.pid] + self.bench.children_of(child.pid)

    def haproxy(self, name, server, ip, port, **values):
        values.update(out=OUT, inn=IN, back=BACK)
        conf = self.path(f"haproxy-{name}.cfg", HAPROXY.format(servers=server.format(**values)))
        binary = shutil.which("haproxy") or "/usr/sbin/haproxy"
        child = self.children.start(f"haproxy-{name}", binary, "-db", "-f", conf)
        self.bench.wait_for(ip, port, child)
        return [child.pid]

    def wrk(self, address, host, seconds, connections=32):
        out = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", f"Host: {host}",
             f"http://{address}/"], capture_output=True, text=True, check=True).stdout
        if re.search(r"Non-2xx or 3xx responses", out) or "Socket errors" in out:
            print(f"bench: warning: not every request succeeded:\n{out}")
        value, unit = re.search(r"50%\s+([\d.]+)(us|ms|s)", out).groups()
        scale = {"us": 1, "ms": 1e3, "s": 1e6}[unit]
        return max(int(re.search(r"(\d+) requests in", out).group(1)), 1), float(value) * scale

    def measure(self, address, host, pids, collector, seconds):
        before, beside = self.bench.cpu_s(pids), self.bench.cpu_s([collector])
        requests, p50_us = self.wrk(address, host, seconds)
        cpu = max(self.bench.cpu_s(pids) - before, 0.01)
        beside = self.bench.cpu_s([collector]) - beside
        return {"us": cpu / requests * 1e6, "beside": beside / requests * 1e6, "p50": p50_us,
                "rate": requests / seconds}


def print_targets(title, targets, results, report):
    print(f"{title:<40} {'us CPU/req':>10} {'lowest':>7} {'highest':>8} {'req/CPU-s':>10} {'req/s':>7}"
          f" {'p50 us':>7} {'to nginx':>9} {'collector us':>13}")
    medians = {n: {k: statistics.median(r[k] for r in results[n]) for k in results[n][0]} for n in results}
    nginx = next(n for n in medians if n.startswith("nginx, log"))
    for name, *_ in targets:
        m, us = medians[name], [r["us"] for r in results[name]]
        ratio = m["us"] / medians[nginx]["us"]
        print(f"{name:<40} {m['us']:>10.1f} {min(us):>7.1f} {max(us):>8.1f} {1e6 / m['us']:>10.0f}"
              f" {m['rate']:>7.0f} {m['p50']:>7.0f} {ratio:>9.2f} {m['beside']:>13.1f}")
        report.add("proxy", what=title, program=name, us_cpu=[round(v, 1) for v in us],
                   median_us_cpu=round(m["us"], 1), requests_per_s=round(m["rate"]),
                   p50_us=round(m["p50"]), cpu_to_nginx=round(ratio, 3), collector_us_cpu=round(m["beside"], 1))
    print()


def in_turn(proxies, title, targets, collector, report, args):
    results = {name: [] for name, *_ in targets}
    for _, address, host, pids in targets:
        proxies.measure(address, host, pids, collector, 1)  # warm: connections, caches
    for _ in range(args.runs):
        for name, address, host, pids in targets:
            results[name].append(proxies.measure(address, host, pids, collector, 2))
    print_targets(title, targets, results, report)


def paced(bench, build, pids, report, rate=1000, seconds=5):
    """The share of a core at a steady rate, every process free to move."""
    before = bench.cpu_s(pids)
    took = latency.steady(build, f"{OUT}:15001", "secure:9080", rate, seconds)
    share = (bench.cpu_s(pids) - before) / (seconds + latency.WARM_S) / len(pids)
    print(f"{'at ' + format(took['rate'], ',.0f') + ' requests/s, two hops, mTLS':<40} {share:.3f} of a core a hop"
          " (goal 0.08)\n")
    report.add("proxy", what="paced", requests_per_s=took["rate"], cores_per_hop=round(share, 4))


def idle_connections(bench, pid, count=10000):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(count, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 400), hard))
    before, held = bench.rss_kib(pid), []
    try:
        for i in range(count):
            s = socket.socket()
            s.bind((f"127.8.0.{i % 200 + 1}", 0))
            s.connect((OUT, 15001))
            held.append(s)
        time.sleep(2)
        return count, bench.rss_kib(pid) - before
    finally:
        for s in held:
            s.close()


def memory(bench, proxies, report):
    for services, budget in ((10, 6), (5000, 16)):
        make_config(f"{proxies.folder}/config-{services}", services)
        name, ip = ("client", f"{NET}.{9 if services == 10 else 10}")
        pid = proxies.sidecar(name, ip, f"{proxies.folder}/config-{services}", 15001)[0]
        time.sleep(2)
        mib = bench.rss_kib(pid) / 1024
        print(f"{'idle sidecar, ' + str(services) + ' Services':<40} {mib:>6.1f} MiB  (goal {budget})")
        report.add("proxy", what="memory", services=services, rss_mib=round(mib, 2))


def one_hop(p, out, inn):
    log = f"{p.folder}/plain.access"
    return (("tulle-proxy, outbound", f"{OUT}:15001", "backend:9080", out),
            ("tulle-proxy, inbound", f"{IN}:15006", "secure:9080", inn),
            ("nginx, log to a file", f"{OUT}:{NGINX_PLAIN}", "backend",
             p.nginx("plain", NGINX_PLAIN_SERVER, OUT, NGINX_PLAIN, log=log)),
            ("nginx, no log", f"{OUT}:{NGINX_QUIET}", "backend",
             p.nginx("quiet", NGINX_PLAIN_SERVER, OUT, NGINX_QUIET, log="off")),
            ("haproxy, no log", f"{OUT}:{HAPROXY_PLAIN}", "backend",
             p.haproxy("plain", HAPROXY_PLAIN_SERVER, OUT, HAPROXY_PLAIN)))


def two_hops(p, out, inn):
    client, secure = p.certs("client"), p.certs("secure")
    nginx_in = p.nginx("in", NGINX_IN_SERVER, IN, NGINX_IN, certs=secure)
    haproxy_in = p.haproxy("in", HAPROXY_IN_SERVER, IN, HAPROXY_IN, certs=secure)
    return (("tulle-proxy", f"{OUT}:15001", "secure:9080", out + inn),
            ("nginx, logs to files", f"{OUT}:{NGINX_OUT}", "inner",
             p.nginx("out", NGINX_OUT_SERVER, OUT, NGINX_OUT, certs=client) + nginx_in),
            ("haproxy, no log", f"{OUT}:{HAPROXY_OUT}", "inner",
             p.haproxy("out", HAPROXY_OUT_SERVER, OUT, HAPROXY_OUT, certs=client) + haproxy_in))


def bench_proxy(bench, programs, folder, children, report, args):
    build = os.path.dirname(programs)
    p = Proxies(bench, programs, folder, children)
    make_certs(folder, ("client", "secure"))
    make_config(f"{folder}/config")
    collector = bench.start_collector(programs, folder, children).pid
    backend = children.start("backend", f"{build}/bench/bench-backend", BACK, str(APP))
    bench.wait_for(BACK, APP, backend)
    out = p.sidecar("client", OUT, f"{folder}/config", 15001)
    inn = p.sidecar("secure", IN, f"{folder}/config", 15006)
    for title, targets in (("one hop, plaintext", one_hop(p, out, inn)),
                           ("two hops, mutual TLS between them", two_hops(p, out, inn))):
        in_turn(p, title, targets, collector, report, args)
        targets = [t for t in targets if t[0] != "nginx, no log"]
        proxies = {pid for *_, pids in targets for pid in pids}
        with latency.on_cores(proxies, backend.pid, collector):
            latency.in_turn(bench, build, f"{BACK}:{APP}", title, targets, report, args.runs)
    paced(bench, build, out + inn, report)
    memory(bench, p, report)
    count, kib = idle_connections(bench, out[0])
    print(f"{format(count, ',') + ' idle connections':<40} {kib / 1024:>6.1f} MiB  (goal 60)\n")
    report.add("proxy", what="idle connections", connections=count, rss_mib=round(kib / 1024, 1))
