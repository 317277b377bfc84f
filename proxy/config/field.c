/* SPDX-License-Identifier: Apache-2.0
 * field.c - typed reading of a mapping's fields.
 *
 * The rules are those of the Kubernetes API server: "80" in quotes is text and 80 is a number, a
 * label's value must be text (version: 1.0 is a number, which the server refuses too), null means
 * missing. Only true and false are booleans; YAML 1.1's yes, no, on and off stay text. */
#include "proxy/config/field.h"
#include "base/clock.h"
#include "base/flag.h"
#include <stdio.h>

static const char *found_kind(const struct node *n)
{
    switch (n->kind) {
    case NODE_NULL: return "nothing";
    case NODE_MAP: return "a mapping";
    case NODE_LIST: return "a list";
    case NODE_TEXT: break;
    }
    return "text";
}

static bool looks_boolean(struct sv s)
{
    return sv_eq(s, SV("true")) || sv_eq(s, SV("false"));
}

static bool looks_numeric(struct sv s)
{
    double v;
    return s.len && strchr("+-.0123456789", s.p[0]) && sv_to_double(s, &v);
}

static struct sv shown(const struct node *n)
{
    return sv_sub(n->text, 0, 60);
}

static void expected(struct reader *r, const struct node *n, const char *what)
{
    if (n->kind != NODE_TEXT)
        finding_error(r->to, n, "expected %s, found %s", what, found_kind(n));
    else if (n->is_quoted)
        finding_error(r->to, n, "expected %s, found the text \"%.*s\"", what, SV_ARG(shown(n)));
    else
        finding_error(r->to, n, "expected %s, found '%.*s'", what, SV_ARG(shown(n)));
}

struct node *field_any(struct reader *r, struct node *map, const char *name)
{
    (void)r;
    if (!map || map->kind != NODE_MAP)
        return NULL;
    for (struct node *n = map->first; n; n = n->next) {
        if (!sv_eq(n->key, sv_z(name)))
            continue;
        n->is_read = true;
        return n->kind == NODE_NULL ? NULL : n;
    }
    return NULL;
}

static struct node *field_of(struct reader *r, struct node *map, const char *name,
                             enum node_kind kind, const char *what)
{
    struct node *n = field_any(r, map, name);
    if (!n || n->kind == kind)
        return n;
    expected(r, n, what);
    return NULL;
}

struct node *field_map(struct reader *r, struct node *map, const char *name)
{
    return field_of(r, map, name, NODE_MAP, "a mapping");
}

struct node *field_list(struct reader *r, struct node *map, const char *name)
{
    return field_of(r, map, name, NODE_LIST, "a list");
}

bool node_is_map(struct reader *r, const struct node *n)
{
    if (n->kind == NODE_MAP)
        return true;
    expected(r, n, "a mapping");
    return false;
}

struct sv node_text(struct reader *r, const struct node *n)
{
    bool is_plain = n->kind == NODE_TEXT && !n->is_quoted;
    if (n->kind != NODE_TEXT || (is_plain && looks_boolean(n->text))) {
        expected(r, n, "text");
        return SV_NONE;
    }
    if (is_plain && looks_numeric(n->text)) {
        expected(r, n, "text (put a number that is meant as text in quotes)");
        return SV_NONE;
    }
    struct sv copy = arena_copy(r->mem, n->text);
    if (!copy.p)
        r->to->is_nomem = true;
    return copy;
}

struct sv field_text(struct reader *r, struct node *map, const char *name)
{
    struct node *n = field_any(r, map, name);
    return n ? node_text(r, n) : SV_NONE;
}

bool node_uint(struct reader *r, const struct node *n, uint64_t max, uint64_t *ret_v)
{
    uint64_t v;
    if (n->kind == NODE_TEXT && !n->is_quoted && sv_to_u64(n->text, &v) && v <= max) {
        *ret_v = v;
        return true;
    }
    char what[64];
    snprintf(what, sizeof(what), "a whole number from 0 to %llu", (unsigned long long)max);
    expected(r, n, what);
    return false;
}

uint64_t field_uint(struct reader *r, struct node *map, const char *name, uint64_t max,
                    uint64_t fallback)
{
    uint64_t v = fallback;
    struct node *n = field_any(r, map, name);
    if (n && !node_uint(r, n, max, &v))
        return fallback;
    return v;
}

uint16_t field_port(struct reader *r, struct node *map, const char *name)
{
    struct node *n = field_any(r, map, name);
    uint64_t v = 0;
    if (!n)
        return 0;
    if (n->kind == NODE_TEXT && !n->is_quoted && sv_to_u64(n->text, &v) && v >= 1 && v <= 65535)
        return (uint16_t)v;
    expected(r, n, "a port from 1 to 65535");
    return 0;
}

bool field_bool(struct reader *r, struct node *map, const char *name, bool fallback)
{
    struct node *n = field_any(r, map, name);
    if (!n)
        return fallback;
    if (n->kind == NODE_TEXT && !n->is_quoted && looks_boolean(n->text))
        return n->text.p[0] == 't';
    expected(r, n, "true or false");
    return fallback;
}

int64_t field_duration(struct reader *r, struct node *map, const char *name, int64_t fallback_ns)
{
    int64_t v;
    struct node *n = field_any(r, map, name);
    if (!n)
        return fallback_ns;
    if (n->kind == NODE_TEXT && duration_from_sv(n->text, &v))
        return v;
    expected(r, n, "a duration such as 5s, 250ms or 1m30s");
    return fallback_ns;
}

int64_t field_time(struct reader *r, struct node *map, const char *name)
{
    struct node *n = field_any(r, map, name);
    if (!n)
        return INT64_MAX;
    struct tm tm = { 0 };
    char text[40];
    if (n->kind == NODE_TEXT && sv_to_z(n->text, text, sizeof(text)) &&
        strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
        return timegm(&tm);
    expected(r, n, "a time such as 2026-01-02T03:04:05Z");
    return INT64_MAX;
}

int field_choice(struct reader *r, struct node *map, const char *name, const struct choice *list,
                 size_t len, int fallback)
{
    struct node *n = field_any(r, map, name);
    if (!n)
        return fallback;
    char what[160] = "one of";
    for (size_t i = 0; i < len; i++) {
        if (n->kind == NODE_TEXT && sv_eq(n->text, sv_z(list[i].name)))
            return list[i].value;
        size_t used = strlen(what);
        snprintf(what + used, sizeof(what) - used, "%s %s", i ? "," : "", list[i].name);
    }
    expected(r, n, what);
    return fallback;
}

struct labels field_labels(struct reader *r, struct node *map, const char *name)
{
    struct labels l = { 0 };
    struct node *n = field_map(r, map, name);
    struct label *list = n ? arena_array(r->mem, n->len + 1, sizeof(*list)) : NULL;
    if (n && !list)
        r->to->is_nomem = true;
    if (!list)
        return l;
    for (struct node *at = n->first; at; at = at->next) {
        struct label *to = &list[l.len];
        to->value = at->kind == NODE_NULL ? SV("") : node_text(r, at);
        to->key = arena_copy(r->mem, at->key);
        if (!to->key.p)
            r->to->is_nomem = true;
        l.len += to->key.p && to->value.p;
    }
    l.list = list;
    return l;
}

void fields_finish(struct reader *r, struct node *map, const char *const *later)
{
    if (!map || map->kind != NODE_MAP)
        return;
    for (struct node *n = map->first; n; n = n->next) {
        bool is_later = false;
        for (const char *const *at = later; at && *at; at++)
            is_later = is_later || sv_eq(n->key, sv_z(*at));
        if (n->is_read || n->kind == NODE_NULL)
            continue;
        finding_warn_key(
            r->to, n, is_later ? "is not supported yet, ignored" : "is an unknown field, ignored");
    }
}

void fields_refuse(struct reader *r, const struct node *map)
{
    for (const struct node *n = map ? map->first : NULL; n; n = n->next)
        if (!n->is_read && n->kind != NODE_NULL)
            finding_error(r->to, n,
                          "is an unknown field: the policy may mean something else "
                          "without it");
}

struct sv labels_get(const struct labels *l, struct sv key)
{
    for (size_t i = 0; i < l->len; i++)
        if (sv_eq(l->list[i].key, key))
            return l->list[i].value;
    return SV_NONE;
}

bool labels_match(const struct labels *l, const struct labels *want)
{
    for (size_t i = 0; i < want->len; i++) {
        struct sv value = labels_get(l, want->list[i].key);
        if (!value.p || !sv_eq(value, want->list[i].value))
            return false;
    }
    return true;
}
