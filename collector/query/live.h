/* live.h - the live stream: the graph as it changes, at most once a second, to many clients.
 *
 * One thread of its own makes the events; clients are read from the door's threads. Thread-safe. */
#ifndef COLLECTOR_QUERY_LIVE_H
#define COLLECTOR_QUERY_LIVE_H

#include "query/api.h"

enum { LIVE_CLIENTS_MAX = 64 }; /* each holds a connection and at worst one whole graph */

struct live;
struct live_client;
/* Called with no lock of the caller's held, when a client that had nothing to read has something
 * again, or is over. Must not call live_*. */
typedef void live_wake_fn(void *to);

struct live *live_new(const struct api *api) MUST_USE; /* starts the thread; NULL: none or memory */
/* Ends all streams: readers get LIVE_END. No new clients afterwards. */
void live_stop(struct live *l);
struct live *live_free(struct live *l); /* after live_stop() and every live_leave() */

/* query: parameters that the route has judged already; copied. NULL when LIVE_CLIENTS_MAX are
 * connected, or memory is out. Gives. */
struct live_client *live_join(struct live *l, struct sv query, live_wake_fn *wake, void *to)
    MUST_USE;
struct live_client *live_leave(struct live_client *c); /* takes */
enum { LIVE_END = -1 };
/* Bytes copied to out, LIVE_END when the stream is over, or 0: nothing now. Then sleep(to) has been
 * called, under the lock that also guards the next wake, so that no wake can come before it. */
typedef void live_sleep_fn(void *to);
long live_read(struct live_client *c, char *out, size_t max, live_sleep_fn *sleep);

#endif
