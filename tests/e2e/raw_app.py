"""raw_app.py - an application on plain sockets that agrees to an upgrade, and then does what the path
says."""
import socket
import struct
import threading

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nx-app: raw\r\n\r\n"


def read_head(s):
    """(head, what came behind it); an empty head at the end of the stream."""
    text = b""
    while b"\r\n\r\n" not in text:
        piece = s.recv(65536)
        if not piece:
            return "", b""
        text += piece
    head, rest = text.split(b"\r\n\r\n", 1)
    return head.decode("latin-1"), rest


def field(head, name):
    """The values of a field, in order."""
    lines = [line.split(":", 1) for line in head.split("\r\n")[1:]]
    return [v.strip() for k, v in lines if k.lower() == name]


def read_all(s):
    total = bytearray()  # appending to bytes would copy all of them each time
    while piece := s.recv(65536):
        total += piece
    return bytes(total)


def reset(s):
    """Closes with a reset."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


class RawApp:
    def __init__(self, ip, port):
        self.heads, self.early, self.ends = [], [], []
        self.go = threading.Event()
        self.listener = socket.create_server((ip, port), backlog=64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            s, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.settimeout(60)
        try:
            while True:
                head, rest = read_head(s)
                if not head:
                    break
                self.heads.append(head)
                action = getattr(self, "on_" + head.split()[1].split("?")[0][1:].replace("-", "_"))
                if not action(s, head, rest):
                    break
        except OSError as e:
            self.ends.append(repr(e))
        s.close()

    def switch(self, s, head, more=b""):
        s.sendall(SWITCH % field(head, "upgrade")[0].encode() + more)

    def on_plain(self, s, *_):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True

    def on_refuse(self, s, *_):
        s.sendall(b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 3\r\n\r\nno\n")
        return True

    def on_vanish(self, *_):
        return False

    def on_other(self, s, *_):
        s.sendall(SWITCH % b"something-else")
        return False

    def on_unasked(self, s, *_):
        s.sendall(SWITCH % b"x-tail")
        return False

    def on_echo(self, s, head, rest):
        self.switch(s, head, rest)
        while piece := s.recv(65536):
            s.sendall(piece)

    def on_early(self, s, head, rest):
        """Nothing may come before the 101."""
        s.settimeout(0.3)
        try:
            rest += s.recv(65536)
        except TimeoutError:
            pass
        s.settimeout(60)
        self.early.append(rest)
        self.switch(s, head, b"hello ")
        while piece := s.recv(65536):
            s.sendall(piece)

    def on_collect(self, s, head, _):
        self.switch(s, head)
        got = read_all(s)
        s.sendall(got)

    def on_first(self, s, head, _):
        """Its own side ends first."""
        self.switch(s, head, b"bye")
        s.shutdown(socket.SHUT_WR)
        self.ends.append(len(read_all(s)))

    def on_hold(self, s, head, _):
        self.switch(s, head)
        self.go.wait(60)
        s.sendall(b"%d" % len(read_all(s)))

    def on_reset(self, s, head, _):
        self.switch(s, head)
        s.recv(5)
        reset(s)

    def on_watch(self, s, head, _):
        """Notes how its caller left."""
        self.switch(s, head, b"ready")
        try:
            read_all(s)
            self.ends.append("end")
        except OSError:
            self.ends.append("reset")
