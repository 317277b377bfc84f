"""soak_callers.py - callers whose every answer is checked: what all have in common, and those that speak HTTP/1."""
import hashlib
from http.client import HTTPConnection, HTTPException
import os
import random
import socket
import threading
import time


class Caller(threading.Thread):
    """One kind of caller, at one door. Its method `kind` does what it does once, and tells what was wrong."""
    made = []
    errors = (OSError, HTTPException, ValueError)

    def __init__(self, mesh, kind, door, service):
        super().__init__(daemon=True)
        self.mesh, self.kind, self.door, self.service = mesh, kind, door, service
        self.asked, self.cut, self.wrong, self.over, self.c = 0, 0, [], threading.Event(), None
        self.dice = random.Random(len(Caller.made))
        Caller.made.append(self)

    def __str__(self):
        return f"{self.kind} of {self.service} via {self.door.name}"

    def run(self):
        while not self.over.is_set():
            try:
                why = getattr(self, self.kind)()
            except self.errors as e:
                why = repr(e)
                self.drop()
            self.asked += 1
            if why:
                self.wrong.append(f"{time.strftime('%H:%M:%S')} {self}: {why}")
                time.sleep(0.05)
        self.drop()

    def drop(self):
        if self.c:
            self.c.close()
        self.c = None


class Http1(Caller):
    KINDS = {"web": ("keep", "new", "rest", "rest", "put"), "store": ("big", "post", "chunked", "tunnel", "tunnel")}

    def ask(self, method, path, body=None, keeps=True, size=None, **fields):
        if not self.c:
            self.c = HTTPConnection(*self.door.plain, timeout=40)
        self.c.request(method, path, body=body, headers={"Host": self.door.host(self.service), **fields},
                       encode_chunked="Transfer-Encoding" in fields)
        r = self.c.getresponse()
        text = r.read()
        if r.will_close or not keeps:
            self.drop()
        if r.status != 200:
            return f"{r.status} {text[:300]!r}"
        if size is not None:
            return None if len(text) == size else f"{len(text)} bytes"
        whole = b"".join(body) if isinstance(body, list) else body or b""
        return None if text.endswith(hashlib.sha256(whole).hexdigest().encode()) else f"{text[:100]!r}"

    def keep(self):
        return self.ask("GET", "/x")

    def new(self):
        time.sleep(0.005)
        return self.ask("GET", "/x", keeps=False)

    def rest(self):
        time.sleep(self.dice.uniform(0, 0.6))
        return self.ask("GET", "/x")

    def put(self):
        time.sleep(0.01)
        return self.ask("PUT", "/x", body=b"p" * self.dice.randrange(1, 30000))

    def big(self):
        time.sleep(0.05)
        return self.ask("GET", "/big", size=1 << 20)

    def post(self):
        time.sleep(0.05)
        return self.ask("POST", "/x", body=os.urandom(self.dice.randrange(1, 1 << 20)))

    def chunked(self):
        time.sleep(0.05)
        return self.ask("POST", "/x", body=[os.urandom(20000) for _ in range(10)], **{"Transfer-Encoding": "chunked"})

    def tunnel(self):
        """A WebSocket's upgrade, then bytes both ways for a while."""
        with socket.create_connection(self.door.plain, 40) as s:
            s.sendall(f"GET /echo HTTP/1.1\r\nHost: {self.door.host(self.service)}\r\nConnection: Upgrade\r\n"
                      "Upgrade: websocket\r\n\r\n".encode())
            got = b""
            while b"\r\n\r\n" not in got:
                piece = s.recv(4096)
                if not piece:
                    return f"no upgrade: {got[:200]!r}"
                got += piece
            if not got.startswith(b"HTTP/1.1 101 "):
                return f"{got[:300]!r}"
            for _ in range(self.dice.randrange(1, 30)):
                why = echo(s, os.urandom(self.dice.randrange(1, 20000)))
                if why:
                    return why
                time.sleep(0.05)
        return None


def echo(s, sent):
    """What is wrong with what comes back."""
    s.sendall(sent)
    back = b""
    while len(back) < len(sent):
        piece = s.recv(65536)
        if not piece:
            return f"cut after {len(back)} of {len(sent)} bytes"
        back += piece
    return None if back == sent else "other bytes came back"
