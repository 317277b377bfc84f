/* jaeger_span.h - spans, tags and processes in the form of Jaeger's page. */
#ifndef COLLECTOR_QUERY_JAEGER_SPAN_H
#define COLLECTOR_QUERY_JAEGER_SPAN_H

#include "query/jaeger.h"
#include "query/once.h"

/* One trace as an element of "data". note: what to warn of beside the trace itself, or empty. */
int jaeger_put_trace(struct json_out *j, const struct whole_trace *t, struct sv note) MUST_USE;

/* One trace as an element of "summaries". ERR_NOMEM. */
int jaeger_put_summary(struct json_out *j, const struct whole_trace *t, struct err *err) MUST_USE;

/* For the parts and their tests. */
void jaeger_put_tag(struct json_out *j, const struct attr *a, bool is_adjusted);
void jaeger_put_span(struct json_out *j, const struct span *s, const struct span_notes *n,
                     bool is_adjusted, size_t process);
/* "name" as Jaeger would call the resource's service. */
struct sv jaeger_service_name(const struct resource *r);

#endif
