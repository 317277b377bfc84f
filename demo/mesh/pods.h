/* pods.h - the demo's mesh as a table: who there is, with or without a sidecar, and what each does.
 *
 * Pods live on loopback addresses NET.N; Linux answers on all of 127/8. */
#ifndef DEMO_MESH_PODS_H
#define DEMO_MESH_PODS_H

#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>

enum pod_kind {
    POD_PLAIN,   /* an application alone: plaintext in and out */
    POD_SIDECAR, /* an application and its sidecar */
    POD_GATEWAY, /* only a proxy: the way in */
};
enum { POD_ROUTES_MAX = 6 };

struct pod_spec {
    const char *workload; /* "ratings-v1"; shared by the pods of one Deployment */
    const char *app, *version;
    const char *ns, *account; /* namespace and service account */
    unsigned number;          /* last part of the address, names the pod as well */
    enum pod_kind kind;
    unsigned app_port;
    const char *routes[POD_ROUTES_MAX]; /* see demo/app/route.h */
};

/* Set once by pods_scale(), before anything else looks; constant from then on. */
extern const struct pod_spec *demo_pods;
extern size_t demo_pods_len;

#define PODS_MAX 220 /* addresses NET.30 on are for more replicas, one octet in all */
/* What Ingresses lead to is left out unless it is wanted; then more replicas of the workloads that have a
 * sidecar, in turn, until that many pods have one. Fewer than there are in the table: those of the table. */
void pods_scale(size_t sidecars, bool with_ingress);

#define GATEWAY_PORT     8080
#define GATEWAY_TLS_PORT 8443
#define USER_NAME        "user" /* the load generator: outside the mesh */

/* NULL when no pod has the workload. */
const struct pod_spec *pod_by_workload(struct sv workload);
/* "database:9080" as the workload behind it, when there is only one; else as it is. */
struct sv pod_only_workload(struct sv service);
/* What the map must say of a connection between two of them. */
const char *pod_expected_tls(struct sv source, struct sv destination);
/* Pod objects as YAML, with addresses in net ("127.1.0"). */
void pods_yaml(const char *net, struct buf *out);

#endif
