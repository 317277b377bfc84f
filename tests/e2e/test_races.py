"""An application closes kept connections in the very moment in which the next request comes, thousands of
times: no caller ever hears of it. Usage: test_races.py TULLE_PROXY"""
from http.client import HTTPConnection
import os
import random
import sys
import threading
import time

import support
from gateway_support import APP, IN, OUT, SERVICE, POD, Net, Proxy, run
from support import check, http, wait_until

PROXY = sys.argv[1]
net = Net("127.1.87")
# What is sent again may race as closely as it likes. A POST stays away from connections that are about to
# close, by half of the server's idle timeout, which must be more than a busy machine is late.
QUICK_MS, SLOW_MS = 20, 1000
SECONDS = 4


class Caller(threading.Thread):
    """Asks in the rhythm in which the application closes."""

    def __init__(self, at, method, body, idle_ms):
        super().__init__(daemon=True)
        self.at, self.method, self.body, self.idle_s = at, method, body, idle_ms / 1000
        self.asked, self.wrong, self.over = 0, [], threading.Event()
        self.start()

    def run(self):
        c = HTTPConnection(*self.at, timeout=20)
        while not self.over.is_set():
            c.request(self.method, "/x", body=self.body, headers={"Host": "app"})
            r = c.getresponse()
            text = r.read()
            self.asked += 1
            if r.status != 200:
                self.wrong.append(text)
            time.sleep(self.idle_s + random.uniform(-0.002, 0.001))


class Race:
    """Callers of one port of one sidecar."""

    def __init__(self, at, port, method, body, idle_ms, callers, least):
        (self.p, self.app), self.method, self.least = at, method, least
        self.before = self.closed()
        self.callers = [Caller((self.p.ip, port), method, body, idle_ms) for _ in range(callers)]

    def closed(self):
        return int(http(f"http://{self.app}:{APP}/closed")[1])

    def is_one(self):
        asked = sum(c.asked for c in self.callers)
        return asked > self.least and self.closed() - self.before > self.least / 20

    def end(self):
        for c in self.callers:
            c.over.set()
        for c in self.callers:
            c.join()
        closed = self.closed() - self.before
        asked, wrong = sum(c.asked for c in self.callers), [w for c in self.callers for w in c.wrong]
        print(f"      {self.method}: {asked} requests, {closed} connections closed under way, "
              f"{self.p.counter('tulle_proxy_upstream_stale_retries_total'):.0f} sent again, {len(wrong)} failed")
        check(not wrong, f"{len(wrong)} of {asked} failed: {wrong[:3]}")
        check(asked > self.least and closed > self.least / 20, "hardly a race")


def race(where, method, body, idle_ms, callers, least):
    """At the same time wherever it says: [(sidecar, port)]."""
    races = [Race(at, port, method, body, idle_ms, callers, least) for at, port in where]
    length_s = SECONDS + idle_ms / 200
    latest = time.monotonic() + 4 * length_s
    time.sleep(length_s)
    while time.monotonic() < latest and not all(r.is_one() for r in races):
        time.sleep(0.5)  # the steadier the machine, the rarer a connection closes just then
    for r in races:
        r.end()


def sidecar(name, idle_ms):
    ip, app = net.address(), net.address()
    support.start(f"{name}-app", sys.executable, f"{os.path.dirname(__file__)}/closing_app.py", app, APP, idle_ms)
    objects = SERVICE.format(name="app", port=80, target=APP) + POD.format(name="app", version="v1", ip=app)
    fixed = type("Fixed", (), {"address": lambda self: ip})()
    p = Proxy(PROXY, fixed, name, [objects], role="sidecar", labels="app=caller",
              options=[f"--app={app}:{APP}"]).wait(OUT)
    wait_until("the application", lambda: http(f"http://{app}:{APP}/closed")[0] == 200)
    return p, app


def test_sent_again():
    at = sidecar("quick", QUICK_MS)
    for port in (OUT, IN):
        for method, body in (("GET", None), ("DELETE", None)):  # a body that has left our hands is sent once
            race([(at, port)], method, body, QUICK_MS, 40, 1000)
    at[0].stop()


def test_sent_once():
    where = [(sidecar("slow-out", SLOW_MS), OUT), (sidecar("slow-in", SLOW_MS), IN)]
    race(where, "GET", None, SLOW_MS, 100, 200)  # when connections close is learned from these as well
    race(where, "POST", None, SLOW_MS, 200, 400)
    race(where, "POST", b"b" * 3000, SLOW_MS, 200, 400)
    for (p, _), _ in where:
        p.stop()


run(globals(), sys.argv[2:])
