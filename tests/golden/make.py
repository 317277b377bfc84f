"""Makes a golden file with a collector of the schema it is to show: spans of every type of value, a
sealed segment, a journal behind it, edges. See README.md.

    python3 make.py build/bin/tulle-collector build/bin/tulle v3 --retention=0 --edge-retention=0

The collector may be an old one; tulle is the newest, it only says what the edges are.
"""
import datetime
import gzip
import http.server
import json
import os
import sqlite3
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import otlp  # noqa: E402
from support import Collector, access_record, check, folder, send_records, stop, wait_until  # noqa: E402
from support import http as ask  # noqa: E402

BASE_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
BULK = 16_800  # more than one segment's worth
BYTES_MAX = 100_000
EDGES_SQL = ("SELECT start_ns, source_workload, source_service, destination_workload, destination_service,"
             " asked_for, protocol, requests, errors, round(p95_ms, 3) AS p95_ms, mean_ms, tls, evidence,"
             " codes, flags FROM edges WHERE evidence = 'source' AND width_s = %d ORDER BY 1, 2, 4")
BULK_SQL = ("SELECT count(*) AS n, count(DISTINCT trace_id) AS traces, sum(start_ns - %d) AS starts,"
            " sum(duration_ns) AS durations, sum(attr(attributes, 'n')) AS numbers, min(span_id) AS first,"
            " max(span_id) AS last FROM spans WHERE service = 'bulk'" % BASE_NS)
JSON = {"Content-Type": "application/json"}


def detailed(n):
    """One export: spans that say everything, in a trace of its own and with a resource of its own."""
    trace = f"{n + 1:030x}aa"
    values = {"text": "caf\u00e9 \u20ac \U0001f600", "empty": "", "yes": True, "no": False, "int": -n, "big": 2**63 - 1,
              "real": n / 8, "bytes": bytes(range(n)), "list": ["a", 1, True, 2.5, ["deep"]],
              "map": {"k": {"l": [1, {"m": None}]}}, "nothing": None, "http.response.status_code": 200 + n}
    first = {"trace_id": trace, "span_id": f"{n + 1:014x}01", "name": f"GET /item/{n}", "kind": 1,
             "start": BASE_NS + n * 10**9, "end": BASE_NS + n * 10**9 + 5 * 10**6, "attrs": values,
             "trace_state": "congo=t61", "flags": 257, "status": {"code": n % 3, "message": "why" if n % 3 == 2 else ""},
             "events": [{"time": BASE_NS + n * 10**9 + 7, "name": "exception", "attrs": {"exception.type": "E", "n": n}}],
             "links": [{"trace_id": "ab" * 16, "span_id": "cd" * 8, "attrs": {"why": "batch"}}]}
    second = {"trace_id": trace, "span_id": f"{n + 1:014x}02", "parent_id": first["span_id"], "name": "", "kind": 1,
              "start": BASE_NS + n * 10**9 + 1, "end": BASE_NS + n * 10**9, "attrs": {}}
    resource = {"service.name": f"shop-{n % 4}", "k8s.namespace.name": "default", "replicas": 3, "zone": ["a", "b"]}
    return json.loads(otlp.traces_json([first, second], resource, scope=f"lib-{n % 3}"))


def send(c, request):
    status, body = ask(f"{c.otlp}/v1/traces", json.dumps(request).encode(), JSON)
    check(status == 200, f"export answered {status} {body!r}")


def send_bulk(c):
    for at in range(0, BULK, 400):
        spans = [{"trace_id": f"{at:030x}bb", "span_id": f"{i + 1:016x}", "name": "bulk", "kind": 1,
                  "start": BASE_NS + i * 1000, "end": BASE_NS + i * 1000 + i % 7, "attrs": {"n": i % 10}}
                 for i in range(at, at + 400)]
        send(c, json.loads(otlp.traces_json(spans, {"service.name": "bulk"})))


# --- what format 6 adds; tests/contract/test_golden_store.c knows these numbers ---

CARTS, CONNECTIONS = 300, 4  # a round
ISTIO = "".join(f"""istio_requests_total{{reporter="source",source_workload="page-v1",source_workload_namespace="default",\
source_canonical_service="page",source_canonical_revision="v1",destination_workload="reviews-v1",destination_workload_namespace="default",\
destination_canonical_service="reviews",destination_canonical_revision="v1",destination_service="reviews.default.svc.cluster.local",\
destination_principal="spiffe://td/ns/default/sa/reviews",request_protocol="http",response_code="{code}",response_flags="{flags}"}} %(n{code})d
""" for code, flags in (("200", "-"), ("503", "UC")))


class Shown(http.server.ThreadingHTTPServer):
    """A metrics endpoint that shows `text`."""
    daemon_threads = True

    def __init__(self, text):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(self.server.text.encode())
        super().__init__(("127.0.0.1", 0), Handler)
        self.text = text
        threading.Thread(target=self.serve_forever, daemon=True).start()


def connection(n):
    """A TCP connection in three parts; the end says the bytes of the whole."""
    at_ns = BASE_NS + n * 7 * 10**9
    fields = {"request_protocol": "tcp"}
    part = {"eventName": "tulle.access.part"}
    return [
        {**access_record("ledger", "db", 0, at_ns=at_ns, **fields, connection_part="begin", bytes_received=10, bytes_sent=20), **part},
        {**access_record("ledger", "db", 0, at_ns=at_ns + 10**9, **fields, connection_part="bytes", bytes_received=5,
                         bytes_sent=6), **part},
        access_record("ledger", "db", 0, at_ns=at_ns, **fields, connection_part="end", duration_ns=2 * 10**9, bytes_received=18,
                      bytes_sent=28, bytes_received_before=15, bytes_sent_before=26)]


def inbound(n, sni, **labels):
    """A line of the called side's Envoy log."""
    at = datetime.datetime.fromtimestamp(BASE_NS // 10**9 + n, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    line = (f'[{at}] "GET /reviews/{n} HTTP/1.1" 200 - via_upstream - "-" 10 20 5 4 "-" "curl/8.5" "id-{n}" "reviews:9080" '
            f'"127.0.0.1:9080" inbound|9080|| - 10.44.1.27:9080 10.44.1.23:37652 {sni} default')
    return {"timeUnixNano": str(BASE_NS + n * 10**9), "body": {"stringValue": line}, "attributes": otlp.json_attributes(labels)}


def send_logs(c, resource, records):
    body = {"resourceLogs": [{"resource": {"attributes": otlp.json_attributes(resource)}, "scopeLogs": [{"logRecords": records}]}]}
    status, answer = ask(f"{c.otlp}/v1/logs", json.dumps(body).encode(), JSON)
    check(status == 200 and b"rejected" not in answer, f"{status} {answer!r}")


def send_newer(c, turn):
    """Names that differ in numbers; records that know their TLS state in each way; connections in parts."""
    spans = [{"trace_id": f"{turn * CARTS + i:030x}cc", "span_id": f"{i + 1:016x}", "name": f"GET /cart/{1000 + i}/item/{i % 7}",
              "kind": 2, "start": BASE_NS + i * 10**6, "end": BASE_NS + i * 10**6 + 1000 * (i + 1),
              "attrs": {"url.path": f"/cart/{1000 + i}/item/{i % 7}"}} for i in range(CARTS)]
    send(c, json.loads(otlp.traces_json(spans, {"service.name": "carts"})))
    check(send_records(c, [r for n in range(CONNECTIONS) for r in connection(n)])[0] == 200, "connections")
    node = {"node_name": "sidecar~10.44.1.27~reviews-v1-abc-xyz.shop~shop.svc.cluster.local", "cluster_name": "reviews.shop"}
    send_logs(c, node, [inbound(n, "outbound_.9080_.v1_.reviews.shop.svc.cluster.local") for n in range(3)] +
              [inbound(n, "-") for n in range(3, 5)] +
              [inbound(5, "-", downstream_peer_uri_san="spiffe://td/ns/shop/sa/web", downstream_tls_version="TLSv1.3")])


def scraped(c):
    edges = json.loads(ask(f"{c.base}/api/v1/edges?window=10m")[1])["edges"]
    return sum(e["requests"] for e in edges if e["evidence"] == "scrape")


def rows(tulle, store, sql):
    out = subprocess.run([tulle, "sql", "--format=json", store, sql], capture_output=True, text=True,
                         timeout=60, check=False)
    check(out.returncode == 0, out.stderr)
    return json.loads(out.stdout)


def number(db, sql):
    with sqlite3.connect(f"file:{db}?mode=ro", uri=True) as c:
        return c.execute(sql).fetchone()[0]


def fill(c, db, shown):
    exports = [detailed(n) for n in range(12)]
    for e in exports[:6]:
        send(c, e)
    if shown:
        send_newer(c, 0)
    send_bulk(c)
    records = [access_record("web", "cart", 503 if n % 5 == 0 else 200, tls="plaintext" if n % 7 == 0 else "mutual",
                             at_ns=BASE_NS + n * 3 * 10**9, duration_ns=10**6 * (n + 1),
                             response_flags="UF" if n % 5 == 0 else "") for n in range(50)]
    check(send_records(c, records)[0] == 200, "records")
    if number(db, "PRAGMA user_version") >= 2:
        wait_until("a segment", lambda: number(db, "SELECT count(*) FROM segment"))
    for e in exports[6:]:
        send(c, e)
    if shown:
        send_newer(c, 1)
        shown.text = ISTIO % {"n200": 107, "n503": 12}
        wait_until("the scraped edge", lambda: scraped(c) == 9)
    wait_until("everything is folded", lambda: number(
        db, "SELECT (SELECT seq FROM progress) >= (SELECT max(seq) FROM journal)"))
    return exports, len(records)


def keep(db, kept):
    """In one file, without what was freed; SQLite's pages are large, so it is kept compressed."""
    s = sqlite3.connect(db)
    s.execute("VACUUM")
    s.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    s.close()
    with open(db, "rb") as f, open(kept, "wb") as to:
        to.write(gzip.compress(f.read(), 9, mtime=0))
    check(os.path.getsize(kept) <= BYTES_MAX, f"{os.path.getsize(kept)} bytes, more than {BYTES_MAX}")


def main():
    collector, tulle, name = sys.argv[1:4]
    kept = os.path.join(os.path.dirname(os.path.abspath(__file__)), f"store-{name}.db.gz")
    db = os.path.join(folder, "data", "tulle.db")
    shown = Shown(ISTIO % {"n200": 100, "n503": 10}) if int(name[1:]) >= 6 else None
    looks = [f"--scrape=http://127.0.0.1:{shown.server_address[1]}/metrics", "--scrape-interval=1s"] if shown else []
    c = Collector(collector, *sys.argv[4:], *looks)
    if shown:
        wait_until("a first look", lambda: b'scrapes_total{outcome="done"} 0' not in ask(c.base + "/metrics")[1])
    exports, records = fill(c, db, shown)
    c.child.may_end = True
    check(stop(c.child) == 0, "the collector ends")
    keep(db, kept)
    # What the edges are is said by today's programs, on a copy brought up to date.
    c.program, c.options = os.path.join(os.path.dirname(tulle), "tulle-collector"), ("--retention=0", "--edge-retention=0")
    c.start()
    told = {"exports": exports, "bulk": rows(tulle, db, BULK_SQL)[0],
            "edges": {str(w): rows(tulle, db, EDGES_SQL % w) for w in (10, 60, 3600)}}
    requests = sum(e["requests"] for e in told["edges"]["10"] if e["protocol"] == "http")
    check(requests == records, f"{requests} requests are in edges, {records} were told")
    check(told["bulk"]["n"] == BULK, f"bulk: {told['bulk']}")
    with open(kept.replace(".db.gz", ".json"), "w", encoding="utf-8") as f:
        json.dump(told, f, ensure_ascii=False)
        f.write("\n")
    print(f"{kept}: {os.path.getsize(kept)} bytes")


if __name__ == "__main__":
    main()
