/* SPDX-License-Identifier: Apache-2.0
 * security.c - what applies to this workload: its PeerAuthentication.
 *
 * PeerAuthentication: permissive to begin with; the mesh's policy (root namespace, no selector), the
 * namespace's and the workload's each replace it unless UNSET; then the workload's portLevelMtls.
 * Several at one level: the oldest wins. A policy with a selector in the root namespace is ignored,
 * as in Istio. */
#include "proxy/config/resolve.h"

enum level { LEVEL_NONE, LEVEL_MESH, LEVEL_NAMESPACE, LEVEL_WORKLOAD, LEVELS_LEN };

/* Whose policies are looked at: this workload's, or an endpoint's. */
struct subject {
    struct sv namespace;
    const struct labels *labels;
};

static enum level level_of(const struct subject *who, const struct peer_authentication *p)
{
    bool is_root = sv_eq(p->meta.namespace, ROOT_NAMESPACE);
    if (is_root)
        return p->has_selector ? LEVEL_NONE : LEVEL_MESH;
    if (!sv_eq(p->meta.namespace, who->namespace))
        return LEVEL_NONE;
    if (!p->has_selector)
        return LEVEL_NAMESPACE;
    return labels_match(who->labels, &p->selector) ? LEVEL_WORKLOAD : LEVEL_NONE;
}

static bool is_older(const struct meta *a, const struct meta *b)
{
    return a->created_s != b->created_s ? a->created_s < b->created_s : a->order < b->order;
}

/* The mode of the workload as a whole; *ret_own is the policy whose ports come on top, or NULL; *ret_by
 * the one that decided, when one did. */
static enum mtls_mode mode_of(struct resolve *r, const struct subject *who,
                              const struct peer_authentication **ret_own,
                              const struct peer_authentication **ret_by)
{
    const struct peer_authentication *chosen[LEVELS_LEN] = { NULL };
    enum mtls_mode mode = MTLS_PERMISSIVE;
    for (const struct peer_authentication *p = r->catalog->peer_authentications.first; p;
         p = p->next) {
        enum level level = level_of(who, p);
        if (!chosen[level] || is_older(&p->meta, &chosen[level]->meta))
            chosen[level] = p;
    }
    for (enum level l = LEVEL_MESH; l < LEVELS_LEN; l++)
        if (chosen[l] && chosen[l]->mode != MTLS_UNSET) {
            mode = (enum mtls_mode)chosen[l]->mode;
            *ret_by = chosen[l];
        }
    *ret_own = chosen[LEVEL_WORKLOAD];
    return mode;
}

static void inbound_mtls(struct resolve *r)
{
    const struct subject self = { r->namespace, &r->self_labels };
    const struct peer_authentication *own, *by = NULL;
    r->mesh->mtls = mode_of(r, &self, &own, &by);
    if (by)
        r->mesh->mtls_by = resolve_origin(r, &by->meta, &by->meta.place);
    if (own) {
        r->mesh->mtls_ports_by = resolve_origin(r, &own->meta, &own->meta.place);
        r->mesh->mtls_ports = own->ports;
        r->mesh->mtls_ports_len = own->ports_len;
    }
}

bool resolve_takes_mtls(struct resolve *r, const struct pod *p, uint16_t port)
{
    const struct subject pod = { p->meta.namespace, &p->meta.labels };
    const struct peer_authentication *own, *by;
    if (!p->has_sidecar || !r->catalog->peer_authentications.len)
        return p->has_sidecar;
    enum mtls_mode mode = mode_of(r, &pod, &own, &by);
    for (size_t i = 0; own && i < own->ports_len; i++)
        if (own->ports[i].port == port && own->ports[i].mode != MTLS_UNSET)
            mode = (enum mtls_mode)own->ports[i].mode;
    return mode != MTLS_DISABLE;
}

void resolve_security(struct resolve *r)
{
    inbound_mtls(r);
}
