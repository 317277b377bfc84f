/* SPDX-License-Identifier: Apache-2.0
 * match.c - does a request fulfil one match block?
 *
 * A block is a handful of comparisons, cheapest first; only header and query conditions search. */
#include "proxy/route/match.h"

/* text has no slash at its end. */
static bool has_elements(struct sv path, struct sv text)
{
    return sv_starts(path, text) && (path.len == text.len || path.p[text.len] == '/');
}

bool text_matches(const struct text_match *m, struct sv value, bool is_present)
{
    struct sv head = sv_sub(value, 0, m->text.len);
    if (m->kind == TEXT_MATCH_NONE)
        return true;
    if (!is_present)
        return false;
    switch (m->kind) {
    case TEXT_MATCH_NONE:
    case TEXT_MATCH_PRESENT: return true;
    case TEXT_MATCH_EXACT:
        return m->ignores_case ? sv_eq_nocase(value, m->text) : sv_eq(value, m->text);
    case TEXT_MATCH_PREFIX:
        return m->ignores_case ? sv_eq_nocase(head, m->text) : sv_eq(head, m->text);
    case TEXT_MATCH_ELEMENTS: return has_elements(value, m->text);
    case TEXT_MATCH_REGEX: return regex_matches(m->regex, value);
    }
    return false;
}

static bool header_matches(const struct named_match *m, const struct http_head *req)
{
    struct sv value = http_get(req, m->name);
    bool is_present = value.p != NULL;
    if (!m->is_negated)
        return text_matches(&m->value, value, is_present);
    if (m->value.kind == TEXT_MATCH_PRESENT)
        return !is_present;
    return !text_matches(&m->value, is_present ? value : SV(""), true);
}

static bool param_matches(const struct named_match *m, const struct http_head *req)
{
    struct sv query = sv_from(req->path, sv_index(req->path, '?') + 1);
    for (struct sv part; sv_cut(&query, '&', &part);) {
        size_t eq = sv_index(part, '=');
        if (sv_eq(sv_sub(part, 0, eq), m->name))
            return text_matches(&m->value, sv_from(part, eq + 1), true);
    }
    return false;
}

static struct sv scheme_of(const struct match_ask *ask)
{
    bool is_https = ask->is_tls || sv_starts(ask->req->target, SV("https://"));
    return is_https ? SV("https") : SV("http");
}

bool match_request(const struct match *m, const struct match_ask *ask)
{
    const struct http_head *req = ask->req;
    if (m->port && m->port != ask->port)
        return false;
    if (!text_matches(&m->method, req->method, true) ||
        !text_matches(&m->uri, http_path_only(req), true) ||
        !text_matches(&m->authority, req->authority, true) ||
        !text_matches(&m->scheme, scheme_of(ask), true))
        return false;
    for (size_t i = 0; i < m->headers_len; i++)
        if (!header_matches(&m->headers[i], req))
            return false;
    for (size_t i = 0; i < m->params_len; i++)
        if (!param_matches(&m->params[i], req))
            return false;
    return true;
}

static bool named_miss(const char *what, const struct named_match *m, struct match_miss *ret)
{
    *ret = (struct match_miss){
        .what = what, .name = m->name, .want = &m->value, .is_negated = m->is_negated
    };
    return true;
}

bool match_find_miss(const struct match *m, const struct match_ask *ask, struct match_miss *ret)
{
    const struct http_head *req = ask->req;
    const struct {
        const char *what;
        const struct text_match *want;
        struct sv value;
    } texts[] = {
        { "method", &m->method, req->method },
        { "uri", &m->uri, http_path_only(req) },
        { "authority", &m->authority, req->authority },
        { "scheme", &m->scheme, scheme_of(ask) },
    };
    *ret = (struct match_miss){ .what = "port" };
    if (m->port && m->port != ask->port)
        return true;
    for (size_t i = 0; i < NELEMS(texts); i++) {
        ret->what = texts[i].what;
        ret->want = texts[i].want;
        if (!text_matches(texts[i].want, texts[i].value, true))
            return true;
    }
    for (size_t i = 0; i < m->headers_len; i++)
        if (!header_matches(&m->headers[i], req))
            return named_miss("header", &m->headers[i], ret);
    for (size_t i = 0; i < m->params_len; i++)
        if (!param_matches(&m->params[i], req))
            return named_miss("query parameter", &m->params[i], ret);
    return false;
}
