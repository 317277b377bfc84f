/* SPDX-License-Identifier: Apache-2.0
 * limit.c - token buckets.
 *
 * A bucket holds up to `burst` tokens and gains `per_s` each second, counted when it is asked; a
 * request takes one. It begins full. A bucket that has become full again and is held by nobody says
 * no more than none at all, so when there are too many those go first. When all are in use, clients
 * not yet known share one bucket a limit: a flood of addresses is limited as one client and cannot
 * take more memory. */
#include "proxy/limit.h"
#include "base/clock.h"
#include "base/mem.h"

#define SWEEP_NS  NS_PER_S /* at most this often: a sweep looks at every bucket */
#define KEY_BYTES 512      /* kind, namespace, name (253 each at most) and an address */

void limiter_done(struct limiter *l)
{
    void *value;
    for (size_t i = 0; map_next(&l->buckets, &i, NULL, &value);)
        mem_free(value);
    map_done(&l->buckets);
}

static void refill(struct limit_bucket *b, int64_t now_ns)
{
    b->tokens += (double)MAX(now_ns - b->at_ns, 0) * b->per_s / (double)NS_PER_S;
    b->tokens = MIN(b->tokens, b->burst);
    b->at_ns = now_ns;
}

static void sweep(struct limiter *l, int64_t now_ns)
{
    void *value;
    if (l->swept_ns && now_ns - l->swept_ns < SWEEP_NS)
        return;
    l->swept_ns = now_ns;
    for (size_t i = 0; map_next(&l->buckets, &i, NULL, &value);) {
        struct limit_bucket *b = value;
        refill(b, now_ns);
        if (b->active || b->tokens < b->burst)
            continue;
        map_remove_given(&l->buckets, &i);
        mem_free(b);
    }
}

static struct limit_bucket *bucket_of(struct limiter *l, const struct rate_limit *limit,
                                      struct sv client, int64_t now_ns)
{
    char text[KEY_BYTES];
    int n = snprintf(text, sizeof(text), "%.*s|%.*s", SV_ARG(limit->id), SV_ARG(client));
    struct sv key = sv_of(text, MIN((size_t)MAX(n, 0), sizeof(text) - 1));
    struct limit_bucket *b = map_get(&l->buckets, key);
    if (b)
        return b;
    if (l->buckets.len >= LIMIT_BUCKETS_MAX)
        sweep(l, now_ns);
    if (l->buckets.len >= LIMIT_BUCKETS_MAX && !sv_eq(client, SV("*")))
        return bucket_of(l, limit, SV("*"), now_ns);
    b = mem_zalloc(sizeof(*b));
    if (!b || map_put(&l->buckets, key, b, NULL) < 0)
        return mem_free(b);
    b->tokens = limit->burst;
    b->at_ns = now_ns;
    return b;
}

bool limit_take(struct limiter *l, const struct rate_limit *limit, struct sv client, int64_t now_ns,
                struct limit_bucket **ret_hold)
{
    struct limit_bucket *b = bucket_of(l, limit, limit->is_per_client ? client : SV("*"), now_ns);
    *ret_hold = NULL;
    if (!b)
        return true;
    b->burst = limit->burst; /* a reload may have changed them */
    b->per_s = limit->per_s;
    if (limit->active_max) {
        if (b->active >= limit->active_max)
            return false;
        b->active++;
        *ret_hold = b;
        return true;
    }
    refill(b, now_ns);
    if (b->tokens < 1)
        return false;
    b->tokens -= 1;
    return true;
}

void limit_release(struct limit_bucket *hold)
{
    if (hold)
        hold->active--;
}
