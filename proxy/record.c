/* record.c - a finished stream as exchanges for telemetry.
 *
 * A sidecar saw one hop and records it from its side. A gateway is both: the end of a call from
 * outside and the beginning of one into the mesh; it records the first always and the second once it
 * tried an upstream, as parent and child in one trace. */
#include "proxy/probe_grpc.h"
#include "proxy/stream.h"

static void put_request(const struct stream *s, struct exchange *x)
{
    const struct http_head *h = s->req;
    struct call *c = &x->call;
    c->protocol = s->is_grpc ? PROTOCOL_GRPC : PROTOCOL_HTTP;
    c->start_ns = s->started_wall_ns;
    c->duration_ns = MAX(clock_mono_ns() - s->started_ns, 0);
    c->bytes_received = s->req_bytes;
    c->bytes_sent = s->resp_bytes;
    c->response_code = s->status;
    uint64_t grpc_status = 0;
    bool has_grpc = sv_to_u64(s->grpc_status, &grpc_status) && grpc_status < INT16_MAX;
    c->grpc_status = has_grpc ? (int16_t)grpc_status : -1;
    c->response_flags = s->flag ? sv_z(s->flag) : s->traffic.was_delayed ? SV("DI") : SV_NONE;
    c->response_code_details = s->details[0] ? sv_z(s->details) : SV("via_upstream");
    c->method = h->method;
    c->path = h->path;
    c->authority = h->authority;
    c->request_id = s->request_id;
    c->user_agent = s->seen[FIELD_USER_AGENT];
    c->trace_id = s->trace.trace_id;
    x->is_sampled = s->trace.is_sampled;
    record_follow(s->mesh, s->side, x);
    x->trace_state = s->trace_state;
    x->protocol_text = s->down_h2 ? SV("HTTP/2") : h->minor ? SV("HTTP/1.1") : SV("HTTP/1.0");
    x->reason = s->details[0] ? sv_z(s->why) : SV_NONE;
    x->request = h;
    x->x_forwarded_for = s->seen[FIELD_XFF];
    x->downstream_local_address = s->down->local_addr;
    x->downstream_remote_address = s->down->peer_addr;
    x->upstream_service_time_ns = -1;
    x->request_messages = s->req_messages.messages - s->req_messages_told;
    x->response_messages = s->resp_messages.messages - s->resp_messages_told;
}

void record_follow(const struct mesh *m, enum side side, struct exchange *x)
{
    const struct telemetry_rules *rules = mesh_telemetry(m, side == SIDE_INBOUND);
    x->is_log_silent = rules->log == TELEMETRY_OFF;
    x->log_from = rules->log_from;
    x->is_span_silent = rules->spans == TELEMETRY_OFF;
}

static void tell(const struct stream *s, const struct exchange *x, bool is_over)
{
    if (is_over)
        telemetry_record(s->worker->telemetry, x);
    else
        telemetry_count_messages(s->worker->telemetry, x);
}

static void put_tls(const struct tls_info *tls, bool is_known, struct call *c)
{
    if (!is_known)
        return;
    c->tls = !tls ? TLS_PLAINTEXT : tls->is_mutual ? TLS_MUTUAL : TLS_ONE_WAY;
    if (!tls)
        return;
    c->tls_version = tls->version;
    c->tls_cipher = tls->cipher;
    c->peer_cert_expiry_ns = tls->peer_not_after_ns;
}

static void put_upstream(const struct stream *s, struct exchange *x)
{
    x->upstream_cluster = s->side == SIDE_INBOUND ? down_inbound_cluster(s->down)
                          : s->cluster            ? s->cluster->name
                                                  : SV_NONE;
    if (s->pool)
        x->call.upstream_host = s->pool->addr_text;
    if (s->up) {
        struct up *up = s->up;
        if (!up->local_text.p)
            up->local_text = addr_text(conn_local(up->conn), up->local_text_mem);
        x->upstream_local_address = up->local_text;
    }
    x->upstream_transport_failure_reason = sv_z(s->failure);
    if (s->answered_ns && s->sent_ns)
        x->upstream_service_time_ns = MAX(s->answered_ns - s->sent_ns, 0);
}

/* The Service that was called: the authority's, or when that is a name from outside, the one that the
 * caller's sidecar or gateway chose: "outbound_.9080_.v1_.reviews.default.svc.cluster.local". */
static struct sv service_called(const struct stream *s)
{
    const struct tls_info *tls = conn_tls(s->down->conn);
    struct sv named = mesh_service_fqdn(s->mesh, s->req->authority);
    struct sv host = tls ? tls->sni : SV_NONE;
    if (named.len || !sv_starts(host, SV("outbound_.")))
        return named;
    for (int i = 0; i < 3; i++)
        host = sv_from(host, sv_index(host, '_') + 2);
    return mesh_service_fqdn(s->mesh, host);
}

/* The hop that ends here: somebody called our application, or the gateway. */
static void record_caller_hop(struct stream *s, bool is_over)
{
    struct exchange x = { .parent_id = s->trace.parent_id };
    const struct tls_info *tls = conn_tls(s->down->conn);
    const struct worker *w = s->worker;
    bool is_of_mesh = who_is_of_mesh(s->down->conn) && w->certs;
    put_request(s, &x);
    x.authz = &s->authz;
    x.call.reporter = REPORTER_DESTINATION;
    x.call.span_id = s->server_span;
    x.call.source = s->source;
    x.call.destination = s->destination;
    put_tls(tls, true, &x.call);
    if (tls) {
        x.requested_server_name = tls->sni;
        x.call.source_principal_seen = tls->peer_spiffe;
        if (is_of_mesh)
            x.call.destination_principal_seen = w->certs->spiffe;
    }
    if (s->side == SIDE_GATEWAY) {
        x.is_front = true;
        x.has_back = s->cluster != NULL;
        x.call.destination = w->self;
        if (is_of_mesh)
            x.call.destination.principal = w->certs->spiffe;
        x.call.route_name = s->route ? s->route->name : SV_NONE;
        x.call.destination_service = s->req->authority;
    } else {
        x.call.route_name = SV("default");
        x.call.destination_service = service_called(s);
        put_upstream(s, &x);
    }
    tell(s, &x, is_over);
}

/* The hop that begins here. */
static void record_upstream_hop(struct stream *s, bool is_over)
{
    struct exchange x = { 0 };
    const struct tls_info *tls = s->up ? conn_tls(s->up->conn) : NULL;
    const struct worker *w = s->worker;
    put_request(s, &x);
    x.parent_id = s->side == SIDE_GATEWAY ? s->server_span : s->trace.parent_id;
    x.call.reporter = REPORTER_SOURCE;
    x.call.span_id = s->client_span;
    x.call.source = w->self;
    x.call.destination = s->destination;
    put_tls(tls, s->up && s->up->is_open, &x.call);
    if (tls && tls->is_mutual && w->certs) {
        x.call.source.principal = x.call.source_principal_seen = w->certs->spiffe;
        x.call.destination.principal = x.call.destination_principal_seen = tls->peer_spiffe;
    }
    x.call.route_name = s->route ? s->route->name : SV_NONE;
    x.call.destination_service = s->cluster ? s->cluster->host : s->req->authority;
    put_upstream(s, &x);
    x.resends = s->attempts > 1 ? s->attempts - 1 : 0;
    tell(s, &x, is_over);
}

/* Another proxy of the mesh asks whether our application is well: no request of anybody. From a caller
 * without a certificate anybody could say so, and what is refused or fails is worth telling. */
static bool is_health_check(const struct stream *s)
{
    const struct tls_info *tls = conn_tls(s->down->conn);
    bool is_from_mesh = s->side == SIDE_INBOUND && tls && tls->is_mutual &&
                        sv_eq(s->seen[FIELD_USER_AGENT], HEALTH_USER_AGENT);
    if (!is_from_mesh || s->status < 200 || s->status >= 400)
        return false;
    bool is_grpc = s->is_grpc && sv_eq(s->req->path, SV(PROBE_GRPC_PATH)) &&
                   sv_eq(s->grpc_status, SV("0"));
    return is_grpc || sv_eq(s->req->method, SV("GET"));
}

static void record_hops(struct stream *s, bool is_over)
{
    if (s->side != SIDE_OUTBOUND)
        record_caller_hop(s, is_over);
    if (s->side == SIDE_OUTBOUND || (s->side == SIDE_GATEWAY && s->cluster))
        record_upstream_hop(s, is_over);
}

void stream_record_messages(struct stream *s)
{
    record_hops(s, false);
    s->req_messages_told = s->req_messages.messages;
    s->resp_messages_told = s->resp_messages.messages;
}

void stream_record(struct stream *s)
{
    if (is_health_check(s))
        tally(TALLY_HEALTH_ANSWERED);
    else
        record_hops(s, true);
}
