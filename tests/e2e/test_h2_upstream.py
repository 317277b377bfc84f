"""Endpoints that speak HTTP/2: what they refuse, break off or answer badly, what is sent again and what never is.
Usage: test_h2_upstream.py TULLE_PROXY [CASE...]. Exit status 77 (skipped) without grpcio."""
import http.client
import ssl
import sys
import threading

try:
    import grpc
except ImportError:
    print("python3-grpcio is missing")
    sys.exit(77)

from gateway_support import (ADMIN, APP, IN, OUT, POD, PROM, Net, Proxy, make_ca, make_cert,
                             mesh_cert, run)
from h2_app import CANCEL, INTERNAL, REFUSED, App, Request
from support import check, folder, http as get, wait_until

PROXY = sys.argv[1]
net = Net("127.1.63")

SERVICE = """apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: default }}
spec: {{ selector: {{ app: {pods} }}, ports: [{{ name: {kind}, port: 80, targetPort: {port} }}] }}
---
"""
RETRIES = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: {name}, namespace: default }}
spec:
  hosts: [{name}]
  http: [{{ route: [{{ destination: {{ host: {name} }} }}], retries: {retries} }}]
---
"""
POLICY = """apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: {name}, namespace: default }}
spec: {{ host: {name}, trafficPolicy: {{ {policy} }} }}
---
"""
STATUSES = {"cancelled": 1, "deadline-exceeded": 4, "resource-exhausted": 8, "internal": 13, "unavailable": 14}
EJECT = "outlierDetection: { consecutive5xxErrors: 3, baseEjectionTime: 60s, maxEjectionPercent: 100 }"

PAIRS = ("head", "trailers", "codes", "resets", "well")  # two endpoints each, of which one can be ejected
ips = {name: net.address() for name in ("app", "few", "cold", "inside", "spy", "deaf", "outside", *(p + v for p in PAIRS for v in ("v1", "v2")))}
ca = make_ca()
make_cert(ca, f"{folder}/outside", "out.test")
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(f"{folder}/outside/tls.crt", f"{folder}/outside/tls.key")
tls.set_alpn_protocols(["h2"])
apps = {name: App(ip, APP, 2 if name in ("few", "cold") else None, tls if name == "outside" else None)
        for name, ip in ips.items()}
app, few, inside = apps["app"], apps["few"], apps["inside"]
objects = "".join(POD.format(name=name, version="v1", ip=ips[name]) for name in ("app", "few", "cold", "inside"))
objects += "".join(SERVICE.format(name=n, pods=n, kind="http2", port=APP) for n in ("app", "few", "cold"))
for name, retries in {"never": "{ attempts: 0 }", "broken": "{ attempts: 2, retryOn: reset, backoff: 1ms }",
                      "all": f'{{ attempts: 2, retryOn: "{",".join(STATUSES)}", backoff: 1ms }}',
                      **{s: f"{{ attempts: 1, retryOn: {s}, backoff: 1ms }}" for s in STATUSES}}.items():
    objects += SERVICE.format(name=name, pods="app", kind="grpc", port=APP) + RETRIES.format(name=name, retries=retries)
for name in PAIRS:
    objects += SERVICE.format(name=name, pods=name, kind="grpc", port=APP)
    objects += "".join(POD.format(name=name, version=v, ip=ips[name + v]) for v in ("v1", "v2"))
    objects += POLICY.format(name=name, policy=EJECT) + RETRIES.format(name=name, retries="{ attempts: 0 }")
objects += POLICY.format(name="few", policy="connectionPool: { http: { maxConcurrentStreams: 100 } }")
objects += SERVICE.format(name="narrow", pods="app", kind="http2", port=APP) + POLICY.format(
    name="narrow", policy="connectionPool: { http: { maxConcurrentStreams: 3 } }")
MIRROR = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: {name}, namespace: default }}
spec:
  hosts: [{name}]
  http: [{{ route: [{{ destination: {{ host: {name} }} }}], mirrors: [{{ destination: {{ host: {to} }} }}] }}]
---
"""
for name, kind, to in (("copied", "http2", "spy"), ("copied-safely", "http2", "behind"), ("copied-to-deaf", "http2", "deaf"),
                       ("copied-from-h1", "http", "spy"), ("copied-outside", "http2", "outside")):
    objects += SERVICE.format(name=name, pods="plain" if kind == "http" else "app", kind=kind, port=APP)
    objects += MIRROR.format(name=name, to=to)
objects += "".join(SERVICE.format(name=n, pods=n, kind="http2", port=APP) for n in ("spy", "deaf", "outside"))
objects += "".join(POD.format(name=n, version="v1", ip=ips[n]) for n in ("spy", "deaf", "outside"))
objects += POLICY.format(name="outside", policy=f"tls: {{ mode: SIMPLE, sni: out.test, caCertificates: {folder}/ca/ca.crt }}")
objects += net.service("plain")
server_ip = f"{net.net}.{net.next + 1}"
objects += SERVICE.format(name="behind", pods="behind", kind="http2", port=IN) + POD.format(
    name="behind", version="v1", ip=server_ip).replace("app: behind,", "app: behind, security.istio.io/tlsMode: istio,")
objects += SERVICE.format(name="inside", pods="inside", kind="http2", port=APP)
for name in ("client", "behind"):
    mesh_cert(ca, f"{folder}/certs/{name}", name)
client = Proxy(PROXY, net, "client", [objects], role="sidecar", labels="app=client",
               options=[f"--certs={folder}/certs/client"]).wait(OUT)
server = Proxy(PROXY, net, "server", [objects], role="sidecar", labels="app=inside",
               options=[f"--app={ips['inside']}:{APP}", f"--certs={folder}/certs/behind"]).wait(IN)
check(server.ip == server_ip, "address as said")


def ask(path, method="GET", body=None, host="app", at=None):
    """(status, body, reason); None instead of a body that was cut."""
    c = http.client.HTTPConnection(*(at or (client.ip, OUT)), timeout=20)
    c.request(method, path, body=body, headers={"Host": host})
    r = c.getresponse()
    try:
        text = r.read()
    except http.client.HTTPException:
        text = None
    c.close()
    return r.status, text, r.getheader("x-tulle-reason") or ""


def call(path, host, message=b"m" * 100):
    """The status of a call of gRPC, and its message."""
    with grpc.insecure_channel(f"{client.ip}:{OUT}", options=[("grpc.default_authority", host), (
            "grpc.enable_retries", 0)]) as channel:
        try:
            return 0, channel.unary_unary(path)(message, timeout=20)
        except grpc.RpcError as e:
            return e.code().value[0], e.details()


def tally(name, proxy=client):
    text = get(f"http://{proxy.ip}:{PROM}/stats/prometheus")[1].decode()
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("tulle_proxy_" + name))


def refuse(request):
    request.reset(REFUSED)


def leave_before(request):
    """GOAWAY: this one was not looked at."""
    request.goaway(request.stream - 2)


def leave_after(request):
    """GOAWAY: this one was looked at, and nothing is heard of it."""
    request.goaway(request.stream)
    request.connection.end()


def hold(request):
    request.connection.app.held.append(request)


def break_off(request):
    request.begin(b"only this")
    request.reset()


BODY = b"b" * 3000
BODIES = (("GET", None), ("POST", None), ("POST", BODY), ("POST", b"b" * 200_000))


def test_not_processed_is_sent_again():
    """REFUSED_STREAM and GOAWAY both say so; what method it is does not matter, a body is sent again as it was."""
    for way in (refuse, leave_before):
        for host in ("app", "never"):  # with and without a policy: one more try is the pool's own
            for n, (method, body) in enumerate(BODIES[:3]):
                path = f"/{way.__name__}/{host}/{n}"
                app.plans[path] = [way]
                check(ask(path, method, body, host)[:2] == (200, b"as asked"), path)
                came = app.of(path)
                check(len(came) == 2 and all(r.body == (body or b"") for r in came), f"{path}: {len(came)}")
                check(way is refuse or came[0].connection is not came[1].connection, "not on one that said GOAWAY")


def test_refused_and_refused():
    app.plans["/again"] = [refuse] * 3
    check(ask("/again", "POST", BODY)[0] == 200, "by the pool, then by Istio's default policy")
    check(len(app.of("/again")) == 4, f"{len(app.of('/again'))}")
    app.plans["/enough"] = [refuse] * 9
    status, _, why = ask("/enough", "POST", BODY)
    check(status == 503 and "UC,URX" in why, f"{status} {why}")
    check(len(app.of("/enough")) == 4, f"{len(app.of('/enough'))}")


def test_a_body_too_long_to_keep_is_sent_once():
    app.plans["/long"] = [refuse]
    status, _, why = ask("/long", "POST", BODIES[3][1])
    check(status == 503 and "REFUSED_STREAM" in why, f"{status} {why}")
    check(len(app.of("/long")) == 1, "once")


def test_perhaps_processed_is_sent_once():
    """Whatever was or may have been looked at is not for us to repeat."""
    def reset(request):
        request.reset(INTERNAL)

    def cancel(request):
        request.reset(CANCEL)

    def end(request):
        request.connection.end()
    for way in (reset, cancel, end, leave_after):
        for method, body in (("POST", None), ("POST", BODY)):
            path = f"/{way.__name__}/{len(body or b'')}"
            app.plans[path] = [way]
            status, _, why = ask(path, method, body)
            check(status == 503 and "UC" in why, f"{path}: {status} {why}")
            check(len(app.of(path)) == 1, f"{path}: sent {len(app.of(path))} times")
    app.plans["/reset/get"] = [reset]
    check(ask("/reset/get")[0] == 503 and len(app.of("/reset/get")) == 1, "a stream's reset is no stale connection")
    app.plans["/left/get"] = [leave_after]
    check(ask("/left/get")[0] == 200 and len(app.of("/left/get")) == 2, "a GET on a connection that ends may be")
    app.plans["/policy"] = [reset, end]
    check(ask("/policy", "POST", BODY, "broken")[0] == 200, "an operator may say that it is right")
    check(len(app.of("/policy")) == 3, "with its retries")


def test_broken_off_is_not_repeated():
    for host in ("app", "broken", "all"):
        path = "/half/" + host
        app.plans[path] = [break_off]
        status, body, _ = ask(path, host=host)
        check((status, body) == (200, None), f"{status} {body}")
        check(len(app.of(path)) == 1, "once")
        line = client.access(path=path)
        check(line["response_flags"] == "UC" and "after_response" in line["response_code_details"], f"{line}")
    app.plans["/half.grpc/Call"] = [lambda r: (r.begin(b"\0\0\0\0\1x", [("content-type", "application/grpc")]), r.reset())]
    status, _ = call("/half.grpc/Call", "all")
    check(status != 0 and len(app.of("/half.grpc/Call")) == 1, f"{status}")


def test_goaway_in_the_midst():
    """Of four requests on a connection the endpoint has looked at two: those are answered there, the others elsewhere."""
    app.held = []
    paths = [f"/midst/{i}" for i in range(4)]
    results = {}
    warm = app.of("/warm")
    check(ask("/warm")[0] == 200, "a connection is open")
    home = app.of("/warm")[len(warm)].connection

    def one(path):
        results[path] = ask(path, "POST", BODY)
    callers = []
    for path in paths:
        app.plans[path] = [hold]
        callers.append(threading.Thread(target=one, args=(path,)))
        callers[-1].start()
        wait_until(path, lambda path=path: app.of(path))
    check(all(r.connection is home for r in app.held), "one connection")
    app.held[0].goaway(2**31 - 1)
    app.held[0].goaway(app.held[1].stream)
    wait_until("the other two", lambda: all(len(app.of(p)) == 2 for p in paths[2:]))
    for request in app.held[:2]:
        request.answer(b"held")
    for c in callers:
        c.join()
    check(all(results[p][:2] == (200, b"held") for p in paths[:2]), f"{results}")
    check(all(results[p][:2] == (200, b"as asked") for p in paths[2:]), f"{results}")
    check([len(app.of(p)) for p in paths] == [1, 1, 2, 2], "each as often as it must")
    wait_until("the end of the old connection", lambda: not home.is_alive())


def test_statuses_of_grpc():
    for name, status in STATUSES.items():
        for other in ("cancelled", "deadline-exceeded", "resource-exhausted", "internal", "unavailable"):
            path = f"/{name}/{other}"
            app.plans[path] = [lambda r, other=other: r.grpc(STATUSES[other]), lambda r: r.grpc(0, b"well")]
            told = call(path, name)
            wanted = (0, b"well") if other == name else (STATUSES[other], "told so")
            check(told == wanted, f"{path}: {told}")
            came = app.of(path)
            check(len(came) == (2 if other == name else 1) and all(r.body == came[0].body for r in came), f"{path}")
    for status in (2, 3, 5, 7, 12, 15, 16):  # nobody asked for these
        app.plans[f"/none/{status}"] = [lambda r, status=status: r.grpc(status)]
        check(call(f"/none/{status}", "all")[0] == status and len(app.of(f"/none/{status}")) == 1, f"{status}")
    app.plans["/late/Call"] = [lambda r: r.grpc(14, b"a message")]
    check(call("/late/Call", "all")[0] == 14 and len(app.of("/late/Call")) == 1, "in the trailers it is too late")
    app.plans["/mixed/Call"] = [lambda r: r.grpc(14), lambda r: r.grpc(8), lambda r: r.grpc(0, b"third")]
    check(call("/mixed/Call", "all") == (0, b"third"), "two retries")
    check(client.access(path="/mixed/Call")["response_flags"] in ("", "-"), "no flag")
    app.plans["/spent/Call"] = [lambda r: r.grpc(14)] * 5
    check(call("/spent/Call", "all") == (14, "told so") and len(app.of("/spent/Call")) == 3, "then the last one's answer")


def ejected(host):
    text = get(f"http://{client.ip}:{ADMIN}/clusters")[1].decode()
    return {v for v in ("v1", "v2") if f"||{host}.default.svc.cluster.local::{ips[host + v]}:{APP}"
            "::health_flags::/failed_outlier_check" in text}


def test_ejection():
    """Three in a row, however the endpoint says that it is not well."""
    ways = {"head": lambda r: r.grpc(14), "trailers": lambda r: r.grpc(14, b"half"), "codes": lambda r: r.answer(status=500),
            "resets": lambda r: r.reset()}
    for host, way in ways.items():
        bad, good, path = apps[host + "v1"], apps[host + "v2"], f"/{host}/Call"
        bad.plans[path], good.plans[path] = [way] * 100, [lambda r: r.grpc(0, b"fine")] * 200
        failed = 0
        while not ejected(host) and len(good.of(path)) < 90:
            failed += call(path, host)[0] != 0
        check(ejected(host) == {"v1"} and failed == 3 == len(bad.of(path)), f"{host}: {ejected(host)} after {failed}")
        check(all(call(path, host) == (0, b"fine") for _ in range(10)), "everything goes to the other one")
        check(len(bad.of(path)) == 3, "and nothing to it")
    for status in (3, 5, 7, 16):  # the application's word about the request: it is well
        for v in ("v1", "v2"):
            apps["well" + v].plans[f"/well/{status}"] = [lambda r, status=status: r.grpc(status)] * 20
        check(all(call(f"/well/{status}", "well")[0] == status for _ in range(20)), f"{status}")
    check(not ejected("well"), "nobody is ejected")


def test_streams_at_once():
    """No connection carries more than its endpoint allows, or the DestinationRule."""
    few.held = []
    few.plans["/few"] = [hold] * 20
    check(ask("/few/warm", host="few")[0] == 200, "its SETTINGS are known")
    callers = [threading.Thread(target=ask, args=("/few",), kwargs={"host": "few"}) for _ in range(7)]
    for c in callers:
        c.start()
    wait_until("all seven", lambda: len(few.held) == 7)
    check(max(c.most for c in few.connections) == 2 and not few.refused, f"{[c.most for c in few.connections]}")
    check(len(few.connections) <= 5, "and not one each")
    for r in few.held:
        r.answer()
    for c in callers:
        c.join()
    app.held, before = [], len(app.connections)
    app.plans["/narrow"] = [hold] * 20
    callers = [threading.Thread(target=ask, args=("/narrow",), kwargs={"host": "narrow"}) for _ in range(7)]
    for c in callers:
        c.start()
    wait_until("all seven", lambda: len(app.held) == 7)
    check(max(c.most for c in {r.connection for r in app.held}) <= 3, "maxConcurrentStreams")
    check(len(app.connections) - before <= 3, "and no more connections than that takes")
    for r in app.held:
        r.answer()
    for c in callers:
        c.join()


def test_streams_at_once_before_anything_is_known():
    """The first requests find no connection and know no SETTINGS: what is refused goes elsewhere."""
    few = apps["cold"]
    few.held, told = [], []
    few.plans["/cold"] = [hold] * 20
    callers = [threading.Thread(target=lambda: told.append(ask("/cold", "POST", BODY, "cold"))) for _ in range(7)]
    for c in callers:
        c.start()
    wait_until("all seven", lambda: len(few.held) == 7)
    for r in few.held:
        r.answer()
    for c in callers:
        c.join()
    check([t[0] for t in told] == [200] * 7 and len(few.of("/cold")) == 7, f"{told}")


def test_an_application_of_ours():
    """The same between a sidecar and its application, where there is no route and so no policy."""
    at = server.ip, IN
    for way in (refuse, leave_before):
        for n, (method, body) in enumerate(BODIES[:3]):
            path = f"/in/{way.__name__}/{n}"
            inside.plans[path] = [way]
            check(ask(path, method, body, "inside", at)[:2] == (200, b"as asked"), path)
            check(len(inside.of(path)) == 2 and inside.of(path)[1].body == (body or b""), path)
    inside.plans["/in/reset"] = [lambda r: r.reset()]
    check(ask("/in/reset", "POST", BODY, "inside", at)[0] == 503 and len(inside.of("/in/reset")) == 1, "once")


def copy_of(where, path):
    came = wait_until(f"the copy of {path}", lambda: where.of(path))[0]
    check(came.fields["traceparent"].endswith("-00"), f"a copy is no part of the trace: {came.fields}")
    return came


def test_mirrors():
    """A copy to an endpoint that speaks only HTTP/2, in plaintext and in the mesh's TLS, of requests of either version."""
    spy, pieces = apps["spy"], [b"p" * 70_000] * 4
    for host, where in (("copied", spy), ("copied-from-h1", spy), ("copied-safely", inside), ("copied-outside", apps["outside"])):
        for n, (method, body) in enumerate(BODIES):
            path = f"/{host}/{n}"
            check(ask(path, method, body, host)[0] == 200, f"{path}: the caller's own answer")
            copy = copy_of(where, path)
            check((copy.method, copy.body) == (method, body or b""), f"{path}: {copy.method} {len(copy.body)}")
            check(copy.fields[":authority"] == host + "-shadow", f"{copy.fields}")
        path = f"/{host}/pieces"
        check(ask(path, "POST", iter(pieces), host)[0] == 200, f"{path}: of unknown length")
        check(copy_of(where, path).body == b"".join(pieces), "every byte of it")
        if host != "copied-from-h1":
            app.plans[f"/{host}/Call"] = [lambda r: r.grpc(0, b"well")]
            check(call(f"/{host}/Call", host, b"q" * 1000) == (0, b"well"), "gRPC")
            check(copy_of(where, f"/{host}/Call").body == b"\0\0\0\3\xe8" + b"q" * 1000, "and its copy")
    for asked, told in (("copied:80", "copied-shadow:80"), ("copied.default", "copied.default-shadow")):
        check(ask("/host/" + asked, host=asked)[0] == 200, asked)
        check(copy_of(spy, "/host/" + asked).fields[":authority"] == told, f"{asked} becomes {told}")
    xfcc = copy_of(inside, "/copied-safely/0").fields["x-forwarded-client-cert"]
    check("URI=spiffe://cluster.local/ns/default/sa/client" in xfcc, f"by mutual TLS: {xfcc}")
    check(tally('mirrored_requests_total{outcome="lost"}') == 0, "none is lost")
    check(tally('upstream_tls_handshakes_total{resumed="yes"}') >= 4, "one handshake with certificates is enough")
    wait_until("copies to end", lambda: not any(c.is_alive() for c in spy.connections))


def test_mirrors_that_do_not_listen():
    """What the copy's endpoint does, the request does not feel."""
    deaf, before = apps["deaf"], tally('mirrored_requests_total{outcome="lost"}')
    deaf.takes_bodies = False  # no window ever opens
    check(ask("/deaf/long", "POST", b"d" * 3_000_000, "copied-to-deaf")[0] == 200, "the request")
    wait_until("the copy is cut", lambda: tally('mirrored_requests_total{outcome="lost"}') == before + 1)
    deaf.plans["/deaf/reset"] = [refuse]
    check(ask("/deaf/reset", "GET", None, "copied-to-deaf")[0] == 200, "the request")
    wait_until("the copy is lost", lambda: tally('mirrored_requests_total{outcome="lost"}') == before + 2)
    check(len(deaf.of("/deaf/reset")) == 1, "and not tried again")


run(globals(), sys.argv[2:])
