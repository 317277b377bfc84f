/* resolve.h - from objects to a mesh: the steps of mesh_load() after reading.
 *
 * Order: resolve_pods, resolve_services (endpoints), resolve_scope (what this proxy sees), resolve_rules
 * (DestinationRules by host), resolve_references (warns of what may not be named), resolve_doors (ports of a
 * gateway), resolve_routes (virtual hosts; makes clusters on demand),
 * resolve_tcp (connections), resolve_ingresses, resolve_security, resolve_authorization, resolve_publish.
 * Running out of memory is latched in the findings; everything else becomes a warning. */
#ifndef PROXY_CONFIG_RESOLVE_H
#define PROXY_CONFIG_RESOLVE_H

#include "base/buf.h"
#include "proxy/config/mesh_impl.h"

#define CLUSTER_DOMAIN SV("cluster.local") /* of DNS; the trust domain may be another */

enum role { ROLE_SIDECAR, ROLE_GATEWAY, ROLE_CHECK /* takes every object: tulle check */ };

struct backend {
    struct endpoint *endpoint;
    const struct pod *pod; /* NULL when the address belongs to no Pod we know */
};
struct port_backends {
    struct backend *list;
    size_t len, cap;
};
struct rule_link {
    const struct destination_rule *rule;
    struct rule_link *next;
};
struct cluster_entry {
    struct cluster cluster;
    bool is_unopened; /* of resolve_unopened_cluster() */
    struct cluster_entry *next_of_service, *next;
};
/* A Service, or a host that routes name without there being one (object NULL). */
struct service_entry {
    const struct service *object;
    struct sv fqdn;
    const struct backends *slices;
    struct port_backends *ports; /* one for each of object->ports */
    const struct rule_link *rules;
    bool has_rules; /* rules was looked up */
    bool is_hidden; /* callers do not see it; routes may lead there */
    struct cluster_entry *clusters;
    struct service_entry *next;
};
struct resolve {
    struct catalog *catalog;
    struct mesh *mesh;
    enum role role;
    struct sv namespace, trust_domain, cluster;
    struct sv aliases; /* of trust_domain, "a,b" */
    struct sv workload;
    struct labels self_labels;
    size_t doors_max;
    uint16_t ingress_http, ingress_https;
    struct sv ingress_class, gateway_class;
    bool wants_tcp; /* connections are taken over: every port of every Service can be asked for */
    struct map services;   /* fqdn -> service_entry */
    struct map names;      /* interned text -> its copy in the mesh's arena */
    struct map addresses;  /* "ip:port" -> endpoint */
    struct map pods_by_ip; /* ip -> pod */
    struct map rules;      /* fqdn -> rule_link */
    struct rule_link *wildcard_rules;
    CATALOG_LIST(service_entry, entries);
    CATALOG_LIST(cluster_entry, clusters);
    uint32_t endpoints_len;
};

void resolve_done(struct resolve *r);
void resolve_pods(struct resolve *r);
void resolve_services(struct resolve *r);
void resolve_scope(struct resolve *r);
void resolve_rules(struct resolve *r);
void resolve_references(struct resolve *r);
void resolve_doors(struct resolve *r);
void resolve_routes(struct resolve *r);
void resolve_tcp(struct resolve *r);
void resolve_ingresses(struct resolve *r);
void resolve_security(struct resolve *r);
void resolve_authorization(struct resolve *r);
void resolve_publish(struct resolve *r);

void resolve_nomem(struct resolve *r);
/* One copy of each text in the mesh's arena. */
struct sv resolve_name(struct resolve *r, struct sv text);
/* Where an object (meta) or its rule at `at` was written; NULL when it was in no file or memory is out. */
const struct origin *resolve_origin(struct resolve *r, const struct meta *meta,
                                    const struct place *at);
/* Into a map of scratch values; trouble is latched. */
void resolve_put(struct resolve *r, struct map *m, struct sv key, void *value);
/* "reviews" of an object in namespace ns to its full name; names with dots that are no service's
 * short form stay as they are. The result lives in scratch. */
struct sv resolve_host(struct resolve *r, struct sv host, struct sv namespace);
/* The identity of a pod, as its own sidecar and Istio would tell it; parts are interned. */
struct identity resolve_identity(struct resolve *r, const struct pod *p);
/* Does the pod take mutual TLS at its port: has it a sidecar whose PeerAuthentication is not DISABLE? */
bool resolve_takes_mtls(struct resolve *r, const struct pod *p, uint16_t port);
/* The entry of a full name; made without object when there is none. */
struct service_entry *resolve_entry(struct resolve *r, struct sv fqdn);
/* The port a request takes when none is named; 0 when the entry has none. */
uint16_t resolve_default_port(const struct service_entry *e);
bool resolve_has_port(const struct service_entry *e, uint16_t port);
/* The cluster of (service, port, subset), made when missing; NULL when memory is out. at: who asks,
 * for warnings; may be NULL. */
const struct cluster *resolve_cluster(struct resolve *r, struct service_entry *e, uint16_t port,
                                      struct sv subset, const struct place *at);
/* Is an object of that namespace exported to this proxy's? */
bool resolve_is_exported(const struct resolve *r, const struct text_list *to, struct sv namespace);
/* Is the host the pattern, or one of "*.suffix" or "*"? */
bool resolve_covers(struct sv pattern, struct sv host);
/* The same without TLS of ours, whatever a DestinationRule says: what is sent there is TLS already. Its
 * name is the server name that mesh clients ask for. */
const struct cluster *resolve_unopened_cluster(struct resolve *r, struct service_entry *e,
                                               uint16_t port, struct sv subset);
/* DestinationRules in force for the host, strongest first. */
const struct rule_link *resolve_rules_of(struct resolve *r, struct service_entry *e);
/* Does the selector of a listener take routes of the namespace? */
bool resolve_selects_namespace(struct resolve *r, const struct label_selector *s,
                               struct sv namespace);
/* May the route name this Service as a backend, and the Gateway this Secret? A Service there is not is
 * another matter. */
bool resolve_may_send(struct resolve *r, const struct virtual_service *v,
                      const struct destination *d);
bool resolve_may_show(struct resolve *r, const struct gateway *g, const struct gateway_server *s);
/* Does this proxy play the part of one of these gateways ("mesh" for sidecars)? */
bool resolve_is_bound(struct resolve *r, const struct text_list *gateways, struct sv namespace);
/* Is g among them? */
bool resolve_names_gateway(const struct text_list *gateways, struct sv namespace,
                           const struct gateway *g);
/* Does v want to be served there, and is it let? */
bool resolve_names_server(struct resolve *r, const struct virtual_service *v,
                          const struct door_server *s);
/* What "[ns/]pattern" of a server and the host of a VirtualService in vs_namespace have in common:
 * the narrower of the two, or an empty view. */
struct sv resolve_host_met(struct resolve *r, const struct door_server *s, struct sv pattern,
                           struct sv host, struct sv vs_namespace);
/* The name in "ns/name", and its namespace when it has one. */
struct sv resolve_split_name(struct sv text, struct sv *namespace);
/* In lower case; in scratch. */
struct sv resolve_lower(struct resolve *r, struct sv host);
/* One rule under one match block (NULL: everything) as an entry; false when memory is out. v: whose
 * names are meant, only its meta is looked at. */
bool resolve_rule(struct resolve *r, const struct virtual_service *v, const struct http_rule *rule,
                  const struct http_match *m, struct route_entry *to) MUST_USE;
/* The targets of a rule, as connections or requests for this port (0: unknown) mean them; NULL when
 * memory is out. */
const struct route *resolve_route(struct resolve *r, const struct virtual_service *v,
                                  const struct http_rule *rule, struct sv name, uint16_t port);
/* Of mesh->tcp, ServiceEntries by their blocks of addresses. */
void resolve_tcp_nets(struct resolve *r);
/* The Service that v, a route of the Gateway API, is attached to as far as it holds for this sidecar's
 * callers; NULL: it is not, or does not. */
struct service_entry *resolve_mesh_parent(struct resolve *r, const struct virtual_service *v);
/* Confines entries of v to the port its parent names, if any; false when memory is out. */
bool resolve_mesh_port(struct resolve *r, const struct virtual_service *v,
                       const struct service_entry *e, struct route_entry *entries, size_t len)
    MUST_USE;
/* Does one of the routes attached to the Service speak for this port? */
bool resolve_is_mesh_port(struct resolve *r, const struct service_entry *e, uint16_t port);
/* Sorts the entries of hosts that go by precedence (HTTPRoute). */
void resolve_precedence(struct resolve *r, struct hosts *h);
/* Is the Service one through which others reach this very workload? */
bool resolve_is_own_service(struct resolve *r, const struct service_entry *e);
/* A rule's TLS with the Secret it names, looked for where the proxy is. */
const struct client_tls *resolve_client_tls(struct resolve *r, const struct client_tls *t);
/* Copies cert behind those of the door, with the Secret's text when it is among the objects. */
void resolve_add_cert(struct resolve *r, struct door *d, const struct gateway_cert *cert);
/* Where each server name leads that a server with AUTO_PASSTHROUGH of the door takes. */
void resolve_by_name(struct resolve *r, struct door *d, struct tcp_service *to);
/* The door that listens there, made when missing. */
struct door *resolve_door(struct resolve *r, uint16_t number, uint16_t listen, bool is_tls);

#endif
