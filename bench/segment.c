/* segment.c - what storing costs: bytes and nanoseconds a span, without network or decoding.
 *
 *   segment [SPANS] [BATCH]     mesh spans (about ten a trace, 14 tags), 16,384 a segment
 *
 * Prints one line a form: the journal's rows and the sealed segment, writing and reading. CPU time
 * of this thread. */
#include "store/sqlite/segment.h"
#include "base/hash.h"
#include "random_batch.h"
#include "store/sqlite/rows.h"
#include <stdio.h>

enum { SEGMENT_SPANS = 16384 };

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct totals {
    size_t spans, row_bytes, segment_bytes;
    double rows_w_s, rows_r_s, segment_w_s, segment_r_s, trace_s;
    size_t traces;
};

/* A bench has nobody to report to: what must work and does not ends it. */
static void must(bool is_done, const char *what)
{
    if (is_done)
        return;
    fprintf(stderr, "segment: %s failed\n", what);
    exit(1);
}

/* One segment's worth: to rows, back from rows (as a restart reads them), to a segment and back. */
static void run(struct random_source *r, size_t batch_spans, struct segment_w *w, struct totals *t)
{
    size_t n = (SEGMENT_SPANS + batch_spans - 1) / batch_spans;
    AUTO_DONE(buf) segment = { 0 };
    AUTO_FREE(batch) back = batch_new();
    segment_start(w);
    for (size_t i = 0; i < n; i++) {
        AUTO_DONE(buf) row = { 0 };
        AUTO_FREE(batch) read = batch_new();
        AUTO_FREE(batch) b = mesh_batch(r, batch_spans, (int64_t)t->spans * 5000);
        double at = cpu_s();
        must(segment_add(w, b, &row, NULL) == 0, "writing rows");
        t->rows_w_s += cpu_s() - at;
        t->spans += b->spans_len;
        t->row_bytes += row.len;
        at = cpu_s();
        must(rows_decode(buf_sv(&row), read, NULL) == 0, "reading rows");
        t->rows_r_s += cpu_s() - at;
    }
    double at = cpu_s();
    must(segment_finish(w, &segment, NULL, NULL) == 0, "writing a segment");
    t->segment_w_s += cpu_s() - at;
    t->segment_bytes += segment.len;
    at = cpu_s();
    must(segment_decode(buf_sv(&segment), back, NULL, NULL) == 0, "reading a segment");
    t->segment_r_s += cpu_s() - at;
    AUTO_FREE(batch) one = batch_new();
    at = cpu_s();
    must(segment_decode_traces(buf_sv(&segment), &back->spans[back->spans_len / 2].trace_id, 1,
                               false, one, NULL) == 0,
         "reading a trace");
    t->trace_s += cpu_s() - at;
    t->traces++;
}

static void print(const char *form, const char *what, double seconds, size_t bytes, size_t spans)
{
    printf("%-8s %-6s %7.0f ns/span %7.1f B/span\n", form, what, seconds * 1e9 / (double)spans,
           (double)bytes / (double)spans);
}

int main(int argc, char **argv)
{
    uint64_t spans = 500000, batch_spans = 512;
    if ((argc > 1 && !sv_to_u64(sv_z(argv[1]), &spans)) ||
        (argc > 2 && !sv_to_u64(sv_z(argv[2]), &batch_spans)) || batch_spans == 0) {
        fprintf(stderr, "usage: segment [SPANS] [BATCH]\n");
        return 2;
    }
    struct random_source r = { 1 };
    struct totals t = { 0 };
    AUTO_FREE(segment_w) w = segment_w_new();
    while (t.spans < spans)
        run(&r, batch_spans, w, &t);
    print("journal", "write", t.rows_w_s, t.row_bytes, t.spans);
    print("journal", "read", t.rows_r_s, t.row_bytes, t.spans);
    print("segment", "write", t.segment_w_s, t.segment_bytes, t.spans);
    print("segment", "read", t.segment_r_s, t.segment_bytes, t.spans);
    printf("%-8s %-6s %7.0f us/trace\n", "segment", "trace", t.trace_s * 1e6 / (double)t.traces);
    return 0;
}
