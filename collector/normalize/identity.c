/* identity.c - who sent a span.
 *
 * One application reports under several names: its SDK says service.name "productpage", Istio's
 * proxy beside it "productpage.default", Kubernetes' attributes name deployment and pod. They
 * have to become one node, and the same one that access records name. Canonical service = own
 * label (service.istio.io/canonical-name) > app.kubernetes.io/name > app > service.name >
 * workload; version = canonical-revision > app.kubernetes.io/version > version label >
 * service.version > "latest". The ranks stand in semconv.def. */
#include "normalize/identity.h"
#include "normalize/normalize.h"

#define SDK_DEFAULT_SERVICE SV("unknown_service") /* what SDKs send when nobody set a name */

static bool is_generated(struct sv part, size_t min, size_t max)
{
    /* Kubernetes' suffixes use no vowels and none of 0, 1, 3, so that they spell no words. */
    static const char alphabet[] = "bcdfghjklmnpqrstvwxz2456789";
    if (part.len < min || part.len > max)
        return false;
    for (size_t i = 0; i < part.len; i++)
        if (!memchr(alphabet, part.p[i], sizeof(alphabet) - 1))
            return false;
    return true;
}

static bool cut_last(struct sv *name, size_t min, size_t max)
{
    size_t dash = sv_rindex(*name, '-');
    if (dash == 0 || dash >= name->len || !is_generated(sv_from(*name, dash + 1), min, max))
        return false;
    *name = sv_sub(*name, 0, dash);
    return true;
}

struct sv workload_from_pod(struct sv name)
{
    (void)cut_last(&name, 5, 5);  /* the pod's own part */
    (void)cut_last(&name, 6, 10); /* the replica set's hash of the pod template */
    return name;
}

/* Takes ".namespace" off "name.namespace" where Envoy wrote it; labels hold no dots. */
static void split_envoy_name(struct identity *who)
{
    size_t dot = sv_rindex(who->service, '.');
    if (dot == 0 || dot + 1 >= who->service.len)
        return;
    struct sv namespace = sv_from(who->service, dot + 1);
    if (who->namespace.len && !sv_eq(who->namespace, namespace))
        return;
    who->namespace = namespace;
    who->service = sv_sub(who->service, 0, dot);
}

/* "sidecar~10.1.2.3~reviews-v1-545db77b95-wjtlq.default~default.svc.cluster.local" */
static struct sv pod_of_node(struct sv node, struct sv *ret_namespace)
{
    struct sv role, address, pod;
    *ret_namespace = SV_NONE;
    if (!sv_cut(&node, '~', &role) || !sv_cut(&node, '~', &address) || !sv_cut(&node, '~', &pod))
        return SV_NONE;
    size_t dot = sv_rindex(pod, '.');
    *ret_namespace = sv_from(pod, MIN(dot + 1, pod.len));
    return sv_sub(pod, 0, dot);
}

struct identity identity_from_roles(const struct roles *r, bool is_envoy)
{
    struct identity who = {
        .cluster = roles_str(r, ROLE_CLUSTER),
        .namespace = roles_str(r, ROLE_NAMESPACE),
        .workload = roles_str(r, ROLE_WORKLOAD),
        .service = roles_str(r, ROLE_SERVICE),
        .version = roles_str(r, ROLE_VERSION),
    };
    struct sv pod = roles_str(r, ROLE_POD), canonical = roles_str(r, ROLE_CANONICAL);
    if (sv_starts(who.service, SDK_DEFAULT_SERVICE))
        who.service = SV_NONE;
    if (is_envoy) {
        struct sv namespace, of_node = pod_of_node(roles_str(r, ROLE_NODE), &namespace);
        if (!pod.len)
            pod = of_node;
        if (!who.namespace.len)
            who.namespace = namespace;
        split_envoy_name(&who);
    }
    if (canonical.len)
        who.service = canonical;
    if (!who.workload.len && pod.len)
        who.workload = workload_from_pod(pod);
    identity_complete(&who);
    return who;
}

void identity_complete(struct identity *who)
{
    struct sv unknown = IDENTITY_UNKNOWN;
    if (!who->workload.len)
        who->workload = who->service.len ? who->service : unknown;
    if (!who->service.len)
        who->service = who->workload;
    if (!who->version.len)
        who->version = sv_same(who->workload, unknown) ? unknown : SV("latest");
    struct sv *parts[] = { &who->cluster, &who->namespace, &who->principal };
    for (size_t i = 0; i < NELEMS(parts); i++)
        if (!parts[i]->len)
            *parts[i] = unknown;
}

struct identity identity_of_peer(struct sv name, struct sv namespace)
{
    struct identity who = {
        .namespace = namespace,
        .workload = name,
        .service = name,
        .version = IDENTITY_UNKNOWN,
    };
    identity_complete(&who);
    return who;
}

struct sv service_of_host(struct sv host, struct sv *ret_namespace)
{
    struct sv rest = host, name, namespace;
    *ret_namespace = SV_NONE;
    bool is_kubernetes = sv_cut(&rest, '.', &name) && sv_cut(&rest, '.', &namespace) && name.len &&
                         namespace.len && (sv_eq(rest, SV("svc")) || sv_starts(rest, SV("svc.")));
    if (!is_kubernetes)
        return host;
    *ret_namespace = namespace;
    return name;
}

void identity_of_host(struct identity *destination, struct sv host)
{
    struct sv unknown = IDENTITY_UNKNOWN, namespace;
    bool is_named = destination->workload.len && !sv_same(destination->workload, unknown);
    if (is_named || !host.len || sv_eq(host, unknown))
        return;
    struct sv name = service_of_host(host, &namespace), cluster = destination->cluster;
    *destination = identity_of_peer(name, namespace);
    if (cluster.len)
        destination->cluster = cluster;
}

void call_name_ends(struct call *c)
{
    if (c->reporter == REPORTER_SOURCE)
        identity_of_host(&c->destination, c->destination_service);
    identity_complete(&c->source);
    identity_complete(&c->destination);
}

static bool is_complete(const struct identity *who)
{
    return who->workload.len && who->service.len && who->version.len && who->cluster.len &&
           who->namespace.len && who->principal.len;
}

bool call_has_ends(const struct call *c)
{
    bool is_of_host = c->reporter == REPORTER_SOURCE && c->destination_service.len &&
                      sv_same(c->destination.workload, IDENTITY_UNKNOWN);
    return !is_of_host && is_complete(&c->source) && is_complete(&c->destination);
}
