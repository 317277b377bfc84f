/* http_msg.c - questions about an HTTP head that every version answers alike.
 *
 * A head has some twenty fields, so looking one up is a walk that compares lengths first; a hash
 * would cost more to build than it saves. */
#include "wire/http_msg.h"

struct sv http_get(const struct http_head *h, struct sv name)
{
    for (size_t i = 0; i < h->headers_len; i++)
        if (h->headers[i].name.len == name.len && sv_eq_nocase(h->headers[i].name, name))
            return h->headers[i].value;
    return SV_NONE;
}

bool http_list_has(struct sv value, struct sv token)
{
    struct sv part;
    while (sv_cut(&value, ',', &part))
        if (sv_eq_nocase(sv_trim(part), token))
            return true;
    return false;
}

static bool is_field_char(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* Whether one of eight bytes may be below 0x20 or is 0x7f: each test leaves its borrow in the top bit
 * of a byte, and only where there is such a byte. */
static bool has_control(uint64_t x)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    uint64_t del = x ^ (ones * 0x7f);
    return ((((x - ones * 0x20) & ~x) | ((del - ones) & ~del)) & tops) != 0;
}

#ifdef __SSE2__
static bool are_allowed16(const char *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i is_low = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
    __m128i is_tab = _mm_cmpeq_epi8(x, _mm_set1_epi8('\t'));
    __m128i is_del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    return !_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(is_tab, is_low), is_del));
}
#endif

bool http_is_field_value(struct sv value)
{
    size_t i = 0;
#ifdef __SSE2__
    if (value.len >= 16) {
        for (; i + 16 < value.len; i += 16)
            if (!are_allowed16(value.p + i))
                return false;
        return are_allowed16(value.p + value.len - 16); /* may look at some bytes again */
    }
#endif
    for (uint64_t x; value.len - i >= sizeof(x); i += sizeof(x)) {
        memcpy(&x, value.p + i, sizeof(x));
        for (size_t k = 0; has_control(x) && k < sizeof(x); k++)
            if (!is_field_char((unsigned char)value.p[i + k]))
                return false;
    }
    for (; i < value.len; i++)
        if (!is_field_char((unsigned char)value.p[i]))
            return false;
    return true;
}

/* RFC 3986 reg-name and IP-literal characters, without userinfo. */
static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~%!$&'()*+,;=", c) != NULL);
}

static bool is_port(struct sv port)
{
    uint64_t n = 0;
    return port.len == 0 || (port.len <= 5 && port.p[0] >= '0' && port.p[0] <= '9' &&
                             sv_to_u64(port, &n) && n <= UINT16_MAX);
}

bool http_is_authority(struct sv text)
{
    if (text.len == 0)
        return false;
    size_t at = 0;
    if (text.p[0] == '[') {
        for (at = 1; at < text.len && text.p[at] != ']'; at++)
            if (text.p[at] != ':' && !is_host_char(text.p[at]))
                return false;
        if (at++ == text.len)
            return false;
    } else {
        while (at < text.len && is_host_char(text.p[at]))
            at++;
        if (at == 0)
            return false;
    }
    return at == text.len || (text.p[at] == ':' && is_port(sv_from(text, at + 1)));
}

struct sv http_path_only(const struct http_head *h)
{
    return sv_sub(h->path, 0, sv_index(h->path, '?'));
}

/* clang-format off */
static const struct {
    unsigned status;
    const char *reason;
} reasons[] = {
    { 100, "Continue" },
    { 101, "Switching Protocols" },
    { 103, "Early Hints" },
    { 200, "OK" },
    { 201, "Created" },
    { 202, "Accepted" },
    { 204, "No Content" },
    { 206, "Partial Content" },
    { 301, "Moved Permanently" },
    { 302, "Found" },
    { 303, "See Other" },
    { 304, "Not Modified" },
    { 307, "Temporary Redirect" },
    { 308, "Permanent Redirect" },
    { 400, "Bad Request" },
    { 401, "Unauthorized" },
    { 403, "Forbidden" },
    { 404, "Not Found" },
    { 405, "Method Not Allowed" },
    { 406, "Not Acceptable" },
    { 408, "Request Timeout" },
    { 409, "Conflict" },
    { 411, "Length Required" },
    { 413, "Content Too Large" },
    { 414, "URI Too Long" },
    { 415, "Unsupported Media Type" },
    { 417, "Expectation Failed" },
    { 421, "Misdirected Request" },
    { 422, "Unprocessable Content" },
    { 426, "Upgrade Required" },
    { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 499, "Client Closed Request" },
    { 500, "Internal Server Error" },
    { 501, "Not Implemented" },
    { 502, "Bad Gateway" },
    { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" },
    { 505, "HTTP Version Not Supported" },
    { 507, "Insufficient Storage" },
};
/* clang-format on */

const char *http_reason(unsigned status)
{
    for (size_t i = 0; i < NELEMS(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}
