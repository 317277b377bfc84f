/* load.c - sockets and quantiles for load generators. Times are kept one by one and sorted: a run has
 * few enough of them, and a histogram would round away what a proxy adds. */
#include "load.h"
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int load_dial(const struct addr *to)
{
    int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0)
        return -1;
    if (connect(fd, &to->sa, addr_len(to)) < 0) {
        close(fd);
        return -1;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static int ascending(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

void load_sort(int64_t *ns, size_t len)
{
    qsort(ns, len, sizeof(*ns), ascending);
}

int64_t load_quantile_ns(const int64_t *ns, size_t len, double q)
{
    return len ? ns[(size_t)(q * (double)(len - 1))] : 0;
}
