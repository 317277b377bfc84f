/* pair.h - joins the two halves of a call, seen as spans, into one call.
 *
 * One thread owns a pairer. Times are wall-clock nanoseconds. */
#ifndef COLLECTOR_PAIR_PAIR_H
#define COLLECTOR_PAIR_PAIR_H

#include "model/call.h"
#include "model/span.h"

/* Why spans of a calling or called kind gave no edge, or gave one by themselves. */
struct pair_stats {
    uint64_t waiting;         /* halves in the table now */
    uint64_t paired;          /* calls made of two halves */
    uint64_t virtual_peers;   /* lone client halves that named their peer: database, external */
    uint64_t roots;           /* root server halves: called by a user */
    uint64_t internal_hops;   /* both halves in one workload, or a proxy's own hop beside the app */
    uint64_t covered;         /* lone halves of proxies that also send an access record */
    uint64_t unpaired_client; /* given up: a client half without peer attributes */
    uint64_t unpaired_server; /* given up: a server half whose caller never came */
    uint64_t unidentified;    /* spans without trace or span id */
    uint64_t evicted;         /* halves given up early because the table was full */
    uint64_t lost;            /* memory was out */
};

#endif
