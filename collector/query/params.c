/* params.c - query parameters: decode, check against the route's list, read typed.
 *
 * A misspelled parameter that is silently ignored gives an answer to another question than the one
 * asked, so unknown and repeated names are errors, and every message names the parameter and what
 * would have been right. */
#include "query/params.h"
#include "base/clock.h"
#include "base/flag.h"
#include <stdarg.h>
#include <stdio.h>

int params_fault(struct params *p, const char *name, const char *fmt, ...)
{
    va_list args;
    if (p->why[0])
        return -1; /* the first fault is the one told */
    va_start(args, fmt);
    vsnprintf(p->why, sizeof(p->why), fmt, args);
    va_end(args);
    p->bad = sv_z(name);
    return -1;
}

void params_done(struct params *p)
{
    arena_done(&p->mem);
    *p = (struct params){ 0 };
}

/* Percent-decoding; false on a broken escape. *ret_out is in mem. */
static bool decode(struct arena *mem, struct sv text, bool is_query, struct sv *ret_out)
{
    char *out = arena_alloc(mem, text.len + 1);
    size_t n = 0;
    if (!out)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.p[i];
        if (byte == '+' && is_query) {
            byte = ' ';
        } else if (byte == '%') {
            if (text.len - i < 3 || !sv_to_bytes(sv_sub(text, i + 1, 2), &byte, 1))
                return false;
            i += 2;
        }
        out[n++] = (char)byte;
    }
    out[n] = '\0'; /* params_fault() wants names as C text */
    *ret_out = sv_of(out, n);
    return sv_is_utf8(*ret_out) && !memchr(out, '\0', n);
}

static const struct param_rule *rule_of(const struct param_rule *rules, struct sv name)
{
    for (; rules->name; rules++)
        if (sv_eq(sv_z(rules->name), name))
            return rules;
    return NULL;
}

static void list_names(const struct param_rule *rules, char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (; rules->name && n + 1 < size; rules++) {
        int wrote = snprintf(out + n, size - n, "%s%s", n ? ", " : "", rules->name);
        n += wrote > 0 ? (size_t)wrote : 0;
    }
}

static int add(struct params *p, struct sv pair)
{
    struct sv name, value = pair;
    (void)sv_cut(&value, '=', &name);
    if (name.len == pair.len)
        value = SV_NONE;
    struct param one;
    if (!decode(&p->mem, name, true, &one.name) || !decode(&p->mem, value, true, &one.value))
        return params_fault(p, NULL, "the query is not percent-encoded UTF-8");
    const struct param_rule *rule = p->rules ? rule_of(p->rules, one.name) : NULL;
    struct sv known;
    if (!rule && p->rules) {
        char names[384];
        list_names(p->rules, names, sizeof(names));
        return names[0] ? params_fault(p, one.name.p, "unknown parameter; allowed are %s", names)
                        : params_fault(p, one.name.p, "this route takes no parameters");
    }
    if (rule && !rule->is_repeatable && params_get(p, rule->name, &known))
        return params_fault(p, rule->name, "given more than once");
    if (p->len == PARAMS_MAX)
        return params_fault(p, one.name.p, "more than %d parameters", PARAMS_MAX);
    p->list[p->len++] = one;
    return 0;
}

bool params_path_text(struct params *p, struct sv raw, struct sv *ret_text)
{
    return decode(&p->mem, raw, false, ret_text);
}

int params_parse(struct params *p, struct sv query, const struct param_rule *rules, int64_t now_ns)
{
    *p = (struct params){ .rules = rules, .now_ns = now_ns };
    if (query.len > PARAM_TEXT_MAX)
        return params_fault(p, NULL, "the query is longer than %d bytes", PARAM_TEXT_MAX);
    for (struct sv pair; query.len && sv_cut(&query, '&', &pair);)
        if (pair.len && add(p, pair) < 0)
            return -1;
    return 0;
}

bool params_get(const struct params *p, const char *name, struct sv *ret_value)
{
    for (size_t i = 0; i < p->len; i++)
        if (sv_eq(p->list[i].name, sv_z(name))) {
            *ret_value = p->list[i].value;
            return true;
        }
    return false;
}

int params_u64(struct params *p, const char *name, uint64_t min, uint64_t max, uint64_t *ret_v)
{
    struct sv text;
    uint64_t v;
    if (!params_get(p, name, &text))
        return 0;
    if (!sv_to_u64(text, &v) || v < min || v > max)
        return params_fault(p, name, "want a whole number from %llu to %llu",
                            (unsigned long long)min, (unsigned long long)max);
    *ret_v = v;
    return 0;
}

int params_number(struct params *p, const char *name, double min, double max, double *ret_v)
{
    struct sv text;
    double v;
    if (!params_get(p, name, &text))
        return 0;
    if (!sv_to_double(text, &v) || !(v >= min && v <= max))
        return params_fault(p, name, "want a number from %g to %g", min, max);
    *ret_v = v;
    return 0;
}

int params_duration(struct params *p, const char *name, int64_t min_ns, int64_t max_ns,
                    int64_t *ret_ns)
{
    struct sv text;
    int64_t v;
    if (!params_get(p, name, &text))
        return 0;
    if (!duration_from_sv(text, &v))
        return params_fault(p, name, "want a duration such as 250ms, 60s, 5m, 2h");
    if (v < min_ns || v > max_ns)
        return params_fault(p, name, "want a duration from %gs to %gs", (double)min_ns / 1e9,
                            (double)max_ns / 1e9);
    *ret_ns = v;
    return 0;
}

bool time_from_sv(struct sv text, int64_t *ret_ns)
{
    uint64_t v;
    int64_t ns;
    if (!sv_to_u64(text, &v)) {
        if (!clock_from_rfc3339(text, &ns) || ns > PARAM_TIME_MAX_NS)
            return false;
        *ret_ns = ns;
        return true;
    }
    int64_t unit = text.len <= 10   ? NS_PER_S
                   : text.len <= 13 ? NS_PER_MS
                   : text.len <= 16 ? NS_PER_US
                                    : 1;
    if (text.len > 19 || v > INT64_MAX || __builtin_mul_overflow((int64_t)v, unit, &ns) ||
        ns > PARAM_TIME_MAX_NS)
        return false;
    *ret_ns = ns;
    return true;
}

int params_time(struct params *p, const char *name, int64_t *ret_ns)
{
    struct sv text;
    if (!params_get(p, name, &text))
        return 0;
    if (!time_from_sv(text, ret_ns))
        return params_fault(p, name,
                            "want a time as 2026-01-02T03:04:05Z or as a whole number "
                            "of s, ms, us or ns since 1970");
    return 0;
}

int params_choice(struct params *p, const char *name, const char *words, size_t *ret_at)
{
    struct sv text, rest = sv_z(words), word;
    if (!params_get(p, name, &text))
        return 0;
    for (size_t i = 0; sv_cut(&rest, '|', &word); i++)
        if (sv_eq(word, text)) {
            *ret_at = i;
            return 0;
        }
    return params_fault(p, name, "want one of %s", words);
}

int params_window(struct params *p, int64_t default_ns, int64_t max_ns, struct window *ret_w)
{
    struct sv text;
    int64_t length_ns = default_ns, to_ns = p->now_ns, from_ns;
    bool has_from = params_get(p, "from", &text), has_to = params_get(p, "to", &text);
    if (params_get(p, "window", &text) && (has_from || has_to))
        return params_fault(p, "window", "give either window, or from and to");
    if (has_to && !has_from)
        return params_fault(p, "from", "missing; to needs it");
    if (params_duration(p, "window", NS_PER_S, max_ns, &length_ns) < 0 ||
        params_time(p, "to", &to_ns) < 0)
        return -1;
    from_ns = to_ns - MIN(length_ns, to_ns);
    if (params_time(p, "from", &from_ns) < 0)
        return -1;
    if (from_ns > to_ns)
        return params_fault(p, "from", "lies after %s", has_to ? "to" : "now");
    if (to_ns - from_ns > max_ns)
        return params_fault(p, "from", "the window may be at most %gh long",
                            (double)max_ns / 3600e9);
    *ret_w = (struct window){ from_ns, to_ns };
    return 0;
}
