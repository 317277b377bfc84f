/* stream_r.c - reading streams and columns, believing nothing; see texts_r.c. */
#include "store/sqlite/stream.h"
#include "store/sqlite/stream_format.h"

void streams_r_done(struct streams_r *r)
{
    ZSTD_freeDCtx(r->zstd);
    r->zstd = NULL;
}

struct streams_r streams_r_of(struct sv in, struct arena *mem)
{
    return (struct streams_r){ .rd = rd_of(in), .mem = mem, .budget_bytes = STREAMS_BYTES_MAX };
}

static struct sv unpack(struct streams_r *r, struct sv packed, uint64_t bytes)
{
    if (bytes > r->budget_bytes) {
        rd_fail(&r->rd, ERR_LIMIT, "%llu bytes of %llu left", (unsigned long long)bytes,
                (unsigned long long)r->budget_bytes);
        return SV_NONE;
    }
    r->budget_bytes -= bytes;
    if (!r->zstd)
        r->zstd = ZSTD_createDCtx();
    char *to = r->zstd ? arena_alloc(r->mem, (size_t)bytes) : NULL;
    if (!to) {
        rd_fail(&r->rd, ERR_NOMEM, "stream of %llu bytes", (unsigned long long)bytes);
        return SV_NONE;
    }
    size_t n = ZSTD_decompressDCtx(r->zstd, to, (size_t)bytes, packed.p, packed.len);
    if (ZSTD_isError(n) || n != bytes) {
        rd_fail(&r->rd, ERR_MALFORMED, "stream: %s",
                ZSTD_isError(n) ? ZSTD_getErrorName(n) : "another length than said");
        return SV_NONE;
    }
    return sv_of(to, n);
}

/* The stream as it is stored; *ret_bytes is its length unpacked, or 0 when it is not packed. */
static struct sv stored_stream(struct streams_r *r, uint64_t *ret_bytes)
{
    uint64_t bytes = rd_varint(&r->rd), packed_bytes = rd_varint(&r->rd);
    uint64_t stored = packed_bytes ? packed_bytes : bytes;
    *ret_bytes = packed_bytes ? bytes : 0;
    return rd_bytes(&r->rd, stored <= rd_left(&r->rd) ? (size_t)stored : SIZE_MAX);
}

struct sv stream_get(struct streams_r *r)
{
    uint64_t bytes;
    struct sv s = stored_stream(r, &bytes);
    if (!rd_ok(&r->rd))
        return SV_NONE;
    return bytes ? unpack(r, s, bytes) : s;
}

void stream_skip(struct streams_r *r)
{
    uint64_t bytes;
    (void)stored_stream(r, &bytes);
}

struct numbers_r numbers_get(struct streams_r *r, uint32_t limit)
{
    struct sv s = stream_get(r);
    const uint8_t *p = (const uint8_t *)s.p;
    return (struct numbers_r){ p, p ? p + s.len : p, number_width(limit), limit };
}

uint32_t number_next(struct streams_r *r, struct numbers_r *n)
{
    uint32_t v = 0;
    if ((size_t)(n->end - n->at) < n->width || n->limit == 0) {
        rd_fail(&r->rd, ERR_TRUNCATED, "column of numbers ends early");
        return 0;
    }
    for (unsigned i = 0; i < n->width; i++)
        v |= (uint32_t)*n->at++ << 8 * i;
    if (v >= n->limit) {
        rd_fail(&r->rd, ERR_MALFORMED, "number %u of %u", v, n->limit);
        return 0;
    }
    return v;
}

uint32_t number_of_row(struct streams_r *r, const struct numbers_r *n, uint64_t row)
{
    if (n->limit == 0 || (n->width && (uint64_t)(n->end - n->at) / n->width <= row)) {
        rd_fail(&r->rd, ERR_TRUNCATED, "column of numbers ends early");
        return 0;
    }
    const uint8_t *p = n->at + row * n->width;
    uint32_t v = 0;
    for (unsigned i = 0; i < n->width; i++)
        v |= (uint32_t)p[i] << 8 * i;
    if (v >= n->limit) {
        rd_fail(&r->rd, ERR_MALFORMED, "number %u of %u", v, n->limit);
        return 0;
    }
    return v;
}

void numbers_all(struct streams_r *r, struct numbers_r *n, uint32_t *to, size_t rows)
{
    if (n->width && (size_t)(n->end - n->at) / n->width < rows) {
        rd_fail(&r->rd, ERR_TRUNCATED, "column of numbers ends early");
        return;
    }
    if (rows && n->limit == 0) {
        rd_fail(&r->rd, ERR_MALFORMED, "numbers below nothing");
        return;
    }
    const uint8_t *p = n->at;
    switch (n->width) { /* a loop each, so that it is done some at a time */
    case 0: memset(to, 0, rows * sizeof(*to)); break;
    case 1:
        for (size_t i = 0; i < rows; i++)
            to[i] = p[i];
        break;
    case 2:
        for (size_t i = 0; i < rows; i++)
            to[i] = (uint32_t)p[2 * i] | (uint32_t)p[2 * i + 1] << 8;
        break;
    default:
        for (size_t i = 0; i < rows; i++)
            to[i] = (uint32_t)p[4 * i] | (uint32_t)p[4 * i + 1] << 8 |
                    (uint32_t)p[4 * i + 2] << 16 | (uint32_t)p[4 * i + 3] << 24;
    }
    n->at += rows * n->width;
    uint32_t most = 0;
    for (size_t i = 0; i < rows; i++)
        most = MAX(most, to[i]);
    if (rows && most >= n->limit)
        rd_fail(&r->rd, ERR_MALFORMED, "number %u of %u", most, n->limit);
}

void numbers_skip(struct streams_r *r, struct numbers_r *n, uint64_t rows)
{
    if (n->width == 0 || rows == 0)
        return;
    if ((uint64_t)(n->end - n->at) / n->width < rows) {
        rd_fail(&r->rd, ERR_TRUNCATED, "column of numbers ends early");
        return;
    }
    n->at += rows * n->width;
}

void zigzags_all(struct streams_r *r, struct rd *rd, int64_t *to, size_t n)
{
    const uint8_t *at = rd->at;
    size_t i = 0;
    for (; i < n && rd->end - at >= VARINT_MAX_BYTES; i++) { /* no end to look for in here */
        uint64_t v = 0;
        unsigned shift = 0;
        uint8_t b;
        do {
            b = *at++;
            v |= (uint64_t)(b & 0x7f) << shift;
            shift += 7;
        } while (b & 0x80 && shift < 64);
        if (b & 0x80 || (shift == 70 && b > 1)) {
            rd_fail(rd, ERR_MALFORMED, "varint over 64 bits");
            break;
        }
        to[i] = unzigzag(v);
    }
    if (rd_ok(rd))
        rd->at = at;
    for (; i < n && rd_ok(rd); i++)
        to[i] = rd_zigzag(rd);
    if (!rd_ok(rd))
        rd_fail(&r->rd, rd->failed.code, "column: %s", rd->failed.why);
}

/* A failure inside a column is a failure of the segment. */
static void carry_failure(struct streams_r *r, const struct rd *column)
{
    if (!rd_ok(column))
        rd_fail(&r->rd, column->failed.code, "column: %s", column->failed.why);
}

static void read_dictionary(struct streams_r *r, struct rd *rd, struct strings_r *s)
{
    uint64_t n = rd_varint(rd);
    if (n > rd_left(rd)) {
        rd_fail(rd, ERR_MALFORMED, "%llu texts in %zu bytes", (unsigned long long)n, rd_left(rd));
        n = 0;
    }
    s->list = arena_array(r->mem, (size_t)n, sizeof(*s->list));
    if (!s->list) {
        rd_fail(rd, ERR_NOMEM, "%zu texts", (size_t)n);
        return;
    }
    for (uint64_t i = 0; i < n; i++)
        s->list[i] = rd_text(rd);
    s->numbers.limit = (uint32_t)n;
}

struct strings_r strings_get(struct streams_r *r)
{
    struct strings_r s = { 0 };
    struct rd rd = rd_of(stream_get(r));
    uint64_t form = rd_ok(&r->rd) ? rd_varint(&rd) : 0;
    if (form == STRINGS_DICTIONARY) {
        read_dictionary(r, &rd, &s);
        carry_failure(r, &rd);
        s.numbers = numbers_get(r, s.numbers.limit);
    } else if (form == STRINGS_PLAIN) {
        s.lengths = rd;
        s.bytes = rd_of(stream_get(r));
    } else if (form == STRINGS_PATTERNS) {
        patterns_get(r, &rd, &s);
    } else {
        rd_fail(&r->rd, ERR_MALFORMED, "form %llu of texts", (unsigned long long)form);
    }
    return s;
}

struct sv string_next(struct streams_r *r, struct strings_r *s)
{
    if (s->list) {
        uint32_t number = number_next(r, &s->numbers);
        return rd_ok(&r->rd) ? s->list[number] : SV_NONE;
    }
    if (s->patterns)
        return patterns_next(r, s);
    uint64_t len = rd_varint(&s->lengths);
    struct sv text = rd_bytes(&s->bytes, len <= rd_left(&s->bytes) ? (size_t)len : SIZE_MAX);
    if (!rd_ok(&s->lengths) || !rd_ok(&s->bytes))
        rd_fail(&r->rd, ERR_MALFORMED, "column of texts ends early");
    return text;
}

bool string_next_is(struct streams_r *r, struct strings_r *s, struct sv want)
{
    return s->patterns ? patterns_next_is(r, s, want) : sv_eq(string_next(r, s), want);
}

bool strings_have_more(const struct strings_r *s)
{
    return s->patterns ? s->rows_left > 0 : rd_left(&s->lengths) > 0;
}

void strings_skip(struct streams_r *r, struct strings_r *s, uint64_t rows)
{
    if (s->list) {
        numbers_skip(r, &s->numbers, rows);
        return;
    }
    if (s->patterns) {
        patterns_skip(r, s, rows);
        return;
    }
    for (; rows && rd_ok(&r->rd); rows--)
        (void)string_next(r, s);
}
