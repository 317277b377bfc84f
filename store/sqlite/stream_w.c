/* stream_w.c - writing streams and columns.
 *
 * A stream is its length, its compressed length (0: stored as it is) and the bytes. Each is
 * compressed on its own with zstd's fastest level: like values stand together, which is worth more
 * than a higher level. */
#include "store/sqlite/stream.h"
#include "store/sqlite/stream_format.h"

enum { ZSTD_LEVEL = 1, COMPRESS_MIN_BYTES = 64 };

void streams_w_done(struct streams_w *w)
{
    buf_done(&w->raw);
    buf_done(&w->packed);
    ZSTD_freeCCtx(w->zstd);
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

static void append_stream(struct streams_w *w, size_t packed_bytes)
{
    struct sv raw = buf_sv(&w->raw);
    uint8_t head[2 * VARINT_MAX_BYTES];
    size_t n = varint_write(head, raw.len);
    n += varint_write(head + n, packed_bytes);
    buf_append(w->out, head, n);
    buf_append(w->out, packed_bytes ? w->packed.mem : raw.p, packed_bytes ? packed_bytes : raw.len);
    if (w->raw.failed || w->packed.failed || w->out->failed)
        w->failed = true;
}

void stream_end(struct streams_w *w)
{
    append_stream(w, compress(w, buf_sv(&w->raw)));
}

void stream_end_random(struct streams_w *w)
{
    append_stream(w, 0);
}

void numbers_put(struct streams_w *w, const uint32_t *list, size_t n, uint32_t limit)
{
    struct buf *b = stream_begin(w);
    unsigned width = number_width(limit);
    uint8_t *to = (uint8_t *)buf_reserve(b, n * width);
    if (to) {
        if (width == 1)
            for (size_t i = 0; i < n; i++)
                to[i] = (uint8_t)list[i];
        else if (width == 2)
            for (size_t i = 0; i < n; i++) {
                to[2 * i] = (uint8_t)list[i];
                to[2 * i + 1] = (uint8_t)(list[i] >> 8);
            }
        else
            for (size_t i = 0; i < n; i++)
                for (unsigned byte = 0; byte < width; byte++)
                    to[i * width + byte] = (uint8_t)(list[i] >> 8 * byte);
        buf_commit(b, n * width);
    }
    stream_end(w);
}
