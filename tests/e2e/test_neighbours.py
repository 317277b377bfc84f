"""The proxy beside nginx, HAProxy, Apache and lighttpd, in front of each and behind each, while mutated
requests go through: no hop may see a request that the hop before it did not count as one. Both hops'
access logs are compared when both have ended. Usage: test_neighbours.py TULLE_PROXY [SEED]"""
import collections
import json
import os
import random
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

import support
from smuggling_support import IN, NET, OUT, Recorder, start_proxy, stop, talk, wait_port
from support import check, folder

PROXY, SEED = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
ORIGIN, FRONT = 21920, 21921  # a neighbour's two ports: it answers; it passes on to the proxy
MUTANTS = 120                 # for each neighbour and direction
LAST = b"GET /last%06d HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n"
IS_ROOT = os.getuid() == 0

NGINX = """daemon off; pid {to}/pid; error_log {to}/error.log; worker_processes 1; {user}
events {{ worker_connections 512; }}
http {{
  log_format line '$request';
  access_log {to}/access.log line;
  client_body_temp_path {to}/a; proxy_temp_path {to}/b; fastcgi_temp_path {to}/c; uwsgi_temp_path {to}/d;
  scgi_temp_path {to}/e;
  upstream proxy {{ server {proxy}; keepalive 8; }}
  server {{ listen {ip}:{origin}; location / {{ return 200 "ok"; }} }}
  server {{ listen {ip}:{front};
    location / {{ proxy_pass http://proxy; proxy_http_version 1.1; proxy_set_header Connection "";
                  proxy_request_buffering off; proxy_next_upstream off; }} }}
}}
"""
HAPROXY = """global
  log stdout format raw local0
defaults
  mode http
  timeout client 20s
  timeout server 20s
  timeout connect 5s
  log global
  log-format "%r %ST %ts %b/%s %rc"
frontend origin
  bind {ip}:{origin}
  http-request return status 200 content-type text/plain string ok
frontend front
  bind {ip}:{front}
  default_backend proxy
backend proxy
  http-reuse always
  server proxy {proxy}
"""
APACHE = """ServerRoot {to}
ServerName server
PidFile {to}/pid
ErrorLog {to}/error.log
Mutex fcntl:{to}
{modules}
{user}
Listen {ip}:{origin}
Listen {ip}:{front}
StartServers 1
ThreadsPerChild 16
MaxRequestWorkers 16
LogFormat "%r" line
CustomLog {to}/access.log line
DocumentRoot {to}/www
<Directory {to}/www>
  Require all granted
</Directory>
<VirtualHost {ip}:{front}>
  ProxyPass / http://{proxy}/ keepalive=On
</VirtualHost>
"""
LIGHTTPD = """server.modules = ("mod_accesslog", "mod_proxy")
server.document-root = "{to}/www"
server.bind = "{ip}"
server.port = {origin}
server.errorlog = "{to}/error.log"
server.stream-request-body = 2
accesslog.filename = "{to}/access.log"
accesslog.format = "%r"
$SERVER["socket"] == "{ip}:{front}" {{
  proxy.server = ("" => (("host" => "{proxy_ip}", "port" => {proxy_port})))
}}
"""
MODULES = ("mpm_event", "authz_core", "proxy", "proxy_http")


def apache_modules():
    where = next((d for d in ("/usr/lib/apache2/modules", "/usr/lib64/httpd/modules") if os.path.isdir(d)), "")
    return "\n".join(f"LoadModule {m}_module {where}/mod_{m}.so" for m in MODULES)


# name: (program, configuration, arguments)
NEIGHBOURS = {
    "nginx": ("nginx", NGINX, ["-e", "{to}/error.log", "-c", "{to}/conf"]),
    "haproxy": ("haproxy", HAPROXY, ["-db", "-f", "{to}/conf"]),
    "apache": ("apache2", APACHE, ["-DFOREGROUND", "-f", "{to}/conf"]),
    "lighttpd": ("lighttpd", LIGHTTPD, ["-D", "-f", "{to}/conf"]),
}


def program_of(name):
    program = NEIGHBOURS[name][0]
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


class Neighbour:
    def __init__(self, name, ip, proxy):
        _, conf, argv = NEIGHBOURS[name]
        self.name, self.ip, self.to = name, ip, f"{folder}/{name}"
        os.makedirs(f"{self.to}/www")
        user = {"nginx": "user root;", "apache": "User www-data\nGroup www-data"}.get(name, "") if IS_ROOT else ""
        with open(f"{self.to}/conf", "w", encoding="utf-8") as f:
            f.write(conf.format(to=self.to, ip=ip, origin=ORIGIN, front=FRONT, proxy=f"{proxy}:{IN}", proxy_ip=proxy,
                                proxy_port=IN, user=user, modules=apache_modules()))
        self.child = support.start(name, program_of(name), *(a.format(to=self.to) for a in argv))
        wait_port(ip, ORIGIN)
        wait_port(ip, FRONT)

    def targets(self):
        """What it says it was asked for."""
        path = support.log_of(self.name) if self.name == "haproxy" else f"{self.to}/access.log"
        with open(path, encoding="utf-8", errors="replace") as f:
            return ids(line for line in f if " HTTP/1." in line or "BADREQ" in line)


def ids(lines):
    """Requests by the number in their path; those without one under their whole line."""
    seen = collections.Counter()
    for line in lines:
        m = re.search(r"(p|smuggled|second|last)\d{6}", line)
        seen[m[0] if m else line.strip()] += 1
    return seen


def proxy_targets(ip, only_sent):
    """What the proxy counted, from its access log; only_sent: what it passed on."""
    with open(f"{folder}/sidecar-{ip}.access", encoding="utf-8") as f:
        told = [json.loads(line) for line in f]
    return ids(f"{t['path']}" for t in told if t.get("upstream_host") or not only_sent)


def numbered(seen, first):
    """Those of one direction; a head too broken to have a target has no number."""
    wanted = {}
    for key, n in seen.items():
        m = re.search(r"\d{6}\Z", key)
        if m and first <= int(m[0]) < first + 1000:
            wanted[key] = n
    return collections.Counter(wanted)


class Maker:
    """Mutants of requests that hide another one in what only one of two readers takes for a body."""
    LENGTHS = (b"Content-Length: %d", b"Content-Length:%d", b"content-length: %d ", b"Content-Length: +%d",
               b"Content-Length : %d", b"Content-Length: %d, %d", b"Content-Length:\x0b%d", b"Content-Length: 0%d",
               b"Content_Length: %d", b"Content-Length\t: %d", b"A: b\nContent-Length: %d", b"A: b\r\n Content-Length: %d",
               b"Content-Length: %d\r\nContent-Length: 0", b"Content-Length:\r\n %d", b"A: b\rContent-Length: %d")
    CODINGS = (b"Transfer-Encoding: chunked", b"Transfer-Encoding:chunked", b"transfer-encoding: CHUNKED",
               b"Transfer-Encoding : chunked", b"Transfer-Encoding: xchunked", b"Transfer-Encoding:\tchunked",
               b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding:\x0bchunked",
               b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding:\r\n chunked", b" Transfer-Encoding: chunked",
               b"A: b\nTransfer-Encoding: chunked", b"Transfer-Encoding: \"chunked\"", b"Transfer-Encoding: chunked;a=b",
               b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", b"Transfer_Encoding: chunked", b"A: b\rTransfer-Encoding: chunked",
               b"Transfer-Encoding: ,chunked", b"Transfer-Encoding\x00: chunked", b"Connection: Transfer-Encoding")
    SIZES = (b"%x", b"0%x", b"%x;a=b", b"%x ", b" %x", b"0x%x", b"+%x", b"%x;a\n", b"%x\t", b"%X", b"100000000000000%02x")
    ENDS = (b"\r\n",) * 6 + (b"\n", b"\r", b"")
    ODD = (b"\x00", b"\x0b", b"\r", b"\n", b" ", b"\t", b":", b"\r\n ", b"\x7f", b"\xff")

    def __init__(self, seed):
        self.any = random.Random(seed)

    def chunks(self, hidden):
        r = self.any
        body = b""
        if r.random() < 0.5:
            size = r.choice(self.SIZES) % len(hidden)
            body = size + r.choice(self.ENDS) + hidden + r.choice(self.ENDS)
        last = b"0" + r.choice(self.ENDS) + r.choice((b"", b"", b"A: b\r\n", b"Content-Length: 9\r\n", b"A: b\n"))
        return body + last + r.choice(self.ENDS) + (b"" if body else hidden)

    def request(self, number):
        r = self.any
        hidden = b"GET /smuggled%06d HTTP/1.1\r\nHost: server\r\nA: b\r\n\r\n" % number
        fields = [b"Host: server"]
        kind = r.choice(("length", "coding", "both", "neither"))
        body = hidden
        if kind in ("coding", "both"):
            fields.append(r.choice(self.CODINGS))
            body = self.chunks(hidden)
        if kind in ("length", "both"):
            bytes_ = r.choice((len(body), len(body), 0, 4, len(body) - 1))
            text = r.choice(self.LENGTHS)
            fields.append(text.replace(b"%d", b"%d" % bytes_))
        if r.random() < 0.2:
            fields.append(r.choice((b"Connection: Content-Length", b"Expect: 100-continue", b"Connection: keep-alive",
                                    b"X: y", b"Trailer: A", b"Host: other", b"Upgrade: h2c", b"Connection: Host, close")))
        r.shuffle(fields)
        version = r.choice((b"1.1",) * 8 + (b"1.0", b"1.2"))
        target = r.choice((b"/p%06d",) * 6 + (b"http://server/p%06d", b"/p%06d?a=/b", b"/p%06d#x")) % number
        method = r.choice((b"POST", b"POST", b"GET", b"PUT", b"HEAD", b"OPTIONS"))
        head = method + b" " + target + b" HTTP/" + version + b"\r\n" + b"\r\n".join(fields) + b"\r\n\r\n"
        if r.random() < 0.25:  # one byte more or another one, somewhere
            at = r.randrange(len(head))
            head = head[:at] + r.choice(self.ODD) + head[at + r.randrange(2):]
        return head + body + LAST % number


def plain(number):
    first = b"POST /p%06d HTTP/1.1\r\nHost: server\r\nContent-Length: 4\r\n\r\nabcd" % number
    return first + b"GET /second%06d HTTP/1.1\r\nHost: server\r\n\r\n" % number + LAST % number


def send_all(address, first, seed):
    """Mutants that wait for more than they get end by the time-out, which nothing is made of."""
    maker = Maker(seed)
    todo = [(maker.request(first + i), 1) for i in range(MUTANTS)]
    sure = [(plain(first + MUTANTS + i), 20) for i in range(10)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda t: talk(address, *t), todo))
        return sum(got.count(b"HTTP/1.1 ") for got in pool.map(lambda t: talk(address, *t), sure))


def compare(name, front, back, first):
    """Nothing at the back that the front did not count; and what is beyond doubt at both."""
    extra = back - front
    check(not extra, f"{name}: the hop behind saw what the one in front did not: {dict(extra)} (seed {SEED})")
    for number in range(first + MUTANTS, first + MUTANTS + 10):
        for path in (f"p{number:06}", f"second{number:06}", f"last{number:06}"):
            check(front[path] == back[path] == 1, f"{name}: {path}: {front[path]} and {back[path]}")
    hidden = sum(n for path, n in back.items() if path.startswith("smuggled"))
    print(f"{name}: {sum(front.values())} requests in front, {sum(back.values())} behind, "
          f"{hidden} that both took for pipelined")


def main():
    addresses = {name: f"{NET}.{20 + i}" for i, name in enumerate(NEIGHBOURS) if program_of(name)}
    missing = [NEIGHBOURS[name][0] for name in NEIGHBOURS if name not in addresses]
    backend = Recorder(f"{NET}.10", ORIGIN)
    runs = []
    for i, (name, ip) in enumerate(addresses.items()):
        before, behind = f"{NET}.{30 + i}", f"{NET}.{40 + i}"
        origin = {"server": (ip, ORIGIN)}
        proxies = [start_proxy(PROXY, "sidecar", origin, before),
                   start_proxy(PROXY, "sidecar", {"server": (f"{NET}.10", ORIGIN)}, behind, (f"{NET}.10", ORIGIN))]
        neighbour = Neighbour(name, ip, behind)
        first = 1000 * (2 * i + 1)
        sent = send_all((before, OUT), first, SEED * 100 + i), send_all((ip, FRONT), first + 1000, SEED * 100 + 50 + i)
        check(min(sent) >= 30, f"{name}: {sent} answers to 30 plain requests")
        runs.append((name, neighbour, proxies, before, behind, first))
    for name, neighbour, proxies, before, behind, first in runs:
        statuses = [stop(p) for p in proxies] + [stop(neighbour.child)]
        check(statuses[:2] == [0, 0], f"{name}: exit statuses {statuses}")
        told = neighbour.targets()
        compare(f"tulle-proxy, {name}", proxy_targets(before, True), numbered(told, first), first)
        compare(f"{name}, tulle-proxy", numbered(told, first + 1000),
                numbered(proxy_targets(behind, False), first + 1000), first + 1000)
    whole, parts = backend.finish()
    seen = ids(r.split(b" ", 2)[1].decode("latin-1") for r in whole)
    sent = sum((proxy_targets(run[4], True) for run in runs), collections.Counter())
    check(not seen - sent, f"the backend saw {dict(seen - sent)} too many")
    print(f"behind all: {len(whole)} requests and {len(parts)} parts at the backend")
    if missing:
        print(f"not tested, because not installed (tools/packages.txt, group test): {', '.join(missing)}")
        sys.exit(77)
    print("ok")


main()
