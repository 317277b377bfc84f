/* identity.h - from attributes to an identity. Pure functions, views into the attributes. */
#ifndef COLLECTOR_NORMALIZE_IDENTITY_H
#define COLLECTOR_NORMALIZE_IDENTITY_H

#include "model/identity.h"
#include "normalize/semconv.h"

/* What an identity is made of. */
#define IDENTITY_ROLES                                                                             \
    (ROLE_BIT(ROLE_CLUSTER) | ROLE_BIT(ROLE_NAMESPACE) | ROLE_BIT(ROLE_WORKLOAD) |                 \
     ROLE_BIT(ROLE_SERVICE) | ROLE_BIT(ROLE_VERSION) | ROLE_BIT(ROLE_POD) |                        \
     ROLE_BIT(ROLE_CANONICAL) | ROLE_BIT(ROLE_NODE))

/* is_envoy: service.name may be "name.namespace", as Istio's bootstrap makes it. */
struct identity identity_from_roles(const struct roles *r, bool is_envoy);
/* "reviews.default.svc.cluster.local": "reviews" and namespace "default"; other hosts as they are. */
struct sv service_of_host(struct sv host, struct sv *ret_namespace);
/* "reviews-v1-545db77b95-wjtlq" or "reviews-v1-545db77b95" without its generated parts. */
struct sv workload_from_pod(struct sv name);

#endif
