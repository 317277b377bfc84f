/* segment_attrs_w.c - what spans say: names, resources, shapes and a column a key.
 *
 * A shape is everything about a span that does not vary freely: kind, status, flags, scope, which
 * optional parts it has and which attributes of which types in which order. A segment has a few
 * dozen, so a span costs one byte for all of that, and an attribute costs only its value, which
 * goes to the column of its key and type. Columns come in the order in which they were first used,
 * and each has its values in the order of the spans that have them. */
#include "base/mem.h"
#include "store/sqlite/rows.h"
#include "store/sqlite/segment_format.h"
#include "store/sqlite/segment_w.h"

uint32_t intern_copy(struct segment_w *w, struct interner *t, struct sv s)
{
    size_t known = t->len;
    uint32_t number = interner_add(t, s);
    if (number == known)
        t->list[number] = arena_copy(&w->mem, s);
    if (number == INTERNER_FULL || (number == known && !t->list[number].p)) {
        w->failed = true;
        return 0;
    }
    return number;
}

static struct owner_cache *cached(struct owner_cache *cache, const void *p)
{
    return &cache[((uintptr_t)p >> 4) * 31 >> 2 & (OWNER_CACHE_LEN - 1)];
}

/* Resources and scopes as bytes that stand for themselves, so that equal ones of two batches are
 * found to be equal. */
static uint32_t resource_number(struct segment_w *w, const struct resource *r)
{
    struct owner_cache *c = cached(w->resource_cache, r);
    if (c->p == r)
        return c->number;
    buf_clear(&w->row);
    texts_w_start(&w->texts, &w->row);
    resource_put(&w->texts, r);
    *c = (struct owner_cache){ r, intern_copy(w, &w->resources, buf_sv(&w->row)) };
    segment_check_texts(w);
    return c->number;
}

static uint32_t scope_number(struct segment_w *w, const struct scope *s)
{
    struct owner_cache *c = cached(w->scope_cache, s);
    if (c->p == s)
        return c->number;
    buf_clear(&w->row);
    texts_w_start(&w->texts, &w->row);
    scope_put(&w->texts, s);
    *c = (struct owner_cache){ s, intern_copy(w, &w->scopes, buf_sv(&w->row)) };
    segment_check_texts(w);
    return c->number;
}

static size_t row_bytes_of(enum value_type type)
{
    switch (type) {
    case VALUE_STR:
    case VALUE_BYTES: return sizeof(struct sv);
    case VALUE_BOOL: return sizeof(bool);
    case VALUE_INT: return sizeof(int64_t);
    case VALUE_DOUBLE: return sizeof(double);
    case VALUE_ARRAY:
    case VALUE_KVLIST: return sizeof(struct value);
    case VALUE_EMPTY: return 0;
    }
    return 0;
}

static uint32_t add_column(struct segment_w *w, struct sv key, enum value_type type)
{
    if (w->columns_len == w->columns_cap) {
        size_t cap = w->columns_cap ? w->columns_cap * 2 : 64;
        struct column *more = mem_resize(w->columns, cap * sizeof(*more));
        if (!more) {
            w->failed = true;
            return 0;
        }
        w->columns = more;
        w->columns_cap = cap;
    }
    w->columns[w->columns_len] =
        (struct column){ .key = key, .type = type, .row_bytes = row_bytes_of(type) };
    return (uint32_t)w->columns_len++;
}

/* Keys read from the journal are shared by the spans of a batch, so their address is tried before
 * their bytes. */
static uint32_t column_of(struct segment_w *w, struct sv key, enum value_type type)
{
    size_t hash = ((uintptr_t)key.p >> 3) * 31 + key.len + (size_t)type * 131;
    struct key_cache *c = &w->key_cache[hash & (KEY_CACHE_LEN - 1)];
    if (c->p == key.p && c->len == key.len && c->type == (uint32_t)type && key.p)
        return c->column;
    buf_clear(&w->row);
    buf_put_u8(&w->row, (uint8_t)type);
    buf_put(&w->row, key);
    size_t known = w->keys.len;
    uint32_t column = intern_copy(w, &w->keys, buf_sv(&w->row));
    if (w->keys.len > known && !w->failed)
        column = add_column(w, key, type);
    *c = (struct key_cache){ key.p, key.len, (uint32_t)type, column };
    return column;
}

static const void *row_of(const struct value *v)
{
    switch (v->type) {
    case VALUE_STR:
    case VALUE_BYTES: return &v->str;
    case VALUE_BOOL: return &v->boolean;
    case VALUE_INT: return &v->integer;
    case VALUE_DOUBLE: return &v->real;
    case VALUE_ARRAY:
    case VALUE_KVLIST: return v;
    case VALUE_EMPTY: return NULL;
    }
    return NULL;
}

static void column_add(struct segment_w *w, struct column *c, const struct value *v)
{
    if (c->len == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 256;
        char *rows = mem_resize(c->rows, cap * c->row_bytes);
        if (!rows) {
            w->failed = true;
            return;
        }
        c->rows = rows;
        c->cap = cap;
    }
    if (c->row_bytes)
        memcpy(c->rows + c->len * c->row_bytes, row_of(v), c->row_bytes);
    c->len++;
}

static uint32_t parts_of(const struct span *s)
{
    uint32_t parts = 0;
    parts |= s->status_message.len ? SHAPE_MESSAGE : 0;
    parts |= s->trace_state.len ? SHAPE_TRACE_STATE : 0;
    parts |= s->events_len ? SHAPE_EVENTS : 0;
    parts |= s->links_len ? SHAPE_LINKS : 0;
    return parts;
}

/* The bytes of s's shape, its values put into their columns on the way. */
static uint32_t shape_of(struct segment_w *w, struct buf *shape, const struct span *s,
                         uint32_t scope)
{
    buf_clear(shape);
    buf_put_varint(shape, (uint32_t)s->kind);
    buf_put_varint(shape, (uint32_t)s->status);
    buf_put_varint(shape, s->flags);
    buf_put_varint(shape, scope);
    buf_put_varint(shape, parts_of(s));
    buf_put_varint(shape, s->attrs.dropped);
    buf_put_varint(shape, s->dropped_events);
    buf_put_varint(shape, s->dropped_links);
    buf_put_varint(shape, s->attrs.len);
    for (uint32_t i = 0; i < s->attrs.len && !w->failed; i++) {
        uint32_t column = column_of(w, s->attrs.list[i].key, s->attrs.list[i].value.type);
        if (w->failed)
            return 0;
        buf_put_varint(shape, column);
        column_add(w, &w->columns[column], &s->attrs.list[i].value);
    }
    return intern_copy(w, &w->shapes, buf_sv(shape));
}

static void number_spans(struct segment_w *w)
{
    AUTO_DONE(buf) shape = { 0 };
    interner_start(&w->resources);
    interner_start(&w->scopes);
    interner_start(&w->shapes);
    interner_start(&w->keys);
    for (size_t i = 0; i < w->spans_len && !w->failed; i++) {
        const struct span *s = w->spans[i].span;
        w->resource_of[i] = resource_number(w, s->resource);
        w->shape_of[i] = shape_of(w, &shape, s, scope_number(w, s->scope));
        w->failed |= shape.failed;
    }
}

static void put_table(struct segment_w *w, const struct interner *t)
{
    struct buf *b = stream_begin(&w->streams);
    buf_put_varint(b, t->len);
    for (size_t i = 0; i < t->len; i++)
        buf_put_text(b, t->list[i]);
    stream_end(&w->streams);
}

/* One text of every span, chosen by where it lies in struct span. */
static void put_texts(struct segment_w *w, size_t text_at, uint32_t only_parts)
{
    struct sv *list = arena_array(&w->mem, w->spans_len, sizeof(*list));
    size_t n = 0;
    if (!list) {
        w->failed = true;
        return;
    }
    for (size_t i = 0; i < w->spans_len; i++)
        if (!only_parts || parts_of(w->spans[i].span) & only_parts)
            memcpy(&list[n++], (const char *)w->spans[i].span + text_at, sizeof(*list));
    strings_put(&w->streams, list, n);
}

static void put_events_and_links(struct segment_w *w)
{
    texts_w_start(&w->texts, stream_begin(&w->streams));
    for (size_t i = 0; i < w->spans_len; i++)
        if (w->spans[i].span->events_len)
            events_put(&w->texts, w->spans[i].span);
    segment_check_texts(w);
    stream_end(&w->streams);
    texts_w_start(&w->texts, stream_begin(&w->streams));
    for (size_t i = 0; i < w->spans_len; i++)
        if (w->spans[i].span->links_len)
            links_put(&w->texts, w->spans[i].span);
    segment_check_texts(w);
    stream_end(&w->streams);
}

static void put_column(struct segment_w *w, const struct column *c)
{
    if (c->type == VALUE_EMPTY)
        return;
    if (c->type == VALUE_STR || c->type == VALUE_BYTES) {
        strings_put(&w->streams, (const struct sv *)(const void *)c->rows, c->len);
        return;
    }
    struct buf *b = stream_begin(&w->streams);
    texts_w_start(&w->texts, b);
    for (size_t i = 0; i < c->len; i++) {
        struct value v = { .type = c->type };
        const char *row = c->rows + i * c->row_bytes;
        if (c->type == VALUE_ARRAY || c->type == VALUE_KVLIST)
            memcpy(&v, row, sizeof(v));
        else
            memcpy(&v.str, row, c->row_bytes); /* the union's start */
        value_body_put(&w->texts, &v);
    }
    segment_check_texts(w);
    stream_end(&w->streams);
}

void segment_put_attrs(struct segment_w *w)
{
    memset(w->key_cache, 0, sizeof(w->key_cache));
    memset(w->resource_cache, 0, sizeof(w->resource_cache));
    memset(w->scope_cache, 0, sizeof(w->scope_cache));
    w->shape_of = arena_array(&w->mem, w->spans_len, sizeof(*w->shape_of));
    w->resource_of = arena_array(&w->mem, w->spans_len, sizeof(*w->resource_of));
    if (!w->shape_of || !w->resource_of)
        w->failed = true;
    number_spans(w);
    if (w->failed)
        return;
    put_texts(w, offsetof(struct span, name), 0);
    put_table(w, &w->resources);
    numbers_put(&w->streams, w->resource_of, w->spans_len, (uint32_t)w->resources.len);
    put_table(w, &w->scopes);
    put_table(w, &w->keys);
    put_table(w, &w->shapes);
    numbers_put(&w->streams, w->shape_of, w->spans_len, (uint32_t)w->shapes.len);
    put_texts(w, offsetof(struct span, status_message), SHAPE_MESSAGE);
    put_texts(w, offsetof(struct span, trace_state), SHAPE_TRACE_STATE);
    put_events_and_links(w);
    for (size_t i = 0; i < w->columns_len; i++)
        put_column(w, &w->columns[i]);
}

void segment_columns_done(struct segment_w *w)
{
    for (size_t i = 0; i < w->columns_len; i++)
        mem_free(w->columns[i].rows);
    w->columns_len = 0;
}
