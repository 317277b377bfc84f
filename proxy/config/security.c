/* SPDX-License-Identifier: Apache-2.0
 * security.c - what applies to this workload: its PeerAuthentication and, in a gateway, its ports.
 *
 * PeerAuthentication: permissive to begin with; the mesh's policy (root namespace, no selector), the
 * namespace's and the workload's each replace it unless UNSET; then the workload's portLevelMtls.
 * Several at one level: the oldest wins. A policy with a selector in the root namespace is ignored,
 * as in Istio. */
#include "proxy/config/resolve.h"

/* The namespace and name in "ns/name" or "name". */
static struct sv split_name(struct sv text, struct sv *namespace)
{
    size_t slash = sv_index(text, '/');
    if (slash == text.len)
        return text;
    *namespace = sv_sub(text, 0, slash);
    return sv_from(text, slash + 1);
}

/* Only these are opened. */
static bool is_open(const struct gateway_server *s)
{
    return sv_eq(s->port.protocol, SV("HTTP")) && s->port.number;
}

static bool is_ours(struct resolve *r, const struct gateway *g)
{
    return r->role == ROLE_CHECK ||
           (r->role == ROLE_GATEWAY && labels_match(&r->self_labels, &g->selector));
}

static const struct gateway *find_gateway(struct resolve *r, struct sv text, struct sv namespace)
{
    struct sv name = split_name(text, &namespace);
    for (const struct gateway *g = r->catalog->gateways.first; g; g = g->next)
        if (sv_eq(g->meta.name, name) && sv_eq(g->meta.namespace, namespace))
            return g;
    return NULL;
}

bool resolve_is_bound(struct resolve *r, const struct text_list *gateways, struct sv namespace)
{
    if (r->role == ROLE_SIDECAR && !gateways->len)
        return true;
    for (size_t i = 0; i < gateways->len; i++) {
        bool is_mesh = sv_eq(gateways->list[i], SV("mesh"));
        const struct gateway *g = is_mesh ? NULL : find_gateway(r, gateways->list[i], namespace);
        if (is_mesh ? r->role == ROLE_SIDECAR : g && is_ours(r, g))
            return true;
    }
    return false;
}

/* A server's host is "[ns/]name"; ns "." means the gateway's own namespace, "*" any. */
static bool host_is_served(const struct gateway *g, struct sv pattern, struct sv host,
                           struct sv vs_namespace)
{
    struct sv ns = SV("*");
    pattern = split_name(pattern, &ns);
    if (sv_eq(ns, SV(".")))
        ns = g->meta.namespace;
    if (!sv_eq(ns, SV("*")) && !sv_eq(ns, vs_namespace))
        return false;
    if (sv_eq(pattern, SV("*")) || sv_eq_nocase(pattern, host))
        return true;
    struct sv suffix = sv_from(pattern, 1);
    return sv_starts(pattern, SV("*.")) && host.len > suffix.len &&
           sv_eq_nocase(sv_from(host, host.len - suffix.len), suffix);
}

bool resolve_gateways_serve(struct resolve *r, const struct text_list *gateways,
                            struct sv namespace, struct sv host)
{
    for (size_t i = 0; i < gateways->len; i++) {
        const struct gateway *g = find_gateway(r, gateways->list[i], namespace);
        for (size_t s = 0; g && is_ours(r, g) && s < g->servers_len; s++)
            for (size_t h = 0; is_open(&g->servers[s]) && h < g->servers[s].hosts.len; h++)
                if (host_is_served(g, g->servers[s].hosts.list[h], host, namespace))
                    return true;
    }
    return false;
}

static void gateway_ports(struct resolve *r)
{
    size_t max = 0, len = 0;
    for (const struct gateway *g = r->catalog->gateways.first; g; g = g->next)
        max += g->servers_len;
    struct gateway_port *ports = arena_array(&r->mesh->mem, max + 1, sizeof(*ports));
    if (!ports) {
        resolve_nomem(r);
        return;
    }
    for (const struct gateway *g = r->catalog->gateways.first; g; g = g->next) {
        for (size_t i = 0; is_ours(r, g) && i < g->servers_len; i++) {
            const struct gateway_port *p = &g->servers[i].port;
            bool is_known = !is_open(&g->servers[i]);
            for (size_t k = 0; k < len; k++)
                is_known = is_known || ports[k].number == p->number;
            if (!is_known)
                ports[len++] = *p;
        }
    }
    r->mesh->gateway_ports = ports;
    r->mesh->gateway_ports_len = len;
}

enum level { LEVEL_NONE, LEVEL_MESH, LEVEL_NAMESPACE, LEVEL_WORKLOAD, LEVELS_LEN };

static enum level level_of(struct resolve *r, const struct peer_authentication *p)
{
    bool is_root = sv_eq(p->meta.namespace, ROOT_NAMESPACE);
    if (is_root)
        return p->has_selector ? LEVEL_NONE : LEVEL_MESH;
    if (!sv_eq(p->meta.namespace, r->namespace))
        return LEVEL_NONE;
    if (!p->has_selector)
        return LEVEL_NAMESPACE;
    return labels_match(&r->self_labels, &p->selector) ? LEVEL_WORKLOAD : LEVEL_NONE;
}

static bool is_older(const struct meta *a, const struct meta *b)
{
    return a->created_s != b->created_s ? a->created_s < b->created_s : a->order < b->order;
}

static void inbound_mtls(struct resolve *r)
{
    const struct peer_authentication *chosen[LEVELS_LEN] = { NULL };
    for (const struct peer_authentication *p = r->catalog->peer_authentications.first; p;
         p = p->next) {
        enum level level = level_of(r, p);
        if (!chosen[level] || is_older(&p->meta, &chosen[level]->meta))
            chosen[level] = p;
    }
    r->mesh->mtls = MTLS_PERMISSIVE;
    for (enum level l = LEVEL_MESH; l < LEVELS_LEN; l++)
        if (chosen[l] && chosen[l]->mode != MTLS_UNSET)
            r->mesh->mtls = (enum mtls_mode)chosen[l]->mode;
    if (chosen[LEVEL_WORKLOAD]) {
        r->mesh->mtls_ports = chosen[LEVEL_WORKLOAD]->ports;
        r->mesh->mtls_ports_len = chosen[LEVEL_WORKLOAD]->ports_len;
    }
}

void resolve_security(struct resolve *r)
{
    gateway_ports(r);
    inbound_mtls(r);
}
