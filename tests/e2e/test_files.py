"""What can be done with a store's file while a collector runs on it: check it, copy it, look at the
copy without changing it.

    python3 test_files.py build/bin/tulle-collector build/bin/tulle
"""
import hashlib
import os
import subprocess
import sys

import otlp
from support import http as ask
from support import Collector, check, folder, free_ports, log_of, start, stop, wait_until
from test_ingest import JSON, a_span, trace_id


def run(*argv):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def hash_of(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def main():
    program, tulle = sys.argv[1:3]
    data = os.path.join(folder, "data")
    c = Collector(program)
    store = "sqlite:" + os.path.join(data, "tulle.db")
    traces = [trace_id() for _ in range(50)]
    for trace in traces:
        body = otlp.traces_json([a_span(trace, name="GET /cart")])
        status, _ = ask(f"{c.otlp}/v1/traces", body, JSON)
        check(status == 200, f"export answered {status}")

    status, said = run(program, "--check", "--store", store)
    check(status == 0 and "0 findings" in said and "50 spans" in said, f"--check beside: {status} {said}")

    copy = os.path.join(folder, "copy.db")
    status, said = run(tulle, "snapshot", "--store", store, copy)
    check(status == 0 and os.listdir(folder).count("copy.db-wal") == 0, f"snapshot: {status} {said}")
    status, said = run(tulle, "snapshot", "--store", store, copy)
    check(status == 1 and "exists" in said, f"overwriting: {status} {said}")
    status, said = run(program, "--check", "--store", "sqlite:" + copy)
    check(status == 0, f"--check of the copy: {status} {said}")
    before = hash_of(copy)

    http_port, otlp_port = free_ports(2)
    opened = start("opened", program, "--open", copy, f"--http-port={http_port}",
                   f"--otlp-http-port={otlp_port}", "--grpc-port=0")
    base = f"http://127.0.0.1:{http_port}"

    def readyz():
        try:
            return ask(base + "/readyz")
        except OSError:
            return 0, b""

    wait_until("the opened copy is ready", lambda: readyz()[0] == 200)
    check(b"read-only" in readyz()[1], f"/readyz: {readyz()[1]}")
    for trace in traces:
        check(ask(f"{base}/api/v1/traces/{trace}")[0] == 200, f"{trace} is not in the copy")
    try:
        ask(f"http://127.0.0.1:{otlp_port}/v1/traces", b"{}", JSON)
        check(False, "the opened copy takes exports")
    except OSError:
        pass
    check(stop(opened) == 0, "the opened copy ends")
    with open(log_of("opened"), encoding="utf-8") as log:
        check("store.read_only" in log.read(), "it says that it is read-only")
    check(hash_of(copy) == before, "opening changed the copy")

    status, said = run(program, "--open", copy, "--store", "memory:")
    check(status == 2, f"--open with --store: {status} {said}")

    check(stop(c.child) == 0, "the collector ends")
    with open(copy, "r+b") as f:
        f.seek(3 * 16384)
        f.write(b"\xa5" * 4096)
    status, said = run(program, "--check", "--store", "sqlite:" + copy)
    check(status == 1, f"--check of a damaged file: {status} {said}")
    print("files: all said and done")


if __name__ == "__main__":
    main()
