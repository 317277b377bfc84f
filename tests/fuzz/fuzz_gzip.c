/* fuzz_gzip.c - any bytes inflated: never more than the limit comes out, a larger limit gives the
 * same bytes, and every input comes back from being compressed, by either compressor. */
#include "base/gzip.h"
#include "base/gzip_quick.h"

#define SMALL ((size_t)4096)
#define LARGE ((size_t)1 << 20)

static void inflate(struct sv in, enum gzip_format format)
{
    AUTO_DONE(buf) small = { 0 };
    AUTO_DONE(buf) large = { 0 };
    struct err err = { 0 };
    int rc = gzip_inflate(in, format, SMALL, &small, &err);
    INVARIANT(small.len <= SMALL &&
              (rc == 0 || (err.code == (enum err_code)rc && err.at <= in.len)));
    if (rc == 0) {
        INVARIANT(gzip_inflate(in, format, LARGE, &large, NULL) == 0);
        INVARIANT(sv_eq(buf_sv(&small), buf_sv(&large)));
    }
}

static void come_back_quickly(struct sv in)
{
    AUTO_DONE(buf) packed = { 0 };
    AUTO_DONE(buf) back = { 0 };
    struct gzip_quick *q = gzip_quick_new();
    INVARIANT(q && gzip_quick_write(q, in, &packed, NULL) == 0);
    INVARIANT(packed.len <= 32 + in.len + in.len / 8);
    INVARIANT(gzip_inflate(buf_sv(&packed), GZIP_FORMAT_GZIP, in.len, &back, NULL) == 0);
    INVARIANT(sv_eq(buf_sv(&back), in));
    gzip_quick_free(q);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct sv in = sv_of(p, n);
    AUTO_DONE(buf) packed = { 0 };
    AUTO_DONE(buf) back = { 0 };
    inflate(in, GZIP_FORMAT_GZIP);
    inflate(in, GZIP_FORMAT_ZLIB);
    INVARIANT(gzip_compress(in, 1, &packed, NULL) == 0);
    INVARIANT(gzip_inflate(buf_sv(&packed), GZIP_FORMAT_GZIP, n, &back, NULL) == 0);
    INVARIANT(sv_eq(buf_sv(&back), in));
    buf_clear(&back);
    int rc = n ? gzip_inflate(buf_sv(&packed), GZIP_FORMAT_GZIP, n - 1, &back, NULL) : ERR_LIMIT;
    INVARIANT(rc == ERR_LIMIT);
    come_back_quickly(in);
    return 0;
}
