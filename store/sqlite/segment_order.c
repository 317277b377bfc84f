/* segment_order.c - puts the spans of a trace side by side, and writes what links them.
 *
 * Sorting by trace is the largest single saving: a trace id is stored once a trace instead of once
 * a span, most parents become a small distance, times become small steps, and reading one trace
 * touches one place. Traces stand in the order in which their first span arrived, so their starts
 * are small steps too. Inside a trace: by start, then id, then arrival, the order of store_trace(). */
#include "store/sqlite/segment_format.h"
#include "store/sqlite/segment_w.h"

enum { INSERTION_MAX = 48 }; /* spans arrive nearly in order, so short runs are sorted in place */

static void sort_trace(struct span_at *list, size_t n)
{
    if (n > INSERTION_MAX) {
        qsort(list, n, sizeof(*list), span_at_cmp);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct span_at moving = list[i];
        size_t at = i;
        for (; at && span_at_cmp(&list[at - 1], &moving) > 0; at--)
            list[at] = list[at - 1];
        list[at] = moving;
    }
}

static void *array(struct segment_w *w, size_t n, size_t size)
{
    void *p = arena_array(&w->mem, n, size);
    if (!p)
        w->failed = true;
    return p;
}

/* The trace of every span by arrival; NULL when memory is out. */
static uint32_t *number_traces(struct segment_w *w, struct batch *const *batches, size_t n)
{
    uint32_t *trace_of = array(w, w->spans_len, sizeof(*trace_of));
    size_t arrived = 0;
    interner_start(&w->traces);
    for (size_t b = 0; trace_of && b < n; b++) {
        for (size_t i = 0; i < batches[b]->spans_len; i++, arrived++) {
            const struct trace_id *id = &batches[b]->spans[i].trace_id;
            trace_of[arrived] = interner_add(&w->traces, sv_of(id->b, sizeof(id->b)));
            w->batch_of[arrived] = (uint32_t)b;
            if (trace_of[arrived] == INTERNER_FULL) {
                w->failed = true;
                return NULL;
            }
        }
    }
    return trace_of;
}

void segment_order(struct segment_w *w, struct batch *const *batches, size_t n)
{
    w->spans = array(w, w->spans_len, sizeof(*w->spans));
    w->batch_of = array(w, w->spans_len, sizeof(*w->batch_of));
    uint32_t *trace_of = w->failed ? NULL : number_traces(w, batches, n);
    if (!trace_of)
        return;
    w->trace_len = array(w, w->traces.len, sizeof(*w->trace_len));
    size_t *next = array(w, w->traces.len, sizeof(*next));
    if (w->failed)
        return;
    for (size_t i = 0; i < w->spans_len; i++)
        w->trace_len[trace_of[i]]++;
    for (size_t t = 1; t < w->traces.len; t++)
        next[t] = next[t - 1] + w->trace_len[t - 1];
    size_t arrived = 0;
    for (size_t b = 0; b < n; b++)
        for (size_t i = 0; i < batches[b]->spans_len; i++, arrived++)
            w->spans[next[trace_of[arrived]]++] = (struct span_at){ &batches[b]->spans[i],
                                                                    arrived };
    size_t first = 0;
    for (size_t t = 0; t < w->traces.len; t++) {
        sort_trace(w->spans + first, w->trace_len[t]);
        first += w->trace_len[t];
    }
}

static void put_traces(struct segment_w *w)
{
    struct buf *b = stream_begin(&w->streams);
    for (size_t t = 0; t < w->traces.len; t++)
        buf_put(b, w->traces.list[t]);
    stream_end(&w->streams);
    b = stream_begin(&w->streams);
    for (size_t t = 0; t < w->traces.len; t++)
        buf_put_varint(b, w->trace_len[t]);
    stream_end(&w->streams);
    b = stream_begin(&w->streams);
    for (size_t i = 0; i < w->spans_len; i++)
        buf_append(b, w->spans[i].span->span_id.b, sizeof(struct span_id));
    stream_end(&w->streams);
}

static void put_parent(const struct segment_w *w, const struct span *s, size_t place,
                       const uint32_t *first_at, struct buf *near, struct buf *strangers)
{
    if (!span_id_is_set(s->parent_id)) {
        buf_put_varint(near, PARENT_NONE);
        return;
    }
    uint32_t number = interner_find(&w->span_ids, sv_of(s->parent_id.b, sizeof(s->parent_id.b)));
    if (number != INTERNER_FULL) {
        buf_put_varint(near, PARENT_NEAR + zigzag((int64_t)place - (int64_t)first_at[number]));
        return;
    }
    buf_put_varint(near, PARENT_STRANGER);
    buf_append(strangers, s->parent_id.b, sizeof(s->parent_id.b));
}

/* One trace: numbers its span ids, remembers where each stands first, then looks parents up. */
static void put_parents_of(struct segment_w *w, const struct span_at *list, size_t n,
                           uint32_t *first_at, struct buf *near, struct buf *strangers)
{
    interner_start(&w->span_ids);
    for (size_t i = 0; i < n; i++) {
        const struct span_id *id = &list[i].span->span_id;
        size_t known = w->span_ids.len;
        uint32_t number = interner_add(&w->span_ids, sv_of(id->b, sizeof(id->b)));
        if (number == INTERNER_FULL)
            w->failed = true;
        else if (number == known)
            first_at[number] = (uint32_t)i;
    }
    for (size_t i = 0; i < n && !w->failed; i++)
        put_parent(w, list[i].span, i, first_at, near, strangers);
}

static void put_parents(struct segment_w *w)
{
    AUTO_DONE(buf) strangers = { 0 };
    uint32_t *first_at = array(w, w->spans_len, sizeof(*first_at));
    struct buf *near = stream_begin(&w->streams);
    size_t first = 0;
    for (size_t t = 0; first_at && t < w->traces.len; t++) {
        put_parents_of(w, w->spans + first, w->trace_len[t], first_at, near, &strangers);
        first += w->trace_len[t];
    }
    stream_end(&w->streams);
    buf_put(stream_begin(&w->streams), buf_sv(&strangers));
    stream_end(&w->streams);
    w->failed |= strangers.failed;
}

/* The first span of a trace steps from the first of the trace before, the others from the span
 * before; sums wrap around, so any time there is comes back. */
static void put_times(struct segment_w *w)
{
    uint64_t trace_ns = 0;
    size_t at = 0;
    struct buf *b = stream_begin(&w->streams);
    for (size_t t = 0; t < w->traces.len; t++) {
        uint64_t before_ns = trace_ns;
        trace_ns = (uint64_t)w->spans[at].span->start_ns;
        for (uint32_t i = 0; i < w->trace_len[t]; i++, at++) {
            uint64_t start_ns = (uint64_t)w->spans[at].span->start_ns;
            buf_put_zigzag(b, (int64_t)(start_ns - before_ns));
            before_ns = start_ns;
        }
    }
    stream_end(&w->streams);
    b = stream_begin(&w->streams);
    for (size_t i = 0; i < w->spans_len; i++)
        buf_put_zigzag(b, (int64_t)((uint64_t)w->spans[i].span->end_ns -
                                    (uint64_t)w->spans[i].span->start_ns));
    stream_end(&w->streams);
}

void segment_put_ids(struct segment_w *w)
{
    put_traces(w);
    put_parents(w);
    put_times(w);
}
