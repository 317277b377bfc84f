/* known_edge.c - edges that were met, and their pending buckets.
 *
 * An edge is met thousands of times a second and made once, so its names are copied once and
 * buckets point to it. It is found in two steps: its ends by their names, then itself by the addresses
 * of these. What is not part of the key is a fact about the edge that may be learned
 * later: principals (the first proven one stays) and the host asked for (the last one). */
#include "aggregate/known_edge.h"
#include "base/hash.h"
#include "base/lines.h"
#include "base/mem.h"

#define OTHER SV("other")

void known_edges_init(struct known_edges *k, size_t max)
{
    memset(k, 0, sizeof(*k));
    k->max = max;
}

/* Every second the cells of all busy edges are committed and needed again: what is kept need not be
 * asked for, zeroed by the system and grown anew, and where it lies is known before. */
static void keep_cell(struct known_edges *k, struct known_edge *e, enum reporter r,
                      struct edge_cell **cell)
{
    if (!*cell || e->kept[r] || k->kept_len >= KEPT_CELLS_MAX)
        return;
    edge_cell_clear(*cell);
    e->kept[r] = TAKE(*cell);
    k->kept_len++;
}

void known_edges_trim(struct known_edges *k, int64_t since_ns)
{
    struct known_edge *e;
    for (size_t i = 0; k->kept_len > 0 && (e = known_edges_next(k, &i));)
        for (size_t r = 0; r < REPORTERS_LEN && e->told_ns < since_ns; r++)
            if (e->kept[r]) {
                edge_cell_done(e->kept[r]);
                e->kept[r] = mem_free(e->kept[r]);
                k->kept_len--;
            }
}

struct edge_cell *known_edge_cell(struct known_edges *k, struct known_edge *e,
                                  struct edge_bucket *b, enum reporter r)
{
    if (!b->cells[r] && e->kept[r]) {
        b->cells[r] = TAKE(e->kept[r]);
        k->kept_len--;
    }
    return edge_bucket_cell(b, r);
}

static void pending_free(struct known_edges *k, struct known_edge *e, struct pending *p)
{
    for (size_t r = 0; r < REPORTERS_LEN; r++)
        keep_cell(k, e, (enum reporter)r, &p->bucket.cells[r]);
    edge_bucket_done(&p->bucket);
    if (p == &e->own)
        *p = (struct pending){ 0 };
    else
        mem_free(p);
}

void known_edges_clear_pending(struct known_edges *k)
{
    for (struct known_edge *e = k->dirty; e;) {
        struct known_edge *next = e->next_dirty;
        while (e->pending) {
            struct pending *p = e->pending;
            e->pending = p->next;
            pending_free(k, e, p);
        }
        e->is_dirty = false;
        e->next_dirty = NULL;
        e = next;
    }
    k->dirty = NULL;
    k->pending_len = 0;
}

static void known_edge_done(struct known_edge *e)
{
    totals_done(&e->totals);
    mem_free(e->told);
}

struct known_edge *known_edges_next(const struct known_edges *k, size_t *at)
{
    return met_next(&k->by_ends, at);
}

void known_edges_done(struct known_edges *k)
{
    struct known_edge *e;
    known_edges_clear_pending(k);
    known_edges_trim(k, INT64_MAX);
    for (size_t i = 0; (e = known_edges_next(k, &i));)
        known_edge_done(e);
    met_done(&k->by_ends);
    known_nodes_done(&k->nodes);
    arena_done(&k->mem);
}

static bool is_known(struct sv text)
{
    return text.len > 0 && !sv_same(text, IDENTITY_UNKNOWN);
}

static uint64_t hash_of(const struct edge_seek *s, enum protocol p)
{
    return hash_mix(hash_mix((uintptr_t)s->source, (uintptr_t)s->destination), (uint64_t)p);
}

static bool is_sought(const struct known_edge *e, const struct edge_seek *s, enum protocol p)
{
    return e->source == s->source && e->destination == s->destination && e->edge.protocol == p;
}

static struct known_edge *edge_find(const struct known_edges *k, const struct edge_seek *s,
                                    enum protocol p)
{
    size_t at;
    struct known_edge *e = s->source && s->destination ? met_first(&k->by_ends, s->hash, &at)
                                                       : NULL;
    while (e && !is_sought(e, s, p))
        e = met_again(&k->by_ends, s->hash, &at);
    return e;
}

/* The names of the key are the node's. */
static int name_end(struct arena *mem, const struct known_node *node, const struct identity *said,
                    struct identity *ret)
{
    *ret = (struct identity){ node->cluster,  node->namespace,
                              node->workload, arena_copy(mem, said->service),
                              node->version,  arena_copy(mem, said->principal) };
    return ret->service.p && ret->principal.p ? 0 : -1;
}

/* So that what is touched together begins with a line. */
static struct known_edge *edge_alloc(struct known_edges *k)
{
    char *room = arena_zalloc(&k->mem, sizeof(struct known_edge) + LINE_BYTES);
    size_t over = ((uintptr_t)room + offsetof(struct known_edge, edge.protocol)) % LINE_BYTES;
    return room ? (struct known_edge *)(void *)(room + (LINE_BYTES - over) % LINE_BYTES) : NULL;
}

static struct known_edge *edge_make(struct known_edges *k, const struct identity *source,
                                    const struct identity *destination, enum protocol p)
{
    struct edge_seek s = { .source = known_node_get(&k->nodes, source),
                           .destination = known_node_get(&k->nodes, destination) };
    if (!s.source || !s.destination)
        return NULL;
    struct known_edge *e = edge_alloc(k);
    if (!e || name_end(&k->mem, s.source, source, &e->edge.source) < 0 ||
        name_end(&k->mem, s.destination, destination, &e->edge.destination) < 0 ||
        met_put(&k->by_ends, hash_of(&s, p), e) < 0)
        return NULL;
    e->source = s.source;
    e->destination = s.destination;
    e->edge.protocol = p;
    e->edge.destination_service = IDENTITY_UNKNOWN;
    e->is_source_known = is_known(source->workload);
    e->is_source_proven = is_known(source->principal);
    e->is_destination_proven = is_known(destination->principal);
    return e;
}

/* Whether one is known now. */
static bool learn_principal(struct known_edges *k, struct identity *who, struct sv said,
                            struct sv seen)
{
    struct sv principal = is_known(said) ? said : seen;
    if (!is_known(principal))
        return false;
    struct sv copy = arena_copy(&k->mem, principal);
    if (copy.p)
        who->principal = copy;
    return copy.p != NULL;
}

/* Without memory the host before stays. */
static void learn_host(struct known_edges *k, struct known_edge *e, struct sv host)
{
    if (host.len > e->host_size) { /* doubled, so that changes cannot grow it without end */
        size_t size = MIN(MAX(host.len, 2 * e->host_size), (size_t)HOST_SIZE);
        char *room = arena_alloc(&k->mem, size);
        if (!room)
            return;
        e->host = room;
        e->host_size = size;
    }
    memcpy(e->host, host.p, host.len);
    e->edge.destination_service = sv_of(e->host, host.len);
}

static void learn(struct known_edges *k, struct known_edge *e, const struct call *c)
{
    if (!e->is_source_proven)
        e->is_source_proven = learn_principal(k, &e->edge.source, c->source.principal,
                                              c->source_principal_seen);
    if (!e->is_destination_proven)
        e->is_destination_proven = learn_principal(
            k, &e->edge.destination, c->destination.principal, c->destination_principal_seen);
    struct sv host = c->destination_service;
    if (!sv_same(host, e->edge.destination_service) && is_known(host) && host.len < HOST_SIZE)
        learn_host(k, e, host);
}

struct identity known_edge_other(void)
{
    return (struct identity){ OTHER, OTHER, OTHER, OTHER, OTHER, IDENTITY_UNKNOWN };
}

static void seek_ends(const struct known_edges *k, const struct identity *source,
                      const struct identity *destination, enum protocol p, struct edge_seek *ret)
{
    *ret = (struct edge_seek){ .source = known_node_find(&k->nodes, source),
                               .destination = known_node_find(&k->nodes, destination) };
    ret->hash = hash_of(ret, p);
}

void known_edge_seek(const struct known_edges *k, const struct call *c, struct edge_seek *ret_seek)
{
    seek_ends(k, &c->source, &c->destination, c->protocol, ret_seek);
    if (k->by_ends.cap)
        lines_ask(&k->by_ends.slots[met_start(&k->by_ends, ret_seek->hash)], 1);
}

void known_edge_guess(const struct known_edges *k, struct edge_seek *s)
{
    size_t at;
    s->guess = s->source && s->destination ? met_first(&k->by_ends, s->hash, &at) : NULL;
}

/* Of a mesh with too many edges: the one for all that are not known. */
static struct known_edge *other_get(struct known_edges *k, enum protocol p)
{
    struct identity other = known_edge_other();
    struct edge_seek s;
    seek_ends(k, &other, &other, p, &s);
    struct known_edge *e = edge_find(k, &s, p);
    if (!e)
        e = edge_make(k, &other, &other, p);
    if (e)
        e->is_other = true;
    return e;
}

struct known_edge *known_edge_get(struct known_edges *k, const struct call *c,
                                  const struct edge_seek *s, bool *ret_is_other)
{
    *ret_is_other = false;
    if (s && s->guess && is_sought(s->guess, s, c->protocol)) {
        learn(k, s->guess, c);
        return s->guess;
    }
    struct edge_seek fresh;
    if (!s || !s->source || !s->destination) { /* a call before this one may have made them */
        seek_ends(k, &c->source, &c->destination, c->protocol, &fresh);
        s = &fresh;
    }
    struct known_edge *e = edge_find(k, s, c->protocol);
    if (!e && k->by_ends.len >= k->max) {
        *ret_is_other = true;
        return other_get(k, c->protocol);
    }
    if (!e)
        e = edge_make(k, &c->source, &c->destination, c->protocol);
    if (e)
        learn(k, e, c);
    return e;
}

struct edge_bucket *known_edge_bucket(struct known_edges *k, struct known_edge *e, int64_t start_ns)
{
    for (struct pending *p = e->pending; p; p = p->next)
        if (p->bucket.start_ns == start_ns)
            return &p->bucket;
    struct pending *p = e->own.bucket.edge ? mem_zalloc(sizeof(*p)) : &e->own;
    if (!p)
        return NULL;
    p->bucket =
        (struct edge_bucket){ .edge = &e->edge, .start_ns = start_ns, .width_ns = BUCKET_NS };
    p->next = e->pending;
    e->pending = p;
    k->pending_len++;
    if (!e->is_dirty) {
        e->is_dirty = true;
        e->next_dirty = k->dirty;
        k->dirty = e;
    }
    return &p->bucket;
}
