"""h2_raw.py - an HTTP/2 client that sends whatever it is told, and looks at frames."""
import socket
import time

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# Static table entries a response's :status may be (RFC 7541 appendix A).
STATUSES = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    if len(value) < 127:
        return bytes([len(value)]) + value
    left, out = len(value) - 127, b"\x7f"
    while left >= 128:
        out, left = out + bytes([left % 128 + 128]), left // 128
    return out + bytes([left]) + value


def block(fields):
    """HPACK: literals without indexing and without Huffman."""
    return b"".join(b"\0" + text(n) + text(v) for n, v in fields)


class H2:
    def __init__(self, ip, port, tls=None, settings=b"", sni=None, preface=None):
        """preface: instead of that and SETTINGS."""
        self.sock = socket.create_connection((ip, port), 20)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname=sni)
        self.rest, self.next = b"", 1
        self.sock.sendall(preface or PREFACE + frame(SETTINGS, 0, 0, settings))

    def send(self, kind, flags, stream, payload=b""):
        self.sock.sendall(frame(kind, flags, stream, payload))

    def head(self, fields, is_end=True):
        """The new stream's number."""
        stream, self.next = self.next, self.next + 2
        self.send(HEADERS, END_HEADERS | (END_STREAM if is_end else 0), stream, block(fields))
        return stream

    def get(self, path, authority="web", *fields):
        return self.head([(":method", "GET"), (":scheme", "http"), (":authority", authority), (":path", path),
                          *fields])

    def frames(self, seconds=10):
        """Until the connection ends or nothing comes for that long: (kind, flags, stream, payload)."""
        deadline = time.monotonic() + seconds
        while True:
            while len(self.rest) >= 9:
                size = int.from_bytes(self.rest[:3], "big")
                if len(self.rest) < 9 + size:
                    break
                kind, flags = self.rest[3], self.rest[4]
                stream = int.from_bytes(self.rest[5:9], "big")
                payload, self.rest = self.rest[9:9 + size], self.rest[9 + size:]
                if kind == SETTINGS and not flags & ACK:
                    self.send(SETTINGS, ACK, 0)
                yield kind, flags, stream, payload
            self.sock.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                more = self.sock.recv(65536)
            except (TimeoutError, OSError):
                return
            if not more:
                return
            self.rest += more

    def outcome(self, stream, seconds=10):
        """("answer", status or None, body), ("reset", code), ("goaway", code) or ("nothing",)."""
        status, body = None, b""
        for kind, flags, of, payload in self.frames(seconds):
            if kind == GOAWAY and int.from_bytes(payload[4:8], "big"):
                return "goaway", int.from_bytes(payload[4:8], "big")
            if of != stream:
                continue
            if kind == RST_STREAM:
                return "reset", int.from_bytes(payload, "big")
            if kind == HEADERS and status is None:
                status = STATUSES.get(payload[0] & 0x7f if payload[0] & 0x80 else 0, 0)
            if kind == DATA:
                body += payload
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                return "answer", status, body
        return ("nothing",)

    def close(self):
        self.sock.close()
