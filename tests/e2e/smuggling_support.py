"""smuggling_support.py - a sidecar and a gateway in front of a backend that writes down every byte."""
import os
import pathlib
import re
import socket
import sys
import threading

import support
from support import check, folder, wait_until

# the tests that use this may run at the same time
NET = {"test_smuggling": "127.1.33", "test_neighbours": "127.1.35"}[pathlib.Path(sys.argv[0]).stem]
BACKEND, ADMIN, READY, PROM, OUT, IN, GATE = range(21900, 21907)
SIDECAR, GATEWAY, SERVER = f"{NET}.1", f"{NET}.2", f"{NET}.10"
PORTS = {"outbound": (SIDECAR, OUT), "inbound": (SIDECAR, IN), "gateway": (GATEWAY, GATE)}

OBJECTS = """apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: default }}
spec: {{ selector: {{ app: {name} }}, ports: [{{ name: http, port: 80, targetPort: {port} }}] }}
---
apiVersion: v1
kind: Pod
metadata: {{ name: {name}-v1, namespace: default, labels: {{ app: {name}, version: v1 }} }}
spec: {{ serviceAccountName: {name} }}
status: {{ phase: Running, podIP: {ip} }}
---
"""
DOOR = """apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: door, namespace: default }}
spec:
  selector: {{ istio: ingressgateway }}
  servers: [{{ port: {{ number: {port}, name: http, protocol: HTTP }}, hosts: ["*"] }}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: door, namespace: default }}
spec: {{ hosts: ["*"], gateways: [door], http: [{{ route: [{{ destination: {{ host: server }} }}] }}] }}
"""


def start_proxy(program, role, services, ip, app=(SERVER, BACKEND)):
    """services: {name: (ip, port)}"""
    config = f"{folder}/{role}-{ip}"
    os.makedirs(config, exist_ok=True)
    with open(f"{config}/mesh.yaml", "w", encoding="utf-8") as f:
        for name, (address, port) in services.items():
            f.write(OBJECTS.format(name=name, ip=address, port=port))
        if role == "gateway":
            f.write(DOOR.format(port=GATE))
    child = support.start(
        f"{role}-{ip}", program, f"--role={role}", f"--config={config}", f"--workload={role}-v1",
        f"--listen={ip}", "--labels=istio=ingressgateway", f"--outbound-port={OUT}",
        f"--inbound-port={IN}", f"--admin-port={ADMIN}", f"--readiness-port={READY}",
        f"--prometheus-port={PROM}", f"--app={app[0]}:{app[1]}",
        f"--access-log={folder}/{role}-{ip}.access", "--log-level=warn")
    wait_port(ip, GATE if role == "gateway" else IN)
    return child


def wait_port(ip, port):
    def is_open():
        socket.create_connection((ip, port), 1).close()
        return True
    wait_until(f"{ip}:{port}", is_open)


def stop(child):
    child.may_end = True
    return support.stop(child)


class Recorder:
    """Takes connections and tells what one reading of their bytes is. Every request gets `answer`."""

    def __init__(self, ip=SERVER, port=BACKEND):
        self.answer = lambda head: b"HTTP/1.1 200 OK\r\nX-Backend: 1\r\nContent-Length: 2\r\n\r\nok"
        self.connections, self.threads = [], []
        self.listener = socket.create_server((ip, port), backlog=256)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            s, _ = self.listener.accept()
            s.settimeout(60)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            kept = bytearray()
            self.connections.append(kept)
            t = threading.Thread(target=self.serve, args=(s, kept), daemon=True)
            self.threads.append(t)
            t.start()

    def serve(self, s, kept):
        done = 0
        try:
            while piece := s.recv(65536):
                kept += piece
                while (end := request_end(kept, done)) > done:
                    s.sendall(self.answer(bytes(kept[done:end])))
                    done = end
        except (OSError, ValueError):
            pass  # what is wrong with it stands in `kept`
        s.close()

    def finish(self):
        """Once the proxies have ended: ([complete request], [incomplete rest])"""
        for t in self.threads:
            t.join(20)
            check(not t.is_alive(), "a connection to the backend never ended")
        whole, parts = [], []
        for kept in self.connections:
            done = 0
            while (end := request_end(kept, done)) > done:
                whole.append(bytes(kept[done:end]))
                done = end
            if done < len(kept):
                parts.append(bytes(kept[done:]))
        return whole, parts


LINE = re.compile(rb"[A-Z]+ (/[!-\"$-~]*|\*) HTTP/1\.1\Z")
FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ([!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?)?\Z")


def head_of(raw):
    """The fields of a head by lower-case name; ValueError when it is not canonical."""
    lines = raw.split(b"\r\n")
    if b"\r" in raw.replace(b"\r\n", b"") or b"\n" in raw.replace(b"\r\n", b""):
        raise ValueError(f"bare CR or LF: {raw[:300]!r}")
    if not LINE.match(lines[0]):
        raise ValueError(f"request line: {lines[0]!r}")
    fields = {}
    for line in lines[1:]:
        if not FIELD.match(line):
            raise ValueError(f"field: {line!r}")
        name, value = line.split(b": ", 1)
        fields.setdefault(name.lower(), []).append(value)
    if len(fields.get(b"host", [])) != 1:
        raise ValueError(f"Host: {fields.get(b'host')}")
    lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
    if len(lengths) + len(codings) > 1 or any(c != b"chunked" for c in codings):
        raise ValueError(f"framing: {lengths} {codings}")
    if lengths and not re.match(rb"(0|[1-9][0-9]*)\Z", lengths[0]):
        raise ValueError(f"length: {lengths}")
    return fields


def request_end(kept, at):
    """Where the request at `at` ends; `at` itself when it is not complete."""
    end = kept.find(b"\r\n\r\n", at)
    if end < 0:
        return at
    fields = head_of(bytes(kept[at:end]))
    end += 4
    if b"content-length" in fields:
        whole = end + int(fields[b"content-length"][0])
        return whole if len(kept) >= whole else at
    return chunks_end(kept, end, at) if b"transfer-encoding" in fields else end


def chunks_end(kept, end, at):
    while (line := kept.find(b"\r\n", end)) >= 0:
        if not re.match(rb"(0|[1-9a-f][0-9a-f]*)\Z", kept[end:line]):
            raise ValueError(f"chunk size: {bytes(kept[end:line])!r}")
        size = int(kept[end:line], 16)
        end = line + 2
        if size == 0:
            return trailers_end(kept, end, at)
        if len(kept) < end + size + 2:
            return at
        if kept[end + size:end + size + 2] != b"\r\n":
            raise ValueError(f"chunk end: {bytes(kept[end + size:end + size + 20])!r}")
        end += size + 2
    return at


def trailers_end(kept, end, at):
    while (line := kept.find(b"\r\n", end)) >= 0:
        field = bytes(kept[end:line])
        end = line + 2
        if not field:
            return end
        if not FIELD.match(field) or field.lower().startswith((b"content-length", b"transfer-enc", b"host")):
            raise ValueError(f"trailer: {field!r}")
    return at


def talk(address, data, seconds=20):
    """All that comes back until the end."""
    got = b""
    try:
        with socket.create_connection(address, 20) as s:
            s.settimeout(seconds)
            s.sendall(data)
            while piece := s.recv(65536):
                got += piece
    except TimeoutError:
        got += b"<no end>"
    except ConnectionError:
        pass
    return got


def final_statuses(got):
    """Statuses of the answers; those before the final one do not count."""
    return [int(n) for n in re.findall(rb"HTTP/1\.1 (\d{3}) [ -~]*\r\n", got) if int(n) >= 200]
