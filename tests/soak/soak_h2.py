"""soak_h2.py - callers that speak HTTP/2, several requests at once on a connection: h2c to the sidecar, TLS to the
gateway. A connection is left when the proxy says GOAWAY; no request may be lost on the way."""
import hashlib
import os
import select
import time

import hpack

from h2_raw import (ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, H2, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE,
                    block)
from soak_callers import Caller

WINDOW = 1 << 20  # ours, of a stream
INITIAL_WINDOW_SIZE = 4


class Stream:
    def __init__(self, body, room):
        self.left, self.room, self.got, self.status, self.why, self.is_done = body, room, b"", None, None, False

    def fail(self, why):
        self.why, self.is_done = why, True


class Connection(H2):
    """Sends and receives within the windows; finds out why a request failed."""

    def __init__(self, door, host):
        super().__init__(*door.h2, tls=door.tls, sni=host if door.tls else None,
                         settings=INITIAL_WINDOW_SIZE.to_bytes(2, "big") + WINDOW.to_bytes(4, "big"))
        self.scheme, self.host = "https" if door.tls else "http", host
        self.send(WINDOW_UPDATE, 0, 0, (1 << 24).to_bytes(4, "big"))
        self.room, self.stream_room, self.decoder = 65535, 65535, hpack.Decoder()
        self.is_over, self.streams = False, {}

    def close(self):
        self.sock.close()

    def pull(self, seconds):
        """Takes in what has come; waits for it that long."""
        pending = self.scheme == "https" and self.sock.pending()
        if not pending and not select.select([self.sock], [], [], seconds)[0]:
            return
        more = self.sock.recv(1 << 18)
        if not more:
            self.is_over = True
            for s in self.streams.values():
                s.fail("the connection ended")
        self.rest += more
        while len(self.rest) >= 9 and len(self.rest) >= 9 + int.from_bytes(self.rest[:3], "big"):
            size = int.from_bytes(self.rest[:3], "big")
            kind, flags, of = self.rest[3], self.rest[4], int.from_bytes(self.rest[5:9], "big")
            payload, self.rest = self.rest[9:9 + size], self.rest[9 + size:]
            self.take(kind, flags, of, payload)

    def take(self, kind, flags, of, payload):
        number = int.from_bytes(payload[:4], "big") if len(payload) >= 4 else 0
        s = self.streams.get(of)
        if kind == SETTINGS and not flags & ACK:
            self.take_settings(payload)
        elif kind == PING and not flags & ACK:
            self.send(PING, ACK, 0, payload)
        elif kind == WINDOW_UPDATE and of == 0:
            self.room += number
        elif kind == GOAWAY:
            self.is_over = True
            for n, stream in self.streams.items():
                if n > number:
                    stream.fail(f"GOAWAY refuses it, code {int.from_bytes(payload[4:8], 'big')}")
        elif kind == HEADERS:
            self.take_head(s, flags, payload)
        elif kind == DATA and payload:
            self.send(WINDOW_UPDATE, 0, 0, len(payload).to_bytes(4, "big"))
            if s and not flags & END_STREAM:
                self.send(WINDOW_UPDATE, 0, of, len(payload).to_bytes(4, "big"))
        if not s:
            return
        if kind == RST_STREAM:
            s.fail(f"reset with {number}, status {s.status}")
        elif kind == WINDOW_UPDATE:
            s.room += number
        elif kind == DATA:
            s.got += payload
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            s.is_done = True

    def take_settings(self, payload):
        for at in range(0, len(payload), 6):
            if int.from_bytes(payload[at:at + 2], "big") == INITIAL_WINDOW_SIZE:
                size = int.from_bytes(payload[at + 2:at + 6], "big")
                for s in self.streams.values():
                    s.room += size - self.stream_room
                self.stream_room = size
        self.send(SETTINGS, ACK, 0)

    def take_head(self, s, flags, payload):
        if not flags & END_HEADERS:
            raise ValueError("a head in several frames")
        fields = dict(self.decoder.decode(payload))
        if s and s.status is None:
            s.status = fields[":status"]

    def begin(self, method, path, body):
        fields = [(":method", method), (":scheme", self.scheme), (":authority", self.host), (":path", path)]
        n, self.next = self.next, self.next + 2
        self.streams[n] = Stream(body, self.stream_room)
        self.send(HEADERS, END_HEADERS | (0 if body else END_STREAM), n, block(fields))
        return self.streams[n]

    def push(self):
        """As much of the bodies as the windows take."""
        for n, s in self.streams.items():
            while s.left and not s.is_done and min(s.room, self.room) > 0:
                part = s.left[:min(s.room, self.room, 16384)]
                s.left = s.left[len(part):]
                s.room, self.room = s.room - len(part), self.room - len(part)
                self.send(DATA, 0 if s.left else END_STREAM, n, part)

    def ask_all(self, requests):
        """The streams of [(method, path, body)], all done."""
        begun = [self.begin(*r) for r in requests]
        deadline = time.monotonic() + 40
        while not all(s.is_done for s in begun):
            self.push()
            self.pull(1)
            if time.monotonic() > deadline:
                raise ValueError("no answer in 40 s")
        self.streams = {n: s for n, s in self.streams.items() if not s.is_done}
        return begun


class Http2(Caller):
    KINDS = {"web": ("h2", "h2", "h2_rest", "h2_put"), "store": ("h2_big", "h2_post")}

    def ask_all(self, requests, size=None):
        if self.c:
            self.c.pull(0)  # a GOAWAY that came meanwhile
        if self.c and self.c.is_over:
            self.drop()
        if not self.c:
            self.c = Connection(self.door, self.door.host(self.service))
        done = self.c.ask_all(requests)
        self.asked += len(requests) - 1
        for (_, _, body), s in zip(requests, done):
            if s.why or s.status != "200":
                return s.why or f"{s.status} {s.got[:300]!r}"
            if size is not None and len(s.got) != size:
                return f"{len(s.got)} bytes"
            if size is None and not s.got.endswith(hashlib.sha256(body).hexdigest().encode()):
                return f"{s.got[:100]!r}"
        return None

    def h2(self):
        time.sleep(0.005)
        return self.ask_all([("GET", "/x", b"")] * self.dice.randrange(1, 10))

    def h2_rest(self):
        time.sleep(self.dice.uniform(0, 0.6))
        return self.ask_all([("GET", "/x", b"")])

    def h2_put(self):
        time.sleep(0.02)
        return self.ask_all([("PUT", "/x", b"p" * self.dice.randrange(1, 30000))] * self.dice.randrange(1, 4))

    def h2_big(self):
        time.sleep(0.1)
        return self.ask_all([("GET", "/big", b"")] * 2, size=1 << 20)

    def h2_post(self):
        time.sleep(0.1)
        return self.ask_all([("POST", "/x", os.urandom(self.dice.randrange(1, 1 << 19)))] * 2)
