/* view_roll.c - rolled-up edges and the nodes at their ends.
 *
 * Ids are hashes of the names, so that a link to an edge stays good over restarts and a map of the
 * page before can be compared with this one. Sums with steps (an edge's history) hang on their
 * edge as a list; without steps there is one. */
#include "aggregate/view_roll.h"
#include "base/hash.h"
#include "base/mem.h"

struct rolled_sum {
    struct rolled_sum *next;
    size_t step;
    struct edge_cell sum;
    struct edge_cell called; /* the callee's records, whether they count or not */
    uint64_t counted[REPORTERS_LEN];
    enum reporter evidence;
};
struct rolled_edge {
    struct rolled_edge *next;
    uint64_t id, source_id, destination_id;
    struct edge edge;
    struct rolled_sum *sums;
};
struct rolled_node {
    struct node_view view;
    bool is_touched; /* by an edge of the view */
};

static struct sv id_key(const uint64_t *id)
{
    return sv_of(id, sizeof(*id));
}

void roll_done(struct roll *r)
{
    for (struct rolled_edge *e = r->first; e; e = e->next)
        for (struct rolled_sum *s = e->sums; s; s = s->next) {
            edge_cell_done(&s->sum);
            edge_cell_done(&s->called);
        }
    r->first = NULL;
    map_done(&r->edges);
    map_done(&r->nodes);
}

static uint64_t edge_id(uint64_t source_id, uint64_t destination_id, enum protocol p)
{
    uint64_t parts[] = { source_id, destination_id, (uint64_t)p };
    return hash_bytes(parts, sizeof(parts), 0);
}

uint64_t edge_roll_up_id(const struct edge *e, enum granularity g)
{
    struct identity source = node_roll_up(&e->source, g);
    struct identity destination = node_roll_up(&e->destination, g);
    return edge_id(node_id(&source, g), node_id(&destination, g), e->protocol);
}

static void learn(struct sv *fact, struct sv said)
{
    if (!fact->len || (sv_eq(*fact, IDENTITY_UNKNOWN) && said.len))
        *fact = said;
}

/* -1 when memory is out. */
static int roll_node(struct roll *r, const struct identity *stored, uint64_t *ret_id)
{
    struct identity who = node_roll_up(stored, r->granularity);
    uint64_t id = node_id(&who, r->granularity);
    enum node_type type = node_type_of(stored);
    struct rolled_node *n = map_get(&r->nodes, id_key(&id));
    *ret_id = id;
    if (n) {
        learn(&n->view.who.principal, who.principal);
        n->view.type = MIN(n->view.type, type);
        return 0;
    }
    n = arena_zalloc(r->mem, sizeof(*n));
    if (!n || map_put(&r->nodes, id_key(&id), n, NULL) < 0)
        return -1;
    n->view = (struct node_view){ .id = id, .who = who, .type = type };
    return 0;
}

struct rolled_edge *roll_edge(struct roll *r, const struct edge *e)
{
    uint64_t source_id, destination_id;
    if (roll_node(r, &e->source, &source_id) < 0 ||
        roll_node(r, &e->destination, &destination_id) < 0)
        return NULL;
    uint64_t id = edge_id(source_id, destination_id, e->protocol);
    struct rolled_edge *x = map_get(&r->edges, id_key(&id));
    if (x) {
        learn(&x->edge.destination_service, e->destination_service);
        learn(&x->edge.source.principal, e->source.principal);
        learn(&x->edge.destination.principal, e->destination.principal);
        return x;
    }
    x = arena_zalloc(r->mem, sizeof(*x));
    if (!x || map_put(&r->edges, id_key(&id), x, NULL) < 0)
        return NULL;
    x->id = id;
    x->source_id = source_id;
    x->destination_id = destination_id;
    x->edge = (struct edge){
        .source = node_roll_up(&e->source, r->granularity),
        .destination = node_roll_up(&e->destination, r->granularity),
        .protocol = e->protocol,
        .destination_service = e->destination_service,
    };
    x->next = r->first;
    r->first = x;
    return x;
}

static struct rolled_sum *sum_of(struct roll *r, struct rolled_edge *e, size_t step)
{
    for (struct rolled_sum *s = e->sums; s; s = s->next)
        if (s->step == step)
            return s;
    struct rolled_sum *s = arena_zalloc(r->mem, sizeof(*s));
    if (!s)
        return NULL;
    s->step = step;
    s->evidence = REPORTERS_LEN;
    s->next = e->sums;
    e->sums = s;
    r->sums_len++;
    return s;
}

int roll_add(struct roll *r, struct rolled_edge *e, size_t step, enum reporter reporter,
             const struct edge_cell *cell)
{
    struct rolled_sum *s = sum_of(r, e, step);
    if (!s || edge_cell_merge(&s->sum, cell) < 0)
        return -1;
    s->evidence = MIN(s->evidence, reporter);
    s->counted[reporter] += cell->requests;
    return 0;
}

int roll_add_called(struct roll *r, struct rolled_edge *e, size_t step,
                    const struct edge_cell *cell)
{
    struct rolled_sum *s = sum_of(r, e, step);
    return s ? edge_cell_merge(&s->called, cell) : -1;
}

int roll_add_total(struct roll *r, struct rolled_edge *e, const struct edge_total *t)
{
    struct rolled_sum *s = sum_of(r, e, 0);
    if (!s || edge_cell_merge(&s->sum, &t->cell) < 0 || edge_cell_merge(&s->called, &t->called) < 0)
        return -1;
    for (size_t k = 0; k < REPORTERS_LEN; k++)
        s->counted[k] += t->counted[k];
    s->evidence = MIN(s->evidence, t->evidence);
    return 0;
}

void roll_totals(struct roll *r, edge_total_sink *sink, void *to)
{
    for (const struct rolled_edge *e = r->first; e; e = e->next) {
        const struct rolled_sum *s = e->sums;
        if (!s)
            continue;
        struct edge_total t = { .cell = s->sum, .called = s->called, .evidence = s->evidence };
        memcpy(t.counted, s->counted, sizeof(t.counted));
        if (sink(to, &e->edge, &t) != 0)
            return;
    }
}

/* Where the counted reporter could not tell (counts[0]), the called side's word fills in, the least
 * first, which for TLS states is plaintext: a doubt is never resolved to the safer side. */
static void fill_in(uint64_t *counts, const uint64_t *called, size_t len)
{
    for (size_t i = 1; i < len; i++) {
        uint64_t missing = called[i] > counts[i] ? called[i] - counts[i] : 0;
        uint64_t moved = MIN(counts[0], missing);
        counts[0] -= moved;
        counts[i] += moved;
    }
}

static void fill_tls(struct rolled_sum *s)
{
    struct edge_cell *sum = &s->sum, *called = &s->called;
    uint64_t plaintext_before = sum->tls[TLS_PLAINTEXT];
    fill_in(sum->tls, called->tls, TLS_STATES_LEN);
    fill_in(sum->tls_bases, called->tls_bases, TLS_BASES_LEN);
    if (!sum->tls_version[0])
        memcpy(sum->tls_version, called->tls_version, sizeof(sum->tls_version));
    if (!sum->tls_cipher[0])
        memcpy(sum->tls_cipher, called->tls_cipher, sizeof(sum->tls_cipher));
    if (!sum->cert_expiry_ns ||
        (called->cert_expiry_ns && called->cert_expiry_ns < sum->cert_expiry_ns))
        sum->cert_expiry_ns = called->cert_expiry_ns;
    if (plaintext_before == 0 && sum->tls[TLS_PLAINTEXT] > 0) {
        sum->first_plaintext = called->first_plaintext;
        sum->last_plaintext = called->last_plaintext;
    }
}

static void edge_view_of(const struct rolled_edge *e, struct rolled_sum *s, struct edge_view *ret)
{
    fill_tls(s);
    *ret = (struct edge_view){
        .id = e->id,
        .source_id = e->source_id,
        .destination_id = e->destination_id,
        .edge = e->edge,
        .sum = s->sum,
        .received = s->called.requests,
        .evidence = s->evidence,
        .server_evidence = REPORTERS_LEN,
        .step = s->step,
    };
    memcpy(ret->counted, s->counted, sizeof(ret->counted));
    struct hist *called = NULL;
    if (s->called.latency.count > 0) {
        called = &s->called.latency;
        ret->server_evidence = REPORTER_DESTINATION;
    } else if (ret->sum.server_latency.count > 0) {
        called = &ret->sum.server_latency;
        ret->server_evidence = REPORTER_PAIR;
    }
    if (called)
        ret->server_latency = hist_move(called);
    s->sum = (struct edge_cell){ 0 }; /* moved */
}

static int by_requests(const void *pa, const void *pb)
{
    const struct edge_view *a = pa, *b = pb;
    if (a->step != b->step)
        return a->step < b->step ? -1 : 1;
    if (a->sum.requests != b->sum.requests)
        return a->sum.requests > b->sum.requests ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int by_name(const void *pa, const void *pb)
{
    const struct identity *a = &((const struct node_view *)pa)->who;
    const struct identity *b = &((const struct node_view *)pb)->who;
    const struct sv left[] = { a->cluster, a->namespace, a->service, a->workload, a->version };
    const struct sv right[] = { b->cluster, b->namespace, b->service, b->workload, b->version };
    for (size_t i = 0; i < NELEMS(left); i++) {
        int order = sv_cmp(left[i], right[i]);
        if (order)
            return order;
    }
    return 0;
}

/* Only nodes that an edge of the view touches: a bucket that does not count brings none in. */
static size_t nodes_used(struct roll *r, struct node_view *list)
{
    void *value;
    size_t n = 0;
    for (size_t i = 0; map_next(&r->nodes, &i, NULL, &value);) {
        struct rolled_node *node = value;
        if (node->is_touched)
            list[n++] = node->view;
    }
    return n;
}

static void add_load(struct roll *r, const struct edge_view *e)
{
    struct rolled_node *source = map_get(&r->nodes, id_key(&e->source_id));
    struct rolled_node *destination = map_get(&r->nodes, id_key(&e->destination_id));
    source->is_touched = destination->is_touched = true;
    node_load_add(&source->view.out, e->edge.protocol, &e->sum);
    node_load_add(&destination->view.in, e->edge.protocol, &e->sum);
}

int roll_finish(struct roll *r, struct view *v)
{
    v->edges = mem_alloc(MAX(r->sums_len, 1) * sizeof(*v->edges));
    v->nodes = mem_alloc(MAX(r->nodes.len, 1) * sizeof(*v->nodes));
    if (!v->edges || !v->nodes)
        return -1;
    for (struct rolled_edge *e = r->first; e; e = e->next)
        for (struct rolled_sum *s = e->sums; s; s = s->next) {
            if (!edge_cell_is_used(&s->sum))
                continue;
            edge_view_of(e, s, &v->edges[v->edges_len++]);
            add_load(r, &v->edges[v->edges_len - 1]);
        }
    v->nodes_len = nodes_used(r, v->nodes);
    qsort(v->edges, v->edges_len, sizeof(*v->edges), by_requests);
    qsort(v->nodes, v->nodes_len, sizeof(*v->nodes), by_name);
    return 0;
}
