/* SPDX-License-Identifier: Apache-2.0
 * tcp.h - where a connection goes whose bytes are not looked into: by server name, address and port. */
#ifndef PROXY_ROUTE_TCP_H
#define PROXY_ROUTE_TCP_H

#include "proxy/authz/ip_block.h"
#include "proxy/config/mesh.h"
#include "proxy/detect.h"

struct tcp_match {
    const struct sv *sni_hosts; /* lower case: exact, "*.suffix" or "*" */
    size_t sni_len;
    const struct ip_block *subnets; /* of the address the caller meant; none: any */
    size_t subnets_len;
    uint16_t port; /* the caller meant; 0: any */
};
struct tcp_entry {
    struct tcp_match match; /* all-zero: every connection */
    bool is_tls;            /* of tls[]: only for connections that begin with a ClientHello */
    const struct route *route;
};
/* The server name by which mesh clients mean one cluster, and the way to it. */
struct tcp_name {
    struct sv sni; /* lower case */
    const struct route *route;
};
/* Connections to a port of a Service, or to a gateway's. */
struct tcp_service {
    struct sv host; /* FQDN; empty: a gateway's port */
    uint16_t port;
    enum port_protocol protocol;     /* what the port is declared to speak */
    bool wants_sni;                  /* the ClientHello has to be read first */
    const struct tcp_entry *entries; /* first match wins; a Service's last one takes everything */
    size_t entries_len;
    const struct tcp_name *by_name; /* AUTO_PASSTHROUGH, after the entries; sorted */
    size_t by_name_len;
};
struct tcp_ask {
    bool is_tls;
    struct sv sni;         /* lower case; empty: none */
    struct ip destination; /* the caller meant; not known: subnets do not match */
    uint16_t port;         /* 0: not known */
};
/* NULL when nothing matches. */
const struct route *tcp_route(const struct tcp_service *s, const struct tcp_ask *ask);
/* The entry that takes the connection; NULL: none does, a name may. */
const struct tcp_entry *tcp_entry(const struct tcp_service *s, const struct tcp_ask *ask);
/* The way that the server name alone means; NULL: it means none. */
const struct route *tcp_route_by_name(const struct tcp_service *s, const struct tcp_ask *ask);
/* Is this connection's TLS passed on as it is? */
bool tcp_is_unopened(const struct tcp_service *s, const struct tcp_ask *ask);
/* The first condition of an entry that a connection does not meet. */
enum tcp_miss { TCP_FITS, TCP_MISS_TLS, TCP_MISS_PORT, TCP_MISS_NAME, TCP_MISS_SUBNET };
enum tcp_miss tcp_entry_miss(const struct tcp_entry *e, const struct tcp_ask *ask);

#endif
