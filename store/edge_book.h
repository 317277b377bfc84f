/* edge_book.h - every edge ever seen, by key, with the newest facts about its ends. Private to
 * store/. All-zero is valid and empty. Not thread-safe: the owner locks. */
#ifndef STORE_EDGE_BOOK_H
#define STORE_EDGE_BOOK_H

#include "base/map.h"
#include "model/edge.h"

struct edge_entry {
    struct edge edge; /* text in mem */
    int64_t id;       /* 1, 2, 3 ... in order of arrival */
    struct arena mem;
};
struct edge_book {
    struct map by_key;        /* edge_key_put() -> struct edge_entry, owned by list */
    struct edge_entry **list; /* list[id - 1] */
    size_t len, cap;
    struct buf key; /* scratch */
};

void edge_book_done(struct edge_book *b);
/* NULL when it is unknown; NULL too when memory is out, and then b->key.failed. */
struct edge_entry *edge_book_find(struct edge_book *b, const struct edge *e);
/* A copy of e as the next id. Call only after edge_book_find() gave NULL. */
struct edge_entry *edge_book_add(struct edge_book *b, const struct edge *e) MUST_USE;
/* Takes the newest one out again (its row was rolled back). */
void edge_book_remove_last(struct edge_book *b);
/* Would e change what is known? A known fact replaces an older one, "unknown" replaces nothing. */
bool edge_entry_is_news(const struct edge_entry *at, const struct edge *e);
/* Takes over the facts of e; -1 when memory is out. */
int edge_entry_learn(struct edge_entry *at, const struct edge *e) MUST_USE;

#endif
