/* jaeger_search.h - what a search of Jaeger's asks, in terms of the store's. One thread. */
#ifndef COLLECTOR_QUERY_JAEGER_SEARCH_H
#define COLLECTOR_QUERY_JAEGER_SEARCH_H

#include "query/jaeger.h"

/* What one tag can mean: tags are text, and the attribute may have been a number or a flag. */
enum { TAG_MEANINGS_MAX = 3, SEARCHES_MAX = 27 };
struct tag_meaning {
    bool is_error; /* status ERROR instead of an attribute */
    struct attr attr;
};
struct tag_wish {
    struct tag_meaning any[TAG_MEANINGS_MAX];
    size_t len;
};
struct jaeger_search {
    struct span_query query; /* without its attributes */
    struct tag_wish tags[JAEGER_TAGS_MAX];
    size_t tags_len;
    bool is_raw;
};
/* A tag as text; special ones (error, span.kind) set fields of the query. -1 with the fault set. */
int jaeger_add_tag(struct params *p, const char *param, struct jaeger_search *s, struct sv key,
                   struct sv value) MUST_USE;
/* {"key":"value"}, or logfmt: key=value key="two words". */
int jaeger_add_tags(struct params *p, const char *param, struct jaeger_search *s, struct sv text)
    MUST_USE;

struct found_traces {
    struct arena mem;
    struct trace_summary *list; /* newest first */
    size_t len, cap;
    bool is_incomplete; /* the store gave up before the end */
    bool is_out_of_memory;
};
void found_traces_done(struct found_traces *f);
/* At most s->query.limit, each once. */
int jaeger_find(struct store *store, const struct jaeger_search *s, struct found_traces *ret_f,
                struct err *err) MUST_USE;

DEFINE_AUTO_DONE(found_traces);

#endif
