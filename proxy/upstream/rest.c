/* SPDX-License-Identifier: Apache-2.0
 * rest.c - a server's idle timeout, from outside.
 *
 * A request that meets a connection which its server is just closing is sent again, but a POST must
 * not be: perhaps it was read. So it should not meet one. Two closes in a row after about the same
 * rest are a timer (a server that ends closes its connections after all kinds of rests), and from
 * half of the shortest on a POST takes a new connection: a busy server's timers are late by much. Others still take old ones, and an answer on
 * one that rested for twice that timer shows that there is no such timer. What was learned is
 * forgotten after ten minutes, because where only POSTs are sent nothing would ever contradict it. */
#include "proxy/upstream/rest.h"
#include "base/auto.h"
#include "base/clock.h"

#define FORGET_NS (600 * NS_PER_S)

void rest_closed(struct rest *r, int64_t rested_ns, int64_t now_ns)
{
    int64_t apart_ns = rested_ns > r->seen_ns ? rested_ns - r->seen_ns : r->seen_ns - rested_ns;
    bool is_alike = r->seen_ns && apart_ns <= rested_ns / 4;
    if (is_alike) {
        int64_t half_ns = MAX(MIN(rested_ns, r->seen_ns) / 2, (int64_t)1);
        r->limit_ns = r->limit_ns ? MIN(r->limit_ns, half_ns) : half_ns;
        r->until_ns = now_ns + FORGET_NS;
    }
    r->seen_ns = rested_ns;
}

void rest_served(struct rest *r, int64_t rested_ns)
{
    if (r->limit_ns && rested_ns > 4 * r->limit_ns)
        *r = (struct rest){ 0 };
}

bool rest_is_short(const struct rest *r, int64_t rested_ns, int64_t now_ns)
{
    return r->limit_ns == 0 || now_ns >= r->until_ns || rested_ns < r->limit_ns;
}
