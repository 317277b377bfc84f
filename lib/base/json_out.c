/* json_out.c - JSON straight into a buffer, no tree in between: answers may hold thousands of
 * edges or spans, and a tree costs some fifty times the text. */
#include "base/json_out.h"
#include <math.h>

struct json_out json_out_of(struct buf *to)
{
    return (struct json_out){ .to = to };
}

static void before_value(struct json_out *j)
{
    if (j->is_after_key) {
        j->is_after_key = false;
        return;
    }
    if (j->depth == 0)
        return;
    if (j->has_element[j->depth - 1])
        buf_putc(j->to, ',');
    j->has_element[j->depth - 1] = true;
}

void json_open(struct json_out *j, char bracket)
{
    INVARIANT(j->depth < JSON_DEPTH_MAX);
    before_value(j);
    buf_putc(j->to, bracket);
    j->has_element[j->depth] = false;
    j->closers[j->depth++] = bracket == '{' ? '}' : ']';
}

void json_close(struct json_out *j)
{
    INVARIANT(j->depth > 0);
    buf_putc(j->to, j->closers[--j->depth]);
}

static void put_escape(struct buf *to, unsigned char c)
{
    switch (c) {
    case '"': buf_put(to, SV("\\\"")); break;
    case '\\': buf_put(to, SV("\\\\")); break;
    case '\n': buf_put(to, SV("\\n")); break;
    case '\r': buf_put(to, SV("\\r")); break;
    case '\t': buf_put(to, SV("\\t")); break;
    default: buf_printf(to, "\\u%04x", c);
    }
}

/* Bytes that need no escape, as one piece. */
static size_t plain_prefix(struct sv s)
{
    size_t i = 0;
    while (i < s.len && (unsigned char)s.p[i] >= ' ' && s.p[i] != '"' && s.p[i] != '\\')
        i++;
    return i;
}

static void put_utf8(struct buf *to, struct sv s)
{
    if (sv_is_utf8(s)) {
        buf_put(to, s);
        return;
    }
    while (s.len) {
        size_t n = MIN((size_t)4, s.len);
        while (n && !sv_is_utf8(sv_sub(s, 0, n)))
            n--;
        buf_put(to, n ? sv_sub(s, 0, n) : SV("\xef\xbf\xbd"));
        s = sv_from(s, n ? n : 1);
    }
}

#define EACH(byte) ((byte)*UINT64_C(0x0101010101010101))

/* Whether one of eight bytes is below ' ', above '~', a quote or a backslash; may say so of others
 * above one that is. Each test leaves the top bit of a byte set. */
static uint64_t special_bytes(uint64_t v)
{
    uint64_t quote = v ^ EACH('"'), backslash = v ^ EACH('\\');
    uint64_t is_low = v - EACH(' '), is_high = v | (v + EACH(0x7f - '~'));
    return (is_low | is_high | (quote - EACH(1)) | (backslash - EACH(1))) & EACH(0x80);
}

/* Nearly all texts are printable ASCII without quotes: one check, one copy. */
static bool is_plain(struct sv s)
{
    uint64_t special = 0, word = EACH('a'); /* plain ones fill it up */
    if (s.len >= sizeof(word)) {
        for (size_t i = 0; i + sizeof(word) <= s.len; i += sizeof(word)) {
            memcpy(&word, s.p + i, sizeof(word));
            special |= special_bytes(word);
        }
        memcpy(&word, s.p + s.len - sizeof(word), sizeof(word)); /* the rest, some of it again */
    } else if (s.len >= 4) {
        memcpy(&word, s.p, 4);
        memcpy((char *)&word + 4, s.p + s.len - 4, 4);
    } else {
        for (size_t i = 0; i < s.len; i++)
            memcpy((char *)&word + i, s.p + i, 1);
    }
    return (special | special_bytes(word)) == 0;
}

static void put_plain(struct buf *to, struct sv s)
{
    char *at = buf_reserve(to, s.len + 2);
    if (!at)
        return;
    at[0] = '"';
    if (s.len)
        memcpy(at + 1, s.p, s.len);
    at[s.len + 1] = '"';
    buf_commit(to, s.len + 2);
}

void json_put_quoted(struct buf *to, struct sv s)
{
    if (is_plain(s)) {
        put_plain(to, s);
        return;
    }
    buf_putc(to, '"');
    while (s.len) {
        size_t n = plain_prefix(s);
        put_utf8(to, sv_sub(s, 0, n));
        if (n < s.len)
            put_escape(to, (unsigned char)s.p[n++]);
        s = sv_from(s, n);
    }
    buf_putc(to, '"');
}

/* Nearly all keys are plain: comma, quotes and colon go with them in one step. */
void json_key(struct json_out *j, struct sv key)
{
    bool has_comma = !j->is_after_key && j->depth && j->has_element[j->depth - 1];
    char *at = is_plain(key) ? buf_reserve(j->to, key.len + 4) : NULL;
    if (!at) {
        before_value(j);
        json_put_quoted(j->to, key);
        buf_putc(j->to, ':');
    } else {
        size_t n = 0;
        if (has_comma)
            at[n++] = ',';
        at[n++] = '"';
        if (key.len)
            memcpy(at + n, key.p, key.len);
        n += key.len;
        at[n++] = '"';
        at[n++] = ':';
        buf_commit(j->to, n);
        if (j->depth)
            j->has_element[j->depth - 1] = true;
    }
    j->is_after_key = true;
}

void json_str(struct json_out *j, struct sv s)
{
    before_value(j);
    json_put_quoted(j->to, s);
}

void json_u64(struct json_out *j, uint64_t v)
{
    before_value(j);
    buf_put_u64(j->to, v);
}

void json_i64(struct json_out *j, int64_t v)
{
    before_value(j);
    buf_put_i64(j->to, v);
}

void json_double(struct json_out *j, double v)
{
    if (!isfinite(v)) {
        json_null(j);
        return;
    }
    before_value(j);
    buf_put_double(j->to, v);
}

void json_bool(struct json_out *j, bool v)
{
    before_value(j);
    buf_put(j->to, v ? SV("true") : SV("false"));
}

void json_null(struct json_out *j)
{
    before_value(j);
    buf_put(j->to, SV("null"));
}

void json_raw(struct json_out *j, struct sv text)
{
    before_value(j);
    buf_put(j->to, text);
}

void json_kv_str(struct json_out *j, const char *key, struct sv s)
{
    json_key(j, sv_z(key));
    json_str(j, s);
}

void json_kv_u64(struct json_out *j, const char *key, uint64_t v)
{
    json_key(j, sv_z(key));
    json_u64(j, v);
}

void json_kv_i64(struct json_out *j, const char *key, int64_t v)
{
    json_key(j, sv_z(key));
    json_i64(j, v);
}

void json_kv_double(struct json_out *j, const char *key, double v)
{
    json_key(j, sv_z(key));
    json_double(j, v);
}

void json_kv_bool(struct json_out *j, const char *key, bool v)
{
    json_key(j, sv_z(key));
    json_bool(j, v);
}

void json_kv_open(struct json_out *j, const char *key, char bracket)
{
    json_key(j, sv_z(key));
    json_open(j, bracket);
}

static void put_line(struct buf *to, size_t blanks)
{
    buf_putc(to, '\n');
    for (size_t i = 0; i < blanks; i++)
        buf_putc(to, ' ');
}

/* The length of the string that s begins with, quotes included. */
static size_t string_len(struct sv s)
{
    size_t i = 1;
    while (i < s.len && s.p[i] != '"')
        i += s.p[i] == '\\' ? 2 : 1;
    return MIN(i + 1, s.len);
}

void json_put_indented(struct buf *to, struct sv json, size_t width)
{
    size_t depth = 0;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.p[i], next = i + 1 < json.len ? json.p[i + 1] : '\0';
        bool is_empty = (c == '{' && next == '}') || (c == '[' && next == ']');
        if ((c == '}' || c == ']') && depth > 0)
            put_line(to, --depth * width);
        if (c == '"') {
            size_t len = string_len(sv_from(json, i));
            buf_put(to, sv_sub(json, i, len));
            i += len - 1;
            continue;
        }
        buf_putc(to, c);
        if (is_empty) {
            buf_putc(to, next);
            i++;
        } else if (c == '{' || c == '[') {
            put_line(to, ++depth * width);
        } else if (c == ',') {
            put_line(to, depth * width);
        } else if (c == ':') {
            buf_putc(to, ' ');
        }
    }
}
