/* met.h - what was met before, found by a hash of it.
 *
 * The caller makes the hash and says whether what was found is meant; nothing is ever taken out. All-zero
 * is valid and empty. Not thread-safe. */
#ifndef COLLECTOR_AGGREGATE_MET_H
#define COLLECTOR_AGGREGATE_MET_H

#include "base/auto.h"
#include <stddef.h>
#include <stdint.h>

struct met_slot {
    uint64_t hash;
    void *value; /* NULL: free */
};
struct met {
    struct met_slot *slots;
    size_t cap; /* a power of two or 0; at most half of them are used */
    size_t len;
};

void met_done(struct met *m); /* frees no values */
/* -1 when memory is out. */
int met_put(struct met *m, uint64_t hash, void *value) MUST_USE;
/* for (size_t i = 0; (value = met_next(&m, &i));) */
void *met_next(const struct met *m, size_t *at);

/* Where the search for that hash begins; cap is not 0. */
static inline size_t met_start(const struct met *m, uint64_t hash)
{
    return hash >> 20 & (m->cap - 1);
}
/* for (void *v = met_first(&m, hash, &at); v; v = met_again(&m, hash, &at)): all with that hash */
static inline void *met_again(const struct met *m, uint64_t hash, size_t *at)
{
    for (size_t i = *at;; i = (i + 1) & (m->cap - 1)) {
        const struct met_slot *s = &m->slots[i];
        if (!s->value || s->hash == hash) {
            *at = (i + 1) & (m->cap - 1);
            return s->value;
        }
    }
}
static inline void *met_first(const struct met *m, uint64_t hash, size_t *at)
{
    if (m->cap == 0)
        return NULL;
    *at = met_start(m, hash);
    return met_again(m, hash, at);
}

#endif
