/* json_in.c - reading JSON without a tree.
 *
 * Telemetry in JSON is a few known keys repeated thousands of times. A tree of it costs some fifty
 * times its text and is walked once; this reader goes over the text once and lets the caller keep
 * what it wants. It remembers only the depth and whether a comma is due, because the caller's own
 * nesting of loops is the stack: jin_key() insists on '}' at the end and jin_element() on ']'. */
#include "base/json_in.h"
#include "base/mem.h"
#include <math.h>

struct json_in json_in_of(struct sv text, struct arena *mem, unsigned depth_max)
{
    return (struct json_in){ .in = rd_of(text), .mem = mem, .depth_max = depth_max };
}

size_t jin_offset(const struct json_in *j)
{
    return rd_offset(&j->in);
}

bool jin_ok(const struct json_in *j)
{
    return rd_ok(&j->in);
}

void jin_fail(struct json_in *j, enum err_code code, const char *why)
{
    rd_fail(&j->in, code, "%s", why);
}

/* The next character that is not white space, unread; -1 at the end. */
static int peek(struct json_in *j)
{
    struct rd *r = &j->in;
    while (r->at != r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
    return r->at == r->end ? -1 : *r->at;
}

static void unexpected(struct json_in *j, const char *want)
{
    int c = peek(j);
    if (c < 0)
        rd_fail(&j->in, ERR_TRUNCATED, "the text ends, %s expected", want);
    else if (c > ' ' && c < 127)
        rd_fail(&j->in, ERR_MALFORMED, "'%c' found, %s expected", c, want);
    else
        rd_fail(&j->in, ERR_MALFORMED, "byte 0x%02x found, %s expected", (unsigned)c, want);
}

enum json_kind jin_kind(struct json_in *j)
{
    int c = peek(j);
    if (c == '-' || (c >= '0' && c <= '9'))
        return JSON_NUMBER;
    switch (c) {
    case '{': return JSON_OBJECT;
    case '[': return JSON_ARRAY;
    case '"': return JSON_STRING;
    case 't':
    case 'f': return JSON_BOOL;
    case 'n': return JSON_NULL;
    default: return JSON_NOTHING;
    }
}

static void enter(struct json_in *j, int bracket, const char *want)
{
    if (peek(j) != bracket) {
        unexpected(j, want);
        return;
    }
    if (j->depth == j->depth_max) {
        rd_fail(&j->in, ERR_LIMIT, "nested deeper than %u", j->depth_max);
        return;
    }
    j->in.at++;
    j->depth++;
    j->needs_comma = false;
}

void jin_object(struct json_in *j)
{
    enter(j, '{', "an object");
}

void jin_array(struct json_in *j)
{
    enter(j, '[', "an array");
}

/* Steps over the comma, or over the closing bracket and answers false. */
static bool another(struct json_in *j, int closing)
{
    if (!rd_ok(&j->in))
        return false;
    int c = peek(j);
    if (c == closing) {
        j->in.at++;
        j->depth--;
        j->needs_comma = true;
        return false;
    }
    if (j->needs_comma) {
        if (c != ',') {
            unexpected(j, closing == '}' ? "',' or '}'" : "',' or ']'");
            return false;
        }
        j->in.at++;
        if (peek(j) == closing) {
            unexpected(j, "another value after ','");
            return false;
        }
    }
    if (peek(j) < 0) {
        unexpected(j, closing == '}' ? "a key or '}'" : "a value or ']'");
        return false;
    }
    return true;
}

bool jin_element(struct json_in *j)
{
    return another(j, ']');
}

static int hex4(struct json_in *j, const uint8_t *at, const uint8_t *end, uint32_t *ret_unit)
{
    uint8_t b[2];
    if (end - at < 4 || !sv_to_bytes(sv_of(at, 4), b, 2)) {
        j->in.at = at;
        rd_fail(&j->in, ERR_MALFORMED, "\\u needs four hex digits");
        return -1;
    }
    *ret_unit = (uint32_t)b[0] << 8 | b[1];
    return 0;
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (char)(0xe0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    } else {
        *to++ = (char)(0xf0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    return to;
}

/* at is behind "\u". Reads one code point, of one escape or of a surrogate pair; returns where the
 * text goes on, NULL after a failure. */
static const uint8_t *unicode_escape(struct json_in *j, const uint8_t *at, const uint8_t *end,
                                     uint32_t *ret_point)
{
    uint32_t high, low;
    if (hex4(j, at, end, &high) < 0)
        return NULL;
    at += 4;
    *ret_point = high;
    if (high < 0xd800 || high > 0xdfff)
        return at;
    *ret_point = 0xfffd;
    if (high > 0xdbff || end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return at;
    if (hex4(j, at + 2, end, &low) < 0)
        return NULL;
    if (low < 0xdc00 || low > 0xdfff)
        return at;
    *ret_point = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return at + 6;
}

/* The body of a string that holds escapes. What an escape stands for is never longer than it. */
static struct sv unescape(struct json_in *j, struct sv raw)
{
    static const char escapes[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    char *out = arena_alloc(j->mem, raw.len), *to = out;
    if (!out) {
        rd_fail(&j->in, ERR_NOMEM, "string of %zu bytes", raw.len);
        return SV_NONE;
    }
    const uint8_t *at = (const uint8_t *)raw.p, *end = at + raw.len;
    while (at < end) {
        if (*at != '\\') {
            *to++ = (char)*at++;
            continue;
        }
        const char *hit = at + 1 < end && at[1] ? strchr(escapes, at[1]) : NULL;
        if (hit) {
            *to++ = means[hit - escapes];
            at += 2;
        } else if (at + 1 < end && at[1] == 'u') {
            uint32_t point;
            at = unicode_escape(j, at + 2, end, &point);
            if (!at)
                return SV_NONE;
            to = put_utf8(to, point);
        } else {
            j->in.at = at;
            rd_fail(&j->in, ERR_MALFORMED, "unknown escape");
            return SV_NONE;
        }
    }
    return sv_of(out, (size_t)(to - out));
}

/* The text between the quotes, unescaped; the cursor is left behind the closing quote. */
static struct sv string(struct json_in *j)
{
    struct rd *r = &j->in;
    if (peek(j) != '"') {
        unexpected(j, "a string");
        return SV_NONE;
    }
    const uint8_t *start = r->at + 1, *at = start;
    uint8_t seen = 0;
    bool has_escape = false;
    while (at < r->end && *at != '"') {
        if (*at < ' ') {
            r->at = at;
            rd_fail(r, ERR_MALFORMED, "control byte 0x%02x in a string", *at);
            return SV_NONE;
        }
        seen |= *at;
        bool is_escape = *at == '\\' && at + 1 < r->end; /* its next byte closes nothing */
        has_escape |= is_escape;
        at += is_escape ? 2 : 1;
    }
    if (at == r->end) {
        rd_fail(r, ERR_TRUNCATED, "the string has no end");
        return SV_NONE;
    }
    struct sv s = sv_of(start, (size_t)(at - start));
    if (seen >= 0x80 && !sv_is_utf8(s)) {
        rd_fail(r, ERR_MALFORMED, "the string is not UTF-8");
        return SV_NONE;
    }
    if (has_escape)
        s = unescape(j, s);
    if (rd_ok(r))
        r->at = at + 1;
    return s;
}

bool jin_key(struct json_in *j, struct sv *ret_key)
{
    if (!another(j, '}'))
        return false;
    *ret_key = string(j);
    if (!rd_ok(&j->in))
        return false;
    if (peek(j) != ':') {
        unexpected(j, "':'");
        return false;
    }
    j->in.at++;
    return true;
}

struct sv jin_str(struct json_in *j)
{
    struct sv s = string(j);
    j->needs_comma = true;
    return s;
}

static bool word(struct json_in *j, struct sv w)
{
    (void)peek(j);
    if (rd_left(&j->in) < w.len || memcmp(j->in.at, w.p, w.len) != 0)
        return false;
    j->in.at += w.len;
    j->needs_comma = true;
    return true;
}

bool jin_bool(struct json_in *j)
{
    if (word(j, SV("true")))
        return true;
    if (!word(j, SV("false")))
        unexpected(j, "true or false");
    return false;
}

bool jin_null(struct json_in *j)
{
    return word(j, SV("null"));
}

static const uint8_t *digits(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* Behind the longest number that starts at p by RFC 8259's grammar; NULL when there is none. */
static const uint8_t *number_end(const uint8_t *p, const uint8_t *end)
{
    const uint8_t *at = p < end && *p == '-' ? p + 1 : p, *from = at;
    at = digits(at, end);
    if (at == from || (*from == '0' && at - from > 1))
        return NULL;
    if (at < end && *at == '.') {
        from = at + 1;
        at = digits(from, end);
        if (at == from)
            return NULL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        from = at + 1;
        if (from < end && (*from == '+' || *from == '-'))
            from++;
        at = digits(from, end);
        if (at == from)
            return NULL;
    }
    return at;
}

struct sv jin_number(struct json_in *j)
{
    int c = peek(j);
    const uint8_t *end = c == '-' || (c >= '0' && c <= '9') ? number_end(j->in.at, j->in.end)
                                                            : NULL;
    if (!end) {
        unexpected(j, "a number");
        return SV_NONE;
    }
    struct sv text = sv_of(j->in.at, (size_t)(end - j->in.at));
    j->in.at = end;
    j->needs_comma = true;
    return text;
}

/* A number's text, from a number or from the string that holds it. */
static struct sv number_text(struct json_in *j)
{
    if (peek(j) != '"')
        return jin_number(j);
    const uint8_t *start = j->in.at;
    struct sv s = jin_str(j);
    const uint8_t *p = (const uint8_t *)s.p;
    if (rd_ok(&j->in) && (s.len == 0 || number_end(p, p + s.len) != p + s.len)) {
        j->in.at = start;
        rd_fail(&j->in, ERR_MALFORMED, "the string holds no number");
        return SV_NONE;
    }
    return s;
}

/* strtod() wants a terminator. False when out of range. */
static bool to_double(struct json_in *j, struct sv text, double *ret_v)
{
    char *z = arena_alloc(j->mem, text.len + 1);
    if (!z) {
        rd_fail(&j->in, ERR_NOMEM, "number of %zu bytes", text.len);
        return false;
    }
    sv_to_z(text, z, text.len + 1);
    *ret_v = strtod(z, NULL);
    return isfinite(*ret_v);
}

static bool double_of(struct json_in *j, struct sv text, double *ret_v)
{
    return text.len < 64 ? sv_to_double(text, ret_v) && isfinite(*ret_v)
                         : to_double(j, text, ret_v);
}

int64_t jin_i64(struct json_in *j)
{
    const uint8_t *start = j->in.at;
    struct sv text = number_text(j);
    int64_t v = 0;
    double d = 0;
    if (!rd_ok(&j->in) || sv_to_i64(text, &v))
        return v;
    if (double_of(j, text, &d) && d == trunc(d) && d >= -0x1p63 && d < 0x1p63)
        return (int64_t)d;
    j->in.at = start;
    rd_fail(&j->in, ERR_MALFORMED, "'%.*s' is no 64-bit integer", (int)MIN(text.len, (size_t)40),
            text.p);
    return 0;
}

uint64_t jin_u64(struct json_in *j)
{
    const uint8_t *start = j->in.at;
    struct sv text = number_text(j);
    uint64_t v = 0;
    double d = 0;
    if (!rd_ok(&j->in) || sv_to_u64(text, &v))
        return v;
    if (double_of(j, text, &d) && d == trunc(d) && d >= 0 && d < 0x1p64)
        return (uint64_t)d;
    j->in.at = start;
    rd_fail(&j->in, ERR_MALFORMED, "'%.*s' is no unsigned 64-bit integer",
            (int)MIN(text.len, (size_t)40), text.p);
    return 0;
}

double jin_double(struct json_in *j)
{
    static const struct {
        struct sv name;
        double v;
    } specials[] = { { { "\"NaN\"", 5 }, NAN },
                     { { "\"Infinity\"", 10 }, INFINITY },
                     { { "\"-Infinity\"", 11 }, -INFINITY } };
    for (size_t i = 0; peek(j) == '"' && i < NELEMS(specials); i++)
        if (word(j, specials[i].name))
            return specials[i].v;
    const uint8_t *start = j->in.at;
    struct sv text = number_text(j);
    double v = 0;
    if (!rd_ok(&j->in) || double_of(j, text, &v))
        return v;
    j->in.at = start;
    rd_fail(&j->in, ERR_MALFORMED, "'%.*s' is out of range", (int)MIN(text.len, (size_t)40),
            text.p);
    return 0;
}

void jin_skip(struct json_in *j)
{
    struct sv key;
    switch (jin_kind(j)) {
    case JSON_OBJECT:
        for (jin_object(j); jin_key(j, &key);)
            jin_skip(j);
        return;
    case JSON_ARRAY:
        for (jin_array(j); jin_element(j);)
            jin_skip(j);
        return;
    case JSON_STRING: (void)jin_str(j); return;
    case JSON_NUMBER: (void)jin_number(j); return;
    case JSON_BOOL: (void)jin_bool(j); return;
    case JSON_NULL:
        if (!jin_null(j))
            unexpected(j, "null");
        return;
    case JSON_NOTHING: unexpected(j, "a value"); return;
    }
}

int jin_finish(struct json_in *j, struct err *err)
{
    if (rd_ok(&j->in) && peek(j) >= 0)
        unexpected(j, "the end of the text");
    return rd_finish(&j->in, err);
}
