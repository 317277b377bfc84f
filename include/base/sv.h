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

bool sv_eq_nocase(struct sv a, struct sv b); /* ASCII only */
int sv_cmp(struct sv a, struct sv b);        /* bytewise, shorter first: <0, 0, >0 */
bool sv_starts(struct sv s, struct sv prefix);
bool sv_ends(struct sv s, struct sv suffix);
bool sv_contains(struct sv s, struct sv part);
/* Index of the first c, or s.len when there is none. */
size_t sv_index(struct sv s, char c);
/* The last c, or s.len when there is none. */
size_t sv_rindex(struct sv s, char c);
/* At most len bytes from offset at; clipped to s. */
struct sv sv_sub(struct sv s, size_t at, size_t len);
struct sv sv_from(struct sv s, size_t at);
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
