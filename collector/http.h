/* http.h - the collector's query door: dashboard, JSON API, live stream, /metrics, health, on one
 * port, by libmicrohttpd's own threads.
 *
 * Everything given in http_conf is borrowed until http_close() returns. */
#ifndef COLLECTOR_HTTP_H
#define COLLECTOR_HTTP_H

#include "aggregate/fold.h"
#include "aggregate/health.h"
#include "base/err.h"
#include "base/tally.h"
#include "store/store.h"
#include <stdint.h>

/* True when the collector can serve data, and take it; why may then say what is special (it is empty
 * before). False: writes a short reason into why. Called from any of the door's threads. */
typedef bool http_is_ready_fn(void *to, char *why, size_t why_size);

struct health_log;
struct http_conf {
    const char *listen; /* address, "127.0.0.1"; IPv6 without brackets */
    uint16_t port;      /* 0: any free one, see http_port() */
    struct store *store;
    struct fold *fold;
    const struct tally_table *tallies; /* the program's own counters for /metrics; may be NULL */
    http_is_ready_fn *is_ready;        /* NULL: always ready */
    void *is_ready_to;
    struct health_rules health; /* latency tolerance */
    struct health_log *events;  /* NULL: health is not watched */
};

struct http;
/* Listens and serves. Gives; NULL with err set: ERR_USAGE (address), ERR_CONFLICT (port taken), ERR_IO. */
struct http *http_open(const struct http_conf *c, struct err *err) MUST_USE;
uint16_t http_port(const struct http *h); /* the port really bound */
/* Ends the live streams, finishes running answers, closes. Takes; NULL is fine. */
struct http *http_close(struct http *h);

#endif
