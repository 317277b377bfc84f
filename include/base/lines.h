/* lines.h - asks for memory before it is needed, so that several cache misses pass at the same time.
 *
 * Addresses may be any; nothing is read that the program could see. Whoever asks has measured that it
 * helps: it costs an instruction a line. */
#ifndef BASE_LINES_H
#define BASE_LINES_H

#include <stddef.h>

enum { LINE_BYTES = 64 };

/* What lies in [p, p + bytes), to be written to; where p is not aligned the last line may be missing. */
static inline void lines_ask(const void *p, size_t bytes)
{
#pragma GCC unroll 8
    for (size_t i = 0; i < bytes; i += LINE_BYTES)
        __builtin_prefetch((const char *)p + i, 1);
}

#endif
