/* SPDX-License-Identifier: Apache-2.0
 * read_http_route.c - the Gateway API's routes of requests: HTTPRoute and GRPCRoute.
 *
 * They are read into what their Istio cousin becomes: a VirtualService whose gateways are the parents;
 * a filter is an action. Two things differ and are marked: prefixes go by whole elements, and among all
 * rules of a host not the first but the most specific one decides (vhosts.c sorts them). A gRPC method is
 * a path, "/SERVICE/METHOD".
 * Source: HTTPRoute, GRPCRoute, GRPCMethodMatch in the Gateway API's reference. */
#include "base/clock.h"
#include "proxy/config/catalog.h"

#define ATTEMPTS_MAX 100

static const char *const later_route[] = { "useDefaultGateways", NULL };
static const char *const later_rule[] = { "sessionPersistence", NULL };

enum match_type { MATCH_EXACT, MATCH_PREFIX, MATCH_REGEX };
static const struct choice path_choices[] = {
    { "Exact", MATCH_EXACT },
    { "PathPrefix", MATCH_PREFIX },
    { "RegularExpression", MATCH_REGEX },
};
static const struct choice value_choices[] = {
    { "Exact", MATCH_EXACT },
    { "RegularExpression", MATCH_REGEX },
};

static void read_value(struct catalog *c, struct reader *r, struct node *n, struct text_match *to)
{
    int type = field_choice(r, n, "type", value_choices, NELEMS(value_choices), MATCH_EXACT);
    struct node *value = field_any(r, n, "value");
    to->text = field_text(r, n, "value");
    to->kind = TEXT_MATCH_EXACT;
    if (!value)
        finding_error(r->to, n, "value is missing");
    if (type == MATCH_REGEX) {
        to->regex = read_regex(c, r, value ? value : n, to->text, REGEX_WHOLE);
        to->kind = TEXT_MATCH_REGEX;
    }
}

static size_t read_named(struct catalog *c, struct reader *r, struct node *map, const char *name,
                         const struct named_match **ret)
{
    struct node *list = field_list(r, map, name);
    struct named_match *all = read_array(r, (list ? list->len : 0) + 1, sizeof(*all));
    size_t len = 0;
    for (struct node *n = list && all ? list->first : NULL; n; n = n->next) {
        if (!node_is_map(r, n))
            continue;
        all[len].name = field_text(r, n, "name");
        if (!all[len].name.len)
            finding_error(r->to, n, "name is missing");
        read_value(c, r, n, &all[len++].value);
        fields_finish(r, n, NULL);
    }
    *ret = all;
    return len;
}

static void read_path_match(struct catalog *c, struct reader *r, struct node *n,
                            struct text_match *to)
{
    struct node *path = field_map(r, n, "path");
    if (!path)
        return;
    int type = field_choice(r, path, "type", path_choices, NELEMS(path_choices), MATCH_PREFIX);
    struct node *value = field_any(r, path, "value");
    struct sv text = value ? field_text(r, path, "value") : SV("/");
    to->text = text;
    if (type == MATCH_REGEX) {
        to->regex = read_regex(c, r, value ? value : path, text, REGEX_WHOLE);
        to->kind = TEXT_MATCH_REGEX;
    } else if (!sv_starts(text, SV("/"))) {
        finding_error(r->to, value ? value : path, "a path begins with a slash");
    } else if (type == MATCH_EXACT) {
        to->kind = TEXT_MATCH_EXACT;
    } else {
        while (to->text.len && to->text.p[to->text.len - 1] == '/')
            to->text.len--;
        to->kind = to->text.len ? TEXT_MATCH_ELEMENTS : TEXT_MATCH_NONE;
    }
    fields_finish(r, path, NULL);
}

static void read_route_match(struct catalog *c, struct reader *r, struct node *n,
                             struct http_match *to)
{
    struct match *m = &to->match;
    if (!node_is_map(r, n))
        return;
    read_path_match(c, r, n, &m->uri);
    struct sv method = field_text(r, n, "method");
    if (method.len)
        m->method = (struct text_match){ .kind = TEXT_MATCH_EXACT, .text = method };
    m->headers_len = read_named(c, r, n, "headers", &m->headers);
    m->params_len = read_named(c, r, n, "queryParams", &m->params);
    fields_finish(r, n, NULL);
    to->is_everything = !m->uri.kind && !m->method.kind && !m->headers_len && !m->params_len;
}

/* set and add are lists of {name, value}, remove is one of names. */
static struct header_edits read_modifier(struct reader *r, struct node *n)
{
    static const struct {
        const char *field;
        enum header_edit_kind kind;
    } rows[] = { { "remove", HEADER_REMOVE }, { "set", HEADER_SET }, { "add", HEADER_ADD } };
    size_t max = 1, len = 0;
    for (size_t i = 0; i < NELEMS(rows); i++) {
        struct node *list = field_list(r, n, rows[i].field);
        max += list ? list->len : 0;
    }
    struct header_edit *all = read_array(r, max, sizeof(*all));
    for (size_t i = 0; all && i < NELEMS(rows); i++) {
        struct node *list = field_list(r, n, rows[i].field);
        for (struct node *at = list ? list->first : NULL; at; at = at->next) {
            bool is_name = rows[i].kind == HEADER_REMOVE;
            if (!is_name && !node_is_map(r, at))
                continue;
            struct sv name = is_name ? node_text(r, at) : field_text(r, at, "name");
            struct sv value = is_name ? SV_NONE : field_text(r, at, "value");
            if (!read_is_token(name) || !http_is_field_value(value))
                finding_error(r->to, at, "is no header's name and value");
            all[len++] = (struct header_edit){ rows[i].kind, name, value, false };
            if (!is_name)
                fields_finish(r, at, NULL);
        }
    }
    fields_finish(r, n, NULL);
    return (struct header_edits){ all, all ? len : 0 };
}

static void read_new_path(struct reader *r, struct node *n, struct rewrite *to)
{
    struct node *path = field_map(r, n, "path");
    struct sv type = field_text(r, path, "type");
    struct sv full = read_path_text(r, path, "replaceFullPath");
    struct sv prefix = read_path_text(r, path, "replacePrefixMatch");
    if (!path)
        return;
    to->kind = sv_eq(type, SV("ReplacePrefixMatch")) ? REWRITE_ELEMENTS : REWRITE_WHOLE;
    to->text = to->kind == REWRITE_ELEMENTS ? prefix : full;
    if (to->kind == REWRITE_WHOLE && !sv_eq(type, SV("ReplaceFullPath")))
        finding_error(r->to, path, "expected type ReplaceFullPath or ReplacePrefixMatch");
    fields_finish(r, path, NULL);
}

static void read_redirect_filter(struct reader *r, struct node *n, struct route_actions *a)
{
    struct redirect *to = read_array(r, 1, sizeof(*to));
    if (!to)
        return;
    to->scheme = field_text(r, n, "scheme");
    to->rewrite.authority = read_host_text(r, n, "hostname");
    to->port = field_port(r, n, "port");
    uint64_t status = field_uint(r, n, "statusCode", 999, 302);
    to->status = (uint16_t)status;
    read_new_path(r, n, &to->rewrite);
    if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308)
        finding_error(r->to, n, "statusCode: expected one of 301, 302, 303, 307, 308");
    if (to->scheme.len && !sv_eq(to->scheme, SV("http")) && !sv_eq(to->scheme, SV("https")))
        finding_error(r->to, n, "scheme: expected http or https");
    a->redirect = to;
    fields_finish(r, n, NULL);
}

static void read_mirror_filter(struct reader *r, struct node *n, struct sv namespace,
                               struct http_rule *to, struct mirror_to *list)
{
    struct node *backend = field_map(r, n, "backendRef"), *part = field_map(r, n, "fraction");
    uint64_t percent = field_uint(r, n, "percent", 100, 100);
    uint64_t of = field_uint(r, part, "denominator", INT32_MAX, 100);
    uint64_t numerator = field_uint(r, part, "numerator", INT32_MAX, 0);
    struct mirror_to *m = &list[to->mirrors_len];
    m->share = (uint32_t)percent * (SHARE_ALL / 100);
    if (part && (of == 0 || numerator > of))
        finding_error(r->to, part, "expected a numerator from 0 to the denominator");
    else if (part)
        m->share = (uint32_t)(numerator * SHARE_ALL / of);
    if (!backend)
        finding_error(r->to, n, "backendRef is missing");
    else
        read_backend_ref(r, backend, namespace, &m->to);
    if (backend && m->share)
        to->mirrors_len++;
    fields_finish(r, part, NULL);
    fields_finish(r, backend, NULL);
    fields_finish(r, n, NULL);
}

#define CORS_AGE_S 5 /* the default of maxAge */

/* A star in the host ("*.shop.test") stands for one label or several. */
static struct text_match origin_match(struct catalog *c, struct reader *r, const struct node *n)
{
    AUTO_DONE(buf) pattern = { 0 };
    struct text_match m = { .kind = TEXT_MATCH_EXACT, .text = node_text(r, n) };
    size_t star = sv_index(m.text, '*');
    if (sv_eq(m.text, SV("*")))
        m.kind = TEXT_MATCH_PRESENT;
    if (star == m.text.len || m.kind == TEXT_MATCH_PRESENT)
        return m;
    buf_printf(&pattern, "\\Q%.*s\\E[^/:]+\\Q%.*s\\E", SV_ARG(sv_sub(m.text, 0, star)),
               SV_ARG(sv_from(m.text, star + 1)));
    r->to->is_nomem = r->to->is_nomem || pattern.failed;
    m.regex = read_regex(c, r, n, buf_sv(&pattern), REGEX_WHOLE);
    m.kind = TEXT_MATCH_REGEX;
    return m;
}

static void read_cors_filter(struct catalog *c, struct reader *r, struct node *n,
                             struct route_actions *a)
{
    struct node *list = field_list(r, n, "allowOrigins");
    struct cors *to = read_array(r, 1, sizeof(*to));
    struct text_match *origins = read_array(r, (list ? list->len : 0) + 1, sizeof(*origins));
    if (!to || !origins)
        return;
    for (struct node *at = list ? list->first : NULL; at; at = at->next)
        origins[to->origins_len++] = origin_match(c, r, at);
    to->origins = origins;
    to->methods = read_joined(r, n, "allowMethods");
    to->headers = read_joined(r, n, "allowHeaders");
    to->exposed = read_joined(r, n, "exposeHeaders");
    to->max_age_s = (int64_t)field_uint(r, n, "maxAge", INT32_MAX, CORS_AGE_S);
    to->has_credentials = field_bool(r, n, "allowCredentials", false);
    to->refuses_unmatched = true;
    fields_finish(r, n, NULL);
    a->cors = to;
}

static void read_filter(struct catalog *c, struct reader *r, struct node *n, struct sv namespace,
                        struct http_rule *rule, struct route_actions *a, struct mirror_to *mirrors)
{
    struct node *type = field_any(r, n, "type");
    struct sv name = field_text(r, n, "type");
    struct node *request = field_map(r, n, "requestHeaderModifier");
    struct node *response = field_map(r, n, "responseHeaderModifier");
    struct node *redirect = field_map(r, n, "requestRedirect");
    struct node *rewrite = field_map(r, n, "urlRewrite");
    struct node *mirror = field_map(r, n, "requestMirror");
    struct node *cors = field_map(r, n, "cors");
    if (cors)
        read_cors_filter(c, r, cors, a);
    if (request)
        a->request = read_modifier(r, request);
    if (response)
        a->response = read_modifier(r, response);
    if (redirect)
        read_redirect_filter(r, redirect, a);
    if (rewrite) {
        a->rewrite.authority = read_host_text(r, rewrite, "hostname");
        read_new_path(r, rewrite, &a->rewrite);
        fields_finish(r, rewrite, NULL);
    }
    if (mirror)
        read_mirror_filter(r, mirror, namespace, rule, mirrors);
    /* A filter that is left out must not leave the request as if it had none. */
    if (!request && !response && !redirect && !rewrite && !mirror && !cors)
        finding_error(r->to, type ? type : n, "the filter '%.*s' is not supported",
                      SV_ARG(sv_sub(name, 0, 60)));
    fields_finish(r, n, NULL);
}

static void read_filters(struct catalog *c, struct reader *r, struct node *n, struct sv namespace,
                         struct http_rule *rule, struct route_actions *a)
{
    struct node *list = field_list(r, n, "filters");
    struct mirror_to *mirrors = read_array(r, (list ? list->len : 0) + 1, sizeof(*mirrors));
    for (struct node *at = list && mirrors ? list->first : NULL; at; at = at->next)
        if (node_is_map(r, at))
            read_filter(c, r, at, namespace, rule, a, mirrors);
    rule->mirrors = mirrors;
}

/* Filters of one backend: headers only. */
static void read_backend_filters(struct catalog *c, struct reader *r, struct node *n,
                                 struct sv namespace, struct destination *to)
{
    struct http_rule none = { 0 };
    struct route_actions *a = field_any(r, n, "filters") ? read_array(r, 1, sizeof(*a)) : NULL;
    if (!a)
        return;
    read_filters(c, r, n, namespace, &none, a);
    if (a->redirect || a->rewrite.kind || a->rewrite.authority.len || none.mirrors_len || a->cors)
        finding_error(r->to, n, "only header filters are supported for one backend");
    to->request = a->request.len ? &a->request : NULL;
    to->response = a->response.len ? &a->response : NULL;
}

static void read_backends(struct catalog *c, struct reader *r, struct node *n, struct sv namespace,
                          struct http_rule *to, struct route_actions *a)
{
    static const struct direct_response broken = { .status = 500 };
    struct node *list = field_list(r, n, "backendRefs");
    struct destination *all = read_array(r, (list ? list->len : 0) + 1, sizeof(*all));
    uint64_t sum = 0;
    for (struct node *at = list && all ? list->first : NULL; at; at = at->next) {
        if (!node_is_map(r, at))
            continue;
        struct destination *d = &all[to->targets_len];
        read_backend_ref(r, at, namespace, d);
        read_backend_filters(c, r, at, namespace, d);
        fields_finish(r, at, NULL);
        sum += d->weight;
        to->targets_len++;
    }
    to->targets = all;
    if (a->redirect || (sum && sum <= UINT32_MAX))
        return;
    finding_warn(r->to, n, "has no backend: what it matches is answered 500");
    to->targets_len = 0;
    a->direct = &broken;
}

static const struct retry_policy *read_route_retry(struct reader *r, struct node *n)
{
    struct node *retry = field_map(r, n, "retry"), *codes = field_list(r, retry, "codes");
    struct retry_policy *p = retry ? read_array(r, 1, sizeof(*p)) : NULL;
    uint16_t *list = p ? read_array(r, (codes ? codes->len : 0) + 1, sizeof(*list)) : NULL;
    if (!p || !list)
        return NULL;
    *p = retry_default;
    p->attempts = (unsigned)field_uint(r, retry, "attempts", ATTEMPTS_MAX, retry_default.attempts);
    p->backoff_ns = field_duration(r, retry, "backoff", retry_default.backoff_ns);
    p->on = RETRY_ON_CONNECT_FAILURE | RETRY_ON_REFUSED_STREAM | RETRY_ON_RESET;
    p->statuses = list;
    for (struct node *at = codes ? codes->first : NULL; at; at = at->next) {
        uint64_t code;
        if (node_uint(r, at, 599, &code))
            list[p->statuses_len++] = (uint16_t)code;
    }
    fields_finish(r, retry, NULL);
    return p;
}

/* What rules of both kinds have. */
static void read_rule_rest(struct catalog *c, struct reader *r, struct node *n, struct sv namespace,
                           struct http_rule *to)
{
    struct route_actions *a = read_array(r, 1, sizeof(*a));
    if (!a)
        return;
    to->name = field_text(r, n, "name");
    to->place = place_of(r->to, n);
    read_filters(c, r, n, namespace, to, a);
    read_backends(c, r, n, namespace, to, a);
    to->actions = a;
    fields_finish(r, n, later_rule);
}

typedef void match_fn(struct catalog *c, struct reader *r, struct node *n, struct http_match *to);

static void read_matches(struct catalog *c, struct reader *r, struct node *n, match_fn *read_match,
                         struct http_rule *to)
{
    struct node *list = field_list(r, n, "matches");
    struct http_match *matches = read_array(r, (list ? list->len : 0) + 1, sizeof(*matches));
    for (struct node *at = list && matches ? list->first : NULL; at; at = at->next)
        read_match(c, r, at, &matches[to->matches_len++]);
    to->matches = matches;
}

static void read_http_rule(struct catalog *c, struct reader *r, struct node *n, struct sv namespace,
                           struct http_rule *to)
{
    if (!node_is_map(r, n))
        return;
    struct node *timeouts = field_map(r, n, "timeouts");
    read_matches(c, r, n, read_route_match, to);
    to->timeout_ns = field_duration(r, timeouts, "request", 0);
    to->retry = read_route_retry(r, n);
    int64_t per_try_ns = field_duration(r, timeouts, "backendRequest", 0);
    struct retry_policy *retry = per_try_ns ? read_array(r, 1, sizeof(*retry)) : NULL;
    if (retry) {
        *retry = to->retry ? *to->retry : retry_default;
        retry->per_try_ns = per_try_ns;
        to->retry = retry;
    }
    fields_finish(r, timeouts, NULL);
    read_rule_rest(c, r, n, namespace, to);
}

/* "/SERVICE/METHOD", either of which may be any. */
static void read_method(struct catalog *c, struct reader *r, struct node *n, struct text_match *to)
{
    AUTO_DONE(buf) text = { 0 };
    struct node *at = field_map(r, n, "method");
    if (!at)
        return;
    bool is_regex = field_choice(r, at, "type", value_choices, NELEMS(value_choices),
                                 MATCH_EXACT) == MATCH_REGEX;
    struct sv service = field_text(r, at, "service"), method = field_text(r, at, "method");
    bool is_name = sv_index(service, '/') == service.len && read_is_token(service);
    if (!service.len && !method.len)
        finding_error(r->to, at, "expected service, or method, or both");
    else if (!is_regex && ((service.len && !is_name) || (method.len && !read_is_token(method))))
        finding_error(r->to, at, "is no name of a gRPC service or method");
    to->kind = !is_regex && service.len ? method.len ? TEXT_MATCH_EXACT : TEXT_MATCH_ELEMENTS
                                        : TEXT_MATCH_REGEX;
    struct sv any = SV("[^/]+");
    if (to->kind == TEXT_MATCH_ELEMENTS)
        buf_printf(&text, "/%.*s", SV_ARG(service));
    else if (to->kind == TEXT_MATCH_EXACT)
        buf_printf(&text, "/%.*s/%.*s", SV_ARG(service), SV_ARG(method));
    else if (is_regex)
        buf_printf(&text, "/(?:%.*s)/(?:%.*s)", SV_ARG(service.len ? service : any),
                   SV_ARG(method.len ? method : any));
    else
        buf_printf(&text, "/[^/]+/\\Q%.*s\\E", SV_ARG(method));
    to->text = text.failed ? SV_NONE : arena_copy(r->mem, buf_sv(&text));
    if (!to->text.p)
        r->to->is_nomem = true;
    else if (to->kind == TEXT_MATCH_REGEX)
        to->regex = read_regex(c, r, at, to->text, REGEX_WHOLE);
    fields_finish(r, at, NULL);
}

static void read_grpc_match(struct catalog *c, struct reader *r, struct node *n,
                            struct http_match *to)
{
    struct match *m = &to->match;
    if (!node_is_map(r, n))
        return;
    read_method(c, r, n, &m->uri);
    m->headers_len = read_named(c, r, n, "headers", &m->headers);
    fields_finish(r, n, NULL);
    to->is_everything = !m->uri.kind && !m->headers_len;
}

static void read_grpc_rule(struct catalog *c, struct reader *r, struct node *n, struct sv namespace,
                           struct http_rule *to)
{
    if (!node_is_map(r, n))
        return;
    read_matches(c, r, n, read_grpc_match, to);
    read_rule_rest(c, r, n, namespace, to);
    const struct route_actions *a = to->actions;
    if (a && (a->redirect || a->rewrite.kind || a->rewrite.authority.len || a->cors))
        finding_error(r->to, n, "a GRPCRoute can neither redirect nor rewrite, and has no CORS");
}

typedef void rule_fn(struct catalog *c, struct reader *r, struct node *n, struct sv namespace,
                     struct http_rule *to);

static void read_route(struct catalog *c, struct node *root, const struct meta *meta,
                       enum route_kind kind, rule_fn *read_rule)
{
    static const struct sv any[] = { { "*", 1 } };
    struct reader r = { .to = &c->findings, .mem = c->mem };
    struct node *spec = field_map(&r, root, "spec"), *list = field_list(&r, spec, "rules");
    struct virtual_service *v = read_array(&r, 1, sizeof(*v));
    struct http_rule *rules = read_array(&r, (list ? list->len : 0) + 1, sizeof(*rules));
    if (!v || !rules)
        return;
    v->meta = *meta;
    v->is_k8s = true;
    v->kind = kind;
    v->hosts = read_texts(&r, spec, "hostnames");
    if (!v->hosts.len)
        v->hosts = (struct text_list){ any, 1 };
    for (struct node *n = list ? list->first : NULL; n; n = n->next)
        read_rule(c, &r, n, meta->namespace, &rules[v->rules_len++]);
    v->rules = rules;
    read_object_limits(&r, root, kind == ROUTES_GRPC ? SV("grpcroute") : SV("httproute"), meta,
                       rules, v->rules_len);
    read_parent_refs(c, &r, spec, v);
    fields_finish(&r, spec, later_route);
}

void read_http_route(struct catalog *c, struct node *root, const struct meta *meta)
{
    read_route(c, root, meta, ROUTES_HTTP, read_http_rule);
}

void read_grpc_route(struct catalog *c, struct node *root, const struct meta *meta)
{
    read_route(c, root, meta, ROUTES_GRPC, read_grpc_rule);
}
