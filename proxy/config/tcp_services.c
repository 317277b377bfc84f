/* SPDX-License-Identifier: Apache-2.0
 * tcp_services.c - from Services and VirtualServices to what is asked of a connection: who is meant by
 * an address and port, and where does it go.
 *
 * A sidecar that takes connections over has an entry for every port of every Service, found by the
 * Service's addresses, by those of its endpoints (a headless Service's clients call these), and by
 * name. Its last route is the Service itself, so that it always has one. Other sidecars do not pay for
 * this. ServiceEntries for blocks of addresses are in tcp_nets.c. A gateway has an entry for each port whose VirtualServices have tls[] or tcp[] routes. */
#include "proxy/config/resolve.h"
#include <stdlib.h>

#define ENTRIES_MAX 4096 /* of one port: looked through one by one */

struct listing {
    struct tcp_entry *list; /* in the mesh's arena, grown by doubling */
    size_t len, cap;
    bool wants_sni;
};

static void add_entry(struct resolve *r, struct listing *to, const struct tcp_entry *e)
{
    if (!e->route || to->len >= ENTRIES_MAX)
        return;
    if (to->len == to->cap) {
        size_t wider = to->cap ? to->cap * 2 : 1;
        struct tcp_entry *grown = arena_array(&r->mesh->mem, wider, sizeof(*grown));
        if (!grown) {
            resolve_nomem(r);
            return;
        }
        if (to->len)
            memcpy(grown, to->list, to->len * sizeof(*grown));
        to->list = grown;
        to->cap = wider;
    }
    to->list[to->len++] = *e;
    to->wants_sni = to->wants_sni || e->is_tls;
}

static struct sv rule_name(struct resolve *r, const struct virtual_service *v, size_t index)
{
    AUTO_DONE(buf) text = { 0 };
    size_t tls = 0;
    while (tls < v->tcp_len && v->tcp[tls].is_tls)
        tls++;
    buf_printf(&text, "%.*s.%s[%zu]", SV_ARG(v->meta.name), index < tls ? "tls" : "tcp",
               index < tls ? index : index - tls);
    if (text.failed)
        resolve_nomem(r);
    return resolve_name(r, buf_sv(&text));
}

static bool is_block_ours(struct resolve *r, const struct virtual_service *v,
                          const struct tcp_block *b, const struct gateway *gateway)
{
    const struct text_list *gateways = b->gateways.len ? &b->gateways : &v->gateways;
    if (r->role == ROLE_CHECK)
        return true;
    if (gateway)
        return resolve_names_gateway(gateways, v->meta.namespace, gateway);
    if (b->source_namespace.len && !sv_eq(b->source_namespace, r->namespace))
        return false;
    return labels_match(&r->self_labels, &b->source_labels) &&
           resolve_is_bound(r, gateways, v->meta.namespace);
}

/* A TLSRoute's names as far as the listener has them, too. */
static void meet_hosts(struct resolve *r, const struct virtual_service *v,
                       const struct door_server *s, struct tcp_match *m)
{
    struct sv *met = arena_array(&r->mesh->mem, m->sni_len * s->server->hosts.len + 1,
                                 sizeof(*met));
    size_t len = 0;
    if (!met)
        resolve_nomem(r);
    for (size_t i = 0; met && i < m->sni_len; i++)
        for (size_t k = 0; k < s->server->hosts.len; k++) {
            met[len] = resolve_host_met(r, s, s->server->hosts.list[k], m->sni_hosts[i],
                                        v->meta.namespace);
            met[len] = resolve_name(r, met[len]);
            len += met[len].len > 0;
        }
    m->sni_hosts = met;
    m->sni_len = len;
}

/* The rules of v that this proxy has, for connections to this port. */
static void add_rules(struct resolve *r, struct listing *to, const struct virtual_service *v,
                      const struct door_server *server, uint16_t port)
{
    const struct gateway *gateway = server ? server->gateway : NULL;
    static const struct tcp_block everything = { .match = { .port = 0 } };
    for (size_t i = 0; i < v->tcp_len; i++) {
        const struct tcp_rule *rule = &v->tcp[i];
        for (size_t k = 0; k < MAX(rule->blocks_len, 1); k++) {
            const struct tcp_block *b = rule->blocks_len ? &rule->blocks[k] : &everything;
            if (!is_block_ours(r, v, b, gateway) || (b->match.port && b->match.port != port))
                continue;
            struct tcp_entry e = {
                .match = b->match,
                .is_tls = rule->is_tls,
                .route = resolve_route(r, v, &rule->rule, rule_name(r, v, i), gateway ? 0 : port),
            };
            if (v->is_k8s && b->match.sni_len && server)
                meet_hosts(r, v, server, &e.match);
            add_entry(r, to, &e);
        }
    }
}

static bool speaks_for(struct resolve *r, const struct virtual_service *v, struct sv fqdn)
{
    for (size_t i = 0; i < v->hosts.len; i++)
        if (resolve_covers(resolve_host(r, resolve_lower(r, v->hosts.list[i]), v->meta.namespace),
                           fqdn))
            return true;
    return false;
}

static void add_service_port(struct resolve *r, struct service_entry *e,
                             const struct service_port *p, struct tcp_service *to)
{
    struct listing entries = { 0 };
    struct virtual_service none = { .meta = e->object->meta };
    struct destination self = { .host = e->fqdn, .port = p->port, .weight = 1 };
    struct http_rule rule = { .targets = &self, .targets_len = 1 };
    for (const struct virtual_service *v = r->catalog->virtual_services.first; v; v = v->next)
        if (v->tcp_len && speaks_for(r, v, e->fqdn))
            add_rules(r, &entries, v, NULL, p->port);
    struct tcp_entry last = { .route = resolve_route(r, &none, &rule, SV("default"), p->port) };
    add_entry(r, &entries, &last);
    *to = (struct tcp_service){ .host = e->fqdn,
                                .port = p->port,
                                .protocol = p->protocol,
                                .wants_sni = entries.wants_sni,
                                .entries = entries.list,
                                .entries_len = entries.len };
}

static int by_name(const void *a, const void *b)
{
    const struct tcp_service *x = a, *y = b;
    int order = sv_cmp(x->host, y->host);
    return order ? order : (int)x->port - (int)y->port;
}

static int compare_address(const struct tcp_address *x, const struct ip *ip, uint16_t port)
{
    int order = memcmp(x->ip.b, ip->b, sizeof(x->ip.b));
    return order ? order : (int)x->port - (int)port;
}

/* Of two at one address the more certain: a Service's own address before an endpoint's, then the one
 * that was read first. */
static int by_address(const void *a, const void *b)
{
    const struct tcp_address *x = a, *y = b;
    int order = compare_address(x, &y->ip, y->port);
    if (order)
        return order;
    if (x->is_endpoint != y->is_endpoint)
        return x->is_endpoint ? 1 : -1;
    return by_name(x->service, y->service);
}

static size_t addresses_max(struct resolve *r)
{
    size_t n = 0;
    for (const struct service_entry *e = r->entries.first; e; e = e->next)
        for (size_t i = 0; e->object && i < e->object->ports_len; i++)
            n += e->object->addresses.len + e->ports[i].len;
    return n;
}

static void put_address(struct mesh *m, struct sv text, uint16_t port, bool is_endpoint,
                        const struct tcp_service *s)
{
    struct ip ip = ip_of_text(text);
    if (ip.is_known)
        m->tcp_addresses[m->tcp_addresses_len++] = (struct tcp_address){ ip, port, is_endpoint, s };
}

static void index_addresses(struct resolve *r)
{
    struct mesh *m = r->mesh;
    m->tcp_addresses = arena_array(&m->mem, addresses_max(r) + 1, sizeof(*m->tcp_addresses));
    if (!m->tcp_addresses) {
        resolve_nomem(r);
        return;
    }
    for (const struct service_entry *e = r->entries.first; e; e = e->next)
        for (size_t i = 0; e->object && i < e->object->ports_len; i++) {
            const struct service *s = e->object;
            const struct tcp_service *to = mesh_tcp_by_name(m, e->fqdn, s->ports[i].port);
            for (size_t k = 0; to && k < s->addresses.len; k++)
                put_address(m, s->addresses.list[k], s->ports[i].port, false, to);
            for (size_t k = 0; to && k < e->ports[i].len; k++)
                put_address(m, e->ports[i].list[k].endpoint->address,
                            e->ports[i].list[k].endpoint->port, true, to);
        }
    qsort(m->tcp_addresses, m->tcp_addresses_len, sizeof(*m->tcp_addresses), by_address);
}

static void add_services(struct resolve *r)
{
    struct mesh *m = r->mesh;
    size_t max = 0;
    for (const struct service_entry *e = r->entries.first; e; e = e->next)
        max += e->object && !e->is_hidden ? e->object->ports_len : 0;
    m->tcp = arena_array(&m->mem, max + 1, sizeof(*m->tcp));
    if (!m->tcp) {
        resolve_nomem(r);
        return;
    }
    for (struct service_entry *e = r->entries.first; e; e = e->next)
        for (size_t i = 0; e->object && !e->is_hidden && i < e->object->ports_len; i++)
            add_service_port(r, e, &e->object->ports[i], &m->tcp[m->tcp_len++]);
    qsort(m->tcp, m->tcp_len, sizeof(*m->tcp), by_name);
    index_addresses(r);
}

/* Is one of v's hosts among those of the server? */
static bool is_served(struct resolve *r, const struct virtual_service *v,
                      const struct door_server *s)
{
    for (size_t h = 0; h < v->hosts.len; h++) {
        struct sv host = resolve_host(r, resolve_lower(r, v->hosts.list[h]), v->meta.namespace);
        for (size_t i = 0; i < s->server->hosts.len; i++)
            if (resolve_host_met(r, s, s->server->hosts.list[i], host, v->meta.namespace).len)
                return true;
    }
    return false;
}

static void add_door(struct resolve *r, struct door *d)
{
    struct listing entries = { 0 };
    for (const struct virtual_service *v = r->catalog->virtual_services.first; v; v = v->next)
        for (const struct door_server *s = d->servers; v->tcp_len && s; s = s->next)
            if (resolve_names_server(r, v, s) && is_served(r, v, s))
                add_rules(r, &entries, v, s, s->server->port.number);
    struct tcp_service by_name = { 0 };
    resolve_by_name(r, d, &by_name);
    d->tcp = (struct tcp_service){ .port = d->port->number,
                                   .protocol = d->port->is_tcp   ? PORT_TCP
                                               : d->port->is_tls ? PORT_TLS
                                                                 : PORT_HTTP,
                                   .wants_sni = entries.wants_sni || by_name.by_name_len,
                                   .entries = entries.list,
                                   .entries_len = entries.len,
                                   .by_name = by_name.by_name,
                                   .by_name_len = by_name.by_name_len };
}

static bool is_own_endpoint(struct resolve *r, const struct endpoint *e)
{
    return sv_eq(e->identity.workload, r->workload) && sv_eq(e->identity.namespace, r->namespace);
}

/* The port of our own application behind a port of the Service; 0: it is not ours. */
static uint16_t own_target(struct resolve *r, const struct service_entry *e, size_t port)
{
    const struct service *s = e->object;
    const struct port_backends *behind = &e->ports[port];
    bool is_selected = s->selector.len && sv_eq(s->meta.namespace, r->namespace) &&
                       labels_match(&r->self_labels, &s->selector);
    if (is_selected && !s->ports[port].target_name.len)
        return s->ports[port].target;
    for (size_t i = 0; i < behind->len; i++)
        if (is_selected || is_own_endpoint(r, behind->list[i].endpoint))
            return behind->list[i].endpoint->port;
    return 0;
}

/* What the ports of our own application are declared to speak. */
static void add_own_ports(struct resolve *r)
{
    struct mesh *m = r->mesh;
    size_t len = 0;
    for (int pass = 0; pass < 2; pass++) { /* count, then fill: nearly all Services are others' */
        struct own_port *list = pass ? arena_array(&m->mem, len + 1, sizeof(*list)) : NULL;
        if (pass && !list) {
            resolve_nomem(r);
            return;
        }
        len = 0;
        for (const struct service_entry *e = r->entries.first; e; e = e->next)
            for (size_t i = 0; e->object && i < e->object->ports_len; i++) {
                uint16_t port = own_target(r, e, i);
                if (port && list)
                    list[len] = (struct own_port){ e->fqdn, port, e->object->ports[i].protocol };
                len += port != 0;
            }
        m->own_ports = list;
    }
    m->own_ports_len = len;
}

void resolve_tcp(struct resolve *r)
{
    for (size_t i = 0; i < r->mesh->doors_len; i++)
        add_door(r, &r->mesh->doors[i]);
    if (r->role == ROLE_SIDECAR)
        add_own_ports(r);
    if (r->wants_tcp || r->role == ROLE_CHECK) {
        add_services(r);
        resolve_tcp_nets(r);
    }
}

const struct tcp_service *mesh_tcp_by_name(const struct mesh *m, struct sv fqdn, uint16_t port)
{
    struct tcp_service key = { .host = fqdn, .port = port };
    return m->tcp_len ? bsearch(&key, m->tcp, m->tcp_len, sizeof(*m->tcp), by_name) : NULL;
}

const struct tcp_service *mesh_tcp_by_host(const struct mesh *m, struct sv host, uint16_t port)
{
    struct sv fqdn = hosts_service(&m->hosts, host);
    return mesh_tcp_by_name(m, fqdn.len ? fqdn : host, port);
}

const struct tcp_service *mesh_tcp_by_address(const struct mesh *m, const struct ip *ip,
                                              uint16_t port)
{
    size_t from = 0, to = m->tcp_addresses_len;
    while (from < to) { /* the first of equal ones */
        size_t mid = from + (to - from) / 2;
        if (compare_address(&m->tcp_addresses[mid], ip, port) < 0)
            from = mid + 1;
        else
            to = mid;
    }
    bool is_found = ip->is_known && from < m->tcp_addresses_len &&
                    compare_address(&m->tcp_addresses[from], ip, port) == 0;
    return is_found ? m->tcp_addresses[from].service : tcp_net_service(m, ip, port);
}

struct ip mesh_tcp_address(const struct mesh *m, const struct tcp_service *s)
{
    for (size_t i = 0; i < m->tcp_addresses_len; i++)
        if (m->tcp_addresses[i].service == s && !m->tcp_addresses[i].is_endpoint)
            return m->tcp_addresses[i].ip;
    return (struct ip){ .is_known = false };
}

const struct tcp_service *mesh_gateway_tcp(const struct mesh *m, uint16_t listen)
{
    for (size_t i = 0; i < m->doors_len; i++)
        if (m->doors[i].port->listen == listen)
            return &m->doors[i].tcp;
    return NULL;
}

enum port_protocol mesh_own_protocol(const struct mesh *m, uint16_t port)
{
    for (size_t i = 0; i < m->own_ports_len; i++)
        if (m->own_ports[i].port == port && m->own_ports[i].protocol != PORT_UNNAMED)
            return m->own_ports[i].protocol;
    return PORT_UNNAMED;
}

struct sv mesh_own_service(const struct mesh *m, uint16_t port, uint16_t other)
{
    for (size_t i = 0; i < m->own_ports_len; i++)
        if (m->own_ports[i].port == port)
            return m->own_ports[i].host;
    for (size_t i = 0; i < m->own_ports_len; i++)
        if (m->own_ports[i].port == other)
            return m->own_ports[i].host;
    return SV_NONE;
}
