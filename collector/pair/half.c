/* half.c - a hash table with chaining, threaded by an age list.
 *
 * Elements live in one array that doubles up to the limit, so an idle collector pays for nothing
 * and a busy one reallocates a dozen times in its life. Links are indexes: they survive the moves
 * and take half the room of pointers. Several halves may wait under one key (a message with many
 * consumers, attempts of a retried request). Cost: 144 bytes a half and 4 a slot. */
#include "pair/half.h"
#include "base/hash.h"
#include "base/mem.h"

enum { HALVES_MIN = 256 };

void halves_init(struct halves *h, size_t max)
{
    *h = (struct halves){ .unused = HALF_NONE, .oldest = HALF_NONE, .newest = HALF_NONE };
    h->max = (uint32_t)MIN(MAX(max, 1), HALF_NONE / 4);
}

void halves_done(struct halves *h)
{
    mem_free(h->list);
    mem_free(h->slots);
    halves_init(h, h->max);
}

bool halves_is_full(const struct halves *h)
{
    return h->len >= h->max;
}

static uint32_t *slot_of(const struct halves *h, const struct trace_id *trace,
                         const struct span_id *key)
{
    uint64_t id;
    memcpy(&id, key->b, sizeof(id));
    return &h->slots[hash_ids(trace->b, id) & (h->cap - 1)];
}

static void link_slot(struct halves *h, uint32_t at)
{
    /* At the chain's end, so that the longest waiting comes first. */
    uint32_t *link = slot_of(h, &h->list[at].trace, &h->list[at].key);
    while (*link != HALF_NONE)
        link = &h->list[*link].next_same_slot;
    *link = at;
    h->list[at].next_same_slot = HALF_NONE;
}

static int grow(struct halves *h)
{
    uint32_t cap = h->cap ? h->cap * 2 : HALVES_MIN;
    uint32_t *slots = mem_alloc(cap * sizeof(*slots));
    struct half *list = slots ? mem_resize(h->list, cap * sizeof(*list)) : NULL;
    if (!list) {
        mem_free(slots);
        return -1;
    }
    mem_free(h->slots);
    h->slots = slots;
    h->list = list;
    for (uint32_t i = 0; i < cap; i++)
        slots[i] = HALF_NONE;
    for (uint32_t i = h->cap; i < cap; i++) {
        list[i].next_same_slot = h->unused;
        h->unused = i;
    }
    h->cap = cap;
    for (uint32_t at = h->oldest; at != HALF_NONE; at = list[at].newer)
        link_slot(h, at);
    return 0;
}

int halves_insert(struct halves *h, const struct half *half)
{
    INVARIANT(!halves_is_full(h));
    if (h->unused == HALF_NONE && grow(h) < 0)
        return -1;
    uint32_t at = h->unused;
    h->unused = h->list[at].next_same_slot;
    h->list[at] = *half;
    h->list[at].older = h->newest;
    h->list[at].newer = HALF_NONE;
    if (h->newest != HALF_NONE)
        h->list[h->newest].newer = at;
    else
        h->oldest = at;
    h->newest = at;
    h->len++;
    link_slot(h, at);
    return 0;
}

uint32_t halves_find(const struct halves *h, const struct trace_id *trace,
                     const struct span_id *key, bool is_calling)
{
    if (h->len == 0)
        return HALF_NONE;
    uint32_t at = *slot_of(h, trace, key);
    for (; at != HALF_NONE; at = h->list[at].next_same_slot) {
        const struct half *x = &h->list[at];
        if (x->is_calling == is_calling && span_id_eq(x->key, *key) &&
            trace_id_eq(x->trace, *trace))
            break;
    }
    return at;
}

void halves_remove(struct halves *h, uint32_t at)
{
    struct half *x = &h->list[at];
    uint32_t *link = slot_of(h, &x->trace, &x->key);
    while (*link != at)
        link = &h->list[*link].next_same_slot;
    *link = x->next_same_slot;
    if (x->older != HALF_NONE)
        h->list[x->older].newer = x->newer;
    else
        h->oldest = x->newer;
    if (x->newer != HALF_NONE)
        h->list[x->newer].older = x->older;
    else
        h->newest = x->older;
    x->next_same_slot = h->unused;
    h->unused = at;
    h->len--;
}
