/* SPDX-License-Identifier: Apache-2.0
 * read_l4_route.c - the Gateway API's routes of connections: TLSRoute, by server name, and TCPRoute; and what
 * all of its routes have, parents and backends.
 *
 * They become the tls[] and tcp[] of a VirtualService whose gateways are the parents.
 * Source: TLSRoute, TCPRoute, ParentReference, BackendRef in the Gateway API's reference. */
#include "proxy/config/catalog.h"

#define WEIGHT_MAX 1000000

static const char *const later_route[] = { "useDefaultGateways", NULL };

/* backendRef: a Service. What is none, or may not be named, is seen when all objects are there. */
void read_backend_ref(struct reader *r, struct node *n, struct sv namespace, struct destination *to)
{
    AUTO_DONE(buf) host = { 0 };
    struct sv group = field_text(r, n, "group"), kind = field_text(r, n, "kind");
    struct sv name = field_text(r, n, "name"), other = field_text(r, n, "namespace");
    to->port = field_port(r, n, "port");
    to->weight = (uint32_t)field_uint(r, n, "weight", WEIGHT_MAX, 1);
    to->place = place_of(r->to, n);
    if (!name.len)
        finding_error(r->to, n, "name is missing");
    to->is_broken = group.len || (kind.len && !sv_eq(kind, SV("Service")));
    if (to->is_broken)
        finding_warn(r->to, n,
                     "InvalidKind: only Services are supported as backends: its requests are "
                     "answered 500");
    else if (!to->port)
        finding_warn(r->to, n, "port is missing: the Service's default is meant");
    if (other.len && !sv_eq(other, namespace))
    namespace = to->namespace = other;
    buf_printf(&host, "%.*s.%.*s.svc.cluster.local", SV_ARG(name), SV_ARG(namespace));
    to->host = host.failed ? SV_NONE : arena_copy(r->mem, buf_sv(&host));
    if (!to->host.p)
        r->to->is_nomem = true;
}

/* A Service as parent is a route of its own, which shares everything else. */
static void add_mesh_route(struct catalog *c, struct reader *r, const struct virtual_service *v,
                           struct sv namespace, struct sv name, uint16_t port)
{
    AUTO_DONE(buf) host = { 0 };
    struct virtual_service *own = read_array(r, 1, sizeof(*own));
    struct sv *hosts = read_array(r, 1, sizeof(*hosts));
    if (!own || !hosts)
        return;
    buf_printf(&host, "%.*s.%.*s.svc.cluster.local", SV_ARG(name), SV_ARG(namespace));
    hosts[0] = host.failed ? SV_NONE : arena_copy(r->mem, buf_sv(&host));
    if (!hosts[0].p)
        r->to->is_nomem = true;
    *own = *v;
    own->is_mesh = true;
    own->parent_port = port;
    own->hosts = (struct text_list){ hosts, 1 };
    CATALOG_ADD(&c->virtual_services, own);
}

static bool is_service(struct sv group, struct sv kind)
{
    return sv_eq(kind, SV("Service")) && !group.len;
}

/* One parentRef: of a Gateway it is kept in v, with a Service it becomes a route of its own. */
static void read_parent(struct catalog *c, struct reader *r, struct node *n,
                        struct virtual_service *v, struct sv *names, struct parent_part *parts)
{
    AUTO_DONE(buf) text = { 0 };
    struct sv namespace = field_text(r, n, "namespace"), kind = field_text(r, n, "kind");
    struct sv group = field_text(r, n, "group"), name = field_text(r, n, "name");
    struct parent_part part = { field_text(r, n, "sectionName"), field_port(r, n, "port") };
    if (!namespace.len)
    namespace = v->meta.namespace;
    fields_finish(r, n, NULL);
    if (is_service(group, kind) && !v->tcp_len) {
        add_mesh_route(c, r, v, namespace, name, part.port);
    } else if (kind.len && !sv_eq(kind, SV("Gateway"))) {
        finding_warn(r->to, n, "only Gateways and Services are supported as parents, ignored");
    } else {
        buf_printf(&text, "%.*s/%.*s", SV_ARG(namespace), SV_ARG(name));
        parts[v->gateways.len] = part;
        names[v->gateways.len] = text.failed ? SV_NONE : arena_copy(r->mem, buf_sv(&text));
        if (!names[v->gateways.len++].p)
            r->to->is_nomem = true;
    }
}

/* Everything else of v is read already. */
void read_parent_refs(struct catalog *c, struct reader *r, struct node *spec,
                      struct virtual_service *v)
{
    struct node *list = field_list(r, spec, "parentRefs");
    size_t max = (list ? list->len : 0) + 1;
    struct sv *names = read_array(r, max, sizeof(*names));
    struct parent_part *parts = read_array(r, max, sizeof(*parts));
    size_t before = c->virtual_services.len;
    for (struct node *n = list && names && parts ? list->first : NULL; n; n = n->next)
        if (node_is_map(r, n))
            read_parent(c, r, n, v, names, parts);
    v->gateways.list = names;
    v->parts = parts;
    if (v->gateways.len)
        CATALOG_ADD(&c->virtual_services, v);
    else if (c->virtual_services.len == before)
        finding_warn(r->to, spec ? spec : r->to->object,
                     "has no Gateway or Service among its parentRefs: nobody serves it");
}

static void read_l4_rule(struct reader *r, struct node *n, const struct meta *meta,
                         const struct tcp_block *block, struct tcp_rule *to)
{
    if (!node_is_map(r, n))
        return;
    struct node *list = field_list(r, n, "backendRefs");
    struct destination *all = read_array(r, (list ? list->len : 0) + 1, sizeof(*all));
    uint64_t sum = 0;
    for (struct node *at = list && all ? list->first : NULL; at; at = at->next) {
        if (!node_is_map(r, at))
            continue;
        struct destination *d = &all[to->rule.targets_len++];
        read_backend_ref(r, at, meta->namespace, d);
        fields_finish(r, at, NULL);
        sum += d->weight;
    }
    to->rule.name = field_text(r, n, "name");
    to->rule.place = place_of(r->to, n);
    to->rule.targets = all;
    to->blocks = block;
    to->blocks_len = 1;
    fields_finish(r, n, NULL);
    if (sum && sum <= UINT32_MAX)
        return;
    finding_warn(r->to, n, "has no backend: its connections are closed");
    to->rule.targets_len = 0;
}

static struct tcp_block *block_of(struct reader *r, const struct text_list *hosts)
{
    struct tcp_block *b = read_array(r, 1, sizeof(*b));
    struct sv *names = read_array(r, hosts->len + 1, sizeof(*names));
    for (size_t i = 0; b && names && i < hosts->len; i++)
        names[i] = read_lower(r, hosts->list[i]);
    if (b)
        b->match = (struct tcp_match){ .sni_hosts = names, .sni_len = names ? hosts->len : 0 };
    return b;
}

static void read_l4_route(struct catalog *c, struct node *root, const struct meta *meta,
                          enum route_kind kind)
{
    static const struct sv any[] = { { "*", 1 } };
    struct reader r = { .to = &c->findings, .mem = c->mem };
    struct node *spec = field_map(&r, root, "spec"), *list = field_list(&r, spec, "rules");
    struct virtual_service *v = read_array(&r, 1, sizeof(*v));
    struct tcp_rule *rules = read_array(&r, (list ? list->len : 0) + 1, sizeof(*rules));
    if (!v || !rules)
        return;
    v->meta = *meta;
    v->is_k8s = true;
    v->kind = kind;
    v->hosts = kind == ROUTES_TLS ? read_texts(&r, spec, "hostnames") : v->hosts;
    const struct tcp_block *block = block_of(&r, &v->hosts);
    if (!v->hosts.len)
        v->hosts = (struct text_list){ any, 1 };
    for (struct node *n = list && block ? list->first : NULL; n; n = n->next) {
        rules[v->tcp_len].is_tls = kind == ROUTES_TLS;
        read_l4_rule(&r, n, meta, block, &rules[v->tcp_len++]);
    }
    v->tcp = rules;
    if (!v->tcp_len)
        finding_error(r.to, spec ? spec : root, "rules is empty");
    read_parent_refs(c, &r, spec, v);
    fields_finish(&r, spec, later_route);
}

void read_tls_route(struct catalog *c, struct node *root, const struct meta *meta)
{
    read_l4_route(c, root, meta, ROUTES_TLS);
}

void read_tcp_route(struct catalog *c, struct node *root, const struct meta *meta)
{
    read_l4_route(c, root, meta, ROUTES_TCP);
}
