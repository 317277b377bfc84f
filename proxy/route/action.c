/* SPDX-License-Identifier: Apache-2.0
 * action.c - rewrites a path as a route says.
 *
 * Only the path is rewritten, the query goes along as it is. What comes out always begins with a
 * slash: a request line without one would be something else to the next hop. */
#include "proxy/route/action.h"
#include "base/buf.h"

/* As Istio's prefix rewrite: "/foo" to "/" turns "/foo/x" into "//x". */
static void put_prefix(const struct rewrite *w, struct sv path, struct buf *to)
{
    buf_put(to, w->text);
    buf_put(to, sv_from(path, w->prefix_len));
}

/* As HTTPRoute's ReplacePrefixMatch: slashes where they meet become one. */
static void put_elements(const struct rewrite *w, struct sv path, struct buf *to)
{
    struct sv head = w->text, rest = sv_from(path, w->prefix_len);
    if (head.len && head.p[head.len - 1] == '/')
        head.len--;
    buf_put(to, head);
    if (rest.len && rest.p[0] != '/')
        buf_putc(to, '/');
    buf_put(to, rest);
}

struct sv rewrite_path(const struct rewrite *w, struct sv path, struct arena *mem)
{
    AUTO_DONE(buf) text = { 0 };
    size_t end = sv_index(path, '?');
    struct sv only = sv_sub(path, 0, end);
    switch (w->kind) {
    case REWRITE_NONE: return path;
    case REWRITE_WHOLE: buf_put(&text, w->text); break;
    case REWRITE_PREFIX: put_prefix(w, only, &text); break;
    case REWRITE_ELEMENTS: put_elements(w, only, &text); break;
    case REWRITE_REGEX:
        if (!regex_rewrite(w->regex, only, w->text, w->mark, w->is_whole, &text))
            return path;
        break;
    }
    if (!sv_starts(buf_sv(&text), SV("/"))) {
        AUTO_DONE(buf) rest = text;
        text = (struct buf){ 0 };
        buf_putc(&text, '/');
        buf_put(&text, buf_sv(&rest));
        text.failed = text.failed || rest.failed;
    }
    buf_put(&text, sv_from(path, end));
    return text.failed ? SV_NONE : arena_copy(mem, buf_sv(&text));
}
