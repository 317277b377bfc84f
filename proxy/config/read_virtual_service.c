/* SPDX-License-Identifier: Apache-2.0
 * read_virtual_service.c - networking.istio.io VirtualService: which request goes where.
 *
 * The object is checked field by field and kept as conditions and destinations by name; whether it
 * concerns this proxy, and what its names mean, is decided in vhosts.c when everything is read.
 * What a rule does besides naming destinations is in read_actions.c. A VirtualService without hosts
 * is one that others delegate to.
 * Fields that exist in Istio but that this proxy does not act on are named in the later_* lists, so
 * that the operator reads "not supported yet" and not "unknown". */
#include "proxy/config/catalog.h"

#define WEIGHT_MAX 1000000 /* so that the sum of a rule's weights stays far from 32 bits */

static const char *const later_match[] = { "statPrefix", NULL };

const struct regex *read_regex(struct catalog *c, struct reader *r, const struct node *n,
                               struct sv pattern, enum regex_use use)
{
    struct err why = { 0 };
    struct owned_regex *own = pattern.p ? read_array(r, 1, sizeof(*own)) : NULL;
    if (!own)
        return NULL;
    own->regex = use == REGEX_WHOLE ? regex_new(pattern, &why)
                                    : regex_new_search(pattern, use == REGEX_AT_START_NOCASE,
                                                       use == REGEX_AT_START_NOCASE, &why);
    if (!own->regex) {
        r->to->is_nomem = r->to->is_nomem || why.code == ERR_NOMEM;
        finding_error(r->to, n, "not a regular expression: %s (at byte %zu)", why.why, why.at);
        return NULL;
    }
    own->next = c->regexes;
    c->regexes = own;
    return own->regex;
}

/* exact, prefix or regex; {} and regex "*" mean presence. */
struct text_match read_string_match(struct catalog *c, struct reader *r, struct node *n)
{
    struct text_match m = { 0 };
    struct node *exact, *prefix, *regex;
    if (!node_is_map(r, n))
        return m;
    exact = field_any(r, n, "exact");
    prefix = field_any(r, n, "prefix");
    regex = field_any(r, n, "regex");
    if ((exact != NULL) + (prefix != NULL) + (regex != NULL) > 1) {
        finding_error(r->to, n, "expected one of exact, prefix, regex, found several");
        return m;
    }
    fields_finish(r, n, NULL);
    struct node *given = exact ? exact : prefix ? prefix : regex;
    m.kind = TEXT_MATCH_PRESENT;
    if (!given)
        return m;
    m.text = node_text(r, given);
    if (exact)
        m.kind = TEXT_MATCH_EXACT;
    else if (prefix)
        m.kind = TEXT_MATCH_PREFIX;
    else if (m.text.p && !sv_eq(m.text, SV("*")))
        m.regex = read_regex(c, r, regex, m.text, REGEX_WHOLE);
    if (m.regex)
        m.kind = TEXT_MATCH_REGEX;
    return m;
}

static struct text_match read_own_match(struct catalog *c, struct reader *r, struct node *map,
                                        const char *name)
{
    struct node *n = field_any(r, map, name);
    struct text_match m = { 0 };
    if (!n)
        return m;
    m = read_string_match(c, r, n);
    if (m.kind == TEXT_MATCH_PRESENT) /* every request has one */
        m.kind = TEXT_MATCH_NONE;
    return m;
}

/* Headers of these names are Istio's other spelling of the block's own fields, which it ignores. */
static bool is_pseudo(struct sv name)
{
    return sv_eq(name, SV("uri")) || sv_eq(name, SV("scheme")) || sv_eq(name, SV("method")) ||
           sv_eq(name, SV("authority"));
}

/* Claims of JSON web tokens ("@request.auth.claims.group") stand among headers. No token is verified here,
 * so no request has any: what asks for one never fits, what asks for its absence always does. */
static bool is_claim(struct reader *r, struct node *n, bool is_negated)
{
    if (!sv_starts(n->key, SV("@")))
        return false;
    finding_warn_key(r->to, n,
                     is_negated
                         ? "asks for claims of tokens, which are not verified yet: always so"
                         : "asks for claims of tokens, which are not verified yet: this match "
                           "never fits");
    return true;
}

static size_t read_named(struct catalog *c, struct reader *r, struct node *map, bool is_negated,
                         bool is_header, struct named_match *to, bool *ret_claims)
{
    size_t len = 0;
    for (struct node *n = map ? map->first : NULL; n; n = n->next) {
        n->is_read = true;
        if (is_header && is_pseudo(n->key)) {
            finding_warn_key(r->to, n, "is not a header's name, ignored");
            continue;
        }
        if (is_header && is_claim(r, n, is_negated)) {
            *ret_claims = true;
            continue;
        }
        struct named_match m = { .is_negated = is_negated };
        m.name = arena_copy(r->mem, n->key);
        if (n->kind == NODE_NULL)
            m.value.kind = TEXT_MATCH_PRESENT;
        else
            m.value = read_string_match(c, r, n);
        if (!m.name.p)
            r->to->is_nomem = true;
        to[len++] = m;
    }
    return len;
}

static void read_named_all(struct catalog *c, struct reader *r, struct node *n,
                           struct http_match *to)
{
    struct match *m = &to->match;
    bool unused;
    struct node *with = field_map(r, n, "headers"), *without = field_map(r, n, "withoutHeaders");
    struct node *params = field_map(r, n, "queryParams");
    size_t headers_max = (with ? with->len : 0) + (without ? without->len : 0);
    struct named_match *headers = read_array(r, headers_max + 1, sizeof(*headers));
    struct named_match *query = read_array(r, (params ? params->len : 0) + 1, sizeof(*query));
    if (!headers || !query)
        return;
    m->headers_len = read_named(c, r, with, false, true, headers, &to->is_never);
    m->headers_len += read_named(c, r, without, true, true, headers + m->headers_len, &unused);
    m->params_len = read_named(c, r, params, false, false, query, &unused);
    m->headers = headers;
    m->params = query;
}

static void read_match(struct catalog *c, struct reader *r, struct node *n, struct http_match *to)
{
    struct match *m = &to->match;
    if (!node_is_map(r, n))
        return;
    to->name = field_text(r, n, "name");
    to->source_labels = field_labels(r, n, "sourceLabels");
    to->source_namespace = field_text(r, n, "sourceNamespace");
    to->gateways = read_texts(r, n, "gateways");
    m->uri = read_own_match(c, r, n, "uri");
    m->uri.ignores_case = field_bool(r, n, "ignoreUriCase", false);
    m->scheme = read_own_match(c, r, n, "scheme");
    m->method = read_own_match(c, r, n, "method");
    m->authority = read_own_match(c, r, n, "authority");
    m->port = field_port(r, n, "port");
    read_named_all(c, r, n, to);
    fields_finish(r, n, later_match);
    to->is_everything = !to->is_never && !m->uri.kind && !m->scheme.kind && !m->method.kind &&
                        !m->authority.kind && !m->port && !m->headers_len && !m->params_len;
}

void read_destination(struct reader *r, struct node *d, struct destination *to)
{
    struct node *port = field_map(r, d, "port");
    to->host = field_text(r, d, "host");
    if (d && !field_any(r, d, "host"))
        finding_error(r->to, d, "host is missing");
    to->subset = field_text(r, d, "subset");
    to->port = field_port(r, port, "number");
    to->weight = 1;
    if (d)
        to->place = place_of(r->to, d);
    fields_finish(r, port, NULL);
    fields_finish(r, d, NULL);
}

static void read_target(struct reader *r, struct node *n, struct destination *to)
{
    if (!node_is_map(r, n))
        return;
    struct node *d = field_map(r, n, "destination");
    if (!d && !field_any(r, n, "destination"))
        finding_error(r->to, n, "destination is missing");
    read_destination(r, d, to);
    to->weight = (uint32_t)field_uint(r, n, "weight", WEIGHT_MAX, 0);
    to->place = place_of(r->to, n);
    read_target_edits(r, n, to);
    fields_finish(r, n, NULL);
}

/* A single destination gets everything whatever its weight; among several, 0 means none. */
void read_route_targets(struct reader *r, struct node *n, struct http_rule *to)
{
    struct node *list = field_list(r, n, "route");
    struct destination *targets = list ? read_array(r, list->len + 1, sizeof(*targets)) : NULL;
    uint64_t sum = 0;
    if (!targets)
        return;
    for (struct node *at = list->first; at; at = at->next) {
        read_target(r, at, &targets[to->targets_len]);
        sum += targets[to->targets_len++].weight;
    }
    if (to->targets_len == 1)
        targets[0].weight = 1;
    else if (to->targets_len && (sum == 0 || sum > UINT32_MAX))
        finding_error(r->to, list, "the weights must have a sum above 0, found %llu",
                      (unsigned long long)sum);
    to->targets = targets;
}

/* One of route, redirect, directResponse and delegate. */
static void check_rule(struct reader *r, struct node *n, const struct http_rule *rule)
{
    const struct route_actions *a = rule->actions;
    int kinds = (rule->targets_len > 0) + (a && a->redirect) + (a && a->direct) +
                (rule->delegate.len > 0);
    if (kinds == 0)
        finding_warn(r->to, n,
                     "has no route this proxy can serve: what it matches is answered 503");
    if (kinds > 1)
        finding_error(r->to, n,
                      "expected one of route, redirect, directResponse, delegate, found several");
}

static void read_rule(struct catalog *c, struct reader *r, struct node *n, struct http_rule *to)
{
    if (!node_is_map(r, n))
        return;
    struct node *list = field_list(r, n, "match");
    struct http_match *matches = list ? read_array(r, list->len + 1, sizeof(*matches)) : NULL;
    to->name = field_text(r, n, "name");
    to->timeout_ns = field_duration(r, n, "timeout", 0);
    to->retry = read_retries(r, n, to->timeout_ns);
    to->place = place_of(r->to, n);
    for (struct node *at = matches ? list->first : NULL; at; at = at->next)
        read_match(c, r, at, &matches[to->matches_len++]);
    to->matches = matches;
    read_route_targets(r, n, to);
    read_rule_actions(c, r, n, to);
    check_rule(r, n, to);
    fields_finish(r, n, NULL);
}

static void check_hosts(struct reader *r, struct node *spec)
{
    struct node *list = field_list(r, spec, "hosts");
    for (struct node *n = list ? list->first : NULL; n; n = n->next) {
        size_t star = sv_rindex(n->text, '*');
        bool is_plain = star == n->text.len;
        if (n->kind == NODE_TEXT && !is_plain && !sv_eq(n->text, SV("*")) &&
            !(star == 0 && sv_starts(n->text, SV("*.")) && n->text.len > 2))
            finding_error(r->to, n, "expected a host, '*' or '*.suffix', found '%.*s'",
                          SV_ARG(sv_sub(n->text, 0, 60)));
    }
}

void read_virtual_service(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct reader r = { .to = &c->findings, .mem = c->mem };
    struct node *spec = field_map(&r, root, "spec"), *http = field_list(&r, spec, "http");
    struct virtual_service *v = read_array(&r, 1, sizeof(*v));
    struct http_rule *rules = read_array(&r, (http ? http->len : 0) + 1, sizeof(*rules));
    if (!v || !rules)
        return;
    if (!spec) {
        if (!field_any(&r, root, "spec"))
            finding_error(r.to, root, "spec is missing");
        return;
    }
    v->meta = *meta;
    v->hosts = read_texts(&r, spec, "hosts");
    v->gateways = read_texts(&r, spec, "gateways");
    v->export_to = read_texts(&r, spec, "exportTo");
    check_hosts(&r, spec);
    for (struct node *n = http ? http->first : NULL; n; n = n->next)
        read_rule(c, &r, n, &rules[v->rules_len++]);
    v->rules = rules;
    read_object_limits(&r, root, SV("virtualservice"), meta, rules, v->rules_len);
    read_tcp_rules(&r, spec, v);
    fields_finish(&r, spec, NULL);
    CATALOG_ADD(&c->virtual_services, v);
}
