/* rd.h - a cursor over bytes whose failure sticks: reads past the end give zeros and latch the
 * first error, so a decoder's loop stays a list of fields with one check at its end. */
#ifndef BASE_RD_H
#define BASE_RD_H

#include "base/err.h"
#include "base/sv.h"
#include <stdbool.h>
#include <stdint.h>

struct rd {
    const uint8_t *base; /* offsets in errors count from here */
    const uint8_t *at, *end;
    struct err failed; /* code 0 while all is well */
};

static inline struct rd rd_of(struct sv in)
{
    const uint8_t *p = (const uint8_t *)in.p;
    return (struct rd){ .base = p, .at = p, .end = p ? p + in.len : p };
}
static inline size_t rd_left(const struct rd *r)
{
    return (size_t)(r->end - r->at);
}
static inline size_t rd_offset(const struct rd *r)
{
    return (size_t)(r->at - r->base);
}
static inline bool rd_ok(const struct rd *r)
{
    return r->failed.code == 0;
}
/* Latches the failure at the current offset (first one wins) and moves to the end. */
void rd_fail(struct rd *r, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
struct sv rd_bytes(struct rd *r, size_t bytes); /* empty view past the end */
uint8_t rd_u8(struct rd *r);
uint16_t rd_le16(struct rd *r);
uint32_t rd_le32_slow(struct rd *r); /* use rd_le32() */
uint64_t rd_le64_slow(struct rd *r); /* use rd_le64() */
/* Eight bytes as a little-endian number. */
static inline uint64_t le64_at(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}
static inline uint32_t rd_le32(struct rd *r)
{
    if (rd_left(r) < 4)
        return rd_le32_slow(r);
    r->at += 4;
    return r->at[-4] | r->at[-3] << 8 | r->at[-2] << 16 | (uint32_t)r->at[-1] << 24;
}
static inline uint64_t rd_le64(struct rd *r)
{
    if (rd_left(r) < 8)
        return rd_le64_slow(r);
    r->at += 8;
    return le64_at(r->at - 8);
}
uint64_t rd_varint_slow(struct rd *r); /* use rd_varint() */
/* LEB128 as protobuf's, at most 10 bytes. */
static inline uint64_t rd_varint(struct rd *r)
{
    if (r->at != r->end && *r->at < 0x80)
        return *r->at++;
    return rd_varint_slow(r);
}
/* 0, or the latched failure's code with its cause copied to err. */
int rd_finish(const struct rd *r, struct err *err) MUST_USE;

#endif
