"""A collector whose disk is full: senders are told to come again, what was acknowledged stays, and
when there is room again it takes exports without being started anew.

Two disks: a small tmpfs, where it may be mounted (as root, or in a namespace of our own), and a
bound on the size of files, which any user can set and lift.

    python3 test_disk_full.py build/bin/tulle-collector
"""
import http.client
import json
import os
import resource
import signal
import subprocess
import sys

import otlp
from support import Collector, check, children, folder, stop, wait_until
from support import http as ask
from test_ingest import a_span, trace_id

DISK = os.path.join(folder, "data")
SPANS = 200
MOUNTED = "TULLE_TEST_MOUNTED"


def export(c):
    """(status, Retry-After, trace) of one export of about a hundred kilobytes that does not shrink."""
    trace = trace_id()
    spans = [a_span(trace, attrs={"blob": os.urandom(200).hex()}) for _ in range(SPANS)]
    host = http.client.HTTPConnection("127.0.0.1", c.otlp_port, timeout=30)
    host.request("POST", "/v1/traces", otlp.traces_json(spans), {"Content-Type": "application/json"})
    answer = host.getresponse()
    answer.read()
    host.close()
    return answer.status, answer.getheader("Retry-After"), trace


def spans_of(c, trace):
    status, body = ask(f"{c.base}/api/v1/traces/{trace}")
    return len(json.loads(body)["spans"]) if status == 200 else 0


def until_full(c, kept):
    """Exports until one is refused."""
    for _ in range(400):
        status, retry_after, trace = export(c)
        if status == 503:
            check(retry_after is not None and int(retry_after) >= 1, f"Retry-After: {retry_after}")
            return
        check(status == 200, f"export answered {status}")
        kept.append(trace)
    check(False, "the disk was never full")


def all_there(c, kept, when):
    for trace in kept:
        check(spans_of(c, trace) == SPANS, f"{when}: {spans_of(c, trace)} spans of {trace}")


def run(program, make_full, make_room, *options):
    kept = []
    c = Collector(program, *options)
    for _ in range(5):
        status, _, trace = export(c)
        check(status == 200, f"export answered {status}")
        kept.append(trace)
    make_full(c)
    until_full(c, kept)
    all_there(c, kept, "while the disk is full")
    check(ask(c.base + "/healthz")[0] == 200, "the collector lives")
    for _ in range(3):
        status, _, trace = export(c)
        check(status in (200, 503), f"export answered {status}")
        kept += [trace] if status == 200 else []
    make_room(c)

    def taken():
        status, _, trace = export(c)
        kept.extend([trace] if status == 200 else [])
        return status == 200

    wait_until("exports are taken again", taken)
    all_there(c, kept, "with room again")
    c.child.send_signal(signal.SIGKILL)
    c.child.may_end = True
    c.child.wait()
    c.start()
    all_there(c, kept, "after kill -9")
    stop(c.child)
    done = subprocess.run([program, "--check", "--data", DISK], capture_output=True, text=True, timeout=60,
                          check=False)
    check(done.returncode == 0 and "0 findings" in done.stdout, f"--check: {done.stdout} {done.stderr}")
    children.clear()
    return len(kept)


def bounded_files(program):
    """A write past the bound fails; the signal that would kill is ignored, as children inherit."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def make_full(c):
        bytes_now = max(os.path.getsize(os.path.join(DISK, f)) for f in os.listdir(DISK))
        resource.prlimit(c.child.pid, resource.RLIMIT_FSIZE, (bytes_now + 500_000, resource.RLIM_INFINITY))

    def make_room(c):
        resource.prlimit(c.child.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    return run(program, make_full, make_room)


def small_disk(program):
    ballast = os.path.join(DISK, "ballast")
    os.makedirs(DISK, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tulle", DISK], capture_output=True,
                          text=True, check=False)
    if done.returncode:
        print("disk full: no tmpfs may be mounted here, a small disk is left out:", done.stderr.strip())
        return
    with open(ballast, "wb") as f:
        f.write(bytes(43_000_000))
    try:
        kept = run(program, lambda c: None, lambda c: os.unlink(ballast))
        print(f"disk full: {kept} exports kept on a small disk")
    finally:
        subprocess.run(["umount", DISK], check=False)


def in_a_namespace():
    """This test again where mounting harms nobody; as it is, when there are no namespaces."""
    for how in (["unshare", "-m"], ["unshare", "-rm"]):
        if subprocess.run(how + ["true"], capture_output=True, check=False).returncode == 0:
            sys.stdout.flush()
            done = subprocess.run(how + [sys.executable] + sys.argv, env={**os.environ, MOUNTED: "1"}, check=False)
            sys.exit(done.returncode)


def main():
    program = sys.argv[1]
    if MOUNTED not in os.environ:
        kept = bounded_files(program)
        print(f"disk full: {kept} exports kept where files are bounded")
        in_a_namespace()
        print("disk full: no mount namespace may be made here, a small disk is left out")
        return
    small_disk(program)


if __name__ == "__main__":
    main()
