/* envoy_access.c - what a line of Istio's access log says about a call.
 *
 * A line names one end well, the proxy's own, and of the other only what that proxy knows: the
 * service that was asked for (cluster "outbound|PORT|SUBSET|HOST") on the calling side, nothing on
 * the called side. Who the proxy itself is does not stand in the line: it follows from the resource
 * (service.name, k8s.*, Envoy's own node_name and cluster_name) or from labels of the record, which
 * may also name both ends by the names of access_attrs.def; what is still missing is the
 * service that the line names. Whether the call was protected follows on the called side from the
 * server's name in the TLS handshake, by the rules of normalize/tls_evidence.
 *
 * The format has no gRPC status: a gRPC call with HTTP 200 and no flag counts as OK. */
#include "ingest/envoy_access.h"
#include "base/clock.h"
#include "ingest/ztunnel_line.h"
#include "normalize/identity.h"
#include "normalize/normalize.h"

enum { HTTP_CODE_MAX = 999 };

/* "outbound|9080|v1|reviews.default.svc.cluster.local" */
struct cluster {
    bool is_outbound, is_inbound;
    struct sv host; /* empty: not named */
};

static struct cluster cluster_of(const struct envoy_line *l)
{
    struct sv name = l->field[ENVOY_CLUSTER];
    struct cluster c = { .is_outbound = sv_starts(name, SV("outbound|")),
                         .is_inbound = sv_starts(name, SV("inbound|")) ||
                                       sv_starts(name, SV("InboundPassthroughCluster")) };
    if (c.is_outbound || sv_starts(name, SV("inbound|")))
        c.host = sv_from(name, sv_rindex(name, '|') + 1);
    return c;
}

/* Without a cluster the request got nowhere: a listener of the called side that no chain of filters
 * fits, or one that its client named as Istio's clients do; else a route that the caller misses. */
bool envoy_is_called_side(const struct envoy_line *l)
{
    struct cluster c = cluster_of(l);
    if (c.is_outbound || c.is_inbound)
        return c.is_inbound;
    return sv_starts(l->field[ENVOY_SERVER_NAME], SV("outbound_.")) ||
           sv_starts(l->field[ENVOY_DETAILS], SV("filter_chain_not_found"));
}

static struct sv without_port(struct sv authority)
{
    size_t colon = sv_rindex(authority, ':'), bracket = sv_rindex(authority, ']');
    bool has_port = colon < authority.len && (bracket == authority.len || bracket < colon);
    bool is_bare_ipv6 = bracket == authority.len && sv_index(authority, ':') != colon;
    return has_port && !is_bare_ipv6 ? sv_sub(authority, 0, colon) : authority;
}

/* "outbound_.9080_._.reviews.default.svc.cluster.local", as Istio's clients call a server. */
static struct sv host_of_sni(struct sv sni)
{
    struct sv rest = sni, part;
    if (!sv_starts(sni, SV("outbound_.")) || !sv_cut(&rest, '.', &part) ||
        !sv_cut(&rest, '.', &part) || !sv_cut(&rest, '.', &part))
        return SV_NONE;
    return rest;
}

static struct sv host_asked_for(const struct envoy_line *l, const struct cluster *c)
{
    if (c->host.len)
        return c->host;
    struct sv host = host_of_sni(l->field[ENVOY_SERVER_NAME]);
    if (!host.len)
        host = without_port(envoy_said(l, ENVOY_AUTHORITY));
    return host.len ? host : envoy_said(l, ENVOY_CLUSTER); /* "PassthroughCluster" */
}

static uint64_t number_of(struct gather *g, const struct log_record *rec,
                          const struct envoy_line *l, enum envoy_field f, const char *name)
{
    uint64_t v = 0;
    struct sv text = envoy_said(l, f);
    if (text.len && (!sv_to_u64(text, &v) || v > INT64_MAX / (uint64_t)NS_PER_MS)) {
        gather_bad(g, ERR_MALFORMED, rec->at, "access-log line: %s is '%.*s', want a number", name,
                   (int)MIN(text.len, (size_t)24), text.p);
        return 0;
    }
    return v;
}

static void read_response(struct gather *g, const struct log_record *rec,
                          const struct envoy_line *l, struct call *c)
{
    uint64_t code = number_of(g, rec, l, ENVOY_CODE, "response_code");
    if (code > HTTP_CODE_MAX)
        gather_bad(g, ERR_MALFORMED, rec->at, "access-log line: response_code is above %d",
                   HTTP_CODE_MAX);
    c->response_code = (uint16_t)code;
    c->response_flags = envoy_said(l, ENVOY_FLAGS);
    c->response_code_details = envoy_said(l, ENVOY_DETAILS);
    c->bytes_received = number_of(g, rec, l, ENVOY_RECEIVED, "bytes_received");
    c->bytes_sent = number_of(g, rec, l, ENVOY_SENT, "bytes_sent");
    c->duration_ns = (int64_t)number_of(g, rec, l, ENVOY_DURATION, "duration") * NS_PER_MS;
}

static void read_request(const struct envoy_line *l, struct call *c)
{
    c->method = envoy_said(l, ENVOY_METHOD);
    c->path = envoy_said(l, ENVOY_PATH);
    c->authority = envoy_said(l, ENVOY_AUTHORITY);
    c->route_name = envoy_said(l, ENVOY_ROUTE);
    c->request_id = envoy_said(l, ENVOY_REQUEST_ID);
    c->user_agent = envoy_said(l, ENVOY_USER_AGENT);
    c->upstream_host = envoy_said(l, ENVOY_UPSTREAM_HOST);
    c->grpc_status = -1;
    bool is_http2 = sv_starts(l->field[ENVOY_PROTOCOL], SV("HTTP/2"));
    if (!c->method.len)
        c->protocol = PROTOCOL_TCP;
    else if (is_http2 && sv_starts(c->user_agent, SV("grpc-")))
        c->protocol = PROTOCOL_GRPC;
    if (c->protocol == PROTOCOL_GRPC && c->response_code == 200 && !c->response_flags.len)
        c->grpc_status = 0;
}

static void read_time(struct gather *g, const struct log_record *rec, const struct envoy_line *l,
                      struct call *c)
{
    struct sv text = envoy_said(l, ENVOY_START_TIME);
    c->start_ns = rec->time_ns;
    if (c->start_ns <= 0 && text.len && !clock_from_rfc3339(text, &c->start_ns))
        gather_bad(g, ERR_MALFORMED, rec->at,
                   "access-log line: start_time is '%.*s', want a time as 2026-01-02T03:04:05.678Z",
                   (int)MIN(text.len, (size_t)40), text.p);
    if (c->start_ns <= 0)
        c->start_ns = rec->observed_ns;
    if (c->start_ns <= 0)
        gather_bad(g, ERR_MALFORMED, rec->at, "access-log line: the time is missing");
}

/* Envoy's own cluster name is "service.namespace" in Istio, like its service.name of spans. */
static void add_bootstrap_name(const struct gather *g, struct roles *r, struct value *room)
{
    const struct attrs *a = &g->resource->attrs;
    for (uint32_t i = 0; i < a->len && !r->value[ROLE_SERVICE]; i++) {
        if (!sv_eq(a->list[i].key, SV("cluster_name")) || a->list[i].value.type != VALUE_STR)
            continue;
        *room = a->list[i].value;
        r->value[ROLE_SERVICE] = room;
        r->played |= ROLE_BIT(ROLE_SERVICE);
    }
}

static void read_tls(const struct envoy_line *l, struct roles *r, bool is_calling, struct call *c)
{
    struct value sni = { .type = VALUE_STR, .str = l->field[ENVOY_SERVER_NAME] };
    if (sni.str.len) {
        r->value[ROLE_TLS_SNI] = &sni;
        r->played |= ROLE_BIT(ROLE_TLS_SNI);
    }
    struct tls_evidence e = tls_evidence_of(r, is_calling);
    r->value[ROLE_TLS_SNI] = NULL;
    c->tls = e.state;
    c->tls_basis = e.basis;
    c->tls_version = e.version;
    c->tls_cipher = e.cipher;
    c->source_principal_seen = e.source_principal;
    c->destination_principal_seen = e.destination_principal;
}

static const struct semconv *names_of(struct gather *g)
{
    if (!g->has_names)
        semconv_init(&g->names);
    g->has_names = true;
    return &g->names;
}

struct identity envoy_identity(struct gather *g, const struct attrs *a)
{
    struct roles r = { 0 };
    roles_add(names_of(g), &r, a);
    return identity_from_roles(&r, true);
}

static void read_who(struct gather *g, const struct envoy_line *l, bool is_calling,
                     const struct attr *labels, size_t n, struct call *c)
{
    struct cluster cluster = cluster_of(l);
    struct attrs list = { .list = labels, .len = (uint32_t)n };
    struct roles r = { 0 };
    struct value room;
    roles_add(names_of(g), &r, &list);
    if (g->resource) {
        roles_add(&g->names, &r, &g->resource->attrs);
        add_bootstrap_name(g, &r, &room);
    }
    c->reporter = is_calling ? REPORTER_SOURCE : REPORTER_DESTINATION;
    *(is_calling ? &c->source : &c->destination) = identity_from_roles(&r, true);
    read_tls(l, &r, is_calling, c);
    c->destination_service = host_asked_for(l, &cluster);
    access_name_both_ends(c, labels, n);
    if (c->destination_service.len)
        identity_of_host(&c->destination, c->destination_service);
}

/* The called side's proxy listens on its pod's address; the calling side's sends from it. */
static void read_addresses(const struct envoy_line *l, struct call *c)
{
    bool is_calling = c->reporter == REPORTER_SOURCE;
    c->own_address = envoy_said(l, is_calling ? ENVOY_UPSTREAM_LOCAL : ENVOY_DOWNSTREAM_LOCAL);
    c->peer_address = envoy_said(l, is_calling ? ENVOY_UPSTREAM_HOST : ENVOY_DOWNSTREAM_REMOTE);
}

void envoy_ends(struct gather *g, const struct envoy_line *l, bool is_calling,
                const struct attr *labels, size_t n, struct call *c)
{
    read_who(g, l, is_calling, labels, n, c);
    read_addresses(l, c);
    access_fill_unknown(c);
}

void envoy_call(struct gather *g, const struct log_record *rec, const struct envoy_line *l,
                const struct attr *labels, size_t n, struct call *c)
{
    c->trace_id = rec->trace_id;
    c->span_id = rec->span_id;
    read_response(g, rec, l, c);
    read_request(l, c);
    read_time(g, rec, l, c);
    envoy_ends(g, l, !envoy_is_called_side(l), labels, n, c);
}

/* A record that is a line of one of the two. */
struct line {
    bool is_envoy, is_ztunnel;
    struct envoy_line envoy;
    struct ztunnel_line ztunnel;
    struct err err;
};

static void line_of(struct gather *g, const struct log_record *rec, const struct attr *labels,
                    size_t n, struct line *l)
{
    const struct value *body = &rec->body;
    struct arena *mem = &g->b->mem;
    bool is_text = body->type == VALUE_STR;
    l->is_envoy = (is_text && (envoy_line_from_text(body->str, &l->envoy, &l->err) ||
                               envoy_line_from_json(body->str, mem, &l->envoy, &l->err))) ||
                  (body->type == VALUE_KVLIST &&
                   envoy_line_from_attrs(body->kvlist, body->len, mem, &l->envoy, &l->err)) ||
                  envoy_line_from_attrs(labels, n, mem, &l->envoy, &l->err);
    if (!l->is_envoy && is_text && !l->err.code)
        l->is_ztunnel = ztunnel_line_read(body->str, mem, &l->ztunnel, &l->err);
}

int envoy_record(struct gather *g, const struct log_record *rec, const struct attr *labels,
                 size_t n, bool *ret_is_line)
{
    struct line l = { 0 };
    line_of(g, rec, labels, n, &l);
    *ret_is_line = l.is_envoy || l.is_ztunnel;
    if (l.err.code == ERR_NOMEM)
        return ERR_NOMEM;
    if (!*ret_is_line)
        return 0;
    struct call *c;
    int rc = gather_call(g, &c);
    if (rc < 0)
        return rc;
    if (l.err.code)
        gather_bad(g, l.err.code, rec->at, "byte %zu of the line: %s", l.err.at, l.err.why);
    else if (l.is_envoy)
        envoy_call(g, rec, &l.envoy, labels, n, c);
    else
        ztunnel_call(g, rec, &l.ztunnel, c);
    if (!gather_record_ends(g))
        g->b->calls_len--;
    return 0;
}
