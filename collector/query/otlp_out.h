/* otlp_out.h - a trace as OTLP/JSON (hex ids, enums as numbers, 64-bit integers as text). */
#ifndef COLLECTOR_QUERY_OTLP_OUT_H
#define COLLECTOR_QUERY_OTLP_OUT_H

#include "base/json_out.h"
#include "query/whole_trace.h"

/* The elements of "resourceSpans" into an open list. ERR_NOMEM. */
int otlp_put_resource_spans(struct json_out *j, const struct whole_trace *t, struct err *err)
    MUST_USE;

#endif
