/* reload.h - follows the folders of configuration, certificates and secrets while the proxy runs.
 *
 * What a folder says is taken as a whole or not at all: while something in it is wrong the last good
 * state goes on serving. Requests in flight end under the rules they began with. The loop's thread. */
#ifndef PROXY_RELOAD_H
#define PROXY_RELOAD_H

#include "base/err.h"
#include "net/loop.h"
#include <stdbool.h>

struct worker;

/* A folder that is looked at. */
struct watched {
    uint64_t seen;   /* fingerprint of what is in force, or was refused */
    uint64_t coming; /* of a change that has to hold still first; 0: none */
};
struct reload {
    struct worker *worker;
    struct timer timer;
    struct watched config, certs, secrets;
    int64_t config_at_ns, certs_at_ns; /* wall time of the last change in force */
    struct err config_refused; /* why the folder as it is now is not in force; code 0: it is */
    struct err certs_refused;
};

/* Remembers how the folders look, which the caller then reads, and begins to look every
 * --reload-interval; 0: only when asked. */
void reload_start(struct worker *w);
/* Looks now, and takes what changed whether or not it held still. */
void reload_now(struct worker *w);
void reload_stop(struct worker *w);
void reload_resume(struct worker *w); /* after reload_stop() */

#endif
