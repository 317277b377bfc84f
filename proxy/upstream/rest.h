/* rest.h - how long a server lets a kept connection rest, learned from when it closes some.
 *
 * All-zero knows nothing. One thread. */
#ifndef PROXY_UPSTREAM_REST_H
#define PROXY_UPSTREAM_REST_H

#include <stdbool.h>
#include <stdint.h>

struct rest {
    int64_t seen_ns;  /* how long the connection rested that was closed last; 0: none was */
    int64_t limit_ns; /* longer rests are risky; 0: not known */
    int64_t until_ns; /* what was learned counts so long */
};

/* The server closed a connection that had rested so long. */
void rest_closed(struct rest *r, int64_t rested_ns, int64_t now_ns);
/* A request got its answer on a connection that had rested so long before. */
void rest_served(struct rest *r, int64_t rested_ns);
/* May a request that cannot be repeated go on a connection that has rested so long? */
bool rest_is_short(const struct rest *r, int64_t rested_ns, int64_t now_ns);

#endif
