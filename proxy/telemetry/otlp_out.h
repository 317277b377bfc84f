/* otlp_out.h - the pieces of OTLP that this proxy writes: attributes, a record, a span, a request.
 *
 * Everything is appended to a buf; errors are only its `failed`. */
#ifndef PROXY_TELEMETRY_OTLP_OUT_H
#define PROXY_TELEMETRY_OTLP_OUT_H

#include "base/buf.h"
#include "proxy/telemetry/exchange.h"

/* A KeyValue in this field; an empty text and "unknown" are left out: a missing attribute means
 * unknown. */
void otlp_put_text(struct buf *to, uint32_t field, struct sv key, struct sv value);
void otlp_put_int(struct buf *to, uint32_t field, struct sv key, int64_t value);

/* What authorization said, in this field; NULL: nothing. */
void otlp_put_authz(struct buf *to, uint32_t field, const struct authz_decision *a);

/* One LogRecord as an element of ScopeLogs, access_attrs.def's attributes. */
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
/* A whole export request: resource (from otlp_put_resource), scope "tulle-proxy", and elements as
 * the two functions above wrote them. */
void otlp_put_request(struct buf *to, struct sv resource, struct sv elements);

#endif
