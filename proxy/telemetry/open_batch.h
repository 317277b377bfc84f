/* open_batch.h - the records of one signal that are being gathered for the next export request.
 *
 * Not thread-safe. An all-zero open_batch is valid and empty. */
#ifndef PROXY_TELEMETRY_OPEN_BATCH_H
#define PROXY_TELEMETRY_OPEN_BATCH_H

#include "base/arena.h"
#include "base/buf.h"
#include "proxy/telemetry/otlp_out.h"

/* A busy sidecar talks to a few services, each with some routes; beyond that a group is closed early,
 * which costs its heading once more. */
#define OPEN_GROUPS_MAX 16

/* Records that share what otlp_same_scope() compares: one ScopeLogs or ScopeSpans. */
struct open_group {
    struct call shared; /* text in mem */
    struct arena mem;
    struct buf elements; /* the message's body: the scope, then the records */
};
struct open_batch {
    struct open_group groups[OPEN_GROUPS_MAX]; /* the last one used is tried first */
    unsigned groups_len, last;
    struct buf closed; /* whole groups that made room for others */
    size_t bytes;
    uint32_t records;
};

/* Encodes x behind its group's records. False, and no record more, when memory is out or b->bytes
 * would be over bytes_max. */
bool open_batch_add(struct open_batch *b, enum otlp_signal signal, const struct exchange *x,
                    size_t bytes_max) MUST_USE;
/* Appends the whole export request to `to` (errors: its `failed`) and empties b, whose memory is kept
 * for the next records. resource: from otlp_put_resource(). */
void open_batch_take(struct open_batch *b, struct sv resource, struct buf *to);
/* Gives all memory back; b is empty afterwards. */
void open_batch_done(struct open_batch *b);

#endif
