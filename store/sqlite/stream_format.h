/* stream_format.h - what both sides of a stream agree on. Private to store/sqlite/. */
#ifndef SQLITE_STREAM_FORMAT_H
#define SQLITE_STREAM_FORMAT_H

#include <stdint.h>

enum { STRINGS_DICTIONARY = 0, STRINGS_PLAIN = 1, STRINGS_PATTERNS = 2 };
/* Of a column that is patterns: numbers in a text, and rows, which may take no bytes. */
enum { STRINGS_PLACES_MAX = 32, STRINGS_PATTERNS_ROWS_MAX = 1000000 };

/* Bytes that numbers below `limit` take; none when there is only one of them. */
static inline unsigned number_width(uint32_t limit)
{
    if (limit <= 1)
        return 0;
    return limit <= 0x100 ? 1 : limit <= 0x10000 ? 2 : 4;
}

#endif
