/* SPDX-License-Identifier: Apache-2.0
 * read_actions.c - what a VirtualService's rule does besides naming destinations: rewrite, redirect,
 * directResponse, headers, fault, corsPolicy, mirrors, delegate.
 *
 * Text that will stand in a head is checked here, once, so that the engine can write it unseen: no
 * control characters in values, no spaces in paths, tokens as names. A share that is missing follows
 * Istio: a fault without percentage never happens, a mirror without one always. */
#include "base/clock.h"
#include "proxy/config/catalog.h"
#include "proxy/route/header_format.h"
#include "wire/grpc.h"

#define BODY_MAX 65536 /* of a direct response; more belongs on a server */

static const char *const later_delay[] = { "exponentialDelay", NULL };
static const char *const later_abort[] = { "http2Error", NULL };

bool read_is_token(struct sv name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (c <= ' ' || c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", c))
            return false;
    }
    return name.len > 0;
}

struct sv read_path_text(struct reader *r, struct node *map, const char *name)
{
    struct node *n = field_any(r, map, name);
    struct sv text = field_text(r, map, name);
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.p[i] <= ' ' || text.p[i] == 0x7f || text.p[i] == '#') {
            finding_error(r->to, n, "expected a path without spaces, control characters and '#'");
            return SV_NONE;
        }
    return text;
}

struct sv read_host_text(struct reader *r, struct node *map, const char *name)
{
    struct node *n = field_any(r, map, name);
    struct sv text = field_text(r, map, name);
    if (text.len && !http_is_authority(text)) {
        finding_error(r->to, n, "expected a host, with or without a port");
        return SV_NONE;
    }
    return text;
}

/* percentage: { value: 0.1 } in millionths. */
uint32_t read_share(struct reader *r, struct node *map, const char *name, uint32_t fallback)
{
    struct node *n = field_map(r, map, name), *value = field_any(r, n, "value");
    double percent;
    fields_finish(r, n, NULL);
    if (!n)
        return fallback;
    if (!value)
        return 0;
    if (value->kind == NODE_TEXT && !value->is_quoted && sv_to_double(value->text, &percent) &&
        percent >= 0 && percent <= 100)
        return (uint32_t)(percent * (SHARE_ALL / 100.0) + 0.5);
    finding_error(r->to, value, "expected a percentage from 0 to 100");
    return 0;
}

/* The old spelling: whole percents. */
static uint32_t read_old_share(struct reader *r, struct node *map, const char *name,
                               uint32_t fallback)
{
    struct node *n = field_any(r, map, name);
    return n ? (uint32_t)field_uint(r, map, name, 100, 0) * (SHARE_ALL / 100) : fallback;
}

static bool is_format(struct reader *r, const struct node *at, struct sv value)
{
    struct err why = { 0 };
    bool has_operators = false;
    if (header_format_check(value, &has_operators, &why) == 0)
        return has_operators;
    finding_warn(r->to, at, "is sent as it is: %s", why.why);
    return false;
}

static void add_edits(struct reader *r, struct node *n, enum header_edit_kind kind,
                      struct header_edit *to, size_t *len)
{
    for (struct node *at = n ? n->first : NULL; at; at = at->next) {
        struct sv value = kind == HEADER_REMOVE   ? SV_NONE
                          : at->kind == NODE_NULL ? SV("")
                                                  : node_text(r, at);
        struct sv name = kind == HEADER_REMOVE ? node_text(r, at) : arena_copy(r->mem, at->key);
        if (!name.p)
            continue;
        if (sv_starts(name, SV(":")) && !sv_eq(name, SV(":authority")))
            finding_warn(r->to, at, "'%.*s' cannot be changed, ignored", SV_ARG(name));
        else if (!sv_eq(name, SV(":authority")) && !read_is_token(name))
            finding_error(r->to, at, "'%.*s' is not a header's name", SV_ARG(sv_sub(name, 0, 60)));
        else if (!http_is_field_value(value))
            finding_error(r->to, at, "a header's value cannot have control characters");
        else
            to[(*len)++] = (struct header_edit){ kind, name, value, is_format(r, at, value) };
    }
}

static bool names_host(struct sv name)
{
    return sv_eq_nocase(name, SV("host")) || sv_eq(name, SV(":authority"));
}

/* Takes edits of the host out: they are a rewrite of the authority, set before add. */
static void take_host(struct reader *r, struct node *n, struct header_edit *list, size_t *len,
                      struct sv *ret_authority)
{
    enum header_edit_kind best = HEADER_REMOVE;
    size_t kept = 0;
    for (size_t i = 0; i < *len; i++) {
        if (!names_host(list[i].name)) {
            list[kept++] = list[i];
            continue;
        }
        bool is_better = list[i].kind != HEADER_REMOVE && best != HEADER_SET;
        if (ret_authority && is_better && http_is_authority(list[i].value)) {
            *ret_authority = list[i].value;
            best = list[i].kind;
        } else if (!ret_authority) {
            finding_warn(r->to, n, "a response has no host that could be changed, ignored");
        }
    }
    *len = kept;
}

/* map: request or response. ret_authority NULL: a host cannot be set here. */
static struct header_edits read_edits(struct reader *r, struct node *map, const char *name,
                                      struct sv *ret_authority)
{
    struct node *n = field_map(r, map, name), *add = field_map(r, n, "add");
    struct node *set = field_map(r, n, "set"), *remove = field_list(r, n, "remove");
    size_t max = (add ? add->len : 0) + (set ? set->len : 0) + (remove ? remove->len : 0), len = 0;
    struct header_edit *list = max ? read_array(r, max, sizeof(*list)) : NULL;
    for (struct node *at = add ? add->first : NULL; at; at = at->next)
        at->is_read = true;
    for (struct node *at = set ? set->first : NULL; at; at = at->next)
        at->is_read = true;
    fields_finish(r, n, NULL);
    if (!list)
        return (struct header_edits){ 0 };
    add_edits(r, remove, HEADER_REMOVE, list, &len);
    add_edits(r, set, HEADER_SET, list, &len);
    add_edits(r, add, HEADER_ADD, list, &len);
    take_host(r, n, list, &len, ret_authority);
    return (struct header_edits){ list, len };
}

void read_target_edits(struct reader *r, struct node *n, struct destination *to)
{
    struct node *map = field_map(r, n, "headers");
    struct header_edits *both = map ? read_array(r, 2, sizeof(*both)) : NULL;
    if (both) {
        both[0] = read_edits(r, map, "request", &to->authority);
        both[1] = read_edits(r, map, "response", NULL);
        to->request = both[0].len ? &both[0] : NULL;
        to->response = both[1].len ? &both[1] : NULL;
    }
    fields_finish(r, map, NULL);
}

static void read_route_edits(struct reader *r, struct node *rule, struct route_actions *a)
{
    struct node *map = field_map(r, rule, "headers");
    a->request = read_edits(r, map, "request", &a->rewrite.authority);
    a->response = read_edits(r, map, "response", NULL);
    fields_finish(r, map, NULL);
}

static void read_rewrite(struct catalog *c, struct reader *r, struct node *rule,
                         struct route_actions *a)
{
    struct node *n = field_map(r, rule, "rewrite"), *regex = field_map(r, n, "uriRegexRewrite");
    struct sv authority = read_host_text(r, n, "authority");
    struct sv uri = read_path_text(r, n, "uri");
    struct rewrite *w = &a->rewrite;
    if (authority.len)
        w->authority = authority;
    if (uri.len) {
        w->kind = REWRITE_PREFIX; /* of what the match block names: vhosts.c knows */
        w->text = uri;
    }
    if (regex) {
        struct node *match = field_any(r, regex, "match");
        struct sv pattern = field_text(r, regex, "match");
        w->text = read_path_text(r, regex, "rewrite");
        w->kind = REWRITE_REGEX;
        w->mark = '\\';
        w->regex = read_regex(c, r, match ? match : regex, pattern, REGEX_ANYWHERE);
        if (uri.len)
            finding_error(r->to, n, "expected one of uri, uriRegexRewrite, found both");
    }
    fields_finish(r, regex, NULL);
    fields_finish(r, n, NULL);
}

static const struct choice derive_ports[] = {
    { "FROM_PROTOCOL_DEFAULT", 0 },
    { "FROM_REQUEST_PORT", 1 },
};

static bool is_redirect_code(uint64_t code)
{
    return code == 301 || code == 302 || code == 303 || code == 307 || code == 308;
}

static void read_redirect(struct reader *r, struct node *rule, struct route_actions *a)
{
    struct node *n = field_map(r, rule, "redirect");
    struct redirect *to = n ? read_array(r, 1, sizeof(*to)) : NULL;
    if (!to)
        return;
    struct sv uri = read_path_text(r, n, "uri"), prefix = read_path_text(r, n, "prefixRewrite");
    uint64_t code = field_uint(r, n, "redirectCode", 999, 301);
    to->rewrite.kind = uri.len ? REWRITE_WHOLE : prefix.len ? REWRITE_PREFIX : REWRITE_NONE;
    to->rewrite.text = uri.len ? uri : prefix;
    to->rewrite.authority = read_host_text(r, n, "authority");
    to->scheme = field_text(r, n, "scheme");
    to->port = field_port(r, n, "port");
    to->keeps_port = field_choice(r, n, "derivePort", derive_ports, NELEMS(derive_ports), 0) == 1;
    if (to->port && field_any(r, n, "derivePort"))
        finding_error(r->to, n, "expected one of port, derivePort, found both");
    to->status = (uint16_t)code;
    if (!is_redirect_code(code))
        finding_error(r->to, field_any(r, n, "redirectCode"),
                      "expected one of 301, 302, 303, 307, 308");
    if (to->scheme.len && !sv_eq(to->scheme, SV("http")) && !sv_eq(to->scheme, SV("https")))
        finding_error(r->to, field_any(r, n, "scheme"), "expected http or https");
    fields_finish(r, n, NULL);
    a->redirect = to;
}

static void read_direct(struct reader *r, struct node *rule, struct route_actions *a)
{
    struct node *n = field_map(r, rule, "directResponse"), *body = field_map(r, n, "body");
    struct direct_response *to = n ? read_array(r, 1, sizeof(*to)) : NULL;
    if (!to)
        return;
    struct node *bytes = field_any(r, body, "bytes");
    uint64_t status = field_uint(r, n, "status", 599, 0);
    to->status = (uint16_t)status;
    if (status < 200)
        finding_error(r->to, n, "expected a status from 200 to 599");
    to->body = field_text(r, body, "string");
    if (bytes && !base64_decode(r->mem, node_text(r, bytes), &to->body))
        finding_error(r->to, bytes, "expected base64");
    if (to->body.len > BODY_MAX)
        finding_error(r->to, body, "a body has at most %d bytes", BODY_MAX);
    fields_finish(r, body, NULL);
    fields_finish(r, n, NULL);
    a->direct = to;
}

static void read_abort(struct reader *r, struct node *fault, struct fault *to)
{
    struct node *n = field_map(r, fault, "abort");
    struct node *grpc = field_any(r, n, "grpcStatus");
    to->grpc_status = -1;
    if (!n)
        return;
    to->abort_share = read_share(r, n, "percentage", read_old_share(r, n, "percent", 0));
    to->status = (uint16_t)field_uint(r, n, "httpStatus", 599, 0);
    if (grpc) {
        enum grpc_status code;
        if (grpc->kind != NODE_TEXT || !grpc_status_parse(grpc->text, &code))
            finding_error(r->to, grpc,
                          "expected a gRPC status from 0 to 16, or its name as UNAVAILABLE");
        else
            to->grpc_status = (int16_t)code;
        to->status = 200;
    }
    if (to->status < 200)
        finding_error(r->to, n, "expected httpStatus from 200 to 599, or grpcStatus");
    fields_finish(r, n, later_abort);
}

static void read_fault(struct reader *r, struct node *rule, struct route_actions *a)
{
    struct node *n = field_map(r, rule, "fault"), *delay = field_map(r, n, "delay");
    struct fault *to = n ? read_array(r, 1, sizeof(*to)) : NULL;
    if (!to)
        return;
    if (delay)
        to->delay_share = read_share(r, delay, "percentage",
                                     read_old_share(r, delay, "percent", 0));
    to->delay_ns = field_duration(r, delay, "fixedDelay", 0);
    read_abort(r, n, to);
    fields_finish(r, delay, later_delay);
    fields_finish(r, n, NULL);
    a->fault = to;
}

/* "a, b, c" of a list, for a header's value. */
struct sv read_joined(struct reader *r, struct node *map, const char *name)
{
    AUTO_DONE(buf) text = { 0 };
    struct text_list list = read_texts(r, map, name);
    for (size_t i = 0; i < list.len; i++)
        buf_printf(&text, "%s%.*s", i ? "," : "", SV_ARG(list.list[i]));
    struct sv copy = text.failed ? SV_NONE : arena_copy(r->mem, buf_sv(&text));
    if (!copy.p)
        r->to->is_nomem = true;
    if (!http_is_field_value(copy))
        finding_error(r->to, field_any(r, map, name), "cannot have control characters");
    return copy;
}

static const struct choice preflights[] = { { "UNSPECIFIED", 0 },
                                            { "FORWARD", 0 },
                                            { "IGNORE", 1 } };

static void read_origins(struct catalog *c, struct reader *r, struct node *n, struct cors *to)
{
    struct node *list = field_list(r, n, "allowOrigins"), *old = field_list(r, n, "allowOrigin");
    size_t max = (list ? list->len : 0) + (old ? old->len : 0);
    struct text_match *origins = read_array(r, max + 1, sizeof(*origins));
    if (!origins)
        return;
    for (struct node *at = list ? list->first : NULL; at; at = at->next) {
        struct text_match *m = &origins[to->origins_len++];
        *m = read_string_match(c, r, at);
        if (m->kind == TEXT_MATCH_EXACT && sv_eq(m->text, SV("*")))
            m->kind = TEXT_MATCH_PRESENT;
    }
    for (struct node *at = old ? old->first : NULL; at; at = at->next) {
        struct sv text = node_text(r, at);
        bool is_any = sv_eq(text, SV("*"));
        origins[to->origins_len++] = (struct text_match){ .kind = is_any ? TEXT_MATCH_PRESENT
                                                                         : TEXT_MATCH_EXACT,
                                                          .text = text };
    }
    to->origins = origins;
}

static void read_cors(struct catalog *c, struct reader *r, struct node *rule,
                      struct route_actions *a)
{
    struct node *n = field_map(r, rule, "corsPolicy");
    struct cors *to = n ? read_array(r, 1, sizeof(*to)) : NULL;
    if (!to)
        return;
    int64_t max_age_ns = field_duration(r, n, "maxAge", -NS_PER_S);
    read_origins(c, r, n, to);
    to->methods = read_joined(r, n, "allowMethods");
    to->headers = read_joined(r, n, "allowHeaders");
    to->exposed = read_joined(r, n, "exposeHeaders");
    to->max_age_s = max_age_ns / NS_PER_S;
    to->has_credentials = field_bool(r, n, "allowCredentials", false);
    to->refuses_unmatched = field_choice(r, n, "unmatchedPreflights", preflights,
                                         NELEMS(preflights), 0) == 1;
    fields_finish(r, n, NULL);
    a->cors = to;
}

static void add_mirror(struct reader *r, struct node *destination, uint32_t share,
                       struct http_rule *to, struct mirror_to *list)
{
    struct mirror_to *m = &list[to->mirrors_len];
    read_destination(r, destination, &m->to);
    m->share = share;
    to->mirrors_len += share > 0;
}

static void read_mirrors(struct reader *r, struct node *rule, struct http_rule *to)
{
    struct node *one = field_map(r, rule, "mirror"), *list = field_list(r, rule, "mirrors");
    struct mirror_to *mirrors = read_array(r, (list ? list->len : 0) + 1, sizeof(*mirrors));
    uint32_t share = read_old_share(r, rule, "mirrorPercent", SHARE_ALL);
    share = read_old_share(r, rule, "mirror_percent", share);
    share = read_share(r, rule, "mirrorPercentage", share);
    if (!mirrors)
        return;
    if (one)
        add_mirror(r, one, share, to, mirrors);
    for (struct node *n = list ? list->first : NULL; n; n = n->next) {
        if (!node_is_map(r, n))
            continue;
        struct node *destination = field_map(r, n, "destination");
        share = read_share(r, n, "percentage", SHARE_ALL);
        if (!destination)
            finding_error(r->to, n, "destination is missing");
        else
            add_mirror(r, destination, share, to, mirrors);
        fields_finish(r, n, NULL);
    }
    to->mirrors = mirrors;
}

static void read_delegate(struct reader *r, struct node *rule, struct http_rule *to)
{
    struct node *n = field_map(r, rule, "delegate");
    if (!n)
        return;
    to->delegate = field_text(r, n, "name");
    to->delegate_namespace = field_text(r, n, "namespace");
    if (!to->delegate.len)
        finding_error(r->to, n, "name is missing");
    fields_finish(r, n, NULL);
}

void read_rule_actions(struct catalog *c, struct reader *r, struct node *n, struct http_rule *to)
{
    struct route_actions a = { 0 }, none = { 0 };
    read_route_edits(r, n, &a);
    read_rewrite(c, r, n, &a);
    read_redirect(r, n, &a);
    read_direct(r, n, &a);
    read_fault(r, n, &a);
    read_cors(c, r, n, &a);
    read_mirrors(r, n, to);
    read_delegate(r, n, to);
    if (memcmp(&a, &none, sizeof(a)) == 0)
        return;
    struct route_actions *copy = read_array(r, 1, sizeof(*copy));
    if (copy)
        *copy = a;
    to->actions = copy;
}
