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
    uint8_t rank[ROLES_LEN];              /* doubled; odd after roles_give_way() */
    uint64_t played;                      /* ROLE_BITs of those that are not NULL */
};

/* Adds the attributes of a to *to (all-zero at first). Empty texts play no role. The ROLE_BITs of what
 * they say, whether it counts or not. */
uint64_t roles_add(const struct semconv *names, struct roles *to, const struct attrs *a);
/* What is added from now on counts before what is there already of the same rank. */
void roles_give_way(struct roles *r);

/* Where lists of attributes with the same keys have those that are known. */
struct role_place {
    uint16_t at; /* index in the list */
    uint8_t role, rank;
};
enum { ROLE_PLACES_MAX = 24 };
struct role_places {
    struct role_place list[ROLE_PLACES_MAX];
    uint32_t len;
};
/* False when there are too many; then there is only roles_add(). */
bool role_places_of(const struct semconv *names, const struct attrs *a,
                    struct role_places *ret_places);
/* As roles_add() of a list with the keys that the places were made from. */
uint64_t roles_add_at(const struct role_places *p, struct roles *to, const struct attr *list);

/* The role's text, empty when it is missing or no text. */
static inline struct sv roles_str(const struct roles *r, enum role role)
{
    const struct value *v = r->value[role];
    return v && v->type == VALUE_STR ? v->str : SV_NONE;
}
/* The role's number, also from text (Envoy sends every attribute as text); false when neither. */
static inline bool roles_int(const struct roles *r, enum role role, int64_t *ret_v)
{
    const struct value *v = r->value[role];
    if (v && v->type == VALUE_INT) {
        *ret_v = v->integer;
        return true;
    }
    return v && v->type == VALUE_STR && sv_to_i64(v->str, ret_v);
}

#endif
