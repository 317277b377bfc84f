/* identities.c - identities by content.
 *
 * Hundreds of thousands of waiting halves come from some hundreds of workloads; a half holds a
 * pointer of 8 bytes instead of six texts. Names are never forgotten, since deployments come and go
 * slowly; the limit keeps a sender that invents names from growing the process. Nearly every question
 * is for one that was asked for a moment ago: those are found by comparing, without making a key. */
#include "pair/identities.h"
#include "base/hash.h"

void identities_init(struct identities *in, size_t max)
{
    struct sv other = IDENTITY_OTHER;
    memset(in, 0, sizeof(*in));
    in->max = max;
    in->other = (struct identity){ other, other, other, other, other, IDENTITY_UNKNOWN };
}

void identities_done(struct identities *in)
{
    map_done(&in->by_key);
    buf_done(&in->key);
    arena_done(&in->mem);
}

static void put_part(struct buf *out, struct sv part)
{
    uint32_t len = (uint32_t)part.len;
    buf_append(out, &len, sizeof(len));
    buf_put(out, part);
}

static const struct identity **front_of(struct identities *in, const struct identity *who)
{
    uint64_t h = hash_ends(0, who->workload);
    h = hash_ends(h, who->service);
    h = hash_ends(h, who->version);
    h = hash_ends(h, who->namespace);
    return &in->front[h >> 54];
}
_Static_assert(IDENTITIES_FRONT == 1 << (64 - 54), "what is left of the hash");

static bool is_same(const struct identity *a, const struct identity *b)
{
    return sv_same(a->workload, b->workload) && sv_same(a->service, b->service) &&
           sv_same(a->version, b->version) && sv_same(a->namespace, b->namespace) &&
           sv_same(a->cluster, b->cluster) && sv_same(a->principal, b->principal);
}

static const struct identity *find_or_make(struct identities *in, const struct identity *who)
{
    const struct sv parts[] = { who->cluster, who->namespace, who->workload,
                                who->service, who->version,   who->principal };
    buf_clear(&in->key);
    for (size_t i = 0; i < NELEMS(parts); i++)
        put_part(&in->key, parts[i]);
    if (in->key.failed)
        return NULL;
    struct identity *known = map_get(&in->by_key, buf_sv(&in->key));
    if (known)
        return known;
    if (in->by_key.len >= in->max)
        return &in->other;
    known = arena_alloc(&in->mem, sizeof(*known));
    if (!known || identity_copy(&in->mem, who, known) < 0 ||
        map_put(&in->by_key, buf_sv(&in->key), known, NULL) < 0)
        return NULL;
    return known;
}

const struct identity *identities_get(struct identities *in, const struct identity *who)
{
    const struct identity **front = front_of(in, who);
    if (*front && is_same(*front, who))
        return *front;
    const struct identity *known = find_or_make(in, who);
    if (known)
        *front = known;
    return known;
}
