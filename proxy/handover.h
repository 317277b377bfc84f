/* handover.h - one process follows another on the same ports, and no caller notices.
 *
 * With --handover PATH a process listens at PATH for its successor. One that starts asks there first:
 * it gets the listening sockets, opens everything, says that it is ready, and only then the one before
 * stops accepting and drains. Whoever of the two dies, the other serves. docs/lifecycle.md */
#ifndef PROXY_HANDOVER_H
#define PROXY_HANDOVER_H

#include "base/err.h"
#include "net/fdpass.h"
#include <sys/types.h>

struct worker;

struct handover {
    struct worker *worker;
    struct fd_watch *door;    /* where a successor asks; NULL without --handover */
    struct fd_watch *next;    /* a successor that has asked */
    struct fd_watch *refused; /* one more, that will get its answer when it has spoken */
    const char *refusal;
    struct fd_watch *before; /* whom we followed, until it has ended */
    int before_fd;           /* the same before we took over; -1 */
    struct timer timer;      /* for a successor to become ready */
    bool has_yielded;        /* the successor serves */
    pid_t child;             /* a successor of our own making; 0 */
};

/* Before any port is opened: takes over the sockets of a process before us, if there is one, and
 * those a supervisor gave. Nobody there is no failure. */
void handover_begin(struct worker *w);
/* Everything is open: the one before us yields, and successors may ask. */
int handover_finish(struct worker *w, struct err *err) MUST_USE;
/* Starts the program file of this process again with the same arguments, as a successor. */
void handover_spawn(struct worker *w, char *const *argv);
/* Tells of a child that has ended; on SIGCHLD. */
void handover_reap(struct worker *w);
/* We end because we are told to: nobody needs to take back what we took over. */
void handover_leave(struct worker *w);
void handover_close(struct worker *w);

#endif
