/* SPDX-License-Identifier: Apache-2.0
 * connection.c - what becomes of a connection whose bytes are passed on as they are.
 *
 * The questions are those of sniff.c and tcp_connect.c, in their order: whose port is it and what is it
 * declared to speak, which route of tls[] or tcp[] fits, may the caller, which endpoints are there. A
 * sidecar is explained as one that takes connections over. */
#include "proxy/detect.h"
#include "proxy/explain/explain.h"
#include "proxy/route/tcp.h"
#include <stdio.h>

static void refuse(struct explain_outcome *ret, const char *why)
{
    snprintf(ret->why, sizeof(ret->why), "%s", why);
}

/* --- the routes --- */

static void put_names(struct buf *to, const struct tcp_match *m)
{
    for (size_t i = 0; i < m->sni_len; i++)
        buf_printf(to, "%s'%.*s'", i ? " or " : "", SV_ARG(m->sni_hosts[i]));
}

static void put_subnets(struct buf *to, const struct tcp_match *m)
{
    for (size_t i = 0; i < m->subnets_len; i++) {
        buf_put(to, i ? SV(" or ") : SV_NONE);
        ip_block_put(to, &m->subnets[i]);
    }
}

static void put_miss(struct buf *to, const struct tcp_entry *e, const struct tcp_ask *ask)
{
    switch (tcp_entry_miss(e, ask)) {
    case TCP_FITS: break;
    case TCP_MISS_TLS: buf_put(to, SV("the connection does not begin with TLS")); break;
    case TCP_MISS_PORT: buf_printf(to, "port is %u, wanted: %u", ask->port, e->match.port); break;
    case TCP_MISS_NAME:
        if (ask->sni.len)
            buf_printf(to, "server name is '%.*s', wanted: ", SV_ARG(ask->sni));
        else
            buf_put(to, SV("there is no server name, wanted: "));
        put_names(to, &e->match);
        break;
    case TCP_MISS_SUBNET:
        buf_put(to, SV("destination address is "));
        if (ask->destination.is_known)
            ip_put(to, &ask->destination);
        else
            buf_put(to, SV("not known"));
        buf_put(to, SV(", wanted: "));
        put_subnets(to, &e->match);
        break;
    }
}

/* The first entry that fits, those before it told; NULL when there is none. */
static const struct tcp_entry *search(const struct tcp_service *s, const struct tcp_ask *ask,
                                      struct telling *t)
{
    const struct tcp_entry *found = NULL;
    tell_open(t, "passed_over", '[');
    for (size_t i = 0; i < s->entries_len && !found; i++) {
        const struct tcp_entry *e = &s->entries[i];
        AUTO_DONE(buf) why = { 0 };
        put_miss(&why, e, ask);
        if (!why.len) {
            found = e;
            break;
        }
        tell_open(t, NULL, '{');
        tell_str(t, "rule", e->route->name);
        explain_origin(t, "written_in", e->route->origin);
        tell_str(t, "why", buf_sv(&why));
        tell_close(t);
    }
    tell_close(t);
    return found;
}

/* An endpoint that is called by its own address gets the connection itself. */
static void tell_meant(const struct explain_ask *q, const struct route *r, struct telling *t,
                       struct explain_outcome *ret)
{
    AUTO_DONE(buf) ip = { 0 };
    if (!q->destination_ip.is_known || q->side != EXPLAIN_OUTBOUND)
        return;
    ip_put(&ip, &q->destination_ip);
    for (size_t i = 0; i < r->targets_len && !ret->endpoint; i++)
        ret->endpoint = mesh_endpoint_meant(q->mesh, r->targets[i].cluster, buf_sv(&ip), q->port);
    if (ret->endpoint)
        tell_str(t, "called_by_its_own_address", ret->endpoint->text);
}

static void tell_destinations(const struct explain_ask *q, const struct route *r, struct telling *t,
                              struct explain_outcome *ret)
{
    ret->route = r;
    tell_meant(q, r, t, ret);
    tell_open(t, "destinations", '[');
    for (size_t i = 0; i < r->targets_len; i++) {
        const struct cluster *c = r->targets[i].cluster;
        explain_cluster(t, c, explain_share(r, &r->targets[i]));
        if (r->targets[i].is_broken)
            refuse(ret,
                   "NC cluster_not_found: the route may not name its backend, or it is no Service");
        else
            ret->is_passed_on = ret->is_passed_on || c->endpoints_len || c->is_looked_up;
    }
    tell_close(t);
    if (ret->is_passed_on)
        ret->why[0] = '\0';
    else if (!ret->why[0])
        refuse(ret, "UH no_healthy_upstream: no destination has endpoints");
}

/* route and who decides; false: there is none. */
static const struct route *tell_route(const struct tcp_service *s, const struct tcp_ask *ask,
                                      struct telling *t, struct explain_outcome *ret)
{
    const struct tcp_entry *e = search(s, ask, t);
    const struct route *r = e ? e->route : tcp_route_by_name(s, ask);
    if (!r) {
        refuse(ret,
               s->by_name_len && ask->is_tls
                   ? "NR route_not_found: no rule takes this connection, and its server name is "
                     "not of the form outbound_.PORT_.SUBSET_.HOST of a Service"
                   : "NR route_not_found: no rule of tls[] or tcp[] takes this connection");
        return NULL;
    }
    tell_str(t, "route", r->name);
    explain_origin(t, "written_in", r->origin);
    if (!r->origin && !t->is_json)
        tell_str(t, "written_in", SV("no rule: the Service as it is"));
    return r;
}

static void tell_declared(struct telling *t, enum port_protocol p)
{
    if (p == PORT_UNNAMED)
        tell_str(t, "declared", SV("nothing: the first bytes decide"));
    else
        tell_str(t, "declared", sv_z(port_protocol_text(p)));
}

/* --- a caller's sidecar --- */

static void to_nobody(const struct explain_ask *q, struct telling *t, struct explain_outcome *ret)
{
    bool is_open = mesh_lets_out(q->mesh, q->sni, q->port, q->allows_any);
    tell_str(t, "cluster", is_open ? SV("PassthroughCluster") : SV("BlackHoleCluster"));
    ret->is_passed_on = is_open;
    if (is_open)
        tell_str(t, "passed_on_to", SV("the address it was made to: no Service has it"));
    else
        refuse(ret,
               "UH no_healthy_upstream: no Service has this address and port, and only what is "
               "registered may be called");
}

static void tell_service(const struct explain_ask *q, const struct tcp_service *s,
                         const struct tcp_ask *ask, struct telling *t)
{
    AUTO_DONE(buf) text = { 0 };
    tell_str(t, "service", s->host);
    tell_str(t, "found_by", q->destination_ip.is_known ? SV("address") : SV("name"));
    if (ask->destination.is_known) {
        ip_put(&text, &ask->destination);
        tell_str(t, "address", buf_sv(&text));
    }
    tell_u64(t, "port", s->port);
    tell_declared(t, s->protocol);
}

static void leaves(const struct explain_ask *q, struct telling *t, struct explain_outcome *ret)
{
    const struct tcp_service *s = q->destination_ip.is_known
                                      ? mesh_tcp_by_address(q->mesh, &q->destination_ip, q->port)
                                      : mesh_tcp_by_host(q->mesh, q->host, q->port);
    if (!s && q->destination_ip.is_known && q->is_tls)
        s = mesh_tcp_by_sni(q->mesh, &q->destination_ip, q->port, q->sni);
    if (!s) {
        to_nobody(q, t, ret);
        return;
    }
    struct tcp_ask ask = { .is_tls = q->is_tls,
                           .sni = q->sni,
                           .destination = q->destination_ip.is_known ? q->destination_ip
                                                                     : mesh_tcp_address(q->mesh, s),
                           .port = s->port };
    tell_service(q, s, &ask, t);
    if (port_protocol_is_http(s->protocol)) {
        refuse(ret,
               "the port is declared to speak HTTP, so what comes is read as requests: explain "
               "these with http://");
        return;
    }
    const struct route *r = tell_route(s, &ask, t, ret);
    if (r)
        tell_destinations(q, r, t, ret);
}

/* --- a gateway --- */

static const struct gateway_port *find_port(const struct explain_ask *q)
{
    const struct gateway_port *list;
    size_t n = mesh_gateway_ports(q->mesh, &list);
    for (size_t i = 0; i < n; i++)
        if (list[i].listen == q->port)
            return &list[i];
    for (size_t i = 0; i < n; i++)
        if (list[i].number == q->port)
            return &list[i];
    return NULL;
}

/* What is not passed on as it came: is TLS ended here, and do connections follow or requests? False: it
 * ends here. */
static bool enters(const struct gateway_port *p, const struct tcp_service *s, struct tcp_ask *ask,
                   struct telling *t, struct explain_outcome *ret)
{
    bool is_passed_on = tcp_is_unopened(s, ask), has_tcp = false;
    for (size_t i = 0; i < s->entries_len; i++)
        has_tcp = has_tcp || !s->entries[i].is_tls;
    if (!p->certs_len) {
        if (s->protocol != PORT_HTTP || s->wants_sni)
            return true;
        refuse(ret, "the gateway serves requests on this port: explain these with http://");
        return false;
    }
    if (!ask->is_tls && !s->wants_sni)
        refuse(ret, "the gateway ends TLS on this port, and this is none");
    else if (ask->is_tls && !is_passed_on && !has_tcp)
        refuse(ret,
               "the gateway ends TLS for this server name and serves requests: explain these with "
               "https://");
    if (ret->why[0])
        return false;
    if (ask->is_tls && !is_passed_on) {
        tell_str(t, "tls", SV("ended here"));
        ask->is_tls = false;
    }
    return true;
}

static void passes_gateway(const struct explain_ask *q, struct telling *t,
                           struct explain_outcome *ret)
{
    const struct gateway_port *p = find_port(q);
    const struct tcp_service *s = p ? mesh_gateway_tcp(q->mesh, p->listen) : NULL;
    if (!s) {
        refuse(ret, "the gateway does not listen on this port");
        return;
    }
    struct tcp_ask ask = {
        .is_tls = q->is_tls, .sni = q->sni, .destination = q->destination_ip, .port = s->port
    };
    tell_u64(t, "port", p->number);
    tell_str(t, "declared", p->protocol);
    explain_caller(q, t);
    if (!enters(p, s, &ask, t, ret))
        return;
    const struct route *r = tell_route(s, &ask, t, ret);
    if (r && explain_policies(q, t, ret))
        tell_destinations(q, r, t, ret);
}

/* --- in front of an application --- */

static void arrives(const struct explain_ask *q, struct telling *t, struct explain_outcome *ret)
{
    enum port_protocol p = mesh_own_protocol(q->mesh, q->port);
    struct explain_ask seen = *q;
    tell_u64(t, "port", q->port);
    tell_declared(t, p);
    explain_caller(q, t);
    if (!explain_mutual_tls(q, t, ret))
        return;
    if (port_protocol_is_http(p)) {
        refuse(ret,
               "the port is declared to speak HTTP, so what comes is read as requests: explain "
               "these with http://");
        return;
    }
    if (mesh_inbound_mtls(q->mesh, q->port) ==
        MTLS_DISABLE) /* passed on unopened: proves nothing */
        seen.is_mutual = false;
    if (!explain_policies(&seen, t, ret))
        return;
    ret->is_passed_on = true;
    tell_str(t, "passed_on_to", SV("the application"));
}

void explain_connection(const struct explain_ask *q, struct telling *t, struct explain_outcome *ret)
{
    switch (q->side) {
    case EXPLAIN_OUTBOUND: leaves(q, t, ret); break;
    case EXPLAIN_GATEWAY: passes_gateway(q, t, ret); break;
    case EXPLAIN_INBOUND: arrives(q, t, ret); break;
    }
}
