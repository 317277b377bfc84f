/* gzip_quick.c - matches found by two guesses, written with deflate's fixed codes.
 *
 * Compressors for everything search: they hash every byte, follow chains, count symbols, build codes.
 * In a batch of telemetry a record differs from the one before in seventy bytes, so nearly every
 * match lies as far back as the last one did: that distance is tried first, then the one place that a
 * small table remembers for the next four bytes. A match runs as far as it goes, sixteen bytes a step,
 * and nothing is looked up inside it. Between matches every second byte is asked for, and a match found
 * one too late is extended backwards: a fifth less work for two in a hundred bytes. The codes are deflate's fixed ones: nothing is counted and
 * nothing is written twice.
 *
 * Where a record varies the one before it varied, too, and mostly as long: so how far the next match was is
 * remembered by place, and looked at first where a match ends. Most of what varies is thus stepped over at once.
 *
 * The table holds where four bytes were last looked for in vain, which includes the first byte after
 * everything that varies: exactly where the next record's match will begin.
 *
 * Always holds: a match is at least 4 bytes, at most 32768 back, and begins before where it is used.
 * The worst input grows by an eighth (nine bits for a byte), which is reserved beforehand. */
#include "base/gzip_quick.h"
#include "base/mem.h"
#include <libdeflate.h>

#define HASH_BITS    12
#define WINDOW_BYTES ((size_t)32768)
#define MATCH_MIN    ((size_t)4)
#define MATCH_MAX    ((size_t)258) /* of one length code; longer matches are several */
#define STEP_BYTES   ((size_t)2)   /* not above MATCH_MIN: the end is not stepped over */
#define GAPS                                                                                       \
    ((size_t)4096) /* places that are told apart; a power of two, and longer than a record */
#define IN_BYTES_MAX ((size_t)INT32_MAX)
#define HEADER_BYTES 10
#define TAIL_BYTES   8
/* The state of struct bits must stay in registers: bytes stored through a pointer could be it. */
#define INLINE       static inline __attribute__((always_inline))
#define SLACK_BYTES  32 /* block header, end of block, and that 8 bytes are stored at a time */

/* A code with its extra bits, ready to be appended. */
struct code {
    uint32_t bits;
    uint32_t len;
};

struct gzip_quick {
    struct code literals[256];
    struct code lengths[MATCH_MAX + 1];
    uint8_t distances[30];          /* symbols' codes, five bits each */
    uint32_t table[1 << HASH_BITS]; /* offsets into the input */
    uint8_t gaps[GAPS]; /* by the offset of its first byte: bytes up to the next match */
};

struct bits {
    uint8_t *at;
    uint64_t held;
    unsigned held_len; /* below 8 after put() */
};

static uint32_t reversed(uint32_t v, unsigned len)
{
    uint32_t r = 0;
    for (unsigned i = 0; i < len; i++)
        r |= (v >> i & 1) << (len - 1 - i);
    return r;
}

/* The fixed code of a literal or length symbol (RFC 1951 section 3.2.6). */
static struct code fixed_code(unsigned symbol)
{
    if (symbol < 144)
        return (struct code){ reversed(0x30 + symbol, 8), 8 };
    if (symbol < 256)
        return (struct code){ reversed(0x190 + symbol - 144, 9), 9 };
    if (symbol < 280)
        return (struct code){ reversed(symbol - 256, 7), 7 };
    return (struct code){ reversed(0xc0 + symbol - 280, 8), 8 };
}

/* Length symbols 257 to 284: four for each number of extra bits, the first eight have none. */
static void make_lengths(struct gzip_quick *q)
{
    unsigned length = 3;
    for (unsigned symbol = 257; symbol < 285; symbol++) {
        unsigned extra = symbol < 265 ? 0 : (symbol - 261) / 4;
        struct code c = fixed_code(symbol);
        for (uint32_t i = 0; i < 1U << extra && length < MATCH_MAX; i++, length++)
            q->lengths[length] = (struct code){ c.bits | i << c.len, c.len + extra };
    }
    q->lengths[MATCH_MAX] = fixed_code(285);
}

struct gzip_quick *gzip_quick_new(void)
{
    struct gzip_quick *q = mem_zalloc(sizeof(*q));
    if (!q)
        return NULL;
    for (unsigned i = 0; i < NELEMS(q->literals); i++)
        q->literals[i] = fixed_code(i);
    make_lengths(q);
    for (unsigned i = 0; i < NELEMS(q->distances); i++)
        q->distances[i] = (uint8_t)reversed(i, 5);
    return q;
}

struct gzip_quick *gzip_quick_free(struct gzip_quick *q)
{
    return mem_free(q);
}

static inline void store_le(uint8_t *to, uint64_t v, size_t bytes)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    memcpy(to, &v, bytes);
#else
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(v >> 8 * i);
#endif
}

/* At most 56 bits at once. */
INLINE void put(struct bits *b, uint64_t bits, unsigned len)
{
    b->held |= bits << b->held_len;
    b->held_len += len;
    store_le(b->at, b->held, 8);
    b->at += b->held_len / 8;
    b->held >>= b->held_len & ~7U;
    b->held_len &= 7;
}

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* The fixed codes of seven bytes below 0x80, of which ids in hexadecimal are made: eight bits each, the
 * byte plus 0x30 with its bits in reverse. */
static inline uint64_t ascii_codes(uint64_t seven)
{
    const uint64_t ones = UINT64_C(0x0001010101010101);
    uint64_t v = seven + ones * 0x30;
    v = (v >> 4 & ones * 0x0f) | (v & ones * 0x0f) << 4;
    v = (v >> 2 & ones * 0x33) | (v & ones * 0x33) << 2;
    return (v >> 1 & ones * 0x55) | (v & ones * 0x55) << 1;
}

INLINE void put_literals(struct bits *b, const struct gzip_quick *q, const uint8_t *p, size_t n)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    for (; n >= 8; n -= 7, p += 7) {
        uint64_t seven = load64(p) << 8 >> 8;
        if (seven & UINT64_C(0x0080808080808080))
            break;
        put(b, ascii_codes(seven), 56);
    }
#endif
    for (; n >= 4; n -= 4, p += 4) {
        uint64_t bits = 0;
        unsigned len = 0;
        for (size_t i = 0; i < 4; i++) {
            const struct code *c = &q->literals[p[i]];
            bits |= (uint64_t)c->bits << len;
            len += c->len;
        }
        put(b, bits, len);
    }
    for (; n; n--, p++)
        put(b, q->literals[*p].bits, q->literals[*p].len);
}

/* Distance symbols: two for each number of extra bits, the first four have none; five bits each. */
static struct code distance_code(const struct gzip_quick *q, size_t distance)
{
    uint32_t d = (uint32_t)distance - 1;
    if (d < 4)
        return (struct code){ q->distances[d], 5 };
    unsigned extra = 30 - (unsigned)__builtin_clz(d); /* d has extra + 2 significant bits */
    uint32_t symbol = 2 * extra + (d >> extra);
    uint32_t rest = d & ((1U << extra) - 1);
    return (struct code){ q->distances[symbol] | rest << 5, 5 + extra };
}

INLINE void put_match(struct bits *b, const struct gzip_quick *q, size_t length, size_t distance)
{
    struct code d = distance_code(q, distance);
    while (length) {
        size_t part = length <= MATCH_MAX              ? length
                      : length < MATCH_MAX + MATCH_MIN ? length - MATCH_MIN
                                                       : MATCH_MAX;
        struct code l = q->lengths[part];
        put(b, l.bits | (uint64_t)d.bits << l.len, l.len + d.len);
        length -= part;
    }
}

static inline uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* How far p repeats what begins at `from`; p ends at `end`. */
static size_t match_length(const uint8_t *p, const uint8_t *from, const uint8_t *end)
{
    const uint8_t *start = p;
#ifdef __SSE2__
    for (; end - p >= 16; p += 16, from += 16) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i b = _mm_loadu_si128((const __m128i *)(const void *)from);
        unsigned same = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(a, b));
        if (same != 0xffff)
            return (size_t)(p - start) + (size_t)__builtin_ctz(~same);
    }
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    for (; end - p >= 8; p += 8, from += 8) {
        uint64_t differ = load64(p) ^ load64(from);
        if (differ)
            return (size_t)(p - start) + (size_t)__builtin_ctzll(differ) / 8;
    }
#endif
    while (p < end && *p == *from)
        p++, from++;
    return (size_t)(p - start);
}

/* Where a match for p, which is not the first byte, may begin; NULL when neither guess is right. */
static inline const uint8_t *guess(struct gzip_quick *q, const uint8_t *in, const uint8_t *p,
                                   size_t last_distance)
{
    uint32_t next = load32(p);
    if (last_distance && load32(p - last_distance) == next)
        return p - last_distance;
    uint32_t *place = &q->table[(next * UINT32_C(0x9e3779b1)) >> (32 - HASH_BITS)];
    const uint8_t *from = in + *place;
    *place = (uint32_t)(p - in);
    bool is_match = load32(from) == next && (size_t)(p - from) <= WINDOW_BYTES;
    return is_match ? from : NULL;
}

/* Bytes up to the next match, if the gap that begins at p is as long as the one a distance before it; else 0. */
static inline size_t known_gap(const struct gzip_quick *q, const uint8_t *in, const uint8_t *p,
                               const uint8_t *end, size_t distance)
{
    size_t gap = distance ? q->gaps[(size_t)(p - in - distance) % GAPS] : 0;
    bool is_known = gap && (size_t)(end - p) >= gap + MATCH_MIN &&
                    load32(p + gap) == load32(p + gap - distance);
    return is_known ? gap : 0;
}

static void put_block(struct bits *b, struct gzip_quick *q, struct sv text)
{
    const uint8_t *in = (const uint8_t *)(text.len ? text.p : ""), *end = in + text.len, *p = in,
                  *literals = in;
    size_t distance = 0;
    memset(q->table, 0, sizeof(q->table));
    memset(q->gaps, 0, sizeof(q->gaps));
    p += text.len > 0;     /* the first byte repeats nothing, and is what empty places point to */
    put(b, 1 | 1 << 1, 3); /* the last block; fixed codes */
    while ((size_t)(end - p) >= MATCH_MIN) {
        const uint8_t *from = guess(q, in, p, distance);
        if (!from) {
            p += STEP_BYTES;
            continue;
        }
        size_t length = MATCH_MIN + match_length(p + MATCH_MIN, from + MATCH_MIN, end);
        while (p > literals && from > in && p[-1] == from[-1])
            p--, from--, length++;
        put_literals(b, q, literals, (size_t)(p - literals));
        q->gaps[(size_t)(literals - in) % GAPS] = (uint8_t)MIN(p - literals, UINT8_MAX);
        distance = (size_t)(p - from);
        put_match(b, q, length, distance);
        literals = p + length;
        p = literals + known_gap(q, in, literals, end, distance);
    }
    put_literals(b, q, literals, (size_t)(end - literals));
    put(b, fixed_code(256).bits, fixed_code(256).len);
    b->at += b->held_len > 0;
}

int gzip_quick_write(struct gzip_quick *q, struct sv in, struct buf *out, struct err *err)
{
    static const uint8_t header[HEADER_BYTES] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255 };
    if (in.len >= IN_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%zu bytes to compress", in.len);
    size_t room = HEADER_BYTES + in.len + in.len / 8 + SLACK_BYTES + TAIL_BYTES;
    uint8_t *start = (uint8_t *)buf_reserve(out, room);
    if (!start)
        return err_set(err, ERR_NOMEM, "%zu bytes to compress into", room);
    memcpy(start, header, sizeof(header));
    struct bits b = { .at = start + HEADER_BYTES };
    put_block(&b, q, in);
    store_le(b.at, libdeflate_crc32(0, in.p, in.len), 4);
    store_le(b.at + 4, in.len, 4);
    buf_commit(out, (size_t)(b.at + TAIL_BYTES - start));
    return 0;
}
