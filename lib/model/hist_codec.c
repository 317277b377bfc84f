/* hist_codec.c - the stored form of a histogram: varints, bounds-checked on the way in.
 *
 *   zero, zigzag(sum_ns), len, then only when len > 0: zigzag(first), len counters
 *
 * The total is not stored: it is the sum of what is. A stored histogram may come from a damaged
 * file, so nothing in it is believed before it was checked, and the memory it can ask for is
 * bounded by the number of indexes there are. */
#include "base/mem.h"
#include "base/varint.h"
#include "model/hist.h"

void hist_encode(const struct hist *h, struct buf *out)
{
    buf_put_varint(out, h->zero);
    buf_put_zigzag(out, h->sum_ns);
    uint32_t from = 0, to = h->len; /* between the first and the last that counted something */
    while (from < to && h->counts[from] == 0)
        from++;
    while (to > from && h->counts[to - 1] == 0)
        to--;
    buf_put_varint(out, to - from);
    if (from == to)
        return;
    buf_put_zigzag(out, h->first + (int32_t)from);
    for (uint32_t i = from; i < to; i++)
        buf_put_varint(out, h->counts[i]);
}

/* Checks that first..first+len-1 are indexes there are. */
static bool read_range(struct rd *r, uint64_t len, int32_t *ret_first)
{
    int64_t first = rd_zigzag(r);
    if (!rd_ok(r))
        return false;
    if (first < HIST_INDEX_MIN || first > HIST_INDEX_MAX ||
        len > (uint64_t)(HIST_INDEX_MAX - first + 1)) {
        rd_fail(r, ERR_MALFORMED, "histogram range outside %d..%d", HIST_INDEX_MIN, HIST_INDEX_MAX);
        return false;
    }
    *ret_first = (int32_t)first;
    return true;
}

int hist_decode(struct rd *r, struct hist *ret_h, struct err *err)
{
    AUTO_DONE(hist) h = { 0 };
    h.zero = rd_varint(r);
    h.sum_ns = rd_zigzag(r);
    h.count = h.zero;
    uint64_t len = rd_varint(r);
    if (len && rd_ok(r) && read_range(r, len, &h.first)) {
        h.counts = mem_zalloc(hist_room((uint32_t)len) * sizeof(*h.counts));
        if (!h.counts)
            return err_set(err, ERR_NOMEM, "histogram of %u buckets", (unsigned)len);
        h.len = (uint32_t)len;
        h.cap = (uint32_t)hist_room(h.len);
        for (uint32_t i = 0; i < h.len; i++) {
            h.counts[i] = rd_varint(r);
            if (__builtin_add_overflow(h.count, h.counts[i], &h.count))
                h.count = UINT64_MAX;
        }
    }
    int rc = rd_finish(r, err);
    if (rc < 0)
        return rc;
    *ret_h = hist_move(&h);
    return 0;
}
