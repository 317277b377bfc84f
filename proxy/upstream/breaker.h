/* breaker.h - how many requests and connections a cluster may have at once, and who waits.
 *
 * Only clusters with a connectionPool, or whose balancing needs memory, are counted. State is a
 * worker's own and found by the cluster's name, so it survives a reload. One thread: the worker's. */
#ifndef PROXY_UPSTREAM_BREAKER_H
#define PROXY_UPSTREAM_BREAKER_H

#include "base/map.h"
#include "net/loop.h"
#include "proxy/config/mesh.h"

struct cluster_use {
    uint32_t requests, connections, retries; /* now */
    uint32_t cursor;                         /* round robin */
    struct list waiting;                     /* breaker_seat, first come first served */
    size_t waiting_len;
};
/* A stream's share. All-zero: none. */
struct breaker_seat {
    struct list node; /* use->waiting */
    struct defer turn;
    struct cluster_use *use; /* NULL: the cluster is not counted */
    const struct pool_limits *limits;
    bool is_request, is_connection, is_retry; /* what it holds */
    bool has_turn;                            /* of a wait: it holds a connection now */
};
struct breakers {
    struct map uses;
};
struct worker;

void breakers_done(struct breakers *b);
/* The request begins; false: there are too many. NULL limits count nothing. */
bool breaker_begin(struct breakers *b, struct breaker_seat *s, const struct cluster *c) MUST_USE;
enum breaker_answer { BREAKER_GO, BREAKER_WAIT, BREAKER_FULL };
/* A connection is wanted. After BREAKER_WAIT `run` is called in a later turn, has_turn is set. */
enum breaker_answer breaker_connect(struct breaker_seat *s) MUST_USE;
/* The connection is given back: the first who waits has it. */
void breaker_disconnect(struct breaker_seat *s, struct loop *loop, defer_fn *run);
/* One more retry may run. */
bool breaker_retry(struct breaker_seat *s) MUST_USE;
/* At the end, or to begin anew. */
void breaker_end(struct breaker_seat *s, struct loop *loop, defer_fn *run);

#endif
