/* patterns_r.c - texts that differ only in their numbers, reading; see patterns_w.c.
 *
 * A text is put together when its row is asked for. What a few bytes could make of memory is counted
 * against the segment's budget, and rows are counted in the column itself, since a column of one
 * text takes no bytes a row. */
#include "store/sqlite/stream.h"
#include "store/sqlite/stream_format.h"

enum { NUMBER_DIGITS = 10 };

struct place_r {
    struct numbers_r numbers; /* less the least */
    uint32_t least;
};
struct pattern_r {
    struct sv text; /* a zero byte in each number's place */
    uint32_t places;
    struct place_r *place;
};

static uint32_t count_places(struct sv text)
{
    uint32_t n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += text.p[i] == '\0';
    return n;
}

static void get_pattern(struct streams_r *r, struct rd *rd, struct pattern_r *to)
{
    to->text = rd_text(rd);
    to->places = count_places(to->text);
    if (to->places > STRINGS_PLACES_MAX) {
        rd_fail(rd, ERR_MALFORMED, "%u numbers in a text", to->places);
        to->places = 0;
    }
    to->place = arena_array(r->mem, to->places, sizeof(*to->place));
    if (!to->place) {
        rd_fail(rd, ERR_NOMEM, "numbers of a text");
        to->places = 0;
    }
    for (uint32_t i = 0; i < to->places; i++) {
        uint64_t least = rd_varint(rd), limit = rd_varint(rd);
        if (least > UINT32_MAX || limit == 0 || limit > UINT32_MAX - least)
            rd_fail(rd, ERR_MALFORMED, "range of numbers in texts");
        to->place[i].least = (uint32_t)least;
        to->place[i].numbers.limit = (uint32_t)limit;
    }
}

/* The second stream holds streams: which pattern each row has, then a column a place. */
static void get_numbers(struct streams_r *r, struct strings_r *s)
{
    struct sv inner = stream_get(r);
    struct rd outer = r->rd;
    r->rd = rd_of(inner);
    s->numbers = numbers_get(r, s->patterns_len);
    for (uint32_t i = 0; i < s->patterns_len && rd_ok(&r->rd); i++)
        for (uint32_t k = 0; k < s->patterns[i].places; k++) {
            struct place_r *p = &s->patterns[i].place[k];
            p->numbers = numbers_get(r, p->numbers.limit);
        }
    if (rd_ok(&r->rd) && rd_left(&r->rd))
        rd_fail(&r->rd, ERR_MALFORMED, "bytes behind a column of texts");
    if (rd_ok(&outer) && !rd_ok(&r->rd))
        rd_fail(&outer, r->rd.failed.code, "texts: %s", r->rd.failed.why);
    r->rd = outer;
}

void patterns_get(struct streams_r *r, struct rd *rd, struct strings_r *s)
{
    uint64_t rows = rd_varint(rd), n = rd_varint(rd);
    if (rows > STRINGS_PATTERNS_ROWS_MAX || n > rd_left(rd) || n == 0)
        rd_fail(rd, ERR_MALFORMED, "%llu patterns of %llu texts", (unsigned long long)n,
                (unsigned long long)rows);
    s->patterns = rd_ok(rd) ? arena_array(r->mem, (size_t)n, sizeof(*s->patterns)) : NULL;
    if (!s->patterns) {
        rd_fail(rd, ERR_NOMEM, "patterns of texts");
    } else {
        s->patterns_len = (uint32_t)n;
        s->rows_left = rows;
        for (uint32_t i = 0; i < s->patterns_len && rd_ok(rd); i++)
            get_pattern(r, rd, &s->patterns[i]);
    }
    if (!rd_ok(rd))
        rd_fail(&r->rd, rd->failed.code, "texts: %s", rd->failed.why);
    get_numbers(r, s);
}

/* The pattern of the next row, and its numbers; NULL when there is none. */
static const struct pattern_r *next_row(struct streams_r *r, struct strings_r *s,
                                        uint32_t numbers[STRINGS_PLACES_MAX])
{
    if (s->rows_left == 0) {
        rd_fail(&r->rd, ERR_TRUNCATED, "column of texts ends early");
        return NULL;
    }
    s->rows_left--;
    const struct pattern_r *p = &s->patterns[number_next(r, &s->numbers)];
    for (uint32_t i = 0; i < p->places; i++)
        numbers[i] = p->place[i].least + number_next(r, &p->place[i].numbers);
    return rd_ok(&r->rd) ? p : NULL;
}

static size_t write_number(char *to, uint32_t v)
{
    char digits[NUMBER_DIGITS];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    for (size_t i = 0; i < n; i++)
        to[i] = digits[n - 1 - i];
    return n;
}

struct sv patterns_next(struct streams_r *r, struct strings_r *s)
{
    uint32_t numbers[STRINGS_PLACES_MAX];
    const struct pattern_r *p = next_row(r, s, numbers);
    if (!p)
        return SV_NONE;
    size_t most = p->text.len + (size_t)p->places * NUMBER_DIGITS, n = 0;
    char *to = most <= r->budget_bytes ? arena_alloc(r->mem, most) : NULL;
    if (!to) {
        rd_fail(&r->rd, most <= r->budget_bytes ? ERR_NOMEM : ERR_LIMIT, "text of %zu bytes", most);
        return SV_NONE;
    }
    r->budget_bytes -= most;
    const uint32_t *number = numbers;
    for (size_t i = 0; i < p->text.len; i++)
        if (p->text.p[i] == '\0')
            n += write_number(to + n, *number++);
        else
            to[n++] = p->text.p[i];
    return sv_of(to, n);
}

bool patterns_next_is(struct streams_r *r, struct strings_r *s, struct sv want)
{
    uint32_t numbers[STRINGS_PLACES_MAX];
    const struct pattern_r *p = next_row(r, s, numbers);
    const uint32_t *number = numbers;
    size_t at = 0;
    for (size_t i = 0; p && i < p->text.len; i++) {
        char digits[NUMBER_DIGITS];
        size_t n = 1;
        if (p->text.p[i] == '\0')
            n = write_number(digits, *number++);
        else
            digits[0] = p->text.p[i];
        if (n > want.len - at || memcmp(want.p + at, digits, n) != 0)
            return false;
        at += n;
    }
    return p && at == want.len;
}

void patterns_skip(struct streams_r *r, struct strings_r *s, uint64_t rows)
{
    uint32_t ignored[STRINGS_PLACES_MAX];
    if (s->patterns_len == 1 && rows <= s->rows_left) { /* then each place has a number a row */
        for (uint32_t i = 0; i < s->patterns[0].places; i++)
            numbers_skip(r, &s->patterns[0].place[i].numbers, rows);
        s->rows_left -= rows;
        return;
    }
    for (; rows && rd_ok(&r->rd); rows--)
        (void)next_row(r, s, ignored);
}
