"""Requests and responses that can be read in two ways are refused, on every port of the proxy; what
does go on has one reading. The backend's bytes are checked after both sides have ended, so nothing
here waits for anything. Usage: test_smuggling.py TULLE_PROXY"""
import re
import sys
from concurrent.futures import ThreadPoolExecutor

import smuggling_shapes as shapes
from smuggling_support import (BACKEND, GATEWAY, IN, OUT, PORTS, SERVER, SIDECAR, Recorder, final_statuses,
                               start_proxy, stop, talk)
from support import check

PROXY = sys.argv[1]
LAST = b"GET /last HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n"
failures = []


def expect(condition, text):
    if not condition:
        failures.append(text)


def rows():
    """(name, bytes, want)"""
    yield from ((name, raw, shapes.HEAD) for name, raw in shapes.heads())
    yield from ((name, raw, shapes.BODY) for name, raw in shapes.bodies())
    yield from shapes.served()


def send(row):
    port, ident, name, raw, want = row
    got = talk(PORTS[port], raw.replace(b"{P}", b"/p%d" % ident).replace(b"{X }", b"%04d" % ident) + LAST)
    statuses = final_statuses(got)
    what = f"{port}: {name}"
    expect(b"<no end>" not in got, f"{what}: the connection stays open after {got[:200]!r}")
    if want in (shapes.HEAD, shapes.BODY):
        refusals = set(range(400, 500)) | {501, 505}
        expect(len(statuses) == 1 and statuses[0] in refusals and b"onnection: close" in got,
               f"{what}: answered {statuses}")
    else:
        expect(statuses[:want] == [200] * want and len(statuses) == max(want + 1, 1), f"{what}: answered {statuses}")
    return statuses.count(200)


def test_requests():
    backend = Recorder()
    services = {"server": (SERVER, BACKEND)}
    proxies = [start_proxy(PROXY, "sidecar", services, SIDECAR), start_proxy(PROXY, "gateway", services, GATEWAY)]
    todo = [(port, 0, *row) for port in PORTS for row in rows()]
    todo = [(row[0], i, *row[2:]) for i, row in enumerate(todo)]
    with ThreadPoolExecutor(6) as pool:
        answered = sum(pool.map(send, todo))
    for child in proxies:
        expect(stop(child) == 0, f"{child.tulle_name} ended with {child.returncode}")
    try:
        whole, parts = backend.finish()
    except ValueError as e:
        failures.append(f"what reached the backend has no one reading: {e}")
        return
    targets = [r.split(b" ", 2)[1] for r in whole]
    expect(len(whole) == answered, f"{len(whole)} requests reached the backend, {answered} were answered with 200")
    expect(not any(b"smuggled" in t for t in targets), f"smuggled: {[t for t in targets if b'smuggled' in t]}")
    reached = {t for t in targets if t.startswith(b"/p")}
    begun = {r.split(b" ", 2)[1] for r in parts}
    for port, ident, name, _, want in todo:
        path = b"/p%d" % ident
        is_served = want not in (shapes.HEAD, shapes.BODY)
        expect((path in reached) == is_served, f"{port}: {name}: {'did not reach' if is_served else 'reached'} the backend")
        expect(path not in begun or want == shapes.BODY, f"{port}: {name}: a part reached the backend")
    head = next(r for r in whole if b" /p%d " % next(i for _, i, name, _, _ in todo if name == "absolute form, other Host") in r)
    expect(b"\r\nhost: server\r\n" in head, f"absolute form: {head!r}")
    print(f"{len(todo)} request shapes, {len(whole)} requests reached the backend")


def test_responses():
    """Every answer twice on one connection: whatever it leaves behind must not answer the second request."""
    told = list(shapes.answers())
    backend = Recorder(SERVER, BACKEND + 60)
    backend.answer = lambda head: (told[int(m[1])][1] if (m := re.match(rb"[A-Z]+ /a(\d+)", head)) else shapes.OK)
    here = {"server": (SERVER, BACKEND + 60)}
    child = start_proxy(PROXY, "sidecar", here, SIDECAR, (SERVER, BACKEND + 60))
    for port in (OUT, IN):
        for i, (name, _, want) in enumerate(told):
            first = b"POST /a%d HTTP/1.1\r\nHost: server\r\nContent-Length: 2\r\n\r\nhi" % i
            got = talk((SIDECAR, port), first + LAST)
            statuses = final_statuses(got)
            what = f"{port}: upstream says {name}"
            expect(b"X-Evil" not in got and b"<no end>" not in got, f"{what}: {got[-400:]!r}")
            if want == "502":
                expect(statuses in ([502], [502, 200]), f"{what}: {statuses}")
            elif want == "ok":
                expect(len(statuses) == 2 and statuses[1] == 200, f"{what}: {statuses}")
            elif want == "cut":
                expect(statuses == [200] and not got.endswith(b"0\r\n\r\n"), f"{what}: {got!r}")
            elif want == "flood":
                expect(statuses[:1] != [200] and got.count(b" 103 ") < 100, f"{what}: {statuses}, {got.count(b' 103 ')}")
            if statuses[:1] == [204]:
                expect(b"ontent-" not in got.split(b"\r\n\r\n")[0] and b"ransfer-" not in got.split(b"\r\n\r\n")[0],
                       f"{what}: {got!r}")
            again = final_statuses(talk((SIDECAR, port), LAST))
            expect(again == [200], f"{what}: the next request is answered {again}")
    expect(stop(child) == 0, f"{child.tulle_name} ended with {child.returncode}")
    print(f"{2 * len(told)} response shapes")


test_requests()
test_responses()
for text in failures:
    print("-", text)
check(not failures, f"{len(failures)} shapes are not as they should be")
print("ok")
