"""tulle inject: what a file describes gets a sidecar, once. Usage: test_inject.py TULLE TULLE_PROXY CORPUS"""
import glob
import json
import os
import subprocess
import sys

import yaml

TULLE, PROXY, CORPUS = sys.argv[1:]
APP = """
      serviceAccountName: shop
      terminationGracePeriodSeconds: 60
      initContainers: [{ name: own, image: x }]
      containers:
      - name: web
        image: web:1
        ports: [{ name: http, containerPort: 8080 }, { name: alt, containerPort: 9000 }]
        readinessProbe: { httpGet: { path: /ok, port: alt, scheme: HTTPS, httpHeaders: [{ name: A, value: 'b"c' }] }, periodSeconds: 3, timeoutSeconds: 2 }
        livenessProbe: { tcpSocket: { port: 8080 } }
        startupProbe: { exec: { command: ["true"] } }
      - name: side
        image: side:1
        livenessProbe: { grpc: { port: 1 } }
        startupProbe: { grpc: { port: 50051, service: shop.v1 }, failureThreshold: 30, timeoutSeconds: 5 }
        readinessProbe: { httpGet: { port: nowhere } }
"""
DEPLOYMENT = """# a comment
apiVersion: apps/v1
kind: Deployment
metadata: { name: shop-v1 }
spec:
  template:
    metadata:
      labels: { app: shop, version: "1" }
      annotations: { %s }
    spec:""" + APP


def check(condition, text):
    if not condition:
        print("FAILED:", text)
        sys.exit(1)


def run(text, *options, status=0):
    r = subprocess.run([TULLE, "inject", *options, "-"], input=text, capture_output=True, text=True, timeout=20,
                       check=False)
    check(r.returncode == status, f"{r.returncode} {r.stderr}")
    return r.stdout, r.stderr


def named(items, name):
    return next(x for x in items if x["name"] == name)


def test_tproxy():
    """The application is to see who calls: Istio's annotation makes both containers agree, and the rules' group stays."""
    out, _ = run(DEPLOYMENT % "sidecar.istio.io/interceptionMode: TPROXY")
    (d,) = yaml.safe_load_all(out)
    init, proxy = d["spec"]["template"]["spec"]["initContainers"][:2]
    check(init["args"] == ["init", "--interception-mode=TPROXY"], init["args"])
    check("--intercept=tproxy" in proxy["args"] and "--intercept=redirect" not in proxy["args"], proxy["args"])
    context = proxy["securityContext"]
    check((context["runAsUser"], context["runAsGroup"], context["runAsNonRoot"]) == (0, 1337, False), context)
    check(context["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}, context)
    out, _ = run(DEPLOYMENT % "sidecar.istio.io/interceptionMode: REDIRECT")
    (d,) = yaml.safe_load_all(out)
    init, proxy = d["spec"]["template"]["spec"]["initContainers"][:2]
    check(init["args"] == ["init"] and "--intercept=redirect" in proxy["args"], f"{init} {proxy}")
    check("add" not in proxy["securityContext"]["capabilities"], proxy)


def test_whole():
    out, told = run(DEPLOYMENT % "traffic.sidecar.istio.io/excludeInboundPorts: \"9\", sidecar.istio.io/proxyCPU: 50m",
                    "--image=i:2", "--send-to=http://c:1")
    check("side: readinessProbe: no port of that name" in told and told.count("\n") == 1, told)
    (d,) = yaml.safe_load_all(out)
    meta, spec = d["spec"]["template"]["metadata"], d["spec"]["template"]["spec"]
    check(meta["labels"] == {"app": "shop", "version": "1", "security.istio.io/tlsMode": "istio",
                             "service.istio.io/canonical-name": "shop",
                             "service.istio.io/canonical-revision": "1"}, meta["labels"])
    check(meta["annotations"]["prometheus.io/port"] == "15090", meta["annotations"])
    check([c["name"] for c in spec["initContainers"]] == ["tulle-init", "tulle-proxy", "own"], "order")
    init, proxy = spec["initContainers"][:2]
    check(init["args"] == ["init", "--exclude-inbound-ports=15090,15021,15020,9"], init["args"])
    check(init["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}, init)
    check(proxy["restartPolicy"] == "Always" and proxy["image"] == "i:2", proxy)
    check(proxy["securityContext"]["runAsUser"] == 1337 and proxy["securityContext"]["runAsNonRoot"] is True, proxy)
    for want in ("--drain-timeout=57s", "--workload=shop-v1", "--app=127.0.0.1:8080", "--collector=http://c:1",
                 "--status-port=15020"):
        check(want in proxy["args"], f"{want}: {proxy['args']}")
    check(proxy["resources"]["requests"] == {"cpu": "50m", "memory": "16Mi"}, proxy["resources"])
    web, side = spec["containers"]
    check(web["readinessProbe"] == {"httpGet": {"path": "/app-health/web/readyz", "port": 15020},
                                    "periodSeconds": 3, "timeoutSeconds": 2}, web["readinessProbe"])
    check(web["startupProbe"] == {"exec": {"command": ["true"]}}, "exec stays")
    check(side["livenessProbe"] == {"httpGet": {"path": "/app-health/side/livez", "port": 15020}}, side["livenessProbe"])
    check(side["startupProbe"] == {"httpGet": {"path": "/app-health/side/startupz", "port": 15020}, "failureThreshold": 30,
                                   "timeoutSeconds": 5}, side["startupProbe"])
    check(side["readinessProbe"] == {"httpGet": {"port": "nowhere"}}, "an unknown name stays")
    probers = json.loads(named(proxy["env"], "TULLE_APP_PROBERS")["value"])
    check(probers == {"/app-health/web/livez": {"tcpSocket": {"port": 8080}},
                      "/app-health/web/readyz": {"httpGet": {"path": "/ok", "port": 9000, "scheme": "HTTPS",
                                                             "httpHeaders": [{"name": "A", "value": 'b"c'}]},
                                                 "timeoutSeconds": 2},
                      "/app-health/side/livez": {"grpc": {"port": 1}},
                      "/app-health/side/startupz": {"grpc": {"port": 50051, "service": "shop.v1"}, "timeoutSeconds": 5}},
          probers)
    check(named(spec["volumes"], "tulle-certs")["secret"]["secretName"] == "tulle-certs-shop", spec["volumes"])
    for args, of in ((proxy["args"], []), (init["args"][1:], ["init"])):
        known = subprocess.run([PROXY, *of, "--help"], capture_output=True, text=True, check=True).stdout
        if of and "--undo" not in known:
            print("      skipped: options of init, which this tulle-proxy does not have")
            continue
        for arg in args:
            check(arg.split("=")[0] in known, f"tulle-proxy {of} knows no {arg}")
    again, told = run(out)
    check(again == out and not told, "a second time changes nothing")


def test_kinds():
    for kind, path in (("StatefulSet", ("spec", "template")), ("DaemonSet", ("spec", "template")),
                       ("Job", ("spec", "template")), ("CronJob", ("spec", "jobTemplate", "spec", "template"))):
        pod = yaml.safe_load(DEPLOYMENT % "")["spec"]["template"]
        for key in reversed(path):
            pod = {key: pod}
        d = yaml.safe_load(run(yaml.safe_dump({"apiVersion": "x/v1", "kind": kind, "metadata": {"name": "n"}, **pod}))[0])
        for key in path:
            d = d[key]
        check(d["spec"]["initContainers"][1]["name"] == "tulle-proxy", kind)
    pod = {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    d = yaml.safe_load(run(yaml.safe_dump({"kind": "List", "items": [pod, {"kind": "Service"}, pod]}))[0])
    check([len(x.get("spec", {}).get("initContainers", [])) for x in d["items"]] == [2, 0, 2], d)
    check(d["items"][0]["metadata"]["labels"]["service.istio.io/canonical-revision"] == "latest", "latest")


def test_left_alone():
    for text in ("kind: Service\nmetadata: {name: s}\n", "- a\n- b\n", "just text\n", "kind: Deployment\n",
                 (DEPLOYMENT % "").replace("serviceAccountName: shop", "hostNetwork: true"),
                 DEPLOYMENT % 'sidecar.istio.io/inject: "false"',
                 (DEPLOYMENT % "").replace("app: shop,", 'app: shop, sidecar.istio.io/inject: "false",')):
        check(yaml.safe_load(run(text)[0]) == yaml.safe_load(text), text)
    # a label is stronger than an annotation
    both = (DEPLOYMENT % 'sidecar.istio.io/inject: "false"').replace("app: shop,", 'app: shop, sidecar.istio.io/inject: "true",')
    check("tulle-init" in run(both)[0], "the label decides")


def test_rubbish():
    check("standard input:2:" in run("a: b\n  - c: [\n", status=1)[1], "place")
    run("kind: List\nitems: &a [{kind: List, items: *a}]\n")
    for path in glob.glob(os.path.join(CORPUS, "*.yaml")):
        r = subprocess.run([TULLE, "inject", path], capture_output=True, timeout=20, check=False)
        check(r.returncode in (0, 1), f"{path}: {r.returncode} {r.stderr}")
    text = (DEPLOYMENT % "").encode()
    for cut in range(0, len(text), 7):
        r = subprocess.run([TULLE, "inject", "-"], input=text[:cut], capture_output=True, timeout=20, check=False)
        check(r.returncode in (0, 1), f"cut at {cut}: {r.returncode} {r.stderr}")
    r = subprocess.run([TULLE, "inject", "/no/such"], capture_output=True, text=True, check=False)
    check(r.returncode == 1 and "/no/such: No such file" in r.stderr, r)


def test_environment():
    """Inside a Pod TULLE_COLLECTOR is the proxies' and must not lead the client astray."""
    env = {"TULLE_COLLECTOR": "http://127.0.0.1:1", "TULLE_API": "http://127.0.0.1:2"}
    r = subprocess.run([TULLE, "edges"], capture_output=True, text=True, env=env, check=False)
    check(r.returncode == 1 and "127.0.0.1:2" in r.stderr + r.stdout, r)
    del env["TULLE_API"]
    r = subprocess.run([TULLE, "edges"], capture_output=True, text=True, env=env, check=False)
    check("127.0.0.1:1:" not in r.stderr and "port 1 " not in r.stderr, r)


for name, test in list(globals().items()):
    if name.startswith("test_"):
        print("case:", name, flush=True)
        test()
