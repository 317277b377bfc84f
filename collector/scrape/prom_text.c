/* prom_text.c - takes the text that a metrics endpoint answers apart, a line at a time.
 *
 * A line is name{label="value",...} value [timestamp] [# exemplar]. What follows the value is looked at
 * only so far that it may stand there, because nothing here needs it. Views point into the text;
 * only values with escapes are copied. A bad line costs itself: the cursor stands behind it before
 * it is read. Lines that begin with # say nothing that is needed here; "# EOF" ends the text. */
#include "scrape/prom_text.h"
#include <math.h>

struct prom_text prom_text_of(struct sv text, struct arena *mem)
{
    return (struct prom_text){ .base = text.p, .rest = text, .mem = mem };
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
}

static struct sv take_name(struct sv *line)
{
    size_t n = 0;
    while (n < line->len &&
           (is_name_start(line->p[n]) || (n > 0 && line->p[n] >= '0' && line->p[n] <= '9')))
        n++;
    struct sv name = sv_sub(*line, 0, n);
    *line = sv_from(*line, n);
    return name;
}

static void skip_blanks(struct sv *line)
{
    while (line->len && (line->p[0] == ' ' || line->p[0] == '\t'))
        *line = sv_from(*line, 1);
}

static bool take(struct sv *line, char c)
{
    if (!line->len || line->p[0] != c)
        return false;
    *line = sv_from(*line, 1);
    return true;
}

static int fail(const struct prom_text *t, struct sv line, struct err *err, const char *want)
{
    size_t at = line.p ? (size_t)(line.p - t->base) : t->line_at;
    return err_at(err, ERR_MALFORMED, at, "sample of a metric: want %s", want);
}

static struct sv without_escapes(struct arena *mem, struct sv raw)
{
    char *to = arena_alloc(mem, raw.len);
    size_t n = 0;
    for (size_t i = 0; to && i < raw.len; i++) {
        char c = raw.p[i];
        if (c == '\\' && i + 1 < raw.len)
            c = raw.p[++i] == 'n' ? '\n' : raw.p[i];
        to[n++] = c;
    }
    return sv_of(to, n);
}

/* Behind the opening quote; NULL in ret->p: memory is out. False: the quote is never closed. */
static bool take_value(struct prom_text *t, struct sv *line, struct sv *ret)
{
    size_t n = 0;
    bool has_escapes = false;
    while (n < line->len && line->p[n] != '"') {
        has_escapes |= line->p[n] == '\\';
        n += line->p[n] == '\\' ? 2 : 1;
    }
    if (n >= line->len)
        return false;
    struct sv raw = sv_sub(*line, 0, n);
    *ret = has_escapes ? without_escapes(t->mem, raw) : sv_of(line->p, n);
    *line = sv_from(*line, n + 1);
    return true;
}

static int take_labels(struct prom_text *t, struct sv *line, struct prom_sample *ret,
                       struct err *err)
{
    for (;;) {
        skip_blanks(line);
        if (take(line, '}'))
            return 0;
        struct prom_label l = { .name = take_name(line) };
        skip_blanks(line);
        if (!l.name.len || !take(line, '='))
            return fail(t, *line, err, "label=\"value\" or }");
        skip_blanks(line);
        if (!take(line, '"') || !take_value(t, line, &l.value))
            return fail(t, *line, err, "the label's value in quotes");
        if (!l.value.p)
            return err_set(err, ERR_NOMEM, "label of a metric");
        if (ret->labels_len == PROM_LABELS_MAX)
            return err_at(err, ERR_LIMIT, t->line_at, "more than %d labels", PROM_LABELS_MAX);
        ret->labels[ret->labels_len++] = l;
        skip_blanks(line);
        if (!take(line, ',') && !(line->len && line->p[0] == '}'))
            return fail(t, *line, err, ", or }");
    }
}

static struct sv take_word(struct sv *line)
{
    size_t n = 0;
    while (n < line->len && line->p[n] != ' ' && line->p[n] != '\t')
        n++;
    struct sv word = sv_sub(*line, 0, n);
    *line = sv_from(*line, n);
    skip_blanks(line);
    return word;
}

static bool to_number(struct sv word, double *ret)
{
    if (sv_eq_nocase(word, SV("nan")))
        *ret = NAN;
    else if (sv_eq_nocase(word, SV("+inf")) || sv_eq_nocase(word, SV("inf")))
        *ret = INFINITY;
    else if (sv_eq_nocase(word, SV("-inf")))
        *ret = -INFINITY;
    else
        return sv_to_double(word, ret);
    return true;
}

static int read_line(struct prom_text *t, struct sv line, struct prom_sample *ret, struct err *err)
{
    const char *began = line.p;
    double timestamp;
    ret->labels_len = 0;
    ret->name = take_name(&line);
    if (!ret->name.len)
        return fail(t, line, err, "a name");
    ret->series = ret->name;
    skip_blanks(&line);
    if (take(&line, '{')) {
        int rc = take_labels(t, &line, ret, err);
        if (rc < 0)
            return rc;
        ret->series = sv_of(began, (size_t)(line.p ? line.p - began : 0));
    }
    skip_blanks(&line);
    struct sv at = line, word = take_word(&line);
    if (!to_number(word, &ret->value))
        return fail(t, at, err, "a number");
    at = line;
    if (line.len && line.p[0] != '#' && !to_number(take_word(&line), &timestamp))
        return fail(t, at, err, "a timestamp or the line's end");
    if (line.len && line.p[0] != '#')
        return fail(t, line, err, "an exemplar or the line's end");
    return 1;
}

int prom_next(struct prom_text *t, struct prom_sample *ret, struct err *err)
{
    for (struct sv line; sv_cut(&t->rest, '\n', &line);) {
        t->line_at = line.p ? (size_t)(line.p - t->base) : t->line_at;
        if (line.len && line.p[line.len - 1] == '\r')
            line.len--;
        if (sv_eq(line, SV("# EOF"))) {
            t->rest = SV_NONE;
            return 0;
        }
        skip_blanks(&line);
        if (line.len && line.p[0] != '#')
            return read_line(t, line, ret, err);
    }
    return 0;
}

struct sv prom_label(const struct prom_sample *s, struct sv name)
{
    for (size_t i = 0; i < s->labels_len; i++)
        if (sv_eq(s->labels[i].name, name))
            return s->labels[i].value;
    return SV_NONE;
}
