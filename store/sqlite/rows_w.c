/* rows_w.c - writing a batch span after span.
 *
 * This is on the path to the acknowledgement, so it is one pass: a span is a mask of what it has,
 * then the fields. Resources and scopes are written where they first appear and referred to by
 * number afterwards; spans of one resource come together, so remembering the last is enough to
 * find most, and a short walk finds the rest. Times are deltas from the span before. */
#include "store/sqlite/rows.h"
#include "store/sqlite/rows_format.h"

/* Resources (or scopes) by address, in order of first appearance. */
struct seen_list {
    const void *list[SEEN_MAX];
    uint32_t len;
};

/* Writes the number of p plus one, or 0 when it is new: then it follows, and has the next number.
 * A full list starts over; the reader does the same. True when it is new. */
static bool number_put(struct buf *out, struct seen_list *seen, const void *p)
{
    for (uint32_t i = seen->len; i-- > 0;) {
        if (seen->list[i] == p) {
            buf_put_varint(out, i + 1);
            return false;
        }
    }
    if (seen->len == SEEN_MAX)
        seen->len = 0;
    seen->list[seen->len++] = p;
    buf_put_varint(out, 0);
    return true;
}

void resource_put(struct texts_w *w, const struct resource *r)
{
    attrs_put(w, &r->attrs);
    text_put(w, r->schema_url);
}

void scope_put(struct texts_w *w, const struct scope *s)
{
    text_put(w, s->name);
    text_put(w, s->version);
    attrs_put(w, &s->attrs);
    text_put(w, s->schema_url);
}

void events_put(struct texts_w *w, const struct span *s)
{
    buf_put_varint(w->out, s->events_len);
    for (uint32_t i = 0; i < s->events_len; i++) {
        buf_put_zigzag(w->out, (int64_t)((uint64_t)s->events[i].time_ns - (uint64_t)s->start_ns));
        text_put(w, s->events[i].name);
        attrs_put(w, &s->events[i].attrs);
    }
}

void links_put(struct texts_w *w, const struct span *s)
{
    buf_put_varint(w->out, s->links_len);
    for (uint32_t i = 0; i < s->links_len; i++) {
        const struct span_link *l = &s->links[i];
        buf_append(w->out, l->trace_id.b, sizeof(l->trace_id.b));
        buf_append(w->out, l->span_id.b, sizeof(l->span_id.b));
        text_put(w, l->trace_state);
        buf_put_varint(w->out, l->flags);
        attrs_put(w, &l->attrs);
    }
}

struct rows_w {
    struct texts_w *texts;
    struct seen_list resources, scopes;
    struct trace_id trace;
    int64_t start_ns;
};

static uint32_t mask_of(const struct rows_w *w, const struct span *s)
{
    uint32_t mask = 0;
    mask |= trace_id_eq(s->trace_id, w->trace) ? ROW_SAME_TRACE : 0;
    mask |= span_id_is_set(s->parent_id) ? ROW_PARENT : 0;
    mask |= s->status ? ROW_STATUS : 0;
    mask |= s->flags ? ROW_FLAGS : 0;
    mask |= s->status_message.len ? ROW_MESSAGE : 0;
    mask |= s->trace_state.len ? ROW_TRACE_STATE : 0;
    mask |= s->events_len ? ROW_EVENTS : 0;
    mask |= s->links_len ? ROW_LINKS : 0;
    mask |= s->dropped_events || s->dropped_links ? ROW_DROPPED : 0;
    return mask;
}

static void optional_fields_put(struct texts_w *t, const struct span *s, uint32_t mask)
{
    if (mask & ROW_STATUS)
        buf_put_varint(t->out, (uint32_t)s->status);
    if (mask & ROW_FLAGS)
        buf_put_varint(t->out, s->flags);
    if (mask & ROW_MESSAGE)
        text_put(t, s->status_message);
    if (mask & ROW_TRACE_STATE)
        text_put(t, s->trace_state);
    if (mask & ROW_DROPPED) {
        buf_put_varint(t->out, s->dropped_events);
        buf_put_varint(t->out, s->dropped_links);
    }
    if (mask & ROW_EVENTS)
        events_put(t, s);
    if (mask & ROW_LINKS)
        links_put(t, s);
}

static void span_put(struct rows_w *w, const struct span *s)
{
    struct texts_w *t = w->texts;
    uint32_t mask = mask_of(w, s);
    buf_put_varint(t->out, mask);
    if (!(mask & ROW_SAME_TRACE))
        buf_append(t->out, s->trace_id.b, sizeof(s->trace_id.b));
    buf_append(t->out, s->span_id.b, sizeof(s->span_id.b));
    if (mask & ROW_PARENT)
        buf_append(t->out, s->parent_id.b, sizeof(s->parent_id.b));
    buf_put_varint(t->out, (uint32_t)s->kind);
    buf_put_zigzag(t->out, (int64_t)((uint64_t)s->start_ns - (uint64_t)w->start_ns));
    buf_put_zigzag(t->out, (int64_t)((uint64_t)s->end_ns - (uint64_t)s->start_ns));
    text_put(t, s->name);
    if (number_put(t->out, &w->resources, s->resource))
        resource_put(t, s->resource);
    if (number_put(t->out, &w->scopes, s->scope))
        scope_put(t, s->scope);
    optional_fields_put(t, s, mask);
    attrs_put(t, &s->attrs);
    w->trace = s->trace_id;
    w->start_ns = s->start_ns;
}

static void identity_put(struct texts_w *t, const struct identity *who)
{
    text_put(t, who->cluster);
    text_put(t, who->namespace);
    text_put(t, who->workload);
    text_put(t, who->service);
    text_put(t, who->version);
    text_put(t, who->principal);
}

void call_put(struct texts_w *t, const struct call *c, int64_t *previous_start_ns)
{
    buf_put_u8(t->out, (uint8_t)c->reporter);
    buf_put_u8(t->out, (uint8_t)c->protocol);
    buf_put_u8(t->out, (uint8_t)c->tls);
    identity_put(t, &c->source);
    identity_put(t, &c->destination);
    buf_put_zigzag(t->out, (int64_t)((uint64_t)c->start_ns - (uint64_t)*previous_start_ns));
    *previous_start_ns = c->start_ns;
    buf_put_zigzag(t->out, c->duration_ns);
    buf_put_varint(t->out, c->bytes_received);
    buf_put_varint(t->out, c->bytes_sent);
    buf_put_varint(t->out, c->response_code);
    buf_put_zigzag(t->out, c->grpc_status);
    const struct sv texts[] = CALL_TEXTS(c->);
    for (size_t i = 0; i < NELEMS(texts); i++)
        text_put(t, texts[i]);
    buf_put_zigzag(t->out, c->peer_cert_expiry_ns);
    buf_append(t->out, c->trace_id.b, sizeof(c->trace_id.b));
    buf_append(t->out, c->span_id.b, sizeof(c->span_id.b));
}

int rows_encode(const struct batch *b, struct texts_w *texts, struct buf *out, struct err *err)
{
    struct rows_w w = { .texts = texts };
    texts_w_start(texts, out);
    buf_putc(out, ROWS_VERSION);
    buf_put_varint(out, b->spans_len);
    buf_put_varint(out, b->calls_len);
    for (size_t i = 0; i < b->spans_len; i++)
        span_put(&w, &b->spans[i]);
    int64_t start_ns = 0;
    for (size_t i = 0; i < b->calls_len; i++)
        call_put(texts, &b->calls[i], &start_ns);
    if (out->failed || texts->failed)
        return err_set(err, ERR_NOMEM, "%zu spans, %zu calls", b->spans_len, b->calls_len);
    if (texts->is_too_deep)
        return err_set(err, ERR_LIMIT, "attributes nest deeper than %d", VALUE_DEPTH_MAX);
    return 0;
}
