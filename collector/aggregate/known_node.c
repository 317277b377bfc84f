/* known_node.c - nodes by content.
 *
 * A mesh has far fewer nodes than edges, so they and their names stay in a cache when edges do not. There
 * are at most twice as many as edges, whose number is bounded. */
#include "aggregate/known_node.h"
#include "base/hash.h"

void known_nodes_done(struct known_nodes *n)
{
    met_done(&n->by_name);
    arena_done(&n->mem);
}

static uint64_t hash_of(const struct identity *who)
{
    uint64_t h = hash_name(who->namespace.len, who->workload);
    h = hash_name(h, who->namespace);
    h = hash_name(h, who->version);
    return hash_name(h, who->cluster);
}

static const struct known_node *find(const struct known_nodes *n, const struct identity *who,
                                     uint64_t hash)
{
    size_t at;
    const struct known_node *node = met_first(&n->by_name, hash, &at);
    while (node &&
           !(sv_same(node->workload, who->workload) && sv_same(node->namespace, who->namespace) &&
             sv_same(node->version, who->version) && sv_same(node->cluster, who->cluster)))
        node = met_again(&n->by_name, hash, &at);
    return node;
}

const struct known_node *known_node_find(const struct known_nodes *n, const struct identity *who)
{
    return find(n, who, hash_of(who));
}

const struct known_node *known_node_get(struct known_nodes *n, const struct identity *who)
{
    uint64_t hash = hash_of(who);
    const struct known_node *known = find(n, who, hash);
    if (known)
        return known;
    struct known_node *node = arena_alloc(&n->mem, sizeof(*node));
    if (!node)
        return NULL;
    *node = (struct known_node){ arena_copy(&n->mem, who->workload),
                                 arena_copy(&n->mem, who->namespace),
                                 arena_copy(&n->mem, who->version),
                                 arena_copy(&n->mem, who->cluster) };
    if (!node->workload.p || !node->namespace.p || !node->version.p || !node->cluster.p ||
        met_put(&n->by_name, hash, node) < 0)
        return NULL;
    return node;
}
