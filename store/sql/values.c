/* values.c - what columns hold: text, ids, times.
 *
 * Times are written the way SQLite's date functions do, so that `start > datetime('now', '-1 hour')`
 * means what it says: as text, where the order of texts is the order of times as long as years have
 * four digits. 64-bit nanoseconds end in 2262, so they always do. */
#include "base/clock.h"
#include "store/sql/table.h"
#include <stdio.h>
#include <time.h>

void sql_put_text(sqlite3_context *to, struct sv text)
{
    sqlite3_result_text64(to, text.len ? text.p : "", text.len, SQLITE_TRANSIENT, SQLITE_UTF8);
}

void sql_put_text_or_null(sqlite3_context *to, struct sv text)
{
    if (text.len)
        sql_put_text(to, text);
    else
        sqlite3_result_null(to);
}

void sql_put_trace_id(sqlite3_context *to, struct trace_id id)
{
    char text[2 * sizeof(id.b)];
    hex_encode(text, id.b, sizeof(id.b));
    sql_put_text_or_null(to, sv_of(text, trace_id_is_set(id) ? sizeof(text) : 0));
}

void sql_put_span_id(sqlite3_context *to, struct span_id id)
{
    char text[2 * sizeof(id.b)];
    hex_encode(text, id.b, sizeof(id.b));
    sql_put_text_or_null(to, sv_of(text, span_id_is_set(id) ? sizeof(text) : 0));
}

void sql_put_buf(sqlite3_context *to, const struct buf *text)
{
    if (text->failed)
        sqlite3_result_error_nomem(to);
    else
        sql_put_text(to, buf_sv(text));
}

/* Rounded down, so that the rest is 0 .. 999,999,999 before 1970 too. */
static int64_t floor_s(int64_t t_ns)
{
    return t_ns / NS_PER_S - (t_ns % NS_PER_S < 0);
}

void sql_put_time(sqlite3_context *to, int64_t t_ns)
{
    char text[80];
    struct tm tm;
    time_t s = (time_t)floor_s(t_ns);
    int64_t rest_ns = t_ns % NS_PER_S;
    if (rest_ns < 0)
        rest_ns += NS_PER_S;
    if (!gmtime_r(&s, &tm)) {
        sqlite3_result_null(to);
        return;
    }
    snprintf(text, sizeof(text), "%04d-%02d-%02d %02d:%02d:%02d.%09lld", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (long long)rest_ns);
    sql_put_text(to, sv_z(text));
}

/* Where its parts may end: after the year, month ... second, and anywhere in the fraction. */
static const struct {
    size_t at, len;
    char before; /* the character in front, 0 for none */
    int from, to;
} parts[] = {
    { 0, 4, 0, 1677, 2262 }, { 5, 2, '-', 1, 12 },  { 8, 2, '-', 1, 31 },
    { 11, 2, ' ', 0, 23 },   { 14, 2, ':', 0, 59 }, { 17, 2, ':', 0, 59 },
};
enum { FRACTION_AT = 20, FRACTION_LEN = 9 };

static bool read_fraction(struct sv text, int64_t *ret_ns)
{
    uint64_t v = 0;
    if (text.len <= FRACTION_AT - 1)
        return true;
    struct sv digits = sv_from(text, FRACTION_AT);
    if (text.p[FRACTION_AT - 1] != '.' || digits.len > FRACTION_LEN)
        return false;
    for (size_t i = 0; i < FRACTION_LEN; i++) {
        char c = i < digits.len ? digits.p[i] : '0';
        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (uint64_t)(c - '0');
    }
    *ret_ns = (int64_t)v;
    return true;
}

bool sql_time_from_sv(struct sv text, int64_t *ret_ns)
{
    int v[NELEMS(parts)] = { 0, 1, 1, 0, 0, 0 };
    int64_t ns = 0;
    for (size_t i = 0; i < NELEMS(parts) && (i == 0 || text.len >= parts[i].at); i++) {
        uint64_t n;
        if (text.len < parts[i].at + parts[i].len ||
            (i && text.p[parts[i].at - 1] != parts[i].before) ||
            !sv_to_u64(sv_sub(text, parts[i].at, parts[i].len), &n) ||
            n < (uint64_t)parts[i].from || n > (uint64_t)parts[i].to)
            return false;
        v[i] = (int)n;
    }
    if (!read_fraction(text, &ns))
        return false;
    struct tm tm = { .tm_year = v[0] - 1900,
                     .tm_mon = v[1] - 1,
                     .tm_mday = v[2],
                     .tm_hour = v[3],
                     .tm_min = v[4],
                     .tm_sec = v[5] };
    int64_t s = timegm(&tm);
    if (tm.tm_mday != v[2]) /* there is no 31 February, but text of it has its place in the order */
        return false;
    return !__builtin_mul_overflow(s, NS_PER_S, &s) && !__builtin_add_overflow(s, ns, ret_ns);
}
