/* regex.h - PCRE2 patterns that must match a whole text, with a bound on the work one match may
 * cost. One thread a pattern. */
#ifndef PROXY_ROUTE_REGEX_H
#define PROXY_ROUTE_REGEX_H

#include "base/err.h"
#include "base/sv.h"

#define REGEX_PATTERN_MAX 1024 /* bytes; Istio's own limit on a route's pattern */

struct regex;
/* Gives; err->why is PCRE2's reason, err->at the offset in the pattern. */
struct regex *regex_new(struct sv pattern, struct err *err) MUST_USE;
struct regex *regex_free(struct regex *re);
/* False also when the match limit was hit: a request that cannot be decided takes no such route. */
bool regex_matches(const struct regex *re, struct sv text);

#endif
