/* action.h - what a route does besides sending on: limits, answers of its own, rewrites, headers.
 *
 * Made by proxy/config from VirtualServices, Ingresses and HTTPRoutes alike, immutable, in the mesh's
 * arena. All-zero means nothing of the kind. Shares are in millionths, drawn for each request. */
#ifndef PROXY_ROUTE_ACTION_H
#define PROXY_ROUTE_ACTION_H

#include "base/arena.h"
#include "proxy/authz/ip_block.h"
#include "proxy/route/match.h"

struct cluster;
struct client_tls; /* proxy/config/mesh.h */

#define SHARE_ALL 1000000u

enum header_edit_kind { HEADER_REMOVE, HEADER_SET, HEADER_ADD };
struct header_edit {
    enum header_edit_kind kind;
    struct sv name, value;
    bool is_format; /* value has operators: header_format.h */
};
struct header_edits {
    const struct header_edit *list;
    size_t len;
};

enum rewrite_kind {
    REWRITE_NONE,
    REWRITE_WHOLE,    /* text is the new path */
    REWRITE_PREFIX,   /* text instead of the first prefix_len bytes, as they are */
    REWRITE_ELEMENTS, /* the same, but what is left begins with a slash or is empty */
    REWRITE_REGEX,    /* each match of regex becomes text, in which \1 or $1 is the first group */
};
struct rewrite {
    enum rewrite_kind kind;
    struct sv text;
    size_t prefix_len;
    const struct regex *regex; /* borrowed from the mesh */
    bool is_whole;             /* the first match's replacement is the path, the rest goes */
    char mark;                 /* before a group's number: backslash or dollar */
    struct sv authority;       /* empty: as the caller sent it */
};

struct redirect {
    struct rewrite rewrite; /* of path and host */
    struct sv location;     /* the whole answer; empty: made of what follows */
    struct sv scheme;       /* empty: as the request came */
    uint16_t port;          /* 0: the one of the scheme when that changes, else as asked */
    bool keeps_port;        /* the one that the request came to, whatever the scheme becomes */
    uint16_t status;        /* 301, 302, 303, 307, 308 */
};
struct direct_response {
    uint16_t status;
    struct sv body;
};
struct fault {
    uint32_t delay_share, abort_share;
    int64_t delay_ns;
    uint16_t status;     /* of an abort */
    int16_t grpc_status; /* -1: none */
};
struct mirror {
    const struct cluster *cluster;
    uint32_t share;
};
struct cors {
    const struct text_match *origins;
    size_t origins_len;
    struct sv methods, headers, exposed; /* ready-made values; empty: not said; "*": any */
    int64_t max_age_s;                   /* -1: not said */
    bool has_credentials;
    bool refuses_unmatched; /* preflights of other origins get 403 instead of going on */
};

enum hash_kind { HASH_HEADER, HASH_COOKIE, HASH_SOURCE_IP, HASH_QUERY, HASH_URI };
/* By what requests that belong together are known. */
struct hash_policy {
    enum hash_kind kind;
    struct sv name;        /* of the header, cookie or parameter */
    bool makes_cookie;     /* a caller without the cookie gets one */
    struct sv cookie_tail; /* "; Path=/; Max-Age=60", ready to be sent */
};

/* A token bucket for each client, or one for all; or a bound on requests at the same time. */
struct rate_limit {
    struct sv id;        /* unique in the mesh, the same over reloads: buckets are found by it */
    double per_s;        /* 0: no rate */
    double burst;        /* requests above the rate that are let through at once; at least 1 */
    uint32_t active_max; /* requests in flight; 0: any number */
    bool is_per_client;
    uint16_t status; /* 429, or 503 on request */
};

struct route_actions {
    struct header_edits request, response;
    struct rewrite rewrite;
    const struct redirect *redirect;
    const struct direct_response *direct;
    const struct fault *fault;
    const struct mirror *mirrors;
    size_t mirrors_len;
    const struct cors *cors;
    const struct hash_policy *hash; /* instead of the cluster's */
    const struct rate_limit *limits;
    size_t limits_len;
    const struct ip_block *unlimited; /* clients without limits */
    size_t unlimited_len;
    const struct ip_block *allowed; /* everybody else gets 403; none: everybody may */
    size_t allowed_len;
    const struct ip_block *denied; /* these get 403 */
    size_t denied_len;
    struct sv
        closed_by;      /* what asks for a check that nobody makes here: 503; empty: nothing does */
    uint64_t body_max;  /* 0: any size; beyond it 413 */
    int64_t connect_ns; /* to connect; 0: the cluster's */
    int64_t idle_ns;    /* nothing moves for this long: 504; 0: the proxy's own */
    bool tells_forwarded; /* X-Forwarded-Host, -Port and X-Real-IP, as ingress-nginx does */
    bool speaks_h2;       /* HTTP/2 to the endpoint, whatever its port is called */
    const struct client_tls
        *backend_tls;     /* where neither a rule nor the mesh has another; NULL: none */
    uint16_t onward_port; /* the request goes on to the Gateway of this port, in this process */
};

/* The new path (query included) for a request whose path is `path`, into mem; p NULL when memory is
 * out, the path itself when there is nothing to change. */
struct sv rewrite_path(const struct rewrite *w, struct sv path, struct arena *mem) MUST_USE;

#endif
