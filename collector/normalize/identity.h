/* identity.h - from attributes to an identity. Pure functions, views into the attributes. */
#ifndef COLLECTOR_NORMALIZE_IDENTITY_H
#define COLLECTOR_NORMALIZE_IDENTITY_H

#include "model/identity.h"
#include "normalize/semconv.h"

/* is_envoy: service.name may be "name.namespace", as Istio's bootstrap makes it. */
struct identity identity_from_roles(const struct roles *r, bool is_envoy);
/* "reviews.default.svc.cluster.local": "reviews" and namespace "default"; other hosts as they are. */
struct sv service_of_host(struct sv host, struct sv *ret_namespace);
/* "reviews-v1-545db77b95-wjtlq" or "reviews-v1-545db77b95" without its generated parts. */
struct sv workload_from_pod(struct sv name);

#endif
