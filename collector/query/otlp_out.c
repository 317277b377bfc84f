/* otlp_out.c - spans grouped by resource and scope, the way OTLP carries them.
 *
 * Resources and scopes that say the same are one, whichever export brought them; groups come in the
 * order of their first span. Nothing is left out: what was read from OTLP reads the same again. */
#include "query/otlp_out.h"
#include "query/graph_json.h"
#include "query/once.h"
#include "query/trace_json.h"
#include <math.h>

static void put_attrs(struct json_out *j, const char *key, const struct attr *list, uint32_t len);

static void put_real(struct json_out *j, double v)
{
    json_key(j, SV("doubleValue"));
    if (isfinite(v))
        json_double(j, v);
    else
        json_str(j, isnan(v) ? SV("NaN") : v > 0 ? SV("Infinity") : SV("-Infinity"));
}

/* An AnyValue: an object with one member, or none. */
static void put_value(struct json_out *j, const struct value *v)
{
    json_open(j, '{');
    switch (v->type) {
    case VALUE_EMPTY: break;
    case VALUE_STR: json_kv_str(j, "stringValue", v->str); break;
    case VALUE_BOOL: json_kv_bool(j, "boolValue", v->boolean); break;
    case VALUE_INT: json_kv_ns(j, "intValue", v->integer); break;
    case VALUE_DOUBLE: put_real(j, v->real); break;
    case VALUE_BYTES:
        json_key(j, SV("bytesValue"));
        json_base64(j, v->str);
        break;
    case VALUE_ARRAY:
        json_kv_open(j, "arrayValue", '{');
        json_kv_open(j, "values", '[');
        for (uint32_t i = 0; i < v->len && j->depth + 6 < JSON_DEPTH_MAX; i++)
            put_value(j, &v->array[i]);
        json_close(j);
        json_close(j);
        break;
    case VALUE_KVLIST:
        json_kv_open(j, "kvlistValue", '{');
        put_attrs(j, "values", v->kvlist, v->len);
        json_close(j);
    }
    json_close(j);
}

static void put_attrs(struct json_out *j, const char *key, const struct attr *list, uint32_t len)
{
    json_kv_open(j, key, '[');
    for (uint32_t i = 0; i < len && j->depth + 6 < JSON_DEPTH_MAX; i++) {
        json_open(j, '{');
        json_kv_str(j, "key", list[i].key);
        json_key(j, SV("value"));
        put_value(j, &list[i].value);
        json_close(j);
    }
    json_close(j);
}

/* Members that are there only when they say something. */
static void put_text(struct json_out *j, const char *key, struct sv text)
{
    if (text.len)
        json_kv_str(j, key, text);
}

static void put_count(struct json_out *j, const char *key, uint64_t n)
{
    if (n)
        json_kv_u64(j, key, n);
}

static void put_id(struct json_out *j, const char *key, const uint8_t *bytes, size_t len)
{
    char text[32];
    hex_encode(text, bytes, len);
    json_kv_str(j, key, sv_of(text, 2 * len));
}

static void put_attributes(struct json_out *j, const struct attrs *a)
{
    if (a->len)
        put_attrs(j, "attributes", a->list, a->len);
    put_count(j, "droppedAttributesCount", a->dropped);
}

static void put_events(struct json_out *j, const struct span *s)
{
    if (s->events_len) {
        json_kv_open(j, "events", '[');
        for (uint32_t i = 0; i < s->events_len; i++) {
            json_open(j, '{');
            json_kv_ns(j, "timeUnixNano", s->events[i].time_ns);
            put_text(j, "name", s->events[i].name);
            put_attributes(j, &s->events[i].attrs);
            json_close(j);
        }
        json_close(j);
    }
    put_count(j, "droppedEventsCount", s->dropped_events);
}

static void put_links(struct json_out *j, const struct span *s)
{
    if (s->links_len) {
        json_kv_open(j, "links", '[');
        for (uint32_t i = 0; i < s->links_len; i++) {
            const struct span_link *l = &s->links[i];
            json_open(j, '{');
            put_id(j, "traceId", l->trace_id.b, sizeof(l->trace_id.b));
            put_id(j, "spanId", l->span_id.b, sizeof(l->span_id.b));
            put_text(j, "traceState", l->trace_state);
            put_count(j, "flags", l->flags);
            put_attributes(j, &l->attrs);
            json_close(j);
        }
        json_close(j);
    }
    put_count(j, "droppedLinksCount", s->dropped_links);
}

static void put_span(struct json_out *j, const struct span *s)
{
    json_open(j, '{');
    put_id(j, "traceId", s->trace_id.b, sizeof(s->trace_id.b));
    put_id(j, "spanId", s->span_id.b, sizeof(s->span_id.b));
    put_text(j, "traceState", s->trace_state);
    if (span_id_is_set(s->parent_id))
        put_id(j, "parentSpanId", s->parent_id.b, sizeof(s->parent_id.b));
    put_count(j, "flags", s->flags);
    json_kv_str(j, "name", s->name);
    json_kv_u64(j, "kind", (uint64_t)s->kind);
    json_kv_ns(j, "startTimeUnixNano", s->start_ns);
    json_kv_ns(j, "endTimeUnixNano", s->end_ns);
    put_attributes(j, &s->attrs);
    put_events(j, s);
    put_links(j, s);
    json_kv_open(j, "status", '{');
    put_text(j, "message", s->status_message);
    put_count(j, "code", (uint64_t)s->status);
    json_close(j);
    json_close(j);
}

static void put_resource(struct json_out *j, const struct resource *r)
{
    json_kv_open(j, "resource", '{');
    put_attributes(j, &r->attrs);
    json_close(j);
    put_text(j, "schemaUrl", r->schema_url);
}

static void put_scope(struct json_out *j, const struct scope *s)
{
    json_kv_open(j, "scope", '{');
    put_text(j, "name", s->name);
    put_text(j, "version", s->version);
    put_attributes(j, &s->attrs);
    json_close(j);
    put_text(j, "schemaUrl", s->schema_url);
}

/* Where a span belongs; sorted, the groups follow each other. */
struct place {
    size_t resource, scope, at;
};

static int by_place(const void *pa, const void *pb)
{
    const struct place *a = pa, *b = pb;
    if (a->resource != b->resource)
        return a->resource < b->resource ? -1 : 1;
    if (a->scope != b->scope)
        return a->scope < b->scope ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

static int find_places(const struct whole_trace *t, struct place *places)
{
    AUTO_DONE(once) resources = { 0 };
    AUTO_DONE(once) scopes = { 0 };
    for (size_t i = 0; i < t->len; i++) {
        struct json_out r = json_out_of(&resources.one), s = json_out_of(&scopes.one);
        places[i].at = i;
        json_resource(&r, t->spans[i].resource);
        json_scope(&s, t->spans[i].scope);
        if (once_put(&resources, &places[i].resource) < 0 ||
            once_put(&scopes, &places[i].scope) < 0)
            return -1;
    }
    return 0;
}

static void put_group(struct json_out *j, const struct whole_trace *t, const struct place *places,
                      size_t *at)
{
    const struct place *first = &places[*at];
    json_open(j, '{');
    put_scope(j, t->spans[first->at].scope);
    json_kv_open(j, "spans", '[');
    for (; *at < t->len && places[*at].resource == first->resource &&
           places[*at].scope == first->scope;
         ++*at)
        put_span(j, &t->spans[places[*at].at]);
    json_close(j);
    json_close(j);
}

int otlp_put_resource_spans(struct json_out *j, const struct whole_trace *t, struct err *err)
{
    AUTO_DONE(arena) mem = { 0 };
    struct place *places = arena_array(&mem, t->len + 1, sizeof(*places));
    if (!places || find_places(t, places) < 0)
        return err_set(err, ERR_NOMEM, "grouping %zu spans", t->len);
    qsort(places, t->len, sizeof(*places), by_place);
    for (size_t i = 0; i < t->len;) {
        size_t resource = places[i].resource;
        json_open(j, '{');
        put_resource(j, t->spans[places[i].at].resource);
        json_kv_open(j, "scopeSpans", '[');
        while (i < t->len && places[i].resource == resource)
            put_group(j, t, places, &i);
        json_close(j);
        json_close(j);
    }
    return 0;
}
