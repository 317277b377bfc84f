"""ServiceEntries whose hosts are looked up: a sidecar with a hosts file of its own, which changes under load.
Usage: test_names.py TULLE_PROXY [CASE...]. Exit status 77 (skipped) where mount namespaces are not allowed."""
import os
import subprocess
import sys
import time

import support
from gateway_support import ADMIN, APP, OUT, PROM, Net, Proxy, Server, run
from support import check, folder, wait_until

PROXY = sys.argv[1]
net = Net("127.1.40")
ONE, TWO = f"{net.net}.201", f"{net.net}.202"
ENTRY = f"""apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: partner, namespace: default }}
spec:
  hosts: [partner.test, Other.test]
  resolution: DNS
  ports: [{{ number: 80, name: http, protocol: HTTP, targetPort: {APP} }}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: named, namespace: default }}
spec:
  hosts: [named.test]
  resolution: DNS_ROUND_ROBIN
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints: [{{ address: backend.test, ports: {{ http: {APP} }} }}, {{ address: {TWO}, ports: {{ http: {APP} }} }}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: plain, namespace: default }}
spec: {{ hosts: [plain.test], ports: [{{ number: 80, name: http, protocol: HTTP, targetPort: {APP} }}] }}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: partner, namespace: default }}
spec: {{ hosts: [partner.test], http: [{{ match: [{{ uri: {{ prefix: /old }} }}], rewrite: {{ uri: /new }},
  route: [{{ destination: {{ host: partner.test }} }}] }}, {{ route: [{{ destination: {{ host: partner.test }} }}] }}] }}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: partner, namespace: default }}
spec: {{ host: partner.test, trafficPolicy: {{ loadBalancer: {{ simple: ROUND_ROBIN }} }} }}
"""
HOSTS = f"{folder}/hosts"


def hosts(*lines):
    """Written in place: the file is mounted."""
    with open(HOSTS, "w", encoding="utf-8") as f:
        f.write("127.0.0.1 localhost\n" + "".join(line + "\n" for line in lines))


def program():
    """The proxy with HOSTS as its /etc/hosts."""
    path = f"{folder}/in-namespace"
    with open(path, "w", encoding="utf-8") as f:
        f.write(f'#!/bin/sh\nexec unshare -rm sh -c \'mount --bind {HOSTS} /etc/hosts && exec "$0" "$@"\' '
                f'{os.path.abspath(PROXY)} "$@"\n')
    os.chmod(path, 0o755)
    return path


def start(name):
    return Proxy(program(), net, name, [ENTRY], role="sidecar", labels="app=x", options=("--dns-refresh=1s",)).wait(OUT)


def until(g, host, want, path="/"):
    wait_until(f"{host} from {want}", lambda: {g.who(host, path, port=OUT) for _ in range(8)} == want, 20)


def test_looked_up():
    hosts(f"{ONE} partner.test other.test plain.test", f"{ONE} backend.test")
    g = start("looked-up")
    for host in ("partner.test", "OTHER.test", "plain.test"):
        until(g, host, {"one"})
    until(g, "named.test", {"one", "two"})
    _, told, _ = g.ask("partner.test", "/old/x", port=OUT)
    check(told["path"] == "/new/x" and told["headers"]["host"] == "partner.test", told)
    hosts(f"{ONE} partner.test", f"{TWO} partner.test")
    until(g, "partner.test", {"one", "two"})
    check(f"partner.test::{TWO}:{APP}::health_flags::healthy" in
          support.http(f"http://{g.ip}:{ADMIN}/clusters")[1].decode(), "both in /clusters")
    g.stop()


def test_last_good_is_kept():
    """No request fails while names change, go and come back."""
    hosts(f"{ONE} partner.test")
    g = start("kept")
    until(g, "partner.test", {"one"})
    seen, end = set(), time.monotonic() + 6
    steps = iter(([f"{TWO} partner.test"], [], [f"{ONE} partner.test", f"{TWO} partner.test"]))
    change = 0.0
    while time.monotonic() < end:
        if time.monotonic() > change:
            hosts(*next(steps, [f"{ONE} partner.test"]))
            change = time.monotonic() + 1.5
        seen.add(g.who("partner.test", port=OUT))
    check(seen == {"one", "two"}, seen)
    metrics = support.http(f"http://{g.ip}:{PROM}/metrics")[1].decode()
    failed = next(x for x in metrics.splitlines() if x.startswith('tulle_proxy_dns_lookups_total{outcome="failed"}'))
    check(int(failed.split()[-1]) > 0 and "tulle_proxy_dns_changes_total" in metrics, failed)
    g.stop()


def test_unknown():
    """A name that means nothing yet: DF, and served as soon as it does."""
    hosts()
    g = start("unknown")
    status, _, r = g.ask("partner.test", port=OUT)
    check(status == 503 and r.getheader("x-tulle-reason") ==
          "DF dns_resolution_failure (no address is known for partner.test)", r.getheader("x-tulle-reason"))
    check(g.access(response_code=503)["response_flags"] == "DF", "the flag")
    check("ev=names.failed" in g.log(), g.log())
    hosts(f"{TWO} partner.test")
    until(g, "partner.test", {"two"})
    g.stop()


hosts()
if subprocess.run(["unshare", "-rm", "mount", "--bind", HOSTS, "/etc/hosts"], capture_output=True, check=False).returncode:
    print("skipped: unshare -rm may not mount a file here")
    sys.exit(77)
Server(ONE, "one"), Server(TWO, "two")
run(globals(), sys.argv[2:])
