"""A collector killed with seconds of work behind it takes exports at once when it comes back, and counts what came
before and what comes meanwhile exactly once.

    python3 test_resume.py build/bin/tulle-collector

Before the kill: callers' halves of requests, then so many access records that reading them back takes longer than
opening waits for. After it, while that goes on: the callees' halves and more records. It is killed and started
twice more on the way.
"""
import json
import signal
import sys
import time
import urllib.parse

import otlp
from support import Collector, access_record, check, get_json, http, log_of, stop, wait_until

JSON = {"Content-Type": "application/json"}
RECORDS = 1000  # an export
BEFORE, AFTER = 200, 20
SENDING_S = 20  # a machine that is slow, or slow under a sanitizer, sends less: a half waits a minute for the other
PAIRS = 300
CLIENT, SERVER = 3, 2


def records_body(at_ns):
    records = [access_record("web", "cart", 200, at_ns=at_ns + i) for i in range(RECORDS)]
    return json.dumps({"resourceLogs": [{"resource": {"attributes": []}, "scopeLogs": [
        {"scope": {"name": "tulle-proxy"}, "logRecords": records}]}]}).encode()


def half(i, kind, at_ns):
    caller, callee = f"{i + 1:014x}0a", f"{i + 1:014x}0b"
    span = {"trace_id": f"{i + 1:030x}cc", "span_id": caller if kind == CLIENT else callee, "name": "GET /", "kind": kind,
            "start": at_ns + i, "end": at_ns + i + 10**6, "attrs": {"http.response.status_code": 200}}
    if kind == SERVER:
        span["parent_id"] = caller
    return span


def send(c, path, body):
    status, answer = http(c.otlp + path, body, JSON)
    check(status == 200, f"{path}: {status} {answer[:200]!r}")


def kill_and_start(c):
    c.child.may_end = True
    stop(c.child, signal.SIGKILL)
    c.start()


def counts(c, since_ns):
    query = urllib.parse.urlencode({"from": since_ns, "to": time.time_ns() + 10**9})
    return {(e["source"]["service"], e["destination"]["service"]): (e["requests"], e["evidence"])
            for e in get_json(f"{c.base}/api/v1/graph?{query}")["edges"]}


def main():
    c = Collector(sys.argv[1])
    now = time.time_ns()
    since_ns, records = now - 60 * 10**9, records_body(now)
    send(c, "/v1/traces", otlp.traces_json([half(i, CLIENT, now) for i in range(PAIRS)], {"service.name": "shop"}))
    began, before = time.monotonic(), 0
    while before < BEFORE and time.monotonic() - began < SENDING_S:
        send(c, "/v1/logs", records)
        before += 1
    kill_and_start(c)
    kill_and_start(c)  # it had no time to count
    send(c, "/v1/traces", otlp.traces_json([half(i, SERVER, now) for i in range(PAIRS)], {"service.name": "stock"}))
    for i in range(AFTER):
        send(c, "/v1/logs", records)
        if i == AFTER // 2:
            kill_and_start(c)
    want = {("web", "cart"): ((before + AFTER) * RECORDS, "source"), ("shop", "stock"): (PAIRS, "pair")}
    try:
        wait_until("everything counted once", lambda: counts(c, since_ns) == want, seconds=60)
    except SystemExit:
        print(f"counted: {counts(c, since_ns)}, want {want}")
        raise
    time.sleep(1.5)  # nothing more is counted later
    check(counts(c, since_ns) == want, f"later: {counts(c, since_ns)}")
    with open(log_of("collector"), encoding="utf-8") as log:
        beside = log.read().count("pipeline.resuming")
    print(f"resume: {(before + AFTER) * RECORDS} records and {PAIRS} pairs counted once; {beside} of 3 starts went on "
          "beside exports")


if __name__ == "__main__":
    main()
