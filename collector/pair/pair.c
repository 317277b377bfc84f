/* pair.c - joins the two halves of a call into one.
 *
 * A call reaches us twice, in any order and up to a minute apart: the caller's CLIENT (or
 * PRODUCER) span and the callee's SERVER (or CONSUMER) span, whose parent is the first. A half
 * waits under (trace, client span id) until the other comes or its time passes; then lone.c says
 * what it means alone. A client leaves the table with its first server, since keeping it would
 * fill the table at any busy rate; a producer stays, because a message may have many consumers.
 *
 * Not every span that calls makes an edge of its own. Where a sidecar stands beside an
 * instrumented application the trace runs app client -> proxy client -> proxy server -> app
 * server, and only the middle two are a hop between workloads. The outer two are recognized by
 * their neighbour being a proxy's span of the same side (marks.c) and count as internal hops, as
 * does any pair whose two ends are one node of the graph.
 *
 * Zipkin lets both halves share one span id (and then the parent too); they pair as well. At the
 * table's limit the half that waits longest is judged at once and counted as evicted. */
#include "pair/pair.h"
#include "base/hash.h"
#include "base/mem.h"
#include "pair/aliases.h"
#include "pair/half.h"
#include "pair/identities.h"
#include "pair/lone.h"
#include "pair/marks.h"
#include "pair/unpaired.h"

enum {
    GONE_PLACES = 65536,   /* 1 MiB; used only while halves are given up */
    BESIDE_PLACES = 65536, /* 1 MiB; spans of proxies beside applications with an SDK */
    TOLD_PLACES = 131072,  /* 1 MiB: ten seconds at 3,000 spans a second, a retry's usual delay */
};

/* Of a span: the trace's flags, and whether the sender knows what it says of the parent, which
 * older ones that leave all flags at 0 do not. */
enum { FLAG_SAMPLED = 0x1, FLAGS_ARE_SET = 0x300 };

struct pairer {
    struct normalizer normalizer;
    struct span_facts facts; /* of the span that is being added */
    struct halves halves;
    struct identities identities;
    struct tls_saids saids;
    struct marks beside; /* neighbours of proxies' spans */
    struct marks told;   /* spans that were taken in */
    struct marks gone;   /* halves that were given up, and whose */
    struct unpaired unpaired;
    struct aliases aliases;
    bool has_apps; /* an application's called span has been seen */
    struct pair_stats stats;
    int64_t wait_ns;
    bool is_counted; /* of the call that is running */
    pair_emit_fn *emit;
    void *to;
};

struct pairer *pairer_new(const struct pair_conf *c, pair_emit_fn *emit, void *to)
{
    struct pairer *p = mem_zalloc(sizeof(*p));
    if (!p)
        return NULL;
    normalizer_init(&p->normalizer);
    halves_init(&p->halves, c->halves_max);
    identities_init(&p->identities, c->identities_max);
    marks_init(&p->beside, BESIDE_PLACES);
    marks_init(&p->told, TOLD_PLACES);
    marks_init(&p->gone, GONE_PLACES);
    p->wait_ns = c->wait_ns;
    p->emit = emit;
    p->to = to;
    return p;
}

struct pairer *pairer_free(struct pairer *p)
{
    if (!p)
        return NULL;
    halves_done(&p->halves);
    identities_done(&p->identities);
    tls_saids_done(&p->saids);
    marks_done(&p->beside);
    marks_done(&p->told);
    marks_done(&p->gone);
    unpaired_done(&p->unpaired);
    aliases_done(&p->aliases);
    return mem_free(p);
}

struct pair_stats pairer_stats(const struct pairer *p)
{
    struct pair_stats s = p->stats;
    s.waiting = p->halves.len;
    return s;
}

uint64_t pairer_unpaired(const struct pairer *p, pair_unpaired_sink *sink, void *to)
{
    const struct unpaired_row *row;
    for (size_t i = 0; (row = unpaired_next(&p->unpaired, &i));)
        sink(to, row);
    return p->unpaired.overflow;
}

size_t pairer_identities(const struct pairer *p)
{
    return p->identities.by_key.len;
}

static void count(struct pairer *p, uint64_t *cell)
{
    if (p->is_counted)
        (*cell)++;
}

static void emit(struct pairer *p, const struct call *c, const struct called_half *called)
{
    if (p->is_counted)
        p->emit(p->to, c, called);
}

static void judge_alone(struct pairer *p, const struct half *h, enum unpaired_cause cause,
                        int64_t now_ns)
{
    struct call c;
    struct half known = *h;
    known.who = aliases_who(&p->aliases, h);
    switch (lone_judge(&known, &c)) {
    case LONE_NOTHING: break;
    case LONE_COVERED: count(p, &p->stats.covered); break;
    case LONE_VIRTUAL:
        count(p, &p->stats.virtual_peers);
        emit(p, &c, NULL);
        break;
    case LONE_UNPAIRED:
        count(p, h->is_calling ? &p->stats.unpaired_client : &p->stats.unpaired_server);
        if (p->is_counted)
            unpaired_add(&p->unpaired, &known, cause, h->late, now_ns);
        break;
    }
}

/* Why the half is alone, of what can be known. */
static enum unpaired_cause why_alone(const struct pairer *p, const struct half *h)
{
    int64_t end_ns, waited_ns;
    if (h->late)
        return UNPAIRED_LATE;
    if (__builtin_add_overflow(h->start_ns, h->duration_ns, &end_ns) ||
        __builtin_sub_overflow(h->received_ns, end_ns, &waited_ns) || waited_ns > p->wait_ns ||
        waited_ns < -p->wait_ns)
        return UNPAIRED_CLOCK;
    if (!h->is_calling && marks_has(&p->told, &h->trace, &h->key, true, NULL))
        return UNPAIRED_ATTEMPT;
    if (!h->is_calling && marks_has(&p->told, &h->trace, &h->key, false, NULL))
        return UNPAIRED_NO_CALL;
    if (h->is_unsampled)
        return UNPAIRED_UNSAMPLED;
    if (!h->is_calling)
        return UNPAIRED_NO_CALLER;
    return h->kind == SPAN_KIND_PRODUCER ? UNPAIRED_NO_CONSUMER : UNPAIRED_NO_CALLEE;
}

/* Takes the longest waiting half out of the table; its other half may still come, in vain. */
static void give_up_oldest(struct pairer *p, bool is_full, int64_t now_ns)
{
    uint32_t oldest = p->halves.oldest;
    const struct half *h = &p->halves.list[oldest];
    judge_alone(p, h, is_full ? UNPAIRED_FULL : why_alone(p, h), now_ns);
    if (marks_put(&p->gone, &h->trace, &h->key, h->is_calling, h->who) < 0)
        count(p, &p->stats.lost);
    halves_remove(&p->halves, oldest);
}

/* The surer of the two says the state, of equals the callee; each adds the names it knows. */
static void take_tls(struct call *c, const struct half *called)
{
    if (called->tls != TLS_UNKNOWN && called->tls_basis >= c->tls_basis) {
        c->tls = (enum tls_state)called->tls;
        c->tls_basis = (enum tls_basis)called->tls_basis;
    }
    if (!called->said)
        return;
    const struct {
        struct sv *to, said;
    } texts[] = {
        { &c->tls_version, called->said->version },
        { &c->tls_cipher, called->said->cipher },
        { &c->source_principal_seen, called->said->source_principal },
        { &c->destination_principal_seen, called->said->destination_principal },
    };
    for (size_t i = 0; i < NELEMS(texts); i++)
        if (texts[i].said.len)
            *texts[i].to = texts[i].said;
}

/* The caller's view is the call; the callee fills in what the caller does not know. */
static void emit_pair(struct pairer *p, const struct half *calling, const struct half *called)
{
    const struct identity *source = aliases_who(&p->aliases, calling);
    const struct identity *destination = aliases_who(&p->aliases, called);
    if (identity_same_node(source, destination)) {
        count(p, &p->stats.internal_hops);
        return;
    }
    /* Our proxies tell of every request in records, which know both ends. Their spans may even name
     * the wrong ones: a program without a sidecar hands the trace on, and so the next sidecar's
     * server span lies right under a client span that called somebody else. */
    if (calling->emitter == EMITTER_TULLE_PROXY && called->emitter == EMITTER_TULLE_PROXY) {
        count(p, &p->stats.covered);
        return;
    }
    struct call c = call_of_half(calling, source, destination);
    c.reporter = REPORTER_PAIR;
    if (c.protocol == PROTOCOL_TCP && called->protocol != PROTOCOL_TCP) {
        c.protocol = (enum protocol)called->protocol;
        c.response_code = called->response_code;
        c.grpc_status = called->grpc_status;
    }
    if (c.protocol == PROTOCOL_HTTP && called->protocol == PROTOCOL_GRPC) {
        c.protocol = PROTOCOL_GRPC;
        c.grpc_status = called->grpc_status;
    }
    take_tls(&c, called);
    if (called->has_failed)
        c.response_flags = SPAN_ERROR_FLAG;
    c.bytes_received = MAX(calling->bytes_received, called->bytes_received);
    c.bytes_sent = MAX(calling->bytes_sent, called->bytes_sent);
    count(p, &p->stats.paired);
    struct called_half half = { called->start_ns, called->duration_ns };
    emit(p, &c, &half);
}

/* Whom the span that is being added names, into h; only asked where it matters. -1 when memory is out. */
static int name_peer(struct pairer *p, struct half *h)
{
    struct span_peer peer = span_peer_of(&p->normalizer, &p->facts);
    if (peer.kind == PEER_NONE)
        return 0;
    struct identity who = identity_of_peer(peer.name, peer.namespace);
    h->peer = identities_get(&p->identities, &who);
    if (h->peer)
        return 0;
    count(p, &p->stats.lost);
    return -1;
}

static void wait_for_other(struct pairer *p, struct half *h)
{
    if (name_peer(p, h) < 0)
        return;
    if (halves_is_full(&p->halves)) {
        count(p, &p->stats.evicted);
        give_up_oldest(p, true, h->received_ns);
    }
    (void)marks_has(&p->gone, &h->trace, &h->key, !h->is_calling, &h->late);
    if (halves_insert(&p->halves, h) < 0)
        count(p, &p->stats.lost);
}

/* Takes the half at `at` out of the table and pairs it with other. */
static void join_waiting(struct pairer *p, uint32_t at, const struct half *other)
{
    struct half *waiting = &p->halves.list[at];
    if (waiting->is_calling)
        emit_pair(p, waiting, other);
    else
        emit_pair(p, other, waiting);
    if (waiting->is_calling && waiting->kind == SPAN_KIND_PRODUCER)
        waiting->is_matched = true;
    else
        halves_remove(&p->halves, at);
}

/* A called half with this very span id, as Zipkin's shared spans have. */
static uint32_t find_shared_server(struct pairer *p, const struct half *h,
                                   const struct span_id *parent)
{
    uint32_t at = halves_find(&p->halves, &h->trace, parent, false);
    while (at != HALF_NONE) {
        const struct half *x = &p->halves.list[at];
        if (!x->is_calling && span_id_eq(x->own, h->own) && span_id_eq(x->key, *parent) &&
            trace_id_eq(x->trace, h->trace))
            break;
        at = x->next_same_slot;
    }
    return at;
}

static void drop_internal(struct pairer *p, uint32_t at)
{
    count(p, &p->stats.internal_hops);
    halves_remove(&p->halves, at);
}

/* A proxy told of a span on its own side: the application's span next to it is no hop of its own, and
 * who sent it is known now. */
static void take_over(struct pairer *p, const struct trace_id *trace,
                      const struct span_id *neighbour, bool is_calling,
                      const struct identity *proxy)
{
    uint32_t at = halves_find(&p->halves, trace, neighbour, is_calling);
    if (at != HALF_NONE && p->halves.list[at].emitter == EMITTER_APP) {
        aliases_learn(&p->aliases, &p->halves.list[at], proxy);
        drop_internal(p, at);
    } else if (marks_put(&p->beside, trace, neighbour, is_calling, proxy) < 0) {
        count(p, &p->stats.lost);
    }
}

/* Whether a proxy beside the application has told of h's hop already. */
static bool is_beside_proxy(struct pairer *p, const struct half *h, const struct span_id *id)
{
    const struct identity *proxy = NULL;
    if (h->emitter != EMITTER_APP || !marks_has(&p->beside, &h->trace, id, h->is_calling, &proxy))
        return false;
    if (proxy)
        aliases_learn(&p->aliases, h, proxy);
    count(p, &p->stats.internal_hops);
    return true;
}

void pairer_beside_record(struct pairer *p, const struct call *c, bool is_counted)
{
    if (!p->has_apps || c->reporter != REPORTER_DESTINATION || !span_id_is_set(c->span_id))
        return;
    struct identity who = c->destination;
    p->is_counted = is_counted;
    identity_complete(&who);
    who.principal = IDENTITY_UNKNOWN; /* as spans have it */
    const struct identity *proxy = identities_get(&p->identities, &who);
    if (proxy)
        take_over(p, &c->trace_id, &c->span_id, false, proxy);
    else
        count(p, &p->stats.lost);
}

static void add_calling(struct pairer *p, struct half *h, const struct span *s)
{
    if (h->emitter != EMITTER_APP && span_id_is_set(s->parent_id))
        take_over(p, &h->trace, &s->parent_id, true, h->who);
    if (is_beside_proxy(p, h, &h->own))
        return;
    if (span_is_of_database(&p->normalizer) && name_peer(p, h) < 0)
        return;
    if (h->peer) { /* nothing will come from the other side */
        judge_alone(p, h, UNPAIRED_NO_CALLEE, h->received_ns);
        return;
    }
    uint32_t at = halves_find(&p->halves, &h->trace, &h->key, false);
    if (at == HALF_NONE && span_id_is_set(s->parent_id))
        at = find_shared_server(p, h, &s->parent_id);
    if (h->kind == SPAN_KIND_PRODUCER) {
        for (; at != HALF_NONE; at = halves_find(&p->halves, &h->trace, &h->key, false)) {
            join_waiting(p, at, h);
            h->is_matched = true;
        }
    } else if (at != HALF_NONE) {
        join_waiting(p, at, h);
        return;
    }
    wait_for_other(p, h);
}

static void add_root(struct pairer *p, struct half *h)
{
    if (h->emitter == EMITTER_TULLE_PROXY) {
        count(p, &p->stats.covered);
        return;
    }
    if (name_peer(p, h) < 0)
        return;
    struct identity user = identity_of_peer(PAIR_USER, SV_NONE);
    struct call c = call_of_half(h, h->peer ? h->peer : &user, aliases_who(&p->aliases, h));
    count(p, &p->stats.roots);
    emit(p, &c, NULL);
}

static void add_called(struct pairer *p, struct half *h)
{
    if (h->emitter != EMITTER_APP)
        take_over(p, &h->trace, &h->own, false, h->who);
    else
        p->has_apps = true;
    if (!span_id_is_set(h->key)) {
        uint32_t shared = halves_find(&p->halves, &h->trace, &h->own, true);
        if (shared != HALF_NONE)
            join_waiting(p, shared, h);
        else
            add_root(p, h);
        return;
    }
    if (is_beside_proxy(p, h, &h->key))
        return;
    uint32_t at = halves_find(&p->halves, &h->trace, &h->key, true);
    if (at == HALF_NONE)
        at = halves_find(&p->halves, &h->trace, &h->own, true);
    if (at != HALF_NONE)
        join_waiting(p, at, h);
    else
        wait_for_other(p, h);
}

/* A message's consumer may name its producer by a link instead of as its parent. */
static void set_key(struct half *h, const struct span *s)
{
    h->key = h->is_calling ? s->span_id : s->parent_id;
    if (h->kind == SPAN_KIND_CONSUMER && !span_id_is_set(h->key) && s->links_len > 0) {
        h->trace = s->links[0].trace_id;
        h->key = s->links[0].span_id;
    }
}

static const struct identity *sender_of(struct pairer *p, const struct span_facts *f)
{
    if (!f->kept_who)
        return identities_get(&p->identities, &f->who);
    if (!*f->kept_who)
        *f->kept_who = identities_get(&p->identities, &f->who);
    return *f->kept_who;
}

/* Of p->facts. */
static int half_of(struct pairer *p, const struct span *s, int64_t received_ns,
                   struct half *ret_half)
{
    const struct span_facts *f = &p->facts;
    *ret_half = (struct half){
        .trace = s->trace_id,
        .own = s->span_id,
        .start_ns = s->start_ns,
        .duration_ns = f->duration_ns,
        .received_ns = received_ns,
        .who = sender_of(p, f),
        .instance = f->instance.len ? hash_sv(f->instance) : 0,
        .bytes_received = f->bytes_received,
        .bytes_sent = f->bytes_sent,
        .response_code = f->response_code,
        .grpc_status = f->grpc_status,
        .kind = (uint8_t)f->kind,
        .protocol = (uint8_t)f->protocol,
        .said = tls_said_get(&p->saids, &f->tls),
        .tls = (uint8_t)f->tls.state,
        .tls_basis = (uint8_t)f->tls.basis,
        .resends = (uint16_t)f->resends,
        .emitter = (uint8_t)f->emitter,
        .is_calling = f->kind == SPAN_KIND_CLIENT || f->kind == SPAN_KIND_PRODUCER,
        .is_unsampled = (s->flags & FLAGS_ARE_SET) && !(s->flags & FLAG_SAMPLED),
        .has_failed = sv_same(f->response_flags, SPAN_ERROR_FLAG),
    };
    set_key(ret_half, s);
    return ret_half->who ? 0 : -1;
}

static void add_unidentified(struct pairer *p, const struct span *s, int64_t received_ns)
{
    struct half h;
    count(p, &p->stats.unidentified);
    if (p->is_counted && half_of(p, s, received_ns, &h) == 0 && name_peer(p, &h) == 0)
        unpaired_add(&p->unpaired, &h, UNPAIRED_NO_ID, h.peer, received_ns);
}

static void add_span(struct pairer *p, const struct span *s, int64_t received_ns)
{
    struct span_facts *f = &p->facts;
    struct half h;
    if (s->kind == SPAN_KIND_INTERNAL)
        return;
    span_facts_of(&p->normalizer, s, f);
    if (f->kind == SPAN_KIND_UNSPECIFIED || f->kind == SPAN_KIND_INTERNAL)
        return;
    if (!trace_id_is_set(s->trace_id) || !span_id_is_set(s->span_id)) {
        add_unidentified(p, s, received_ns);
        return;
    }
    bool is_calling = f->kind == SPAN_KIND_CLIENT || f->kind == SPAN_KIND_PRODUCER;
    bool is_repeated = false;
    if (marks_note(&p->told, &s->trace_id, &s->span_id, is_calling, &is_repeated) < 0 ||
        (!is_repeated && half_of(p, s, received_ns, &h) < 0)) {
        count(p, &p->stats.lost);
        return;
    }
    if (is_repeated) {
        count(p, &p->stats.repeated);
        return;
    }
    if (h.is_calling)
        add_calling(p, &h, s);
    else
        add_called(p, &h);
}

void pairer_add(struct pairer *p, const struct span *spans, size_t n, int64_t received_ns,
                bool is_counted)
{
    p->is_counted = is_counted;
    for (size_t i = 0; i < n; i++)
        add_span(p, &spans[i], received_ns);
    normalizer_forget(&p->normalizer); /* the batch and its resources go */
}

void pairer_expire(struct pairer *p, int64_t now_ns, bool is_counted)
{
    p->is_counted = is_counted;
    while (p->halves.oldest != HALF_NONE) {
        if (p->halves.list[p->halves.oldest].received_ns > now_ns - p->wait_ns)
            break;
        give_up_oldest(p, false, now_ns);
    }
}
