"""Retries and outlier ejection through a real sidecar, on shared YAML: a ratings of three instances that
never answers, fails in part, and recovers. Usage: test_resilience.py TULLE_PROXY RESILIENCE_YAML"""
import http.client
import json
import os
import sys
import time

import support
from objects import pod, service
from support import check, folder, wait_port

PROXY, SEED = sys.argv[1], sys.argv[2]
NET = "127.1.90"
RATINGS = [f"{NET}.{n}" for n in (11, 12, 13)]
DEAD = f"{NET}.20"  # nobody listens there
APP = 34080
HERE = os.path.dirname(os.path.abspath(__file__))

ROUTE = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: {name}, namespace: default }}
spec: {{ hosts: [{name}], http: [{{ route: [{{ destination: {{ host: ratings }} }}], retries: {retries} }}] }}
---
"""
# hosts that lead to ratings with other retries
ROUTES = {"never": "{ attempts: 0 }",
          "stubborn": '{ attempts: 2, retryOn: "503,reset", backoff: 1ms }',
          "tried": "{ attempts: 1, perTryTimeout: 0.3s, retryOn: connect-failure }"}


class Sidecar:
    """A proxy with its own configuration and address; one connection a request."""

    def __init__(self, n, policy):
        self.ip, self.name = f"{NET}.{n}", f"sidecar-{n}"
        config = f"{folder}/{self.name}"
        os.makedirs(config)
        with open(f"{config}/mesh.yaml", "w", encoding="utf-8") as f:
            f.write(service("ratings", APP, port=9080) + service("half", APP, port=9080))
            for i, ip in enumerate(RATINGS):
                f.write(pod(f"ratings-v1-{i}", ip, "ratings"))
            f.write(pod("half-v1-0", RATINGS[0], "half") + pod("half-v1-1", DEAD, "half"))
            for name, retries in ROUTES.items():
                f.write(service(name, APP, port=9080) + ROUTE.format(name=name, retries=retries))
        with open(f"{config}/policy.yaml", "w", encoding="utf-8") as f:
            f.write(policy)
        self.access = f"{folder}/{self.name}.access"
        self.child = support.start(
            self.name, PROXY, "--role=sidecar", f"--config={config}", "--workload=client-v1",
            "--namespace=default", f"--listen={self.ip}", "--outbound-port=34001", "--inbound-port=34006",
            "--admin-port=34000", "--readiness-port=34021", "--prometheus-port=34090",
            f"--app={self.ip}:{APP}", f"--access-log={self.access}", "--log-level=debug")
        wait_port(self.ip, 34001, self.child)

    def __call__(self, method="GET", host="ratings", body=None, ident=None, **more):
        c = http.client.HTTPConnection(self.ip, 34001, timeout=30)
        headers = {"Host": host, "x-request-id": ident or "-", **more.pop("headers", {})}
        c.request(method, "/", body=body, headers=headers, **more)
        r = c.getresponse()
        answer = r.status, r.read().decode(), r.getheader("x-tulle-reason")
        c.close()
        return answer

    def line(self, ident):
        """The access log's line of a request."""
        def look():
            with open(self.access, encoding="utf-8") as f:
                lines = [json.loads(x) for x in f if x.endswith("\n")]
            return next((x for x in lines if x["request_id"] == ident), None)
        return support.wait_until(f"the log line of {ident}", look)

    def page(self, path, port=34000):
        return support.http(f"http://{self.ip}:{port}{path}")[1].decode()

    def metric(self, name):
        return next(int(x.split()[-1]) for x in self.page("/stats/prometheus").splitlines()
                    if x.startswith(f"tulle_proxy_{name} "))

    def ejected(self):
        return {ip for ip in RATINGS if f"outbound|9080||ratings.default.svc.cluster.local::{ip}:{APP}"
                "::health_flags::/failed_outlier_check" in self.page("/clusters")}

    def stop(self):
        check(support.stop(self.child) == 0, f"{self.name}: exit status {self.child.returncode}")


def tell(ip, path):
    return support.http(f"http://{ip}:{APP}{path}")[1]


def all_are(*modes):
    for ip, mode in zip(RATINGS, modes):
        tell(ip, f"/mode/{mode}")
        tell(ip, "/forget")


def seen():
    """(time, method, body bytes, instance) of every request, in order."""
    return sorted((*x, ip) for ip in RATINGS for x in json.loads(tell(ip, "/times")))


def test_never_answers(seed):
    all_are("hang", "hang", "hang")
    began = time.monotonic()
    status, _, reason = seed(ident="hang-1")
    took = time.monotonic() - began
    check(status == 504 and reason.startswith("UT response_timeout"), f"{status} {reason}")
    check(4.9 < took < 6.5, f"the error came after {took:.2f} s")
    at = [x[0] - began for x in seen()]
    check(len(at) == 3, f"attempts at {at}")
    for got, want in zip(at, (0, 2, 4)):
        check(want - 0.1 < got < want + 0.9, f"attempts at {at}")
    check(len({x[3] for x in seen()}) == 3, f"another instance each time: {seen()}")
    check(seed.line("hang-1")["response_flags"] == "UT", seed.line("hang-1"))
    check(seed.ejected() == set(), f"one time-out each is no outlier: {seed.ejected()}")


def test_one_of_three_fails(seed):
    all_are("fail", "ok", "ok")
    before = seed.metric('outlier_ejections_total{outcome="ejected"}')
    for i in range(60):
        status, body, reason = seed()
        check(status == 200, f"request {i}: {status} {body} {reason}")
    at_bad = [x for x in seen() if x[3] == RATINGS[0]]
    # the time-out of the test before may count: nothing has answered well since
    check(4 <= len(at_bad) <= 5, f"{len(at_bad)} requests reached the failing instance")
    check(seed.ejected() == {RATINGS[0]}, f"ejected: {seed.ejected()}")
    check(seed.metric('outlier_ejections_total{outcome="ejected"}') == before + 1, "counted")
    check(seed.metric("outlier_ejected") == 1, "gauge")
    check(seed.metric('upstream_retries_total{why="response"}') == len(at_bad), "retries counted")


def test_last_resort(seed):
    """One is ejected though it is well again when both others fail: no request pays for that."""
    all_are("ok", "fail", "fail")
    check(seed.ejected() == {RATINGS[0]}, f"ejected before: {seed.ejected()}")
    status, body, reason = seed()
    check(status == 200 and body.startswith(RATINGS[0]), f"{status} {body} {reason}")
    check([x[3] for x in seen()][-1] == RATINGS[0] and len(seen()) == 3, f"the others first: {seen()}")
    check(seed.metric("outlier_last_resort_total") == 1, "counted")
    check(seed.metric('outlier_ejections_total{outcome="pardoned"}') == 1, "a good answer ends the ejection")
    check(RATINGS[0] not in seed.ejected(), f"ejected: {seed.ejected()}")
    for _ in range(20):
        check(seed()[0] == 200, "nor does a later one")


def test_no_endpoint_is_beyond_retries(seed):
    all_are("fail", "fail", "fail")
    status, body, reason = seed(ident="all-fail")
    check(status == 503 and "on purpose" in body and reason is None, f"{status} {body}")
    check(len(seen()) == 4, f"one and three again: {seen()}")
    line = seed.line("all-fail")
    check(line["response_flags"] == "URX" and line["response_code"] == 503, line)


def test_comes_back(short):
    all_are("fail", "ok", "ok")
    for _ in range(60):
        check(short()[0] == 200, "a retry finds a healthy one")
        if short.ejected():
            break
    check(short.ejected() == {RATINGS[0]}, f"ejected: {short.ejected()}")
    all_are("ok", "ok", "ok")
    support.wait_until("the return", lambda: not short.ejected())
    for _ in range(60):
        check(short()[0] == 200, "all are well")
    check(any(x[3] == RATINGS[0] for x in seen()), "the returned one gets its share")


def test_all_are_gone(short):
    all_are("fail", "fail", "fail")
    reason = "UH no_healthy_upstream (no healthy endpoints for outbound|9080||ratings.default.svc.cluster.local)"
    support.wait_until("no healthy instance", lambda: short()[2] == reason)
    check(short.ejected() == set(RATINGS), f"ejected: {short.ejected()}")
    all_are("ok", "ok", "ok")
    support.wait_until("the return of all", lambda: short()[0] == 200)


def test_default_policy(plain):
    all_are("fail", "fail", "fail")
    check(plain()[0] == 503 and len(seen()) == 1, f"503 is not repeated by default: {seen()}")
    all_are("reset", "reset", "reset")
    check(plain("POST", body=b"x")[2].startswith("UC ") and len(seen()) == 1, f"nor a reset: {seen()}")
    all_are("ok", "ok", "ok")
    for _ in range(20):  # one of two refuses connections: nothing was sent, so even POST goes on
        check(plain("POST", host="half", body=b"x")[0] == 200, "connect-failure")
    check(plain.metric('upstream_retries_total{why="connect"}') > 0, "counted")
    all_are("fail", "fail", "fail")
    check(plain(host="never")[0] == 503 and len(seen()) == 1, f"attempts: 0: {seen()}")


def test_bodies(plain):
    sizes = (1, 1000, 60000)
    for n in sizes:
        for chunked in (False, True):
            all_are("fail-once", "fail-once", "fail-once")
            body = iter([b"b" * n]) if chunked else b"b" * n
            status, text, _ = plain("POST", host="stubborn", body=body, encode_chunked=chunked,
                                    headers={"Transfer-Encoding": "chunked"} if chunked else {})
            got = [x[2] for x in seen()]
            # two of three may be met; the third try is the last, at an instance not tried before
            check(got == [n] * 3 and status == 503 or status == 200, f"{status} {text} {got}")
            check(set(got) == {n}, f"the whole body each time: {n} {got}")
    all_are("fail", "fail", "fail")
    status, _, _ = plain("POST", host="stubborn", body=b"b" * 100000)
    check(status == 503 and len(seen()) == 1, f"a body past the limit is sent once: {status} {seen()}")
    all_are("reset", "ok", "ok")
    for _ in range(20):
        check(plain("PUT", host="stubborn", body=b"abc")[0] == 200, "reset is repeated where it is named")


def test_per_try_timeout_alone(plain):
    all_are("hang", "hang", "hang")
    began = time.monotonic()
    status, _, reason = plain(host="tried")
    check(status == 504 and reason.startswith("UT upstream_per_try_timeout"), f"{status} {reason}")
    check(time.monotonic() - began < 2 and len(seen()) == 1, "not among retryOn: one try")


with open(SEED, encoding="utf-8") as seed_file:
    unchanged = seed_file.read()
in_short = unchanged.replace("baseEjectionTime: 30s", "baseEjectionTime: 1s\n      maxEjectionPercent: 100")
check(in_short != unchanged, "the seed says baseEjectionTime")
for number, address in enumerate(RATINGS):
    started = support.start(f"ratings-{number}", sys.executable, f"{HERE}/ratings_app.py", address, APP)
    wait_port(address, APP, started)
sidecars = {"seed": Sidecar(1, unchanged), "short": Sidecar(2, in_short), "plain": Sidecar(3, "")}
wanted = sys.argv[3:]
for name, test in list(globals().items()):
    if name.startswith("test_") and (not wanted or name in wanted):
        print("case:", name, flush=True)
        test(sidecars[test.__code__.co_varnames[0]])
for sidecar in sidecars.values():
    sidecar.stop()
