/* SPDX-License-Identifier: Apache-2.0
 * authorization.c - which AuthorizationPolicies apply to this workload, compiled for its requests.
 *
 * Those of its own namespace and of the root namespace, where the selector (none: everybody)
 * matches its labels. The others are compiled too, into memory that is thrown away, so that a
 * policy that means nothing is refused wherever it is read. */
#include "proxy/config/resolve.h"

static bool applies(struct resolve *r, const struct authorization_policy *p)
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
        bool is_ours = applies(r, p);
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
