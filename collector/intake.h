/* SPDX-License-Identifier: Apache-2.0
 * intake.h - one message from a sender, from its first byte until the pipeline has its batch; the doors
 * share it.
 *
 * Bytes are charged against the pipeline's bound as they arrive, not as they are announced, so that
 * nobody can occupy the bound by announcing. What a message costs after decoding is charged before
 * the batch is handed over; the charge then travels with the batch. Loop thread. */
#ifndef COLLECTOR_INTAKE_H
#define COLLECTOR_INTAKE_H

#include "base/buf.h"
#include "base/gzip.h"
#include "ingest/addresses.h"
#include "ingest/decode.h"
#include "pipeline.h"

struct intake {
    struct pipeline *pipeline; /* borrowed, like limits and addresses */
    const struct limits *limits;
    struct addresses *addresses;
    struct buf body;
    size_t charged; /* bytes of the pipeline's bound that this message holds */
};

/* So many bytes are announced: room for them at once, so that the body is not moved while it grows. */
void intake_expect(struct intake *in, uint64_t bytes);
/* One more piece; it may stand in the body's own room, behind what is there. ERR_LIMIT: longer than
 * limits.body_bytes; ERR_BUSY: too much in flight; the body is gone then. */
int intake_put(struct intake *in, struct sv part) MUST_USE;
/* The decompressed body in place of the one that came. Errors as gzip_inflate()'s. */
int intake_inflate(struct intake *in, enum gzip_format format, struct err *err) MUST_USE;
/* A batch that owns the body it points into, its addresses put into names; key: of the sender, may be empty. Gives; NULL with the
 * decoder's err, or ERR_NOMEM. */
struct batch *intake_decode(struct intake *in, decode_fn *decode, struct sv key, struct err *err)
    MUST_USE;
/* Hands b over with p, whose done is set: true when the pipeline has both and this message holds nothing
 * any more. False: too much waits, nothing was taken. */
bool intake_submit(struct intake *in, struct batch *b, struct parcel *p) MUST_USE;
/* Gives back what the message holds; it can begin again. */
void intake_done(struct intake *in);

#endif
