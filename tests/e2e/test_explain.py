"""`tulle explain` beside the proxy it speaks for: the same files, the same requests, the same outcome.
Usage: test_explain.py TULLE_PROXY FOLDER_OF_THE_DOCUMENT'S_FILES TULLE"""
import json
import socket
import ssl
import subprocess
import sys

from gateway_support import ADMIN, HTTP, OUT, Net, Proxy
from support import check

PROXY, SEEDS, TULLE = sys.argv[1:4]
net = Net("127.1.37")


def seed(name):
    return f"{SEEDS}/{name}.yaml"


def run(proxy, *argv):
    return subprocess.run([TULLE, "explain", f"--config={proxy.config}", *argv], capture_output=True,
                          text=True, timeout=30, check=False)


def explain(proxy, *argv):
    r = run(proxy, "--json", *argv)
    check(r.returncode == 0, f"{argv}: {r.returncode} {r.stderr}")
    return json.loads(r.stdout)


def agree(proxy, url, told, who):
    """who: the service that answered, or the status."""
    outcome = told["outcome"][0]["answer"]
    if isinstance(who, int):
        check(outcome == str(who), f"{url}: {who}, explained {told}")
        return
    hop = told["hops"][0].get("then_at_the_gateway", told["hops"][0])
    workloads = {e["workload"] for d in hop["destinations"] if d["percent"] for e in d["endpoints"]}
    check(outcome == "the application's" and who in workloads, f"{url}: {who}, explained {told}")


def compare_ingress(name, *services):
    g = Proxy(PROXY, net, name, [seed(name), *(net.service(s, 8080) for s in services)]).wait(HTTP)
    for host in ("api.example.com", "shop.example.com", "web.example.com", "example.com", "api.example.com:80"):
        for path in ("/", "/users", "/users/7?a=b", "/usersx", "/api", "/api/../admin", "/admin/", "/administer"):
            agree(g, host + path, explain(g, "--role=gateway", f"http://{host}{path}"), g.who(host, path))
    g.stop()


def test_ingress():
    compare_ingress("01-ingress-basic", "user-service", "shop-service")
    compare_ingress("03-ingress-paths", "api-service", "admin-service", "frontend-service")


def test_reviews():
    """The document's header rule and its weights, with file and line."""
    g = Proxy(PROXY, net, "reviews", [seed("05-reviews-header-and-weights"),
                                      net.service("reviews", 9080, ("v1", "v2", "v3"))],
              role="sidecar", labels="app=productpage").wait(OUT)
    for headers in ({}, {"end-user": "jason"}, {"end-user": "Jason"}):
        fields = [x for k, v in headers.items() for x in ("-H", f"{k}: {v}")]
        told = explain(g, "http://reviews:9080/", *fields)
        who = g.who("reviews:9080", port=OUT, **{k.replace("-", "_"): v for k, v in headers.items()})
        agree(g, f"reviews {headers}", told, who)
        hop = told["hops"][0]
        is_jason = headers.get("end-user") == "jason"
        check(hop["route"] == f"reviews.http[{0 if is_jason else 1}]", hop)
        check(hop["written_in"]["file"].endswith("05-reviews-header-and-weights.yaml"), hop)
        check([d["percent"] for d in hop["destinations"]] == ([100] if is_jason else [90, 10]), hop)
        check(hop["virtual_host"] == "reviews.default.svc.cluster.local", hop)
        check(len(hop["passed_over"]) == (0 if is_jason else 1), hop)
    check(hop["passed_over"][0]["why"] == "header end-user is 'Jason', wanted: exact 'jason'", hop)
    text = run(g, "GET", "http://reviews:9080/").stdout
    check("written in: VirtualService default/reviews, " in text and "percent: 90" in text, text)
    g.stop()


def test_resilience():
    """Timeouts, retries and the DestinationRule in force."""
    g = Proxy(PROXY, net, "ratings", [seed("08-ratings-resilience"), net.service("ratings", 9080)],
              role="sidecar", labels="app=reviews")
    hop = explain(g, "http://ratings:9080/")["hops"][0]
    check(hop["timeout"] == "5s" and hop["retries"] == {"attempts": 3, "on": "5xx", "per_try_timeout": "2s",
                                                        "is_default": False}, hop)
    to = hop["destinations"][0]
    check(to["outlier_detection"]["consecutive_5xx"] == 5 and len(to["destination_rules"]) == 1, to)
    check(to["destination_rules"][0]["kind"] == "DestinationRule", to)
    g.stop()


def test_strict():
    """Plaintext under STRICT is closed; mutual TLS passes, and the file that asks for it is named."""
    with open(seed("06-mtls-strict"), encoding="utf-8") as f:
        namespace = f.read().partition("namespace:")[2].split()[0]
    g = Proxy(PROXY, net, "strict", [seed("06-mtls-strict")], role="sidecar", labels="app=x")
    where = ("--inbound", "--workload=x", f"--namespace={namespace}", "http://x/")
    told = explain(g, "--plaintext", *where)
    check(told["outcome"][0]["answer"] == "none" and "STRICT" in told["outcome"][0]["why"], told)
    check(told["hops"][0]["mutual_tls"]["decided_by"]["kind"] == "PeerAuthentication", told)
    told = explain(g, "--source-principal=spiffe://cluster.local/ns/a/sa/b", *where)
    check(told["outcome"][0]["answer"] == "the application's", told)
    g.stop()


CONNECTIONS = """apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: g }
spec:
  selector: { istio: ingressgateway }
  servers:
  - { port: { number: 21750, name: t, protocol: TCP }, hosts: ["*"] }
  - { port: { number: 21751, name: p, protocol: TLS }, hosts: ["*.test"], tls: { mode: PASSTHROUGH } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: door }
spec:
  hosts: ["*"]
  gateways: [g]
  tls:
  - match: [{ port: 21751, sniHosts: ["*.a.test"] }]
    route: [{ destination: { host: one } }]
  - match: [{ port: 21751, sniHosts: ["gone.test"] }]
    route: [{ destination: { host: nobody, port: { number: 1 } } }]
  tcp:
  - match: [{ port: 21750 }]
    route: [{ destination: { host: one }, weight: 50 }, { destination: { host: two }, weight: 50 }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: inner }
spec:
  hosts: [one]
  tls:
  - match: [{ sniHosts: [two.test] }]
    route: [{ destination: { host: two } }]
---
"""


def connect(proxy, port, sni):
    """A connection with these first bytes; its own address."""
    context = ssl.create_default_context()  # first: loading its roots takes longer than a proxy waits for first bytes
    s = socket.create_connection((proxy.ip, port), 20)
    me = "%s:%d" % s.getsockname()
    try:
        if sni:
            context.wrap_socket(s, server_hostname=sni)
        else:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while s.recv(4096):
                pass
    except (OSError, ssl.SSLError):  # the application behind speaks no TLS: where it went is all we ask
        pass
    s.close()
    return me


def agree_connection(proxy, port, sni, hop, told):
    me = connect(proxy, port, sni)
    line = proxy.access(downstream_remote_address=me)
    answer = told["outcome"][0]["answer"]
    check(line["route_name"] == hop.get("route"), f"{line}, explained {told}")
    clusters = {d["cluster"] for d in hop.get("destinations", ())}
    if len(clusters) == 1:  # a gateway has a line for each of its two hops
        proxy.access(downstream_remote_address=me, upstream_cluster=clusters.pop())
    check((line["response_flags"] == "-") == (answer == "the application's"), f"{line}, explained {told}")
    if answer == "none":
        check(told["outcome"][0]["why"].startswith(line["response_flags"] + " "), f"{line}, explained {told}")


def test_connections():
    """tcp:// and tls://, beside a gateway and a sidecar that log where they sent the connection."""
    objects = [CONNECTIONS, *(net.service(s).replace("name: http", "name: tcp") for s in ("one", "two"))]
    g = Proxy(PROXY, net, "tcp-gateway", objects).wait(21750)
    for port, sni in ((21750, None), (21751, "x.a.test"), (21751, "b.test"), (21751, "gone.test"), (21751, None)):
        told = explain(g, "--role=gateway", "--labels=istio=ingressgateway",
                       f"tls://{sni}:{port}" if sni else f"tcp://any:{port}")
        agree_connection(g, port, sni, told["hops"][0], told)
    g.stop()
    side = Proxy(PROXY, net, "tcp-sidecar", objects, role="sidecar", options=["--tcp-listen=21750=one:80"]).wait(21750)
    for sni in (None, "two.test", "three.test"):
        told = explain(side, *([f"tls://{sni}:80", f"--destination-ip={net.net}.99"] if sni else ["tcp://one:80"]))
        if sni:  # an address of nobody's; the Service is told by its name
            check(told["hops"][0]["cluster"] == "PassthroughCluster", told)
            status, told, _ = side.ask("x", f"/explain?format=json&url=tls://{sni}:80", port=ADMIN)
            check(status == 200 and json.loads(told)["cluster"] == "PassthroughCluster", told)
            side.access(downstream_remote_address=connect(side, 21750, sni),
                        route_name="inner.tls[0]" if sni == "two.test" else "default")
        else:
            agree_connection(side, 21750, sni, told["hops"][0], told)
            status, text, _ = side.ask("x", "/explain?format=json&url=tcp://one:80", port=ADMIN)
            check(status == 200 and json.loads(text)["route"] == "default", text)
    side.stop()
    side = Proxy(PROXY, net, "no-tcp", objects, role="sidecar")
    status, text, _ = side.ask("x", "/explain?url=tcp://one:80", port=ADMIN)
    check(status == 400 and b"--tcp-listen" in text, text)
    side.stop()


GATEWAYS = "".join(f"""apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: {name} }}
spec: {{ gatewayClassName: tulle, listeners: [{{ name: http, port: {port}, protocol: HTTP }}] }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: {name} }}
spec: {{ parentRefs: [{{ name: {name} }}], rules: [{{ backendRefs: [{{ name: web, port: 80 }}] }}] }}
---
""" for name, port in (("inner", 21750), ("outer", 21751))) + """apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: reading }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: outer }]
  rules: [{ to: [{ operation: { methods: [GET] } }] }]
---
"""


def test_targets():
    """A policy of one of two Gateways, in one proxy: asked at its port, and not at the other's."""
    g = Proxy(PROXY, net, "targets", [GATEWAYS, net.service("web")]).wait(21751)
    for port, method, want in ((21750, "GET", "web-v1"), (21750, "POST", "web-v1"), (21751, "GET", "web-v1"),
                               (21751, "POST", 403)):
        told = explain(g, "--role=gateway", method, f"http://x:{port}/")
        agree(g, f"{method} {port}", told, g.who("x", method=method, port=port))
        check(g.who("x", method=method, port=port) == want, f"{method} {port}")
        policy = told["hops"][0]["authorization"]["policies"][0]
        check(policy["at_ports"] == "21751" and len(policy["rules"]) == (port == 21751), policy)
    g.stop()


def test_usage():
    g = Proxy(PROXY, net, "usage", [seed("08-ratings-resilience")], role="sidecar", labels="app=x")
    for argv, code, why in ((["ftp://x/"], 2, "expected '[METHOD] http://HOST"), ([], 2, "expected"),
                            (["http://x:0/"], 2, "no port"), (["/x"], 2, "no host"),
                            (["http://x/", "-H", "nonsense"], 2, "expected 'name: value'"),
                            (["http://x/", "--source-ip=ten"], 2, "no address"),
                            (["http://x/", "--source-principal=x"], 2, "spiffe://"),
                            (["http://x/", "--inbound", "--role=gateway"], 2, "--inbound"),
                            (["tcp://x"], 2, "expected a port"), (["GET", "tcp://x:1"], 2, "tcp://HOST:PORT"),
                            (["tcp://x:1", "-H", "a: b"], 2, "without a method, path or headers"),
                            (["tcp://x:1", "--destination-ip=ten"], 2, "no address"),
                            (["http://x/", "--config=/nowhere"], 1, "/nowhere")):
        r = run(g, *argv)
        check(r.returncode == code and why in r.stderr and not r.stdout, f"{argv}: {r}")
    r = run(g, "/x", "-H", "host: ratings:9080")
    check(r.returncode == 0 and "request: GET http://ratings:9080/x" in r.stdout, r)
    g.stop()


for name, test in list(globals().items()):
    if name.startswith("test_"):
        print("case:", name, flush=True)
        test()
