"""soak.py TULLE_PROXY TULLE_COLLECTOR [--for SECONDS] - mixed load through a gateway and sidecars with mutual TLS while
everything changes: applications and whole pods die and come back, certificates rotate, rules change every second, and
proxies are followed by new processes. No request fails that had a healthy endpoint; in the end memory and descriptors are
where they were after warming up. Exit status 77 (skipped) without grpcio or hpack.

soak_mesh.py has the mesh, soak_trouble.py what happens to it, soak_callers.py and soak_h2.py, soak_grpc.py, soak_tcp.py
who calls."""
import argparse
import os
import re
import signal
import sys
import time

try:
    import grpc
    import hpack
except ImportError as missing:
    print(missing)
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import support
from certificates import client_tls
from gateway_support import DOOR, HTTPS, OUT
from soak_callers import Caller, Http1
from soak_grpc import Grpc
from soak_h2 import Http2
from soak_mesh import DOMAIN, SHOP, TCP_PORTS, Mesh, state_of
from soak_tcp import Tcp
from soak_trouble import Trouble
from support import Collector, check, wait_until

# Of resident memory between warm and end: libc's rest of a peak; in a short run some have not had theirs yet.
GROWTH_KIB, GROWTH_SHORT_KIB, SHORT_SECONDS = 1024, 2560, 300
GROWTH_COLLECTOR_KIB = 8192
HAND_OVERS = 5


class Door:
    """Where callers come in: the gateway (HTTP/2 and gRPC over TLS) or the client's sidecar (in plaintext)."""

    def __init__(self, mesh, proxy, plain, h2, is_tls):
        self.name, self.ip = proxy.name, proxy.ip
        self.plain, self.h2, self.is_gateway = (proxy.ip, plain), (proxy.ip, h2), is_tls
        self.tls = client_tls(mesh.ca) if is_tls else None
        self.roots = None
        if is_tls:
            self.tls.set_alpn_protocols(["h2"])
            with open(f"{mesh.ca}/ca.crt", "rb") as f:
                self.roots = f.read()

    def host(self, service):
        if not self.is_gateway:
            return service
        return SHOP if service == "web" else f"{service}.{DOMAIN}"

    def tcp(self, service):
        return self.ip, TCP_PORTS[service]


def make_callers(mesh):
    for door in (Door(mesh, mesh.gateway, DOOR, HTTPS, True), Door(mesh, mesh.client, OUT, OUT, False)):
        for kind_of_caller in (Http1, Http2, Grpc, Tcp):
            for service, kinds in kind_of_caller.KINDS.items():
                for kind in kinds:
                    kind_of_caller(mesh, kind, door, service)
    return Caller.made


def works(caller):
    """It gets an answer: rules, pods and certificates are all there."""
    try:
        return getattr(caller, caller.kind)() is None
    except caller.errors:
        caller.drop()
        return False


def at_rest(mesh):
    for p in mesh.long_lived():
        wait_until(f"{p.name}'s callers to be gone",
                   lambda p=p: p.counter("tulle_proxy_downstream_connections ") == 0, 60)


def report(what, state):
    print(f"  {what:<40}" + "  ".join(f"{name} {rss / 1024:.1f} MiB {fds} fds"
                                      for name, (rss, fds, _) in state.items()), flush=True)


def seconds_of(text):
    found = re.fullmatch(r"(\d+)([smh]?)", text)
    seconds = int(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]] if found else 0
    if seconds < 30:
        raise argparse.ArgumentTypeError(f"{text!r}: want 30s or more, as 90s, 10m, 2h")
    return seconds


def watch(mesh, everybody, trouble, seconds):
    """Until the time is over; the state after the hand-overs."""
    began, warm, told = time.monotonic(), None, 0
    while time.monotonic() - began < seconds:
        time.sleep(min(5, seconds / 10))
        elapsed = time.monotonic() - began
        if warm is None and trouble.done.get("hand-overs", 0) == HAND_OVERS and elapsed > seconds * 0.7:
            warm = mesh.state()
            report("warm", warm)
        if elapsed - told >= 30:
            told = elapsed
            report(f"{elapsed:.0f} s, {sum(c.asked for c in everybody)} asked, "
                   f"{sum(len(c.wrong) for c in everybody)} failed", mesh.state())
        check(trouble.failed is None, f"trouble: {trouble.failed}")
    return warm


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("collector")
    parser.add_argument("--for", dest="seconds", type=seconds_of, default="10m", help="90s, 10m, 2h; at least 30s")
    parser.add_argument("--sanitized", action="store_true", help="built with a sanitizer, whose memory grows")
    args = parser.parse_args()
    collector = Collector(args.collector, "--retention=2m")
    descriptors = state_of(collector.child.pid)[1]
    mesh = Mesh(args.program, collector)
    everybody = make_callers(mesh)
    for c in everybody:
        wait_until(str(c), lambda c=c: works(c))
    for c in everybody:
        c.start()
    trouble = Trouble(mesh, args.seconds)
    trouble.start()
    warm = watch(mesh, everybody, trouble, args.seconds)
    trouble.stop()
    check(trouble.failed is None, f"trouble: {trouble.failed}")
    for c in everybody:
        c.over.set()
    for c in everybody:
        c.join(60)
        check(not c.is_alive(), f"{c} hangs")
    tell_counts(mesh, everybody, trouble)
    check_answers(everybody, trouble)
    check(warm is not None, f"the time was too short for {HAND_OVERS} hand-overs and a look after them")
    growth = GROWTH_SHORT_KIB if args.seconds < SHORT_SECONDS else GROWTH_KIB
    check_leaks(mesh, warm, float("inf") if args.sanitized else growth)
    stop_all(mesh, collector, descriptors)
    print("  no request failed")


def tell_counts(mesh, everybody, trouble):
    print("  " + ", ".join(f"{n} {what}" for what, n in sorted(trouble.done.items())))
    by_kind, cut = {}, 0
    for c in everybody:
        by_kind[c.kind] = by_kind.get(c.kind, 0) + c.asked
        cut += c.cut
    print(f"  {sum(by_kind.values())} requests: " + ", ".join(f"{n} {kind}" for kind, n in by_kind.items()))
    print(f"  {cut} streams and connections cut when their pod died")
    for p in (mesh.gateway, mesh.client):
        told = ", ".join(f"{p.counter('tulle_proxy_' + name):.0f} {name}" for name in (
            "upstream_retries_total", "outlier_ejections_total", "outlier_last_resort_total"))
        print(f"  {p.name}, since its hand-over: {told}", flush=True)


def check_answers(everybody, trouble):
    asked, wrong = sum(c.asked for c in everybody), [w for c in everybody for w in c.wrong]
    some = [w for c in everybody for w in c.wrong[:5]]
    check(not wrong, f"{len(wrong)} of {asked} failed:\n" + "\n".join(sorted(some)))
    for what in ("applications killed", "certificates rotated", "changes of rules", "hand-overs"):
        check(trouble.done.get(what), f"no {what}")
    for c in everybody:
        check(c.asked > 2, f"{c} asked {c.asked} times")


def check_leaks(mesh, warm, growth_of_proxies):
    at_rest(mesh)
    end = mesh.state()
    report("at rest in the end", end)
    for name, (rss, fds, pid) in end.items():
        growth = max(GROWTH_COLLECTOR_KIB, growth_of_proxies) if name == "collector" else growth_of_proxies
        check(pid == warm[name][2], f"{name} is another process than before")
        check(rss - warm[name][0] <= growth, f"{name} grew from {warm[name][0]} to {rss} KiB")
        if name != "collector":  # whose callers are still there
            check(fds <= warm[name][1], f"{name}: {warm[name][1]} descriptors under load, {fds} at rest")
    time.sleep(1)
    for name, (_, fds, _) in mesh.state().items():
        check(fds <= end[name][1] or name == "collector", f"{name}: descriptors grow at rest")


def stop_all(mesh, collector, descriptors):
    """Everything ends by itself and well; the collector is left as it was before anybody called."""
    for child in support.children:
        if child.tulle_name in mesh.proxies:
            status = support.stop(child)
            check(status in (0, -signal.SIGKILL), f"{child.tulle_name}: exit status {status}")
    pid = collector.child.pid
    wait_until("the collector's descriptors to be as before", lambda: state_of(pid)[1] <= descriptors, 30)
    check(support.stop(collector.child) == 0, f"collector: exit status {collector.child.returncode}")


main()
