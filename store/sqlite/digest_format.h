/* digest_format.h - what the two sides of a digest agree on. Private to store/sqlite/digest*.c.
 *
 * A digest is a head, the groups and the filter, all little-endian and of fixed widths, so that it
 * is asked as it lies on disk. */
#ifndef SQLITE_DIGEST_FORMAT_H
#define SQLITE_DIGEST_FORMAT_H

#include "base/hash.h"
#include "store/store.h"

#define DIGEST_MAGIC SV("TDIG")
enum {
    DIGEST_VERSION = 2,
    DIGEST_VERSION_COARSE = 1, /* groups have the class of the longest duration; still read */
    DIGEST_VERSION_AT = 4,
    DIGEST_HEAD_BYTES = 25, /* magic, version, le64 checksum of the rest, le32 each: */
    DIGEST_FLAGS_AT = 13,
    DIGEST_GROUPS_AT = 17,
    DIGEST_BLOCKS_AT = 21,
    DIGEST_GROUP_BYTES = 15, /* le32 service, le32 name, kind, status, shortest, le32 longest */
    DIGEST_GROUP_COARSE_BYTES = 12, /* of version 1, where the longest is a byte as well */
    DIGEST_BLOCK_BYTES = 32,        /* 8 words, one bit set in each for an item of the block */
    DIGEST_BLOCK_WORDS = 8,
};
enum { DIGEST_ANY_NAME = 1 }; /* flag: too many names, the groups do not tell them apart */

static inline uint32_t digest_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* A duration's class: four to each power of two, in order; 0 for what is not positive. */
static inline uint8_t digest_duration(int64_t ns)
{
    if (ns <= 0)
        return 0;
    int log = 63 - __builtin_clzll((unsigned long long)ns);
    uint64_t quarter = log >= 2 ? (uint64_t)ns >> (log - 2) : (uint64_t)ns << (2 - log);
    return (uint8_t)(1 + log * 4 + (int)(quarter & 3));
}

/* A duration as 32 bits, in order: its power of two and 26 bits behind the leading one, so exact up
 * to 134 ms and within 15 in a thousand million above. A search for what hardly any span reaches
 * passes over nearly all segments by it, which classes cannot. 0 for what is not positive. */
static inline uint32_t digest_long(int64_t ns)
{
    if (ns <= 0)
        return 0;
    int log = 63 - __builtin_clzll((unsigned long long)ns);
    uint64_t behind = log >= 26 ? (uint64_t)ns >> (log - 26) : (uint64_t)ns << (26 - log);
    return (uint32_t)(1 + ((uint64_t)log << 26) + (behind & ((UINT64_C(1) << 26) - 1)));
}

/* The class of one of these. */
static inline uint8_t digest_long_class(uint32_t v)
{
    return (uint8_t)(v ? 1 + ((v - 1) >> 24) : 0);
}

/* Of bytes that were checked. */
static inline bool digest_is_coarse(struct sv digest)
{
    return (uint8_t)digest.p[DIGEST_VERSION_AT] == DIGEST_VERSION_COARSE;
}

static inline uint32_t digest_text(struct sv s)
{
    return (uint32_t)hash_sv(s);
}

/* Kind or status as a byte; what is beyond is like what nobody knows. */
static inline uint8_t digest_enum(unsigned v)
{
    return (uint8_t)(v < UINT8_MAX ? v : UINT8_MAX);
}

/* Which of a block's bits are an item's: one in each word. The salts are odd random numbers. */
static inline uint32_t digest_bit(uint64_t hash, size_t word)
{
    static const uint32_t salts[DIGEST_BLOCK_WORDS] = {
        0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f,
        0x165667b1, 0xd6e8feb9, 0xa0761d65, 0xe7037ed1,
    };
    return UINT32_C(1) << ((uint32_t)(hash + (hash == 0)) * salts[word] >> 27);
}
static inline size_t digest_block(uint64_t hash, size_t blocks)
{
    return (size_t)((hash >> 32) * blocks >> 32);
}

/* Items of the filter. An attribute: its level, key, type and, but for lists, value. */
uint64_t digest_item(enum attr_level level, const struct attr *a);
/* In front of the values of one key, so that a column hashes its key once. */
uint64_t digest_key(enum attr_level level, enum value_type type, struct sv key);
uint64_t digest_value(uint64_t key, const struct value *v);
/* Marks: the values of this key and type (of this level) are not in the filter. */
uint64_t digest_key_unknown(enum attr_level level, enum value_type type, struct sv key);
uint64_t digest_level_unknown(enum attr_level level);

#endif
