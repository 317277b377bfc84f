/* aliases.c - "cart", says the SDK; "cart-v1 in shop", says the sidecar beside it.
 *
 * An SDK that nobody has told about Kubernetes names its service and nothing else. Its spans would
 * make a second node beside the one that the sidecar's records make. But where a trace runs through
 * both, the application's span is the proxy's direct neighbour on the same side, and the two are one
 * workload if their names agree, too. (The neighbour alone is no proof: a program that hands trace
 * headers on without spans of its own makes strangers neighbours.)
 *
 * What is learned is kept twice. By instance (service.instance.id or host.name), which tells the
 * versions of a service apart: 4,096 places, a new instance takes the place of an old one. And by
 * name, for spans that name no instance, as long as all that was learned of the name is one
 * workload. The first spans of a new service may come before anything is learned and count on a
 * node of the bare name; nothing is counted again later. */
#include "pair/aliases.h"
#include "base/hash.h"
#include "base/mem.h"

enum { INSTANCES = 4096, NAMES_MAX = 10000 };

struct alias {
    const struct identity *as; /* NULL: several workloads share the name */
};
struct alias_slot {
    uint64_t key; /* 0: free */
    const struct identity *as;
};

void aliases_done(struct aliases *a)
{
    map_done(&a->by_name);
    arena_done(&a->mem);
    a->by_instance = mem_free(a->by_instance);
}

bool half_is_nameless(const struct half *h)
{
    return h->emitter == EMITTER_APP && sv_eq(h->who->namespace, IDENTITY_UNKNOWN);
}

static struct sv key_of(const struct identity *const *who)
{
    return sv_of(who, sizeof(*who));
}

static uint64_t instance_key(const struct half *h)
{
    uint64_t key = hash_bytes(&h->who, sizeof(h->who), h->instance);
    return key ? key : 1;
}

static void learn_instance(struct aliases *a, const struct half *h, const struct identity *as)
{
    if (!h->instance)
        return;
    if (!a->by_instance)
        a->by_instance = mem_zalloc(INSTANCES * sizeof(*a->by_instance));
    uint64_t key = instance_key(h);
    if (a->by_instance) /* else only the name is known */
        a->by_instance[key % INSTANCES] = (struct alias_slot){ key, as };
}

static void learn_name(struct aliases *a, const struct half *h, const struct identity *as)
{
    struct alias *known = map_get(&a->by_name, key_of(&h->who));
    if (known && known->as && !identity_same_node(known->as, as))
        known->as = NULL;
    if (known || a->by_name.len >= NAMES_MAX)
        return;
    known = arena_alloc(&a->mem, sizeof(*known));
    if (!known || map_put(&a->by_name, key_of(&h->who), known, NULL) < 0)
        return; /* memory is out: the next request teaches it again */
    known->as = as;
}

void aliases_learn(struct aliases *a, const struct half *h, const struct identity *proxy)
{
    bool is_named_alike = sv_eq(h->who->service, proxy->service) ||
                          sv_eq(h->who->service, proxy->workload);
    if (!half_is_nameless(h) || !is_named_alike || sv_eq(proxy->namespace, IDENTITY_UNKNOWN))
        return;
    learn_instance(a, h, proxy);
    learn_name(a, h, proxy);
}

const struct identity *aliases_who(const struct aliases *a, const struct half *h)
{
    if (a->by_name.len == 0 || !half_is_nameless(h))
        return h->who;
    if (h->instance && a->by_instance) {
        uint64_t key = instance_key(h);
        const struct alias_slot *slot = &a->by_instance[key % INSTANCES];
        if (slot->key == key)
            return slot->as;
    }
    const struct alias *known = map_get(&a->by_name, key_of(&h->who));
    return known && known->as ? known->as : h->who;
}
