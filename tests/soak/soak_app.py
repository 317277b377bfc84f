"""soak_app.py HOST PORT NAME http|grpc|tcp - the application behind a sidecar in the soak. http: small and big answers,
bodies counted, upgrades echoed; tcp: bytes echoed; a thread a connection. grpc: tests/e2e/grpc_app.py."""
import hashlib
import os
import socket
import sys
import threading

HOST, PORT, NAME, KIND = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode(), sys.argv[4]
BIG = bytes(range(256)) * 4096  # 1 MiB


def read_head(s, got):
    while b"\r\n\r\n" not in got:
        piece = s.recv(65536)
        if not piece:
            return None, b""
        got += piece
    head, rest = got.split(b"\r\n\r\n", 1)
    return head.split(b"\r\n"), rest


def read_body(s, lines, rest):
    """(digest of the body, what came behind it)"""
    fields = dict(line.lower().split(b": ", 1) for line in lines[1:])
    left, sum_ = int(fields.get(b"content-length", 0)), hashlib.sha256()
    if fields.get(b"transfer-encoding") == b"chunked":
        while True:
            while b"\r\n" not in rest:
                rest += s.recv(65536)
            size, rest = rest.split(b"\r\n", 1)
            left = int(size, 16)
            while len(rest) < left + 2:
                rest += s.recv(65536)
            sum_.update(rest[:left])
            rest = rest[left + 2:]
            if left == 0:
                return sum_.hexdigest().encode(), rest
    sum_.update(rest[:left])
    left, rest = left - min(left, len(rest)), rest[left:]
    while left:
        piece = s.recv(min(left, 65536))
        if not piece:
            raise OSError("cut off")
        sum_.update(piece)
        left -= len(piece)
    return sum_.hexdigest().encode(), rest


def echo(s, first=b""):
    s.sendall(first)
    while piece := s.recv(65536):
        s.sendall(piece)


def serve(s):
    got = b""
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        if KIND == "tcp":
            echo(s)
            s.close()
            return
        while True:
            lines, got = read_head(s, got)
            if lines is None:
                break
            path = lines[0].split()[1]
            if path == b"/echo":
                echo(s, b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + got)
                break
            digest, got = read_body(s, lines, got)
            answer = BIG if path == b"/big" else NAME + b" " + digest
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
    except (OSError, ValueError):
        pass
    s.close()


if KIND == "grpc":
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
    import grpc_app
    grpc_app.serve(f"{HOST}:{PORT}")[0].wait_for_termination()
listener = socket.create_server((HOST, PORT), backlog=256)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
