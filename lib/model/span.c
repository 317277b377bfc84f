/* span.c - reading and comparing spans.
 *
 * Comparison is exact: attribute order, duplicates, types and the bits of doubles count, because
 * the store promises that what came in goes out. Nesting is bounded by the decoders, so recursion
 * over values is too. */
#include "model/span.h"
#include "base/auto.h"

const struct value *attrs_get(const struct attrs *a, struct sv key)
{
    for (uint32_t i = 0; i < a->len; i++)
        if (sv_eq(a->list[i].key, key))
            return &a->list[i].value;
    return NULL;
}

struct sv attrs_str(const struct attrs *a, struct sv key)
{
    const struct value *v = attrs_get(a, key);
    return v && v->type == VALUE_STR ? v->str : SV_NONE;
}

bool value_eq(const struct value *a, const struct value *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case VALUE_EMPTY: return true;
    case VALUE_STR:
    case VALUE_BYTES: return sv_eq(a->str, b->str);
    case VALUE_BOOL: return a->boolean == b->boolean;
    case VALUE_INT: return a->integer == b->integer;
    case VALUE_DOUBLE: return memcmp(&a->real, &b->real, sizeof(a->real)) == 0;
    case VALUE_ARRAY:
        if (a->len != b->len)
            return false;
        for (uint32_t i = 0; i < a->len; i++)
            if (!value_eq(&a->array[i], &b->array[i]))
                return false;
        return true;
    case VALUE_KVLIST:
        if (a->len != b->len)
            return false;
        for (uint32_t i = 0; i < a->len; i++)
            if (!sv_eq(a->kvlist[i].key, b->kvlist[i].key) ||
                !value_eq(&a->kvlist[i].value, &b->kvlist[i].value))
                return false;
        return true;
    }
    return false;
}

static bool attrs_eq(const struct attrs *a, const struct attrs *b)
{
    if (a->len != b->len || a->dropped != b->dropped)
        return false;
    for (uint32_t i = 0; i < a->len; i++)
        if (!sv_eq(a->list[i].key, b->list[i].key) ||
            !value_eq(&a->list[i].value, &b->list[i].value))
            return false;
    return true;
}

static bool resource_eq(const struct resource *a, const struct resource *b)
{
    return a == b || (sv_eq(a->schema_url, b->schema_url) && attrs_eq(&a->attrs, &b->attrs));
}

static bool scope_eq(const struct scope *a, const struct scope *b)
{
    return a == b || (sv_eq(a->name, b->name) && sv_eq(a->version, b->version) &&
                      sv_eq(a->schema_url, b->schema_url) && attrs_eq(&a->attrs, &b->attrs));
}

static bool event_eq(const struct span_event *a, const struct span_event *b)
{
    return a->time_ns == b->time_ns && sv_eq(a->name, b->name) && attrs_eq(&a->attrs, &b->attrs);
}

static bool link_eq(const struct span_link *a, const struct span_link *b)
{
    return trace_id_eq(a->trace_id, b->trace_id) && span_id_eq(a->span_id, b->span_id) &&
           a->flags == b->flags && sv_eq(a->trace_state, b->trace_state) &&
           attrs_eq(&a->attrs, &b->attrs);
}

static bool plain_fields_eq(const struct span *a, const struct span *b)
{
    return trace_id_eq(a->trace_id, b->trace_id) && span_id_eq(a->span_id, b->span_id) &&
           span_id_eq(a->parent_id, b->parent_id) && a->kind == b->kind && a->status == b->status &&
           a->start_ns == b->start_ns && a->end_ns == b->end_ns && a->flags == b->flags &&
           a->events_len == b->events_len && a->links_len == b->links_len &&
           a->dropped_events == b->dropped_events && a->dropped_links == b->dropped_links &&
           sv_eq(a->name, b->name) && sv_eq(a->status_message, b->status_message) &&
           sv_eq(a->trace_state, b->trace_state);
}

bool span_eq(const struct span *a, const struct span *b)
{
    if (!plain_fields_eq(a, b) || !attrs_eq(&a->attrs, &b->attrs))
        return false;
    for (uint32_t i = 0; i < a->events_len; i++)
        if (!event_eq(&a->events[i], &b->events[i]))
            return false;
    for (uint32_t i = 0; i < a->links_len; i++)
        if (!link_eq(&a->links[i], &b->links[i]))
            return false;
    return resource_eq(a->resource, b->resource) && scope_eq(a->scope, b->scope);
}

const char *span_kind_name(enum span_kind kind)
{
    static const char *const names[] = { "unspecified", "internal", "server",
                                         "client",      "producer", "consumer" };
    return (size_t)kind < NELEMS(names) ? names[kind] : names[0];
}
