/* api.c - from a request to an answer: method, route, parameters, handler, compression.
 *
 * Routes are rows; a row's parameters are all it accepts. Everything under /api answers errors as
 * JSON; every other path is a file of the dashboard. The whole is free of sockets, so that tests
 * and the fuzz target call it directly. */
#include "query/api.h"
#include "base/clock.h"
#include "base/gzip.h"
#include "base/hash.h"
#include "query/kept.h"
#include "query/openapi_text.h"
#include "query/picture.h"
#include "web/assets.h"
#include <stdio.h>

/* clang-format off */
#define WINDOW      { "window", false }, { "from", false }, { "to", false }
#define GRAPH       WINDOW, { "granularity", false }, { "namespace", false }
#define SIFTED      SIEVE_PARAMS, { "trace", false }
#define PAGED       { "limit", false }, { "offset", false }

static const struct route routes[] = {
    { "/api/v1/graph",              api_graph,        { GRAPH, SIFTED, PAGED } },
    { "/api/v1/edges",              api_edges,        { GRAPH, SIFTED, PAGED, { "sort", false } } },
    { "/api/v1/edges/{id}/history", api_edge_history, { GRAPH, { "step", false } } },
    { "/api/v1/edges/{id}/exemplars", api_edge_exemplars, { GRAPH, { "limit", false } } },
    { "/api/v1/compare",            api_compare,      { WINDOW, { "granularity", false }, { "namespace", false },
                                                        { "at", false }, { "baseFrom", false },
                                                        { "baseTo", false }, { "service", false },
                                                        { "baseVersion", false }, { "version", false },
                                                        { "limit", false } } },
    { "/api/v1/tls",                api_tls,          { GRAPH, SIEVE_PARAMS, PAGED } },
    { "/api/v1/traces",             api_traces,       { WINDOW, { "service", false }, { "operation", false },
                                                        { "status", false }, { "minDuration", false },
                                                        { "maxDuration", false }, { "attr", true },
                                                        { "kind", false }, { "limit", false },
                                                        { "cursor", false } } },
    { "/api/v1/traces/{id}",        api_trace,        { { "repaired", false } } },
    { "/api/v1/health/events",      api_health_events, { WINDOW, { "kind", false }, { "state", false },
                                                        { "subject", false }, { "limit", false },
                                                        { "offset", false } } },
    { "/api/v1/services",           api_services,     { PAGED } },
    { "/api/v1/calls",              api_calls,        { WINDOW, { "limit", false } } },
    { "/api/v1/unpaired",           api_unpaired,     { { "service", false }, PAGED } },
    { "/api/v1/stats",              api_stats,        { { NULL, false } } },
    { "/api/v1/live",               api_live,         { { "window", false }, { "granularity", false },
                                                        { "namespace", false }, SIFTED } },
    { "/api/v1/openapi.json",       api_openapi,      { { NULL, false } } },
    { "/metrics",                   api_metrics,      { { NULL, false } } },
    { "/healthz",                   api_healthz,      { { NULL, false } } },
    { "/readyz",                    api_readyz,       { { NULL, false } } },
};
/* clang-format on */

#define API_CSP "default-src 'none'; frame-ancestors 'none'"

enum {
    GZIP_MIN_BYTES = 1024, /* below, a header costs more than is saved */
    GZIP_LEVEL = 4,        /* of a graph of 5,000 edges a seventh less than 1, for 10 ms more */
};
#define LIVE_WINDOW_MIN_NS (10 * NS_PER_S)
#define LIVE_WINDOW_MAX_NS (3600 * NS_PER_S)

const struct route *route_at(size_t i)
{
    return i < NELEMS(routes) ? &routes[i] : NULL;
}

/* Segment by segment; "{id}" takes any one that is not empty. */
static bool path_matches(struct sv pattern, struct sv path, struct sv *ret_id)
{
    struct sv want, have;
    for (;;) {
        bool has_want = sv_cut(&pattern, '/', &want), has_have = sv_cut(&path, '/', &have);
        if (!has_want || !has_have)
            return has_want == has_have;
        if (sv_eq(want, SV("{id}")) && have.len)
            *ret_id = have;
        else if (!sv_eq(want, have))
            return false;
    }
}

/* Ours, or one of Jaeger's. */
static const struct route *route_of(struct sv path, struct sv *ret_id, fault_fn **ret_fault)
{
    const struct route *r;
    *ret_fault = answer_fault;
    for (size_t i = 0; (r = route_at(i)); i++)
        if (path_matches(sv_z(r->path), path, ret_id))
            return r;
    for (size_t i = 0; (r = jaeger_route_at(i, ret_fault)); i++)
        if (path_matches(sv_z(r->path), path, ret_id))
            return r;
    return NULL;
}

/* The stream reads its parameters again when it begins; here they are only judged. */
void api_live(const struct api *api, struct query *q, struct answer *a)
{
    (void)api;
    int64_t window_ns;
    struct picture x;
    if (params_duration(&q->params, "window", LIVE_WINDOW_MIN_NS, LIVE_WINDOW_MAX_NS, &window_ns) <
            0 ||
        picture_parse(&q->params, &x) < 0) {
        answer_fault(a, &q->params);
        return;
    }
    a->is_live = true;
    a->content_type = "text/event-stream";
}

static void set_etag(struct answer *a, struct sv body)
{
    snprintf(a->etag, sizeof(a->etag), "\"%016llx\"", (unsigned long long)hash_sv(body));
}

void api_openapi(const struct api *api, struct query *q, struct answer *a)
{
    (void)api;
    (void)q;
    struct sv text = openapi_text();
    set_etag(a, text);
    a->cache = "no-cache";
    buf_put(&a->body, text);
}

static void answer_asset(const struct request *rq, struct sv path, struct answer *a)
{
    const struct asset *found = asset_find(path);
    struct err err = { 0 };
    if (!found) {
        answer_error(a, 404, SV_NONE, "no such path; the API is described at /api/v1/openapi.json");
        return;
    }
    a->csp = ASSETS_CSP;
    a->content_type = found->content_type.p;
    a->cache = found->is_immutable ? "public, max-age=31536000, immutable" : "no-cache";
    (void)sv_to_z(found->etag, a->etag, sizeof(a->etag));
    if (rq->accepts_gzip) {
        a->fixed = found->gzip;
        a->is_gzip = true;
    } else if (asset_plain(found, &a->body, &err) < 0) {
        answer_failure(a, &err);
    }
}

static void run_route(const struct api *api, const struct request *rq, const struct route *r,
                      fault_fn *fault, struct sv id, struct sv text, struct answer *a)
{
    struct query q = { .id = id, .accept = rq->accept, .body = rq->body };
    bool is_strict = fault == answer_fault;
    if (params_parse(&q.params, text, is_strict ? r->params : NULL, clock_wall_ns()) < 0)
        fault(a, &q.params);
    else
        r->run(api, &q, a);
    if (fault == jaeger_fault)
        jaeger_prettify(&q.params, a);
    params_done(&q.params);
}

/* Weak comparison, "*" and lists as RFC 9110 section 13.1.2 has them. */
static bool etag_matches(struct sv list, struct sv etag)
{
    for (struct sv one; sv_cut(&list, ',', &one);) {
        one = sv_trim(one);
        if (sv_starts(one, SV("W/")))
            one = sv_from(one, 2);
        if (sv_eq(one, etag) || sv_eq(one, SV("*")))
            return true;
    }
    return false;
}

static void compress(const struct request *rq, struct answer *a)
{
    AUTO_DONE(buf) small = { 0 };
    if (!rq->accepts_gzip || a->is_gzip || a->fixed.len || a->body.len < GZIP_MIN_BYTES)
        return;
    if (gzip_compress(buf_sv(&a->body), a->gzip_level ? a->gzip_level : GZIP_LEVEL, &small, NULL) <
        0)
        return; /* plain is right too */
    struct buf plain = a->body;
    a->body = small;
    small = plain;
    a->is_gzip = true;
}

/* 304 when the client has it already. */
static void spare(const struct request *rq, struct answer *a)
{
    if (a->status != 200 || !a->etag[0] || !rq->if_none_match.len ||
        !etag_matches(rq->if_none_match, sv_z(a->etag)))
        return;
    a->status = 304;
    a->fixed = SV_NONE;
    a->is_gzip = false;
    buf_clear(&a->body);
}

static void finish(const struct request *rq, struct answer *a)
{
    if (a->body.failed) {
        buf_clear(&a->body);
        answer_failure(a, &(struct err){ .code = ERR_NOMEM, .why = "not enough memory to answer" });
    }
    spare(rq, a);
    compress(rq, a);
}

bool api_takes_post(struct sv target)
{
    struct sv path = SV_NONE, id = SV_NONE; /* an empty target has no path */
    fault_fn *fault;
    (void)sv_cut(&target, '?', &path);
    const struct route *route = route_of(path, &id, &fault);
    return route && route_is_post(route);
}

static bool is_method(struct sv method, bool is_post)
{
    if (is_post)
        return sv_eq(method, SV("POST"));
    return sv_eq(method, SV("GET")) || sv_eq(method, SV("HEAD"));
}

void api_answer_anew(const struct api *api, const struct request *rq, struct answer *a)
{
    struct sv query = rq->target, path = SV_NONE, id = SV_NONE;
    *a = (struct answer){
        .status = 200,
        .content_type = "application/json",
        .cache = "no-store",
        .csp = API_CSP,
    };
    (void)sv_cut(&query, '?', &path);
    if (path.len == rq->target.len)
        query = SV_NONE;
    fault_fn *fault;
    const struct route *route = route_of(path, &id, &fault);
    bool may_keep = api->kept && route && (route->run == api_graph || route->run == api_edges) &&
                    sv_eq(rq->method, SV("GET"));
    uint64_t generation = may_keep ? fold_generation(api->fold) : 0;
    int64_t start_ns = clock_mono_ns();
    bool is_post = route && route_is_post(route);
    if (!is_method(rq->method, is_post)) {
        a->allow = is_post ? "POST" : "GET, HEAD";
        answer_error(a, 405, SV_NONE, "only %s served here",
                     is_post ? "POST is" : "GET and HEAD are");
    } else if (rq->is_body_refused) {
        a->retry_after_s = 1;
        answer_error(a, 503, SV_NONE, "too many request bodies are being read");
    } else if (route) {
        run_route(api, rq, route, fault, id, query, a);
        a->live_query = query;
    } else if (sv_starts(path, SV("/api/"))) {
        answer_error(a, 404, SV_NONE, "no such route; see /api/v1/openapi.json");
    } else {
        answer_asset(rq, path, a);
    }
    finish(rq, a);
    if (may_keep)
        kept_offer(api->kept, rq, a, generation, clock_mono_ns() - start_ns);
}

void api_answer(const struct api *api, const struct request *rq, struct answer *a)
{
    bool is_kept = api->kept && sv_eq(rq->method, SV("GET")) && kept_get(api->kept, rq, a);
    if (!is_kept)
        api_answer_anew(api, rq, a);
    spare(rq, a); /* what is kept has got its ETag last */
}
