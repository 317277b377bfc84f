/* truth.c - requests with everything known about them, and the records and spans they leave.
 *
 * Each edge has its own way of being reported; a request of it leaves the records that this way
 * leaves in a real mesh, with the delays between the two sides' clocks that lie on the wire. Sums
 * are kept beside, so what the collector should say is never computed from what it was told. */
#include "truth.h"
#include "random_batch.h"
#include <stdio.h>
#include <stdlib.h>

enum { EDGES = 2 * TRUTH_KINDS, RECORDS_PER_REQUEST = 8, NS_PER_100_US = 100000 };

struct maker {
    struct truth *t;
    struct random_source random;
    const struct scope *scope;
    /* of the request that is being made */
    struct truth_edge *edge;
    struct trace_id trace;
    int64_t start_ns, duration_ns, wire_ns;
    uint16_t code;
    enum tls_state tls;
};

static struct sv named(struct maker *m, const char *prefix, size_t n)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%s%zu", prefix, n);
    return arena_copy(&m->t->mem, sv_of(text, (size_t)len));
}

static struct span_id new_id(struct maker *m)
{
    struct span_id id;
    for (size_t i = 0; i < sizeof(id.b); i++)
        id.b[i] = (uint8_t)(random_next(&m->random) >> 9);
    id.b[0] |= 1;
    return id;
}

static struct attr text_attr(const char *key, struct sv text)
{
    return (struct attr){ sv_z(key), { .type = VALUE_STR, .str = text } };
}

/* A workload's resource, with or without what Kubernetes knows of it. */
static const struct resource *resource_of(struct maker *m, struct sv name, const char *sdk,
                                          bool is_in_kubernetes)
{
    struct attr *list = arena_array(&m->t->mem, 6, sizeof(*list));
    struct resource *r = arena_zalloc(&m->t->mem, sizeof(*r));
    uint32_t n = 0;
    list[n++] = text_attr("service.name", name);
    list[n++] = text_attr("telemetry.sdk.name", sv_z(sdk));
    if (is_in_kubernetes) {
        list[n++] = text_attr("k8s.cluster.name", SV("demo"));
        list[n++] = text_attr("k8s.namespace.name", SV("shop"));
        list[n++] = text_attr("k8s.deployment.name", name);
        list[n++] = text_attr("service.version", SV("v1"));
    }
    r->attrs = (struct attrs){ list, n, 0 };
    return r;
}

static struct truth_record *add_record(struct maker *m)
{
    return &m->t->records[m->t->records_len++];
}

static struct identity who_of(struct sv name)
{
    return (struct identity){ SV("demo"), SV("shop"), name, name, SV("v1"), IDENTITY_UNKNOWN };
}

static void add_call(struct maker *m, enum reporter reporter, struct span_id id)
{
    bool is_called = reporter == REPORTER_DESTINATION;
    struct truth_record *r = add_record(m);
    bool is_blind = !is_called && m->edge->kind == TRUTH_SOURCE_BLIND;
    r->is_call = true;
    r->call = (struct call){
        .reporter = reporter,
        .protocol = m->edge->protocol,
        .tls = is_blind ? TLS_UNKNOWN : m->tls,
        .source = who_of(m->edge->source),
        .destination = who_of(m->edge->destination),
        .start_ns = m->start_ns + (is_called ? m->wire_ns : 0),
        .duration_ns = m->duration_ns - (is_called ? 2 * m->wire_ns : 0),
        .response_code = m->code,
        .grpc_status = -1,
        .destination_service = m->edge->destination,
        .trace_id = m->trace,
        .span_id = id,
    };
    r->told_ns = r->call.start_ns + r->call.duration_ns;
}

/* depth: how many hops of wire lie between the caller's application and this span, 0 .. 3. */
static struct span *add_span(struct maker *m, enum span_kind kind, struct span_id id,
                             struct span_id parent, const struct resource *resource, int depth)
{
    struct truth_record *r = add_record(m);
    struct attr *list = arena_array(&m->t->mem, 3, sizeof(*list));
    uint32_t n = 0;
    list[n++] = text_attr("http.request.method", SV("GET"));
    if (m->code)
        list[n++] = (struct attr){ SV("http.response.status_code"),
                                   { .type = VALUE_INT, .integer = m->code } };
    if (kind == SPAN_KIND_CLIENT)
        list[n++] = text_attr("server.address", m->edge->destination);
    r->span = (struct span){
        .trace_id = m->trace,
        .span_id = id,
        .parent_id = parent,
        .kind = kind,
        .status = m->code >= 500 || m->code == 0 ? STATUS_ERROR : STATUS_UNSET,
        .start_ns = m->start_ns + depth * m->wire_ns / 3,
        .end_ns = m->start_ns + m->duration_ns - depth * m->wire_ns / 3,
        .name = SV("GET /"),
        .attrs = { list, n, 0 },
        .resource = resource,
        .scope = m->scope,
    };
    r->told_ns = r->span.end_ns;
    return &r->span;
}

static const struct span_id nobody;

static void tell_records(struct maker *m)
{
    enum truth_kind kind = m->edge->kind;
    if (kind != TRUTH_CALLED_RECORD)
        add_call(m, REPORTER_SOURCE, new_id(m));
    if (kind != TRUTH_SOURCE_RECORD)
        add_call(m, REPORTER_DESTINATION, new_id(m));
}

/* Applications with SDKs behind proxies: four spans, of which the middle two are the hop. */
static void tell_proxied(struct maker *m, const char *sdk)
{
    struct span_id app = new_id(m), out = new_id(m), in = new_id(m);
    struct sv source = m->edge->source, destination = m->edge->destination;
    add_span(m, SPAN_KIND_CLIENT, app, new_id(m), resource_of(m, source, "opentelemetry", false),
             0);
    add_span(m, SPAN_KIND_CLIENT, out, app, resource_of(m, source, sdk, true), 0);
    add_span(m, SPAN_KIND_SERVER, in, out, resource_of(m, destination, sdk, true), 2);
    add_span(m, SPAN_KIND_SERVER, new_id(m), in,
             resource_of(m, destination, "opentelemetry", false), 3);
    if (m->edge->kind == TRUTH_TULLE_SPANS) {
        add_call(m, REPORTER_SOURCE, out);
        add_call(m, REPORTER_DESTINATION, in);
    }
}

static void tell_pair(struct maker *m)
{
    struct span_id id = new_id(m), parent = new_id(m);
    bool is_shared = m->edge->kind == TRUTH_SHARED_ID;
    add_span(m, SPAN_KIND_CLIENT, id, parent,
             resource_of(m, m->edge->source, "opentelemetry", true), 0);
    add_span(m, SPAN_KIND_SERVER, is_shared ? id : new_id(m), is_shared ? parent : id,
             resource_of(m, m->edge->destination, "opentelemetry", true), 3);
}

static void tell_lone(struct maker *m)
{
    bool is_root = m->edge->kind == TRUTH_ROOT;
    struct sv name = is_root ? m->edge->destination : m->edge->source;
    struct span *s = add_span(m, is_root ? SPAN_KIND_SERVER : SPAN_KIND_CLIENT, new_id(m),
                              is_root ? nobody : new_id(m),
                              resource_of(m, name, "opentelemetry", true), 0);
    if (m->edge->kind != TRUTH_DATABASE)
        return;
    struct attr *list = arena_array(&m->t->mem, 2, sizeof(*list));
    list[0] = text_attr("db.system.name", SV("postgresql"));
    list[1] = text_attr("server.address", m->edge->destination);
    s->attrs = (struct attrs){ list, 2, 0 };
}

static void tell_message(struct maker *m)
{
    bool is_linked = m->edge->kind == TRUTH_LINKED;
    struct span_id id = new_id(m);
    struct span *p = add_span(m, SPAN_KIND_PRODUCER, id, new_id(m),
                              resource_of(m, m->edge->source, "opentelemetry", true), 0);
    struct span *c = add_span(m, SPAN_KIND_CONSUMER, new_id(m), is_linked ? nobody : id,
                              resource_of(m, m->edge->destination, "opentelemetry", true), 0);
    p->attrs = c->attrs = (struct attrs){ NULL, 0, 0 };
    p->status = c->status = m->code >= 500 || m->code == 0 ? STATUS_ERROR : STATUS_UNSET;
    if (is_linked) { /* begins a trace of its own */
        struct span_link *link = arena_zalloc(&m->t->mem, sizeof(*link));
        link->trace_id = m->trace;
        link->span_id = id;
        c->links = link;
        c->links_len = 1;
        c->trace_id.b[0] ^= 0x80;
    }
}

typedef void tell_fn(struct maker *m);
static void tell_envoy(struct maker *m)
{
    tell_proxied(m, "envoy");
}
static void tell_tulle(struct maker *m)
{
    tell_proxied(m, "tulle");
}

/* clang-format off */
static const struct way {
    tell_fn *tell; enum reporter evidence; enum protocol protocol; bool is_tls_told;
    const char *source, *destination;
} ways[TRUTH_KINDS] = {
    [TRUTH_BOTH_RECORDS]  = { tell_records, REPORTER_SOURCE,      PROTOCOL_HTTP, true,  "a",    "b" },
    [TRUTH_SOURCE_BLIND]  = { tell_records, REPORTER_SOURCE,      PROTOCOL_HTTP, true,  "a",    "b" },
    [TRUTH_SOURCE_RECORD] = { tell_records, REPORTER_SOURCE,      PROTOCOL_HTTP, true,  "a",    "b" },
    [TRUTH_CALLED_RECORD] = { tell_records, REPORTER_DESTINATION, PROTOCOL_HTTP, true,  "a",    "b" },
    [TRUTH_TULLE_SPANS]   = { tell_tulle,   REPORTER_SOURCE,      PROTOCOL_HTTP, true,  "a",    "b" },
    [TRUTH_SDK_PAIR]      = { tell_pair,    REPORTER_PAIR,        PROTOCOL_HTTP, false, "a",    "b" },
    [TRUTH_SHARED_ID]     = { tell_pair,    REPORTER_PAIR,        PROTOCOL_HTTP, false, "a",    "b" },
    [TRUTH_ENVOY]         = { tell_envoy,   REPORTER_PAIR,        PROTOCOL_HTTP, false, "a",    "b" },
    [TRUTH_DATABASE]      = { tell_lone,    REPORTER_SPAN,        PROTOCOL_TCP,  false, "a",    "db" },
    [TRUTH_OUTSIDE]       = { tell_lone,    REPORTER_SPAN,        PROTOCOL_HTTP, false, "a",    "api" },
    [TRUTH_ROOT]          = { tell_lone,    REPORTER_SPAN,        PROTOCOL_HTTP, false, NULL,   "b" },
    [TRUTH_MESSAGE]       = { tell_message, REPORTER_PAIR,        PROTOCOL_TCP,  false, "a",    "b" },
    [TRUTH_LINKED]        = { tell_message, REPORTER_PAIR,        PROTOCOL_TCP,  false, "a",    "b" },
};
/* clang-format on */

static void make_edges(struct maker *m, size_t requests)
{
    struct truth *t = m->t;
    t->edges = arena_array(&t->mem, EDGES, sizeof(*t->edges));
    t->edges_len = EDGES;
    for (size_t i = 0; i < EDGES; i++) {
        const struct way *w = &ways[i % TRUTH_KINDS];
        t->edges[i] = (struct truth_edge){
            .kind = (enum truth_kind)(i % TRUTH_KINDS),
            .evidence = w->evidence,
            .protocol = w->protocol,
            .source = w->source ? named(m, w->source, i / 3) : SV("user"),
            .destination = named(m, w->destination, i),
            .durations_ns = arena_array(&t->mem, requests, sizeof(int64_t)),
        };
    }
}

static void make_request(struct maker *m, int64_t start_ns, int64_t length_ns)
{
    static const uint16_t codes[] = { 200, 200, 200, 201, 204, 301, 404, 500, 503, 0 };
    struct truth_edge *e = &m->t->edges[random_below(&m->random, m->t->edges_len)];
    const struct way *w = &ways[e->kind];
    m->edge = e;
    for (size_t i = 0; i < sizeof(m->trace.b); i++)
        m->trace.b[i] = (uint8_t)(random_next(&m->random) >> 9);
    m->trace.b[15] |= 1;
    m->start_ns = start_ns + (int64_t)random_below(&m->random, 1000000) * (length_ns / 1000000);
    /* between 0.8 ms and some seconds, as even over the powers of two as latencies tend to be */
    m->duration_ns = (INT64_C(8) * NS_PER_100_US + (int64_t)random_below(&m->random, 800000))
                     << random_below(&m->random, 12);
    m->wire_ns = (int64_t)random_below(&m->random, (uint64_t)m->duration_ns / 4);
    m->code = codes[random_below(&m->random, NELEMS(codes))];
    m->tls = (enum tls_state)(1 + random_below(&m->random, TLS_STATES_LEN - 1));
    bool is_told_by_callee = e->kind == TRUTH_CALLED_RECORD;
    e->durations_ns[e->requests++] = m->duration_ns - (is_told_by_callee ? 2 * m->wire_ns : 0);
    e->errors += m->code >= 500 || m->code == 0;
    e->tls[w->is_tls_told ? m->tls : TLS_UNKNOWN]++;
    w->tell(m);
}

static int by_size(const void *pa, const void *pb)
{
    int64_t a = *(const int64_t *)pa, b = *(const int64_t *)pb;
    return a < b ? -1 : a > b;
}

void truth_init(struct truth *t, uint64_t seed, size_t requests, int64_t start_ns,
                int64_t length_ns)
{
    static const struct scope scope;
    struct maker m = { .t = t, .random = { seed }, .scope = &scope };
    *t = (struct truth){ 0 };
    t->records = arena_array(&t->mem, requests * RECORDS_PER_REQUEST, sizeof(*t->records));
    make_edges(&m, requests);
    for (size_t i = 0; i < requests; i++)
        make_request(&m, start_ns, length_ns);
    for (size_t i = 0; i < t->edges_len; i++)
        qsort(t->edges[i].durations_ns, t->edges[i].requests, sizeof(int64_t), by_size);
}

void truth_done(struct truth *t)
{
    arena_done(&t->mem);
    *t = (struct truth){ 0 };
}

int64_t truth_quantile(const struct truth_edge *e, double q)
{
    uint64_t rank = (uint64_t)(q * (double)e->requests);
    if ((double)rank < q * (double)e->requests)
        rank++;
    return e->durations_ns[MAX(rank, UINT64_C(1)) - 1];
}
