/* retry.h - whether a failed try is repeated, and when. Decisions only: no stream, no clock.
 *
 * What decides is the route's policy alone. Its conditions are of two kinds: those that prove the
 * request was not executed (connect-failure, refused-stream), which hold for every method, and those
 * that an operator names because repeating is right for this route. */
#ifndef PROXY_UPSTREAM_RETRY_H
#define PROXY_UPSTREAM_RETRY_H

#include "proxy/config/mesh.h"

enum retry_cause {
    RETRY_CONNECT,  /* no connection: nothing was sent */
    RETRY_RESET,    /* the connection, or the stream of HTTP/2, ended before a response */
    RETRY_REFUSED,  /* the endpoint said that it has not looked at it */
    RETRY_TIMEOUT,  /* perTryTimeout */
    RETRY_RESPONSE, /* a response whose status or grpc-status is named */
    RETRY_CAUSES_LEN
};

/* Without a response; not for RETRY_RESPONSE. */
bool retry_wants_failure(const struct retry_policy *p, enum retry_cause cause);
/* A real response. grpc_status: of its head, empty when it has none. */
bool retry_wants_response(const struct retry_policy *p, unsigned status, struct sv grpc_status);
/* Whether a condition can be met after the body has gone: else there is no need to keep it. */
bool retry_needs_body(const struct retry_policy *p, bool is_grpc);
/* Wait before the n-th repeat (from 1): uniform in [0, (2^n - 1) * base), at most 10 * base. */
int64_t retry_backoff_ns(const struct retry_policy *p, unsigned n, uint64_t random);
/* RFC 9110 9.2.2: such a request may be sent again although it may have been executed. */
bool retry_is_idempotent(struct sv method);

#endif
