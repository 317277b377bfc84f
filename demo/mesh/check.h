/* check.h - the end of the demo: does everybody tell the same story? */
#ifndef DEMO_MESH_CHECK_H
#define DEMO_MESH_CHECK_H

#include "base/err.h"
#include "demo/mesh/counts.h"
#include <stdbool.h>

struct check_conf {
    const char *base_url; /* the collector */
    int64_t from_ns;      /* wall clock: start of the run */
    int64_t wait_ns;      /* how long proxies and collector may take to drain */
    bool with_metrics;    /* false after a restart: counters began anew */
};
/* Waits until API and metrics agree with expected, or time is up; prints a table to stdout.
 * True: every edge agrees in requests, errors and TLS state, and there is no other edge. */
bool check_run(const struct check_conf *conf, struct counts *expected);

#endif
