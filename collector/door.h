/* door.h - the OTLP/HTTP door: export requests in, answers out.
 *
 *   POST /v1/traces, /v1/logs   application/x-protobuf or application/json, plain or compressed
 *   POST /v1/envoy-logs         text/plain, application/x-ndjson or application/json
 *
 * 200 after the commit (with partial_success when records were refused), 400 bytes that cannot be
 * read (reason and offset), 404, 405, 408, 411 as HTTP has them, 413 over a limit, 415 another
 * type or coding, 429 over the bound on bytes or batches in flight, 503 when the store failed or
 * the collector is stopping; 429 and 503 say when to come again. One loop thread. */
#ifndef COLLECTOR_DOOR_H
#define COLLECTOR_DOOR_H

#include "ingest/addresses.h"
#include "model/limits.h"
#include "net/loop.h"
#include "pipeline.h"

struct door_conf {
    struct loop *loop; /* borrowed until door_close(), like the pipeline and the addresses */
    struct pipeline *pipeline;
    struct addresses *addresses; /* the doors of a loop share them: a pod may use either */
    const char *listen;          /* address; IPv6 without brackets */
    uint16_t port;               /* 0: any free one, see door_port() */
    struct limits limits;
    size_t conns_max; /* further connections wait in the kernel's backlog */
};

struct door;
/* Gives; NULL with err: ERR_USAGE (address), ERR_IO (port taken), ERR_NOMEM. */
struct door *door_open(const struct door_conf *c, struct err *err) MUST_USE;
uint16_t door_port(const struct door *d);
/* Stops listening, refuses what is not yet with the pipeline, and calls fn (in a later turn) when
 * every request that is has been answered, or after wait_ns. */
typedef void door_drained_fn(void *to);
void door_drain(struct door *d, int64_t wait_ns, door_drained_fn *fn, void *to);
/* Drops every connection. Takes; NULL is fine; returns NULL. */
struct door *door_close(struct door *d);

#endif
