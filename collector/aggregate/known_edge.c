/* known_edge.c - interned edges and their pending buckets.
 *
 * An edge is met thousands of times a second and made once, so its identities are copied once and
 * buckets point to it. What is not part of the key is a fact about the edge that may be learned
 * later: principals (the first proven one stays) and the host asked for (the last one). Nearly every
 * call is of an edge met a moment ago: those are found by comparing, without making a key. */
#include "aggregate/known_edge.h"
#include "base/hash.h"
#include "base/mem.h"

#define OTHER SV("other")

void known_edges_init(struct known_edges *k, size_t max)
{
    memset(k, 0, sizeof(*k));
    k->max = max;
}

/* Every second the cells of all busy edges are committed and needed again: what is kept need not be
 * asked for, zeroed by the system and grown anew. */
static void keep_spare(struct known_edges *k, struct edge_cell **cell)
{
    if (!*cell)
        return;
    if (k->spare_len == k->spare_cap && k->spare_cap < SPARE_CELLS_MAX) {
        size_t cap = MAX(k->spare_cap * 2, (size_t)64);
        struct edge_cell **list = mem_resize(k->spare, cap * sizeof(*list));
        if (list) {
            k->spare = list;
            k->spare_cap = cap;
        }
    }
    if (k->spare_len == k->spare_cap)
        return;
    edge_cell_clear(*cell);
    k->spare[k->spare_len++] = TAKE(*cell);
}

void known_edges_trim(struct known_edges *k)
{
    while (k->spare_len > 0) {
        struct edge_cell *cell = k->spare[--k->spare_len];
        edge_cell_done(cell);
        mem_free(cell);
    }
    k->spare = mem_free(k->spare);
    k->spare_cap = 0;
}

struct edge_cell *known_edge_cell(struct known_edges *k, struct edge_bucket *b, enum reporter r)
{
    if (!b->cells[r] && k->spare_len > 0)
        b->cells[r] = k->spare[--k->spare_len];
    return edge_bucket_cell(b, r);
}

static void pending_free(struct known_edges *k, struct pending *p)
{
    for (size_t r = 0; r < REPORTERS_LEN; r++)
        keep_spare(k, &p->bucket.cells[r]);
    edge_bucket_done(&p->bucket);
    mem_free(p);
}

void known_edges_clear_pending(struct known_edges *k)
{
    for (struct known_edge *e = k->dirty; e;) {
        struct known_edge *next = e->next_dirty;
        while (e->pending) {
            struct pending *p = e->pending;
            e->pending = p->next;
            pending_free(k, p);
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

void known_edges_done(struct known_edges *k)
{
    void *e;
    known_edges_clear_pending(k);
    for (size_t i = 0; map_next(&k->by_key, &i, NULL, &e);)
        known_edge_done(e);
    known_edges_trim(k);
    map_done(&k->by_key);
    buf_done(&k->key);
    arena_done(&k->mem);
}

static bool is_known(struct sv text)
{
    return text.len > 0 && !sv_same(text, IDENTITY_UNKNOWN);
}

static struct known_edge *edge_make(struct known_edges *k, const struct edge *wanted)
{
    struct known_edge *e = arena_zalloc(&k->mem, sizeof(*e));
    if (!e || identity_copy(&k->mem, &wanted->source, &e->edge.source) < 0 ||
        identity_copy(&k->mem, &wanted->destination, &e->edge.destination) < 0 ||
        map_put(&k->by_key, buf_sv(&k->key), e, NULL) < 0)
        return NULL;
    e->edge.protocol = wanted->protocol;
    e->edge.destination_service = IDENTITY_UNKNOWN;
    e->is_source_known = is_known(wanted->source.workload);
    return e;
}

static struct known_edge *edge_find(struct known_edges *k, const struct edge *wanted)
{
    buf_clear(&k->key);
    edge_key_put(wanted, &k->key);
    return k->key.failed ? NULL : map_get(&k->by_key, buf_sv(&k->key));
}

static void learn_principal(struct known_edges *k, struct identity *who, struct sv said,
                            struct sv seen)
{
    if (is_known(who->principal))
        return;
    struct sv principal = is_known(said) ? said : seen;
    if (!is_known(principal))
        return;
    struct sv copy = arena_copy(&k->mem, principal);
    if (copy.p)
        who->principal = copy;
}

static void learn(struct known_edges *k, struct known_edge *e, const struct call *c)
{
    learn_principal(k, &e->edge.source, c->source.principal, c->source_principal_seen);
    learn_principal(k, &e->edge.destination, c->destination.principal,
                    c->destination_principal_seen);
    struct sv host = c->destination_service;
    if (host.len < HOST_SIZE && !sv_same(host, e->edge.destination_service) && is_known(host)) {
        memcpy(e->host, host.p, host.len);
        e->edge.destination_service = sv_of(e->host, host.len);
    }
}

struct identity known_edge_other(void)
{
    return (struct identity){ OTHER, OTHER, OTHER, OTHER, OTHER, IDENTITY_UNKNOWN };
}

static uint64_t hash_node(uint64_t h, const struct identity *who)
{
    h = hash_ends(h, who->workload); /* mostly tells versions apart, too */
    return hash_ends(h, who->namespace);
}

/* Where the edge of c would be among those met last. */
static size_t front_of(const struct call *c)
{
    return hash_node(hash_node((uint64_t)c->protocol, &c->source), &c->destination) >> 51;
}
_Static_assert(KNOWN_EDGES_FRONT == 1 << (64 - 51), "what is left of the hash");

static bool is_edge_of(const struct known_edge *e, const struct call *c)
{
    return e->edge.protocol == c->protocol && identity_same_node(&e->edge.source, &c->source) &&
           identity_same_node(&e->edge.destination, &c->destination);
}

struct known_edge *known_edge_guess(const struct known_edges *k, const struct call *c)
{
    return k->front[front_of(c)];
}

struct known_edge *known_edge_get(struct known_edges *k, const struct call *c,
                                  struct known_edge *guess, bool *ret_is_other)
{
    if (guess && is_edge_of(guess, c)) {
        *ret_is_other = false;
        learn(k, guess, c);
        return guess;
    }

    struct edge wanted = { c->source, c->destination, c->protocol, SV_NONE };
    struct known_edge *e = edge_find(k, &wanted);
    *ret_is_other = false;
    if (!e && k->by_key.len >= k->max) {
        struct identity other = known_edge_other();
        *ret_is_other = true;
        wanted = (struct edge){ other, other, c->protocol, SV_NONE };
        e = edge_find(k, &wanted);
    }
    if (!e && !k->key.failed)
        e = edge_make(k, &wanted);
    if (e && *ret_is_other)
        e->is_other = true;
    if (e && !*ret_is_other) {
        learn(k, e, c);
        k->front[front_of(c)] = e;
    }
    return e;
}

struct edge_bucket *known_edge_bucket(struct known_edges *k, struct known_edge *e, int64_t start_ns)
{
    for (struct pending *p = e->pending; p; p = p->next)
        if (p->bucket.start_ns == start_ns)
            return &p->bucket;
    struct pending *p = mem_zalloc(sizeof(*p));
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
