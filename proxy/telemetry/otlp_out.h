/* otlp_out.h - the pieces of OTLP that this proxy writes: attributes, a scope, a record, a span.
 *
 * Everything is appended to a buf; errors are only its `failed`. */
#ifndef PROXY_TELEMETRY_OTLP_OUT_H
#define PROXY_TELEMETRY_OTLP_OUT_H

#include "base/arena.h"
#include "base/buf.h"
#include "proxy/telemetry/exchange.h"

/* A KeyValue in this field; an empty text and "unknown" are left out: a missing attribute means
 * unknown. */
void otlp_put_text(struct buf *to, uint32_t field, struct sv key, struct sv value);
void otlp_put_int(struct buf *to, uint32_t field, struct sv key, int64_t value);

/* What authorization said, in this field; NULL: nothing. */
void otlp_put_authz(struct buf *to, uint32_t field, const struct authz_decision *a);

/* Why the proxy answered by itself: an attribute of the record, an event of the span. */
void otlp_put_reason(struct buf *to, const struct exchange *x);
void otlp_put_reply_event(struct buf *to, const struct exchange *x);

/* An access record is written in two parts: what all requests of an edge have in common is said once,
 * by the scope, the rest by each LogRecord (an element of ScopeLogs). access_attrs.def's names. */
bool otlp_same_scope(const struct call *a, const struct call *b);
/* What otlp_same_scope() looks at, with its text in mem. 0, ERR_NOMEM. */
int otlp_copy_shared(struct arena *mem, const struct call *c, struct call *ret) MUST_USE;
/* The scope "tulle-proxy", a field of ScopeLogs or ScopeSpans. shared: NULL for one without
 * attributes. */
void otlp_put_scope(struct buf *to, const struct call *shared);
void otlp_put_access_record(struct buf *to, const struct exchange *x);
/* One Span as an element of ScopeSpans. */
void otlp_put_span(struct buf *to, const struct exchange *x);

struct otlp_resource {
    struct identity self;
    struct sv pod, service_account;
};
/* The Resource message's body. */
void otlp_put_resource(struct buf *to, const struct otlp_resource *r);

enum otlp_signal { OTLP_LOGS, OTLP_SPANS, OTLP_SIGNALS_LEN };

#endif
