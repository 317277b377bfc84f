/* batch_copy.c - a copy of a batch that shares no byte with it.
 *
 * Resources and scopes are shared inside a batch by many spans; the copy keeps that by remembering
 * the last one copied, which is nearly always the one wanted. A piece that could not be copied
 * latches `failed`, checked once at the end. */
#include "store/batch_copy.h"

struct copier {
    struct arena *mem;
    const struct resource *resource_from, *resource_to;
    const struct scope *scope_from, *scope_to;
    bool failed;
};

static void *make(struct copier *c, size_t n, size_t size)
{
    void *p = arena_array(c->mem, n, size);
    if (!p)
        c->failed = true;
    return p;
}

static struct sv text(struct copier *c, struct sv s)
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
        v.str = text(c, from->str);
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
        list[i].key = text(c, from->list[i].key);
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
        *to = (struct resource){ attrs_copy(c, &from->attrs), text(c, from->schema_url) };
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
        *to = (struct scope){ text(c, from->name), text(c, from->version),
                              attrs_copy(c, &from->attrs), text(c, from->schema_url) };
    c->scope_from = from;
    c->scope_to = to;
    return to;
}

static void span_copy(struct copier *c, const struct span *from, struct span *to)
{
    *to = *from;
    to->name = text(c, from->name);
    to->status_message = text(c, from->status_message);
    to->trace_state = text(c, from->trace_state);
    to->attrs = attrs_copy(c, &from->attrs);
    struct span_event *events = make(c, from->events_len, sizeof(*events));
    for (uint32_t i = 0; events && i < from->events_len; i++)
        events[i] = (struct span_event){ from->events[i].time_ns, text(c, from->events[i].name),
                                         attrs_copy(c, &from->events[i].attrs) };
    to->events = events;
    struct span_link *links = make(c, from->links_len, sizeof(*links));
    for (uint32_t i = 0; links && i < from->links_len; i++) {
        links[i] = from->links[i];
        links[i].trace_state = text(c, from->links[i].trace_state);
        links[i].attrs = attrs_copy(c, &from->links[i].attrs);
    }
    to->links = links;
    to->resource = resource_copy(c, from->resource);
    to->scope = scope_copy(c, from->scope);
}

static struct identity who_copy(struct copier *c, const struct identity *from)
{
    return (struct identity){ text(c, from->cluster),  text(c, from->namespace),
                              text(c, from->workload), text(c, from->service),
                              text(c, from->version),  text(c, from->principal) };
}

static void call_copy(struct copier *c, const struct call *from, struct call *to)
{
    *to = *from;
    to->source = who_copy(c, &from->source);
    to->destination = who_copy(c, &from->destination);
    struct sv *const texts[] = {
        &to->response_flags,
        &to->response_code_details,
        &to->method,
        &to->path,
        &to->authority,
        &to->route_name,
        &to->request_id,
        &to->user_agent,
        &to->destination_service,
        &to->upstream_host,
        &to->tls_version,
        &to->tls_cipher,
        &to->source_principal_seen,
        &to->destination_principal_seen,
    };
    for (size_t i = 0; i < NELEMS(texts); i++)
        *texts[i] = text(c, *texts[i]);
}

struct batch *batch_copy(const struct batch *b)
{
    AUTO_FREE(batch) copy = batch_new();
    if (!copy)
        return NULL;
    struct copier c = { .mem = &copy->mem };
    copy->idempotency_key = text(&c, b->idempotency_key);
    copy->seq = b->seq;
    copy->received_ns = b->received_ns;
    for (size_t i = 0; i < b->spans_len && !c.failed; i++) {
        struct span *to = batch_add_span(copy);
        if (!to)
            return NULL;
        span_copy(&c, &b->spans[i], to);
    }
    for (size_t i = 0; i < b->calls_len && !c.failed; i++) {
        struct call *to = batch_add_call(copy);
        if (!to)
            return NULL;
        call_copy(&c, &b->calls[i], to);
    }
    return c.failed ? NULL : TAKE(copy);
}
