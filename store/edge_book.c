/* edge_book.c - edges by key, and what is known of their ends.
 *
 * An edge's key is its two nodes and the protocol. Service names, principals and the host asked
 * for are facts that may become known or change later. Each entry has its own small arena, made
 * anew when a fact changes, so a fact that flaps does not pile up. Cost: about 1.5 KiB an edge. */
#include "store/edge_book.h"
#include "base/mem.h"

static struct edge_entry *entry_free(struct edge_entry *e)
{
    if (e)
        arena_done(&e->mem);
    return mem_free(e);
}

void edge_book_done(struct edge_book *b)
{
    for (size_t i = 0; i < b->len; i++)
        entry_free(b->list[i]);
    mem_free(b->list);
    map_done(&b->by_key);
    buf_done(&b->key);
    *b = (struct edge_book){ 0 };
}

static bool make_key(struct edge_book *b, const struct edge *e)
{
    buf_clear(&b->key);
    edge_key_put(e, &b->key);
    return !b->key.failed;
}

struct edge_entry *edge_book_find(struct edge_book *b, const struct edge *e)
{
    return make_key(b, e) ? map_get(&b->by_key, buf_sv(&b->key)) : NULL;
}

/* from into the arena, parts missing in both "unknown". */
static int edge_copy(struct arena *mem, const struct edge *from, struct edge *ret_to)
{
    struct edge to = { .protocol = from->protocol };
    struct sv asked = from->destination_service.len ? from->destination_service : IDENTITY_UNKNOWN;
    to.destination_service = arena_copy(mem, asked);
    if (!to.destination_service.p || identity_copy(mem, &from->source, &to.source) < 0 ||
        identity_copy(mem, &from->destination, &to.destination) < 0)
        return -1;
    *ret_to = to;
    return 0;
}

struct edge_entry *edge_book_add(struct edge_book *b, const struct edge *e)
{
    if (b->len == b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 64;
        struct edge_entry **list = mem_resize(b->list, cap * sizeof(struct edge_entry *));
        if (!list)
            return NULL;
        b->list = list;
        b->cap = cap;
    }
    struct edge_entry *entry = mem_zalloc(sizeof(*entry));
    if (!entry || edge_copy(&entry->mem, e, &entry->edge) < 0 || !make_key(b, e) ||
        map_put(&b->by_key, buf_sv(&b->key), entry, NULL) < 0)
        return entry_free(entry);
    entry->id = (int64_t)b->len + 1;
    b->list[b->len++] = entry;
    return entry;
}

void edge_book_remove_last(struct edge_book *b)
{
    INVARIANT(b->len > 0);
    struct edge_entry *last = b->list[--b->len];
    for (size_t i = 0; i < b->by_key.cap; i++) /* rare: a put of a new edge that failed */
        if (b->by_key.slots[i].key && b->by_key.slots[i].value == last) {
            map_remove(&b->by_key, sv_of(b->by_key.slots[i].key, b->by_key.slots[i].key_len));
            break;
        }
    entry_free(last);
}

static bool is_known(struct sv fact)
{
    return fact.len && !sv_eq(fact, IDENTITY_UNKNOWN);
}

static bool fact_is_news(struct sv have, struct sv fact)
{
    return is_known(fact) && !sv_eq(have, fact);
}

bool edge_entry_is_news(const struct edge_entry *at, const struct edge *e)
{
    return fact_is_news(at->edge.source.service, e->source.service) ||
           fact_is_news(at->edge.source.principal, e->source.principal) ||
           fact_is_news(at->edge.destination.service, e->destination.service) ||
           fact_is_news(at->edge.destination.principal, e->destination.principal) ||
           fact_is_news(at->edge.destination_service, e->destination_service);
}

static void take_fact(struct sv *have, struct sv fact)
{
    if (is_known(fact))
        *have = fact;
}

int edge_entry_learn(struct edge_entry *at, const struct edge *e)
{
    struct edge known = at->edge, copy;
    take_fact(&known.source.service, e->source.service);
    take_fact(&known.source.principal, e->source.principal);
    take_fact(&known.destination.service, e->destination.service);
    take_fact(&known.destination.principal, e->destination.principal);
    take_fact(&known.destination_service, e->destination_service);
    AUTO_DONE(arena) mem = { 0 };
    if (edge_copy(&mem, &known, &copy) < 0)
        return -1;
    arena_done(&at->mem);
    at->mem = mem;
    at->edge = copy;
    mem = (struct arena){ 0 };
    return 0;
}
