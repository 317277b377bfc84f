/* companion.h - ends the proxy when the application has ended (--exit-with-app). */
#ifndef PROXY_COMPANION_H
#define PROXY_COMPANION_H

#include "net/conn.h"
#include <stdbool.h>
#include <stddef.h>

struct worker;

struct companion {
    struct worker *worker;
    struct timer timer;
    bool was_seen;     /* the application has run */
    unsigned absences; /* looks in a row that found nobody */
    bool is_told;      /* that nobody was ever seen */

    struct timer port_timer;
    struct conn *conn;   /* finds out whether the application's port is open */
    bool is_port_closed; /* it was, when we last looked while draining */
};

void companion_start(struct worker *w); /* with --exit-with-app */
/* While draining: looks at the application's port until it is closed, then worker_check_drained(). */
void companion_watch_port(struct worker *w);
void companion_stop(struct worker *w);
/* Processes of the application under proc ("/proc"): all but pid 1, our own program and what it is a
 * child of. Many end the count early. */
size_t companion_count(const char *proc, long self);

#endif
