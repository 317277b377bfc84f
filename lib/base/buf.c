/* buf.c - growable bytes.
 *
 * Sockets append at the end and parsers consume at the front; moving the rest down is put off
 * until room is needed, so a steady stream costs one memmove per filled buffer. The short ways are
 * inline in the header: encoders append a few bytes at a time, a hundred times a span. */
#include "base/buf.h"
#include "base/mem.h"
#include <math.h>
#include <stdio.h>

void buf_done(struct buf *b)
{
    mem_free(b->mem);
    *b = (struct buf){ 0 };
}

void buf_clear(struct buf *b)
{
    b->from = b->len = 0;
    b->failed = false;
}

char *buf_reserve_slow(struct buf *b, size_t bytes)
{
    if (b->mem && b->from && b->cap - b->len >= bytes && b->from >= b->len) {
        memmove(b->mem, b->mem + b->from, b->len);
        b->from = 0;
        return b->mem + b->len;
    }
    size_t want;
    if (__builtin_add_overflow(b->len, bytes, &want) || want > SIZE_MAX / 4) {
        b->failed = true;
        return NULL;
    }
    size_t cap = MAX((size_t)64, b->cap);
    while (cap < want)
        cap *= 2;
    char *mem = mem_alloc(cap);
    if (!mem) {
        b->failed = true;
        return NULL;
    }
    if (b->len)
        memcpy(mem, b->mem + b->from, b->len);
    mem_free(b->mem);
    b->mem = mem;
    b->cap = cap;
    b->from = 0;
    return b->mem + b->len;
}

void buf_consume(struct buf *b, size_t bytes)
{
    INVARIANT(bytes <= b->len);
    b->from += bytes;
    b->len -= bytes;
    if (b->len == 0)
        b->from = 0;
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    buf_append(b, digits + at, sizeof(digits) - at);
}

void buf_put_i64(struct buf *b, int64_t v)
{
    if (v < 0)
        buf_putc(b, '-');
    buf_put_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void buf_put_double(struct buf *b, double v)
{
    if (isnan(v)) {
        buf_put(b, SV("NaN"));
        return;
    }
    if (isinf(v)) {
        buf_put(b, v > 0 ? SV("+Inf") : SV("-Inf"));
        return;
    }
    char text[40];
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    buf_append(b, text, (size_t)n);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0) {
        b->failed = true;
        return;
    }
    char *to = buf_reserve(b, (size_t)n + 1);
    if (!to)
        return;
    va_start(ap, fmt);
    vsnprintf(to, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

char *buf_take(struct buf *b, size_t *ret_bytes)
{
    if (b->from) {
        memmove(b->mem, b->mem + b->from, b->len);
        b->from = 0;
    }
    *ret_bytes = b->len;
    char *mem = b->mem;
    *b = (struct buf){ 0 };
    return mem;
}
