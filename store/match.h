/* match.h - which spans a query means, and what a list of traces says of each. Private to store/.
 *
 * Pure functions; what they give borrows from the spans. */
#ifndef STORE_MATCH_H
#define STORE_MATCH_H

#include "store/store.h"

/* The window of q, everything when it has none. */
struct window query_window(const struct span_query *q);
bool query_matches(const struct span_query *q, const struct span *s);
/* The parts of it that a segment answers for many spans at once. */
bool query_takes_kind(const struct span_query *q, enum span_kind kind);
bool query_takes_status(const struct span_query *q, enum span_status status);
bool query_takes_duration(const struct span_query *q, int64_t ns);
bool attrs_have(const struct attrs *list, const struct attr *want);
bool events_have(const struct span *s, const struct attr *want);
bool links_have(const struct span *s, const struct attr *want);
/* Is an attribute at this level, one of the five, one that is wanted? */
bool attr_level_is_in(enum attr_level level, enum attr_level wanted);
/* end - start, held inside int64_t. */
int64_t span_duration_ns(const struct span *s);
int64_t duration_ns(int64_t start_ns, int64_t end_ns);
struct sv span_service(const struct span *s); /* resource service.name, empty when missing */

/* A summary grows span by span. */
struct summary {
    struct trace_summary t;
    struct span_id root_id; /* ties between roots of one start time go to the smaller id */
    int64_t root_start_ns;
    bool has_root; /* t.root_* is of a span without parent, not just of the earliest */
};
/* The names of a new root are copied into mem; -1 when memory is out. */
int summary_add(struct summary *sum, const struct span *s, struct arena *mem) MUST_USE;

/* One trace found, and the start of its newest matching span. */
struct trace_hit {
    struct trace_id id;
    int64_t match_ns;
};
/* Newest match first, then by id: the order of a search's results (for qsort). */
int trace_hit_cmp(const void *a, const void *b);
bool is_behind(const struct trace_hit *hit, const struct search_position *after);
/* Order of the spans of a trace: start time, then span id, then arrival (for stable results
 * callers sort arrays of pointers whose order is that of arrival; see match.c). */
struct span_at {
    const struct span *span;
    size_t arrived; /* position in order of commit */
};
int span_at_cmp(const void *a, const void *b);

/* The same for access records: newest first, then the later arrival. */
struct call_at {
    const struct call *call;
    size_t arrived;
};
int call_at_cmp(const void *a, const void *b);

struct operation {
    struct sv service, name;
    enum span_kind kind;
};
int operation_cmp(const void *a, const void *b);

#endif
