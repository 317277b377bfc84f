"""Interception for real: two pods as network namespaces, joined by a veth pair, each with a sidecar and the rules of
`tulle-proxy init`; applications unchanged, IPv4 and IPv6, nftables and iptables.
Usage: test_intercept.py TULLE_PROXY. Exit status 77 (skipped, with the reason) where namespaces cannot be made."""
import json
import os
import shutil
import subprocess
import sys

import support
from gateway_support import make_ca, mesh_cert, run
from support import check, folder, log_of, wait_until

CLIENT, SERVER = f"tulle-c{os.getpid()}", f"tulle-s{os.getpid()}"
HERE = os.path.dirname(os.path.abspath(__file__))
UID = 1337


def skip(why):
    print("skipped:", why)
    sys.exit(77)


for tool in ("ip", "nft", "iptables-restore", "ip6tables-restore", "setpriv", "curl"):
    if not shutil.which(tool):
        skip(f"{tool} is missing")
if os.geteuid() != 0:
    skip("not root")
probe = subprocess.run(["ip", "netns", "add", CLIENT], capture_output=True, text=True)
if probe.returncode:
    skip(f"network namespaces cannot be made here: {probe.stderr.strip()}")


def ip(*argv):
    subprocess.run(["ip", *argv], check=True)


def inside(ns, *argv, uid=None, may_be_anybody=False):
    who = ["setpriv", f"--reuid={uid}", f"--regid={UID}", "--clear-groups"] if uid is not None else []
    if may_be_anybody and uid:
        who += ["--inh-caps=+net_admin", "--ambient-caps=+net_admin"]
    return ["ip", "netns", "exec", ns, *who, *map(str, argv)]


def call(ns, *argv, uid=None, text=None):
    return subprocess.run(inside(ns, *argv, uid=uid), capture_output=True, text=True, input=text, timeout=60)


def clean_up():
    for child in reversed(support.children):
        support.stop(child)
    for ns in (CLIENT, SERVER):
        subprocess.run(["ip", "netns", "del", ns], capture_output=True)


support.atexit.register(clean_up)
ip("netns", "add", SERVER)
ip("link", "add", "veth0", "netns", CLIENT, "type", "veth", "peer", "name", "veth0", "netns", SERVER)
for ns, last, other in ((CLIENT, 1, 2), (SERVER, 2, 1)):
    ip("-n", ns, "link", "set", "lo", "up")
    ip("-n", ns, "addr", "add", f"10.77.0.{last}/24", "dev", "veth0")
    ip("-n", ns, "link", "set", "veth0", "up")
    ip("-n", ns, "route", "add", "default", "via", f"10.77.0.{other}")
has_v6 = os.path.exists("/proc/net/if_inet6")
for ns, last, other in ((CLIENT, 1, 2), (SERVER, 2, 1)):
    if has_v6:
        ip("-n", ns, "addr", "add", f"fd77::{last}/64", "dev", "veth0", "nodad")
        ip("-n", ns, "-6", "route", "add", "default", "via", f"fd77::{other}")
if not has_v6:
    print("this machine has no IPv6: only IPv4 is tested")
rules = call(CLIENT, "nft", "-f", "-", text="table inet probe {\nchain c {\ntype nat hook output priority 0; policy accept;\n}\n}\n")
if rules.returncode:
    skip(f"nat rules cannot be made here: {rules.stderr.strip()}")
call(CLIENT, "nft", "delete", "table", "inet", "probe")

os.chmod(folder, 0o755)
PROXY = shutil.copy(sys.argv[1], f"{folder}/tulle-proxy")  # where the sidecar's user can read it
POD = """apiVersion: v1
kind: Pod
metadata: {{ name: {name}-1, namespace: default, labels: {{ app: {name}, security.istio.io/tlsMode: istio }} }}
spec: {{ serviceAccountName: {account} }}
status: {{ phase: Running, podIP: "{ip}" }}
---
"""
SERVICE = """apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: default }}
spec: {{ clusterIP: "{ip}", selector: {{ app: {app} }}, ports: [{{ name: {port_name}, port: {port}, targetPort: {target} }}] }}
---
"""
objects = POD.format(name="client", account="client", ip="10.77.0.1") + POD.format(name="web", account="web", ip="10.77.0.2")
objects += POD.format(name="web6", account="web", ip="fd77::2") + POD.format(name="client6", account="client", ip="fd77::1")
for app, net in (("web", "10.96.0."), ("web6", "fd96::")):
    six = "6" if app == "web6" else ""
    for name, n, port_name, port, target in (("web", 10, "http", 80, 8080), ("mail", 11, "smtp", 25, 2525),
                                             ("odd", 12, "odd", 26, 2526)):
        objects += SERVICE.format(name=name + six, ip=net + str(n), app=app, port_name=port_name, port=port, target=target)
ENTRY = """apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: {host}, namespace: default }}
spec: {{ hosts: [{host}], {addresses} ports: [{{ number: {port}, name: p, protocol: {protocol} }}], {endpoints} }}
---
"""
THERE = "resolution: STATIC, endpoints: [{{ address: 10.77.0.2, ports: {{ p: {} }} }}]"
for host, nets, port, protocol, endpoints in (
        ("wide.test", '"10.98.0.0/16", "fd98::/64"', 7777, "TCP", THERE.format(2525)),
        ("narrow.test", "10.98.7.0/24", 7777, "TCP", THERE.format(2526)),
        ("meant.test", "10.77.0.0/24", 9998, "TCP", "resolution: NONE"),
        ("tls.test", "", 9443, "TLS", THERE.format(9997))):
    objects += ENTRY.format(host=host, addresses=f"addresses: [{nets}]," if nets else "", port=port, protocol=protocol,
                            endpoints=endpoints)
config = f"{folder}/config"
os.makedirs(config)
with open(f"{config}/objects.yaml", "w", encoding="utf-8") as f:
    f.write(objects)
ca = make_ca()
for name in ("client", "web"):
    mesh_cert(ca, f"{folder}/certs/{name}", name)
subprocess.run(["chmod", "-R", "a+rX", folder], check=True)


class Sidecar:
    def __init__(self, ns, name, *more):
        self.ns, self.name, self.more, self.runs = ns, name, more, 0
        self.start()

    def start(self, *more, mode="redirect", uid=UID):
        self.runs += 1
        self.log = f"{folder}/{self.name}{self.runs}.access"
        open(self.log, "w", encoding="utf-8").close()
        os.chmod(self.log, 0o666)
        self.child = support.start(f"{self.name}{self.runs}", *inside(
            self.ns, PROXY, f"--config={config}", f"--certs={folder}/certs/{self.name}", f"--workload={self.name}",
            f"--service-account={self.name}", f"--labels=app={self.name}", f"--intercept={mode}",
            f"--access-log={self.log}", *self.more, *more, uid=uid, may_be_anybody=mode == "tproxy"))
        wait_until(f"{self.name} to be ready", lambda: call(
            self.ns, "curl", "-sf", "http://127.0.0.1:15021/healthz/ready").returncode == 0)

    def restart(self, *more, **how):
        self.child.may_end = True
        support.stop(self.child)
        self.start(*more, **how)

    def access(self, **want):
        def found():
            with open(self.log, encoding="utf-8") as f:
                for line in f:
                    told = json.loads(line) if line.endswith("\n") else {}
                    if told and all(told.get(k) == v for k, v in want.items()):
                        return told
            return None
        return wait_until(f"a line of {self.name} with {want}", found)


support.start("app", *inside(SERVER, sys.executable, f"{HERE}/intercept_app.py"))
client, server = Sidecar(CLIENT, "client"), Sidecar(SERVER, "web")
wait_until("the application", lambda: call(SERVER, "curl", "-sf", "http://10.77.0.2:8080/").returncode == 0)


def curl(ns, url, *more, uid=None):
    return call(ns, "curl", "-sS", "--max-time", "20", "-w", "\n%{http_code}", *more, url, uid=uid)


def get(ns, url, *more, uid=None):
    done = curl(ns, url, *more, uid=uid)
    body, _, status = done.stdout.rpartition("\n")
    return int(status or 0), body


SPEAK = """import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
s.settimeout(20)
said = sys.argv[3].encode()
s.sendall(said)
got = b""
want = int(sys.argv[4])
try:
    while len(got) < want and (piece := s.recv(4096)):
        got += piece
    print(got.hex(), end="")
except ConnectionResetError:
    pass
"""


def speak(ns, host, port, text, want, uid=None):
    done = call(ns, "python3" if uid else sys.executable, "-c", SPEAK, host, port, text, want, uid=uid)
    check(done.returncode == 0, f"{host}:{port}: {done.stderr}")
    return bytes.fromhex(done.stdout).decode()


def init(ns, *argv):
    done = call(ns, PROXY, "init", *argv)
    check(done.returncode == 0, f"init {argv}: {done.stderr}")
    return done.stdout


def rules_left(ns):
    return [line for tool in (["nft", "list", "ruleset"], ["iptables-save"], ["ip6tables-save"])
            for line in call(ns, *tool).stdout.splitlines() if "tulle" in line.lower()]


def with_rules(backend):
    for ns in (CLIENT, SERVER):
        init(ns, f"--backend={backend}")
        first = rules_left(ns)
        init(ns, f"--backend={backend}")
        check(first and rules_left(ns) == first, f"{backend}: twice is once: {first}")


def through(family, guard=None):
    """What every application does, by a Service's address. guard: who the application is called from."""
    net, pod, usual, six = (("10.96.0.", "10.77.0.1", "127.0.0.6", "") if family == 4
                            else ("fd96::", "fd77::1", "::6", "6"))
    guard = guard or usual
    host = (lambda n: f"[{net}{n}]") if family == 6 else (lambda n: f"{net}{n}")
    name = f"outbound|80||web{six}.default.svc.cluster.local"
    for i, more in enumerate(([], ["-H", f"Host: web{six}"], ["-H", f"Host: web{six}.default.svc.cluster.local"],
                              ["--http2-prior-knowledge", "-H", f"Host: web{six}"])):
        status, body = get(CLIENT, f"http://{host(10)}/{family}-{i}", *more)
        check(status == 200, f"{status} {body}")
        told = json.loads(body)
        check(told["peer"] == guard, f"the application is called from {told['peer']}")
        check("sa/client" in told["xfcc"], f"by mutual TLS: {told}")
        check(client.access(path=f"/{family}-{i}")["upstream_cluster"] == name, "by the Service")
        line = server.access(path=f"/{family}-{i}")
        check(line["upstream_cluster"] == "inbound|8080||", line)
        check(line["downstream_remote_address"].replace("[", "").startswith(pod), line)
    check(speak(CLIENT, f"{net}11", 25, "", 11) == "220 ready\r\n", "a server that speaks first")
    check(speak(CLIENT, f"{net}12", 26, "", 9) == "220 odd\r\n", "also where nobody said so")
    check(speak(CLIENT, f"{net}11", 25, "hello", 16) == "220 ready\r\nhello", "and bytes come back")
    server.access(upstream_cluster="inbound|2525||", bytes_received=5,
                  requested_server_name=f"outbound_.25_._.mail{six}.default.svc.cluster.local")
    check(client.access(upstream_cluster=f"outbound|26||odd{six}.default.svc.cluster.local")["bytes_sent"] == 9, "odd")


def test_dry_run_changes_nothing():
    for backend, word in (("nftables", "table inet tulle"), ("iptables", "TULLE_IN_REDIRECT")):
        check(word in init(CLIENT, "--dry-run", f"--backend={backend}"), f"{backend}: printed")
    check(not rules_left(CLIENT), "nothing there")
    done = call(CLIENT, PROXY, "init", uid=UID)
    check(done.returncode == 1 and "NET_ADMIN" in done.stderr, done.stderr)
    for mistake in ("--include-inbound-ports=80,x", "--exclude-outbound-cidrs=10.0.0.0/99", "--backend=magic"):
        done = call(CLIENT, PROXY, "init", mistake)
        check(done.returncode == 2 and mistake.split("=")[0] in done.stderr, done.stderr)


def test_without_rules_nothing_passes_through():
    check(json.loads(get(CLIENT, "http://10.77.0.2:8080/")[1])["peer"] == "10.77.0.1", "the client itself")


def test_nftables():
    with_rules("nftables")
    through(4)
    if has_v6:
        through(6)


def test_a_pod_calls_itself_through_its_service():
    status, body = get(SERVER, "http://10.96.0.10/self")
    check(status == 200 and json.loads(body)["peer"] == "127.0.0.6", body)
    server.access(path="/self", upstream_cluster="inbound|8080||")
    server.access(path="/self", upstream_cluster="outbound|80||web.default.svc.cluster.local")


def test_an_endpoint_by_its_own_address():
    status, body = get(CLIENT, "http://10.77.0.2:8080/pod")
    check(status == 200 and "sa/client" in json.loads(body)["xfcc"], body)
    check(client.access(path="/pod")["upstream_host"] == "10.77.0.2:8080", "that very one")


def test_loops_are_refused():
    for port in (15006, 15001):
        check(speak(CLIENT, "10.77.0.2", port, "GET / HTTP/1.1\r\nHost: web\r\n\r\n", 100, uid=UID) == "",
              f"{port}: closed")
    check(speak(SERVER, "127.0.0.1", 15006, "x", 1) == "", "the inbound port itself")
    text = call(SERVER, "curl", "-sf", "http://127.0.0.1:15090/stats/prometheus").stdout
    check(any(line.startswith('tulle_proxy_downstream_refused_total{why="loop"}') and float(line.split()[-1]) >= 3
              for line in text.splitlines()), "counted")
    check(json.loads(get(CLIENT, "http://127.0.0.1:15001/told", "-H", "Host: web")[1])["path"] == "/told",
          "an application may still use the outbound port as its proxy")


def test_plaintext_from_outside():
    status, body = get(CLIENT, "http://10.77.0.2:8080/plain", uid=UID)  # the sidecar's user: not taken over
    check(status == 200 and json.loads(body) == {"peer": "127.0.0.6", "path": "/plain", "xfcc": ""}, body)
    check(speak(CLIENT, "10.77.0.2", 2525, "", 11, uid=UID) == "220 ready\r\n", "a server that speaks first")


def test_unknown_destinations():
    check(speak(CLIENT, "10.77.0.2", 9999, "ping", 4) == "ping", "ALLOW_ANY: where it was going")
    check(client.access(upstream_cluster="PassthroughCluster")["bytes_sent"] == 4, "told")
    status, body = get(CLIENT, "http://10.77.0.2:8081/unknown")
    check(status == 200 and json.loads(body)["peer"] == "127.0.0.6", f"HTTP to whom nobody knows: {status} {body}")
    check(client.access(path="/unknown")["upstream_cluster"] == "PassthroughCluster", "told")
    check(server.access(path="/unknown")["upstream_cluster"] == "inbound|8081||", "an undeclared port is looked at")
    client.restart("--outbound-traffic-policy=REGISTRY_ONLY")
    check(speak(CLIENT, "10.77.0.2", 9999, "ping", 4) == "", "REGISTRY_ONLY: closed")
    check(client.access(upstream_cluster="BlackHoleCluster")["response_flags"] == "UH", "told")
    check(get(CLIENT, "http://10.77.0.2:9999/")[0] == 502, "HTTP: 502")
    check(get(CLIENT, "http://10.96.0.10/", "-H", "Host: web")[0] == 200, "who is registered can be reached")
    client.restart()


SCOPE = """apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: strict, namespace: default }
spec: { workloadSelector: { labels: { app: client } }, outboundTrafficPolicy: { mode: REGISTRY_ONLY } }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: wild, namespace: default }
spec: { hosts: ["*.wild.test"], resolution: NONE, ports: [{ number: 8081, name: http, protocol: HTTP }] }
"""


def test_hosts_with_a_star():
    """A Sidecar closes the way to who is unknown; a ServiceEntry with a star opens it for its hosts."""
    path = f"{config}/scope.yaml"
    with open(path, "w", encoding="utf-8") as f:
        f.write(SCOPE)
    os.chmod(path, 0o644)
    client.restart()
    for host, want in (("a.wild.test", 200), ("wild.test", 502), ("other.test", 502)):
        status, body = get(CLIENT, "http://10.77.0.2:8081/wild", "-H", f"Host: {host}")
        check(status == want, f"{host}: {status} {body}")
    check(speak(CLIENT, "10.77.0.2", 9999, "ping", 4) == "", "closed")
    os.unlink(path)
    client.restart()


HELLO = """import socket, ssl, sys
into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
try:
    ssl.create_default_context().wrap_bio(into, out, server_hostname=sys.argv[3]).do_handshake()
except ssl.SSLWantReadError:
    pass
hello = out.read()
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
s.settimeout(20)
s.sendall(hello)
got = b""
try:
    while len(got) < len(hello) and (piece := s.recv(4096)):
        got += piece
except ConnectionResetError:
    pass
print(got == hello)
"""


def echoes_hello(host, port, name):
    done = call(CLIENT, sys.executable, "-c", HELLO, host, port, name)
    check(done.returncode == 0, f"{host}:{port} {name}: {done.stderr}")
    return done.stdout.strip() == "True"


def test_blocks_of_addresses():
    """ServiceEntries with CIDRs: the longest block has the connection; NONE goes where it was going; without addresses
    TLS goes by the name it asks for."""
    for host, want, cluster in (("10.98.1.1", "220 ready\r\n", "wide.test"), ("10.98.7.1", "220 odd\r\n", "narrow.test"),
                                ("fd98::9", "220 ready\r\n", "wide.test"))[:3 if has_v6 else 2]:
        check(speak(CLIENT, host, 7777, "", len(want)) == want, host)
        line = client.access(upstream_cluster=f"outbound|7777||{cluster}")
        check(line["upstream_host"].startswith("10.77.0.2:"), line)
    check(speak(CLIENT, "10.77.0.2", 9998, "ping", 4) == "ping", "NONE")
    line = client.access(upstream_cluster="outbound|9998||meant.test")
    check(line["upstream_host"] == "10.77.0.2:9998" and line["response_flags"] == "-", line)
    check(echoes_hello("192.0.2.1", 9443, "tls.test"), "an address of nobody's, by the server name")
    client.access(upstream_cluster="outbound|9443||tls.test", requested_server_name="tls.test")
    check(not echoes_hello("10.77.0.2", 9443, "other.test"), "another name is nobody's")
    client.access(upstream_cluster="PassthroughCluster", requested_server_name="other.test")


def test_exclusions():
    init(CLIENT, "--backend=nftables", "--exclude-outbound-ports=8080")
    status, body = get(CLIENT, "http://10.77.0.2:8080/excluded")
    check(status == 200 and json.loads(body)["xfcc"] == "", f"plaintext, past the sidecar: {body}")
    init(CLIENT, "--backend=nftables", "--include-outbound-cidrs=10.96.0.0/16", "--include-outbound-ports=9999")
    status, body = get(CLIENT, "http://10.77.0.2:8080/other-net")
    check(json.loads(body)["xfcc"] == "", body)
    check("sa/client" in json.loads(get(CLIENT, "http://10.96.0.10/", "-H", "Host: web")[1])["xfcc"], "this one is taken")
    init(SERVER, "--backend=nftables", "--include-inbound-ports=2525")
    check(json.loads(get(CLIENT, "http://10.77.0.2:8080/direct")[1])["peer"] == "10.77.0.1", "inbound past the sidecar")
    init(SERVER, "--backend=nftables", "--exclude-inbound-ports=8080")
    check(json.loads(get(CLIENT, "http://10.77.0.2:8080/direct")[1])["peer"] == "10.77.0.1", "and excluded")


def test_undo():
    for ns in (CLIENT, SERVER):
        init(ns, "--undo")
        check(not rules_left(ns), f"nothing is left: {rules_left(ns)}")
        init(ns, "--undo")
    check("::6" not in call(CLIENT, "ip", "-6", "addr", "show", "dev", "lo").stdout, "nor the address")
    check(json.loads(get(CLIENT, "http://10.77.0.2:8080/")[1])["peer"] == "10.77.0.1", "as before")


def test_iptables():
    with_rules("iptables")
    through(4)
    if has_v6:
        through(6)


def test_a_change_of_tools_leaves_one_set():
    init(CLIENT, "--backend=nftables")
    check("TULLE" not in call(CLIENT, "iptables-save").stdout, "iptables' rules are gone")
    init(CLIENT, "--backend=iptables", "--exclude-outbound-cidrs=10.77.0.0/24,fd77::/64", "--exclude-outbound-ports=25")
    check("inet tulle" not in call(CLIENT, "nft", "list", "tables").stdout, "nft's are gone")
    check(json.loads(get(CLIENT, "http://10.77.0.2:8080/")[1])["xfcc"] == "", "an excluded net")
    test_undo()


def routes(ns):
    return [call(ns, "ip", family, *what).stdout for family in ("-4", "-6")
            for what in (("rule", "list"), ("route", "show", "table", "133"))]


def tproxy(backend):
    """As REDIRECT does, but the application sees who calls."""
    init(CLIENT, f"--backend={backend}")
    for _ in range(2):
        init(SERVER, f"--backend={backend}", "--interception-mode=TPROXY")
    before = rules_left(SERVER), routes(SERVER)
    init(SERVER, f"--backend={backend}", "--interception-mode=TPROXY")
    check((rules_left(SERVER), routes(SERVER)) == before, f"{backend}: twice is once: {before}")
    check(routes(SERVER)[0].count("lookup 133") == 1, routes(SERVER))
    through(4, guard="10.77.0.1")
    if has_v6:
        through(6, guard="fd77::1")
    status, body = get(CLIENT, "http://10.77.0.2:8080/plain", uid=UID)  # a caller without a sidecar
    check(status == 200 and json.loads(body)["peer"] == "10.77.0.1", body)
    check(speak(CLIENT, "10.77.0.2", 9999, "x" * 100000, 100000, uid=UID) == "x" * 100000, "more than a packet")
    status, body = get(SERVER, "http://10.96.0.10/self")
    check(status == 200 and json.loads(body)["peer"] == "10.77.0.2", f"its own Service: {body}")
    server.access(path="/self", upstream_cluster="inbound|8080||")
    check(json.loads(get(SERVER, "http://127.0.0.1:8080/near")[1])["peer"] == "127.0.0.1", "the loopback is its own")
    for port in (15006, 15001):
        check(speak(CLIENT, "10.77.0.2", port, "GET / HTTP/1.1\r\nHost: web\r\n\r\n", 100, uid=UID) == "",
              f"{port}: closed")


def test_tproxy():
    server.restart(mode="tproxy")
    for backend in ("nftables", "iptables"):
        tproxy(backend)
    init(SERVER, "--backend=iptables", "--interception-mode=TPROXY", "--include-inbound-ports=2525")
    check(json.loads(get(CLIENT, "http://10.77.0.2:8080/direct", uid=UID)[1])["xfcc"] == "", "not taken over")
    check(speak(CLIENT, "10.77.0.2", 2525, "", 11, uid=UID) == "220 ready\r\n", "taken over")


def test_tproxy_as_root():
    """As Kubernetes has it: user 0, and the group that the rules know."""
    server.restart(mode="tproxy", uid=0)
    for backend in ("nftables", "iptables"):
        tproxy(backend)


def test_one_source_each():
    """Connections to the application are shared only by callers from the same address, and when there are as many as
    may be one of another address makes room."""
    server.restart("--max-upstream=2", mode="tproxy")
    init(SERVER, "--backend=nftables", "--interception-mode=TPROXY")
    others = [f"10.77.0.{n}" for n in range(11, 15)]
    for other in others:
        ip("-n", CLIENT, "addr", "add", f"{other}/24", "dev", "veth0")
    for _ in range(3):
        for other in others:
            status, body = get(CLIENT, "http://10.77.0.2:8080/source", "--interface", other, uid=UID)
            check(status == 200 and json.loads(body)["peer"] == other, f"{other}: {body}")
    for other in others:
        ip("-n", CLIENT, "addr", "del", f"{other}/24", "dev", "veth0")


def test_tproxy_needs_net_admin():
    done = call(SERVER, PROXY, f"--config={config}", "--workload=web", "--intercept=tproxy", "--inbound-port=15106", "--outbound-port=15101",
                "--admin-port=0", "--readiness-port=0", "--prometheus-port=0", uid=UID)
    check(done.returncode == 1 and "NET_ADMIN" in done.stderr, f"{done.returncode} {done.stderr}")


def test_back_to_redirect():
    """The rules of the other mode go when one is put in force, and all with --undo."""
    server.restart()
    for backend in ("nftables", "iptables"):
        init(SERVER, f"--backend={backend}", "--interception-mode=TPROXY")
        init(SERVER, f"--backend={backend}")
        left = " ".join(rules_left(SERVER) + call(SERVER, "nft", "list", "table", "inet", "tulle").stdout.splitlines())
        check("TPROXY" not in left and "tproxy" not in left, f"{backend}: {left}")
        check("lookup 133" not in "".join(routes(SERVER)), routes(SERVER))
        check(json.loads(get(CLIENT, "http://10.77.0.2:8080/", uid=UID)[1])["peer"] == "127.0.0.6", backend)
    init(SERVER, "--backend=nftables", "--interception-mode=TPROXY")
    test_undo()
    check("lookup 133" not in "".join(routes(SERVER)), routes(SERVER))
    check("local" not in routes(SERVER)[1] + routes(SERVER)[3], routes(SERVER))


def test_no_errors_in_the_logs():
    for child in support.children:
        with open(log_of(child.tulle_name), encoding="utf-8", errors="replace") as f:
            text = f.read()
        check("lvl=error" not in text, f"{child.tulle_name} has errors")
        check("meant.test" not in text, f"{child.tulle_name}: who goes on to where he was going needs no look-up")


run(globals(), sys.argv[2:])
