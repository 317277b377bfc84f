/* truth.h - a made-up mesh whose every request is known, and what its reporters would say of it.
 *
 * For tests: what the collector counts can be compared with what there was. All of it follows from
 * a seed. One thread owns a truth. */
#ifndef SUPPORT_TRUTH_H
#define SUPPORT_TRUTH_H

#include "base/arena.h"
#include "model/call.h"

/* Who tells of an edge's requests. */
enum truth_kind {
    TRUTH_BOTH_RECORDS,  /* the sidecars of both sides */
    TRUTH_SOURCE_BLIND,  /* both, and the caller's cannot tell the TLS state, as Istio's cannot */
    TRUTH_SOURCE_RECORD, /* the caller's sidecar */
    TRUTH_CALLED_RECORD, /* the callee's sidecar */
    TRUTH_TULLE_SPANS,   /* both sidecars, by records and by spans, and both applications' SDKs */
    TRUTH_SDK_PAIR,      /* the SDKs of both applications */
    TRUTH_SHARED_ID,     /* Zipkin's way: both halves have one span id */
    TRUTH_ENVOY,         /* Envoys of both sides, and both applications' SDKs */
    TRUTH_DATABASE,      /* the caller's SDK */
    TRUTH_OUTSIDE,       /* the caller's SDK, of a host that nobody instruments */
    TRUTH_ROOT,          /* the callee's SDK, called by a user */
    TRUTH_MESSAGE,       /* the consumer's parent is the producer */
    TRUTH_LINKED,        /* the consumer names the producer by a link */
    TRUTH_KINDS
};

struct truth_edge {
    enum truth_kind kind;
    enum reporter evidence; /* the best there is */
    struct sv source, destination;
    enum protocol protocol;
    uint64_t requests, errors, tls[TLS_STATES_LEN];
    int64_t *durations_ns; /* sorted */
};

/* One thing that arrives. */
struct truth_record {
    int64_t told_ns; /* when its sender could tell it first: the end of what it tells of */
    bool is_call;
    union {
        struct call call;
        struct span span;
    };
};

struct truth {
    struct arena mem;
    struct truth_edge *edges;
    size_t edges_len;
    struct truth_record *records;
    size_t records_len;
};

/* Requests that start between start_ns and start_ns + length_ns, over all kinds of edges. */
void truth_init(struct truth *t, uint64_t seed, size_t requests, int64_t start_ns,
                int64_t length_ns);
void truth_done(struct truth *t);
/* The observation of that rank, as a quantile of the edge's durations is defined: the smallest that
 * at least q of all do not exceed. */
int64_t truth_quantile(const struct truth_edge *e, double q);

#endif
