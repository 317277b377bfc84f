/* SPDX-License-Identifier: Apache-2.0
 * original.c - asks the kernel whom a redirected connection was for, and refuses loops.
 *
 * With REDIRECT the answer is in the connection tracking table; with TPROXY the connection's own local
 * address is it. Who connected to one of our ports directly was not redirected: an application may well
 * use the outbound port as a proxy for HTTP, where the request says where it goes. On the inbound port
 * it would make us call ourselves; so would a connection to another of our ports of this machine.
 * The application itself is called from 127.0.0.6 (::6), which the rules let pass. */
#include "proxy/original.h"
#include <linux/netfilter_ipv4.h>
#include <sys/socket.h>

#define IP6_ORIGINAL_DST 80 /* IP6T_SO_ORIGINAL_DST, whose header does not go with netinet/in.h */

static bool is_v4(const struct addr *a)
{
    return a->sa.sa_family == AF_INET;
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

bool original_find(struct down *d)
{
    const struct worker *w = d->worker;
    const struct addr *local = conn_local(d->conn);
    if (w->opt->intercept == INTERCEPT_NONE || d->port->tcp_host.len)
        return true;
    bool is_known = w->opt->intercept == INTERCEPT_REDIRECT ? ask_tracking(d, &d->original) : true;
    if (w->opt->intercept == INTERCEPT_TPROXY)
        d->original = *local;
    bool is_direct = !is_known ||
                     (addr_eq(&d->original, local) && addr_port(&d->original) == d->port->number);
    d->has_original = !is_direct;
    if (d->port->side == SIDE_INBOUND)
        return !is_direct && !is_own_port(w, addr_port(&d->original));
    return true;
}

bool down_app_source(const struct down *d, struct addr *ret)
{
    if (!d->has_original || d->port->side != SIDE_INBOUND ||
        d->worker->opt->intercept == INTERCEPT_NONE)
        return false;
    return addr_parse(is_v4(&d->original) ? SV("127.0.0.6") : SV("::6"), 0, ret, NULL) == 0;
}
