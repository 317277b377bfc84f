/* SPDX-License-Identifier: Apache-2.0
 * authorization.c - which AuthorizationPolicies apply to this workload, compiled for its requests.
 *
 * Those of its own namespace and of the root namespace, where the selector (none: everybody)
 * matches its labels. One with targetRefs applies to the Gateways it names, in its own namespace: to
 * all of a proxy whose label says that it is that Gateway (Istio's rule), else at the ports that a
 * gateway opens for it, because one of ours may serve several. Sidecars have none of these. The others are compiled too, into memory that is thrown away, so that a
 * policy that means nothing is refused wherever it is read. */
#include "proxy/config/resolve.h"

#define GATEWAY_LABEL SV("gateway.networking.k8s.io/gateway-name")

static bool is_target(const struct authorization_policy *p, const struct policy_target *t,
                      const struct gateway *g)
{
    return g->is_k8s == (t->kind == TARGET_K8S_GATEWAY) && sv_eq(g->meta.name, t->name) &&
           sv_eq(g->meta.namespace, p->meta.namespace);
}

static bool is_known(struct resolve *r, const struct authorization_policy *p,
                     const struct policy_target *t)
{
    for (const struct gateway *g = r->catalog->gateways.first; g; g = g->next)
        if (is_target(p, t, g))
            return true;
    return false;
}

/* Does the proxy's own label say that it is the target? */
static bool is_labelled(struct resolve *r, const struct authorization_policy *p,
                        const struct policy_target *t)
{
    return t->kind == TARGET_K8S_GATEWAY && sv_eq(p->meta.namespace, r->namespace) &&
           sv_eq(labels_get(&r->self_labels, GATEWAY_LABEL), t->name);
}

/* Does the door have a server of the target? Then the policy holds for all that comes in there. */
static bool is_behind(struct resolve *r, const struct authorization_policy *p,
                      const struct policy_target *t, const struct door *d)
{
    const struct gateway *other = NULL;
    bool has_it = false;
    for (const struct door_server *s = d->servers; s; s = s->next) {
        bool is_it = is_target(p, t, s->gateway);
        has_it = has_it || is_it;
        other = is_it ? other : s->gateway;
    }
    if (has_it && other)
        finding_place(&r->catalog->findings, false, &t->place,
                      "port %u is also open for Gateway %.*s/%.*s: the policy holds there, too",
                      d->port->number, SV_ARG(other->meta.namespace), SV_ARG(other->meta.name));
    return has_it;
}

/* Is the policy bound to this proxy, and at which ports? */
static bool is_bound(struct resolve *r, const struct authorization_policy *p, uint16_t *ports,
                     size_t *ret_len)
{
    struct mesh *m = r->mesh;
    *ret_len = 0;
    for (size_t i = 0; i < p->targets_len; i++) {
        const struct policy_target *t = &p->targets[i];
        if (t->kind == TARGET_OF_WAYPOINTS)
            continue;
        if (r->role != ROLE_CHECK && is_labelled(r, p, t)) {
            *ret_len = 0;
            return true;
        }
        if (r->role != ROLE_SIDECAR && !is_known(r, p, t))
            finding_place(&r->catalog->findings, false, &t->place,
                          "there is no Gateway %.*s/%.*s here", SV_ARG(p->meta.namespace),
                          SV_ARG(t->name));
        for (size_t k = 0; k < m->doors_len; k++)
            if (is_behind(r, p, t, &m->doors[k]))
                ports[(*ret_len)++] = m->doors[k].port->listen;
    }
    return *ret_len > 0;
}

static bool is_selected(struct resolve *r, const struct authorization_policy *p)
{
    bool is_near = sv_eq(p->meta.namespace, ROOT_NAMESPACE) ||
                   sv_eq(p->meta.namespace, r->namespace);
    if (r->role == ROLE_CHECK || !is_near)
        return false;
    if (p->selector.len && !r->self_labels.len)
        finding_place(
            &r->catalog->findings, false, &p->meta.place,
            "own labels are not known (no --labels, no Pod of this workload): the selector "
            "does not match");
    return labels_match(&r->self_labels, &p->selector);
}

/* By its targets; without any, by its selector. */
static bool applies(struct resolve *r, const struct authorization_policy *p,
                    const uint16_t **ret_ports, size_t *ret_len)
{
    size_t max = p->targets_len * r->mesh->doors_len;
    uint16_t *ports = p->targets_len ? arena_array(&r->mesh->mem, max + 1, sizeof(*ports)) : NULL;
    *ret_ports = ports;
    *ret_len = 0;
    if (!p->targets_len)
        return is_selected(r, p);
    if (!ports) {
        resolve_nomem(r);
        return false;
    }
    return is_bound(r, p, ports, ret_len);
}

/* Our trust domain, then its other names; empty without memory. */
static struct authz_texts domains_of(struct resolve *r)
{
    size_t max = 2, len = 1;
    for (size_t i = 0; i < r->aliases.len; i++)
        max += r->aliases.p[i] == ',';
    struct sv *list = arena_array(r->catalog->scratch, max, sizeof(*list));
    if (!list) {
        resolve_nomem(r);
        return (struct authz_texts){ 0 };
    }
    list[0] = r->trust_domain;
    for (struct sv rest = r->aliases, one; sv_cut(&rest, ',', &one);)
        if (sv_trim(one).len && !sv_eq(sv_trim(one), r->trust_domain))
            list[len++] = sv_trim(one);
    return (struct authz_texts){ list, len };
}

void resolve_authorization(struct resolve *r)
{
    const struct authz_texts domains = domains_of(r);
    struct authz authz = { 0 };
    bool has_any = false;
    for (const struct authorization_policy *p = r->catalog->authorization_policies.first; p;
         p = p->next) {
        const uint16_t *ports;
        size_t ports_len;
        bool is_ours = applies(r, p, &ports, &ports_len);
        struct arena *mem = is_ours ? &r->mesh->mem : r->catalog->scratch;
        struct authz_policy *compiled;
        const struct place *at = NULL;
        struct err err = { 0 };
        struct authz_written written = p->written;
        written.domains = domains;
        int rc = authz_compile(&written, mem, &compiled, &at, &err);
        if (rc == ERR_NOMEM) {
            resolve_nomem(r);
            return;
        }
        if (rc < 0) {
            finding_place(&r->catalog->findings, true, at ? at : &p->meta.place, "%s", err.why);
        } else if (is_ours) {
            compiled->origin = resolve_origin(r, &p->meta, &p->meta.place);
            compiled->ports = ports;
            compiled->ports_len = ports_len;
            authz_add(&authz, compiled);
            has_any = true;
        }
    }
    if (!has_any)
        return;
    struct authz *kept = arena_alloc(&r->mesh->mem, sizeof(*kept));
    if (!kept) {
        resolve_nomem(r);
        return;
    }
    *kept = authz;
    r->mesh->authz = kept;
}
