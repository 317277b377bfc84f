/* jaeger_tag.c - attributes as Jaeger's tags: key, type, value.
 *
 * Tags have five types where attributes have eight: lists and maps become JSON text. An integer
 * that JavaScript would round is text, as Jaeger itself writes it. */
#include "query/jaeger_span.h"
#include "query/trace_json.h"
#include <math.h>
#include <stdio.h>

#define SAFE_INTEGER ((INT64_C(1) << 53) - 1)

static const char *const type_names[] = {
    [VALUE_EMPTY] = "string", [VALUE_STR] = "string",     [VALUE_BOOL] = "bool",
    [VALUE_INT] = "int64",    [VALUE_DOUBLE] = "float64", [VALUE_BYTES] = "binary",
    [VALUE_ARRAY] = "string", [VALUE_KVLIST] = "string",
};

/* Numbers that JSON has no way to write are text. */
static void put_real(struct json_out *j, double v)
{
    if (isfinite(v))
        json_double(j, v);
    else
        json_str(j, isnan(v) ? SV("NaN") : v > 0 ? SV("+Inf") : SV("-Inf"));
}

/* A value inside a list or map, in plain JSON. */
static void put_plain(struct json_out *j, const struct value *v)
{
    switch (v->type) {
    case VALUE_STR: json_str(j, v->str); return;
    case VALUE_BOOL: json_bool(j, v->boolean); return;
    case VALUE_INT: json_i64(j, v->integer); return;
    case VALUE_DOUBLE: put_real(j, v->real); return;
    case VALUE_BYTES: json_base64(j, v->str); return;
    case VALUE_EMPTY: json_null(j); return;
    case VALUE_ARRAY:
    case VALUE_KVLIST: break;
    }
    if (j->depth + 2 >= JSON_DEPTH_MAX) { /* decoders refuse what nests so deep */
        json_null(j);
        return;
    }
    json_open(j, v->type == VALUE_ARRAY ? '[' : '{');
    for (uint32_t i = 0; i < v->len; i++) {
        if (v->type == VALUE_KVLIST)
            json_key(j, v->kvlist[i].key);
        put_plain(j, v->type == VALUE_ARRAY ? &v->array[i] : &v->kvlist[i].value);
    }
    json_close(j);
}

static void put_json_text(struct json_out *j, const struct value *v)
{
    AUTO_DONE(buf) text = { 0 };
    struct json_out inner = json_out_of(&text);
    put_plain(&inner, v);
    json_str(j, buf_sv(&text));
    j->to->failed |= text.failed;
}

static void put_integer(struct json_out *j, int64_t v)
{
    char text[24];
    if (v <= SAFE_INTEGER && v >= -SAFE_INTEGER) {
        json_i64(j, v);
        return;
    }
    int n = snprintf(text, sizeof(text), "%lld", (long long)v);
    json_str(j, sv_of(text, n > 0 ? (size_t)n : 0));
}

/* Old tracers wrote IPv4 addresses as numbers. */
static bool is_address(const struct attr *a)
{
    return a->value.type == VALUE_INT && a->value.integer >= 0 && a->value.integer <= UINT32_MAX &&
           (sv_eq(a->key, SV("ip")) || sv_eq(a->key, SV("peer.ipv4")));
}

static void put_address(struct json_out *j, uint32_t v)
{
    char text[16];
    int n = snprintf(text, sizeof(text), "%u.%u.%u.%u", v >> 24, v >> 16 & 255, v >> 8 & 255,
                     v & 255);
    json_kv_str(j, "type", SV("string"));
    json_kv_str(j, "value", sv_of(text, n > 0 ? (size_t)n : 0));
}

static void put_typed(struct json_out *j, const struct value *v)
{
    json_kv_str(j, "type", sv_z(type_names[v->type]));
    json_key(j, SV("value"));
    switch (v->type) {
    case VALUE_EMPTY: json_str(j, SV_NONE); return;
    case VALUE_STR: json_str(j, v->str); return;
    case VALUE_BOOL: json_bool(j, v->boolean); return;
    case VALUE_INT: put_integer(j, v->integer); return;
    case VALUE_DOUBLE: put_real(j, v->real); return;
    case VALUE_BYTES: json_base64(j, v->str); return;
    case VALUE_ARRAY:
    case VALUE_KVLIST: put_json_text(j, v);
    }
}

void jaeger_put_tag(struct json_out *j, const struct attr *a, bool is_adjusted)
{
    json_open(j, '{');
    json_kv_str(j, "key", a->key);
    if (is_adjusted && is_address(a))
        put_address(j, (uint32_t)a->value.integer);
    else
        put_typed(j, &a->value);
    json_close(j);
}
