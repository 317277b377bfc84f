/* listener.c - accepting callers up to a bound, and never going deaf for want of a descriptor.
 *
 * When accept() fails because descriptors are out, the caller stays in the kernel's queue and the
 * listening socket stays readable: a loop would spin. So one descriptor is kept in reserve; it is
 * closed, the caller accepted and dropped, and the reserve opened again. At max_conns the socket is
 * not watched at all until a connection ends. */
#include "net/listener.h"
#include "base/mem.h"
#include "loop_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_A_TURN    64 /* a flood of callers must not starve the ones we have */
#define BACKLOG_DEFAULT   511
#define MAX_CONNS_DEFAULT 16384 /* file descriptors of a generous ulimit, twice per request */

struct listener {
    struct io io;
    struct list node; /* loop->listeners */
    struct loop *loop;
    int fd, reserve_fd;
    uint16_t port;
    size_t max_conns, conns;
    bool is_paused, is_closed;
    accept_fn *fn;
    void *owner;
    struct listener_counts counts;
};

static void watch(struct listener *l)
{
    bool is_wanted = !l->is_closed && !l->is_paused && !l->loop->is_deaf && l->conns < l->max_conns;
    io_want(&l->io, is_wanted ? UV_READABLE : 0);
}

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void drop_one(struct listener *l)
{
    if (l->reserve_fd >= 0)
        close(l->reserve_fd);
    int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        close(fd);
        l->counts.dropped_no_fd++;
    }
    l->reserve_fd = open_reserve();
}

/* Answers whether another caller may wait. */
static bool accept_one(struct listener *l)
{
    struct addr peer;
    socklen_t len = sizeof(peer);
    memset(&peer, 0, sizeof(peer));
    int fd = accept4(l->fd, &peer.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE) {
            drop_one(l);
            return false;
        }
        return errno == ECONNABORTED || errno == EINTR;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    l->conns++;
    l->counts.accepted++;
    l->fn(l->owner, l, fd, &peer);
    return true;
}

static void on_ready(struct io *io, bool is_readable, bool is_writable, bool is_broken)
{
    struct listener *l = CONTAINER_OF(io, struct listener, io);
    (void)is_readable, (void)is_writable, (void)is_broken;
    for (int i = 0; i < ACCEPTS_A_TURN && !l->is_closed && !l->is_paused && !l->loop->is_deaf;
         i++) {
        if (l->conns >= l->max_conns) {
            l->counts.stopped_at_cap++;
            break;
        }
        if (!accept_one(l))
            break;
    }
    if (!l->is_closed)
        watch(l);
}

static int bind_and_listen(int fd, const struct listener_conf *conf, const struct addr *a,
                           struct err *err)
{
    int on = 1;
    char text[ADDR_TEXT_SIZE];
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (conf->reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
        return err_set(err, ERR_IO, "SO_REUSEPORT: %s", strerror(errno));
    if (bind(fd, &a->sa, addr_len(a)) != 0 ||
        listen(fd, conf->backlog ? conf->backlog : BACKLOG_DEFAULT) != 0) {
        int code = errno == EADDRINUSE ? ERR_CONFLICT : ERR_IO;
        return err_set(err, code, "listen on %.*s: %s", SV_ARG(addr_text(a, text)),
                       strerror(errno));
    }
    return 0;
}

static int make_transparent(int fd, const struct addr *a, struct err *err)
{
    int on = 1;
    bool is_v6 = a->sa.sa_family == AF_INET6;
    if (setsockopt(fd, is_v6 ? SOL_IPV6 : SOL_IP, is_v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &on,
                   sizeof(on)) != 0)
        return err_set(err, ERR_IO, "IP_TRANSPARENT: %s (it needs the capability NET_ADMIN)",
                       strerror(errno));
    return 0;
}

/* The inherited socket of that address, no longer in the list, or -1. */
static int take_inherited(struct loop *loop, const struct addr *want)
{
    for (size_t i = 0; i < loop->inherited_len; i++) {
        struct addr a;
        socklen_t len = sizeof(a);
        memset(&a, 0, sizeof(a));
        int fd = loop->inherited[i];
        if (getsockname(fd, &a.sa, &len) != 0 || a.sa.sa_family != want->sa.sa_family ||
            !addr_eq(&a, want))
            continue;
        loop->inherited[i] = loop->inherited[--loop->inherited_len];
        return fd;
    }
    return -1;
}

static int open_socket(struct loop *loop, const struct listener_conf *conf, uint16_t *ret_port,
                       struct err *err)
{
    struct addr a;
    if (addr_parse(conf->host, conf->port, &a, err) < 0)
        return ERR_USAGE;
    int left = take_inherited(loop, &a);
    if (left >= 0 && conf->is_transparent && make_transparent(left, &a, err) < 0) {
        close(left);
        return ERR_IO;
    }
    if (left >= 0) {
        *ret_port = conf->port;
        return left;
    }
    int fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(err, ERR_IO, "socket: %s", strerror(errno));
    int rc = conf->is_transparent ? make_transparent(fd, &a, err) : 0;
    if (rc == 0)
        rc = bind_and_listen(fd, conf, &a, err);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    socklen_t len = sizeof(a);
    (void)getsockname(fd, &a.sa, &len);
    *ret_port = addr_port(&a);
    return fd;
}

struct listener *listener_open(struct loop *loop, const struct listener_conf *conf, accept_fn *fn,
                               void *owner, struct err *err)
{
    uint16_t port = 0;
    struct listener *l = mem_zalloc(sizeof(*l));
    if (!l) {
        err_set(err, ERR_NOMEM, "listener");
        return NULL;
    }
    int fd = open_socket(loop, conf, &port, err);
    if (fd < 0)
        return mem_free(l);
    if (io_init(&l->io, loop, fd, on_ready) < 0) {
        close(fd);
        err_set(err, ERR_IO, "listener events");
        return mem_free(l);
    }
    l->fd = fd;
    l->loop = loop;
    list_add_tail(&loop->listeners, &l->node);
    l->port = port;
    l->reserve_fd = open_reserve();
    l->max_conns = conf->max_conns ? conf->max_conns : MAX_CONNS_DEFAULT;
    l->is_paused = conf->is_paused;
    l->fn = fn;
    l->owner = owner;
    watch(l);
    return l;
}

uint16_t listener_port(const struct listener *l)
{
    return l->port;
}

void listener_pause(struct listener *l)
{
    l->is_paused = true;
    watch(l);
}

void listener_resume(struct listener *l)
{
    l->is_paused = false;
    watch(l);
}

void listener_conn_gone(struct listener *l)
{
    INVARIANT(l->conns > 0);
    l->conns--;
    if (!l->is_closed)
        watch(l);
}

size_t listener_conns(const struct listener *l)
{
    return l->conns;
}

struct listener_counts listener_counts(const struct listener *l)
{
    return l->counts;
}

static void on_gone(uv_handle_t *h)
{
    mem_free(CONTAINER_OF(h, struct listener, io.poll));
}

struct listener *listener_close(struct listener *l)
{
    if (!l)
        return NULL;
    l->is_closed = true;
    list_remove(&l->node);
    io_want(&l->io, 0);
    io_close(&l->io, on_gone);
    close(l->fd);
    if (l->reserve_fd >= 0)
        close(l->reserve_fd);
    return NULL;
}

static bool is_listening(int fd)
{
    int on = 0;
    socklen_t len = sizeof(on);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

size_t listeners_inherit(struct loop *l, const int *fds, size_t len)
{
    size_t kept = 0;
    for (size_t i = 0; i < len; i++) {
        if (l->inherited_len == LOOP_INHERITED_MAX || !is_listening(fds[i])) {
            close(fds[i]);
            continue;
        }
        (void)fcntl(fds[i], F_SETFD, FD_CLOEXEC);
        (void)fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK);
        l->inherited[l->inherited_len++] = fds[i];
        kept++;
    }
    return kept;
}

void listeners_disinherit(struct loop *l)
{
    while (l->inherited_len)
        close(l->inherited[--l->inherited_len]);
}

size_t listeners_fds(struct loop *l, int *ret_fds, size_t max)
{
    size_t n = 0;
    LIST_EACH (it, after, &l->listeners) {
        if (n < max)
            ret_fds[n++] = CONTAINER_OF(it, struct listener, node)->fd;
    }
    return n;
}

void listeners_set_deaf(struct loop *l, bool is_deaf)
{
    l->is_deaf = is_deaf;
    LIST_EACH (it, after, &l->listeners)
        watch(CONTAINER_OF(it, struct listener, node));
}
