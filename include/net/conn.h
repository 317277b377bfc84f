/* conn.h - a non-blocking byte stream over a socket, plain or TLS; the same calls for both.
 *
 * The owner is told by one callback and pulls bytes with conn_read() into its own memory, so an
 * idle connection holds no buffer. What the socket does not take at once is kept by the connection
 * (its only copy of data), and conn_is_congested() tells the owner to stop its source.
 *
 * One loop thread. The callback may call anything here, conn_close() included: the object goes at
 * the end of the turn and the callback is not called again. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "net/addr.h"
#include "net/loop.h"
#include "net/tls.h"
#include <sys/types.h>

struct conn;

enum conn_event {
    CONN_OPEN,     /* connected, and the TLS handshake is done; comes once, also for accepted TLS */
    CONN_READABLE, /* bytes, end of stream or an error wait in conn_read() */
    CONN_DRAINED,  /* was congested; everything queued has been sent */
    CONN_IDLE,     /* nothing was read or written for the idle time */
    CONN_FAILED,   /* connect, handshake or write failed: conn_error(); only conn_close() is left */
};
typedef void conn_fn(void *owner, struct conn *c, enum conn_event ev);

/* Takes fd (closed on failure too). Plain at first; follow with conn_start_tls() for TLS. The first
 * event comes in a later turn. NULL with err when memory is out. */
struct conn *conn_accept(struct loop *l, int fd, const struct addr *peer, conn_fn *fn, void *owner,
                         struct err *err) MUST_USE;
/* Starts to connect. A failure known at once is also told by CONN_FAILED; NULL only when memory or
 * file descriptors are out. timeout_ns covers connect and TLS handshake. */
struct conn *conn_connect(struct loop *l, const struct addr *to, int64_t timeout_ns, conn_fn *fn,
                          void *owner, struct err *err) MUST_USE;
/* The kernel asks a silent peer whether it is still there; whole seconds, 0 means the system's. */
void conn_keep_alive(struct conn *c, unsigned probes, int64_t idle_ns, int64_t interval_ns);
/* Where a connection is made from. */
struct conn_from {
    struct addr addr; /* port 0: any; else that one or, when it is taken, one of the next few */
    uint32_t mark;    /* of its packets (SO_MARK), and addr may be anybody's (IP_TRANSPARENT): needs
                         CAP_NET_ADMIN; 0: ordinary */
};
/* conn_connect() from there; NULL: the system chooses. */
struct conn *conn_connect_from(struct loop *l, const struct addr *to, const struct conn_from *from,
                               int64_t timeout_ns, conn_fn *fn, void *owner, struct err *err)
    MUST_USE;
/* Server side: now, before any conn_read(); timeout_ns for the handshake. Client side: after
 * conn_connect(), before CONN_OPEN. Borrows client until CONN_OPEN or CONN_FAILED. Keeps a
 * reference to ctx. */
int conn_start_tls(struct conn *c, struct tls_ctx *ctx, const struct tls_client *client,
                   int64_t timeout_ns, struct err *err) MUST_USE;

/* >0: bytes read. 0: none now, wait for CONN_READABLE. ERR_CLOSED: the peer's stream has ended
 * cleanly. ERR_IO, ERR_TLS: broken; conn_error() says why. One call reads until the socket is dry
 * or max is reached; in the latter case CONN_READABLE comes again. */
ssize_t conn_read(struct conn *c, void *to, size_t max) MUST_USE;
/* Looks at the first plain bytes without taking them; returns as conn_read(). Not with TLS. */
ssize_t conn_peek(struct conn *c, void *to, size_t max) MUST_USE;
/* CONN_READABLE only when so many bytes wait at the socket, or the end of the stream does; 1: as ever.
 * For who has peeked and needs more. */
void conn_want(struct conn *c, size_t bytes);
/* Neither bytes nor an end of stream wait at the socket: asks the kernel, for connections that were
 * idle and are about to be used again. */
bool conn_is_quiet(const struct conn *c);
/* The peer will send no more than what is waiting to be read. */
bool conn_is_half_closed(const struct conn *c);
void conn_pause(struct conn *c);  /* no CONN_READABLE until conn_resume() */
void conn_resume(struct conn *c); /* CONN_READABLE comes again if bytes are left */

/* Sends the parts in order (one writev, one TLS record when they fit). Always takes all of them:
 * what the socket refuses is copied. ERR_IO, ERR_TLS, ERR_NOMEM: broken, conn_error() says why, and
 * CONN_FAILED is not told in addition. */
int conn_write(struct conn *c, const struct sv *parts, size_t n) MUST_USE;
size_t conn_unsent(const struct conn *c); /* bytes queued */
/* More than CONN_HIGH_WATER bytes are queued: stop the source until CONN_DRAINED. */
bool conn_is_congested(const struct conn *c);
#define CONN_HIGH_WATER 65536 /* about one socket buffer more than the kernel already holds */
/* No more writes; the peer sees the end of our stream once everything queued is sent. */
void conn_finish(struct conn *c);

void conn_set_idle(struct conn *c, int64_t idle_ns); /* 0: never */
/* Closes now: no more events, unsent bytes are dropped. Takes c; NULL is fine. */
void conn_close(struct conn *c);
/* conn_close() will be seen by the peer as a break, not as the end of our stream: a reset, and with TLS
 * no close_notify. What the kernel has not sent by then is lost. */
void conn_reset_at_close(struct conn *c);
/* Gives the socket away as it is, with all that was only peeked at. Plain connections that are open and
 * have nothing unsent. Takes c. */
int conn_detach(struct conn *c) MUST_USE;
/* Sends what is queued, ends our stream, reads and drops input until the peer closes or linger_ns
 * is over, then closes: an error answer is not lost to a reset. Takes c. */
void conn_close_gently(struct conn *c, int64_t linger_ns);

const struct err *conn_error(const struct conn *c);
const struct addr *conn_peer(const struct conn *c);
const struct addr *conn_local(const struct conn *c); /* looked up once */
int conn_fd(const struct conn *c); /* for the options of a socket that only its owner knows */
/* The facts of the finished handshake; NULL on a plain connection. Valid as long as c. */
const struct tls_info *conn_tls(const struct conn *c);

#endif
