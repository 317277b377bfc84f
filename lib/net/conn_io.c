/* conn_io.c - a connection's bytes: read into the owner's memory, write what the owner gathers.
 *
 * Plain: one readv/writev a call, no copy. TLS: SSL works on the descriptor itself, reads ahead so
 * that a record costs one read(), and small parts are gathered into one record before encryption.
 * Whatever the socket refuses is copied to `out` once and leaves from there. Level-triggered events
 * need no "read until empty": a short read means dry, and the loop asks again if it was not. TLS
 * alone can hold bytes that the descriptor no longer shows; then the next turn is asked for. */
#include "conn_priv.h"
#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PARTS_MAX 64

static ssize_t read_plain(struct conn *c, void *to, size_t max, int flags)
{
    ssize_t n;
    do {
        n = recv(c->fd, to, max, flags);
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        return n;
    if (n == 0)
        return ERR_CLOSED;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return 0;
    return conn_broke(c, ERR_IO, "read: %s", strerror(errno));
}

/* What a failed SSL call means: 0 to wait, ERR_CLOSED at the end, else broken. */
static int judge_tls(struct conn *c, int rc, const char *doing)
{
    int saved = errno;
    switch (SSL_get_error(c->tls.ssl, rc)) {
    case SSL_ERROR_WANT_READ: return 0;
    case SSL_ERROR_WANT_WRITE: c->read_wants_write = true; return 0;
    case SSL_ERROR_ZERO_RETURN: return ERR_CLOSED;
    case SSL_ERROR_SYSCALL:
        if (saved == 0)
            return conn_broke(c, ERR_IO, "%s: connection closed", doing);
        return conn_broke(c, ERR_IO, "%s: %s", doing, strerror(saved));
    default: break;
    }
    (void)tls_failure(c->tls.ssl, doing, &c->error);
    return conn_broke(c, ERR_TLS, "%s", doing);
}

static ssize_t read_tls(struct conn *c, char *to, size_t max)
{
    size_t have = 0;
    c->read_wants_write = false;
    while (have < max) {
        size_t n = 0;
        tls_forget_failures();
        errno = 0;
        int rc = SSL_read_ex(c->tls.ssl, to + have, max - have, &n);
        if (rc != 1) {
            int verdict = judge_tls(c, rc, "TLS read");
            if (verdict == 0 || have == 0)
                return have ? (ssize_t)have : verdict;
            break; /* the bytes first; the end or error comes with the next call */
        }
        have += n;
        if (!SSL_has_pending(c->tls.ssl))
            return (ssize_t)have;
    }
    conn_read_later(c);
    return (ssize_t)have;
}

ssize_t conn_read(struct conn *c, void *to, size_t max)
{
    if (c->state == CONN_BROKEN && !c->is_ended) {
        c->is_ended = true;
        return c->error.code ? c->error.code : ERR_IO;
    }
    if (c->is_ended)
        return c->error.code ? c->error.code : ERR_CLOSED;
    if (c->state != CONN_UP && c->state != CONN_LINGERING)
        return 0;
    ssize_t n = c->has_tls ? read_tls(c, to, max) : read_plain(c, to, max, 0);
    if (n > 0) {
        conn_touch(c);
    } else if (n < 0) {
        c->is_ended = true;
        conn_watch(c);
    } else if (c->read_wants_write) {
        conn_watch(c);
    }
    return n;
}

ssize_t conn_peek(struct conn *c, void *to, size_t max)
{
    INVARIANT(!c->has_tls);
    if (c->is_ended)
        return c->error.code ? c->error.code : ERR_CLOSED;
    return read_plain(c, to, max, MSG_PEEK);
}

bool conn_is_quiet(const struct conn *c)
{
    char byte;
    ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return c->state == CONN_UP && !c->is_ended && n < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

bool conn_is_half_closed(const struct conn *c)
{
    struct pollfd p = { .fd = c->fd, .events = POLLRDHUP };
    return poll(&p, 1, 0) == 1;
}

/* Sends plain parts; *ret_sent tells how much the socket took. */
static int send_plain(struct conn *c, const struct sv *parts, size_t n, size_t *ret_sent)
{
    struct iovec iov[PARTS_MAX];
    int count = 0;
    for (size_t i = 0; i < n && count < PARTS_MAX; i++)
        if (parts[i].len)
            iov[count++] = (struct iovec){ (void *)(uintptr_t)parts[i].p, parts[i].len };
    if (count == 0)
        return 0;
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = (size_t)count };
    ssize_t sent;
    do {
        sent = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        return conn_broke(c, ERR_IO, "write: %s", strerror(errno));
    *ret_sent = sent > 0 ? (size_t)sent : 0;
    return 0;
}

static int send_tls_bytes(struct conn *c, const char *p, size_t bytes, size_t *ret_sent)
{
    *ret_sent = 0;
    while (*ret_sent < bytes) {
        size_t n = 0;
        tls_forget_failures();
        errno = 0;
        int rc = SSL_write_ex(c->tls.ssl, p + *ret_sent, bytes - *ret_sent, &n);
        if (rc != 1) {
            bool had_flag = c->read_wants_write;
            int verdict = judge_tls(c, rc, "TLS write");
            c->read_wants_write = had_flag;
            return verdict == ERR_CLOSED ? conn_broke(c, ERR_IO, "TLS write: peer closed")
                                         : verdict;
        }
        *ret_sent += n;
    }
    return 0;
}

/* Copies parts from byte `skip` on until to is full; answers how many. */
static size_t gather(char *to, size_t max, const struct sv *parts, size_t n, size_t skip)
{
    size_t have = 0;
    for (size_t i = 0; i < n && have < max; i++) {
        if (skip >= parts[i].len) {
            skip -= parts[i].len;
            continue;
        }
        size_t bytes = MIN(parts[i].len - skip, max - have);
        memcpy(to + have, parts[i].p + skip, bytes);
        have += bytes;
        skip = 0;
    }
    return have;
}

static int send_tls(struct conn *c, const struct sv *parts, size_t n, size_t *ret_sent)
{
    char *record = loop_scratch(c->loop);
    if (n == 1)
        return send_tls_bytes(c, parts[0].p, parts[0].len, ret_sent);
    if (!record)
        return conn_broke(c, ERR_NOMEM, "TLS record buffer");
    for (;;) {
        size_t sent = 0;
        size_t have = gather(record, LOOP_SCRATCH_BYTES, parts, n, *ret_sent);
        if (have == 0)
            return 0;
        int rc = send_tls_bytes(c, record, have, &sent);
        *ret_sent += sent;
        if (rc < 0 || sent < have)
            return rc;
    }
}

static size_t total_of(const struct sv *parts, size_t n)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += parts[i].len;
    return total;
}

/* Keeps what was not sent. */
static int queue_rest(struct conn *c, const struct sv *parts, size_t n, size_t sent)
{
    for (size_t i = 0; i < n; i++) {
        size_t skip = MIN(sent, parts[i].len);
        sent -= skip;
        buf_append(&c->out, parts[i].p + skip, parts[i].len - skip);
    }
    if (c->out.failed)
        return conn_broke(c, ERR_NOMEM, "write queue");
    c->is_congested = c->out.len > CONN_HIGH_WATER;
    conn_watch(c);
    return 0;
}

int conn_write(struct conn *c, const struct sv *parts, size_t n)
{
    size_t total = total_of(parts, n), sent = 0;
    if (c->state == CONN_BROKEN)
        return c->error.code ? c->error.code : ERR_IO;
    if (total == 0)
        return 0;
    conn_touch(c);
    if (c->state == CONN_UP && c->out.len == 0) {
        int rc = c->has_tls ? send_tls(c, parts, n, &sent) : send_plain(c, parts, n, &sent);
        if (rc < 0)
            return rc;
    }
    return sent == total ? 0 : queue_rest(c, parts, n, sent);
}

int conn_flush(struct conn *c)
{
    if (c->out.len) {
        struct sv left = buf_sv(&c->out);
        size_t sent = 0;
        int rc = c->has_tls ? send_tls_bytes(c, left.p, left.len, &sent)
                            : send_plain(c, &left, 1, &sent);
        if (rc < 0)
            return rc;
        if (sent)
            conn_touch(c);
        buf_consume(&c->out, sent);
        if (c->out.len)
            return 0;
        buf_done(&c->out);
    }
    if (c->is_finishing && !c->is_finished) {
        c->is_finished = true;
        if (c->has_tls)
            (void)SSL_shutdown(c->tls.ssl);
        (void)shutdown(c->fd, SHUT_WR);
        ERR_clear_error();
    }
    return 0;
}

size_t conn_unsent(const struct conn *c)
{
    return c->out.len;
}

bool conn_is_congested(const struct conn *c)
{
    return c->is_congested;
}
