/* regex.h - PCRE2 patterns that must match a whole text, with a bound on the work one match may
 * cost. One thread a pattern. */
#ifndef PROXY_ROUTE_REGEX_H
#define PROXY_ROUTE_REGEX_H

#include "base/buf.h"
#include "base/err.h"
#include "base/sv.h"

#define REGEX_PATTERN_MAX 1024 /* bytes; Istio's own limit on a route's pattern */

struct regex;
/* Gives; err->why is PCRE2's reason, err->at the offset in the pattern. */
struct regex *regex_new(struct sv pattern, struct err *err) MUST_USE;
/* The same pattern to be looked for anywhere (is_anchored: at the beginning), for regex_rewrite(). */
struct regex *regex_new_search(struct sv pattern, bool is_anchored, bool ignores_case,
                               struct err *err) MUST_USE;
struct regex *regex_free(struct regex *re);
/* False also when the match limit was hit: a request that cannot be decided takes no such route. */
bool regex_matches(const struct regex *re, struct sv text);
/* Each match in text becomes `with`, where \1 or $1 (mark says which: '\\' or '$') is the first
 * group, up to 9; 0 is the whole match. At most REGEX_REWRITES matches; is_whole: the first one, and
 * nothing but its replacement is put. False when nothing matches or the match limit was hit; to is
 * unchanged then. */
#define REGEX_REWRITES 64 /* more replacements than any path has parts */
bool regex_rewrite(const struct regex *re, struct sv text, struct sv with, char mark, bool is_whole,
                   struct buf *to);

#endif
