/* SPDX-License-Identifier: Apache-2.0
 * authz.c - decides a request: a walk over the compiled rules, first match wins.
 *
 * Two cases in which a condition cannot be answered plainly are settled against the caller:
 *   - A header sent several times. An ALLOW rule wants every one of them to match, a DENY rule is
 *     content with one.
 *   - A TCP connection has no method, path or header. A condition on them makes an ALLOW rule never
 *     match and is left out of a DENY rule, which then covers more (as in Istio). */
#include "proxy/authz/authz.h"
#include "proxy/authz/path_template.h"

void authz_add(struct authz *a, struct authz_policy *p)
{
    /* An audit changes nothing anyhow. */
    bool is_dry_run = p->is_dry_run && p->action != AUTHZ_AUDIT;
    p->next = NULL;
    if (a->lists[p->action][is_dry_run].last)
        a->lists[p->action][is_dry_run].last->next = p;
    else
        a->lists[p->action][is_dry_run].first = p;
    a->lists[p->action][is_dry_run].last = p;
    a->lists[p->action][is_dry_run].len++;
}

bool authz_is_at(const struct authz_policy *p, uint16_t port)
{
    for (size_t i = 0; i < p->ports_len; i++)
        if (p->ports[i] == port)
            return true;
    return !p->ports_len || !port;
}

static bool eq(struct sv a, struct sv b, bool ignores_case)
{
    return ignores_case ? sv_eq_nocase(a, b) : sv_eq(a, b);
}

static bool text_fits(const struct authz_match *m, struct sv value, bool ignores_case)
{
    struct sv want = m->text;
    switch (m->kind) {
    case AUTHZ_MATCH_EXACT: return value.len && eq(value, want, ignores_case);
    case AUTHZ_MATCH_PREFIX: return eq(sv_sub(value, 0, want.len), want, ignores_case);
    case AUTHZ_MATCH_SUFFIX:
        return value.len >= want.len &&
               eq(sv_from(value, value.len - want.len), want, ignores_case);
    case AUTHZ_MATCH_PRESENT: return value.len > 0;
    case AUTHZ_MATCH_TEMPLATE: return path_template_matches(want, value);
    case AUTHZ_MATCH_ACCOUNT:
    case AUTHZ_MATCH_BLOCK:
    case AUTHZ_MATCH_PORT: break;
    }
    return false;
}

static bool some_text(const struct authz_matches *list, struct sv value, bool ignores_case)
{
    for (size_t i = 0; i < list->len; i++)
        if (text_fits(&list->list[i], value, ignores_case))
            return true;
    return false;
}

static bool some_block(const struct authz_matches *list, const struct ip *ip)
{
    for (size_t i = 0; i < list->len; i++)
        if (ip_block_has(&list->list[i].block, ip))
            return true;
    return false;
}

static bool some_port(const struct authz_matches *list, uint16_t port)
{
    for (size_t i = 0; i < list->len; i++)
        if (list->list[i].port == port)
            return true;
    return false;
}

static bool some_account(const struct authz_matches *list, const struct authz_request *q)
{
    for (size_t i = 0; i < list->len; i++)
        if (q->principal.len && sv_eq(list->list[i].text, q->account) &&
            sv_eq(list->list[i].namespace, q->namespace))
            return true;
    return false;
}

/* What Envoy's names in brackets mean beside real headers. */
static bool pseudo_header(const struct http_head *h, struct sv name, struct sv *ret)
{
    if (sv_eq(name, SV(":authority")) || sv_eq_nocase(name, SV("host")))
        *ret = h->authority;
    else if (sv_eq(name, SV(":method")))
        *ret = h->method;
    else if (sv_eq(name, SV(":path")))
        *ret = h->path;
    else
        return false;
    return true;
}

static bool some_header(const struct authz_matches *list, const struct http_head *h, struct sv name,
                        bool wants_all)
{
    struct sv value;
    size_t seen = 0, fit = 0;
    if (pseudo_header(h, name, &value))
        return some_text(list, value, false);
    for (size_t i = 0; i < h->headers_len; i++) {
        if (h->headers[i].name.len != name.len || !sv_eq_nocase(h->headers[i].name, name))
            continue;
        seen++;
        fit += some_text(list, h->headers[i].value, false);
    }
    return wants_all ? seen > 0 && fit == seen : fit > 0;
}

/* Does a value of the list match? wants_all: of an attribute with several values each must. */
static bool some_match(const struct authz_cond *c, const struct authz_matches *list,
                       const struct authz_request *q, bool wants_all)
{
    switch (c->attr) {
    case AUTHZ_PRINCIPAL: return q->principal.len && some_text(list, q->principal, false);
    case AUTHZ_NAMESPACE: return q->namespace.len && some_text(list, q->namespace, false);
    case AUTHZ_TRUST_DOMAIN: return q->trust_domain.len && some_text(list, q->trust_domain, false);
    case AUTHZ_ACCOUNT: return some_account(list, q);
    case AUTHZ_SOURCE_IP: return some_block(list, &q->source_ip);
    case AUTHZ_REMOTE_IP: return some_block(list, &q->remote_ip);
    case AUTHZ_DESTINATION_IP: return some_block(list, &q->destination_ip);
    case AUTHZ_PORT: return some_port(list, q->port);
    case AUTHZ_SNI: return some_text(list, q->sni, false);
    case AUTHZ_TOKEN: return false;
    case AUTHZ_HOST: return some_text(list, q->head->authority, true);
    case AUTHZ_METHOD: return some_text(list, q->head->method, false);
    case AUTHZ_PATH: return some_text(list, q->path, false);
    case AUTHZ_HEADER: return some_header(list, q->head, c->header, wants_all);
    }
    return false;
}

static bool cond_holds(const struct authz_cond *c, const struct authz_request *q, bool is_allow)
{
    if (!q->head && c->attr >= AUTHZ_FIRST_OF_REQUESTS)
        return !is_allow;
    if (c->any.len && !some_match(c, &c->any, q, is_allow))
        return false;
    return !c->none.len || !some_match(c, &c->none, q, !is_allow);
}

static bool block_holds(const struct authz_block *b, const struct authz_request *q, bool is_allow)
{
    for (size_t i = 0; i < b->len; i++)
        if (!cond_holds(&b->conds[i], q, is_allow))
            return false;
    return true;
}

static bool some_block_holds(const struct authz_block *list, size_t len,
                             const struct authz_request *q, bool is_allow)
{
    for (size_t i = 0; i < len; i++)
        if (block_holds(&list[i], q, is_allow))
            return true;
    return len == 0;
}

static bool rule_holds(const struct authz_rule *r, const struct authz_request *q, bool is_allow)
{
    return !r->is_dropped && some_block_holds(r->from, r->from_len, q, is_allow) &&
           some_block_holds(r->to, r->to_len, q, is_allow) && block_holds(&r->when, q, is_allow);
}

/* The condition of a block that fails, into ret. */
static void find_miss(const struct authz_block *b, const struct authz_request *q, bool is_allow,
                      struct authz_miss *ret)
{
    for (size_t i = 0; i < b->len; i++) {
        struct authz_cond only_any = b->conds[i];
        only_any.none.len = 0;
        if (cond_holds(&b->conds[i], q, is_allow))
            continue;
        ret->cond = &b->conds[i];
        ret->is_excluded = b->conds[i].none.len && cond_holds(&only_any, q, is_allow);
        return;
    }
}

bool authz_rule_matches(const struct authz_rule *r, enum authz_action action,
                        const struct authz_request *q, struct authz_miss *ret)
{
    bool is_allow = action == AUTHZ_ALLOW, holds = rule_holds(r, q, is_allow);
    if (!ret)
        return holds;
    *ret = (struct authz_miss){ 0 };
    if (holds || r->is_dropped)
        return holds;
    bool is_from = !some_block_holds(r->from, r->from_len, q, is_allow);
    bool is_to = !is_from && !some_block_holds(r->to, r->to_len, q, is_allow);
    ret->part = is_from ? "from" : is_to ? "to" : "when";
    find_miss(is_from ? r->from : is_to ? r->to : &r->when, q, is_allow, ret);
    return false;
}

/* The first rule of the list's policies that holds. */
static const struct authz_rule *find(const struct authz *a, enum authz_action action,
                                     bool is_dry_run, const struct authz_request *q,
                                     const struct authz_policy **ret_policy)
{
    bool is_allow = action == AUTHZ_ALLOW;
    for (const struct authz_policy *p = a->lists[action][is_dry_run].first; p; p = p->next) {
        for (size_t i = 0; i < p->rules_len && authz_is_at(p, q->port); i++) {
            const struct authz_rule *r = &p->rules[i];
            if (!rule_holds(r, q, is_allow))
                continue;
            *ret_policy = p;
            return r;
        }
    }
    return NULL;
}

static struct sv id_of(const struct authz_rule *r)
{
    return r ? r->id : SV_NONE;
}

/* How many policies of a list are asked at all; *ret_first is the first of them. */
static size_t count(const struct authz *a, enum authz_action action, bool is_dry_run, uint16_t port,
                    const struct authz_policy **ret_first)
{
    size_t n = 0;
    for (const struct authz_policy *p = a->lists[action][is_dry_run].first; p; p = p->next)
        if (authz_is_at(p, port) && n++ == 0)
            *ret_first = p;
    return n;
}

void authz_decide(const struct authz *a, const struct authz_request *q, struct authz_decision *ret)
{
    const struct authz_policy *p = NULL;
    const struct authz_rule *r;
    *ret = (struct authz_decision){
        .is_allowed = true,
        .audit = id_of(find(a, AUTHZ_AUDIT, false, q, &p)),
        .would_deny = id_of(find(a, AUTHZ_DENY, true, q, &p)),
        .would_allow = id_of(find(a, AUTHZ_ALLOW, true, q, &p)),
        .has_deny_dry_run = count(a, AUTHZ_DENY, true, q->port, &p) > 0,
        .has_allow_dry_run = count(a, AUTHZ_ALLOW, true, q->port, &p) > 0,
    };
    r = find(a, AUTHZ_DENY, false, q, &p);
    if (r) {
        ret->is_allowed = false;
        ret->policy = p->id;
        ret->policies_len = 1;
    } else {
        const struct authz_policy *first = NULL;
        size_t n = count(a, AUTHZ_ALLOW, false, q->port, &first);
        r = n ? find(a, AUTHZ_ALLOW, false, q, &p) : NULL;
        if (n && !r) {
            ret->is_allowed = false;
            ret->policy = first->id;
            ret->policies_len = n;
        }
    }
    ret->rule = id_of(r);
}
