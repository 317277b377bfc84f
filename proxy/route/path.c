/* SPDX-License-Identifier: Apache-2.0
 * path.c - normalisation of a request's path as RFC 3986 section 6.2.2 has it, Istio's level BASE.
 *
 * A rule for "/public*" means nothing when "/public/../private" is matched as it is written and
 * served as it is meant. So a path gets one spelling before anything looks at it, and that spelling
 * is also the one sent on: whoever serves the request reads what the rules have read.
 *
 *   - escapes of characters that never needed one (letters, digits, "-._~") are decoded, once:
 *     %2e is a dot, %252e stays %252e;
 *   - a backslash is a slash, as browsers have it and many servers;
 *   - the segments "." and ".." are applied; ".." at the root stays there.
 *
 * Left alone, as in Istio: runs of slashes, %2F, %5C, and everything behind the question mark. Most
 * paths have nothing to do and cost one look at each byte. */
#include "proxy/route/path.h"
#include "base/sv.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_unreserved(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

/* Nothing that the steps below would change. */
static bool is_plain(const char *path, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (path[i] == '%' || path[i] == '\\')
            return false;
        if (path[i] == '/' && i + 1 < len && path[i + 1] == '.')
            return false;
    }
    return true;
}

static size_t decode(char *path, size_t len)
{
    size_t to = 0;
    for (size_t i = 0; i < len; i++) {
        int high = i + 2 < len && path[i] == '%' ? hex_value(path[i + 1]) : -1;
        int low = high >= 0 ? hex_value(path[i + 2]) : -1;
        if (low >= 0 && is_unreserved(high * 16 + low)) {
            path[to++] = (char)(high * 16 + low);
            i += 2;
        } else {
            path[to++] = path[i];
            if (path[i] == '\\')
                path[to - 1] = '/';
        }
    }
    return to;
}

/* Each turn takes "/segment" off the rest of the path and appends it, drops it, or takes the last one
 * written back. */
static size_t apply_dots(char *path, size_t len)
{
    size_t to = 0;
    for (size_t at = 0; at < len;) {
        size_t end = at + 1;
        while (end < len && path[end] != '/')
            end++;
        struct sv segment = sv_of(path + at + 1, end - at - 1);
        bool is_up = sv_eq(segment, SV("..")), is_here = sv_eq(segment, SV("."));
        while (is_up && to > 0 && path[--to] != '/')
            ;
        if (!is_up && !is_here) {
            memmove(path + to, path + at, end - at);
            to += end - at;
        } else if (end == len) {
            path[to++] = '/'; /* "/a/b/.." is the folder "/a/" */
        }
        at = end;
    }
    return to;
}

size_t path_normalize(char *path, size_t len)
{
    size_t path_len = sv_index(sv_of(path, len), '?');
    if (len == 0 || path[0] != '/' || is_plain(path, path_len))
        return len;
    size_t to = apply_dots(path, decode(path, path_len));
    memmove(path + to, path + path_len, len - path_len);
    return to + len - path_len;
}
