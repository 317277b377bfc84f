/* filter.c - parses filters, and tells what they are true of.
 *
 *   or    = and { ("or" | "||") and }
 *   and   = not { ("and" | "&&") not }
 *   not   = ("not" | "!") not | "(" or ")" | term
 *   term  = ["is" | "has"] flag | operand ["not" | "!"] operator value
 *
 * A term speaks of nodes or of edges, and a few of both. The parser works out what the whole can be
 * true of: either side of an "or", what both sides of an "and" speak of, and the other way round
 * below a "not". Where nothing is left ("name = a and rt > 5") the filter could never hold, and
 * that is an error that says what to write instead. So that "name = a or rt > 5" works for both,
 * judging has three outcomes: a term that does not speak of the thing at hand is NEITHER, and
 * NEITHER is not true under a "not" either (Kleene's logic). */
#include "query/filter.h"
#include "query/filter_term.h"
#include <math.h>

enum filter_kind { KIND_TERM, KIND_NOT, KIND_AND, KIND_OR };
enum filter_op { OP_EQ, OP_GT, OP_GE, OP_LT, OP_LE, OP_STARTS, OP_ENDS, OP_CONTAINS, OP_FLAG };
enum filter_end { END_SELF, END_SOURCE, END_DESTINATION };

struct filter {
    enum filter_kind kind;
    unsigned about;
    const struct filter *left, *right; /* KIND_NOT: left alone */
    /* KIND_TERM: */
    const struct filter_operand *operand;
    enum filter_end end;
    enum filter_op op;
    bool is_negated;
    struct sv text;
    double number; /* NAN: "no such number" */
};

/* Of one node of the tree: what it may be about when it has to be true, and when it has to be
 * false. */
struct parsed {
    struct filter *f;
    unsigned when_true, when_false;
};
struct parser {
    struct sv text;
    size_t at;
    struct arena *mem;
    struct err *err;
    unsigned depth, terms;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct parser *p)
{
    while (p->at < p->text.len && is_space(p->text.p[p->at]))
        p->at++;
}

/* Takes a symbol that stands here. */
static bool take(struct parser *p, struct sv symbol)
{
    skip_space(p);
    if (!sv_starts(sv_from(p->text, p->at), symbol))
        return false;
    p->at += symbol.len;
    return true;
}

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '%' ||
           c == '.' || c == '_' || c == ':' || c == '-';
}

static struct sv peek_word(struct parser *p)
{
    skip_space(p);
    size_t end = p->at;
    while (end < p->text.len && is_word_char(p->text.p[end]))
        end++;
    return sv_sub(p->text, p->at, end - p->at);
}

static bool take_word(struct parser *p, struct sv word)
{
    if (!sv_eq_nocase(peek_word(p), word))
        return false;
    p->at += word.len;
    return true;
}

static int wrong(const struct parser *p, size_t at, const char *what)
{
    return err_at(p->err, ERR_MALFORMED, at, "at byte %zu: %s", at, what);
}

static struct filter *new_filter(struct parser *p, enum filter_kind kind)
{
    struct filter *f = arena_zalloc(p->mem, sizeof(*f));
    if (f)
        f->kind = kind;
    else
        err_set(p->err, ERR_NOMEM, "filter");
    return f;
}

/* "..." with \ before a quote or a backslash, or everything up to a space or a parenthesis. */
static int take_value(struct parser *p, struct sv *ret_value)
{
    skip_space(p);
    size_t start = p->at;
    bool is_quoted = take(p, SV("\""));
    char *out = arena_alloc(p->mem, p->text.len - p->at + 1);
    size_t n = 0;
    if (!out)
        return err_set(p->err, ERR_NOMEM, "filter");
    while (p->at < p->text.len) {
        char c = p->text.p[p->at];
        if (is_quoted ? c == '"' : is_space(c) || c == '(' || c == ')')
            break;
        if (is_quoted && c == '\\' && p->at + 1 < p->text.len)
            c = p->text.p[++p->at];
        out[n++] = c;
        p->at++;
    }
    if (is_quoted && !take(p, SV("\"")))
        return wrong(p, start, "the quote is not closed");
    if (!is_quoted && n == 0)
        return wrong(p, start, "want a value");
    *ret_value = sv_of(out, n);
    return 0;
}

/* clang-format off */
static const struct {
    const char *symbol, *word; /* longer symbols before their beginnings */
    enum filter_op op;
    bool is_negated;
} operators[] = {
    { "!=", NULL, OP_EQ, true },           { ">=", NULL, OP_GE, false },
    { "<=", NULL, OP_LE, false },          { "^=", "startswith", OP_STARTS, false },
    { "$=", "endswith", OP_ENDS, false },  { "*=", "contains", OP_CONTAINS, false },
    { "==", NULL, OP_EQ, false },          { "=", NULL, OP_EQ, false },
    { ">", NULL, OP_GT, false },           { "<", NULL, OP_LT, false },
};
/* clang-format on */

static bool take_operator(struct parser *p, struct filter *f)
{
    size_t start = p->at;
    for (size_t i = 0; i < NELEMS(operators); i++)
        if (take(p, sv_z(operators[i].symbol)) ||
            (operators[i].word && take_word(p, sv_z(operators[i].word)))) {
            f->op = operators[i].op;
            f->is_negated = operators[i].is_negated;
            return true;
        }
    if (!take(p, SV("!")) && !take_word(p, SV("not")))
        return false;
    bool is_found = false;
    for (size_t i = 0; i < NELEMS(operators) && !is_found; i++)
        if (take(p, sv_z(operators[i].symbol)) ||
            (operators[i].word && take_word(p, sv_z(operators[i].word)))) {
            f->op = operators[i].op;
            f->is_negated = !operators[i].is_negated;
            is_found = true;
        }
    if (!is_found)
        p->at = start;
    return is_found;
}

static int check_value(const struct parser *p, struct filter *f, size_t at)
{
    bool is_order = f->op >= OP_GT && f->op <= OP_LE;
    bool is_part = f->op >= OP_STARTS && f->op <= OP_CONTAINS;
    if (f->operand->texts)
        return is_order ? wrong(p, at, "this is a text: use = != ^= $= *=") : 0;
    if (is_part)
        return wrong(p, at, "this is a number: use = != > >= < <=");
    if (f->op == OP_EQ && sv_eq_nocase(f->text, SV("NaN"))) {
        f->number = NAN;
        return 0;
    }
    if (!sv_to_double(f->text, &f->number) || !isfinite(f->number))
        return wrong(p, at, "want a number");
    return 0;
}

/* "source.name" is the name of the node an edge begins at. */
static struct sv cut_end(struct sv word, enum filter_end *ret_end)
{
    static const struct {
        struct sv prefix;
        enum filter_end end;
    } ends[] = { { { "source.", 7 }, END_SOURCE }, { { "dest.", 5 }, END_DESTINATION } };
    for (size_t i = 0; i < NELEMS(ends); i++)
        if (word.len > ends[i].prefix.len &&
            sv_eq_nocase(sv_sub(word, 0, ends[i].prefix.len), ends[i].prefix)) {
            *ret_end = ends[i].end;
            return sv_from(word, ends[i].prefix.len);
        }
    return word;
}

/* What the operand is about, by itself or through an edge's end. */
static int settle_about(const struct parser *p, struct filter *f, size_t at)
{
    f->about = f->operand->about;
    if (f->end == END_SELF)
        return 0;
    if (!(f->about & FILTER_NODES))
        return wrong(p, at, "source. and dest. go with what nodes have, such as dest.name");
    f->about = FILTER_EDGES;
    return 0;
}

static int parse_term(struct parser *p, struct parsed *ret)
{
    struct filter *f = new_filter(p, KIND_TERM);
    if (!f)
        return ERR_NOMEM;
    bool is_flag = take_word(p, SV("is")) || take_word(p, SV("has"));
    struct sv word = peek_word(p), name = cut_end(word, &f->end);
    size_t start = p->at;
    if (!word.len)
        return wrong(p, start,
                     p->at == p->text.len ? "ends where a condition is missing"
                                          : "want a condition, such as name = reviews");
    if (++p->terms > FILTER_TERMS_MAX)
        return err_at(p->err, ERR_LIMIT, start, "at byte %zu: more than %d conditions", start,
                      FILTER_TERMS_MAX);
    p->at += word.len;
    size_t after_word = p->at;
    bool has_operator = !is_flag && take_operator(p, f);
    size_t value_at = p->at;
    f->operand = filter_operand(name, has_operator);
    if (!f->operand)
        return wrong(p, filter_operand(name, !has_operator) ? after_word : start,
                     filter_operand(name, true)    ? "want an operator: = != > >= < <= ^= $= *="
                     : filter_operand(name, false) ? "this stands alone, without an operator"
                                                   : "no such name; docs/api.md lists them");
    int rc = 0;
    if (!has_operator)
        f->op = OP_FLAG;
    else
        rc = take_value(p, &f->text);
    if (rc == 0 && has_operator)
        rc = check_value(p, f, value_at);
    if (rc == 0)
        rc = settle_about(p, f, start);
    *ret = (struct parsed){ f, f->about, f->about };
    return rc;
}

static int parse_or(struct parser *p, struct parsed *ret);

static int parse_not(struct parser *p, struct parsed *ret)
{
    int rc;
    skip_space(p);
    if (p->depth == FILTER_DEPTH_MAX)
        return err_at(p->err, ERR_LIMIT, p->at, "at byte %zu: nested more than %d deep", p->at,
                      FILTER_DEPTH_MAX);
    p->depth++;
    size_t start = p->at;
    if (take(p, SV("!")) || take_word(p, SV("not"))) {
        struct filter *f = new_filter(p, KIND_NOT);
        struct parsed inner = { 0 };
        rc = f ? parse_not(p, &inner) : ERR_NOMEM;
        if (rc == 0) {
            f->left = inner.f;
            *ret = (struct parsed){ f, inner.when_false, inner.when_true };
        }
    } else if (take(p, SV("("))) {
        rc = parse_or(p, ret);
        if (rc == 0 && !take(p, SV(")")))
            rc = wrong(p, p->at < p->text.len ? p->at : start,
                       p->at < p->text.len ? "want and, or, or a closing parenthesis"
                                           : "the parenthesis is not closed");
    } else {
        rc = parse_term(p, ret);
    }
    p->depth--;
    return rc;
}

static int join(struct parser *p, enum filter_kind kind, struct parsed *left,
                const struct parsed *right)
{
    struct filter *f = new_filter(p, kind);
    if (!f)
        return ERR_NOMEM;
    f->left = left->f;
    f->right = right->f;
    unsigned either_true = left->when_true | right->when_true;
    unsigned both_true = left->when_true & right->when_true;
    unsigned either_false = left->when_false | right->when_false;
    unsigned both_false = left->when_false & right->when_false;
    bool is_and = kind == KIND_AND;
    *left = (struct parsed){ f, is_and ? both_true : either_true,
                             is_and ? either_false : both_false };
    return 0;
}

static int parse_and(struct parser *p, struct parsed *ret)
{
    struct parsed next = { 0 };
    int rc = parse_not(p, ret);
    while (rc == 0 && (take_word(p, SV("and")) || take(p, SV("&&")))) {
        rc = parse_not(p, &next);
        if (rc == 0)
            rc = join(p, KIND_AND, ret, &next);
    }
    return rc;
}

static int parse_or(struct parser *p, struct parsed *ret)
{
    struct parsed next = { 0 };
    int rc = parse_and(p, ret);
    while (rc == 0 && (take_word(p, SV("or")) || take(p, SV("||")))) {
        rc = parse_and(p, &next);
        if (rc == 0)
            rc = join(p, KIND_OR, ret, &next);
    }
    return rc;
}

int filter_parse(struct sv text, struct arena *mem, const struct filter **ret_f, struct err *err)
{
    struct err own = { 0 };
    struct parser p = { .text = text, .mem = mem, .err = err ? err : &own };
    struct parsed all = { 0 };
    if (text.len > FILTER_TEXT_MAX)
        return err_at(p.err, ERR_LIMIT, FILTER_TEXT_MAX, "longer than %d bytes", FILTER_TEXT_MAX);
    int rc = parse_or(&p, &all);
    if (rc < 0)
        return rc;
    skip_space(&p);
    if (p.at < text.len)
        return wrong(&p, p.at, "want and, or, or the end");
    if (all.when_true == 0)
        return wrong(&p, 0,
                     "never true: conditions on nodes and on edges cannot hold of one thing; "
                     "of an edge's ends say source.NAME or dest.NAME");
    all.f->about = all.when_true;
    *ret_f = all.f;
    return 0;
}

unsigned filter_about(const struct filter *f)
{
    return f->about;
}

enum verdict { FALSE_, NEITHER, TRUE_ }; /* in this order: and is the least, or the most */

static bool text_holds(const struct filter *f, struct sv text)
{
    switch (f->op) {
    case OP_STARTS: return sv_starts(text, f->text);
    case OP_ENDS:
        return text.len >= f->text.len && sv_eq(sv_from(text, text.len - f->text.len), f->text);
    case OP_CONTAINS: return sv_contains(text, f->text);
    default: return sv_eq(text, f->text);
    }
}

static bool number_holds(const struct filter *f, double number)
{
    if (isnan(f->number) || isnan(number))
        return f->op == OP_EQ && isnan(f->number) && (isnan(number) || number <= 0);
    switch (f->op) {
    case OP_GT: return number > f->number;
    case OP_GE: return number >= f->number;
    case OP_LT: return number < f->number;
    case OP_LE: return number <= f->number;
    default: return fabs(number - f->number) <= 1e-9 * fmax(1, fabs(f->number));
    }
}

static enum verdict judge_term(const struct filter *f, const struct filter_thing *thing)
{
    struct filter_thing at = *thing;
    struct sv texts[FILTER_TEXTS_MAX];
    bool holds = false;
    if (f->end != END_SELF) {
        if (!thing->is_edge)
            return NEITHER;
        at = filter_end(thing, f->end == END_SOURCE);
    }
    if (!(f->operand->about & (at.is_edge ? FILTER_EDGES : FILTER_NODES)))
        return NEITHER;
    if (f->operand->flag) {
        holds = f->operand->flag(&at);
    } else if (f->operand->number) {
        holds = number_holds(f, f->operand->number(&at));
    } else {
        size_t n = f->operand->texts(&at, texts);
        for (size_t i = 0; i < n; i++)
            holds |= text_holds(f, texts[i]);
    }
    return holds != f->is_negated ? TRUE_ : FALSE_;
}

/* As deep as FILTER_DEPTH_MAX nestings and FILTER_TERMS_MAX joins allow. */
static enum verdict judge(const struct filter *f, const struct filter_thing *t)
{
    if (f->kind == KIND_TERM)
        return judge_term(f, t);
    enum verdict left = judge(f->left, t);
    if (f->kind == KIND_NOT)
        return (enum verdict)(TRUE_ - left);
    enum verdict right = judge(f->right, t);
    return f->kind == KIND_AND ? MIN(left, right) : MAX(left, right);
}

bool filter_node(const struct filter *f, const struct view_net *net, size_t at, double seconds)
{
    struct filter_thing t = { net, at, false, seconds };
    return judge(f, &t) == TRUE_;
}

bool filter_edge(const struct filter *f, const struct view_net *net, size_t at, double seconds)
{
    struct filter_thing t = { net, at, true, seconds };
    return judge(f, &t) == TRUE_;
}
