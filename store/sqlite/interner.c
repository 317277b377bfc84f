/* interner.c - a hash table that is started anew without being cleared.
 *
 * A slot counts only when it carries the number of the present round, so starting anew costs
 * nothing and one table serves batch after batch and column after column. */
#include "store/sqlite/interner.h"
#include "base/hash.h"
#include "base/mem.h"

#define SLOTS_MIN ((size_t)512)

void interner_done(struct interner *t)
{
    mem_free(t->slots);
    mem_free(t->list);
    *t = (struct interner){ 0 };
}

void interner_start(struct interner *t)
{
    t->len = 0;
    if (++t->round == 0) { /* after four thousand million rounds: really clear the slots */
        if (t->slots)
            memset(t->slots, 0, t->slots_cap * sizeof(*t->slots));
        t->round = 1;
    }
}

/* The slot of s: either its own or the free one where it belongs. */
static struct interner_slot *find_slot(const struct interner *t, struct sv s, uint64_t hash)
{
    size_t mask = t->slots_cap - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct interner_slot *slot = &t->slots[i];
        if (slot->round != t->round ||
            (slot->tag == (uint32_t)(hash >> 32) && sv_eq(t->list[slot->index], s)))
            return slot;
    }
}

static bool grow(struct interner *t)
{
    size_t cap = t->slots_cap ? t->slots_cap * 2 : SLOTS_MIN;
    struct interner_slot *slots = mem_zalloc(cap * sizeof(*slots));
    struct sv *list = slots ? mem_resize(t->list, cap / 2 * sizeof(*list)) : NULL;
    if (!list) {
        mem_free(slots);
        return false;
    }
    mem_free(t->slots);
    t->slots = slots;
    t->slots_cap = cap;
    t->list = list;
    t->cap = cap / 2;
    for (uint32_t i = 0; i < t->len; i++) {
        uint64_t hash = hash_sv(list[i]);
        *find_slot(t, list[i], hash) = (struct interner_slot){ t->round, i,
                                                               (uint32_t)(hash >> 32) };
    }
    return true;
}

uint32_t interner_add(struct interner *t, struct sv s)
{
    if (t->len == t->cap && (t->len >= INTERNER_FULL / 2 || !grow(t)))
        return INTERNER_FULL;
    uint64_t hash = hash_sv(s);
    struct interner_slot *slot = find_slot(t, s, hash);
    if (slot->round != t->round) {
        *slot = (struct interner_slot){ t->round, (uint32_t)t->len, (uint32_t)(hash >> 32) };
        t->list[t->len++] = s;
    }
    return slot->index;
}
