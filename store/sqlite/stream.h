/* stream.h - the pieces a segment is made of: byte streams, each compressed on its own, and on top
 * of them columns of numbers and texts. Private to store/sqlite/; docs/store-format.md has the
 * bytes. Not thread-safe. */
#ifndef SQLITE_STREAM_H
#define SQLITE_STREAM_H

#include "base/arena.h"
#include "base/varint.h"
#include <zstd.h>

struct streams_w {
    struct buf *out;
    struct buf raw;    /* the stream being written */
    struct buf packed; /* the same, compressed */
    ZSTD_CCtx *zstd;
    bool failed; /* memory ran out */
};
void streams_w_done(struct streams_w *w);
/* Writes to out from now on. */
void streams_w_start(struct streams_w *w, struct buf *out);
/* The buffer to write the next stream's bytes to; stream_end() appends it to out. */
struct buf *stream_begin(struct streams_w *w);
void stream_end(struct streams_w *w);
/* The same for bytes that do not compress (random ids): they are stored as they are. */
void stream_end_random(struct streams_w *w);
/* Numbers below `limit`, at the width the limit needs: one, two or four bytes each. */
void numbers_put(struct streams_w *w, const uint32_t *list, size_t n, uint32_t limit);

/* A segment in memory may be this large altogether; one of 16,384 usual spans takes 6 MiB. */
#define STREAMS_BYTES_MAX ((uint64_t)512 * 1024 * 1024)

struct streams_r {
    struct rd rd;
    struct arena *mem; /* what is read lies here or in the segment's own bytes */
    ZSTD_DCtx *zstd;
    uint64_t budget_bytes; /* what may still be decompressed */
};
void streams_r_done(struct streams_r *r);
struct streams_r streams_r_of(struct sv in, struct arena *mem);
/* The next stream's bytes; a failure latches in r->rd. */
struct sv stream_get(struct streams_r *r);
void stream_skip(struct streams_r *r);
/* The next n varints of a stream, zigzag undone; a failure latches in r->rd. */
void zigzags_all(struct streams_r *r, struct rd *rd, int64_t *to, size_t n);

/* Columns being read row by row. Reading past the end latches in r->rd and gives zeros. */
struct numbers_r {
    const uint8_t *at, *end;
    unsigned width;
    uint32_t limit; /* every number is below it */
};
struct numbers_r numbers_get(struct streams_r *r, uint32_t limit);
uint32_t number_next(struct streams_r *r, struct numbers_r *n);
/* One of those from `at` on, counted from 0, without moving. */
uint32_t number_of_row(struct streams_r *r, const struct numbers_r *n, uint64_t row);
/* The next n at once. */
void numbers_all(struct streams_r *r, struct numbers_r *n, uint32_t *to, size_t rows);
void numbers_skip(struct streams_r *r, struct numbers_r *n, uint64_t rows);
struct pattern_r;
struct strings_r {
    struct sv *list; /* the distinct ones; NULL when each row has one of its own */
    struct numbers_r numbers;
    struct rd lengths, bytes;
    struct pattern_r *patterns; /* NULL: rows lie one after another */
    uint32_t patterns_len;
    uint64_t rows_left; /* of patterns */
};
struct strings_r strings_get(struct streams_r *r);
struct sv string_next(struct streams_r *r, struct strings_r *s);
/* Whether the next one is that. */
bool string_next_is(struct streams_r *r, struct strings_r *s, struct sv want);
/* Whether there are more, of a column without a list. */
bool strings_have_more(const struct strings_r *s);
void strings_skip(struct streams_r *r, struct strings_r *s, uint64_t rows);

/* patterns_r.c; for stream_r.c */
/* What follows the form in the first stream, and the second stream. */
void patterns_get(struct streams_r *r, struct rd *rd, struct strings_r *s);
struct sv patterns_next(struct streams_r *r, struct strings_r *s);
bool patterns_next_is(struct streams_r *r, struct strings_r *s, struct sv want);
void patterns_skip(struct streams_r *r, struct strings_r *s, uint64_t rows);

#endif
