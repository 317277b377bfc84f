/* pb.h - protobuf's wire format: a zero-copy reader on struct rd and a writer into struct buf.
 *
 * Reading is a loop over the fields of one message; what is not wanted is skipped:
 *
 *   for (struct pb_tag t; pb_next(&r, &t);) {
 *       switch (t.field) {
 *       case OTLP_SPAN_NAME: s->name = pb_bytes(&r, t); break;
 *       case OTLP_SPAN_STATUS: {
 *           const uint8_t *outer = pb_enter(&r, t);
 *           read_status(&r, s);
 *           pb_leave(&r, outer);
 *           break;
 *       }
 *       default: pb_skip(&r, t);
 *       }
 *   }
 *   return rd_finish(&r, err);
 *
 * Failures stick in the rd: the loops of all levels end, values read afterwards are zero. Errors
 * are ERR_TRUNCATED and ERR_MALFORMED with the byte offset; a field whose wire type is not the one
 * asked for is malformed. Views point into the input. Source: protobuf.dev encoding. */
#ifndef WIRE_PB_H
#define WIRE_PB_H

#include "base/buf.h"
#include "base/rd.h"

enum pb_wire { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_tag {
    uint32_t field; /* 1 .. 2^29 - 1 */
    enum pb_wire wire;
};

/* The next field of the message; false at its end or after a failure. Groups (wire types 3 and 4,
 * gone since proto3) are refused. */
bool pb_next(struct rd *r, struct pb_tag *ret_tag);
/* The value of the field just announced. int32, int64, bool and enums are varints; a negative one
 * arrives as its 64-bit two's complement. */
uint64_t pb_varint(struct rd *r, struct pb_tag t);
uint32_t pb_fixed32(struct rd *r, struct pb_tag t);
uint64_t pb_fixed64(struct rd *r, struct pb_tag t);
double pb_double(struct rd *r, struct pb_tag t);
struct sv pb_bytes(struct rd *r, struct pb_tag t); /* bytes, string, message; empty on failure */
void pb_skip(struct rd *r, struct pb_tag t);

/* Narrows r to the nested message just announced; give what it returned to pb_leave(), which goes
 * on behind the message, whether or not it was read to its end. */
const uint8_t *pb_enter(struct rd *r, struct pb_tag t) MUST_USE;
void pb_leave(struct rd *r, const uint8_t *outer);

/* Writing. Errors: only the buf's `failed`. Every call writes its field, zero or not; leave default
 * values out by not calling. */
void pb_put_varint(struct buf *to, uint32_t field, uint64_t v);
void pb_put_i64(struct buf *to, uint32_t field, int64_t v); /* also int32 and enums */
void pb_put_bool(struct buf *to, uint32_t field, bool v);
void pb_put_fixed32(struct buf *to, uint32_t field, uint32_t v);
void pb_put_fixed64(struct buf *to, uint32_t field, uint64_t v);
void pb_put_double(struct buf *to, uint32_t field, double v);
void pb_put_bytes(struct buf *to, uint32_t field, struct sv v);
/* A nested message is what is written between the two calls; they may nest. pb_close() patches the
 * length in, moving the message up when it needs more than one byte (over 127 bytes long), so the
 * result is canonical. Consume nothing from the buf in between. */
size_t pb_open(struct buf *to, uint32_t field) MUST_USE;
void pb_close(struct buf *to, size_t mark);
/* A bare varint, for length-prefixed streams. */
void pb_put_raw_varint(struct buf *to, uint64_t v);

#endif
