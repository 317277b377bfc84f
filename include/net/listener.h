/* listener.h - a listening socket that accepts up to a bound and never starves.
 *
 * At max_conns it stops accepting (the kernel's backlog waits) until listener_conn_gone(). When the
 * process is out of file descriptors a reserved one is spent to accept and drop the newest caller,
 * so that the rest of the program keeps running. One loop thread. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "net/addr.h"
#include "net/loop.h"

struct listener;
/* fd: taken by the callee (non-blocking, close-on-exec, TCP_NODELAY). */
typedef void accept_fn(void *owner, struct listener *l, int fd, const struct addr *peer);

struct listener_conf {
    struct sv host;      /* text address */
    uint16_t port;       /* 0: any free one */
    int backlog;         /* 0: 511 */
    size_t max_conns;    /* 0: 16384 */
    bool reuse_port;     /* several workers on one port */
    bool is_transparent; /* takes connections made to any address (TPROXY): needs CAP_NET_ADMIN */
    bool is_paused;      /* callers wait until listener_resume() */
};
struct listener *listener_open(struct loop *l, const struct listener_conf *conf, accept_fn *fn,
                               void *owner, struct err *err) MUST_USE;
uint16_t listener_port(const struct listener *l); /* the real one */
void listener_pause(struct listener *l);
void listener_resume(struct listener *l);
/* One accepted connection is over. */
void listener_conn_gone(struct listener *l);
size_t listener_conns(const struct listener *l);
struct listener_counts {
    uint64_t accepted, dropped_no_fd, stopped_at_cap;
};
struct listener_counts listener_counts(const struct listener *l);

/* All listeners of a loop at once, for a process that takes over from another.
 *
 * Leaves listening sockets to the loop: a listener_open() with the address of one takes it instead
 * of opening its own. Takes the descriptors; what is no listening socket or too many is closed.
 * Answers how many were kept. */
size_t listeners_inherit(struct loop *l, const int *fds, size_t len);
void listeners_disinherit(struct loop *l); /* closes what nobody asked for */
/* The open sockets, borrowed; at most max of them. */
size_t listeners_fds(struct loop *l, int *ret_fds, size_t max);
/* Deaf: nobody accepts, callers wait in the kernel, the sockets stay open. */
void listeners_set_deaf(struct loop *l, bool is_deaf);

/* Takes; NULL is fine. Returns NULL. */
struct listener *listener_close(struct listener *l);

#endif
