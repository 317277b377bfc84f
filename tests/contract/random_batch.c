/* random_batch.c - two generators: one for what must not break, one for what is usual.
 *
 * The odd one leans on borders: empty text, text with NUL and broken UTF-8, INT64_MIN, NaN bits,
 * arrays in kvlists in arrays, spans that end before they start, two spans with one id. */
#include "random_batch.h"

uint64_t random_next(struct random_source *r)
{
    r->state = r->state * 6364136223846793005u + 1442695040888963407u;
    return r->state >> 33;
}

uint64_t random_below(struct random_source *r, uint64_t n)
{
    return random_next(r) % n;
}

static const struct sv odd_texts[] = {
    { "", 0 },
    { "a", 1 },
    { "GET", 3 },
    { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9 },
    { "\xff\xfe\x80", 3 },
    { "nul\0inside", 10 },
    { "\xed\xa0\x80", 3 },
    { "service.name", 12 },
    { "checkout", 8 },
    { "\"quoted\"\n\t\\", 12 },
};

static struct sv odd_text(struct random_source *r, struct arena *mem)
{
    if (random_below(r, 4))
        return odd_texts[random_below(r, NELEMS(odd_texts))];
    size_t len = random_below(r, 20) ? random_below(r, 40) : random_below(r, 5000);
    char *p = arena_alloc(mem, len);
    for (size_t i = 0; i < len; i++)
        p[i] = (char)random_next(r);
    return sv_of(p, len);
}

static int64_t odd_int(struct random_source *r)
{
    static const int64_t borders[] = { 0, -1, 1, INT64_MIN, INT64_MAX, 200, 503 };
    if (random_below(r, 2))
        return borders[random_below(r, NELEMS(borders))];
    return (int64_t)(random_next(r) << 32 | random_next(r)) >> random_below(r, 60);
}

static struct attrs odd_attrs(struct random_source *r, struct arena *mem, unsigned depth);

static struct value odd_value(struct random_source *r, struct arena *mem, unsigned depth)
{
    struct value v = { .type = (enum value_type)random_below(r, depth ? 8 : 6) };
    uint64_t bits = random_next(r) << 33 ^ random_next(r) << 11;
    switch (v.type) {
    case VALUE_EMPTY: break;
    case VALUE_STR:
    case VALUE_BYTES: v.str = odd_text(r, mem); break;
    case VALUE_BOOL: v.boolean = random_below(r, 2); break;
    case VALUE_INT: v.integer = odd_int(r); break;
    case VALUE_DOUBLE: memcpy(&v.real, &bits, sizeof(bits)); break;
    case VALUE_ARRAY: {
        v.len = (uint32_t)random_below(r, 4);
        struct value *list = arena_array(mem, v.len, sizeof(*list));
        for (uint32_t i = 0; i < v.len; i++)
            list[i] = odd_value(r, mem, depth - 1);
        v.array = list;
        break;
    }
    case VALUE_KVLIST: {
        struct attrs list = odd_attrs(r, mem, depth - 1);
        v.len = list.len;
        v.kvlist = list.list;
        break;
    }
    }
    return v;
}

static struct attrs odd_attrs(struct random_source *r, struct arena *mem, unsigned depth)
{
    struct attrs a = { .len = (uint32_t)random_below(r, 6) };
    if (random_below(r, 10) == 0)
        a.dropped = (uint32_t)random_next(r);
    struct attr *list = arena_array(mem, a.len, sizeof(*list));
    for (uint32_t i = 0; i < a.len; i++)
        list[i] = (struct attr){ odd_text(r, mem), odd_value(r, mem, depth) };
    a.list = list;
    return a;
}

static void odd_bytes(struct random_source *r, uint8_t *to, size_t len, uint64_t variety)
{
    memset(to, 0, len);
    to[0] = (uint8_t)random_below(r, variety);
    to[len - 1] = 7;
}

static void odd_events(struct random_source *r, struct arena *mem, struct span *s)
{
    s->events_len = (uint32_t)random_below(r, 3);
    struct span_event *events = arena_array(mem, s->events_len, sizeof(*events));
    for (uint32_t i = 0; i < s->events_len; i++)
        events[i] = (struct span_event){ odd_int(r), odd_text(r, mem), odd_attrs(r, mem, 1) };
    s->events = events;
    s->links_len = (uint32_t)random_below(r, 3);
    struct span_link *links = arena_array(mem, s->links_len, sizeof(*links));
    for (uint32_t i = 0; i < s->links_len; i++) {
        odd_bytes(r, links[i].trace_id.b, 16, 256);
        odd_bytes(r, links[i].span_id.b, 8, 256);
        links[i].trace_state = odd_text(r, mem);
        links[i].flags = (uint32_t)random_next(r);
        links[i].attrs = odd_attrs(r, mem, 1);
    }
    s->links = links;
}

static void odd_span(struct random_source *r, struct arena *mem, struct span *s, int64_t near_ns)
{
    odd_bytes(r, s->trace_id.b, 16, 12);
    odd_bytes(r, s->span_id.b, 8, 40);
    if (random_below(r, 3))
        odd_bytes(r, s->parent_id.b, 8, 40);
    s->kind = (enum span_kind)random_below(r, 6);
    s->status = (enum span_status)random_below(r, 3);
    s->start_ns = random_below(r, 30) ? near_ns + (int64_t)random_below(r, 1000) : odd_int(r);
    s->end_ns = random_below(r, 30) ? (int64_t)((uint64_t)s->start_ns + 500) : odd_int(r);
    s->name = odd_text(r, mem);
    if (random_below(r, 3) == 0)
        s->status_message = odd_text(r, mem);
    if (random_below(r, 5) == 0)
        s->trace_state = odd_text(r, mem);
    s->flags = random_below(r, 3) ? 0x101 : (uint32_t)random_next(r) * 2;
    if (random_below(r, 9) == 0) {
        s->dropped_events = (uint32_t)random_next(r);
        s->dropped_links = (uint32_t)random_next(r);
    }
    s->attrs = odd_attrs(r, mem, 3);
    odd_events(r, mem, s);
}

static struct resource *odd_resource(struct random_source *r, struct arena *mem)
{
    static const struct sv services[] = { { "checkout", 8 }, { "cart", 4 }, { "\xff", 1 } };
    struct resource *to = arena_array(mem, 1, sizeof(*to));
    struct attrs rest = odd_attrs(r, mem, 2);
    struct attr *list = arena_array(mem, rest.len + 1, sizeof(*list));
    if (rest.len)
        memcpy(list, rest.list, rest.len * sizeof(*list));
    list[rest.len] = (struct attr){ SV("service.name"),
                                    { .type = VALUE_STR, .str = services[random_below(r, 3)] } };
    to->attrs = (struct attrs){ list, rest.len + (random_below(r, 5) != 0), rest.dropped };
    to->schema_url = random_below(r, 2) ? odd_text(r, mem) : SV_NONE;
    return to;
}

static struct scope *odd_scope(struct random_source *r, struct arena *mem)
{
    struct scope *to = arena_array(mem, 1, sizeof(*to));
    *to = (struct scope){ odd_text(r, mem), odd_text(r, mem), odd_attrs(r, mem, 1),
                          odd_text(r, mem) };
    return to;
}

static struct identity odd_identity(struct random_source *r, struct arena *mem)
{
    return (struct identity){ odd_text(r, mem), odd_text(r, mem), odd_text(r, mem),
                              odd_text(r, mem), odd_text(r, mem), odd_text(r, mem) };
}

static void odd_call(struct random_source *r, struct arena *mem, struct call *c, int64_t near_ns)
{
    *c = (struct call){ .reporter = (enum reporter)random_below(r, CALL_REPORTERS_LEN),
                        .protocol = (enum protocol)random_below(r, PROTOCOLS_LEN),
                        .tls = (enum tls_state)random_below(r, TLS_STATES_LEN),
                        .tls_basis = (enum tls_basis)random_below(r, TLS_BASES_LEN),
                        .part = (enum call_part)random_below(r, CALL_PARTS_LEN),
                        .source = odd_identity(r, mem),
                        .destination = odd_identity(r, mem),
                        .start_ns = near_ns + (int64_t)random_below(r, 1000),
                        .duration_ns = odd_int(r),
                        .bytes_received = (uint64_t)odd_int(r),
                        .bytes_sent = (uint64_t)odd_int(r),
                        .response_code = (uint16_t)random_next(r),
                        .grpc_status = (int16_t)random_next(r),
                        .response_flags = odd_text(r, mem),
                        .response_code_details = odd_text(r, mem),
                        .method = odd_text(r, mem),
                        .path = odd_text(r, mem),
                        .authority = odd_text(r, mem),
                        .route_name = odd_text(r, mem),
                        .request_id = odd_text(r, mem),
                        .user_agent = odd_text(r, mem),
                        .destination_service = odd_text(r, mem),
                        .upstream_host = odd_text(r, mem),
                        .tls_version = odd_text(r, mem),
                        .tls_cipher = odd_text(r, mem),
                        .source_principal_seen = odd_text(r, mem),
                        .destination_principal_seen = odd_text(r, mem),
                        .peer_cert_expiry_ns = odd_int(r) };
    odd_bytes(r, c->trace_id.b, 16, 12);
    odd_bytes(r, c->span_id.b, 8, 40);
}

struct batch *random_batch(struct random_source *r, size_t spans, size_t calls, int64_t received_ns)
{
    struct batch *b = batch_new();
    b->received_ns = received_ns;
    const struct resource *resource = odd_resource(r, &b->mem);
    const struct scope *scope = odd_scope(r, &b->mem);
    for (size_t i = 0; i < spans; i++) {
        struct span *s = batch_add_span(b);
        odd_span(r, &b->mem, s, received_ns - 1000);
        if (random_below(r, 8) == 0)
            resource = odd_resource(r, &b->mem);
        if (random_below(r, 8) == 0)
            scope = odd_scope(r, &b->mem);
        s->resource = resource;
        s->scope = scope;
    }
    for (size_t i = 0; i < calls; i++)
        odd_call(r, &b->mem, batch_add_call(b), received_ns - 1000);
    return b;
}

static bool who_eq(const struct identity *a, const struct identity *b)
{
    return identity_same_node(a, b) && sv_eq(a->service, b->service) &&
           sv_eq(a->principal, b->principal);
}

bool call_eq(const struct call *a, const struct call *b)
{
    return a->reporter == b->reporter && a->protocol == b->protocol && a->tls == b->tls &&
           a->tls_basis == b->tls_basis && a->part == b->part && who_eq(&a->source, &b->source) &&
           who_eq(&a->destination, &b->destination) && a->start_ns == b->start_ns &&
           a->duration_ns == b->duration_ns && a->bytes_received == b->bytes_received &&
           a->bytes_sent == b->bytes_sent && a->response_code == b->response_code &&
           a->grpc_status == b->grpc_status && sv_eq(a->response_flags, b->response_flags) &&
           sv_eq(a->response_code_details, b->response_code_details) &&
           sv_eq(a->method, b->method) && sv_eq(a->path, b->path) &&
           sv_eq(a->authority, b->authority) && sv_eq(a->route_name, b->route_name) &&
           sv_eq(a->request_id, b->request_id) && sv_eq(a->user_agent, b->user_agent) &&
           sv_eq(a->destination_service, b->destination_service) &&
           sv_eq(a->upstream_host, b->upstream_host) && sv_eq(a->tls_version, b->tls_version) &&
           sv_eq(a->tls_cipher, b->tls_cipher) &&
           sv_eq(a->source_principal_seen, b->source_principal_seen) &&
           sv_eq(a->destination_principal_seen, b->destination_principal_seen) &&
           a->peer_cert_expiry_ns == b->peer_cert_expiry_ns &&
           trace_id_eq(a->trace_id, b->trace_id) && span_id_eq(a->span_id, b->span_id);
}
