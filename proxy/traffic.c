/* SPDX-License-Identifier: Apache-2.0
 * traffic.c - what a route does with a request besides sending it on.
 *
 * In this order: who may come at all (addresses), how often and how large, whether another origin's
 * page may ask (CORS), faults for tests, answers the route makes itself, and last what is changed on
 * the way: path, host, fields, and which endpoint belongs to whom. A route without actions costs one
 * pointer's test. A request that an Ingress sends on to a Gateway of this process passes here twice,
 * once for each. */
#include "base/hash.h"
#include "proxy/stream.h"
#include "wire/grpc.h"

static const struct http_head *request_of(const struct stream *s)
{
    return s->req;
}

static const struct route_actions *actions_of(const struct stream *s)
{
    return s->route ? s->route->actions : NULL;
}

static bool is_in(const struct ip_block *list, size_t len, const struct ip *ip)
{
    for (size_t i = 0; i < len; i++)
        if (ip_block_has(&list[i], ip))
            return true;
    return false;
}

static bool draw(uint32_t share)
{
    return share && (share >= SHARE_ALL || random_u64() % SHARE_ALL < share);
}

static struct sv keep(struct stream *s, const struct buf *text)
{
    return text->failed ? SV_NONE : arena_copy(&s->mem, buf_sv(text));
}

static enum step_result out_of_memory(struct stream *s)
{
    return stream_fail(s, 503, TALLY_REPLIES_LOCAL, "OM", "overload_manager_out_of_memory");
}

/* A line for our own answer. */
static void answer_field(struct stream *s, struct sv name, struct sv value)
{
    AUTO_DONE(buf) text = { 0 };
    buf_put(&text, s->traffic.fields);
    h1_put_field(&text, name, value);
    struct sv kept = keep(s, &text);
    if (kept.p)
        s->traffic.fields = kept;
}

/* --- admission: false when the request has been answered --- */

static bool is_limited(struct stream *s, const struct route_actions *a)
{
    char text[ADDR_TEXT_SIZE];
    struct sv client = caller_text(s, text);
    for (size_t i = 0; i < a->limits_len; i++) {
        struct limit_bucket *hold;
        if (!limit_take(&s->worker->limiter, &a->limits[i], client, loop_now_ns(s->worker->loop),
                        &hold)) {
            snprintf(s->why, sizeof(s->why), "more requests than %.*s allows",
                     (int)MIN(a->limits[i].id.len, (size_t)160), a->limits[i].id.p);
            answer_field(s, SV("retry-after"), SV("1"));
            (void)stream_fail(s, a->limits[i].status, TALLY_REPLIES_RL, "RL", "local_rate_limited");
            return true;
        }
        if (hold && s->traffic.holds_len < HOLDS_MAX)
            s->traffic.holds[s->traffic.holds_len++] = hold;
        else
            limit_release(hold);
    }
    return false;
}

static bool is_admitted(struct stream *s, const struct route_actions *a)
{
    struct ip ip = s->side == SIDE_GATEWAY ? caller_ip(s) : ip_of_addr(conn_peer(s->down->conn));
    const struct http_head *h = request_of(s);
    if (a->allowed_len && !is_in(a->allowed, a->allowed_len, &ip)) {
        snprintf(s->why, sizeof(s->why), "this client's address is not in whitelist-source-range");
        (void)stream_fail(s, 403, TALLY_REPLIES_FORBIDDEN, NULL, "client_address_not_allowed");
        return false;
    }
    if (a->denied_len && is_in(a->denied, a->denied_len, &ip)) {
        snprintf(s->why, sizeof(s->why), "this client's address is in denylist-source-range");
        (void)stream_fail(s, 403, TALLY_REPLIES_FORBIDDEN, NULL, "client_address_not_allowed");
        return false;
    }
    if (a->closed_by.len) {
        snprintf(s->why, sizeof(s->why), "this proxy cannot check what %.*s asks for",
                 (int)MIN(a->closed_by.len, (size_t)60), a->closed_by.p);
        (void)stream_fail(s, 503, TALLY_REPLIES_FORBIDDEN, NULL, "protection_not_supported");
        return false;
    }
    if (a->limits_len && !is_in(a->unlimited, a->unlimited_len, &ip) && is_limited(s, a))
        return false;
    if (a->body_max)
        s->traffic.body_max = a->body_max;
    if (s->traffic.body_max && h->has_length && h->content_length > s->traffic.body_max) {
        (void)traffic_refuse_size(s);
        return false;
    }
    return true;
}

bool traffic_is_too_large(const struct stream *s)
{
    return s->traffic.body_max && s->req_bytes > s->traffic.body_max;
}

enum step_result traffic_refuse_size(struct stream *s)
{
    snprintf(s->why, sizeof(s->why), "a request's body may have %llu bytes here",
             (unsigned long long)s->traffic.body_max);
    return stream_fail(s, 413, TALLY_REPLIES_TOO_LARGE, NULL, "request_payload_too_large");
}

/* --- CORS --- */

static bool is_preflight(const struct http_head *h)
{
    return sv_eq(h->method, SV("OPTIONS")) && http_get(h, SV("access-control-request-method")).len;
}

static void put_cors_origin(const struct stream *s, struct buf *to)
{
    const struct cors *c = s->traffic.cors;
    h1_put_field(to, SV("access-control-allow-origin"), s->traffic.origin);
    if (c->has_credentials)
        h1_put_field(to, SV("access-control-allow-credentials"), SV("true"));
}

/* With credentials browsers take "*" for a name, so what was asked for is said instead. */
static struct sv cors_value(const struct cors *c, struct sv value, struct sv asked)
{
    return c->has_credentials && sv_eq(value, SV("*")) ? asked : value;
}

static void answer_preflight(struct stream *s, const struct cors *c)
{
    AUTO_DONE(buf) text = { 0 };
    const struct http_head *h = request_of(s);
    struct sv methods = cors_value(c, c->methods, http_get(h, SV("access-control-request-method")));
    struct sv headers = cors_value(c, c->headers,
                                   http_get(h, SV("access-control-request-headers")));
    if (methods.len)
        h1_put_field(&text, SV("access-control-allow-methods"), methods);
    if (headers.len)
        h1_put_field(&text, SV("access-control-allow-headers"), headers);
    if (c->max_age_s >= 0) {
        buf_put(&text, SV("access-control-max-age: "));
        buf_put_i64(&text, c->max_age_s);
        buf_put(&text, SV("\r\n"));
    }
    s->traffic.fields = keep(s, &text);
    s->own_body = SV("");
    (void)stream_fail(s, 200, TALLY_REPLIES_DIRECT, NULL, "cors_preflight");
}

/* True: the request goes on. */
static bool passes_cors(struct stream *s, const struct cors *c)
{
    const struct http_head *h = request_of(s);
    struct sv origin = http_get(h, SV("origin"));
    bool is_allowed = false;
    if (!c || !origin.len)
        return true;
    for (size_t i = 0; i < c->origins_len && !is_allowed; i++)
        is_allowed = text_matches(&c->origins[i], origin, true);
    if (is_allowed) {
        s->traffic.cors = c;
        s->traffic.origin = origin;
        if (!is_preflight(h))
            return true;
        answer_preflight(s, c);
        return false;
    }
    if (!is_preflight(h) || !c->refuses_unmatched)
        return true;
    snprintf(s->why, sizeof(s->why), "no allowOrigins matches");
    (void)stream_fail(s, 403, TALLY_REPLIES_DIRECT, NULL, "cors_origin_not_allowed");
    return false;
}

/* --- answers of the route --- */

static bool is_https(const struct stream *s)
{
    return conn_tls(s->down->conn) != NULL;
}

static struct sv without_port(struct sv authority)
{
    size_t colon = sv_rindex(authority, ':');
    bool is_port = colon < authority.len && !sv_ends(authority, SV("]"));
    return is_port ? sv_sub(authority, 0, colon) : authority;
}

/* The port that the caller asked, by what he says or how he came. */
static uint16_t asked_port(const struct stream *s, struct sv authority)
{
    uint64_t port;
    struct sv text = sv_from(authority, without_port(authority).len + 1);
    if (sv_to_u64(text, &port) && port > 0 && port <= UINT16_MAX)
        return (uint16_t)port;
    return is_https(s) ? 443 : 80;
}

static struct sv location_of(struct stream *s, const struct redirect *r)
{
    const struct http_head *h = request_of(s);
    struct sv own = is_https(s) ? SV("https") : SV("http");
    struct sv scheme = r->scheme.len ? r->scheme : own;
    struct sv host = r->rewrite.authority.len ? r->rewrite.authority : h->authority;
    struct sv path = rewrite_path(&r->rewrite, h->path, &s->mem);
    struct sv usual = sv_eq(scheme, SV("https")) ? SV(":443") : SV(":80");
    uint16_t port = r->keeps_port ? asked_port(s, h->authority) : r->port;
    AUTO_DONE(buf) text = { 0 };
    if (r->location.len)
        return r->location;
    if (!path.p)
        return SV_NONE;
    if (port || (!r->rewrite.authority.len && !sv_eq(scheme, own)))
        host = without_port(host);
    if (sv_ends(host, usual))
        host.len -= usual.len;
    if (host.len)
        buf_printf(&text, "%.*s://%.*s", SV_ARG(scheme), SV_ARG(host));
    if (host.len && port && port != (sv_eq(scheme, SV("https")) ? 443 : 80))
        buf_printf(&text, ":%u", port);
    buf_put(&text, path);
    return keep(s, &text);
}

static enum step_result redirect(struct stream *s, const struct redirect *r)
{
    struct sv location = location_of(s, r);
    if (!location.p)
        return out_of_memory(s);
    answer_field(s, SV("location"), location);
    s->own_body = SV("");
    return stream_fail(s, r->status, TALLY_REPLIES_DIRECT, NULL, "direct_response");
}

static enum step_result abort_by_fault(struct stream *s, const struct fault *f)
{
    s->own_body = SV("fault filter abort");
    snprintf(s->why, sizeof(s->why), "fault.abort of route %.*s",
             (int)MIN(s->route->name.len, (size_t)120), s->route->name.p);
    if (f->grpc_status >= 0) {
        char text[8];
        int n = snprintf(text, sizeof(text), "%d", f->grpc_status);
        answer_field(s, SV("grpc-status"), sv_of(text, (size_t)MAX(n, 0)));
        s->grpc_status = arena_copy(&s->mem, sv_of(text, (size_t)MAX(n, 0)));
        s->own_body = SV("");
    }
    return stream_fail(s, f->status, TALLY_REPLIES_FI, s->traffic.was_delayed ? "DI,FI" : "FI",
                       "fault_filter_abort");
}

/* --- what is changed on the way --- */

static struct sv cookie_value(struct sv cookies, struct sv name)
{
    for (struct sv part; sv_cut(&cookies, ';', &part);) {
        part = sv_trim(part);
        size_t eq = sv_index(part, '=');
        if (eq < part.len && sv_eq(sv_sub(part, 0, eq), name))
            return sv_from(part, eq + 1);
    }
    return SV_NONE;
}

static struct sv query_value(struct sv path, struct sv name)
{
    struct sv query = sv_from(path, sv_index(path, '?') + 1);
    for (struct sv part; sv_cut(&query, '&', &part);) {
        size_t eq = sv_index(part, '=');
        if (sv_eq(sv_sub(part, 0, eq), name))
            return sv_from(part, eq + 1);
    }
    return SV_NONE;
}

/* A caller without the cookie gets a random one; the choice made now is the one it will find. */
static struct sv make_cookie(struct stream *s, const struct hash_policy *h)
{
    AUTO_DONE(buf) text = { 0 };
    buf_printf(&text, "%.*s=%016llx", SV_ARG(h->name), (unsigned long long)random_u64());
    size_t len = text.len;
    buf_put(&text, h->cookie_tail);
    struct sv kept = keep(s, &text);
    if (!kept.p)
        return SV_NONE;
    s->traffic.cookie = kept;
    return sv_sub(kept, h->name.len + 1, len - h->name.len - 1);
}

/* What the request goes by; may be empty. */
static struct sv hash_value(struct stream *s, const struct hash_policy *h,
                            char text[ADDR_TEXT_SIZE])
{
    const struct http_head *req = request_of(s);
    switch (h->kind) {
    case HASH_HEADER:
        return sv_eq_nocase(h->name, SV("host")) ? req->authority : http_get(req, h->name);
    case HASH_SOURCE_IP: return caller_text(s, text);
    case HASH_QUERY: return query_value(req->path, h->name);
    case HASH_URI: return req->path;
    case HASH_COOKIE: break;
    }
    struct sv value = cookie_value(http_get(req, SV("cookie")), h->name);
    return value.len || !h->makes_cookie ? value : make_cookie(s, h);
}

static void choose_hash(struct stream *s, const struct hash_policy *h)
{
    char text[ADDR_TEXT_SIZE];
    struct sv value = hash_value(s, h, text);
    if (!value.len)
        return; /* nothing to go by: by load */
    s->traffic.hash = hash_sv(value);
    s->traffic.has_hash = true;
}

static bool rewrite(struct stream *s, const struct route_actions *a)
{
    struct sv path = s->traffic.path.p ? s->traffic.path : request_of(s)->path;
    if (a->rewrite.kind) {
        s->traffic.path = rewrite_path(&a->rewrite, path, &s->mem);
        if (!s->traffic.path.p)
            return false;
    }
    if (a->rewrite.authority.len)
        s->traffic.authority = a->rewrite.authority;
    edits_push(&s->traffic.request, &a->request);
    edits_push(&s->traffic.response, &a->response);
    s->traffic.tells_forwarded = s->traffic.tells_forwarded || a->tells_forwarded;
    if (a->connect_ns)
        s->traffic.connect_ns = a->connect_ns;
    if (a->idle_ns)
        stream_set_idle(s, a->idle_ns);
    return true;
}

void traffic_set_timeout(struct stream *s, int64_t route_ns)
{
    int64_t caller_ns = 0;
    bool has_own = s->is_grpc && grpc_timeout_parse(s->seen[FIELD_GRPC_TIMEOUT], &caller_ns);
    if (has_own && (!route_ns || caller_ns < route_ns))
        route_ns = MAX(caller_ns, 1);
    if (route_ns && route_ns < INT64_MAX / 2)
        timer_after(&s->timer, route_ns);
}

/* The request will be sent: where to, and within which time. */
static enum step_result choose_cluster(struct stream *s)
{
    const struct route_actions *a = actions_of(s);
    const struct route_target *t = route_pick(s->route, random_u64());
    if (t->is_broken) {
        snprintf(s->why, sizeof(s->why), "the route may not name %.*s, or it is no Service",
                 (int)MIN(t->cluster->host.len, (size_t)100), t->cluster->host.p);
        return stream_fail(s, 500, TALLY_REPLIES_NR, "NC", "cluster_not_found");
    }
    if (a && !rewrite(s, a))
        return out_of_memory(s);
    s->cluster = t->cluster;
    if (t->authority.len)
        s->traffic.authority = t->authority;
    edits_push(&s->traffic.request, t->request);
    edits_push(&s->traffic.response, t->response);
    const struct hash_policy *h = a && a->hash ? a->hash : t->cluster->hash;
    if (h)
        choose_hash(s, h);
    traffic_set_timeout(s, s->route->timeout_ns);
    if (!s->is_req_read)
        again_choose_keeping(s);
    s->state = ST_CONNECT;
    return STEP_AGAIN;
}

static enum step_result after_delay(struct stream *s)
{
    const struct route_actions *a = actions_of(s);
    if (a && a->fault && draw(a->fault->abort_share))
        return abort_by_fault(s, a->fault);
    if (a && a->redirect) {
        edits_push(&s->traffic.response, &a->response);
        return redirect(s, a->redirect);
    }
    if (a && a->direct) {
        edits_push(&s->traffic.response, &a->response);
        s->own_body = a->direct->body.p ? a->direct->body : SV("");
        return stream_fail(s, a->direct->status, TALLY_REPLIES_DIRECT, NULL, "direct_response");
    }
    return choose_cluster(s);
}

/* An Ingress in front of a Gateway: its actions are done, the Gateway's rules decide further. */
static enum step_result go_onward(struct stream *s)
{
    const struct route_actions *front = s->route->actions;
    struct http_head head = *request_of(s);
    struct route_ask ask = { .req = &head,
                             .is_tls = true, /* no redirect again: the Ingress has decided that */
                             .listen = front->onward_port,
                             .is_onward = true };
    if (!rewrite(s, front))
        return out_of_memory(s);
    if (front->hash)
        choose_hash(s, front->hash);
    if (s->traffic.path.p)
        head.path = s->traffic.path;
    if (s->traffic.authority.p)
        head.authority = s->traffic.authority;
    s->route = mesh_gateway_route(s->mesh, &ask);
    if (s->route)
        return traffic_begin(s);
    snprintf(s->why, sizeof(s->why), "no route behind the Gateway's port %u", front->onward_port);
    return stream_fail(s, 404, TALLY_REPLIES_NR, "NR", "route_not_found");
}

enum step_result traffic_begin(struct stream *s)
{
    const struct route_actions *a = actions_of(s);
    if (!a)
        return choose_cluster(s);
    if (!is_admitted(s, a) || !passes_cors(s, a->cors))
        return STEP_AGAIN;
    if (a->onward_port && !a->redirect)
        return go_onward(s);
    if (a->fault && draw(a->fault->delay_share)) {
        tally(TALLY_FAULT_DELAYS);
        s->traffic.was_delayed = true;
        timer_after(&s->try_timer, a->fault->delay_ns);
        s->state = ST_DELAY;
        return STEP_AGAIN;
    }
    return after_delay(s);
}

enum step_result traffic_wait(struct stream *s)
{
    if (!s->is_try_over)
        return STEP_WAIT;
    s->is_try_over = false;
    return after_delay(s);
}

void traffic_done(struct stream *s)
{
    for (size_t i = 0; i < s->traffic.holds_len; i++)
        limit_release(s->traffic.holds[i]);
    mirror_leave(s);
    arena_done(&s->mem);
}

/* --- heads --- */

static bool tells_forwarding(struct sv name)
{
    static const struct sv names[] = {
        { "x-forwarded-host", 16 }, { "x-forwarded-port", 16 },   { "x-real-ip", 9 },
        { "x-scheme", 8 },          { "x-forwarded-scheme", 18 },
    };
    for (size_t i = 0; i < NELEMS(names); i++)
        if (sv_eq_nocase(names[i], name))
            return true;
    return false;
}

bool traffic_hides(const struct stream *s, struct sv name)
{
    const struct traffic *t = &s->traffic;
    return (t->request.len && edits_hide(&t->request, name)) ||
           (t->tells_forwarded && tells_forwarding(name));
}

void traffic_put_request(struct stream *s, struct buf *to)
{
    const struct traffic *t = &s->traffic;
    char text[ADDR_TEXT_SIZE];
    if (t->tells_forwarded) {
        struct sv scheme = is_https(s) ? SV("https") : SV("http");
        h1_put_field(to, SV("x-forwarded-host"), request_of(s)->authority);
        buf_put(to, SV("x-forwarded-port: "));
        buf_put_u64(to, is_https(s) ? 443 : 80);
        buf_put(to, SV("\r\n"));
        h1_put_field(to, SV("x-forwarded-scheme"), scheme);
        h1_put_field(to, SV("x-scheme"), scheme);
        h1_put_field(to, SV("x-real-ip"), caller_text(s, text));
    }
    edits_put(&t->request, s, to);
}

static bool is_cors_field(struct sv name)
{
    return sv_eq_nocase(name, SV("access-control-allow-origin")) ||
           sv_eq_nocase(name, SV("access-control-allow-credentials")) ||
           sv_eq_nocase(name, SV("access-control-expose-headers"));
}

bool traffic_hides_response(const struct stream *s, struct sv name)
{
    const struct traffic *t = &s->traffic;
    return (t->response.len && edits_hide(&t->response, name)) || (t->cors && is_cors_field(name));
}

void traffic_put_response(struct stream *s, struct buf *to)
{
    const struct traffic *t = &s->traffic;
    if (t->cors) {
        put_cors_origin(s, to);
        if (t->cors->exposed.len)
            h1_put_field(to, SV("access-control-expose-headers"), t->cors->exposed);
    }
    if (t->cookie.len)
        h1_put_field(to, SV("set-cookie"), t->cookie);
    edits_put(&t->response, s, to);
}
