"""An application closes kept connections in the very moment in which the next request comes, thousands of
times: no caller ever hears of it. Usage: test_races.py TULLE_PROXY"""
from http.client import HTTPConnection
import os
import random
import sys
import threading
import time

import support
from gateway_support import APP, IN, OUT, PROM, SERVICE, POD, Net, Proxy, run
from support import check, http, wait_until

PROXY = sys.argv[1]
net = Net("127.1.87")
IDLE_MS = 120  # a busy machine is late by some ten
CALLERS, SECONDS = 150, 5


def counter(p, name):
    text = http(f"http://{p.ip}:{PROM}/stats/prometheus")[1].decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


class Caller(threading.Thread):
    """Asks in the rhythm in which the application closes."""

    def __init__(self, at, method, body):
        super().__init__(daemon=True)
        self.at, self.method, self.body = at, method, body
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
            time.sleep(IDLE_MS / 1000 + random.uniform(-0.006, 0.002))


def race(p, port, app, method, body):
    before = int(http(f"http://{app}:{APP}/closed")[1])
    callers = [Caller((p.ip, port), method, body) for _ in range(CALLERS)]
    time.sleep(SECONDS)
    for c in callers:
        c.over.set()
    for c in callers:
        c.join()
    closed = int(http(f"http://{app}:{APP}/closed")[1]) - before
    asked, wrong = sum(c.asked for c in callers), [w for c in callers for w in c.wrong]
    print(f"      {method}: {asked} requests, {closed} connections closed under way, "
          f"{counter(p, 'tulle_proxy_upstream_stale_retries_total'):.0f} sent again, {len(wrong)} failed")
    check(not wrong, f"{len(wrong)} of {asked} failed: {wrong[:3]}")
    check(asked > 1000 and closed > 100, "hardly a race")


def test_races():
    ip, app = net.address(), net.address()
    support.start("app", sys.executable, f"{os.path.dirname(__file__)}/closing_app.py", app, APP, IDLE_MS)
    objects = SERVICE.format(name="app", port=80, target=APP) + POD.format(name="app", version="v1", ip=app)
    fixed = type("Fixed", (), {"address": lambda self: ip})()
    p = Proxy(PROXY, fixed, "racing", [objects], role="sidecar", labels="app=caller",
              options=[f"--app={app}:{APP}"]).wait(OUT)
    wait_until("the application", lambda: http(f"http://{app}:{APP}/closed")[0] == 200)
    for port in (OUT, IN):
        race(p, port, app, "GET", None)
        race(p, port, app, "POST", None)
        race(p, port, app, "POST", b"b" * 3000)
    p.stop()


run(globals(), sys.argv[2:])
