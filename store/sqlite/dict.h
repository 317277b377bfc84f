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
    uint32_t last; /* number given last */
    uint32_t rows; /* numbers given */
    bool is_plain; /* nearly all were distinct, so texts are not looked up any more */
};

#define DICT_FULL UINT32_MAX

void dict_done(struct dict *d);
void dict_start(struct dict *d); /* forgets all texts, keeps the memory */
/* The number of s, which may be a new one; use dict_add(). DICT_FULL when memory is out or s is
 * longer than a number can say. */
uint32_t dict_look_up(struct dict *d, struct arena *mem, struct sv s);

/* Equal, for texts that are mostly short: no call, eight bytes at a time. */
static inline bool bytes_are_same(const char *a, const char *b, size_t n)
{
    uint64_t x, y;
    uint32_t u, v;
    if (n < sizeof(u)) {
        for (size_t i = 0; i < n; i++)
            if (a[i] != b[i])
                return false;
        return true;
    }
    if (n <= sizeof(x)) { /* the first four and the last four */
        memcpy(&u, a, sizeof(u));
        memcpy(&v, b, sizeof(v));
        if (u != v)
            return false;
        memcpy(&u, a + n - sizeof(u), sizeof(u));
        memcpy(&v, b + n - sizeof(v), sizeof(v));
        return u == v;
    }
    for (size_t i = 0; i + sizeof(x) < n; i += sizeof(x)) {
        memcpy(&x, a + i, sizeof(x));
        memcpy(&y, b + i, sizeof(y));
        if (x != y)
            return false;
    }
    memcpy(&x, a + n - sizeof(x), sizeof(x)); /* the last eight, some of them again */
    memcpy(&y, b + n - sizeof(y), sizeof(y));
    return x == y;
}

/* Telemetry repeats itself, so the text of the row before is tried first. */
static inline uint32_t dict_add(struct dict *d, struct arena *mem, struct sv s)
{
    d->rows++;
    if (d->len && d->list[d->last].len == s.len && bytes_are_same(d->list[d->last].p, s.p, s.len))
        return d->last;
    return dict_look_up(d, mem, s);
}

DEFINE_AUTO_DONE(dict);

#endif
