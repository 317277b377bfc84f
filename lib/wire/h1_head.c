/* h1_head.c - what a complete HTTP/1 head must not be.
 *
 * The scanner accepts what the grammar allows and a little more; a proxy must also refuse what the
 * next hop could read differently, because that is how requests are smuggled. So the raw bytes are
 * walked once more by line (every line ends in CRLF, none is a continuation, the first has its parts
 * one space apart), then the fields once: exactly one framing, exactly one Host, a target of a form
 * the method allows. Cost: one memchr and one length compare a line. */
#include "h1_head.h"
#include <stdarg.h>
#include <stdio.h>

void h1_refuse(struct h1 *h, unsigned status, size_t at, const char *fmt, ...)
{
    if (h->err.code)
        return;
    char why[sizeof(h->err.why)];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    err_at(&h->err, status == 431 ? ERR_LIMIT : ERR_MALFORMED, at, "%s", why);
    h->bad_status = h->parser.type == HTTP_REQUEST ? (uint16_t)status : 502;
}

static size_t offset_of(struct sv raw, const char *p)
{
    return p >= raw.p && p <= raw.p + raw.len ? (size_t)(p - raw.p) : 0;
}

/* Every line ends in CRLF and none begins with a blank (a folded field). */
static bool check_lines(struct h1 *h, struct sv raw)
{
    const char *line = raw.p, *end = raw.p + raw.len;
    while (line < end) {
        const char *lf = memchr(line, '\n', (size_t)(end - line));
        if (!lf)
            break;
        size_t at = (size_t)(line - raw.p);
        if (lf == raw.p || lf[-1] != '\r') {
            h1_refuse(h, 400, (size_t)(lf - raw.p), "line ends in LF without CR");
            return false;
        }
        if (*line == ' ' || *line == '\t') {
            h1_refuse(h, 400, at, "folded header line");
            return false;
        }
        line = lf + 1;
    }
    return true;
}

/* "METHOD target HTTP/1.x": the scanner also takes other protocols' names and several spaces. */
static bool is_request_line(const struct http_head *head, struct sv line)
{
    size_t target_at = head->method.len + 1, version_at = target_at + head->target.len + 1;
    return line.len == version_at + 8 && line.p == head->method.p &&
           head->target.p == line.p + target_at && line.p[target_at - 1] == ' ' &&
           line.p[version_at - 1] == ' ' && sv_eq(sv_sub(line, version_at, 7), SV("HTTP/1."));
}

/* "HTTP/1.x 200" and perhaps a space and a reason. */
static bool is_status_line(const struct http_head *head, struct sv line)
{
    return line.len >= 12 && sv_starts(line, SV("HTTP/1.")) && line.p[8] == ' ' &&
           (line.len == 12 || line.p[12] == ' ') && head->status >= 100 && head->status <= 999 &&
           http_is_field_value(head->reason);
}

static bool check_start_line(struct h1 *h, struct sv raw)
{
    struct sv line = sv_sub(raw, 0, sv_index(raw, '\r'));
    bool is_request = h->parser.type == HTTP_REQUEST;
    if (is_request ? is_request_line(&h->head, line) : is_status_line(&h->head, line))
        return true;
    h1_refuse(h, 400, 0, "%s line is malformed", is_request ? "request" : "status");
    return false;
}

struct framing {
    unsigned hosts, lengths, codings, expects;
    struct sv host, coding, expect;
};

static bool check_fields(struct h1 *h, struct sv raw, struct framing *f)
{
    for (size_t i = 0; i < h->head.headers_len; i++) {
        struct sv name = h->head.headers[i].name, value = h->head.headers[i].value;
        if (name.len == 4 && sv_eq_nocase(name, SV("host"))) {
            f->hosts++;
            f->host = value;
        } else if (name.len == 14 && sv_eq_nocase(name, SV("content-length"))) {
            f->lengths++;
        } else if (name.len == 17 && sv_eq_nocase(name, SV("transfer-encoding"))) {
            f->codings++;
            f->coding = value;
        } else if (name.len == 6 && sv_eq_nocase(name, SV("expect"))) {
            f->expects++;
            f->expect = value;
        } else if (name.len == 0) {
            h1_refuse(h, 400, offset_of(raw, value.p), "header field without a name");
            return false;
        }
        if (!http_is_field_value(value)) {
            h1_refuse(h, 400, offset_of(raw, value.p), "control character in a header value");
            return false;
        }
    }
    return true;
}

static bool check_framing(struct h1 *h, struct sv raw, const struct framing *f)
{
    size_t at = offset_of(raw, f->coding.p);
    if (f->codings && f->lengths)
        h1_refuse(h, 400, at, "both Content-Length and Transfer-Encoding");
    else if (f->codings > 1)
        h1_refuse(h, 400, at, "more than one Transfer-Encoding");
    else if (f->codings && h->head.minor == 0)
        h1_refuse(h, 400, at, "Transfer-Encoding in HTTP/1.0");
    else if (f->codings && !sv_eq_nocase(f->coding, SV("chunked")))
        h1_refuse(h, 501, at, "transfer coding other than chunked");
    else if (f->lengths > 1)
        h1_refuse(h, 400, 0, "more than one Content-Length");
    else if (f->expects > 1 || (f->expects && !sv_eq_nocase(f->expect, SV("100-continue"))))
        h1_refuse(h, 417, offset_of(raw, f->expect.p), "Expect is not 100-continue");
    return h->err.code == 0;
}

/* "http://host[:port]/path?query" into authority and path. */
static bool split_absolute(struct h1 *h, struct sv raw)
{
    struct sv target = h->head.target;
    size_t scheme_len = sv_eq_nocase(sv_sub(target, 0, 7), SV("http://"))    ? 7
                        : sv_eq_nocase(sv_sub(target, 0, 8), SV("https://")) ? 8
                                                                             : 0;
    struct sv rest = sv_from(target, scheme_len);
    size_t slash = sv_index(rest, '/');
    struct sv path = sv_from(rest, slash);
    h->head.authority = sv_sub(rest, 0, slash);
    h->head.path = path.len ? path : SV("/");
    if (scheme_len && http_is_authority(h->head.authority))
        return true;
    h1_refuse(h, 400, offset_of(raw, target.p), "request target is neither a path nor a URL");
    return false;
}

static bool check_target(struct h1 *h, struct sv raw, const struct framing *f)
{
    struct sv target = h->head.target;
    size_t at = offset_of(raw, target.p);
    if (sv_eq(h->head.method, SV("CONNECT"))) {
        h1_refuse(h, 501, at, "CONNECT is not served");
        return false;
    }
    if (f->hosts > 1 || (f->hosts == 0 && h->head.minor > 0)) {
        h1_refuse(h, 400, 0, "%s Host", f->hosts ? "more than one" : "no");
        return false;
    }
    if (f->hosts && !http_is_authority(f->host)) {
        h1_refuse(h, 400, offset_of(raw, f->host.p), "Host is not a host name");
        return false;
    }
    if (sv_index(target, '#') != target.len) {
        h1_refuse(h, 400, at, "request target with a fragment");
        return false;
    }
    h->head.authority = f->host;
    h->head.path = target;
    if (target.len && target.p[0] == '/')
        return true;
    if (sv_eq(target, SV("*")) && sv_eq(h->head.method, SV("OPTIONS")))
        return true;
    return split_absolute(h, raw);
}

bool h1_head_check(struct h1 *h, struct sv raw)
{
    struct framing f = { 0 };
    if (h->parser.http_major != 1) {
        h1_refuse(h, 505, 0, "HTTP/%u.%u on an HTTP/1.1 port", h->parser.http_major,
                  h->parser.http_minor);
        return false;
    }
    if (!check_lines(h, raw) || !check_start_line(h, raw) || !check_fields(h, raw, &f) ||
        !check_framing(h, raw, &f))
        return false;
    return h->parser.type == HTTP_RESPONSE || check_target(h, raw, &f);
}
