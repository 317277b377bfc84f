/* window.h - half-open time ranges [from, to) in wall-clock nanoseconds, and buckets of them. */
#ifndef MODEL_WINDOW_H
#define MODEL_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#define BUCKET_NS INT64_C(10000000000) /* 10 s: the finest step of an edge's history */

struct window {
    int64_t from_ns, to_ns;
};

/* The start of the step that t lies in; also right for negative t. */
int64_t window_align_down(int64_t t_ns, int64_t step_ns);
int64_t window_align_up(int64_t t_ns, int64_t step_ns);
bool window_contains(struct window w, int64_t t_ns);

#endif
