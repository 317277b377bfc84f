/* pb.c - protobuf's wire format.
 *
 * A message is a sequence of (tag, value); the tag holds the field number and one of four shapes of
 * value. Nothing in the bytes says where a message ends: its parent's length does, or the end of
 * the input. So a nested message is read by the same cursor with its end moved in, which costs two
 * pointers and no copy, and keeps every error's offset relative to the whole body.
 * pb.h holds the short ways, this file the rest. */
#include "wire/pb.h"
#include "base/varint.h"

#define FIELD_MAX ((UINT32_C(1) << 29) - 1)

bool pb_next_slow(struct rd *r, struct pb_tag *ret_tag)
{
    const uint8_t *start = r->at;
    uint64_t raw = rd_varint(r);
    if (!rd_ok(r))
        return false;
    uint64_t field = raw >> 3;
    unsigned wire = (unsigned)raw & 7;
    if (field == 0 || field > FIELD_MAX) {
        r->at = start;
        rd_fail(r, ERR_MALFORMED, "field number %llu is out of range", (unsigned long long)field);
        return false;
    }
    if (!(1u << wire & PB_WIRES_SERVED)) {
        r->at = start;
        rd_fail(r, ERR_MALFORMED, "field %u: wire type %u is not served", (unsigned)field, wire);
        return false;
    }
    *ret_tag = (struct pb_tag){ .field = (uint32_t)field, .wire = (enum pb_wire)wire };
    return true;
}

static bool has_wire(struct rd *r, struct pb_tag t, enum pb_wire want)
{
    if (t.wire == want)
        return true;
    rd_fail(r, ERR_MALFORMED, "field %u: wire type %u, expected %u", t.field, (unsigned)t.wire,
            (unsigned)want);
    return false;
}

uint64_t pb_varint(struct rd *r, struct pb_tag t)
{
    return has_wire(r, t, PB_VARINT) ? rd_varint(r) : 0;
}

uint32_t pb_fixed32(struct rd *r, struct pb_tag t)
{
    return has_wire(r, t, PB_FIXED32) ? rd_le32(r) : 0;
}

uint64_t pb_fixed64(struct rd *r, struct pb_tag t)
{
    return has_wire(r, t, PB_FIXED64) ? rd_le64(r) : 0;
}

double pb_double(struct rd *r, struct pb_tag t)
{
    uint64_t bits = pb_fixed64(r, t);
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

size_t pb_length_slow(struct rd *r, struct pb_tag t)
{
    uint64_t len = has_wire(r, t, PB_BYTES) ? rd_varint(r) : 0;
    if (len <= rd_left(r))
        return (size_t)len;
    rd_fail(r, ERR_TRUNCATED, "field %u: %llu bytes announced, %zu left", t.field,
            (unsigned long long)len, rd_left(r));
    return 0;
}

void pb_skip(struct rd *r, struct pb_tag t)
{
    switch (t.wire) {
    case PB_VARINT: (void)rd_varint(r); return;
    case PB_FIXED64: (void)rd_bytes(r, 8); return;
    case PB_BYTES: (void)pb_bytes(r, t); return;
    case PB_FIXED32: (void)rd_bytes(r, 4); return;
    }
}

void pb_put_raw_varint(struct buf *to, uint64_t v)
{
    buf_put_varint(to, v);
}

/* The tag at the end of `to`, with room for `bytes` behind it; NULL when memory is out. What is written
 * there is committed by the caller, up to where it ends. */
static inline uint8_t *put_tag(struct buf *to, uint32_t field, enum pb_wire wire, size_t bytes)
{
    uint8_t *at = buf_room(to, VARINT_MAX_BYTES + bytes);
    return at ? at + varint_write(at, (uint64_t)field << 3 | (unsigned)wire) : NULL;
}

static inline void commit(struct buf *to, const uint8_t *end)
{
    to->len = (size_t)((const char *)end - (to->mem + to->from));
}

static inline void put_le(struct buf *to, uint32_t field, enum pb_wire wire, uint64_t v,
                          size_t bytes)
{
    uint8_t *at = put_tag(to, field, wire, bytes);
    if (!at)
        return;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(at, &v, bytes);
#else
    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(v >> (8 * i));
#endif
    commit(to, at + bytes);
}

void pb_put_varint(struct buf *to, uint32_t field, uint64_t v)
{
    uint8_t *at = put_tag(to, field, PB_VARINT, VARINT_MAX_BYTES);
    if (at)
        commit(to, at + varint_write(at, v));
}

void pb_put_i64(struct buf *to, uint32_t field, int64_t v)
{
    pb_put_varint(to, field, (uint64_t)v);
}

void pb_put_bool(struct buf *to, uint32_t field, bool v)
{
    pb_put_varint(to, field, v);
}

void pb_put_fixed32(struct buf *to, uint32_t field, uint32_t v)
{
    put_le(to, field, PB_FIXED32, v, 4);
}

void pb_put_fixed64(struct buf *to, uint32_t field, uint64_t v)
{
    put_le(to, field, PB_FIXED64, v, 8);
}

void pb_put_double(struct buf *to, uint32_t field, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    pb_put_fixed64(to, field, bits);
}

void pb_put_bytes(struct buf *to, uint32_t field, struct sv v)
{
    uint8_t *at = put_tag(to, field, PB_BYTES, VARINT_MAX_BYTES + v.len);
    if (!at)
        return;
    at += varint_write(at, v.len);
    if (v.len)
        memcpy(at, v.p, v.len);
    commit(to, at + v.len);
}

size_t pb_open(struct buf *to, uint32_t field)
{
    uint8_t *at = put_tag(to, field, PB_BYTES, 1);
    if (at) {
        *at = 0; /* the length, if it fits in one byte */
        commit(to, at + 1);
    }
    return to->len;
}

void pb_close(struct buf *to, size_t mark)
{
    if (to->failed)
        return;
    INVARIANT(mark > 0 && mark <= to->len);
    size_t len = to->len - mark;
    uint8_t prefix[VARINT_MAX_BYTES];
    size_t prefix_len = varint_write(prefix, len), more = prefix_len - 1;
    if (more) {
        if (!buf_reserve(to, more))
            return;
        char *start = to->mem + to->from + mark;
        memmove(start + more, start, len);
        buf_commit(to, more);
    }
    memcpy(to->mem + to->from + mark - 1, prefix, prefix_len);
}
