/* segment_add.c - taking spans apart as they come: the first half of writing a segment.
 *
 * What is added is kept in a form of some two hundred bytes a span: texts are numbers into the
 * dictionary of their column, and what a span has in common with others (resource, scope, names and
 * types of attributes, and everything else that hardly varies) is a number too. So the batch may
 * die, no text is ever hashed twice, and the journal's row, where texts are numbers as well, is a
 * by-product (rows_w.c).
 *
 * The common case is cheap: the span before with that name had the same attributes, and most values
 * are those of the row before. Everything else goes through a hash table. */
#include "base/hash.h"
#include "base/mem.h"
#include "model/span_copy.h"
#include "store/sqlite/rows.h"
#include "store/sqlite/segment_format.h"
#include "store/sqlite/segment_w.h"

void *segment_grow(struct segment_w *w, void *list, size_t *cap, size_t n, size_t size)
{
    size_t more = MAX(MAX(*cap * 2, n), (size_t)64), bytes;
    void *moved = __builtin_mul_overflow(more, size, &bytes) ? NULL : mem_resize(list, bytes);
    if (!moved) {
        w->failed = true;
        return NULL;
    }
    *cap = more;
    return moved;
}

/* Room for n more elements of w->name. */
#define HAS_ROOM(w, name, n)                                                                       \
    ((w)->name##_cap - (w)->name##_len >= (n) || grow_##name((w), (w)->name##_len + (n)))
#define DEFINE_GROW(name)                                                                          \
    static bool grow_##name(struct segment_w *w, size_t n)                                         \
    {                                                                                              \
        void *more = segment_grow(w, w->name, &w->name##_cap, n, sizeof(*w->name));                \
        w->name = more ? more : w->name;                                                           \
        return more != NULL;                                                                       \
    }
DEFINE_GROW(traces)
DEFINE_GROW(batches)
DEFINE_GROW(spans)
DEFINE_GROW(cells)
DEFINE_GROW(extras)

/* The number of s in t; a new one is copied. Latches w->failed. */
static uint32_t intern_copy(struct segment_w *w, struct interner *t, struct sv s)
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

/* Room for what is remembered of the owner or shape of that number; new ones are zero. */
static bool has_row_of(struct segment_w *w, struct owner_row **rows, size_t *cap, uint32_t number)
{
    size_t had = *cap;
    if (number < had)
        return true;
    struct owner_row *more = segment_grow(w, *rows, cap, (size_t)number + 1, sizeof(*more));
    if (!more)
        return false;
    memset(more + had, 0, (*cap - had) * sizeof(*more));
    *rows = more;
    return true;
}

/* Resources and scopes as bytes that stand for themselves, so that equal ones of two batches are
 * found to be equal. */
static uint32_t owner_number(struct segment_w *w, struct owners *o, const void *p, bool is_scope)
{
    size_t at = ((uintptr_t)p >> 4) % OWNER_CACHE_LEN;
    uint32_t batch = (uint32_t)w->batches_len;
    if (o->cache[at].p == p && o->cache[at].batch == batch)
        return o->cache[at].number;
    buf_clear(&w->row);
    texts_w_start(&w->texts, &w->row);
    if (is_scope)
        scope_put(&w->texts, p);
    else
        resource_put(&w->texts, p);
    segment_check_texts(w);
    w->failed |= w->row.failed;
    uint32_t number = w->failed ? 0 : intern_copy(w, &o->table, buf_sv(&w->row));
    if (!has_row_of(w, &o->rows, &o->rows_cap, number))
        return 0;
    o->cache[at].p = p;
    o->cache[at].batch = batch;
    o->cache[at].number = number;
    return number;
}

static uint64_t trace_hash(const struct trace_id *id)
{
    return hash_inline((const char *)id->b, sizeof(id->b));
}

/* Where the trace is, or would be. */
static uint64_t *trace_slot(const struct segment_w *w, const struct trace_id *id, uint64_t hash)
{
    size_t mask = w->trace_slots_cap - 1, i = hash & mask;
    for (; w->trace_slots[i]; i = (i + 1) & mask)
        if (!((w->trace_slots[i] ^ hash) >> 32) &&
            trace_id_eq(w->traces[(uint32_t)w->trace_slots[i] - 1], *id))
            break;
    return &w->trace_slots[i];
}

static uint64_t slot_value(uint64_t hash, size_t number)
{
    return (hash & ~(uint64_t)UINT32_MAX) | (uint64_t)(number + 1);
}

static bool grow_trace_slots(struct segment_w *w)
{
    size_t cap = w->trace_slots_cap ? w->trace_slots_cap * 2 : 256;
    uint64_t *slots = mem_zalloc(cap * sizeof(*slots));
    if (!slots) {
        w->failed = true;
        return false;
    }
    mem_free(w->trace_slots);
    w->trace_slots = slots;
    w->trace_slots_cap = cap;
    for (size_t t = 0; t < w->traces_len; t++) {
        uint64_t hash = trace_hash(&w->traces[t]);
        *trace_slot(w, &w->traces[t], hash) = slot_value(hash, t);
    }
    return true;
}

uint32_t segment_trace(const struct segment_w *w, struct trace_id id)
{
    uint64_t slot = w->traces_len ? *trace_slot(w, &id, trace_hash(&id)) : 0;
    return (uint32_t)slot - 1;
}

static uint32_t trace_number(struct segment_w *w, const struct trace_id *id)
{
    if ((w->traces_len + 1) * 2 > w->trace_slots_cap && !grow_trace_slots(w))
        return 0;
    uint64_t hash = trace_hash(id), *slot = trace_slot(w, id, hash);
    if (*slot)
        return (uint32_t)*slot - 1;
    if (!HAS_ROOM(w, traces, 1))
        return 0;
    *slot = slot_value(hash, w->traces_len);
    w->traces[w->traces_len] = *id;
    return (uint32_t)w->traces_len++;
}

static uint32_t text_number(struct segment_w *w, struct dict *d, struct sv s)
{
    uint32_t number = dict_add(d, &w->mem, s);
    if (number != DICT_FULL)
        return number;
    w->failed = true;
    return 0;
}

static uint32_t add_column(struct segment_w *w, struct sv key, enum value_type type)
{
    if (w->columns_len == w->columns_cap) {
        struct column *more = segment_grow(w, w->columns, &w->columns_cap, w->columns_len + 1,
                                           sizeof(*more));
        if (!more)
            return 0;
        w->columns = more;
    }
    struct column *c = &w->columns[w->columns_len];
    struct dict dict = { 0 };
    if (w->columns_len < w->columns_ready)
        dict = c->dict;
    else
        w->columns_ready++;
    *c = (struct column){ .key = key, .type = type, .dict = dict };
    dict_start(&c->dict);
    return (uint32_t)w->columns_len++;
}

/* The text in the table of keys begins with the type. */
static uint32_t column_of(struct segment_w *w, struct sv key, enum value_type type)
{
    buf_clear(&w->row);
    buf_put_u8(&w->row, (uint8_t)type);
    buf_put(&w->row, key);
    if (w->row.failed)
        w->failed = true;
    size_t known = w->keys.len;
    uint32_t number = w->failed ? 0 : intern_copy(w, &w->keys, buf_sv(&w->row));
    if (w->failed || w->keys.len == known)
        return number;
    return add_column(w, sv_from(w->keys.list[number], 1), type);
}

/* The list of keys of a, looked up key by key. */
static uint32_t find_keys(struct segment_w *w, const struct attrs *a)
{
    struct key_ref *refs = arena_array(&w->mem, a->len, sizeof(*refs));
    uint32_t *columns = arena_array(&w->scratch, a->len, sizeof(*columns));
    if (!refs || !columns) {
        w->failed = true;
        return 0;
    }
    for (uint32_t i = 0; i < a->len && !w->failed; i++) {
        enum value_type type = a->list[i].value.type;
        columns[i] = column_of(w, a->list[i].key, type);
        if (!w->failed)
            refs[i] = (struct key_ref){ w->columns[columns[i]].key, type, columns[i] };
    }
    size_t known = w->key_lists_table.len;
    struct sv bytes = sv_of(columns, a->len * sizeof(*columns));
    uint32_t number = w->failed ? 0 : intern_copy(w, &w->key_lists_table, bytes);
    if (w->failed || w->key_lists_table.len == known)
        return number;
    if (number >= w->key_lists_cap) {
        struct key_list *more = segment_grow(w, w->key_lists, &w->key_lists_cap, (size_t)number + 1,
                                             sizeof(*more));
        if (!more)
            return 0;
        w->key_lists = more;
    }
    w->key_lists[number] = (struct key_list){ a->len, refs };
    return number;
}

/* The types alone, for a list whose keys are known to be the same. */
static bool has_types(const struct key_list *k, const struct attrs *a)
{
    unsigned differs = k->len ^ a->len;
    for (uint32_t i = 0; i < MIN(k->len, a->len); i++)
        differs |= (unsigned)k->list[i].type ^ (unsigned)a->list[i].value.type;
    return differs == 0;
}

static bool has_keys(const struct key_list *k, const struct attrs *a)
{
    if (k->len != a->len)
        return false;
    for (uint32_t i = 0; i < a->len; i++) {
        const struct key_ref *want = &k->list[i];
        const struct attr *is = &a->list[i];
        if (is->value.type != want->type || !sv_same(is->key, want->key))
            return false;
    }
    return true;
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

/* The number plus one of the list of keys of s: that of the last span with this order of keys, or
 * with this name. 0 when memory is out. */
static uint32_t keys_of(struct segment_w *w, const struct span *s, const struct likely *l)
{
    uint32_t *known = s->key_order ? &w->order_keys[s->key_order->id] : NULL;
    if (known && *known && has_types(&w->key_lists[*known - 1], &s->attrs))
        return *known;
    uint32_t keys = l->keys;
    if (!keys || !has_keys(&w->key_lists[keys - 1], &s->attrs))
        keys = find_keys(w, &s->attrs) + 1;
    if (w->failed)
        return 0;
    if (known)
        *known = keys;
    return keys;
}

/* The shape of s, whose name has that number; *ret_keys is its list of keys. */
static uint32_t shape_number(struct segment_w *w, const struct span *s, uint32_t name,
                             const struct key_list **ret_keys)
{
    struct likely *l = &w->likely[(name * 4 + (uint32_t)s->kind) % LIKELY_LEN];
    uint32_t keys = keys_of(w, s, l);
    if (!keys)
        return 0;
    if (keys != l->keys)
        l->shape = 0;
    l->keys = keys;
    *ret_keys = &w->key_lists[l->keys - 1];
    struct shape shape = {
        (uint32_t)s->kind, (uint32_t)s->status,
        s->flags,          owner_number(w, &w->scopes, s->scope, true),
        parts_of(s),       s->attrs.dropped,
        s->dropped_events, s->dropped_links,
        l->keys - 1,
    };
    if (w->failed)
        return 0;
    if (!l->shape || memcmp(w->shapes.list[l->shape - 1].p, &shape, sizeof(shape)) != 0)
        l->shape = intern_copy(w, &w->shapes, sv_of(&shape, sizeof(shape))) + 1;
    return has_row_of(w, &w->shape_rows, &w->shape_rows_cap, l->shape - 1) ? l->shape - 1 : 0;
}

/* Arrays and lists are rare, so they go the long way round, through a span's copy. */
static cell nested_cell(struct segment_w *w, const struct value *v)
{
    struct copier c = { .mem = &w->mem };
    struct attr attr = { SV(""), *v };
    struct span from = { .attrs = { &attr, 1, 0 } }, to;
    copy_span(&c, &from, &to);
    w->failed |= c.failed;
    return w->failed ? 0 : (cell)(uintptr_t)&to.attrs.list[0].value;
}

/* Of a value that is no text. */
static cell cell_of(struct segment_w *w, const struct value *v)
{
    uint64_t bits;
    switch (v->type) {
    case VALUE_BOOL: return v->boolean;
    case VALUE_INT: return (cell)v->integer;
    case VALUE_DOUBLE: memcpy(&bits, &v->real, sizeof(bits)); return bits;
    case VALUE_ARRAY:
    case VALUE_KVLIST: return nested_cell(w, v);
    case VALUE_EMPTY:
    case VALUE_STR:
    case VALUE_BYTES: break;
    }
    return 0;
}

static inline bool is_text(enum value_type type)
{
    return type == VALUE_STR || type == VALUE_BYTES;
}

/* The caller has made room in cells. */
static void add_cells(struct segment_w *w, const struct attrs *a, const struct key_list *keys)
{
    struct column *columns = w->columns; /* all that keys names are there, so they do not move */
    cell *to = w->cells + w->cells_len;
    for (uint32_t i = 0; i < a->len; i++) {
        struct column *c = &columns[keys->list[i].column];
        const struct value *v = &a->list[i].value;
        if (is_text(v->type)) {
            uint32_t number = dict_add(&c->dict, &w->mem, v->str);
            w->failed |= number == DICT_FULL;
            to[i] = number;
        } else {
            c->len++;
            to[i] = cell_of(w, v);
        }
    }
    w->cells_len += a->len;
}

static uint32_t add_extra(struct segment_w *w, const struct span *s)
{
    if (!HAS_ROOM(w, extras, 1))
        return 0;
    struct copier c = { .mem = &w->mem };
    struct span from = { .events = s->events,
                         .events_len = s->events_len,
                         .links = s->links,
                         .links_len = s->links_len },
                to;
    copy_span(&c, &from, &to);
    w->failed |= c.failed;
    w->extras[w->extras_len++] = (struct added_extra){
        .message = s->status_message.len ? text_number(w, &w->messages, s->status_message) : 0,
        .trace_state = s->trace_state.len ? text_number(w, &w->trace_states, s->trace_state) : 0,
        .events = to.events,
        .events_len = s->events_len,
        .links = to.links,
        .links_len = s->links_len,
    };
    return (uint32_t)w->extras_len;
}

/* The caller has made room in spans. */
static const struct added_span *add_span(struct segment_w *w, const struct span *s)
{
    const struct key_list *keys = NULL;
    struct added_span *a = &w->spans[w->spans_len];
    *a = (struct added_span){
        .trace_id = s->trace_id,
        .span_id = s->span_id,
        .parent_id = s->parent_id,
        .start_ns = s->start_ns,
        .end_ns = s->end_ns,
        .trace = trace_number(w, &s->trace_id),
        .batch = (uint32_t)(w->batches_len - 1),
        .resource = owner_number(w, &w->resources, s->resource, false),
        .name = text_number(w, &w->names, s->name),
        .first_cell = w->cells_len,
    };
    a->shape = w->failed ? 0 : shape_number(w, s, a->name, &keys);
    if (w->failed || !HAS_ROOM(w, cells, s->attrs.len))
        return NULL;
    if (s->attrs.len)
        add_cells(w, &s->attrs, keys);
    if (s->status_message.len || s->trace_state.len || s->events_len || s->links_len)
        a->extra = add_extra(w, s);
    if (w->failed)
        return NULL;
    w->errors += s->status == STATUS_ERROR;
    w->spans_len++;
    return a;
}

static void add_all(struct segment_w *w, const struct batch *b, bool has_row)
{
    if (!HAS_ROOM(w, batches, 1) || (b->spans_len && !HAS_ROOM(w, spans, b->spans_len)))
        return;
    w->batches[w->batches_len++] = (struct added_batch){ b->received_ns, b->calls_len };
    w->order_keys = arena_array(&w->scratch, b->key_orders_len, sizeof(*w->order_keys));
    if (!w->order_keys) {
        w->failed = true;
        return;
    }
    for (size_t i = 0; i < b->spans_len; i++) {
        const struct added_span *a = add_span(w, &b->spans[i]);
        if (!a)
            return;
        if (has_row)
            row_put_span(w, &b->spans[i], a);
    }
    for (size_t i = 0; i < b->calls_len && !w->failed; i++) {
        const struct added_call *c = segment_add_call(w, &b->calls[i]);
        if (c && has_row)
            row_put_call(w, c, i ? b->calls[i - 1].start_ns : 0);
    }
}

int segment_add(struct segment_w *w, const struct batch *b, struct buf *ret_row, struct err *err)
{
    if (b->spans_len > SEGMENT_RECORDS_MAX - w->spans_len ||
        b->calls_len > SEGMENT_RECORDS_MAX - w->calls_len)
        return err_set(err, ERR_LIMIT, "%zu spans and %zu calls more in a segment", b->spans_len,
                       b->calls_len);
    if (ret_row)
        row_begin(w, b, ret_row);
    add_all(w, b, ret_row != NULL);
    arena_reset(&w->scratch);
    if (ret_row) {
        w->failed |= w->row_texts.failed || ret_row->failed;
        w->is_too_deep |= w->row_texts.is_too_deep;
    }
    if (w->failed)
        return err_set(err, ERR_NOMEM, "%zu spans, %zu calls", b->spans_len, b->calls_len);
    if (w->is_too_deep)
        return err_set(err, ERR_LIMIT, "attributes nest deeper than %d", VALUE_DEPTH_MAX);
    return 0;
}

bool segment_knows_operation(struct segment_w *w, size_t n)
{
    const struct added_span *a = &w->spans[w->spans_len - n];
    uint32_t kind;
    memcpy(&kind, w->shapes.list[a->shape].p + offsetof(struct shape, kind), sizeof(kind));
    struct operation_known *at =
        &w->operations[(a->name * 31 + a->resource * 7 + kind) % OPERATIONS_KNOWN_LEN];
    if (at->resource == a->resource + 1 && at->name == a->name && at->kind == kind)
        return true;
    *at = (struct operation_known){ a->resource + 1, a->name, kind };
    return false;
}

static void owners_start(struct owners *o)
{
    interner_start(&o->table);
    memset(o->cache, 0, sizeof(o->cache));
    if (o->rows)
        memset(o->rows, 0, o->rows_cap * sizeof(*o->rows));
    o->round = o->rows_len = 0;
}

/* What the segment before did not need is given back. */
static void columns_start(struct segment_w *w)
{
    while (w->columns_ready > w->columns_len)
        dict_done(&w->columns[--w->columns_ready].dict);
    w->columns_len = 0;
}

void segment_start(struct segment_w *w)
{
    arena_reset(&w->mem);
    w->failed = w->is_too_deep = false;
    w->rows = 0;
    interner_start(&w->keys);
    interner_start(&w->key_lists_table);
    interner_start(&w->shapes);
    owners_start(&w->resources);
    owners_start(&w->scopes);
    if (w->shape_rows)
        memset(w->shape_rows, 0, w->shape_rows_cap * sizeof(*w->shape_rows));
    dict_start(&w->names);
    dict_start(&w->messages);
    dict_start(&w->trace_states);
    for (size_t i = 0; i < CALL_TEXTS_LEN; i++)
        dict_start(&w->call_texts[i]);
    memset(w->likely, 0, sizeof(w->likely));
    memset(w->operations, 0, sizeof(w->operations));
    columns_start(w);
    if (w->traces_len)
        memset(w->trace_slots, 0, w->trace_slots_cap * sizeof(*w->trace_slots));
    w->traces_len = w->batches_len = w->spans_len = w->cells_len = w->extras_len = 0;
    w->calls_len = 0;
    w->errors = 0;
}
