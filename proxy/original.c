/* SPDX-License-Identifier: Apache-2.0
 * original.c - asks the kernel whom a redirected connection was for, and refuses loops.
 *
 * The answer is in the connection tracking table, with TPROXY in the socket itself. Who connected to one of our ports directly was not
 * redirected: an application of this pod may well use the outbound port as a proxy for HTTP, where the
 * request says where it goes; nobody else may. On the inbound port it would make us call ourselves; so
 * would a connection to another of our ports. The application itself is called from 127.0.0.6 (::6),
 * which the rules let pass; with TPROXY from the caller's own address, from a port that is hardly ever one
 * of the caller's: two connections between the same ends would be one.
 *
 * Requests go by their Host, as in Istio; when nobody has that name, by the address they were sent to;
 * when nobody has that either, they go where they were going, or nowhere. An endpoint that was called
 * by its own address (a headless Service, a scrape) gets the call itself. */
#include "proxy/original.h"
#include "proxy/init_rules.h"
#include "proxy/route/tcp.h"
#include "proxy/stream.h"
#include <linux/netfilter_ipv4.h>
#include <sys/socket.h>

#define PORT_FIRST       10240 /* below 32768, where Linux takes its callers' ports from */
#define PORT_LAST        32700
#define PORT_DRAWS       8
#define IP6_ORIGINAL_DST 80 /* IP6T_SO_ORIGINAL_DST, whose header does not go with netinet/in.h */

const struct cluster passthrough_cluster = { .name = { "PassthroughCluster", 18 },
                                             .host = { "PassthroughCluster", 18 } };
const struct cluster black_hole_cluster = { .name = { "BlackHoleCluster", 16 },
                                            .host = { "BlackHoleCluster", 16 } };
static const struct route_target anywhere = { .cluster = &passthrough_cluster, .weight = 1 };
static const struct route passthrough_route = {
    .name = { "allow_any", 9 },
    .targets = &anywhere,
    .targets_len = 1,
    .weight_sum = 1,
    .retry = &retry_default,
};
#define NOBODY "nobody in the mesh is registered for this destination\n"
static const struct direct_response refusal = { .status = 502,
                                                .body = { NOBODY, sizeof(NOBODY) - 1 } };
static const struct route_actions refuses = { .direct = &refusal };
static const struct route block_all = { .name = { "block_all", 9 }, .actions = &refuses };

static bool is_v4(const struct addr *a)
{
    return a->sa.sa_family == AF_INET ||
           (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr));
}

static bool is_same(const struct addr *a, const struct addr *b)
{
    struct ip x = ip_of_addr(a), y = ip_of_addr(b);
    return memcmp(x.b, y.b, sizeof(x.b)) == 0 && addr_port(a) == addr_port(b);
}

static bool is_loopback(const struct addr *a)
{
    struct ip ip = ip_of_addr(a);
    static const uint8_t six[16] = { [15] = 1 };
    return is_v4(a) ? ip.b[12] == 127 : memcmp(ip.b, six, sizeof(six)) == 0;
}

/* Does the port belong to us? */
static bool is_own_port(const struct worker *w, uint16_t port)
{
    for (size_t i = 0; i < w->ports_len; i++)
        if (w->ports[i].listener && w->ports[i].number == port)
            return true;
    return false;
}

static bool ask_tracking(const struct down *d, struct addr *ret)
{
    bool is_4 = is_v4(conn_local(d->conn));
    socklen_t len = is_4 ? sizeof(ret->v4) : sizeof(ret->v6);
    memset(ret, 0, sizeof(*ret));
    return getsockopt(conn_fd(d->conn), is_4 ? SOL_IP : SOL_IPV6,
                      is_4 ? SO_ORIGINAL_DST : IP6_ORIGINAL_DST, &ret->sa, &len) == 0;
}

/* TPROXY changes no address: the socket's own is where the connection was going. */
static bool ask_socket(const struct down *d, struct addr *ret)
{
    *ret = addr_unmapped(conn_local(d->conn));
    return d->worker->opt->intercept == INTERCEPT_TPROXY && d->port->side == SIDE_INBOUND;
}

bool original_find(struct down *d)
{
    const struct worker *w = d->worker;
    if (w->opt->intercept == INTERCEPT_NONE || d->port->tcp_host.len)
        return true;
    d->has_original = ask_tracking(d, &d->original) && !is_same(&d->original, conn_local(d->conn));
    if (!d->has_original)
        d->has_original = ask_socket(d, &d->original);
    if (d->port->side == SIDE_INBOUND)
        return d->has_original && !is_own_port(w, addr_port(&d->original));
    return d->has_original || is_loopback(conn_peer(d->conn));
}

const struct route *original_route(const struct down *d, const struct mesh *m,
                                   const struct http_head *req, uint16_t named)
{
    if (!d->has_original)
        return mesh_route(m, req, named);
    struct ip ip = ip_of_addr(&d->original);
    uint16_t port = addr_port(&d->original);
    const struct route *r = mesh_route(m, req, port);
    const struct tcp_service *s = r ? NULL : mesh_tcp_by_address(m, &ip, port);
    if (s) {
        struct http_head by_address = *req;
        by_address.authority = s->host;
        r = mesh_route(m, &by_address, s->port);
    }
    if (r)
        return r;
    bool is_open = mesh_lets_out(m, req->authority, port, d->worker->opt->allows_any);
    return is_open ? &passthrough_route : &block_all;
}

const struct endpoint *original_endpoint(const struct down *d, const struct cluster *c)
{
    char host[ADDR_TEXT_SIZE];
    return d->has_original ? mesh_endpoint_meant(d->worker->mesh, c, addr_host(&d->original, host),
                                                 addr_port(&d->original))
                           : NULL;
}

bool down_app_source(const struct down *d, struct conn_from *ret)
{
    if (!d->has_original || d->port->side != SIDE_INBOUND)
        return false;
    *ret = (struct conn_from){ .mark = 0 };
    if (d->worker->opt->intercept != INTERCEPT_TPROXY)
        return addr_parse(is_v4(&d->original) ? SV("127.0.0.6") : SV("::6"), 0, &ret->addr, NULL) ==
               0;
    ret->addr = addr_unmapped(conn_peer(d->conn));
    addr_set_port(&ret->addr, 0);
    ret->mark = CAPTURE_TPROXY_MARK;
    return true;
}

static bool is_callers_port(const struct worker *w, const struct addr *a)
{
    LIST_EACH (it, after, &w->downs) {
        const struct down *d = CONTAINER_OF(it, struct down, node);
        struct addr peer = addr_unmapped(conn_peer(d->conn));
        if (addr_eq(&peer, a))
            return true;
    }
    return false;
}

void original_choose_port(const struct worker *w, struct conn_from *from)
{
    for (int i = 0; from->mark && i < PORT_DRAWS; i++) {
        uint16_t port = (uint16_t)(PORT_FIRST + random_u64() % (PORT_LAST - PORT_FIRST));
        addr_set_port(&from->addr, port);
        if (!is_callers_port(w, &from->addr))
            return;
    }
}
