/* SPDX-License-Identifier: Apache-2.0
 * connect.c - the step that ends with a connection: which endpoint, how it is spoken to, and whether
 * there is room.
 *
 * A cluster's bounds are asked first, so that a request that has to wait chooses its endpoint when its
 * turn has come. How an endpoint is spoken to is decided for each: mutual TLS of the mesh when it has
 * a sidecar, or what the DestinationRule says. */
#include "proxy/original.h"
#include "proxy/route/action.h"
#include "proxy/stream.h"

void connect_turn(struct defer *d)
{
    struct breaker_seat *seat = CONTAINER_OF(d, struct breaker_seat, turn);
    stream_run(CONTAINER_OF(seat, struct stream, seat));
}

static enum step_result cannot_connect(struct stream *s, const struct err *e)
{
    snprintf(s->failure, sizeof(s->failure), "%s", e->why);
    struct sv where = s->endpoint               ? s->endpoint->text
                      : s->side == SIDE_INBOUND ? SV("application")
                                                : SV("upstream");
    s->is_why_inside = true;
    snprintf(s->why, sizeof(s->why), "%.*s: %.150s", (int)MIN(where.len, (size_t)60), where.p,
             e->why);
    if (e->code == ERR_LIMIT)
        return stream_fail(s, 503, TALLY_REPLIES_UO, "UO",
                           "upstream_reset_before_response_started{overflow}");
    return stream_fail(s, 503, TALLY_REPLIES_UF, "UF", "upstream_reset_before_response_started{%s}",
                       e->code == ERR_TLS ? "tls_failure" : "remote_connection_failure");
}

static enum step_result no_endpoint(struct stream *s)
{
    const struct cluster *c = s->cluster;
    s->is_why_inside = true;
    if (c->is_looked_up && !c->endpoints_len) {
        snprintf(s->why, sizeof(s->why), "no address is known for %.*s",
                 (int)MIN(c->host.len, (size_t)120), c->host.p);
        return stream_fail(s, 503, TALLY_REPLIES_DF, "DF", "dns_resolution_failure");
    }
    snprintf(s->why, sizeof(s->why), "no %sendpoints for %.*s",
             s->cluster->endpoints_len ? "healthy " : "",
             (int)MIN(s->cluster->name.len, (size_t)120), s->cluster->name.p);
    return stream_fail(s, 503, TALLY_REPLIES_UH, "UH", "no_healthy_upstream");
}

static const struct endpoint *pick(struct stream *s)
{
    struct worker *w = s->worker;
    struct balance_ask ask = {
        .active = worker_loads(w, s->mesh),
        .outlier = &w->outlier,
        .health = &w->health,
        .now_ns = loop_now_ns(w->loop),
        .random = random_u64(),
        .hash = s->traffic.has_hash ? &s->traffic.hash : NULL,
        .cursor = s->seat.use ? &s->seat.use->cursor : NULL,
        .tried = s->tried,
        .tried_len = MIN(s->tried_len, (size_t)TRIED_MAX),
    };
    const struct endpoint *e = balance_pick(s->cluster, &ask);
    s->is_last_resort = e && ask.tried_len && s->cluster->outlier &&
                        outlier_out_ns(&w->outlier, e, ask.now_ns) > 0;
    if (s->is_last_resort)
        tally(TALLY_OUTLIER_LAST_RESORT);
    return e;
}

/* Mutual TLS with the mesh's certificates. */
static int use_mesh_tls(struct worker *w, const struct cluster *c, const struct endpoint *e,
                        struct target *t, struct err *err)
{
    if (!w->certs)
        return err_set(err, ERR_TLS, "mutual TLS asked for, but there are no --certs");
    t->is_mtls = true;
    t->tls = t->is_h2 ? w->certs->client_h2 : w->certs->client;
    t->sni = c->sni;
    t->spiffe = mesh_expected(c, e);
    return 0;
}

static const struct route_actions *actions_of(const struct stream *s)
{
    return s->route ? s->route->actions : NULL;
}

/* TLS as the DestinationRule or the route describes it. */
static int use_own_tls(struct stream *s, struct target *t, const struct client_tls *c,
                       bool is_mutual, struct err *err)
{
    struct sv host = s->traffic.authority.p ? s->traffic.authority : s->req->authority;
    size_t colon = sv_rindex(host, ':');
    t->tls = client_tls_get(&s->worker->client_tls, c, is_mutual, t->is_h2, s->worker->opt->secrets,
                            err);
    if (!t->tls)
        return ERR_TLS;
    t->sni = c->sni.len ? c->sni : sv_sub(host, 0, colon);
    if (!c->trusts_anybody)
        t->names = c->names.len ? c->names : t->sni;
    return 0;
}

int connect_tls(struct stream *s, const struct cluster *c, const struct endpoint *e,
                struct target *t, struct err *err)
{
    const struct route_actions *a = c == s->cluster ? actions_of(s) : NULL;
    bool is_mutual = c->tls == TLS_MODE_MUTUAL;
    switch (c->tls) {
    case TLS_MODE_DISABLE: return 0;
    case TLS_MODE_AUTO:
        if (e->has_sidecar && s->worker->certs)
            return use_mesh_tls(s->worker, c, e, t, err);
        return a && a->backend_tls
                   ? use_own_tls(s, t, a->backend_tls, a->backend_tls->secret.len > 0, err)
                   : 0;
    case TLS_MODE_ISTIO_MUTUAL: return use_mesh_tls(s->worker, c, e, t, err);
    case TLS_MODE_SIMPLE:
    case TLS_MODE_MUTUAL: return use_own_tls(s, t, c->client_tls, is_mutual, err);
    }
    return 0;
}

/* What the port is declared to speak, or the DestinationRule says of it; what nobody says is as the caller does.
 * A protocol that is upgraded to begins with HTTP/1. */
bool connect_wants_h2(const struct stream *s, const struct cluster *c)
{
    const struct pool_limits *l = c ? c->limits : NULL;
    enum port_protocol p = c ? c->protocol : mesh_own_protocol(s->mesh, down_app_port(s->down));
    const struct route_actions *a = c == s->cluster ? actions_of(s) : NULL;
    if (s->upgrade.len)
        return false;
    if ((a && a->speaks_h2) || p == PORT_HTTP2 || p == PORT_GRPC || (l && l->upgrades_h2))
        return true;
    bool follows = (p == PORT_UNNAMED && !(l && l->stays_h1)) || (l && l->follows_caller);
    return follows && s->down_h2;
}

/* Which address, and how to speak to it. STEP_WAIT: go on; else the stream has failed. */
static enum step_result choose_target(struct stream *s, struct target *t)
{
    struct worker *w = s->worker;
    struct err err = { 0 };
    *t = (struct target){ .addr = &w->opt->app_addr,
                          .is_h2 = s->wants_h2,
                          .connect_timeout_ns = w->opt->connect_timeout_ns };
    const struct pool_limits *limits = s->cluster ? s->cluster->limits : NULL;
    if (limits) {
        t->streams_max = limits->streams_max;
        t->requests_max = limits->per_connection_max;
        t->lifetime_ns = limits->lifetime_ns;
        t->keepalive = &limits->keepalive;
    }
    if (s->side == SIDE_INBOUND || s->cluster == &passthrough_cluster) {
        if (s->down->has_original)
            t->addr = &s->down->original;
        t->has_from = down_app_source(s->down, &t->from);
        return STEP_WAIT;
    }
    s->endpoint = original_endpoint(s->down, s->cluster);
    if (!s->endpoint)
        s->endpoint = pick(s);
    if (!s->endpoint)
        return no_endpoint(s);
    s->destination = s->endpoint->identity;
    s->destination.principal = IDENTITY_UNKNOWN; /* until proven */
    t->addr = s->endpoint->addr.sa.sa_family ? &s->endpoint->addr : NULL;
    t->address = s->endpoint->address;
    t->port = s->endpoint->port;
    if (s->traffic.connect_ns || s->cluster->connect_timeout_ns)
        t->connect_timeout_ns = s->traffic.connect_ns ? s->traffic.connect_ns
                                                      : s->cluster->connect_timeout_ns;
    return connect_tls(s, s->cluster, s->endpoint, t, &err) < 0 ? cannot_connect(s, &err)
                                                                : STEP_WAIT;
}

static void overflow(struct stream *s, const char *what)
{
    struct err err = { 0 };
    err_set(&err, ERR_LIMIT, "%s of connectionPool is reached for %.*s", what,
            (int)MIN(s->cluster->name.len, (size_t)60), s->cluster->name.p);
    s->traffic.fields = SV("x-envoy-overloaded: true\r\n");
    (void)cannot_connect(s, &err);
}

/* After BREAKER_FULL the stream has failed. */
static enum breaker_answer take_place(struct stream *s)
{
    if (s->side == SIDE_INBOUND)
        return BREAKER_GO;
    if (!s->is_counted && !breaker_begin(&s->worker->breakers, &s->seat, s->cluster)) {
        overflow(s, "http2MaxRequests");
        return BREAKER_FULL;
    }
    s->is_counted = true;
    if (s->wants_h2)
        return BREAKER_GO; /* connections are shared: http2MaxRequests is the bound */
    enum breaker_answer answer = breaker_connect(&s->seat);
    if (answer == BREAKER_FULL)
        overflow(s, "http1MaxPendingRequests");
    return answer;
}

static enum step_result begin_connect(struct stream *s)
{
    struct target t;
    struct err err = { 0 };
    s->wants_h2 = connect_wants_h2(s, s->cluster);
    enum breaker_answer place = take_place(s);
    if (place == BREAKER_WAIT)
        return STEP_WAIT;
    if (place == BREAKER_FULL || choose_target(s, &t) != STEP_WAIT)
        return STEP_AGAIN;
    bool may_be_stale = s->is_req_read && s->is_idempotent;
    bool is_once = s->is_fresh_wanted ||
                   s->upgrade.len; /* a tunnel's connection never comes back */
    enum pool_use use = is_once ? POOL_FRESH : may_be_stale ? POOL_ANY : POOL_CHECKED;
    again_begin_try(s);
    if (pool_get(s->worker, &t, use, s, &s->up, &err) < 0)
        return cannot_connect(s, &err);
    s->pool = s->up->pool;
    uint32_t *load = stream_load(s);
    if (load)
        ++*load;
    return STEP_AGAIN;
}

static enum step_result connect_failed(struct stream *s)
{
    struct err e = *conn_error(s->up->conn);
    if (again_after_failure(s, RETRY_CONNECT))
        return STEP_AGAIN;
    stream_drop_up(s, false);
    return cannot_connect(s, &e);
}

enum step_result connect_run(struct stream *s)
{
    if (!s->up)
        return begin_connect(s);
    if (s->is_up_failed)
        return connect_failed(s);
    if (!s->up->is_open)
        return STEP_WAIT;
    s->can_read_up = false;
    s->state = ST_SEND;
    return STEP_AGAIN;
}
