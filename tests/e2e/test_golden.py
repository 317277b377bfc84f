"""A store of every older schema is brought up to date and holds what it held: spans byte for byte,
edges at every width. A newer one is refused untouched.

    python3 test_golden.py build/bin/tulle-collector build/bin/tulle tests/golden
"""
import glob
import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys

from support import Collector, check, folder, get_json, stop
from test_files import hash_of

sys.path.insert(0, sys.argv[3])
import make  # noqa: E402

DATA = os.path.join(folder, "data")
DB = os.path.join(DATA, "tulle.db")
KEEP = ("--retention=0", "--edge-retention=0")


def run(*argv):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def lay_out(packed):
    shutil.rmtree(DATA, ignore_errors=True)
    os.mkdir(DATA)
    with gzip.open(packed) as f, open(DB, "wb") as to:
        to.write(f.read())


def tidy(x):
    """Without what says nothing: empty lists, empty text, zeros, as OTLP's defaults."""
    if isinstance(x, dict):
        kept = {k: tidy(v) for k, v in x.items()}
        is_value = any(k.endswith("Value") for k in kept)
        return kept if is_value else {k: v for k, v in kept.items() if v not in ({}, [], "", 0, "0")}
    return [tidy(v) for v in x] if isinstance(x, list) else x


def spans_of(request):
    """Span by id, with its resource and scope."""
    return {s["spanId"]: tidy([r.get("resource"), p.get("scope"), s])
            for r in request["resourceSpans"] for p in r["scopeSpans"] for s in p["spans"]}


def compare(c, tulle, told):
    for request in told["exports"]:
        want = spans_of(request)
        trace = next(iter(want.values()))[2]["traceId"]
        answer = get_json(f"{c.base}/api/v3/traces/{trace}?rawTraces=true")
        got = spans_of(answer["result"])
        check(got == want, f"trace {trace}:\n{json.dumps(got)}\n{json.dumps(want)}")
    check(make.rows(tulle, DB, make.BULK_SQL) == [told["bulk"]], "the spans of the segment")
    for width, want in told["edges"].items():
        got = make.rows(tulle, DB, make.EDGES_SQL % int(width))
        check(got == want, f"edges of {width} s:\n{got}\n{want}")


def version_of(db):
    with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as s:
        return s.execute("PRAGMA user_version").fetchone()[0]


def newest_of(program):
    """The schema that a fresh store gets."""
    shutil.rmtree(DATA, ignore_errors=True)
    c = Collector(program)
    c.child.may_end = True
    check(stop(c.child) == 0, "a fresh store")
    return version_of(DB)


def opens(program, tulle, packed, newest):
    with open(packed.replace(".db.gz", ".json"), encoding="utf-8") as f:
        told = json.load(f)
    lay_out(packed)
    version = version_of(DB)
    check(f"-v{version}." in packed, f"{packed} has schema {version}")
    before = hash_of(DB)
    if version < newest:
        status, said = run(tulle, "sql", DB, "SELECT 1 FROM spans")
        check(status == 1 and "older version: start a collector on it once" in said, f"read-only: {said}")
        check(hash_of(DB) == before, "a reader changed the old file")
    c = Collector(program, *KEEP)
    compare(c, tulle, told)
    c.child.may_end = True
    check(stop(c.child) == 0, "the collector ends")
    check(version_of(DB) == newest, f"{packed}: schema {version_of(DB)} after opening")
    status, said = run(program, "--check", "--store", "sqlite:" + DB)
    check(status == 0 and "0 findings" in said, f"{packed}: {said}")
    again = Collector(program, *KEEP)
    compare(again, tulle, told)
    again.child.may_end = True
    stop(again.child)


def newer_is_refused(program, tulle, packed, newest):
    lay_out(packed)
    s = sqlite3.connect(DB)
    s.execute("PRAGMA user_version = %d" % (newest + 1))
    s.close()
    before = hash_of(DB)
    for argv in ((program, "--data", DATA), (tulle, "sql", DB, "SELECT 1"),
                 (program, "--open", DB), (program, "--check", "--store", "sqlite:" + DB)):
        status, said = run(*argv)
        check(status == 1 and f"written by a newer version (schema {newest + 1}, known {newest})" in said,
              f"{argv}: {status} {said}")
    check(hash_of(DB) == before, "refusing changed the file")


def main():
    program, tulle, golden = sys.argv[1:4]
    files = sorted(glob.glob(os.path.join(golden, "store-v*.db.gz")))
    newest = newest_of(program)
    have = [int(f.split("-v")[-1].split(".")[0]) for f in files]
    check(have == list(range(1, newest + 1)),
          f"golden files of schema {have}, the newest is {newest}: see tests/golden/README.md")
    for packed in files:
        opens(program, tulle, packed, newest)
    newer_is_refused(program, tulle, files[-1], newest)
    print(f"golden: {len(files)} older stores open and are whole")


if __name__ == "__main__":
    main()
