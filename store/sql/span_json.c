/* span_json.c - typed values as the JSON a person would write: text, numbers, true, lists, objects.
 *
 * Readable, not lossless: bytes become base64 and NaN becomes text, as in OTLP/JSON. A key that
 * came twice is there twice, and ->> gives the first. */
#include "store/sql/span_json.h"
#include "base/base64.h"
#include "base/json_out.h"
#include <math.h>

static void put_attrs(struct json_out *j, const struct attr *list, uint32_t len);

/* Decoders bound how deep values nest; this is the second lock. */
static bool has_room(const struct json_out *j)
{
    return j->depth + 2 < JSON_DEPTH_MAX;
}

static void put_bytes(struct json_out *j, struct sv bytes)
{
    json_raw(j, SV("\""));
    base64_put(j->to, bytes);
    buf_putc(j->to, '"');
}

static void put_value(struct json_out *j, const struct value *v)
{
    switch (v->type) {
    case VALUE_EMPTY: json_null(j); break;
    case VALUE_STR: json_str(j, v->str); break;
    case VALUE_BOOL: json_bool(j, v->boolean); break;
    case VALUE_INT: json_i64(j, v->integer); break;
    case VALUE_DOUBLE:
        if (isfinite(v->real))
            json_double(j, v->real);
        else
            json_str(j, isnan(v->real) ? SV("NaN")
                        : v->real > 0  ? SV("Infinity")
                                       : SV("-Infinity"));
        break;
    case VALUE_BYTES: put_bytes(j, v->str); break;
    case VALUE_ARRAY:
        json_open(j, '[');
        for (uint32_t i = 0; i < v->len && has_room(j); i++)
            put_value(j, &v->array[i]);
        json_close(j);
        break;
    case VALUE_KVLIST: put_attrs(j, v->kvlist, v->len);
    }
}

static void put_attrs(struct json_out *j, const struct attr *list, uint32_t len)
{
    json_open(j, '{');
    for (uint32_t i = 0; i < len && has_room(j); i++) {
        json_key(j, list[i].key);
        put_value(j, &list[i].value);
    }
    json_close(j);
}

static void put_id(struct json_out *j, const char *key, const uint8_t *bytes, size_t len)
{
    char text[32];
    hex_encode(text, bytes, len);
    json_kv_str(j, key, sv_of(text, 2 * len));
}

static void put_attributes(struct json_out *j, const struct attrs *a)
{
    json_key(j, SV("attributes"));
    put_attrs(j, a->list, a->len);
}

void span_json_attrs(struct buf *to, const struct attrs *a)
{
    struct json_out j = json_out_of(to);
    put_attrs(&j, a->list, a->len);
}

void span_json_events(struct buf *to, const struct span *s)
{
    struct json_out j = json_out_of(to);
    json_open(&j, '[');
    for (uint32_t i = 0; i < s->events_len; i++) {
        json_open(&j, '{');
        json_kv_i64(&j, "time_ns", s->events[i].time_ns);
        json_kv_str(&j, "name", s->events[i].name);
        put_attributes(&j, &s->events[i].attrs);
        json_close(&j);
    }
    json_close(&j);
}

void span_json_links(struct buf *to, const struct span *s)
{
    struct json_out j = json_out_of(to);
    json_open(&j, '[');
    for (uint32_t i = 0; i < s->links_len; i++) {
        const struct span_link *l = &s->links[i];
        json_open(&j, '{');
        put_id(&j, "trace_id", l->trace_id.b, sizeof(l->trace_id.b));
        put_id(&j, "span_id", l->span_id.b, sizeof(l->span_id.b));
        json_kv_str(&j, "trace_state", l->trace_state);
        put_attributes(&j, &l->attrs);
        json_close(&j);
    }
    json_close(&j);
}
