/* fuzz_hist.c - property: a histogram that decodes encodes to bytes that decode to the same, and
 * its quantiles are in order. */
#include "model/hist.h"

static uint64_t count_at(const struct hist *h, int32_t index)
{
    uint32_t at = (uint32_t)(index - h->first);
    return at < h->len ? h->counts[at] : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_DONE(hist) h = { 0 }, again = { 0 };
    struct rd r = rd_of(sv_of(data, size));
    if (hist_decode(&r, &h, NULL) < 0)
        return 0;
    AUTO_DONE(buf) out = { 0 };
    hist_encode(&h, &out);
    struct rd back = rd_of(buf_sv(&out));
    INVARIANT(hist_decode(&back, &again, NULL) == 0);
    INVARIANT(rd_left(&back) == 0);
    INVARIANT(h.count == again.count && h.zero == again.zero && h.sum_ns == again.sum_ns);
    for (int32_t i = HIST_INDEX_MIN; i <= HIST_INDEX_MAX; i++)
        INVARIANT(count_at(&h, i) == count_at(&again, i));
    AUTO_DONE(buf) same = { 0 };
    hist_encode(&again, &same);
    INVARIANT(sv_eq(buf_sv(&same), buf_sv(&out)));
    int64_t before = 0;
    for (double q = 0; q <= 1; q += 0.125) {
        int64_t at = hist_quantile(&h, q);
        INVARIANT(at >= before);
        before = at;
    }
    INVARIANT(hist_merge(&again, &h) == 0);
    return 0;
}
