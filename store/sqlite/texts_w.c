/* texts_w.c - the writing side: texts by number, values.
 *
 * A text is a varint: 0 a new one (length, bytes, and it gets the next number), 1 one that gets no
 * number, n the one with number n - 2. Telemetry repeats itself, so most texts become one or two
 * bytes. */
#include "base/mem.h"
#include "store/sqlite/texts.h"

void texts_w_done(struct texts_w *w)
{
    interner_done(&w->table);
    mem_free(w->numbers);
    *w = (struct texts_w){ 0 };
}

void texts_w_start(struct texts_w *w, struct buf *out)
{
    w->out = out;
    w->next = 0;
    w->failed = w->is_too_deep = false;
    interner_start(&w->table);
}

uint32_t text_new_put(struct texts_w *w, struct sv s)
{
    buf_put_varint(w->out, TEXT_NEW);
    buf_put_text(w->out, s);
    return w->next++;
}

void text_plain_put(struct texts_w *w, struct sv s)
{
    buf_put_varint(w->out, TEXT_PLAIN);
    buf_put_text(w->out, s);
}

static bool has_room(struct texts_w *w)
{
    if (w->table.cap <= w->numbers_cap)
        return true;
    uint32_t *more = mem_resize(w->numbers, w->table.cap * sizeof(*more));
    if (!more)
        return false;
    w->numbers = more;
    w->numbers_cap = w->table.cap;
    return true;
}

/* The text's place in the table, INTERNER_FULL when it has none. */
static uint32_t text_put_placed(struct texts_w *w, struct sv s)
{
    if (s.len > TEXT_INTERNED_MAX) {
        text_plain_put(w, s);
        return INTERNER_FULL;
    }
    size_t known = w->table.len;
    uint32_t place = interner_add(&w->table, s);
    if (place == INTERNER_FULL || !has_room(w)) {
        w->failed = true;
        return INTERNER_FULL;
    }
    if (place < known)
        text_ref_put(w, w->numbers[place]);
    else
        w->numbers[place] = text_new_put(w, s);
    return place;
}

void text_put(struct texts_w *w, struct sv s)
{
    (void)text_put_placed(w, s);
}

static void value_put_at(struct texts_w *w, const struct value *v, unsigned depth);

static void list_put(struct texts_w *w, const struct value *v, unsigned depth)
{
    if (depth == VALUE_DEPTH_MAX) {
        w->is_too_deep = true;
        return;
    }
    buf_put_varint(w->out, v->len);
    for (uint32_t i = 0; i < v->len; i++) {
        if (v->type == VALUE_KVLIST)
            text_put(w, v->kvlist[i].key);
        value_put_at(w, v->type == VALUE_KVLIST ? &v->kvlist[i].value : &v->array[i], depth + 1);
    }
}

static void body_put_at(struct texts_w *w, const struct value *v, unsigned depth)
{
    uint64_t bits;
    switch (v->type) {
    case VALUE_EMPTY: return;
    case VALUE_STR:
    case VALUE_BYTES: text_put(w, v->str); return;
    case VALUE_BOOL: buf_put_u8(w->out, (uint8_t)v->boolean); return;
    case VALUE_INT: buf_put_zigzag(w->out, v->integer); return;
    case VALUE_DOUBLE:
        memcpy(&bits, &v->real, sizeof(bits));
        buf_put_le64(w->out, bits);
        return;
    case VALUE_ARRAY:
    case VALUE_KVLIST: list_put(w, v, depth); return;
    }
}

static void value_put_at(struct texts_w *w, const struct value *v, unsigned depth)
{
    buf_put_u8(w->out, (uint8_t)v->type);
    body_put_at(w, v, depth);
}

void value_put(struct texts_w *w, const struct value *v)
{
    value_put_at(w, v, 0);
}

void value_body_put(struct texts_w *w, const struct value *v)
{
    body_put_at(w, v, 0);
}

/* text_put() of a text that probably is the one in place *likely. */
static void likely_text_put(struct texts_w *w, struct sv s, uint32_t *likely)
{
    const struct interner *t = &w->table;
    if (*likely < t->len && sv_eq(t->list[*likely], s)) {
        text_ref_put(w, w->numbers[*likely]);
        return;
    }
    *likely = text_put_placed(w, s);
}

/* One span's attributes resemble the last one's: the same keys in the same places, and in some
 * places the same texts. Comparing with those costs a fraction of looking the text up. */
void attrs_put(struct texts_w *w, const struct attrs *a)
{
    buf_put_varint(w->out, a->len);
    buf_put_varint(w->out, a->dropped);
    for (uint32_t i = 0; i < a->len; i++) {
        const struct value *v = &a->list[i].value;
        likely_text_put(w, a->list[i].key, &w->likely_key[i % TEXTS_LIKELY]);
        if (v->type == VALUE_STR) {
            buf_putc(w->out, VALUE_STR);
            likely_text_put(w, v->str, &w->likely_value[i % TEXTS_LIKELY]);
        } else {
            value_put_at(w, v, 0);
        }
    }
}
