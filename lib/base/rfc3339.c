/* rfc3339.c - times as people and logs write them, to nanoseconds.
 *
 * Strict: every field in its range, days as the calendar has them, a zone at the end. Years from 1970
 * to 2200, so that the sum fits into 64 bits; nothing else is allocated or asked. */
#include "base/clock.h"

/* Fixed-width decimal digits off the front. */
static bool take_digits(struct sv *text, size_t n, int64_t *ret_v)
{
    uint64_t v;
    if (text->len < n || !sv_to_u64(sv_sub(*text, 0, n), &v))
        return false;
    *text = sv_from(*text, n);
    *ret_v = (int64_t)v;
    return true;
}

static bool take(struct sv *text, char c)
{
    if (!text->len || text->p[0] != c)
        return false;
    *text = sv_from(*text, 1);
    return true;
}

/* Days since 1970-01-01 in the proleptic Gregorian calendar; March is month 0 of its year. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year, m = (month + 9) % 12;
    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static bool is_day(int64_t year, int64_t month, int64_t day)
{
    static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (month < 1 || month > 12 || day < 1)
        return false;
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= lengths[month - 1] + (month == 2 && is_leap);
}

static bool take_fraction(struct sv *text, int64_t *ret_ns)
{
    int64_t ns = 0, unit = NS_PER_S / 10;
    size_t digits = 0;
    for (; text->len && text->p[0] >= '0' && text->p[0] <= '9'; digits++, unit /= 10) {
        ns += (text->p[0] - '0') * unit;
        *text = sv_from(*text, 1);
    }
    *ret_ns = ns;
    return digits > 0 && digits <= 9;
}

/* "Z", "+02:00"; a '+' that arrives as a space was not percent-encoded, and means '+'. */
static bool take_offset(struct sv *text, int64_t *ret_s)
{
    int64_t hours, minutes;
    *ret_s = 0;
    if (take(text, 'Z') || take(text, 'z'))
        return true;
    bool is_minus = text->len && text->p[0] == '-';
    if (!take(text, '-') && !take(text, '+') && !take(text, ' '))
        return false;
    if (!take_digits(text, 2, &hours) || !take(text, ':') || !take_digits(text, 2, &minutes) ||
        hours > 23 || minutes > 59)
        return false;
    *ret_s = (hours * 3600 + minutes * 60) * (is_minus ? -1 : 1);
    return true;
}

bool clock_from_rfc3339(struct sv text, int64_t *ret_ns)
{
    int64_t year, month, day, hour, minute, second, ns = 0, offset_s;
    if (!take_digits(&text, 4, &year) || !take(&text, '-') || !take_digits(&text, 2, &month) ||
        !take(&text, '-') || !take_digits(&text, 2, &day) || !is_day(year, month, day))
        return false;
    if ((!take(&text, 'T') && !take(&text, 't')) || !take_digits(&text, 2, &hour) ||
        !take(&text, ':') || !take_digits(&text, 2, &minute) || !take(&text, ':') ||
        !take_digits(&text, 2, &second) || hour > 23 || minute > 59 || second > 60)
        return false;
    if ((take(&text, '.') && !take_fraction(&text, &ns)) || !take_offset(&text, &offset_s) ||
        text.len)
        return false;
    if (year < 1970 || year > 2200)
        return false;
    int64_t s = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset_s;
    if (s < 0)
        return false;
    *ret_ns = s * NS_PER_S + ns;
    return true;
}
