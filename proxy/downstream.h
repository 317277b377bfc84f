/* downstream.h - a caller's connection: sniffs TLS, reads requests, one stream at a time. */
#ifndef PROXY_DOWNSTREAM_H
#define PROXY_DOWNSTREAM_H

#include "base/clock.h"
#include "net/conn.h"
#include "proxy/telemetry/peer_metadata.h"
#include "proxy/worker.h"
#include "wire/h1.h"
#include "wire/h2.h"

#define DOWN_LINGER_NS                                                                             \
    (2 * NS_PER_S) /* for the last answer to arrive before a reset could kill it */

struct down {
    struct list node; /* worker->downs */
    struct worker *worker;
    struct port *port;
    struct conn *conn;
    struct stream *stream; /* the request in flight; NULL between requests */
    struct tcp *tcp;       /* it is passed on as it is; then there are no requests */
    struct h1 h1;          /* its codec */
    struct buf in;         /* bytes of the next head */
    struct peer_cache peer;
    struct defer later;
    struct h2 *h2;       /* it speaks HTTP/2: `stream`, `h1` and `in` are not used */
    struct list streams; /* of h2: down_node */
    size_t streams_len;
    struct defer flush;   /* of h2: what streams have written */
    bool is_h2_due;       /* the preface came */
    bool is_h2_over;      /* the engine takes nothing more */
    bool is_aborting;     /* its streams are being ended */
    struct timer sniff;   /* how long the first bytes may take */
    struct addr original; /* has_original: where the caller was going before it was taken over */
    bool has_original;
    bool is_tls_begun;     /* a handshake was begun, perhaps it is still under way */
    bool is_sniffing;      /* the first bytes decide (sniff.c) */
    bool becomes_tcp;      /* after the TLS handshake */
    char cluster_text[24]; /* has_original, inbound: "inbound|8080||" */
    bool is_closed;
    bool is_last; /* closes when the request in flight is over */
    uint64_t requests;
    char peer_text[ADDR_TEXT_SIZE], local_text[ADDR_TEXT_SIZE];
    struct sv peer_addr, local_addr; /* into the above */
};

/* The application's port this is for, inbound. */
uint16_t down_app_port(const struct down *d);
/* "inbound|8080||", that port as a cluster. */
struct sv down_inbound_cluster(struct down *d);
/* Where the application is to be called from, so that what we send it is not taken over again; false:
 * it does not matter. original_choose_port() is due before it is connected from there. */
bool down_app_source(const struct down *d, struct conn_from *ret);
/* Bytes of a request are there, or its end of stream: begins a request if there is none. */
void down_read_request(struct down *d);
/* Takes fd. */
void down_accept(void *port, struct listener *l, int fd, const struct addr *peer);
/* The stream is over and gone. may_go_on: the connection can carry another request; is_cut: it must
 * end at once, else it is closed after what was written has arrived. */
void down_stream_done(struct down *d, bool may_go_on, bool is_cut);
/* Closes; the object goes at the end of the turn. Not while a stream is in flight. */
void down_close(struct down *d, int64_t linger_ns);
/* Closes when the requests under way are over; at once when there are none. */
void down_end(struct down *d);
/* Closes, and ends what is under way. */
void down_abort(struct down *d);

#endif
