/* hash.c - the one place that includes xxHash, so that the function can be changed in one line. */
#include "base/hash.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash_bytes(const void *p, size_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(p ? p : "", bytes, seed);
}
