/* SPDX-License-Identifier: Apache-2.0
 * tcp_nets.c - ServiceEntries that stand for blocks of addresses, or for a port wherever it is.
 *
 * Asked when an address is nobody's own. As with Istio's listeners (which are Envoy's filter chains behind
 * 0.0.0.0) the longest block with the address decides alone, there is no way back to a shorter one: of
 * those at it, one that speaks TLS takes connections that ask for its host, or for a name of a
 * VirtualService's tls[]; one that does not takes every other. An entry without addresses is the shortest
 * block, everything. HTTP goes by its Host, so entries for HTTP are not here.
 *
 * A look-up walks the blocks of one port: as many as ServiceEntries name for it. */
#include "proxy/config/resolve.h"
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    const struct tcp_net *x = a, *y = b;
    int order = (int)x->port - (int)y->port;
    if (order == 0)
        order = (int)y->block.bits - (int)x->block.bits;
    if (order == 0)
        order = memcmp(x->block.b, y->block.b, sizeof(x->block.b));
    return order ? order : sv_cmp(x->service->host, y->service->host);
}

static size_t count(struct resolve *r)
{
    size_t n = 0;
    for (const struct service_entry *e = r->entries.first; e; e = e->next)
        if (e->object && e->object->host.len)
            n += e->object->ports_len * MAX(e->object->addresses.len, 1);
    return n;
}

static void add(struct mesh *m, const struct ip_block *block, const struct tcp_service *s)
{
    struct tcp_net *to = &m->tcp_nets[m->tcp_nets_len++];
    *to = (struct tcp_net){ .block = *block, .port = s->port, .service = s };
    for (size_t bit = block->bits; bit < 128; bit++) /* equal blocks have equal bytes */
        to->block.b[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
}

static void add_port(struct resolve *r, const struct service_entry *e, const struct tcp_service *s)
{
    const struct text_list *addresses = &e->object->addresses;
    const struct ip_block everything = { .bits = 0 };
    for (size_t i = 0; i < addresses->len; i++) {
        struct ip_block block;
        if (!ip_of_text(addresses->list[i]).is_known &&
            ip_block_parse(addresses->list[i], &block, NULL) == 0)
            add(r->mesh, &block, s);
    }
    if (addresses->len)
        return;
    add(r->mesh, &everything, s);
    if (s->protocol == PORT_TCP)
        finding_place(&r->catalog->findings, false, &e->object->meta.place,
                      "has no addresses: it takes every connection to port %u that is for nobody "
                      "else",
                      s->port);
}

void resolve_tcp_nets(struct resolve *r)
{
    struct mesh *m = r->mesh;
    m->tcp_nets = arena_array(&m->mem, count(r) + 1, sizeof(*m->tcp_nets));
    if (!m->tcp_nets) {
        resolve_nomem(r);
        return;
    }
    for (const struct service_entry *e = r->entries.first; e; e = e->next)
        for (size_t i = 0; e->object && e->object->host.len && i < e->object->ports_len; i++) {
            const struct tcp_service *s = mesh_tcp_by_name(m, e->fqdn, e->object->ports[i].port);
            if (s && !port_protocol_is_http(s->protocol))
                add_port(r, e, s);
        }
    qsort(m->tcp_nets, m->tcp_nets_len, sizeof(*m->tcp_nets), compare);
}

/* The first of those at the longest block of the port that has the address; *ret_len of them. */
static const struct tcp_net *longest(const struct mesh *m, const struct ip *ip, uint16_t port,
                                     size_t *ret_len)
{
    size_t from = 0, to = m->tcp_nets_len, i, end;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (m->tcp_nets[mid].port < port)
            from = mid + 1;
        else
            to = mid;
    }
    for (i = from; i < m->tcp_nets_len && m->tcp_nets[i].port == port; i++)
        if (ip_block_has(&m->tcp_nets[i].block, ip))
            break;
    for (end = i; end < m->tcp_nets_len && m->tcp_nets[end].port == port &&
                  ip_block_has(&m->tcp_nets[end].block, ip) &&
                  m->tcp_nets[end].block.bits == m->tcp_nets[i].block.bits;)
        end++;
    *ret_len = end - i;
    return *ret_len ? &m->tcp_nets[i] : NULL;
}

const struct tcp_service *tcp_net_service(const struct mesh *m, const struct ip *ip, uint16_t port)
{
    size_t len;
    const struct tcp_net *list = longest(m, ip, port, &len);
    for (size_t i = 0; i < len; i++)
        if (list[i].service->protocol == PORT_TLS)
            return NULL;
    return len ? list->service : NULL;
}

/* Does a port that speaks TLS take connections that ask for this name? */
static bool takes_name(const struct tcp_service *s, struct sv sni)
{
    bool has_names = false;
    for (size_t i = 0; i < s->entries_len; i++) {
        struct tcp_entry only_name = s->entries[i];
        only_name.match.subnets_len = 0;
        only_name.match.port = 0;
        if (!only_name.is_tls)
            continue;
        has_names = true;
        if (tcp_entry_miss(&only_name, &(struct tcp_ask){ .is_tls = true, .sni = sni }) == TCP_FITS)
            return true;
    }
    return !has_names && sv_eq(s->host, sni);
}

const struct tcp_service *mesh_tcp_by_sni(const struct mesh *m, const struct ip *ip, uint16_t port,
                                          struct sv sni)
{
    size_t len;
    const struct tcp_net *list = longest(m, ip, port, &len);
    for (size_t i = 0; i < len; i++)
        if (list[i].service->protocol == PORT_TLS && takes_name(list[i].service, sni))
            return list[i].service;
    for (size_t i = 0; i < len; i++)
        if (list[i].service->protocol != PORT_TLS)
            return list[i].service;
    return NULL;
}
