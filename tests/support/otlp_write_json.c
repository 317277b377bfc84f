/* otlp_write_json.c - spans into OTLP/JSON. */
#include "base/json_out.h"
#include "otlp_write.h"
#include <math.h>

static void put_attr_list(struct json_out *j, const char *key, const struct attr *list,
                          uint32_t len);

static void put_hex(struct json_out *j, const char *key, const uint8_t *id, size_t bytes)
{
    char hex[32];
    hex_encode(hex, id, bytes);
    json_kv_str(j, key, sv_of(hex, 2 * bytes));
}

/* 64-bit integers are text in protobuf's JSON. */
static void put_u64(struct json_out *j, const char *key, uint64_t v)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
    json_kv_str(j, key, sv_of(text, (size_t)n));
}

static void put_double(struct json_out *j, double v)
{
    json_key(j, SV("doubleValue"));
    if (isfinite(v))
        json_double(j, v);
    else
        json_str(j, isnan(v) ? SV("NaN") : v > 0 ? SV("Infinity") : SV("-Infinity"));
}

static void put_base64(struct json_out *j, struct sv bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    AUTO_DONE(buf) text = { 0 };
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = MIN((size_t)3, bytes.len - i);
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (k < n ? (uint8_t)bytes.p[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            buf_putc(&text, k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=');
    }
    json_kv_str(j, "bytesValue", buf_sv(&text));
}

static void put_value(struct json_out *j, const struct value *v)
{
    char text[24];
    json_open(j, '{');
    switch (v->type) {
    case VALUE_EMPTY: break;
    case VALUE_STR: json_kv_str(j, "stringValue", v->str); break;
    case VALUE_BOOL: json_kv_bool(j, "boolValue", v->boolean); break;
    case VALUE_INT:
        snprintf(text, sizeof(text), "%lld", (long long)v->integer);
        json_kv_str(j, "intValue", sv_z(text));
        break;
    case VALUE_DOUBLE: put_double(j, v->real); break;
    case VALUE_BYTES: put_base64(j, v->str); break;
    case VALUE_ARRAY:
        json_kv_open(j, "arrayValue", '{');
        json_kv_open(j, "values", '[');
        for (uint32_t i = 0; i < v->len; i++)
            put_value(j, &v->array[i]);
        json_close(j);
        json_close(j);
        break;
    case VALUE_KVLIST:
        json_kv_open(j, "kvlistValue", '{');
        put_attr_list(j, "values", v->kvlist, v->len);
        json_close(j);
        break;
    }
    json_close(j);
}

static void put_attr_list(struct json_out *j, const char *key, const struct attr *list,
                          uint32_t len)
{
    json_kv_open(j, key, '[');
    for (uint32_t i = 0; i < len; i++) {
        json_open(j, '{');
        json_kv_str(j, "key", list[i].key);
        json_key(j, SV("value"));
        put_value(j, &list[i].value);
        json_close(j);
    }
    json_close(j);
}

static void put_attrs(struct json_out *j, const struct attrs *a)
{
    put_attr_list(j, "attributes", a->list, a->len);
    json_kv_u64(j, "droppedAttributesCount", a->dropped);
}

static void put_events_and_links(struct json_out *j, const struct span *s)
{
    json_kv_open(j, "events", '[');
    for (uint32_t i = 0; i < s->events_len; i++) {
        json_open(j, '{');
        put_u64(j, "timeUnixNano", (uint64_t)s->events[i].time_ns);
        json_kv_str(j, "name", s->events[i].name);
        put_attrs(j, &s->events[i].attrs);
        json_close(j);
    }
    json_close(j);
    json_kv_open(j, "links", '[');
    for (uint32_t i = 0; i < s->links_len; i++) {
        json_open(j, '{');
        put_hex(j, "traceId", s->links[i].trace_id.b, 16);
        put_hex(j, "spanId", s->links[i].span_id.b, 8);
        json_kv_str(j, "traceState", s->links[i].trace_state);
        json_kv_u64(j, "flags", s->links[i].flags);
        put_attrs(j, &s->links[i].attrs);
        json_close(j);
    }
    json_close(j);
}

static void put_span(struct json_out *j, const struct span *s)
{
    json_open(j, '{');
    put_hex(j, "traceId", s->trace_id.b, 16);
    put_hex(j, "spanId", s->span_id.b, 8);
    put_hex(j, "parentSpanId", s->parent_id.b, span_id_is_set(s->parent_id) ? 8 : 0);
    json_kv_str(j, "traceState", s->trace_state);
    json_kv_str(j, "name", s->name);
    json_kv_u64(j, "kind", s->kind);
    put_u64(j, "startTimeUnixNano", (uint64_t)s->start_ns);
    put_u64(j, "endTimeUnixNano", (uint64_t)s->end_ns);
    put_attrs(j, &s->attrs);
    put_events_and_links(j, s);
    json_kv_u64(j, "droppedEventsCount", s->dropped_events);
    json_kv_u64(j, "droppedLinksCount", s->dropped_links);
    json_kv_open(j, "status", '{');
    json_kv_str(j, "message", s->status_message);
    json_kv_u64(j, "code", s->status);
    json_close(j);
    json_kv_u64(j, "flags", s->flags);
    json_close(j);
}

void otlp_write_json(const struct span *spans, size_t n, struct buf *to)
{
    struct json_out j = json_out_of(to);
    json_open(&j, '{');
    json_kv_open(&j, "resourceSpans", '[');
    for (size_t i = 0; i < n; i++) {
        const struct span *s = &spans[i];
        json_open(&j, '{');
        json_kv_open(&j, "resource", '{');
        put_attrs(&j, &s->resource->attrs);
        json_close(&j);
        json_kv_open(&j, "scopeSpans", '[');
        json_open(&j, '{');
        json_kv_open(&j, "scope", '{');
        json_kv_str(&j, "name", s->scope->name);
        json_kv_str(&j, "version", s->scope->version);
        put_attrs(&j, &s->scope->attrs);
        json_close(&j);
        json_kv_open(&j, "spans", '[');
        put_span(&j, s);
        json_close(&j);
        json_kv_str(&j, "schemaUrl", s->scope->schema_url);
        json_close(&j);
        json_close(&j);
        json_kv_str(&j, "schemaUrl", s->resource->schema_url);
        json_close(&j);
    }
    json_close(&j);
    json_close(&j);
}

bool otlp_same_spans(const struct batch *a, const struct batch *b)
{
    bool is_same = a->spans_len == b->spans_len;
    for (size_t i = 0; is_same && i < a->spans_len; i++)
        is_same = span_eq(&a->spans[i], &b->spans[i]);
    return is_same;
}
