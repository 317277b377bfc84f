"""support.py - what the end-to-end tests share: free ports, children that end, answers that arrive."""
import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

folder = tempfile.mkdtemp(prefix="tulle-e2e-")
children = []
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


# What a sanitizer opens its report with, and how a program ends that broke.
REPORTS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", ": runtime error: ")
CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)


def broken():
    """What is wrong with how the programs ended: a leak shows after a test's last check."""
    for child in children:
        if -child.returncode in CRASHES:
            yield f"{child.tulle_name}: {signal.Signals(-child.returncode).name}"
        if getattr(child, "tulle_hung", False):
            yield f"{child.tulle_name} had to be killed"
    for name in sorted(os.listdir(folder)):
        if name.endswith(".log"):
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as f:
                text = f.read()
            at = min((text.find(r) for r in REPORTS if r in text), default=-1)
            if at >= 0:
                yield f"{name}: {text[max(at - 200, 0):at + 3000]}"


def clean_up():
    for child in reversed(children):
        stop(child)
    wrong = list(broken())
    for text in wrong:
        print("FAILED:", text, flush=True)
    if not os.environ.get("TULLE_KEEP"):
        shutil.rmtree(folder, ignore_errors=True)
    if wrong:
        os._exit(1)  # an exception of what runs at exit would not change the status


atexit.register(clean_up)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


def free_ports(n, host="127.0.0.1"):
    """Ports nobody listens on now; taken all at once, so they differ."""
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind((host, 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def log_of(name):
    return os.path.join(folder, name + ".log")


def start(name, *argv):
    with open(log_of(name), "a", encoding="utf-8") as log:
        child = subprocess.Popen([str(a) for a in argv], stdout=log, stderr=log,
                                 stdin=subprocess.DEVNULL)
    child.tulle_name = name
    children.append(child)
    return child


def stop(child, sig=signal.SIGTERM, seconds=20):
    """Its exit status; killed when it takes longer."""
    if child.poll() is None:
        child.send_signal(sig)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            child.tulle_hung = True
    return child.returncode


def fail(text):
    print("FAILED:", text)
    for child in children:
        with open(log_of(child.tulle_name), encoding="utf-8", errors="replace") as f:
            tail = f.read()[-2000:]
        print(f"--- {child.tulle_name} (status {child.poll()})\n{tail}")
    sys.exit(1)


def check(condition, text):
    if not condition:
        fail(text)


def http(url, body=None, headers=None, method=None):
    """(status, body) whatever the status."""
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


def get_json(url):
    status, body = http(url)
    check(status == 200, f"{url}: {status} {body[:300]!r}")
    return json.loads(body)


def wait_until(what, condition, seconds=20):
    """Polls; the result as soon as it is true, else the test fails."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            result = condition()
        except OSError:
            result = None
        if result:
            return result
        for child in children:
            if child.poll() is not None and not getattr(child, "may_end", False):
                fail(f"{child.tulle_name} ended while waiting for {what}")
        if time.monotonic() > deadline:
            fail(f"waited {seconds} s for {what}")
        time.sleep(0.1)


def wait_port(ip, port, child):
    """Until somebody listens there; child: who shall."""
    def is_open():
        check(child.poll() is None, f"{child.tulle_name} ended")
        socket.create_connection((ip, port), 1).close()
        return True
    wait_until(f"{ip}:{port}", is_open)


class Collector:
    def __init__(self, program, *options):
        self.program, self.options = program, options
        self.http_port, self.otlp_port, self.grpc_port = free_ports(3)
        self.base = f"http://127.0.0.1:{self.http_port}"
        self.otlp = f"http://127.0.0.1:{self.otlp_port}"
        self.child = None
        self.start()

    def start(self):
        self.child = start("collector", self.program, "--data", os.path.join(folder, "data"),
                           "--http-port", self.http_port, "--otlp-http-port", self.otlp_port,
                           "--grpc-port", self.grpc_port,
                           *self.options)
        wait_until("the collector", lambda: http(self.base + "/readyz")[0] == 200)


def attribute(key, value):
    kind = "intValue" if isinstance(value, int) else "stringValue"
    return {"key": key, "value": {kind: str(value)}}


def access_record(source, destination, code, tls="mutual", at_ns=None, **more):
    """One request as a sidecar reports it, in OTLP/JSON."""
    fields = {
        "reporter": "source", "request_protocol": "http", "tls_state": tls, "method": "GET",
        "path": "/", "authority": destination, "response_code": code, "duration_ns": 5_000_000,
        "bytes_received": 10, "bytes_sent": 1000,
        "source_cluster": "demo", "source_workload_namespace": "default",
        "source_workload": source + "-v1", "source_canonical_service": source,
        "source_canonical_revision": "v1",
        "destination_cluster": "demo", "destination_workload_namespace": "default",
        "destination_workload": destination + "-v1",
        "destination_canonical_service": destination, "destination_canonical_revision": "v1",
        "destination_service": destination + ".default.svc.cluster.local", **more,
    }
    return {"timeUnixNano": str(at_ns or time.time_ns()), "eventName": "tulle.access",
            "attributes": [attribute(k, v) for k, v in fields.items()]}


def send_records(collector, records):
    body = {"resourceLogs": [{"resource": {"attributes": []}, "scopeLogs": [
        {"scope": {"name": "tulle-proxy"}, "logRecords": records}]}]}
    return http(collector.otlp + "/v1/logs", json.dumps(body).encode(),
                {"Content-Type": "application/json"})
