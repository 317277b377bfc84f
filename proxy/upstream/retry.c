/* retry.c - Envoy's retry conditions as masks.
 *
 * A try without a response satisfies 5xx, gateway-error and reset, as in Envoy; one that never got a
 * connection satisfies connect-failure as well. Numbers match real responses only: a reset that the
 * proxy itself would answer with 503 is a reset, not a 503. gRPC conditions look at the response's
 * head, because once a message has gone to the caller nothing can be repeated. */
#include "proxy/upstream/retry.h"

#define BACKOFF_FACTOR_MAX 10 /* Envoy's: the longest wait is ten times the base */

enum {
    ON_SILENCE = RETRY_ON_5XX | RETRY_ON_GATEWAY_ERROR | RETRY_ON_RESET,
    ON_UNSENT = RETRY_ON_CONNECT_FAILURE | RETRY_ON_REFUSED_STREAM,
    ON_GRPC = RETRY_ON_CANCELLED | RETRY_ON_DEADLINE_EXCEEDED | RETRY_ON_INTERNAL |
              RETRY_ON_RESOURCE_EXHAUSTED | RETRY_ON_UNAVAILABLE,
};

bool retry_wants_failure(const struct retry_policy *p, enum retry_cause cause)
{
    unsigned mask = cause == RETRY_CONNECT   ? ON_SILENCE | RETRY_ON_CONNECT_FAILURE
                    : cause == RETRY_REFUSED ? ON_SILENCE | RETRY_ON_REFUSED_STREAM
                                             : ON_SILENCE;
    return (p->on & mask) != 0;
}

static unsigned condition_of_grpc(struct sv grpc_status)
{
    static const struct {
        uint8_t status;
        unsigned on;
    } rows[] = {
        { 1, RETRY_ON_CANCELLED },          { 4, RETRY_ON_DEADLINE_EXCEEDED },
        { 8, RETRY_ON_RESOURCE_EXHAUSTED }, { 13, RETRY_ON_INTERNAL },
        { 14, RETRY_ON_UNAVAILABLE },
    };
    uint64_t status;
    if (!sv_to_u64(grpc_status, &status))
        return 0;
    for (size_t i = 0; i < NELEMS(rows); i++)
        if (rows[i].status == status)
            return rows[i].on;
    return 0;
}

bool retry_wants_response(const struct retry_policy *p, unsigned status, struct sv grpc_status)
{
    unsigned is = status >= 500 ? RETRY_ON_5XX : 0;
    if (status >= 502 && status <= 504)
        is |= RETRY_ON_GATEWAY_ERROR;
    if (status == 409)
        is |= RETRY_ON_RETRIABLE_4XX;
    if (grpc_status.len)
        is |= condition_of_grpc(grpc_status);
    for (size_t i = 0; i < p->statuses_len; i++)
        if (p->statuses[i] == status)
            return true;
    return (p->on & is) != 0;
}

bool retry_needs_body(const struct retry_policy *p, bool is_grpc)
{
    unsigned harmless = is_grpc ? ON_UNSENT : ON_UNSENT | ON_GRPC;
    return p->attempts && ((p->on & ~harmless) || p->statuses_len);
}

int64_t retry_backoff_ns(const struct retry_policy *p, unsigned n, uint64_t random)
{
    int64_t factor = n < 4 ? (INT64_C(1) << n) - 1 : BACKOFF_FACTOR_MAX;
    int64_t below = p->backoff_ns * MIN(factor, BACKOFF_FACTOR_MAX);
    return below > 0 ? (int64_t)(random % (uint64_t)below) : 0;
}

bool retry_is_idempotent(struct sv method)
{
    static const char *const methods[] = { "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE" };
    for (size_t i = 0; i < NELEMS(methods); i++)
        if (sv_eq(method, sv_z(methods[i])))
            return true;
    return false;
}
