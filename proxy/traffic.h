/* traffic.h - what a route does with a request besides sending it: the steps between route and
 * connect, and their traces in the heads. */
#ifndef PROXY_TRAFFIC_H
#define PROXY_TRAFFIC_H

#include "proxy/edits.h"
#include "proxy/limit.h"
#include "proxy/mirror.h"

#define HOLDS_MAX 4 /* limits on requests in flight: one an Ingress, one the route behind it */

/* A stream's share; all-zero before a route is found. */
struct traffic {
    struct sv path, authority; /* to send; p NULL: as they came */
    struct edits request, response;
    struct limit_bucket *holds[HOLDS_MAX];
    size_t holds_len;
    struct mirror_copy *copies[MIRRORS_MAX]; /* NULL where one is gone already */
    size_t copies_len;
    uint64_t body_max;
    uint64_t hash; /* for endpoints, when has_hash */
    bool has_hash, was_delayed, was_mirrored;
    bool tells_forwarded;
    int64_t connect_ns;
    struct sv fields; /* of our own answer, lines ready to be sent */
    struct sv cookie; /* Set-Cookie's value for the caller; empty: none */
    struct sv origin; /* CORS: the origin that matched */
    const struct cors *cors;
};

#endif
