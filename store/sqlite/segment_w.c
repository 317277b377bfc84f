/* segment_w.c - writing a segment: the head, then every part in its order.
 *
 * Batches are taken apart as they come (segment_add.c). When there are enough, the spans are put
 * side by side by trace, their values are dealt out to columns, and each column is compressed on
 * its own. The head carries a checksum of everything behind it, so that damage is told from
 * nonsense before anything is believed. */
#include "store/sqlite/segment_w.h"
#include "base/hash.h"
#include "base/mem.h"
#include "store/sqlite/digest.h"
#include "store/sqlite/segment_format.h"

struct segment_w *segment_w_new(void)
{
    struct segment_w *w = mem_zalloc(sizeof(*w));
    if (w)
        segment_start(w);
    return w;
}

static void owners_done(struct owners *o)
{
    interner_done(&o->table);
    mem_free(o->rows);
}

struct segment_w *segment_w_free(struct segment_w *w)
{
    if (!w)
        return NULL;
    while (w->columns_ready)
        dict_done(&w->columns[--w->columns_ready].dict);
    for (size_t i = 0; i < CALL_TEXTS_LEN; i++)
        dict_done(&w->call_texts[i]);
    dict_done(&w->names);
    dict_done(&w->messages);
    dict_done(&w->trace_states);
    owners_done(&w->resources);
    owners_done(&w->scopes);
    interner_done(&w->keys);
    interner_done(&w->key_lists_table);
    interner_done(&w->shapes);
    void *const lists[] = { w->columns, w->key_lists, w->traces, w->trace_slots, w->batches,
                            w->spans,   w->cells,     w->extras, w->calls,       w->shape_rows };
    for (size_t i = 0; i < NELEMS(lists); i++)
        mem_free(lists[i]);
    arena_done(&w->mem);
    arena_done(&w->scratch);
    streams_w_done(&w->streams);
    texts_w_done(&w->texts);
    texts_w_done(&w->row_texts);
    buf_done(&w->row);
    return mem_free(w);
}

void segment_check_texts(struct segment_w *w)
{
    w->failed |= w->texts.failed;
    w->is_too_deep |= w->texts.is_too_deep;
}

void *segment_scratch(struct segment_w *w, size_t n, size_t size)
{
    size_t bytes;
    void *p = __builtin_mul_overflow(n, size, &bytes) ? NULL : arena_alloc(&w->scratch, bytes);
    if (!p)
        w->failed = true;
    return p;
}

/* What replay needs: the batches, and which of them each span came with. */
static void put_origins(struct segment_w *w)
{
    struct buf *b = stream_begin(&w->streams);
    int64_t before_ns = 0;
    for (size_t i = 0; i < w->batches_len; i++) {
        buf_put_zigzag(b, (int64_t)((uint64_t)w->batches[i].received_ns - (uint64_t)before_ns));
        before_ns = w->batches[i].received_ns;
        buf_put_varint(b, w->batches[i].calls);
    }
    stream_end(&w->streams);
    uint32_t *list = segment_scratch(w, w->spans_len, sizeof(*list));
    if (!list)
        return;
    for (size_t i = 0; i < w->spans_len; i++)
        list[i] = w->order[i]->batch;
    numbers_put(&w->streams, list, w->spans_len, (uint32_t)w->batches_len);
}

static void put_body(struct segment_w *w, struct buf *out)
{
    segment_order(w);
    buf_put_varint(out, w->batches_len);
    buf_put_varint(out, w->spans_len);
    buf_put_varint(out, w->calls_len);
    buf_put_varint(out, w->traces_len);
    if (!w->failed)
        put_origins(w);
    if (!w->failed)
        segment_put_ids(w);
    if (!w->failed)
        segment_put_attrs(w);
    if (!w->failed)
        segment_put_calls(w);
}

static void set_checksum(struct buf *out, size_t sum_at)
{
    char *sum = out->mem + out->from + sum_at;
    uint64_t hash = hash_bytes(sum + 8, out->len - sum_at - 8, 0);
    for (unsigned i = 0; i < 8; i++)
        sum[i] = (char)(hash >> 8 * i);
}

int segment_finish(struct segment_w *w, struct buf *out, struct buf *ret_digest, struct err *err)
{
    size_t begin = out->len;
    streams_w_start(&w->streams, out);
    buf_put(out, SEGMENT_MAGIC);
    buf_putc(out, SEGMENT_VERSION);
    buf_put_le64(out, 0); /* the checksum, when it is known */
    put_body(w, out);
    int rc = 0;
    if (ret_digest && !w->failed && !w->is_too_deep)
        rc = digest_of_added(w, ret_digest, err);
    bool failed = w->failed || w->streams.failed || out->failed;
    w->failed = false; /* memory may be there the next time */
    arena_done(&w->scratch);
    if (failed)
        return err_set(err, ERR_NOMEM, "segment of %zu spans", w->spans_len);
    if (w->is_too_deep)
        return err_set(err, ERR_LIMIT, "attributes nest deeper than %d", VALUE_DEPTH_MAX);
    set_checksum(out, begin + SEGMENT_MAGIC.len + 1);
    return rc;
}

int segment_encode(struct segment_w *w, struct batch *const *batches, size_t n, struct buf *out,
                   struct err *err)
{
    segment_start(w);
    for (size_t i = 0; i < n; i++) {
        int rc = segment_add(w, batches[i], NULL, err);
        if (rc < 0)
            return rc;
    }
    return segment_finish(w, out, NULL, err);
}

struct segment_size segment_size(const struct segment_w *w)
{
    return (struct segment_size){ w->batches_len, w->spans_len, w->calls_len, w->errors };
}
