/* hosts.h - virtual hosts: from the authority of a request to the rules that apply to it.
 *
 * Search order is Istio's: the exact host, the longest "*.suffix", then "*". A service has one entry
 * under its full name; the short forms (name, name.ns, name.ns.svc) are expanded at look-up, so
 * that 5,000 services cost 5,000 entries. Filled once, then only read. */
#ifndef PROXY_ROUTE_HOSTS_H
#define PROXY_ROUTE_HOSTS_H

#include "base/map.h"
#include "proxy/config/mesh.h"
#include "proxy/route/match.h"

#define HOST_NAME_MAX_BYTES 253 /* DNS */

struct port_route {
    uint16_t port; /* the port the request meant */
    const struct route *route;
};
struct route_entry {
    const struct match *match;    /* NULL: every request */
    const struct match *outer;    /* of the rule that delegated here; must hold as well */
    const struct route *if_plain; /* for what came without TLS; NULL: the same routes */
    const struct port_route *routes;
    size_t routes_len; /* at least one; the first is taken when the port is unknown */
};
struct vhost {
    struct sv fqdn; /* of the Service this host is; empty for other hosts */
    const struct route_entry *entries;
    size_t entries_len;    /* 0 in a gateway for services it does not expose */
    bool is_by_precedence; /* the most specific entry decides: resolving sorts them */
    bool is_one_label;     /* "*.a.b" stands for x.a.b and not for x.y.a.b, as in an Ingress */
    const struct route *if_plain; /* everything that came without TLS: the Gateway says so */
};
struct hosts {
    struct sv namespace; /* where a short name is looked for */
    struct sv domain;    /* "cluster.local" */
    struct map exact, suffixes;
    struct vhost *any;
};

void hosts_done(struct hosts *h);
/* host: lower case; "a.b", "*.b" or "*". -1 when memory is out. v is borrowed. */
int hosts_put(struct hosts *h, struct sv host, struct vhost *v) MUST_USE;
/* The entry of exactly this host, or NULL. */
struct vhost *hosts_get(const struct hosts *h, struct sv host);
/* The entry of the longest wildcard that covers host, "*" included, or NULL. */
struct vhost *hosts_wildcard(const struct hosts *h, struct sv host);
/* By the authority of a request, in any spelling; ret_port is the port it names, else 0. */
const struct vhost *hosts_find(const struct hosts *h, struct sv authority, uint16_t *ret_port);
/* The full name of the service an authority means, or an empty view. */
struct sv hosts_service(const struct hosts *h, struct sv authority);

/* What keeps the entry from taking the request: *ret_is_outer tells whether it is a condition of the
 * rule that delegated. False: nothing does. */
bool route_entry_miss(const struct route_entry *e, const struct match_ask *ask,
                      struct match_miss *ret, bool *ret_is_outer);

/* First match wins; NULL when none does. to_port: the Service port meant, 0: each rule's default. */
const struct route *vhost_route(const struct vhost *v, const struct match_ask *ask,
                                uint16_t to_port);

#endif
