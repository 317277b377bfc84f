/* catalog.h - Kubernetes objects as read: typed, checked one by one, not yet related to each other.
 *
 * Objects are linked in the order they were read. Services, endpoints, pods and
 * authorization policies live in the loader's scratch arena and die when the mesh is resolved; the
 * other objects live in the mesh's arena, because its routes keep looking into them. */
#ifndef PROXY_CONFIG_CATALOG_H
#define PROXY_CONFIG_CATALOG_H

#include "base/base64.h"
#include "base/buf.h"
#include "proxy/authz/policy.h"
#include "proxy/config/field.h"
#include "proxy/config/ingress.h"
#include "proxy/config/mesh.h"
#include "proxy/detect.h"
#include "proxy/route/action.h"
#include "proxy/route/tcp.h"

#define ROOT_NAMESPACE SV("istio-system") /* where mesh-wide policies live */

struct meta {
    struct sv name, namespace;
    struct labels labels, annotations;
    int64_t created_s; /* INT64_MAX when not told: sorts last */
    uint32_t order;    /* in which objects were read: decides among equal times */
    struct place place;
};

struct service_port {
    struct sv name, target_name; /* target_name: a container port's name, else empty */
    uint16_t port, target;
    bool is_http; /* by appProtocol or the name's prefix */
    enum port_protocol protocol;
};
struct text_list {
    const struct sv *list;
    size_t len;
};
struct backends;
struct service { /* or a host of a ServiceEntry */
    struct meta meta;
    struct sv host;       /* of a ServiceEntry: its whole name; else empty */
    struct backends *own; /* a ServiceEntry's endpoints */
    bool is_looked_up;    /* some of them are host names */
    bool is_as_meant;     /* none: where the caller meant */
    struct labels selector;
    struct text_list addresses; /* the Service's own: cluster IPs, or a ServiceEntry's */
    struct sv
        identities; /* of a ServiceEntry: SPIFFE ids of which an endpoint must be one, "a,b" */
    struct text_list export_to; /* namespaces, "." (its own), "*"; none: all of them */
    struct service_port *ports; /* TCP only */
    size_t ports_len;
    const struct health_check *check; /* in the mesh's memory; NULL: none */
    struct service *next;
};
/* "*.suffix" of a ServiceEntry: callers may go there, to the address they have themselves. */
struct wild_host {
    struct meta meta;
    struct sv host;
    const struct service_port *ports;
    size_t ports_len;
    struct text_list export_to;
    struct wild_host *next;
};
struct backend_address {
    struct sv ip, pod; /* pod: name of the target, may be empty */
};
struct backend_port {
    struct sv name;
    uint16_t port;
};
struct backends { /* an EndpointSlice, or one subset of an Endpoints object */
    struct meta meta;
    struct sv service;                 /* name; same namespace */
    struct backend_address *addresses; /* ready ones */
    size_t addresses_len;
    struct backend_port *ports;
    size_t ports_len;
    struct backends *next;
    struct backends *next_of_service;
};
struct pod {
    struct meta meta;
    struct sv ip, service_account, owner_kind, owner_name;
    struct backend_port *ports; /* named container ports */
    size_t ports_len;
    bool is_ready, has_sidecar;
    bool is_entry;  /* a WorkloadEntry: its ports have the names of the Services' */
    bool is_inline; /* an endpoint of a ServiceEntry: no selector chooses it */
    struct pod *next;
    /* resolved */
    struct endpoint *self; /* port 0: who this address is */
};

struct destination {
    struct
        sv namespace; /* of a backendRef that names another namespace than its route's; else empty */
    bool is_broken; /* a backendRef that can lead nowhere: its share of requests is answered 500 */
    struct sv host, subset;
    uint16_t port; /* 0: the port of the request */
    uint32_t weight;
    const struct header_edits *request, *response; /* NULL: none */
    struct sv authority; /* the host that this destination is told; empty: as the rule says */
    struct place place;
};
struct mirror_to {
    struct destination to;
    uint32_t share; /* in millionths */
};
struct http_match {
    struct match match;
    bool is_everything; /* no condition at all */
    bool is_never;      /* a condition that cannot be decided here: no request fits */
    struct sv name;
    struct labels source_labels;
    struct sv source_namespace; /* empty: any */
    struct text_list gateways;  /* empty: those of the VirtualService */
};
struct http_rule {
    struct sv name;
    const struct http_match *matches; /* none: everything */
    size_t matches_len;
    const struct destination *targets; /* none: it answers by itself, or delegates */
    size_t targets_len;
    const struct route_actions *actions; /* NULL: none; its mirrors are these, by name: */
    const struct mirror_to *mirrors;
    size_t mirrors_len;
    struct sv delegate, delegate_namespace; /* the VirtualService that decides further */
    int64_t timeout_ns;
    const struct retry_policy *retry; /* NULL: nothing said */
    struct place place;
};
struct tcp_block { /* a match block of a tls or tcp rule */
    struct tcp_match match;
    struct labels source_labels;
    struct sv source_namespace; /* empty: any */
    struct text_list gateways;  /* empty: those of the VirtualService */
};
struct tcp_rule {
    struct http_rule rule; /* its targets and place; the rest is not used */
    bool is_tls;
    const struct tcp_block *blocks; /* none: everything */
    size_t blocks_len;
};
/* Kinds of routes of the Gateway API, as bits: what a listener takes. */
enum route_kind { ROUTES_HTTP = 1, ROUTES_GRPC = 2, ROUTES_TLS = 4, ROUTES_TCP = 8 };
/* Of an HTTPRoute's parentRef: the listener it means; empty and 0: all. */
struct parent_part {
    struct sv section;
    uint16_t port;
};
struct virtual_service {
    struct meta meta;
    bool
        is_k8s; /* an HTTPRoute: its most specific rule decides, and its gateways are Kubernetes' */
    enum route_kind kind;            /* of is_k8s */
    bool is_mesh;                    /* is_k8s: its parent is the Service that hosts names */
    uint16_t parent_port;            /* is_mesh: only this port of it; 0: all */
    const struct parent_part *parts; /* is_k8s: one for each of gateways */
    struct text_list hosts, gateways, export_to;
    const struct http_rule *rules;
    size_t rules_len;
    const struct tcp_rule *tcp; /* tls[], then tcp[] */
    size_t tcp_len;
    struct virtual_service *next;
};
/* "ns/host" of a Sidecar's egress: namespace may be "*", "." or "~", host a pattern. */
struct sidecar_host {
    struct sv namespace, host;
};
struct sidecar {
    struct meta meta;
    struct labels selector;
    bool has_egress; /* else every host is seen */
    const struct sidecar_host *hosts;
    size_t hosts_len;
    enum outbound_policy outbound;
    struct sidecar *next;
};
struct telemetry_object {
    struct meta meta;
    struct labels selector;
    struct telemetry_rules rules[2]; /* for clients, for servers */
    struct telemetry_object *next;
};
struct port_policy;
/* What a trafficPolicy says; nothing said: -1, NULL. */
struct traffic_policy {
    int tls;                        /* enum tls_mode */
    int lb;                         /* enum lb_kind */
    const struct hash_policy *hash; /* of said lb */
    const struct client_tls *client;
    const struct pool_limits *pool;
    const struct pool_limits *budget; /* only its budget counts */
    const struct outlier_policy *outlier;
    const struct port_policy *ports;
    size_t ports_len;
};
struct port_policy {
    uint16_t port;
    struct traffic_policy policy;
};
struct subset {
    struct sv name;
    struct labels labels;
    struct traffic_policy policy;
};
struct destination_rule {
    struct meta meta;
    struct sv host;
    struct traffic_policy policy;
    const struct subset *subsets;
    size_t subsets_len;
    struct text_list export_to;
    struct labels for_clients; /* workloadSelector; empty: every one */
    const struct health_check *check;
    struct destination_rule *next;
};
/* A ReferenceGrant's from (name: the namespace) and to (name empty: any). */
struct reference {
    struct sv group, kind, name;
};
struct reference_grant {
    struct meta meta;
    const struct reference *from, *to;
    size_t from_len, to_len;
    struct reference_grant *next;
};
struct namespace_object { /* only for its labels */
    struct meta meta;
    struct namespace_object *next;
};
enum label_operator { LABEL_IN, LABEL_NOT_IN, LABEL_EXISTS, LABEL_MISSING };
struct label_expression {
    struct sv key;
    int operator; /* enum label_operator */
    struct text_list values;
};
struct label_selector {
    struct labels labels;
    const struct label_expression *expressions; /* all must hold, too */
    size_t expressions_len;
};
struct gateway_server {
    struct gateway_port port;
    struct text_list hosts;
    struct gateway_cert cert; /* of is_tls; hosts and namespace are filled in later */
    bool is_served;           /* this proxy opens it */
    bool redirects_plain;     /* httpsRedirect */
    bool is_passed_on;        /* PASSTHROUGH: TLS is not ended here */
    bool is_by_name;          /* AUTO_PASSTHROUGH: nor does a route say where it goes */
    unsigned kinds;           /* enum route_kind bits, of a Gateway API's listener */
    const struct label_selector *namespaces; /* whose routes it takes, too; NULL: its hosts tell */
};
struct secret {
    struct meta meta;
    struct sv cert, key, ca, crl; /* PEM */
    struct secret *next;
};
struct gateway {
    struct meta meta;
    bool is_k8s; /* of the Gateway API: has a class instead of a selector */
    struct sv class;
    struct labels selector;
    const struct gateway_server *servers;
    size_t servers_len;
    struct gateway *next;
};
struct ingress {
    struct meta meta;
    struct sv class;
    const struct ingress_path *paths;
    size_t paths_len;
    const struct ingress_tls *tls;
    size_t tls_len;
    struct ingress_backend fallback;
    struct ingress_notes notes;
    struct ingress_canary canary;
    struct route_actions actions; /* of every path; rewrites are made for each */
    struct sv app_root;
    const struct retry_policy *retry; /* NULL: nothing said */
    struct ingress *next;
};
#define MTLS_UNSET (-1)
struct port_mtls {
    uint16_t port;
    int mode; /* enum mtls_mode or MTLS_UNSET */
};
struct peer_authentication {
    struct meta meta;
    bool has_selector;
    struct labels selector;
    int mode; /* enum mtls_mode or MTLS_UNSET */
    const struct port_mtls *ports;
    size_t ports_len;
    struct peer_authentication *next;
};

/* What a policy is bound to instead of workloads' labels: targetRefs, in the policy's namespace. */
enum target_kind {
    TARGET_GATEWAY,     /* networking.istio.io */
    TARGET_K8S_GATEWAY, /* gateway.networking.k8s.io */
    TARGET_OF_WAYPOINTS /* Service, ServiceEntry, GatewayClass: nobody here is one */
};
struct policy_target {
    enum target_kind kind;
    struct sv name;
    struct place place;
};
struct authorization_policy {
    struct meta meta;
    struct labels selector; /* empty: every workload */
    const struct policy_target *targets;
    size_t targets_len; /* 0: by selector */
    struct authz_written written;
    struct authorization_policy *next;
};

#define CATALOG_LIST(type, name)                                                                   \
    struct {                                                                                       \
        struct type *first, *last;                                                                 \
        size_t len;                                                                                \
    } name
#define CATALOG_ADD(list, object)                                                                  \
    do {                                                                                           \
        if ((list)->last)                                                                          \
            (list)->last->next = (object);                                                         \
        else                                                                                       \
            (list)->first = (object);                                                              \
        (list)->last = (object);                                                                   \
        (list)->len++;                                                                             \
    } while (0)

struct owned_regex {
    struct regex *regex;
    struct owned_regex *next;
};
struct catalog {
    struct arena *scratch; /* services, endpoints, pods */
    struct arena *mem;     /* the rest: as long as the mesh */
    struct findings findings;
    uint32_t objects;
    CATALOG_LIST(service, services);
    CATALOG_LIST(wild_host, wild_hosts);
    CATALOG_LIST(backends, backends);
    CATALOG_LIST(pod, pods);
    CATALOG_LIST(virtual_service, virtual_services);
    CATALOG_LIST(sidecar, sidecars);
    CATALOG_LIST(telemetry_object, telemetries);
    CATALOG_LIST(destination_rule, destination_rules);
    CATALOG_LIST(gateway, gateways);
    CATALOG_LIST(secret, secrets);
    CATALOG_LIST(reference_grant, reference_grants);
    CATALOG_LIST(namespace_object, namespaces);
    CATALOG_LIST(ingress, ingresses);
    CATALOG_LIST(peer_authentication, peer_authentications);
    CATALOG_LIST(authorization_policy, authorization_policies);
    const struct mesh_names *names; /* NULL: no name means anything */
    bool knows_original;            /* of mesh_conf */
    struct sv *wanted;              /* host names to be looked up; in mem */
    size_t wanted_len;
    struct owned_regex *regexes; /* the catalog's until it is resolved, then the mesh's */
};

/* Reads every document of a file, a folder's *.yaml and *.yml (in name order), or a text. Problems
 * become findings, also that a file cannot be read. */
void catalog_read_path(struct catalog *c, const char *path);
void catalog_read_text(struct catalog *c, const char *name, struct sv text);

/* One object a kind; root is its document. meta is read already. */
void read_service_entry(struct catalog *c, struct node *root, const struct meta *meta);
void read_service(struct catalog *c, struct node *root, const struct meta *meta);
void read_endpoint_slice(struct catalog *c, struct node *root, const struct meta *meta);
void read_endpoints(struct catalog *c, struct node *root, const struct meta *meta);
void read_pod(struct catalog *c, struct node *root, const struct meta *meta);
void read_virtual_service(struct catalog *c, struct node *root, const struct meta *meta);
void read_destination_rule(struct catalog *c, struct node *root, const struct meta *meta);
void read_sidecar(struct catalog *c, struct node *root, const struct meta *meta);
void read_telemetry(struct catalog *c, struct node *root, const struct meta *meta);
void read_gateway(struct catalog *c, struct node *root, const struct meta *meta);
void read_k8s_gateway(struct catalog *c, struct node *root, const struct meta *meta);
void read_http_route(struct catalog *c, struct node *root, const struct meta *meta);
void read_grpc_route(struct catalog *c, struct node *root, const struct meta *meta);
void read_tls_route(struct catalog *c, struct node *root, const struct meta *meta);
void read_tcp_route(struct catalog *c, struct node *root, const struct meta *meta);
void read_reference_grant(struct catalog *c, struct node *root, const struct meta *meta);
void read_namespace(struct catalog *c, struct node *root, const struct meta *meta);
void read_secret(struct catalog *c, struct node *root, const struct meta *meta);
void read_ingress(struct catalog *c, struct node *root, const struct meta *meta);
void read_peer_authentication(struct catalog *c, struct node *root, const struct meta *meta);
void read_authorization_policy(struct catalog *c, struct node *root, const struct meta *meta);

void read_workload_entry(struct catalog *c, struct node *root, const struct meta *meta);
/* Its fields, also those of an endpoint of a ServiceEntry; NULL when memory is out. */
struct pod *read_workload(struct reader *r, struct node *n, const struct meta *meta);

/* Parts of a rule that several kinds have. read_share(): percentage.value in millionths. */
void read_rule_actions(struct catalog *c, struct reader *r, struct node *n, struct http_rule *to);
void read_target_edits(struct reader *r, struct node *n, struct destination *to);
void read_destination(struct reader *r, struct node *d, struct destination *to);
void read_route_targets(struct reader *r, struct node *rule, struct http_rule *to);
void read_tcp_rules(struct reader *r, struct node *spec, struct virtual_service *to);
struct text_match read_string_match(struct catalog *c, struct reader *r, struct node *n);
/* Limits annotated as tulle.io/..., for each rule of the object. */
void read_object_limits(struct reader *r, struct node *root, struct sv kind,
                        const struct meta *meta, struct http_rule *rules, size_t len);
/* One of a route's backendRefs. */
void read_backend_ref(struct reader *r, struct node *n, struct sv namespace,
                      struct destination *to);
/* A route's parentRefs, when all else of v is read; adds it to the catalog as far as somebody serves it. */
void read_parent_refs(struct catalog *c, struct reader *r, struct node *spec,
                      struct virtual_service *v);
/* A Kubernetes LabelSelector; NULL when memory is out. */
const struct label_selector *read_label_selector(struct reader *r, struct node *map,
                                                 const char *name);
uint32_t read_share(struct reader *r, struct node *map, const char *name, uint32_t fallback);
/* A list of texts as a field's value, "a,b". */
struct sv read_joined(struct reader *r, struct node *map, const char *name);
/* Text that may stand in a request line, a Host field, a field's name. */
struct sv read_path_text(struct reader *r, struct node *map, const char *name);
struct sv read_host_text(struct reader *r, struct node *map, const char *name);
bool read_is_token(struct sv name);
/* subjectAltNames as "a,b": DNS names or URIs, of the mesh only SPIFFE ids. */
struct sv read_peer_names(struct reader *r, struct node *map, bool is_mesh);
enum regex_use { REGEX_WHOLE, REGEX_ANYWHERE, REGEX_AT_START_NOCASE };
/* The pattern, owned by the catalog; NULL when it is none (a finding at n says why). */
const struct regex *read_regex(struct catalog *c, struct reader *r, const struct node *n,
                               struct sv pattern, enum regex_use use);

/* What the annotation tulle.io/health-check says, in the mesh's memory; NULL: nothing. */
const struct health_check *read_health_check(struct catalog *c, struct node *root);

/* Zeroed memory in the reader's arena; NULL is noted in the findings. */
void *read_array(struct reader *r, size_t n, size_t size);
/* A copy in lower case, likewise. */
struct sv read_lower(struct reader *r, struct sv text);
/* http[].retries and trafficPolicy.outlierDetection; NULL when nothing is said. */
const struct retry_policy *read_retries(struct reader *r, struct node *rule, int64_t timeout_ns);
void read_traffic_policy(struct reader *r, struct node *map, struct traffic_policy *to);
const struct outlier_policy *read_outlier(struct reader *r, struct node *policy);
struct text_list read_texts(struct reader *r, struct node *map, const char *name);

#endif
