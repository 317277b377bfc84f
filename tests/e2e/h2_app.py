"""h2_app.py - an application that speaks HTTP/2 frame by frame, and so can misbehave in every way a test wants.

What a request gets is the next of its path's `plans`, or an answer. HPACK is read by nghttp2, because callers compress."""
import ctypes
import socket
import threading

from h2_raw import (ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS,
                    WINDOW_UPDATE, block, frame)

NO_ERROR, INTERNAL, REFUSED, CANCEL = 0, 2, 7, 8
MAX_STREAMS = 3  # SETTINGS_MAX_CONCURRENT_STREAMS


class Field(ctypes.Structure):
    _fields_ = [("name", ctypes.POINTER(ctypes.c_char)), ("value", ctypes.POINTER(ctypes.c_char)),
                ("name_len", ctypes.c_size_t), ("value_len", ctypes.c_size_t), ("flags", ctypes.c_uint8)]


class Inflater:
    """One direction's HPACK state."""
    lib = ctypes.CDLL("libnghttp2.so.14")
    lib.nghttp2_hd_inflate_hd2.restype = ctypes.c_ssize_t

    def __init__(self):
        self.state = ctypes.c_void_p()
        self.lib.nghttp2_hd_inflate_new(ctypes.byref(self.state))

    def fields(self, data):
        found, at = {}, 0
        while True:
            one, flags = Field(), ctypes.c_int(0)
            used = self.lib.nghttp2_hd_inflate_hd2(self.state, ctypes.byref(one), ctypes.byref(flags), data[at:],
                                                   ctypes.c_size_t(len(data) - at), 1)
            assert used >= 0, used
            at += used
            if flags.value & 2:
                found[one.name[:one.name_len].decode()] = one.value[:one.value_len].decode()
            if flags.value & 1 or (not used and not flags.value):
                break
        self.lib.nghttp2_hd_inflate_end_headers(self.state)
        return found


class Request:
    def __init__(self, connection, stream, fields):
        self.connection, self.stream, self.fields, self.body = connection, stream, fields, b""
        self.path, self.method = fields.get(":path"), fields.get(":method")

    def answer(self, body=b"as asked", fields=(), trailers=None, status=200):
        whole = block([(":status", str(status)), *fields])
        last = frame(HEADERS, END_HEADERS | END_STREAM, self.stream, block(trailers)) if trailers else b""
        is_end = body is None and not last
        self.connection.send(frame(HEADERS, END_HEADERS | (END_STREAM if is_end else 0), self.stream, whole) + (
            frame(DATA, 0 if last else END_STREAM, self.stream, body) if body is not None else b"") + last)
        self.connection.open.discard(self.stream)

    def begin(self, body, fields=()):
        """A response that goes on."""
        self.connection.send(frame(HEADERS, END_HEADERS, self.stream, block([(":status", "200"), *fields])) +
                             frame(DATA, 0, self.stream, body))

    def grpc(self, status, message=None):
        """Without a message the status stands in the head."""
        kind, end = ("content-type", "application/grpc"), [("grpc-status", str(status)), ("grpc-message", "told so")]
        if message is None:
            self.answer(None, [kind, *end])
        else:
            self.answer(b"\0" + len(message).to_bytes(4, "big") + message, [kind], end)

    def reset(self, code=INTERNAL):
        self.connection.send(frame(RST_STREAM, 0, self.stream, code.to_bytes(4, "big")))
        self.connection.open.discard(self.stream)

    def goaway(self, last, code=NO_ERROR):
        self.connection.send(frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big")))


class Connection(threading.Thread):
    def __init__(self, app, sock, number):
        super().__init__(daemon=True)
        self.app, self.sock, self.number = app, sock, number
        self.lock, self.requests, self.open, self.most = threading.Lock(), {}, set(), 0
        self.start()

    def send(self, data):
        with self.lock:
            try:
                self.sock.sendall(data)
            except OSError:
                pass

    def end(self):
        self.sock.shutdown(socket.SHUT_RDWR)

    def run(self):
        try:
            self.talk(self.sock.makefile("rb"))
        except (OSError, ValueError):
            pass
        self.sock.close()

    def talk(self, stream):
        if stream.read(len(PREFACE)) != PREFACE:
            return
        self.send(frame(SETTINGS, 0, 0, self.app.settings))
        inflater, head = Inflater(), b""
        while len(top := stream.read(9)) == 9:
            kind, flags, of = top[3], top[4], int.from_bytes(top[5:], "big")
            payload = stream.read(int.from_bytes(top[:3], "big"))
            if kind == SETTINGS and not flags & ACK:
                self.send(frame(SETTINGS, ACK, 0))
            elif kind == PING and not flags & ACK:
                self.send(frame(PING, ACK, 0, payload))
            elif kind == RST_STREAM:
                self.open.discard(of)
            elif kind in (HEADERS, 9):
                head += payload
                if flags & END_HEADERS:
                    fields, head = inflater.fields(head), b""
                    if of not in self.requests:
                        self.requests[of] = Request(self, of, fields)
                        self.open.add(of)
                        self.most = max(self.most, len(self.open))
            elif kind == DATA:
                self.requests[of].body += payload
                if payload and self.app.takes_bodies:
                    more = len(payload).to_bytes(4, "big")
                    self.send(frame(WINDOW_UPDATE, 0, 0, more) + frame(WINDOW_UPDATE, 0, of, more))
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                self.app.came(self.requests[of])


class App:
    """streams: how many it takes at once on a connection; others are refused."""

    def __init__(self, ip, port, streams=None, tls=None):
        self.streams, self.plans, self.seen, self.refused, self.connections = streams, {}, [], [], []
        self.takes_bodies, self.tls, self.names = True, tls, []
        self.settings = MAX_STREAMS.to_bytes(2, "big") + streams.to_bytes(4, "big") if streams else b""
        self.door = socket.create_server((ip, port), backlog=100)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            sock = self.door.accept()[0]
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            self.connections.append(Connection(self, sock, len(self.connections)))

    def came(self, request):
        if self.streams and len(request.connection.open) > self.streams:
            self.refused.append(request)
            request.reset(REFUSED)
            return
        self.seen.append(request)
        plan = self.plans.get(request.path)
        (plan.pop(0) if plan else Request.answer)(request)

    def of(self, path):
        return [r for r in self.seen if r.path == path]
