/* digest_build.c - making a digest, from the segment's own bytes.
 *
 * The columns already hold the distinct texts of most keys, so an attribute is hashed once a
 * segment and not once a span; numbers and texts without a dictionary are hashed each time. Reading
 * the segment back keeps this apart from writing it, and makes the digests of segments that were
 * written before there were any. Cost: about 100 ns a span.
 *
 * Distinct items are collected column by column. When they are more than the filter's bytes are
 * allowed for (5 a span), the columns with the most go, and a mark for each takes their place, so
 * that asking for such a key gives "perhaps". */
#include "base/mem.h"
#include "store/match.h"
#include "store/sqlite/digest.h"
#include "store/sqlite/digest_format.h"
#include "store/sqlite/segment_format.h"
#include "store/sqlite/segment_r.h"

enum {
    GROUPS_MAX = 2048,
    ITEMS_A_SPAN = 5,
    BITS_AN_ITEM = 10,
    FILTER_BYTES_A_SPAN = 4, /* a tenth of what the segment takes */
    FILTER_BYTES_MIN = 1024,
};

/* The items of one column, or of a whole level. */
struct source {
    uint64_t unknown; /* the mark in its place */
    size_t from, len; /* in items[] */
    bool is_dropped;
};
struct group {
    uint32_t service, name;
    uint8_t kind, status, least, most;
};
struct build {
    struct segment_r s;
    uint64_t *items; /* distinct, in order of their sources */
    size_t items_len, items_cap;
    uint64_t *slots; /* a set of the items; 0 is free */
    size_t slots_cap;
    struct source *sources;
    size_t sources_len;
    struct group *groups; /* open addressing, by the fields before the durations */
    uint8_t *group_used;
    size_t groups_len;
    bool has_names;
    bool is_out_of_memory;
};

static int grow_slots(struct build *b)
{
    size_t cap = b->slots_cap ? b->slots_cap * 2 : 4096;
    uint64_t *slots = mem_zalloc(cap * sizeof(*slots));
    if (!slots)
        return -1;
    for (size_t i = 0; i < b->items_len; i++) {
        size_t at = b->items[i] & (cap - 1);
        while (slots[at])
            at = (at + 1) & (cap - 1);
        slots[at] = b->items[i];
    }
    mem_free(b->slots);
    b->slots = slots;
    b->slots_cap = cap;
    return 0;
}

static int grow_items(struct build *b)
{
    size_t cap = b->items_cap ? b->items_cap * 2 : 4096;
    uint64_t *items = mem_resize(b->items, cap * sizeof(*items));
    if (!items)
        return -1;
    b->items = items;
    b->items_cap = cap;
    return 0;
}

static void add_item(struct build *b, uint64_t hash)
{
    hash += hash == 0; /* as digest_bit() takes it */
    if ((b->items_len * 2 >= b->slots_cap && grow_slots(b) < 0) ||
        (b->items_len == b->items_cap && grow_items(b) < 0)) {
        b->is_out_of_memory = true;
        return;
    }
    size_t at = hash & (b->slots_cap - 1);
    while (b->slots[at] && b->slots[at] != hash)
        at = (at + 1) & (b->slots_cap - 1);
    if (b->slots[at])
        return;
    b->slots[at] = hash;
    b->items[b->items_len++] = hash;
}

static bool is_over(const struct build *b)
{
    return b->is_out_of_memory || !segment_r_ok(&b->s);
}

static void begin_source(struct build *b, uint64_t unknown)
{
    b->sources[b->sources_len] = (struct source){ .unknown = unknown, .from = b->items_len };
}

static void end_source(struct build *b)
{
    struct source *s = &b->sources[b->sources_len++];
    s->len = b->items_len - s->from;
}

static void add_attrs(struct build *b, enum attr_level level, const struct attrs *a)
{
    for (uint32_t i = 0; i < a->len && !is_over(b); i++)
        add_item(b, digest_item(level, &a->list[i]));
}

static void add_texts(struct build *b, uint64_t key, struct column_r *c)
{
    struct value v = { .type = c->type };
    for (uint32_t i = 0; c->strings.list && i < c->strings.numbers.limit; i++) {
        v.str = c->strings.list[i];
        add_item(b, digest_value(key, &v));
    }
    while (!c->strings.list && rd_left(&c->strings.lengths) && !is_over(b)) {
        v.str = string_next(&b->s.streams, &c->strings);
        add_item(b, digest_value(key, &v));
    }
}

static void add_column(struct build *b, struct column_r *c)
{
    uint64_t key = digest_key(ATTR_OF_SPAN, c->type, c->key);
    begin_source(b, digest_key_unknown(ATTR_OF_SPAN, c->type, c->key));
    if (c->type == VALUE_EMPTY || c->type == VALUE_ARRAY || c->type == VALUE_KVLIST) {
        add_item(b, key);
        end_source(b);
        return;
    }
    segment_r_open_column(&b->s, c);
    if (c->type == VALUE_STR || c->type == VALUE_BYTES)
        add_texts(b, key, c);
    else
        while (rd_left(&c->values.rd) && !is_over(b)) {
            struct value v = value_body_get(&c->values, c->type);
            segment_r_carry(&b->s, &c->values.rd, "column");
            add_item(b, digest_value(key, &v));
        }
    end_source(b);
}

static void add_events(struct build *b, const uint32_t *shape_of)
{
    struct segment_r *s = &b->s;
    struct texts_r t = texts_r_of(stream_get(segment_r_part(s, PART_EVENTS)), s->mem);
    begin_source(b, digest_level_unknown(ATTR_OF_EVENT));
    for (uint64_t i = 0; i < s->spans && !is_over(b); i++) {
        struct span span = { 0 };
        if (!(s->shapes[shape_of[i]].parts & SHAPE_EVENTS))
            continue;
        events_get(&t, &span);
        segment_r_carry(s, &t.rd, "events");
        for (uint32_t e = 0; e < span.events_len && !is_over(b); e++)
            add_attrs(b, ATTR_OF_EVENT, &span.events[e].attrs);
    }
    end_source(b);
    texts_r_done(&t);
}

static void add_links(struct build *b, const uint32_t *shape_of)
{
    struct segment_r *s = &b->s;
    struct texts_r t = texts_r_of(stream_get(segment_r_part(s, PART_LINKS)), s->mem);
    begin_source(b, digest_level_unknown(ATTR_OF_LINK));
    for (uint64_t i = 0; i < s->spans && !is_over(b); i++) {
        struct span span = { 0 };
        if (!(s->shapes[shape_of[i]].parts & SHAPE_LINKS))
            continue;
        links_get(&t, &span);
        segment_r_carry(s, &t.rd, "links");
        for (uint32_t e = 0; e < span.links_len && !is_over(b); e++)
            add_attrs(b, ATTR_OF_LINK, &span.links[e].attrs);
    }
    end_source(b);
    texts_r_done(&t);
}

static void add_owners(struct build *b)
{
    begin_source(b, digest_level_unknown(ATTR_OF_RESOURCE));
    for (uint32_t i = 0; i < b->s.resources_len; i++)
        add_attrs(b, ATTR_OF_RESOURCE, &b->s.resources[i]->attrs);
    end_source(b);
    begin_source(b, digest_level_unknown(ATTR_OF_SCOPE));
    for (uint32_t i = 0; i < b->s.scopes_len; i++)
        add_attrs(b, ATTR_OF_SCOPE, &b->s.scopes[i]->attrs);
    end_source(b);
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

/* The group of a span; NULL when there are too many. */
static struct group *group_of(struct build *b, const struct group *like)
{
    size_t mask = 2 * GROUPS_MAX - 1;
    size_t at = (like->service ^ like->name * 31 ^ (size_t)like->kind << 4 ^ like->status) & mask;
    while (b->group_used[at]) {
        struct group *g = &b->groups[at];
        if (g->service == like->service && g->name == like->name && g->kind == like->kind &&
            g->status == like->status)
            return g;
        at = (at + 1) & mask;
    }
    if (b->groups_len == GROUPS_MAX)
        return NULL;
    b->group_used[at] = 1;
    b->groups_len++;
    b->groups[at] = *like;
    return &b->groups[at];
}

/* What the groups are made of, a row a span. */
struct rows {
    const uint32_t *shape_of, *resource_of, *names;
    const uint32_t *services; /* by resource */
    const int64_t *starts, *durations;
};

static int fill_groups(struct build *b, const struct rows *r)
{
    memset(b->group_used, 0, 2 * GROUPS_MAX);
    b->groups_len = 0;
    for (uint64_t i = 0; i < b->s.spans; i++) {
        const struct span *shape = &b->s.shapes[r->shape_of[i]].like;
        int64_t end_ns = (int64_t)((uint64_t)r->starts[i] + (uint64_t)r->durations[i]);
        uint8_t took = digest_duration(duration_ns(r->starts[i], end_ns));
        struct group like = { .service = r->services[r->resource_of[i]],
                              .name = b->has_names ? r->names[i] : 0,
                              .kind = digest_enum((unsigned)shape->kind),
                              .status = digest_enum((unsigned)shape->status),
                              .least = took,
                              .most = took };
        struct group *g = group_of(b, &like);
        if (!g)
            return -1;
        g->least = MIN(g->least, took);
        g->most = MAX(g->most, took);
    }
    return 0;
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
    b->groups = segment_r_array(s, 2 * GROUPS_MAX, sizeof(*b->groups));
    b->group_used = segment_r_array(s, 2 * GROUPS_MAX, sizeof(*b->group_used));
    if (is_over(b))
        return;
    b->has_names = true;
    if (fill_groups(b, r) == 0)
        return;
    b->has_names = false;
    if (fill_groups(b, r) < 0)
        rd_fail(&s->streams.rd, ERR_LIMIT, "services of a segment");
}

static void put_groups(const struct build *b, struct buf *out)
{
    for (size_t i = 0; i < 2 * GROUPS_MAX && b->groups_len; i++) {
        const struct group *g = &b->groups[i];
        if (!b->group_used[i])
            continue;
        buf_put_le32(out, g->service);
        buf_put_le32(out, g->name);
        buf_append(out, (uint8_t[]){ g->kind, g->status, g->least, g->most }, 4);
    }
}

/* Leaves the largest sources out until the rest fits; the items that are left. */
static size_t choose_sources(struct build *b)
{
    size_t most = (size_t)b->s.spans * ITEMS_A_SPAN + FILTER_BYTES_MIN, left = b->items_len;
    while (left > most) {
        struct source *largest = NULL;
        for (size_t i = 0; i < b->sources_len; i++)
            if (!b->sources[i].is_dropped && (!largest || b->sources[i].len > largest->len))
                largest = &b->sources[i];
        largest->is_dropped = true;
        left -= largest->len - 1;
    }
    return left;
}

static void set_bits(uint32_t *words, size_t blocks, uint64_t hash)
{
    uint32_t *block = words + digest_block(hash, blocks) * DIGEST_BLOCK_WORDS;
    for (size_t i = 0; i < DIGEST_BLOCK_WORDS; i++)
        block[i] |= digest_bit(hash, i);
}

static size_t blocks_for(const struct build *b, size_t items)
{
    size_t bytes = items * BITS_AN_ITEM / 8 + 1;
    bytes = MIN(bytes, (size_t)b->s.spans * FILTER_BYTES_A_SPAN + FILTER_BYTES_MIN);
    return items ? (bytes + DIGEST_BLOCK_BYTES - 1) / DIGEST_BLOCK_BYTES : 0;
}

static void put_filter(struct build *b, size_t blocks, struct buf *out)
{
    uint32_t *words = segment_r_array(&b->s, blocks * DIGEST_BLOCK_WORDS, sizeof(*words));
    for (size_t i = 0; words && i < b->sources_len; i++) {
        const struct source *s = &b->sources[i];
        if (s->is_dropped)
            set_bits(words, blocks, s->unknown);
        for (size_t k = s->from; !s->is_dropped && k < s->from + s->len; k++)
            set_bits(words, blocks, b->items[k]);
    }
    for (size_t i = 0; words && i < blocks * DIGEST_BLOCK_WORDS; i++)
        buf_put_le32(out, words[i]);
}

static void put_digest(struct build *b, struct buf *out)
{
    AUTO_DONE(buf) body = { 0 };
    size_t blocks = blocks_for(b, choose_sources(b));
    buf_put_le32(&body, b->has_names ? 0 : DIGEST_ANY_NAME);
    buf_put_le32(&body, (uint32_t)b->groups_len);
    buf_put_le32(&body, (uint32_t)blocks);
    put_groups(b, &body);
    put_filter(b, blocks, &body);
    buf_put(out, DIGEST_MAGIC);
    buf_put_u8(out, DIGEST_VERSION);
    buf_put_le64(out, hash_sv(buf_sv(&body)));
    buf_put(out, buf_sv(&body));
    b->is_out_of_memory |= body.failed || out->failed;
}

static void build(struct build *b, struct buf *out)
{
    struct rows rows = { 0 };
    /* The levels but the spans', and every column. */
    b->sources = segment_r_array(&b->s, b->s.columns_len + ATTR_LEVELS_LEN, sizeof(*b->sources));
    segment_r_resources(&b->s);
    segment_r_scopes(&b->s);
    segment_r_shapes(&b->s);
    rows.shape_of = segment_r_numbers(&b->s, PART_SHAPE_OF, b->s.shapes_len);
    if (!is_over(b))
        read_items(b, rows.shape_of);
    if (!is_over(b))
        read_groups(b, &rows);
    if (!is_over(b))
        put_digest(b, out);
}

int digest_encode(struct segment_scratch *scratch, struct sv segment, struct buf *out,
                  struct err *err)
{
    struct build b = { 0 };
    arena_reset(&scratch->mem);
    segment_r_open(&b.s, segment, &scratch->mem, scratch->zstd);
    if (segment_r_ok(&b.s) && b.s.spans)
        build(&b, out);
    else if (segment_r_ok(&b.s))
        put_digest(&b, out); /* calls alone: no search wants it */
    int rc = rd_finish(&b.s.streams.rd, err);
    scratch->zstd = b.s.streams.zstd;
    b.s.streams.zstd = NULL;
    segment_r_done(&b.s);
    mem_free(b.items);
    mem_free(b.slots);
    return rc == 0 && b.is_out_of_memory ? err_set(err, ERR_NOMEM, "digest of a segment") : rc;
}
