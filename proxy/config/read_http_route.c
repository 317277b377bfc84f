/* SPDX-License-Identifier: Apache-2.0
 * read_http_route.c - the Gateway API (gateway.networking.k8s.io): Gateway and HTTPRoute.
 *
 * Both are read into what their Istio cousins become: listeners are servers, an HTTPRoute is a
 * VirtualService whose gateways are its parents, a filter is an action. Two things differ and are
 * marked: prefixes go by whole elements, and among all rules of a host not the first but the most
 * specific one decides (vhosts.c sorts them). */
#include "base/clock.h"
#include "proxy/config/catalog.h"

#define PORT_HTTP    SV("HTTP")
#define PORT_HTTPS   SV("HTTPS")
#define WEIGHT_MAX   1000000
#define ATTEMPTS_MAX 100

static const char *const later_gateway[] = { "addresses", "infrastructure",   "backendTLS",
                                             "tls",       "allowedListeners", NULL };
static const char *const later_tls[] = { "frontendValidation", "options", NULL };
static const char *const later_route[] = { "useDefaultGateways", NULL };
static const char *const later_rule[] = { "sessionPersistence", NULL };

enum route_namespaces { ROUTES_SAME, ROUTES_ALL, ROUTES_SELECTED };
static const struct choice namespace_choices[] = {
    { "Same", ROUTES_SAME },
    { "All", ROUTES_ALL },
    { "Selector", ROUTES_SELECTED },
};
static const struct choice tls_choices[] = { { "Terminate", 0 }, { "Passthrough", 1 } };
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

/* "./HOST" for routes of the Gateway's own namespace, "*" "/HOST" for those of all. */
static void read_listener_host(struct reader *r, struct node *n, struct gateway_server *to)
{
    struct node *allowed = field_map(r, n, "allowedRoutes");
    struct node *from = field_map(r, allowed, "namespaces");
    int which = field_choice(r, from, "from", namespace_choices, NELEMS(namespace_choices),
                             ROUTES_SAME);
    AUTO_DONE(buf) text = { 0 };
    struct sv host = field_text(r, n, "hostname");
    struct sv *hosts = read_array(r, 1, sizeof(*hosts));
    buf_printf(&text, "%s/%.*s", which == ROUTES_ALL ? "*" : ".",
               SV_ARG(host.len ? host : SV("*")));
    if (which == ROUTES_SELECTED)
        finding_warn(r->to, from, "Selector is not supported: only routes of the same namespace");
    (void)field_any(r, from, "selector");
    (void)field_any(r, allowed, "kinds");
    if (hosts)
        hosts[0] = text.failed ? SV_NONE : arena_copy(r->mem, buf_sv(&text));
    if (!hosts || !hosts[0].p) {
        r->to->is_nomem = true;
        return;
    }
    to->hosts = (struct text_list){ hosts, 1 };
    fields_finish(r, from, NULL);
    fields_finish(r, allowed, NULL);
}

static void read_listener_tls(struct reader *r, struct node *n, struct gateway_server *to)
{
    struct node *tls = field_map(r, n, "tls"), *refs = field_list(r, tls, "certificateRefs");
    int mode = field_choice(r, tls, "mode", tls_choices, NELEMS(tls_choices), 0);
    to->cert.tls_min = 0x0303;
    for (struct node *at = refs ? refs->first : NULL; at; at = at->next) {
        if (!node_is_map(r, at))
            continue;
        (void)field_any(r, at, "group");
        (void)field_any(r, at, "kind");
        struct sv namespace = field_text(r, at, "namespace"), name = field_text(r, at, "name");
        if (namespace.len)
            finding_warn(r->to, at,
                         "a Secret of another namespace needs a ReferenceGrant, which is "
                         "not supported: looked for in the Gateway's");
        if (to->cert.secret.len)
            finding_warn(r->to, at, "only the first certificate is used");
        else
            to->cert.secret = name;
        fields_finish(r, at, NULL);
    }
    if (mode == 1)
        finding_warn(r->to, tls, "Passthrough is not supported: this listener is not opened");
    else if (to->port.is_tls && !to->cert.secret.len)
        finding_warn(r->to, n, "tls.certificateRefs is missing: this listener is not opened");
    to->is_served = to->port.number && mode == 0 && (!to->port.is_tls || to->cert.secret.len);
    fields_finish(r, tls, later_tls);
}

static void read_listener(struct reader *r, struct node *n, struct gateway_server *to)
{
    if (!node_is_map(r, n))
        return;
    to->port.name = field_text(r, n, "name");
    to->port.number = field_port(r, n, "port");
    to->port.protocol = field_text(r, n, "protocol");
    to->port.is_tls = sv_eq(to->port.protocol, PORT_HTTPS);
    if (!to->port.number)
        finding_error(r->to, n, "port is missing");
    read_listener_host(r, n, to);
    read_listener_tls(r, n, to);
    if (!to->port.is_tls && !sv_eq(to->port.protocol, PORT_HTTP)) {
        finding_warn(r->to, n, "only HTTP and HTTPS are served yet: this listener is not opened");
        to->is_served = false;
    }
    fields_finish(r, n, NULL);
}

void read_k8s_gateway(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = { .to = &c->findings, .mem = c->mem };
    struct node *spec = field_map(&r, root, "spec"), *list = field_list(&r, spec, "listeners");
    struct gateway *g = read_array(&r, 1, sizeof(*g));
    struct gateway_server *servers = read_array(&r, (list ? list->len : 0) + 1, sizeof(*servers));
    if (!g || !servers)
        return;
    g->meta = *meta;
    g->is_k8s = true;
    g->class = field_text(&r, spec, "gatewayClassName");
    for (struct node *n = list ? list->first : NULL; n; n = n->next)
        read_listener(&r, n, &servers[g->servers_len++]);
    g->servers = servers;
    if (!g->servers_len)
        finding_error(r.to, spec ? spec : root, "listeners is empty");
    fields_finish(&r, spec, later_gateway);
    CATALOG_ADD(&c->gateways, g);
}

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

/* backendRef: a Service of the route's namespace. */
static bool read_backend(struct reader *r, struct node *n, struct sv namespace,
                         struct destination *to)
{
    AUTO_DONE(buf) host = { 0 };
    struct sv group = field_text(r, n, "group"), kind = field_text(r, n, "kind");
    struct sv name = field_text(r, n, "name"), other = field_text(r, n, "namespace");
    to->port = field_port(r, n, "port");
    to->weight = (uint32_t)field_uint(r, n, "weight", WEIGHT_MAX, 1);
    to->place = place_of(r->to, n);
    if (!name.len)
        finding_error(r->to, n, "name is missing");
    if (group.len || (kind.len && !sv_eq(kind, SV("Service")))) {
        finding_warn(r->to, n, "only Services are supported as backends, ignored");
        return false;
    }
    if (other.len && !sv_eq(other, namespace)) {
        finding_warn(r->to, n,
                     "a Service of another namespace needs a ReferenceGrant, which is not "
                     "supported, ignored");
        return false;
    }
    if (!to->port)
        finding_warn(r->to, n, "port is missing: the Service's default is meant");
    buf_printf(&host, "%.*s.%.*s.svc.cluster.local", SV_ARG(name), SV_ARG(namespace));
    to->host = host.failed ? SV_NONE : arena_copy(r->mem, buf_sv(&host));
    if (!to->host.p)
        r->to->is_nomem = true;
    return true;
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
    else if (read_backend(r, backend, namespace, &m->to) && m->share)
        to->mirrors_len++;
    fields_finish(r, part, NULL);
    fields_finish(r, backend, NULL);
    fields_finish(r, n, NULL);
}

static void read_filter(struct reader *r, struct node *n, struct sv namespace,
                        struct http_rule *rule, struct route_actions *a, struct mirror_to *mirrors)
{
    struct node *type = field_any(r, n, "type");
    struct sv name = field_text(r, n, "type");
    struct node *request = field_map(r, n, "requestHeaderModifier");
    struct node *response = field_map(r, n, "responseHeaderModifier");
    struct node *redirect = field_map(r, n, "requestRedirect");
    struct node *rewrite = field_map(r, n, "urlRewrite");
    struct node *mirror = field_map(r, n, "requestMirror");
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
    if (!request && !response && !redirect && !rewrite && !mirror)
        finding_error(r->to, type ? type : n, "the filter '%.*s' is not supported",
                      SV_ARG(sv_sub(name, 0, 60)));
    fields_finish(r, n, NULL);
}

static void read_filters(struct reader *r, struct node *n, struct sv namespace,
                         struct http_rule *rule, struct route_actions *a)
{
    struct node *list = field_list(r, n, "filters");
    struct mirror_to *mirrors = read_array(r, (list ? list->len : 0) + 1, sizeof(*mirrors));
    for (struct node *at = list && mirrors ? list->first : NULL; at; at = at->next)
        if (node_is_map(r, at))
            read_filter(r, at, namespace, rule, a, mirrors);
    rule->mirrors = mirrors;
}

/* Filters of one backend: headers only. */
static void read_backend_filters(struct reader *r, struct node *n, struct sv namespace,
                                 struct destination *to)
{
    struct http_rule none = { 0 };
    struct route_actions *a = field_any(r, n, "filters") ? read_array(r, 1, sizeof(*a)) : NULL;
    if (!a)
        return;
    read_filters(r, n, namespace, &none, a);
    if (a->redirect || a->rewrite.kind || a->rewrite.authority.len || none.mirrors_len)
        finding_warn(r->to, n, "only header filters are supported for one backend");
    to->request = a->request.len ? &a->request : NULL;
    to->response = a->response.len ? &a->response : NULL;
}

static void read_backends(struct reader *r, struct node *n, struct sv namespace,
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
        bool is_known = read_backend(r, at, namespace, d);
        read_backend_filters(r, at, namespace, d);
        fields_finish(r, at, NULL);
        if (!is_known)
            continue;
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

static void read_route_rule(struct catalog *c, struct reader *r, struct node *n,
                            struct sv namespace, struct http_rule *to)
{
    if (!node_is_map(r, n))
        return;
    struct node *list = field_list(r, n, "matches"), *timeouts = field_map(r, n, "timeouts");
    struct http_match *matches = read_array(r, (list ? list->len : 0) + 1, sizeof(*matches));
    struct route_actions *a = read_array(r, 1, sizeof(*a));
    if (!matches || !a)
        return;
    to->name = field_text(r, n, "name");
    to->place = place_of(r->to, n);
    for (struct node *at = list ? list->first : NULL; at; at = at->next)
        read_route_match(c, r, at, &matches[to->matches_len++]);
    to->matches = matches;
    to->timeout_ns = field_duration(r, timeouts, "request", 0);
    to->retry = read_route_retry(r, n);
    int64_t per_try_ns = field_duration(r, timeouts, "backendRequest", 0);
    struct retry_policy *retry = per_try_ns ? read_array(r, 1, sizeof(*retry)) : NULL;
    if (retry) {
        *retry = to->retry ? *to->retry : retry_default;
        retry->per_try_ns = per_try_ns;
        to->retry = retry;
    }
    read_filters(r, n, namespace, to, a);
    read_backends(r, n, namespace, to, a);
    to->actions = a;
    fields_finish(r, timeouts, NULL);
    fields_finish(r, n, later_rule);
}

static void read_parents(struct reader *r, struct node *spec, struct virtual_service *v)
{
    struct node *list = field_list(r, spec, "parentRefs");
    size_t max = (list ? list->len : 0) + 1;
    struct sv *names = read_array(r, max, sizeof(*names));
    struct parent_part *parts = read_array(r, max, sizeof(*parts));
    for (struct node *n = list && names && parts ? list->first : NULL; n; n = n->next) {
        AUTO_DONE(buf) text = { 0 };
        if (!node_is_map(r, n))
            continue;
        struct sv namespace = field_text(r, n, "namespace"), kind = field_text(r, n, "kind");
        (void)field_any(r, n, "group");
        struct sv name = field_text(r, n, "name");
        if (!namespace.len)
        namespace = v->meta.namespace;
        buf_printf(&text, "%.*s/%.*s", SV_ARG(namespace), SV_ARG(name));
        struct parent_part part = { field_text(r, n, "sectionName"), field_port(r, n, "port") };
        fields_finish(r, n, NULL);
        if (kind.len && !sv_eq(kind, SV("Gateway"))) {
            finding_warn(r->to, n, "only Gateways are supported as parents, ignored");
            continue;
        }
        parts[v->gateways.len] = part;
        names[v->gateways.len] = text.failed ? SV_NONE : arena_copy(r->mem, buf_sv(&text));
        if (!names[v->gateways.len++].p)
            r->to->is_nomem = true;
    }
    v->gateways.list = names;
    v->parts = parts;
    if (!v->gateways.len)
        finding_warn(r->to, spec ? spec : r->to->object,
                     "has no Gateway among its parentRefs: nobody serves it");
}

void read_http_route(struct catalog *c, struct node *root, const struct meta *meta)
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
    v->hosts = read_texts(&r, spec, "hostnames");
    if (!v->hosts.len)
        v->hosts = (struct text_list){ any, 1 };
    read_parents(&r, spec, v);
    for (struct node *n = list ? list->first : NULL; n; n = n->next)
        read_route_rule(c, &r, n, meta->namespace, &rules[v->rules_len++]);
    v->rules = rules;
    read_object_limits(&r, root, SV("httproute"), meta, rules, v->rules_len);
    fields_finish(&r, spec, later_route);
    CATALOG_ADD(&c->virtual_services, v);
}
