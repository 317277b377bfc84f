/* gzip_quick.h - gzip for bodies that repeat themselves at short distance, at an eighth of the usual cost.
 *
 * For telemetry: thousands of records of which each repeats the one before but for its ids and times.
 * What comes out is one ordinary gzip member (RFC 1951, 1952), on such bodies a fifth bigger than
 * libdeflate's fastest; on others it may be twice that, so general bodies belong to gzip.h.
 * Of one thread at a time. */
#ifndef BASE_GZIP_QUICK_H
#define BASE_GZIP_QUICK_H

#include "base/buf.h"
#include "base/err.h"

struct gzip_quick;

struct gzip_quick *gzip_quick_new(void) MUST_USE; /* NULL when memory is out */
struct gzip_quick *gzip_quick_free(struct gzip_quick *q);
/* Appends one gzip member. Nothing is kept from one call to the next. ERR_LIMIT: in is 2 GiB or more;
 * ERR_NOMEM. */
int gzip_quick_write(struct gzip_quick *q, struct sv in, struct buf *out, struct err *err) MUST_USE;

#endif
