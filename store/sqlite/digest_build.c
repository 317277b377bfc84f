/* digest_build.c - making a digest: distinct items, groups, and the bytes.
 *
 * Where items and groups come from is told by digest_r.c (a segment's bytes) and digest_w.c (a
 * segment in the making); both give the same in the same order, so the digests are the same too.
 *
 * Distinct items are collected source by source. When they are more than the filter's bytes are
 * allowed for (5 a span), the sources with the most go, and a mark for each takes their place, so
 * that asking for such a key gives "perhaps". */
#include "store/sqlite/digest_build.h"
#include "base/mem.h"
#include "base/varint.h"
#include "store/sqlite/digest_format.h"

enum {
    GROUPS_MAX = 2048,
    ITEMS_A_SPAN = 5,
    BITS_AN_ITEM = 10,
    FILTER_BYTES_A_SPAN = 4, /* a tenth of what the segment takes */
    FILTER_BYTES_MIN = 1024,
};

static void *array(struct digest_build *b, size_t n, size_t size)
{
    void *p = arena_array(b->mem, n, size);
    b->is_out_of_memory |= !p;
    return p;
}

void digest_build_init(struct digest_build *b, struct arena *mem, uint64_t spans,
                       size_t sources_max)
{
    *b = (struct digest_build){ .mem = mem, .spans = spans };
    b->sources = array(b, sources_max, sizeof(*b->sources));
    b->groups = spans ? array(b, 2 * GROUPS_MAX, sizeof(*b->groups)) : NULL;
    b->group_used = spans ? array(b, 2 * GROUPS_MAX, sizeof(*b->group_used)) : NULL;
}

void digest_build_done(struct digest_build *b)
{
    mem_free(b->items);
    mem_free(b->slots);
    *b = (struct digest_build){ 0 };
}

static int grow_slots(struct digest_build *b)
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

static int grow_items(struct digest_build *b)
{
    size_t cap = b->items_cap ? b->items_cap * 2 : 4096;
    uint64_t *items = mem_resize(b->items, cap * sizeof(*items));
    if (!items)
        return -1;
    b->items = items;
    b->items_cap = cap;
    return 0;
}

void digest_add_item(struct digest_build *b, uint64_t hash)
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

void digest_begin_source(struct digest_build *b, uint64_t unknown)
{
    b->sources[b->sources_len] = (struct digest_source){ .unknown = unknown, .from = b->items_len };
}

void digest_end_source(struct digest_build *b)
{
    struct digest_source *s = &b->sources[b->sources_len++];
    s->len = b->items_len - s->from;
}

void digest_add_attrs(struct digest_build *b, enum attr_level level, const struct attrs *a)
{
    for (uint32_t i = 0; i < a->len && !b->is_out_of_memory; i++)
        digest_add_item(b, digest_item(level, &a->list[i]));
}

void digest_begin_groups(struct digest_build *b, bool has_names)
{
    memset(b->group_used, 0, 2 * GROUPS_MAX * sizeof(*b->group_used));
    b->groups_len = 0;
    b->has_names = has_names;
}

/* The group of a span; NULL when there are too many. */
static struct digest_group *group_of(struct digest_build *b, const struct digest_group *like)
{
    size_t mask = 2 * GROUPS_MAX - 1;
    size_t at = (like->service ^ like->name * 31 ^ (size_t)like->kind << 4 ^ like->status) & mask;
    while (b->group_used[at]) {
        struct digest_group *g = &b->groups[at];
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

bool digest_add_to_group(struct digest_build *b, const struct digest_span *s)
{
    uint32_t took = digest_long(s->duration_ns);
    uint8_t took_class = digest_long_class(took);
    struct digest_group like = { .service = s->service,
                                 .name = b->has_names ? s->name : 0,
                                 .kind = digest_enum(s->kind),
                                 .status = digest_enum(s->status),
                                 .least = took_class,
                                 .most = took };
    struct digest_group *g = group_of(b, &like);
    if (!g)
        return false;
    g->least = MIN(g->least, took_class);
    g->most = MAX(g->most, took);
    return true;
}

static void put_groups(const struct digest_build *b, struct buf *out)
{
    for (size_t i = 0; i < 2 * GROUPS_MAX && b->groups_len; i++) {
        const struct digest_group *g = &b->groups[i];
        if (!b->group_used[i])
            continue;
        buf_put_le32(out, g->service);
        buf_put_le32(out, g->name);
        buf_append(out, (uint8_t[]){ g->kind, g->status, g->least }, 3);
        if (b->is_coarse)
            buf_put_u8(out, digest_long_class(g->most));
        else
            buf_put_le32(out, g->most);
    }
}

/* Leaves the largest sources out until the rest fits; the items that are left. */
static size_t choose_sources(struct digest_build *b)
{
    size_t most = (size_t)b->spans * ITEMS_A_SPAN + FILTER_BYTES_MIN, left = b->items_len;
    while (left > most) {
        struct digest_source *largest = NULL;
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

static size_t blocks_for(const struct digest_build *b, size_t items)
{
    size_t bytes = items * BITS_AN_ITEM / 8 + 1;
    bytes = MIN(bytes, (size_t)b->spans * FILTER_BYTES_A_SPAN + FILTER_BYTES_MIN);
    return items ? (bytes + DIGEST_BLOCK_BYTES - 1) / DIGEST_BLOCK_BYTES : 0;
}

static void put_filter(struct digest_build *b, size_t blocks, struct buf *out)
{
    uint32_t *words = array(b, blocks * DIGEST_BLOCK_WORDS, sizeof(*words));
    for (size_t i = 0; words && i < b->sources_len; i++) {
        const struct digest_source *s = &b->sources[i];
        if (s->is_dropped)
            set_bits(words, blocks, s->unknown);
        for (size_t k = s->from; !s->is_dropped && k < s->from + s->len; k++)
            set_bits(words, blocks, b->items[k]);
    }
    for (size_t i = 0; words && i < blocks * DIGEST_BLOCK_WORDS; i++)
        buf_put_le32(out, words[i]);
}

void digest_put(struct digest_build *b, struct buf *out)
{
    AUTO_DONE(buf) body = { 0 };
    size_t blocks = blocks_for(b, choose_sources(b));
    buf_put_le32(&body, b->has_names ? 0 : DIGEST_ANY_NAME);
    buf_put_le32(&body, (uint32_t)b->groups_len);
    buf_put_le32(&body, (uint32_t)blocks);
    put_groups(b, &body);
    put_filter(b, blocks, &body);
    buf_put(out, DIGEST_MAGIC);
    buf_put_u8(out, b->is_coarse ? DIGEST_VERSION_COARSE : DIGEST_VERSION);
    buf_put_le64(out, hash_sv(buf_sv(&body)));
    buf_put(out, buf_sv(&body));
    b->is_out_of_memory |= body.failed || out->failed;
}
