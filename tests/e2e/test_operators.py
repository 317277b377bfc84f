"""What operators look at: access-log formats, the pages of the admin port, reasons of the proxy's own answers.
Usage: test_operators.py TULLE_PROXY"""
import re
import subprocess
import sys

from gateway_support import OUT, Net, Proxy
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


for name, test in list(globals().items()):
    if name.startswith("test_"):
        print("case:", name, flush=True)
        test()
