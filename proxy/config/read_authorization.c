/* SPDX-License-Identifier: Apache-2.0
 * read_authorization.c - AuthorizationPolicy.
 *
 * Elsewhere an unknown field is a warning; here it is an error, because a rule without the field
 * that was meant says something else: a `princpals` left out of an ALLOW rule lets everybody in. For
 * the same reason an empty list is an error, and so is a condition that cannot be decided here when
 * leaving it undecided would let in more: the configuration is refused, and the proxy keeps what it
 * has. What leaves fewer requests through is a warning. */
#include "proxy/config/catalog.h"

#define ACTION_CUSTOM AUTHZ_ACTIONS_LEN

static const struct choice actions[] = {
    { "ALLOW", AUTHZ_ALLOW },
    { "DENY", AUTHZ_DENY },
    { "AUDIT", AUTHZ_AUDIT },
    { "CUSTOM", ACTION_CUSTOM },
};

struct row {
    const char *any, *none;
    enum authz_attr attr;
};
/* clang-format off */
static const struct row source_rows[] = {
    { "principals",        "notPrincipals",        AUTHZ_PRINCIPAL },
    { "requestPrincipals", "notRequestPrincipals", AUTHZ_TOKEN },
    { "namespaces",        "notNamespaces",        AUTHZ_NAMESPACE },
    { "serviceAccounts",   "notServiceAccounts",   AUTHZ_ACCOUNT },
    { "trustDomains",      "notTrustDomains",      AUTHZ_TRUST_DOMAIN },
    { "ipBlocks",          "notIpBlocks",          AUTHZ_SOURCE_IP },
    { "remoteIpBlocks",    "notRemoteIpBlocks",    AUTHZ_REMOTE_IP },
};
static const struct row operation_rows[] = {
    { "hosts",   "notHosts",   AUTHZ_HOST },
    { "ports",   "notPorts",   AUTHZ_PORT },
    { "methods", "notMethods", AUTHZ_METHOD },
    { "paths",   "notPaths",   AUTHZ_PATH },
};
static const struct {
    const char *key;
    enum authz_attr attr;
} when_keys[] = {
    { "source.ip",              AUTHZ_SOURCE_IP },
    { "remote.ip",              AUTHZ_REMOTE_IP },
    { "source.namespace",       AUTHZ_NAMESPACE },
    { "source.principal",       AUTHZ_PRINCIPAL },
    { "source.serviceAccount",  AUTHZ_ACCOUNT },
    { "source.trustDomain",     AUTHZ_TRUST_DOMAIN },
    { "request.auth.principal", AUTHZ_TOKEN },
    { "request.auth.audiences", AUTHZ_TOKEN },
    { "request.auth.presenter", AUTHZ_TOKEN },
    { "destination.ip",         AUTHZ_DESTINATION_IP },
    { "destination.port",       AUTHZ_PORT },
    { "connection.sni",         AUTHZ_SNI },
};
/* clang-format on */

struct policy_reader {
    struct reader r;
    enum authz_action action;
};

/* A list that is there must have something in it. */
static struct node *full_list(struct policy_reader *p, struct node *map, const char *name)
{
    struct node *list = field_list(&p->r, map, name);
    if (list && !list->len)
        finding_error(p->r.to, list, "is empty: leave the field out when it is to mean everything");
    return list;
}

/* A star that no matcher takes for one. */
static void warn_of_stars(struct policy_reader *p, const struct node *list, enum authz_attr attr)
{
    for (const struct node *n = list->first; n; n = n->next) {
        struct sv inner = sv_from(n->text, sv_starts(n->text, SV("*")) ? 1 : 0);
        if (inner.len == n->text.len && sv_ends(inner, SV("*")))
            inner = sv_sub(inner, 0, inner.len - 1);
        bool is_template = attr == AUTHZ_PATH &&
                           (sv_contains(inner, SV("{*}")) || sv_contains(inner, SV("{**}")));
        if (attr != AUTHZ_ACCOUNT && !is_template && sv_contains(inner, SV("*")))
            finding_warn(p->r.to, n,
                         "only one '*' at the begin or the end stands for anything; "
                         "this one is an ordinary character");
    }
}

static struct authz_texts read_values(struct policy_reader *p, struct node *map, const char *name,
                                      enum authz_attr attr)
{
    struct node *list = full_list(p, map, name);
    if (!list)
        return (struct authz_texts){ 0 };
    warn_of_stars(p, list, attr);
    struct text_list t = read_texts(&p->r, map, name);
    return (struct authz_texts){ t.list, t.len };
}

/* Tokens are not verified here, so that no request has one: is that the safe side? */
static void judge_token(struct policy_reader *p, const struct node *at,
                        const struct authz_written_cond *c)
{
    bool is_open = (p->action == AUTHZ_DENY && c->any.len) ||
                   (p->action == AUTHZ_ALLOW && c->none.len);
    if (c->attr != AUTHZ_TOKEN)
        return;
    if (is_open)
        finding_error(p->r.to, at,
                      "needs verified JSON web tokens, which this proxy does not have: "
                      "the policy would let through what it is to stop");
    else
        finding_warn(p->r.to, at,
                     "JSON web tokens are not verified yet: no request counts as having "
                     "one");
}

/* Takes a condition in when it has values. */
static void add_cond(struct policy_reader *p, const struct node *at, struct authz_written_cond c,
                     struct authz_written_cond *to, size_t *len)
{
    struct place *place = read_array(&p->r, 1, sizeof(*place));
    if (!place || (!c.any.len && !c.none.len))
        return;
    *place = place_of(p->r.to, at);
    c.at = place;
    judge_token(p, at, &c);
    to[(*len)++] = c;
}

static bool has_any(const struct node *map, const char *const *names)
{
    for (const struct node *n = map->first; n; n = n->next)
        for (const char *const *name = names; *name; name++)
            if (n->kind != NODE_NULL && sv_eq(n->key, sv_z(*name)))
                return true;
    return false;
}

/* `source` or `operation`: every row of the table that is there. */
static void read_block(struct policy_reader *p, struct node *item, const char *name,
                       const struct row *rows, size_t len, struct authz_written_block *to)
{
    static const char *const accounts[] = { "serviceAccounts", "notServiceAccounts", NULL };
    static const char *const others[] = { "principals", "notPrincipals", "namespaces",
                                          "notNamespaces", NULL };
    struct authz_written_cond *conds = read_array(&p->r, len + 1, sizeof(*conds));
    if (!conds || !node_is_map(&p->r, item))
        return;
    struct node *map = field_map(&p->r, item, name);
    fields_refuse(&p->r, item);
    if (!map || !map->len) {
        finding_error(p->r.to, map ? map : item, "%s is missing or empty", name);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        struct authz_written_cond c = { .attr = rows[i].attr };
        c.any = read_values(p, map, rows[i].any, c.attr);
        c.none = read_values(p, map, rows[i].none, c.attr);
        add_cond(p, map, c, conds, &to->len);
    }
    if (has_any(map, accounts) && has_any(map, others))
        finding_error(p->r.to, map, "serviceAccounts cannot stand beside principals or namespaces");
    fields_refuse(&p->r, map);
    to->conds = conds;
}

static const struct authz_written_block *read_blocks(struct policy_reader *p, struct node *rule,
                                                     const char *list_name, const char *name,
                                                     const struct row *rows, size_t len,
                                                     size_t *ret_len)
{
    struct node *list = full_list(p, rule, list_name);
    struct authz_written_block *blocks = list ? read_array(&p->r, list->len + 1, sizeof(*blocks))
                                              : NULL;
    for (struct node *n = blocks ? list->first : NULL; n; n = n->next)
        read_block(p, n, name, rows, len, &blocks[(*ret_len)++]);
    return blocks;
}

static bool find_key(struct sv key, struct authz_written_cond *c)
{
    static const char header[] = "request.headers[", claim[] = "request.auth.claims[";
    for (size_t i = 0; i < NELEMS(when_keys); i++) {
        if (sv_eq(sv_z(when_keys[i].key), key)) {
            c->attr = when_keys[i].attr;
            return true;
        }
    }
    if (sv_starts(key, sv_z(claim)) && sv_ends(key, SV("]"))) {
        c->attr = AUTHZ_TOKEN;
        return true;
    }
    if (!sv_starts(key, sv_z(header)) || !sv_ends(key, SV("]")) || key.len <= sizeof(header))
        return false;
    c->attr = AUTHZ_HEADER;
    c->header = sv_sub(key, sizeof(header) - 1, key.len - sizeof(header));
    return true;
}

static void read_condition(struct policy_reader *p, struct node *n, struct authz_written_rule *rule,
                           struct authz_written_cond *conds)
{
    struct authz_written_cond c = { 0 };
    if (!node_is_map(&p->r, n))
        return;
    struct sv key = field_text(&p->r, n, "key");
    bool is_known = find_key(key, &c);
    c.any = read_values(p, n, "values", c.attr);
    c.none = read_values(p, n, "notValues", c.attr);
    fields_refuse(&p->r, n);
    if (!key.len)
        finding_error(p->r.to, n, "key is missing");
    else if (!c.any.len && !c.none.len)
        finding_error(p->r.to, n, "has neither values nor notValues");
    else if (!is_known && p->action == AUTHZ_DENY)
        finding_error(p->r.to, n,
                      "key '%.*s' is not known: without it the rule would not stop what "
                      "it is to stop",
                      SV_ARG(sv_sub(key, 0, 60)));
    else if (!is_known)
        finding_warn(p->r.to, n, "key '%.*s' is not known: the rule never matches",
                     SV_ARG(sv_sub(key, 0, 60)));
    rule->is_dropped = rule->is_dropped || !is_known;
    if (is_known)
        add_cond(p, n, c, conds, &rule->when.len);
}

static void read_rule(struct policy_reader *p, struct node *n, struct authz_written_rule *to)
{
    if (!node_is_map(&p->r, n))
        return;
    to->from = read_blocks(p, n, "from", "source", source_rows, NELEMS(source_rows), &to->from_len);
    to->to = read_blocks(p, n, "to", "operation", operation_rows, NELEMS(operation_rows),
                         &to->to_len);
    struct node *when = full_list(p, n, "when");
    struct authz_written_cond *conds = when ? read_array(&p->r, when->len + 1, sizeof(*conds))
                                            : NULL;
    for (struct node *w = conds ? when->first : NULL; w; w = w->next)
        read_condition(p, w, to, conds);
    to->when.conds = conds;
    fields_refuse(&p->r, n);
}

static enum authz_action read_action(struct policy_reader *p, struct node *root, struct node *spec)
{
    int action = field_choice(&p->r, spec, "action", actions, NELEMS(actions), AUTHZ_ALLOW);
    struct node *provider = field_map(&p->r, spec, "provider");
    (void)field_any(&p->r, provider, "name");
    fields_refuse(&p->r, provider);
    if (action != ACTION_CUSTOM)
        return (enum authz_action)action;
    finding_warn(p->r.to, spec ? spec : root,
                 "action CUSTOM asks an external authorizer, which this "
                 "proxy does not do: requests that match the rules are denied");
    return AUTHZ_DENY;
}

#define TARGETS_MAX 16 /* the CRD's own bound */

static const struct {
    const char *group, *kind;
    enum target_kind means;
    bool is_of_root; /* only in the root namespace */
} target_kinds[] = {
    { "gateway.networking.k8s.io", "Gateway", TARGET_K8S_GATEWAY, false },
    { "networking.istio.io", "Gateway", TARGET_GATEWAY, false },
    { "gateway.networking.k8s.io", "GatewayClass", TARGET_OF_WAYPOINTS, true },
    { "networking.istio.io", "ServiceEntry", TARGET_OF_WAYPOINTS, false },
    { "", "Service", TARGET_OF_WAYPOINTS, false },
    { "core", "Service", TARGET_OF_WAYPOINTS, false },
};

static void read_target(struct policy_reader *p, struct node *n, struct authorization_policy *a,
                        struct policy_target *to)
{
    if (!node_is_map(&p->r, n))
        return;
    struct sv group = field_text(&p->r, n, "group"), kind = field_text(&p->r, n, "kind");
    struct sv namespace = field_text(&p->r, n, "namespace");
    size_t i = 0;
    to->name = field_text(&p->r, n, "name");
    to->place = place_of(p->r.to, n);
    fields_refuse(&p->r, n);
    while (i < NELEMS(target_kinds) &&
           !(sv_eq(group, sv_z(target_kinds[i].group)) && sv_eq(kind, sv_z(target_kinds[i].kind))))
        i++;
    if (!to->name.len)
        finding_error(p->r.to, n, "name is missing");
    if (namespace.len)
        finding_error(p->r.to, n, "namespace is not allowed: a policy lies beside its target");
    if (i == NELEMS(target_kinds)) {
        finding_error(
            p->r.to, n,
            "kind '%.*s' of group '%.*s' is no target: Gateway, GatewayClass, ServiceEntry "
            "and Service are, each of its own group",
            SV_ARG(sv_sub(kind, 0, 60)), SV_ARG(sv_sub(group, 0, 60)));
        return;
    }
    to->kind = target_kinds[i].means;
    if (target_kinds[i].is_of_root && !sv_eq(a->meta.namespace, ROOT_NAMESPACE))
        finding_error(p->r.to, n, "a policy for a GatewayClass must be in the root namespace, %.*s",
                      SV_ARG(ROOT_NAMESPACE));
    else if (to->kind == TARGET_OF_WAYPOINTS)
        finding_warn(
            p->r.to, n,
            "%s is what waypoints ask for, and there are none: in force nowhere, as in front "
            "of Istio's sidecars",
            target_kinds[i].kind);
}

static void read_targets(struct policy_reader *p, struct node *spec, struct authorization_policy *a)
{
    struct node *list = full_list(p, spec, "targetRefs"),
                *one = field_map(&p->r, spec, "targetRef");
    struct node *selector = field_any(&p->r, spec, "selector");
    struct policy_target *to = read_array(&p->r, (list ? list->len : 0) + 2, sizeof(*to));
    if ((list != NULL) + (one != NULL) + (selector != NULL) > 1)
        finding_error(p->r.to, list ? list : one,
                      "only one of selector, targetRef and targetRefs can say where it applies");
    if (list && list->len > TARGETS_MAX)
        finding_error(p->r.to, list, "has %zu targets, at most %d are allowed", (size_t)list->len,
                      TARGETS_MAX);
    for (struct node *n = list && to ? list->first : NULL; n; n = n->next)
        read_target(p, n, a, &to[a->targets_len++]);
    if (one && to)
        read_target(p, one, a, &to[a->targets_len++]);
    a->targets = to;
}

void read_authorization_policy(struct catalog *c, struct node *root, const struct meta *meta)
{
    struct policy_reader p = { .r = { .to = &c->findings, .mem = c->scratch } };
    struct node *spec = field_map(&p.r, root, "spec");
    struct node *selector = field_map(&p.r, spec, "selector");
    struct node *list = field_list(&p.r, spec, "rules");
    struct authorization_policy *a = read_array(&p.r, 1, sizeof(*a));
    struct authz_written_rule *rules = read_array(&p.r, (list ? list->len : 0) + 1, sizeof(*rules));
    struct sv dry_run = labels_get(&meta->annotations, SV("istio.io/dry-run"));
    if (!a || !rules)
        return;
    a->meta = *meta;
    read_targets(&p, spec, a);
    a->selector = field_labels(&p.r, selector, "matchLabels");
    p.action = read_action(&p, root, spec);
    for (struct node *n = list ? list->first : NULL; n; n = n->next)
        read_rule(&p, n, &rules[a->written.rules_len++]);
    fields_refuse(&p.r, selector);
    fields_refuse(&p.r, spec);
    a->written.namespace = meta->namespace;
    a->written.name = meta->name;
    a->written.action = p.action;
    a->written.is_dry_run = sv_eq_nocase(dry_run, SV("true"));
    a->written.rules = rules;
    CATALOG_ADD(&c->authorization_policies, a);
}
