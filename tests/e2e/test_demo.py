"""test_demo.py DEMO_MESH PROGRAMS NET [OPTIONS] - the demo for some seconds: every edge is exact.

demo-mesh itself compares the load generator's count with the API and /metrics and says with its
status whether they agree. Here it gets free ports, and afterwards nothing may be left of it.
"""
import glob
import os
import subprocess
import sys

import support


def processes_with(variable):
    """Command lines of processes that were given this in their environment: descendants of this test's demo, not of
    another that runs beside it."""
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as f:
                if variable.encode() not in f.read().split(b"\0"):
                    continue
            with open(os.path.join(os.path.dirname(path), "cmdline"), "rb") as f:
                yield f.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            pass  # it ended meanwhile, or is another user's


def main():
    demo, programs, net, *options = sys.argv[1:]
    port, otlp_port = support.free_ports(2)
    env = dict(os.environ, TMPDIR=support.folder)
    done = subprocess.run(
        [demo, "--programs", programs, "--pod-net", net, "--port", str(port), "--otlp-port",
         str(otlp_port), *options], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False)
    print(done.stdout)
    support.check(done.returncode == 0, f"status {done.returncode}")
    support.check("did not end cleanly" not in done.stdout, "a program had to be killed")
    left = glob.glob(os.path.join(support.folder, "tulle-demo-*"))
    support.check(not left, f"left behind: {left}")
    left = list(processes_with(f"TMPDIR={support.folder}"))
    support.check(not left, f"processes are left: {left}")


main()
