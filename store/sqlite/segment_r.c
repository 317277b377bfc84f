/* segment_r.c - reading a segment back into spans and calls, or only some of its traces.
 *
 * Each span takes the next value of each column that its shape names. Spans that are not wanted only
 * count how often their shape was met: the columns move on by so much when the next one is. Who
 * wants a summary only gets spans without attributes, events, links and texts beside the name, and
 * none of that is unpacked. */
#include "store/sqlite/segment_r.h"
#include "base/mem.h"
#include "store/sqlite/segment_calls.h"
#include "store/sqlite/segment_format.h"

/* The columns that spans are put together from. */
struct spans_r {
    struct segment_r s;
    bool is_outline; /* attributes, events and other texts are left out */
    struct sv trace_ids, span_ids;
    struct rd trace_lens, parents, strangers, starts, durations;
    struct strings_r names, messages, trace_states;
    struct numbers_r resource_of, shape_of;
    struct texts_r events, links;
};

static void get_origins(struct segment_r *s, struct segment_origins *o)
{
    if (!o)
        return;
    struct rd rd = segment_r_bytes(s, PART_BATCHES);
    struct numbers_r batch_of = numbers_get(segment_r_part(s, PART_BATCH_OF), (uint32_t)s->batches);
    if (!segment_r_ok(s))
        return;
    if (s->batches > rd_left(&rd)) { /* each takes at least one byte */
        rd_fail(&s->streams.rd, ERR_MALFORMED, "batches of a segment");
        return;
    }
    *o = (struct segment_origins){ .batches_len = (size_t)s->batches };
    o->received_ns = segment_r_array(s, o->batches_len, sizeof(*o->received_ns));
    o->calls_len = segment_r_array(s, o->batches_len, sizeof(*o->calls_len));
    o->batch_of_span = segment_r_array(s, (size_t)s->spans, sizeof(*o->batch_of_span));
    uint64_t ns = 0, calls = 0;
    for (size_t i = 0; segment_r_ok(s) && i < o->batches_len; i++) {
        o->received_ns[i] = (int64_t)(ns += (uint64_t)rd_zigzag(&rd));
        uint64_t here = rd_varint(&rd);
        calls += here;
        if (here > s->calls || calls > s->calls)
            rd_fail(&rd, ERR_MALFORMED, "more calls in batches than there are");
        o->calls_len[i] = (uint32_t)here;
        segment_r_carry(s, &rd, "batches");
    }
    for (uint64_t i = 0; segment_r_ok(s) && i < s->spans; i++)
        o->batch_of_span[i] = number_next(&s->streams, &batch_of);
}

static void open_ids(struct spans_r *p)
{
    struct segment_r *s = &p->s;
    p->trace_ids = stream_get(segment_r_part(s, PART_TRACE_IDS));
    if (p->trace_ids.len != s->traces * sizeof(struct trace_id))
        rd_fail(&s->streams.rd, ERR_MALFORMED, "ids of a segment");
}

static void open_columns(struct spans_r *p)
{
    struct segment_r *s = &p->s;
    p->trace_lens = segment_r_bytes(s, PART_TRACE_LENS);
    p->span_ids = stream_get(segment_r_part(s, PART_SPAN_IDS));
    p->parents = segment_r_bytes(s, PART_PARENTS);
    p->strangers = segment_r_bytes(s, PART_STRANGERS);
    p->starts = segment_r_bytes(s, PART_STARTS);
    p->durations = segment_r_bytes(s, PART_DURATIONS);
    if (p->span_ids.len != s->spans * sizeof(struct span_id))
        rd_fail(&s->streams.rd, ERR_MALFORMED, "ids of a segment");
    p->names = strings_get(segment_r_part(s, PART_NAMES));
    segment_r_resources(s);
    p->resource_of = numbers_get(segment_r_part(s, PART_RESOURCE_OF), s->resources_len);
    segment_r_scopes(s);
    segment_r_shapes(s);
    p->shape_of = numbers_get(segment_r_part(s, PART_SHAPE_OF), s->shapes_len);
    if (p->is_outline)
        return;
    p->messages = strings_get(segment_r_part(s, PART_MESSAGES));
    p->trace_states = strings_get(segment_r_part(s, PART_TRACE_STATES));
    p->events = texts_r_of(stream_get(segment_r_part(s, PART_EVENTS)), s->mem);
    p->links = texts_r_of(stream_get(segment_r_part(s, PART_LINKS)), s->mem);
}

static struct value value_or_fail(struct segment_r *s, struct column_r *c)
{
    struct value v = value_body_get(&c->values, c->type);
    segment_r_carry(s, &c->values.rd, "column");
    return v;
}

static struct value next_value(struct segment_r *s, struct column_r *c)
{
    if (c->type == VALUE_EMPTY)
        return (struct value){ .type = VALUE_EMPTY };
    if (!c->is_open)
        segment_r_open_column(s, c);
    uint64_t passed = c->passed;
    c->passed = 0;
    if (c->type == VALUE_STR || c->type == VALUE_BYTES) {
        strings_skip(&s->streams, &c->strings, passed);
        return (struct value){ .type = c->type, .str = string_next(&s->streams, &c->strings) };
    }
    for (; passed && segment_r_ok(s); passed--)
        (void)value_or_fail(s, c);
    return value_or_fail(s, c);
}

/* A column of one text takes no bytes a row, so memory is counted where it is asked for. */
static void get_attrs(struct segment_r *s, const struct shape *shape, struct span *span)
{
    uint64_t bytes = (uint64_t)span->attrs.len * sizeof(struct attr);
    if (bytes > s->streams.budget_bytes) {
        rd_fail(&s->streams.rd, ERR_LIMIT, "attributes of a segment");
        return;
    }
    s->streams.budget_bytes -= bytes;
    struct attr *list = segment_r_array(s, span->attrs.len, sizeof(*list));
    for (uint32_t i = 0; list && i < span->attrs.len; i++) {
        struct column_r *c = &s->columns[shape->columns[i]];
        list[i] = (struct attr){ c->key, next_value(s, c) };
    }
    span->attrs.list = list;
}

/* Where a span stands. */
struct place {
    uint64_t first;     /* of its trace, in the segment */
    uint64_t at, len;   /* in its trace */
    uint64_t before_ns; /* start of the span before */
};

static void get_parent(struct spans_r *p, const struct place *place, struct span *span)
{
    uint64_t code = rd_varint(&p->parents);
    struct sv id = SV_NONE;
    if (code == PARENT_NONE)
        return;
    if (code == PARENT_STRANGER) {
        id = rd_bytes(&p->strangers, sizeof(struct span_id));
    } else {
        uint64_t at = place->at - (uint64_t)unzigzag(code - PARENT_NEAR);
        if (at < place->len)
            id = sv_sub(p->span_ids, (size_t)(place->first + at) * sizeof(struct span_id),
                        sizeof(struct span_id));
    }
    if (id.len == sizeof(span->parent_id.b))
        memcpy(span->parent_id.b, id.p, sizeof(span->parent_id.b));
    else
        rd_fail(&p->parents, ERR_MALFORMED, "parent outside its trace");
}

static void get_ids_and_times(struct spans_r *p, struct place *place, uint64_t trace,
                              struct span *span)
{
    memcpy(span->trace_id.b, p->trace_ids.p + trace * sizeof(struct trace_id),
           sizeof(struct trace_id));
    memcpy(span->span_id.b, p->span_ids.p + (place->first + place->at) * sizeof(struct span_id),
           sizeof(struct span_id));
    get_parent(p, place, span);
    place->before_ns += (uint64_t)rd_zigzag(&p->starts);
    span->start_ns = (int64_t)place->before_ns;
    span->end_ns = (int64_t)(place->before_ns + (uint64_t)rd_zigzag(&p->durations));
}

/* Events are relative to the span's start, so they come last. */
static void get_span(struct spans_r *p, struct place *place, uint64_t trace, struct span *span)
{
    struct segment_r *s = &p->s;
    uint32_t shape_number = number_next(&s->streams, &p->shape_of);
    uint32_t resource = number_next(&s->streams, &p->resource_of);
    if (!segment_r_ok(s))
        return;
    const struct shape *shape = &s->shapes[shape_number];
    *span = shape->like;
    span->resource = s->resources[resource];
    span->name = string_next(&s->streams, &p->names);
    get_ids_and_times(p, place, trace, span);
    if (p->is_outline) {
        span->attrs.len = 0;
        return;
    }
    if (shape->parts & SHAPE_MESSAGE)
        span->status_message = string_next(&s->streams, &p->messages);
    if (shape->parts & SHAPE_TRACE_STATE)
        span->trace_state = string_next(&s->streams, &p->trace_states);
    get_attrs(s, shape, span);
    if (shape->parts & SHAPE_EVENTS)
        events_get(&p->events, span);
    if (shape->parts & SHAPE_LINKS)
        links_get(&p->links, span);
}

/* One span that is not wanted: ids and times move on, its shape remembers it. */
static void pass_span(struct spans_r *p, struct place *place)
{
    struct segment_r *s = &p->s;
    uint32_t shape_number = number_next(&s->streams, &p->shape_of);
    if (!segment_r_ok(s))
        return;
    s->shapes[shape_number].passed++;
    if (rd_varint(&p->parents) == PARENT_STRANGER)
        (void)rd_bytes(&p->strangers, sizeof(struct span_id));
    place->before_ns += (uint64_t)rd_zigzag(&p->starts);
    (void)rd_varint(&p->durations);
}

/* Moves everything but ids and times past the spans of a shape that were passed over. */
static void catch_up_shape(struct spans_r *p, struct shape *shape)
{
    struct segment_r *s = &p->s;
    struct span ignored = { 0 };
    uint64_t passed = shape->passed;
    shape->passed = 0;
    numbers_skip(&s->streams, &p->resource_of, passed);
    strings_skip(&s->streams, &p->names, passed);
    if (p->is_outline)
        return;
    if (shape->parts & SHAPE_MESSAGE)
        strings_skip(&s->streams, &p->messages, passed);
    if (shape->parts & SHAPE_TRACE_STATE)
        strings_skip(&s->streams, &p->trace_states, passed);
    for (uint64_t i = 0; segment_r_ok(s) && shape->parts & SHAPE_EVENTS && i < passed; i++) {
        events_get(&p->events, &ignored);
        segment_r_carry(s, &p->events.rd, "events");
    }
    for (uint64_t i = 0; segment_r_ok(s) && shape->parts & SHAPE_LINKS && i < passed; i++) {
        links_get(&p->links, &ignored);
        segment_r_carry(s, &p->links.rd, "links");
    }
    for (uint32_t i = 0; i < shape->like.attrs.len; i++)
        s->columns[shape->columns[i]].passed += passed;
}

static void catch_up(struct spans_r *p)
{
    struct segment_r *s = &p->s;
    for (uint32_t i = 0; segment_r_ok(s) && i < s->shapes_len; i++)
        if (s->shapes[i].passed)
            catch_up_shape(p, &s->shapes[i]);
}

static void add_span(struct spans_r *p, struct place *place, uint64_t trace, struct batch *b)
{
    struct span *span = batch_add_span(b);
    if (span)
        get_span(p, place, trace, span);
    else
        rd_fail(&p->s.streams.rd, ERR_NOMEM, "spans of a segment");
}

/* The traces to read; ids NULL means all. */
struct wanted {
    const struct trace_id *ids;
    size_t len;
    bool is_outline;
    uint64_t ends[4];    /* which last bytes the ids have, a bit each */
    const bool *is_read; /* by trace; NULL: all */
    uint64_t behind;     /* the last of them */
};

static bool is_wanted(const struct wanted *w, const char *id)
{
    uint8_t end = (uint8_t)id[sizeof(struct trace_id) - 1];
    if (!(w->ends[end / 64] >> end % 64 & 1))
        return false;
    for (size_t i = 0; i < w->len; i++)
        if (memcmp(w->ids[i].b, id, sizeof(w->ids[i].b)) == 0)
            return true;
    return false;
}

/* Which traces of the segment are wanted; false when none is. */
static bool choose_traces(struct spans_r *p, struct wanted *w)
{
    if (!w->ids) {
        w->behind = p->s.traces;
        return true;
    }
    bool *is_read = segment_r_array(&p->s, (size_t)p->s.traces, sizeof(*is_read));
    for (size_t i = 0; i < w->len; i++) {
        uint8_t end = w->ids[i].b[sizeof(struct trace_id) - 1];
        w->ends[end / 64] |= UINT64_C(1) << end % 64;
    }
    for (uint64_t t = 0; is_read && t < p->s.traces; t++) {
        is_read[t] = is_wanted(w, p->trace_ids.p + t * sizeof(struct trace_id));
        w->behind = is_read[t] ? t + 1 : w->behind;
    }
    w->is_read = is_read;
    return w->behind > 0;
}

static void get_spans(struct spans_r *p, const struct wanted *w, struct batch *b)
{
    struct segment_r *s = &p->s;
    struct place place = { 0 };
    uint64_t trace_ns = 0;
    for (uint64_t t = 0; segment_r_ok(s) && t < w->behind; t++) {
        bool is_read = !w->is_read || w->is_read[t];
        place.len = rd_varint(&p->trace_lens);
        place.before_ns = trace_ns;
        if (place.len > s->spans - place.first || place.len == 0)
            rd_fail(&p->trace_lens, ERR_MALFORMED, "trace of %llu spans",
                    (unsigned long long)place.len);
        segment_r_carry(s, &p->trace_lens, "traces");
        if (is_read)
            catch_up(p);
        for (place.at = 0; segment_r_ok(s) && place.at < place.len; place.at++) {
            if (is_read)
                add_span(p, &place, t, b);
            else
                pass_span(p, &place);
            if (place.at == 0)
                trace_ns = place.before_ns;
        }
        place.first += place.len;
    }
    if (segment_r_ok(s) && !w->ids && place.first != s->spans)
        rd_fail(&s->streams.rd, ERR_MALFORMED, "traces hold fewer spans than there are");
    const struct rd *const parts[] = { &p->parents,   &p->strangers, &p->starts,
                                       &p->durations, &p->events.rd, &p->links.rd };
    for (size_t i = 0; i < NELEMS(parts); i++)
        segment_r_carry(s, parts[i], "spans");
}

static void get_records(struct spans_r *p, const struct wanted *w, struct batch *b)
{
    struct segment_r *s = &p->s;
    open_columns(p);
    if (segment_r_ok(s))
        get_spans(p, w, b);
    if (!segment_r_ok(s) || w->ids)
        return;
    s->streams.rd.at = s->calls_at;
    segment_get_calls(&s->streams, b, s->calls, p->trace_ids);
    if (segment_r_ok(s) && rd_left(&s->streams.rd))
        rd_fail(&s->streams.rd, ERR_MALFORMED, "%zu bytes after a segment",
                rd_left(&s->streams.rd));
}

static int decode(struct sv in, struct wanted *w, struct batch *b,
                  struct segment_origins *ret_origins, struct err *err)
{
    size_t spans_len = b->spans_len, calls_len = b->calls_len;
    struct spans_r p = { .is_outline = w->is_outline };
    segment_r_open(&p.s, in, &b->mem, NULL);
    if (segment_r_ok(&p.s))
        get_origins(&p.s, ret_origins);
    if (segment_r_ok(&p.s))
        open_ids(&p);
    if (segment_r_ok(&p.s) && choose_traces(&p, w))
        get_records(&p, w, b);
    int rc = rd_finish(&p.s.streams.rd, err);
    texts_r_done(&p.events);
    texts_r_done(&p.links);
    segment_r_done(&p.s);
    if (rc < 0) { /* half-read records are nobody's business */
        b->spans_len = spans_len;
        b->calls_len = calls_len;
    }
    return rc;
}

int segment_decode(struct sv in, struct batch *b, struct segment_origins *ret_origins,
                   struct err *err)
{
    struct wanted all = { 0 };
    return decode(in, &all, b, ret_origins, err);
}

int segment_decode_traces(struct sv in, const struct trace_id *ids, size_t ids_len, bool is_outline,
                          struct batch *b, struct err *err)
{
    struct wanted some = { .ids = ids, .len = ids_len, .is_outline = is_outline };
    return decode(in, &some, b, NULL, err);
}
