/* otlp_write_proto.c - spans into ExportTraceServiceRequest. */
#include "otlp_write.h"
#include "wire/otlp_fields.h"
#include "wire/pb.h"

static void put_attr(struct buf *to, uint32_t field, const struct attr *a);

static void put_value(struct buf *to, uint32_t field, const struct value *v)
{
    size_t mark = pb_open(to, field), list;
    switch (v->type) {
    case VALUE_EMPTY: break;
    case VALUE_STR: pb_put_bytes(to, OTLP_VALUE_STRING, v->str); break;
    case VALUE_BOOL: pb_put_bool(to, OTLP_VALUE_BOOL, v->boolean); break;
    case VALUE_INT: pb_put_i64(to, OTLP_VALUE_INT, v->integer); break;
    case VALUE_DOUBLE: pb_put_double(to, OTLP_VALUE_DOUBLE, v->real); break;
    case VALUE_BYTES: pb_put_bytes(to, OTLP_VALUE_BYTES, v->str); break;
    case VALUE_ARRAY:
        list = pb_open(to, OTLP_VALUE_ARRAY);
        for (uint32_t i = 0; i < v->len; i++)
            put_value(to, OTLP_LIST_VALUES, &v->array[i]);
        pb_close(to, list);
        break;
    case VALUE_KVLIST:
        list = pb_open(to, OTLP_VALUE_KVLIST);
        for (uint32_t i = 0; i < v->len; i++)
            put_attr(to, OTLP_LIST_VALUES, &v->kvlist[i]);
        pb_close(to, list);
        break;
    }
    pb_close(to, mark);
}

static void put_attr(struct buf *to, uint32_t field, const struct attr *a)
{
    size_t mark = pb_open(to, field);
    pb_put_bytes(to, OTLP_KEY_VALUE_KEY, a->key);
    put_value(to, OTLP_KEY_VALUE_VALUE, &a->value);
    pb_close(to, mark);
}

/* As exporters do: nothing where there is nothing to tell. */
static void put_count(struct buf *to, uint32_t field, uint32_t n)
{
    if (n)
        pb_put_varint(to, field, n);
}

static void put_text(struct buf *to, uint32_t field, struct sv text)
{
    if (text.len)
        pb_put_bytes(to, field, text);
}

static void put_attrs(struct buf *to, uint32_t field, uint32_t dropped_field, const struct attrs *a)
{
    for (uint32_t i = 0; i < a->len; i++)
        put_attr(to, field, &a->list[i]);
    put_count(to, dropped_field, a->dropped);
}

static void put_event(struct buf *to, const struct span_event *e)
{
    size_t mark = pb_open(to, OTLP_SPAN_EVENTS);
    pb_put_fixed64(to, OTLP_EVENT_TIME, (uint64_t)e->time_ns);
    pb_put_bytes(to, OTLP_EVENT_NAME, e->name);
    put_attrs(to, OTLP_EVENT_ATTRIBUTES, OTLP_EVENT_DROPPED_ATTRIBUTES, &e->attrs);
    pb_close(to, mark);
}

static void put_link(struct buf *to, const struct span_link *l)
{
    size_t mark = pb_open(to, OTLP_SPAN_LINKS);
    pb_put_bytes(to, OTLP_LINK_TRACE_ID, sv_of(l->trace_id.b, 16));
    pb_put_bytes(to, OTLP_LINK_SPAN_ID, sv_of(l->span_id.b, 8));
    pb_put_bytes(to, OTLP_LINK_TRACE_STATE, l->trace_state);
    put_attrs(to, OTLP_LINK_ATTRIBUTES, OTLP_LINK_DROPPED_ATTRIBUTES, &l->attrs);
    pb_put_fixed32(to, OTLP_LINK_FLAGS, l->flags);
    pb_close(to, mark);
}

static void put_span(struct buf *to, const struct span *s)
{
    size_t mark = pb_open(to, OTLP_SCOPE_SPANS_SPANS);
    pb_put_bytes(to, OTLP_SPAN_TRACE_ID, sv_of(s->trace_id.b, 16));
    pb_put_bytes(to, OTLP_SPAN_SPAN_ID, sv_of(s->span_id.b, 8));
    put_text(to, OTLP_SPAN_TRACE_STATE, s->trace_state);
    if (span_id_is_set(s->parent_id))
        pb_put_bytes(to, OTLP_SPAN_PARENT_SPAN_ID, sv_of(s->parent_id.b, 8));
    pb_put_bytes(to, OTLP_SPAN_NAME, s->name);
    pb_put_varint(to, OTLP_SPAN_KIND, s->kind);
    pb_put_fixed64(to, OTLP_SPAN_START_TIME, (uint64_t)s->start_ns);
    pb_put_fixed64(to, OTLP_SPAN_END_TIME, (uint64_t)s->end_ns);
    put_attrs(to, OTLP_SPAN_ATTRIBUTES, OTLP_SPAN_DROPPED_ATTRIBUTES, &s->attrs);
    for (uint32_t i = 0; i < s->events_len; i++)
        put_event(to, &s->events[i]);
    put_count(to, OTLP_SPAN_DROPPED_EVENTS, s->dropped_events);
    for (uint32_t i = 0; i < s->links_len; i++)
        put_link(to, &s->links[i]);
    put_count(to, OTLP_SPAN_DROPPED_LINKS, s->dropped_links);
    size_t status = pb_open(to, OTLP_SPAN_STATUS);
    put_text(to, OTLP_STATUS_MESSAGE, s->status_message);
    put_count(to, OTLP_STATUS_CODE, s->status);
    pb_close(to, status);
    pb_put_fixed32(to, OTLP_SPAN_FLAGS, s->flags);
    pb_close(to, mark);
}

/* The spans from here on that share a resource and a scope stand in one group. */
static size_t group_len(const struct span *spans, size_t n)
{
    size_t len = 1;
    while (len < n && spans[len].resource == spans->resource && spans[len].scope == spans->scope)
        len++;
    return len;
}

static void put_group(struct buf *to, const struct span *spans, size_t n)
{
    const struct resource *of = spans->resource;
    const struct scope *by = spans->scope;
    size_t group = pb_open(to, OTLP_TRACE_REQUEST_RESOURCE_SPANS);
    size_t resource = pb_open(to, OTLP_RESOURCE_SPANS_RESOURCE);
    put_attrs(to, OTLP_RESOURCE_ATTRIBUTES, OTLP_RESOURCE_DROPPED_ATTRIBUTES, &of->attrs);
    pb_close(to, resource);
    size_t scopes = pb_open(to, OTLP_RESOURCE_SPANS_SCOPE_SPANS);
    size_t scope = pb_open(to, OTLP_SCOPE_SPANS_SCOPE);
    pb_put_bytes(to, OTLP_SCOPE_NAME, by->name);
    pb_put_bytes(to, OTLP_SCOPE_VERSION, by->version);
    put_attrs(to, OTLP_SCOPE_ATTRIBUTES, OTLP_SCOPE_DROPPED_ATTRIBUTES, &by->attrs);
    pb_close(to, scope);
    for (size_t i = 0; i < n; i++)
        put_span(to, &spans[i]);
    pb_put_bytes(to, OTLP_SCOPE_SPANS_SCHEMA_URL, by->schema_url);
    pb_close(to, scopes);
    pb_put_bytes(to, OTLP_RESOURCE_SPANS_SCHEMA_URL, of->schema_url);
    pb_close(to, group);
}

void otlp_write_proto(const struct span *spans, size_t n, struct buf *to)
{
    for (size_t i = 0, len; i < n; i += len) {
        len = group_len(spans + i, n - i);
        put_group(to, spans + i, len);
    }
}
