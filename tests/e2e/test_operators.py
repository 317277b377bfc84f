"""What operators look at: access-log formats, the pages of the admin port, reasons of the proxy's own answers.
Usage: test_operators.py TULLE_PROXY"""
import http.client
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import urllib.parse

from gateway_support import ADMIN, IN, OUT, READY, Net, Proxy, make_ca, make_spiffe
from support import check, folder, wait_until

PROXY = sys.argv[1]
net = Net("127.1.39")
APP = net.service("app", 9080)


def sidecar(name, *options):
    return Proxy(PROXY, net, name, [APP], role="sidecar", labels="app=x", options=options).wait(OUT)


def lines(g, count):
    def read():
        with open(f"{folder}/{g.name}.access", encoding="utf-8") as f:
            text = f.read()
        return text.splitlines() if text.count("\n") >= count else None
    return wait_until(f"{count} lines of {g.name}", read)


def test_text():
    """Istio's default text, by the pattern that people's log pipelines have for it."""
    g = sidecar("text", "--access-log-format=text")
    status, _, _ = g.ask("app:9080", "/x?y=1", port=OUT, X_Request_Id="one", User_Agent="me \"two\"")
    check(status == 200, status)
    status, _, _ = g.ask("nobody", "/", port=OUT, X_Request_Id="two")
    check(status == 404, status)
    first, second = lines(g, 2)
    m = re.fullmatch(
        r'\[(?P<at>[-\dT:.]+Z)\] "GET /x\?y=1 HTTP/1\.1" 200 - via_upstream - "-" 0 (?P<sent>\d+) (?P<ms>\d+) \d+ "-" '
        r'"me "two"" "one" "app:9080" "127\.1\.39\.1:\d+" outbound\|9080\|\|app\.default\.svc\.cluster\.local '
        r'127\.[.\d]+:\d+ 127\.1\.39\.\d+:\d+ 127\.[.\d]+:\d+ - default', first)
    check(m and int(m["sent"]) > 0, first)
    check(re.search(r'" 404 NR route_not_found - "-" 0 \d+ \d+ - "-" "-" "two" "nobody" "-" - - ', second), second)
    g.stop()


def test_custom():
    g = sidecar("custom", "--access-log-format=%REQ(:METHOD)% %REQ(X-KIND?USER-AGENT):4% %RESPONSE_CODE% %TULLE_REASON%",
                "--access-log-from=400")
    g.ask("app:9080", "/", port=OUT)
    g.ask("app:9080", "/status/418", port=OUT, X_Kind="teapots")
    g.ask("nobody", "/", port=OUT, User_Agent="m")
    check(lines(g, 2) == ["GET teap 418 -", "GET m 404 no route for host 'nobody'"], lines(g, 2))
    g.stop()


def test_refused():
    for text, why in (("%FOO%", "at byte 1: 'FOO': no operator that is known here"),
                      ("a %REQ(", "the closing % is missing"), ("jsonl", "expected json, text")):
        r = subprocess.run([PROXY, f"--access-log-format={text}", "--listen=127.1.39.99"], capture_output=True,
                           text=True, timeout=20, check=False)
        check(r.returncode == 2 and why in r.stderr, r)


def admin(g, path, verb="GET", port=ADMIN, **parameters):
    c = http.client.HTTPConnection(g.ip, port, timeout=30)
    query = "?" + urllib.parse.urlencode(parameters, doseq=True) if parameters else ""
    c.request(verb, path + query)
    r = c.getresponse()
    body = r.read().decode()
    c.close()
    return r.status, body


POLICY = """apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: only-get, namespace: default }
spec: { rules: [{ from: [{ source: { namespaces: [default] } }], to: [{ operation: { methods: [GET] } }] }] }
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: default }
spec: { mtls: { mode: STRICT } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: app, namespace: default }
spec: { hosts: [app], http: [{ match: [{ uri: { prefix: /slow } }], timeout: 7s, route: [{ destination: { host: app } }] },
  { route: [{ destination: { host: app } }] }] }
"""


def test_pages():
    """Every page that / lists answers, and with the method it says."""
    ca = make_ca()
    certs = make_spiffe(ca, f"{folder}/of-pages", "x")
    g = Proxy(PROXY, net, "pages", [APP, POLICY], role="sidecar", labels="app=x",
              options=(f"--certs={certs}",)).wait(OUT)
    status, listed = admin(g, "/")
    check(status == 200 and "/config_dump" in listed, listed)
    for line in listed.splitlines():
        path, about = line.split(maxsplit=1)
        if path == "/quitquitquit":
            continue
        wants_post = about.startswith("POST")
        parameters = {"url": "http://app:9080/"} if path == "/explain" else {}
        check(admin(g, path, "POST" if wants_post else "GET", **parameters)[0] == 200, line)
        check(admin(g, path, "GET" if wants_post else "POST", **parameters)[0] == 405, line)
    check(admin(g, "/nothing")[0] == 404, "404")
    dump = json.loads(admin(g, "/config_dump")[1])
    host = next(h for h in dump["virtual_hosts"] if h["host"] == "app.default.svc.cluster.local")
    check([r["route"] for r in host["rules"]] == ["app.http[0]", "app.http[1]"], host)
    check(host["rules"][0]["timeout"] == "7s" and host["rules"][0]["written_in"]["kind"] == "VirtualService", host)
    check(dump["mutual_tls"]["mode"] == "STRICT" and dump["mutual_tls"]["decided_by"]["name"] == "default", dump)
    rule = dump["authorization"][0]["rules"][0]
    check(rule["from"] == ["namespace is default"] and rule["to"] == ["method is GET"], rule)
    with open(f"{certs}/key.pem", encoding="utf-8") as f:
        key = f.read().splitlines()[1]
    for path in ("/config_dump", "/certs", "/server_info"):
        check(key not in admin(g, path)[1], f"the key is in {path}")
    check(f"outbound_{OUT}::{g.ip}:{OUT}" in admin(g, "/listeners")[1], admin(g, "/listeners"))
    check("tulle_proxy_downstream_connections: " in admin(g, "/stats")[1], "stats")
    g.stop()


def test_certs():
    """What openssl says of the files, and why a folder that broke is not in force."""
    ca = make_ca("ca2")
    certs = make_spiffe(ca, f"{folder}/of-certs", "x")
    g = Proxy(PROXY, net, "certs", [APP], role="sidecar", labels="app=x", options=(f"--certs={certs}",)).wait(OUT)
    told = json.loads(admin(g, "/certs")[1])
    leaf, root = told["certificates"][0]["cert_chain"][0], told["certificates"][0]["ca_cert"][0]
    for cert, path in ((leaf, f"{certs}/cert-chain.pem"), (root, f"{ca}/ca.crt")):
        said = subprocess.run(["openssl", "x509", "-in", path, "-noout", "-serial"], capture_output=True, text=True,
                              check=True).stdout.strip().removeprefix("serial=")
        check(cert["serial_number"].upper().lstrip("0") == said.lstrip("0"), f"{cert} {said}")
    check(leaf["subject_alt_names"] == [{"uri": "spiffe://cluster.local/ns/default/sa/x"}], leaf)
    check(told["spiffe"] == leaf["subject_alt_names"][0]["uri"] and not leaf["expired"], told)
    check(leaf["days_until_expiration"] == 0 and told["refused_since_then"] == "", told)
    shutil.copy(f"{ca}/ca.key", f"{certs}/key.pem")
    wait_until("the refusal", lambda: json.loads(admin(g, "/certs")[1])["refused_since_then"])
    again = json.loads(admin(g, "/certs")[1])
    check(again["certificates"][0]["cert_chain"] == told["certificates"][0]["cert_chain"], again)
    g.stop()


def test_clusters_and_explain():
    g = Proxy(PROXY, net, "explained", [APP, POLICY], role="sidecar", labels="app=x").wait(OUT)
    g.ask("app:9080", "/", port=OUT)
    clusters = json.loads(admin(g, "/clusters", format="json")[1])
    app = next(c for c in clusters if c["name"] == "outbound|9080||app.default.svc.cluster.local")
    check(app["endpoints"][0]["healthy"] and app["endpoints"][0]["requests_active"] == 0, app)
    check("outbound|9080||app.default.svc.cluster.local::" + app["endpoints"][0]["address"] + "::health_flags::healthy"
          in admin(g, "/clusters")[1], "text")
    told = json.loads(admin(g, "/explain", url="http://app:9080/slow/%2e%2e/slow", format="json")[1])
    check(told["route"] == "app.http[0]" and told["timeout"] == "7s", told)
    text = admin(g, "/explain", url="http://app:9080/x", header=["a: b", "c: d"])[1]
    check("route: app.http[1]" in text and "wanted: prefix '/slow'" in text, text)
    told = json.loads(admin(g, "/explain", url="http://x/", side="inbound", method="POST", format="json",
                            principal="spiffe://cluster.local/ns/default/sa/y")[1])
    why = told["authorization"]["policies"][0]["rules"][0]["why"]
    check(told["answer"]["status"] == 403 and why == "to: method is POST, wanted: GET", told)
    status, body = admin(g, "/explain", url="ftp://x")
    check(status == 400 and "expected" in body, body)
    g.stop()


REASONS = """apiVersion: v1
kind: Service
metadata: { name: %(name)s, namespace: default }
spec: { selector: { app: %(name)s }, ports: [{ name: http, port: 80, targetPort: %(port)d }] }
---
apiVersion: v1
kind: Pod
metadata: { name: %(name)s-1, namespace: default, labels: { app: %(name)s%(more)s } }
spec: { serviceAccountName: %(name)s }
status: { phase: Running, podIP: %(ip)s }
---
"""
RULES = """apiVersion: v1
kind: Service
metadata: { name: empty, namespace: default }
spec: { selector: { app: empty }, ports: [{ name: http, port: 80 }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: faulty, namespace: default }
spec: { hosts: [faulty], http: [{ fault: { abort: { percentage: { value: 100 }, httpStatus: 418 } },
  route: [{ destination: { host: app } }] }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: late, namespace: default }
spec: { hosts: [late], http: [{ timeout: 0.2s, route: [{ destination: { host: app } }] }] }
"""


def test_reasons():
    """Every answer of the proxy's own says which host, rule or check it was, in the header and in the log."""
    ca = make_ca("ca3")
    certs = make_spiffe(ca, f"{folder}/of-reasons", "x")
    ip = net.address()
    objects = (REASONS % {"name": "refused", "port": 1, "ip": ip, "more": ""} +
               REASONS % {"name": "plain", "port": 9, "ip": ip, "more": ", security.istio.io/tlsMode: istio"} + RULES)
    held = socket.create_server((ip, 9))
    threading.Thread(target=lambda: [held.accept()[0].sendall(b"SSH-2.0-x\r\n") for _ in range(9)], daemon=True).start()
    g = Proxy(PROXY, net, "reasons", [APP, objects], role="sidecar", labels="app=x",
              options=(f"--certs={certs}", "--access-log-format=%REQ(X-REQUEST-ID)% %TULLE_REASON%")).wait(OUT)
    for host, path, code, want in (
            ("nobody", "/", 404, "NR route_not_found (no route for host 'nobody')"),
            ("empty", "/", 503, "UH no_healthy_upstream (no endpoints for outbound|80||empty.default.svc.cluster.local)"),
            ("faulty", "/", 418, "FI fault_filter_abort (fault.abort of route faulty.http[0])"),
            ("late", "/hold", 504, "UT response_timeout (no complete response within the route's timeout)"),
            ("refused", "/", 503, f"({ip}:1: connect: Connection refused)"),
            ("plain", "/", 503, f"tls_failure}} ({ip}:9: ")):
        status, _, r = g.ask(host, path, port=OUT, X_Request_Id=host)
        reason = r.getheader("x-tulle-reason")
        check(status == code and want in reason and reason.endswith(")"), f"{host}: {status} {reason}")
        line = wait_until("the line", lambda: next((x for x in lines(g, 1) if x.startswith(host + " ")), None))
        check(reason.endswith(f"({line.partition(' ')[2]})"), f"{reason} {line}")
    net.servers["app-v1"].held.set()
    g.stop()


def test_logging():
    g = sidecar("logging")
    check(admin(g, "/logging", "POST") == (200, "level: info\n"), "info")
    check(admin(g, "/logging", "POST", level="debug") == (200, "level: debug\n"), "debug")
    check(admin(g, "/logging", "POST", level="loud")[0] == 400, "loud")
    check("ev=log.level level=debug" in g.log(), g.log())
    g.stop()


def test_drain_and_quit():
    """/drain takes the proxy out of rotation and nothing else; /quitquitquit ends it cleanly."""
    g = Proxy(PROXY, net, "drained", [APP], role="sidecar", labels="app=x").wait(OUT)
    held = http.client.HTTPConnection(g.ip, IN, timeout=30)
    held.connect()
    busy = http.client.HTTPConnection(g.ip, IN, timeout=30)
    busy.connect()
    busy.sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
    out = http.client.HTTPConnection(g.ip, OUT, timeout=30)
    check(admin(g, "/healthz/ready", port=READY)[0] == 200, "ready")
    check(admin(g, "/drain", "POST")[0] == 200, "drain")
    busy.sock.sendall(b"\r\n")
    answer = http.client.HTTPResponse(busy.sock)
    answer.begin()
    check(answer.getheader("connection") == "close", f"one that is busy ends with its answer: {answer.headers}")
    for _ in range(2):
        out.request("GET", "/", headers={"Host": "app:9080"})
        mine = out.getresponse()
        check(mine.read() is not None and mine.getheader("connection") != "close", f"our own calls: {mine.headers}")
    check(admin(g, "/healthz/ready", port=READY)[0] == 503, "not ready")
    check(held.sock.recv(1) == b"", "a connection that rests is closed")
    check(g.ask("app:9080", "/", port=OUT)[0] == 200, "still served")
    check(admin(g, "/healthcheck/ok", "POST")[0] == 200 and admin(g, "/healthz/ready", port=READY)[0] == 200, "again")
    late = http.client.HTTPConnection(g.ip, IN, timeout=30)
    late.request("GET", "/", headers={"Host": "x"})
    check(late.getresponse().getheader("connection") != "close", "callers stay again")
    g.child.may_end = True
    check(admin(g, "/quitquitquit", "POST") == (200, "OK\n"), "quit")
    check(g.child.wait(20) == 0, f"exit status {g.child.returncode}")


TELEMETRY = """apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{ name: {name}, namespace: {ns} }}
spec: {{ {spec} }}
---
"""


def test_telemetry_objects():
    """Telemetry: of the mesh, and of the namespace over it."""
    mesh = TELEMETRY.format(name="mesh", ns="istio-system", spec="accessLogging: [{ disabled: true }], tracing: [{ "
                            "randomSamplingPercentage: 0 }]")
    failed = TELEMETRY.format(name="own", ns="default", spec="accessLogging: [{ filter: { expression: 'response.code >= 400' } }]")
    form = "--access-log-format=%REQ(:PATH)% %RESPONSE_CODE%"
    for name, objects, flags, told in (("plain", "", "01", ["/a 200", "/status/404 404", "/z 200"]), ("off", mesh, "00", []),
                                       ("filtered", mesh + failed, "00", ["/status/404 404"])):
        g = Proxy(PROXY, net, f"told-{name}", [APP, objects], role="sidecar", labels="app=x", options=(form,)).wait(OUT)
        for path in ("/a", "/status/404", "/z"):
            _, seen, _ = g.ask("app", path, port=OUT)
            check(seen["headers"]["traceparent"].endswith(flags), f"{name}: {seen['headers']['traceparent']}")
        g.stop()
        with open(f"{folder}/{g.name}.access", encoding="utf-8") as f:
            check(f.read().splitlines() == told, f"{name}: not {told}")


for name, test in list(globals().items()):
    if name.startswith("test_"):
        print("case:", name, flush=True)
        test()
