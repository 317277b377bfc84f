"""`tulle compare` against a real collector: a service that fails after a moment makes it end with
status 1, a comparison of what did not change with 0, and filters reach the collector."""
import json
import subprocess
import sys
import time

from support import Collector, access_record, check, fail, send_records, stop


def run(tulle, collector, *arguments):
    done = subprocess.run([tulle, *arguments, "--collector", collector.base], capture_output=True, text=True,
                          timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


def main(program, tulle):
    collector = Collector(program)
    now = time.time_ns() // 1_000_000_000
    moment = now - 60
    records = []
    for i in range(80):
        before, after = (moment - 30) * 10 ** 9, (moment + 30) * 10 ** 9
        records += [access_record("web", "shop", 200, at_ns=before), access_record("web", "pay", 200, at_ns=before),
                    access_record("web", "shop", 200 if i % 4 else 503, at_ns=after),
                    access_record("web", "pay", 200, at_ns=after)]
    records += [access_record("web", "fresh", 200, at_ns=after)]
    check(send_records(collector, records)[0] == 200, "records")

    arguments = ("compare", "--at", str(moment), "--window", "60s")
    status, out, err = run(tulle, collector, *arguments)
    check(status == 1 and "worse" in out.splitlines()[1], f"{status}\n{out}{err}")
    check("1 worse, 0 better, 1 same, 1 new, 0 gone" in out, out)
    status, out, err = run(tulle, collector, *arguments, "--json")
    answer = json.loads(out)
    worst = answer["edges"][0]
    check(status == 1 and worst["destination"]["service"] == "shop", out)
    check(worst["errors"]["test"] == "two-proportion z-test" and worst["errors"]["pAdjusted"] < 1e-3, out)
    check(worst["latency"]["verdict"] == "same" and worst["rate"]["ratio"] == 1, out)
    status, out, err = run(tulle, collector, "compare", "--at", str(moment - 600), "--window", "60s")
    check(status == 0 and out.startswith("VERDICT"), f"{status}\n{out}{err}")
    status, out, err = run(tulle, collector, "compare", "--service", "shop", "--base-version", "v1")
    check(status != 0 and "version" in err, f"{status}\n{out}{err}")

    status, out, err = run(tulle, collector, "edges", "--window", "5m", "--keep", "dest.name = pay and not dest.virtual")
    check(status == 0 and "pay" in out and "shop" not in out, f"{status}\n{out}{err}")
    status, out, err = run(tulle, collector, "graph", "--hide", "name =")
    check(status != 0 and "at byte 6" in err, f"{status}\n{out}{err}")
    if stop(collector.child) != 0:
        fail("the collector did not end cleanly")
    print("ok")


main(*sys.argv[1:])
