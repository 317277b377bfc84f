"""OTLP payloads in protobuf and JSON, from the same description of spans and access records.

A span is a dict: trace_id, span_id (hex), and optionally parent_id, name, kind, start, end,
attrs, events, links, status (code, message), trace_state, flags. Attribute values are Python
values: str, bool, int, float, bytes, list, dict, None.
"""
import base64
import json
import struct


def varint(v):
    v &= (1 << 64) - 1
    out = bytearray()
    while v >= 0x80:
        out.append(v & 0x7F | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def field(number, wire, payload):
    return varint(number << 3 | wire) + payload


def message(number, payload):
    return field(number, 2, varint(len(payload)) + payload)


def text(number, s):
    return message(number, s.encode())


def number(number_, v):
    return field(number_, 0, varint(v))


def fixed64(number_, v):
    return field(number_, 1, struct.pack("<Q", v))


def fixed32(number_, v):
    return field(number_, 5, struct.pack("<I", v))


def any_value(v):
    if v is None:
        return b""
    if isinstance(v, bool):
        return number(2, int(v))
    if isinstance(v, int):
        return number(3, v)
    if isinstance(v, float):
        return field(4, 1, struct.pack("<d", v))
    if isinstance(v, str):
        return text(1, v)
    if isinstance(v, bytes):
        return message(7, v)
    if isinstance(v, list):
        return message(5, b"".join(message(1, any_value(x)) for x in v))
    return message(6, b"".join(message(1, key_value(k, x)) for k, x in v.items()))


def key_value(k, v):
    return text(1, k) + message(2, any_value(v))


def attributes(number_, attrs):
    return b"".join(message(number_, key_value(k, v)) for k, v in attrs.items())


def span_proto(s):
    out = message(1, bytes.fromhex(s["trace_id"])) + message(2, bytes.fromhex(s["span_id"]))
    if "trace_state" in s:
        out += text(3, s["trace_state"])
    if s.get("parent_id"):
        out += message(4, bytes.fromhex(s["parent_id"]))
    out += text(5, s.get("name", "span")) + number(6, s.get("kind", 2))
    out += fixed64(7, s.get("start", 0)) + fixed64(8, s.get("end", 0))
    out += attributes(9, s.get("attrs", {}))
    for e in s.get("events", []):
        out += message(11, fixed64(1, e["time"]) + text(2, e["name"]) + attributes(3, e.get("attrs", {})))
    for l in s.get("links", []):
        out += message(13, message(1, bytes.fromhex(l["trace_id"])) + message(2, bytes.fromhex(l["span_id"]))
                       + attributes(4, l.get("attrs", {})))
    if "status" in s:
        out += message(15, text(2, s["status"].get("message", "")) + number(3, s["status"]["code"]))
    if "flags" in s:
        out += fixed32(16, s["flags"])
    return out


def traces_proto(spans, resource=None, scope="demo"):
    resource = {"service.name": "shop"} if resource is None else resource
    scope_spans = message(1, text(1, scope) + text(2, "1.0")) + b"".join(message(2, span_proto(s)) for s in spans)
    return message(1, message(1, attributes(1, resource)) + message(2, scope_spans))


def json_value(v):
    if v is None:
        return {}
    if isinstance(v, bool):
        return {"boolValue": v}
    if isinstance(v, int):
        return {"intValue": str(v)}
    if isinstance(v, float):
        return {"doubleValue": v}
    if isinstance(v, str):
        return {"stringValue": v}
    if isinstance(v, bytes):
        return {"bytesValue": base64.b64encode(v).decode()}
    if isinstance(v, list):
        return {"arrayValue": {"values": [json_value(x) for x in v]}}
    return {"kvlistValue": {"values": json_attributes(v)}}


def json_attributes(attrs):
    return [{"key": k, "value": json_value(v)} for k, v in attrs.items()]


def span_json(s):
    out = {"traceId": s["trace_id"], "spanId": s["span_id"], "name": s.get("name", "span"), "kind": s.get("kind", 2),
           "startTimeUnixNano": str(s.get("start", 0)), "endTimeUnixNano": str(s.get("end", 0)),
           "attributes": json_attributes(s.get("attrs", {}))}
    if s.get("parent_id"):
        out["parentSpanId"] = s["parent_id"]
    if "trace_state" in s:
        out["traceState"] = s["trace_state"]
    if "events" in s:
        out["events"] = [{"timeUnixNano": str(e["time"]), "name": e["name"],
                          "attributes": json_attributes(e.get("attrs", {}))} for e in s["events"]]
    if "links" in s:
        out["links"] = [{"traceId": l["trace_id"], "spanId": l["span_id"],
                         "attributes": json_attributes(l.get("attrs", {}))} for l in s["links"]]
    if "status" in s:
        out["status"] = {"code": s["status"]["code"], "message": s["status"].get("message", "")}
    if "flags" in s:
        out["flags"] = s["flags"]
    return out


def traces_json(spans, resource=None, scope="demo"):
    resource = {"service.name": "shop"} if resource is None else resource
    return json.dumps({"resourceSpans": [{
        "resource": {"attributes": json_attributes(resource)},
        "scopeSpans": [{"scope": {"name": scope, "version": "1.0"}, "spans": [span_json(s) for s in spans]}],
    }]}).encode()


def access(reporter, start, **attrs):
    """An access record: attributes by name, trace_id and span_id apart."""
    return {"time": start, "trace_id": attrs.pop("trace_id", ""), "span_id": attrs.pop("span_id", ""),
            "attrs": {"reporter": reporter, **attrs}}


def logs_proto(records, event_name="tulle.access"):
    out = b""
    for r in records:
        body = fixed64(1, r["time"]) + attributes(6, r["attrs"])
        if r["trace_id"]:
            body += message(9, bytes.fromhex(r["trace_id"])) + message(10, bytes.fromhex(r["span_id"]))
        out += message(2, body + text(12, event_name))
    return message(1, message(1, attributes(1, {"service.name": "shop"})) + message(2, message(1, text(1, "tulle-proxy")) + out))


def logs_json(records, event_name="tulle.access"):
    return json.dumps({"resourceLogs": [{
        "resource": {"attributes": json_attributes({"service.name": "shop"})},
        "scopeLogs": [{"scope": {"name": "tulle-proxy"}, "logRecords": [{
            "timeUnixNano": str(r["time"]), "traceId": r["trace_id"], "spanId": r["span_id"],
            "attributes": json_attributes(r["attrs"]), "eventName": event_name,
        } for r in records]}],
    }]}).encode()
