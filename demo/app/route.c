/* route.c - one line of text into one route of a demo application.
 *
 * The demo's mesh is a table of such lines, so that what an application does can be read where it
 * is started and nothing about the mesh is compiled into the applications. A line is words; the
 * first is the path, every other one a setting. Unknown words are refused: a typing mistake must
 * not turn into a mesh that silently lacks an edge. */
#include "demo/app/route.h"

static int bad(struct err *err, struct sv word, const char *want)
{
    return err_set(err, ERR_USAGE, "route: '%.*s': %s", SV_ARG(word), want);
}

/* "A,B" into two numbers; B stays untouched when it is missing. */
static bool two_numbers(struct sv text, char sep, uint64_t *ret_a, uint64_t *ret_b)
{
    struct sv a;
    sv_cut(&text, sep, &a);
    if (!sv_to_u64(a, ret_a))
        return false;
    return text.len == 0 || sv_to_u64(text, ret_b);
}

static int parse_call(struct sv text, struct app_route *r, struct err *err)
{
    if (r->calls_len == ROUTE_CALLS_MAX)
        return bad(err, text, "too many calls");
    struct route_call *c = &r->calls[r->calls_len];
    struct sv target;
    uint64_t percent = 100;
    sv_cut(&text, ',', &target);
    if (text.len && (!sv_to_u64(text, &percent) || percent > 100))
        return bad(err, text, "want a percentage");
    size_t slash = sv_index(target, '/');
    if (slash == 0 || slash == target.len)
        return bad(err, target, "want host:port/path");
    c->authority = sv_sub(target, 0, slash);
    c->path = sv_from(target, slash);
    c->percent = (unsigned)percent;
    r->calls_len++;
    return 0;
}

static int parse_word(struct sv word, struct app_route *r, struct err *err)
{
    struct sv value = word, key;
    uint64_t a = 0, b = 0;
    sv_cut(&value, '=', &key);
    if (sv_eq(word, SV("strict"))) {
        r->is_strict = true;
        return 0;
    }
    if (sv_eq(key, SV("call")))
        return parse_call(value, r, err);
    if (sv_eq(key, SV("size")) && sv_to_u64(value, &r->filler_bytes))
        return 0;
    if (sv_eq(key, SV("ms")) && two_numbers(value, '-', &a, &b)) {
        r->ms_min = a;
        r->ms_max = MAX(a, b);
        return 0;
    }
    if (sv_eq(key, SV("fail")) && two_numbers(value, ',', &a, &b) && a <= 100 && b <= 599) {
        r->fail_percent = (unsigned)a;
        r->fail_status = b ? (unsigned)b : 500;
        return 0;
    }
    return bad(err, word, "want ms=A-B, size=BYTES, fail=PERCENT,STATUS, strict or call=...");
}

int route_parse(struct sv line, struct app_route *ret_route, struct err *err)
{
    struct app_route r = { 0 };
    struct sv word;
    sv_cut(&line, ' ', &r.path);
    if (!sv_starts(r.path, SV("/")))
        return bad(err, r.path, "want a path first");
    while (line.len && sv_cut(&line, ' ', &word)) {
        int rc = parse_word(word, &r, err);
        if (rc < 0)
            return rc;
    }
    *ret_route = r;
    return 0;
}

const struct app_route *route_find(const struct app_route *routes, size_t len, struct sv path)
{
    path = sv_sub(path, 0, sv_index(path, '?'));
    for (size_t i = 0; i < len; i++) {
        struct sv at = routes[i].path;
        if (sv_eq(path, at) ||
            (sv_starts(path, at) && (sv_ends(at, SV("/")) || path.p[at.len] == '/')))
            return &routes[i];
    }
    return NULL;
}
