/* picture.c - one way from parameters to a view, for all that show one.
 *
 * Reading the parameters is apart from drawing, because a live stream reads them once and draws every
 * second. */
#include "query/picture.h"
#include "query/api.h"
#include "query/trace_view.h"

#define WINDOW_DEFAULT_NS (60 * NS_PER_S)
#define WINDOW_MAX_NS     (24 * 3600 * NS_PER_S) /* 8,640 buckets: a byte for each edge and bucket */

int picture_read_wish(struct params *p, struct view_wish *ret_wish, int64_t *ret_window_ns)
{
    struct sv from;
    struct view_wish w = *ret_wish;
    (void)params_get(p, "namespace", &w.namespaces);
    if (params_window(p, WINDOW_DEFAULT_NS, WINDOW_MAX_NS, &w.window) < 0 ||
        params_granularity(p, &w.granularity) < 0)
        return -1;
    *ret_window_ns = 0;
    if (!params_get(p, "from", &from)) {
        *ret_window_ns = w.window.to_ns - w.window.from_ns;
        w.window.from_ns = window_begin(w.window.from_ns, *ret_window_ns);
    }
    *ret_wish = w;
    return 0;
}

/* A trace's window is its own. */
static int read_trace_id(struct params *p, struct picture *x)
{
    static const char *const clashing[] = { "window", "from", "to" };
    struct sv text, other;
    x->has_trace = params_get(p, "trace", &text);
    if (!x->has_trace)
        return 0;
    for (size_t i = 0; i < NELEMS(clashing); i++)
        if (params_get(p, clashing[i], &other))
            return params_fault(p, clashing[i], "a trace has a window of its own");
    if (!sv_to_bytes(text, x->trace.b, sizeof(x->trace.b)))
        return params_fault(p, "trace", "want the 32 hexadecimal digits of a trace id");
    return 0;
}

int picture_parse(struct params *p, struct picture *ret_picture)
{
    struct picture x = { 0 };
    if (read_trace_id(p, &x) < 0 || picture_read_wish(p, &x.wish, &x.window_ns) < 0 ||
        sieve_read(p, &x.sieve) < 0)
        return -1;
    *ret_picture = x;
    return 0;
}

void picture_slide(struct picture *x, int64_t now_ns)
{
    if (x->window_ns)
        x->wish.window = (struct window){ window_begin(now_ns - x->window_ns, x->window_ns),
                                          now_ns };
}

int picture_draw(const struct api *api, const struct picture *x, int64_t now_ns,
                 struct view *ret_view, const char **ret_blamed, struct err *err)
{
    int rc = x->has_trace ? trace_view_read(api, x->trace, x->wish, ret_view, err)
                          : api_read_view(api, &x->wish, ret_view, err);
    *ret_blamed = "trace";
    if (rc < 0)
        return rc;
    *ret_blamed = "node";
    return sieve_apply(&x->sieve, ret_view, view_seconds(ret_view, now_ns), err);
}
