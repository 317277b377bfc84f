"""Health checks through real sidecars: an application that dies and comes back, that hangs, that all
fail; that live changes keep what is known; and the same through mutual TLS.
Usage: test_active_health.py TULLE_PROXY"""
import http.client
import json
import os
import re
import sys
import time

import support
from gateway_support import make_ca, make_spiffe
from support import check, fail, folder, wait_port, wait_until

PROXY = sys.argv[1]
NET = "127.1.91"
CLIENT, SERVER = f"{NET}.1", f"{NET}.2"
RATINGS = [f"{NET}.{n}" for n in (11, 12, 13)]
OUT, IN, ADMIN, READY, PROM, APP = 35001, 35006, 35000, 35021, 35090, 35080
HERE = os.path.dirname(os.path.abspath(__file__))
FAST = "interval=500ms timeout=500ms healthy=2 unhealthy=2"
BY_HTTP, BY_TCP = f"http /healthz {FAST}", f"tcp {FAST}"

SERVICE = """apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: default, annotations: {{ {note} }} }}
spec: {{ selector: {{ app: {app} }}, ports: [{{ name: http, port: 9080, targetPort: {port} }}] }}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: {name}, namespace: default }}
spec: {{ hosts: [{name}], http: [{{ route: [{{ destination: {{ host: {name} }} }}], retries: {{ attempts: 0 }} }}] }}
---
"""
POD = """apiVersion: v1
kind: Pod
metadata: {{ name: {name}-v1-{n}, namespace: default, labels: {{ app: {name}, version: v1{more} }} }}
spec: {{ serviceAccountName: {name} }}
status: {{ phase: Running, podIP: {ip} }}
---
"""
MESH = ", security.istio.io/tlsMode: istio"
STRICT = """apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
---
"""
apps = {}


def note(text):
    return f"tulle.io/health-check: '{text}'" if text else ""


def write_config(check_of_ratings=BY_HTTP, extra=""):
    os.makedirs(f"{folder}/config", exist_ok=True)
    text = SERVICE.format(name="ratings", app="ratings", note=note(check_of_ratings), port=APP)
    text += SERVICE.format(name="vault", app="vault", note=note(BY_HTTP), port=IN)
    text += SERVICE.format(name="vault-tcp", app="vault", note=note(BY_TCP), port=IN)
    text += "".join(POD.format(name="ratings", n=n, ip=ip, more="") for n, ip in enumerate(RATINGS))
    text += POD.format(name="vault", n=0, ip=SERVER, more=MESH) + POD.format(name="client", n=0, ip=CLIENT, more=MESH)
    with open(f"{folder}/config/.new", "w", encoding="utf-8") as f:
        f.write(text + STRICT + extra)
    os.rename(f"{folder}/config/.new", f"{folder}/config/mesh.yaml")


def start_app(ip):
    apps[ip] = support.start(f"app-{ip}-{time.monotonic_ns()}", sys.executable, f"{HERE}/ratings_app.py", ip, APP)
    apps[ip].may_end = True  # killed on purpose
    wait_port(ip, APP, apps[ip])


def start_proxy(name, ip):
    child = support.start(
        name, PROXY, "--role=sidecar", f"--config={folder}/config", f"--workload={name}-v1", "--namespace=default",
        f"--certs={folder}/certs/{name}", f"--listen={ip}", f"--outbound-port={OUT}", f"--inbound-port={IN}",
        f"--admin-port={ADMIN}", f"--readiness-port={READY}", f"--prometheus-port={PROM}", f"--app={ip}:{APP}",
        f"--access-log={folder}/{name}.access", f"--labels=app={name},version=v1", "--log-level=debug")
    wait_port(ip, OUT, child)
    return child


def mode(ip, text):
    return support.http(f"http://{ip}:{APP}/mode/{text}")


def call(host="ratings", path="/"):
    c = http.client.HTTPConnection(CLIENT, OUT, timeout=30)
    c.request("GET", path, headers={"Host": host})
    r = c.getresponse()
    answer = r.status, r.read().decode(), r.getheader("x-tulle-reason")
    c.close()
    return answer


def page(ip, path):
    return support.http(f"http://{ip}:{ADMIN}{path}")[1].decode()


def log():
    with open(support.log_of("client"), encoding="utf-8") as f:
        return f.read()


def metric(name, ip=CLIENT):
    return next(int(x.split()[-1]) for x in page(ip, "/stats/prometheus").splitlines()
                if x.startswith(f"tulle_proxy_{name} "))


def health(service="ratings"):
    """Of each endpoint that has been asked: (is well, what its last check said)."""
    clusters = json.loads(page(CLIENT, "/clusters?format=json"))
    mine = next(c for c in clusters if c["host"] == f"{service}.default.svc.cluster.local")
    return {e["address"].split(":")[0]: (e["healthy"], e["health_check"]["last_answer"])
            for e in mine["endpoints"] if e.get("health_check", {}).get("last_answer")}


def wait_health(ip, is_well, service="ratings"):
    return wait_until(f"{ip} of {service} {'well' if is_well else 'unwell'}",
                      lambda: health(service).get(ip, (None,))[0] is is_well and health(service)[ip])


def all_well(n=60):
    for i in range(n):
        got = call()
        check(got[0] == 200, f"request {i}: {got}")


def test_dies_and_comes_back():
    for ip in RATINGS:
        wait_health(ip, True)
    all_well()
    before = metric('health_changes_total{to="unhealthy"}')
    support.stop(apps[RATINGS[0]])
    said = wait_health(RATINGS[0], False)[1]
    check("refused" in said, said)
    all_well()
    line = f"outbound|9080||ratings.default.svc.cluster.local::{RATINGS[0]}:{APP}::"
    check(line + "health_flags::/failed_active_hc" in page(CLIENT, "/clusters"), page(CLIENT, "/clusters"))
    check(metric('health_changes_total{to="unhealthy"}') == before + 1, "counted")
    check(metric("health_unhealthy") == 1 and metric("health_checked") == 5, "gauges")
    check(re.search(r"endpoint\.unhealthy.*" + re.escape(RATINGS[0]), log()), log()[-2000:])
    start_app(RATINGS[0])
    check(wait_health(RATINGS[0], True)[1] == "status 200", health())
    support.http(f"http://{RATINGS[1]}:{APP}/mode/fail")
    wait_health(RATINGS[1], False)
    support.http(f"http://{RATINGS[2]}:{APP}/mode/fail")
    wait_health(RATINGS[2], False)
    all_well(10)  # the returned one takes all of it
    mode(RATINGS[1], "ok")
    mode(RATINGS[2], "ok")
    wait_health(RATINGS[1], True)
    wait_health(RATINGS[2], True)


def test_hangs():
    mode(RATINGS[1], "hang")
    said = wait_health(RATINGS[1], False)[1]
    check(said == "no answer within the timeout", said)
    all_well()
    mode(RATINGS[1], "ok")
    wait_health(RATINGS[1], True)


def test_all_fail():
    for ip in RATINGS:
        mode(ip, "fail")
    for ip in RATINGS:
        check(wait_health(ip, False)[1] == "status 503", health())
    got = call()
    check(got[0] == 503 and got[2].startswith("UH no_healthy_upstream"), f"{got}")
    for ip in RATINGS:
        mode(ip, "ok")
    for ip in RATINGS:
        wait_health(ip, True)
    all_well()


def test_changes_keep_what_is_known():
    support.stop(apps[RATINGS[2]])
    wait_health(RATINGS[2], False)
    applied = 'reloads_total{what="configuration",outcome="applied"}'
    lost, before = metric('health_changes_total{to="unhealthy"}'), metric(applied)
    write_config(extra=SERVICE.format(name="other", app="other", note="", port=APP))
    wait_until("the change", lambda: metric(applied) > before)
    check(health()[RATINGS[2]][0] is False, health())
    all_well()
    check(metric('health_changes_total{to="unhealthy"}') == lost, "it is the same state")
    write_config(check_of_ratings="")
    wait_until("no check", lambda: metric("health_checked") == 2)
    check(health() == {} and metric("health_unhealthy") == 0, health())
    wait_until("a call to the dead one", lambda: call()[0] == 503)
    before = metric('reloads_total{what="configuration",outcome="refused"}')
    write_config(check_of_ratings="http healthz")
    wait_until("refusal", lambda: metric('reloads_total{what="configuration",outcome="refused"}') > before)
    check("mesh.yaml:3:" in log() and "a path that begins with '/'" in log(), log()[-2000:])
    write_config()
    wait_health(RATINGS[2], False)
    start_app(RATINGS[2])
    wait_health(RATINGS[2], True)


def test_mutual_tls():
    for service in ("vault", "vault-tcp"):
        wait_health(SERVER, True, service)
    check(call("vault", "/seen-by-vault")[0] == 200, "a request through mutual TLS")
    check(metric("health_checks_answered_total", SERVER) > 0, "answered")

    def lines():
        with open(f"{folder}/server.access", encoding="utf-8") as f:
            return [json.loads(x) for x in f if x.endswith("\n")]
    wait_until("the request's line", lambda: any(x["path"] == "/seen-by-vault" for x in lines()))
    told = [x for x in lines() if x["path"] == "/healthz" and x["response_code"] == 200]
    check(not told, f"health checks are nobody's requests: {told}")
    support.stop(apps[SERVER])
    said = wait_health(SERVER, False, "vault")[1]
    check(said == "status 503", said)
    check(health("vault-tcp")[SERVER] == (True, "connected"), "its sidecar can be connected to")
    wait_until("failed ones told", lambda: [x for x in lines() if x["path"] == "/healthz"])
    got = call("vault")
    check(got[0] == 503 and got[2].startswith("UH "), f"{got}")
    start_app(SERVER)
    wait_health(SERVER, True, "vault")
    check(call("vault")[0] == 200, "back")


write_config()
ca = make_ca()
make_spiffe(ca, f"{folder}/certs/client", "client")
make_spiffe(ca, f"{folder}/certs/server", "vault")
for address in (*RATINGS, SERVER):
    start_app(address)
proxies = [start_proxy("server", SERVER), start_proxy("client", CLIENT)]
wanted = sys.argv[2:]
for case, test in list(globals().items()):
    if case.startswith("test_") and (not wanted or case in wanted):
        print("case:", case, flush=True)
        test()
for proxy in proxies:
    if support.stop(proxy) != 0:
        fail(f"{proxy.tulle_name}: exit status {proxy.returncode}")
