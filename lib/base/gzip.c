/* gzip.c - libdeflate behind a bound.
 *
 * libdeflate inflates whole buffers, which is twice as fast as streaming, but wants to know the
 * size first. A gzip member says it at its end; that is believed only as far as deflate could
 * produce it (1032 bytes from one) and the caller's limit allows. When the guess was too small the
 * room doubles, up to the limit and one byte, so that "exactly the limit" is still accepted. */
#include "base/gzip.h"
#include <libdeflate.h>

#define RATIO_MAX        ((size_t)1032) /* deflate: 258 bytes from two bits */
#define GUESS_RATIO      ((size_t)4)
#define GUESS_MIN        ((size_t)1024)
#define GZIP_MEMBER_MIN  ((size_t)18) /* header and trailer */
#define GZIP_TRAILER_LEN ((size_t)4)

static bool has_gzip_magic(struct sv in)
{
    return in.len >= 2 && (uint8_t)in.p[0] == 0x1f && (uint8_t)in.p[1] == 0x8b;
}

/* The size a gzip stream's last member claims for itself. */
static size_t claimed_size(struct sv in)
{
    const uint8_t *p = (const uint8_t *)in.p + in.len - GZIP_TRAILER_LEN;
    return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

static size_t first_guess(struct sv in, enum gzip_format format)
{
    size_t most = in.len > SIZE_MAX / RATIO_MAX ? SIZE_MAX : in.len * RATIO_MAX;
    size_t guess = in.len * GUESS_RATIO;
    if (format == GZIP_FORMAT_GZIP && in.len >= GZIP_MEMBER_MIN)
        guess = claimed_size(in);
    return MIN(MAX(guess, GUESS_MIN), most);
}

struct inflater {
    struct libdeflate_decompressor *d;
    enum gzip_format format;
    struct sv in; /* all of it */
    size_t at;    /* where the next member starts */
    size_t left;  /* bytes that may still come out */
    struct buf *out;
};

static enum libdeflate_result inflate_into(const struct inflater *f, struct sv in, char *to,
                                           size_t room, size_t *ret_used, size_t *ret_made)
{
    if (f->format == GZIP_FORMAT_ZLIB)
        return libdeflate_zlib_decompress_ex(f->d, in.p, in.len, to, room, ret_used, ret_made);
    return libdeflate_gzip_decompress_ex(f->d, in.p, in.len, to, room, ret_used, ret_made);
}

static int inflate_member(struct inflater *f, struct err *err)
{
    struct sv in = sv_of(f->in.p + f->at, f->in.len - f->at);
    if (f->format == GZIP_FORMAT_GZIP && !has_gzip_magic(in))
        return err_at(err, ERR_MALFORMED, f->at, "not a gzip member");
    for (size_t room = MIN(first_guess(in, f->format), f->left);; room = MIN(room * 2, f->left)) {
        size_t used = 0, made = 0;
        char *to = buf_reserve(f->out, room + 1);
        if (!to)
            return err_set(err, ERR_NOMEM, "%zu bytes to inflate into", room);
        switch (inflate_into(f, in, to, room, &used, &made)) {
        case LIBDEFLATE_SUCCESS:
            buf_commit(f->out, made);
            f->left -= made;
            f->at += used;
            return 0;
        case LIBDEFLATE_INSUFFICIENT_SPACE:
            if (room < f->left)
                continue;
            return err_at(err, ERR_LIMIT, f->at, "inflates to more than the limit");
        default:
            return err_at(err, ERR_MALFORMED, f->at, "%s data is damaged or cut short",
                          f->format == GZIP_FORMAT_GZIP ? "gzip" : "zlib");
        }
    }
}

static int inflate_all(struct inflater *f, struct err *err)
{
    do {
        int rc = inflate_member(f, err);
        if (rc < 0)
            return rc;
    } while (f->at < f->in.len && f->format == GZIP_FORMAT_GZIP);
    if (f->at < f->in.len)
        return err_at(err, ERR_MALFORMED, f->at, "%zu bytes behind the data", f->in.len - f->at);
    return 0;
}

int gzip_inflate(struct sv in, enum gzip_format format, size_t max_bytes, struct buf *out,
                 struct err *err)
{
    if (in.len == 0)
        return err_set(err, ERR_TRUNCATED, "no compressed data");
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    if (!d)
        return err_set(err, ERR_NOMEM, "decompressor");
    struct inflater f = { .d = d, .format = format, .in = in, .left = max_bytes, .out = out };
    int rc = inflate_all(&f, err);
    libdeflate_free_decompressor(d);
    return rc;
}

int gzip_compress(struct sv in, int level, struct buf *out, struct err *err)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(level);
    if (!c)
        return err_set(err, ERR_NOMEM, "compressor of level %d", level);
    size_t room = libdeflate_gzip_compress_bound(c, in.len), made = 0;
    char *to = buf_reserve(out, room);
    if (to) {
        made = libdeflate_gzip_compress(c, in.p, in.len, to, room);
        buf_commit(out, made);
    }
    libdeflate_free_compressor(c);
    return made ? 0 : err_set(err, ERR_NOMEM, "%zu bytes to compress into", room);
}
