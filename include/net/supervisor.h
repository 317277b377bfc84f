/* supervisor.h - what systemd hands to a service and wants to hear from it, when there is a systemd. */
#ifndef NET_SUPERVISOR_H
#define NET_SUPERVISOR_H

#include <stddef.h>

/* Lines of sd_notify(3), "READY=1"; nothing happens without NOTIFY_SOCKET. */
void supervisor_tell(const char *lines);
/* Sockets given by socket activation (LISTEN_FDS, meant for this process), at most max; the
 * descriptors are the caller's from now on, and a second call finds none. */
size_t supervisor_sockets(int *ret_fds, size_t max);

#endif
