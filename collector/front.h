/* front.h - looks at the first request of each connection of the query door before libmicrohttpd
 * gets the connection.
 *
 * libmicrohttpd closes some malformed requests without a word and takes a NUL inside a header; the
 * codec of the other doors says what is wrong and where. */
#ifndef COLLECTOR_FRONT_H
#define COLLECTOR_FRONT_H

#include "base/err.h"
#include <stdint.h>

/* Takes fd: a connected, non-blocking socket with a good request waiting in it, unread. From the
 * front's thread. */
typedef void front_fn(void *to, int fd, const void *address, unsigned address_bytes);

struct front;
/* Listens, on a thread of its own. host: text address; port 0: any free one. Gives; NULL with err
 * set: ERR_USAGE (address), ERR_CONFLICT (port taken), ERR_IO. */
struct front *front_open(const char *host, uint16_t port, front_fn *pass, void *to, struct err *err)
    MUST_USE;
uint16_t front_port(const struct front *f);
/* No call of front_fn any more once it has returned. Takes; NULL is fine. Returns NULL. */
struct front *front_close(struct front *f);

#endif
