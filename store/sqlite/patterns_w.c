/* patterns_w.c - texts that differ only in their numbers, writing.
 *
 * Addresses with ports, paths with ids: nearly every row is another text, so a dictionary does not
 * help, and compressing them as they are is most of the work of sealing. But they have few
 * patterns: the text with its numbers taken out. A row is then the number of its pattern and its
 * numbers, a place each, and a place's numbers stand together as a column.
 *
 * A number is a run of digits that its value gives back: at most nine, no 0 in front. Texts of which
 * every other one has a pattern of its own (ids in hexadecimal) are soon found out and stay as they
 * are, as do texts with a zero byte, which marks a number's place in a pattern. */
#include "store/sqlite/patterns_w.h"
#include "store/sqlite/interner.h"
#include "store/sqlite/stream_format.h"

enum {
    PATTERNS_MAX = 64, /* a service has a few; every one costs each of its columns a few bytes */
    PLACES_MAX = STRINGS_PLACES_MAX, /* further numbers are part of the pattern */
    TEXT_MAX = 1024,                 /* longer ones are no addresses */
    DIGITS_MAX = 9,                  /* so that a number fits in 32 bits */
    ROWS_MIN = 64,
    ROWS_A_PATTERN = 8, /* at least, on average */
};

/* Numbers of one place of one pattern. */
struct place {
    uint32_t least, most;
};
struct pattern {
    const char *text; /* with a zero byte in each number's place */
    uint32_t len, places, rows;
    struct place *place;
    struct sv *pieces; /* what stands before each place, and behind the last */
    size_t first;      /* of its numbers, when they are dealt out */
};

struct patterns {
    struct arena *mem;
    struct pattern list[PATTERNS_MAX];
    uint32_t len;
    size_t rows;
    uint32_t *pattern_of; /* by row */
    uint32_t *numbers;    /* of all rows, one row's after another's */
    size_t numbers_len, numbers_cap;
    uint32_t last, before; /* patterns of the newest rows, different ones */
    bool failed;           /* memory is out */
};

/* A text taken apart. */
struct parsed {
    char text[TEXT_MAX];
    uint32_t len, places;
    uint32_t numbers[PLACES_MAX];
};

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

/* The run of digits from s[i] on: as a number when it is one, else as it stands. Where it ends. */
static size_t take_digits(struct parsed *p, struct sv s, size_t i)
{
    size_t from = i;
    uint32_t v = 0;
    for (; i < s.len && is_digit(s.p[i]); i++)
        v = i - from < DIGITS_MAX ? v * 10 + (uint32_t)(s.p[i] - '0') : v;
    size_t digits = i - from;
    if (digits > DIGITS_MAX || (digits > 1 && s.p[from] == '0') || p->places == PLACES_MAX) {
        memcpy(p->text + p->len, s.p + from, digits);
        p->len += (uint32_t)digits;
        return i;
    }
    p->text[p->len++] = '\0';
    p->numbers[p->places++] = v;
    return i;
}

/* False when s cannot have a pattern. */
static bool parse(struct parsed *p, struct sv s)
{
    p->len = p->places = 0;
    if (s.len > TEXT_MAX)
        return false;
    for (size_t i = 0; i < s.len;) {
        if (is_digit(s.p[i])) {
            i = take_digits(p, s, i);
            continue;
        }
        if (s.p[i] == '\0')
            return false;
        p->text[p->len++] = s.p[i++];
    }
    return true;
}

static inline bool is_piece(const char *a, const char *b, size_t n)
{
    if (n > 16)
        return memcmp(a, b, n) == 0;
    if (n >= 8)
        return sv_load64(a) == sv_load64(b) && sv_load64(a + n - 8) == sv_load64(b + n - 8);
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

/* Whether s has this pattern; then the numbers, too. What most rows need, so parse() is not. */
static bool matches(const struct pattern *p, struct sv s, uint32_t *ret_numbers)
{
    const char *at = s.p, *end = s.p + s.len;
    for (uint32_t k = 0;; k++) {
        struct sv piece = p->pieces[k];
        if ((size_t)(end - at) < piece.len || !is_piece(at, piece.p, piece.len))
            return false;
        at += piece.len;
        if (k == p->places)
            return at == end;
        const char *from = at, *stop = end - at > DIGITS_MAX ? at + DIGITS_MAX + 1 : end;
        uint32_t v = 0, digit;
        for (; at < stop && (digit = (uint32_t)(unsigned char)*at - '0') <= 9; at++)
            v = v * 10 + digit;
        size_t digits = (size_t)(at - from);
        if (digits - 1 >= DIGITS_MAX || (digits > 1 && *from == '0'))
            return false; /* none, too many, or written otherwise */
        ret_numbers[k] = v;
    }
}

static bool is_pattern(const struct pattern *a, const struct parsed *p)
{
    return a->len == p->len && memcmp(a->text, p->text, p->len) == 0;
}

static void cut(struct pattern *p)
{
    const char *from = p->text, *end = p->text + p->len;
    for (uint32_t k = 0; k < p->places; k++) {
        const char *place = memchr(from, '\0', (size_t)(end - from));
        p->pieces[k] = sv_of(from, (size_t)(place - from));
        from = place + 1;
    }
    p->pieces[p->places] = sv_of(from, (size_t)(end - from));
}

/* The number of its pattern; PATTERNS_MAX when there are too many. */
static uint32_t pattern_number(struct patterns *all, const struct parsed *p)
{
    for (uint32_t i = 0; i < all->len; i++)
        if (is_pattern(&all->list[i], p))
            return i;
    if (all->len == PATTERNS_MAX)
        return PATTERNS_MAX;
    struct sv text = arena_copy(all->mem, sv_of(p->text, p->len));
    struct pattern *to = &all->list[all->len];
    *to = (struct pattern){ .text = text.p, .len = p->len, .places = p->places };
    to->place = arena_array(all->mem, p->places, sizeof(*to->place));
    to->pieces = arena_array(all->mem, p->places + 1, sizeof(*to->pieces));
    if (!text.p || !to->place || !to->pieces) {
        all->failed = true;
        return PATTERNS_MAX;
    }
    for (uint32_t i = 0; i < p->places; i++)
        to->place[i] = (struct place){ UINT32_MAX, 0 };
    cut(to);
    return all->len++;
}

static bool has_room(struct patterns *all)
{
    if (all->numbers_cap - all->numbers_len >= PLACES_MAX)
        return true;
    size_t cap = MAX(all->numbers_cap * 2, all->rows * 4 + PLACES_MAX);
    uint32_t *more = arena_alloc(all->mem, cap * sizeof(*more));
    if (!more) {
        all->failed = true;
        return false;
    }
    if (all->numbers_len)
        memcpy(more, all->numbers, all->numbers_len * sizeof(*more));
    all->numbers = more;
    all->numbers_cap = cap;
    return true;
}

/* The number of the pattern of s, whose numbers go behind those there are; PATTERNS_MAX when it has
 * none, or there are too many. */
static uint32_t take_apart(struct patterns *all, struct parsed *p, struct sv s)
{
    uint32_t *numbers = all->numbers + all->numbers_len;
    if (all->len && matches(&all->list[all->last], s, numbers))
        return all->last;
    if (all->len && matches(&all->list[all->before], s, numbers))
        return all->before;
    if (!parse(p, s))
        return PATTERNS_MAX;
    memcpy(numbers, p->numbers, p->places * sizeof(*numbers));
    return pattern_number(all, p);
}

static bool add_row(struct patterns *all, struct parsed *p, struct sv s, size_t row)
{
    uint32_t number = has_room(all) ? take_apart(all, p, s) : PATTERNS_MAX;
    if (number == PATTERNS_MAX)
        return false;
    struct pattern *to = &all->list[number];
    const uint32_t *numbers = all->numbers + all->numbers_len;
    for (uint32_t i = 0; i < to->places; i++) {
        struct place *place = &to->place[i];
        place->least = MIN(place->least, numbers[i]);
        place->most = MAX(place->most, numbers[i]);
    }
    all->numbers_len += to->places;
    to->rows++;
    all->pattern_of[row] = number;
    if (number != all->last) {
        all->before = all->last;
        all->last = number;
    }
    return true;
}

static bool find_patterns(struct patterns *all, const struct dict *d, const uint32_t *rows,
                          size_t n)
{
    struct parsed *p = arena_alloc(all->mem, sizeof(*p));
    all->pattern_of = arena_alloc(all->mem, n * sizeof(*all->pattern_of));
    if (!p || !all->pattern_of) {
        all->failed = true;
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const struct dict_text *t = &d->list[rows[i]];
        if (!add_row(all, p, sv_of(t->p, t->len), i))
            return false;
    }
    return all->numbers_len > 0 && all->len <= n / ROWS_A_PATTERN;
}

/* The numbers of each place of each pattern side by side, less the least of them. */
static uint32_t *deal_out(struct patterns *all, size_t n)
{
    uint32_t *to = arena_alloc(all->mem, all->numbers_len * sizeof(*to));
    uint32_t *met = arena_array(all->mem, all->len, sizeof(*met));
    if (!to || !met) {
        all->failed = true;
        return NULL;
    }
    size_t first = 0;
    for (uint32_t i = 0; i < all->len; i++) {
        all->list[i].first = first;
        first += (size_t)all->list[i].rows * all->list[i].places;
    }
    const uint32_t *from = all->numbers;
    for (size_t row = 0; row < n; row++) {
        const struct pattern *p = &all->list[all->pattern_of[row]];
        uint32_t *at = to + p->first + met[all->pattern_of[row]]++;
        for (uint32_t i = 0; i < p->places; i++)
            at[(size_t)i * p->rows] = *from++ - p->place[i].least;
    }
    return to;
}

static uint32_t limit_of(const struct place *p)
{
    return p->most - p->least + 1;
}

static void put_head(struct streams_w *w, const struct patterns *all, size_t n)
{
    struct buf *b = stream_begin(w);
    buf_put_varint(b, STRINGS_PATTERNS);
    buf_put_varint(b, n);
    buf_put_varint(b, all->len);
    for (uint32_t i = 0; i < all->len; i++) {
        const struct pattern *p = &all->list[i];
        buf_put_text(b, sv_of(p->text, p->len));
        for (uint32_t k = 0; k < p->places; k++) {
            buf_put_varint(b, p->place[k].least);
            buf_put_varint(b, limit_of(&p->place[k]));
        }
    }
    stream_end(w);
}

/* Streams inside of a stream, each compressed on its own. */
static void put_numbers(struct streams_w *w, const struct patterns *all, const uint32_t *dealt,
                        size_t n)
{
    AUTO_DONE(buf) inner = { 0 };
    struct buf *outer = w->out;
    w->out = &inner;
    numbers_put(w, all->pattern_of, n, all->len);
    for (uint32_t i = 0; i < all->len; i++) {
        const struct pattern *p = &all->list[i];
        for (uint32_t k = 0; k < p->places; k++)
            numbers_put(w, dealt + p->first + (size_t)k * p->rows, p->rows, limit_of(&p->place[k]));
    }
    w->out = outer;
    buf_put(stream_begin(w), buf_sv(&inner));
    stream_end_random(w);
    w->failed |= inner.failed;
}

bool patterns_put(struct streams_w *w, struct arena *mem, const struct dict *d,
                  const uint32_t *rows, size_t n)
{
    if (n < ROWS_MIN || n > STRINGS_PATTERNS_ROWS_MAX)
        return false;
    struct patterns *all = arena_zalloc(mem, sizeof(*all));
    if (!all) {
        w->failed = true;
        return true;
    }
    all->mem = mem;
    all->rows = n;
    bool has_patterns = find_patterns(all, d, rows, n);
    const uint32_t *dealt = has_patterns ? deal_out(all, n) : NULL;
    w->failed |= all->failed;
    if (!has_patterns || w->failed)
        return w->failed;
    put_head(w, all, n);
    put_numbers(w, all, dealt, n);
    return true;
}
