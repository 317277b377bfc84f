/* normalize.c - reads a span as one half of a call.
 *
 * Old and new semantic conventions, Envoy's tags (every value as text) and Istio's labels all say
 * the same few things; semconv.def maps the names, this file the meanings. A span that ended
 * without ERROR and says no code counts as success (HTTP 200, gRPC 0): the conventions require the
 * code only "if one was received", and a missing one must not look like a lost response. */
#include "normalize/normalize.h"
#include "normalize/identity.h"

enum {
    RESENDS_MAX = 1000,
    HTTP_OK = 200,
    GRPC_UNKNOWN = 2,
    HTTP_STATUS_MAX = 599,
    GRPC_STATUS_MAX = INT16_MAX
};

static enum emitter emitter_of(const struct roles *r)
{
    struct sv sdk = roles_str(r, ROLE_SDK);
    if (sv_same(sdk, SV("tulle")))
        return EMITTER_TULLE_PROXY;
    if (sv_same(sdk, SV("envoy")) || sv_same(roles_str(r, ROLE_COMPONENT), SV("proxy")))
        return EMITTER_PROXY;
    return EMITTER_APP;
}

/* OpenTracing bridges leave the field unset and write the attribute. */
static enum span_kind kind_of(const struct span *s, const struct roles *r)
{
    if (s->kind > SPAN_KIND_UNSPECIFIED && s->kind <= SPAN_KIND_CONSUMER)
        return s->kind;
    struct sv text = roles_str(r, ROLE_KIND);
    for (int k = SPAN_KIND_INTERNAL; k <= SPAN_KIND_CONSUMER; k++)
        if (sv_eq_nocase(text, sv_z(span_kind_name((enum span_kind)k))))
            return (enum span_kind)k;
    return SPAN_KIND_UNSPECIFIED;
}

static void read_result(const struct span *s, const struct roles *r, struct span_facts *f)
{
    int64_t code = 0, grpc = -1;
    bool has_code = roles_int(r, ROLE_HTTP_STATUS, &code) && code >= 0 && code <= HTTP_STATUS_MAX;
    bool has_grpc = roles_int(r, ROLE_GRPC_STATUS, &grpc) && grpc >= 0 && grpc <= GRPC_STATUS_MAX;
    bool is_grpc = has_grpc || r->value[ROLE_GRPC_PATH] ||
                   sv_same(roles_str(r, ROLE_RPC_SYSTEM), SV("grpc"));
    bool is_http = has_code || r->value[ROLE_HTTP_METHOD];
    bool is_error = s->status == STATUS_ERROR;

    f->grpc_status = -1;
    f->response_code = 0;
    if (is_grpc) {
        f->protocol = PROTOCOL_GRPC;
        f->grpc_status = has_grpc ? (int16_t)grpc : is_error ? GRPC_UNKNOWN : 0;
        f->response_code = has_code ? (uint16_t)code : 0;
    } else if (is_http) {
        f->protocol = PROTOCOL_HTTP;
        f->response_code = has_code ? (uint16_t)code : is_error ? 0 : HTTP_OK;
    } else {
        f->protocol = PROTOCOL_TCP;
    }
    f->response_flags = roles_str(r, ROLE_RESPONSE_FLAGS);
    if (sv_same(f->response_flags, SV("-")))
        f->response_flags = SV_NONE;
    if (f->protocol == PROTOCOL_TCP && is_error && !f->response_flags.len)
        f->response_flags = SPAN_ERROR_FLAG;
}

static uint64_t bytes_of(const struct roles *r, enum role role)
{
    int64_t v = 0;
    return roles_int(r, role, &v) && v > 0 ? (uint64_t)v : 0;
}

/* "outbound|9080|v1|reviews.default.svc.cluster.local" names service and namespace. */
static bool peer_from_cluster(struct sv cluster, struct span_peer *p)
{
    if (!sv_starts(cluster, SV("outbound|")))
        return false;
    struct sv host = sv_from(cluster, sv_rindex(cluster, '|') + 1);
    if (!host.len)
        return false;
    p->name = service_of_host(host, &p->namespace);
    p->kind = PEER_EXTERNAL;
    return true;
}

static struct sv first_of(const struct roles *r, const enum role *roles, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct sv text = roles_str(r, roles[i]);
        if (text.len)
            return text;
    }
    return SV_NONE;
}

struct span_peer span_peer_of(const struct normalizer *n, const struct span_facts *f)
{
    static const enum role database[] = { ROLE_PEER_SERVICE, ROLE_PEER_ADDRESS, ROLE_DB_NAME,
                                          ROLE_DB_SYSTEM };
    static const enum role queue[] = { ROLE_PEER_SERVICE, ROLE_QUEUE, ROLE_PEER_ADDRESS,
                                       ROLE_MESSAGING };
    static const enum role external[] = { ROLE_PEER_SERVICE, ROLE_PEER_ADDRESS };
    const struct roles *r = &n->roles;
    bool is_calling = f->kind == SPAN_KIND_CLIENT || f->kind == SPAN_KIND_PRODUCER;
    struct span_peer p = { .kind = PEER_EXTERNAL };

    if (r->value[ROLE_DB_NAME] || r->value[ROLE_DB_SYSTEM]) {
        p.name = first_of(r, database, NELEMS(database));
        p.kind = is_calling ? PEER_DATABASE : PEER_EXTERNAL;
    } else if (r->value[ROLE_MESSAGING] || r->value[ROLE_QUEUE]) {
        p.name = first_of(r, queue, NELEMS(queue));
        p.kind = PEER_QUEUE;
    } else if (is_calling && peer_from_cluster(roles_str(r, ROLE_UPSTREAM_CLUSTER), &p)) {
        return p;
    } else if (is_calling) {
        p.name = first_of(r, external, NELEMS(external));
    } else {
        /* On the called side server.address is the callee itself. */
        p.name = roles_str(r, ROLE_PEER_SERVICE);
    }
    if (!p.name.len)
        p.kind = PEER_NONE;
    return p;
}

void normalizer_init(struct normalizer *n)
{
    memset(n, 0, sizeof(*n));
    semconv_init(&n->names);
}

void normalizer_forget(struct normalizer *n)
{
    for (size_t i = 0; i < NELEMS(n->resources); i++)
        n->resources[i].of = NULL;
    for (size_t i = 0; i < NELEMS(n->orders); i++)
        n->orders[i].of = NULL;
}

static struct normalizer_resource *resource_of(struct normalizer *n, const struct resource *of)
{
    uint64_t mixed = ((uintptr_t)of >> 4) * UINT64_C(0x9e3779b97f4a7c15);
    struct normalizer_resource *r = &n->resources[mixed >> 60];
    _Static_assert(NORMALIZER_RESOURCES == 16, "four bits");
    if (r->of != of) {
        *r = (struct normalizer_resource){ .of = of };
        (void)roles_add(&n->names, &r->roles, &of->attrs);
        roles_give_way(&r->roles);
    }
    return r;
}

/* Adds what the span says to n->roles; the bits of it. */
static uint64_t add_roles_of_span(struct normalizer *n, const struct span *s)
{
    const struct key_order *keys = s->key_order;
    if (!keys || keys->id >= NORMALIZER_ORDERS || keys->len != s->attrs.len)
        return roles_add(&n->names, &n->roles, &s->attrs);
    struct normalizer_order *o = &n->orders[keys->id];
    if (o->of != keys) {
        o->of = keys;
        o->has_places = role_places_of(&n->names, &s->attrs, &o->places);
    }
    return o->has_places ? roles_add_at(&o->places, &n->roles, s->attrs.list)
                         : roles_add(&n->names, &n->roles, &s->attrs);
}

/* Whoever sent it. */
static void read_who(const struct normalizer *n, struct normalizer_resource *resource,
                     uint64_t of_span, struct span_facts *f)
{
    bool is_proxy = f->emitter == EMITTER_PROXY;
    struct identity *who = &resource->who[is_proxy];
    if (of_span & IDENTITY_ROLES) {
        f->who = identity_from_roles(&n->roles, is_proxy);
        f->kept_who = NULL;
        return;
    }
    if (!who->cluster.len)
        *who = identity_from_roles(&n->roles, is_proxy);
    f->who = *who;
    f->kept_who = &resource->kept_who[is_proxy];
}

void span_facts_of(struct normalizer *n, const struct span *s, struct span_facts *ret_facts)
{
    struct span_facts *f = ret_facts;
    struct normalizer_resource *resource = resource_of(n, s->resource);
    const struct roles *r = &n->roles;
    n->roles = resource->roles;
    uint64_t of_span = add_roles_of_span(n, s);
    f->emitter = emitter_of(r);
    read_who(n, resource, of_span, f);
    f->instance = roles_str(r, ROLE_INSTANCE);
    f->kind = kind_of(s, r);
    if (__builtin_sub_overflow(s->end_ns, s->start_ns, &f->duration_ns) || f->duration_ns < 0)
        f->duration_ns = 0; /* a clock that went back */
    f->bytes_received = bytes_of(r, ROLE_REQUEST_BYTES);
    f->bytes_sent = bytes_of(r, ROLE_RESPONSE_BYTES);
    read_result(s, r, f);
    bool is_calling = f->kind == SPAN_KIND_CLIENT || f->kind == SPAN_KIND_PRODUCER;
    int64_t resends = 0;
    f->tls = tls_evidence_of(r, is_calling);
    /* A proxy has one span for all attempts and says how many more there were; an SDK has a span for
     * each, and says its number. */
    f->resends = 0;
    if (roles_int(r, ROLE_RESENDS, &resends) && resends > 0)
        f->resends = f->emitter == EMITTER_APP ? 1 : (uint32_t)MIN(resends, (int64_t)RESENDS_MAX);
}
