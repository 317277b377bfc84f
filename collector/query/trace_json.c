/* trace_json.c - OpenTelemetry's types in JSON, without loss.
 *
 * JSON has fewer types than attributes have, so every value says its type. 64-bit integers are
 * text, because JavaScript keeps 53 bits; doubles that JSON cannot write are text too. */
#include "query/trace_json.h"
#include "base/base64.h"
#include "query/graph_json.h"
#include <math.h>

static const char *const type_names[] = {
    [VALUE_EMPTY] = "empty", [VALUE_STR] = "string",    [VALUE_BOOL] = "bool",
    [VALUE_INT] = "int",     [VALUE_DOUBLE] = "double", [VALUE_BYTES] = "bytes",
    [VALUE_ARRAY] = "array", [VALUE_KVLIST] = "map",
};

static void json_typed(struct json_out *j, const struct value *v);

static void json_attr(struct json_out *j, const struct attr *a)
{
    json_open(j, '{');
    json_kv_str(j, "key", a->key);
    json_typed(j, &a->value);
    json_close(j);
}

/* Decoders refuse attributes that nest deeper than the writer can; this is the second lock. */
static bool has_room(const struct json_out *j)
{
    return j->depth + 4 < JSON_DEPTH_MAX;
}

static void json_list(struct json_out *j, const struct value *v)
{
    json_kv_open(j, "value", '[');
    for (uint32_t i = 0; i < v->len && has_room(j); i++) {
        if (v->type == VALUE_KVLIST) {
            json_attr(j, &v->kvlist[i]);
            continue;
        }
        json_open(j, '{');
        json_typed(j, &v->array[i]);
        json_close(j);
    }
    json_close(j);
}

static void json_real(struct json_out *j, double v)
{
    if (isnan(v))
        json_kv_str(j, "value", SV("NaN"));
    else if (isinf(v))
        json_kv_str(j, "value", v > 0 ? SV("Infinity") : SV("-Infinity"));
    else
        json_kv_double(j, "value", v);
}

/* Base64 needs no escapes, so the text goes straight into the answer. */
void json_base64(struct json_out *j, struct sv bytes)
{
    json_raw(j, SV("\""));
    base64_put(j->to, bytes);
    buf_putc(j->to, '"');
}

/* "type" and "value" as members of an open object. */
static void json_typed(struct json_out *j, const struct value *v)
{
    json_kv_str(j, "type", sv_z(type_names[v->type]));
    switch (v->type) {
    case VALUE_STR: json_kv_str(j, "value", v->str); break;
    case VALUE_BOOL: json_kv_bool(j, "value", v->boolean); break;
    case VALUE_INT: json_kv_ns(j, "value", v->integer); break;
    case VALUE_DOUBLE: json_real(j, v->real); break;
    case VALUE_BYTES:
        json_key(j, SV("value"));
        json_base64(j, v->str);
        break;
    case VALUE_ARRAY:
    case VALUE_KVLIST: json_list(j, v); break;
    case VALUE_EMPTY: json_key(j, SV("value")); json_null(j);
    }
}

static void json_attrs(struct json_out *j, const struct attrs *a)
{
    json_kv_open(j, "attributes", '[');
    for (uint32_t i = 0; i < a->len; i++)
        json_attr(j, &a->list[i]);
    json_close(j);
    json_kv_u64(j, "droppedAttributes", a->dropped);
}

static void json_event(struct json_out *j, const struct span_event *e)
{
    json_open(j, '{');
    json_kv_ns(j, "timeNs", e->time_ns);
    json_kv_str(j, "name", e->name);
    json_attrs(j, &e->attrs);
    json_close(j);
}

static void json_link(struct json_out *j, const struct span_link *l)
{
    json_open(j, '{');
    json_kv_hex(j, "traceId", l->trace_id.b, sizeof(l->trace_id.b));
    json_kv_hex(j, "spanId", l->span_id.b, sizeof(l->span_id.b));
    json_kv_str(j, "traceState", l->trace_state);
    json_kv_u64(j, "flags", l->flags);
    json_attrs(j, &l->attrs);
    json_close(j);
}

static const char *status_name(enum span_status status)
{
    switch (status) {
    case STATUS_OK: return "ok";
    case STATUS_ERROR: return "error";
    case STATUS_UNSET: break;
    }
    return "unset";
}

static void json_span_parts(struct json_out *j, const struct span *s)
{
    json_kv_open(j, "events", '[');
    for (uint32_t i = 0; i < s->events_len; i++)
        json_event(j, &s->events[i]);
    json_close(j);
    json_kv_u64(j, "droppedEvents", s->dropped_events);
    json_kv_open(j, "links", '[');
    for (uint32_t i = 0; i < s->links_len; i++)
        json_link(j, &s->links[i]);
    json_close(j);
    json_kv_u64(j, "droppedLinks", s->dropped_links);
}

static void json_notes(struct json_out *j, const struct span_notes *n)
{
    json_kv_ns(j, "movedNs", n->moved_ns);
    json_kv_open(j, "warnings", '[');
    for (size_t i = 0; i < n->warnings_len; i++)
        json_str(j, n->warnings[i]);
    json_close(j);
}

void json_span(struct json_out *j, const struct span *s, const struct span_notes *notes,
               size_t resource, size_t scope)
{
    json_open(j, '{');
    json_kv_hex(j, "spanId", s->span_id.b, sizeof(s->span_id.b));
    json_kv_hex(j, "parentId", s->parent_id.b, sizeof(s->parent_id.b));
    json_kv_str(j, "name", s->name);
    json_kv_str(j, "kind", sv_z(span_kind_name(s->kind)));
    json_kv_str(j, "service", attrs_str(&s->resource->attrs, SV("service.name")));
    json_kv_ns(j, "startNs", s->start_ns);
    json_kv_ns(j, "endNs", s->end_ns);
    json_kv_span_ms(j, "durationMs", s->start_ns, s->end_ns);
    json_kv_str(j, "status", sv_z(status_name(s->status)));
    json_kv_str(j, "statusMessage", s->status_message);
    json_kv_str(j, "traceState", s->trace_state);
    json_kv_u64(j, "flags", s->flags);
    json_attrs(j, &s->attrs);
    json_span_parts(j, s);
    json_kv_u64(j, "resource", resource);
    json_kv_u64(j, "scope", scope);
    if (notes)
        json_notes(j, notes);
    json_close(j);
}

void json_resource(struct json_out *j, const struct resource *r)
{
    json_open(j, '{');
    json_attrs(j, &r->attrs);
    json_kv_str(j, "schemaUrl", r->schema_url);
    json_close(j);
}

void json_scope(struct json_out *j, const struct scope *s)
{
    json_open(j, '{');
    json_kv_str(j, "name", s->name);
    json_kv_str(j, "version", s->version);
    json_attrs(j, &s->attrs);
    json_kv_str(j, "schemaUrl", s->schema_url);
    json_close(j);
}

static void json_end(struct json_out *j, const char *key, const struct identity *who)
{
    json_kv_open(j, key, '{');
    json_identity(j, who);
    json_close(j);
}

static void json_call_tls(struct json_out *j, const struct call *c)
{
    json_kv_open(j, "tls", '{');
    json_kv_str(j, "state", sv_z(tls_state_name(c->tls)));
    json_kv_text_or_null(j, "version", c->tls_version);
    json_kv_text_or_null(j, "cipher", c->tls_cipher);
    json_kv_text_or_null(j, "sourcePrincipal", c->source_principal_seen);
    json_kv_text_or_null(j, "destinationPrincipal", c->destination_principal_seen);
    json_kv_time(j, "certificateExpiry", c->peer_cert_expiry_ns);
    json_close(j);
}

void json_call(struct json_out *j, const struct call *c)
{
    json_open(j, '{');
    json_kv_str(j, "reporter", sv_z(reporter_name(c->reporter)));
    json_kv_str(j, "protocol", sv_z(protocol_name(c->protocol)));
    json_kv_time(j, "start", c->start_ns);
    json_kv_ns(j, "startNs", c->start_ns);
    json_kv_rounded(j, "durationMs", (double)c->duration_ns / 1e6, 6);
    json_end(j, "source", &c->source);
    json_end(j, "destination", &c->destination);
    json_kv_str(j, "destinationService", c->destination_service);
    json_kv_str(j, "method", c->method);
    json_kv_str(j, "path", c->path);
    json_kv_str(j, "authority", c->authority);
    json_kv_u64(j, "code", c->response_code);
    json_key(j, SV("grpcStatus"));
    if (c->grpc_status >= 0)
        json_u64(j, (uint64_t)c->grpc_status);
    else
        json_null(j);
    json_kv_bool(j, "error", call_is_error(c));
    json_kv_str(j, "flags", c->response_flags);
    json_kv_str(j, "details", c->response_code_details);
    json_kv_u64(j, "bytesReceived", c->bytes_received);
    json_kv_u64(j, "bytesSent", c->bytes_sent);
    json_call_tls(j, c);
    json_kv_str(j, "part", sv_z(call_part_name(c->part)));
    json_kv_str(j, "upstreamHost", c->upstream_host);
    json_kv_str(j, "routeName", c->route_name);
    json_kv_str(j, "requestId", c->request_id);
    json_kv_str(j, "userAgent", c->user_agent);
    json_kv_hex(j, "traceId", c->trace_id.b, sizeof(c->trace_id.b));
    json_kv_hex(j, "spanId", c->span_id.b, sizeof(c->span_id.b));
    json_close(j);
}
