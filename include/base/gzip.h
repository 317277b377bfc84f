/* gzip.h - whole-body compression with a bound on what comes out (RFC 1950, 1951, 1952).
 *
 * Thread-safe; nothing is kept between calls. */
#ifndef BASE_GZIP_H
#define BASE_GZIP_H

#include "base/buf.h"
#include "base/err.h"

enum gzip_format {
    GZIP_FORMAT_GZIP, /* Content-Encoding gzip: one member or several in a row */
    GZIP_FORMAT_ZLIB, /* Content-Encoding deflate */
};

/* Appends the inflated bytes to out. ERR_LIMIT when they are more than max_bytes (out never
 * grows past that, nor past what the input can hold at deflate's best ratio, up to rounding to a
 * power of two), ERR_MALFORMED (damaged or cut short; err->at is where the broken member starts),
 * ERR_TRUNCATED (no input), ERR_NOMEM. On failure out holds an
 * unspecified prefix. */
int gzip_inflate(struct sv in, enum gzip_format format, size_t max_bytes, struct buf *out,
                 struct err *err) MUST_USE;

/* Appends one gzip member. level 1 (fast) .. 12 (small); 6 is zlib's default trade. ERR_NOMEM. */
int gzip_compress(struct sv in, int level, struct buf *out, struct err *err) MUST_USE;

#endif
