"""Whatever is asked of any described route, sensible or not, the answer is no 5xx, a 200 fits the
schema in openapi.json, and a refusal is an error object that names its parameter.

Parameters are made from their own descriptions, from values of the right shape, and from rubbish,
by a fixed seed; then every parameter of every route, Jaeger's too, gets each piece of rubbish in turn.
Exit status 77 (skipped) without Python's jsonschema."""
from http.client import HTTPConnection
import json
import random
import sys
import time
import urllib.parse

from support import Collector, access_record, check, fail, get_json, http, send_records, stop

try:
    import jsonschema
except ImportError:
    print("jsonschema is missing")
    sys.exit(77)

ROUNDS = 100  # requests to each route
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
RUBBISH = ["", " ", "0", "-1", "1e400", "NaN", "99999999999999999999", "\u00e9\U0001f980", "%00", "a" * 3000,
           "';--", "{}", "((((", "not", "name = \"", "2026-13-40T00:00:00Z", "0001-01-01T00:00:00Z",
           "9999-12-31T23:59:59Z", "9223372036854775807", "-5m", "1ns", "100000d", "\x7f"]
FILTERS = ["! healthy", "name = web", "(ns = default or rt > 1) and not virtual", "rt >= 0", "has mtls",
           "name = a and rt > 1", "source.name ^= w", "%err > 5 || root", "p99 = NaN", "not not not idle"]
# as it goes onto the wire: what cannot be percent-decoded, or decodes to no UTF-8
RAW = ["%", "%4", "%zz", "%ff", "%c3%28", "%ed%a0%80", "+", "&", "=", "%26%3d", "%0d%0aX:y", "[]", "%00%00"]
JAEGER = {  # what its routes read; those of the id in the path too
    "/api/services": [], "/api/services/web/operations": ["spanKind"], "/api/operations": ["service", "spanKind"],
    "/api/traces": ["service", "operation", "start", "end", "limit", "lookback", "minDuration", "maxDuration", "tags", "tag",
                    "traceID", "prettyPrint", "raw"],
    "/api/traces/" + TRACE: ["start", "end", "prettyPrint", "raw"], "/api/dependencies": ["endTs", "lookback"],
    "/api/metrics/calls": ["service", "groupByOperation", "endTs", "lookback", "step", "ratePer", "spanKind"],
    "/api/metrics/errors": ["service", "endTs", "lookback", "step", "ratePer", "spanKind"],
    "/api/metrics/latencies": ["service", "quantile", "endTs", "lookback", "step", "ratePer", "spanKind"],
    "/api/metrics/minstep": [], "/api/v3/services": [], "/api/v3/operations": ["service", "span_kind"],
    "/api/v3/traces": ["query.service_name", "query.operation_name", "query.start_time_min", "query.start_time_max",
                       "query.duration_min", "query.duration_max", "query.num_traces", "query.attributes", "query.raw_traces"],
    "/api/v3/traces/" + TRACE: ["start_time", "end_time", "raw_traces"],
    "/api/v3/trace-summaries": ["query.service_name", "query.start_time_min", "query.start_time_max", "query.num_traces"],
}
DURATIONS = ["1s", "10s", "1m", "90s", "10m", "1h", "23h", "24h", "30s", "20s"]


def make_data(collector):
    now = time.time_ns()
    records = [{**access_record(*pair, 200 if i % 7 else 503, at_ns=now - i * 1_000_000_000),
                "traceId": TRACE, "spanId": f"{i + 100:016x}"}
               for i in range(30) for pair in (("web", "shop"), ("shop", "db"), ("web", "pay"))]
    check(send_records(collector, records)[0] == 200, "records")
    spans = [{"traceId": TRACE, "spanId": f"{i + 1:016x}", "parentSpanId": f"{i:016x}" if i else "",
              "name": f"op{i % 3}", "kind": 2 + i % 2, "startTimeUnixNano": str(now),
              "endTimeUnixNano": str(now + 1_000_000 * (i + 1)), "status": {"code": i % 3},
              "attributes": [{"key": "peer.service", "value": {"stringValue": "cache"}}]} for i in range(6)]
    body = {"resourceSpans": [{"resource": {"attributes": [
        {"key": "service.name", "value": {"stringValue": name}}]}, "scopeSpans": [{"spans": part}]}
        for name, part in (("web", spans[::2]), ("shop", spans[1::2]))]}
    status, answer = http(collector.otlp + "/v1/traces", json.dumps(body).encode(),
                          {"Content-Type": "application/json"})
    check(status == 200, f"spans: {status} {answer!r}")


class Maker:
    """Values for parameters."""

    def __init__(self, seed, base):
        self.random = random.Random(seed)
        graph = get_json(base + "/api/v1/graph?window=1h")
        self.ids = [x["id"] for x in graph["nodes"] + graph["edges"]]
        check(len(graph["edges"]) >= 3, f"graph: {graph}")

    def time(self):
        at = time.time() - self.random.choice([0, 1, 60, 600, 3600, 1e6, -60])
        return self.random.choice([str(int(at)), str(int(at * 1e3)), str(int(at * 1e9)),
                                   time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))])

    def sensible(self, name, schema):
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        if name in ("from", "to", "at", "baseFrom", "baseTo"):
            return self.time()
        if name in ("window", "step", "minDuration", "maxDuration"):
            return self.random.choice(DURATIONS)
        if name in ("hide", "keep"):
            return self.random.choice(FILTERS)
        if name in ("trace",):
            return TRACE
        if name in ("node", "subject"):
            return self.random.choice(self.ids)
        if name == "attr":
            return self.random.choice(["peer.service=cache", "n=5", 'n="5"', "b=true"])
        if schema.get("type") == "boolean":
            return self.random.choice(["true", "false"])
        if schema.get("type") in ("integer", "number"):
            return str(self.random.randint(schema.get("minimum", 0), min(schema.get("maximum", 500), 500)))
        return self.random.choice(["web", "shop", "default", "v1", "v2", "op1"])

    def value(self, name, schema):
        if self.random.random() < 0.12:
            return self.random.choice(RUBBISH)
        return self.sensible(name, schema)

    def query(self, parameters):
        chosen = self.random.sample(parameters, min(len(parameters), self.random.choice([0, 1, 1, 2, 3, 5])))
        pairs = [(p["name"], self.value(p["name"], p["schema"])) for p in chosen]
        if self.random.random() < 0.05:
            pairs += self.random.choice([[("colour", "red")], pairs[:1]])
        return urllib.parse.urlencode(pairs)

    def path(self, template):
        ids = self.ids if "/edges/" in template else [TRACE]
        chosen = self.random.choice(ids + ["0" * 16, "xyz", "%25", "f" * 32] if "{id}" in template else [""])
        return template.replace("{id}", chosen)


def rubbish_everywhere(collector, document, parameters_of):
    """Every parameter with every piece of rubbish, alone and twice, and in the path's id."""
    connection = HTTPConnection("127.0.0.1", collector.http_port, timeout=20)
    values = [urllib.parse.quote(v) for v in RUBBISH] + RAW
    asked = 0

    def ask(url, method="GET"):
        nonlocal asked
        asked += 1
        connection.request(method, url)
        answer = connection.getresponse()
        body = answer.read()
        check(answer.status < 500, f"{url}: {answer.status} {body[:300]!r}")
        return answer.status, body

    for template, item in document["paths"].items():
        path = template.replace("{id}", TRACE if "/traces/" in template else "0" * 15 + "1")
        method = "HEAD" if template == "/api/v1/live" else "GET"  # a stream does not end
        for p in parameters_of(item):
            for v in values:
                status, body = ask(f"{path}?{p['name']}={v}", method)
                if status >= 400 and method == "GET":
                    check("message" in json.loads(body)["error"], f"{path}?{p['name']}={v}: {body!r}")
            ask(f"{path}?{p['name']}=1&{p['name']}=1", method)
        for v in values if "{id}" in template else []:
            ask(template.replace("{id}", v))
    for path, names in JAEGER.items():
        for name in names:
            for v in values:
                ask(f"{path}?{name}={v}")
                ask(f"{path}?service=web&start=0&end=1&query.start_time_min=2026-01-01T00:00:00Z&{name}={v}")
        for v in values:
            ask(f"{path.rsplit('/', 1)[0]}/{v}")
    return asked


def main(program):
    collector = Collector(program)
    make_data(collector)
    document = get_json(collector.base + "/api/v1/openapi.json")
    components = document["components"]
    maker = Maker(20260102, collector.base)
    asked, fitting = 0, {}

    def parameters_of(item):
        resolved = [components["parameters"][p["$ref"].rsplit("/", 1)[1]] if "$ref" in p else p
                    for p in item["get"]["parameters"]]
        return [p for p in resolved if p["in"] == "query"]

    for template, item in document["paths"].items():
        get = item["get"]
        parameters = parameters_of(item)
        content = get["responses"]["200"]["content"]
        validator = None
        if "application/json" in content:
            validator = jsonschema.Draft202012Validator(
                {**content["application/json"]["schema"], "components": components})
        for _ in range(ROUNDS if parameters or "{id}" in template else 5):
            if template == "/api/v1/live":
                break  # a stream does not end; its parameters are tested with the door
            url = maker.path(template) + "?" + maker.query(parameters)
            status, body = http(collector.base + url)
            asked += 1
            if status == 200 and validator:
                for error in validator.iter_errors(json.loads(body)):
                    fail(f"{url}: {error.json_path}: {error.message[:300]}")
                fitting[template] = fitting.get(template, 0) + 1
            elif status in (400, 404):
                check(json.loads(body)["error"]["code"] == status, f"{url}: {body!r}")
                check(str(status) in get["responses"], f"{url}: {status} is not described")
            else:
                check(status == 200, f"{url}: {status} {body!r}")
    lacking = [t for t, i in document["paths"].items() if t != "/api/v1/live" and t not in fitting
               and "application/json" in i["get"]["responses"]["200"]["content"]]
    check(not lacking, f"no 200 of {lacking}")
    asked += rubbish_everywhere(collector, document, parameters_of)
    if stop(collector.child) != 0:
        fail("the collector did not end cleanly")
    print(f"ok, {asked} requests, {sum(fitting.values())} answers fit")


main(*sys.argv[1:])
