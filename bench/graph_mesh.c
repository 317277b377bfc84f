/* graph_mesh.c - services call their neighbours at distances of 13, 26, 39 ...
 *
 * So every edge is another one, every service has as many callers as callees, and names are as
 * long as real ones. Durations spread over a factor of a thousand, one call in a hundred fails. */
#include "graph_mesh.h"
#include "base/clock.h"
#include <stdio.h>

enum { DISTANCE = 13, NAMESPACES = 20 };

static struct sv printed(struct arena *mem, const char *fmt, size_t n)
{
    char text[96];
    int len = snprintf(text, sizeof(text), fmt, n);
    return arena_copy(mem, sv_of(text, (size_t)len));
}

static struct attr tag(const char *key, struct sv text)
{
    return (struct attr){ sv_z(key), { .type = VALUE_STR, .str = text } };
}

static int make_service(struct graph_mesh *m, size_t i)
{
    struct identity *who = &m->services[i];
    struct attr *a = arena_array(&m->mem, 5, sizeof(*a));
    *who = (struct identity){
        .cluster = SV("cluster-1"),
        .namespace = printed(&m->mem, "team-%02zu", i % NAMESPACES),
        .workload = printed(&m->mem, "checkout-%04zu", i),
        .service = printed(&m->mem, "checkout-%04zu", i),
        .version = SV("v1"),
        .principal = printed(&m->mem, "spiffe://cluster.local/ns/team/sa/checkout-%04zu", i),
    };
    if (!a || !who->namespace.p || !who->workload.p || !who->service.p || !who->principal.p)
        return -1;
    a[0] = tag("service.name", who->service);
    a[1] = tag("k8s.namespace.name", who->namespace);
    a[2] = tag("k8s.deployment.name", who->workload);
    a[3] = tag("service.version", who->version);
    a[4] = tag("k8s.cluster.name", who->cluster);
    m->resources[i].attrs = (struct attrs){ a, 5, 0 };
    return 0;
}

int graph_mesh_init(struct graph_mesh *m, size_t services_len, size_t edges_len)
{
    *m = (struct graph_mesh){ .services_len = services_len, .edges_len = edges_len };
    m->services = arena_array(&m->mem, services_len, sizeof(*m->services));
    m->resources = arena_array(&m->mem, services_len, sizeof(*m->resources));
    m->edges = arena_array(&m->mem, edges_len, sizeof(*m->edges));
    INVARIANT(services_len > 0);
    if (!m->services || !m->resources || !m->edges)
        return -1;
    for (size_t i = 0; i < services_len; i++)
        if (make_service(m, i) < 0)
            return -1;
    for (size_t i = 0; i < edges_len; i++) {
        size_t from = i % services_len, to = from + (i / services_len + 1) * DISTANCE;
        m->edges[i] = (struct edge){ .source = m->services[from],
                                     .destination = m->services[to % services_len],
                                     .protocol = PROTOCOL_HTTP };
        m->edges[i].destination_service = m->edges[i].destination.service;
    }
    return 0;
}

void graph_mesh_done(struct graph_mesh *m)
{
    arena_done(&m->mem);
}

/* 0.5 ms to half a second, short ones more often. */
static int64_t duration(struct graph_mesh *m)
{
    return (500 * NS_PER_US << random_below(&m->random, 10)) +
           (int64_t)random_below(&m->random, 500000);
}

static void make_id(struct graph_mesh *m, uint8_t *to, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(random_next(&m->random) >> 7);
}

struct call graph_mesh_call(struct graph_mesh *m, size_t edge, enum reporter r, int64_t start_ns)
{
    const struct edge *e = &m->edges[edge];
    struct call c = {
        .reporter = r,
        .protocol = e->protocol,
        .tls = TLS_MUTUAL,
        .source = e->source,
        .destination = e->destination,
        .start_ns = start_ns,
        .duration_ns = duration(m),
        .bytes_received = random_below(&m->random, 2000),
        .bytes_sent = random_below(&m->random, 20000),
        .response_code = random_below(&m->random, 100) ? 200 : 503,
        .grpc_status = -1,
        .destination_service = e->destination_service,
        .tls_version = SV("TLSv1.3"),
        .tls_cipher = SV("TLS_AES_256_GCM_SHA384"),
        .peer_cert_expiry_ns = (start_ns / (3600 * NS_PER_S) + 24) * 3600 * NS_PER_S,
    };
    make_id(m, c.trace_id.b, sizeof(c.trace_id.b));
    make_id(m, c.span_id.b, sizeof(c.span_id.b));
    return c;
}

static int make_span(struct graph_mesh *m, const struct edge *e, bool is_error, struct batch *b,
                     struct span *s)
{
    struct attr *a = arena_array(&b->mem, 3, sizeof(*a));
    if (!a)
        return -1;
    a[0] = tag("http.request.method", SV("GET"));
    a[1] = (struct attr){ SV("http.response.status_code"),
                          { .type = VALUE_INT, .integer = is_error ? 503 : 200 } };
    a[2] = tag("server.address", e->destination_service);
    s->attrs = (struct attrs){ a, 3, 0 };
    s->name = SV("GET /items/{id}");
    s->scope = arena_array(&b->mem, 1, sizeof(*s->scope));
    make_id(m, s->span_id.b, sizeof(s->span_id.b));
    return s->scope ? 0 : -1;
}

int graph_mesh_spans(struct graph_mesh *m, size_t edge, int64_t start_ns, struct batch *b)
{
    const struct edge *e = &m->edges[edge];
    bool is_error = random_below(&m->random, 100) == 0;
    int64_t took_ns = duration(m);
    struct span client = { .kind = SPAN_KIND_CLIENT, .start_ns = start_ns };
    client.end_ns = start_ns + took_ns;
    make_id(m, client.trace_id.b, sizeof(client.trace_id.b));
    if (make_span(m, e, is_error, b, &client) < 0)
        return -1;
    struct span server = client;
    server.kind = SPAN_KIND_SERVER;
    server.parent_id = client.span_id;
    server.end_ns -= took_ns / 10;
    make_id(m, server.span_id.b, sizeof(server.span_id.b));
    client.resource = &m->resources[edge % m->services_len];
    server.resource =
        &m->resources[(edge % m->services_len + (edge / m->services_len + 1) * DISTANCE) %
                      m->services_len];
    struct span *at = batch_add_span(b);
    if (at)
        *at = client;
    struct span *next = at ? batch_add_span(b) : NULL;
    if (next)
        *next = server;
    return next ? 0 : -1;
}
