/* SPDX-License-Identifier: Apache-2.0
 * tcp_connect.c - from a caller's connection to an endpoint's.
 *
 * In front of an application there is one place to go: where the caller meant, or --app. Elsewhere the
 * Service's routes decide. A connection that was taken over and is for nobody we know goes where it
 * was going (PassthroughCluster), unless only what is registered may be reached (BlackHoleCluster). */
#include "base/clock.h"
#include "base/hash.h"
#include "proxy/original.h"
#include "proxy/route/action.h"
#include "proxy/sniff.h"
#include "proxy/stream.h"
#include "proxy/tcp.h"

uint32_t *tcp_load(const struct tcp *t)
{
    uint32_t *loads = worker_loads(t->worker, t->mesh);
    bool is_counted = t->endpoint && loads && t->endpoint->id < t->worker->endpoints_len;
    return is_counted ? &loads[t->endpoint->id] : NULL;
}

static bool refuse(struct tcp *t, const char *flag, const char *details)
{
    t->flag = flag;
    snprintf(t->details, sizeof(t->details), "%s", details);
    return false;
}

static bool find_own(struct tcp *t)
{
    const struct down *d = t->down;
    t->target = d->has_original ? d->original : t->worker->opt->app_addr;
    t->cluster_name = down_inbound_cluster(t->down);
    return true;
}

static bool find_passthrough(struct tcp *t)
{
    bool is_open = mesh_lets_out(t->mesh, sv_z(t->sni), addr_port(&t->down->original),
                                 t->worker->opt->allows_any);
    t->cluster = is_open ? &passthrough_cluster : &black_hole_cluster;
    t->cluster_name = t->cluster->name;
    t->target = t->down->original;
    return is_open || refuse(t, "UH", "no_healthy_upstream");
}

/* Does the connection go where it was going, instead of to an endpoint? */
static bool goes_on(const struct tcp *t)
{
    return t->cluster == &passthrough_cluster ||
           (t->cluster && t->cluster->is_as_meant && t->down->has_original);
}

bool tcp_find(struct tcp *t)
{
    const struct down *d = t->down;
    if (t->side == SIDE_INBOUND)
        return find_own(t);
    const struct tcp_service *s = sniff_service(d);
    const struct addr *meant = d->has_original ? &d->original : conn_local(d->conn);
    struct tcp_ask ask = { .is_tls = t->is_tls,
                           .sni = sv_z(t->sni),
                           .destination = ip_of_addr(meant),
                           .port = s ? s->port : 0 };
    if (!s && d->has_original && t->is_tls) {
        s = mesh_tcp_by_sni(t->mesh, &ask.destination, addr_port(meant), ask.sni);
        ask.port = s ? s->port : 0;
    }
    if (!s && d->has_original)
        return find_passthrough(t);
    t->route = s ? tcp_route(s, &ask) : NULL;
    if (!t->route)
        return refuse(t, "NR", s ? "route_not_found" : "filter_chain_not_found");
    const struct route_target *to = route_pick(t->route, random_u64());
    if (to->is_broken)
        return refuse(t, "NC", "cluster_not_found");
    t->cluster = to->cluster;
    t->cluster_name = t->cluster->name;
    if (goes_on(t))
        t->target = d->original;
    return true;
}

static void describe(const struct tcp *t, struct authz_request *q)
{
    const struct down *d = t->down;
    const struct tls_info *tls = conn_tls(d->conn);
    *q = (struct authz_request){
        .sni = sv_z(t->sni),
        .source_ip = ip_of_addr(conn_peer(d->conn)),
        .remote_ip = ip_of_addr(conn_peer(d->conn)),
        .destination_ip = ip_of_addr(d->has_original ? &d->original : conn_local(d->conn)),
        .port = t->side == SIDE_INBOUND ? down_app_port(d) : d->port->number,
    };
    if (tls)
        who_has_proven(tls, q);
}

bool tcp_is_allowed(struct tcp *t)
{
    const struct authz *policies = mesh_authz(t->mesh);
    struct authz_request q;
    if (t->side == SIDE_OUTBOUND || !policies)
        return true;
    describe(t, &q);
    authz_decide(policies, &q, &t->authz);
    if (t->authz.audit.len)
        tally(TALLY_AUTHZ_AUDITED);
    if (t->authz.would_deny.len || (t->authz.has_allow_dry_run && !t->authz.would_allow.len))
        tally(TALLY_AUTHZ_WOULD_DENY);
    if (t->authz.is_allowed)
        return true;
    tally(TALLY_AUTHZ_DENIED);
    snprintf(t->details, sizeof(t->details), "rbac_access_denied_matched_policy[%.*s]",
             SV_ARG(t->authz.rule.len ? t->authz.rule : SV("none")));
    return false;
}

/* A connection has nothing to go by but where it comes from. By any other key one endpoint is as good as
 * another, as in Envoy: no hash, so at random. */
static const struct endpoint *pick(struct tcp *t)
{
    struct worker *w = t->worker;
    const struct hash_policy *by = t->cluster->hash;
    struct ip source = ip_of_addr(conn_peer(t->down->conn));
    uint64_t key = hash_bytes(source.b, sizeof(source.b), 0);
    struct balance_ask ask = {
        .active = by ? NULL : worker_loads(w, t->mesh),
        .hash = by && by->kind == HASH_SOURCE_IP ? &key : NULL,
        .outlier = &w->outlier,
        .health = &w->health,
        .now_ns = loop_now_ns(w->loop),
        .random = random_u64(),
        .cursor = t->seat.use ? &t->seat.use->cursor : NULL,
        .tried = t->tried,
        .tried_len = MIN(t->tried_len, (size_t)TCP_TRIES),
    };
    const struct endpoint *e = balance_pick(t->cluster, &ask);
    t->is_last_resort = e && ask.tried_len && t->cluster->outlier &&
                        outlier_out_ns(&w->outlier, e, ask.now_ns) > 0;
    if (t->is_last_resort)
        tally(TALLY_OUTLIER_LAST_RESORT);
    return e;
}

/* What is spoken to the endpoint; NULL with err when it cannot be. *ret_ctx NULL: plaintext. */
static int choose_tls(struct tcp *t, struct tls_ctx **ret_ctx, struct tls_client *want,
                      struct err *err)
{
    struct worker *w = t->worker;
    const struct cluster *c = t->cluster;
    const struct client_tls *own = c->client_tls;
    const struct endpoint *e = t->endpoint;
    *ret_ctx = NULL;
    switch (c->tls) {
    case TLS_MODE_DISABLE: return 0;
    case TLS_MODE_AUTO:
        if (!e || !e->has_sidecar || !w->certs)
            return 0;
        break;
    case TLS_MODE_ISTIO_MUTUAL: break;
    case TLS_MODE_SIMPLE:
    case TLS_MODE_MUTUAL:
        *ret_ctx = client_tls_get(&w->client_tls_tcp, own, c->tls == TLS_MODE_MUTUAL, false,
                                  w->opt->secrets, err);
        want->sni = own->sni.len ? own->sni : c->host;
        if (!own->trusts_anybody)
            want->dns_name = own->names.len ? own->names : want->sni;
        return *ret_ctx ? 0 : ERR_TLS;
    }
    if (!w->certs)
        return err_set(err, ERR_TLS, "mutual TLS asked for, but there are no --certs");
    *ret_ctx = w->certs->client_tcp;
    want->sni = c->sni;
    want->spiffe = mesh_expected(c, e);
    t->is_up_mesh = true;
    return 0;
}

static bool take_place(struct tcp *t)
{
    if (t->seat.use || !t->cluster || t->cluster == &passthrough_cluster)
        return true;
    if (breaker_begin(&t->worker->breakers, &t->seat, t->cluster) &&
        breaker_connect(&t->seat) == BREAKER_GO)
        return true;
    return refuse(t, "UO", "upstream_reset_before_response_started{overflow}");
}

static bool open_up(struct tcp *t, conn_fn *on_up, struct err *err)
{
    struct worker *w = t->worker;
    struct tls_client want = { .session = NULL };
    struct tls_ctx *ctx = NULL;
    struct conn_from from;
    if (t->cluster && choose_tls(t, &ctx, &want, err) < 0)
        return false;
    bool has_from = t->side == SIDE_INBOUND && down_app_source(t->down, &from);
    if (has_from)
        original_choose_port(w, &from);
    t->up = conn_connect_from(w->loop, &t->target, has_from ? &from : NULL,
                              tcp_connect_timeout_ns(t), on_up, t, err);
    if (!t->up)
        return false;
    const struct pool_limits *limits = t->cluster ? t->cluster->limits : NULL;
    if (limits && limits->keepalive.is_on)
        conn_keep_alive(t->up, limits->keepalive.probes, limits->keepalive.idle_ns,
                        limits->keepalive.interval_ns);
    tally(TALLY_UP_OPENED);
    tally(TALLY_UP_OPEN);
    uint32_t *load = tcp_load(t);
    if (load)
        ++*load;
    if (!ctx)
        return true;
    struct target to = { .addr = &t->target,
                         .is_tcp = true,
                         .is_mtls = t->is_up_mesh,
                         .tls = ctx,
                         .sni = want.sni,
                         .spiffe = want.spiffe,
                         .names = want.dns_name };
    want.session = pool_session(w, &to);
    return conn_start_tls(t->up, ctx, &want, 0, err) == 0;
}

/* The next endpoint as t->target; false when there is none, or no try is left. */
static bool next_target(struct tcp *t, struct err *err)
{
    bool is_by_endpoint = t->side != SIDE_INBOUND && !goes_on(t);
    size_t tries = is_by_endpoint ? MIN((size_t)TCP_TRIES, t->cluster->endpoints_len) : 1;
    if (t->tried_len && t->tried_len >= tries)
        return false;
    if (is_by_endpoint) {
        const struct endpoint *meant = original_endpoint(t->down, t->cluster);
        t->endpoint = meant ? meant : pick(t);
        if (!t->endpoint && t->cluster->is_looked_up && !t->cluster->endpoints_len)
            return refuse(t, "DF", "dns_resolution_failure");
        if (!t->endpoint)
            return refuse(t, "UH", "no_healthy_upstream");
        if (addr_parse(t->endpoint->address, t->endpoint->port, &t->target, err) < 0)
            return refuse(t, "UF", "the endpoint's address is none");
    }
    t->tried[t->tried_len++] = t->endpoint;
    return true;
}

int64_t tcp_connect_timeout_ns(const struct tcp *t)
{
    return t->cluster && t->cluster->connect_timeout_ns ? t->cluster->connect_timeout_ns
                                                        : t->worker->opt->connect_timeout_ns;
}

bool tcp_connect(struct tcp *t, conn_fn *on_up)
{
    struct err err = { 0 };
    if (!take_place(t) || !next_target(t, &err))
        return false;
    if (open_up(t, on_up, &err))
        return true;
    snprintf(t->failure, sizeof(t->failure), "%s", err.why);
    return refuse(t, "UF", "upstream_reset_before_response_started{remote_connection_failure}");
}
