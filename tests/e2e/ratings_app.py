"""ratings_app.py - one instance of a service that is healthy, fails or never answers, as told.

HOST PORT. GET /mode/ok, /mode/fail, /mode/hang, /mode/reset change it; /times gives the seconds at
which requests came (monotonic), /forget empties them. Everything else is a request."""
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

state = {"mode": "ok", "seen": []}


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def do_GET(self):
        body = self.body()
        if self.path.startswith("/mode/"):
            state["mode"] = self.path[6:]
            self.answer(200, b"")
        elif self.path == "/times":
            self.answer(200, json.dumps(state["seen"]).encode())
        elif self.path == "/forget":
            state["seen"] = []
            self.answer(200, b"")
        else:
            self.work(body)

    def work(self, body):
        state["seen"].append([time.monotonic(), self.command, len(body)])
        mode = state["mode"]
        if mode == "fail-once":
            state["mode"], mode = "ok", "fail"
        if mode == "hang":
            threading.Event().wait(60)
        if mode in ("hang", "reset"):
            self.close_connection = True
        elif mode == "fail":
            self.answer(503, b"failing on purpose\n")
        else:
            self.answer(200, b"%s %d" % (sys.argv[1].encode(), len(body)))

    do_POST = do_PUT = do_GET


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


Server((sys.argv[1], int(sys.argv[2])), App).serve_forever()
