/* conn.c - a connection's life: connecting, handshake, up, lingering, closed.
 *
 * File events and one timer drive a small state machine; the owner sees only the five events of
 * conn.h. Nothing is freed inside a callback: closing stops the events at once and libuv's close
 * callback, at the end of the turn, frees the memory. After each call of the owner the state is read
 * anew, because the owner may have closed. Cost of an idle connection: this struct and, with TLS,
 * OpenSSL's state without buffers. */
#include "base/clock.h"
#include "base/mem.h"
#include "conn_priv.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int conn_broke(struct conn *c, enum err_code code, const char *fmt, ...)
{
    char why[sizeof(c->error.why)];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    err_set(&c->error, code, "%s", why);
    c->state = CONN_BROKEN;
    conn_watch(c); /* a broken socket stays ready for ever */
    return c->error.code;
}

void conn_watch(struct conn *c)
{
    int want = 0;
    switch (c->state) {
    case CONN_CONNECTING: want = UV_WRITABLE; break;
    case CONN_HANDSHAKING: want = UV_READABLE | (c->read_wants_write ? UV_WRITABLE : 0); break;
    case CONN_UP:
    case CONN_LINGERING:
        if (!c->is_paused && !c->is_ended)
            want |= UV_READABLE;
        if (c->out.len || c->read_wants_write || (c->is_finishing && !c->is_finished))
            want |= UV_WRITABLE;
        break;
    case CONN_BROKEN:
    case CONN_CLOSED: break;
    }
    if (c->state != CONN_CLOSED)
        io_want(&c->io, want);
}

void conn_touch(struct conn *c)
{
    if (c->idle_ns && c->state == CONN_UP)
        timer_after(&c->timer, c->idle_ns);
}

static void tell(struct conn *c, enum conn_event ev)
{
    if (c->fn && c->state != CONN_CLOSED)
        c->fn(c->owner, c, ev);
}

static void run_later(struct defer *d);

static void schedule(struct conn *c)
{
    loop_defer(c->loop, &c->later, run_later);
}

void conn_read_later(struct conn *c)
{
    c->is_read_due = true;
    if (!c->is_paused)
        schedule(c);
}

static void fail_now(struct conn *c)
{
    timer_stop(&c->timer);
    conn_watch(c);
    if (c->state == CONN_CLOSED)
        return;
    if (c->fn)
        tell(c, CONN_FAILED);
    else
        conn_close(c);
}

static void run_later(struct defer *d)
{
    struct conn *c = CONTAINER_OF(d, struct conn, later);
    if (c->is_failed_due) {
        c->is_failed_due = false;
        fail_now(c);
        return;
    }
    if (c->is_open_due) {
        c->is_open_due = false;
        tell(c, CONN_OPEN);
    }
    if (c->is_read_due && !c->is_paused && (c->state == CONN_UP || c->state == CONN_BROKEN)) {
        c->is_read_due = false;
        tell(c, CONN_READABLE);
    }
}

static void go_up(struct conn *c)
{
    timer_stop(&c->timer);
    c->state = CONN_UP;
    c->read_wants_write = false;
    conn_touch(c);
    conn_watch(c);
    tell(c, CONN_OPEN);
    if (c->state == CONN_UP && c->out.len && conn_flush(c) < 0)
        fail_now(c);
    else if (c->state == CONN_UP && c->has_tls && SSL_has_pending(c->tls.ssl))
        conn_read_later(c);
    if (c->state == CONN_UP)
        conn_watch(c);
}

static int handshake_error(struct conn *c, int rc)
{
    int saved = errno, kind = SSL_get_error(c->tls.ssl, rc);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
        c->read_wants_write = kind == SSL_ERROR_WANT_WRITE;
        return 0;
    }
    if (kind == SSL_ERROR_SYSCALL || kind == SSL_ERROR_ZERO_RETURN)
        return conn_broke(c, ERR_TLS, "TLS handshake: %s",
                          saved ? strerror(saved) : "connection closed");
    (void)tls_failure(c->tls.ssl, "TLS handshake", &c->error);
    return conn_broke(c, ERR_TLS, "TLS handshake");
}

static void shake_hands(struct conn *c)
{
    tls_forget_failures();
    errno = 0;
    int rc = SSL_do_handshake(c->tls.ssl);
    if (rc != 1) {
        if (handshake_error(c, rc) < 0)
            fail_now(c);
        else
            conn_watch(c);
        return;
    }
    if (tls_state_accept_peer(&c->tls, &c->error) < 0) {
        c->state = CONN_BROKEN;
        fail_now(c);
        return;
    }
    go_up(c);
}

static void connected(struct conn *c)
{
    int code = 0;
    socklen_t len = sizeof(code);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &code, &len) != 0)
        code = errno;
    if (code) {
        (void)conn_broke(c, ERR_IO, "connect: %s", strerror(code));
        fail_now(c);
        return;
    }
    if (!c->has_tls) {
        go_up(c);
        return;
    }
    c->state = CONN_HANDSHAKING;
    shake_hands(c);
}

static void linger(struct conn *c)
{
    char sink[4096];
    ssize_t n = conn_read(c, sink, sizeof(sink));
    if (n < 0 && (c->out.len == 0 || c->state == CONN_BROKEN))
        conn_close(c);
}

static void writable(struct conn *c)
{
    if (conn_flush(c) < 0) {
        fail_now(c);
        return;
    }
    conn_watch(c);
    if (c->is_congested && c->out.len == 0) {
        c->is_congested = false;
        tell(c, CONN_DRAINED);
    }
}

static void on_ready(struct io *io, bool is_readable, bool is_writable, bool is_broken)
{
    struct conn *c = CONTAINER_OF(io, struct conn, io);
    if (c->state == CONN_CONNECTING) {
        connected(c);
        return;
    }
    if (c->state == CONN_HANDSHAKING) {
        shake_hands(c);
        return;
    }
    bool was_waiting = c->read_wants_write;
    if ((is_writable || is_broken) && (c->out.len || (c->is_finishing && !c->is_finished)))
        writable(c);
    if (c->state == CONN_LINGERING)
        linger(c);
    else if (c->state == CONN_UP && !c->is_paused && !c->is_ended &&
             (is_readable || is_broken || was_waiting))
        tell(c, CONN_READABLE);
    if (c->state == CONN_UP)
        conn_watch(c);
}

static void on_timer(struct timer *t)
{
    struct conn *c = CONTAINER_OF(t, struct conn, timer);
    switch (c->state) {
    case CONN_CONNECTING:
        (void)conn_broke(c, ERR_IO, "connect: timed out");
        fail_now(c);
        break;
    case CONN_HANDSHAKING:
        (void)conn_broke(c, ERR_TLS, "TLS handshake: timed out");
        fail_now(c);
        break;
    case CONN_LINGERING: conn_close(c); break;
    case CONN_UP: tell(c, CONN_IDLE); break;
    case CONN_BROKEN:
    case CONN_CLOSED: break;
    }
}

static struct conn *conn_new(struct loop *l, int fd, const struct addr *peer, conn_fn *fn,
                             void *owner, struct err *err)
{
    struct conn *c = mem_zalloc(sizeof(*c));
    if (!c || io_init(&c->io, l, fd, on_ready) < 0) {
        mem_free(c);
        close(fd);
        err_set(err, ERR_NOMEM, "connection");
        return NULL;
    }
    c->loop = l;
    c->fd = fd;
    c->fn = fn;
    c->owner = owner;
    c->peer = *peer;
    timer_init(&c->timer, l, on_timer);
    return c;
}

struct conn *conn_accept(struct loop *l, int fd, const struct addr *peer, conn_fn *fn, void *owner,
                         struct err *err)
{
    struct conn *c = conn_new(l, fd, peer, fn, owner, err);
    if (!c)
        return NULL;
    c->state = CONN_UP;
    conn_watch(c);
    return c;
}

struct conn *conn_connect(struct loop *l, const struct addr *to, int64_t timeout_ns, conn_fn *fn,
                          void *owner, struct err *err)
{
    return conn_connect_from(l, to, NULL, timeout_ns, fn, owner, err);
}

#define PORTS_TRIED 16 /* of a source address whose port is not left to the system */

/* 0, or -1 with errno. */
static int bind_from(int fd, const struct conn_from *from)
{
    struct addr a = from->addr;
    bool is_v6 = a.sa.sa_family == AF_INET6;
    uint16_t first = addr_port(&a);
    int on = 1, rc = -1;
    if (from->mark &&
        (setsockopt(fd, is_v6 ? SOL_IPV6 : SOL_IP, is_v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &on,
                    sizeof(on)) != 0 ||
         setsockopt(fd, SOL_SOCKET, SO_MARK, &from->mark, sizeof(from->mark)) != 0))
        return -1;
    for (int i = 0; i < (first ? PORTS_TRIED : 1); i++) {
        addr_set_port(&a, (uint16_t)(first + i));
        rc = bind(fd, &a.sa, addr_len(&a));
        if (rc == 0 || errno != EADDRINUSE)
            break;
    }
    return rc;
}

struct conn *conn_connect_from(struct loop *l, const struct addr *to, const struct conn_from *from,
                               int64_t timeout_ns, conn_fn *fn, void *owner, struct err *err)
{
    int on = 1;
    int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        err_set(err, ERR_IO, "socket: %s", strerror(errno));
        return NULL;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct conn *c = conn_new(l, fd, to, fn, owner, err);
    if (!c)
        return NULL;
    c->state = CONN_CONNECTING;
    if (timeout_ns)
        timer_after(&c->timer, timeout_ns);
    bool is_bound = !from || bind_from(fd, from) == 0;
    if (!is_bound || (connect(fd, &to->sa, addr_len(to)) != 0 && errno != EINPROGRESS)) {
        (void)conn_broke(c, ERR_IO, "connect: %s", strerror(errno));
        c->is_failed_due = true;
        schedule(c);
    }
    conn_watch(c);
    return c;
}

void conn_keep_alive(struct conn *c, unsigned probes, int64_t idle_ns, int64_t interval_ns)
{
    int on = 1, n = (int)MIN(probes, 127u); /* the kernel's own bound */
    int idle = (int)MIN(idle_ns / NS_PER_S, 32767),
        interval = (int)MIN(interval_ns / NS_PER_S, 32767);
    (void)setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    if (n)
        (void)setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPCNT, &n, sizeof(n));
    if (idle > 0)
        (void)setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    if (interval > 0)
        (void)setsockopt(c->fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
}

int conn_start_tls(struct conn *c, struct tls_ctx *ctx, const struct tls_client *client,
                   int64_t timeout_ns, struct err *err)
{
    INVARIANT(!c->has_tls);
    int rc = tls_state_init(&c->tls, ctx, client, c->fd, err);
    if (rc < 0)
        return rc;
    c->has_tls = true;
    if (c->state == CONN_UP) {
        c->state = CONN_HANDSHAKING;
        if (timeout_ns)
            timer_after(&c->timer, timeout_ns);
        conn_watch(c);
    }
    return 0;
}

void conn_pause(struct conn *c)
{
    c->is_paused = true;
    conn_watch(c);
}

void conn_resume(struct conn *c)
{
    if (!c->is_paused)
        return;
    c->is_paused = false;
    if (c->is_read_due || (c->state == CONN_UP && c->has_tls && SSL_has_pending(c->tls.ssl)))
        conn_read_later(c);
    conn_watch(c);
}

void conn_want(struct conn *c, size_t bytes)
{
    int low = (int)bytes;
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
}

void conn_finish(struct conn *c)
{
    if (c->is_finishing || c->state != CONN_UP)
        return;
    c->is_finishing = true;
    if (c->out.len || conn_flush(c) < 0)
        conn_watch(c);
}

void conn_set_idle(struct conn *c, int64_t idle_ns)
{
    c->idle_ns = idle_ns;
    if (idle_ns)
        conn_touch(c);
    else if (c->state == CONN_UP)
        timer_stop(&c->timer);
}

static void on_gone(uv_handle_t *h)
{
    struct conn *c = CONTAINER_OF(h, struct conn, io.poll);
    mem_free(c);
}

/* All but its socket and its TLS. */
static void let_go(struct conn *c)
{
    io_want(&c->io, 0);
    c->state = CONN_CLOSED;
    c->fn = NULL;
    timer_stop(&c->timer);
    defer_cancel(&c->later);
    list_remove(&c->orphan.node);
    buf_done(&c->out);
    io_close(&c->io, on_gone);
}

void conn_reset_at_close(struct conn *c)
{
    const struct linger none = { .l_onoff = 1, .l_linger = 0 };
    c->resets_at_close = setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none)) == 0;
}

void conn_close(struct conn *c)
{
    if (!c || c->state == CONN_CLOSED)
        return;
    bool is_clean = c->has_tls && (c->state == CONN_UP || c->state == CONN_LINGERING);
    if (is_clean && c->out.len == 0 && !c->is_finished && !c->resets_at_close) {
        (void)SSL_shutdown(c->tls.ssl);
        ERR_clear_error();
    }
    let_go(c);
    if (c->has_tls)
        tls_state_done(&c->tls);
    close(c->fd);
}

int conn_detach(struct conn *c)
{
    INVARIANT(!c->has_tls && c->out.len == 0 && c->state == CONN_UP);
    let_go(c);
    return c->fd;
}

static void end_lingering(struct orphan *o)
{
    conn_close(CONTAINER_OF(o, struct conn, orphan));
}

void conn_close_gently(struct conn *c, int64_t linger_ns)
{
    if (!c)
        return;
    if (c->state != CONN_UP || (c->is_ended && c->out.len == 0)) {
        conn_close(c);
        return;
    }
    c->fn = NULL;
    c->is_paused = false;
    c->is_finishing = true;
    c->state = CONN_LINGERING;
    timer_after(&c->timer, linger_ns);
    loop_adopt(c->loop, &c->orphan, end_lingering);
    if (c->out.len == 0 && conn_flush(c) < 0) {
        conn_close(c);
        return;
    }
    conn_watch(c);
}

const struct err *conn_error(const struct conn *c)
{
    return &c->error;
}

const struct addr *conn_peer(const struct conn *c)
{
    return &c->peer;
}

const struct addr *conn_local(const struct conn *c)
{
    struct conn *m = (struct conn *)(uintptr_t)c;
    if (!c->has_local) {
        socklen_t len = sizeof(m->local);
        (void)getsockname(c->fd, &m->local.sa, &len);
        m->has_local = true;
    }
    return &c->local;
}

int conn_fd(const struct conn *c)
{
    return c->fd;
}

const struct tls_info *conn_tls(const struct conn *c)
{
    return c->has_tls && c->tls.info_text ? &c->tls.info : NULL;
}
