/* edge_clock.c - the offset between two hosts' clocks, from calls that went between them.
 *
 * The caller says that a call ran from c0 to c1, the callee that it ran from s0 to s1 by its own
 * clock, which is ahead by x. The call was sent before it was received, and answered before the
 * answer was received: c0 <= s0 - x and s1 - x <= c1. So s1 - c1 <= x <= s0 - c0, and every pair
 * narrows the range; their distance is the time on the wire. This is how NTP bounds an offset,
 * without a message of our own.
 *
 * A callee that went on after its caller had its answer (or gave up) breaks the second inequality;
 * such pairs are left out. When the range becomes empty there is no single offset: the workload has
 * several hosts with clocks of their own, or a clock was set meanwhile. */
#include "edge_clock.h"

static int64_t add_signed(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? (a < 0 ? INT64_MIN : INT64_MAX) : sum;
}

void edge_clock_add(struct edge_clock *to, const struct call *c, const struct called_half *called)
{
    int64_t high_ns, low_ns;
    if (called->duration_ns > c->duration_ns || called->duration_ns < 0 ||
        __builtin_sub_overflow(called->start_ns, c->start_ns, &high_ns) ||
        __builtin_sub_overflow(high_ns, c->duration_ns - called->duration_ns, &low_ns))
        return;
    struct edge_clock one = { 1, low_ns + (high_ns - low_ns) / 2, low_ns, high_ns };
    edge_clock_merge(to, &one);
}

void edge_clock_merge(struct edge_clock *into, const struct edge_clock *from)
{
    if (from->pairs == 0)
        return;
    into->low_ns = into->pairs ? MAX(into->low_ns, from->low_ns) : from->low_ns;
    into->high_ns = into->pairs ? MIN(into->high_ns, from->high_ns) : from->high_ns;
    into->sum_ns = add_signed(into->sum_ns, from->sum_ns);
    into->pairs = into->pairs > UINT64_MAX - from->pairs ? UINT64_MAX : into->pairs + from->pairs;
}

const char *clock_verdict_name(enum clock_verdict v)
{
    static const char *const names[] = { "unknown", "agrees", "skewed", "varies" };
    INVARIANT((size_t)v < NELEMS(names));
    return names[v];
}

enum clock_verdict edge_clock_judge(const struct edge_clock *c, int64_t *ret_offset_ns)
{
    *ret_offset_ns = 0;
    if (c->pairs == 0)
        return CLOCK_UNKNOWN;
    if (c->low_ns > c->high_ns) {
        *ret_offset_ns = c->sum_ns / (int64_t)MIN(c->pairs, (uint64_t)INT64_MAX);
        return CLOCK_VARIES;
    }
    if (c->low_ns <= 0 && c->high_ns >= 0)
        return CLOCK_AGREES;
    *ret_offset_ns = c->low_ns + (int64_t)(((uint64_t)c->high_ns - (uint64_t)c->low_ns) / 2);
    return CLOCK_SKEWED;
}
