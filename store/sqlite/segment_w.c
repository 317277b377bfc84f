/* segment_w.c - writing a segment: the head, then every part in its order.
 *
 * The spans of some batches are put side by side by trace, taken apart into columns, and each
 * column is compressed on its own. The head carries a checksum of everything behind it, so that
 * damage is told from nonsense before anything is believed. Cost: about a microsecond a span. */
#include "store/sqlite/segment_w.h"
#include "base/hash.h"
#include "base/mem.h"
#include "store/sqlite/segment_format.h"

struct segment_w *segment_w_new(void)
{
    return mem_zalloc(sizeof(struct segment_w));
}

struct segment_w *segment_w_free(struct segment_w *w)
{
    if (!w)
        return NULL;
    segment_columns_done(w);
    mem_free(w->columns);
    arena_done(&w->mem);
    streams_w_done(&w->streams);
    texts_w_done(&w->texts);
    buf_done(&w->row);
    struct interner *const all[] = { &w->traces, &w->span_ids, &w->resources,
                                     &w->scopes, &w->shapes,   &w->keys };
    for (size_t i = 0; i < NELEMS(all); i++)
        interner_done(all[i]);
    return mem_free(w);
}

void segment_check_texts(struct segment_w *w)
{
    w->failed |= w->texts.failed;
    w->is_too_deep |= w->texts.is_too_deep;
}

/* What replay needs: the batches, and which of them each span came with. */
static void put_origins(struct segment_w *w, struct batch *const *batches, size_t n)
{
    struct buf *b = stream_begin(&w->streams);
    int64_t before_ns = 0;
    for (size_t i = 0; i < n; i++) {
        buf_put_zigzag(b, (int64_t)((uint64_t)batches[i]->received_ns - (uint64_t)before_ns));
        before_ns = batches[i]->received_ns;
        buf_put_varint(b, batches[i]->calls_len);
    }
    stream_end(&w->streams);
    uint32_t *list = arena_array(&w->mem, w->spans_len, sizeof(*list));
    if (!list) {
        w->failed = true;
        return;
    }
    for (size_t i = 0; i < w->spans_len; i++)
        list[i] = w->batch_of[w->spans[i].arrived];
    numbers_put(&w->streams, list, w->spans_len, (uint32_t)n);
}

static void put_body(struct segment_w *w, struct batch *const *batches, size_t n, struct buf *out)
{
    segment_order(w, batches, n);
    buf_put_varint(out, n);
    buf_put_varint(out, w->spans_len);
    buf_put_varint(out, w->calls_len);
    buf_put_varint(out, w->traces.len);
    if (!w->failed)
        put_origins(w, batches, n);
    if (!w->failed)
        segment_put_ids(w);
    if (!w->failed)
        segment_put_attrs(w);
    if (!w->failed)
        segment_put_calls(w, batches, n);
}

static void set_checksum(struct buf *out, size_t sum_at)
{
    char *sum = out->mem + out->from + sum_at;
    uint64_t hash = hash_bytes(sum + 8, out->len - sum_at - 8, 0);
    for (unsigned i = 0; i < 8; i++)
        sum[i] = (char)(hash >> 8 * i);
}

int segment_encode(struct segment_w *w, struct batch *const *batches, size_t n, struct buf *out,
                   struct err *err)
{
    size_t begin = out->len;
    arena_reset(&w->mem);
    w->failed = w->is_too_deep = false;
    w->spans_len = w->calls_len = 0;
    for (size_t i = 0; i < n; i++) {
        w->spans_len += batches[i]->spans_len;
        w->calls_len += batches[i]->calls_len;
    }
    if (w->spans_len > SEGMENT_RECORDS_MAX || w->calls_len > SEGMENT_RECORDS_MAX)
        return err_set(err, ERR_LIMIT, "%zu spans and %zu calls in a segment", w->spans_len,
                       w->calls_len);
    streams_w_start(&w->streams, out);
    buf_put(out, SEGMENT_MAGIC);
    buf_putc(out, SEGMENT_VERSION);
    buf_put_le64(out, 0); /* the checksum, when it is known */
    put_body(w, batches, n, out);
    segment_columns_done(w);
    if (w->failed || w->streams.failed || out->failed)
        return err_set(err, ERR_NOMEM, "segment of %zu spans", w->spans_len);
    if (w->is_too_deep)
        return err_set(err, ERR_LIMIT, "attributes nest deeper than %d", VALUE_DEPTH_MAX);
    set_checksum(out, begin + SEGMENT_MAGIC.len + 1);
    return 0;
}
