/* sv.c - views of text: comparing, cutting, and turning them into numbers.
 *
 * Numbers are parsed by hand because strtol() wants a terminator, skips white space and accepts a
 * locale's digits; wire data must be exactly the number or it is refused. */
#include "base/sv.h"
#include <stdlib.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* lower() of eight bytes: each sum has its top bit set where a byte (without its own top bit) is not below
 * 'A', and where it is above 'Z'. */
static uint64_t lower8(uint64_t x)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    uint64_t low = x & ~tops;
    uint64_t is_upper = (low + ones * (0x80 - 'A')) & ~(low + ones * (0x7f - 'Z')) & ~x & tops;
    return x | is_upper >> 2;
}

static bool same8_nocase(const char *a, const char *b)
{
    uint64_t x = sv_load64(a), y = sv_load64(b);
    return x == y || (!((x ^ y) & ~UINT64_C(0x2020202020202020)) && lower8(x) == lower8(y));
}

bool sv_same_nocase(const char *a, const char *b, size_t len)
{
    if (len >= 8) {
        for (size_t i = 0; i + 8 < len; i += 8)
            if (!same8_nocase(a + i, b + i))
                return false;
        return same8_nocase(a + len - 8, b + len - 8); /* may look at some bytes again */
    }
    if (len >= 4) {
        uint64_t x = (uint64_t)sv_load32(a) << 32 | sv_load32(a + len - 4);
        uint64_t y = (uint64_t)sv_load32(b) << 32 | sv_load32(b + len - 4);
        return lower8(x) == lower8(y);
    }
    for (size_t i = 0; i < len; i++)
        if (lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

int sv_cmp(struct sv a, struct sv b)
{
    size_t n = MIN(a.len, b.len);
    int rc = n ? memcmp(a.p, b.p, n) : 0;
    if (rc)
        return rc;
    return a.len < b.len ? -1 : a.len > b.len;
}

bool sv_ends(struct sv s, struct sv suffix)
{
    return s.len >= suffix.len && sv_eq(sv_from(s, s.len - suffix.len), suffix);
}

bool sv_contains(struct sv s, struct sv part)
{
    return part.len == 0 || (s.len >= part.len && memmem(s.p, s.len, part.p, part.len) != NULL);
}

size_t sv_index(struct sv s, char c)
{
    const char *hit = s.len ? memchr(s.p, c, s.len) : NULL;
    return hit ? (size_t)(hit - s.p) : s.len;
}

size_t sv_rindex(struct sv s, char c)
{
    const char *hit = s.len ? memrchr(s.p, c, s.len) : NULL;
    return hit ? (size_t)(hit - s.p) : s.len;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct sv sv_trim(struct sv s)
{
    while (s.len && is_space(s.p[0]))
        s = sv_from(s, 1);
    while (s.len && is_space(s.p[s.len - 1]))
        s.len--;
    return s;
}

bool sv_cut(struct sv *rest, char sep, struct sv *ret_part)
{
    if (!rest->p)
        return false;
    size_t at = sv_index(*rest, sep);
    *ret_part = sv_of(rest->p, at);
    *rest = at < rest->len ? sv_of(rest->p + at + 1, rest->len - at - 1) : SV_NONE;
    return true;
}

bool sv_to_u64(struct sv s, uint64_t *ret_v)
{
    uint64_t v = 0;
    if (s.len == 0)
        return false;
    size_t i = 0;
    for (; i < s.len && i < 19; i++) { /* these fit whatever they are */
        unsigned d = (unsigned)(s.p[i] - '0');
        if (d > 9)
            return false;
        v = v * 10 + d;
    }
    for (; i < s.len; i++) {
        unsigned d = (unsigned)(s.p[i] - '0');
        if (d > 9 || __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, d, &v))
            return false;
    }
    *ret_v = v;
    return true;
}

bool sv_to_i64(struct sv s, int64_t *ret_v)
{
    uint64_t v;
    bool is_negative = s.len && s.p[0] == '-';
    if (!sv_to_u64(is_negative ? sv_from(s, 1) : s, &v))
        return false;
    if (v > (uint64_t)INT64_MAX + (is_negative ? 1u : 0u))
        return false;
    *ret_v = is_negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool sv_to_double(struct sv s, double *ret_v)
{
    char z[64];
    if (s.len == 0 || is_space(s.p[0]) || !sv_to_z(s, z, sizeof(z)) || memchr(z, 0, s.len))
        return false;
    char *end;
    double v = strtod(z, &end);
    if (end != z + s.len)
        return false;
    *ret_v = v;
    return true;
}

/* What a digit is worth, plus one; 0: it is none. */
static const uint8_t hex_worth[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

#ifdef __SSE2__
/* Sixteen digits as eight bytes; false when one is none. */
static bool bytes8(const char *hex, uint8_t *out)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)hex);
    __m128i digit = _mm_sub_epi8(x, _mm_set1_epi8('0'));
    __m128i letter = _mm_sub_epi8(_mm_or_si128(x, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
    __m128i is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(5)), letter);
    __m128i worth = _mm_or_si128(_mm_and_si128(is_digit, digit),
                                 _mm_and_si128(is_letter, _mm_add_epi8(letter, _mm_set1_epi8(10))));
    /* The first of two digits is the lower half of a pair, and the upper half of its byte. */
    __m128i pairs = _mm_and_si128(_mm_or_si128(_mm_slli_epi16(worth, 4), _mm_srli_epi16(worth, 8)),
                                  _mm_set1_epi16(0xff));
    _mm_storel_epi64((__m128i *)(void *)out, _mm_packus_epi16(pairs, pairs));
    return _mm_movemask_epi8(_mm_or_si128(is_digit, is_letter)) == 0xffff;
}
#endif

bool sv_to_bytes(struct sv hex, uint8_t *out, size_t bytes)
{
    if (hex.len != 2 * bytes)
        return false;
    int bad = 0;
    size_t i = 0;
#ifdef __SSE2__
    for (; bytes - i >= 8; i += 8)
        if (!bytes8(hex.p + 2 * i, out + i))
            return false;
#endif
    for (; i < bytes; i++) {
        int hi = hex_worth[(uint8_t)hex.p[2 * i]] - 1,
            lo = hex_worth[(uint8_t)hex.p[2 * i + 1]] - 1;
        bad |= hi | lo;
        out[i] = (uint8_t)((unsigned)hi << 4 | (unsigned)lo);
    }
    return bad >= 0;
}

#ifdef __SSE2__
/* Eight bytes as sixteen digits. */
static void hex16(char *out, const uint8_t *in)
{
    const __m128i low = _mm_set1_epi8(0x0f);
    __m128i x = _mm_loadl_epi64((const __m128i *)(const void *)in);
    __m128i halves = _mm_and_si128(_mm_unpacklo_epi8(_mm_srli_epi16(x, 4), x), low);
    __m128i is_letter = _mm_cmpgt_epi8(halves, _mm_set1_epi8(9));
    __m128i base = _mm_add_epi8(_mm_set1_epi8('0'),
                                _mm_and_si128(is_letter, _mm_set1_epi8('a' - '0' - 10)));
    _mm_storeu_si128((__m128i *)(void *)out, _mm_add_epi8(halves, base));
}
#endif

void hex_encode(char *out, const uint8_t *in, size_t bytes)
{
    static const char digits[] = "0123456789abcdef";
#ifdef __SSE2__
    for (; bytes >= 8; bytes -= 8, in += 8, out += 16)
        hex16(out, in);
#endif
    for (size_t i = 0; i < bytes; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
}

bool sv_to_z(struct sv s, char *out, size_t size)
{
    size_t n = MIN(s.len, size - 1);
    if (n)
        memcpy(out, s.p, n);
    out[n] = '\0';
    return n == s.len;
}

/* Length of the well-formed sequence at p, 0 when there is none. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
    uint8_t c = p[0];
    if (c < 0x80)
        return 1;
    size_t n = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (n == 0 || left < n)
        return 0;
    uint8_t lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    uint8_t hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < lo || p[1] > hi)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool sv_is_utf8(struct sv s)
{
    const uint8_t *p = (const uint8_t *)s.p;
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_len(p + i, s.len - i);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}
