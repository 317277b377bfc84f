/* SPDX-License-Identifier: Apache-2.0
 * ingress.c - Ingresses to virtual hosts, in front of whatever Gateways serve.
 *
 * Rules of all Ingresses that name one host are one list: the longest path first, Exact before the
 * others, then the older object; behind it the default backend of an Ingress of that host, else of
 * any. So the order in files means nothing. An Ingress annotated as canary has no rules of its own:
 * it takes a share of, or certain requests from, the rule with the same host and path. A backend
 * that is the Service of this very gateway means that the Gateway decides further, in this process
 * and without another connection. */
#include "proxy/config/resolve.h"
#include <stdlib.h>

struct item {
    const struct ingress *ingress;
    const struct ingress_path *path;
};
/* One host. */
struct site {
    struct sv host; /* "*" for rules without host */
    struct item *items;
    size_t len;
    const struct ingress *fallback; /* of its Ingresses, the oldest with a default backend */
    struct site *next;
};
struct ingress_work {
    struct resolve *r;
    struct map by_host;
    struct site *first;
    const struct ingress *fallback; /* of all */
    bool has_tls;
};

static bool is_older(const struct meta *a, const struct meta *b)
{
    return a->created_s != b->created_s ? a->created_s < b->created_s : a->order < b->order;
}

static bool is_ours(const struct ingress_work *w, const struct ingress *in)
{
    struct sv class = w->r->ingress_class;
    return w->r->role == ROLE_CHECK || !class.len || sv_eq(in->class, class);
}

static struct site *site_of(struct ingress_work *w, struct sv host)
{
    struct sv key = host.len ? host : SV("*");
    struct site *s = map_get(&w->by_host, key);
    if (s)
        return s;
    s = arena_zalloc(w->r->catalog->scratch, sizeof(*s));
    if (!s || map_put(&w->by_host, key, s, NULL) < 0) {
        resolve_nomem(w->r);
        return NULL;
    }
    s->host = key;
    s->next = w->first;
    w->first = s;
    return s;
}

static bool is_tried_first(const struct item *a, const struct item *b)
{
    if (a->path->path.len != b->path->path.len)
        return a->path->path.len > b->path->path.len;
    if ((a->path->type == PATH_EXACT) != (b->path->type == PATH_EXACT))
        return a->path->type == PATH_EXACT;
    return is_older(&a->ingress->meta, &b->ingress->meta);
}

static int by_precedence(const void *a, const void *b)
{
    return is_tried_first(a, b) ? -1 : is_tried_first(b, a) ? 1 : 0;
}

static bool same_path(const struct ingress_path *a, const struct ingress_path *b)
{
    return sv_eq(a->host, b->host) && sv_eq(a->path, b->path) &&
           (a->type == PATH_EXACT) == (b->type == PATH_EXACT);
}

static void add_items(struct ingress_work *w, const struct ingress *in)
{
    for (size_t i = 0; i < in->paths_len; i++) {
        struct site *s = site_of(w, in->paths[i].host);
        struct item *wider = s ? arena_array(w->r->catalog->scratch, s->len + 1, sizeof(*wider))
                               : NULL;
        if (!wider) {
            resolve_nomem(w->r);
            return;
        }
        if (s->len)
            memcpy(wider, s->items, s->len * sizeof(*wider));
        wider[s->len++] = (struct item){ in, &in->paths[i] };
        s->items = wider;
        if (in->fallback.service.len && (!s->fallback || is_older(&in->meta, &s->fallback->meta)))
            s->fallback = in;
    }
    if (in->fallback.service.len && (!w->fallback || is_older(&in->meta, &w->fallback->meta)))
        w->fallback = in;
}

static const struct item *canary_of(struct ingress_work *w, const struct item *of, struct item *ret)
{
    for (const struct ingress *in = w->r->catalog->ingresses.first; in; in = in->next)
        for (size_t i = 0; in->canary.is_canary && is_ours(w, in) && i < in->paths_len; i++)
            if (same_path(&in->paths[i], of->path) &&
                sv_eq(in->meta.namespace, of->ingress->meta.namespace)) {
                *ret = (struct item){ in, &in->paths[i] };
                return ret;
            }
    return NULL;
}

static uint16_t backend_port(struct resolve *r, const struct ingress_backend *b,
                             const struct service_entry *e)
{
    const struct service *s = e->object;
    if (b->port)
        return b->port;
    for (size_t i = 0; s && b->port_name.len && i < s->ports_len; i++)
        if (sv_eq(s->ports[i].name, b->port_name))
            return s->ports[i].port;
    if (s && b->port_name.len)
        finding_place(&r->catalog->findings, false, &b->place, "Service %.*s has no port '%.*s'",
                      SV_ARG(e->fqdn), SV_ARG(b->port_name));
    else if (s && s->ports_len > 1)
        finding_place(&r->catalog->findings, false, &b->place,
                      "Service %.*s has %zu ports: %u is taken", SV_ARG(e->fqdn), s->ports_len,
                      resolve_default_port(e));
    return resolve_default_port(e);
}

/* The backend as a destination; ret_onward: the Gateway port it means in this process, or 0. */
static bool destination_of(struct resolve *r, const struct ingress *in,
                           const struct ingress_backend *b, struct destination *to,
                           uint16_t *ret_onward)
{
    struct sv name = b->service.len ? b->service : SV("no-service");
    struct sv host = resolve_host(r, name, in->meta.namespace);
    struct service_entry *e = resolve_entry(r, host);
    if (!e)
        return false;
    uint16_t port = backend_port(r, b, e);
    *to = (struct destination){ .host = host, .port = port, .weight = 1, .place = b->place };
    *ret_onward = 0;
    for (size_t i = 0; resolve_is_own_service(r, e) && i < r->mesh->doors_len; i++)
        if (r->mesh->doors[i].port->number == port && r->mesh->doors[i].servers)
            *ret_onward = port;
    return true;
}

static void make_match(const struct ingress_path *p, struct http_match *to)
{
    struct text_match *uri = &to->match.uri;
    struct sv path = p->path;
    *to = (struct http_match){ 0 };
    if (p->regex) {
        *uri = (struct text_match){ .kind = TEXT_MATCH_REGEX, .text = path, .regex = p->regex };
    } else if (p->type == PATH_EXACT) {
        *uri = (struct text_match){ .kind = TEXT_MATCH_EXACT, .text = path };
    } else {
        if (p->type == PATH_SPECIFIC && sv_ends(path, SV("/*")))
            path.len--; /* another controller's spelling of a prefix */
        while (path.len && path.p[path.len - 1] == '/')
            path.len--;
        if (path.len)
            *uri = (struct text_match){ .kind = TEXT_MATCH_ELEMENTS, .text = path };
    }
    to->is_everything = !uri->kind;
}

static void set_rewrite(const struct ingress *in, const struct ingress_path *p, struct rewrite *to)
{
    if (!in->notes.rewrite_target.len)
        return;
    to->kind = p && p->regex ? REWRITE_REGEX : REWRITE_WHOLE;
    to->text = in->notes.rewrite_target;
    to->regex = p ? p->regex : NULL;
    to->is_whole = true;
    to->mark = '$';
}

/* A rule in the terms of a VirtualService, in memory of the mesh. */
static struct http_rule *make_rule(struct ingress_work *w, const struct ingress *in,
                                   const struct ingress_path *p, const struct destination *targets,
                                   size_t targets_len, uint16_t onward)
{
    struct resolve *r = w->r;
    AUTO_DONE(buf) name = { 0 };
    struct http_rule *rule = arena_zalloc(&r->mesh->mem, sizeof(*rule));
    struct route_actions *a = arena_zalloc(&r->mesh->mem, sizeof(*a));
    buf_printf(&name, "%.*s.%.*s%.*s", SV_ARG(in->meta.name), SV_ARG(p ? p->host : SV("*")),
               SV_ARG(p ? p->path : SV("/")));
    if (!rule || !a || name.failed) {
        resolve_nomem(r);
        return NULL;
    }
    *a = in->actions;
    if (a->backend_tls)
        a->backend_tls = resolve_client_tls(r, a->backend_tls);
    set_rewrite(in, p, &a->rewrite);
    a->onward_port = onward;
    *rule = (struct http_rule){ .name = resolve_name(r, buf_sv(&name)),
                                .targets = targets,
                                .targets_len = targets_len,
                                .actions = a,
                                .retry = in->retry,
                                .place = in->meta.place };
    return rule;
}

struct entries {
    struct route_entry *list;
    size_t len;
};
#define ENTRIES_PER_ITEM 6 /* app-root, four of a canary, the rule itself */

static void put_rule(struct ingress_work *w, const struct ingress *in, const struct http_rule *rule,
                     const struct http_match *m, const struct route *if_plain, struct entries *to)
{
    struct virtual_service as = { .meta = in->meta };
    if (!rule || !resolve_rule(w->r, &as, rule, m, &to->list[to->len])) {
        resolve_nomem(w->r);
        return;
    }
    to->list[to->len++].if_plain = if_plain;
}

/* Of the canary's rules: those that a header or a cookie decides. */
struct choice_of_canary {
    struct named_match header;
    bool takes; /* else it is left to the stable one */
};

static size_t choices_of(const struct ingress_canary *c, struct choice_of_canary to[4])
{
    size_t len = 0;
    struct named_match h = { .name = c->header };
    if (c->header.len && (c->value.len || c->header_pattern)) {
        h.value = c->value.len
                      ? (struct text_match){ .kind = TEXT_MATCH_EXACT, .text = c->value }
                      : (struct text_match){ .kind = TEXT_MATCH_REGEX, .regex = c->header_pattern };
        to[len++] = (struct choice_of_canary){ h, true };
    } else if (c->header.len) {
        h.value = (struct text_match){ .kind = TEXT_MATCH_EXACT, .text = SV("always") };
        to[len++] = (struct choice_of_canary){ h, true };
        h.value.text = SV("never");
        to[len++] = (struct choice_of_canary){ h, false };
    }
    if (c->cookie_always && c->cookie_never) {
        struct named_match cookie = { .name = SV("cookie") };
        cookie.value = (struct text_match){ .kind = TEXT_MATCH_REGEX, .regex = c->cookie_always };
        to[len++] = (struct choice_of_canary){ cookie, true };
        cookie.value.regex = c->cookie_never;
        to[len++] = (struct choice_of_canary){ cookie, false };
    }
    return len;
}

/* The same path, and one header. */
static struct http_match *with_header(struct resolve *r, const struct http_match *m,
                                      const struct named_match *header)
{
    struct http_match *own = arena_zalloc(&r->mesh->mem, sizeof(*own));
    struct named_match *list = arena_zalloc(&r->mesh->mem, sizeof(*list));
    if (!own || !list) {
        resolve_nomem(r);
        return NULL;
    }
    *own = *m;
    *list = *header;
    own->match.headers = list;
    own->match.headers_len = 1;
    own->is_everything = false;
    return own;
}

static void put_canary(struct ingress_work *w, const struct item *item, const struct item *canary,
                       const struct http_match *m, const struct route *if_plain,
                       struct destination *both, uint16_t onward, struct entries *to)
{
    const struct ingress_canary *c = &canary->ingress->canary;
    struct choice_of_canary choices[4];
    uint16_t canary_onward;
    size_t len = choices_of(c, choices);
    if (!destination_of(w->r, canary->ingress, &canary->path->backend, &both[1], &canary_onward))
        return;
    both[0].weight = c->total - c->weight;
    both[1].weight = c->weight;
    for (size_t i = 0; i < len; i++) {
        struct http_match *own = with_header(w->r, m, &choices[i].header);
        struct destination *alone = arena_zalloc(&w->r->mesh->mem, sizeof(*alone));
        if (!own || !alone) {
            resolve_nomem(w->r);
            return;
        }
        *alone = both[choices[i].takes];
        alone->weight = 1;
        put_rule(w, item->ingress,
                 make_rule(w, item->ingress, item->path, alone, 1,
                           choices[i].takes ? canary_onward : onward),
                 own, if_plain, to);
    }
}

/* Whether the Ingress shows a certificate for this host. */
static bool has_tls(const struct ingress *in, struct sv host)
{
    for (size_t i = 0; i < in->tls_len; i++) {
        if (!in->tls[i].hosts_len)
            return true;
        for (size_t k = 0; k < in->tls[i].hosts_len; k++)
            if (sv_eq_nocase(in->tls[i].hosts[k], host))
                return true;
    }
    return false;
}

static const struct redirect to_https = { .scheme = { "https", 5 }, .status = 308 };
static const struct route_actions https_actions = { .redirect = &to_https };
static const struct route https_route = { .name = { "ssl-redirect", 12 },
                                          .actions = &https_actions };

static const struct route *plain_route(struct ingress_work *w, const struct ingress *in,
                                       struct sv host)
{
    bool has_door = w->r->ingress_https && has_tls(in, host);
    bool is_wanted = (in->notes.redirects_plain && has_door) || in->notes.forces_https;
    return is_wanted ? &https_route : NULL;
}

static void put_app_root(struct ingress_work *w, const struct item *item,
                         const struct route *if_plain, struct entries *to)
{
    struct http_match *m = arena_zalloc(&w->r->mesh->mem, sizeof(*m));
    struct redirect *redirect = arena_zalloc(&w->r->mesh->mem, sizeof(*redirect));
    struct http_rule *rule = make_rule(w, item->ingress, item->path, NULL, 0, 0);
    struct route_actions *a = arena_zalloc(&w->r->mesh->mem, sizeof(*a));
    if (!m || !redirect || !rule || !a) {
        resolve_nomem(w->r);
        return;
    }
    *redirect = (struct redirect){ .location = item->ingress->app_root, .status = 302 };
    a->redirect = redirect;
    rule->actions = a;
    m->match.uri = (struct text_match){ .kind = TEXT_MATCH_EXACT, .text = SV("/") };
    put_rule(w, item->ingress, rule, m, if_plain, to);
}

static void put_item(struct ingress_work *w, const struct item *item, struct entries *to)
{
    struct resolve *r = w->r;
    struct item canary_mem;
    const struct item *canary = canary_of(w, item, &canary_mem);
    struct http_match *m = arena_zalloc(&r->mesh->mem, sizeof(*m));
    struct destination *both = arena_array(&r->mesh->mem, 2, sizeof(*both));
    const struct route *if_plain = plain_route(w, item->ingress, item->path->host);
    uint16_t onward;
    if (!m || !both || !destination_of(r, item->ingress, &item->path->backend, &both[0], &onward)) {
        resolve_nomem(r);
        return;
    }
    make_match(item->path, m);
    if (item->ingress->app_root.len && sv_eq(item->path->path, SV("/")))
        put_app_root(w, item, if_plain, to);
    if (canary)
        put_canary(w, item, canary, m, if_plain, both, onward, to);
    bool is_split = canary && both[1].weight;
    if (is_split && !both[0].weight) /* all of it */
        both[0] = both[1];
    bool is_one = !is_split || sv_eq(both[0].host, both[1].host);
    if (is_one)
        both[0].weight = 1;
    put_rule(w, item->ingress,
             make_rule(w, item->ingress, item->path, both, is_one ? 1 : 2, is_one ? onward : 0), m,
             if_plain, to);
}

static void put_fallback(struct ingress_work *w, const struct ingress *in, struct sv host,
                         struct entries *to)
{
    struct destination *one = arena_zalloc(&w->r->mesh->mem, sizeof(*one));
    uint16_t onward;
    if (!one || !destination_of(w->r, in, &in->fallback, one, &onward)) {
        resolve_nomem(w->r);
        return;
    }
    put_rule(w, in, make_rule(w, in, NULL, one, 1, onward), NULL, plain_route(w, in, host), to);
}

static void drop_doubles(struct ingress_work *w, struct site *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->len; i++) {
        bool is_double = kept && same_path(s->items[kept - 1].path, s->items[i].path);
        if (is_double)
            finding_place(&w->r->catalog->findings, false, &s->items[i].path->backend.place,
                          "Ingress %.*s has the path '%.*s' of this host already; this one is "
                          "ignored",
                          SV_ARG(s->items[kept - 1].ingress->meta.name),
                          SV_ARG(s->items[i].path->path));
        else
            s->items[kept++] = s->items[i];
    }
    s->len = kept;
}

static void publish_site(struct ingress_work *w, struct site *s)
{
    struct mesh *mesh = w->r->mesh;
    const struct ingress *fallback = s->fallback ? s->fallback : w->fallback;
    struct entries to = { .list = arena_array(&mesh->mem, s->len * ENTRIES_PER_ITEM + 1,
                                              sizeof(*to.list)) };
    struct vhost *v = arena_zalloc(&mesh->mem, sizeof(*v));
    if (!to.list || !v) {
        resolve_nomem(w->r);
        return;
    }
    if (s->len)
        qsort(s->items, s->len, sizeof(*s->items), by_precedence);
    drop_doubles(w, s);
    for (size_t i = 0; i < s->len; i++)
        put_item(w, &s->items[i], &to);
    if (fallback)
        put_fallback(w, fallback, s->host, &to);
    *v = (struct vhost){ .entries = to.list, .entries_len = to.len, .is_one_label = true };
    if (hosts_put(&mesh->ingress, s->host, v) < 0)
        resolve_nomem(w->r);
}

/* "www.a" for "a" and the other way round, unless somebody has rules for it: 308 to where the rules are. */
static void put_www(struct ingress_work *w, const struct ingress *in, struct sv host)
{
    struct resolve *r = w->r;
    AUTO_DONE(buf) other = { 0 };
    bool has_www = sv_starts(host, SV("www."));
    buf_printf(&other, "%s%.*s", has_www ? "" : "www.", SV_ARG(has_www ? sv_from(host, 4) : host));
    if (!host.len || host.p[0] == '*' || map_get(&w->by_host, buf_sv(&other)) ||
        hosts_get(&r->mesh->ingress, buf_sv(&other)))
        return;
    struct redirect *to = arena_zalloc(&r->mesh->mem, sizeof(*to));
    struct route_actions *a = arena_zalloc(&r->mesh->mem, sizeof(*a));
    struct http_rule *rule = make_rule(w, in, NULL, NULL, 0, 0);
    struct entries one = { .list = arena_zalloc(&r->mesh->mem, sizeof(*one.list)) };
    struct vhost *v = arena_zalloc(&r->mesh->mem, sizeof(*v));
    struct sv name = resolve_name(r, buf_sv(&other));
    if (!to || !a || !rule || !one.list || !v || other.failed || !name.p) {
        resolve_nomem(r);
        return;
    }
    *to = (struct redirect){ .rewrite = { .authority = host }, .keeps_port = true, .status = 308 };
    a->redirect = to;
    rule->actions = a;
    put_rule(w, in, rule, NULL, NULL, &one);
    *v = (struct vhost){ .entries = one.list, .entries_len = one.len, .is_one_label = true };
    if (hosts_put(&r->mesh->ingress, name, v) < 0)
        resolve_nomem(r);
}

static void warn_of_lone_canary(struct ingress_work *w, const struct ingress *in)
{
    for (size_t i = 0; i < in->paths_len; i++) {
        const struct site *s = map_get(&w->by_host,
                                       in->paths[i].host.len ? in->paths[i].host : SV("*"));
        bool has_stable = false;
        for (size_t k = 0; s && k < s->len; k++)
            has_stable = has_stable || same_path(s->items[k].path, &in->paths[i]);
        if (!has_stable)
            finding_place(
                &w->r->catalog->findings, false, &in->meta.place,
                "is a canary of nothing: no other Ingress has host '%.*s' and path '%.*s'",
                SV_ARG(in->paths[i].host), SV_ARG(in->paths[i].path));
    }
}

static void add_certs(struct ingress_work *w, const struct ingress *in, struct door *d)
{
    static const struct sv any[] = { { "*", 1 } };
    for (size_t i = 0; i < in->tls_len; i++) {
        const struct ingress_tls *t = &in->tls[i];
        struct sv *hosts = arena_array(&w->r->mesh->mem, t->hosts_len + 1, sizeof(*hosts));
        if (!hosts) {
            resolve_nomem(w->r);
            return;
        }
        for (size_t k = 0; k < t->hosts_len; k++)
            hosts[k] = resolve_name(w->r, resolve_lower(w->r, t->hosts[k]));
        struct gateway_cert cert = { .hosts = t->hosts_len ? hosts : any,
                                     .hosts_len = t->hosts_len ? t->hosts_len : 1,
                                     .namespace = in->meta.namespace,
                                     .secret = t->secret,
                                     .tls_min = 0x0303 };
        if (t->secret.len)
            resolve_add_cert(w->r, d, &cert);
    }
}

static void open_doors(struct ingress_work *w)
{
    struct resolve *r = w->r;
    if (r->ingress_http) {
        struct door *d = resolve_door(r, r->ingress_http, r->ingress_http, false);
        d->has_ingress = !d->port->is_tls;
        if (!d->port->protocol.len)
            d->port->name = d->port->protocol = SV("HTTP");
    }
    if (!r->ingress_https || !w->has_tls)
        return;
    struct door *d = resolve_door(r, r->ingress_https, r->ingress_https, true);
    if (!d->port->protocol.len)
        d->port->name = d->port->protocol = SV("HTTPS");
    d->has_ingress = d->port->is_tls;
    for (const struct ingress *in = r->catalog->ingresses.first; in; in = in->next)
        if (is_ours(w, in) && d->has_ingress)
            add_certs(w, in, d);
}

static void collect(struct ingress_work *w)
{
    for (const struct ingress *in = w->r->catalog->ingresses.first; in; in = in->next) {
        if (!is_ours(w, in))
            continue;
        w->has_tls = w->has_tls || in->tls_len;
        if (!in->canary.is_canary)
            add_items(w, in);
    }
    if (w->fallback)
        (void)site_of(w, SV("*"));
}

void resolve_ingresses(struct resolve *r)
{
    struct ingress_work w = { .r = r };
    if (r->role == ROLE_SIDECAR || !r->catalog->ingresses.len)
        return;
    r->mesh->ingress.namespace = resolve_name(r, r->namespace);
    r->mesh->ingress.domain = CLUSTER_DOMAIN;
    collect(&w);
    if (r->role == ROLE_GATEWAY && w.first)
        open_doors(&w);
    for (struct site *s = w.first; s; s = s->next)
        publish_site(&w, s);
    for (const struct ingress *in = r->catalog->ingresses.first; in; in = in->next) {
        bool is_canary = in->canary.is_canary;
        if (!is_ours(&w, in))
            continue;
        if (is_canary)
            warn_of_lone_canary(&w, in);
        for (size_t i = 0; in->notes.joins_www && !is_canary && i < in->paths_len; i++)
            put_www(&w, in, in->paths[i].host);
    }
    map_done(&w.by_host);
}
