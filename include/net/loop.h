/* loop.h - one event loop a thread: file events, timers, deferred work, wake-ups, signals.
 *
 * A turn is: due timers, one wait for file events, their callbacks, deferred work. Everything here
 * belongs to the thread that runs the loop, except wake_send(). Callbacks
 * never block, and may close any object at any time: memory goes at the end of the turn. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "base/err.h"
#include "base/list.h"
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct uv_loop_s;

struct loop *loop_new(struct err *err) MUST_USE; /* gives */
/* Takes. Every connection and listener on it must have been closed before. */
struct loop *loop_free(struct loop *l);
void loop_run(struct loop *l);  /* until loop_stop() */
void loop_stop(struct loop *l); /* loop_run() returns after this turn */
/* Monotonic; taken at the start of the turn, so it costs nothing. */
int64_t loop_now_ns(const struct loop *l);
struct uv_loop_s *loop_uv(struct loop *l); /* for file watching and name lookups */

/* A timer lies in its owner's memory; nothing is allocated. Moving the due time of a running timer
 * further away is a store, so an idle timeout may be pushed forward at every read. */
struct timer;
typedef void timer_fn(struct timer *t);
struct timer {
    struct loop *loop;
    timer_fn *fire;
    int64_t due_ns;   /* when to fire, on loop_now_ns()'s clock */
    int64_t armed_ns; /* its place in the heap: <= due_ns; 0 when not in the heap */
    struct timer *child, *next, *prev;
};
void timer_init(struct timer *t, struct loop *l, timer_fn *fire);
void timer_set(struct timer *t, int64_t due_ns);     /* absolute */
void timer_after(struct timer *t, int64_t delay_ns); /* from loop_now_ns() */
void timer_stop(struct timer *t);                    /* safe when not set, and after zeroing */
static inline bool timer_is_set(const struct timer *t)
{
    return t->due_ns != 0;
}

/* Work for the end of this turn; the node lies in its owner's memory and may be queued once. */
struct defer;
typedef void defer_fn(struct defer *d);
struct defer {
    struct list node;
    defer_fn *run;
};
void loop_defer(struct loop *l, struct defer *d, defer_fn *run); /* again while queued: no-op */
void defer_cancel(struct defer *d);

/* Wakes the loop from any thread; several sends may arrive as one call. */
struct wake;
typedef void wake_fn(void *to);
struct wake *wake_new(struct loop *l, wake_fn *fn, void *to, struct err *err) MUST_USE; /* gives */
void wake_send(struct wake *w);         /* any thread */
struct wake *wake_free(struct wake *w); /* takes; loop thread; no wake_send() after it */

/* Calls fn on the loop whenever the process gets the signal; kept until loop_free(). */
typedef void signal_fn(void *to, int signum);
int loop_on_signal(struct loop *l, int signum, signal_fn *fn, void *to, struct err *err) MUST_USE;

#endif
