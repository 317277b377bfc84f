/* loop.c - libuv's loop with our own timers and deferred work around it.
 *
 * libuv waits for files, signals and wake-ups. Timers live in our heap (timer.c), and one uv_timer
 * stands for the earliest of them, set just before the wait. Deferred work runs after the callbacks
 * of a turn and once more before the wait; what it defers itself waits for the next turn, so that a
 * chain cannot starve the sockets. */
#include "base/clock.h"
#include "base/mem.h"
#include "loop_priv.h"
#include "net/listener.h"
#include <signal.h>

struct signal_watch {
    struct list node;
    uv_signal_t handle;
    signal_fn *fn;
    void *to;
};

struct wake {
    uv_async_t async;
    wake_fn *fn;
    void *to;
};

static void run_deferred(struct loop *l)
{
    struct list batch;
    if (list_is_empty(&l->deferred))
        return;
    batch = l->deferred;
    batch.next->prev = batch.prev->next = &batch;
    list_init(&l->deferred);
    while (!list_is_empty(&batch)) {
        struct defer *d = CONTAINER_OF(batch.next, struct defer, node);
        list_remove(&d->node);
        d->run(d);
    }
}

static void on_idle(uv_idle_t *h)
{
    (void)h;
}

static void on_ticker(uv_timer_t *h)
{
    struct loop *l = h->data;
    l->ticker_due_ns = INT64_MAX;
    timers_run(l, loop_now_ns(l));
}

/* One uv_timer for the whole heap; libuv counts milliseconds, so round up. */
static void set_ticker(struct loop *l)
{
    int64_t next_ns = timers_next_ns(l);
    if (next_ns == l->ticker_due_ns)
        return;
    l->ticker_due_ns = next_ns;
    if (next_ns == INT64_MAX) {
        uv_timer_stop(&l->ticker);
        return;
    }
    int64_t wait_ns = MAX(next_ns - loop_now_ns(l), 0);
    uv_timer_start(&l->ticker, on_ticker, (uint64_t)((wait_ns + NS_PER_MS - 1) / NS_PER_MS), 0);
}

static void on_prepare(uv_prepare_t *h)
{
    struct loop *l = h->data;
    run_deferred(l);
    set_ticker(l);
    if (list_is_empty(&l->deferred))
        uv_idle_stop(&l->idle);
    else
        uv_idle_start(&l->idle, on_idle);
}

static void on_check(uv_check_t *h)
{
    run_deferred(h->data);
}

struct loop *loop_new(struct err *err)
{
    struct loop *l = mem_zalloc(sizeof(*l));
    if (!l || uv_loop_init(&l->uv) != 0) {
        mem_free(l);
        err_set(err, ERR_NOMEM, "event loop");
        return NULL;
    }
    /* A peer that is gone must be an error of write(), TLS's included, not the end of us. */
    (void)signal(SIGPIPE, SIG_IGN);
    list_init(&l->deferred);
    list_init(&l->signals);
    list_init(&l->orphans);
    list_init(&l->listeners);
    l->ticker_due_ns = INT64_MAX;
    uv_prepare_init(&l->uv, &l->prepare);
    uv_check_init(&l->uv, &l->check);
    uv_idle_init(&l->uv, &l->idle);
    uv_timer_init(&l->uv, &l->ticker);
    l->prepare.data = l->check.data = l->idle.data = l->ticker.data = l;
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_start(&l->check, on_check);
    return l;
}

static void on_signal_gone(uv_handle_t *h)
{
    mem_free(h->data);
}

static void close_own(struct loop *l)
{
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->idle, NULL);
    uv_close((uv_handle_t *)&l->ticker, NULL);
    LIST_EACH (it, after, &l->signals) {
        struct signal_watch *w = CONTAINER_OF(it, struct signal_watch, node);
        uv_close((uv_handle_t *)&w->handle, on_signal_gone);
    }
}

struct loop *loop_free(struct loop *l)
{
    if (!l)
        return NULL;
    LIST_EACH (it, after, &l->orphans) {
        struct orphan *o = CONTAINER_OF(it, struct orphan, node);
        o->end(o);
    }
    /* Objects closed in their last callback still wait for the end of the turn. */
    for (int turns = 0; turns < 4; turns++)
        uv_run(&l->uv, UV_RUN_NOWAIT);
    close_own(l);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    INVARIANT(uv_loop_close(&l->uv) == 0);
    listeners_disinherit(l);
    mem_free(l->scratch);
    return mem_free(l);
}

void loop_run(struct loop *l)
{
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l)
{
    uv_stop(&l->uv);
}

int64_t loop_now_ns(const struct loop *l)
{
    return (int64_t)uv_now(&l->uv) * NS_PER_MS;
}

struct uv_loop_s *loop_uv(struct loop *l)
{
    return &l->uv;
}

char *loop_scratch(struct loop *l)
{
    if (!l->scratch)
        l->scratch = mem_alloc(LOOP_SCRATCH_BYTES);
    return l->scratch;
}

void loop_adopt(struct loop *l, struct orphan *o, void (*end)(struct orphan *o))
{
    o->end = end;
    list_add_tail(&l->orphans, &o->node);
}

void loop_defer(struct loop *l, struct defer *d, defer_fn *run)
{
    if (list_is_linked(&d->node))
        return;
    d->run = run;
    list_add_tail(&l->deferred, &d->node);
}

void defer_cancel(struct defer *d)
{
    list_remove(&d->node);
}

static void on_async(uv_async_t *a)
{
    struct wake *w = CONTAINER_OF(a, struct wake, async);
    w->fn(w->to);
}

struct wake *wake_new(struct loop *l, wake_fn *fn, void *to, struct err *err)
{
    struct wake *w = mem_zalloc(sizeof(*w));
    if (!w || uv_async_init(&l->uv, &w->async, on_async) != 0) {
        mem_free(w);
        err_set(err, ERR_NOMEM, "wake-up handle");
        return NULL;
    }
    w->fn = fn;
    w->to = to;
    return w;
}

void wake_send(struct wake *w)
{
    uv_async_send(&w->async);
}

static void on_wake_gone(uv_handle_t *h)
{
    mem_free(CONTAINER_OF(h, struct wake, async));
}

struct wake *wake_free(struct wake *w)
{
    if (w)
        uv_close((uv_handle_t *)&w->async, on_wake_gone);
    return NULL;
}

static void on_signal(uv_signal_t *h, int signum)
{
    struct signal_watch *w = h->data;
    w->fn(w->to, signum);
}

int loop_on_signal(struct loop *l, int signum, signal_fn *fn, void *to, struct err *err)
{
    struct signal_watch *w = mem_zalloc(sizeof(*w));
    if (!w)
        return err_set(err, ERR_NOMEM, "signal handler");
    w->fn = fn;
    w->to = to;
    uv_signal_init(&l->uv, &w->handle);
    w->handle.data = w;
    list_add_tail(&l->signals, &w->node);
    int rc = uv_signal_start(&w->handle, on_signal, signum);
    return rc == 0 ? 0 : err_set(err, ERR_IO, "signal %d: %s", signum, uv_strerror(rc));
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    struct io *io = CONTAINER_OF(p, struct io, poll);
    if (status < 0)
        io->events = 0; /* libuv has stopped it */
    io->ready(io, (events & UV_READABLE) != 0, (events & UV_WRITABLE) != 0, status < 0);
}

int io_init(struct io *io, struct loop *l, int fd, io_fn *ready)
{
    io->ready = ready;
    io->events = 0;
    return uv_poll_init(&l->uv, &io->poll, fd) == 0 ? 0 : ERR_IO;
}

void io_want(struct io *io, int events)
{
    if (io->events == events)
        return;
    io->events = events;
    if (events)
        uv_poll_start(&io->poll, events, on_poll);
    else
        uv_poll_stop(&io->poll);
}

void io_close(struct io *io, uv_close_cb gone)
{
    uv_close((uv_handle_t *)&io->poll, gone);
}
