/* alike.h - calls that a counter tells of: how many of an edge ended the same way, none by itself.
 *
 * Owns its histogram; flags are borrowed. */
#ifndef MODEL_ALIKE_H
#define MODEL_ALIKE_H

#include "model/call.h"
#include "model/hist.h"

struct alike {
    enum protocol protocol;
    enum tls_state tls;
    enum tls_basis tls_basis;
    uint16_t code;   /* as in struct call */
    int16_t grpc;    /* -1: none */
    struct sv flags; /* as in struct call */
    bool is_calling; /* the calling side's counter says so, else the called side's */
    bool is_beside;  /* the other side's counter counts them, too, and that is the one to believe */
    int64_t at_ns;   /* stands for the starts of all */
    uint64_t times;  /* 0: bytes of connections that were counted before, or durations alone */
    uint64_t bytes_received, bytes_sent; /* of all */
    struct hist latency;                 /* of those that were timed */
};

/* One of them, without its duration and bytes. */
static inline struct call alike_call(const struct alike *a)
{
    return (struct call){ .reporter = REPORTER_SCRAPE,
                          .protocol = a->protocol,
                          .tls = a->tls,
                          .tls_basis = a->tls_basis,
                          .response_code = a->code,
                          .grpc_status = a->grpc,
                          .response_flags = a->flags,
                          .start_ns = a->at_ns };
}

#endif
