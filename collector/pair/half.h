/* half.h - the bounded table of halves that wait for their other half. One thread owns it. */
#ifndef COLLECTOR_PAIR_HALF_H
#define COLLECTOR_PAIR_HALF_H

#include "model/call.h"
#include "normalize/normalize.h"
#include "pair/tls_said.h"

#define HALF_NONE UINT32_MAX

struct half {
    struct trace_id trace;
    struct span_id key; /* span id of the calling side: what both halves have in common */
    struct span_id own; /* the half's own span id */
    int64_t start_ns, duration_ns;
    int64_t received_ns;
    const struct identity *who;  /* interned */
    const struct identity *peer; /* interned; NULL: not named */
    const struct tls_said *said; /* interned; NULL: nothing */
    const struct identity *late; /* interned: the other half was this one's and is given up */
    uint64_t instance; /* hash of what tells the sender from others of its name; 0: nothing */
    uint64_t bytes_received, bytes_sent;
    uint32_t next_same_slot; /* chain of the hash slot */
    uint32_t older, newer;   /* by arrival */
    uint16_t response_code;
    int16_t grpc_status;
    uint8_t kind;     /* enum span_kind */
    uint8_t protocol; /* enum protocol */
    uint16_t resends;
    uint8_t tls;       /* enum tls_state */
    uint8_t tls_basis; /* enum tls_basis */
    uint8_t emitter;   /* enum emitter */
    bool is_calling;   /* client or producer, else server or consumer */
    bool is_matched;   /* a producer that has found a consumer already */
    bool has_failed;   /* the span said ERROR and had no code */
    bool is_unsampled; /* the span said that its trace is not sampled */
};

struct halves {
    struct half *list;
    uint32_t cap, len;       /* elements allocated, elements waiting */
    uint32_t max;            /* never more than this wait */
    uint32_t *slots;         /* cap of them, a power of two: first half of each chain */
    uint32_t unused;         /* chain of free elements through next_same_slot */
    uint32_t oldest, newest; /* by arrival */
};

void halves_init(struct halves *h, size_t max);
void halves_done(struct halves *h);
bool halves_is_full(const struct halves *h);
/* Copies *half in; -1 when memory is out. Not when full. */
int halves_insert(struct halves *h, const struct half *half) MUST_USE;
/* The longest waiting half of that trace, key and side, or HALF_NONE. */
uint32_t halves_find(const struct halves *h, const struct trace_id *trace,
                     const struct span_id *key, bool is_calling);
void halves_remove(struct halves *h, uint32_t at);

#endif
