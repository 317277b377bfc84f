/* normalize.h - what one span says about a call, in the collector's own words.
 *
 * Everything that is given points into the span. */
#ifndef COLLECTOR_NORMALIZE_NORMALIZE_H
#define COLLECTOR_NORMALIZE_NORMALIZE_H

#include "model/call.h"
#include "model/span.h"
#include "normalize/semconv.h"
#include "normalize/tls_evidence.h"

/* Who sent the telemetry; decides what a lone half means. */
enum emitter {
    EMITTER_APP,         /* an SDK inside the application */
    EMITTER_PROXY,       /* a proxy beside it: Envoy */
    EMITTER_TULLE_PROXY, /* our own, which sends an access record for every request as well */
};
enum peer_kind {
    PEER_NONE,
    PEER_EXTERNAL, /* a host or service that its caller names */
    PEER_DATABASE, /* db.*: never sends spans of its own */
    PEER_QUEUE,    /* messaging.* */
};

struct span_facts {
    struct identity who; /* no part is empty */
    /* Where the caller may keep its own copy of who, for as long as the batch lives: NULL at first, the
     * same place for all spans with that sender. NULL: who does not follow from the resource. */
    const struct identity **kept_who;
    struct sv instance; /* service.instance.id or host.name; empty: not said */
    enum emitter emitter;
    enum span_kind kind; /* span.kind attribute where the field itself says nothing */
    enum protocol protocol;
    uint16_t response_code; /* 200 when HTTP succeeded without saying a code */
    int16_t grpc_status;    /* -1: not gRPC */
    int64_t duration_ns;    /* >= 0 */
    struct sv response_flags;
    uint64_t bytes_received, bytes_sent;
    struct tls_evidence tls;
    uint32_t resends; /* how often it was sent again; 1 for a span that is itself a repetition */
};
struct span_peer {
    enum peer_kind kind;
    struct sv name;      /* empty with PEER_NONE */
    struct sv namespace; /* empty when not known */
};

/* The text that stands in response_flags when a span that has no response code says ERROR. */
#define SPAN_ERROR_FLAG SV("error")

enum { NORMALIZER_RESOURCES = 16, NORMALIZER_ORDERS = 64 };
/* What spans share is worked out once: for those of a resource what that says, for those with the same
 * keys where what is known stands. A request holds a few of both; more take each other's place, or
 * are asked one by one. One thread owns it; no memory of its own. */
struct normalizer {
    struct semconv names;
    struct normalizer_resource {
        const struct resource *of; /* NULL: free */
        struct roles roles;
        struct identity
            who[2]; /* of an application, of a proxy; cluster.len 0: not worked out yet */
        const struct identity *kept_who[2];
    } resources[NORMALIZER_RESOURCES];
    struct normalizer_order {
        const struct key_order *of; /* NULL: free */
        bool has_places;
        struct role_places places;
    } orders[NORMALIZER_ORDERS];
    struct roles roles; /* of the last span */
};
void normalizer_init(struct normalizer *n);
/* Before the batch it has seen is freed. */
void normalizer_forget(struct normalizer *n);

void span_facts_of(struct normalizer *n, const struct span *s, struct span_facts *ret_facts);
/* Of the span that span_facts_of() was asked about last: whether it is of a database, which never sends
 * spans of its own. */
static inline bool span_is_of_database(const struct normalizer *n)
{
    return n->roles.played & (ROLE_BIT(ROLE_DB_NAME) | ROLE_BIT(ROLE_DB_SYSTEM));
}
/* ... and whom it names; f is what was said of it. */
struct span_peer span_peer_of(const struct normalizer *n, const struct span_facts *f);
/* The node that others speak of and that says nothing itself: workload and service are name, the
 * version stays "unknown", by which a virtual node is recognized. */
struct identity identity_of_peer(struct sv name, struct sv namespace);

/* The destination of an access record that knows only the host it asked for ("reviews.default.svc
 * .cluster.local", "api.example.com"): the peer of that name. Others stay as they are. */
void identity_of_host(struct identity *destination, struct sv host);
/* No part of who may be empty afterwards: fills in what other parts say, else "unknown"; the
 * version becomes "latest". */
void identity_complete(struct identity *who);

/* Who an access record is counted for, into the record itself: both ends complete, a destination that its
 * caller knows only by the host is the peer of that name. */
void call_name_ends(struct call *c);
/* Nearly every record names both ends already: true when call_name_ends() would leave c as it is. */
bool call_has_ends(const struct call *c);

#endif
