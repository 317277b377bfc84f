/* access_log.h - a line for each request, to a file descriptor that may be slow: JSON with Istio's 24
 * keys, or what a format string says.
 *
 * Lines gather in a bounded buffer and leave at the end of the loop turn; what the reader does not
 * take at once waits, and when the buffer is full whole lines are dropped and counted. One thread. */
#ifndef PROXY_TELEMETRY_ACCESS_LOG_H
#define PROXY_TELEMETRY_ACCESS_LOG_H

#include "base/buf.h"
#include "net/loop.h"
#include "proxy/telemetry/log_format.h"

/* The line as JSON, without its end. */
void access_log_format(struct buf *to, const struct exchange *x);

struct access_log {
    struct loop *loop;
    int fd; /* borrowed; -1: off */
    size_t bytes_max;
    struct log_format format; /* no parts: JSON */
    unsigned status_min;      /* only requests answered with it or more, or not at all */
    struct buf waiting;
    struct defer at_turn_end;
    struct timer again;
    uint64_t lines_written, lines_dropped;
};
void access_log_init(struct access_log *l, struct loop *loop, int fd, size_t bytes_max);
void access_log_done(struct access_log *l); /* a last attempt to write, then the rest is lost */
void access_log_add(struct access_log *l, const struct exchange *x);

#endif
