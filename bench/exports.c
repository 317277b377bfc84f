/* exports.c - what a collector of a mesh receives.
 *
 * A sidecar sends the spans of its own workload, so the two halves of a call come in different
 * requests. A round is eight requests of 512 spans: some 400 traces, sorted by workload and cut. So
 * each request holds about four workloads, and a trace is spread over its round. */
#include "exports.h"
#include "base/clock.h"
#include "base/gzip.h"
#include "otlp_write.h"
#include <stdlib.h>

void exports_done(struct exports *e)
{
    for (size_t i = 0; i < NELEMS(e->ready); i++)
        buf_done(&e->ready[i]);
}

static int by_workload(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    if (x->resource != y->resource)
        return x->resource < y->resource ? -1 : 1;
    return (x->end_ns > y->end_ns) - (x->end_ns < y->end_ns); /* sent when it ended */
}

void exports_sort(struct span *spans, size_t n)
{
    qsort(spans, n, sizeof(*spans), by_workload);
}

static int make_request(struct exports *e, const struct span *spans, struct buf *to)
{
    AUTO_DONE(buf) plain = { 0 };
    AUTO_DONE(buf) packed = { 0 };
    otlp_write_proto(spans, EXPORT_SPANS, &plain);
    e->body_bytes += plain.len;
    e->spans += EXPORT_SPANS;
    if (e->is_gzip && gzip_compress(buf_sv(&plain), 6, &packed, NULL) < 0)
        return -1;
    struct sv body = buf_sv(e->is_gzip ? &packed : &plain);
    buf_printf(to,
               "POST /v1/traces HTTP/1.1\r\nHost: collector\r\nContent-Type: application/"
               "x-protobuf\r\n%sContent-Length: %zu\r\n\r\n",
               e->is_gzip ? "Content-Encoding: gzip\r\n" : "", body.len);
    buf_put(to, body);
    return plain.failed || to->failed ? -1 : 0;
}

static int make_round(struct exports *e)
{
    size_t n = (size_t)EXPORT_SPANS * EXPORTS_ROUND;
    AUTO_FREE(batch) b = NULL;
    if (e->at_ns == 0)
        e->at_ns = clock_wall_ns() - 5 * NS_PER_S;
    b = (e->is_rich ? rich_batch : mesh_batch)(&e->random, n, e->at_ns);
    e->at_ns += (int64_t)n * 5000; /* as mesh_batch() spaces them */
    exports_sort(b->spans, n);
    for (size_t i = 0; i < EXPORTS_ROUND; i++) {
        buf_clear(&e->ready[i]);
        if (make_request(e, b->spans + i * EXPORT_SPANS, &e->ready[i]) < 0)
            return -1;
    }
    e->ready_at = 0;
    e->ready_len = EXPORTS_ROUND;
    return 0;
}

int exports_next(struct exports *e, struct buf *ret_request)
{
    if (e->ready_at == e->ready_len && make_round(e) < 0)
        return -1;
    *ret_request = e->ready[e->ready_at];
    e->ready[e->ready_at++] = (struct buf){ 0 };
    return 0;
}
