/* key_orders.c - a tree of lists of keys.
 *
 * Each node is a list, its children are the lists with one key more. To find a list is to walk from
 * the root along its keys, and as the next span nearly always carries the keys of one before it, the
 * first child asked is nearly always the right one: a comparison for each attribute, no hash. A child
 * that was found behind others moves to the front.
 *
 * Keys are the sender's, so everything is bounded: a list that finds no room has none, which
 * costs those that come after us time and nothing else. */
#include "ingest/key_orders.h"
#include "base/mem.h"

enum { NODES_FIRST = 64, KEYS_FIRST = 32 };

void key_orders_done(struct key_orders *t)
{
    mem_free(t->nodes);
    *t = (struct key_orders){ 0 };
}

/* A place behind the last node; 0: no room, *ret_rc says why (0: the table is full). */
static uint32_t node_new(struct key_orders *t, int *ret_rc)
{
    *ret_rc = 0;
    if (t->len >= KEY_NODES_MAX)
        return 0;
    if (t->len == t->cap) {
        uint32_t cap = MAX(t->cap * 2, (uint32_t)NODES_FIRST);
        struct key_node *nodes = mem_resize(t->nodes, cap * sizeof(*nodes));
        if (!nodes) {
            *ret_rc = ERR_NOMEM;
            return 0;
        }
        t->nodes = nodes;
        t->cap = cap;
    }
    if (t->len == 0)
        t->nodes[t->len++] = (struct key_node){ .len = 0 }; /* the root */
    t->nodes[t->len] = (struct key_node){ .len = 0 };
    return t->len++;
}

/* The index of key among the batch's keys; KEYS_MAX: no room, or ERR_NOMEM in *ret_rc. */
static uint16_t key_id_of(struct key_orders *t, struct batch *b, struct sv key, int *ret_rc)
{
    *ret_rc = 0;
    for (uint32_t i = 0; i < b->keys_len; i++)
        if (sv_same(b->keys[i], key))
            return (uint16_t)i;
    if (b->keys_len == KEYS_MAX)
        return KEYS_MAX;
    if (!t->keys || b->keys_len == t->keys_cap) {
        uint32_t cap = MAX(b->keys_len * 2, (uint32_t)KEYS_FIRST);
        struct sv *keys = arena_array(&b->mem, cap, sizeof(*keys));
        if (!keys) {
            *ret_rc = ERR_NOMEM;
            return KEYS_MAX;
        }
        if (b->keys_len) /* of an earlier request in the same batch, too */
            memcpy(keys, b->keys, b->keys_len * sizeof(*keys));
        t->keys_cap = cap;
        t->keys = keys;
        b->keys = keys;
    }
    t->keys[b->keys_len] = key;
    return (uint16_t)b->keys_len++;
}

/* The list at `from` and key behind it, not met before; 0: no room, or ERR_NOMEM in *ret_rc. */
static uint32_t branch_new(struct key_orders *t, struct batch *b, uint32_t from, struct sv key,
                           int *ret_rc)
{
    uint16_t key_id = key_id_of(t, b, key, ret_rc);
    uint32_t at = key_id < KEYS_MAX ? node_new(t, ret_rc) : 0;
    if (!at)
        return 0;
    struct key_node *up = &t->nodes[from];
    t->nodes[at] = (struct key_node){ .key = b->keys[key_id],
                                      .key_id = key_id,
                                      .len = (uint16_t)(up->len + 1),
                                      .before = from,
                                      .other = up->longer };
    up->longer = at;
    return at;
}

/* As the next step of key_orders_find(), for a key that the first branch does not have. */
static uint32_t branch_find(struct key_orders *t, struct batch *b, uint32_t from, struct sv key,
                            int *ret_rc)
{
    *ret_rc = 0;
    struct key_node *up = &t->nodes[from];
    uint32_t *link = &up->longer;
    for (unsigned tried = 0; *link; link = &t->nodes[*link].other) {
        uint32_t at = *link;
        if (tried++ == KEY_BRANCHES_MAX)
            return 0;
        if (!sv_same(t->nodes[at].key, key))
            continue;
        *link = t->nodes[at].other;
        t->nodes[at].other = up->longer;
        up->longer = at;
        return at;
    }
    return branch_new(t, b, from, key, ret_rc);
}

static const struct key_order *key_order_make(struct key_orders *t, struct batch *b, uint32_t at)
{
    const struct key_node *n = &t->nodes[at];
    struct key_order *s = arena_alloc(&b->mem, sizeof(*s) + n->len * sizeof(s->keys[0]));
    if (!s)
        return NULL;
    s->len = n->len;
    for (uint32_t i = n->len; i-- > 0; at = t->nodes[at].before)
        s->keys[i] = t->nodes[at].key_id;
    s->id = b->key_orders_len++;
    return s;
}

int key_orders_find(struct key_orders *t, struct batch *b, const struct attr *list, size_t n,
                    const struct key_order **ret_keys)
{
    int rc = 0;
    *ret_keys = NULL;
    if (n == 0 || n > KEY_LIST_MAX)
        return 0;
    if (t->len == 0) {
        uint32_t first = node_new(t, &rc);
        if (!first)
            return rc;
        t->len = 1; /* the root alone */
    }
    uint32_t at = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t next = t->nodes[at].longer;
        if (!next || !sv_same(t->nodes[next].key, list[i].key))
            next = branch_find(t, b, at, list[i].key, &rc);
        if (!next)
            return rc;
        at = next;
    }
    if (!t->nodes[at].order)
        t->nodes[at].order = key_order_make(t, b, at);
    *ret_keys = t->nodes[at].order;
    return *ret_keys ? 0 : ERR_NOMEM;
}
