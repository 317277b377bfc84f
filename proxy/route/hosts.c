/* SPDX-License-Identifier: Apache-2.0
 * hosts.c - virtual hosts in two hash tables and one pointer.
 *
 * A look-up makes the authority canonical (no port, no dot at the end, lower case) on the stack and
 * tries it, then the full name it may abbreviate, then each suffix from long to short: as many
 * probes as the host has labels, whatever the number of hosts. */
#include "proxy/route/hosts.h"
#include <ctype.h>
#include <string.h>

struct name {
    char text[HOST_NAME_MAX_BYTES + 64]; /* room for ".ns.svc.domain" */
    size_t len;
};

static struct sv name_sv(const struct name *n)
{
    return sv_of(n->text, n->len);
}

void hosts_done(struct hosts *h)
{
    map_done(&h->exact);
    map_done(&h->suffixes);
    h->any = NULL;
}

int hosts_put(struct hosts *h, struct sv host, struct vhost *v)
{
    if (sv_eq(host, SV("*"))) {
        h->any = v;
        return 0;
    }
    if (sv_starts(host, SV("*.")))
        return map_put(&h->suffixes, sv_from(host, 1), v, NULL);
    return map_put(&h->exact, host, v, NULL);
}

struct vhost *hosts_get(const struct hosts *h, struct sv host)
{
    if (sv_eq(host, SV("*")))
        return h->any;
    if (sv_starts(host, SV("*.")))
        return map_get(&h->suffixes, sv_from(host, 1));
    return map_get(&h->exact, host);
}

struct vhost *hosts_wildcard(const struct hosts *h, struct sv host)
{
    bool is_first = true;
    for (size_t dot = sv_index(host, '.'); h->suffixes.len && dot < host.len;
         dot = sv_index(host, '.')) {
        struct vhost *v = map_get(&h->suffixes, sv_from(host, dot));
        if (v && (is_first || !v->is_one_label))
            return v;
        is_first = false;
        host = sv_from(host, dot + 1);
    }
    return h->any;
}

/* Without port, brackets and final dot, in lower case; false when it can be no host name. */
static bool canonical(struct sv authority, struct name *ret_name, uint16_t *ret_port)
{
    uint64_t port = 0;
    struct sv host = authority;
    size_t end = sv_starts(authority, SV("[")) ? sv_index(authority, ']') : 0;
    size_t colon = end + sv_index(sv_from(authority, end), ':');
    if (colon < authority.len) {
        if (!sv_to_u64(sv_from(authority, colon + 1), &port) || port > 65535)
            return false;
        host = sv_sub(authority, 0, colon);
    }
    if (host.len && host.p[host.len - 1] == '.')
        host.len--;
    if (host.len == 0 || host.len > HOST_NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < host.len; i++)
        ret_name->text[i] = (char)tolower((unsigned char)host.p[i]);
    ret_name->len = host.len;
    *ret_port = (uint16_t)port;
    return true;
}

static bool append(struct name *n, struct sv part)
{
    if (part.len > sizeof(n->text) - n->len)
        return false;
    memcpy(n->text + n->len, part.p, part.len);
    n->len += part.len;
    return true;
}

/* "reviews", "reviews.ns" and "reviews.ns.svc" to "reviews.ns.svc.cluster.local"; false when host
 * has none of these forms. */
static bool expand(const struct hosts *h, struct name *n)
{
    struct sv host = name_sv(n);
    size_t dots = 0;
    for (size_t i = 0; i < host.len; i++)
        dots += host.p[i] == '.';
    if (dots > 2 || (dots == 2 && !sv_ends(host, SV(".svc"))))
        return false;
    if (dots == 0 && (!append(n, SV(".")) || !append(n, h->namespace)))
        return false;
    if (dots < 2 && !append(n, SV(".svc")))
        return false;
    return append(n, SV(".")) && append(n, h->domain);
}

static const struct vhost *routable(const struct vhost *v)
{
    return v && v->entries_len ? v : NULL;
}

const struct vhost *hosts_find(const struct hosts *h, struct sv authority, uint16_t *ret_port)
{
    struct name n;
    if (!canonical(authority, &n, ret_port)) {
        *ret_port = 0;
        return h->any;
    }
    size_t as_sent = n.len;
    const struct vhost *v = routable(map_get(&h->exact, name_sv(&n)));
    if (!v && expand(h, &n))
        v = routable(map_get(&h->exact, name_sv(&n)));
    return v ? v : hosts_wildcard(h, sv_of(n.text, as_sent));
}

struct sv hosts_service(const struct hosts *h, struct sv authority)
{
    struct name n;
    uint16_t port;
    if (!canonical(authority, &n, &port))
        return SV_NONE;
    const struct vhost *v = map_get(&h->exact, name_sv(&n));
    if (!v && expand(h, &n))
        v = map_get(&h->exact, name_sv(&n));
    return v ? v->fqdn : SV_NONE;
}

static bool takes(const struct route_entry *e, const struct match_ask *ask)
{
    struct match_ask own = *ask;
    own.port = ask->port ? ask->port : e->routes[0].port;
    return (!e->outer || match_request(e->outer, &own)) &&
           (!e->match || match_request(e->match, &own));
}

const struct route *vhost_route(const struct vhost *v, const struct match_ask *ask,
                                uint16_t to_port)
{
    if (v->if_plain && !ask->is_tls)
        return v->if_plain;
    for (size_t i = 0; i < v->entries_len; i++) {
        const struct route_entry *e = &v->entries[i];
        if (!takes(e, ask))
            continue;
        if (e->if_plain && !ask->is_tls)
            return e->if_plain;
        for (size_t k = 0; k < e->routes_len; k++)
            if (e->routes[k].port == to_port)
                return e->routes[k].route;
        return e->routes[0].route;
    }
    return NULL;
}

bool route_entry_miss(const struct route_entry *e, const struct match_ask *ask,
                      struct match_miss *ret, bool *ret_is_outer)
{
    struct match_ask own = *ask;
    own.port = ask->port ? ask->port : e->routes[0].port;
    *ret_is_outer = e->outer && match_find_miss(e->outer, &own, ret);
    return *ret_is_outer || (e->match && match_find_miss(e->match, &own, ret));
}
