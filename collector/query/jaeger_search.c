/* jaeger_search.c - tags, which are all text, as predicates on typed attributes.
 *
 * Our store compares attributes with their types, Jaeger's clients send http.status_code=200 and
 * mean the number. So each tag has up to three meanings; jaeger_find.c asks for all of them. Two
 * tags are no attributes with us: error (also the span's status) and span.kind (only its kind). */
#include "query/jaeger_search.h"
#include "base/json_in.h"

enum { TAGS_JSON_DEPTH = 4 };

static void mean(struct tag_wish *w, struct sv key, struct value v)
{
    INVARIANT(w->len < TAG_MEANINGS_MAX);
    w->any[w->len++].attr = (struct attr){ key, v };
}

static void mean_text(struct tag_wish *w, struct sv key, struct sv text)
{
    int64_t integer;
    double real;
    mean(w, key, (struct value){ .type = VALUE_STR, .str = text });
    if (sv_eq(text, SV("true")) || sv_eq(text, SV("false")))
        mean(w, key, (struct value){ .type = VALUE_BOOL, .boolean = text.p[0] == 't' });
    else if (sv_to_i64(text, &integer))
        mean(w, key, (struct value){ .type = VALUE_INT, .integer = integer });
    if (w->any[w->len - 1].attr.value.type != VALUE_BOOL && sv_to_double(text, &real))
        mean(w, key, (struct value){ .type = VALUE_DOUBLE, .real = real });
}

static int add_kind(struct params *p, const char *param, struct jaeger_search *s, struct sv value)
{
    for (int k = SPAN_KIND_UNSPECIFIED; k <= SPAN_KIND_CONSUMER; k++)
        if (sv_eq_nocase(value, sv_z(span_kind_name((enum span_kind)k)))) {
            s->query.kinds = 1u << k;
            return 0;
        }
    return params_fault(p, param, "span.kind is server, client, producer, consumer or internal");
}

int jaeger_add_tag(struct params *p, const char *param, struct jaeger_search *s, struct sv key,
                   struct sv value)
{
    if (sv_eq(key, SV("span.kind")))
        return add_kind(p, param, s, value);
    if (s->tags_len == JAEGER_TAGS_MAX)
        return params_fault(p, param, "more than %d tags", JAEGER_TAGS_MAX);
    struct tag_wish *w = &s->tags[s->tags_len++];
    *w = (struct tag_wish){ 0 };
    bool is_status = sv_eq(key, SV("otel.status_code")) && sv_eq_nocase(value, SV("ERROR"));
    bool is_error = sv_eq(key, SV("error")) && sv_eq(value, SV("true"));
    if (is_error || is_status)
        w->any[w->len++].is_error = true;
    if (!is_status)
        mean_text(w, key, value);
    return 0;
}

static int add_json(struct params *p, const char *param, struct jaeger_search *s, struct sv text)
{
    struct json_in j = json_in_of(text, &p->mem, TAGS_JSON_DEPTH);
    struct err err = { 0 };
    int rc = 0;
    jin_object(&j);
    for (struct sv key; rc == 0 && jin_key(&j, &key);) {
        struct sv value = jin_str(&j);
        if (jin_ok(&j))
            rc = jaeger_add_tag(p, param, s, key, value);
    }
    if (rc == 0 && jin_finish(&j, &err) < 0)
        rc = params_fault(p, NULL, "malformed '%s' parameter, cannot unmarshal JSON: %s", param,
                          err.why);
    return rc;
}

/* A value up to white space, or in quotes, in which a backslash takes the next letter as it is. */
static struct sv logfmt_value(struct arena *mem, struct sv *rest)
{
    char *out = arena_alloc(mem, rest->len + 1);
    size_t n = 0, i = 0;
    if (!out)
        return SV_NONE;
    bool is_quoted = rest->len && rest->p[0] == '"';
    for (i = is_quoted; i < rest->len; i++) {
        char c = rest->p[i];
        if (is_quoted ? c == '"' : c == ' ' || c == '\t')
            break;
        if (is_quoted && c == '\\' && i + 1 < rest->len)
            c = rest->p[++i];
        out[n++] = c;
    }
    *rest = sv_from(*rest, MIN(i + is_quoted, rest->len));
    return sv_of(out, n);
}

static int add_logfmt(struct params *p, const char *param, struct jaeger_search *s, struct sv text)
{
    for (text = sv_trim(text); text.len; text = sv_trim(text)) {
        size_t eq = sv_index(text, '=');
        struct sv key = sv_sub(text, 0, eq);
        if (eq == 0 || eq == text.len || sv_index(key, ' ') < key.len)
            return params_fault(p, NULL,
                                "malformed '%s' parameter, want a JSON object or key=value", param);
        text = sv_from(text, eq + 1);
        struct sv value = logfmt_value(&p->mem, &text);
        if (jaeger_add_tag(p, param, s, key, value) < 0)
            return -1;
    }
    return 0;
}

int jaeger_add_tags(struct params *p, const char *param, struct jaeger_search *s, struct sv text)
{
    text = sv_trim(text);
    return sv_starts(text, SV("{")) ? add_json(p, param, s, text) : add_logfmt(p, param, s, text);
}
