/* SPDX-License-Identifier: Apache-2.0
 * fdpass.c - one text and some descriptors a message, over a Unix socket that keeps messages apart.
 *
 * SOCK_SEQPACKET makes a message arrive whole, so there is no framing. The listening socket is made
 * beside its path and renamed over it: whoever connects meets the one before or this one, never
 * nobody. A name whose listener is gone refuses, which counts as nobody. */
#include "net/fdpass.h"
#include "base/mem.h"
#include "loop_priv.h"
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define WAITING_MAX 4 /* there is one successor; the others may ask again */

static int unix_address(const char *path, struct sockaddr_un *ret, struct err *err)
{
    memset(ret, 0, sizeof(*ret));
    ret->sun_family = AF_UNIX;
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof(ret->sun_path))
        return err_set(err, ERR_USAGE, "a Unix socket's path of %zu bytes, want 1 to %zu: '%s'",
                       len, sizeof(ret->sun_path) - 1, path);
    memcpy(ret->sun_path, path, len);
    return 0;
}

static int bind_beside(int fd, const char *path, const char *beside, struct err *err)
{
    struct sockaddr_un at;
    int rc = unix_address(beside, &at, err);
    if (rc < 0)
        return rc;
    (void)unlink(beside);
    if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0)
        return err_set(err, ERR_IO, "bind to %s: %s", beside, strerror(errno));
    if (chmod(beside, 0600) != 0 || listen(fd, WAITING_MAX) != 0 || rename(beside, path) != 0) {
        err_set(err, ERR_IO, "%s: %s", path, strerror(errno));
        (void)unlink(beside);
        return ERR_IO;
    }
    return 0;
}

int fdpass_listen(const char *path, struct err *err)
{
    char beside[sizeof(((struct sockaddr_un *)0)->sun_path) + 16];
    struct sockaddr_un at;
    int rc = unix_address(path, &at, err);
    if (rc < 0)
        return rc;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, ERR_IO, "socket: %s", strerror(errno));
    snprintf(beside, sizeof(beside), "%s.new", path);
    rc = bind_beside(fd, path, beside, err);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return fd;
}

int fdpass_accept(int fd, uid_t *ret_user)
{
    struct ucred who;
    socklen_t len = sizeof(who);
    int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (peer < 0)
        return ERR_BUSY;
    if (getsockopt(peer, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0) {
        close(peer);
        return ERR_BUSY;
    }
    *ret_user = who.uid;
    return peer;
}

int fdpass_connect(const char *path, int64_t timeout_ns, struct err *err)
{
    struct sockaddr_un at;
    int rc = unix_address(path, &at, err);
    if (rc < 0)
        return rc;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, ERR_IO, "socket: %s", strerror(errno));
    const struct timeval t = { .tv_sec = timeout_ns / INT64_C(1000000000),
                               .tv_usec = timeout_ns / 1000 % 1000000 };
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
    if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0)
        return fd;
    int code = errno == ENOENT || errno == ECONNREFUSED ? ERR_NOT_FOUND : ERR_IO;
    err_set(err, code, "connect to %s: %s", path, strerror(errno));
    close(fd);
    return code;
}

int fdpass_send(int fd, struct sv text, const int *fds, size_t len, struct err *err)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * FDPASS_MAX)];
    } control;
    struct iovec part = { .iov_base = (void *)(uintptr_t)text.p, .iov_len = text.len };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
    INVARIANT(len <= FDPASS_MAX && text.len > 0 && text.len <= FDPASS_TEXT_BYTES);
    if (len) {
        memset(&control, 0, sizeof(control));
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * len);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * len);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * len);
    }
    ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL);
    return n == (ssize_t)text.len ? 0 : err_set(err, ERR_IO, "sendmsg: %s", strerror(errno));
}

static void take_fds(struct msghdr *m, struct fdpass_msg *ret)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        n = MIN(n, FDPASS_MAX - ret->fds_len);
        memcpy(ret->fds + ret->fds_len, CMSG_DATA(c), n * sizeof(int));
        ret->fds_len += n;
    }
}

int fdpass_recv(int fd, struct fdpass_msg *ret_msg, struct err *err)
{
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * FDPASS_MAX)];
    } control;
    struct iovec part = { .iov_base = ret_msg->text, .iov_len = sizeof(ret_msg->text) };
    struct msghdr m = { .msg_iov = &part,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof(control) };
    ret_msg->fds_len = ret_msg->text_len = 0;
    ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return err_set(err, ERR_BUSY, "no answer in time");
    if (n <= 0)
        return err_set(err, ERR_CLOSED, "the other process is gone");
    take_fds(&m, ret_msg);
    ret_msg->text_len = (size_t)n;
    if (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        fdpass_drop(ret_msg);
        return err_set(err, ERR_LIMIT, "more than %d bytes or %d descriptors", FDPASS_TEXT_BYTES,
                       FDPASS_MAX);
    }
    return 0;
}

void fdpass_drop(struct fdpass_msg *m)
{
    while (m->fds_len)
        close(m->fds[--m->fds_len]);
}

struct fd_watch {
    struct io io;
    int fd;
    fd_watch_fn *fn;
    void *owner;
    bool is_closed;
};

static void on_ready(struct io *io, bool is_readable, bool is_writable, bool is_broken)
{
    struct fd_watch *w = CONTAINER_OF(io, struct fd_watch, io);
    (void)is_readable, (void)is_writable, (void)is_broken;
    if (!w->is_closed)
        w->fn(w->owner);
}

struct fd_watch *fd_watch_new(struct loop *l, int fd, fd_watch_fn *fn, void *owner, struct err *err)
{
    struct fd_watch *w = mem_zalloc(sizeof(*w));
    if (!w || io_init(&w->io, l, fd, on_ready) < 0) {
        mem_free(w);
        close(fd);
        err_set(err, ERR_NOMEM, "descriptor events");
        return NULL;
    }
    w->fd = fd;
    w->fn = fn;
    w->owner = owner;
    io_want(&w->io, UV_READABLE);
    return w;
}

int fd_watch_fd(const struct fd_watch *w)
{
    return w->fd;
}

static void on_gone(uv_handle_t *h)
{
    mem_free(CONTAINER_OF(h, struct fd_watch, io.poll));
}

struct fd_watch *fd_watch_free(struct fd_watch *w)
{
    if (!w)
        return NULL;
    w->is_closed = true;
    io_want(&w->io, 0);
    io_close(&w->io, on_gone);
    close(w->fd);
    return NULL;
}
