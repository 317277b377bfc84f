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
 * asked for is malformed. The short ways are inline: nearly every tag and length of telemetry is one
 * byte, and there are a hundred of them in a span. Views point into the input. Source: protobuf.dev encoding. */
#ifndef WIRE_PB_H
#define WIRE_PB_H

#include "base/buf.h"
#include "base/rd.h"

enum pb_wire { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };
#define PB_WIRES_SERVED (1u << PB_VARINT | 1u << PB_FIXED64 | 1u << PB_BYTES | 1u << PB_FIXED32)

struct pb_tag {
    uint32_t field; /* 1 .. 2^29 - 1 */
    enum pb_wire wire;
};

/* The long ways of the functions below: tags and lengths of several bytes, failures. */
bool pb_next_slow(struct rd *r, struct pb_tag *ret_tag);
size_t pb_length_slow(struct rd *r, struct pb_tag t);

/* The next field of the message; false at its end or after a failure. Groups (wire types 3 and 4,
 * gone since proto3) are refused. */
static inline bool pb_next(struct rd *r, struct pb_tag *ret_tag)
{
    if (r->at == r->end)
        return false;
    unsigned raw = *r->at, wire = raw & 7;
    bool is_short = raw >= 8 && raw < 0x80 && (1u << wire & PB_WIRES_SERVED);
    if (!is_short)
        return pb_next_slow(r, ret_tag);
    r->at++;
    *ret_tag = (struct pb_tag){ .field = raw >> 3, .wire = (enum pb_wire)wire };
    return true;
}
/* The length of the PB_BYTES value just announced, checked against what is left; 0 on failure. */
static inline size_t pb_length(struct rd *r, struct pb_tag t)
{
    if (t.wire == PB_BYTES && r->at != r->end && *r->at < 0x80 && *r->at < rd_left(r))
        return *r->at++;
    return pb_length_slow(r, t);
}
/* Bytes, string, message; empty on failure. */
static inline struct sv pb_bytes(struct rd *r, struct pb_tag t)
{
    size_t len = pb_length(r, t);
    struct sv s = sv_of(r->at, len);
    r->at += len;
    return s;
}
/* The value of the field just announced. int32, int64, bool and enums are varints; a negative one
 * arrives as its 64-bit two's complement. */
uint64_t pb_varint(struct rd *r, struct pb_tag t);
uint32_t pb_fixed32(struct rd *r, struct pb_tag t);
uint64_t pb_fixed64(struct rd *r, struct pb_tag t);
double pb_double(struct rd *r, struct pb_tag t);
void pb_skip(struct rd *r, struct pb_tag t);

/* Narrows r to the nested message just announced; give what it returned to pb_leave(), which goes
 * on behind the message, whether or not it was read to its end. */
static inline MUST_USE const uint8_t *pb_enter(struct rd *r, struct pb_tag t)
{
    size_t len = pb_length(r, t);
    const uint8_t *outer = r->end;
    r->end = r->at + len;
    return outer;
}
static inline void pb_leave(struct rd *r, const uint8_t *outer)
{
    r->at = rd_ok(r) ? r->end : outer;
    r->end = outer;
}

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
