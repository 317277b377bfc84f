/* sv.h - text as a view: pointer and length, never owned, never NUL-terminated.
 *
 * Passed by value. A view is valid as long as whatever it looks into. All functions are pure and
 * may be called from any thread. */
#ifndef BASE_SV_H
#define BASE_SV_H

#include "base/auto.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct sv {
    const char *p; /* may be NULL when len is 0 */
    size_t len;    /* bytes */
};

#define SV(lit)   ((struct sv){ (lit), sizeof(lit) - 1 })
#define SV_NONE   ((struct sv){ NULL, 0 })
/* printf("%.*s", SV_ARG(s)) */
#define SV_ARG(s) (int)(s).len, ((s).p ? (s).p : "")

static inline struct sv sv_of(const void *p, size_t len)
{
    return (struct sv){ (const char *)p, len };
}

/* The libc border: z is NUL-terminated or NULL. */
static inline struct sv sv_z(const char *z)
{
    return (struct sv){ z, z ? strlen(z) : 0 };
}

static inline bool sv_eq(struct sv a, struct sv b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline uint64_t sv_load64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}
static inline uint32_t sv_load32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}
/* Whether the same 16 bytes stand at both places. */
static inline bool sv_same16(const char *a, const char *b)
{
#ifdef __SSE2__
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)a);
    __m128i y = _mm_loadu_si128((const __m128i *)(const void *)b);
    return _mm_movemask_epi8(_mm_cmpeq_epi8(x, y)) == 0xffff;
#else
    return sv_load64(a) == sv_load64(b) && sv_load64(a + 8) == sv_load64(b + 8);
#endif
}
/* sv_eq() without a call for texts of up to 32 bytes: where short texts are compared very often. Two
 * loads that may overlap cover each length. */
static inline bool sv_same(struct sv a, struct sv b)
{
    size_t n = a.len;
    if (n != b.len)
        return false;
    if (n - 8 <= 8)
        return ((sv_load64(a.p) ^ sv_load64(b.p)) |
                (sv_load64(a.p + n - 8) ^ sv_load64(b.p + n - 8))) == 0;
    if (n - 16 <= 16)
        return sv_same16(a.p, b.p) && sv_same16(a.p + n - 16, b.p + n - 16);
    if (n - 4 <= 4)
        return ((sv_load32(a.p) ^ sv_load32(b.p)) |
                (sv_load32(a.p + n - 4) ^ sv_load32(b.p + n - 4))) == 0;
    if (n > 32)
        return memcmp(a.p, b.p, n) == 0;
    for (size_t i = 0; i < n; i++)
        if (a.p[i] != b.p[i])
            return false;
    return true;
}

bool sv_same_nocase(const char *a, const char *b, size_t len); /* use sv_eq_nocase() */
static inline bool sv_eq_nocase(struct sv a, struct sv b)      /* ASCII only */
{
    return a.len == b.len && sv_same_nocase(a.p, b.p, a.len);
}
int sv_cmp(struct sv a, struct sv b); /* bytewise, shorter first: <0, 0, >0 */
static inline bool sv_starts(struct sv s, struct sv prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.p, prefix.p, prefix.len) == 0);
}
bool sv_ends(struct sv s, struct sv suffix);
bool sv_contains(struct sv s, struct sv part);
/* Index of the first c, or s.len when there is none. */
size_t sv_index(struct sv s, char c);
/* The last c, or s.len when there is none. */
size_t sv_rindex(struct sv s, char c);
/* At most len bytes from offset at; clipped to s. */
static inline struct sv sv_sub(struct sv s, size_t at, size_t len)
{
    if (at >= s.len)
        return SV_NONE;
    return sv_of(s.p + at, len < s.len - at ? len : s.len - at);
}
static inline struct sv sv_from(struct sv s, size_t at)
{
    return sv_sub(s, at, s.len);
}
/* Without spaces, tabs, CR and LF at both ends. */
struct sv sv_trim(struct sv s);
/* Takes the text up to sep off the front of *rest (all of it when sep is missing) into *ret_part;
 * false when *rest was exhausted before. "a,,b" gives "a", "", "b". */
bool sv_cut(struct sv *rest, char sep, struct sv *ret_part);

/* The whole view must be the number; on failure false and *ret_v untouched. */
bool sv_to_u64(struct sv s, uint64_t *ret_v);
bool sv_to_i64(struct sv s, int64_t *ret_v);
bool sv_to_double(struct sv s, double *ret_v);
/* Exactly 2 * bytes hex digits of either case into out. */
bool sv_to_bytes(struct sv hex, uint8_t *out, size_t bytes);
/* Writes 2 * bytes lower-case digits, no terminator. */
void hex_encode(char *out, const uint8_t *in, size_t bytes);
/* Copies at most size - 1 bytes and terminates; true when everything fitted. */
bool sv_to_z(struct sv s, char *out, size_t size);
/* Well-formed UTF-8 as Unicode 15 table 3-7 (no surrogates, no overlong forms). */
bool sv_is_utf8(struct sv s);

#endif
