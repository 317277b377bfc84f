/* backend.c - an HTTP server that answers every request with the same kilobyte, for benchmarks.
 *
 *   bench-backend ADDRESS PORT
 *
 * It must cost next to nothing, so that what is measured is the proxy in front of it: one thread,
 * epoll, the answer prepared once, and requests found by their empty line (bodies are not read;
 * benchmarks send GET). Not a server for anything else. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BODY_BYTES = 1024, CONNS_MAX = 4096, EVENTS_MAX = 64, READ_BYTES = 16384 };

/* How much of "\r\n\r\n" each connection has seen; indexed by file descriptor. */
static unsigned char matched[CONNS_MAX];
static char answer[BODY_BYTES + 256];
static size_t answer_len;

static void prepare_answer(void)
{
    int head = snprintf(answer, sizeof(answer),
                        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n",
                        BODY_BYTES);
    memset(answer + head, 'x', BODY_BYTES);
    answer_len = (size_t)head + BODY_BYTES;
}

static int listen_on(const char *address, const char *port)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    at.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (inet_pton(AF_INET, address, &at.sin_addr) != 1 ||
        bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1024) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void accept_all(int listener, int poll_fd)
{
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        int one = 1;
        struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };
        if (fd >= CONNS_MAX) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        matched[fd] = 0;
        epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &ev);
    }
}

/* False when the connection is over. */
static bool serve(int fd)
{
    static const char end[] = "\r\n\r\n";
    char in[READ_BYTES];
    ssize_t n = read(fd, in, sizeof(in));
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    for (ssize_t i = 0; i < n; i++) {
        unsigned char m = matched[fd];
        matched[fd] = in[i] == end[m] ? m + 1 : in[i] == '\r' ? 1 : 0;
        if (matched[fd] != 4)
            continue;
        matched[fd] = 0;
        /* a kilobyte fits any socket buffer of a client that waits for it */
        if (write(fd, answer, answer_len) != (ssize_t)answer_len)
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    int listener = argc == 3 ? listen_on(argv[1], argv[2]) : -1;
    int poll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = { .events = EPOLLIN, .data.fd = listener }, events[EVENTS_MAX];
    if (listener < 0 || poll_fd < 0) {
        fprintf(stderr, "usage: bench-backend ADDRESS PORT\n");
        return 2;
    }
    prepare_answer();
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &ev);
    for (;;) {
        int n = epoll_wait(poll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                accept_all(listener, poll_fd);
            else if (!serve(events[i].data.fd))
                close(events[i].data.fd);
        }
    }
}
