/* SPDX-License-Identifier: Apache-2.0
 * supervisor.c - systemd's two small protocols, a datagram and two environment variables, without its library.
 *
 * Nobody there, or a send that fails, is no error: a service must run without a supervisor. */
#include "net/supervisor.h"
#include "base/auto.h"
#include "base/sv.h"
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */

void supervisor_tell(const char *lines)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    size_t len = path ? strlen(path) : 0;
    if (len < 2 || len >= sizeof(to.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@') /* a name without a file begins with a NUL */
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (const struct sockaddr *)&to,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

static uint64_t number_of(const char *name)
{
    const char *text = getenv(name);
    uint64_t n = 0;
    return text && sv_to_u64(sv_z(text), &n) ? n : 0;
}

size_t supervisor_sockets(int *ret_fds, size_t max)
{
    uint64_t pid = number_of("LISTEN_PID"), n = number_of("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (pid != (uint64_t)getpid())
        return 0;
    n = MIN(n, max);
    for (size_t i = 0; i < n; i++)
        ret_fds[i] = FIRST_FD + (int)i;
    return n;
}
