/* growth.c - what counters have grown by, edge by edge.
 *
 * Every series is remembered by its hash with its last value and what it says. What it has grown by
 * since is added to the calls of its edge that ended the same way (TLS, code, gRPC status, flags), apart for each side
 * that tells. A value below the last one is
 * a counter that began again; it has grown by itself. A series that an endpoint looked at before did not
 * have began at 0. Of an endpoint looked at for the first time nothing is known to be new.
 *
 * Once. Both proxies of a request count it. Where an edge has series of the calling side, they alone
 * count (the called side's are given on beside them), and the called side's say whether it was protected: of
 * requests that can have arrived. Else the called side's count, one
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
#include "model/edge.h"
#include "normalize/normalize.h"
#include "scrape/mesh_metric.h"
#include <math.h>

#define CALLERS_GONE_NS (600 * NS_PER_S)
#define LATE_NS         (30 * NS_PER_S) /* no round is so long unless a look was missed */
#define GROWTH_MOST     1e15            /* of one series in one look; more is no count */
#define SUM_MOST_NS     1e16            /* 115 days of one series in one look */

enum { GRPC_UNKNOWN = 2 };
enum { SWEEP_EVERY = 64 /* rounds */, FLAGS_SIZE = 32 };

/* What calls that ended the same way have grown by. */
struct grown {
    struct alike a;
    int64_t sum_ns; /* of their latencies, as the endpoint says */
};
struct kind {
    struct kind *next;
    struct kind *late; /* the same, of endpoints that were away; NULL until needed */
    bool is_late;
    char flags[FLAGS_SIZE];
    struct grown now, held;
};
struct side {
    struct kind *kinds;
    uint32_t kinds_len;
    bool has_waited; /* latencies came a round ago, without requests */
    bool has_held;
    int64_t seen_ns;
};
struct grown_edge {
    struct call who; /* texts in growth.mem */
    struct side calling, called;
    uint64_t called_tls[TLS_STATES_LEN]; /* what the called side said last */
};
struct series {
    struct side *side;
    struct kind *kind;
    double last, bound_ns, unit_ns;
    uint64_t group; /* buckets of one histogram have the same */
    uint32_t target, seen_round;
    enum mesh_count count;
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

static void grown_clear(struct grown *x)
{
    hist_done(&x->a.latency);
    x->a.times = x->a.bytes_received = x->a.bytes_sent = 0;
    x->sum_ns = x->a.at_ns = 0;
}

static void side_clear(struct side *s)
{
    for (struct kind *k = s->kinds; k; k = k->next) {
        grown_clear(&k->now);
        grown_clear(&k->held);
    }
    s->has_held = s->has_waited = false;
}

struct growth *growth_free(struct growth *g)
{
    void *value;
    if (!g)
        return NULL;
    for (size_t i = 0; map_next(&g->series, &i, NULL, &value);)
        mem_free(value);
    for (size_t i = 0; map_next(&g->edges, &i, NULL, &value);) {
        side_clear(&((struct grown_edge *)value)->calling);
        side_clear(&((struct grown_edge *)value)->called);
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

/* Past the limit exact codes, statuses and flags are given up, but not what counts as an error. */
static struct alike coarse(const struct alike *a)
{
    struct alike c = *a;
    c.code = (uint16_t)(a->code / 100 * 100);
    c.grpc = a->grpc > 0 ? GRPC_UNKNOWN : a->grpc;
    c.flags = a->flags.len ? SV("other") : SV_NONE;
    return c;
}

static struct kind *kind_find(const struct side *s, const struct alike *a)
{
    struct kind *k = s->kinds;
    while (k && (k->is_late || k->now.a.tls != a->tls || k->now.a.tls_basis != a->tls_basis ||
                 k->now.a.code != a->code || k->now.a.grpc != a->grpc ||
                 !sv_eq(k->now.a.flags, a->flags)))
        k = k->next;
    return k;
}

/* NULL when memory is out. */
static struct kind *kind_new(struct growth *g, struct side *s, const struct alike *like)
{
    struct kind *k = arena_zalloc(&g->mem, sizeof(*k));
    if (!k)
        return NULL;
    INVARIANT(sv_to_z(like->flags, k->flags, sizeof(k->flags)));
    k->now.a = (struct alike){ .protocol = like->protocol,
                               .tls = like->tls,
                               .tls_basis = like->tls_basis,
                               .code = like->code,
                               .grpc = like->grpc,
                               .flags = sv_z(k->flags),
                               .is_calling = like->is_calling };
    k->held.a = k->now.a;
    k->next = s->kinds;
    s->kinds = k;
    return k;
}

/* NULL when memory is out. */
static struct kind *kind_of(struct growth *g, struct side *s, const struct mesh_metric *m)
{
    struct alike a = { .protocol = m->call.protocol,
                       .tls = m->call.tls,
                       .tls_basis = m->call.tls_basis,
                       .code = m->call.response_code,
                       .grpc = m->call.grpc_status,
                       .flags = m->call.response_flags,
                       .is_calling = m->is_calling };
    if (a.flags.len >= FLAGS_SIZE)
        a.flags = SV("other");
    struct kind *k = kind_find(s, &a);
    if (!k && s->kinds_len >= GROWTH_KINDS_MAX) {
        a = coarse(&a);
        k = kind_find(s, &a);
    }
    if (!k) {
        k = kind_new(g, s, &a);
        s->kinds_len += k != NULL;
    }
    return k;
}

/* Where a series counts what this look shows: what an endpoint that was away has counted meanwhile keeps a time
 * of its own, or it would take the others' newest requests along into the past. */
static struct kind *kind_at(struct growth *g, const struct growth_look *look,
                            const struct series *x)
{
    struct kind *k = x->kind;
    if (look->to_ns - look->from_ns <= LATE_NS)
        return k;
    if (!k->late && (k->late = kind_new(g, x->side, &k->now.a)))
        k->late->is_late = true;
    return k->late ? k->late : k;
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
    struct side *side = m->is_calling ? &edge->calling : &edge->called;
    struct kind *kind = kind_of(g, side, m);
    struct series *x = kind ? mem_zalloc(sizeof(*x)) : NULL;
    if (!x)
        return ERR_NOMEM;
    *x = (struct series){ .side = side,
                          .kind = kind,
                          .bound_ns = m->bound_ns,
                          .unit_ns = m->unit_ns,
                          .group = group_of(s, look->target),
                          .target = look->target,
                          .count = m->count };
    if (map_put(&g->series, key, x, NULL) < 0) {
        mem_free(x);
        return ERR_NOMEM;
    }
    *ret = x;
    return 0;
}

/* --- one sample --- */

static int count(struct growth *g, const struct growth_look *look, const struct series *x,
                 double grown, struct below *below)
{
    struct grown *to = &kind_at(g, look, x)->now;
    int64_t at_ns = look->from_ns + (look->to_ns - look->from_ns) / 2;
    if (grown >= 1)
        to->a.at_ns = to->a.at_ns ? MIN(to->a.at_ns, at_ns) : at_ns;
    switch (x->count) {
    case MESH_REQUESTS: to->a.times += (uint64_t)grown; break;
    case MESH_BYTES_RECEIVED: to->a.bytes_received += (uint64_t)grown; break;
    case MESH_BYTES_SENT: to->a.bytes_sent += (uint64_t)grown; break;
    case MESH_DURATION_SUM:
        to->sum_ns += (int64_t)MIN(grown * x->unit_ns, SUM_MOST_NS);
        to->sum_ns = MIN(to->sum_ns, INT64_MAX / 2);
        break;
    case MESH_DURATIONS: {
        bool is_next = below->group == x->group && below->bound_ns < x->bound_ns;
        double lower_ns = is_next ? below->bound_ns : 0, own = grown - (is_next ? below->grown : 0);
        double took_ns = isinf(x->bound_ns) ? lower_ns : x->bound_ns;
        *below = (struct below){ x->group, x->bound_ns, grown };
        if (own >= 1 && took_ns < (double)INT64_MAX / 2)
            return hist_add(&to->a.latency, (int64_t)took_ns, (uint64_t)own);
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
    if (x->count == MESH_REQUESTS)
        x->side->seen_ns = look->to_ns;
    return look->is_first || grown > GROWTH_MOST ? 0 : count(g, look, x, grown, below);
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

/* Where what was found goes. */
struct giver {
    growth_sink *sink;
    void *to;
    const struct grown_edge *e;
};

static void give(const struct giver *to, const struct alike *a)
{
    if (a->times || a->latency.count || a->bytes_received || a->bytes_sent)
        to->sink(to->to, &to->e->who, a);
}

/* It can have reached the callee: there was an answer, and the caller's proxy did not make it up itself.
 * A connection has no code. */
static bool may_have_arrived(const struct alike *a)
{
    static const char *const not_sent[] = { "UH", "UF",   "UO", "NR",   "NC",   "DF",
                                            "RL", "RLSE", "FI", "UAEX", "IH",   "OM",
                                            "DO", "DPE",  "LH", "NFCF", "other" };
    struct sv flags = a->flags;
    for (struct sv flag; sv_cut(&flags, ',', &flag);)
        for (size_t i = 0; i < NELEMS(not_sent); i++)
            if (sv_eq(flag, sv_z(not_sent[i])))
                return false;
    return a->code || a->protocol == PROTOCOL_TCP;
}

static uint64_t called_sum(const struct grown_edge *e)
{
    uint64_t said = 0;
    for (size_t i = TLS_PLAINTEXT; i < TLS_STATES_LEN; i++)
        said += e->called_tls[i];
    return said;
}

/* Calls of which their caller does not know whether they were protected: in the shares that the callee said last. */
static void give_shares(const struct giver *to, const struct alike *a, uint64_t said)
{
    uint64_t upto = 0;
    for (size_t i = TLS_PLAINTEXT; i < TLS_STATES_LEN; i++) {
        double from = (double)upto / (double)said;
        upto += to->e->called_tls[i];
        double end = (double)upto / (double)said;
        struct alike part = *a;
        if (hist_share(&part.latency, &a->latency, from, end) < 0)
            part.latency = (struct hist){ 0 };
        part.tls = (enum tls_state)i;
        part.tls_basis = TLS_BASIS_REPORTED;
        part.times = share_of(a->times, from, end);
        part.bytes_received = share_of(a->bytes_received, from, end);
        part.bytes_sent = share_of(a->bytes_sent, from, end);
        give(to, &part);
        hist_done(&part.latency);
    }
}

static void give_calling(const struct giver *to, const struct alike *a)
{
    uint64_t said = called_sum(to->e);
    struct alike told = *a;
    if (a->tls == TLS_UNKNOWN && said && may_have_arrived(a)) {
        give_shares(to, a, said);
        return;
    }
    if (a->tls_basis == TLS_BASIS_INFERRED && said && said == to->e->called_tls[TLS_MUTUAL])
        told.tls_basis = TLS_BASIS_REPORTED; /* confirmed */
    give(to, &told);
}

static void grown_give(const struct giver *to, struct grown *x, bool is_beside)
{
    if (x->a.latency.count && x->sum_ns > 0)
        x->a.latency.sum_ns = x->sum_ns;
    x->a.is_beside = is_beside;
    if (x->a.is_calling)
        give_calling(to, &x->a);
    else
        give(to, &x->a);
    grown_clear(x);
}

static void give_held(const struct giver *to, struct side *s, bool is_beside)
{
    for (struct kind *k = s->kinds; k && s->has_held; k = k->next)
        grown_give(to, &k->held, is_beside);
    s->has_held = false;
}

/* Something was requested (or flowed over a connection). Latencies alone wait: their requests come with the next
 * round, or what took so long is no request. */
static bool is_ready(struct side *s)
{
    bool has_requests = false, has_latencies = false;
    for (const struct kind *k = s->kinds; k; k = k->next) {
        const struct alike *a = &k->now.a;
        bool has_flowed = a->protocol == PROTOCOL_TCP && (a->bytes_received || a->bytes_sent);
        has_requests |= a->times || has_flowed;
        has_latencies |= a->latency.count > 0;
    }
    for (struct kind *k = s->kinds; k && !has_requests && s->has_waited; k = k->next) {
        hist_clear(&k->now.a.latency);
        k->now.sum_ns = 0;
    }
    s->has_waited = !has_requests && has_latencies && !s->has_waited;
    return has_requests;
}

static void note_called_tls(struct grown_edge *e)
{
    uint64_t tls[TLS_STATES_LEN] = { 0 }, all = 0;
    for (const struct kind *k = e->called.kinds; k; k = k->next) {
        tls[k->now.a.tls] += k->now.a.times;
        all += k->now.a.times;
    }
    if (all)
        memcpy(e->called_tls, tls, sizeof(tls));
}

static void finish_edge(const struct growth *g, struct grown_edge *e, growth_sink *sink, void *to)
{
    struct giver giver = { sink, to, e };
    bool has_callers = e->calling.seen_ns && g->to_ns - e->calling.seen_ns < CALLERS_GONE_NS;
    note_called_tls(e);
    give_held(&giver, &e->called, has_callers);
    bool is_called_ready = is_ready(&e->called);
    if (!has_callers)
        side_clear(&e->calling);
    if (has_callers && is_ready(&e->calling))
        for (struct kind *k = e->calling.kinds; k; k = k->next)
            grown_give(&giver, &k->now, false);
    for (struct kind *k = e->called.kinds; k && is_called_ready; k = k->next) {
        if (has_callers) {
            grown_give(&giver, &k->now, true);
            continue;
        }
        k->held = k->now; /* which was given away */
        k->now.a.latency = (struct hist){ 0 };
        grown_clear(&k->now);
    }
    e->called.has_held = is_called_ready && !has_callers;
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
