"""proxy_app.py - an HTTP/1.1 application with the habits a proxy meets. HOST PORT"""
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def body(self):
        """Pieces of the request body as they come."""
        if self.headers.get("transfer-encoding", "") == "chunked":
            while True:
                size = int(self.rfile.readline().split(b";")[0], 16)
                if size == 0:
                    while self.rfile.readline() not in (b"\r\n", b""):
                        pass
                    return
                yield self.rfile.read(size)
                self.rfile.readline()
        else:
            left = int(self.headers.get("content-length", 0))
            while left:
                piece = self.rfile.read(min(left, 65536))
                left -= len(piece)
                yield piece

    def answer(self, status, body, *headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunk(self, piece):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def handle_expect_100(self):
        if self.path.startswith("/refuse"):
            self.answer(417, b"no\n")
            return False
        return super().handle_expect_100()

    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/headers":
            body = json.dumps([[k.lower(), v] for k, v in self.headers.items()]).encode()
            self.answer(200, body, ("content-type", "application/json"))
        elif path == "/echo":
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for piece in self.body():
                if piece:
                    self.chunk(piece)
            self.wfile.write(b"0\r\nx-sum: 1\r\n\r\n")
        elif path == "/sink":
            total = sum(len(p) for p in self.body())
            self.answer(200, b"%d" % total)
        elif path == "/until-close":
            self.send_response(200)
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(b"x" * 100000)
            self.close_connection = True
        elif path == "/big":
            n = int(self.path.split("n=")[1])
            self.send_response(200)
            self.send_header("content-length", str(n))
            self.end_headers()
            while n and self.command != "HEAD":
                piece = b"b" * min(n, 65536)
                self.wfile.write(piece)
                n -= len(piece)
        elif path == "/slow":
            time.sleep(float(self.path.split("s=")[1]))
            self.answer(200, b"slow\n")
        elif path == "/reset":
            self.close_connection = True
        elif path == "/cut":
            self.send_response(200)
            self.send_header("content-length", "1000")
            self.end_headers()
            self.wfile.write(b"only this")
            self.close_connection = True
        elif path == "/then-close":  # keep-alive said, closed all the same
            self.answer(200, b"bye\n")
            self.close_connection = True
        elif path == "/empty":
            self.send_response(204)
            self.end_headers()
        elif path == "/garbage":
            self.wfile.write(b"SSH-2.0-OpenSSH_9\r\n")
            self.close_connection = True
        else:
            self.answer(404, b"the application knows no such path\n")

    do_POST = do_PUT = do_HEAD = do_DELETE = do_GET


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


Server((sys.argv[1], int(sys.argv[2])), App).serve_forever()
