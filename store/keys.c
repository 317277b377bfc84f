/* keys.c - which exports were committed already: a map for asking, a list for forgetting.
 *
 * A sender whose acknowledgement was lost repeats its export with the same key. Keys are kept
 * whole, not hashed, because a false match would drop somebody's data. */
#include "store/keys.h"
#include "base/mem.h"

struct key_node {
    struct list link;
    size_t len;
    char bytes[];
};

static void drop(struct keys *k, struct key_node *n)
{
    list_remove(&n->link);
    map_remove(&k->by_key, sv_of(n->bytes, n->len));
    mem_free(n);
}

void keys_done(struct keys *k)
{
    while (k->oldest.next && !list_is_empty(&k->oldest))
        drop(k, LIST_FIRST(&k->oldest, struct key_node, link));
    map_done(&k->by_key);
    *k = (struct keys){ 0 };
}

bool keys_has(const struct keys *k, struct sv key)
{
    return map_get(&k->by_key, key) != NULL;
}

int keys_add(struct keys *k, struct sv key)
{
    if (!k->oldest.next)
        list_init(&k->oldest);
    struct key_node *n = mem_alloc(sizeof(*n) + key.len);
    if (!n || map_put(&k->by_key, key, n, NULL) < 0) {
        mem_free(n);
        return -1;
    }
    n->link = (struct list){ NULL, NULL };
    n->len = key.len;
    memcpy(n->bytes, key.p, key.len);
    list_add_tail(&k->oldest, &n->link);
    k->unsettled++;
    return 0;
}

void keys_settle(struct keys *k, size_t kept)
{
    k->unsettled = 0;
    while (k->by_key.len > kept)
        drop(k, LIST_FIRST(&k->oldest, struct key_node, link));
}

void keys_take_back(struct keys *k)
{
    for (; k->unsettled; k->unsettled--)
        drop(k, CONTAINER_OF(k->oldest.prev, struct key_node, link));
}
