/* SPDX-License-Identifier: Apache-2.0
 * vhosts.c - from VirtualServices and Services to virtual hosts with rules in order.
 *
 * A sidecar has a virtual host for every Service, whose only rule is the Service itself, unless a
 * VirtualService speaks for the host; a gateway has only what is bound to it. Selectors that
 * depend on the proxy and not on the request (gateways, sourceLabels, sourceNamespace) are decided
 * here, so that a request never asks them. When a rule names no port, the port of the request is
 * meant; such a rule gets one route for each port its services have. */
#include "proxy/config/resolve.h"

#define PORTS_MAX 64 /* different ports one rule's services may have; the rest use the default */

/* Rules are flattened for somebody: a gateway in a gateway, else this sidecar. */
struct reading {
    const struct virtual_service *root; /* decides about gateways and the namespace of names */
    const struct gateway *gateway;      /* NULL: a sidecar, or tulle check */
    struct route_entry *entries;
    size_t len;
    bool is_closed; /* an entry takes everything: what follows can never match */
};

static bool is_match_ours(struct resolve *r, const struct reading *to,
                          const struct virtual_service *v, const struct http_match *m)
{
    const struct text_list *gateways = m->gateways.len ? &m->gateways : &to->root->gateways;
    if (m->is_never)
        return false;
    if (r->role == ROLE_CHECK || v->is_mesh)
        return true;
    if (to->gateway)
        return resolve_names_gateway(gateways, v->meta.namespace, to->gateway);
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

/* The cluster that a destination means to a request for this port (0: unknown). */
static const struct cluster *cluster_of(struct resolve *r, const struct virtual_service *v,
                                        const struct destination *d, uint16_t port)
{
    struct service_entry *e = entry_of(r, v, d);
    if (!e)
        return NULL;
    uint16_t to = d->port                             ? d->port
                  : port && resolve_has_port(e, port) ? port
                                                      : resolve_default_port(e);
    return resolve_cluster(r, e, to, d->subset, d->place.file ? &d->place : NULL);
}

/* "/foo" rewritten to "/" means another number of bytes for each match block. */
static void fit_rewrite(struct rewrite *w, const struct http_match *m)
{
    if ((w->kind != REWRITE_PREFIX && w->kind != REWRITE_ELEMENTS) || w->prefix_len)
        return;
    if (w->kind == REWRITE_ELEMENTS)
        w->prefix_len = m && m->match.uri.kind == TEXT_MATCH_ELEMENTS ? m->match.uri.text.len : 0;
    if (w->kind == REWRITE_ELEMENTS)
        return;
    w->prefix_len = m && m->match.uri.kind ? m->match.uri.text.len : 1;
    if (m && (m->match.uri.kind == TEXT_MATCH_REGEX || m->match.uri.kind == TEXT_MATCH_EXACT))
        w->kind = REWRITE_WHOLE;
}

static bool add_mirrors(struct resolve *r, const struct virtual_service *v,
                        const struct http_rule *rule, struct route_actions *to)
{
    struct mirror *list = arena_array(&r->mesh->mem, rule->mirrors_len, sizeof(*list));
    if (!list)
        return false;
    size_t len = 0;
    for (size_t i = 0; i < rule->mirrors_len; i++) {
        if (!resolve_may_send(r, v, &rule->mirrors[i].to))
            continue;
        list[len].cluster = cluster_of(r, v, &rule->mirrors[i].to, 0);
        list[len].share = rule->mirrors[i].share;
        if (!list[len++].cluster)
            return false;
    }
    to->mirrors = list;
    to->mirrors_len = len;
    return true;
}

/* The rule's actions as they are for this match block; false when memory is out. */
static bool make_actions(struct resolve *r, const struct virtual_service *v,
                         const struct http_rule *rule, const struct http_match *m,
                         const struct route_actions **ret)
{
    enum rewrite_kind rewrite = rule->actions ? rule->actions->rewrite.kind : REWRITE_NONE;
    bool is_fitted = rewrite == REWRITE_PREFIX || rewrite == REWRITE_ELEMENTS ||
                     (rule->actions && rule->actions->redirect);
    *ret = rule->actions;
    if (!rule->mirrors_len && !is_fitted)
        return true;
    struct route_actions *a = arena_zalloc(&r->mesh->mem, sizeof(*a));
    struct redirect *redirect = arena_zalloc(&r->mesh->mem, sizeof(*redirect));
    if (!a || !redirect)
        return false;
    if (rule->actions)
        *a = *rule->actions;
    fit_rewrite(&a->rewrite, m);
    if (a->redirect) {
        *redirect = *a->redirect;
        fit_rewrite(&redirect->rewrite, m);
        a->redirect = redirect;
    }
    *ret = a;
    return !rule->mirrors_len || add_mirrors(r, v, rule, a);
}

/* Requests of an HTTPRoute for a Service that it may not name, or that is none, are answered 500. */
static bool is_broken(struct resolve *r, const struct virtual_service *v,
                      const struct destination *d)
{
    const struct service_entry *e = v->is_k8s ? entry_of(r, v, d) : NULL;
    return v->is_k8s && (!e || !e->object || !resolve_may_send(r, v, d));
}

/* By what a route is known. */
struct route_id {
    struct sv name;
    const struct origin *origin;
};

/* What the rule does with a request for this port (0: unknown). */
static const struct route *make_route(struct resolve *r, const struct virtual_service *v,
                                      const struct http_rule *rule, const struct http_match *m,
                                      struct route_id id, uint16_t port)
{
    bool answers = rule->actions && (rule->actions->redirect || rule->actions->direct);
    size_t len = answers ? 0 : MAX(rule->targets_len, 1);
    struct route *route = arena_zalloc(&r->mesh->mem, sizeof(*route));
    struct route_target *targets = arena_array(&r->mesh->mem, len + 1, sizeof(*targets));
    struct destination nowhere = { .host = SV("no.route.invalid"), .weight = 1 };
    const struct route_actions *actions;
    if (!route || !targets || !make_actions(r, v, rule, m, &actions)) {
        resolve_nomem(r);
        return NULL;
    }
    for (size_t i = 0; i < len; i++) {
        const struct destination *d = rule->targets_len ? &rule->targets[i] : &nowhere;
        targets[i] = (struct route_target){ .cluster = cluster_of(r, v, d, port),
                                            .weight = d->weight,
                                            .is_broken = is_broken(r, v, d),
                                            .request = d->request,
                                            .response = d->response,
                                            .authority = d->authority };
        if (!targets[i].cluster)
            return NULL;
        route->weight_sum += d->weight;
    }
    *route = (struct route){ .name = id.name,
                             .origin = id.origin,
                             .targets = targets,
                             .targets_len = len,
                             .weight_sum = route->weight_sum,
                             .timeout_ns = rule->timeout_ns,
                             .retry = rule->retry ? rule->retry : &retry_default,
                             .actions = actions };
    return route;
}

const struct route *resolve_route(struct resolve *r, const struct virtual_service *v,
                                  const struct http_rule *rule, struct sv name, uint16_t port)
{
    struct route_id id = { name,
                           rule->place.file ? resolve_origin(r, &v->meta, &rule->place) : NULL };
    return make_route(r, v, rule, NULL, id, port);
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

bool resolve_rule(struct resolve *r, const struct virtual_service *v, const struct http_rule *rule,
                  const struct http_match *m, struct route_entry *to)
{
    uint16_t ports[PORTS_MAX];
    size_t len = ports_of(r, v, rule, ports);
    struct port_route *routes = arena_array(&r->mesh->mem, len, sizeof(*routes));
    struct route_id id = { route_name(r, v, rule, m), resolve_origin(r, &v->meta, &rule->place) };
    if (!routes) {
        resolve_nomem(r);
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        routes[i] = (struct port_route){ ports[i], make_route(r, v, rule, m, id, ports[i]) };
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

static const struct virtual_service *delegate_of(struct resolve *r, const struct virtual_service *v,
                                                 const struct http_rule *rule)
{
    struct sv namespace = rule->delegate_namespace.len ? rule->delegate_namespace
                                                       : v->meta.namespace;
    for (const struct virtual_service *d = r->catalog->virtual_services.first;
         rule->delegate.len && d; d = d->next)
        if (!d->hosts.len && sv_eq(d->meta.name, rule->delegate) &&
            sv_eq(d->meta.namespace, namespace))
            return d;
    return NULL;
}

static size_t blocks_of(const struct virtual_service *v)
{
    size_t n = 0;
    for (size_t i = 0; i < v->rules_len; i++)
        n += MAX(v->rules[i].matches_len, 1);
    return n;
}

static size_t blocks_with_delegates(struct resolve *r, const struct virtual_service *v)
{
    size_t n = 0;
    for (size_t i = 0; i < v->rules_len; i++) {
        const struct virtual_service *d = delegate_of(r, v, &v->rules[i]);
        n += MAX(v->rules[i].matches_len, 1) * (d ? blocks_of(d) : 1);
    }
    return n;
}

static const struct http_match everything = { .is_everything = true };

static bool add_block(struct resolve *r, struct reading *to, const struct virtual_service *v,
                      const struct http_rule *rule, const struct http_match *m,
                      const struct http_match *outer);

/* All rules of v under a match block of the rule that delegated (outer; NULL: none). */
static bool add_rules(struct resolve *r, struct reading *to, const struct virtual_service *v,
                      const struct http_match *outer)
{
    for (size_t i = 0; i < v->rules_len; i++) {
        const struct http_rule *rule = &v->rules[i];
        if (to->is_closed && !outer) {
            if (!to->gateway)
                finding_place(&r->catalog->findings, false, &rule->place,
                              "http[%zu] can never match: an earlier rule takes everything", i);
            break;
        }
        for (size_t k = 0; !to->is_closed && k < MAX(rule->matches_len, 1); k++)
            if (!add_block(r, to, v, rule, rule->matches_len ? &rule->matches[k] : NULL, outer))
                return false;
    }
    return true;
}

static bool add_block(struct resolve *r, struct reading *to, const struct virtual_service *v,
                      const struct http_rule *rule, const struct http_match *m,
                      const struct http_match *outer)
{
    const struct virtual_service *d = outer ? NULL : delegate_of(r, v, rule);
    if (!is_match_ours(r, to, v, m ? m : &everything))
        return true;
    if (d)
        return add_rules(r, to, d, m ? m : &everything);
    if (rule->delegate.len)
        finding_place(&r->catalog->findings, false, &rule->place, "%s",
                      outer ? "a delegate cannot delegate further: answered 503"
                            : "there is no such VirtualService without hosts to delegate to: "
                              "answered 503");
    struct route_entry *e = &to->entries[to->len];
    if (!resolve_rule(r, v, rule, m, e))
        return false;
    e->outer = outer && !outer->is_everything ? &outer->match : NULL;
    to->is_closed = !e->match && !e->outer && !(m && has_selectors(m)) && !v->is_k8s;
    to->len++;
    return true;
}

/* All rules of a VirtualService that this proxy has, flattened: a match block is an entry. */
static bool make_entries(struct resolve *r, const struct virtual_service *v,
                         const struct gateway *gateway, struct vhost *to)
{
    size_t max = blocks_with_delegates(r, v);
    struct reading reading = { .root = v, .gateway = gateway };
    reading.entries = arena_array(&r->mesh->mem, MAX(max, 1), sizeof(*reading.entries));
    if (!reading.entries) {
        resolve_nomem(r);
        return false;
    }
    if (!add_rules(r, &reading, v, NULL))
        return false;
    to->entries = reading.entries;
    to->entries_len = reading.len;
    return reading.len > 0;
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

struct sv resolve_lower(struct resolve *r, struct sv host)
{
    struct sv lower = arena_lower(r->catalog->scratch, host);
    if (!lower.p)
        resolve_nomem(r);
    return lower;
}

/* Two VirtualServices for one host: a gateway has the rules of both, oldest first; in a sidecar the
 * oldest speaks alone, as Istio warns. */
static struct vhost *put_host(struct resolve *r, const struct virtual_service *v, struct hosts *to,
                              struct sv host, const struct vhost *rules)
{
    struct vhost *there = hosts_get(to, host);
    if (there && r->role == ROLE_SIDECAR && !(v->is_mesh && there->is_by_precedence)) {
        finding_place(&r->catalog->findings, false, &v->meta.place,
                      "another VirtualService speaks for host %.*s; this one is ignored",
                      SV_ARG(host));
        return there;
    }
    if (there) {
        append_entries(r, there, rules);
        return there;
    }
    const struct service_entry *e = map_get(&r->services, host);
    struct vhost *own = arena_zalloc(&r->mesh->mem, sizeof(*own));
    if (!own || !host.len) {
        resolve_nomem(r);
        return NULL;
    }
    *own = *rules;
    own->fqdn = e && e->object ? e->fqdn : SV_NONE;
    if (hosts_put(to, host, own) < 0)
        resolve_nomem(r);
    return own;
}

static void add_virtual_service(struct resolve *r, const struct virtual_service *v)
{
    struct vhost rules = { 0 };
    if (!make_entries(r, v, NULL, &rules))
        return;
    for (size_t i = 0; i < v->hosts.len; i++) {
        struct sv host = resolve_host(r, resolve_lower(r, v->hosts.list[i]), v->meta.namespace);
        put_host(r, v, &r->mesh->hosts, host, &rules);
    }
}

/* A route attached to a Service: beside the others of that Service. */
static void add_mesh_route(struct resolve *r, const struct virtual_service *v)
{
    struct vhost rules = { .is_by_precedence = true };
    struct service_entry *e = resolve_mesh_parent(r, v);
    struct reading reading = { .root = v };
    size_t max = e ? MAX(blocks_of(v), 1) : 0;
    reading.entries = e ? arena_array(&r->mesh->mem, max, sizeof(*reading.entries)) : NULL;
    if (!e)
        return;
    if (!reading.entries) {
        resolve_nomem(r);
        return;
    }
    if (!add_rules(r, &reading, v, NULL) ||
        !resolve_mesh_port(r, v, e, reading.entries, reading.len))
        return;
    rules.entries = reading.entries;
    rules.entries_len = reading.len;
    if (reading.len)
        put_host(r, v, &r->mesh->hosts, e->fqdn, &rules);
}

/* A host in the table of a door, as far as one of its servers serves it. */
static bool add_to_server(struct resolve *r, const struct virtual_service *v, struct door *door,
                          const struct door_server *s, struct sv host, const struct vhost *rules)
{
    bool is_served = false;
    for (size_t i = 0; i < s->server->hosts.len; i++) {
        struct sv met = resolve_host_met(r, s, s->server->hosts.list[i], host, v->meta.namespace);
        if (!met.len)
            continue;
        is_served = true;
        struct vhost *own = put_host(r, v, &door->hosts, met, rules);
        if (own && v->is_k8s)
            own->is_by_precedence = true;
        if (own && s->server->redirects_plain)
            own->if_plain = &r->mesh->https_redirect;
    }
    return is_served;
}

/* In a gateway: each door that a Gateway it is bound to has opened. */
static void add_to_doors(struct resolve *r, const struct virtual_service *v)
{
    for (size_t h = 0; h < v->hosts.len; h++) {
        struct sv host = resolve_host(r, resolve_lower(r, v->hosts.list[h]), v->meta.namespace);
        bool is_bound = false, is_served = false;
        for (size_t d = 0; d < r->mesh->doors_len; d++) {
            struct door *door = &r->mesh->doors[d];
            for (const struct door_server *s = door->servers; s; s = s->next) {
                struct vhost rules = { 0 };
                if (!resolve_names_server(r, v, s))
                    continue;
                is_bound = true;
                if (make_entries(r, v, s->gateway, &rules))
                    is_served |= add_to_server(r, v, door, s, host, &rules);
            }
        }
        if (is_bound && !is_served)
            finding_place(&r->catalog->findings, false, &v->meta.place,
                          "host %.*s is served by none of its gateways, ignored", SV_ARG(host));
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

/* The Service's ports that none of the routes attached to it speaks for are as they are. */
static void add_other_ports(struct resolve *r, const struct service_entry *e)
{
    struct vhost *v = e->object ? hosts_get(&r->mesh->hosts, e->fqdn) : NULL;
    struct destination to = { .host = e->fqdn, .weight = 1 };
    struct http_rule rule = { .targets = &to, .targets_len = 1 };
    for (size_t i = 0; v && v->is_by_precedence && i < e->object->ports_len; i++) {
        uint16_t port = e->object->ports[i].port;
        if (resolve_is_mesh_port(r, e, port))
            continue;
        struct virtual_service none = { .meta = e->object->meta };
        struct match *m = arena_zalloc(&r->mesh->mem, sizeof(*m));
        struct port_route *one = arena_zalloc(&r->mesh->mem, sizeof(*one));
        if (!m || !one) {
            resolve_nomem(r);
            return;
        }
        m->port = port;
        *one = (struct port_route){ port, resolve_route(r, &none, &rule, SV("default"), port) };
        struct route_entry entry = { .match = m, .routes = one, .routes_len = 1 };
        struct vhost more = { .entries = &entry, .entries_len = 1 };
        if (one->route)
            append_entries(r, v, &more);
    }
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
    struct route_id id = { .name = SV("default") };
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
        routes[i].route = make_route(r, &none, &rule, NULL, id, s->ports[i].port);
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
    r->catalog->virtual_services.first = sorted(r->catalog->virtual_services.first);
    for (struct virtual_service *v = r->catalog->virtual_services.first; v; v = v->next) {
        if (v->is_k8s && v->tcp_len)
            continue; /* of connections */
        if (r->role == ROLE_GATEWAY)
            add_to_doors(r, v);
        else if (v->is_mesh && r->role == ROLE_SIDECAR)
            add_mesh_route(r, v);
        else
            add_virtual_service(r, v);
    }
    for (struct service_entry *e = r->entries.first; e && r->role == ROLE_SIDECAR; e = e->next)
        add_other_ports(r, e);
    resolve_precedence(r, &r->mesh->hosts);
    for (size_t i = 0; i < r->mesh->doors_len; i++)
        resolve_precedence(r, &r->mesh->doors[i].hosts);
    for (struct service_entry *e = r->entries.first; e; e = e->next)
        if (e->object && !e->is_hidden && !hosts_get(&r->mesh->hosts, e->fqdn))
            add_service(r, e);
}
