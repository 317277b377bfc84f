/* SPDX-License-Identifier: Apache-2.0
 * policy.c - compiles authorization policies when configuration is loaded.
 *
 * Every question about the text of a value is answered here: which star it has, which block of
 * addresses it is, whose account. What is left for a request is comparing. All text is copied,
 * because what was written dies with its file. A principal of the mesh's trust domain, of an alias, or
 * of "cluster.local" (which means the mesh's, whatever that is called) becomes one for each of them, as
 * in Istio; any other, and one whose domain has a star, stays as it is. */
#include "proxy/authz/policy.h"
#include "proxy/authz/path_template.h"
#include <stdarg.h>
#include <stdio.h>

struct compiler {
    struct arena *mem;
    struct sv namespace; /* of the policy: an account without one lives there */
    struct authz_texts domains;
    struct err *err;
    const struct place *at;
};

static int nomem(struct compiler *c)
{
    return err_set(c->err, ERR_NOMEM, "authorization policy");
}

static int keep(struct compiler *c, struct sv text, struct sv *ret)
{
    struct sv copy = arena_copy(c->mem, text);
    if (!copy.p)
        return nomem(c);
    *ret = copy;
    return 0;
}

/* "abc", "abc*", "*abc" or "*"; a star anywhere else is an ordinary character, as in Istio. */
static int compile_text(struct compiler *c, struct sv text, struct authz_match *to)
{
    if (sv_eq(text, SV("*"))) {
        to->kind = AUTHZ_MATCH_PRESENT;
        return 0;
    }
    if (sv_starts(text, SV("*"))) {
        to->kind = AUTHZ_MATCH_SUFFIX;
        text = sv_from(text, 1);
    } else if (sv_ends(text, SV("*"))) {
        to->kind = AUTHZ_MATCH_PREFIX;
        text = sv_sub(text, 0, text.len - 1);
    }
    return keep(c, text, &to->text);
}

static int compile_path(struct compiler *c, struct sv text, struct authz_match *to)
{
    if (!path_template_is(text))
        return compile_text(c, text, to);
    to->kind = AUTHZ_MATCH_TEMPLATE;
    int rc = path_template_check(text, c->err);
    return rc < 0 ? rc : keep(c, text, &to->text);
}

/* Istio makes a pattern out of a namespace, in which a star may stand anywhere; here at its ends. */
static int compile_namespace(struct compiler *c, struct sv text, struct authz_match *to)
{
    struct sv inner = sv_sub(text, 1, text.len > 2 ? text.len - 2 : 0);
    bool has_two = text.len > 1 && sv_starts(text, SV("*")) && sv_ends(text, SV("*"));
    if (has_two || sv_contains(inner, SV("*")))
        return err_set(c->err, ERR_USAGE, "namespace '%.*s': one '*' at its begin or end, not more",
                       SV_ARG(sv_sub(text, 0, 60)));
    return compile_text(c, text, to);
}

static int compile_account(struct compiler *c, struct sv text, struct authz_match *to)
{
    size_t slash = sv_index(text, '/');
    struct sv name = slash < text.len ? sv_from(text, slash + 1) : text;
    struct sv namespace = slash < text.len ? sv_sub(text, 0, slash) : c->namespace;
    if (!name.len || !namespace.len || sv_contains(name, SV("/")) || sv_contains(text, SV("*")))
        return err_set(c->err, ERR_USAGE,
                       "'%.*s' is no service account: expected NAME or NAMESPACE/NAME without '*'",
                       SV_ARG(sv_sub(text, 0, 60)));
    to->kind = AUTHZ_MATCH_ACCOUNT;
    int rc = keep(c, name, &to->text);
    return rc < 0 ? rc : keep(c, namespace, &to->namespace);
}

static int compile_port(struct compiler *c, struct sv text, struct authz_match *to)
{
    uint64_t port;
    if (!sv_to_u64(text, &port) || port < 1 || port > UINT16_MAX)
        return err_set(c->err, ERR_USAGE, "'%.*s' is no port from 1 to 65535",
                       SV_ARG(sv_sub(text, 0, 60)));
    to->kind = AUTHZ_MATCH_PORT;
    to->port = (uint16_t)port;
    return 0;
}

static int compile_match(struct compiler *c, enum authz_attr attr, struct sv text,
                         struct authz_match *to)
{
    if (!text.len)
        return err_set(c->err, ERR_USAGE, "a value is empty");
    switch (attr) {
    case AUTHZ_SOURCE_IP:
    case AUTHZ_REMOTE_IP:
    case AUTHZ_DESTINATION_IP:
        to->kind = AUTHZ_MATCH_BLOCK;
        return ip_block_parse(text, &to->block, c->err);
    case AUTHZ_PORT: return compile_port(c, text, to);
    case AUTHZ_PATH: return compile_path(c, text, to);
    case AUTHZ_NAMESPACE: return compile_namespace(c, text, to);
    case AUTHZ_ACCOUNT: return compile_account(c, text, to);
    default: return compile_text(c, text, to);
    }
}

/* Does the principal's trust domain stand for the mesh's? */
static bool is_of_mesh(const struct compiler *c, struct sv principal)
{
    size_t slash = sv_index(principal, '/');
    struct sv domain = sv_sub(principal, 0, slash);
    if (slash == principal.len)
        return false;
    for (size_t i = 0; i < c->domains.len; i++)
        if (sv_eq(domain, c->domains.list[i]))
            return true;
    return c->domains.len && sv_eq(domain, SV("cluster.local"));
}

/* The principal in each of the mesh's trust domains. */
static int compile_aliases(struct compiler *c, struct sv principal, struct authz_match *to)
{
    struct sv rest = sv_from(principal, sv_index(principal, '/'));
    for (size_t i = 0; i < c->domains.len; i++) {
        struct sv domain = c->domains.list[i], text = { 0 };
        char *at = arena_alloc(c->mem, domain.len + rest.len + 1);
        if (!at)
            return nomem(c);
        memcpy(at, domain.p, domain.len);
        memcpy(at + domain.len, rest.p, rest.len);
        text = sv_of(at, domain.len + rest.len);
        int rc = compile_text(c, text, &to[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int compile_matches(struct compiler *c, enum authz_attr attr, struct authz_texts from,
                           struct authz_matches *ret)
{
    size_t each = attr == AUTHZ_PRINCIPAL ? MAX(c->domains.len, (size_t)1) : 1, len = 0;
    struct authz_match *list = arena_array(c->mem, from.len * each + 1, sizeof(*list));
    if (!list)
        return nomem(c);
    for (size_t i = 0; i < from.len; i++) {
        bool is_many = attr == AUTHZ_PRINCIPAL && is_of_mesh(c, from.list[i]);
        int rc = is_many ? compile_aliases(c, from.list[i], &list[len])
                         : compile_match(c, attr, from.list[i], &list[len]);
        if (rc < 0)
            return rc;
        len += is_many ? c->domains.len : 1;
    }
    *ret = (struct authz_matches){ list, len };
    return 0;
}

static int compile_block(struct compiler *c, const struct authz_written_block *from,
                         struct authz_block *ret)
{
    struct authz_cond *conds = arena_array(c->mem, from->len + 1, sizeof(*conds));
    if (!conds)
        return nomem(c);
    for (size_t i = 0; i < from->len; i++) {
        const struct authz_written_cond *w = &from->conds[i];
        c->at = w->at;
        conds[i].attr = w->attr;
        int rc = keep(c, w->header, &conds[i].header);
        if (rc == 0)
            rc = compile_matches(c, w->attr, w->any, &conds[i].any);
        if (rc == 0)
            rc = compile_matches(c, w->attr, w->none, &conds[i].none);
        if (rc < 0)
            return rc;
    }
    *ret = (struct authz_block){ conds, from->len };
    return 0;
}

static int compile_blocks(struct compiler *c, const struct authz_written_block *from, size_t len,
                          const struct authz_block **ret)
{
    struct authz_block *blocks = arena_array(c->mem, len + 1, sizeof(*blocks));
    if (!blocks)
        return nomem(c);
    for (size_t i = 0; i < len; i++) {
        int rc = compile_block(c, &from[i], &blocks[i]);
        if (rc < 0)
            return rc;
    }
    *ret = blocks;
    return 0;
}

static int compile_id(struct compiler *c, struct sv *ret, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int compile_id(struct compiler *c, struct sv *ret, const char *fmt, ...)
{
    char text[400]; /* two DNS names, 63 and 253 bytes, and what stands around them */
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(text))
        return err_set(c->err, ERR_USAGE, "namespace and name are too long");
    for (int i = 0; i < n; i++) /* it is sent as a header's value */
        if (text[i] < 0x21 || text[i] > 0x7e)
            return err_set(c->err, ERR_USAGE,
                           "namespace or name has a character that is not allowed");
    return keep(c, sv_of(text, (size_t)n), ret);
}

static int compile_rule(struct compiler *c, const struct authz_written *policy, size_t index,
                        struct authz_rule *to)
{
    const struct authz_written_rule *from = &policy->rules[index];
    int rc = compile_id(c, &to->id, "ns[%.*s]-policy[%.*s]-rule[%zu]", SV_ARG(policy->namespace),
                        SV_ARG(policy->name), index);
    to->is_dropped = from->is_dropped;
    to->from_len = from->from_len;
    to->to_len = from->to_len;
    if (rc == 0)
        rc = compile_blocks(c, from->from, from->from_len, &to->from);
    if (rc == 0)
        rc = compile_blocks(c, from->to, from->to_len, &to->to);
    return rc < 0 ? rc : compile_block(c, &from->when, &to->when);
}

int authz_compile(const struct authz_written *from, struct arena *mem, struct authz_policy **ret,
                  const struct place **ret_at, struct err *err)
{
    struct compiler c = {
        .mem = mem, .namespace = from->namespace, .domains = from->domains, .err = err
    };
    struct authz_policy *p = arena_zalloc(mem, sizeof(*p));
    struct authz_rule *rules = arena_array(mem, from->rules_len + 1, sizeof(*rules));
    if (!p || !rules)
        return nomem(&c);
    p->action = from->action;
    p->is_dry_run = from->is_dry_run;
    p->rules = rules;
    p->rules_len = from->rules_len;
    int rc = compile_id(&c, &p->id, "%.*s/%.*s", SV_ARG(from->namespace), SV_ARG(from->name));
    for (size_t i = 0; rc == 0 && i < from->rules_len; i++)
        rc = compile_rule(&c, from, i, &rules[i]);
    if (rc < 0) {
        *ret_at = c.at;
        return rc;
    }
    *ret = p;
    return 0;
}
