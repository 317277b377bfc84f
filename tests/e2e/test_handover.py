"""A new process takes the ports over from the old one while requests run: nobody notices, whoever of
the two dies at whatever moment. Usage: test_handover.py TULLE_PROXY"""
from http.client import HTTPConnection, HTTPException
import array
import atexit
import ctypes
import json
import os
import signal
import socket
import sys
import threading
import time

try:
    import grpc
    import grpc_app
except ImportError:  # python3-grpcio
    grpc = None

import support
from certificates import make_ca, mesh_cert
from gateway_support import APP, IN, OUT, READY, Net, Proxy, Server, run
from objects import pod, service
from support import check, folder, http, wait_until

PROXY = sys.argv[1]
net = Net("127.1.84")
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # successors' parents end before them


def processes(p):
    """Living processes of this proxy, oldest first."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                argv = f.read().split(b"\0")
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                fields = f.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        is_our = f"--config={p.config}".encode() in argv and fields[0] != "Z"
        if is_our and int(fields[35]) == signal.SIGCHLD:  # LeakSanitizer's helper of one that ends tells nobody of its end
            found.append((int(fields[19]), int(pid)))
    return [pid for _, pid in sorted(found)]


def end_all():
    """Successors of successors, should a test fail."""
    for name in os.listdir(folder):
        for pid in processes(type("Any", (), {"config": f"{folder}/{name}"})):
            os.kill(pid, signal.SIGKILL)


atexit.register(end_all)


def newest(p):
    """0 in the moment in which one ends and the next is not seen yet."""
    return (processes(p) or [0])[-1]


def reap():
    """Ended processes that became our children."""
    known = {c.pid for c in support.children}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                state, parent = f.read().rsplit(")", 1)[1].split()[:2]
            if state == "Z" and int(parent) == os.getpid() and int(pid) not in known:
                os.waitpid(int(pid), os.WNOHANG)
        except OSError:
            continue


def stop_all(p):
    for pid in processes(p):
        os.kill(pid, signal.SIGTERM)
    wait_until(f"the end of {p.name}", lambda: reap() or p.child.poll() is not None and not processes(p))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Caller(threading.Thread):
    """Asks until stopped. Every failure is kept, the kind that a client's library would retry too."""

    def __init__(self, at, host, path="/x", body=None, keeps=True, pause_s=0.0):
        super().__init__(daemon=True)
        self.at, self.host, self.path, self.body = at, host, path, body
        self.keeps, self.pause_s = keeps, pause_s
        self.asked, self.wrong, self.over = 0, [], threading.Event()
        self.start()

    def run(self):
        c = HTTPConnection(*self.at, timeout=30)
        headers = {"Host": self.host} if self.keeps else {"Host": self.host, "Connection": "close"}
        while not self.over.is_set():
            try:
                c.request("POST" if self.body else "GET", self.path, body=self.body, headers=headers)
                r = c.getresponse()
                text = r.read()
                if r.status != 200 or (self.body and json.loads(text)["body"] != len(self.body)):
                    self.wrong.append(f"{r.status} {text[:200]!r}")
                if r.will_close:
                    c.close()
            except (OSError, HTTPException, ValueError) as e:
                self.wrong.append(f"{time.time():.3f} {e!r}")
                c.close()
            self.asked += 1
            time.sleep(self.pause_s)
        c.close()

    def stop(self):
        self.over.set()
        self.join()
        check(self.asked > 3, f"{self.path} keeps={self.keeps} pause={self.pause_s}: only {self.asked} requests")
        check(not self.wrong, f"{len(self.wrong)} of {self.asked} failed ({self.path}, keeps={self.keeps}, "
              f"pause={self.pause_s}): {self.wrong[:5]}")
        return self.asked


def pair(names=("client", "server"), port_name="http"):
    """Two sidecars with mutual TLS between them, an application behind the second: of gRPC, if its port is called so."""
    ca = make_ca(f"{names[0]}-ca")
    ips = {name: net.address() for name in names}
    objects = "".join(service(n, IN, port_name=port_name) + pod(f"{n}-v1", ip, n, has_sidecar=True)
                      for n, ip in ips.items())
    app = (grpc_app.serve(f"{ips[names[1]]}:{APP}")[0] if port_name == "grpc" else
           Server(ips[names[1]], f"{names[1]}-v1"))
    proxies = []
    for name, ip in ips.items():
        mesh_cert(ca, f"{folder}/certs/{name}", name)
        fixed = type("Fixed", (), {"address": lambda self, ip=ip: ip})()
        proxies.append(Proxy(PROXY, fixed, name, [objects], role="sidecar", labels=f"app={name}", options=[
            f"--certs={folder}/certs/{name}", f"--service-account={name}", f"--handover={folder}/{name}.sock",
            "--drain-timeout=3s"]))
        proxies[-1].child.may_end = True
    return [*(p.wait(OUT).wait(IN) for p in proxies), app]


def alone(name, *options, **more):
    p = Proxy(PROXY, net, name, [net.service(f"app-{name}")], role="sidecar", labels="app=caller",
              options=[f"--handover={folder}/{name}.sock", *options], **more).wait(OUT)
    p.child.may_end = True
    return p


def restart(p, by_signal):
    """A successor, and the wait until it serves."""
    before = processes(p)[-1]
    yielded = p.log().count("handover.yielded")
    if by_signal:
        os.kill(before, signal.SIGUSR2)
    else:
        support.start(p.name, *p.child.args).may_end = True
    wait_until("the successor", lambda: newest(p) not in (0, before) and
               p.log().count("handover.yielded") + p.log().count("handover.no_answer") > yielded)
    reap()


def test_twenty_restarts():
    client, server, _ = pair()
    at, direct = (client.ip, OUT), (server.ip, IN)
    big = b"b" * 300_000
    callers = [Caller(at, "server"), Caller(at, "server", keeps=False), Caller(at, "server", pause_s=0.05),
               Caller(at, "server", pause_s=0.7), Caller(at, "server", keeps=False, pause_s=0.01),
               Caller(at, "server", body=big, pause_s=0.02), Caller(direct, "server"),
               Caller(direct, "server", keeps=False), Caller(direct, "server", pause_s=0.3)]
    for i in range(20):
        restart((client, server)[i % 2], by_signal=i % 4 < 2)
        time.sleep(0.1)
    asked = sum(c.stop() for c in callers)
    print(f"      {asked} requests over 20 restarts, none failed")
    for p in (client, server):
        wait_until("the old processes to end", lambda: reap() or len(processes(p)) == 1)
        pid = processes(p)[-1]
        check(http(f"http://{p.ip}:{READY}/healthz/ready")[0] == 200, "ready")
        at_rest = wait_until("connections to go", lambda: p.counter("tulle_proxy_downstream_connections ") == 0
                             and descriptors(pid))
        restart(p, by_signal=True)
        wait_until("the old process to end", lambda: reap() or len(processes(p)) == 1)
        again = wait_until("the same descriptors", lambda: descriptors(processes(p)[-1]) <= at_rest and
                           descriptors(processes(p)[-1]))
        print(f"      {p.name}: {at_rest} descriptors after 20 restarts, {again} after 21")
    stop_all(client)
    stop_all(server)


class GrpcCaller(Caller):
    """The same on a channel, which stays on a connection until it is told to leave."""

    def run(self):
        client = grpc_app.Client("%s:%d" % self.at, self.host, ("grpc.use_local_subchannel_pool", 1))
        while not self.over.is_set():
            try:
                if self.body:
                    told = client.Echo(self.body) == self.body
                else:
                    told = list(client.Count(b"50")) == [b"%d" % i for i in range(50)]
            except grpc.RpcError as e:
                told = f"{time.time():.3f} {e.code()} {e.details()}"
            if told is not True:
                self.wrong.append(told)
            self.asked += 1
            time.sleep(self.pause_s)
        client.channel.close()


def test_callers_of_grpc():
    if not grpc:
        print("      skipped: python3-grpcio is missing")
        return
    client, server, app = pair(("shopper", "shop"), "grpc")
    at = (client.ip, OUT)
    callers = [GrpcCaller(at, "shop", "Echo", b"e" * 1000), GrpcCaller(at, "shop", "Echo", b"e" * 100_000, pause_s=0.02),
               GrpcCaller(at, "shop", "Count"), GrpcCaller(at, "shop", "Count", pause_s=0.3)]
    for i in range(12):
        restart((client, server)[i % 2], by_signal=i % 4 < 2)
        time.sleep(0.1)
    for p in (client, server):
        wait_until("the old processes to end", lambda p=p: reap() or len(processes(p)) == 1)
    asked = sum(c.stop() for c in callers)
    print(f"      {asked} calls over 12 restarts, none failed")
    stop_all(client)
    stop_all(server)
    app.stop(0)


def test_a_successor_that_cannot_start():
    p = alone("steady")
    caller = Caller((p.ip, OUT), "app-steady")
    broken = f"{p.config}/broken.yaml"
    with open(broken, "w", encoding="utf-8") as f:
        f.write("a: [b")
    os.kill(p.child.pid, signal.SIGUSR2)
    wait_until("its end to be told", lambda: "handover.successor_ended" in p.log() and "handover.lost" in p.log())
    os.remove(broken)
    check(processes(p) == [p.child.pid], "the old process serves on")
    check(p.counter("tulle_proxy_handovers_total{outcome=\"lost\"") == 1, "counted")
    restart(p, by_signal=True)
    caller.stop()
    stop_all(p)


def test_requests_in_flight_have_their_time():
    """Longer than --drain-timeout, which is for a process that nobody follows."""
    p = alone("patient", "--drain-timeout=500ms")
    held = p.connect(OUT)
    held.request("GET", "/hold", headers={"Host": "app-patient"})
    service = net.servers["app-patient-v1"]
    wait_until("the held request", lambda: any(t["path"] == "/hold" for t in service.seen))
    restart(p, by_signal=True)
    time.sleep(1.5)
    check(len(processes(p)) == 2, "the old process waits for its request")
    service.held.set()
    answer = held.getresponse()
    check(answer.status == 200 and answer.getheader("connection") == "close" and answer.read(), answer.status)
    wait_until("its end", lambda: reap() or len(processes(p)) == 1)
    stop_all(p)


def test_a_successor_killed():
    """kill -9 of the new process: the old one, still busy with a request, accepts again."""
    p = alone("back")
    service = net.servers["app-back-v1"]
    held = p.connect(OUT)
    held.request("GET", "/hold", headers={"Host": "app-back"})
    wait_until("the held request", lambda: any(t["path"] == "/hold" for t in service.seen))
    restart(p, by_signal=False)
    old, new = processes(p)
    check(p.who("app-back", port=OUT) == "app-back-v1", "the new one serves")
    os.kill(new, signal.SIGKILL)
    support.children[-1].wait()
    check(p.who("app-back", port=OUT) == "app-back-v1", "the old one serves again, also who waited")
    check(p.counter("tulle_proxy_handovers_total{outcome=\"lost\"") == 1, "counted")
    check(http(f"http://{p.ip}:{READY}/healthz/ready")[0] == 200, "ready")
    service.held.set()
    check(held.getresponse().read() and processes(p) == [old], "nothing of it was cut")
    restart(p, by_signal=False)  # and it can be followed again
    stop_all(p)


def test_a_successor_that_is_stopped():
    """SIGTERM to both, as a supervisor does: neither takes the ports back."""
    p = alone("both", "--drain-timeout=1s")
    service = net.servers["app-both-v1"]
    held = p.connect(OUT)
    held.request("GET", "/hold", headers={"Host": "app-both"})
    wait_until("the held request", lambda: any(t["path"] == "/hold" for t in service.seen))
    restart(p, by_signal=False)
    new = processes(p)[-1]
    os.kill(new, signal.SIGTERM)
    wait_until("its end", lambda: processes(p) == [p.child.pid])
    try:
        p.connect(OUT).close()  # the old process still holds the socket, unheard
    except OSError:
        pass
    check("we accept again" not in p.log(), p.log())
    service.held.set()
    check(held.getresponse().status == 200, "the request in flight")
    wait_until("the end of the old one", lambda: not processes(p))
    held.close()


def test_the_old_one_killed():
    p = alone("orphan")
    held = p.connect(OUT)
    held.request("GET", "/hold", headers={"Host": "app-orphan"})
    wait_until("the held request", lambda: any(t["path"] == "/hold" for t in net.servers["app-orphan-v1"].seen))
    restart(p, by_signal=False)
    os.kill(p.child.pid, signal.SIGKILL)
    p.child.wait()
    caller = Caller((p.ip, OUT), "app-orphan", keeps=False)
    wait_until("requests", lambda: caller.asked > 50)
    restart(p, by_signal=True)
    caller.stop()
    stop_all(p)


class Peer:
    """The other side of the conversation, badly behaved."""

    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.s.settimeout(10)
        self.s.connect(path)

    def ask(self, text):
        self.s.send(text)
        answer, control, _, _ = self.s.recvmsg(256, socket.CMSG_SPACE(64 * 4))
        fds = array.array("i")
        for _, _, data in control:
            fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
        return answer, list(fds)


def test_peers_that_misbehave():
    p = alone("firm")
    path = f"{folder}/firm.sock"
    check(os.stat(path).st_mode & 0o777 == 0o600, "only this user")
    for hello in (b"tulle-handover 2 pid=1", b"GET / HTTP/1.1", b"\0" * 256, b"x"):
        answer, fds = Peer(path).ask(hello)
        check(answer == b"no: version 1 is spoken here" and not fds, f"{hello}: {answer}")
    given, at_rest = 0, descriptors(p.child.pid)
    for _ in range(300):  # asks, takes the sockets, goes: nothing stays behind
        peer = Peer(path)
        answer, fds = peer.ask(b"tulle-handover 1 pid=1 version=x")
        if answer.startswith(b"no: another successor"):
            continue
        check(answer == b"sockets 5" and len(fds) == 5, f"{answer} {fds}")
        other, _ = Peer(path).ask(b"tulle-handover 1 pid=2 version=x")
        check(other == b"no: another successor is being spoken to", other)
        for fd in fds:
            os.close(fd)
        peer.s.close()
        given += 1
    wait_until("the same descriptors", lambda: descriptors(p.child.pid) <= at_rest)
    check(given > 10, f"only {given} came to their turn")
    check(p.who("app-firm", port=OUT) == "app-firm-v1", "it serves")
    # One that says ready and dies: the old process has stopped to accept, and begins again.
    lost = p.counter("tulle_proxy_handovers_total{outcome=\"lost\"")
    peer = wait_until("a turn", lambda: (q := Peer(path)).ask(b"tulle-handover 1 pid=1 version=x")[0]
                      .startswith(b"sockets") and q)
    held = p.connect(OUT)
    held.request("GET", "/hold", headers={"Host": "app-firm"})
    wait_until("the held request", lambda: any(t["path"] == "/hold" for t in net.servers["app-firm-v1"].seen))
    check(peer.ask(b"ready")[0] == b"yours", "it yields")
    waiting = p.connect(OUT)
    waiting.request("GET", "/x", headers={"Host": "app-firm"})
    peer.s.close()
    check(waiting.getresponse().status == 200, "who waited is served")
    check(p.counter("tulle_proxy_handovers_total{outcome=\"lost\"") == lost + 1, "counted")
    net.servers["app-firm-v1"].held.set()
    check(held.getresponse().status == 200, "the held one too")
    stop_all(p)


def test_a_predecessor_that_dies():
    """It dies before it answers, between answer and the end, or answers rubbish: we serve."""
    for name, answer in (("mute", None), ("rude", b"no: go away"), ("odd", b"\xff\xfe"), ("giver", b"sockets 1")):
        path = f"{folder}/{name}.sock"
        door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        door.bind(path)
        door.listen(1)

        def play(door=door, answer=answer, ip=f"{net.net}.{net.next + 1}"):
            peer, _ = door.accept()
            hello = peer.recv(256)
            check(hello.startswith(b"tulle-handover 1 pid="), hello)
            if answer == b"sockets 1":
                port = socket.create_server((ip, OUT))
                socket.send_fds(peer, [answer], [port.fileno(), peer.fileno()])  # one is no listener
                port.close()
            elif answer:
                peer.send(answer)
            peer.close()
            door.close()
        t = threading.Thread(target=play)
        t.start()
        p = alone(name)
        t.join()
        check(p.who(f"app-{name}", port=OUT) == f"app-{name}-v1", "it serves")
        restart(p, by_signal=True)
        stop_all(p)


def test_signals_while_it_starts():
    """SIGHUP and SIGUSR2 do not end a process that is not ready for them: they are followed once it is."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    door.bind(f"{folder}/early.sock")
    door.listen(1)

    def play():
        peer, _ = door.accept()  # the process waits for our answer, in the middle of its start
        pid = int(peer.recv(256).split()[2].removeprefix(b"pid="))
        os.kill(pid, signal.SIGHUP)
        os.kill(pid, signal.SIGUSR2)
        peer.send(b"no: go away")
        peer.close()
        door.close()
    t = threading.Thread(target=play)
    t.start()
    p = alone("early")
    t.join()
    wait_until("the successor", lambda: newest(p) not in (0, p.child.pid) and "handover.yielded" in p.log())
    check(p.who("app-early", port=OUT) == "app-early-v1", "it serves")
    stop_all(p)


ACTIVATED = """#!{python}
import os, socket, sys
s = socket.create_server(("{ip}", {port}), backlog=100)
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv("{proxy}", ["{proxy}"] + sys.argv[1:])
"""


def test_a_supervisor():
    """A socket given by socket activation is used, and who serves is told to the supervisor."""
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.bind(f"{folder}/notify.sock")
    told.settimeout(20)
    os.environ["NOTIFY_SOCKET"] = f"{folder}/notify.sock"
    ip = net.address()
    with open(f"{folder}/activated.py", "w", encoding="ascii") as f:
        f.write(ACTIVATED.format(python=sys.executable, ip=ip, port=OUT, proxy=PROXY))
    os.chmod(f"{folder}/activated.py", 0o755)
    fixed = type("Fixed", (), {"address": lambda self: ip})()
    p = Proxy(f"{folder}/activated.py", fixed, "activated", [net.service("app-given")], role="sidecar",
              labels="app=caller", options=[f"--handover={folder}/activated.sock"]).wait(OUT)
    p.child.may_end = True
    del os.environ["NOTIFY_SOCKET"]
    check(told.recv(100) == b"MAINPID=%d\nREADY=1\n" % p.child.pid, "ready")
    check("handover.activated" in p.log() and "sockets=1" in p.log(), p.log())
    check(p.who("app-given", port=OUT) == "app-given-v1", "it serves")
    os.kill(p.child.pid, signal.SIGUSR2)
    lines = told.recv(100)
    wait_until("the old process to end", lambda: reap() or p.child.poll() is not None)
    new = processes(p)[-1]
    check(lines == b"MAINPID=%d\nREADY=1\n" % new and new != p.child.pid, lines)
    check(p.who("app-given", port=OUT) == "app-given-v1", "the new one serves")
    os.kill(new, signal.SIGTERM)
    check(told.recv(100) == b"STOPPING=1\n", "the old one had not said that it stops")
    wait_until("its end", lambda: reap() or not processes(p))


run(globals(), sys.argv[2:])
