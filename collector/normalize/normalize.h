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
    struct identity who;     /* no part is empty */
    struct sv instance;      /* service.instance.id or host.name; empty: not said */
    bool is_who_of_resource; /* who follows from the resource and whether emitter is PROXY */
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
    enum peer_kind peer_kind;
    struct sv peer;           /* its name; empty with PEER_NONE */
    struct sv peer_namespace; /* empty when not known */
};

/* The text that stands in response_flags when a span that has no response code says ERROR. */
#define SPAN_ERROR_FLAG SV("error")

/* What the spans of one export share is worked out once a resource. One thread owns it; no memory
 * of its own. */
struct normalizer {
    struct semconv names;
    const struct resource *resource; /* the last span's, NULL at first */
    struct roles resource_roles;
};
void normalizer_init(struct normalizer *n);
/* Before resources it has seen are freed. */
void normalizer_forget(struct normalizer *n);

void span_facts_of(struct normalizer *n, const struct span *s, struct span_facts *ret_facts);
/* The node that others speak of and that says nothing itself: workload and service are name, the
 * version stays "unknown", by which a virtual node is recognized. */
struct identity identity_of_peer(struct sv name, struct sv namespace);

/* The destination of an access record that knows only the host it asked for ("reviews.default.svc
 * .cluster.local", "api.example.com"): the peer of that name. Others stay as they are. */
void identity_of_host(struct identity *destination, struct sv host);
/* No part of who may be empty afterwards: fills in what other parts say, else "unknown"; the
 * version becomes "latest". */
void identity_complete(struct identity *who);

#endif
