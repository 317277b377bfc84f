/* SPDX-License-Identifier: Apache-2.0
 * tcp_record.c - a connection as exchanges for telemetry.
 *
 * One record when it ends: who, how many bytes each way, for how long, and a flag when it failed (a
 * flag is an error on an edge; an idle connection closed, or a caller that broke off, is none). A
 * gateway is the end of one hop and the begin of another, and records both.
 *
 * One that lives longer than --tcp-report-interval is told of in parts (enum call_part), a part an
 * interval in which bytes moved. Of the two sidecars of a connection only the caller's does that: the
 * collector chooses one of two reporters by when things happened, and two that tell of the same bytes
 * at slightly different times might both be chosen. The callee's has a record of the whole, which
 * lies where the connection began, beside the caller's first part. Istio's metrics have a reporter
 * each, so there both count as bytes flow. */
#include "base/clock.h"
#include "proxy/stream.h"
#include "proxy/tcp.h"

/* The host in "outbound_.3306_._.db.default.svc.cluster.local", which mesh clients ask for. */
static struct sv service_of_sni(struct sv sni)
{
    struct sv rest = sv_starts(sni, SV("outbound_.")) ? sni : SV_NONE;
    for (int i = 0; i < 3 && rest.len; i++) {
        size_t at = 0;
        while (at + 1 < rest.len && !(rest.p[at] == '_' && rest.p[at + 1] == '.'))
            at++;
        rest = at + 1 < rest.len ? sv_from(rest, at + 2) : SV_NONE;
    }
    return rest;
}

static void put_common(struct tcp *t, struct exchange *x)
{
    struct call *c = &x->call;
    c->protocol = PROTOCOL_TCP;
    c->start_ns = t->started_wall_ns;
    c->duration_ns = MAX(clock_mono_ns() - t->started_ns, 0);
    c->bytes_received = t->from_down;
    c->bytes_sent = t->from_up;
    c->grpc_status = -1;
    c->response_flags = t->flag ? sv_z(t->flag) : SV_NONE;
    c->response_code_details = sv_z(t->details);
    c->route_name = t->route ? t->route->name : SV_NONE;
    x->connection_termination_details = sv_z(t->details);
    x->requested_server_name = sv_z(t->sni);
    x->downstream_local_address = t->down->local_addr;
    x->downstream_remote_address = t->down->peer_addr;
    x->upstream_service_time_ns = -1;
    record_follow(t->mesh, t->side, x);
}

static void put_upstream(struct tcp *t, struct exchange *x)
{
    x->upstream_cluster = t->cluster_name;
    x->upstream_transport_failure_reason = sv_z(t->failure);
    if (t->tried_len)
        x->call.upstream_host = addr_text(&t->target, t->target_text);
    if (t->up)
        x->upstream_local_address = addr_text(conn_local(t->up), t->local_text);
}

static void put_tls(const struct tls_info *tls, struct call *c)
{
    c->tls = !tls ? TLS_PLAINTEXT : tls->is_mutual ? TLS_MUTUAL : TLS_ONE_WAY;
    if (!tls)
        return;
    c->tls_version = tls->version;
    c->tls_cipher = tls->cipher;
    c->peer_cert_expiry_ns = tls->peer_not_after_ns;
}

/* is_silent: the other end tells of it while it lives. */
static void tell(struct tcp *t, struct exchange *x, enum call_part part, bool is_silent)
{
    struct call *c = &x->call;
    struct telemetry *to = t->worker->telemetry;
    uint64_t down = t->from_down - t->told_down, up = t->from_up - t->told_up;
    if (part == CALL_END) {
        c->part = t->is_counted ? CALL_END : CALL_WHOLE;
        c->bytes_received_before = t->told_down;
        c->bytes_sent_before = t->told_up;
    } else {
        c->part = part;
        c->bytes_received = down;
        c->bytes_sent = up;
    }
    if (!t->is_refused)
        telemetry_count(to, x);
    if (part == CALL_BEGIN || (part == CALL_BYTES && is_silent))
        return;
    if (part == CALL_BYTES && !t->has_begun) {
        c->part = CALL_BEGIN; /* nothing was told before, so these are its bytes so far */
    } else if (part == CALL_BYTES) {
        c->start_ns += c->duration_ns;
        c->duration_ns = 0;
    } else if (is_silent || !t->has_begun) {
        c->part = CALL_WHOLE;
        c->bytes_received_before = c->bytes_sent_before = 0;
    }
    telemetry_tell(to, x);
}

static void record_caller_hop(struct tcp *t, enum call_part part)
{
    struct exchange x = { .authz = &t->authz };
    struct call *c = &x.call;
    const struct worker *w = t->worker;
    const struct tls_info *tls = conn_tls(t->down->conn);
    bool is_of_mesh = who_is_of_mesh(t->down->conn) && w->certs;
    put_common(t, &x);
    c->reporter = REPORTER_DESTINATION;
    c->destination = w->self;
    put_tls(tls, c);
    /* TLS that is passed on is the application's: it was not ours to judge. */
    if (t->is_tls && !tls)
        c->tls = TLS_UNKNOWN;
    if (tls)
        c->source_principal_seen = tls->peer_spiffe;
    if (t->side == SIDE_INBOUND) {
        c->source = who_is_peer(t->mesh, t->down->conn);
        c->destination_service = service_of_sni(sv_z(t->sni));
        if (!c->destination_service.len)
            c->destination_service = mesh_own_service(t->mesh, down_app_port(t->down),
                                                      t->down->port->number);
        put_upstream(t, &x);
    } else {
        c->source = is_of_mesh ? who_is_peer(t->mesh, t->down->conn) : identity_unknown();
        c->destination_service = tls ? tls->sni : sv_z(t->sni);
    }
    if (is_of_mesh)
        c->destination_principal_seen = c->destination.principal = w->certs->spiffe;
    tell(t, &x, part, is_of_mesh);
}

static void record_upstream_hop(struct tcp *t, enum call_part part)
{
    struct exchange x = { .call = { .reporter = REPORTER_SOURCE } };
    struct call *c = &x.call;
    const struct worker *w = t->worker;
    const struct tls_info *tls = t->up ? conn_tls(t->up) : NULL;
    char text[ADDR_TEXT_SIZE];
    put_common(t, &x);
    c->source = w->self;
    const struct endpoint *e = t->endpoint
                                   ? t->endpoint
                                   : mesh_endpoint_by_ip(t->mesh, addr_host(&t->target, text));
    c->destination = e ? e->identity : identity_unknown();
    c->destination.principal = IDENTITY_UNKNOWN; /* until proven */
    if (t->is_up_open)
        put_tls(tls, c);
    if (t->is_up_open && t->is_tls && !tls)
        c->tls = TLS_UNKNOWN;
    if (tls && tls->is_mutual && w->certs && t->is_up_mesh) {
        c->source.principal = c->source_principal_seen = w->certs->spiffe;
        c->destination.principal = c->destination_principal_seen = tls->peer_spiffe;
    }
    c->destination_service = t->cluster ? t->cluster->host : t->down->port->tcp_host;
    put_upstream(t, &x);
    x.resends = t->tried_len > 1 ? (unsigned)t->tried_len - 1 : 0;
    tell(t, &x, part, false);
}

static void count(const struct tcp *t, bool is_over)
{
    static const struct {
        const char *flag;
        enum tally_id id;
    } flags[] = {
        { "NR", TALLY_TCP_NR }, { "UH", TALLY_TCP_UH }, { "UF", TALLY_TCP_UF },
        { "UO", TALLY_TCP_UO }, { "UC", TALLY_TCP_UC }, { "DF", TALLY_TCP_DF },
        { "DT", TALLY_TCP_DT },
    };
    for (size_t i = 0; is_over && t->flag && i < NELEMS(flags); i++)
        if (strcmp(t->flag, flags[i].flag) == 0)
            tally(flags[i].id);
    tally_cell_add(&proxy_tallies.cells[TALLY_TCP_RECEIVED], t->from_down - t->told_down);
    tally_cell_add(&proxy_tallies.cells[TALLY_TCP_SENT], t->from_up - t->told_up);
}

void tcp_record(struct tcp *t, enum call_part part)
{
    if (part == CALL_BYTES && t->from_down == t->told_down && t->from_up == t->told_up)
        return;
    count(t, part == CALL_END);
    if (t->side != SIDE_OUTBOUND)
        record_caller_hop(t, part);
    if (t->side == SIDE_OUTBOUND || (t->side == SIDE_GATEWAY && t->cluster))
        record_upstream_hop(t, part);
    t->is_counted = true;
    t->has_begun |= part == CALL_BYTES;
    t->told_down = t->from_down;
    t->told_up = t->from_up;
}

void tcp_refused(struct down *d, bool is_tls)
{
    struct tcp t = { .worker = d->worker,
                     .down = d,
                     .side = d->port->side,
                     .mesh = d->worker->mesh,
                     .is_refused = true,
                     .is_tls = is_tls,
                     .flag = "NR",
                     .details = "filter_chain_not_found",
                     .started_ns = clock_mono_ns(),
                     .started_wall_ns = clock_wall_ns() };
    tcp_record(&t, CALL_END);
}
