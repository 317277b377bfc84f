/* mesh.h - what the configuration folder says, resolved, checked and immutable.
 *
 * Read from Kubernetes-format YAML: Service, EndpointSlice, Pod (core/discovery v1), VirtualService,
 * DestinationRule, Gateway (networking.istio.io), PeerAuthentication, AuthorizationPolicy
 * (security.istio.io). Names are resolved once, so that a request costs a host lookup and a walk
 * over its own rules. Nothing changes after mesh_load(): reload builds another one. Reference
 * counted (one thread owns the counts); a stream keeps the mesh it began with. Semantics: Istio's
 * networking/v1 and security/v1 API docs. */
#ifndef PROXY_CONFIG_MESH_H
#define PROXY_CONFIG_MESH_H

#include "base/err.h"
#include "model/identity.h"
#include "net/addr.h"
#include "proxy/detect.h"
#include "wire/http_msg.h"
#include <netinet/in.h>

struct authz;         /* proxy/authz/authz.h */
struct route_actions; /* proxy/route/action.h */
struct header_edits;
struct hash_policy;
struct tcp_service; /* proxy/route/tcp.h */
struct ip;          /* proxy/authz/ip_block.h */
struct mesh;

/* The object, or the rule of one, from which something here was made; in the mesh's memory. */
struct origin {
    struct sv kind, namespace, name;
    struct sv file; /* as it was given or found in the folder */
    uint32_t line, column;
};

/* One pod behind a service. */
struct endpoint {
    struct sv address;        /* "127.1.0.7" */
    uint16_t port;            /* where to connect */
    struct addr addr;         /* both, read once; family 0: they are to be read from the text */
    struct sv text;           /* "127.1.0.7:9080": what it is known by over reloads */
    struct sv pod;            /* pod name; empty when unknown */
    struct identity identity; /* principal: spiffe id of its service account, expected not proven */
    bool has_sidecar;         /* label security.istio.io/tlsMode=istio: speak mutual TLS */
    uint32_t id;              /* dense within the mesh, for pools; not stable over reloads */
};

/* When an endpoint that fails is left out for a while: DestinationRule's outlierDetection. */
struct outlier_policy {
    uint32_t consecutive_5xx;     /* answers 500 to 599 or none at all, in a row; 0: off */
    uint32_t consecutive_gateway; /* 502, 503, 504 or none at all, in a row; 0: off */
    bool splits_local;            /* no answer at all counts by itself, and not in these two: */
    uint32_t consecutive_local;   /* in a row; 0: off */
    int64_t interval_ns;          /* each one spent in health takes back one step of base */
    int64_t base_ns;              /* out for this long, times the ejections in a row */
    uint32_t max_percent;         /* of a cluster's endpoints that may be out at once */
    uint32_t min_health_percent;  /* fewer healthy ones than this: nobody is left out */
};

/* How endpoints are asked whether they are well: the annotation tulle.io/health-check. */
struct health_check {
    struct sv text;        /* as it was written; state is kept by it */
    bool is_http, is_grpc; /* neither: can be connected to, handshake included */
    struct sv path;        /* of is_http */
    struct sv service;     /* of is_grpc; empty: the server as a whole */
    struct sv host;        /* of both; empty: the Service's name */
    uint16_t port;         /* 0: where requests go */
    int64_t interval_ns, timeout_ns;
    uint32_t healthy, unhealthy; /* answers in a row that change what is believed */
};

/* Which failures a retry_policy repeats, Envoy's conditions. */
enum retry_on {
    RETRY_ON_5XX = 1 << 0, /* includes no answer at all and the two below */
    RETRY_ON_GATEWAY_ERROR = 1 << 1,
    RETRY_ON_RESET = 1 << 2,
    RETRY_ON_CONNECT_FAILURE = 1 << 3, /* also reset-before-request: provably unsent */
    RETRY_ON_REFUSED_STREAM = 1 << 4,
    RETRY_ON_RETRIABLE_4XX = 1 << 5, /* 409 */
    RETRY_ON_CANCELLED = 1 << 6,     /* here and below: grpc-status in the response's head */
    RETRY_ON_DEADLINE_EXCEEDED = 1 << 7,
    RETRY_ON_INTERNAL = 1 << 8,
    RETRY_ON_RESOURCE_EXHAUSTED = 1 << 9,
    RETRY_ON_UNAVAILABLE = 1 << 10,
};
struct retry_policy {
    unsigned attempts; /* repeats after the first; 0: never */
    unsigned on;       /* enum retry_on bits */
    const uint16_t *statuses;
    size_t statuses_len;
    int64_t per_try_ns;  /* 0: none */
    int64_t backoff_ns;  /* base of the back-off */
    bool prefers_others; /* an endpoint not yet tried */
};
/* Istio's, for routes that say nothing. */
extern const struct retry_policy retry_default;

enum tls_mode {
    TLS_MODE_AUTO,
    TLS_MODE_DISABLE,
    TLS_MODE_SIMPLE,
    TLS_MODE_MUTUAL, /* with certificates of its own, not the mesh's */
    TLS_MODE_ISTIO_MUTUAL,
};
/* SIMPLE and MUTUAL: what is shown, and who is believed. */
struct client_tls {
    struct sv sni;   /* empty: the request's host */
    struct sv names; /* DNS names and URIs of which the certificate must have one, "a,b"; empty: the
                        SNI, or with ISTIO_MUTUAL whoever the endpoint is */
    struct sv cert_file, key_file; /* MUTUAL */
    struct sv ca_file;             /* empty: the system's roots */
    struct sv namespace, secret;   /* instead of the files; secret empty: none */
    struct sv crl_file;            /* of revoked certificates; empty: none is */
    struct sv cert, key, ca, crl;  /* PEM, when the Secret is among the objects */
    bool trusts_anybody;
};
enum lb_kind { LB_LEAST_REQUEST, LB_ROUND_ROBIN, LB_RANDOM };
/* DestinationRule's connectionPool; UINT32_MAX: no bound. Counted by worker and cluster. */
struct pool_limits {
    uint32_t connections_max; /* with requests on them; HTTP/1.1 has one on each */
    uint32_t pending_max;     /* requests that wait for one of these */
    uint32_t requests_max, retries_max;
    bool has_budget; /* of retries: a share of the requests at once instead of retries_max */
    double budget_percent;
    uint32_t budget_min;                 /* that many may always run */
    uint32_t per_connection_max;         /* requests, then it is closed */
    uint32_t streams_max;                /* of a connection that speaks HTTP/2 */
    bool upgrades_h2;                    /* HTTP/2 though the port does not say so */
    bool stays_h1;                       /* HTTP/1 unless the port says HTTP/2 */
    bool follows_caller;                 /* the version the caller speaks */
    int64_t connect_timeout_ns, idle_ns; /* 0: not said */
    int64_t tcp_idle_ns;                 /* of connections that are no HTTP; 0: idle_ns */
    int64_t lifetime_ns;                 /* of a connection; 0: any */
    struct keepalive {
        bool is_on;
        unsigned probes; /* 0 here and below: the system's */
        int64_t idle_ns, interval_ns;
    } keepalive;
};

/* A service port, or a subset of it: where a route may send. */
struct cluster {
    struct sv name;              /* "outbound|9080|v1|reviews.default.svc.cluster.local" */
    struct sv host;              /* FQDN */
    struct sv subset;            /* empty for all endpoints */
    struct sv sni;               /* "outbound_.9080_.v1_.reviews.default.svc.cluster.local" */
    uint16_t port;               /* the Service port */
    enum port_protocol protocol; /* what that is declared to speak */
    enum tls_mode tls;           /* DestinationRule trafficPolicy.tls, else AUTO: by endpoint */
    int64_t connect_timeout_ns;
    const struct outlier_policy *outlier; /* NULL: nobody is ever left out */
    const struct client_tls *client_tls;  /* of SIMPLE and MUTUAL */
    struct sv
        identities; /* in mutual TLS of the mesh an endpoint must be one of these, "a,b"; empty: who
                             its Pod says */
    const struct health_check *check; /* NULL: endpoints are not asked */
    struct sv check_key; /* with check: same for clusters whose endpoints are asked the same way */
    enum lb_kind lb;
    const struct pool_limits *limits; /* NULL: none */
    const struct hash_policy *hash;   /* proxy/route/action.h; NULL: by load */
    const struct endpoint *const *endpoints;
    size_t endpoints_len;
    uint32_t id;       /* dense within the mesh: round-robin cursors live in a worker's array */
    bool is_looked_up; /* its endpoints are what host names mean (ServiceEntry, resolution DNS) */
    bool
        is_as_meant; /* a connection goes to the address it was made to, if known (resolution NONE) */
    const struct origin *const *rules; /* DestinationRules that had a say, strongest first */
    size_t rules_len;
};

struct route_target {
    const struct cluster *cluster;
    uint32_t weight;
    bool is_broken; /* nothing is sent there: the Gateway API has such requests answered 500 */
    const struct header_edits *request, *response; /* NULL: none; after those of the route */
    struct sv authority;                           /* instead of the route's; empty: that */
};
struct route {
    struct sv name;                     /* "default" or "VS.route.match" as Istio's log says */
    const struct route_target *targets; /* at least one, unless the route answers by itself */
    size_t targets_len;
    uint32_t weight_sum;
    int64_t timeout_ns; /* 0: none */
    const struct retry_policy *retry;
    const struct route_actions *actions; /* proxy/route/action.h; NULL: sent on as it is */
    const struct origin *origin;         /* the rule; NULL: the Service as it is */
};

/* Of a Sidecar: where may callers go that no host is known for? */
enum outbound_policy { OUTBOUND_UNSAID, OUTBOUND_ALLOW_ANY, OUTBOUND_REGISTRY_ONLY };
/* What Telemetry objects say of requests at one side; where they are silent the proxy's options decide. */
enum telemetry_switch { TELEMETRY_UNSAID, TELEMETRY_ON, TELEMETRY_OFF };
struct telemetry_rules {
    double sampling; /* percent of the traces begun here; below 0: not said */
    enum telemetry_switch spans, log;
    unsigned log_from; /* lines only from this status on, or without any; 0: all */
};
enum mtls_mode { MTLS_PERMISSIVE, MTLS_STRICT, MTLS_DISABLE };

/* What host names mean now; asked while a mesh is loaded, which is made anew when the answers change. */
struct mesh_names {
    void *to;
    /* The addresses of a name as text, borrowed until the load returns; 0: none are known yet. */
    size_t (*addresses)(void *to, struct sv name, const struct sv **ret_list);
};
#define MESH_NAMES_MAX 256 /* host names that are looked up: each is asked for again and again */

struct mesh_conf {
    const char *dir;        /* every *.yaml and *.yml in it; NULL: an empty mesh */
    struct identity self;   /* this workload; gateways and selectors are matched against it */
    struct sv self_labels;  /* "app=x,version=v1": from the workload's own Pod when empty */
    struct sv trust_domain; /* "cluster.local" */
    struct sv trust_domain_aliases; /* "a,b": mean the same in policies */
    bool is_gateway; /* take Ingresses and what is bound to gateways instead of "mesh" */
    uint16_t ingress_http, ingress_https; /* where Ingresses are served; 0: not */
    struct sv ingress_class;              /* only Ingresses of this class; empty: every one */
    struct sv gateway_class;              /* the same of the Gateway API's Gateways */
    const struct mesh_names *names;       /* NULL: no name means anything */
    bool wants_tcp;      /* a sidecar that takes connections over: mesh_tcp_by_...() answer */
    bool knows_original; /* where each connection was going is known: names need not be for that */
};
/* Gives a mesh with one reference; NULL with err "file:line:column: reason". */
struct mesh *mesh_load(const struct mesh_conf *conf, struct err *err) MUST_USE;
/* The same of one text instead of conf->dir; name stands for the file in messages. */
struct mesh *mesh_load_text(const struct mesh_conf *conf, const char *name, struct sv text,
                            struct err *err) MUST_USE;
struct mesh *mesh_ref(struct mesh *m);
struct mesh *mesh_unref(struct mesh *m);

/* Warnings of the load (unknown field, subset without endpoints ...), one text each. */
/* The host names that ServiceEntries want looked up, each once. */
size_t mesh_names_wanted(const struct mesh *m, const struct sv **ret_list);
size_t mesh_warnings(const struct mesh *m, const struct sv **ret_list);

/* The route for an outbound (or, on a gateway, an incoming) request: virtual host by authority
 * (port ignored; FQDN, short names, "*.x" wildcards), then first match wins. port: the Service port
 * the client meant, 0 when unknown. NULL when nothing matches: 404 NR route_not_found. */
const struct route *mesh_route(const struct mesh *m, const struct http_head *req, uint16_t port);
/* A gateway's: what stands behind the port it listens on, Ingresses before Gateways. 0: any. */
struct route_ask {
    const struct http_head *req;
    bool is_tls;
    uint16_t listen;
    bool is_onward; /* an Ingress has sent it on to the Gateway of that Service port (not the
                       listening one) */
};
const struct route *mesh_gateway_route(const struct mesh *m, const struct route_ask *ask);
/* The walk behind the answers above, for people: each rule that did not take the request and why, in
 * order, until the one that did. port: as for mesh_route(), of a sidecar. */
struct match_miss; /* proxy/route/match.h */
struct mesh_miss {
    struct sv
        host; /* of the virtual host: "reviews.default.svc.cluster.local", ".x" (for "*.x"), "*" */
    const struct route *route; /* one of those that the rule has */
    const struct match_miss *why;
    bool is_outer; /* a condition of the rule that delegated to this one */
};
typedef void mesh_miss_fn(void *to, const struct mesh_miss *miss);
/* The virtual host that took the request, or the last one asked; empty: none is for this host. The
 * view lives as long as the mesh. */
struct sv mesh_explain_route(const struct mesh *m, const struct route_ask *ask, bool is_gateway,
                             uint16_t port, mesh_miss_fn *each, void *to);
/* Every virtual host, for people. listen: of a gateway, 0 in a sidecar and for Ingresses. */
struct vhost; /* proxy/route/hosts.h */
typedef void mesh_host_fn(void *to, uint16_t listen, struct sv host, const struct vhost *v);
void mesh_each_host(const struct mesh *m, mesh_host_fn *each, void *to);
/* Who an endpoint must prove to be in mutual TLS of the mesh, "a,b"; empty: anybody of the mesh. e
 * may be NULL: nobody in particular. */
struct sv mesh_expected(const struct cluster *c, const struct endpoint *e);
/* Weighted choice; random is uniform over all 64 bits. The route must have targets. */
const struct route_target *route_pick(const struct route *r, uint64_t random);

/* Connections to a Service's port, by its name in any spelling, or by an address: the Service's own,
 * an endpoint's, or one in a ServiceEntry's block. NULL when there is none, or it was not wanted. */
const struct tcp_service *mesh_tcp_by_host(const struct mesh *m, struct sv host, uint16_t port);
const struct tcp_service *mesh_tcp_by_name(const struct mesh *m, struct sv fqdn, uint16_t port);
const struct tcp_service *mesh_tcp_by_address(const struct mesh *m, const struct ip *ip,
                                              uint16_t port);
/* Where mesh_tcp_by_address() has none: by the server name of a ClientHello (lower case) as well. */
const struct tcp_service *mesh_tcp_by_sni(const struct mesh *m, const struct ip *ip, uint16_t port,
                                          struct sv sni);
/* The address of a Service's own that the mesh knows first; not known: it has none. */
struct ip mesh_tcp_address(const struct mesh *m, const struct tcp_service *s);
/* A gateway's, of the port it listens on; without entries there are no such routes. */
const struct tcp_service *mesh_gateway_tcp(const struct mesh *m, uint16_t listen);
/* What the Services of this workload declare its port to speak. */
enum port_protocol mesh_own_protocol(const struct mesh *m, uint16_t port);
/* The host of the Service that has the one or the other port of this workload; empty: none. */
struct sv mesh_own_service(const struct mesh *m, uint16_t port, uint16_t other);

/* Who this workload is by its own Pod, whether a Service selects it or not; NULL without a Pod. */
const struct identity *mesh_self(const struct mesh *m);
/* Who has this address: a pod's identity, or NULL. ip: "10.0.0.7" or "::1". */
const struct endpoint *mesh_endpoint_by_ip(const struct mesh *m, struct sv ip);
/* The endpoint of c that has this very address and port, which may be a Service's own: NULL. */
const struct endpoint *mesh_endpoint_meant(const struct mesh *m, const struct cluster *c,
                                           struct sv ip, uint16_t port);
/* FQDN of the service an inbound request asked for (authority), empty when it is none. */
struct sv mesh_service_fqdn(const struct mesh *m, struct sv authority);
/* May what was taken over leave for an address nobody has? host: its authority or server name, in any case;
 * otherwise: --outbound-traffic-policy, when no Sidecar says. */
bool mesh_lets_out(const struct mesh *m, struct sv host, uint16_t port, bool otherwise);
/* is_server: of requests to this workload; else of those it or a gateway sends. Never NULL. */
const struct telemetry_rules *mesh_telemetry(const struct mesh *m, bool is_server);
/* What PeerAuthentication asks of this workload's port: mesh < namespace < workload < port. */
enum mtls_mode mesh_inbound_mtls(const struct mesh *m, uint16_t port);
/* The PeerAuthentication that said so; NULL: none did. */
const struct origin *mesh_inbound_mtls_by(const struct mesh *m, uint16_t port);

/* The AuthorizationPolicies of this workload; NULL when there are none: everything is allowed. */
const struct authz *mesh_authz(const struct mesh *m);

/* One certificate of a port with TLS, and for whom it is shown. */
struct gateway_cert {
    const struct sv *hosts; /* exact, "*.suffix" or "*" */
    size_t hosts_len;
    struct sv namespace, secret;            /* of the Secret; secret empty: files */
    struct sv cert, key, ca;                /* PEM, when the Secret is among the objects */
    struct sv cert_file, key_file, ca_file; /* the Gateway names files */
    struct sv crl, crl_file;                /* of revoked callers; empty: nobody is */
    struct sv peer_names; /* callers' certificates must have one of these, "a,b"; empty: any */
    bool is_mutual;       /* callers must show a certificate */
    bool is_mesh;         /* the mesh's own, with which it is mutual */
    bool may_be_mutual;   /* they may */
    uint16_t tls_min;     /* 0x0303 for TLS 1.2, 0x0304 for 1.3 */
};
/* Listeners a gateway opens, from its Gateway and Ingress objects. */
struct gateway_port {
    uint16_t number;          /* the Service's port, which a Gateway names */
    uint16_t listen;          /* ours: the Service's targetPort, else number */
    struct sv name, protocol; /* "HTTP" */
    bool is_tls;
    bool is_tcp; /* no HTTP: routes of tcp[] decide */
    const struct gateway_cert *certs;
    size_t certs_len;
};
size_t mesh_gateway_ports(const struct mesh *m, const struct gateway_port **ret_list);
size_t mesh_clusters(const struct mesh *m, const struct cluster *const **ret_list);
size_t mesh_endpoints(const struct mesh *m, const struct endpoint *const **ret_list);

#endif
