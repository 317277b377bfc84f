/* digest_r.c - a digest from the segment's own bytes: for segments that were written before there
 * were digests, and to check the others.
 *
 * The columns already hold the distinct texts of most keys, so an attribute is hashed once a
 * segment and not once a span; numbers and texts without a dictionary are hashed each time. */
#include "store/match.h"
#include "store/sqlite/digest.h"
#include "store/sqlite/digest_build.h"
#include "store/sqlite/digest_format.h"
#include "store/sqlite/segment_format.h"
#include "store/sqlite/segment_r.h"

struct build {
    struct segment_r s;
    struct digest_build d;
};

static bool is_over(const struct build *b)
{
    return b->d.is_out_of_memory || !segment_r_ok(&b->s);
}

static void add_texts(struct build *b, uint64_t key, struct column_r *c)
{
    struct value v = { .type = c->type };
    for (uint32_t i = 0; c->strings.list && i < c->strings.numbers.limit; i++) {
        v.str = c->strings.list[i];
        digest_add_item(&b->d, digest_value(key, &v));
    }
    while (!c->strings.list && strings_have_more(&c->strings) && !is_over(b)) {
        v.str = string_next(&b->s.streams, &c->strings);
        digest_add_item(&b->d, digest_value(key, &v));
    }
}

static void add_column(struct build *b, struct column_r *c)
{
    uint64_t key = digest_key(ATTR_OF_SPAN, c->type, c->key);
    digest_begin_source(&b->d, digest_key_unknown(ATTR_OF_SPAN, c->type, c->key));
    if (c->type == VALUE_EMPTY || c->type == VALUE_ARRAY || c->type == VALUE_KVLIST) {
        digest_add_item(&b->d, key);
        digest_end_source(&b->d);
        return;
    }
    segment_r_open_column(&b->s, c);
    if (c->type == VALUE_STR || c->type == VALUE_BYTES)
        add_texts(b, key, c);
    else
        while (rd_left(&c->values.rd) && !is_over(b)) {
            struct value v = value_body_get(&c->values, c->type);
            segment_r_carry(&b->s, &c->values.rd, "column");
            digest_add_item(&b->d, digest_value(key, &v));
        }
    digest_end_source(&b->d);
}

static void add_events(struct build *b, const uint32_t *shape_of)
{
    struct segment_r *s = &b->s;
    struct texts_r t = texts_r_of(stream_get(segment_r_part(s, PART_EVENTS)), s->mem);
    digest_begin_source(&b->d, digest_level_unknown(ATTR_OF_EVENT));
    for (uint64_t i = 0; i < s->spans && !is_over(b); i++) {
        struct span span = { 0 };
        if (!(s->shapes[shape_of[i]].parts & SHAPE_EVENTS))
            continue;
        events_get(&t, &span);
        segment_r_carry(s, &t.rd, "events");
        for (uint32_t e = 0; e < span.events_len && !is_over(b); e++)
            digest_add_attrs(&b->d, ATTR_OF_EVENT, &span.events[e].attrs);
    }
    digest_end_source(&b->d);
    texts_r_done(&t);
}

static void add_links(struct build *b, const uint32_t *shape_of)
{
    struct segment_r *s = &b->s;
    struct texts_r t = texts_r_of(stream_get(segment_r_part(s, PART_LINKS)), s->mem);
    digest_begin_source(&b->d, digest_level_unknown(ATTR_OF_LINK));
    for (uint64_t i = 0; i < s->spans && !is_over(b); i++) {
        struct span span = { 0 };
        if (!(s->shapes[shape_of[i]].parts & SHAPE_LINKS))
            continue;
        links_get(&t, &span);
        segment_r_carry(s, &t.rd, "links");
        for (uint32_t e = 0; e < span.links_len && !is_over(b); e++)
            digest_add_attrs(&b->d, ATTR_OF_LINK, &span.links[e].attrs);
    }
    digest_end_source(&b->d);
    texts_r_done(&t);
}

static void add_owners(struct build *b)
{
    digest_begin_source(&b->d, digest_level_unknown(ATTR_OF_RESOURCE));
    for (uint32_t i = 0; i < b->s.resources_len; i++)
        digest_add_attrs(&b->d, ATTR_OF_RESOURCE, &b->s.resources[i]->attrs);
    digest_end_source(&b->d);
    digest_begin_source(&b->d, digest_level_unknown(ATTR_OF_SCOPE));
    for (uint32_t i = 0; i < b->s.scopes_len; i++)
        digest_add_attrs(&b->d, ATTR_OF_SCOPE, &b->s.scopes[i]->attrs);
    digest_end_source(&b->d);
}

static void read_items(struct build *b, const uint32_t *shape_of)
{
    bool has_events = false, has_links = false;
    for (uint32_t i = 0; i < b->s.shapes_len; i++) {
        has_events |= b->s.shapes[i].parts & SHAPE_EVENTS;
        has_links |= b->s.shapes[i].parts & SHAPE_LINKS;
    }
    add_owners(b);
    for (uint32_t i = 0; i < b->s.columns_len && !is_over(b); i++)
        add_column(b, &b->s.columns[i]);
    if (has_events && !is_over(b))
        add_events(b, shape_of);
    if (has_links && !is_over(b))
        add_links(b, shape_of);
}

/* What the groups are made of, a row a span. */
struct rows {
    const uint32_t *shape_of, *resource_of, *names;
    const uint32_t *services; /* by resource */
    const int64_t *starts, *durations;
};

static bool fill_groups(struct build *b, const struct rows *r, bool has_names)
{
    digest_begin_groups(&b->d, has_names);
    for (uint64_t i = 0; i < b->s.spans; i++) {
        const struct span *shape = &b->s.shapes[r->shape_of[i]].like;
        int64_t end_ns = (int64_t)((uint64_t)r->starts[i] + (uint64_t)r->durations[i]);
        struct digest_span span = { .service = r->services[r->resource_of[i]],
                                    .name = r->names[i],
                                    .kind = (unsigned)shape->kind,
                                    .status = (unsigned)shape->status,
                                    .duration_ns = duration_ns(r->starts[i], end_ns) };
        if (!digest_add_to_group(&b->d, &span))
            return false;
    }
    return true;
}

static uint32_t *name_hashes(struct build *b)
{
    struct segment_r *s = &b->s;
    struct strings_r names = strings_get(segment_r_part(s, PART_NAMES));
    uint32_t *list = segment_r_array(s, (size_t)s->spans, sizeof(*list));
    if (!list || !segment_r_ok(s))
        return NULL;
    if (!names.list) {
        for (uint64_t i = 0; i < s->spans && segment_r_ok(s); i++)
            list[i] = digest_text(string_next(&s->streams, &names));
        return list;
    }
    uint32_t *hashes = segment_r_array(s, names.numbers.limit, sizeof(*hashes));
    for (uint32_t i = 0; hashes && i < names.numbers.limit; i++)
        hashes[i] = digest_text(names.list[i]);
    numbers_all(&s->streams, &names.numbers, list, (size_t)s->spans);
    for (uint64_t i = 0; segment_r_ok(s) && i < s->spans; i++)
        list[i] = hashes[list[i]];
    return list;
}

static uint32_t *service_hashes(struct build *b)
{
    uint32_t *list = segment_r_array(&b->s, b->s.resources_len, sizeof(*list));
    for (uint32_t i = 0; list && i < b->s.resources_len; i++) {
        struct span like = { .resource = b->s.resources[i] };
        list[i] = digest_text(span_service(&like));
    }
    return list;
}

static void read_groups(struct build *b, struct rows *r)
{
    struct segment_r *s = &b->s;
    r->resource_of = segment_r_numbers(s, PART_RESOURCE_OF, s->resources_len);
    r->names = name_hashes(b);
    r->services = service_hashes(b);
    r->starts = segment_r_starts(s);
    r->durations = segment_r_zigzags(s, PART_DURATIONS);
    if (!is_over(b) && !fill_groups(b, r, true) && !fill_groups(b, r, false))
        rd_fail(&s->streams.rd, ERR_LIMIT, "services of a segment");
}

static void build(struct build *b, struct buf *out)
{
    struct rows rows = { 0 };
    segment_r_resources(&b->s);
    segment_r_scopes(&b->s);
    segment_r_shapes(&b->s);
    rows.shape_of = segment_r_numbers(&b->s, PART_SHAPE_OF, b->s.shapes_len);
    if (!is_over(b))
        read_items(b, rows.shape_of);
    if (!is_over(b))
        read_groups(b, &rows);
    if (!is_over(b))
        digest_put(&b->d, out);
}

int digest_encode(struct segment_scratch *scratch, struct sv segment, bool is_coarse,
                  struct buf *out, struct err *err)
{
    struct build b = { 0 };
    arena_reset(&scratch->mem);
    segment_r_open(&b.s, segment, &scratch->mem, scratch->zstd);
    /* The levels but the spans', and every column. */
    digest_build_init(&b.d, &scratch->mem, b.s.spans, b.s.columns_len + ATTR_LEVELS_LEN);
    b.d.is_coarse = is_coarse;
    if (segment_r_ok(&b.s) && b.s.spans)
        build(&b, out);
    else if (segment_r_ok(&b.s))
        digest_put(&b.d, out); /* calls alone: no search wants it */
    int rc = rd_finish(&b.s.streams.rd, err);
    scratch->zstd = b.s.streams.zstd;
    b.s.streams.zstd = NULL;
    segment_r_done(&b.s);
    bool is_out_of_memory = b.d.is_out_of_memory;
    digest_build_done(&b.d);
    return rc == 0 && is_out_of_memory ? err_set(err, ERR_NOMEM, "digest of a segment") : rc;
}
