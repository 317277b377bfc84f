/* window.h - half-open time ranges [from, to) in wall-clock nanoseconds, and buckets of them. */
#ifndef MODEL_WINDOW_H
#define MODEL_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define BUCKET_NS INT64_C(10000000000) /* 10 s: the finest step of an edge's history */

struct window {
    int64_t from_ns, to_ns;
};

/* The start of the step (> 0) that t lies in; also right for negative t, and the nearest that fits for times
 * at the end of the range, since they come from peers. Inline: steps are constants, which makes the
 * division a multiplication. */
static inline int64_t window_align_down(int64_t t_ns, int64_t step_ns)
{
    int64_t over = t_ns % step_ns;
    if (over < 0)
        over += step_ns;
    return t_ns < INT64_MIN + over ? INT64_MIN : t_ns - over;
}
int64_t window_align_up(int64_t t_ns, int64_t step_ns);
bool window_contains(struct window w, int64_t t_ns);

#endif
