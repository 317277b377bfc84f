/* window.c - aligning times to steps.
 *
 * Times come from peers, so both ends of the int64_t range are met: an aligned value that would
 * not fit is the nearest one that does. */
#include "model/window.h"
#include "base/auto.h"

int64_t window_align_up(int64_t t_ns, int64_t step_ns)
{
    INVARIANT(step_ns > 0);
    int64_t over = t_ns % step_ns;
    if (over < 0)
        over += step_ns;
    if (over == 0)
        return t_ns;
    int64_t up = step_ns - over;
    return t_ns > INT64_MAX - up ? INT64_MAX : t_ns + up;
}

bool window_contains(struct window w, int64_t t_ns)
{
    return t_ns >= w.from_ns && t_ns < w.to_ns;
}
