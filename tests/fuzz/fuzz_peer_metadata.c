/* fuzz_peer_metadata.c - any header value: what is understood says the same again once it has been
 * written by us; the cache agrees with the decoder. */
#include "proxy/telemetry/peer_metadata.h"

static void check_round_trip(const struct identity *who)
{
    AUTO_DONE(arena) mem = { 0 };
    struct peer_self self = { .identity = *who };
    struct identity again;
    struct sv metadata, id;
    INVARIANT(peer_metadata_encode(&self, &mem, &metadata, &id, NULL) == 0);
    if (metadata.len > PEER_METADATA_MAX_BYTES) /* names are written twice */
        return;
    INVARIANT(peer_metadata_decode(metadata, &mem, &again, NULL) == 0);
    INVARIANT(sv_eq(again.cluster, who->cluster) && sv_eq(again.namespace, who->namespace));
    INVARIANT(sv_eq(again.workload, who->workload) && sv_eq(again.service, who->service));
    bool has_version = !sv_eq(who->version, IDENTITY_UNKNOWN);
    INVARIANT(!has_version || sv_eq(again.version, who->version));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    AUTO_DONE(arena) mem = { 0 };
    struct peer_cache cache = { 0 };
    struct identity who;
    struct err err = { 0 };
    struct sv value = sv_of(p, n);
    int rc = peer_metadata_decode(value, &mem, &who, &err);
    INVARIANT(rc == 0 || (err.code == (enum err_code)rc && rc != ERR_NOMEM));
    const struct identity *cached = peer_cache_get(&cache, value);
    INVARIANT((cached != NULL) == (rc == 0 && n > 0));
    INVARIANT(peer_cache_get(&cache, value) == cached);
    if (cached) {
        INVARIANT(identity_same_node(cached, &who) && sv_eq(cached->service, who.service));
        check_round_trip(&who);
    }
    peer_cache_done(&cache);
    return 0;
}
