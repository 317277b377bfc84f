/* trace_adjust.h - repairs of a trace for display: what is stored stays as it came. Pure. */
#ifndef COLLECTOR_QUERY_TRACE_ADJUST_H
#define COLLECTOR_QUERY_TRACE_ADJUST_H

#include "query/whole_trace.h"

/* Each repair that a reader could wonder about leaves a warning with its span. ERR_NOMEM. */
int trace_adjust(struct whole_trace *t, struct err *err) MUST_USE;

/* Parts, for tests. */
/* Drops spans that are the same in every field: retried exports. */
void trace_drop_doubles(struct whole_trace *t);
/* A server's span that shares its caller's id (Zipkin) gets an id of its own, and what was called
 * from it follows. */
int trace_split_shared(struct whole_trace *t) MUST_USE;
/* Moves the spans of hosts whose clock is off under the calls that caused them. */
int trace_align_clocks(struct whole_trace *t) MUST_USE;
void span_warn(struct span_notes *n, struct sv warning);

#endif
