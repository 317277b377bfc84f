/* texts_w.c - the writing side: interning texts, putting values.
 *
 * A text is a varint: 0 a new one (length, bytes, and it gets the next number), 1 one that gets no
 * number, n the one with number n - 2. Telemetry repeats itself, so most texts become one or two
 * bytes. The table is reused from batch to batch: a slot counts only when it carries the number of
 * the current round, so starting anew costs nothing. */
#include "base/hash.h"
#include "base/mem.h"
#include "store/sqlite/texts.h"

enum { TEXT_NEW = 0, TEXT_PLAIN = 1, TEXT_FIRST_REF = 2 };
#define SLOTS_MIN ((size_t)512)

void texts_w_done(struct texts_w *w)
{
    mem_free(w->slots);
    mem_free(w->list);
    *w = (struct texts_w){ 0 };
}

void texts_w_start(struct texts_w *w, struct buf *out)
{
    w->out = out;
    w->len = 0;
    w->failed = w->is_too_deep = false;
    if (++w->round == 0) { /* after four thousand million rounds: really clear the slots */
        if (w->slots)
            memset(w->slots, 0, w->slots_cap * sizeof(*w->slots));
        w->round = 1;
    }
}

/* The slot of s: either its own or the free one where it belongs. */
static struct text_slot *find_slot(const struct texts_w *w, struct sv s)
{
    size_t mask = w->slots_cap - 1;
    for (size_t i = hash_sv(s) & mask;; i = (i + 1) & mask) {
        struct text_slot *slot = &w->slots[i];
        if (slot->round != w->round || sv_eq(w->list[slot->index], s))
            return slot;
    }
}

static bool grow(struct texts_w *w)
{
    size_t cap = w->slots_cap ? w->slots_cap * 2 : SLOTS_MIN;
    struct text_slot *slots = mem_zalloc(cap * sizeof(*slots));
    struct sv *list = slots ? mem_resize(w->list, cap / 2 * sizeof(*list)) : NULL;
    if (!list) {
        mem_free(slots);
        return false;
    }
    mem_free(w->slots);
    w->slots = slots;
    w->slots_cap = cap;
    w->list = list;
    w->cap = cap / 2;
    for (uint32_t i = 0; i < w->len; i++)
        *find_slot(w, list[i]) = (struct text_slot){ w->round, i };
    return true;
}

void text_put(struct texts_w *w, struct sv s)
{
    if (s.len > TEXT_INTERNED_MAX) {
        buf_put_varint(w->out, TEXT_PLAIN);
        buf_put_text(w->out, s);
        return;
    }
    if (w->len == w->cap && !grow(w)) {
        w->failed = true;
        return;
    }
    struct text_slot *slot = find_slot(w, s);
    if (slot->round == w->round) {
        buf_put_varint(w->out, (uint64_t)slot->index + TEXT_FIRST_REF);
        return;
    }
    *slot = (struct text_slot){ w->round, (uint32_t)w->len };
    w->list[w->len++] = s;
    buf_put_varint(w->out, TEXT_NEW);
    buf_put_text(w->out, s);
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
    case VALUE_BOOL: buf_putc(w->out, (char)v->boolean); return;
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
    buf_putc(w->out, (char)v->type);
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

void attrs_put(struct texts_w *w, const struct attrs *a)
{
    buf_put_varint(w->out, a->len);
    buf_put_varint(w->out, a->dropped);
    for (uint32_t i = 0; i < a->len; i++) {
        text_put(w, a->list[i].key);
        value_put_at(w, &a->list[i].value, 0);
    }
}
