/* base64.c - four characters are three bytes. */
#include "base/base64.h"

/* 0..63, or -1. */
static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

static struct sv without_padding(struct sv text)
{
    if (text.len % 4 == 0)
        for (int i = 0; i < 2 && text.len && text.p[text.len - 1] == '='; i++)
            text.len--;
    return text;
}

bool base64_is_valid(struct sv text)
{
    text = without_padding(text);
    for (size_t i = 0; i < text.len; i++)
        if (digit(text.p[i]) < 0)
            return false;
    return text.len % 4 != 1;
}

bool base64_decode(struct arena *mem, struct sv text, struct sv *ret_bytes)
{
    if (!base64_is_valid(text))
        return false;
    text = without_padding(text);
    uint8_t *out = arena_alloc(mem, text.len / 4 * 3 + 3);
    if (!out)
        return false;
    size_t n = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < text.len; i++) {
        bits = bits << 6 | (uint32_t)digit(text.p[i]);
        if (i % 4)
            out[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    *ret_bytes = sv_of(out, n);
    return true;
}

void base64_put(struct buf *to, struct sv bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes.len; i += 3) {
        const uint8_t *in = (const uint8_t *)bytes.p + i;
        size_t n = MIN(bytes.len - i, 3);
        uint32_t bits = (uint32_t)in[0] << 16 | (n > 1 ? (uint32_t)in[1] << 8 : 0) |
                        (n > 2 ? in[2] : 0);
        buf_putc(to, digits[bits >> 18]);
        buf_putc(to, digits[bits >> 12 & 63]);
        buf_putc(to, n > 1 ? digits[bits >> 6 & 63] : '=');
        buf_putc(to, n > 2 ? digits[bits & 63] : '=');
    }
}
