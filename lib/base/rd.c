/* rd.c - the sticky cursor; see rd.h for the idea.
 *
 * After a failure the cursor stands at its end, so every loop of the form "while bytes are left"
 * ends by itself. */
#include "base/rd.h"
#include <stdarg.h>
#include <stdio.h>

void rd_fail(struct rd *r, enum err_code code, const char *fmt, ...)
{
    if (rd_ok(r)) {
        va_list ap;
        va_start(ap, fmt);
        r->failed.code = code;
        r->failed.at = rd_offset(r);
        vsnprintf(r->failed.why, sizeof(r->failed.why), fmt, ap);
        va_end(ap);
    }
    r->at = r->end;
}

struct sv rd_bytes(struct rd *r, size_t bytes)
{
    if (rd_left(r) < bytes) {
        rd_fail(r, ERR_TRUNCATED, "%zu bytes wanted, %zu left", bytes, rd_left(r));
        return SV_NONE;
    }
    struct sv s = sv_of(r->at, bytes);
    if (bytes) /* an empty input has no address to step from */
        r->at += bytes;
    return s;
}

static uint64_t rd_le(struct rd *r, size_t bytes)
{
    struct sv s = rd_bytes(r, bytes);
    uint64_t v = 0;
    for (size_t i = s.len; i-- > 0;)
        v = v << 8 | (uint8_t)s.p[i];
    return v;
}

uint8_t rd_u8(struct rd *r)
{
    return (uint8_t)rd_le(r, 1);
}

uint16_t rd_le16(struct rd *r)
{
    return (uint16_t)rd_le(r, 2);
}

uint32_t rd_le32_slow(struct rd *r)
{
    return (uint32_t)rd_le(r, 4);
}

uint64_t rd_le64_slow(struct rd *r)
{
    return rd_le(r, 8);
}

uint64_t rd_varint_slow(struct rd *r)
{
    uint64_t v = 0;
    if (rd_left(r) >= 2 && r->at[0] >= 0x80 &&
        r->at[1] < 0x80) { /* the most usual after one byte */
        r->at += 2;
        return (r->at[-2] & 0x7f) | (uint64_t)r->at[-1] << 7;
    }
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (r->at == r->end) {
            rd_fail(r, ERR_TRUNCATED, "varint cut short");
            return 0;
        }
        uint8_t b = *r->at++;
        if (shift == 63 && b > 1)
            break;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    rd_fail(r, ERR_MALFORMED, "varint over 64 bits");
    return 0;
}

int rd_finish(const struct rd *r, struct err *err)
{
    if (rd_ok(r))
        return 0;
    return err_at(err, r->failed.code, r->failed.at, "%s", r->failed.why);
}
