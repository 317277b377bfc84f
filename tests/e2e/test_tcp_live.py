"""A TCP connection is seen while it lives: bytes flow into Istio's metrics, which a real Prometheus scrapes, and into the
graph, each once, whatever happens to the collector in between; two sidecars with mutual TLS tell of one connection.
Usage: test_tcp_live.py TULLE_PROXY TULLE_COLLECTOR."""
import os
import signal
import socket
import sys
import threading
import time

import prometheus
import support
from gateway_support import APP, IN, PROM, Net, Proxy, make_ca, mesh_cert, run
from support import Collector, check, folder, get_json, wait_until

prometheus.or_skip()
PROXY, COLLECTOR = sys.argv[1], sys.argv[2]
net = Net("127.1.47")
DB, LISTEN = 3306, 3301
SOURCE, DESTINATION = ("source", "client", "db"), ("destination", "unknown", "db")  # calls come from loopback, whose address is no Pod's

OBJECTS = "".join(f"""apiVersion: v1
kind: Pod
metadata: {{ name: {name}-1, namespace: default, labels: {{ app: {name}, version: v1,
  security.istio.io/tlsMode: istio, service.istio.io/workload-name: {name} }} }}
spec: {{ serviceAccountName: {name} }}
status: {{ phase: Running, podIP: {net.net}.{i + 1} }}
---
""" for i, name in enumerate(("client", "db"))) + f"""apiVersion: v1
kind: Service
metadata: {{ name: db, namespace: default }}
spec: {{ selector: {{ app: db }}, ports: [{{ name: tcp-db, port: {DB}, targetPort: {IN} }}] }}
"""


def echo(s):
    while part := s.recv(65536):
        s.sendall(part + part)  # twice, so that no direction is taken for the other
    s.close()


def accept(listener):
    while True:
        threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()


ca = make_ca()
for service in ("client", "db"):
    mesh_cert(ca, f"{folder}/certs/{service}", service)
collector = Collector(COLLECTOR)


def sidecar(name, *more):
    return Proxy(PROXY, net, name, [OBJECTS], role="sidecar", labels=f"app={name},version=v1", options=(
        f"--certs={folder}/certs/{name}", f"--service-account={name}", f"--collector={collector.otlp}",
        "--tcp-report-interval=1s", *more))


client, db = sidecar("client", f"--tcp-listen={LISTEN}=db:{DB}"), sidecar("db")  # in the order of their addresses
threading.Thread(target=accept, args=(socket.create_server((db.ip, APP)),), daemon=True).start()
prom = prometheus.Prometheus(None, targets=[f"{p.ip}:{PROM}" for p in (client, db)], scraped="/stats/prometheus")
said = {"received": 0, "sent": 0, "opened": 0, "closed": 0}


def connect():
    s = socket.create_connection((client.ip, LISTEN), 30)
    s.settimeout(30)
    said["opened"] += 1
    return s


def say(s, n):
    s.sendall(b"x" * n)
    left = 2 * n
    while left:
        part = s.recv(min(left, 65536))
        check(part, "the connection lives")
        left -= len(part)
    said["received"] += n
    said["sent"] += 2 * n


def end(s):
    s.close()
    said["closed"] += 1


def scraped_as_said():
    names = {"received": "received_bytes", "sent": "sent_bytes", "opened": "connections_opened",
             "closed": "connections_closed"}
    told = {k: prom.by(f"sum by (reporter, source_workload, destination_workload) (istio_tcp_{name}_total)",
                       "reporter", "source_workload", "destination_workload") for k, name in names.items()}
    return all(told[k] == {SOURCE: said[k], DESTINATION: said[k]} for k in names)


def edge():
    query = f"from={time.time_ns() - 600 * 10**9}&to={time.time_ns() + 10**9}"
    edges = [e for e in get_json(f"{collector.base}/api/v1/graph?{query}")["edges"]
             if e["source"]["workload"] == "client"]
    check(len(edges) <= 1, f"one edge: {edges}")
    return edges[0] if edges else {}


def drawn_as_said():
    e = edge()
    return e and (e["bytesReceived"], e["bytesSent"], e["requests"]) == (said["received"], said["sent"],
                                                                         said["opened"])


def wait_for_both(when):
    wait_until(f"{said} scraped {when}", scraped_as_said, 60)
    wait_until(f"{said} on the graph {when}", drawn_as_said, 60)


long = connect()


def test_an_open_connection_is_counted():
    wait_until("the metrics to know it before a byte has moved", scraped_as_said, 60)
    check(not edge(), "a record costs something: none for an idle connection")
    say(long, 1000)
    wait_for_both("after the first interval")
    e = edge()
    check(e["protocol"] == "tcp" and e["tls"]["state"] == "mutual" and e["errors"] == 0, e)


def test_bytes_flow_while_it_is_open():
    for n in (10, 70000, 3):
        say(long, n)
        time.sleep(1.2)  # into different parts
    wait_for_both("later")
    check(edge()["openReports"] >= 2, edge())
    check(edge()["tls"]["state"] == "mutual", edge()["tls"])


def test_short_connections_beside_it():
    for n in (5, 6):
        s = connect()
        say(s, n)
        end(s)
    wait_for_both("with short ones")


def test_the_collector_is_killed_in_between():
    say(long, 500)
    wait_until("the bytes before", drawn_as_said, 60)
    collector.child.may_end = True
    os.kill(collector.child.pid, signal.SIGKILL)
    collector.child.wait()
    say(long, 400)
    time.sleep(2.5)  # a part and its first attempts find nobody
    collector.start()
    say(long, 30)
    wait_for_both("after kill -9")


def test_the_end():
    end(long)
    wait_for_both("at the end")
    line = client.access(bytes_received=71943)
    check(line["bytes_sent"] == 2 * line["bytes_received"], line)

    def told(reporter):
        query = f"from={time.time_ns() - 600 * 10**9}&to={time.time_ns()}"
        return [c for c in get_json(f"{collector.base}/api/v1/calls?{query}")["calls"] if c["reporter"] == reporter]
    wait_until("the record of its end", lambda: [c for c in told("source") if c["part"] == "end"])
    wait_until("the callee's records of wholes", lambda: sorted(
        (c["part"], c["bytesReceived"]) for c in told("destination")) == [("whole", n) for n in (5, 6, 71943)])
    parts = [c["part"] for c in told("source")]
    check(parts.count("begin") == 1 and parts.count("end") == 1 and parts.count("whole") == 2, parts)
    wait_for_both("after the last record")
    check(edge()["errors"] == 0, edge())


run(globals(), sys.argv[3:])
