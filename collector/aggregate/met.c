/* met.c - open addressing, grown by doubling before half of it is used. */
#include "aggregate/met.h"
#include "base/mem.h"

enum { MET_MIN = 64 };

void met_done(struct met *m)
{
    mem_free(m->slots);
    *m = (struct met){ 0 };
}

static void put(struct met *m, uint64_t hash, void *value)
{
    size_t i = met_start(m, hash);
    while (m->slots[i].value)
        i = (i + 1) & (m->cap - 1);
    m->slots[i] = (struct met_slot){ hash, value };
    m->len++;
}

int met_put(struct met *m, uint64_t hash, void *value)
{
    if (2 * (m->len + 1) > m->cap) {
        struct met grown = { .cap = MAX(m->cap * 2, (size_t)MET_MIN) };
        grown.slots = mem_zalloc(grown.cap * sizeof(*grown.slots));
        if (!grown.slots)
            return -1;
        for (size_t i = 0; i < m->cap; i++)
            if (m->slots[i].value)
                put(&grown, m->slots[i].hash, m->slots[i].value);
        met_done(m);
        *m = grown;
    }
    put(m, hash, value);
    return 0;
}

void *met_next(const struct met *m, size_t *at)
{
    while (*at < m->cap) {
        void *value = m->slots[(*at)++].value;
        if (value)
            return value;
    }
    return NULL;
}
