/* addresses.h - whose pod an address is, learned from the log lines of the proxies themselves. One
 * thread owns it. */
#ifndef INGEST_ADDRESSES_H
#define INGEST_ADDRESSES_H

#include "base/map.h"
#include "model/batch.h"

struct addresses {
    struct map by_ip; /* to struct address */
    int64_t swept_ns;
};
void addresses_done(struct addresses *a);

/* Learns from every call of b that says which address its reporter has, then puts the workload that is
 * known by the other end's address in place of an end that the call knows by its host's name or not
 * at all. now_ns: wall clock. 0 or ERR_NOMEM (then b is as good as before). */
int addresses_settle(struct addresses *a, struct batch *b, int64_t now_ns) MUST_USE;

DEFINE_AUTO_DONE(addresses);

#endif
