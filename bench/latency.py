"""latency.py - what a proxy adds to the time of a request, at steady rates, in turn with nginx and HAProxy.

At saturation the median time is connections divided by throughput (Little's law): it tells how fast everything
on the machine is together, load, backend and collector too. What a caller feels is told by the time at a rate that
leaves room. bench-steady sends requests at their time whether those before are answered or not; added
is the median through the proxy less the median straight to the backend in the same round, and the 99th
percentile less that median.

The proxies share one core, load and backend another, because the kernel places processes that talk to each
other together in one round and apart in the next, which is worth more than what proxies differ by. The collector
has a third core; if there is none it is beside load and backend, so what it takes is counted against us.
"""
import contextlib
import json
import os
import statistics
import subprocess

RATES = (1000, 5000)
ROUNDS, SECONDS, WARM_S = 5, 0.7, 0.2


@contextlib.contextmanager
def on_cores(proxies, backend, collector):
    """Keeps them on their cores, and what is started meanwhile (the load) beside the backend."""
    cores = sorted(os.sched_getaffinity(0))
    places = [*((pid, cores[0]) for pid in proxies), (backend, cores[1 % len(cores)]), (collector, cores[min(2, len(cores) - 1)])]
    try:
        for pid, core in places:
            place(pid, {core})
        os.sched_setaffinity(0, {cores[1 % len(cores)]})
        yield
    finally:
        os.sched_setaffinity(0, cores)
        for pid, _ in places:
            place(pid, cores)


def place(pid, cores):
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(ProcessLookupError):  # a thread may end meanwhile
            os.sched_setaffinity(int(thread), cores)


def steady(build, address, host, rate, seconds=SECONDS):
    out = subprocess.run(
        [f"{build}/bench/bench-steady", f"--to={address}", f"--host={host}", f"--rate={rate}",
         f"--time={round(seconds * 1000)}ms", f"--warm-up={round(WARM_S * 1000)}ms"],
        capture_output=True, text=True, check=False)
    if out.returncode:
        raise SystemExit(f"bench: {address}: {out.stderr}")
    return json.loads(out.stdout)


def one_rate(bench, build, backend, targets, rate, rounds):
    """Of each target what it added, round by round, and the CPU of a request; and straight to the backend."""
    straight, rows = [], {name: {"p50": [], "p99": [], "cpu": 0} for name, *_ in targets}
    for _ in range(rounds):
        direct = steady(build, backend, "backend", rate)
        straight.append(direct)
        for name, address, host, pids in targets:
            before = bench.cpu_s(pids)
            took = steady(build, address, host, rate)
            row = rows[name]
            row["cpu"] += (bench.cpu_s(pids) - before) / (rate * (SECONDS + WARM_S)) / rounds * 1e6
            for q in ("p50", "p99"):
                row[q].append(took[f"{q}_us"] - direct["p50_us"])
    return straight, rows


def print_rate(title, rate, straight, rows, report):
    p50, p99 = (statistics.median(r[q] for r in straight) for q in ("p50_us", "p99_us"))
    print(f"{title + ', ' + format(rate, ',') + '/s':<40} {'added p50':>10} {'lowest':>7} {'highest':>8} {'p99':>7}"
          f" {'us CPU/req':>10} {'to nginx':>9}")
    print(f"{'(straight to the backend, in all)':<40} {p50:>10.0f} {'':>7} {'':>8} {p99:>7.0f}")
    lowest, highest = (f(r["p50_us"] for r in straight) for f in (min, max))
    if highest > 2 * lowest:
        print(f"bench: warning: the machine is busy: straight to the backend took {lowest:.0f} to {highest:.0f} us")
    nginx = statistics.median(next(row["p50"] for name, row in rows.items() if name.startswith("nginx")))
    for name, row in rows.items():
        added, late = statistics.median(row["p50"]), statistics.median(row["p99"])
        ratio = added / nginx if nginx > 0 else float("nan")
        print(f"{name:<40} {added:>10.0f} {min(row['p50']):>7.0f} {max(row['p50']):>8.0f} {late:>7.0f}"
              f" {row['cpu']:>10.1f} {ratio:>9.2f}")
        report.add("proxy", what="latency", hops=title, program=name, requests_per_s=rate,
                   straight_p50_us=round(p50, 1), added_p50_us=[round(v, 1) for v in row["p50"]],
                   median_added_p50_us=round(added, 1), median_added_p99_us=round(late, 1),
                   us_cpu=round(row["cpu"], 1), added_to_nginx=round(ratio, 3))
    print()


def in_turn(bench, build, backend, title, targets, report, runs):
    for rate in RATES:
        straight, rows = one_rate(bench, build, backend, targets, rate, max(runs, ROUNDS))
        print_rate(title, rate, straight, rows, report)
