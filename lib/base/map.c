/* map.c - open addressing with linear probing and backward-shift deletion (Knuth 6.4, algorithm R),
 * so there are no tombstones and lookups stay short however often entries come and go. */
#include "base/map.h"
#include "base/hash.h"
#include "base/mem.h"

void map_done(struct map *m)
{
    for (size_t i = 0; i < m->cap; i++)
        mem_free(m->slots[i].key);
    mem_free(m->slots);
    *m = (struct map){ 0 };
}

/* The key's slot, or the free slot where it belongs. cap > 0. */
static size_t probe(const struct map *m, uint64_t hash, struct sv key)
{
    size_t i = hash & (m->cap - 1);
    for (; m->slots[i].key; i = (i + 1) & (m->cap - 1)) {
        const struct map_slot *s = &m->slots[i];
        if (s->hash == hash && sv_eq(sv_of(s->key, s->key_len), key))
            break;
    }
    return i;
}

void *map_get(const struct map *m, struct sv key)
{
    if (m->cap == 0)
        return NULL;
    const struct map_slot *s = &m->slots[probe(m, hash_sv(key), key)];
    return s->key ? s->value : NULL;
}

static int grow(struct map *m)
{
    size_t cap = m->cap ? m->cap * 2 : 16;
    struct map_slot *slots = mem_zalloc(cap * sizeof(*slots));
    if (!slots)
        return -1;
    for (size_t i = 0; i < m->cap; i++) {
        if (!m->slots[i].key)
            continue;
        size_t to = m->slots[i].hash & (cap - 1);
        while (slots[to].key)
            to = (to + 1) & (cap - 1);
        slots[to] = m->slots[i];
    }
    mem_free(m->slots);
    m->slots = slots;
    m->cap = cap;
    return 0;
}

int map_put(struct map *m, struct sv key, void *value, void **ret_old)
{
    if ((m->len + 1) * 4 > m->cap * 3 && grow(m) < 0)
        return -1;
    uint64_t hash = hash_sv(key);
    struct map_slot *s = &m->slots[probe(m, hash, key)];
    void *old = s->key ? s->value : NULL;
    if (!s->key) {
        char *copy = mem_dup_z(key.p, key.len);
        if (!copy)
            return -1;
        *s = (struct map_slot){ hash, copy, key.len, NULL };
        m->len++;
    }
    s->value = value;
    if (ret_old)
        *ret_old = old;
    return 0;
}

/* Takes the entry out and moves up those behind it that it was in the way of. */
static void *empty_slot(struct map *m, size_t hole)
{
    void *value = m->slots[hole].value;
    mem_free(m->slots[hole].key);
    size_t mask = m->cap - 1;
    for (size_t i = (hole + 1) & mask; m->slots[i].key; i = (i + 1) & mask) {
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct map_slot){ 0 };
    m->len--;
    return value;
}

void *map_remove(struct map *m, struct sv key)
{
    size_t at = m->cap ? probe(m, hash_sv(key), key) : 0;
    return m->cap && m->slots[at].key ? empty_slot(m, at) : NULL;
}

void map_remove_given(struct map *m, size_t *at)
{
    INVARIANT(*at > 0 && m->slots[*at - 1].key);
    (void)empty_slot(m, --*at); /* another entry may be in its place now */
}

bool map_next(const struct map *m, size_t *at, struct sv *ret_key, void **ret_value)
{
    while (*at < m->cap) {
        const struct map_slot *s = &m->slots[(*at)++];
        if (!s->key)
            continue;
        if (ret_key)
            *ret_key = sv_of(s->key, s->key_len);
        *ret_value = s->value;
        return true;
    }
    return false;
}
