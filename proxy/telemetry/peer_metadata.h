/* peer_metadata.h - how two sidecars tell each other who they are: Istio's x-envoy-peer-metadata
 * (base64 of a protobuf google.protobuf.Struct) and x-envoy-peer-metadata-id.
 *
 * Istio's proxies repeat both in every message. Ours ends its id with "~tulle", which Istio's takes for part
 * of the id: what I am told on a TLS connection I remember. Two that say so tell each other once a connection.
 *
 * What a peer says here is a claim: it names a node of the graph but never proves a principal, so
 * decoded identities have principal "unknown". One thread. */
#ifndef PROXY_TELEMETRY_PEER_METADATA_H
#define PROXY_TELEMETRY_PEER_METADATA_H

#include "base/arena.h"
#include "base/err.h"
#include "model/identity.h"

#define PEER_METADATA_HEADER    SV("x-envoy-peer-metadata")
#define PEER_METADATA_ID_HEADER SV("x-envoy-peer-metadata-id")
#define PEER_METADATA_REMEMBERS SV("~tulle")
/* Istio's own values are 300 to 1,500 bytes; longer ones are refused unread. */
#define PEER_METADATA_MAX_BYTES ((size_t)8192)

struct peer_self {
    struct identity identity;
    struct sv pod;          /* "reviews-v1-7d9f"; the workload name when empty */
    struct sv ip;           /* "127.1.0.7" */
    struct sv app;          /* label "app"; the canonical service when empty */
    struct sv trust_domain; /* "cluster.local" when empty */
    bool is_gateway;        /* the id begins with router~ instead of sidecar~ */
};
/* Header values of this proxy, made once; both live in mem. */
int peer_metadata_encode(const struct peer_self *self, struct arena *mem, struct sv *ret_metadata,
                         struct sv *ret_id, struct err *err) MUST_USE;
/* The identity in a header's value, copied into mem; parts it does not name are "unknown".
 * ERR_MALFORMED, ERR_TRUNCATED, ERR_LIMIT (too long, too deep) or ERR_NOMEM. */
int peer_metadata_decode(struct sv metadata, struct arena *mem, struct identity *ret_identity,
                         struct err *err) MUST_USE;

/* The last value seen on a connection: where a peer repeats it, a hit costs a memcmp. All-zero is valid and
 * empty. */
struct peer_cache {
    struct arena mem;
    struct sv metadata;
    struct identity identity;
    bool is_known;
    bool
        remembers; /* it is known, and the peer says it remembers, too: it need not be told or tell again */
};
void peer_cache_done(struct peer_cache *c);
/* The identity behind metadata, or NULL when it is empty or cannot be read. Valid until the next
 * call with another value: a stream that outlives that must copy it (identity_copy). */
const struct identity *peer_cache_get(struct peer_cache *c, struct sv metadata);
/* The same for both headers of a message: a peer that remembers may leave them out, and is then who it was. */
const struct identity *peer_cache_hear(struct peer_cache *c, struct sv metadata, struct sv id);
/* The id to answer a message with: says that we remember only if that is so. */
struct sv peer_cache_own_id(const struct peer_cache *c, struct sv id);

#endif
