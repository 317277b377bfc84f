"""mesh.py - what a whole mesh costs: the demo with fifty sidecars, a gateway and the collector, under load.

Memory is read at the end of the load: RSS counts a shared page in every process that has it, PSS shares
it out, so the sum of PSS is what the machine really lacks. CPU is user and system time over the measured
window. The applications of the demo and its users are told beside, they are not ours. In the end the
demo compares every edge with what its users counted: a mesh that tells lies costs nothing.
"""
import re
import statistics
import subprocess
import sys
import time

BUDGET_MIB = 600  # gateway, sidecars and collector together
NET = "127.1.202"
PORTS = {"http": 27690, "otlp": 27691}


def arguments(parser):
    parser.add_argument("--sidecars", type=int, default=50, help="mesh: pods with a sidecar")
    parser.add_argument("--mesh-rate", type=int, default=150, help="mesh: requests a second from outside")
    parser.add_argument("--mesh-for", type=int, default=40, help="mesh: seconds of load")


def memory_kib(pid):
    """(RSS, PSS)"""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        text = f.read()
    return tuple(int(re.search(rf"^{what}:\s+(\d+)", text, re.M)[1]) for what in ("Rss", "Pss"))


def kinds(bench, demo):
    """Processes of the demo by what they are."""
    found = {"collector": [], "gateway": [], "sidecars": [], "applications": []}
    for pid in bench.children_of(demo.pid):
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as f:
            argv = f.read().split("\0")
        program = argv[0].rsplit("/", 1)[-1]
        kind = {"tulle-collector": "collector", "demo-app": "applications"}.get(
            program, "gateway" if "--role=gateway" in argv else "sidecars")
        found[kind].append(pid)
    return found


def wait_for_line(demo, pattern, seconds):
    """The demo's own words; it ends the run when something fails."""
    deadline = time.monotonic() + seconds
    told = []
    for line in demo.stdout:
        told.append(line)
        if re.search(pattern, line):
            return line, told
        if time.monotonic() > deadline:
            break
    sys.exit("bench: the demo did not come so far:\n" + "".join(told[-20:]))


def calls_of(line):
    return int(re.search(r"(\d+) calls on", line)[1])


def measure(bench, demo):
    """Processes, CPU seconds of each kind, calls, seconds."""
    first, _ = wait_for_line(demo, r" calls on ", 90)
    found, began = kinds(bench, demo), time.monotonic()
    before = {kind: bench.cpu_s(pids) for kind, pids in found.items()}
    load = bench.cpu_s([demo.pid])
    return found, began, before, load, calls_of(first)


def bench_mesh(bench, programs, folder, report, args):
    argv = [f"{programs}/../demo/demo-mesh", f"--programs={programs}", f"--sidecars={args.sidecars}",
            f"--for={args.mesh_for}s", f"--rate={args.mesh_rate}", f"--pod-net={NET}", "--status-every=5s", "--only-mesh",
            f"--port={PORTS['http']}", f"--otlp-port={PORTS['otlp']}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={"TMPDIR": folder, "PATH": "/usr/bin:/bin"}) as demo:
        try:
            found, began, before, load, calls = measure(bench, demo)
            last = None
            for line in demo.stdout:  # until just before the load ends
                last = line if " calls on " in line else last
                if last and int(last.split()[0]) >= args.mesh_for - 6:
                    break
            seconds = time.monotonic() - began
            cpu = {kind: bench.cpu_s(pids) - before[kind] for kind, pids in found.items()}
            load = bench.cpu_s([demo.pid]) - load
            calls = calls_of(last) - calls
            memory = {kind: [memory_kib(pid) for pid in pids] for kind, pids in found.items()}
            rest = demo.stdout.read()
        except BaseException:
            demo.terminate()
            raise
    if demo.returncode != 0:
        sys.exit(f"bench: the demo's comparison failed:\n{rest[-3000:]}")
    tell(report, args, memory, cpu, load, calls, seconds)


def tell(report, args, memory, cpu, load, calls, seconds):
    print(f"{'a mesh under load':<34} {'n':>3} {'RSS MiB':>8} {'PSS MiB':>8} {'each RSS':>16} {'CPU cores':>10}")
    totals = {"rss_mib": 0.0, "pss_mib": 0.0, "cores": 0.0}
    values = {}
    for kind, rows in memory.items():
        rss, pss = (sum(row[i] for row in rows) / 1024 for i in (0, 1))
        each = sorted(row[0] / 1024 for row in rows)
        cores = cpu[kind] / seconds
        spread = f"{each[0]:.1f} {statistics.median(each):.1f} {each[-1]:.1f}"
        print(f"{kind:<34} {len(rows):>3} {rss:>8.1f} {pss:>8.1f} {spread:>16} {cores:>10.3f}")
        values[kind] = {"n": len(rows), "rss_mib": round(rss, 1), "pss_mib": round(pss, 1), "cores": round(cores, 3),
                        "each_rss_mib": [round(each[0], 2), round(statistics.median(each), 2), round(each[-1], 2)]}
        if kind != "applications":
            totals = {"rss_mib": totals["rss_mib"] + rss, "pss_mib": totals["pss_mib"] + pss,
                      "cores": totals["cores"] + cores}
    print(f"{'gateway, sidecars and collector':<34} {'':>3} {totals['rss_mib']:>8.1f} {totals['pss_mib']:>8.1f} "
          f"{'budget ' + str(BUDGET_MIB):>16} {totals['cores']:>10.3f}")
    print(f"{calls / seconds:.0f} calls a second between workloads (each through two proxies, or one), "
          f"{totals['cores'] / calls * seconds * 1e6:.0f} us of CPU a call; users and comparison {load / seconds:.3f} cores; "
          "every edge exact\n")
    report.add("mesh", sidecars=args.sidecars, seconds=round(seconds, 1), calls_s=round(calls / seconds, 1),
               budget_mib=BUDGET_MIB, **{k: round(v, 3) for k, v in totals.items()}, kinds=values)
