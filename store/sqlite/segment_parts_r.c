/* segment_parts_r.c - opening a segment: its head, where its parts stand, its tables.
 *
 * The checksum is looked at first; what is left to distrust then is a writer of ours with a fault,
 * or somebody who can compute a checksum, so every count and number is still checked. Parts are
 * passed over in the order they were written and unpacked when somebody asks for them: a search
 * touches two or three of them, a whole read all. */
#include "base/hash.h"
#include "base/mem.h"
#include "store/sqlite/segment_format.h"
#include "store/sqlite/segment_r.h"

/* Texts are two streams: the distinct ones and their numbers, or lengths and bytes. */
static const uint8_t streams_of[SEGMENT_PARTS_LEN] = {
    [PART_BATCHES] = 1,   [PART_BATCH_OF] = 1,     [PART_TRACE_IDS] = 1, [PART_TRACE_LENS] = 1,
    [PART_SPAN_IDS] = 1,  [PART_PARENTS] = 1,      [PART_STRANGERS] = 1, [PART_STARTS] = 1,
    [PART_DURATIONS] = 1, [PART_NAMES] = 2,        [PART_RESOURCES] = 1, [PART_RESOURCE_OF] = 1,
    [PART_SCOPES] = 1,    [PART_KEYS] = 1,         [PART_SHAPES] = 1,    [PART_SHAPE_OF] = 1,
    [PART_MESSAGES] = 2,  [PART_TRACE_STATES] = 2, [PART_EVENTS] = 1,    [PART_LINKS] = 1,
};

void segment_r_carry(struct segment_r *s, const struct rd *part, const char *what)
{
    if (!rd_ok(part))
        rd_fail(&s->streams.rd, part->failed.code, "%s: %s", what, part->failed.why);
}

void *segment_r_array(struct segment_r *s, size_t n, size_t size)
{
    void *p = arena_array(s->mem, n, size);
    if (!p)
        rd_fail(&s->streams.rd, ERR_NOMEM, "%zu elements", n);
    return p;
}

struct streams_r *segment_r_part(struct segment_r *s, enum segment_part part)
{
    if (segment_r_ok(s))
        s->streams.rd.at = s->part_at[part];
    return &s->streams;
}

struct rd segment_r_bytes(struct segment_r *s, enum segment_part part)
{
    return rd_of(stream_get(segment_r_part(s, part)));
}

uint32_t *segment_r_numbers(struct segment_r *s, enum segment_part part, uint32_t limit)
{
    struct numbers_r n = numbers_get(segment_r_part(s, part), limit);
    uint32_t *list = segment_r_array(s, (size_t)s->spans, sizeof(*list));
    if (list)
        numbers_all(&s->streams, &n, list, (size_t)s->spans);
    return segment_r_ok(s) ? list : NULL;
}

int64_t *segment_r_zigzags(struct segment_r *s, enum segment_part part)
{
    struct rd rd = segment_r_bytes(s, part);
    int64_t *list = segment_r_array(s, (size_t)s->spans, sizeof(*list));
    if (list && segment_r_ok(s))
        zigzags_all(&s->streams, &rd, list, (size_t)s->spans);
    return segment_r_ok(s) ? list : NULL;
}

int64_t *segment_r_starts(struct segment_r *s)
{
    struct rd lens = segment_r_bytes(s, PART_TRACE_LENS);
    int64_t *list = segment_r_zigzags(s, PART_STARTS);
    uint64_t at = 0, trace_ns = 0;
    for (uint64_t t = 0; segment_r_ok(s) && t < s->traces; t++) {
        uint64_t len = rd_varint(&lens), ns = trace_ns;
        if (len > s->spans - at || len == 0)
            rd_fail(&s->streams.rd, ERR_MALFORMED, "trace of %llu spans", (unsigned long long)len);
        for (uint64_t end = at + len; segment_r_ok(s) && at < end; at++) {
            ns += (uint64_t)list[at];
            if (at == end - len)
                trace_ns = ns;
            list[at] = (int64_t)ns;
        }
    }
    if (segment_r_ok(s) && at != s->spans)
        rd_fail(&s->streams.rd, ERR_MALFORMED, "traces hold fewer spans than there are");
    return segment_r_ok(s) ? list : NULL;
}

static void get_head(struct segment_r *s, struct sv in)
{
    struct rd *r = &s->streams.rd;
    struct sv magic = rd_bytes(r, SEGMENT_MAGIC.len);
    uint8_t version = rd_u8(r);
    uint64_t sum = rd_le64(r);
    if (rd_ok(r) && !sv_eq(magic, SEGMENT_MAGIC))
        rd_fail(r, ERR_MALFORMED, "not a segment");
    else if (rd_ok(r) && version != SEGMENT_VERSION && version != SEGMENT_VERSION_1)
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

static void find_parts(struct segment_r *s)
{
    for (size_t part = 0; part < SEGMENT_PARTS_LEN; part++) {
        s->part_at[part] = s->streams.rd.at;
        for (uint8_t i = 0; i < streams_of[part]; i++)
            stream_skip(&s->streams);
    }
}

/* The texts of a table: a count, then each with its length. Gives *ret_len views. */
static struct sv *get_table(struct segment_r *s, enum segment_part part, uint32_t *ret_len)
{
    struct rd rd = segment_r_bytes(s, part);
    uint64_t n = rd_varint(&rd);
    if (n > rd_left(&rd))
        rd_fail(&rd, ERR_MALFORMED, "table of %llu in %zu bytes", (unsigned long long)n,
                rd_left(&rd));
    segment_r_carry(s, &rd, "table");
    if (!segment_r_ok(s))
        return NULL;
    struct sv *list = segment_r_array(s, (size_t)n, sizeof(*list));
    for (uint64_t i = 0; list && i < n; i++)
        list[i] = rd_text(&rd);
    segment_r_carry(s, &rd, "table");
    *ret_len = (uint32_t)n;
    return segment_r_ok(s) ? list : NULL;
}

static void get_keys(struct segment_r *s)
{
    const uint8_t *behind = s->streams.rd.at;
    struct sv *keys = get_table(s, PART_KEYS, &s->columns_len);
    s->columns = keys ? segment_r_array(s, s->columns_len, sizeof(*s->columns)) : NULL;
    for (uint32_t i = 0; s->columns && i < s->columns_len; i++) {
        if (keys[i].len == 0 || (uint8_t)keys[i].p[0] > VALUE_KVLIST) {
            rd_fail(&s->streams.rd, ERR_MALFORMED, "key of column %u", i);
            return;
        }
        s->columns[i].type = (enum value_type)keys[i].p[0];
        s->columns[i].key = sv_from(keys[i], 1);
    }
    if (segment_r_ok(s))
        s->streams.rd.at = behind;
}

/* Remembers where the columns begin. */
static void find_columns(struct segment_r *s)
{
    for (uint32_t i = 0; segment_r_ok(s) && i < s->columns_len; i++) {
        struct column_r *c = &s->columns[i];
        c->stored_at = s->streams.rd.at;
        if (c->type == VALUE_EMPTY)
            continue;
        stream_skip(&s->streams);
        if (c->type == VALUE_STR || c->type == VALUE_BYTES)
            stream_skip(&s->streams);
    }
    s->calls_at = s->streams.rd.at;
}

void segment_r_open(struct segment_r *s, struct sv in, struct arena *mem, ZSTD_DCtx *zstd)
{
    *s = (struct segment_r){ .streams = streams_r_of(in, mem), .mem = mem };
    s->streams.zstd = zstd;
    get_head(s, in);
    if (segment_r_ok(s))
        find_parts(s);
    if (segment_r_ok(s))
        get_keys(s);
    if (segment_r_ok(s))
        find_columns(s);
}

void segment_r_done(struct segment_r *s)
{
    for (uint32_t i = 0; s->columns && i < s->columns_len; i++)
        texts_r_done(&s->columns[i].values);
    streams_r_done(&s->streams);
}

void segment_r_resources(struct segment_r *s)
{
    struct sv *rows = get_table(s, PART_RESOURCES, &s->resources_len);
    s->resources = rows ? segment_r_array(s, s->resources_len, sizeof(*s->resources)) : NULL;
    for (uint32_t i = 0; s->resources && i < s->resources_len; i++) {
        AUTO_DONE(texts_r) t = texts_r_of(rows[i], s->mem);
        s->resources[i] = resource_get(&t);
        segment_r_carry(s, &t.rd, "resource");
    }
}

void segment_r_scopes(struct segment_r *s)
{
    struct sv *rows = get_table(s, PART_SCOPES, &s->scopes_len);
    s->scopes = rows ? segment_r_array(s, s->scopes_len, sizeof(*s->scopes)) : NULL;
    for (uint32_t i = 0; s->scopes && i < s->scopes_len; i++) {
        AUTO_DONE(texts_r) t = texts_r_of(rows[i], s->mem);
        s->scopes[i] = scope_get(&t);
        segment_r_carry(s, &t.rd, "scope");
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
    segment_r_carry(s, r, "shape");
    if (!segment_r_ok(s))
        return;
    to->like.scope = s->scopes[scope];
    to->parts = (uint32_t)parts;
    to->columns = columns;
}

void segment_r_shapes(struct segment_r *s)
{
    struct sv *rows = get_table(s, PART_SHAPES, &s->shapes_len);
    s->shapes = rows ? segment_r_array(s, s->shapes_len, sizeof(*s->shapes)) : NULL;
    for (uint32_t i = 0; s->shapes && segment_r_ok(s) && i < s->shapes_len; i++)
        get_shape(s, rows[i], &s->shapes[i]);
}

void segment_r_open_column(struct segment_r *s, struct column_r *c)
{
    c->is_open = true;
    c->values.mem = s->mem;
    if (!segment_r_ok(s))
        return;
    s->streams.rd.at = c->stored_at;
    if (c->type == VALUE_STR || c->type == VALUE_BYTES) {
        c->strings = strings_get(&s->streams);
        return;
    }
    texts_r_done(&c->values); /* it may have been open before: two predicates on one column */
    c->values = texts_r_of(stream_get(&s->streams), s->mem);
}
