/* node.c - roll-ups and health.
 *
 * Health follows Kiali's defaults: for HTTP any 5xx or missing response degrades and 10 % of all
 * HTTP requests fail, 4xx degrade from 10 % and fail from 20 %; for gRPC any status but OK degrades
 * and 10 % fail. Each protocol is judged by itself, so that neither dilutes the other, and the
 * worst verdict counts. Kiali never judges TCP; we judge failed connections like 5xx. */
#include "aggregate/node.h"
#include "base/buf.h"
#include "base/hash.h"

static const char *const granularity_names[GRANULARITIES_LEN] = { "workload", "versionedApp", "app",
                                                                  "service", "namespace" };
static const char *const node_type_names[] = { "workload", "virtual", "external", "unknown",
                                               "other" };
static const char *const health_names[] = { "idle", "healthy", "degraded", "failing" };

const char *granularity_name(enum granularity g)
{
    return granularity_names[g];
}

const char *node_type_name(enum node_type t)
{
    return node_type_names[t];
}

const char *health_name(enum health h)
{
    return health_names[h];
}

/* gRPC errors without a status and without an HTTP code; a reporter may know only one of the two. */
static uint64_t grpc_unanswered(const struct edge_cell *c)
{
    uint64_t with_status = 0;
    for (size_t i = 0; i < GRPC_STATUSES_LEN; i++)
        with_status += c->grpc[i];
    uint64_t without = c->requests > with_status ? c->requests - with_status : 0;
    return MIN(MIN(without, c->codes[CODE_NONE]), c->errors);
}

void node_load_add(struct node_load *l, enum protocol p, const struct edge_cell *c)
{
    l->requests[p] += c->requests;
    l->errors[p] += c->errors;
    if (p == PROTOCOL_HTTP) {
        l->http_none += c->codes[CODE_NONE];
        l->http_4xx += c->codes[CODE_4XX];
        l->http_5xx += c->codes[CODE_5XX];
    }
    if (p == PROTOCOL_GRPC) {
        uint64_t none = grpc_unanswered(c);
        l->grpc_none += none;
        l->grpc_failed += c->errors - none;
    }
}

uint64_t node_load_requests(const struct node_load *l)
{
    uint64_t n = 0;
    for (size_t p = 0; p < PROTOCOLS_LEN; p++)
        n += l->requests[p];
    return n;
}

uint64_t node_load_errors(const struct node_load *l)
{
    uint64_t n = 0;
    for (size_t p = 0; p < PROTOCOLS_LEN; p++)
        n += l->errors[p];
    return n;
}

uint64_t node_load_failures(const struct node_load *l)
{
    return node_load_errors(l) + l->http_4xx;
}

/* Thresholds in percent; degraded at 0 means: any. */
static enum health judge(uint64_t bad, uint64_t all, unsigned degraded, unsigned failing)
{
    if (bad == 0)
        return HEALTH_HEALTHY;
    if (bad * 100 >= all * failing)
        return HEALTH_FAILING;
    return bad * 100 >= all * degraded ? HEALTH_DEGRADED : HEALTH_HEALTHY;
}

enum health node_load_health(const struct node_load *l)
{
    const uint64_t *all = l->requests;
    const struct {
        uint64_t bad, all;
        unsigned degraded, failing;
    } rules[] = {
        { l->http_5xx, all[PROTOCOL_HTTP], 0, 10 },
        { l->http_none, all[PROTOCOL_HTTP], 0, 10 },
        { l->http_4xx, all[PROTOCOL_HTTP], 10, 20 },
        { l->grpc_failed, all[PROTOCOL_GRPC], 0, 10 },
        { l->grpc_none, all[PROTOCOL_GRPC], 0, 10 },
        { l->errors[PROTOCOL_TCP], all[PROTOCOL_TCP], 0, 10 },
    };
    if (node_load_requests(l) == 0)
        return HEALTH_IDLE;
    enum health worst = HEALTH_HEALTHY;
    for (size_t i = 0; i < NELEMS(rules); i++) {
        enum health h = judge(rules[i].bad, rules[i].all, rules[i].degraded, rules[i].failing);
        worst = MAX(worst, h);
    }
    return worst;
}

struct identity node_roll_up(const struct identity *who, enum granularity g)
{
    struct identity node = *who;
    if (g >= GRANULARITY_VERSIONED_APP)
        node.workload = SV("");
    if (g >= GRANULARITY_APP)
        node.version = SV("");
    if (g >= GRANULARITY_NAMESPACE) {
        node.service = SV("");
        node.principal = IDENTITY_UNKNOWN; /* many */
    }
    return node;
}

uint64_t node_id(const struct identity *rolled_up, enum granularity g)
{
    /* At workload granularity the service is a fact about the node, not part of its key. */
    const struct sv parts[] = {
        rolled_up->cluster,
        rolled_up->namespace,
        rolled_up->workload,
        rolled_up->version,
        g == GRANULARITY_WORKLOAD ? SV_NONE : rolled_up->service,
    };
    uint64_t id = (uint64_t)g + 1;
    for (size_t i = 0; i < NELEMS(parts); i++)
        id = hash_bytes(parts[i].p ? parts[i].p : "", parts[i].len, id);
    return id;
}

enum node_type node_type_of(const struct identity *who)
{
    struct sv unknown = IDENTITY_UNKNOWN, other = SV("other");
    if (sv_eq(who->workload, unknown))
        return NODE_UNKNOWN;
    if (sv_eq(who->workload, other) && sv_eq(who->namespace, other))
        return NODE_OTHER;
    if (!sv_eq(who->version, unknown))
        return NODE_WORKLOAD;
    bool is_user = sv_eq(who->workload, SV("user")) && sv_eq(who->namespace, unknown);
    return is_user ? NODE_EXTERNAL : NODE_VIRTUAL;
}
