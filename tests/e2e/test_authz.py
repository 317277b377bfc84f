"""Who may call the database: the policy of the document, unchanged, in front of a real application.
`tulle explain` says the same of every request, and why. Usage: test_authz.py TULLE_PROXY POLICY.yaml TULLE"""
import gzip
import http.client
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading

import support
from certificates import make_ca, mesh_cert
from support import check, folder, wait_until

PROXY, POLICY, TULLE = sys.argv[1:4]
NET = "127.1.80"
DATABASE, BACKEND, FRONTEND, NOTES, GATEWAY, COLLECTOR, EDGE = (f"{NET}.{n}" for n in range(1, 8))
OUT, IN, ADMIN, READY, PROM, APP, GW, OTLP = range(33001, 33009)

OBJECTS = """apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: default }}
spec: {{ selector: {{ app: {name} }}, ports: [{{ name: http, port: 80, targetPort: {port} }}] }}
---
apiVersion: v1
kind: Pod
metadata:
  name: {name}-v1-7d4b9c-1
  namespace: default
  labels: {{ app: {name}, version: v1, security.istio.io/tlsMode: istio }}
  ownerReferences: [{{ apiVersion: apps/v1, kind: ReplicaSet, name: {name}-v1-7d4b9c, controller: true }}]
spec: {{ serviceAccountName: {name} }}
status: {{ phase: Running, podIP: {ip} }}
---
"""
MORE = """apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: public, namespace: default }
spec:
  selector: { matchLabels: { app: notes } }
  rules: [{ to: [{ operation: { paths: ["/public*"] } }] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-secrets, namespace: default }
spec:
  selector: { matchLabels: { app: notes } }
  action: DENY
  rules: [{ to: [{ operation: { paths: ["/public/secret"] } }] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: trial, namespace: default, annotations: { istio.io/dry-run: "true" } }
spec: { selector: { matchLabels: { app: notes } }, action: DENY, rules: [{}] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: diary, namespace: default }
spec: { selector: { matchLabels: { app: notes } }, action: AUDIT, rules: [{}] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: shut, namespace: default }
spec:
  selector: { matchLabels: { app: gateway } }
  action: DENY
  rules: [{ to: [{ operation: { paths: ["/admin*"] } }] }]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: default }
spec: { selector: { app: edge }, servers: [{ port: { number: %d, name: http, protocol: HTTP }, hosts: ["*"] }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: edge, namespace: default }
spec:
  selector: { matchLabels: { app: edge } }
  rules: [{ from: [{ source: { remoteIpBlocks: [198.51.100.0/24] } }] }]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: door, namespace: default }
spec: { selector: { app: gateway }, servers: [{ port: { number: %d, name: http, protocol: HTTP }, hosts: ["*"] }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: door, namespace: default }
spec: { hosts: ["*"], gateways: [door, edge], http: [{ route: [{ destination: { host: notes } }] }] }
""" % (GW, GW)
PODS = {"database": DATABASE, "backend": BACKEND, "frontend": FRONTEND, "notes": NOTES, "gateway": GATEWAY,
        "edge": EDGE}
GATEWAYS = ("gateway", "edge")
served, told = [], []


class App(http.server.BaseHTTPRequestHandler):
    """Answers 200 to everything and remembers the paths."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.server.server_port == OTLP:
            told.append(gzip.decompress(body) if self.headers.get("content-encoding") else body)
            body = b""
        else:
            served.append(self.path)
            body = self.path.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_DELETE = do_PUT = do_GET


def make_config():
    os.makedirs(f"{folder}/config")
    shutil.copy(POLICY, f"{folder}/config/policy.yaml")
    with open(f"{folder}/config/mesh.yaml", "w", encoding="utf-8") as f:
        for name, ip in PODS.items():
            f.write(OBJECTS.format(name=name, ip=ip, port=IN))
        f.write(MORE)


def arguments(name, ip):
    return [PROXY, f"--role={'gateway' if name in GATEWAYS else 'sidecar'}",
            f"--xff-trusted-hops={int(name == 'edge')}",
            f"--config={folder}/config", f"--workload={name}-v1", f"--service-account={name}",
            f"--listen={ip}", f"--outbound-port={OUT}", f"--inbound-port={IN}",
            f"--admin-port={ADMIN}", f"--readiness-port={READY}", f"--prometheus-port={PROM}",
            f"--app={ip}:{APP}", f"--access-log={folder}/{name}.access",
            f"--certs={folder}/certs/{name}", f"--collector=http://{COLLECTOR}:{OTLP}"]


def call(method, path, host, ident, ip, port=OUT, headers=None):
    c = http.client.HTTPConnection(ip, port, timeout=20)
    c.putrequest(method, path, skip_host=True)
    for key, value in {"Host": host, "x-request-id": ident, **(headers or {})}.items():
        c.putheader(key, value)
    c.endheaders()
    r = c.getresponse()
    body = r.read()
    c.close()
    return r.status, body, r.getheader("x-tulle-reason")


def line_of(name, ident):
    def find():
        with open(f"{folder}/{name}.access", encoding="utf-8") as f:
            return next((x for x in map(json.loads, f) if x["request_id"] == ident), None)
    return wait_until(f"{name}'s line of {ident}", find)


def wait_told(ident, *parts):
    """Until one export has all of them: texts stand plainly in its bytes. The caller's own sidecar
    tells of the request too, and knows nothing of policies."""
    wanted = [part.encode() for part in (ident, *parts)]
    wait_until(f"a record with {wanted}",
               lambda: any(all(part in piece for part in wanted) for piece in told))


def denied(who, method, path, ident, policy, details, host="database", server="database", **more):
    before = list(served)
    status, body, reason = call(method, path, host, ident, who, **more)
    check((status, body) == (403, b"RBAC: access denied"), f"{ident}: {status} {body}")
    if server in GATEWAYS:  # its callers are outsiders
        check(reason == details.partition("[")[0], f"{ident}: {reason}")
    else:
        check(policy in reason and details in reason, f"{ident}: {reason}")
    check(served == before, f"{ident} reached the application: {served}")
    line = line_of(server, ident)
    check(line["response_code"] == 403 and line["response_flags"] == "-", line)
    check(line["response_code_details"] == details, line)
    wait_told(ident, "authorization_policy", policy, "reason")
    wait_told(ident, "proxy.reply", policy, "reason")


def test_the_document():
    none = "rbac_access_denied_matched_policy[none]"
    policy = "default/database-policy"
    for method in ("GET", "POST"):
        status, body, _ = call(method, "/api/query?q=1", "database", f"b-{method}", BACKEND)
        check((status, body) == (200, b"/api/query?q=1"), f"backend {method}: {status} {body}")
    denied(FRONTEND, "GET", "/api/query", "f-get", policy, none)
    denied(BACKEND, "DELETE", "/api/data", "b-delete", policy, none)
    denied(BACKEND, "DELETE", "/api/query", "b-delete-2", policy, none)
    denied(BACKEND, "GET", "/api/query/", "b-slash", policy, none)
    # plaintext has no identity, whatever it claims
    denied(DATABASE, "GET", "/api/query", "plain", policy, none, port=IN, headers={
        "x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/default/sa/backend"})


def test_paths():
    public, secret = "default/public", "default/no-secrets"
    none = "rbac_access_denied_matched_policy[none]"
    rule = "rbac_access_denied_matched_policy[ns[default]-policy[no-secrets]-rule[0]]"
    for i, path in enumerate(("/private", "/public/../private", "/public/%2E%2E/private",
                              "/public/%2e/%2e%2e/private", "/public\\..\\private")):
        for who, port in ((BACKEND, OUT), (NOTES, IN)):
            denied(who, "GET", path, f"p-{i}-{port}", public, none, "notes", "notes", port=port)
    for i, path in enumerate(("/public/secret", "/public/./secret", "/public/secret?x",
                              "/public/secre%74", "/public/x/../secret")):
        denied(NOTES, "GET", path, f"s-{i}", secret, rule, "notes", "notes", port=IN)
    status, body, _ = call("GET", "/x/../public/./a?b=/../c", "notes", "ok", NOTES, port=IN)
    check((status, body) == (200, b"/public/a?b=/../c"), f"the same path is sent on: {status} {body}")
    status, body, _ = call("GET", "/public/a#/../b", "notes", "fragment", NOTES, port=IN)
    check(status == 400, f"fragment: {status} {body}")


def test_noted_only():
    status, body, _ = call("GET", "/public/b", "notes", "noted", NOTES, port=IN)
    check(status == 200, f"{status} {body}")
    wait_told("noted", "authorization_audit", "ns[default]-policy[diary]-rule[0]",
              "istio.authorization.dry_run.deny_policy.name", "ns[default]-policy[trial]-rule[0]")


def test_gateway():
    denied(GATEWAY, "GET", "/x/../admin", "gw", "default/shut",
           "rbac_access_denied_matched_policy[ns[default]-policy[shut]-rule[0]]", "shop", "gateway",
           port=GW)
    status, body, _ = call("GET", "/public/./c", "shop", "gw-ok", GATEWAY, port=GW)
    check((status, body) == (200, b"/public/c"), f"gateway: {status} {body}")


def test_forwarded():
    """remoteIpBlocks at a gateway behind one trusted proxy: what that one saw, and nothing a caller claims."""
    denied, allowed = 403, 200
    for fields, want in (((), denied), (("198.51.100.7",), allowed), (("198.51.100.7, 203.0.113.9",), denied),
                         (("203.0.113.9, 198.51.100.7",), allowed), (("203.0.113.9", "198.51.100.7"), allowed),
                         (("198.51.100.7", "203.0.113.9"), denied), (("198.51.100.7,",), denied),
                         (("198.51.100.7, nonsense",), denied)):
        c = http.client.HTTPConnection(EDGE, GW, timeout=20)
        c.putrequest("GET", "/public/x", skip_host=True)
        c.putheader("Host", "shop")
        for field in fields:
            c.putheader("X-Forwarded-For", field)
        c.endheaders()
        r = c.getresponse()
        r.read()
        c.close()
        check(r.status == want, f"{fields}: {r.status}, want {want}")


def explain(*argv):
    r = subprocess.run([TULLE, "explain", f"--config={folder}/config", f"--port={APP}", "--json", *argv],
                       capture_output=True, text=True, timeout=30, check=False)
    check(r.returncode == 0, f"explain {argv}: {r.returncode} {r.stderr}")
    return json.loads(r.stdout)


def test_explained():
    """Offline the same decision as the proxies' own, for each path, and the rule that made it."""
    for i, (caller, method, path, host) in enumerate((
            ("backend", "GET", "/api/query?q=1", "database"), ("backend", "POST", "/api/query", "database"),
            ("backend", "DELETE", "/api/data", "database"), ("backend", "GET", "/api/query/", "database"),
            ("frontend", "GET", "/api/query", "database"), ("backend", "GET", "/public/../private", "notes"),
            ("frontend", "GET", "/public/%2e/%2e%2e/private", "notes"), ("backend", "GET", "/public/a", "notes"),
            ("backend", "GET", "/public/x/../secret", "notes"), ("backend", "GET", "/", "nobody"))):
        status, _, reason = call(method, path, host, f"explained-{i}", PODS[caller])
        told = explain(f"--workload={caller}-v1", method, f"http://{host}{path}")
        outcome = told["outcome"][-1]
        want = "the application's" if status == 200 else str(status)
        check(outcome["answer"] == want, f"{caller} {method} {host}{path}: {status} {reason}, explained {told}")
        last = told["hops"][-1]
        check(status != 403 or last["authorization"]["allowed"] is False, last)
        details = (reason or "").partition("rule[")[2].partition("]")[0]
        check(not details or last["authorization"]["decided_by"].endswith(f"rule[{details}]"), f"{reason} {last}")


def test_explained_why():
    """Each policy's part, the condition that failed, and where it is written."""
    last = explain("--workload=backend-v1", "DELETE", "http://database/api/data")["hops"][-1]
    check(last["caller"]["principal"] == "spiffe://cluster.local/ns/default/sa/backend", last)
    policy = last["authorization"]["policies"][0]
    check(policy["rules"][0]["why"] == "to: method is DELETE, wanted: GET or POST", policy)
    check(policy["written_in"]["file"].endswith("/policy.yaml") and policy["written_in"]["line"] == 1, policy)
    last = explain("--workload=frontend-v1", "http://notes/public/x")["hops"][-1]["authorization"]
    check(last["allowed"] and last["audited_by"] == "ns[default]-policy[diary]-rule[0]", last)
    check(last["dry_run_deny"] == "ns[default]-policy[trial]-rule[0]", last)
    told = explain("--inbound", "--workload=database-v1", "--plaintext", "http://database/api/query")
    why = told["hops"][0]["authorization"]["policies"][0]["rules"][0]["why"]
    check(why == "from: principal is none, wanted: cluster.local/ns/default/sa/backend", why)
    gate = explain("--role=gateway", "--workload=gateway-v1", f"http://shop:{GW}/x/../admin")
    check(gate["outcome"][0]["answer"] == "403" and len(gate["hops"]) == 1, gate)


def test_counted():
    _, body, _ = call("GET", "/stats/prometheus", "x", "m", DATABASE, port=PROM)
    check(b"tulle_proxy_authorization_denied_total 8" in body, "counted")


def test_never_open():
    """What cannot be compiled is refused: the proxy does not start without it."""
    with open(f"{folder}/config/zz.yaml", "w", encoding="utf-8") as f:
        f.write("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: bad }\n"
                "spec: { action: DENY, rules: [{ from: [{ source: { ipBlocks: [ten] } }] }] }\n")
    r = subprocess.run(arguments("database", f"{NET}.9"), capture_output=True, text=True, timeout=20,
                       check=False)
    check(r.returncode != 0 and "zz.yaml:4:" in r.stderr and "ten" in r.stderr,
          f"{r.returncode} {r.stderr}")


ca = make_ca()
for name in PODS:
    mesh_cert(ca, f"{folder}/certs/{name}", name)
make_config()
for address in ((DATABASE, APP), (NOTES, APP), (COLLECTOR, OTLP)):
    server = http.server.ThreadingHTTPServer(address, App)
    threading.Thread(target=server.serve_forever, daemon=True).start()
for pod, pod_ip in PODS.items():
    support.start(pod, *arguments(pod, pod_ip))
for pod, pod_ip in PODS.items():
    for port in (GW,) if pod in GATEWAYS else (IN, OUT):
        wait_until(f"{pod}:{port}", lambda: socket.create_connection((pod_ip, port), 1).close() is None)
for name, test in list(globals().items()):
    if name.startswith("test_"):
        print("case:", name, flush=True)
        test()
for child in support.children:
    check(support.stop(child) == 0, f"{child.tulle_name}: exit status {child.returncode}")
