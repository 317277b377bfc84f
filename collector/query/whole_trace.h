/* whole_trace.h - one trace in memory, for presenters that need all of it before they write any of
 * it: references between spans, clocks, processes. One thread. */
#ifndef COLLECTOR_QUERY_WHOLE_TRACE_H
#define COLLECTOR_QUERY_WHOLE_TRACE_H

#include "base/arena.h"
#include "base/err.h"
#include "model/span.h"
#include "store/store.h"

enum {
    WHOLE_TRACE_SPANS_MAX = 50000, /* some 75 MiB; pages that draw a trace give up well below */
    SPAN_WARNINGS_MAX = 4,         /* one for each repair that can happen to a span */
};

/* What was done to a span on the way to its reader. */
struct span_notes {
    struct sv warnings[SPAN_WARNINGS_MAX];
    size_t warnings_len;
    int64_t moved_ns; /* what its times were moved by: its host's clock was off */
};
struct whole_trace {
    struct arena mem;
    struct trace_id id;
    struct span *spans; /* in order of start, span id, arrival */
    struct span_notes *notes;
    size_t len, cap;
    bool is_cut;      /* there are more than WHOLE_TRACE_SPANS_MAX */
    bool is_adjusted; /* see trace_adjust() */
};
/* Reads the trace. ERR_NOT_FOUND, ERR_NOMEM and what the store says; *ret_t is valid to be done
 * with in any case. */
int whole_trace_read(struct store *s, struct trace_id id, struct whole_trace *ret_t,
                     struct err *err) MUST_USE;
void whole_trace_done(struct whole_trace *t);

DEFINE_AUTO_DONE(whole_trace);

#endif
