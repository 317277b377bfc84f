/* segment_r.c - reading a segment back into spans and calls, or only some of its traces.
 *
 * The checksum is looked at first; what is left to distrust then is a writer of ours with a fault,
 * or somebody who can compute a checksum, so every count and number is still checked. Columns are
 * passed over in the order they were written and unpacked when the first value is wanted; each span
 * takes the next value of each column that its shape names. Spans that are not wanted only count
 * how often their shape was met: the columns move on by so much when the next one is. */
#include "base/hash.h"
#include "base/mem.h"
#include "store/sqlite/rows.h"
#include "store/sqlite/segment.h"
#include "store/sqlite/segment_calls.h"
#include "store/sqlite/segment_format.h"
#include "store/sqlite/stream.h"

struct shape {
    struct span like; /* the fields that all spans of the shape share */
    uint32_t parts;
    const uint32_t *columns; /* one an attribute */
    uint64_t passed;         /* spans of it that the columns have not moved past yet */
};
struct column_r {
    struct sv key;
    enum value_type type;
    struct strings_r strings; /* STR, BYTES */
    struct texts_r values;    /* the other types */
    const uint8_t *stored_at; /* its first stream */
    bool is_open;
    uint64_t passed; /* values to move past before the next one */
};

struct segment_r {
    struct streams_r streams;
    struct arena *mem;
    uint64_t batches, spans, calls, traces;
    struct sv trace_ids, span_ids;
    struct rd trace_lens, parents, strangers, starts, durations;
    struct strings_r names, messages, trace_states;
    const struct resource **resources;
    const struct scope **scopes;
    struct shape *shapes;
    uint32_t resources_len, scopes_len, shapes_len, columns_len;
    struct numbers_r resource_of, shape_of;
    struct column_r *columns;
    struct texts_r events, links;
};

static void fail(struct segment_r *s, const struct rd *part, const char *what)
{
    if (!rd_ok(part))
        rd_fail(&s->streams.rd, part->failed.code, "%s: %s", what, part->failed.why);
}

static void *array(struct segment_r *s, size_t n, size_t size)
{
    void *p = arena_array(s->mem, n, size);
    if (!p)
        rd_fail(&s->streams.rd, ERR_NOMEM, "%zu elements", n);
    return p;
}

static bool ok(const struct segment_r *s)
{
    return rd_ok(&s->streams.rd);
}

static void get_head(struct segment_r *s, struct sv in)
{
    struct rd *r = &s->streams.rd;
    struct sv magic = rd_bytes(r, SEGMENT_MAGIC.len);
    uint8_t version = rd_u8(r);
    uint64_t sum = rd_le64(r);
    if (rd_ok(r) && !sv_eq(magic, SEGMENT_MAGIC))
        rd_fail(r, ERR_MALFORMED, "not a segment");
    else if (rd_ok(r) && version != SEGMENT_VERSION)
        rd_fail(r, ERR_UNSUPPORTED, "segment version %u", version);
    else if (rd_ok(r) && hash_sv(sv_from(in, rd_offset(r))) != sum)
        rd_fail(r, ERR_MALFORMED, "checksum of a segment");
    s->batches = rd_varint(r);
    s->spans = rd_varint(r);
    s->calls = rd_varint(r);
    s->traces = rd_varint(r);
    if (s->spans > SEGMENT_RECORDS_MAX || s->calls > SEGMENT_RECORDS_MAX || s->traces > s->spans ||
        s->batches > SEGMENT_RECORDS_MAX)
        rd_fail(r, ERR_LIMIT, "counts of a segment");
}

static void get_origins(struct segment_r *s, struct segment_origins *o)
{
    if (!o) {
        stream_skip(&s->streams);
        stream_skip(&s->streams);
        return;
    }
    struct rd rd = rd_of(stream_get(&s->streams));
    struct numbers_r batch_of = numbers_get(&s->streams, (uint32_t)s->batches);
    if (!ok(s))
        return;
    if (s->batches > rd_left(&rd)) { /* each takes at least one byte */
        rd_fail(&s->streams.rd, ERR_MALFORMED, "batches of a segment");
        return;
    }
    *o = (struct segment_origins){ .batches_len = (size_t)s->batches };
    o->received_ns = array(s, o->batches_len, sizeof(*o->received_ns));
    o->calls_len = array(s, o->batches_len, sizeof(*o->calls_len));
    o->batch_of_span = array(s, (size_t)s->spans, sizeof(*o->batch_of_span));
    uint64_t ns = 0, calls = 0;
    for (size_t i = 0; ok(s) && i < o->batches_len; i++) {
        o->received_ns[i] = (int64_t)(ns += (uint64_t)rd_zigzag(&rd));
        uint64_t here = rd_varint(&rd);
        calls += here;
        if (here > s->calls || calls > s->calls)
            rd_fail(&rd, ERR_MALFORMED, "more calls in batches than there are");
        o->calls_len[i] = (uint32_t)here;
        fail(s, &rd, "batches");
    }
    for (uint64_t i = 0; ok(s) && i < s->spans; i++)
        o->batch_of_span[i] = number_next(&s->streams, &batch_of);
}

static void get_ids(struct segment_r *s)
{
    struct streams_r *r = &s->streams;
    s->trace_ids = stream_get(r);
    s->trace_lens = rd_of(stream_get(r));
    s->span_ids = stream_get(r);
    s->parents = rd_of(stream_get(r));
    s->strangers = rd_of(stream_get(r));
    s->starts = rd_of(stream_get(r));
    s->durations = rd_of(stream_get(r));
    if (s->trace_ids.len != s->traces * sizeof(struct trace_id) ||
        s->span_ids.len != s->spans * sizeof(struct span_id))
        rd_fail(&r->rd, ERR_MALFORMED, "ids of a segment");
}

/* The texts of a table: a count, then each with its length. Gives *ret_len views. */
static struct sv *get_table(struct segment_r *s, uint32_t *ret_len)
{
    struct rd rd = rd_of(stream_get(&s->streams));
    uint64_t n = rd_varint(&rd);
    if (n > rd_left(&rd))
        rd_fail(&rd, ERR_MALFORMED, "table of %llu in %zu bytes", (unsigned long long)n,
                rd_left(&rd));
    fail(s, &rd, "table");
    if (!ok(s))
        return NULL;
    struct sv *list = array(s, (size_t)n, sizeof(*list));
    for (uint64_t i = 0; list && i < n; i++)
        list[i] = rd_text(&rd);
    fail(s, &rd, "table");
    *ret_len = (uint32_t)n;
    return ok(s) ? list : NULL;
}

static void get_resources(struct segment_r *s)
{
    struct sv *rows = get_table(s, &s->resources_len);
    s->resources = rows ? array(s, s->resources_len, sizeof(*s->resources)) : NULL;
    for (uint32_t i = 0; s->resources && i < s->resources_len; i++) {
        AUTO_DONE(texts_r) t = texts_r_of(rows[i], s->mem);
        s->resources[i] = resource_get(&t);
        fail(s, &t.rd, "resource");
    }
}

static void get_scopes(struct segment_r *s)
{
    struct sv *rows = get_table(s, &s->scopes_len);
    s->scopes = rows ? array(s, s->scopes_len, sizeof(*s->scopes)) : NULL;
    for (uint32_t i = 0; s->scopes && i < s->scopes_len; i++) {
        AUTO_DONE(texts_r) t = texts_r_of(rows[i], s->mem);
        s->scopes[i] = scope_get(&t);
        fail(s, &t.rd, "scope");
    }
}

static void get_keys(struct segment_r *s)
{
    struct sv *keys = get_table(s, &s->columns_len);
    s->columns = keys ? array(s, s->columns_len, sizeof(*s->columns)) : NULL;
    for (uint32_t i = 0; s->columns && i < s->columns_len; i++) {
        if (keys[i].len == 0 || (uint8_t)keys[i].p[0] > VALUE_KVLIST) {
            rd_fail(&s->streams.rd, ERR_MALFORMED, "key of column %u", i);
            return;
        }
        s->columns[i].type = (enum value_type)keys[i].p[0];
        s->columns[i].key = sv_from(keys[i], 1);
    }
}

static void get_shape(struct segment_r *s, struct sv row, struct shape *to)
{
    struct texts_r t = texts_r_of(row, s->mem);
    struct rd *r = &t.rd;
    to->like.kind = (enum span_kind)rd_varint(r);
    to->like.status = (enum span_status)rd_varint(r);
    to->like.flags = (uint32_t)rd_varint(r);
    uint64_t scope = rd_varint(r), parts = rd_varint(r);
    to->like.attrs.dropped = (uint32_t)rd_varint(r);
    to->like.dropped_events = (uint32_t)rd_varint(r);
    to->like.dropped_links = (uint32_t)rd_varint(r);
    to->like.attrs.len = count_get(&t);
    if (scope >= s->scopes_len || parts & ~(uint64_t)SHAPE_ALL)
        rd_fail(r, ERR_MALFORMED, "scope %llu, parts %llx", (unsigned long long)scope,
                (unsigned long long)parts);
    uint32_t *columns = rd_ok(r) ? list_get(&t, to->like.attrs.len, sizeof(*columns)) : NULL;
    for (uint32_t i = 0; columns && i < to->like.attrs.len; i++) {
        uint64_t column = rd_varint(r);
        if (column >= s->columns_len)
            rd_fail(r, ERR_MALFORMED, "column %llu", (unsigned long long)column);
        columns[i] = (uint32_t)column;
    }
    fail(s, r, "shape");
    if (!ok(s))
        return;
    to->like.scope = s->scopes[scope];
    to->parts = (uint32_t)parts;
    to->columns = columns;
}

static void get_shapes(struct segment_r *s)
{
    struct sv *rows = get_table(s, &s->shapes_len);
    s->shapes = rows ? array(s, s->shapes_len, sizeof(*s->shapes)) : NULL;
    for (uint32_t i = 0; s->shapes && ok(s) && i < s->shapes_len; i++)
        get_shape(s, rows[i], &s->shapes[i]);
}

/* Remembers where the columns begin. */
static void find_columns(struct segment_r *s)
{
    for (uint32_t i = 0; ok(s) && i < s->columns_len; i++) {
        struct column_r *c = &s->columns[i];
        c->stored_at = s->streams.rd.at;
        if (c->type == VALUE_EMPTY)
            continue;
        stream_skip(&s->streams);
        if (c->type == VALUE_STR || c->type == VALUE_BYTES)
            stream_skip(&s->streams);
    }
}

static void open_column(struct segment_r *s, struct column_r *c)
{
    const uint8_t *was_at = s->streams.rd.at;
    c->is_open = true;
    s->streams.rd.at = c->stored_at;
    if (c->type == VALUE_STR || c->type == VALUE_BYTES)
        c->strings = strings_get(&s->streams);
    else
        c->values = texts_r_of(stream_get(&s->streams), s->mem);
    if (ok(s))
        s->streams.rd.at = was_at;
}

static void get_attr_streams(struct segment_r *s)
{
    struct streams_r *r = &s->streams;
    s->names = strings_get(r);
    get_resources(s);
    s->resource_of = numbers_get(r, s->resources_len);
    get_scopes(s);
    get_keys(s);
    get_shapes(s);
    s->shape_of = numbers_get(r, s->shapes_len);
    s->messages = strings_get(r);
    s->trace_states = strings_get(r);
    s->events = texts_r_of(stream_get(r), s->mem);
    s->links = texts_r_of(stream_get(r), s->mem);
    find_columns(s);
}

static struct value value_or_fail(struct segment_r *s, struct column_r *c)
{
    struct value v = value_body_get(&c->values, c->type);
    fail(s, &c->values.rd, "column");
    return v;
}

static struct value next_value(struct segment_r *s, struct column_r *c)
{
    if (c->type == VALUE_EMPTY)
        return (struct value){ .type = VALUE_EMPTY };
    if (!c->is_open)
        open_column(s, c);
    uint64_t passed = c->passed;
    c->passed = 0;
    if (c->type == VALUE_STR || c->type == VALUE_BYTES) {
        strings_skip(&s->streams, &c->strings, passed);
        return (struct value){ .type = c->type, .str = string_next(&s->streams, &c->strings) };
    }
    for (; passed && ok(s); passed--)
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
    struct attr *list = array(s, span->attrs.len, sizeof(*list));
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

static void get_parent(struct segment_r *s, const struct place *place, struct span *span)
{
    uint64_t code = rd_varint(&s->parents);
    struct sv id = SV_NONE;
    if (code == PARENT_NONE)
        return;
    if (code == PARENT_STRANGER) {
        id = rd_bytes(&s->strangers, sizeof(struct span_id));
    } else {
        uint64_t at = place->at - (uint64_t)unzigzag(code - PARENT_NEAR);
        if (at < place->len)
            id = sv_sub(s->span_ids, (size_t)(place->first + at) * sizeof(struct span_id),
                        sizeof(struct span_id));
    }
    if (id.len == sizeof(span->parent_id.b))
        memcpy(span->parent_id.b, id.p, sizeof(span->parent_id.b));
    else
        rd_fail(&s->parents, ERR_MALFORMED, "parent outside its trace");
}

static void get_ids_and_times(struct segment_r *s, struct place *place, uint64_t trace,
                              struct span *span)
{
    memcpy(span->trace_id.b, s->trace_ids.p + trace * sizeof(struct trace_id),
           sizeof(struct trace_id));
    memcpy(span->span_id.b, s->span_ids.p + (place->first + place->at) * sizeof(struct span_id),
           sizeof(struct span_id));
    get_parent(s, place, span);
    place->before_ns += (uint64_t)rd_zigzag(&s->starts);
    span->start_ns = (int64_t)place->before_ns;
    span->end_ns = (int64_t)(place->before_ns + (uint64_t)rd_zigzag(&s->durations));
}

/* Events are relative to the span's start, so they come last. */
static void get_span(struct segment_r *s, struct place *place, uint64_t trace, struct span *span)
{
    uint32_t shape_number = number_next(&s->streams, &s->shape_of);
    uint32_t resource = number_next(&s->streams, &s->resource_of);
    if (!ok(s))
        return;
    const struct shape *shape = &s->shapes[shape_number];
    *span = shape->like;
    span->resource = s->resources[resource];
    span->name = string_next(&s->streams, &s->names);
    if (shape->parts & SHAPE_MESSAGE)
        span->status_message = string_next(&s->streams, &s->messages);
    if (shape->parts & SHAPE_TRACE_STATE)
        span->trace_state = string_next(&s->streams, &s->trace_states);
    get_attrs(s, shape, span);
    get_ids_and_times(s, place, trace, span);
    if (shape->parts & SHAPE_EVENTS)
        events_get(&s->events, span);
    if (shape->parts & SHAPE_LINKS)
        links_get(&s->links, span);
}

/* One span that is not wanted: ids and times move on, its shape remembers it. */
static void pass_span(struct segment_r *s, struct place *place)
{
    uint32_t shape_number = number_next(&s->streams, &s->shape_of);
    if (!ok(s))
        return;
    s->shapes[shape_number].passed++;
    if (rd_varint(&s->parents) == PARENT_STRANGER)
        (void)rd_bytes(&s->strangers, sizeof(struct span_id));
    place->before_ns += (uint64_t)rd_zigzag(&s->starts);
    (void)rd_varint(&s->durations);
}

/* Moves everything but ids and times past the spans of a shape that were passed over. */
static void catch_up_shape(struct segment_r *s, struct shape *shape)
{
    struct span ignored = { 0 };
    numbers_skip(&s->streams, &s->resource_of, shape->passed);
    strings_skip(&s->streams, &s->names, shape->passed);
    if (shape->parts & SHAPE_MESSAGE)
        strings_skip(&s->streams, &s->messages, shape->passed);
    if (shape->parts & SHAPE_TRACE_STATE)
        strings_skip(&s->streams, &s->trace_states, shape->passed);
    for (uint64_t i = 0; ok(s) && shape->parts & SHAPE_EVENTS && i < shape->passed; i++) {
        events_get(&s->events, &ignored);
        fail(s, &s->events.rd, "events");
    }
    for (uint64_t i = 0; ok(s) && shape->parts & SHAPE_LINKS && i < shape->passed; i++) {
        links_get(&s->links, &ignored);
        fail(s, &s->links.rd, "links");
    }
    for (uint32_t i = 0; i < shape->like.attrs.len; i++)
        s->columns[shape->columns[i]].passed += shape->passed;
    shape->passed = 0;
}

static void catch_up(struct segment_r *s)
{
    for (uint32_t i = 0; ok(s) && i < s->shapes_len; i++)
        if (s->shapes[i].passed)
            catch_up_shape(s, &s->shapes[i]);
}

static void add_span(struct segment_r *s, struct place *place, uint64_t trace, struct batch *b)
{
    struct span *span = batch_add_span(b);
    if (span)
        get_span(s, place, trace, span);
    else
        rd_fail(&s->streams.rd, ERR_NOMEM, "spans of a segment");
}

/* The traces to read; ids NULL means all. */
struct wanted {
    const struct trace_id *ids;
    size_t len;
};

static bool is_wanted(const struct wanted *w, const char *id)
{
    for (size_t i = 0; i < w->len; i++)
        if (memcmp(w->ids[i].b, id, sizeof(w->ids[i].b)) == 0)
            return true;
    return w->ids == NULL;
}

static void get_spans(struct segment_r *s, const struct wanted *w, struct batch *b)
{
    struct place place = { 0 };
    uint64_t trace_ns = 0;
    size_t found = 0;
    for (uint64_t t = 0; ok(s) && t < s->traces; t++) {
        bool is_read = is_wanted(w, s->trace_ids.p + t * sizeof(struct trace_id));
        place.len = rd_varint(&s->trace_lens);
        place.before_ns = trace_ns;
        if (place.len > s->spans - place.first || place.len == 0)
            rd_fail(&s->trace_lens, ERR_MALFORMED, "trace of %llu spans",
                    (unsigned long long)place.len);
        fail(s, &s->trace_lens, "traces");
        if (is_read)
            catch_up(s);
        for (place.at = 0; ok(s) && place.at < place.len; place.at++) {
            if (is_read)
                add_span(s, &place, t, b);
            else
                pass_span(s, &place);
            if (place.at == 0)
                trace_ns = place.before_ns;
        }
        place.first += place.len;
        found += is_read;
        if (w->ids && found == w->len)
            break; /* each trace stands once in a segment */
    }
    if (ok(s) && !w->ids && place.first != s->spans)
        rd_fail(&s->streams.rd, ERR_MALFORMED, "traces hold fewer spans than there are");
    const struct rd *const parts[] = { &s->parents,   &s->strangers, &s->starts,
                                       &s->durations, &s->events.rd, &s->links.rd };
    for (size_t i = 0; i < NELEMS(parts); i++)
        fail(s, parts[i], "spans");
}

static bool has_any(const struct segment_r *s, const struct wanted *w)
{
    for (uint64_t t = 0; t < s->traces; t++)
        if (is_wanted(w, s->trace_ids.p + t * sizeof(struct trace_id)))
            return true;
    return w->ids == NULL;
}

static void segment_r_done(struct segment_r *s)
{
    for (uint32_t i = 0; s->columns && i < s->columns_len; i++)
        texts_r_done(&s->columns[i].values);
    texts_r_done(&s->events);
    texts_r_done(&s->links);
    streams_r_done(&s->streams);
}

static int decode(struct sv in, const struct wanted *w, struct batch *b,
                  struct segment_origins *ret_origins, struct err *err)
{
    size_t spans_len = b->spans_len, calls_len = b->calls_len;
    struct segment_r s = { .streams = streams_r_of(in, &b->mem), .mem = &b->mem };
    struct rd *r = &s.streams.rd;
    get_head(&s, in);
    if (ok(&s))
        get_origins(&s, ret_origins);
    if (ok(&s))
        get_ids(&s);
    if (ok(&s) && has_any(&s, w)) {
        get_attr_streams(&s);
        if (ok(&s))
            get_spans(&s, w, b);
        if (ok(&s) && !w->ids)
            segment_get_calls(&s.streams, b, s.calls, s.trace_ids);
        if (ok(&s) && !w->ids && rd_left(r))
            rd_fail(r, ERR_MALFORMED, "%zu bytes after a segment", rd_left(r));
    }
    int rc = rd_finish(r, err);
    segment_r_done(&s);
    if (rc < 0) { /* half-read records are nobody's business */
        b->spans_len = spans_len;
        b->calls_len = calls_len;
    }
    return rc;
}

int segment_decode(struct sv in, struct batch *b, struct segment_origins *ret_origins,
                   struct err *err)
{
    struct wanted all = { NULL, 0 };
    return decode(in, &all, b, ret_origins, err);
}

int segment_decode_traces(struct sv in, const struct trace_id *ids, size_t ids_len, struct batch *b,
                          struct err *err)
{
    struct wanted some = { ids, ids_len };
    return decode(in, &some, b, NULL, err);
}
