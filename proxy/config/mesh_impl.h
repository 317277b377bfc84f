/* mesh_impl.h - what a mesh is made of; for the files of this folder only. */
#ifndef PROXY_CONFIG_MESH_IMPL_H
#define PROXY_CONFIG_MESH_IMPL_H

#include "proxy/authz/authz.h"
#include "proxy/config/catalog.h"
#include "proxy/config/mesh.h"
#include "proxy/route/action.h"
#include "proxy/route/hosts.h"
#include "proxy/route/tcp.h"

/* A Gateway's server behind a door. */
struct door_server {
    const struct gateway *gateway;
    const struct gateway_server *server;
    struct door_server *next;
};
/* A port that a gateway listens on, and what stands behind it. */
struct door {
    struct gateway_port *port; /* in mesh->gateway_ports */
    struct hosts hosts;        /* of VirtualServices bound to the servers */
    struct door_server *servers;
    bool has_ingress;       /* Ingresses are asked first */
    struct tcp_service tcp; /* tls[] and tcp[] routes of VirtualServices bound to the servers */
};

struct tcp_address {
    struct ip ip;
    uint16_t port;
    bool is_endpoint;
    const struct tcp_service *service;
};
/* Of a ServiceEntry: "*.suffix" at a port. */
struct wild_port {
    struct sv host;
    uint16_t port;
};
/* A port of a ServiceEntry that stands for a block of addresses. */
struct tcp_net {
    struct ip_block block; /* bits behind its length are 0 */
    uint16_t port;
    const struct tcp_service *service;
};
struct own_port {
    struct sv host;
    uint16_t port;
    enum port_protocol protocol;
};

struct mesh {
    unsigned refs;
    struct arena mem; /* every byte below but tables and patterns */
    struct hosts hosts;
    const struct cluster **clusters;
    size_t clusters_len;
    const struct endpoint **endpoints;
    size_t endpoints_len;
    const struct endpoint **by_ip; /* one an address, sorted by it */
    size_t by_ip_len;
    struct identity self;                /* of the workload's own Pod; workload empty without one */
    struct telemetry_rules telemetry[2]; /* as a client, as a server */
    enum outbound_policy outbound;
    const struct wild_port *wild_ports;
    size_t wild_ports_len;
    enum mtls_mode mtls;
    const struct origin *mtls_by, *mtls_ports_by; /* NULL: nobody */
    const struct port_mtls *mtls_ports;
    size_t mtls_ports_len;
    const struct authz *authz;
    struct gateway_port *gateway_ports;
    size_t gateway_ports_len;
    struct door *doors; /* as many */
    size_t doors_len;
    struct tcp_service *tcp; /* by host and port; empty unless they were wanted */
    size_t tcp_len;
    struct tcp_address *tcp_addresses; /* by address and port */
    size_t tcp_addresses_len;
    struct tcp_net *tcp_nets; /* by port, the longest blocks first */
    size_t tcp_nets_len;
    const struct own_port *own_ports;
    size_t own_ports_len;
    struct hosts ingress;        /* hosts of Ingresses, behind each door that has them */
    struct route https_redirect; /* 301, as a Gateway's httpsRedirect has it */
    const struct sv *names;      /* to be looked up */
    size_t names_len;
    const struct sv *warnings;
    size_t warnings_len;
    struct owned_regex *regexes;
};

/* tcp_nets.c: who takes connections to an address that is nobody's own, whatever their first bytes; NULL:
 * nobody, or their server name has a say. */
const struct tcp_service *tcp_net_service(const struct mesh *m, const struct ip *ip, uint16_t port);

#endif
