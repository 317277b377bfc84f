/* SPDX-License-Identifier: Apache-2.0
 * read_annotations.c - the annotations of ingress-nginx that are in force here, as a table.
 *
 * All values are text in quotes; what a row's kind cannot read is an error at its place. An annotation
 * of this prefix without a row gets a warning: who wrote it expects something. The prefix tulle.io is
 * ours, for the limits on objects that have no field for them. */
#include "base/clock.h"
#include "proxy/config/catalog.h"

#define NGINX SV("nginx.ingress.kubernetes.io/")
#define OURS  SV("tulle.io/")
#define MIB   ((uint64_t)1024 * 1024)

enum note_kind { NOTE_TEXT, NOTE_BOOL, NOTE_UINT };
#define OFF(field) offsetof(struct ingress_notes, field)
/* clang-format off */
static const struct note {
    const char *name;
    enum note_kind kind;
    size_t at;
} notes_known[] = {
    { "canary",                          NOTE_BOOL, OFF(is_canary) },
    { "canary-weight",                   NOTE_UINT, OFF(canary_weight) },
    { "canary-weight-total",             NOTE_UINT, OFF(canary_total) },
    { "canary-by-header",                NOTE_TEXT, OFF(canary_header) },
    { "canary-by-header-value",          NOTE_TEXT, OFF(canary_value) },
    { "canary-by-header-pattern",        NOTE_TEXT, OFF(canary_pattern) },
    { "canary-by-cookie",                NOTE_TEXT, OFF(canary_cookie) },
    { "rate-limit",                      NOTE_UINT, OFF(rate_limit) },
    { "limit-rps",                       NOTE_UINT, OFF(limit_rps) },
    { "limit-rpm",                       NOTE_UINT, OFF(limit_rpm) },
    { "limit-connections",               NOTE_UINT, OFF(limit_connections) },
    { "limit-burst-multiplier",          NOTE_UINT, OFF(burst_multiplier) },
    { "limit-burst",                     NOTE_UINT, OFF(limit_burst) },
    { "limit-req-status-code",           NOTE_UINT, OFF(limit_status) },
    { "limit-whitelist",                 NOTE_TEXT, OFF(limit_whitelist) },
    { "limit-per",                       NOTE_TEXT, OFF(limit_per) },
    { "whitelist-source-range",          NOTE_TEXT, OFF(whitelist) },
    { "allowlist-source-range",          NOTE_TEXT, OFF(whitelist) },
    { "denylist-source-range",           NOTE_TEXT, OFF(denylist) },
    { "auth-url",                        NOTE_TEXT, OFF(auth_url) },
    { "auth-type",                       NOTE_TEXT, OFF(auth_type) },
    { "auth-tls-secret",                 NOTE_TEXT, OFF(auth_tls_secret) },
    { "auth-tls-verify-client",          NOTE_TEXT, OFF(auth_tls_verify) },
    { "proxy-body-size",                 NOTE_TEXT, OFF(body_size) },
    { "proxy-connect-timeout",           NOTE_UINT, OFF(connect_s) },
    { "proxy-read-timeout",              NOTE_UINT, OFF(read_s) },
    { "proxy-send-timeout",              NOTE_UINT, OFF(send_s) },
    { "rewrite-target",                  NOTE_TEXT, OFF(rewrite_target) },
    { "use-regex",                       NOTE_BOOL, OFF(uses_regex) },
    { "app-root",                        NOTE_TEXT, OFF(app_root) },
    { "ssl-redirect",                    NOTE_BOOL, OFF(redirects_plain) },
    { "force-ssl-redirect",              NOTE_BOOL, OFF(forces_https) },
    { "permanent-redirect",              NOTE_TEXT, OFF(permanent_redirect) },
    { "permanent-redirect-code",         NOTE_UINT, OFF(permanent_status) },
    { "temporal-redirect",               NOTE_TEXT, OFF(temporal_redirect) },
    { "temporal-redirect-code",          NOTE_UINT, OFF(temporal_status) },
    { "affinity",                        NOTE_TEXT, OFF(affinity) },
    { "session-cookie-name",             NOTE_TEXT, OFF(cookie_name) },
    { "session-cookie-path",             NOTE_TEXT, OFF(cookie_path) },
    { "session-cookie-domain",           NOTE_TEXT, OFF(cookie_domain) },
    { "session-cookie-samesite",         NOTE_TEXT, OFF(cookie_same_site) },
    { "session-cookie-secure",           NOTE_BOOL, OFF(cookie_secure) },
    { "session-cookie-max-age",          NOTE_UINT, OFF(cookie_max_age) },
    { "upstream-vhost",                  NOTE_TEXT, OFF(upstream_vhost) },
    { "upstream-hash-by",                NOTE_TEXT, OFF(hash_by) },
    { "enable-cors",                     NOTE_BOOL, OFF(has_cors) },
    { "cors-allow-origin",               NOTE_TEXT, OFF(cors_origin) },
    { "cors-allow-methods",              NOTE_TEXT, OFF(cors_methods) },
    { "cors-allow-headers",              NOTE_TEXT, OFF(cors_headers) },
    { "cors-expose-headers",             NOTE_TEXT, OFF(cors_exposed) },
    { "cors-allow-credentials",          NOTE_BOOL, OFF(cors_credentials) },
    { "cors-max-age",                    NOTE_UINT, OFF(cors_max_age) },
    { "backend-protocol",                NOTE_TEXT, OFF(backend_protocol) },
    { "proxy-next-upstream",             NOTE_TEXT, OFF(next_upstream) },
    { "proxy-next-upstream-tries",       NOTE_UINT, OFF(tries) },
    { "proxy-ssl-verify",                NOTE_TEXT, OFF(ssl_verify) },
    { "proxy-ssl-name",                  NOTE_TEXT, OFF(ssl_name) },
    { "proxy-ssl-secret",                NOTE_TEXT, OFF(ssl_secret) },
    { "from-to-www-redirect",            NOTE_BOOL, OFF(joins_www) },
    { "server-alias",                    NOTE_TEXT, OFF(server_alias) },
    { "x-forwarded-prefix",              NOTE_TEXT, OFF(forwarded_prefix) },
};
/* Of nginx' own buffers, files and versions: answers and bodies are streamed here, and each endpoint is
 * asked in the version that it speaks. */
static const char *const notes_moot[] = {
    "proxy-buffering", "proxy-buffer-size", "proxy-buffers-number", "proxy-busy-buffers-size",
    "proxy-max-temp-file-size", "proxy-request-buffering", "client-body-buffer-size", "proxy-http-version",
    "service-upstream", "ssl-prefer-server-ciphers", "http2-push-preload", "enable-rewrite-log",
    "auth-secret", "auth-realm", "auth-secret-type", "auth-tls-verify-depth",
};
/* clang-format on */

static const struct ingress_notes defaults = {
    .redirects_plain = true,
    .cors_credentials = true,
    .canary_total = 100,
    .limit_status = 429,
    .permanent_status = 301,
    .temporal_status = 302,
    .cors_max_age = 1728000,
    .cookie_name = { "INGRESSCOOKIE", 13 },
    .cookie_path = { "/", 1 },
    .cors_origin = { "*", 1 },
    .cors_methods = { "GET, PUT, POST, DELETE, PATCH, OPTIONS", 38 },
    .cors_headers = { "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,"
                      "Content-Type,Range,Authorization",
                      107 },
};

/* "60" and, as nginx also reads it, "60s". */
static bool to_uint(struct sv text, uint64_t *ret)
{
    if (text.len > 1 && sv_ends(text, SV("s")))
        text.len--;
    return sv_to_u64(text, ret) && *ret <= UINT32_MAX;
}

static void read_note(struct reader *r, const struct note *row, struct node *n,
                      struct ingress_notes *to)
{
    char *at = (char *)to + row->at;
    struct sv text = node_text(r, n);
    uint64_t number;
    if (!text.p)
        return;
    switch (row->kind) {
    case NOTE_TEXT:
        if (http_is_field_value(text))
            memcpy(at, &text, sizeof(text));
        else
            finding_error(r->to, n, "cannot have control characters");
        return;
    case NOTE_BOOL:
        *(bool *)at = sv_eq(text, SV("true"));
        if (!sv_eq(text, SV("true")) && !sv_eq(text, SV("false")))
            finding_error(r->to, n, "expected \"true\" or \"false\"");
        return;
    case NOTE_UINT:
        if (to_uint(text, &number))
            memcpy(at, &number, sizeof(number));
        else
            finding_error(r->to, n, "expected a whole number in quotes");
        return;
    }
}

static const struct note *find_note(struct sv name)
{
    for (size_t i = 0; i < NELEMS(notes_known); i++)
        if (sv_eq(sv_z(notes_known[i].name), name))
            return &notes_known[i];
    return NULL;
}

static bool is_moot(struct sv name)
{
    for (size_t i = 0; i < NELEMS(notes_moot); i++)
        if (sv_eq(sv_z(notes_moot[i]), name))
            return true;
    return false;
}

struct ingress_notes read_notes(struct reader *r, struct node *root)
{
    struct ingress_notes to = defaults;
    struct node *list = field_map(r, field_map(r, root, "metadata"), "annotations");
    for (struct node *n = list ? list->first : NULL; n; n = n->next) {
        bool is_nginx = sv_starts(n->key, NGINX);
        if (!is_nginx && !sv_starts(n->key, OURS))
            continue;
        struct sv name = sv_from(n->key, is_nginx ? NGINX.len : OURS.len);
        const struct note *row = find_note(name);
        if (!row && is_nginx && is_moot(name))
            n->is_read = true; /* nothing is missing without it */
        else if (!row)
            finding_warn_key(r->to, n, "is not supported, ignored");
        else
            read_note(r, row, n, &to);
        if (sv_eq(name, SV("rate-limit")))
            finding_warn_key(r->to, n,
                             "is no annotation of ingress-nginx: taken as limit-rps with "
                             "a burst of one second");
    }
    return to;
}

struct node *note_node(struct reader *r, struct node *root, const char *name)
{
    struct node *list = field_map(r, field_map(r, root, "metadata"), "annotations");
    for (struct node *n = list ? list->first : NULL; n; n = n->next)
        if ((sv_starts(n->key, NGINX) || sv_starts(n->key, OURS)) &&
            sv_eq(sv_from(n->key, sv_index(n->key, '/') + 1), sv_z(name)))
            return n;
    return root;
}

static void read_blocks(struct reader *r, struct node *root, const char *name, struct sv text,
                        const struct ip_block **ret_list, size_t *ret_len)
{
    size_t max = 1, len = 0;
    for (size_t i = 0; i < text.len; i++)
        max += text.p[i] == ',';
    struct ip_block *list = text.len ? read_array(r, max, sizeof(*list)) : NULL;
    struct err why = { 0 };
    for (struct sv part; list && sv_cut(&text, ',', &part);) {
        if (!sv_trim(part).len)
            continue;
        if (ip_block_parse(sv_trim(part), &list[len], &why) < 0)
            finding_error(r->to, note_node(r, root, name), "%s", why.why);
        else
            len++;
    }
    *ret_list = list;
    *ret_len = len;
}

static void add_limit(struct reader *r, struct rate_limit *to, const char *what, struct sv owner,
                      const struct ingress_notes *n)
{
    AUTO_DONE(buf) id = { 0 };
    buf_printf(&id, "%.*s/%s", SV_ARG(owner), what);
    to->id = id.failed ? SV_NONE : arena_copy(r->mem, buf_sv(&id));
    if (!to->id.p)
        r->to->is_nomem = true;
    to->is_per_client = !sv_eq(n->limit_per, SV("route"));
    to->status = n->limit_status == 503 ? 503 : 429;
}

bool read_limits(struct reader *r, struct node *root, struct sv kind, struct sv namespace,
                 struct sv name, const struct ingress_notes *n, struct route_actions *to)
{
    AUTO_DONE(buf) owner = { 0 };
    uint64_t times = n->burst_multiplier ? n->burst_multiplier : 5;
    const struct {
        const char *what;
        double per_s;
        uint64_t burst, active;
    } rows[] = {
        { "rate-limit", (double)n->rate_limit, n->rate_limit, 0 },
        { "limit-rps", (double)n->limit_rps, n->limit_rps * times, 0 },
        { "limit-rpm", (double)n->limit_rpm / 60, n->limit_rpm * times, 0 },
        { "limit-connections", 0, 0, n->limit_connections },
    };
    struct rate_limit *list = read_array(r, NELEMS(rows), sizeof(*list));
    buf_printf(&owner, "%.*s/%.*s/%.*s", SV_ARG(kind), SV_ARG(namespace), SV_ARG(name));
    if (!list || owner.failed)
        return false;
    if (n->limit_status != 429 && n->limit_status != 503)
        finding_error(r->to, note_node(r, root, "limit-req-status-code"), "expected 429 or 503");
    if (n->limit_per.len && !sv_eq(n->limit_per, SV("client")) && !sv_eq(n->limit_per, SV("route")))
        finding_error(r->to, note_node(r, root, "limit-per"), "expected client or route");
    for (size_t i = 0; i < NELEMS(rows); i++) {
        struct rate_limit *l = &list[to->limits_len];
        if (rows[i].per_s <= 0 && !rows[i].active)
            continue;
        add_limit(r, l, rows[i].what, buf_sv(&owner), n);
        l->per_s = rows[i].per_s;
        l->burst = (double)MAX(n->limit_burst ? n->limit_burst : rows[i].burst, 1);
        l->active_max = (uint32_t)rows[i].active;
        to->limits_len++;
    }
    to->limits = list;
    read_blocks(r, root, "limit-whitelist", n->limit_whitelist, &to->unlimited, &to->unlimited_len);
    return to->limits_len > 0;
}

void read_object_limits(struct reader *r, struct node *root, struct sv kind,
                        const struct meta *meta, struct http_rule *rules, size_t len)
{
    struct ingress_notes notes = read_notes(r, root);
    struct route_actions limits = { 0 };
    if (!read_limits(r, root, kind, meta->namespace, meta->name, &notes, &limits))
        return;
    for (size_t i = 0; i < len; i++) {
        struct route_actions *a = read_array(r, 1, sizeof(*a));
        if (!a)
            return;
        if (rules[i].actions)
            *a = *rules[i].actions;
        a->limits = limits.limits;
        a->limits_len = limits.limits_len;
        a->unlimited = limits.unlimited;
        a->unlimited_len = limits.unlimited_len;
        rules[i].actions = a;
    }
}

/* "8m", "1g", "512k", "100"; 0 is any size. */
static uint64_t body_size(struct reader *r, struct node *root, struct sv text)
{
    uint64_t n, unit = 1;
    char last = text.len ? (char)(text.p[text.len - 1] | 0x20) : '0';
    if (!text.len)
        return 0;
    if (last == 'k')
        unit = 1024;
    else if (last == 'm')
        unit = MIB;
    else if (last == 'g')
        unit = 1024 * MIB;
    if (sv_to_u64(unit > 1 ? sv_sub(text, 0, text.len - 1) : text, &n) && n <= 1024 * MIB)
        return n * unit;
    finding_error(r->to, note_node(r, root, "proxy-body-size"), "expected a size such as 8m");
    return 0;
}

/* A star in the host ("*.shop.test") stands for one label, as in ingress-nginx. */
static struct text_match origin_match(struct catalog *cat, struct reader *r, struct node *root,
                                      struct sv text)
{
    struct text_match m = { .kind = TEXT_MATCH_EXACT, .text = text };
    size_t star = sv_index(text, '*');
    AUTO_DONE(buf) pattern = { 0 };
    if (sv_eq(text, SV("*")))
        m.kind = TEXT_MATCH_PRESENT;
    if (star == text.len || m.kind == TEXT_MATCH_PRESENT)
        return m;
    buf_printf(&pattern, "\\Q%.*s\\E[A-Za-z0-9-]+\\Q%.*s\\E", SV_ARG(sv_sub(text, 0, star)),
               SV_ARG(sv_from(text, star + 1)));
    r->to->is_nomem = r->to->is_nomem || pattern.failed;
    m.regex = read_regex(cat, r, note_node(r, root, "cors-allow-origin"), buf_sv(&pattern),
                         REGEX_WHOLE);
    m.kind = TEXT_MATCH_REGEX;
    return m;
}

static void add_cors(struct catalog *cat, struct reader *r, struct node *root,
                     const struct ingress_notes *n, struct route_actions *a)
{
    struct cors *c = n->has_cors ? read_array(r, 1, sizeof(*c)) : NULL;
    size_t max = 1;
    for (size_t i = 0; i < n->cors_origin.len; i++)
        max += n->cors_origin.p[i] == ',';
    struct text_match *origins = c ? read_array(r, max, sizeof(*origins)) : NULL;
    if (!c || !origins)
        return;
    struct sv rest = n->cors_origin;
    for (struct sv part; sv_cut(&rest, ',', &part);) {
        part = sv_trim(part);
        if (part.len)
            origins[c->origins_len++] = origin_match(cat, r, root, part);
    }
    c->origins = origins;
    c->methods = n->cors_methods;
    c->headers = n->cors_headers;
    c->exposed = n->cors_exposed;
    c->has_credentials = n->cors_credentials;
    c->max_age_s = (int64_t)n->cors_max_age;
    a->cors = c;
}

static void add_redirect(struct reader *r, struct node *root, const struct ingress_notes *n,
                         struct route_actions *a)
{
    bool is_permanent = n->permanent_redirect.len > 0;
    uint64_t status = is_permanent ? n->permanent_status : n->temporal_status;
    if (!is_permanent && !n->temporal_redirect.len)
        return;
    struct redirect *to = read_array(r, 1, sizeof(*to));
    if (!to)
        return;
    to->location = is_permanent ? n->permanent_redirect : n->temporal_redirect;
    to->status = (uint16_t)status;
    if (status < 300 || status > 308)
        finding_error(
            r->to,
            note_node(r, root, is_permanent ? "permanent-redirect-code" : "temporal-redirect-code"),
            "expected a status from 300 to 308");
    a->redirect = to;
}

/* The cookie's value as a pattern over the whole Cookie field. */
static const struct regex *cookie_pattern(struct catalog *c, struct reader *r, struct node *root,
                                          struct sv name, const char *value)
{
    AUTO_DONE(buf) text = { 0 };
    buf_printf(&text, "(?:.*;)?\\s*\\Q%.*s\\E=%s\\s*(?:;.*)?", SV_ARG(name), value);
    if (text.failed)
        r->to->is_nomem = true;
    return read_regex(c, r, note_node(r, root, "canary-by-cookie"), buf_sv(&text), REGEX_WHOLE);
}

static void add_canary(struct catalog *c, struct reader *r, struct node *root,
                       const struct ingress_notes *n, struct ingress_canary *to)
{
    if (!n->is_canary)
        return;
    *to = (struct ingress_canary){ .is_canary = true,
                                   .weight = (uint32_t)n->canary_weight,
                                   .total = (uint32_t)n->canary_total,
                                   .header = n->canary_header,
                                   .value = n->canary_value,
                                   .cookie = n->canary_cookie };
    if (n->canary_total == 0 || n->canary_total > 1000000 || n->canary_weight > n->canary_total)
        finding_error(r->to, note_node(r, root, "canary-weight"),
                      "expected a weight from 0 to canary-weight-total (100)");
    if (n->canary_pattern.len)
        to->header_pattern = read_regex(c, r, note_node(r, root, "canary-by-header-pattern"),
                                        n->canary_pattern, REGEX_ANYWHERE);
    if (n->canary_cookie.len && !read_is_token(n->canary_cookie)) {
        finding_error(r->to, note_node(r, root, "canary-by-cookie"), "is no cookie's name");
    } else if (n->canary_cookie.len) {
        to->cookie_always = cookie_pattern(c, r, root, n->canary_cookie, "always");
        to->cookie_never = cookie_pattern(c, r, root, n->canary_cookie, "never");
    }
}

static void add_prefix(struct reader *r, const struct ingress_notes *n, struct route_actions *a)
{
    struct header_edit *e = n->forwarded_prefix.len ? read_array(r, 1, sizeof(*e)) : NULL;
    if (!e)
        return;
    *e = (struct header_edit){ HEADER_SET, SV("x-forwarded-prefix"), n->forwarded_prefix, false };
    a->request = (struct header_edits){ e, 1 };
}

static void check_target(struct reader *r, struct node *root, const char *name, struct sv text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.p[i] <= ' ' || text.p[i] == '#') {
            finding_error(r->to, note_node(r, root, name), "cannot have spaces or '#'");
            return;
        }
}

/* Checks that are not made here: without them anybody would be let in, so nobody is. */
static void close_unprotected(struct reader *r, struct node *root, const struct ingress_notes *n,
                              struct route_actions *a)
{
    bool asks_all = !n->auth_tls_verify.len || sv_eq(n->auth_tls_verify, SV("on"));
    const struct {
        const char *name;
        bool is_asked;
    } rows[] = {
        { "auth-url", n->auth_url.len > 0 },
        { "auth-type", n->auth_type.len > 0 },
        { "auth-tls-secret", n->auth_tls_secret.len && asks_all },
    };
    for (size_t i = 0; i < NELEMS(rows); i++) {
        if (!rows[i].is_asked)
            continue;
        a->closed_by = sv_z(rows[i].name);
        finding_warn_key(
            r->to, note_node(r, root, rows[i].name),
            "is a check that this proxy cannot make: every request is answered with 503, "
            "because without it anybody would be let in");
    }
}

void read_note_actions(struct catalog *c, struct reader *r, struct node *root,
                       const struct ingress_notes *n, struct ingress *to)
{
    struct route_actions *a = &to->actions;
    a->tells_forwarded = true;
    (void)read_limits(r, root, SV("ingress"), to->meta.namespace, to->meta.name, n, a);
    read_blocks(r, root, "whitelist-source-range", n->whitelist, &a->allowed, &a->allowed_len);
    a->body_max = body_size(r, root, n->body_size);
    a->connect_ns = (int64_t)n->connect_s * NS_PER_S;
    a->idle_ns = (int64_t)MAX(n->read_s, n->send_s) * NS_PER_S;
    read_blocks(r, root, "denylist-source-range", n->denylist, &a->denied, &a->denied_len);
    add_cors(c, r, root, n, a);
    add_redirect(r, root, n, a);
    read_upstream_notes(r, root, n, a);
    close_unprotected(r, root, n, a);
    add_canary(c, r, root, n, &to->canary);
    add_prefix(r, n, a);
    check_target(r, root, "rewrite-target", n->rewrite_target);
    check_target(r, root, "app-root", n->app_root);
    to->app_root = n->app_root;
    to->retry = read_retry_notes(r, root, n);
    if (n->upstream_vhost.len && http_is_authority(n->upstream_vhost))
        a->rewrite.authority = n->upstream_vhost;
    else if (n->upstream_vhost.len)
        finding_error(r->to, note_node(r, root, "upstream-vhost"), "expected a host");
}
