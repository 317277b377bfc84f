/* hits.h - traces found so far by a search, each with its newest match. Private to store/sqlite/.
 *
 * All-zero is valid and empty. */
#ifndef SQLITE_HITS_H
#define SQLITE_HITS_H

#include "base/map.h"
#include "store/match.h"

#define HIT_NONE SIZE_MAX

struct hits {
    struct map by_trace; /* trace id -> index + 1 into list */
    struct trace_hit *list;
    size_t len, cap;
};
void hits_done(struct hits *h);
/* Makes or renews the trace's hit. -1 when memory is out. */
int hits_add(struct hits *h, struct trace_id id, int64_t match_ns) MUST_USE;
/* Puts the newest in front and forgets all but the first `limit`. -1 when memory is out. */
int hits_trim(struct hits *h, size_t limit) MUST_USE;
size_t hits_find(const struct hits *h, struct trace_id id); /* index, or HIT_NONE */

#endif
