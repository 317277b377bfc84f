/* otlp_attr.h - attributes whose names are known when this is compiled.
 *
 * A request has some fifty of them. Inlined into their callers, a name becomes a few stores and every
 * length one byte; what does not fit that goes the general way of otlp_out.h. Fields below 16 only. */
#ifndef PROXY_TELEMETRY_OTLP_ATTR_H
#define PROXY_TELEMETRY_OTLP_ATTR_H

#include "base/varint.h"
#include "proxy/telemetry/otlp_out.h"
#include "wire/otlp_fields.h"
#include "wire/pb.h"

#define OTLP_INLINE static inline __attribute__((always_inline))

/* Tag, length and key of a KeyValue and the tag of its value; the length is still to be stored at to[1]. */
OTLP_INLINE uint8_t *otlp_attr_key(uint8_t *to, uint32_t field, struct sv key)
{
    to[0] = (uint8_t)(field << 3 | PB_BYTES);
    to[2] = OTLP_KEY_VALUE_KEY << 3 | PB_BYTES;
    to[3] = (uint8_t)key.len;
    memcpy(to + 4, key.p, key.len);
    to[4 + key.len] = OTLP_KEY_VALUE_VALUE << 3 | PB_BYTES;
    return to + 5 + key.len;
}

/* As otlp_put_text(). */
OTLP_INLINE void otlp_attr_text(struct buf *to, uint32_t field, struct sv key, struct sv value)
{
    size_t pair_len = 6 + key.len + value.len;
    if (!value.len)
        return;
    uint8_t *start = pair_len < 0x80 ? buf_room(to, 2 + pair_len) : NULL;
    if (!start || (value.len == IDENTITY_UNKNOWN.len && sv_eq(value, IDENTITY_UNKNOWN))) {
        otlp_put_text(to, field, key, value);
        return;
    }
    uint8_t *at = otlp_attr_key(start, field, key);
    start[1] = (uint8_t)pair_len;
    at[0] = (uint8_t)(2 + value.len);
    at[1] = OTLP_VALUE_STRING << 3 | PB_BYTES;
    at[2] = (uint8_t)value.len;
    memcpy(at + 3, value.p, value.len);
    to->len += 2 + pair_len;
}

/* As otlp_put_int(). */
OTLP_INLINE void otlp_attr_int(struct buf *to, uint32_t field, struct sv key, int64_t value)
{
    uint8_t *start = key.len < 96 ? buf_room(to, 7 + key.len + VARINT_MAX_BYTES) : NULL;
    if (!start) {
        otlp_put_int(to, field, key, value);
        return;
    }
    uint8_t *at = otlp_attr_key(start, field, key);
    at[1] = OTLP_VALUE_INT << 3 | PB_VARINT;
    size_t digits = varint_write(at + 2, (uint64_t)value);
    at[0] = (uint8_t)(1 + digits);
    start[1] = (uint8_t)(5 + key.len + digits);
    to->len += 7 + key.len + digits;
}

#endif
