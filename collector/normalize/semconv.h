/* semconv.h - which attribute plays which role, whatever convention named it. Pure functions. */
#ifndef COLLECTOR_NORMALIZE_SEMCONV_H
#define COLLECTOR_NORMALIZE_SEMCONV_H

#include "model/span.h"

enum role {
    ROLE_CANONICAL, /* canonical service, by label */
    ROLE_CLUSTER,
    ROLE_COMPONENT, /* "proxy" on Envoy's spans */
    ROLE_DB_NAME,
    ROLE_DB_SYSTEM,
    ROLE_DESTINATION_PRINCIPAL,
    ROLE_FORWARDED_CERT,
    ROLE_GRPC_PATH,
    ROLE_GRPC_STATUS,
    ROLE_HTTP_METHOD, /* or anything else that only HTTP spans carry */
    ROLE_HTTP_STATUS,
    ROLE_INSTANCE, /* of several that share a service.name */
    ROLE_KIND,
    ROLE_MESSAGING,
    ROLE_NAMESPACE,
    ROLE_NODE, /* Envoy's name of itself, "sidecar~IP~POD.NAMESPACE~DOMAIN" in Istio */
    ROLE_PEER_ADDRESS,
    ROLE_PEER_SERVICE,
    ROLE_POD, /* pod or replica set: the workload's name with suffixes */
    ROLE_QUEUE,
    ROLE_REQUEST_BYTES,
    ROLE_RESENDS,
    ROLE_RESPONSE_BYTES,
    ROLE_RESPONSE_FLAGS,
    ROLE_RPC_SYSTEM,
    ROLE_SDK,
    ROLE_SERVICE,
    ROLE_SOURCE_PRINCIPAL,
    ROLE_TLS_CIPHER,
    ROLE_TLS_CLIENT,     /* anything of the client's certificate */
    ROLE_TLS_DOWNSTREAM, /* version, of the connection that came in */
    ROLE_TLS_DOWNSTREAM_CIPHER,
    ROLE_TLS_ESTABLISHED,
    ROLE_TLS_MUTUAL,
    ROLE_TLS_PEER, /* who was proven on the connection that came in */
    ROLE_TLS_POLICY,
    ROLE_TLS_SDK_VERSION,
    ROLE_TLS_SNI,
    ROLE_TLS_STATE,
    ROLE_TLS_VERSION,
    ROLE_UPSTREAM_CLUSTER,
    ROLE_VERSION,
    ROLE_WORKLOAD,
    ROLE_ZTUNNEL_DESTINATION,
    ROLE_ZTUNNEL_SOURCE,
    ROLES_LEN
};

#define ROLE_BIT(role) (UINT64_C(1) << (role))
_Static_assert(ROLES_LEN <= 64, "a bit each");

enum { SEMCONV_SLOTS = 256, SEMCONV_NAME_MIN = 7 };
/* The names of semconv.def by hash; made once, read by any thread. */
struct semconv {
    uint8_t row[SEMCONV_SLOTS]; /* its number + 1; 0: free */
};
void semconv_init(struct semconv *names);

/* The attribute that counts for each role; borrowed from the span. */
struct roles {
    const struct value *value[ROLES_LEN]; /* NULL: nothing played it */
    uint8_t rank[ROLES_LEN];
    uint64_t played; /* ROLE_BITs of those that are not NULL */
};

/* Adds the attributes of a to *to (all-zero at first). Empty texts play no role. */
void roles_add(const struct semconv *names, struct roles *to, const struct attrs *a);
/* Adds what roles_add() made of other attributes; of equal rank those in *to stay. */
void roles_join(struct roles *to, const struct roles *more);
/* The role's text, empty when it is missing or no text. */
struct sv roles_str(const struct roles *r, enum role role);
/* The role's number, also from text (Envoy sends every attribute as text); false when neither. */
bool roles_int(const struct roles *r, enum role role, int64_t *ret_v);

#endif
