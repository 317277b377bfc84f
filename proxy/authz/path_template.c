/* SPDX-License-Identifier: Apache-2.0
 * path_template.c - {*} is one segment, not empty; {**} is whatever is left, also nothing.
 *
 * An operator is a segment of its own and {**} is the last one, though plain text may follow it. So
 * matching never has to try again: {*} ends at the next slash, and behind {**} the path must only
 * end as the template does. The text itself is the compiled form. */
#include "proxy/authz/path_template.h"

#define ONE  SV("{*}")
#define REST SV("{**}")

bool path_template_is(struct sv text)
{
    return sv_contains(text, ONE) || sv_contains(text, REST);
}

int path_template_check(struct sv text, struct err *err)
{
    struct sv rest = sv_from(text, 1);
    bool is_over = false; /* {**} was there */
    if (!sv_starts(text, SV("/")))
        return err_set(err, ERR_USAGE, "a path template begins with '/'");
    for (struct sv segment; sv_cut(&rest, '/', &segment);) {
        bool is_one = sv_eq(segment, ONE), is_rest = sv_eq(segment, REST);
        if ((is_one || is_rest) && is_over)
            return err_set(err, ERR_USAGE, "{**} must be the last operator of a path template");
        is_over = is_over || is_rest;
        for (size_t i = 0; !is_one && !is_rest && i < segment.len; i++)
            if (memchr("{}*", segment.p[i], 3))
                return err_set(err, ERR_USAGE,
                               "'%.*s': in a path template {*} and {**} stand alone "
                               "between slashes, without any other '*', '{' or '}'",
                               SV_ARG(sv_sub(segment, 0, 40)));
    }
    return 0;
}

bool path_template_matches(struct sv text, struct sv path)
{
    size_t at = 0;
    for (size_t i = 0; i < text.len;) {
        if (text.p[i] != '{') {
            if (at == path.len || path.p[at++] != text.p[i++])
                return false;
            continue;
        }
        struct sv behind = sv_from(text, i + REST.len);
        if (text.p[i + 2] == '*')
            return sv_ends(sv_from(path, at), behind);
        size_t segment_len = sv_index(sv_from(path, at), '/');
        if (segment_len == 0)
            return false;
        at += segment_len;
        i += ONE.len;
    }
    return at == path.len;
}
