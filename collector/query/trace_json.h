/* trace_json.h - spans and access records as docs/api.md writes them, nothing left out. */
#ifndef COLLECTOR_QUERY_TRACE_JSON_H
#define COLLECTOR_QUERY_TRACE_JSON_H

#include "base/json_out.h"
#include "model/call.h"
#include "model/span.h"
#include "query/whole_trace.h"

/* One element of "spans"; resource and scope are indexes into the answer's lists. notes: what was
 * repaired; NULL of a span as it was sent. */
void json_span(struct json_out *j, const struct span *s, const struct span_notes *notes,
               size_t resource, size_t scope);
void json_resource(struct json_out *j, const struct resource *r);
void json_scope(struct json_out *j, const struct scope *s);
/* A value: the bytes in base64, quoted. */
void json_base64(struct json_out *j, struct sv bytes);
void json_call(struct json_out *j, const struct call *c);

#endif
