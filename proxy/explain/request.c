/* SPDX-License-Identifier: Apache-2.0
 * request.c - a request or a connection from the words people write it in.
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

/* Lower case, without a final dot, as hello.c reads it. */
static struct sv name_of(struct sv host, struct arena *mem)
{
    struct sv name = sv_ends(host, SV(".")) ? sv_sub(host, 0, host.len - 1) : host;
    return arena_lower(mem, name);
}

/* "tcp://db:3306", "tls://a.test". */
static int parse_connection(struct explain_request *q, struct sv url, struct sv headers,
                            struct arena *mem, struct err *err)
{
    q->is_connection = true;
    q->is_tls = sv_starts(url, SV("tls://"));
    struct sv rest = sv_from(url, SV("tcp://").len);
    bool is_bare = sv_index(rest, '/') == rest.len && !headers.len;
    q->head.authority = rest;
    if (!is_bare || !rest.len || !http_is_authority(rest))
        return err_set(err, ERR_USAGE,
                       "'%.*s': expected tcp://HOST:PORT or tls://SERVER-NAME[:PORT], without a "
                       "method, path or headers",
                       (int)MIN(url.len, (size_t)100), url.p);
    int rc = parse_port(q, err);
    if (rc < 0)
        return rc;
    if (!q->port && !q->is_tls)
        return err_set(err, ERR_USAGE, "'%.*s': expected a port, as in tcp://db:3306",
                       (int)MIN(url.len, (size_t)100), url.p);
    bool has_port = q->port != 0;
    q->host = has_port ? sv_sub(rest, 0, sv_rindex(rest, ':')) : rest;
    q->port = has_port ? q->port : 443;
    q->address = ip_of_text(q->host);
    if (q->is_tls && !q->address.is_known)
        q->sni = name_of(q->host, mem);
    return q->is_tls && !q->address.is_known && !q->sni.len
               ? err_set(err, ERR_NOMEM, "out of memory")
               : 0;
}

int explain_parse(struct explain_request *q, struct sv text, struct sv headers, struct arena *mem,
                  struct err *err)
{
    if (sv_starts(text, SV("tcp://")) || sv_starts(text, SV("tls://")))
        return parse_connection(q, text, headers, mem, err);
    size_t blank = sv_index(text, ' ');
    struct sv url = sv_trim(blank < text.len ? sv_from(text, blank + 1) : text);
    q->head.method = blank < text.len ? sv_sub(text, 0, blank) : SV("GET");
    for (size_t i = 0; i < q->head.method.len; i++)
        if (q->head.method.p[i] <= ' ' || q->head.method.p[i] > '~')
            return err_set(err, ERR_USAGE, "the method has a character that cannot be sent");
    q->is_tls = sv_starts(url, SV("https://"));
    size_t scheme = q->is_tls ? 8 : sv_starts(url, SV("http://")) ? 7 : 0;
    if (!scheme && !sv_starts(url, SV("/")))
        return err_set(err, ERR_USAGE,
                       "'%.*s': expected '[METHOD] http://HOST[:PORT]/PATH', a path and -H host, "
                       "tcp://HOST:PORT or tls://SERVER-NAME",
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
