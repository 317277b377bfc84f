/* growth.h - from counters as endpoints show them to what edges have done since the last look. */
#ifndef COLLECTOR_SCRAPE_GROWTH_H
#define COLLECTOR_SCRAPE_GROWTH_H

#include "base/err.h"
#include "model/alike.h"

enum {
    GROWTH_SERIES_MAX =
        200000,              /* 25 MB: 300 sidecars with 600 series of requests and latency each */
    GROWTH_EDGES_MAX = 5000, /* 20 MB when all are busy */
    GROWTH_KINDS_MAX = 64, /* of one side: what ended the same way; further ones by class of code */
    GROWTH_FORGET_AFTER = 20 /* looks at an endpoint that lack a series, until it is forgotten */
};

/* What is looked at in one go: an endpoint's answer. */
struct growth_look {
    uint32_t target;            /* whose endpoint: 0 and up */
    const struct identity *own; /* who that is, parts may be empty; see mesh_metric.h */
    bool is_first;              /* count nothing, only remember */
    int64_t from_ns, to_ns;     /* wall time of the look before this and of this */
};
struct growth_result {
    uint64_t samples;   /* of the mesh's metrics */
    uint64_t malformed; /* lines that are no samples */
    uint64_t refused;   /* samples beyond a limit */
    struct err first;   /* of malformed */
};

struct growth;                            /* one thread owns it */
struct growth *growth_new(void) MUST_USE; /* gives; NULL when memory is out */
struct growth *growth_free(struct growth *g);
/* 0, or ERR_NOMEM: what was read until then counts. */
int growth_look(struct growth *g, const struct growth_look *look, struct sv text,
                struct growth_result *ret) MUST_USE;
/* Ends a round of looks. What each edge did is given to sink, one way of ending after the other: who is both
 * ends, protocol and host; who and a->flags live as long as the growth, the rest until return. */
typedef void growth_sink(void *to, const struct call *who, const struct alike *a);
void growth_round(struct growth *g, growth_sink *sink, void *to);
size_t growth_series(const struct growth *g);

DEFINE_AUTO_FREE(growth);

#endif
