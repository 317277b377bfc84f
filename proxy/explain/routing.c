/* SPDX-License-Identifier: Apache-2.0
 * routing.c - from the host to the endpoints: which rule takes a request and what it does with it.
 *
 * What is drawn for each request (weights, faults, mirrors) is told as shares; what depends on the
 * moment (limits, circuit breakers, ejected endpoints) as the rule that would be applied. */
#include "proxy/explain/explain.h"
#include "proxy/route/action.h"

#define ENDPOINTS_TOLD 20 /* of one destination; the rest are only counted */

static double percent(uint32_t share)
{
    return (double)share * 100 / SHARE_ALL;
}

static void put_match(struct buf *to, const struct text_match *m)
{
    static const char *const kinds[] = {
        [TEXT_MATCH_NONE] = "anything", [TEXT_MATCH_PRESENT] = "present",
        [TEXT_MATCH_EXACT] = "exact",   [TEXT_MATCH_PREFIX] = "prefix",
        [TEXT_MATCH_ELEMENTS] = "path", [TEXT_MATCH_REGEX] = "regex",
    };
    buf_put(to, sv_z(kinds[m->kind]));
    if (m->text.len)
        buf_printf(to, " '%.*s'", SV_ARG(m->text));
}

static struct sv header_text(const struct http_head *h, const struct match_miss *why)
{
    bool is_header = sv_eq(sv_z(why->what), SV("header"));
    return is_header ? http_get(h, why->name) : SV_NONE;
}

struct passing {
    struct telling *t;
    const struct http_head *head;
};

static void tell_passed(void *to, const struct mesh_miss *miss)
{
    struct passing *p = to;
    const struct match_miss *why = miss->why;
    AUTO_DONE(buf) text = { 0 };
    buf_printf(&text, "%s%s%s%.*s", miss->is_outer ? "where it is delegated: " : "", why->what,
               why->name.len ? " " : "", SV_ARG(why->name));
    struct sv value = header_text(p->head, why);
    if (value.len)
        buf_printf(&text, " is '%.*s'", (int)MIN(value.len, (size_t)100), value.p);
    else if (why->name.len)
        buf_put(&text, SV(" is absent or another"));
    buf_put(&text, why->is_negated ? SV(", must not be ") : SV(", wanted: "));
    if (why->want)
        put_match(&text, why->want);
    else
        buf_put(&text, SV("another port"));
    tell_open(p->t, NULL, '{');
    tell_str(p->t, "rule", miss->route->name);
    explain_origin(p->t, "written_in", miss->route->origin);
    tell_str(p->t, "why", buf_sv(&text));
    tell_close(p->t);
}

static void tell_retries(const struct retry_policy *p, struct telling *t)
{
    static const char *const names[] = {
        "5xx",
        "gateway-error",
        "reset",
        "connect-failure",
        "refused-stream",
        "retriable-4xx",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    };
    AUTO_DONE(buf) on = { 0 };
    tell_open(t, "retries", '{');
    tell_u64(t, "attempts", p ? p->attempts : 0);
    for (size_t i = 0; p && i < NELEMS(names); i++)
        if (p->on & 1u << i)
            buf_printf(&on, "%s%s", on.len ? "," : "", names[i]);
    for (size_t i = 0; p && i < p->statuses_len; i++)
        buf_printf(&on, "%s%u", on.len ? "," : "", p->statuses[i]);
    if (p && p->attempts) {
        tell_str(t, "on", buf_sv(&on));
        if (p->per_try_ns)
            tell_ns(t, "per_try_timeout", p->per_try_ns);
        tell_bool(t, "is_default", p == &retry_default);
    }
    tell_close(t);
}

static void tell_fault(const struct fault *f, struct telling *t)
{
    tell_open(t, "fault", '{');
    if (f->delay_share) {
        tell_ns(t, "delay", f->delay_ns);
        tell_double(t, "delay_percent", percent(f->delay_share));
    }
    if (f->abort_share) {
        tell_u64(t, "abort_status", f->status);
        tell_double(t, "abort_percent", percent(f->abort_share));
    }
    tell_close(t);
}

static void tell_limits(const struct route_actions *a, struct telling *t)
{
    tell_open(t, "limits", '[');
    for (size_t i = 0; i < a->limits_len; i++) {
        const struct rate_limit *l = &a->limits[i];
        tell_open(t, NULL, '{');
        if (l->per_s > 0)
            tell_double(t, "requests_per_second", l->per_s);
        if (l->active_max)
            tell_u64(t, "requests_at_once", l->active_max);
        tell_bool(t, "per_client", l->is_per_client);
        tell_u64(t, "answer_beyond", l->status);
        tell_close(t);
    }
    tell_close(t);
}

static void tell_actions(const struct route_actions *a, struct telling *t)
{
    if (a->limits_len)
        tell_limits(a, t);
    if (a->fault)
        tell_fault(a->fault, t);
    if (a->body_max)
        tell_u64(t, "body_bytes_max", a->body_max);
    if (a->cors)
        tell_bool(t, "cors", true);
    if (a->speaks_h2)
        tell_bool(t, "speaks_http2", true);
    if (a->backend_tls)
        tell_str(t, "tls_to_endpoints",
                 a->backend_tls->trusts_anybody
                     ? SV("not verified, unless the mesh or a DestinationRule has its own")
                     : SV("verified, unless the mesh or a DestinationRule has its own"));
    if (a->request.len || a->response.len)
        tell_printf(t, "header_edits", "%zu of the request, %zu of the response", a->request.len,
                    a->response.len);
    for (size_t i = 0; i < a->mirrors_len; i++)
        tell_printf(t, "mirrored_to", "%.*s (%.4g %%)", SV_ARG(a->mirrors[i].cluster->name),
                    percent(a->mirrors[i].share));
}

static void tell_endpoints(const struct cluster *c, struct telling *t)
{
    if (c->is_as_meant)
        tell_str(
            t, "addresses",
            SV("the one that a connection was made to; for requests, looked up while the proxy "
               "runs"));
    else if (c->is_looked_up)
        tell_str(t, "addresses", SV("looked up while the proxy runs"));
    tell_u64(t, "endpoints_total", c->endpoints_len);
    tell_open(t, "endpoints", '[');
    for (size_t i = 0; i < MIN(c->endpoints_len, (size_t)ENDPOINTS_TOLD); i++) {
        const struct endpoint *e = c->endpoints[i];
        tell_open(t, NULL, '{');
        tell_str(t, "address", e->text);
        tell_str(t, "workload", e->identity.workload);
        tell_str(t, "tls",
                 explain_is_mutual(c, e)      ? SV("mutual TLS of the mesh")
                 : c->tls == TLS_MODE_SIMPLE  ? SV("TLS")
                 : c->tls == TLS_MODE_MUTUAL  ? SV("mutual TLS with certificates of its own")
                 : c->tls == TLS_MODE_DISABLE ? SV("plaintext, tls.mode DISABLE")
                                              : SV("plaintext, it has no sidecar"));
        tell_close(t);
    }
    tell_close(t);
}

static void tell_pool(const struct pool_limits *l, struct telling *t)
{
    const struct {
        const char *name;
        uint32_t value;
    } bounds[] = {
        { "max_connections", l->connections_max },
        { "max_pending", l->pending_max },
        { "max_requests", l->requests_max },
        { "max_retries", l->retries_max },
        { "requests_per_connection", l->per_connection_max },
    };
    tell_open(t, "connection_pool", '{');
    for (size_t i = 0; i < NELEMS(bounds); i++)
        if (bounds[i].value != UINT32_MAX)
            tell_u64(t, bounds[i].name, bounds[i].value);
    if (l->tcp_idle_ns)
        tell_ns(t, "tcp_idle_timeout", l->tcp_idle_ns);
    if (l->lifetime_ns)
        tell_ns(t, "max_connection_duration", l->lifetime_ns);
    tell_close(t);
}

static void tell_outlier(const struct outlier_policy *o, struct telling *t)
{
    tell_open(t, "outlier_detection", '{');
    tell_u64(t, "consecutive_5xx", o->consecutive_5xx);
    tell_u64(t, "consecutive_gateway_errors", o->consecutive_gateway);
    tell_ns(t, "base_ejection_time", o->base_ns);
    tell_u64(t, "max_ejection_percent", o->max_percent);
    tell_close(t);
}

static void tell_balancing(struct telling *t, const struct cluster *c)
{
    static const struct sv names[] = {
        [LB_LEAST_REQUEST] = { "least request", 13 },
        [LB_ROUND_ROBIN] = { "round robin", 11 },
        [LB_RANDOM] = { "random", 6 },
    };
    const struct hash_policy *h = c->hash;
    if (!h)
        tell_str(t, "load_balancing", names[c->lb]);
    else if (h->kind == HASH_SOURCE_IP)
        tell_str(t, "load_balancing", SV("consistent hash of the caller's address"));
    else if (c->protocol == PORT_TCP || c->protocol == PORT_TLS)
        tell_str(t, "load_balancing", SV("random: a connection has not what the hash goes by"));
    else
        tell_printf(t, "load_balancing", "consistent hash of %s %.*s",
                    h->kind == HASH_HEADER   ? "header"
                    : h->kind == HASH_COOKIE ? "cookie"
                                             : "parameter",
                    SV_ARG(h->name));
}

void explain_cluster(struct telling *t, const struct cluster *c, double share)
{
    tell_open(t, NULL, '{');
    tell_str(t, "cluster", c->name);
    if (share >= 0)
        tell_double(t, "percent", share);
    tell_balancing(t, c);
    tell_ns(t, "connect_timeout", c->connect_timeout_ns);
    if (c->outlier)
        tell_outlier(c->outlier, t);
    if (c->check)
        tell_str(t, "health_check", c->check->text);
    if (c->limits)
        tell_pool(c->limits, t);
    tell_open(t, "destination_rules", '[');
    for (size_t i = 0; i < c->rules_len; i++)
        explain_origin(t, NULL, c->rules[i]);
    tell_close(t);
    tell_endpoints(c, t);
    tell_close(t);
}

double explain_share(const struct route *r, const struct route_target *target)
{
    return r->targets_len == 1  ? 100
           : r->weight_sum == 0 ? 0
                                : 100.0 * target->weight / r->weight_sum;
}

/* A destination without what it is made of. */
static void tell_short(struct telling *t, const struct route *r, const struct route_target *to)
{
    tell_open(t, NULL, '{');
    tell_str(t, "cluster", to->cluster->name);
    tell_double(t, "percent", explain_share(r, to));
    if (to->is_broken)
        tell_u64(t, "answers", 500);
    tell_close(t);
}

void explain_route(struct telling *t, const struct route *r)
{
    const struct route_actions *a = r->actions;
    tell_str(t, "route", r->name);
    explain_origin(t, "written_in", r->origin);
    if (a && a->redirect)
        tell_u64(t, "redirects", a->redirect->status);
    if (a && a->direct)
        tell_u64(t, "answers", a->direct->status);
    if (a)
        tell_actions(a, t);
    if (r->timeout_ns)
        tell_ns(t, "timeout", r->timeout_ns);
    if (r->targets_len)
        tell_retries(r->retry, t);
    tell_open(t, "destinations", '[');
    for (size_t i = 0; i < r->targets_len; i++) {
        tell_short(t, r, &r->targets[i]);
    }
    tell_close(t);
}

static const struct route *find(const struct explain_ask *q, const struct route_ask *ask)
{
    return q->side == EXPLAIN_OUTBOUND ? mesh_route(q->mesh, &q->head, q->port)
                                       : mesh_gateway_route(q->mesh, ask);
}

static void pass_silently(void *to, const struct mesh_miss *miss)
{
    (void)to;
    (void)miss;
}

static void tell_search(const struct explain_ask *q, const struct route_ask *ask, struct telling *t)
{
    struct passing p = { .t = t, .head = ask->req };
    bool is_gateway = q->side == EXPLAIN_GATEWAY;
    struct sv host = mesh_explain_route(q->mesh, ask, is_gateway, q->port, pass_silently, NULL);
    if (host.len)
        tell_printf(t, "virtual_host", "%s%.*s", sv_starts(host, SV(".")) ? "*" : "", SV_ARG(host));
    tell_open(t, "passed_over", '[');
    (void)mesh_explain_route(q->mesh, ask, is_gateway, q->port, tell_passed, &p);
    tell_close(t);
}

static bool has_ip(const struct ip_block *list, size_t len, const struct ip *ip)
{
    bool is_in = false;
    for (size_t i = 0; i < len && !is_in; i++)
        is_in = ip_block_has(&list[i], ip);
    return is_in;
}

/* The rule answers by itself; false when it does not. */
static bool answers(const struct explain_ask *q, const struct route_actions *a, struct arena *mem,
                    struct telling *t, struct explain_outcome *ret)
{
    if (a->allowed_len && !has_ip(a->allowed, a->allowed_len, &q->source_ip)) {
        ret->status = 403;
        snprintf(ret->why, sizeof(ret->why), "the caller's address is not among the allowed ones");
    } else if (has_ip(a->denied, a->denied_len, &q->source_ip)) {
        ret->status = 403;
        snprintf(ret->why, sizeof(ret->why), "the caller's address is among the denied ones");
    } else if (a->closed_by.len) {
        ret->status = 503;
        snprintf(ret->why, sizeof(ret->why), "this proxy cannot check what %.*s asks for",
                 (int)MIN(a->closed_by.len, (size_t)60), a->closed_by.p);
    } else if (a->redirect) {
        struct sv to = a->redirect->location.len
                           ? a->redirect->location
                           : rewrite_path(&a->redirect->rewrite, ret->path, mem);
        ret->status = a->redirect->status;
        tell_str(t, "redirected_to", to);
        snprintf(ret->why, sizeof(ret->why), "the rule redirects");
    } else if (a->direct) {
        ret->status = a->direct->status;
        snprintf(ret->why, sizeof(ret->why), "the rule answers by itself (directResponse)");
    }
    return ret->status != 0;
}

static void tell_route(const struct explain_ask *q, const struct route *r, struct arena *mem,
                       struct telling *t, struct explain_outcome *ret)
{
    const struct route_actions *a = r->actions;
    bool has_endpoint = false, is_broken = r->targets_len > 0;
    tell_str(t, "route", r->name);
    explain_origin(t, "written_in", r->origin);
    if (!r->origin && !t->is_json)
        tell_str(t, "written_in", SV("no rule: the Service as it is"));
    if (a && answers(q, a, mem, t, ret))
        return;
    if (a)
        tell_actions(a, t);
    if (a && a->rewrite.kind)
        ret->path = rewrite_path(&a->rewrite, ret->path, mem);
    if (a && a->rewrite.authority.len)
        ret->authority = a->rewrite.authority;
    if (a && (a->rewrite.kind || a->rewrite.authority.len))
        tell_printf(t, "sent_on_as", "%.*s%.*s", SV_ARG(ret->authority), SV_ARG(ret->path));
    if (a && a->onward_port)
        return;
    if (r->timeout_ns)
        tell_ns(t, "timeout", r->timeout_ns);
    else
        tell_str(t, "timeout", SV("none"));
    tell_retries(r->retry, t);
    tell_open(t, "destinations", '[');
    for (size_t i = 0; i < r->targets_len; i++) {
        const struct route_target *to = &r->targets[i];
        if (to->is_broken)
            tell_short(t, r, to);
        else
            explain_cluster(t, to->cluster, explain_share(r, to));
        is_broken = is_broken && to->is_broken;
        has_endpoint = has_endpoint || (!to->is_broken &&
                                        (to->cluster->endpoints_len || to->cluster->is_looked_up));
    }
    tell_close(t);
    ret->is_passed_on = has_endpoint;
    if (is_broken) {
        ret->status = 500;
        snprintf(
            ret->why, sizeof(ret->why),
            "NC cluster_not_found: the route may not name its backends, or they are no Services");
    } else if (!has_endpoint) {
        ret->status = 503;
        snprintf(ret->why, sizeof(ret->why),
                 "UH no_healthy_upstream: no destination has endpoints");
    }
}

void explain_routing(const struct explain_ask *q, struct arena *mem, struct telling *t,
                     struct explain_outcome *ret)
{
    struct http_head head = q->head;
    struct route_ask ask = { .req = &head, .is_tls = q->is_tls, .listen = q->port };
    tell_search(q, &ask, t);
    ret->route = find(q, &ask);
    if (ret->route)
        tell_route(q, ret->route, mem, t, ret);
    const struct route_actions *a = ret->route ? ret->route->actions : NULL;
    if (a && a->onward_port && !ret->status) { /* an Ingress in front of a Gateway */
        head.path = ret->path;
        head.authority = ret->authority;
        ask = (struct route_ask){
            .req = &head, .is_tls = true, .listen = a->onward_port, .is_onward = true
        };
        tell_open(t, "then_at_the_gateway", '{');
        tell_search(q, &ask, t);
        ret->route = mesh_gateway_route(q->mesh, &ask);
        if (ret->route)
            tell_route(q, ret->route, mem, t, ret);
        tell_close(t);
    }
    if (ret->route)
        return;
    ret->status = 404;
    snprintf(ret->why, sizeof(ret->why), "NR route_not_found: no rule takes host '%.*s'",
             (int)MIN(head.authority.len, (size_t)100), head.authority.p ? head.authority.p : "");
}
