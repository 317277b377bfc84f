/* growth.c - what counters have grown by, edge by edge.
 *
 * Every series is remembered by its hash with its last value and what it says. What it has grown by
 * since is added to a cell of its edge, one for each side that tells. A value below the last one is
 * a counter that began again; it has grown by itself. A series that an endpoint looked at before did not
 * have began at 0. Of an endpoint looked at for the first time nothing is known to be new.
 *
 * Once. Both proxies of a request count it. Where an edge has series of the calling side, they alone
 * count, and the called side's say only whether it was protected. Else the called side's count, one
 * round late: the caller's series for the same requests may show up in the next round only. An
 * edge stays with its callers until none has been seen for CALLERS_GONE_NS; whoever comes back after
 * that is looked at as if for the first time (scraper.c), so nothing is counted by both.
 *
 * Latency comes in buckets with cumulative counts. Each bucket's own growth is put at its upper bound
 * (what is beyond the last bound, at the last), the sum is the endpoint's. */
#include "scrape/growth.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "normalize/normalize.h"
#include "scrape/mesh_metric.h"
#include <math.h>

#define CALLERS_GONE_NS (600 * NS_PER_S)
#define GROWTH_MOST     1e15 /* of one series in one look; more is no count */

enum { SWEEP_EVERY = 64 /* rounds */, FLAGS_SIZE = 32 };

struct part {
    struct edge_cell cell;
    double sum_ns;   /* of its latencies */
    bool has_waited; /* they came a round ago, without requests */
};
struct side {
    struct part now, held;
    int64_t seen_ns;
};
struct grown_edge {
    struct call who; /* texts in growth.mem */
    struct side calling, called;
    uint64_t called_tls[TLS_STATES_LEN]; /* what the called side said last */
};
struct series {
    struct grown_edge *edge;
    double last, bound_ns, unit_ns;
    uint64_t group; /* buckets of one histogram have the same */
    uint32_t target, seen_round;
    enum mesh_count count;
    bool is_calling;
    enum tls_state tls;
    enum tls_basis tls_basis;
    uint16_t code;
    int16_t grpc;
    char flags[FLAGS_SIZE];
};
/* The bucket read last. */
struct below {
    uint64_t group;
    double bound_ns, grown;
};
struct growth {
    struct map series, edges;
    struct arena mem;
    struct buf key;
    uint32_t round;
    uint32_t *looked; /* by target: the round of its last look */
    size_t looked_len;
    int64_t to_ns;
};

struct growth *growth_new(void)
{
    return mem_zalloc(sizeof(struct growth));
}

static void part_done(struct part *p)
{
    edge_cell_done(&p->cell);
    *p = (struct part){ 0 };
}

static void side_done(struct side *s)
{
    part_done(&s->now);
    part_done(&s->held);
}

struct growth *growth_free(struct growth *g)
{
    void *value;
    if (!g)
        return NULL;
    for (size_t i = 0; map_next(&g->series, &i, NULL, &value);)
        mem_free(value);
    for (size_t i = 0; map_next(&g->edges, &i, NULL, &value);) {
        side_done(&((struct grown_edge *)value)->calling);
        side_done(&((struct grown_edge *)value)->called);
    }
    map_done(&g->series);
    map_done(&g->edges);
    arena_done(&g->mem);
    buf_done(&g->key);
    mem_free(g->looked);
    return mem_free(g);
}

size_t growth_series(const struct growth *g)
{
    return g->series.len;
}

/* --- edges and series --- */

static struct grown_edge *edge_new(struct growth *g, const struct call *c)
{
    struct grown_edge *e = arena_zalloc(&g->mem, sizeof(*e));
    if (!e)
        return NULL;
    e->who = (struct call){ .reporter = REPORTER_SCRAPE, .protocol = c->protocol };
    e->who.destination_service = arena_copy(&g->mem, c->destination_service);
    if (!e->who.destination_service.p || identity_copy(&g->mem, &c->source, &e->who.source) < 0 ||
        identity_copy(&g->mem, &c->destination, &e->who.destination) < 0 ||
        map_put(&g->edges, buf_sv(&g->key), e, NULL) < 0)
        return NULL;
    return e;
}

/* ERR_LIMIT: too many. */
static int edge_of(struct growth *g, struct call *c, struct grown_edge **ret)
{
    if (!c->destination.workload.len || sv_eq(c->destination.workload, IDENTITY_UNKNOWN))
        identity_of_host(&c->destination, c->destination_service);
    identity_complete(&c->source);
    identity_complete(&c->destination);
    struct edge edge = { c->source, c->destination, c->protocol, SV_NONE };
    buf_clear(&g->key);
    edge_key_put(&edge, &g->key);
    if (g->key.failed)
        return ERR_NOMEM;
    *ret = map_get(&g->edges, buf_sv(&g->key));
    if (*ret)
        return 0;
    if (g->edges.len >= GROWTH_EDGES_MAX)
        return ERR_LIMIT;
    *ret = edge_new(g, c);
    return *ret ? 0 : ERR_NOMEM;
}

/* Of all labels but the bucket's bound. */
static uint64_t group_of(const struct prom_sample *s, uint32_t target)
{
    uint64_t h = hash_bytes(s->name.p, s->name.len, target);
    for (size_t i = 0; i < s->labels_len; i++) {
        if (sv_eq(s->labels[i].name, SV("le")))
            continue;
        h = hash_bytes(s->labels[i].name.p, s->labels[i].name.len, h);
        h = hash_bytes(s->labels[i].value.p, s->labels[i].value.len, h);
    }
    return h;
}

static int series_new(struct growth *g, const struct growth_look *look, struct sv key,
                      const struct prom_sample *s, struct mesh_metric *m, struct series **ret)
{
    struct grown_edge *edge;
    if (g->series.len >= GROWTH_SERIES_MAX)
        return ERR_LIMIT;
    int rc = edge_of(g, &m->call, &edge);
    if (rc < 0)
        return rc;
    struct series *x = mem_zalloc(sizeof(*x));
    if (!x)
        return ERR_NOMEM;
    *x = (struct series){ .edge = edge,
                          .bound_ns = m->bound_ns,
                          .unit_ns = m->unit_ns,
                          .group = group_of(s, look->target),
                          .target = look->target,
                          .count = m->count,
                          .is_calling = m->is_calling,
                          .tls = m->call.tls,
                          .tls_basis = m->call.tls_basis,
                          .code = m->call.response_code,
                          .grpc = m->call.grpc_status };
    (void)sv_to_z(m->call.response_flags, x->flags, sizeof(x->flags));
    if (map_put(&g->series, key, x, NULL) < 0) {
        mem_free(x);
        return ERR_NOMEM;
    }
    *ret = x;
    return 0;
}

/* --- one sample --- */

static int count(const struct growth_look *look, const struct series *x, double grown,
                 struct below *below)
{
    struct part *to = x->is_calling ? &x->edge->calling.now : &x->edge->called.now;
    struct call c = { .protocol = x->edge->who.protocol,
                      .tls = x->tls,
                      .tls_basis = x->tls_basis,
                      .response_code = x->code,
                      .grpc_status = x->grpc,
                      .response_flags = sv_z(x->flags),
                      .start_ns = look->from_ns + (look->to_ns - look->from_ns) / 2 };
    switch (x->count) {
    case MESH_REQUESTS: edge_cell_count(&to->cell, &c, (uint64_t)grown); break;
    case MESH_BYTES_RECEIVED: to->cell.bytes_received += (uint64_t)grown; break;
    case MESH_BYTES_SENT: to->cell.bytes_sent += (uint64_t)grown; break;
    case MESH_DURATION_SUM: to->sum_ns += grown * x->unit_ns; break;
    case MESH_DURATIONS: {
        bool is_next = below->group == x->group && below->bound_ns < x->bound_ns;
        double lower_ns = is_next ? below->bound_ns : 0, own = grown - (is_next ? below->grown : 0);
        double at_ns = isinf(x->bound_ns) ? lower_ns : x->bound_ns;
        *below = (struct below){ x->group, x->bound_ns, grown };
        if (own >= 1 && at_ns < (double)INT64_MAX / 2)
            return hist_add(&to->cell.latency, (int64_t)at_ns, (uint64_t)own);
    }
    }
    return 0;
}

static int take_sample(struct growth *g, const struct growth_look *look,
                       const struct prom_sample *s, struct mesh_metric *m, struct below *below)
{
    uint64_t key[2] = { hash_bytes(s->series.p, s->series.len, look->target),
                        hash_bytes(s->series.p, s->series.len, ~(uint64_t)look->target) };
    struct sv name = sv_of(key, sizeof(key));
    struct series *x = map_get(&g->series, name);
    if (!x) {
        int rc = series_new(g, look, name, s, m, &x);
        if (rc < 0)
            return rc;
    }
    double value = s->value >= 0 && s->value < GROWTH_MOST * 1e3 ? floor(s->value) : 0;
    double grown = value < x->last ? value : value - x->last;
    x->last = value;
    x->seen_round = g->round;
    if (x->count == MESH_REQUESTS) {
        struct side *side = x->is_calling ? &x->edge->calling : &x->edge->called;
        side->seen_ns = look->to_ns;
    }
    return look->is_first || grown > GROWTH_MOST ? 0 : count(look, x, grown, below);
}

static int note_look(struct growth *g, uint32_t target)
{
    if (target >= g->looked_len) {
        size_t len = (size_t)target + 1;
        uint32_t *looked = mem_resize(g->looked, len * sizeof(*looked));
        if (!looked)
            return ERR_NOMEM;
        memset(looked + g->looked_len, 0, (len - g->looked_len) * sizeof(*looked));
        g->looked = looked;
        g->looked_len = len;
    }
    g->looked[target] = g->round;
    return 0;
}

int growth_look(struct growth *g, const struct growth_look *look, struct sv text,
                struct growth_result *ret)
{
    AUTO_DONE(arena) mem = { 0 };
    struct prom_text t = prom_text_of(text, &mem);
    struct prom_sample s;
    struct below below = { 0 };
    struct growth_result r = { 0 };
    int rc = note_look(g, look->target);
    g->to_ns = MAX(g->to_ns, look->to_ns);
    while (rc == 0) {
        struct err err = { 0 };
        struct mesh_metric m;
        int got = prom_next(&t, &s, &err);
        if (got == 0)
            break;
        if (got == ERR_NOMEM)
            rc = got;
        if (got < 0) {
            if (r.malformed++ == 0)
                r.first = err;
            continue;
        }
        if (!mesh_metric_of(&s, look->own, &m))
            continue;
        r.samples++;
        rc = take_sample(g, look, &s, &m, &below);
        if (rc == ERR_LIMIT) {
            r.refused++;
            rc = 0;
        }
    }
    *ret = r;
    return rc < 0 ? ERR_NOMEM : 0;
}

/* --- a round --- */

/* The caller does not know whether it was protected; the callee said so. */
static void tell_tls(const struct grown_edge *e, struct edge_cell *c)
{
    uint64_t said = 0, left = c->tls[TLS_UNKNOWN];
    for (size_t i = TLS_PLAINTEXT; i < TLS_STATES_LEN; i++)
        said += e->called_tls[i];
    if (said && said == e->called_tls[TLS_MUTUAL]) { /* what was inferred is confirmed */
        c->tls_bases[TLS_BASIS_REPORTED] += c->tls_bases[TLS_BASIS_INFERRED];
        c->tls_bases[TLS_BASIS_INFERRED] = 0;
    }
    for (size_t i = TLS_PLAINTEXT; said && i < TLS_STATES_LEN; i++) {
        uint64_t part = (uint64_t)((double)left * (double)e->called_tls[i] / (double)said + 0.5);
        part = MIN(part, c->tls[TLS_UNKNOWN]);
        c->tls[i] += part;
        c->tls[TLS_UNKNOWN] -= part;
        c->tls_bases[TLS_BASIS_REPORTED] += part;
        c->tls_bases[TLS_BASIS_NONE] -= part;
        if (i == TLS_PLAINTEXT && part) {
            c->first_plaintext.at_ns = c->first_ns;
            c->last_plaintext.at_ns = c->last_ns;
        }
    }
}

static void emit(const struct grown_edge *e, struct part *p, growth_sink *sink, void *to)
{
    if (p->cell.requests ==
        0) { /* they come with the next round, or what took so long is no request */
        if (p->has_waited) {
            hist_clear(&p->cell.latency);
            p->sum_ns = 0;
        }
        p->has_waited = p->cell.latency.count > 0;
        return;
    }
    if (p->cell.latency.count && p->sum_ns > 0)
        p->cell.latency.sum_ns = (int64_t)MIN(p->sum_ns, (double)INT64_MAX / 2);
    sink(to, &e->who, &p->cell);
    part_done(p);
}

static void finish_edge(const struct growth *g, struct grown_edge *e, growth_sink *sink, void *to)
{
    bool has_callers = e->calling.seen_ns && g->to_ns - e->calling.seen_ns < CALLERS_GONE_NS;
    if (e->called.now.cell.requests)
        memcpy(e->called_tls, e->called.now.cell.tls, sizeof(e->called_tls));
    if (has_callers) {
        side_done(&e->called);
        tell_tls(e, &e->calling.now.cell);
        emit(e, &e->calling.now, sink, to);
        return;
    }
    side_done(&e->calling);
    emit(e, &e->called.held, sink, to);
    if (e->called.held.cell.requests == 0 && e->called.now.cell.requests) {
        part_done(&e->called.held);
        e->called.held = e->called.now;
        e->called.now = (struct part){ 0 };
    }
}

/* What endpoints have stopped showing; one that is down keeps its series. */
static void sweep(struct growth *g)
{
    void *value;
    for (size_t i = 0; map_next(&g->series, &i, NULL, &value);) {
        const struct series *x = value;
        if (g->looked[x->target] - x->seen_round < GROWTH_FORGET_AFTER)
            continue;
        map_remove_given(&g->series, &i);
        mem_free(value);
    }
}

void growth_round(struct growth *g, growth_sink *sink, void *to)
{
    void *value;
    for (size_t i = 0; map_next(&g->edges, &i, NULL, &value);)
        finish_edge(g, value, sink, to);
    g->round++;
    if (g->round % SWEEP_EVERY == 0)
        sweep(g);
}
