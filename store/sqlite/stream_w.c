/* stream_w.c - writing streams and columns.
 *
 * A stream is its length, its compressed length (0: stored as it is) and the bytes. Each is
 * compressed on its own with zstd's fastest level: like values stand together, which is worth more
 * than a higher level. A column of texts becomes a dictionary when that is smaller: at least half
 * of the rows must repeat an earlier one. */
#include "base/mem.h"
#include "store/sqlite/stream.h"
#include "store/sqlite/stream_format.h"

enum { ZSTD_LEVEL = 1, COMPRESS_MIN_BYTES = 64 };

void streams_w_done(struct streams_w *w)
{
    buf_done(&w->raw);
    buf_done(&w->packed);
    ZSTD_freeCCtx(w->zstd);
    interner_done(&w->table);
    mem_free(w->numbers);
    *w = (struct streams_w){ 0 };
}

void streams_w_start(struct streams_w *w, struct buf *out)
{
    w->out = out;
    w->failed = false;
    if (!w->zstd)
        w->zstd = ZSTD_createCCtx();
    if (!w->zstd)
        w->failed = true;
}

struct buf *stream_begin(struct streams_w *w)
{
    buf_clear(&w->raw);
    return &w->raw;
}

/* The compressed length, or 0 when the bytes are better stored as they are. */
static size_t compress(struct streams_w *w, struct sv raw)
{
    if (raw.len < COMPRESS_MIN_BYTES || !w->zstd)
        return 0;
    buf_clear(&w->packed);
    size_t bound = ZSTD_compressBound(raw.len);
    char *to = buf_reserve(&w->packed, bound);
    if (!to)
        return 0;
    size_t n = ZSTD_compressCCtx(w->zstd, to, bound, raw.p, raw.len, ZSTD_LEVEL);
    return ZSTD_isError(n) || n >= raw.len ? 0 : n;
}

void stream_end(struct streams_w *w)
{
    struct sv raw = buf_sv(&w->raw);
    uint8_t head[2 * VARINT_MAX_BYTES];
    size_t packed_bytes = compress(w, raw);
    size_t n = varint_write(head, raw.len);
    n += varint_write(head + n, packed_bytes);
    buf_append(w->out, head, n);
    buf_append(w->out, packed_bytes ? w->packed.mem : raw.p, packed_bytes ? packed_bytes : raw.len);
    if (w->raw.failed || w->packed.failed || w->out->failed)
        w->failed = true;
}

void numbers_put(struct streams_w *w, const uint32_t *list, size_t n, uint32_t limit)
{
    struct buf *b = stream_begin(w);
    unsigned width = number_width(limit);
    uint8_t *to = (uint8_t *)buf_reserve(b, n * width);
    if (to) {
        for (size_t i = 0; i < n; i++)
            for (unsigned byte = 0; byte < width; byte++)
                to[i * width + byte] = (uint8_t)(list[i] >> 8 * byte);
        buf_commit(b, n * width);
    }
    stream_end(w);
}

static bool has_room(struct streams_w *w, size_t n)
{
    if (n <= w->numbers_cap)
        return true;
    uint32_t *more = mem_resize(w->numbers, n * sizeof(*more));
    if (!more)
        return false;
    w->numbers = more;
    w->numbers_cap = n;
    return true;
}

/* Numbers the rows; false as soon as a dictionary cannot pay (or memory is out). */
static bool number_rows(struct streams_w *w, const struct sv *list, size_t n)
{
    size_t most = n < 64 ? n : n / 2;
    struct sv before = { NULL, SIZE_MAX };
    uint32_t number = 0;
    interner_start(&w->table);
    for (size_t i = 0; i < n; i++) {
        /* Texts read from the journal are shared, so the same pointer often comes twice. */
        if (list[i].p != before.p || list[i].len != before.len)
            number = interner_add(&w->table, list[i]);
        if (number == INTERNER_FULL)
            w->failed = true;
        if (number == INTERNER_FULL || w->table.len > most)
            return false;
        before = list[i];
        w->numbers[i] = number;
    }
    return true;
}

static void plain_put(struct streams_w *w, const struct sv *list, size_t n)
{
    struct buf *b = stream_begin(w);
    buf_put_varint(b, STRINGS_PLAIN);
    for (size_t i = 0; i < n; i++)
        buf_put_varint(b, list[i].len);
    stream_end(w);
    b = stream_begin(w);
    for (size_t i = 0; i < n; i++)
        buf_put(b, list[i]);
    stream_end(w);
}

void strings_put(struct streams_w *w, const struct sv *list, size_t n)
{
    if (!has_room(w, n)) {
        w->failed = true;
        return;
    }
    if (!number_rows(w, list, n)) {
        plain_put(w, list, n);
        return;
    }
    struct buf *b = stream_begin(w);
    buf_put_varint(b, STRINGS_DICTIONARY);
    buf_put_varint(b, w->table.len);
    for (size_t i = 0; i < w->table.len; i++)
        buf_put_text(b, w->table.list[i]);
    stream_end(w);
    numbers_put(w, w->numbers, n, (uint32_t)w->table.len);
}
