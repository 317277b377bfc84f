"""Health over time: a real receiver hears of a failing edge although it refuses the first request,
and a restart after kill -9 finds the same event again."""
import http.server
import json
import signal
import sys
import threading
import time

from support import (Collector, access_record, check, fail, free_ports, get_json, send_records, stop,
                     wait_until)

received, refused = [], []


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):  # noqa: N802
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not refused:
            refused.append(body)
            self.send_response(503)
        else:
            received.append((self.headers["Content-Type"], json.loads(body)))
            self.send_response(204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def edges_of(events):
    return [(e["id"], e["from"], e["to"], e["source"]["workload"], e["destination"]["workload"])
            for e in events if e["kind"] == "edge"]


def main(program):
    port, = free_ports(1)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    collector = Collector(program, "--webhook", f"http://127.0.0.1:{port}/hook",
                          "--latency-degraded", "4ms")
    url = collector.base + "/api/v1/health/events"

    # two minutes ago: failing, found again only after a restart
    past = time.time_ns() - 120_000_000_000
    check(send_records(collector, [access_record("web", "old", 503, at_ns=past)])[0] == 200, "send")
    now = time.time_ns() - 2_000_000_000
    records = [access_record("web", "shop", 200 if i else 500, at_ns=now) for i in range(20)]
    check(send_records(collector, records)[0] == 200, "send")

    def heard():
        return [e for _, body in received for e in body["events"] if e["kind"] == "edge"]

    wait_until("the webhook", lambda: heard(), seconds=60)
    event = heard()[0]
    check(edges_of([event])[0][1:] == (None, "degraded", "web-v1", "shop-v1"), f"event: {event}")
    check(event["requests"] == 20 and event["errors"] == 1, f"numbers: {event}")
    check(received[0][0] == "application/json" and received[0][1]["version"] == 1, "envelope")
    check(json.loads(refused[0])["events"] == received[0][1]["events"], "the same is sent again")

    listed = get_json(url + "?kind=edge&state=degraded")
    check(edges_of(listed["events"]) == edges_of([event]), f"listed: {listed}")
    one = get_json(url + f"?subject={event['subject']}&limit=1")
    check(one["total"] == 1 and one["events"][0]["id"] == event["id"], f"subject: {one}")

    stop(collector.child, signal.SIGKILL)
    collector.child.may_end = True
    collector.start()
    again = wait_until("the events of before",
                       lambda: [e for e in edges_of(get_json(url)["events"])
                                if e[4] in ("shop-v1", "old-v1")][1:] and get_json(url)["events"])
    ids = {e[0]: e[2] for e in edges_of(again)}
    check(ids.get(event["id"]) == "degraded", f"{event['id']} is not in {ids}")
    check("failing" in ids.values(), f"the failure of two minutes ago is not in {ids}")
    check(len({e["id"] for _, body in received for e in body["events"]}) ==
          sum(len(body["events"]) for _, body in received), "nothing was sent twice")
    if stop(collector.child) != 0:
        fail("the collector did not end cleanly")
    print("ok")


main(*sys.argv[1:])
