/* mesh_batch.c - the usual: requests through a mesh of 25 services, seen by both sides.
 *
 * A trace is a chain of five calls; each gives a client span and a server span with the tags that
 * Envoy sets. Batches hold the spans of many traces mixed, as a collector receives them. */
#include "base/clock.h"
#include "random_batch.h"

enum { SERVICES = 25, HOPS = 5, TAGS = 14, RICH_TAGS = 30, TRACES_MIXED = 8 };

static struct sv printed(struct arena *mem, const char *fmt, uint64_t a, uint64_t b)
{
    char text[128];
    int n = snprintf(text, sizeof(text), fmt, (unsigned long long)a, (unsigned long long)b);
    return arena_copy(mem, sv_of(text, (size_t)n));
}

static struct attr str_tag(const char *key, struct sv text)
{
    return (struct attr){ sv_z(key), { .type = VALUE_STR, .str = text } };
}

static void random_id(struct random_source *r, uint8_t *to, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(random_next(r) >> 7);
}

struct mesh_trace {
    struct trace_id id;
    uint64_t request_id[2]; /* Envoy hands it on through the whole trace */
    struct span_id last;
    uint64_t service, steps;
    int64_t at_ns;
};

static void mesh_tags(struct random_source *r, struct arena *mem, struct span *s,
                      const struct mesh_trace *trace, uint64_t to, bool is_error)
{
    uint64_t from = trace->service;
    struct attr *t = arena_array(mem, TAGS, sizeof(*t));
    t[0] = str_tag("component", SV("proxy"));
    t[1] = str_tag("downstream_cluster", SV("-"));
    t[2] = str_tag("http.method", random_below(r, 5) ? SV("GET") : SV("POST"));
    t[3] = str_tag("http.protocol", SV("HTTP/1.1"));
    t[4] = str_tag("http.status_code", is_error ? SV("503") : SV("200"));
    t[5] = str_tag("http.url",
                   printed(mem, "http://svc-%llu:9080/items/%llu", to, random_below(r, 1000)));
    t[6] = str_tag("guid:x-request-id",
                   printed(mem, "%016llx-%016llx", trace->request_id[0], trace->request_id[1]));
    t[7] = str_tag("node_id",
                   printed(mem, "sidecar~10.1.0.%llu~svc-%llu-7d4f9.default", from, from));
    t[8] = str_tag("peer.address",
                   printed(mem, "10.1.0.%llu:%llu", from, 30000 + random_below(r, 20000)));
    t[9] = (struct attr){ SV("request_size"),
                          { .type = VALUE_INT, .integer = (int64_t)random_below(r, 900) } };
    t[10] = (struct attr){ SV("response_size"),
                           { .type = VALUE_INT, .integer = (int64_t)random_below(r, 9000) } };
    t[11] = str_tag("response_flags", is_error ? SV("UF") : SV("-"));
    t[12] = str_tag("upstream_cluster",
                    printed(mem, "outbound|9080||svc-%llu.default.%llu", to, 1));
    t[13] = str_tag("user_agent", SV("tulle-load/1.0"));
    s->attrs = (struct attrs){ t, TAGS, 0 };
}

static struct value rich_value(struct random_source *r, struct arena *mem, uint64_t nth)
{
    switch (nth % 4) {
    case 1: return (struct value){ .type = VALUE_INT, .integer = (int64_t)random_below(r, 50) };
    case 2: return (struct value){ .type = VALUE_BOOL, .boolean = random_below(r, 2) };
    case 3: return (struct value){ .type = VALUE_DOUBLE, .real = (double)random_below(r, 800) / 8 };
    default: break;
    }
    struct sv text = printed(mem, "value-%llu-%llu", nth, random_below(r, nth % 8 ? 20 : 100000));
    return (struct value){ .type = VALUE_STR, .str = text };
}

static struct span_event rich_event(struct random_source *r, struct arena *mem, int64_t time_ns)
{
    struct attr *a = arena_array(mem, 2, sizeof(*a));
    a[0] = str_tag("message.type", random_below(r, 2) ? SV("RECEIVED") : SV("SENT"));
    a[1] = (struct attr){ SV("message.id"), rich_value(r, mem, 1) };
    return (struct span_event){ time_ns, SV("message"), { a, 2, 0 } };
}

/* What an instrumented application adds: more tags, often an event or two, now and then a link. */
static void make_rich(struct random_source *r, struct arena *mem, struct span *s)
{
    struct attr *t = arena_array(mem, RICH_TAGS, sizeof(*t));
    memcpy(t, s->attrs.list, TAGS * sizeof(*t));
    for (uint64_t i = TAGS; i < RICH_TAGS; i++)
        t[i] = (struct attr){ printed(mem, "app.tag.%llu", i, 0), rich_value(r, mem, i) };
    s->attrs = (struct attrs){ t, RICH_TAGS, 0 };
    struct span_event *e = arena_array(mem, 2, sizeof(*e));
    s->events_len = (uint32_t)random_below(r, 3);
    for (uint32_t i = 0; i < s->events_len; i++)
        e[i] = rich_event(r, mem, s->start_ns + 1000 * (int64_t)(i + 1));
    s->events = e;
    if (random_below(r, 20) == 0) {
        struct span_link *l = arena_array(mem, 1, sizeof(*l));
        random_id(r, l->trace_id.b, sizeof(l->trace_id.b));
        random_id(r, l->span_id.b, sizeof(l->span_id.b));
        s->links = l;
        s->links_len = 1;
    }
}

static struct resource *mesh_resources(struct arena *mem)
{
    struct resource *list = arena_array(mem, SERVICES, sizeof(*list));
    for (uint64_t i = 0; i < SERVICES; i++) {
        struct attr *a = arena_array(mem, 3, sizeof(*a));
        a[0] = str_tag("service.name", printed(mem, "svc-%llu.default", i, 0));
        a[1] = str_tag("k8s.pod.name", printed(mem, "svc-%llu-7d4f9-%llu", i, i * 7));
        a[2] = str_tag("telemetry.sdk.name", SV("envoy"));
        list[i].attrs = (struct attrs){ a, 3, 0 };
    }
    return list;
}

static void next_span(struct random_source *r, struct arena *mem, struct mesh_trace *t,
                      const struct resource *resources, struct span *s)
{
    bool is_server = t->steps % 2;
    uint64_t from = t->service, to = (t->service * 7 + 3) % SERVICES;
    s->trace_id = t->id;
    random_id(r, s->span_id.b, sizeof(s->span_id.b));
    s->parent_id = t->last;
    t->last = s->span_id;
    s->kind = is_server ? SPAN_KIND_SERVER : SPAN_KIND_CLIENT;
    bool is_error = random_below(r, 50) == 0;
    s->status = is_error ? STATUS_ERROR : STATUS_UNSET;
    t->at_ns += (int64_t)random_below(r, 400000);
    s->start_ns = t->at_ns;
    s->end_ns = s->start_ns + (int64_t)random_below(r, 20000000) + 100000;
    s->name = printed(mem, "svc-%llu.default.svc.cluster.local:9080/*", to, 0);
    s->flags = 0x101;
    mesh_tags(r, mem, s, t, to, is_error);
    s->resource = &resources[is_server ? to : from];
    if (is_server)
        t->service = to;
    t->steps++;
}

struct batch *mesh_batch(struct random_source *r, size_t spans, int64_t start_ns)
{
    struct batch *b = batch_new();
    b->received_ns = start_ns + NS_PER_S;
    const struct resource *resources = mesh_resources(&b->mem);
    struct scope *scope = arena_array(&b->mem, 1, sizeof(*scope));
    scope->name = SV("envoy");
    struct mesh_trace traces[TRACES_MIXED] = { { .steps = 2 * HOPS } };
    for (size_t i = 1; i < TRACES_MIXED; i++)
        traces[i].steps = 2 * HOPS;
    for (size_t i = 0; i < spans; i++) {
        struct mesh_trace *t = &traces[random_below(r, TRACES_MIXED)];
        if (t->steps == 2 * HOPS) {
            *t = (struct mesh_trace){ .service = random_below(r, SERVICES),
                                      .at_ns = start_ns + (int64_t)i * 5000 };
            random_id(r, t->id.b, sizeof(t->id.b));
            memcpy(t->request_id, t->id.b, sizeof(t->request_id));
            t->request_id[0] *= UINT64_C(0x9e3779b97f4a7c15); /* as random as the trace id */
            t->request_id[1] *= UINT64_C(0xbf58476d1ce4e5b9);
        }
        struct span *s = batch_add_span(b);
        s->scope = scope;
        next_span(r, &b->mem, t, resources, s);
    }
    return b;
}

struct batch *rich_batch(struct random_source *r, size_t spans, int64_t start_ns)
{
    struct batch *b = mesh_batch(r, spans, start_ns);
    for (size_t i = 0; i < b->spans_len; i++)
        make_rich(r, &b->mem, &b->spans[i]);
    return b;
}
