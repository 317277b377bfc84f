/* fdpass.h - messages with file descriptors between two processes of one machine.
 *
 * A message is a line of text and up to FDPASS_MAX descriptors; it arrives whole or not at all. Any
 * thread; an end belongs to one. */
#ifndef NET_FDPASS_H
#define NET_FDPASS_H

#include "base/err.h"
#include "base/sv.h"
#include "net/loop.h"
#include <sys/types.h>

#define FDPASS_MAX        64 /* listening sockets of one process: ports and service doors, doubled */
#define FDPASS_TEXT_BYTES 256 /* one line */

struct fdpass_msg {
    char text[FDPASS_TEXT_BYTES];
    size_t text_len;
    int fds[FDPASS_MAX]; /* the receiver's to close */
    size_t fds_len;
};

/* A descriptor that listens at path for a process of the same machine; only this user's reach it.
 * Something that is there already is replaced at once, without a moment of nothing. */
int fdpass_listen(const char *path, struct err *err) MUST_USE;
/* A caller's descriptor (non-blocking) and its user, or ERR_BUSY when nobody waits. */
int fdpass_accept(int fd, uid_t *ret_user) MUST_USE;
/* ERR_NOT_FOUND when nobody listens there. Sending and receiving wait for timeout_ns at most. */
int fdpass_connect(const char *path, int64_t timeout_ns, struct err *err) MUST_USE;
int fdpass_send(int fd, struct sv text, const int *fds, size_t len, struct err *err) MUST_USE;
/* 0 with a message; ERR_BUSY: none now (or in time); ERR_CLOSED: the other end is gone. */
int fdpass_recv(int fd, struct fdpass_msg *ret_msg, struct err *err) MUST_USE;
void fdpass_drop(struct fdpass_msg *m); /* closes what was not taken */

/* Calls fn on the loop whenever the descriptor is readable (or broken). */
struct fd_watch;
typedef void fd_watch_fn(void *owner);
/* Takes fd, closed on failure too. Gives. */
struct fd_watch *fd_watch_new(struct loop *l, int fd, fd_watch_fn *fn, void *owner, struct err *err)
    MUST_USE;
int fd_watch_fd(const struct fd_watch *w);
struct fd_watch *fd_watch_free(struct fd_watch *w); /* takes, closes the descriptor; NULL is fine */

#endif
