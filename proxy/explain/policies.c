/* SPDX-License-Identifier: Apache-2.0
 * policies.c - what each AuthorizationPolicy of a workload says about a request.
 *
 * The decision is authz_decide()'s own; beside it each policy is told with its outcome, in the order
 * in which it is asked, and each rule that does not match with the condition that kept it. */
#include "net/tls.h"
#include "proxy/explain/explain.h"

static const char *const action_names[] = {
    [AUTHZ_AUDIT] = "AUDIT", [AUTHZ_DENY] = "DENY", [AUTHZ_ALLOW] = "ALLOW"
};

static const char *attr_name(enum authz_attr attr)
{
    static const char *const names[] = {
        [AUTHZ_PRINCIPAL] = "principal",
        [AUTHZ_NAMESPACE] = "namespace",
        [AUTHZ_ACCOUNT] = "service account",
        [AUTHZ_TRUST_DOMAIN] = "trust domain",
        [AUTHZ_SOURCE_IP] = "source address",
        [AUTHZ_REMOTE_IP] = "remote address",
        [AUTHZ_DESTINATION_IP] = "destination address",
        [AUTHZ_PORT] = "port",
        [AUTHZ_SNI] = "server name",
        [AUTHZ_TOKEN] = "token",
        [AUTHZ_HOST] = "host",
        [AUTHZ_METHOD] = "method",
        [AUTHZ_PATH] = "path",
        [AUTHZ_HEADER] = "header",
    };
    return names[attr];
}

static void put_match(struct buf *to, const struct authz_match *m)
{
    switch (m->kind) {
    case AUTHZ_MATCH_EXACT:
    case AUTHZ_MATCH_TEMPLATE: buf_put(to, m->text); break;
    case AUTHZ_MATCH_PREFIX: buf_printf(to, "%.*s*", SV_ARG(m->text)); break;
    case AUTHZ_MATCH_SUFFIX: buf_printf(to, "*%.*s", SV_ARG(m->text)); break;
    case AUTHZ_MATCH_PRESENT: buf_putc(to, '*'); break;
    case AUTHZ_MATCH_ACCOUNT:
        buf_printf(to, "%.*s/%.*s", SV_ARG(m->namespace), SV_ARG(m->text));
        break;
    case AUTHZ_MATCH_PORT: buf_put_u64(to, m->port); break;
    case AUTHZ_MATCH_BLOCK: ip_block_put(to, &m->block); break;
    }
}

static void put_address(struct buf *to, const struct ip *ip)
{
    if (ip->is_known)
        ip_put(to, ip);
    else
        buf_put(to, SV("not known"));
}

static struct sv text_of(const struct authz_cond *c, const struct authz_request *q)
{
    switch (c->attr) {
    case AUTHZ_PRINCIPAL:
    case AUTHZ_ACCOUNT: return q->principal;
    case AUTHZ_NAMESPACE: return q->namespace;
    case AUTHZ_TRUST_DOMAIN: return q->trust_domain;
    case AUTHZ_SNI: return q->sni;
    case AUTHZ_HOST: return q->head->authority;
    case AUTHZ_METHOD: return q->head->method;
    case AUTHZ_PATH: return q->path;
    case AUTHZ_HEADER: return http_get(q->head, c->header);
    default: return SV_NONE;
    }
}

/* What the request has where the condition looks. */
static void put_value(struct buf *to, const struct authz_cond *c, const struct authz_request *q)
{
    switch (c->attr) {
    case AUTHZ_SOURCE_IP: put_address(to, &q->source_ip); return;
    case AUTHZ_REMOTE_IP: put_address(to, &q->remote_ip); return;
    case AUTHZ_DESTINATION_IP: put_address(to, &q->destination_ip); return;
    case AUTHZ_PORT: buf_put_u64(to, q->port); return;
    default: break;
    }
    struct sv text = text_of(c, q);
    if (text.len)
        buf_put(to, text);
    else
        buf_put(to, SV("none"));
}

static void tell_miss(const struct authz_miss *miss, const struct authz_request *q,
                      struct telling *t)
{
    AUTO_DONE(buf) text = { 0 };
    const struct authz_cond *c = miss->cond;
    if (!c) {
        tell_str(t, "why", SV("it asks for something that is never known here"));
        return;
    }
    if (!q->head && c->attr >= AUTHZ_FIRST_OF_REQUESTS) {
        tell_printf(t, "why", "%s: a connection has no %s%s%.*s", miss->part, attr_name(c->attr),
                    c->header.len ? " " : "", SV_ARG(c->header));
        return;
    }
    const struct authz_matches *list = miss->is_excluded ? &c->none : &c->any;
    buf_printf(&text, "%s: %s%s%.*s is ", miss->part, attr_name(c->attr), c->header.len ? " " : "",
               SV_ARG(c->header));
    put_value(&text, c, q);
    buf_put(&text, miss->is_excluded ? SV(", excluded by ") : SV(", wanted: "));
    for (size_t i = 0; i < list->len; i++) {
        if (i)
            buf_put(&text, SV(" or "));
        put_match(&text, &list->list[i]);
    }
    tell_str(t, "why", buf_sv(&text));
}

static void tell_rule(const struct authz_policy *p, size_t index, const struct authz_request *q,
                      struct telling *t, bool *any)
{
    struct authz_miss miss;
    bool matches = authz_rule_matches(&p->rules[index], p->action, q, &miss);
    *any = *any || matches;
    tell_open(t, NULL, '{');
    tell_printf(t, "rule", "%zu", index);
    tell_bool(t, "matches", matches);
    if (!matches)
        tell_miss(&miss, q, t);
    tell_close(t);
}

static void tell_ports(const struct authz_policy *p, struct telling *t)
{
    AUTO_DONE(buf) text = { 0 };
    for (size_t i = 0; i < p->ports_len; i++)
        buf_printf(&text, "%s%u", i ? ", " : "", p->ports[i]);
    if (p->ports_len)
        tell_str(t, "at_ports", buf_sv(&text));
}

static void tell_policy(const struct authz_policy *p, const struct authz_request *q,
                        struct telling *t)
{
    bool any = false;
    tell_open(t, NULL, '{');
    tell_str(t, "policy", p->id);
    tell_str(t, "action", sv_z(action_names[p->action]));
    if (p->is_dry_run)
        tell_bool(t, "dry_run", true);
    tell_ports(p, t);
    explain_origin(t, "written_in", p->origin);
    tell_open(t, "rules", '[');
    for (size_t i = 0; i < p->rules_len && authz_is_at(p, q->port); i++)
        tell_rule(p, i, q, t, &any);
    tell_close(t);
    tell_bool(t, "matches", any);
    tell_close(t);
}

static void tell_decision(const struct authz_decision *d, struct telling *t)
{
    tell_bool(t, "allowed", d->is_allowed);
    if (d->rule.len)
        tell_str(t, "decided_by", d->rule);
    else if (!d->is_allowed)
        tell_printf(t, "decided_by", "no rule of the ALLOW polic%s matches",
                    d->policies_len > 1 ? "ies" : "y");
    if (d->audit.len)
        tell_str(t, "audited_by", d->audit);
    if (d->has_deny_dry_run)
        tell_str(t, "dry_run_deny", d->would_deny.len ? d->would_deny : SV("would not deny"));
    if (d->has_allow_dry_run)
        tell_str(t, "dry_run_allow", d->would_allow.len ? d->would_allow : SV("would deny"));
}

static void tell_conditions(struct telling *t, const char *part, const struct authz_block *b)
{
    AUTO_DONE(buf) text = { 0 };
    for (size_t i = 0; i < b->len; i++) {
        const struct authz_cond *c = &b->conds[i];
        const struct authz_matches *lists[] = { &c->any, &c->none };
        for (size_t k = 0; k < 2; k++) {
            if (!lists[k]->len)
                continue;
            buf_printf(&text, "%s%s%s%.*s %s ", text.len ? " and " : "", attr_name(c->attr),
                       c->header.len ? " " : "", SV_ARG(c->header), k ? "is not" : "is");
            for (size_t m = 0; m < lists[k]->len; m++) {
                if (m)
                    buf_put(&text, SV(" or "));
                put_match(&text, &lists[k]->list[m]);
            }
        }
    }
    tell_str(t, part, text.len ? buf_sv(&text) : SV("anything"));
}

static void tell_blocks(struct telling *t, const char *key, const struct authz_block *list,
                        size_t len)
{
    tell_open(t, key, '[');
    for (size_t i = 0; i < len; i++)
        tell_conditions(t, NULL, &list[i]);
    tell_close(t);
}

static void tell_written(struct telling *t, const struct authz_policy *p)
{
    tell_open(t, NULL, '{');
    tell_str(t, "policy", p->id);
    tell_str(t, "action", sv_z(action_names[p->action]));
    tell_bool(t, "dry_run", p->is_dry_run);
    tell_ports(p, t);
    explain_origin(t, "written_in", p->origin);
    tell_open(t, "rules", '[');
    for (size_t i = 0; i < p->rules_len; i++) {
        const struct authz_rule *r = &p->rules[i];
        tell_open(t, NULL, '{');
        if (r->is_dropped)
            tell_bool(t, "never_matches", true);
        tell_blocks(t, "from", r->from, r->from_len);
        tell_blocks(t, "to", r->to, r->to_len);
        if (r->when.len)
            tell_conditions(t, "when", &r->when);
        tell_close(t);
    }
    tell_close(t);
    tell_close(t);
}

void explain_all_policies(struct telling *t, const struct authz *a)
{
    for (size_t i = 0; a && i < (size_t)AUTHZ_ACTIONS_LEN * 2; i++)
        for (const struct authz_policy *p = a->lists[i / 2][i % 2].first; p; p = p->next)
            tell_written(t, p);
}

static void describe(const struct explain_ask *q, struct authz_request *to)
{
    static const struct sv prefix = { "spiffe://", 9 };
    *to = (struct authz_request){ .head = q->is_connection ? NULL : &q->head,
                                  .path = http_path_only(&q->head),
                                  .sni = q->sni,
                                  .source_ip = q->source_ip,
                                  .remote_ip = q->remote_ip,
                                  .destination_ip = q->destination_ip,
                                  .port = q->port };
    if (q->is_mutual && spiffe_parse(q->principal, &to->trust_domain, &to->namespace, &to->account))
        to->principal = sv_from(q->principal, prefix.len);
}

bool explain_policies(const struct explain_ask *q, struct telling *t, struct explain_outcome *ret)
{
    const struct authz *a = mesh_authz(q->mesh);
    struct authz_request request;
    struct authz_decision d = { .is_allowed = true };
    describe(q, &request);
    if (a)
        authz_decide(a, &request, &d);
    tell_open(t, "authorization", '{');
    tell_decision(&d, t);
    tell_open(t, "policies", '[');
    for (size_t i = 0; a && i < (size_t)AUTHZ_ACTIONS_LEN * 2; i++)
        for (const struct authz_policy *p = a->lists[i / 2][i % 2].first; p; p = p->next)
            tell_policy(p, &request, t);
    tell_close(t);
    tell_close(t);
    if (d.is_allowed)
        return true;
    ret->status = q->is_connection ? 0 : 403;
    if (d.rule.len)
        snprintf(ret->why, sizeof(ret->why), "RBAC: access denied by %.*s", SV_ARG(d.rule));
    else
        snprintf(ret->why, sizeof(ret->why), "RBAC: access denied: no rule of %.*s%s matches",
                 (int)MIN(d.policy.len, (size_t)160), d.policy.p,
                 d.policies_len > 1 ? " and others" : "");
    return false;
}
