/* ingress.h - an Ingress as read: rules, certificates, and what its annotations ask for.
 *
 * Part of the catalog: catalog.h includes it. Annotations are those of ingress-nginx
 * (nginx.ingress.kubernetes.io/...); the limits among them also as tulle.io/... and there on
 * VirtualServices and HTTPRoutes too. */
#ifndef PROXY_CONFIG_INGRESS_H
#define PROXY_CONFIG_INGRESS_H

#include "proxy/config/field.h"
#include "proxy/route/action.h"

struct catalog;

enum path_type { PATH_PREFIX, PATH_EXACT, PATH_SPECIFIC };
struct ingress_backend {
    struct sv service, port_name; /* service empty: none */
    uint16_t port;                /* 0: by name, or the Service's only one */
    struct place place;
};
struct ingress_path {
    struct sv host; /* lower case; empty: every host */
    struct sv path;
    enum path_type type;
    const struct regex *regex; /* the path is a pattern */
    struct ingress_backend backend;
};
struct ingress_tls {
    const struct sv *hosts;
    size_t hosts_len;
    struct sv secret;
};

/* What the annotations say, in their own terms; see read_annotations.c for the table. */
struct ingress_notes {
    bool is_canary, uses_regex, redirects_plain, forces_https, has_cors, cors_credentials;
    bool cookie_secure, joins_www;
    uint64_t canary_weight, canary_total, rate_limit, limit_rps, limit_rpm, limit_connections;
    uint64_t limit_burst, burst_multiplier, limit_status, connect_s, read_s, send_s;
    uint64_t tries; /* 0: not said */
    uint64_t permanent_status, temporal_status, cookie_max_age, cors_max_age;
    struct sv canary_header, canary_value, canary_pattern, canary_cookie, limit_whitelist,
        limit_per;
    struct sv whitelist, body_size, rewrite_target, app_root, permanent_redirect;
    struct sv temporal_redirect, affinity, cookie_name, cookie_path, cookie_domain;
    struct sv cookie_same_site, upstream_vhost, hash_by, cors_origin, cors_methods, cors_headers;
    struct sv cors_exposed, backend_protocol, forwarded_prefix, denylist, server_alias;
    struct sv auth_url, auth_type, auth_tls_secret, auth_tls_verify;
    struct sv ssl_verify, ssl_name, ssl_secret, next_upstream;
};
struct ingress_canary {
    bool is_canary;
    uint32_t weight, total;
    struct sv header, value, cookie;
    const struct regex *header_pattern, *cookie_always, *cookie_never;
};
struct ingress;

/* Reads metadata.annotations of the object; actions of an Ingress into it. Annotations of other
 * prefixes are none of our business. */
struct ingress_notes read_notes(struct reader *r, struct node *root);
void read_note_actions(struct catalog *c, struct reader *r, struct node *root,
                       const struct ingress_notes *notes, struct ingress *to);
/* The part of them that is about endpoints. */
void read_upstream_notes(struct reader *r, struct node *root, const struct ingress_notes *notes,
                         struct route_actions *to);
/* When a request is sent again; NULL: nothing is said. */
const struct retry_policy *read_retry_notes(struct reader *r, struct node *root,
                                            const struct ingress_notes *notes);
/* The annotation's node, for a finding; the object when it has none. */
struct node *note_node(struct reader *r, struct node *root, const char *name);
/* Only the limits, with the prefix tulle.io; false when there are none. */
bool read_limits(struct reader *r, struct node *root, struct sv kind, struct sv namespace,
                 struct sv name, const struct ingress_notes *notes, struct route_actions *to);

#endif
