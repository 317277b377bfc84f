/* SPDX-License-Identifier: Apache-2.0
 * vhosts.c - from VirtualServices and Services to virtual hosts with rules in order.
 *
 * A sidecar has a virtual host for every Service, whose only rule is the Service itself, unless a
 * VirtualService speaks for the host; a gateway has only what is bound to it. Selectors that
 * depend on the proxy and not on the request (gateways, sourceLabels, sourceNamespace) are decided
 * here, so that a request never asks them. When a rule names no port, the port of the request is
 * meant; such a rule gets one route for each port its services have. */
#include "proxy/config/resolve.h"
#include <ctype.h>

#define PORTS_MAX 64 /* different ports one rule's services may have; the rest use the default */

static bool is_match_ours(struct resolve *r, const struct virtual_service *v,
                          const struct http_match *m)
{
    const struct text_list *gateways = m->gateways.len ? &m->gateways : &v->gateways;
    if (r->role == ROLE_CHECK)
        return true;
    if (m->source_namespace.len && !sv_eq(m->source_namespace, r->namespace))
        return false;
    return labels_match(&r->self_labels, &m->source_labels) &&
           resolve_is_bound(r, gateways, v->meta.namespace);
}

static struct sv route_name(struct resolve *r, const struct virtual_service *v,
                            const struct http_rule *rule, const struct http_match *m)
{
    AUTO_DONE(buf) text = { 0 };
    if (rule->name.len)
        buf_put(&text, rule->name);
    else
        buf_printf(&text, "%.*s.http[%zu]", SV_ARG(v->meta.name), (size_t)(rule - v->rules));
    if (m && m->name.len)
        buf_printf(&text, ".%.*s", SV_ARG(m->name));
    if (text.failed)
        resolve_nomem(r);
    return resolve_name(r, buf_sv(&text));
}

static struct service_entry *entry_of(struct resolve *r, const struct virtual_service *v,
                                      const struct destination *d)
{
    return resolve_entry(r, resolve_host(r, d->host, v->meta.namespace));
}

/* What the rule does with a request for this port (0: unknown). */
static const struct route *make_route(struct resolve *r, const struct virtual_service *v,
                                      const struct http_rule *rule, struct sv name, uint16_t port)
{
    size_t len = MAX(rule->targets_len, 1);
    struct route *route = arena_zalloc(&r->mesh->mem, sizeof(*route));
    struct route_target *targets = arena_array(&r->mesh->mem, len, sizeof(*targets));
    struct destination nowhere = { .host = SV("no.route.invalid"), .weight = 1 };
    if (!route || !targets) {
        resolve_nomem(r);
        return NULL;
    }
    for (size_t i = 0; i < len; i++) {
        const struct destination *d = rule->targets_len ? &rule->targets[i] : &nowhere;
        struct service_entry *e = entry_of(r, v, d);
        if (!e)
            return NULL;
        uint16_t to = d->port                             ? d->port
                      : port && resolve_has_port(e, port) ? port
                                                          : resolve_default_port(e);
        targets[i].cluster = resolve_cluster(r, e, to, d->subset,
                                             rule->targets_len ? &d->place : NULL);
        targets[i].weight = d->weight;
        route->weight_sum += d->weight;
    }
    *route = (struct route){ .name = name,
                             .targets = targets,
                             .targets_len = len,
                             .weight_sum = route->weight_sum,
                             .timeout_ns = rule->timeout_ns,
                             .retry = rule->retry ? rule->retry : &retry_default };
    return route;
}

/* The ports for which the rule means different clusters; at least one, the default first. */
static size_t ports_of(struct resolve *r, const struct virtual_service *v,
                       const struct http_rule *rule, uint16_t ports[PORTS_MAX])
{
    size_t len = 1;
    ports[0] = 0;
    for (size_t i = 0; i < rule->targets_len; i++) {
        const struct destination *d = &rule->targets[i];
        struct service_entry *e = entry_of(r, v, d);
        if (e && !ports[0])
            ports[0] = d->port ? d->port : resolve_default_port(e);
        bool is_open = e && e->object && !d->port && e->object->ports_len > 1;
        for (size_t k = 0; is_open && k < e->object->ports_len && len < PORTS_MAX; k++) {
            bool is_known = false;
            for (size_t p = 0; p < len; p++)
                is_known = is_known || ports[p] == e->object->ports[k].port;
            if (!is_known)
                ports[len++] = e->object->ports[k].port;
        }
    }
    return len;
}

static bool make_entry(struct resolve *r, const struct virtual_service *v,
                       const struct http_rule *rule, const struct http_match *m,
                       struct route_entry *to)
{
    uint16_t ports[PORTS_MAX];
    size_t len = ports_of(r, v, rule, ports);
    struct port_route *routes = arena_array(&r->mesh->mem, len, sizeof(*routes));
    struct sv name = route_name(r, v, rule, m);
    if (!routes) {
        resolve_nomem(r);
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        routes[i] = (struct port_route){ ports[i], make_route(r, v, rule, name, ports[i]) };
        if (!routes[i].route)
            return false;
    }
    to->match = m && !m->is_everything ? &m->match : NULL;
    to->routes = routes;
    to->routes_len = len;
    return true;
}

/* Conditions that another proxy may decide otherwise. */
static bool has_selectors(const struct http_match *m)
{
    return m->source_labels.len || m->source_namespace.len || m->gateways.len;
}

/* All rules of a VirtualService that this proxy has, flattened: a match block is an entry. */
static bool make_entries(struct resolve *r, const struct virtual_service *v, struct vhost *to)
{
    size_t max = 0, len = 0;
    bool is_closed = false;
    for (size_t i = 0; i < v->rules_len; i++)
        max += MAX(v->rules[i].matches_len, 1);
    struct route_entry *entries = arena_array(&r->mesh->mem, MAX(max, 1), sizeof(*entries));
    if (!entries) {
        resolve_nomem(r);
        return false;
    }
    for (size_t i = 0; i < v->rules_len; i++) {
        const struct http_rule *rule = &v->rules[i];
        const struct http_match everything = { .is_everything = true };
        if (is_closed) {
            finding_place(&r->catalog->findings, false, &rule->place,
                          "http[%zu] can never match: an earlier rule takes everything", i);
            break;
        }
        for (size_t k = 0; !is_closed && k < MAX(rule->matches_len, 1); k++) {
            const struct http_match *m = rule->matches_len ? &rule->matches[k] : &everything;
            if (!is_match_ours(r, v, m))
                continue;
            if (!make_entry(r, v, rule, rule->matches_len ? m : NULL, &entries[len]))
                return false;
            is_closed = !entries[len++].match && !has_selectors(m);
        }
    }
    to->entries = entries;
    to->entries_len = len;
    return len > 0;
}

static void append_entries(struct resolve *r, struct vhost *to, const struct vhost *more)
{
    size_t len = to->entries_len + more->entries_len;
    struct route_entry *both = arena_array(&r->mesh->mem, len, sizeof(*both));
    if (!both) {
        resolve_nomem(r);
        return;
    }
    memcpy(both, to->entries, to->entries_len * sizeof(*both));
    memcpy(both + to->entries_len, more->entries, more->entries_len * sizeof(*both));
    to->entries = both;
    to->entries_len = len;
}

static struct sv lower(struct resolve *r, struct sv host)
{
    char *p = arena_alloc(r->catalog->scratch, host.len);
    if (!p)
        resolve_nomem(r);
    for (size_t i = 0; p && i < host.len; i++)
        p[i] = (char)tolower((unsigned char)host.p[i]);
    return sv_of(p, p ? host.len : 0);
}

/* Two VirtualServices for one host: a gateway has the rules of both, oldest first; in a sidecar the
 * oldest speaks alone, as Istio warns. */
static void put_host(struct resolve *r, const struct virtual_service *v, struct sv host,
                     const struct vhost *rules)
{
    struct vhost *there = hosts_get(&r->mesh->hosts, host);
    if (there && r->role == ROLE_SIDECAR) {
        finding_place(&r->catalog->findings, false, &v->meta.place,
                      "another VirtualService speaks for host %.*s; this one is ignored",
                      SV_ARG(host));
        return;
    }
    if (there) {
        append_entries(r, there, rules);
        return;
    }
    const struct service_entry *e = map_get(&r->services, host);
    struct vhost *own = arena_zalloc(&r->mesh->mem, sizeof(*own));
    if (!own || !host.len) {
        resolve_nomem(r);
        return;
    }
    *own = *rules;
    own->fqdn = e && e->object ? e->fqdn : SV_NONE;
    if (hosts_put(&r->mesh->hosts, host, own) < 0)
        resolve_nomem(r);
}

static void add_virtual_service(struct resolve *r, const struct virtual_service *v)
{
    struct vhost rules = { 0 };
    if (!make_entries(r, v, &rules))
        return;
    for (size_t i = 0; i < v->hosts.len; i++) {
        struct sv host = resolve_host(r, lower(r, v->hosts.list[i]), v->meta.namespace);
        if (r->role == ROLE_GATEWAY &&
            !resolve_gateways_serve(r, &v->gateways, v->meta.namespace, host))
            finding_place(&r->catalog->findings, false, &v->meta.place,
                          "host %.*s is served by none of its gateways, ignored", SV_ARG(host));
        else
            put_host(r, v, host, &rules);
    }
}

static bool is_older(const struct virtual_service *a, const struct virtual_service *b)
{
    if (a->meta.created_s != b->meta.created_s)
        return a->meta.created_s < b->meta.created_s;
    return a->meta.order < b->meta.order;
}

/* Merge sort of the list by age; the number of VirtualServices is the operator's. */
static struct virtual_service *sorted(struct virtual_service *list)
{
    if (!list || !list->next)
        return list;
    struct virtual_service *half = list, *end = list->next;
    for (; end && end->next; end = end->next->next)
        half = half->next;
    struct virtual_service *b = sorted(TAKE(half->next)), *a = sorted(list), *out = NULL;
    for (struct virtual_service **to = &out; a || b; to = &(*to)->next) {
        struct virtual_service **from = !b || (a && is_older(a, b)) ? &a : &b;
        *to = *from;
        *from = (*from)->next;
    }
    return out;
}

/* The Service as it is: its ports, all endpoints. */
static void add_service(struct resolve *r, struct service_entry *e)
{
    const struct service *s = e->object;
    struct vhost *covering = hosts_wildcard(&r->mesh->hosts, e->fqdn);
    struct vhost *own = arena_zalloc(&r->mesh->mem, sizeof(*own));
    struct route_entry *entry = arena_zalloc(&r->mesh->mem, sizeof(*entry));
    struct port_route *routes = arena_array(&r->mesh->mem, MAX(s->ports_len, 1), sizeof(*routes));
    struct http_rule rule = { .targets_len = 1 };
    struct destination to = { .host = e->fqdn, .weight = 1 };
    struct virtual_service none = { .meta = s->meta };
    if (!own || !entry || !routes || hosts_put(&r->mesh->hosts, e->fqdn, own) < 0) {
        resolve_nomem(r);
        return;
    }
    own->fqdn = e->fqdn;
    if (r->role != ROLE_SIDECAR || covering) {
        own->entries = covering ? covering->entries : NULL;
        own->entries_len = covering && r->role == ROLE_SIDECAR ? covering->entries_len : 0;
        return;
    }
    rule.targets = &to;
    uint16_t first = resolve_default_port(e);
    for (size_t i = 0; i < s->ports_len; i++) {
        bool is_default = s->ports[i].port == first && i > 0;
        routes[i].port = s->ports[i].port;
        routes[i].route = make_route(r, &none, &rule, SV("default"), s->ports[i].port);
        if (is_default) {
            struct port_route keep = routes[0];
            routes[0] = routes[i];
            routes[i] = keep;
        }
    }
    *entry = (struct route_entry){ .routes = routes, .routes_len = s->ports_len };
    own->entries = entry;
    own->entries_len = s->ports_len ? 1 : 0;
}

void resolve_routes(struct resolve *r)
{
    r->mesh->hosts.namespace = resolve_name(r, r->namespace);
    r->mesh->hosts.domain = CLUSTER_DOMAIN;
    for (struct virtual_service *v = sorted(r->catalog->virtual_services.first); v; v = v->next)
        add_virtual_service(r, v);
    for (struct service_entry *e = r->entries.first; e; e = e->next)
        if (e->object && !hosts_get(&r->mesh->hosts, e->fqdn))
            add_service(r, e);
}
