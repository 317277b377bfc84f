/* dict.h - the texts of one column, numbered in order of first appearance. Private to store/sqlite/.
 *
 * Copies what is new into an arena, so the texts given may die. All-zero is valid; not
 * thread-safe. */
#ifndef SQLITE_DICT_H
#define SQLITE_DICT_H

#include "base/arena.h"

struct dict_text {
    const char *p;
    uint32_t len;
    uint32_t row, number; /* the journal's row it was written to last, and its number there */
};
struct dict {
    struct dict_text *list; /* by number */
    uint32_t len, cap;
    uint64_t *slots; /* upper half of the hash, number + 1; 0 is free; at most half full */
    size_t slots_cap;
    uint32_t last, before; /* the number given last, and the one that was different before it */
    uint32_t rows;         /* numbers given */
    bool is_plain;         /* nearly all were distinct, so texts are not looked up any more */
};

#define DICT_FULL UINT32_MAX

void dict_done(struct dict *d);
void dict_start(struct dict *d); /* forgets all texts, keeps the memory */
/* The number of s, which may be a new one; use dict_add(). DICT_FULL when memory is out or s is
 * longer than a number can say. */
uint32_t dict_look_up(struct dict *d, struct arena *mem, struct sv s);

/* sv_same() for texts that are often a little longer. */
static inline bool dict_same(const char *a, const char *b, size_t n)
{
    if (n <= 32)
        return sv_same(sv_of(a, n), sv_of(b, n));
    for (size_t i = 0; i + 16 < n; i += 16)
        if (!sv_same16(a + i, b + i))
            return false;
    return sv_same16(a + n - 16, b + n - 16);
}

static inline bool dict_has_at(const struct dict *d, uint32_t number, struct sv s)
{
    const struct dict_text *t = &d->list[number];
    return t->len == s.len && dict_same(t->p, s.p, s.len);
}

/* Telemetry repeats itself, so the text of the row before is tried first. */
static inline uint32_t dict_add(struct dict *d, struct arena *mem, struct sv s)
{
    d->rows++;
    if (d->len && dict_has_at(d, d->last, s))
        return d->last;
    return dict_look_up(d, mem, s);
}

DEFINE_AUTO_DONE(dict);

#endif
