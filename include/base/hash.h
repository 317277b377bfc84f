/* hash.h - xxHash (XXH3, 64 bits) behind one name. Not for secrets. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/sv.h"
#include <stdint.h>

uint64_t hash_bytes(const void *p, size_t bytes, uint64_t seed);
static inline uint64_t hash_sv(struct sv s)
{
    return hash_bytes(s.p, s.len, 0);
}

#endif
