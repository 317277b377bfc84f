/* explain.h - what a proxy would do with a request or a connection, and why, rule by rule.
 *
 * Asks the mesh the questions a request asks (mesh_route(), authz_decide() ...) and tells what
 * answered; nothing is sent. */
#ifndef PROXY_EXPLAIN_EXPLAIN_H
#define PROXY_EXPLAIN_EXPLAIN_H

#include "base/arena.h"
#include "proxy/authz/authz.h"
#include "proxy/config/mesh.h"
#include "proxy/explain/telling.h"

enum explain_side { EXPLAIN_OUTBOUND, EXPLAIN_INBOUND, EXPLAIN_GATEWAY };

struct explain_ask {
    const struct mesh *mesh;
    enum explain_side side;
    const struct identity *self; /* whose proxy it is */
    struct http_head head;       /* path normalised: path_normalize() */
    bool is_connection;          /* whose bytes are no HTTP: of head nothing but the authority */
    struct sv host;      /* of a connection: the Service it is made to, by name or address */
    bool allows_any;     /* of a connection: to addresses that nobody knows */
    bool is_tls;         /* how the request comes; a connection: it begins with a ClientHello */
    bool is_mutual;      /* with a client certificate that was checked */
    struct sv principal; /* "spiffe://..." of is_mutual */
    struct sv sni;
    struct ip source_ip, remote_ip, destination_ip; /* unknown ones are in no block */
    uint16_t
        port; /* inbound: the workload's; gateway: as the URL has it; else the Service's, 0: not named */
};
/* What became of the request at this proxy. Views into the mesh and mem. */
struct explain_outcome {
    bool is_passed_on;               /* to the application, or to a target of the route */
    const struct route *route;       /* outbound and gateway */
    const struct endpoint *endpoint; /* called by its own address: the only one; else NULL */
    struct sv path, authority;       /* as they are sent on */
    unsigned status; /* else: of the answer; 0: the connection is closed without one */
    char why[256];
};
/* Tells into an open object. What ret points to lives as long as mem and the mesh. */
void explain_hop(const struct explain_ask *q, struct arena *mem, struct telling *t,
                 struct explain_outcome *ret);
/* Will the mesh's mutual TLS be used to reach this endpoint by this cluster? */
bool explain_is_mutual(const struct cluster *c, const struct endpoint *e);

/* --- parts --- */

/* "reviews" as an object, or a line: "VirtualService default/reviews, routes.yaml:9:5". */
void explain_origin(struct telling *t, const char *key, const struct origin *o);
/* routing.c: what a route does, as fields; a cluster, as an element of a list. share: of 100, below 0 is not
 * told. */
void explain_route(struct telling *t, const struct route *r);
void explain_cluster(struct telling *t, const struct cluster *c, double share);
/* policies.c: every policy with its rules and conditions, as elements of a list. */
void explain_all_policies(struct telling *t, const struct authz *a);
/* policies.c: false when the request is denied; ret->why says by whom. */
bool explain_policies(const struct explain_ask *q, struct telling *t, struct explain_outcome *ret);
/* explain.c: false when the connection would have been closed. */
bool explain_mutual_tls(const struct explain_ask *q, struct telling *t,
                        struct explain_outcome *ret);
void explain_caller(const struct explain_ask *q, struct telling *t);
/* routing.c: a target's part of a route, of 100. */
double explain_share(const struct route *r, const struct route_target *target);
/* connection.c: all of one. */
void explain_connection(const struct explain_ask *q, struct telling *t,
                        struct explain_outcome *ret);
/* routing.c: the virtual host, what was passed over, the route and its destinations. */
void explain_routing(const struct explain_ask *q, struct arena *mem, struct telling *t,
                     struct explain_outcome *ret);

#endif
