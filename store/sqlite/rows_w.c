/* rows_w.c - the journal's row: a batch span after span, written while it is added to a segment.
 *
 * This is on the path to the acknowledgement, so it is one pass. Texts have a number in their column
 * already, so whether a row has them needs no lookup: each remembers the row it was written to last.
 * Shapes (what a span has in common with others, its keys among that), resources and scopes are
 * written where they first appear and referred to by number afterwards; a span is its ids, times
 * and values. Times are deltas from the span before. */
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

/* The usual values, which take at most VARINT_MAX_BYTES each; NULL when it is none of those. */
static inline uint8_t *short_cell_write(const struct segment_w *w, uint8_t *to,
                                        const struct column *c, cell v)
{
    const struct dict_text *t;
    switch (c->type) {
    case VALUE_STR:
    case VALUE_BYTES:
        t = &c->dict.list[(uint32_t)v];
        return t->row == w->rows ? to + varint_write(to, (uint64_t)t->number + TEXT_FIRST_REF)
                                 : NULL;
    case VALUE_INT: return to + varint_write(to, zigzag((int64_t)v));
    case VALUE_EMPTY: /* every value takes a byte, so counts can be checked */
    case VALUE_BOOL: *to = (uint8_t)v; return to + 1;
    case VALUE_DOUBLE:
    case VALUE_ARRAY:
    case VALUE_KVLIST: break;
    }
    return NULL;
}

static void long_cell_put(struct segment_w *w, const struct column *c, cell v)
{
    if (c->type == VALUE_DOUBLE)
        buf_put_le64(w->row_texts.out, v);
    else if (c->type == VALUE_STR || c->type == VALUE_BYTES)
        numbered_put(w, &c->dict, (uint32_t)v);
    else
        value_body_put(&w->row_texts, (const struct value *)(uintptr_t)v);
}

static void cells_put(struct segment_w *w, const struct key_list *keys, const cell *cells)
{
    struct buf *out = w->row_texts.out;
    for (uint32_t i = 0; i < keys->len; i++) {
        uint8_t *begin = buf_room(out, (size_t)(keys->len - i) * VARINT_MAX_BYTES), *at = begin;
        uint8_t *next = begin;
        if (!begin)
            return; /* out has latched it */
        for (; next && i < keys->len; i++) {
            next = short_cell_write(w, at, &w->columns[keys->list[i].column], cells[i]);
            at = next ? next : at;
        }
        buf_commit(out, (size_t)(at - begin));
        if (!next) { /* the one before i needs more than that */
            i--;
            long_cell_put(w, &w->columns[keys->list[i].column], cells[i]);
        }
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

static void shape_put(struct segment_w *w, const struct span *s, const struct shape *shape)
{
    struct texts_w *t = &w->row_texts;
    const struct key_list *keys = &w->key_lists[shape->keys];
    const uint32_t numbers[] = { shape->kind,         shape->status,  shape->flags,
                                 shape->parts,        shape->dropped, shape->dropped_events,
                                 shape->dropped_links };
    for (size_t i = 0; i < NELEMS(numbers); i++)
        buf_put_varint(t->out, numbers[i]);
    if (owner_put(&w->scopes, shape->scope, t->out))
        scope_put(t, s->scope);
    buf_put_varint(t->out, keys->len);
    for (uint32_t i = 0; i < keys->len; i++) {
        struct column *c = &w->columns[keys->list[i].column];
        key_put(w, c);
        buf_put_u8(t->out, (uint8_t)c->type);
    }
}

static void extras_put(struct segment_w *w, const struct span *s, const struct added_extra *extra,
                       uint32_t parts)
{
    if (parts & SHAPE_MESSAGE)
        numbered_put(w, &w->messages, extra->message);
    if (parts & SHAPE_TRACE_STATE)
        numbered_put(w, &w->trace_states, extra->trace_state);
    if (parts & SHAPE_EVENTS)
        events_put(&w->row_texts, s);
    if (parts & SHAPE_LINKS)
        links_put(&w->row_texts, s);
}

void row_put_span(struct segment_w *w, const struct span *s, const struct added_span *a)
{
    struct buf *out = w->row_texts.out;
    struct shape shape;
    memcpy(&shape, w->shapes.list[a->shape].p, sizeof(shape));
    struct owner_row *known = &w->shape_rows[a->shape];
    bool is_known = known->round == w->rows;
    uint64_t head = is_known ? (uint64_t)(known->number + 1) << ROW_SHAPE_SHIFT : 0;
    head |= trace_id_eq(s->trace_id, w->row_trace) ? ROW_SAME_TRACE : 0;
    head |= span_id_is_set(s->parent_id) ? ROW_PARENT : 0;
    buf_put_varint(out, head);
    if (!is_known) {
        *known = (struct owner_row){ w->rows, w->row_shapes++ };
        shape_put(w, s, &shape);
    }
    if (!(head & ROW_SAME_TRACE))
        buf_append(out, s->trace_id.b, sizeof(s->trace_id.b));
    buf_append(out, s->span_id.b, sizeof(s->span_id.b));
    if (head & ROW_PARENT)
        buf_append(out, s->parent_id.b, sizeof(s->parent_id.b));
    buf_put_zigzag(out, (int64_t)((uint64_t)s->start_ns - (uint64_t)w->row_start_ns));
    buf_put_zigzag(out, (int64_t)((uint64_t)s->end_ns - (uint64_t)s->start_ns));
    numbered_put(w, &w->names, a->name);
    if (owner_put(&w->resources, a->resource, out))
        resource_put(&w->row_texts, s->resource);
    if (shape.parts)
        extras_put(w, s, &w->extras[a->extra - 1], shape.parts);
    const struct key_list *keys = &w->key_lists[shape.keys];
    if (keys->len)
        cells_put(w, keys, w->cells + a->first_cell);
    w->row_trace = s->trace_id;
    w->row_start_ns = s->start_ns;
}

void row_put_call(struct segment_w *w, const struct added_call *c, int64_t before_ns)
{
    enum { WHO_LEN = 12 }; /* texts of the two identities */
    struct buf *out = w->row_texts.out;
    buf_put_u8(out, c->reporter);
    buf_put_u8(out, c->protocol);
    buf_put_u8(out,
               (uint8_t)(c->tls | c->tls_basis << ROW_TLS_BASIS_SHIFT | c->part << ROW_PART_SHIFT));
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
    w->row_shapes = 0;
    owners_row_begin(&w->resources);
    owners_row_begin(&w->scopes);
    texts_w_start(&w->row_texts, out);
    buf_putc(out, ROWS_VERSION);
    buf_put_varint(out, b->spans_len);
    buf_put_varint(out, b->calls_len);
}
