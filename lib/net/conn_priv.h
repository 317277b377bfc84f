/* conn_priv.h - a connection's inside, shared by conn.c (life) and conn_io.c (bytes). */
#ifndef NET_CONN_PRIV_H
#define NET_CONN_PRIV_H

#include "base/buf.h"
#include "loop_priv.h"
#include "net/conn.h"
#include "tls_priv.h"

enum conn_state {
    CONN_CONNECTING,
    CONN_HANDSHAKING,
    CONN_UP,
    CONN_LINGERING, /* the owner is gone; the last bytes are on their way */
    CONN_BROKEN,    /* error is set */
    CONN_CLOSED,    /* waits for the end of the turn */
};

struct conn {
    struct io io;
    struct loop *loop;
    conn_fn *fn;
    void *owner;
    int fd;
    enum conn_state state;
    bool has_tls;
    bool is_paused;
    bool is_ended;     /* the peer's stream ended, or reading failed */
    bool is_finishing; /* our stream ends when `out` is empty */
    bool is_finished;  /* it has */
    bool is_congested; /* CONN_DRAINED is due */
    bool has_local;
    bool resets_at_close;
    bool read_wants_write; /* TLS: reading waits for the socket to take bytes */
    bool is_open_due, is_failed_due, is_read_due; /* told by `later` */
    struct defer later;
    struct orphan orphan; /* while lingering */
    struct timer timer;   /* connect, handshake, idle or linger: one at a time */
    int64_t idle_ns;
    struct buf out; /* what the socket did not take */
    struct addr peer, local;
    struct tls_state tls;
    struct err error;
};

/* Asks the loop for what the state needs. */
void conn_watch(struct conn *c);
/* Records the cause (unless one is known) and answers its code. */
int conn_broke(struct conn *c, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Sends from `out`; 0, or a negative code when the connection broke. */
int conn_flush(struct conn *c) MUST_USE;
/* CONN_READABLE comes again without a new file event. */
void conn_read_later(struct conn *c);
void conn_touch(struct conn *c); /* something moved: the idle time starts anew */

#endif
