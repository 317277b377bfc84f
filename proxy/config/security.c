/* SPDX-License-Identifier: Apache-2.0
 * security.c - what applies to this workload: its PeerAuthentication.
 *
 * PeerAuthentication: permissive to begin with; the mesh's policy (root namespace, no selector), the
 * namespace's and the workload's each replace it unless UNSET; then the workload's portLevelMtls.
 * Several at one level: the oldest wins. A policy with a selector in the root namespace is ignored,
 * as in Istio. */
#include "proxy/config/resolve.h"

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
        if (chosen[l] && chosen[l]->mode != MTLS_UNSET) {
            r->mesh->mtls = (enum mtls_mode)chosen[l]->mode;
            r->mesh->mtls_by = resolve_origin(r, &chosen[l]->meta, &chosen[l]->meta.place);
        }
    if (chosen[LEVEL_WORKLOAD]) {
        const struct meta *meta = &chosen[LEVEL_WORKLOAD]->meta;
        r->mesh->mtls_ports_by = resolve_origin(r, meta, &meta->place);
        r->mesh->mtls_ports = chosen[LEVEL_WORKLOAD]->ports;
        r->mesh->mtls_ports_len = chosen[LEVEL_WORKLOAD]->ports_len;
    }
}

void resolve_security(struct resolve *r)
{
    inbound_mtls(r);
}
