/* fuzz_rows.c - property: a journal row that decodes is written again to bytes that decode to the
 * same spans and calls. */
#include "store/sqlite/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE(batch) b = batch_new();
    AUTO_FREE(batch) again = batch_new();
    if (rows_decode(sv_of(data, size), b, NULL) < 0) {
        INVARIANT(b->spans_len == 0 && b->calls_len == 0);
        return 0;
    }
    AUTO_DONE(buf) out = { 0 };
    AUTO_DONE(texts_w) texts = { 0 };
    if (rows_encode(b, &texts, &out, NULL) < 0)
        return 0; /* a value nests to the very limit */
    INVARIANT(rows_decode(buf_sv(&out), again, NULL) == 0);
    INVARIANT(b->spans_len == again->spans_len && b->calls_len == again->calls_len);
    for (size_t i = 0; i < b->spans_len; i++)
        INVARIANT(span_eq(&b->spans[i], &again->spans[i]));
    return 0;
}
