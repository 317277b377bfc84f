/* loop_priv.h - what lib/net's own files know of the loop: its timer heap and file events. */
#ifndef NET_LOOP_PRIV_H
#define NET_LOOP_PRIV_H

#include "net/loop.h"
#include <uv.h>

#define LOOP_SCRATCH_BYTES 16384 /* one full TLS record */
#define LOOP_INHERITED_MAX 128   /* from a process before us and from systemd */

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle;      /* runs only while deferred work is left: the wait must not block */
    uv_timer_t ticker;   /* set for the first timer of the heap */
    struct timer *first; /* root of the heap */
    int64_t ticker_due_ns;
    struct list deferred;
    struct list signals;
    struct list orphans; /* connections without an owner, sending their last bytes */
    struct list listeners;
    bool is_deaf;                      /* no listener accepts */
    int inherited[LOOP_INHERITED_MAX]; /* listening sockets nobody has asked for yet */
    size_t inherited_len;
    char *scratch; /* gathers small writes into one TLS record; NULL until needed */
};

/* Something that lives on without an owner; loop_free() ends it. */
struct orphan {
    struct list node;
    void (*end)(struct orphan *o);
};
void loop_adopt(struct loop *l, struct orphan *o, void (*end)(struct orphan *o));

/* Timers due at now_ns leave the heap and fire. */
void timers_run(struct loop *l, int64_t now_ns);
/* When the first one wants to run; INT64_MAX when there is none. */
int64_t timers_next_ns(const struct loop *l);

/* A file descriptor's events; lies in its owner's memory. */
struct io;
typedef void io_fn(struct io *io, bool is_readable, bool is_writable, bool is_broken);
struct io {
    uv_poll_t poll;
    io_fn *ready;
    int events; /* UV_READABLE | UV_WRITABLE asked for */
};
int io_init(struct io *io, struct loop *l, int fd, io_fn *ready) MUST_USE;
/* Asks for these events; costs nothing when they are the same. */
void io_want(struct io *io, int events);
/* Stops now; gone() runs at the end of the turn, then the memory is the owner's again. */
void io_close(struct io *io, uv_close_cb gone);

/* Room for one TLS record; NULL when memory is out. */
char *loop_scratch(struct loop *l);

#endif
