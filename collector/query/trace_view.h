/* trace_view.h - the graph of one trace: the calls that its spans and access records tell of. */
#ifndef COLLECTOR_QUERY_TRACE_VIEW_H
#define COLLECTOR_QUERY_TRACE_VIEW_H

#include "query/api.h"

/* A fold of its own with everything the trace tells, all halves judged. Gives. *ret_window is the
 * time it covers, at most a day. NULL with err set: ERR_NOT_FOUND (no span is kept), ERR_NOMEM,
 * what the store says. */
struct fold *trace_fold(const struct api *api, struct trace_id id, struct window *ret_window,
                        struct err *err) MUST_USE;
/* As api_read_view(), of the trace alone; w->window is not looked at. */
int trace_view_read(const struct api *api, struct trace_id id, struct view_wish w,
                    struct view *ret_view, struct err *err) MUST_USE;

#endif
