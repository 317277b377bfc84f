/* limit.h - token buckets and counts of requests in flight, by limit and client.
 *
 * A worker's own state, found by the limit's id, so it survives a reload of the configuration. One
 * thread: the worker's. All-zero is the valid empty state. */
#ifndef PROXY_LIMIT_H
#define PROXY_LIMIT_H

#include "base/map.h"
#include "proxy/route/action.h"

#define LIMIT_BUCKETS_MAX 65536 /* clients remembered, 10 MB; the others share a bucket */

struct limit_bucket {
    double tokens;
    int64_t at_ns;   /* when they were counted; monotonic */
    uint32_t active; /* requests in flight that hold it */
    double burst, per_s;
};
struct limiter {
    struct map buckets;
    int64_t swept_ns;
};

void limiter_done(struct limiter *l);
/* May one more request of this client come now? True: taken; with active_max *ret_hold is held until
 * limit_release(), else it is NULL. Without memory everybody may. */
bool limit_take(struct limiter *l, const struct rate_limit *limit, struct sv client, int64_t now_ns,
                struct limit_bucket **ret_hold) MUST_USE;
void limit_release(struct limit_bucket *hold);

#endif
