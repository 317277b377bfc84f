"""intercept_app.py - the application of test_intercept.py, in its network namespace: HTTP at 8080 and 8081 that tells who called, a
server that speaks first at 2525 and 2526, echo at 9997 to 9999. Both families."""
import http.server
import json
import socket
import threading


class App(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        text = json.dumps({"peer": self.client_address[0].replace("::ffff:", ""), "path": self.path,
                           "xfcc": self.headers.get("x-forwarded-client-cert", "")}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class Web(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


def serve(port, greeting):
    def one(s):
        s.sendall(greeting)
        while piece := s.recv(65536):
            s.sendall(piece)
        s.close()
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


for port, greeting in ((2525, b"220 ready\r\n"), (2526, b"220 odd\r\n"), (9997, b""), (9998, b""), (9999, b"")):
    threading.Thread(target=serve, args=(port, greeting), daemon=True).start()
threading.Thread(target=Web(("::", 8081), App).serve_forever, daemon=True).start()
Web(("::", 8080), App).serve_forever()
