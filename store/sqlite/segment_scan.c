/* segment_scan.c - which traces of a segment have a span that matches, without reading spans.
 *
 * Every predicate is put to its own column and strikes out the spans that fail it: service and
 * attributes of a resource are asked once a resource, kind, status, scope and the presence of
 * events once a shape, the name and an attribute's text once a distinct text; only then the numbers
 * of the spans are looked at. The cheap and telling columns come first, and when no span is left
 * the rest is not even unpacked. A least duration is asked very first: few spans reach what people
 * look for, and then other columns are only looked at where these are.
 *
 * Cost: about 0.3 ms for 16,384 spans, of it a third for unpacking; next to nothing when no
 * resource or no text of the dictionary fits. */
#include "base/mem.h"
#include "store/match.h"
#include "store/sqlite/segment_format.h"
#include "store/sqlite/segment_r.h"

struct scan {
    struct segment_r s;
    const struct span_query *q;
    bool *is_in;                            /* by span: every predicate so far holds */
    uint64_t left;                          /* spans that are in */
    struct numbers_r shape_of, resource_of; /* by span; unpacked when they are wanted */
    bool has_shape_of, has_resource_of;
    const int64_t *starts;  /* likewise */
    const int64_t *lengths; /* likewise: end - start, modulo 2^64 */
};

void segment_scratch_done(struct segment_scratch *scratch)
{
    arena_done(&scratch->mem);
    ZSTD_freeDCtx(scratch->zstd);
    scratch->zstd = NULL;
}

static bool is_over(const struct scan *c)
{
    return c->left == 0 || !segment_r_ok(&c->s);
}

static void strike(struct scan *c, size_t i)
{
    c->left -= c->is_in[i];
    c->is_in[i] = false;
}

/* The first span from i on that is in, or the number of spans. is_in has room for eight more. */
static uint64_t next_in(const struct scan *c, uint64_t i)
{
    uint64_t eight = 0;
    while (i < c->s.spans) {
        if (c->is_in[i])
            return i;
        memcpy(&eight, c->is_in + i, sizeof(eight));
        i += eight ? 1 : sizeof(eight);
    }
    return c->s.spans;
}

static const struct numbers_r *shape_of(struct scan *c)
{
    if (!c->has_shape_of)
        c->shape_of = numbers_get(segment_r_part(&c->s, PART_SHAPE_OF), c->s.shapes_len);
    c->has_shape_of = true;
    return &c->shape_of;
}

static const struct numbers_r *resource_of(struct scan *c)
{
    if (!c->has_resource_of)
        c->resource_of = numbers_get(segment_r_part(&c->s, PART_RESOURCE_OF), c->s.resources_len);
    c->has_resource_of = true;
    return &c->resource_of;
}

/* Strikes the spans whose number is not good; the numbers are read only when that can be told
 * neither way without them. */
static void keep_good(struct scan *c, const bool *is_good, size_t len,
                      const struct numbers_r *(*numbers)(struct scan *))
{
    size_t good = 0;
    for (size_t i = 0; i < len; i++)
        good += is_good[i];
    if (good == 0)
        c->left = 0;
    if (good == 0 || good == len)
        return;
    const struct numbers_r *list = numbers(c);
    for (uint64_t i = next_in(c, 0); i < c->s.spans && segment_r_ok(&c->s); i = next_in(c, i + 1))
        if (!is_good[number_of_row(&c->s.streams, list, i)])
            strike(c, i);
}

static bool resource_fits(const struct span_query *q, const struct resource *r)
{
    struct span like = { .resource = r };
    if (q->service.len && !sv_eq(q->service, span_service(&like)))
        return false;
    for (size_t i = 0; i < q->attrs_len; i++)
        if (q->attrs[i].level == ATTR_OF_RESOURCE && !attrs_have(&r->attrs, &q->attrs[i].attr))
            return false;
    return true;
}

static void match_resources(struct scan *c)
{
    segment_r_resources(&c->s);
    bool *is_good = segment_r_array(&c->s, c->s.resources_len, sizeof(*is_good));
    if (!segment_r_ok(&c->s))
        return;
    for (uint32_t i = 0; i < c->s.resources_len; i++)
        is_good[i] = resource_fits(c->q, c->s.resources[i]);
    keep_good(c, is_good, c->s.resources_len, resource_of);
}

static bool shape_fits(const struct span_query *q, const struct shape *shape)
{
    bool fits = query_takes_kind(q, shape->like.kind) && query_takes_status(q, shape->like.status);
    for (size_t i = 0; i < q->attrs_len && fits; i++) {
        const struct attr_wish *w = &q->attrs[i];
        if (w->level == ATTR_OF_SCOPE)
            fits = attrs_have(&shape->like.scope->attrs, &w->attr);
        if (w->level == ATTR_OF_EVENT)
            fits = shape->parts & SHAPE_EVENTS;
        if (w->level == ATTR_OF_LINK)
            fits = shape->parts & SHAPE_LINKS;
    }
    return fits;
}

static void match_shapes(struct scan *c)
{
    segment_r_scopes(&c->s);
    segment_r_shapes(&c->s);
    bool *is_good = segment_r_array(&c->s, c->s.shapes_len, sizeof(*is_good));
    if (!segment_r_ok(&c->s))
        return;
    for (uint32_t i = 0; i < c->s.shapes_len; i++)
        is_good[i] = shape_fits(c->q, &c->s.shapes[i]);
    keep_good(c, is_good, c->s.shapes_len, shape_of);
}

/* One row after another of a column of texts: does it equal `want`? */
struct text_test {
    struct strings_r *column;
    struct sv want;
    uint32_t wanted; /* its number, when there is a dictionary */
    bool is_absent;  /* no row can */
    bool has_twin;   /* nobody writes a text twice, but such bytes can be read */
};

static struct text_test text_test_of(struct segment_r *s, struct strings_r *column, struct sv want)
{
    struct text_test t = { .column = column, .want = want };
    if (!column->list || !segment_r_ok(s))
        return t;
    uint32_t n = column->numbers.limit;
    while (t.wanted < n && !sv_eq(column->list[t.wanted], want))
        t.wanted++;
    t.is_absent = t.wanted == n;
    for (uint32_t i = t.wanted + 1; i < n && !t.has_twin; i++)
        t.has_twin = sv_eq(column->list[i], want);
    return t;
}

/* Without a dictionary rows have to be asked one after another. */
static bool text_fits(struct segment_r *s, struct text_test *t, uint64_t row)
{
    if (!t->column->list)
        return string_next_is(&s->streams, t->column, t->want);
    if (t->is_absent)
        return false;
    uint32_t number = number_of_row(&s->streams, &t->column->numbers, row);
    return number == t->wanted ||
           (t->has_twin && segment_r_ok(s) && sv_eq(t->column->list[number], t->want));
}

static void match_names(struct scan *c)
{
    struct strings_r names = strings_get(segment_r_part(&c->s, PART_NAMES));
    struct text_test t = text_test_of(&c->s, &names, c->q->operation);
    if (t.is_absent)
        c->left = 0;
    for (uint64_t i = 0; i < c->s.spans && !is_over(c); i++) {
        if (names.list)
            i = next_in(c, i);
        if (i < c->s.spans && !text_fits(&c->s, &t, i))
            strike(c, i);
    }
}

static const int64_t *lengths(struct scan *c)
{
    if (!c->lengths)
        c->lengths = segment_r_zigzags(&c->s, PART_DURATIONS);
    return c->lengths;
}

static const int64_t *starts(struct scan *c)
{
    if (!c->starts)
        c->starts = segment_r_starts(&c->s);
    return c->starts;
}

/* Strikes what is too short, whenever it started. A negative length may stand for one of over 2^63
 * ns, if it did before 1970: match_durations() knows. */
static void strike_short(struct scan *c)
{
    const int64_t *list = lengths(c);
    uint64_t left = 0;
    if (!segment_r_ok(&c->s))
        return;
    for (uint64_t i = 0; i < c->s.spans; i++)
        left += c->is_in[i] = list[i] < 0 || list[i] >= c->q->min_duration_ns;
    c->left = left;
}

static void match_durations(struct scan *c)
{
    const int64_t *list = lengths(c), *from = starts(c);
    for (uint64_t i = next_in(c, 0); segment_r_ok(&c->s) && i < c->s.spans; i = next_in(c, i + 1)) {
        int64_t end_ns = (int64_t)((uint64_t)from[i] + (uint64_t)list[i]);
        if (!query_takes_duration(c->q, duration_ns(from[i], end_ns)))
            strike(c, i);
    }
}

static bool value_fits(struct scan *c, struct column_r *column, struct text_test *text,
                       uint64_t row, const struct value *want)
{
    if (column->type == VALUE_EMPTY)
        return true;
    if (column->type == VALUE_STR || column->type == VALUE_BYTES)
        return text_fits(&c->s, text, row);
    struct value v = value_body_get(&column->values, column->type);
    segment_r_carry(&c->s, &column->values.rd, "column");
    return value_eq(&v, want);
}

/* How often each shape has the column. */
static uint32_t *count_columns(struct scan *c, const struct column_r *column)
{
    struct segment_r *s = &c->s;
    uint32_t *count = segment_r_array(s, s->shapes_len, sizeof(*count));
    for (uint32_t i = 0; count && i < s->shapes_len; i++)
        for (uint32_t k = 0; k < s->shapes[i].like.attrs.len; k++)
            count[i] += &s->columns[s->shapes[i].columns[k]] == column;
    return count;
}

/* When every span has the column once, a row is a span: texts of a dictionary are asked where spans
 * are left. */
static bool match_full_column(struct scan *c, struct text_test *text, const uint32_t *count)
{
    for (uint32_t i = 0; i < c->s.shapes_len; i++)
        if (count[i] != 1)
            return false;
    for (uint64_t i = next_in(c, 0); i < c->s.spans && !is_over(c); i = next_in(c, i + 1))
        if (!text_fits(&c->s, text, i))
            strike(c, i);
    return true;
}

/* Strikes the spans without the value in the column, but those that have it elsewhere. */
static void match_column(struct scan *c, struct column_r *column, const struct value *want,
                         const bool *elsewhere)
{
    struct text_test text = { 0 };
    uint32_t *count = count_columns(c, column);
    if (column->type != VALUE_EMPTY)
        segment_r_open_column(&c->s, column);
    if (column->type == VALUE_STR || column->type == VALUE_BYTES)
        text = text_test_of(&c->s, &column->strings, want->str);
    if (text.is_absent && !elsewhere)
        c->left = 0;
    if (is_over(c) ||
        (text.column && text.column->list && !elsewhere && match_full_column(c, &text, count)))
        return;
    const struct numbers_r *shapes = shape_of(c);
    uint64_t row = 0;
    for (uint64_t i = 0; i < c->s.spans && !is_over(c); i++) {
        bool fits = elsewhere && elsewhere[i];
        for (uint32_t n = count[number_of_row(&c->s.streams, shapes, i)]; n; n--)
            fits |= value_fits(c, column, &text, row++, want);
        if (!fits)
            strike(c, i);
    }
}

/* Which spans of a segment have something. */
struct marks {
    bool *is_set; /* NULL: none */
    uint64_t len;
};

static void mark(struct scan *c, struct marks *m, uint64_t span)
{
    if (!m->is_set)
        m->is_set = segment_r_array(&c->s, (size_t)c->s.spans, sizeof(*m->is_set));
    if (!m->is_set || m->is_set[span])
        return;
    m->is_set[span] = true;
    m->len++;
}

/* Spans whose number, of a resource or a shape, is good. */
static void mark_good(struct scan *c, struct marks *m, const bool *is_good, size_t len,
                      const struct numbers_r *(*numbers)(struct scan *))
{
    size_t good = 0;
    for (size_t i = 0; i < len; i++)
        good += is_good[i];
    const struct numbers_r *list = good ? numbers(c) : NULL;
    for (uint64_t i = 0; list && i < c->s.spans && segment_r_ok(&c->s); i++)
        if (is_good[number_of_row(&c->s.streams, list, i)])
            mark(c, m, i);
}

static void mark_resources(struct scan *c, struct marks *m, const struct attr *want)
{
    struct segment_r *s = &c->s;
    bool *has = segment_r_array(s, s->resources_len, sizeof(*has));
    for (uint32_t i = 0; has && i < s->resources_len; i++)
        has[i] = attrs_have(&s->resources[i]->attrs, want);
    if (has)
        mark_good(c, m, has, s->resources_len, resource_of);
}

static void mark_scopes(struct scan *c, struct marks *m, const struct attr *want)
{
    struct segment_r *s = &c->s;
    bool *has = segment_r_array(s, s->shapes_len, sizeof(*has));
    for (uint32_t i = 0; has && i < s->shapes_len; i++)
        has[i] = attrs_have(&s->shapes[i].like.scope->attrs, want);
    if (has)
        mark_good(c, m, has, s->shapes_len, shape_of);
}

/* Events or links, which are one stream with one numbering of texts: all of them are read. */
static void mark_pieces(struct scan *c, struct marks *m, const struct attr *want, bool are_links)
{
    struct segment_r *s = &c->s;
    struct texts_r t = texts_r_of(
        stream_get(segment_r_part(s, are_links ? PART_LINKS : PART_EVENTS)), s->mem);
    const struct numbers_r *shapes = shape_of(c);
    const uint32_t part = are_links ? SHAPE_LINKS : SHAPE_EVENTS;
    for (uint64_t i = 0; i < s->spans && segment_r_ok(s); i++) {
        if (!(s->shapes[number_of_row(&s->streams, shapes, i)].parts & part))
            continue;
        struct span span = { 0 };
        if (are_links)
            links_get(&t, &span);
        else
            events_get(&t, &span);
        segment_r_carry(s, &t.rd, are_links ? "links" : "events");
        if (segment_r_ok(s) && (are_links ? links_have : events_have)(&span, want))
            mark(c, m, i);
    }
    texts_r_done(&t);
}

static bool has_part(const struct segment_r *s, uint32_t part)
{
    for (uint32_t i = 0; i < s->shapes_len; i++)
        if (s->shapes[i].parts & part)
            return true;
    return false;
}

/* The spans that have the attribute at a level that will do, their own attributes apart. */
static struct marks mark_others(struct scan *c, const struct attr_wish *w)
{
    struct marks m = { 0 };
    if (attr_level_is_in(ATTR_OF_RESOURCE, w->level))
        mark_resources(c, &m, &w->attr);
    if (attr_level_is_in(ATTR_OF_SCOPE, w->level))
        mark_scopes(c, &m, &w->attr);
    if (attr_level_is_in(ATTR_OF_EVENT, w->level) && has_part(&c->s, SHAPE_EVENTS))
        mark_pieces(c, &m, &w->attr, false);
    if (attr_level_is_in(ATTR_OF_LINK, w->level) && has_part(&c->s, SHAPE_LINKS))
        mark_pieces(c, &m, &w->attr, true);
    return m;
}

static void keep_marked(struct scan *c, const struct marks *m)
{
    if (!m->is_set)
        c->left = 0;
    for (uint64_t i = next_in(c, 0); !is_over(c) && i < c->s.spans; i = next_in(c, i + 1))
        if (!m->is_set[i])
            strike(c, i);
}

static void match_wish(struct scan *c, const struct attr_wish *w)
{
    struct segment_r *s = &c->s;
    struct marks m = mark_others(c, w);
    struct column_r *column = NULL;
    if (!segment_r_ok(s) || m.len == s->spans)
        return;
    for (uint32_t i = 0; i < s->columns_len && !column; i++)
        if (s->columns[i].type == w->attr.value.type && sv_eq(s->columns[i].key, w->attr.key) &&
            attr_level_is_in(ATTR_OF_SPAN, w->level))
            column = &s->columns[i];
    if (column)
        match_column(c, column, &w->attr.value, m.is_set);
    else
        keep_marked(c, &m);
}

/* By their price: what the resource or the shape says is asked of all before (see match_shapes()). */
static bool is_asked_of_all(enum attr_level level)
{
    return level == ATTR_OF_RESOURCE || level == ATTR_OF_SCOPE;
}

static bool is_dear(enum attr_level level)
{
    return level == ATTR_OF_EVENT || level == ATTR_OF_LINK || level == ATTR_ANYWHERE;
}

static bool asks_resources(const struct span_query *q)
{
    for (size_t i = 0; i < q->attrs_len; i++)
        if (attr_level_is_in(ATTR_OF_RESOURCE, q->attrs[i].level))
            return true;
    return q->service.len;
}

static void match_all(struct scan *c)
{
    const struct span_query *q = c->q;
    if (q->min_duration_ns > 0)
        strike_short(c);
    if (is_over(c))
        return;
    if (asks_resources(q))
        match_resources(c);
    if (!is_over(c) && (q->attrs_len || q->kinds || q->statuses))
        match_shapes(c);
    if (!is_over(c) && q->operation.len)
        match_names(c);
    for (size_t i = 0; i < q->attrs_len && !is_over(c); i++)
        if (!is_asked_of_all(q->attrs[i].level) && !is_dear(q->attrs[i].level))
            match_wish(c, &q->attrs[i]);
    if (!is_over(c) && (q->min_duration_ns || q->max_duration_ns))
        match_durations(c);
    for (size_t i = 0; i < q->attrs_len && !is_over(c); i++)
        if (is_dear(q->attrs[i].level))
            match_wish(c, &q->attrs[i]);
}

/* The traces of the spans that are left. */
static void give_hits(struct scan *c, segment_hit_sink *sink, void *to)
{
    struct segment_r *s = &c->s;
    struct window window = query_window(c->q);
    const int64_t *from = starts(c);
    struct sv ids = stream_get(segment_r_part(s, PART_TRACE_IDS));
    struct rd lens = segment_r_bytes(s, PART_TRACE_LENS);
    if (segment_r_ok(s) && ids.len != s->traces * sizeof(struct trace_id))
        rd_fail(&s->streams.rd, ERR_MALFORMED, "ids of a segment");
    uint64_t at = 0;
    for (uint64_t t = 0; segment_r_ok(s) && t < s->traces; t++) {
        struct trace_id id;
        bool is_hit = false;
        int64_t match_ns = 0;
        for (uint64_t end = at + rd_varint(&lens); at < end; at++) {
            if (!c->is_in[at] || !window_contains(window, from[at]))
                continue;
            match_ns = is_hit ? MAX(match_ns, from[at]) : from[at];
            is_hit = true;
        }
        memcpy(id.b, ids.p + t * sizeof(id), sizeof(id));
        if (is_hit && sink(to, id, match_ns) != 0)
            rd_fail(&s->streams.rd, ERR_NOMEM, "hits");
    }
}

int segment_scan(struct segment_scratch *scratch, struct sv in, const struct span_query *q,
                 segment_hit_sink *sink, void *to, struct err *err)
{
    struct scan c = { .q = q };
    arena_reset(&scratch->mem);
    segment_r_open(&c.s, in, &scratch->mem, scratch->zstd);
    c.left = c.s.spans;
    c.is_in = segment_r_array(&c.s, (size_t)c.s.spans + sizeof(uint64_t), sizeof(*c.is_in));
    if (c.is_in)
        memset(c.is_in, true, (size_t)c.s.spans * sizeof(*c.is_in));
    if (!is_over(&c))
        match_all(&c);
    if (!is_over(&c))
        give_hits(&c, sink, to);
    int rc = rd_finish(&c.s.streams.rd, err);
    scratch->zstd = c.s.streams.zstd;
    c.s.streams.zstd = NULL;
    segment_r_done(&c.s);
    return rc;
}
