/* fuzz_rows.c - property: a journal row that decodes is written again to bytes that decode to the
 * same spans and calls. */
#include "store/sqlite/rows.h"
#include "store/sqlite/segment.h"

static int journal_row(struct segment_w *w, const struct batch *b, struct buf *out)
{
    segment_start(w);
    return segment_add(w, b, out, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE(batch) b = batch_new();
    AUTO_FREE(batch) again = batch_new();
    if (rows_decode(sv_of(data, size), b, NULL) < 0) {
        INVARIANT(b->spans_len == 0 && b->calls_len == 0);
        return 0;
    }
    AUTO_DONE(buf) out = { 0 };
    AUTO_FREE(segment_w) w = segment_w_new();
    if (journal_row(w, b, &out) < 0)
        return 0; /* a value nests to the very limit */
    INVARIANT(rows_decode(buf_sv(&out), again, NULL) == 0);
    INVARIANT(b->spans_len == again->spans_len && b->calls_len == again->calls_len);
    for (size_t i = 0; i < b->spans_len; i++)
        INVARIANT(span_eq(&b->spans[i], &again->spans[i]));
    return 0;
}
