/* rows_w.c - the journal's row: a batch span after span, written while it is added to a segment.
 *
 * This is on the path to the acknowledgement, so it is one pass: a span is a mask of what it has,
 * then the fields. Texts have a number in their column already, so whether a row has them needs no
 * lookup: each remembers the row it was written to last. Resources and scopes are written where
 * they first appear and referred to by number afterwards. Times are deltas from the span before. */
#include "store/sqlite/rows.h"
#include "store/sqlite/rows_format.h"
#include "store/sqlite/segment_format.h"
#include "store/sqlite/segment_w.h"

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

/* A text with a number in a column: written out the first time in this row. */
static void numbered_put(struct segment_w *w, const struct dict *d, uint32_t number)
{
    struct dict_text *t = &d->list[number];
    struct texts_w *to = &w->row_texts;
    if (t->row == w->rows) {
        text_ref_put(to, t->number);
    } else if (d->is_plain || t->len > TEXT_INTERNED_MAX) {
        text_plain_put(to, sv_of(t->p, t->len));
    } else {
        t->row = w->rows;
        t->number = text_new_put(to, sv_of(t->p, t->len));
    }
}

static void key_put(struct segment_w *w, struct column *c)
{
    if (c->row == w->rows) {
        text_ref_put(&w->row_texts, c->number);
    } else if (c->key.len > TEXT_INTERNED_MAX) {
        text_plain_put(&w->row_texts, c->key);
    } else {
        c->row = w->rows;
        c->number = text_new_put(&w->row_texts, c->key);
    }
}

static void cell_put(struct segment_w *w, const struct column *c, cell v)
{
    struct buf *out = w->row_texts.out;
    switch (c->type) {
    case VALUE_EMPTY: break;
    case VALUE_STR:
    case VALUE_BYTES: numbered_put(w, &c->dict, (uint32_t)v); break;
    case VALUE_BOOL: buf_put_u8(out, (uint8_t)v); break;
    case VALUE_INT: buf_put_zigzag(out, (int64_t)v); break;
    case VALUE_DOUBLE: buf_put_le64(out, v); break;
    case VALUE_ARRAY:
    case VALUE_KVLIST: value_body_put(&w->row_texts, (const struct value *)(uintptr_t)v); break;
    }
}

/* Writes the owner's number plus one, or 0 when it is new in this row: then it follows. A full
 * list starts over; the reader does the same. True when it is new. */
static bool owner_put(struct owners *o, uint32_t number, struct buf *out)
{
    struct owner_row *row = &o->rows[number];
    if (row->round == o->round) {
        buf_put_varint(out, row->number + 1);
        return false;
    }
    if (o->rows_len == SEEN_MAX) {
        o->rows_len = 0;
        o->round++;
    }
    *row = (struct owner_row){ o->round, o->rows_len++ };
    buf_put_varint(out, 0);
    return true;
}

static uint32_t mask_of(const struct segment_w *w, const struct span *s)
{
    uint32_t mask = 0;
    mask |= trace_id_eq(s->trace_id, w->row_trace) ? ROW_SAME_TRACE : 0;
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

static void optional_fields_put(struct segment_w *w, const struct span *s,
                                const struct added_span *a, uint32_t mask)
{
    struct texts_w *t = &w->row_texts;
    const struct added_extra *extra = a->extra ? &w->extras[a->extra - 1] : NULL;
    if (mask & ROW_STATUS)
        buf_put_varint(t->out, (uint32_t)s->status);
    if (mask & ROW_FLAGS)
        buf_put_varint(t->out, s->flags);
    if (mask & ROW_MESSAGE)
        numbered_put(w, &w->messages, extra->message);
    if (mask & ROW_TRACE_STATE)
        numbered_put(w, &w->trace_states, extra->trace_state);
    if (mask & ROW_DROPPED) {
        buf_put_varint(t->out, s->dropped_events);
        buf_put_varint(t->out, s->dropped_links);
    }
    if (mask & ROW_EVENTS)
        events_put(t, s);
    if (mask & ROW_LINKS)
        links_put(t, s);
}

void row_put_span(struct segment_w *w, const struct span *s, const struct added_span *a)
{
    struct buf *out = w->row_texts.out;
    uint32_t mask = mask_of(w, s);
    buf_put_varint(out, mask);
    if (!(mask & ROW_SAME_TRACE))
        buf_append(out, s->trace_id.b, sizeof(s->trace_id.b));
    buf_append(out, s->span_id.b, sizeof(s->span_id.b));
    if (mask & ROW_PARENT)
        buf_append(out, s->parent_id.b, sizeof(s->parent_id.b));
    buf_put_varint(out, (uint32_t)s->kind);
    buf_put_zigzag(out, (int64_t)((uint64_t)s->start_ns - (uint64_t)w->row_start_ns));
    buf_put_zigzag(out, (int64_t)((uint64_t)s->end_ns - (uint64_t)s->start_ns));
    numbered_put(w, &w->names, a->name);
    if (owner_put(&w->resources, a->resource, out))
        resource_put(&w->row_texts, s->resource);
    struct shape shape;
    memcpy(&shape, w->shapes.list[a->shape].p, sizeof(shape));
    if (owner_put(&w->scopes, shape.scope, out))
        scope_put(&w->row_texts, s->scope);
    optional_fields_put(w, s, a, mask);
    const struct key_list *keys = &w->key_lists[shape.keys];
    buf_put_varint(out, keys->len);
    buf_put_varint(out, s->attrs.dropped);
    for (uint32_t i = 0; i < keys->len; i++) {
        struct column *c = &w->columns[keys->list[i].column];
        key_put(w, c);
        buf_put_u8(out, (uint8_t)c->type);
        cell_put(w, c, w->cells[a->first_cell + i]);
    }
    w->row_trace = s->trace_id;
    w->row_start_ns = s->start_ns;
}

void row_put_call(struct segment_w *w, const struct added_call *c, int64_t before_ns)
{
    enum { WHO_LEN = 12 }; /* texts of the two identities */
    struct buf *out = w->row_texts.out;
    buf_put_u8(out, c->reporter);
    buf_put_u8(out, c->protocol);
    buf_put_u8(out, c->tls);
    for (size_t i = 0; i < WHO_LEN; i++)
        numbered_put(w, &w->call_texts[i], c->texts[i]);
    buf_put_zigzag(out, (int64_t)((uint64_t)c->start_ns - (uint64_t)before_ns));
    buf_put_zigzag(out, c->duration_ns);
    buf_put_varint(out, c->bytes_received);
    buf_put_varint(out, c->bytes_sent);
    buf_put_varint(out, c->response_code);
    buf_put_zigzag(out, c->grpc_status);
    for (size_t i = WHO_LEN; i < CALL_TEXTS_LEN; i++)
        numbered_put(w, &w->call_texts[i], c->texts[i]);
    buf_put_zigzag(out, c->peer_cert_expiry_ns);
    buf_append(out, c->trace_id.b, sizeof(c->trace_id.b));
    buf_append(out, c->span_id.b, sizeof(c->span_id.b));
}

static void owners_row_begin(struct owners *o)
{
    o->round++;
    o->rows_len = 0;
}

void row_begin(struct segment_w *w, const struct batch *b, struct buf *out)
{
    w->rows++;
    w->row_trace = (struct trace_id){ 0 };
    w->row_start_ns = 0;
    owners_row_begin(&w->resources);
    owners_row_begin(&w->scopes);
    texts_w_start(&w->row_texts, out);
    buf_putc(out, ROWS_VERSION);
    buf_put_varint(out, b->spans_len);
    buf_put_varint(out, b->calls_len);
}
