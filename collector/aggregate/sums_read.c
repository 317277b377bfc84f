/* sums_read.c - a window as a few pieces of different widths.
 *
 * Evidence is chosen bucket by bucket, so the finest buckets are the truest: they are used as long
 * as they are bearably many. Beyond that whole minutes are read as minutes, and in windows so long
 * that even these are too many whole hours as hours; only the ragged ends are finer. In a wide
 * bucket its best column counts, so where a better reporter was there for a part of it only, what
 * the worse one saw alone in that minute or hour is missing. */
#include "aggregate/sums_read.h"
#include "base/clock.h"

#define MINUTE_NS (60 * NS_PER_S)
#define HOUR_NS   (3600 * NS_PER_S)

enum {
    FINE_MAX = 100000,    /* buckets of 10 s: a fifth of a second */
    MINUTES_MAX = 400000, /* and of a minute: an hour of 5,000 edges */
};

struct reading {
    struct store *store;
    edge_total_sink *sink;
    void *to;
};

static int read_piece(const struct reading *r, struct window w, int64_t width_ns, struct err *err)
{
    struct view_wish wish = { .window = w,
                              .granularity = GRANULARITY_WORKLOAD,
                              .width_ns = width_ns };
    if (w.from_ns >= w.to_ns)
        return 0;
    AUTO_FREE(view_builder) b = view_builder_new(&wish);
    if (!b)
        return err_set(err, ERR_NOMEM, "sums of edges");
    struct window wanted = view_builder_window(b);
    int rc = store_edges(r->store, &wanted, width_ns, view_builder_add, b, err);
    return rc < 0 ? rc : view_builder_totals(b, r->sink, r->to, err);
}

/* w with its whole steps of widths[0] read at that width, the ends at the next ones. */
static int read_ladder(const struct reading *r, struct window w, const int64_t *widths,
                       struct err *err)
{
    struct window whole = { window_align_up(w.from_ns, widths[0]),
                            window_align_down(w.to_ns, widths[0]) };
    if (widths[0] == BUCKET_NS)
        return read_piece(r, w, BUCKET_NS, err);
    if (whole.from_ns >= whole.to_ns)
        return read_ladder(r, w, widths + 1, err);
    int rc = read_ladder(r, (struct window){ w.from_ns, whole.from_ns }, widths + 1, err);
    if (rc == 0)
        rc = read_piece(r, whole, widths[0], err);
    return rc < 0 ? rc : read_ladder(r, (struct window){ whole.to_ns, w.to_ns }, widths + 1, err);
}

int sums_read(struct store *s, const struct window *w, size_t edges, edge_total_sink *sink,
              void *to, struct err *err)
{
    static const int64_t widths[] = { HOUR_NS, MINUTE_NS, BUCKET_NS };
    const struct reading r = { s, sink, to };
    double steps = (double)(w->to_ns - w->from_ns) / (double)BUCKET_NS;
    size_t coarsest = 0;
    if (steps * (double)edges <= FINE_MAX)
        coarsest = 2;
    else if (steps * (double)edges * BUCKET_NS / MINUTE_NS <= MINUTES_MAX)
        coarsest = 1;
    return read_ladder(&r, *w, widths + coarsest, err);
}
