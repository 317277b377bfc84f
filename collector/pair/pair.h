/* pair.h - joins the two halves of a call, seen as spans, into one call.
 *
 * One thread owns a pairer. Times are wall-clock nanoseconds. */
#ifndef COLLECTOR_PAIR_PAIR_H
#define COLLECTOR_PAIR_PAIR_H

#include "model/call.h"
#include "model/span.h"

/* Where the spans of calling and called kinds went; each is counted once when it is decided. */
struct pair_stats {
    uint64_t waiting;         /* halves in the table now */
    uint64_t paired;          /* calls made of two halves */
    uint64_t virtual_peers;   /* lone halves that named the other side: database, external, queue */
    uint64_t roots;           /* root server halves: called by a user */
    uint64_t internal_hops;   /* both ends in one node, or an app's hop to the proxy beside it */
    uint64_t covered;         /* halves and pairs of proxies that also send access records */
    uint64_t unpaired_client; /* given up: a calling half that named no peer */
    uint64_t unpaired_server; /* given up: a called half whose caller never came */
    uint64_t unidentified;    /* spans without trace or span id */
    uint64_t repeated;        /* spans that had come before: an export sent once more */
    uint64_t evicted;         /* halves given up early because the table was full */
    uint64_t lost;            /* memory was out */
};

/* Both are borrowed until return. c's reporter is REPORTER_PAIR, and called its called half, or
 * REPORTER_SPAN and NULL. */
typedef void pair_emit_fn(void *to, const struct call *c, const struct called_half *called);

struct pair_conf {
    size_t halves_max;     /* waiting halves, at 144 bytes each; the oldest leaves beyond it */
    size_t identities_max; /* distinct identities remembered, at about 300 bytes each */
    int64_t wait_ns;       /* from receiving one half to giving it up */
};

struct unpaired_row;
/* row is borrowed until return. */
typedef void pair_unpaired_sink(void *to, const struct unpaired_row *row);

/* The node that called a root server span. */
#define PAIR_USER SV("user")

struct pairer;
struct pairer *pairer_new(const struct pair_conf *c, pair_emit_fn *emit, void *to) MUST_USE;
struct pairer *pairer_free(struct pairer *p); /* takes; halves that wait are dropped */
/* Takes in n spans of one batch; borrows them. is_counted false (refilling after a restart): what it completes was
 * counted before, so nothing is emitted and no statistic moves. */
void pairer_add(struct pairer *p, const struct span *spans, size_t n, int64_t received_ns,
                bool is_counted);
/* A record of the called side's proxy: the application's span right below it is no hop of its own, and
 * is of the same workload. Borrows c. */
void pairer_beside_record(struct pairer *p, const struct call *c, bool is_counted);
/* Gives up what waits since now_ns - wait_ns or longer; is_counted as above. */
void pairer_expire(struct pairer *p, int64_t now_ns, bool is_counted);
struct pair_stats pairer_stats(const struct pairer *p);
/* Every row of what could not be paired (pair/unpaired.h); answers how many spans have no row,
 * because there were too many different ones. */
uint64_t pairer_unpaired(const struct pairer *p, pair_unpaired_sink *sink, void *to);
size_t pairer_identities(const struct pairer *p); /* distinct ones remembered */

DEFINE_AUTO_FREE(pairer);

#endif
