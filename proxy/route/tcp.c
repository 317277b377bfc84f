/* SPDX-License-Identifier: Apache-2.0
 * tcp.c - the first entry that fits a connection, else what its server name alone means. */
#include "proxy/route/tcp.h"
#include <stdlib.h>

/* "*.com" stands for a.com and for a.b.com. */
static bool name_fits(struct sv pattern, struct sv sni)
{
    if (sv_eq(pattern, SV("*")))
        return true;
    if (!sv_starts(pattern, SV("*.")))
        return sv_eq(pattern, sni);
    return sni.len > pattern.len - 1 && sv_ends(sni, sv_from(pattern, 1));
}

static bool some_name_fits(const struct tcp_match *m, struct sv sni)
{
    for (size_t i = 0; i < m->sni_len; i++)
        if (name_fits(m->sni_hosts[i], sni))
            return true;
    return m->sni_len == 0;
}

static bool some_subnet_has(const struct tcp_match *m, const struct ip *ip)
{
    for (size_t i = 0; i < m->subnets_len; i++)
        if (ip_block_has(&m->subnets[i], ip))
            return true;
    return m->subnets_len == 0;
}

enum tcp_miss tcp_entry_miss(const struct tcp_entry *e, const struct tcp_ask *ask)
{
    const struct tcp_match *m = &e->match;
    if (e->is_tls && !ask->is_tls)
        return TCP_MISS_TLS;
    if (m->port && ask->port && m->port != ask->port)
        return TCP_MISS_PORT;
    if (!some_name_fits(m, ask->sni))
        return TCP_MISS_NAME;
    return some_subnet_has(m, &ask->destination) ? TCP_FITS : TCP_MISS_SUBNET;
}

const struct tcp_entry *tcp_entry(const struct tcp_service *s, const struct tcp_ask *ask)
{
    for (size_t i = 0; i < s->entries_len; i++)
        if (tcp_entry_miss(&s->entries[i], ask) == TCP_FITS)
            return &s->entries[i];
    return NULL;
}

static int compare_name(const void *a, const void *b)
{
    const struct tcp_name *x = a, *y = b;
    return sv_cmp(x->sni, y->sni);
}

const struct route *tcp_route_by_name(const struct tcp_service *s, const struct tcp_ask *ask)
{
    struct tcp_name key = { .sni = ask->sni };
    const struct tcp_name *found = NULL;
    if (ask->is_tls && s->by_name_len)
        found = bsearch(&key, s->by_name, s->by_name_len, sizeof(key), compare_name);
    return found ? found->route : NULL;
}

const struct route *tcp_route(const struct tcp_service *s, const struct tcp_ask *ask)
{
    const struct tcp_entry *e = tcp_entry(s, ask);
    return e ? e->route : tcp_route_by_name(s, ask);
}

bool tcp_is_unopened(const struct tcp_service *s, const struct tcp_ask *ask)
{
    const struct tcp_entry *e = tcp_entry(s, ask);
    return e ? e->is_tls : tcp_route_by_name(s, ask) != NULL;
}
