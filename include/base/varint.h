/* varint.h - the writing side of rd.h: LEB128 varints and little-endian integers into a buf, and
 * zigzag both ways. Errors: only the buf's `failed`. */
#ifndef BASE_VARINT_H
#define BASE_VARINT_H

#include "base/buf.h"
#include "base/rd.h"
#include <stdint.h>

#define VARINT_MAX_BYTES 10

static inline size_t varint_write(uint8_t *to, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        to[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    to[n++] = (uint8_t)v;
    return n;
}
/* Small numbers of either sign become small unsigned ones: 0, -1, 1, -2 ... are 0, 1, 2, 3 ... */
static inline uint64_t zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}
static inline int64_t unzigzag(uint64_t v)
{
    return (int64_t)((v >> 1) ^ (0 - (v & 1)));
}
/* Where the next `bytes` go, without a call when there is room; NULL when memory is out. */
static inline uint8_t *buf_room(struct buf *b, size_t bytes)
{
    if (b->cap - b->from - b->len >= bytes && b->mem)
        return (uint8_t *)b->mem + b->from + b->len;
    return (uint8_t *)buf_reserve(b, bytes);
}
static inline void buf_put_varint(struct buf *b, uint64_t v)
{
    uint8_t *to = buf_room(b, VARINT_MAX_BYTES);
    if (to)
        b->len += varint_write(to, v);
}
static inline void buf_put_u8(struct buf *b, uint8_t v)
{
    uint8_t *to = buf_room(b, 1);
    if (to) {
        *to = v;
        b->len++;
    }
}
static inline void buf_put_zigzag(struct buf *b, int64_t v)
{
    buf_put_varint(b, zigzag(v));
}
static inline int64_t rd_zigzag(struct rd *r)
{
    return unzigzag(rd_varint(r));
}
static inline void buf_put_le32(struct buf *b, uint32_t v)
{
    uint8_t le[4];
    for (size_t i = 0; i < sizeof(le); i++)
        le[i] = (uint8_t)(v >> 8 * i);
    buf_append(b, le, sizeof(le));
}
static inline void buf_put_le64(struct buf *b, uint64_t v)
{
    buf_put_le32(b, (uint32_t)v);
    buf_put_le32(b, (uint32_t)(v >> 32));
}
/* Length-prefixed text. */
static inline void buf_put_text(struct buf *b, struct sv s)
{
    uint8_t *to = buf_room(b, VARINT_MAX_BYTES + s.len);
    if (!to)
        return;
    size_t n = varint_write(to, s.len);
    if (s.len)
        memcpy(to + n, s.p, s.len);
    b->len += n + s.len;
}
static inline struct sv rd_text(struct rd *r)
{
    uint64_t len = rd_varint(r);
    return rd_bytes(r, len <= rd_left(r) ? (size_t)len : SIZE_MAX);
}

#endif
