/* span_copy.c - a copy of a span that shares no byte with it.
 *
 * Resources and scopes are shared inside a batch by many spans; the copy keeps that by remembering
 * the last one copied, which is nearly always the one wanted. A piece that could not be copied
 * latches `failed`, checked once at the end. */
#include "model/span_copy.h"

static void *make(struct copier *c, size_t n, size_t size)
{
    void *p = arena_array(c->mem, n, size);
    if (!p)
        c->failed = true;
    return p;
}

struct sv copy_text(struct copier *c, struct sv s)
{
    struct sv copy = arena_copy(c->mem, s);
    if (!copy.p)
        c->failed = true;
    return copy;
}

static struct attrs attrs_copy(struct copier *c, const struct attrs *from);

static struct value value_copy(struct copier *c, const struct value *from)
{
    struct value v = *from;
    if (v.type == VALUE_STR || v.type == VALUE_BYTES) {
        v.str = copy_text(c, from->str);
    } else if (v.type == VALUE_KVLIST) {
        struct attrs list = { from->kvlist, from->len, 0 };
        v.kvlist = attrs_copy(c, &list).list;
    } else if (v.type == VALUE_ARRAY) {
        struct value *array = make(c, from->len, sizeof(*array));
        for (uint32_t i = 0; array && i < from->len; i++)
            array[i] = value_copy(c, &from->array[i]);
        v.array = array;
    }
    return v;
}

static struct attrs attrs_copy(struct copier *c, const struct attrs *from)
{
    struct attr *list = make(c, from->len, sizeof(*list));
    for (uint32_t i = 0; list && i < from->len; i++) {
        list[i].key = copy_text(c, from->list[i].key);
        list[i].value = value_copy(c, &from->list[i].value);
    }
    return (struct attrs){ list, from->len, from->dropped };
}

static const struct resource *resource_copy(struct copier *c, const struct resource *from)
{
    if (from == c->resource_from)
        return c->resource_to;
    struct resource *to = make(c, 1, sizeof(*to));
    if (to)
        *to = (struct resource){ attrs_copy(c, &from->attrs), copy_text(c, from->schema_url) };
    c->resource_from = from;
    c->resource_to = to;
    return to;
}

static const struct scope *scope_copy(struct copier *c, const struct scope *from)
{
    if (from == c->scope_from)
        return c->scope_to;
    struct scope *to = make(c, 1, sizeof(*to));
    if (to)
        *to = (struct scope){ copy_text(c, from->name), copy_text(c, from->version),
                              attrs_copy(c, &from->attrs), copy_text(c, from->schema_url) };
    c->scope_from = from;
    c->scope_to = to;
    return to;
}

void copy_span(struct copier *c, const struct span *from, struct span *to)
{
    *to = *from;
    to->name = copy_text(c, from->name);
    to->status_message = copy_text(c, from->status_message);
    to->trace_state = copy_text(c, from->trace_state);
    to->attrs = attrs_copy(c, &from->attrs);
    to->key_order = NULL; /* the batch's */
    struct span_event *events = make(c, from->events_len, sizeof(*events));
    for (uint32_t i = 0; events && i < from->events_len; i++)
        events[i] = (struct span_event){ from->events[i].time_ns,
                                         copy_text(c, from->events[i].name),
                                         attrs_copy(c, &from->events[i].attrs) };
    to->events = events;
    struct span_link *links = make(c, from->links_len, sizeof(*links));
    for (uint32_t i = 0; links && i < from->links_len; i++) {
        links[i] = from->links[i];
        links[i].trace_state = copy_text(c, from->links[i].trace_state);
        links[i].attrs = attrs_copy(c, &from->links[i].attrs);
    }
    to->links = links;
    to->resource = resource_copy(c, from->resource);
    to->scope = scope_copy(c, from->scope);
}
