/* buf.h - growable bytes with room to consume from the front; the I/O and output buffer.
 *
 * All-zero is the valid empty state. Appending never fails in the middle: when memory is out the
 * bytes are dropped and `failed` latches, so a writer checks once at the end. Not thread-safe. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/auto.h"
#include "base/sv.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct buf {
    char *mem;        /* start of the allocation */
    size_t from, len; /* unread bytes are mem[from .. from+len) */
    size_t cap;
    bool failed; /* memory ran out at some append since buf_clear() */
};

void buf_done(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory */
/* The unread bytes; valid until the next call that changes b. */
static inline struct sv buf_sv(const struct buf *b)
{
    return sv_of(b->mem ? b->mem + b->from : NULL, b->len);
}
/* Room for at least `bytes` more at the returned place, NULL when memory is out; follow with
 * buf_commit() for what was really written. */
char *buf_reserve_slow(struct buf *b, size_t bytes); /* makes room; use buf_reserve() */
static inline char *buf_reserve(struct buf *b, size_t bytes)
{
    if (b->mem && b->cap - b->from - b->len >= bytes)
        return b->mem + b->from + b->len;
    return buf_reserve_slow(b, bytes);
}
static inline void buf_commit(struct buf *b, size_t bytes)
{
    b->len += bytes;
    INVARIANT(b->from + b->len <= b->cap);
}
void buf_consume(struct buf *b, size_t bytes); /* drops bytes from the front */
static inline void buf_append(struct buf *b, const void *p, size_t bytes)
{
    char *to = bytes ? buf_reserve(b, bytes) : NULL;
    if (!to)
        return;
    memcpy(to, p, bytes);
    b->len += bytes;
}
static inline void buf_put(struct buf *b, struct sv s)
{
    buf_append(b, s.p, s.len);
}
static inline void buf_putc(struct buf *b, char c)
{
    buf_append(b, &c, 1);
}
void buf_put_u64(struct buf *b, uint64_t v); /* decimal */
void buf_put_i64(struct buf *b, int64_t v);  /* decimal */
/* Shortest decimal text that reads back as v; "NaN", "+Inf", "-Inf" as Prometheus spells them. */
void buf_put_double(struct buf *b, double v);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Hands the memory over as one mem_alloc block of *ret_bytes; b is empty afterwards. */
char *buf_take(struct buf *b, size_t *ret_bytes);

DEFINE_AUTO_DONE(buf);

#endif
