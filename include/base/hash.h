/* hash.h - xxHash (XXH3, 64 bits) behind one name. Not for secrets. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/sv.h"
#include <stdint.h>
#include <string.h>

uint64_t hash_bytes(const void *p, size_t bytes, uint64_t seed);
static inline uint64_t hash_sv(struct sv s)
{
    return hash_bytes(s.p, s.len, 0);
}

/* What follows is for tables in memory and may change, so nothing that is stored may depend on it.
 * Two numbers into one: the halves of their product. */
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)(a ^ UINT64_C(0x9e3779b97f4a7c15)) * (b ^ UINT64_C(0xc2b2ae3d27d4eb4f));
    return (uint64_t)product ^ (uint64_t)(product >> 64) ^ a ^ b; /* also where one factor is 0 */
}
/* 24 bytes, which are nearly random already: a trace id and one of its spans. */
static inline uint64_t hash_ids(const uint8_t trace[16], uint64_t span)
{
    uint64_t a, b;
    memcpy(&a, trace, sizeof(a));
    memcpy(&b, trace + 8, sizeof(b));
    return hash_mix(hash_mix(a ^ UINT64_C(0xa0761d6478bd642f), b ^ UINT64_C(0xe7037ed1a0b428db)) ^
                        UINT64_C(0x8ebc6af09c88c6e3),
                    span ^ UINT64_C(0x589965cc75374cc3));
}
/* Adds the length and both ends of s to h. For a cache in front of a real lookup: what differs in
 * the middle only shares a place. */
static inline uint64_t hash_ends(uint64_t h, struct sv s)
{
    uint64_t ends;
    if (s.len >= 8)
        ends = sv_load64(s.p) + 3 * sv_load64(s.p + s.len - 8);
    else if (s.len >= 4)
        ends = sv_load32(s.p) | (uint64_t)sv_load32(s.p + s.len - 4) << 32;
    else
        ends = s.len ? (uint8_t)s.p[0] | (uint64_t)(uint8_t)s.p[s.len - 1] << 8 : 0;
    return (h ^ ends ^ s.len << 57) * UINT64_C(0x9e3779b97f4a7c15) + (h >> 29);
}
/* Asked several times a span: no call, a multiplication for each 16 bytes. */
static inline uint64_t hash_inline(const char *p, size_t n)
{
    uint64_t a = 0, b = 0, h = n;
    uint32_t u, v;
    if (n < sizeof(u)) {
        for (size_t i = 0; i < n; i++)
            a = a << 8 | (uint8_t)p[i];
        return hash_mix(a, h);
    }
    if (n < sizeof(a)) {
        memcpy(&u, p, sizeof(u));
        memcpy(&v, p + n - sizeof(v), sizeof(v));
        return hash_mix((uint64_t)u << 32 | v, h);
    }
    for (size_t i = 0; i + 16 < n; i += 16) {
        memcpy(&a, p + i, sizeof(a));
        memcpy(&b, p + i + sizeof(a), sizeof(b));
        h = hash_mix(a ^ h, b);
    }
    memcpy(&a, n < 16 ? p : p + n - 16, sizeof(a)); /* the last sixteen, some of them again */
    memcpy(&b, p + n - sizeof(b), sizeof(b));
    return hash_mix(hash_mix(a ^ h, b), n);
}
/* Adds every byte of s to h: one multiplication for texts of up to 16 bytes, as names are. */
static inline uint64_t hash_name(uint64_t h, struct sv s)
{
    uint64_t a = 0, b = 0;
    if (s.len > 16) {
        a = hash_inline(s.p, s.len);
    } else if (s.len >= 8) {
        a = sv_load64(s.p);
        b = sv_load64(s.p + s.len - 8);
    } else if (s.len >= 4) {
        a = sv_load32(s.p);
        b = sv_load32(s.p + s.len - 4);
    } else {
        a = s.len ? (uint8_t)s.p[0] | (uint64_t)(uint8_t)s.p[s.len / 2] << 8 : 0;
        b = s.len ? (uint8_t)s.p[s.len - 1] : 0;
    }
    return hash_mix(h ^ a, b + s.len);
}

#endif
