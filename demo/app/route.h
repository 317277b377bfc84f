/* route.h - what a demo application does with a request: a path, how long it takes, how often it
 * fails and whom it calls, read from one line of text:
 *
 *   "/reviews ms=4-12 size=300 fail=2,500 strict call=ratings:9080/ratings,50"
 *
 * ms     time of its own work, uniform in the range, milliseconds
 * size   bytes of filler in the answer
 * fail   percent of requests answered with the status
 * strict a callee's failure (5xx or none) is answered with 502
 * call   host:port/path, and percent of requests that make the call (100 when missing)
 *
 * Text is borrowed from the line. Immutable after parsing. */
#ifndef DEMO_APP_ROUTE_H
#define DEMO_APP_ROUTE_H

#include "base/err.h"
#include "base/sv.h"

enum { ROUTE_CALLS_MAX = 8 };

struct route_call {
    struct sv authority; /* "ratings:9080" */
    struct sv path;      /* "/ratings" */
    unsigned percent;
};
struct app_route {
    struct sv path; /* itself and everything below it */
    uint64_t ms_min, ms_max;
    uint64_t filler_bytes;
    unsigned fail_percent, fail_status;
    bool is_strict;
    struct route_call calls[ROUTE_CALLS_MAX];
    size_t calls_len;
};

int route_parse(struct sv line, struct app_route *ret_route, struct err *err) MUST_USE;
/* The first route for the path (query ignored), NULL when there is none. */
const struct app_route *route_find(const struct app_route *routes, size_t len, struct sv path);

#endif
