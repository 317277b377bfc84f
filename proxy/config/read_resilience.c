/* SPDX-License-Identifier: Apache-2.0
 * read_resilience.c - http[].retries and trafficPolicy.outlierDetection.
 *
 * Both follow Istio, whose proto cannot tell a missing number from 0: retries without attempts means
 * no retries, while a missing outlierDetection number means its default. consecutiveErrors is the
 * old name of consecutive5xxErrors and still found in many files. */
#include "base/clock.h"
#include "proxy/config/catalog.h"

#define ATTEMPTS_MAX   100 /* more would only turn an outage into a storm */
#define BACKOFF_NS     (25 * NS_PER_MS)
#define BACKOFF_MIN_NS NS_PER_MS /* Istio refuses less */
#define STATUSES_MAX   32
#define ERRORS_MAX     1000000
#define DEFAULT_ON                                                                                 \
    (RETRY_ON_CONNECT_FAILURE | RETRY_ON_REFUSED_STREAM | RETRY_ON_UNAVAILABLE | RETRY_ON_CANCELLED)

const struct retry_policy retry_default = {
    .attempts = 2,
    .on = DEFAULT_ON,
    .backoff_ns = BACKOFF_NS,
    .prefers_others = true,
};

/* clang-format off */
static const struct choice conditions[] = {
    { "5xx",                  RETRY_ON_5XX },
    { "gateway-error",        RETRY_ON_GATEWAY_ERROR },
    { "reset",                RETRY_ON_RESET },
    { "reset-before-request", RETRY_ON_CONNECT_FAILURE },
    { "connect-failure",      RETRY_ON_CONNECT_FAILURE },
    { "refused-stream",       RETRY_ON_REFUSED_STREAM },
    { "retriable-4xx",        RETRY_ON_RETRIABLE_4XX },
    { "cancelled",            RETRY_ON_CANCELLED },
    { "deadline-exceeded",    RETRY_ON_DEADLINE_EXCEEDED },
    { "internal",             RETRY_ON_INTERNAL },
    { "resource-exhausted",   RETRY_ON_RESOURCE_EXHAUSTED },
    { "unavailable",          RETRY_ON_UNAVAILABLE },
    { "retriable-status-codes", 0 }, /* said by the numbers themselves */
};
/* clang-format on */
static const char *const unserved[] = { "retriable-headers", "envoy-ratelimited",
                                        "http3-post-connect-failure" };
static const char *const later_retries[] = { "retryRemoteLocalities", NULL };
static const char *const later_outlier[] = { "outlierDetectionHttpErrorCodes", NULL };

static void read_condition(struct reader *r, struct node *n, struct sv word,
                           struct retry_policy *to, uint16_t *statuses)
{
    uint64_t status;
    for (size_t i = 0; i < NELEMS(conditions); i++)
        if (sv_eq(word, sv_z(conditions[i].name))) {
            to->on |= (unsigned)conditions[i].value;
            return;
        }
    for (size_t i = 0; i < NELEMS(unserved); i++)
        if (sv_eq(word, sv_z(unserved[i]))) {
            finding_warn(r->to, n, "'%.*s' is not supported yet, ignored", SV_ARG(word));
            return;
        }
    if (!sv_to_u64(word, &status) || status < 100 || status > 599)
        finding_error(r->to, n, "expected retry conditions or status codes, found '%.*s'",
                      SV_ARG(sv_sub(word, 0, 60)));
    else if (to->statuses_len == STATUSES_MAX)
        finding_error(r->to, n, "more than %d status codes", STATUSES_MAX);
    else
        statuses[to->statuses_len++] = (uint16_t)status;
}

/* "5xx,connect-failure,503": names and numbers in any order. */
static void read_retry_on(struct reader *r, struct node *map, struct retry_policy *to)
{
    struct node *n = field_any(r, map, "retryOn");
    struct sv rest = field_text(r, map, "retryOn");
    if (!rest.len)
        return;
    uint16_t *statuses = read_array(r, STATUSES_MAX, sizeof(*statuses));
    if (!statuses)
        return;
    to->on = 0;
    to->statuses = statuses;
    while (rest.len) {
        size_t comma = sv_index(rest, ',');
        struct sv word = sv_trim(sv_sub(rest, 0, comma));
        rest = sv_from(rest, comma + 1);
        if (word.len)
            read_condition(r, n, word, to, statuses);
    }
}

const struct retry_policy *read_retries(struct reader *r, struct node *rule, int64_t timeout_ns)
{
    struct node *n = field_map(r, rule, "retries"), *per_try, *backoff;
    struct retry_policy *p = n ? read_array(r, 1, sizeof(*p)) : NULL;
    if (!p)
        return NULL;
    *p = retry_default;
    p->attempts = (unsigned)field_uint(r, n, "attempts", ATTEMPTS_MAX, 0);
    if (!field_any(r, n, "attempts"))
        finding_warn(r->to, n, "attempts is missing: nothing is retried");
    read_retry_on(r, n, p);
    per_try = field_any(r, n, "perTryTimeout");
    p->per_try_ns = field_duration(r, n, "perTryTimeout", 0);
    if (timeout_ns && p->per_try_ns >= timeout_ns) {
        finding_warn_key(r->to, per_try, "is not shorter than the route's timeout, ignored");
        p->per_try_ns = 0;
    }
    backoff = field_any(r, n, "backoff");
    p->backoff_ns = field_duration(r, n, "backoff", BACKOFF_NS);
    if (backoff && p->backoff_ns < BACKOFF_MIN_NS)
        finding_error(r->to, backoff, "expected at least 1ms");
    p->prefers_others = field_bool(r, n, "retryIgnorePreviousHosts", true);
    fields_finish(r, n, later_retries);
    return p;
}

const struct outlier_policy *read_outlier(struct reader *r, struct node *policy)
{
    struct node *n = field_map(r, policy, "outlierDetection");
    struct outlier_policy *p = n ? read_array(r, 1, sizeof(*p)) : NULL;
    if (!p)
        return NULL;
    struct node *old = field_any(r, n, "consecutiveErrors");
    uint64_t errors = field_uint(r, n, "consecutiveErrors", ERRORS_MAX, 5);
    if (old && field_any(r, n, "consecutive5xxErrors"))
        finding_warn_key(r->to, old, "is the old name of consecutive5xxErrors, which decides");
    p->consecutive_5xx = (uint32_t)field_uint(r, n, "consecutive5xxErrors", ERRORS_MAX, errors);
    p->consecutive_gateway = (uint32_t)field_uint(r, n, "consecutiveGatewayErrors", ERRORS_MAX, 0);
    p->splits_local = field_bool(r, n, "splitExternalLocalOriginErrors", false);
    p->consecutive_local = (uint32_t)field_uint(r, n, "consecutiveLocalOriginFailures", ERRORS_MAX,
                                                5);
    p->interval_ns = field_duration(r, n, "interval", 10 * NS_PER_S);
    p->base_ns = field_duration(r, n, "baseEjectionTime", 30 * NS_PER_S);
    p->max_percent = (uint32_t)field_uint(r, n, "maxEjectionPercent", 100, 10);
    p->min_health_percent = (uint32_t)field_uint(r, n, "minHealthPercent", 100, 0);
    if (p->interval_ns < NS_PER_MS || p->base_ns < NS_PER_MS)
        finding_error(r->to, n, "expected interval and baseEjectionTime of at least 1ms");
    fields_finish(r, n, later_outlier);
    return p;
}
