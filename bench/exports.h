/* exports.h - OTLP/HTTP requests full of mesh spans, from a seed. One thread. */
#ifndef BENCH_EXPORTS_H
#define BENCH_EXPORTS_H

#include "base/buf.h"
#include "random_batch.h"

enum { EXPORT_SPANS = 512, EXPORTS_ROUND = 8 };

struct exports {
    struct random_source random;
    bool is_rich, is_gzip;
    int64_t at_ns; /* when the next round's first trace begins */
    struct buf ready[EXPORTS_ROUND];
    size_t ready_at, ready_len;
    uint64_t body_bytes, spans; /* of everything made so far, bodies before compression */
};

/* Puts n spans of one time into the order in which requests of EXPORT_SPANS carry them. */
void exports_sort(struct span *spans, size_t n);
void exports_done(struct exports *e);
/* The next request, head and body; the caller's to buf_done(). -1: out of memory. */
int exports_next(struct exports *e, struct buf *ret_request) MUST_USE;

#endif
