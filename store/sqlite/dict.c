/* dict.c - a hash table whose slots hold half of the hash beside the number.
 *
 * Looking a text up costs one hash, one slot, and one comparison when it is known. A column whose
 * texts hardly ever repeat (addresses with ports, ids) is found out after some thousand rows, and
 * from then on its texts are only copied. */
#include "store/sqlite/dict.h"
#include "base/hash.h"
#include "base/mem.h"

enum { SLOTS_MIN = 64, JUDGED_AFTER_ROWS = 2048 };

void dict_done(struct dict *d)
{
    mem_free(d->list);
    mem_free(d->slots);
    *d = (struct dict){ 0 };
}

void dict_start(struct dict *d)
{
    if (d->len)
        memset(d->slots, 0, d->slots_cap * sizeof(*d->slots));
    d->len = d->last = d->before = d->rows = 0;
    d->is_plain = false;
}

static uint64_t *free_slot(uint64_t *slots, size_t cap, uint64_t hash)
{
    size_t i = hash & (cap - 1);
    while (slots[i])
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

static uint64_t slot_of(uint64_t hash, uint32_t number)
{
    return (hash & ~(uint64_t)UINT32_MAX) | (number + 1);
}

static bool grow_list(struct dict *d)
{
    if (d->len < d->cap)
        return true;
    if (d->len >= UINT32_MAX / 4)
        return false;
    uint32_t cap = d->cap ? d->cap * 2 : SLOTS_MIN / 2;
    struct dict_text *list = mem_resize(d->list, cap * sizeof(*list));
    if (!list)
        return false;
    d->list = list;
    d->cap = cap;
    return true;
}

static bool grow_slots(struct dict *d)
{
    if (((size_t)d->len + 1) * 2 <= d->slots_cap)
        return true;
    size_t cap = d->slots_cap ? d->slots_cap * 2 : SLOTS_MIN;
    uint64_t *slots = mem_zalloc(cap * sizeof(*slots));
    if (!slots)
        return false;
    for (uint32_t i = 0; i < d->len; i++) {
        uint64_t hash = hash_inline(d->list[i].p, d->list[i].len);
        *free_slot(slots, cap, hash) = slot_of(hash, i);
    }
    mem_free(d->slots);
    d->slots = slots;
    d->slots_cap = cap;
    return true;
}

/* The next number; the caller has made room. */
static uint32_t append(struct dict *d, struct arena *mem, struct sv s)
{
    struct sv copy = arena_copy(mem, s);
    if (!copy.p)
        return DICT_FULL;
    d->list[d->len] = (struct dict_text){ .p = copy.p, .len = (uint32_t)s.len };
    d->before = d->last;
    d->last = d->len;
    return d->len++;
}

uint32_t dict_look_up(struct dict *d, struct arena *mem, struct sv s)
{
    if (s.len > UINT32_MAX || !grow_list(d))
        return DICT_FULL;
    if (d->is_plain)
        return append(d, mem, s);
    if (d->len && dict_has_at(d, d->before, s)) { /* two texts that take turns */
        uint32_t number = d->before;
        d->before = d->last;
        d->last = number;
        return number;
    }
    if (!grow_slots(d))
        return DICT_FULL;
    uint64_t hash = hash_inline(s.p, s.len);
    size_t mask = d->slots_cap - 1, i = hash & mask;
    for (; d->slots[i]; i = (i + 1) & mask) {
        if ((d->slots[i] ^ hash) >> 32)
            continue;
        uint32_t number = (uint32_t)d->slots[i] - 1;
        if (dict_has_at(d, number, s)) {
            d->before = d->last;
            d->last = number;
            return number;
        }
    }
    uint32_t number = append(d, mem, s);
    if (number == DICT_FULL)
        return DICT_FULL;
    d->slots[i] = slot_of(hash, number);
    d->is_plain = d->rows >= JUDGED_AFTER_ROWS && d->len > d->rows - d->rows / 8;
    return number;
}
