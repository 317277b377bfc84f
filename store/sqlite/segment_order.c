/* segment_order.c - puts the spans of a trace side by side, and writes what links them.
 *
 * Sorting by trace is the largest single saving: a trace id is stored once a trace instead of once
 * a span, most parents become a small distance, times become small steps, and reading one trace
 * touches one place. Traces stand in the order in which their first span arrived, so their starts
 * are small steps too. Inside a trace: by start, then id, then arrival, the order of store_trace(). */
#include "store/sqlite/segment_format.h"
#include "store/sqlite/segment_w.h"

/* Spans arrive nearly in order, so short runs are sorted in place, and a parent is soon found by
 * looking at each. */
enum { FEW_MAX = 48 };

/* Arrival is the order of addresses: all lie in one array. */
static int added_cmp(const struct added_span *x, const struct added_span *y)
{
    if (x->start_ns != y->start_ns)
        return x->start_ns < y->start_ns ? -1 : 1;
    int by_id = memcmp(x->span_id.b, y->span_id.b, sizeof(x->span_id.b));
    return by_id ? by_id : (x > y) - (x < y);
}

static int added_cmp_for_qsort(const void *a, const void *b)
{
    const struct added_span *const *x = a, *const *y = b;
    return added_cmp(*x, *y);
}

static void sort_trace(const struct added_span **list, size_t n)
{
    if (n > FEW_MAX) {
        qsort(list, n, sizeof(*list), added_cmp_for_qsort);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        const struct added_span *moving = list[i];
        size_t at = i;
        for (; at && added_cmp(list[at - 1], moving) > 0; at--)
            list[at] = list[at - 1];
        list[at] = moving;
    }
}

void segment_order(struct segment_w *w)
{
    w->order = segment_scratch(w, w->spans_len, sizeof(*w->order));
    w->trace_len = segment_scratch(w, w->traces_len, sizeof(*w->trace_len));
    size_t *next = segment_scratch(w, w->traces_len, sizeof(*next));
    if (w->failed)
        return;
    memset(w->trace_len, 0, w->traces_len * sizeof(*w->trace_len));
    memset(next, 0, w->traces_len * sizeof(*next));
    for (size_t i = 0; i < w->spans_len; i++)
        w->trace_len[w->spans[i].trace]++;
    for (size_t t = 1; t < w->traces_len; t++)
        next[t] = next[t - 1] + w->trace_len[t - 1];
    for (size_t i = 0; i < w->spans_len; i++)
        w->order[next[w->spans[i].trace]++] = &w->spans[i];
    size_t first = 0;
    for (size_t t = 0; t < w->traces_len; t++) {
        sort_trace(w->order + first, w->trace_len[t]);
        first += w->trace_len[t];
    }
}

static void put_traces(struct segment_w *w)
{
    struct buf *b = stream_begin(&w->streams);
    buf_append(b, w->traces, w->traces_len * sizeof(*w->traces));
    stream_end_random(&w->streams);
    b = stream_begin(&w->streams);
    for (size_t t = 0; t < w->traces_len; t++)
        buf_put_varint(b, w->trace_len[t]);
    stream_end(&w->streams);
    b = stream_begin(&w->streams);
    for (size_t i = 0; i < w->spans_len; i++)
        buf_append(b, w->order[i]->span_id.b, sizeof(struct span_id));
    stream_end_random(&w->streams);
}

static uint64_t id_bits(const struct span_id *id)
{
    uint64_t bits;
    memcpy(&bits, id->b, sizeof(bits));
    return bits;
}

/* Span ids of one large trace, by the place where each stands first. */
struct places {
    uint32_t *slots; /* place plus one; 0 is free */
    size_t mask;
};

/* No slots when memory is out. */
static struct places places_of(struct segment_w *w, const struct added_span **list, size_t n)
{
    size_t cap = 256;
    while (cap < n * 2)
        cap *= 2;
    struct places p = { segment_scratch(w, cap, sizeof(*p.slots)), cap - 1 };
    if (p.slots)
        memset(p.slots, 0, cap * sizeof(*p.slots));
    for (size_t i = 0; p.slots && i < n; i++) {
        uint64_t id = id_bits(&list[i]->span_id);
        size_t at = (id * UINT64_C(0x9e3779b97f4a7c15)) >> 20 & p.mask;
        while (p.slots[at] && id_bits(&list[p.slots[at] - 1]->span_id) != id)
            at = (at + 1) & p.mask;
        if (!p.slots[at])
            p.slots[at] = (uint32_t)i + 1;
    }
    return p;
}

/* The first place of that id in the trace; n when there is none. */
static size_t place_of(const struct places *p, const struct added_span **list, size_t n,
                       uint64_t id)
{
    if (n <= FEW_MAX) {
        size_t at = 0;
        while (at < n && id_bits(&list[at]->span_id) != id)
            at++;
        return at;
    }
    size_t at = (id * UINT64_C(0x9e3779b97f4a7c15)) >> 20 & p->mask;
    for (; p->slots[at]; at = (at + 1) & p->mask)
        if (id_bits(&list[p->slots[at] - 1]->span_id) == id)
            return p->slots[at] - 1;
    return n;
}

static void put_parents_of(struct segment_w *w, const struct added_span **list, size_t n,
                           struct buf *near, struct buf *strangers)
{
    struct places places = { 0 };
    if (n > FEW_MAX)
        places = places_of(w, list, n);
    for (size_t i = 0; i < n && !w->failed; i++) {
        const struct span_id *parent = &list[i]->parent_id;
        uint64_t id = id_bits(parent);
        if (id == 0) {
            buf_put_varint(near, PARENT_NONE);
            continue;
        }
        size_t at = place_of(&places, list, n, id);
        if (at < n) {
            buf_put_varint(near, PARENT_NEAR + zigzag((int64_t)i - (int64_t)at));
        } else {
            buf_put_varint(near, PARENT_STRANGER);
            buf_append(strangers, parent->b, sizeof(parent->b));
        }
    }
}

static void put_parents(struct segment_w *w)
{
    AUTO_DONE(buf) strangers = { 0 };
    struct buf *near = stream_begin(&w->streams);
    size_t first = 0;
    for (size_t t = 0; t < w->traces_len; t++) {
        put_parents_of(w, w->order + first, w->trace_len[t], near, &strangers);
        first += w->trace_len[t];
    }
    stream_end(&w->streams);
    buf_put(stream_begin(&w->streams), buf_sv(&strangers));
    stream_end_random(&w->streams);
    w->failed |= strangers.failed;
}

/* The first span of a trace steps from the first of the trace before, the others from the span
 * before; sums wrap around, so any time there is comes back. */
static void put_times(struct segment_w *w)
{
    uint64_t trace_ns = 0;
    size_t at = 0;
    struct buf *b = stream_begin(&w->streams);
    for (size_t t = 0; t < w->traces_len; t++) {
        uint64_t before_ns = trace_ns;
        trace_ns = (uint64_t)w->order[at]->start_ns;
        for (uint32_t i = 0; i < w->trace_len[t]; i++, at++) {
            uint64_t start_ns = (uint64_t)w->order[at]->start_ns;
            buf_put_zigzag(b, (int64_t)(start_ns - before_ns));
            before_ns = start_ns;
        }
    }
    stream_end(&w->streams);
    b = stream_begin(&w->streams);
    for (size_t i = 0; i < w->spans_len; i++)
        buf_put_zigzag(b,
                       (int64_t)((uint64_t)w->order[i]->end_ns - (uint64_t)w->order[i]->start_ns));
    stream_end(&w->streams);
}

void segment_put_ids(struct segment_w *w)
{
    put_traces(w);
    put_parents(w);
    put_times(w);
}
