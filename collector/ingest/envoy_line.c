/* envoy_line.c - where the fields of an access-log line begin and end.
 *
 * Istio's text format puts some fields in quotes and escapes nothing, so a caller who writes a quote
 * into its User-Agent could shift what stands behind it. Therefore a line is read from both ends: the
 * front up to X-Forwarded-For holds only what Envoy wrote itself (a path has no spaces), and so does
 * the end from the route's name back to the request id. What is left between the two is the
 * User-Agent, whatever it holds. */
#include "ingest/envoy_line.h"
#include "base/json_in.h"
#include <stdio.h>

static const struct sv keys[ENVOY_FIELDS_LEN] = {
/* clang-format off */
#define FIELD(id, key) { key, sizeof(key) - 1 },
#include "ingest/envoy_fields.def"
#undef FIELD
    /* clang-format on */
};

enum { JSON_DEPTH_MAX = 16 }; /* Istio's object is flat; user's own keys may nest */

struct sv envoy_said(const struct envoy_line *l, enum envoy_field f)
{
    return sv_eq(l->field[f], SV("-")) ? SV_NONE : l->field[f];
}

static size_t find(struct sv text, struct sv part)
{
    const char *at = text.len ? memmem(text.p, text.len, part.p, part.len) : NULL;
    return at ? (size_t)(at - text.p) : text.len;
}

/* What stands in front of `end`, which is taken off with it; false when there is no such end. */
static bool take_until(struct sv *rest, struct sv end, struct sv *ret_part)
{
    size_t at = find(*rest, end);
    if (at == rest->len)
        return false;
    *ret_part = sv_sub(*rest, 0, at);
    *rest = sv_from(*rest, at + end.len);
    return true;
}

static bool take_quoted(struct sv *rest, struct sv end, struct sv *ret_part)
{
    if (!rest->len || rest->p[0] != '"')
        return false;
    struct sv inner = sv_from(*rest, 1);
    if (!take_until(&inner, end, ret_part))
        return false;
    *rest = inner;
    return true;
}

/* The last word, and the space in front of it. */
static bool take_last(struct sv *rest, struct sv *ret_part)
{
    size_t space = sv_rindex(*rest, ' ');
    if (space >= rest->len || space + 1 == rest->len)
        return false;
    *ret_part = sv_from(*rest, space + 1);
    *rest = sv_sub(*rest, 0, space);
    return true;
}

/* The last text in quotes, and the space in front of it. */
static bool take_last_quoted(struct sv *rest, struct sv *ret_part)
{
    if (rest->len < 3 || rest->p[rest->len - 1] != '"')
        return false;
    struct sv inner = sv_sub(*rest, 0, rest->len - 1);
    size_t quote = sv_rindex(inner, '"');
    if (quote == 0 || quote >= inner.len || inner.p[quote - 1] != ' ')
        return false;
    *ret_part = sv_from(inner, quote + 1);
    *rest = sv_sub(inner, 0, quote - 1);
    return true;
}

/* "[TIME] "METHOD PATH PROTOCOL" " */
static bool take_request(struct sv *rest, struct envoy_line *l)
{
    struct sv request;
    if (!rest->len || rest->p[0] != '[')
        return false;
    *rest = sv_from(*rest, 1);
    if (!take_until(rest, SV("] \""), &l->field[ENVOY_START_TIME]) ||
        l->field[ENVOY_START_TIME].len > 40 || !take_until(rest, SV("\" "), &request))
        return false;
    struct sv *protocol = &l->field[ENVOY_PROTOCOL];
    if (!take_last(&request, protocol) ||
        !(sv_starts(*protocol, SV("HTTP/")) || sv_eq(*protocol, SV("-"))))
        return false;
    return sv_cut(&request, ' ', &l->field[ENVOY_METHOD]) &&
           ((l->field[ENVOY_PATH] = request).len > 0);
}

static enum envoy_field take_words(struct sv *rest, enum envoy_field first, enum envoy_field last,
                                   struct envoy_line *l)
{
    for (enum envoy_field f = first; f <= last; f++)
        if (!take_until(rest, SV(" "), &l->field[f]) || !l->field[f].len)
            return f;
    return ENVOY_FIELDS_LEN;
}

/* Details and what ended the connection; before Istio 1.9 the Mixer's status stood there in quotes. */
static enum envoy_field take_details(struct sv *rest, struct envoy_line *l)
{
    struct sv middle = SV_NONE;
    if (!rest->len || rest->p[0] != '"') {
        size_t quote = find(*rest, SV(" \""));
        middle = sv_sub(*rest, 0, quote);
        *rest = sv_from(*rest, MIN(quote + 1, rest->len));
        if (!take_last(&middle, &l->field[ENVOY_TERMINATION]))
            return ENVOY_TERMINATION;
        l->field[ENVOY_DETAILS] = middle;
    } else if (!take_quoted(rest, SV("\" "), &middle)) {
        return ENVOY_DETAILS;
    }
    return take_quoted(rest, SV("\" "), &l->field[ENVOY_TRANSPORT_FAILURE])
               ? ENVOY_FIELDS_LEN
               : ENVOY_TRANSPORT_FAILURE;
}

static enum envoy_field take_end(struct sv *rest, struct envoy_line *l)
{
    for (enum envoy_field f = ENVOY_ROUTE; f >= ENVOY_CLUSTER; f--)
        if (!take_last(rest, &l->field[f]))
            return f;
    for (enum envoy_field f = ENVOY_UPSTREAM_HOST; f >= ENVOY_REQUEST_ID; f--)
        if (!take_last_quoted(rest, &l->field[f]))
            return f;
    return ENVOY_FIELDS_LEN;
}

/* The first field that is not there; ENVOY_FIELDS_LEN when all are. */
static enum envoy_field take_fields(struct sv *rest, struct envoy_line *l)
{
    enum envoy_field bad = take_words(rest, ENVOY_CODE, ENVOY_FLAGS, l);
    if (bad == ENVOY_FIELDS_LEN)
        bad = take_details(rest, l);
    if (bad == ENVOY_FIELDS_LEN)
        bad = take_words(rest, ENVOY_RECEIVED, ENVOY_UPSTREAM_TIME, l);
    if (bad == ENVOY_FIELDS_LEN)
        bad = take_end(rest, l);
    if (bad == ENVOY_FIELDS_LEN && !take_quoted(rest, SV("\" "), &l->field[ENVOY_FORWARDED_FOR]))
        bad = ENVOY_FORWARDED_FOR;
    if (bad == ENVOY_FIELDS_LEN &&
        (rest->len < 2 || rest->p[0] != '"' || rest->p[rest->len - 1] != '"'))
        bad = ENVOY_USER_AGENT;
    if (bad == ENVOY_FIELDS_LEN)
        l->field[ENVOY_USER_AGENT] = sv_sub(*rest, 1, rest->len - 2);
    return bad;
}

bool envoy_line_from_text(struct sv text, struct envoy_line *ret_line, struct err *err)
{
    struct envoy_line l = { 0 };
    struct sv rest = sv_trim(text);
    if (!take_request(&rest, &l))
        return false;
    enum envoy_field bad = take_fields(&rest, &l);
    if (bad != ENVOY_FIELDS_LEN)
        err_at(err, ERR_MALFORMED, rest.p ? (size_t)(rest.p - text.p) : text.len,
               "access-log line: no %.*s where Istio's format has it", SV_ARG(keys[bad]));
    else
        *ret_line = l;
    return true;
}

static bool looks_right(const struct envoy_line *l)
{
    return l->field[ENVOY_FLAGS].len && l->field[ENVOY_CLUSTER].len;
}

static size_t which(struct sv key)
{
    size_t f = 0;
    while (f < ENVOY_FIELDS_LEN && !sv_eq(keys[f], key))
        f++;
    return f;
}

bool envoy_line_from_json(struct sv text, struct arena *mem, struct envoy_line *ret_line,
                          struct err *err)
{
    struct envoy_line l = { 0 };
    struct json_in j = json_in_of(text, mem, JSON_DEPTH_MAX);
    struct err broken = { 0 };
    if (jin_kind(&j) != JSON_OBJECT)
        return false;
    jin_object(&j);
    for (struct sv key; jin_key(&j, &key);) {
        size_t f = which(key);
        enum json_kind kind = jin_kind(&j);
        if (f == ENVOY_FIELDS_LEN || kind == JSON_OBJECT || kind == JSON_ARRAY || kind == JSON_BOOL)
            jin_skip(&j);
        else if (jin_null(&j))
            l.field[f] = SV("-");
        else
            l.field[f] = kind == JSON_NUMBER ? jin_number(&j) : jin_str(&j);
    }
    if (jin_finish(&j, &broken) < 0) {
        if (broken.code == ERR_NOMEM)
            err_set(err, ERR_NOMEM, "%s", broken.why);
        return false;
    }
    if (!looks_right(&l))
        return false;
    *ret_line = l;
    return true;
}

static struct sv integer_text(struct arena *mem, int64_t v)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%lld", (long long)v);
    return arena_copy(mem, sv_of(text, (size_t)n));
}

bool envoy_line_from_attrs(const struct attr *list, size_t n, struct arena *mem,
                           struct envoy_line *ret_line, struct err *err)
{
    struct envoy_line l = { 0 };
    for (size_t i = 0; i < n; i++) {
        size_t f = which(list[i].key);
        const struct value *v = &list[i].value;
        if (f == ENVOY_FIELDS_LEN)
            continue;
        if (v->type == VALUE_STR)
            l.field[f] = v->str.len ? v->str : SV("-");
        else if (v->type == VALUE_INT && !(l.field[f] = integer_text(mem, v->integer)).p)
            err_set(err, ERR_NOMEM, "an integer of an access-log line");
        else if (v->type == VALUE_EMPTY)
            l.field[f] = SV("-");
    }
    if (!looks_right(&l))
        return false;
    *ret_line = l;
    return true;
}
