/* SPDX-License-Identifier: Apache-2.0
 * tcp.h - a connection whose bytes are passed on as they are, from its first byte to its record. */
#ifndef PROXY_TCP_H
#define PROXY_TCP_H

#include "proxy/authz/authz.h"
#include "proxy/downstream.h"
#include "proxy/hello.h"
#include "proxy/route/tcp.h"
#include "proxy/tallies.h"
#include "proxy/upstream/breaker.h"

#define TCP_TRIES 3 /* endpoints: nothing has been sent, so another one may be asked */

struct tcp {
    struct worker *worker;
    struct down *down;
    enum side side;
    struct mesh *mesh;         /* a reference */
    const struct route *route; /* NULL: inbound, or nobody is known */
    const struct cluster *cluster;
    const struct endpoint *endpoint;
    const struct endpoint *tried[TCP_TRIES];
    size_t tried_len;
    bool is_last_resort; /* the endpoint was asked although it is ejected */
    struct breaker_seat seat;
    struct conn *up; /* NULL before and between tries */
    bool is_up_open, is_up_mesh;
    bool is_down_over, is_up_over; /* that side's stream has ended */
    bool is_tls;                   /* it begins with a ClientHello, which is passed on */
    struct addr target;
    uint64_t from_down, from_up; /* bytes */
    uint64_t told_down, told_up; /* of them, told while it lives */
    struct timer life;           /* maxConnectionDuration */
    struct timer report;
    bool is_refused;            /* it never was one: nothing but the record tells of it */
    bool is_counted, has_begun; /* as opened in the metrics; with a record */
    struct authz_decision authz;

    /* what is said of it */
    struct identity source, destination;
    struct sv service;
    int64_t started_ns, started_wall_ns;
    const char *flag; /* Envoy's short code, or NULL */
    struct sv cluster_name;
    char target_text[ADDR_TEXT_SIZE], local_text[ADDR_TEXT_SIZE];
    char sni[SNI_MAX + 1];
    char details[400];
    char failure[sizeof(((struct err *)0)->why)];
};

/* Takes the caller's connection over: from here on down->tcp gets its events. sni: of the ClientHello
 * that was seen (is_tls) or of the handshake that was done. Afterwards d may be closed. */
void tcp_begin(struct down *d, bool is_tls, struct sv sni);
/* The log and the record of a caller's connection that is closed before it is anything: NR. */
void tcp_refused(struct down *d, bool is_tls);
void tcp_on_down(struct tcp *t, enum conn_event ev);
/* Both connections end now. t is gone afterwards. */
void tcp_abort(struct tcp *t);

/* tcp_connect.c: who is asked, and how. */
/* Route and cluster; false: t->flag and t->details say why not. */
bool tcp_find(struct tcp *t) MUST_USE;
/* The next endpoint: t->up is on its way. False: there is none, or none can be reached. */
bool tcp_connect(struct tcp *t, conn_fn *on_up) MUST_USE;
int64_t
tcp_connect_timeout_ns(const struct tcp *t); /* of one try, the answer of a sidecar included */
uint32_t *tcp_load(const struct tcp *t);     /* as stream_load() */
/* May this caller speak to this port? */
bool tcp_is_allowed(struct tcp *t) MUST_USE;

/* tcp_record.c: what is told of it, in parts: BEGIN when it is open, BYTES from time to time, END. */
void tcp_record(struct tcp *t, enum call_part part);

#endif
