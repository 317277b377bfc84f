/* SPDX-License-Identifier: Apache-2.0
 * request.c - a request from the words people write it in.
 *
 * The path gets the one spelling that proxies give it before anything looks at it. */
#include "proxy/explain/request.h"
#include "proxy/route/path.h"

static int parse_headers(struct explain_request *q, struct sv lines, struct err *err)
{
    for (struct sv line; lines.len && sv_cut(&lines, '\n', &line);) {
        size_t colon = sv_index(line, ':');
        struct sv name = sv_trim(sv_sub(line, 0, colon));
        if (colon == line.len || !name.len)
            return err_set(err, ERR_USAGE, "-H '%.*s': expected 'name: value'",
                           (int)MIN(line.len, (size_t)100), line.p);
        if (q->head.headers_len == EXPLAIN_HEADERS_MAX)
            return err_set(err, ERR_USAGE, "more than %d fields", EXPLAIN_HEADERS_MAX);
        struct sv value = sv_trim(sv_from(line, colon + 1));
        if (!http_is_field_value(value))
            return err_set(err, ERR_USAGE, "-H: a value has a character that cannot be sent");
        if (sv_eq_nocase(name, SV("host")))
            q->head.authority = value;
        else
            q->slots[q->head.headers_len++] = (struct http_header){ name, value };
    }
    q->head.headers = q->slots;
    return 0;
}

static int parse_port(struct explain_request *q, struct err *err)
{
    struct sv host = q->head.authority;
    uint64_t port = 0;
    size_t colon = sv_rindex(host, ':');
    if (colon == host.len || sv_ends(host, SV("]")))
        return 0;
    if (!sv_to_u64(sv_from(host, colon + 1), &port) || port == 0 || port > 65535)
        return err_set(err, ERR_USAGE, "'%.*s': no port", (int)MIN(host.len, (size_t)100), host.p);
    q->port = (uint16_t)port;
    return 0;
}

int explain_parse(struct explain_request *q, struct sv text, struct sv headers, struct arena *mem,
                  struct err *err)
{
    size_t blank = sv_index(text, ' ');
    struct sv url = sv_trim(blank < text.len ? sv_from(text, blank + 1) : text);
    q->head.method = blank < text.len ? sv_sub(text, 0, blank) : SV("GET");
    for (size_t i = 0; i < q->head.method.len; i++)
        if (q->head.method.p[i] <= ' ' || q->head.method.p[i] > '~')
            return err_set(err, ERR_USAGE, "the method has a character that cannot be sent");
    q->is_https = sv_starts(url, SV("https://"));
    size_t scheme = q->is_https ? 8 : sv_starts(url, SV("http://")) ? 7 : 0;
    if (!scheme && !sv_starts(url, SV("/")))
        return err_set(err, ERR_USAGE,
                       "'%.*s': expected '[METHOD] http://HOST[:PORT]/PATH', or a path and -H host",
                       (int)MIN(text.len, (size_t)100), text.p);
    struct sv rest = sv_from(url, scheme);
    size_t slash = scheme ? sv_index(rest, '/') : 0;
    q->head.authority = sv_sub(rest, 0, slash);
    struct sv path = slash < rest.len ? sv_from(rest, slash) : SV("/");
    char *copy = arena_alloc(mem, path.len);
    if (!copy)
        return err_set(err, ERR_NOMEM, "out of memory");
    memcpy(copy, path.p, path.len);
    q->head.path = sv_of(copy, path_normalize(copy, path.len));
    q->head.target = q->head.path;
    q->head.minor = 1;
    int rc = parse_headers(q, headers, err);
    if (rc == 0 && (!q->head.authority.len || !http_is_authority(q->head.authority)))
        rc = err_set(err, ERR_USAGE, "no host, or none that can be sent: '%.*s'",
                     (int)MIN(q->head.authority.len, (size_t)100), q->head.authority.p);
    return rc < 0 ? rc : parse_port(q, err);
}
