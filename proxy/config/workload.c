/* SPDX-License-Identifier: Apache-2.0
 * workload.c - who a pod is: the identity that its own sidecar reports, derived from the Pod object.
 *
 * workload: the controller's name; for a ReplicaSet the Deployment's, that is without
 *   "-<pod-template-hash>". Without an owner: the label service.istio.io/workload-name, else the
 *   pod's name.
 * service: label service.istio.io/canonical-name > app.kubernetes.io/name > app > workload.
 * version: label service.istio.io/canonical-revision > app.kubernetes.io/version > version >
 *   "latest".
 * principal: spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT, expected of it and not proven; unknown
 *   without a sidecar, because nothing could prove it, and for a WorkloadEntry that names no account. */
#include "proxy/config/resolve.h"

static struct sv first_label(const struct labels *l, const char *const *keys, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        struct sv value = labels_get(l, sv_z(keys[i]));
        if (value.len)
            return value;
    }
    return SV_NONE;
}

/* "reviews-v1-6f8d9c7b5" to "reviews-v1". The label tells the hash; without it the last part is
 * taken for one when it uses only the letters Kubernetes makes hashes of. */
static struct sv without_template_hash(struct sv name, const struct labels *l)
{
    static const char hash_letters[] = "bcdfghjklmnpqrstvwxz2456789";
    struct sv hash = labels_get(l, SV("pod-template-hash"));
    size_t dash = sv_rindex(name, '-');
    struct sv last = sv_from(name, dash + 1);
    bool is_hash = last.len >= 5 && last.len <= 10;
    if (dash == name.len || dash == 0)
        return name;
    for (size_t i = 0; i < last.len; i++)
        is_hash = is_hash && memchr(hash_letters, last.p[i], sizeof(hash_letters) - 1);
    if (hash.len ? sv_eq(hash, last) : is_hash)
        return sv_sub(name, 0, dash);
    return name;
}

static struct sv workload_of(const struct pod *p)
{
    struct sv label = labels_get(&p->meta.labels, SV("service.istio.io/workload-name"));
    if (sv_eq(p->owner_kind, SV("ReplicaSet")))
        return without_template_hash(p->owner_name, &p->meta.labels);
    if (p->owner_name.len)
        return p->owner_name;
    return label.len ? label : p->meta.name;
}

static struct sv principal_of(struct resolve *r, const struct pod *p)
{
    AUTO_DONE(buf) id = { 0 };
    buf_printf(&id, "spiffe://%.*s/ns/%.*s/sa/%.*s", SV_ARG(r->trust_domain),
               SV_ARG(p->meta.namespace), SV_ARG(p->service_account));
    if (id.failed)
        resolve_nomem(r);
    return resolve_name(r, buf_sv(&id));
}

struct identity resolve_identity(struct resolve *r, const struct pod *p)
{
    static const char *const service_keys[] = { "service.istio.io/canonical-name",
                                                "app.kubernetes.io/name", "app" };
    static const char *const version_keys[] = { "service.istio.io/canonical-revision",
                                                "app.kubernetes.io/version", "version" };
    struct sv workload = workload_of(p);
    struct sv service = first_label(&p->meta.labels, service_keys, NELEMS(service_keys));
    struct sv version = first_label(&p->meta.labels, version_keys, NELEMS(version_keys));
    return (struct identity){
        .cluster = resolve_name(r, r->cluster),
        .namespace = resolve_name(r, p->meta.namespace),
        .workload = resolve_name(r, workload),
        .service = resolve_name(r, service.len ? service : workload),
        .version = resolve_name(r, version.len ? version : SV("latest")),
        .principal = p->has_sidecar && p->service_account.len ? principal_of(r, p)
                                                              : IDENTITY_UNKNOWN,
    };
}
