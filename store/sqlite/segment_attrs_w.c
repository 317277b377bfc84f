/* segment_attrs_w.c - what spans say: names, resources, shapes and a column a key.
 *
 * A shape is everything about a span that does not vary freely: kind, status, flags, scope, which
 * optional parts it has and which attributes of which types in which order. A segment has a few
 * dozen, so a span costs one byte for all of that, and an attribute costs only its value, which
 * goes to the column of its key and type. Columns come in the order in which they were first used,
 * and each has its values in the order of the spans that have them: the cells of every span, which
 * lie together, are dealt out to their columns in one pass. */
#include "store/sqlite/patterns_w.h"
#include "store/sqlite/rows.h"
#include "store/sqlite/segment_format.h"
#include "store/sqlite/segment_w.h"
#include "store/sqlite/stream_format.h"

static struct shape shape_at(const struct segment_w *w, uint32_t number)
{
    struct shape shape;
    memcpy(&shape, w->shapes.list[number].p, sizeof(shape));
    return shape;
}

static void put_table(struct segment_w *w, const struct interner *t)
{
    struct buf *b = stream_begin(&w->streams);
    buf_put_varint(b, t->len);
    for (size_t i = 0; i < t->len; i++)
        buf_put_text(b, t->list[i]);
    stream_end(&w->streams);
}

static void put_shapes(struct segment_w *w)
{
    struct buf *b = stream_begin(&w->streams);
    buf_put_varint(b, w->shapes.len);
    for (uint32_t i = 0; i < w->shapes.len; i++) {
        struct shape s = shape_at(w, i);
        const struct key_list *keys = &w->key_lists[s.keys];
        const uint32_t head[] = { s.kind,    s.status,         s.flags,         s.scope,  s.parts,
                                  s.dropped, s.dropped_events, s.dropped_links, keys->len };
        buf_clear(&w->row);
        for (size_t k = 0; k < NELEMS(head); k++)
            buf_put_varint(&w->row, head[k]);
        for (uint32_t k = 0; k < keys->len; k++)
            buf_put_varint(&w->row, keys->list[k].column);
        w->failed |= w->row.failed;
        buf_put_text(b, buf_sv(&w->row));
    }
    stream_end(&w->streams);
}

/* One number of every span, chosen by where it lies in struct added_span. */
static uint32_t *numbers_of(struct segment_w *w, size_t number_at)
{
    uint32_t *list = segment_scratch(w, w->spans_len, sizeof(*list));
    for (size_t i = 0; list && i < w->spans_len; i++)
        memcpy(&list[i], (const char *)w->order[i] + number_at, sizeof(*list));
    return list;
}

static void put_numbers(struct segment_w *w, size_t number_at, size_t limit)
{
    const uint32_t *list = numbers_of(w, number_at);
    if (list)
        numbers_put(&w->streams, list, w->spans_len, (uint32_t)limit);
}

/* The n-th extra in order, NULL when the span has none. */
static const struct added_extra *extra_at(const struct segment_w *w, size_t n)
{
    uint32_t extra = w->order[n]->extra;
    return extra ? &w->extras[extra - 1] : NULL;
}

static void put_extra_texts(struct segment_w *w, const struct dict *d, uint32_t part,
                            size_t number_at)
{
    uint32_t *list = segment_scratch(w, w->extras_len, sizeof(*list));
    size_t n = 0;
    for (size_t i = 0; list && n < d->rows && i < w->spans_len; i++) {
        const struct added_extra *extra = extra_at(w, i);
        if (extra && shape_at(w, w->order[i]->shape).parts & part)
            memcpy(&list[n++], (const char *)extra + number_at, sizeof(*list));
    }
    if (list)
        segment_put_texts(w, d, list, n);
}

static void put_events_and_links(struct segment_w *w)
{
    struct span s = { 0 };
    texts_w_start(&w->texts, stream_begin(&w->streams));
    for (size_t i = 0; w->extras_len && i < w->spans_len; i++) {
        const struct added_extra *extra = extra_at(w, i);
        if (!extra || !extra->events_len)
            continue;
        s.start_ns = w->order[i]->start_ns;
        s.events = extra->events;
        s.events_len = extra->events_len;
        events_put(&w->texts, &s);
    }
    segment_check_texts(w);
    stream_end(&w->streams);
    texts_w_start(&w->texts, stream_begin(&w->streams));
    for (size_t i = 0; w->extras_len && i < w->spans_len; i++) {
        const struct added_extra *extra = extra_at(w, i);
        if (!extra || !extra->links_len)
            continue;
        s.links = extra->links;
        s.links_len = extra->links_len;
        links_put(&w->texts, &s);
    }
    segment_check_texts(w);
    stream_end(&w->streams);
}

static void put_plain(struct segment_w *w, const struct dict *d, const uint32_t *numbers, size_t n)
{
    struct buf *b = stream_begin(&w->streams);
    buf_put_varint(b, STRINGS_PLAIN);
    for (size_t i = 0; i < n; i++)
        buf_put_varint(b, d->list[numbers[i]].len);
    stream_end(&w->streams);
    b = stream_begin(&w->streams);
    for (size_t i = 0; i < n; i++)
        buf_append(b, d->list[numbers[i]].p, d->list[numbers[i]].len);
    stream_end(&w->streams);
}

/* A dictionary when that is smaller: at least half of many rows must repeat an earlier one. Its
 * texts are numbered anew, in order of their first row here, so that neighbours look alike. */
void segment_put_texts(struct segment_w *w, const struct dict *d, const uint32_t *numbers, size_t n)
{
    if (d->is_plain || d->len > (n < 64 ? n : n / 2)) {
        if (!patterns_put(&w->streams, &w->scratch, d, numbers, n))
            put_plain(w, d, numbers, n);
        return;
    }
    uint32_t *again = segment_scratch(w, d->len, sizeof(*again)); /* plus one; 0: not yet */
    uint32_t *list = segment_scratch(w, n, sizeof(*list));
    if (w->failed)
        return;
    memset(again, 0, d->len * sizeof(*again));
    uint32_t len = 0;
    struct buf *b = stream_begin(&w->streams);
    buf_put_varint(b, STRINGS_DICTIONARY);
    buf_put_varint(b, d->len);
    for (size_t i = 0; i < n; i++) {
        uint32_t number = numbers[i];
        if (!again[number]) {
            again[number] = ++len;
            buf_put_text(b, sv_of(d->list[number].p, d->list[number].len));
        }
        list[i] = again[number] - 1;
    }
    INVARIANT(len == d->len);
    stream_end(&w->streams);
    numbers_put(&w->streams, list, n, len);
}

static void put_values(struct segment_w *w, const struct column *c, const cell *values)
{
    struct buf *b = stream_begin(&w->streams);
    texts_w_start(&w->texts, b);
    for (size_t i = 0; i < c->len; i++) {
        if (c->type == VALUE_INT)
            buf_put_zigzag(b, (int64_t)values[i]);
        else if (c->type == VALUE_BOOL)
            buf_put_u8(b, (uint8_t)values[i]);
        else if (c->type == VALUE_DOUBLE)
            buf_put_le64(b, values[i]);
        else
            value_body_put(&w->texts, (const struct value *)(uintptr_t)values[i]);
    }
    segment_check_texts(w);
    stream_end(&w->streams);
}

static void put_column(struct segment_w *w, const struct column *c, const cell *values)
{
    if (c->type == VALUE_EMPTY)
        return;
    if (c->type != VALUE_STR && c->type != VALUE_BYTES) {
        put_values(w, c, values);
        return;
    }
    uint32_t *numbers = segment_scratch(w, c->len, sizeof(*numbers));
    for (size_t i = 0; numbers && i < c->len; i++)
        numbers[i] = (uint32_t)values[i];
    if (numbers)
        segment_put_texts(w, &c->dict, numbers, c->len);
}

static void put_columns(struct segment_w *w)
{
    cell *values = segment_scratch(w, w->cells_len, sizeof(*values));
    cell **next = segment_scratch(w, w->columns_len, sizeof(*next));
    if (w->failed)
        return;
    cell *at = values;
    for (size_t c = 0; c < w->columns_len; c++) {
        struct column *column = &w->columns[c];
        if (column->type == VALUE_STR || column->type == VALUE_BYTES)
            column->len = column->dict.rows;
        next[c] = at;
        at += w->columns[c].len;
    }
    for (size_t i = 0; i < w->spans_len; i++) {
        const struct added_span *a = w->order[i];
        const struct key_list *keys = &w->key_lists[shape_at(w, a->shape).keys];
        const struct key_ref *refs = keys->list;
        for (uint32_t k = 0, len = keys->len; k < len; k++)
            *next[refs[k].column]++ = w->cells[a->first_cell + k];
    }
    w->column_ends = next;
    for (size_t c = 0; c < w->columns_len && !w->failed; c++)
        put_column(w, &w->columns[c], next[c] - w->columns[c].len);
}

void segment_put_attrs(struct segment_w *w)
{
    const uint32_t *names = numbers_of(w, offsetof(struct added_span, name));
    if (!names)
        return;
    segment_put_texts(w, &w->names, names, w->spans_len);
    put_table(w, &w->resources.table);
    put_numbers(w, offsetof(struct added_span, resource), w->resources.table.len);
    put_table(w, &w->scopes.table);
    put_table(w, &w->keys);
    put_shapes(w);
    put_numbers(w, offsetof(struct added_span, shape), w->shapes.len);
    put_extra_texts(w, &w->messages, SHAPE_MESSAGE, offsetof(struct added_extra, message));
    put_extra_texts(w, &w->trace_states, SHAPE_TRACE_STATE,
                    offsetof(struct added_extra, trace_state));
    put_events_and_links(w);
    put_columns(w);
}
