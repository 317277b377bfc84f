"""`tulle sql` beside a running collector and on a copy: what it says is what the API says, in every
format, and it changes nothing.

    python3 test_sql.py build/bin/tulle-collector build/bin/tulle
"""
import csv
import io
import json
import os
import subprocess
import sys

import otlp
from support import Collector, access_record, check, folder, get_json, send_records, wait_until
from support import http as ask
from test_files import hash_of
from test_ingest import JSON, a_span, span_id, trace_id

TRACES = 30


def run(*argv, text=None):
    done = subprocess.run([str(a) for a in argv], input=text, capture_output=True, text=True,
                          timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def send(c):
    traces = [trace_id() for _ in range(TRACES)]
    for n, trace in enumerate(traces):
        root = span_id()
        spans = [a_span(trace, span_id=root, name="GET /cart", kind=2, attrs={"n": n, "ratio": 0.5}),
                 a_span(trace, parent_id=root, name="query", kind=3, status={"code": 2},
                        attrs={"db.system": "post\ngres"})]
        status, body = ask(f"{c.otlp}/v1/traces", otlp.traces_json(spans), JSON)
        check(status == 200, f"export answered {status} {body!r}")
    status, _ = send_records(c, [access_record("web", "cart", 200 if n % 3 else 503)
                                 for n in range(30)])
    check(status == 200, f"records answered {status}")
    return traces


def same_as_the_api(c, rows, traces):
    """rows(sql) gives a list of dicts."""
    check(rows("SELECT count(*) AS n FROM spans")[0]["n"] == 2 * TRACES, "number of spans")
    check(rows("SELECT count(*) AS n FROM traces WHERE spans = 2 AND errors = 1")[0]["n"] == TRACES,
          "number of traces")
    for trace in traces[:5]:
        said = get_json(f"{c.base}/api/v1/traces/{trace}")["spans"]
        mine = rows("SELECT * FROM spans WHERE trace_id = '%s' ORDER BY start_ns, span_id" % trace)
        check([(s["spanId"], s["name"], s["startNs"], s["kind"], s["status"]) for s in said] ==
              [(s["span_id"], s["name"], str(s["start_ns"]), s["kind"], s["status"]) for s in mine],
              f"trace {trace}: {said} {mine}")
    found = rows("SELECT attr(attributes, 'n') AS n FROM spans WHERE attr(attributes, 'db.system') IS NULL"
                 " AND start > datetime('now', '-1 hour') ORDER BY 1")
    check([r["n"] for r in found] == list(range(TRACES)), f"attributes: {found}")


def edges(c, rows):
    sql = ("SELECT source_service, destination_service, sum(requests) AS requests,"
           " sum(errors) AS errors FROM edges WHERE evidence = 'source' GROUP BY 1, 2")
    want = [{"source_service": "web", "destination_service": "cart", "requests": 30, "errors": 10}]
    wait_until("the edge is in the file", lambda: rows(sql) == want)
    wide = rows(sql.replace("WHERE", "WHERE width_s = 3600 AND"))
    check(wide == want, f"by the hour: {wide}")


def refusals(tulle, store, before):
    for sql in ("DELETE FROM spans", "CREATE TABLE x(y)", "ATTACH '/tmp/x.db' AS x",
                "PRAGMA journal_mode = DELETE", "VACUUM", "BEGIN", "INSERT INTO spans(name) VALUES(1)"):
        status, out, said = run(tulle, "sql", store, sql)
        check(status == 1 and not out and ("read-only" in said or "may not be modified" in said),
              f"{sql}: {status} {out} {said}")
    status, _, said = run(tulle, "sql", store, "SELECT count(*)\nFROM spans\nWHERE servce = 1")
    check(status == 1 and said.endswith("no such column: servce\n  WHERE servce = 1\n        ^\n"),
          f"bad SQL: {status} {said!r}")
    status, _, said = run(tulle, "sql", os.path.join(folder, "none.db"), "SELECT 1")
    check(status == 1 and "none.db" in said, f"no such file: {status} {said}")
    foreign = os.path.join(folder, "foreign.db")
    with open(foreign, "w", encoding="utf-8") as f:
        f.write("not a database " * 100)
    status, _, said = run(tulle, "sql", foreign, "SELECT 1")
    check(status == 1 and "not a" in said, f"a foreign file: {status} {said}")
    check(hash_of(store) == before, "reading changed the copy")


def formats(tulle, store):
    sql = "SELECT name, attr(attributes, 'db.system') AS db, NULL AS absent, 7 AS n FROM spans" \
          " WHERE kind = 'client'"
    status, out, said = run(tulle, "sql", store, sql)
    rows = list(csv.DictReader(io.StringIO(out)))
    check(status == 0 and len(rows) == TRACES and
          rows[0] == {"name": "query", "db": "post\ngres", "absent": "", "n": "7"}, f"csv: {rows} {said}")
    status, out, _ = run(tulle, "sql", "--format=tsv", "--limit=1", store, text=sql)
    check(out == "name\tdb\tabsent\tn\nquery\tpost\\ngres\t\t7\n", f"tsv from stdin: {out!r}")
    status, out, _ = run(tulle, "sql", "--format=table", "--limit=1", "--store=sqlite:" + store, sql)
    check(out == "name   db         absent  n\nquery  post?gres          7\n", f"table: {out!r}")
    question = os.path.join(folder, "question.sql")
    with open(question, "w", encoding="utf-8") as f:
        f.write("-- two questions\nSELECT 1 AS a; SELECT service FROM services;\n")
    status, out, _ = run(tulle, "sql", "--format=json", "--file", question, store)
    check(out == '[{"a":1}]\n[{"service":"shop"}]\n', f"json: {out!r}")
    status, out, _ = run(tulle, "sql", "--schema")
    check(status == 0 and out.count("CREATE TABLE") == 4, f"schema: {out}")
    status, _, said = run(tulle, "sql", "--file", question, store, "SELECT 1")
    check(status == 2 and "twice" in said, f"SQL twice: {status} {said}")


def main():
    program, tulle = sys.argv[1:3]
    c = Collector(program)
    traces = send(c)
    data = os.path.join(folder, "data")
    copy = os.path.join(folder, "copy.db")

    def rows_of(*where):
        def rows(sql):
            status, out, said = run(tulle, "sql", "--format=json", *where, sql)
            check(status == 0 and not said, f"{sql}: {status} {said}")
            return json.loads(out)
        return rows

    same_as_the_api(c, rows_of("--data", data), traces)
    edges(c, rows_of("--data", data))
    status, _, said = run(tulle, "snapshot", "--data", data, copy)
    check(status == 0, f"snapshot: {said}")
    before = hash_of(copy)
    same_as_the_api(c, rows_of(copy), traces)
    edges(c, rows_of(copy))
    refusals(tulle, copy, before)
    formats(tulle, copy)
    print("sql: all said and done")


if __name__ == "__main__":
    main()
