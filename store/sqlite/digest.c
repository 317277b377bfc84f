/* digest.c - asking a digest.
 *
 * The groups say which services had which operations, kinds and statuses, and how long they took
 * at least (within a fifth) and at most. The filter is a blocked Bloom filter over every distinct
 * attribute of spans, resources, scopes, events and links: an item sets one bit in each of the
 * eight words of one block, so asking for it touches one cache line. At 10 bits an item it says
 * "perhaps" of about 1 in 80 that are not there; where a segment has more than 3 distinct
 * attributes a span, items get fewer bits, down to 6.4 and 1 in 15. */
#include "store/sqlite/digest.h"
#include "store/match.h"
#include "store/sqlite/digest_format.h"

uint64_t digest_key(enum attr_level level, enum value_type type, struct sv key)
{
    return hash_bytes(key.p, key.len, (uint64_t)level << 8 | (uint64_t)type);
}

uint64_t digest_key_unknown(enum attr_level level, enum value_type type, struct sv key)
{
    return hash_bytes(key.p, key.len, UINT64_C(1) << 16 | (uint64_t)level << 8 | (uint64_t)type);
}

uint64_t digest_level_unknown(enum attr_level level)
{
    return hash_bytes("level", 5, (uint64_t)level);
}

/* Equal as value_eq() means it: doubles by their bits, types apart. */
uint64_t digest_value(uint64_t key, const struct value *v)
{
    switch (v->type) {
    case VALUE_STR:
    case VALUE_BYTES: return hash_bytes(v->str.p, v->str.len, key);
    case VALUE_BOOL: return hash_bytes(v->boolean ? "1" : "0", 1, key);
    case VALUE_INT: return hash_bytes(&v->integer, sizeof(v->integer), key);
    case VALUE_DOUBLE: return hash_bytes(&v->real, sizeof(v->real), key);
    case VALUE_EMPTY:
    case VALUE_ARRAY:
    case VALUE_KVLIST: break;
    }
    return key;
}

uint64_t digest_item(enum attr_level level, const struct attr *a)
{
    return digest_value(digest_key(level, a->value.type, a->key), &a->value);
}

int digest_check(struct sv d, struct err *err)
{
    struct rd r = rd_of(d);
    struct sv magic = rd_bytes(&r, DIGEST_MAGIC.len);
    uint8_t version = rd_u8(&r);
    uint64_t sum = rd_le64(&r);
    if (rd_ok(&r) && !sv_eq(magic, DIGEST_MAGIC))
        rd_fail(&r, ERR_MALFORMED, "not a digest");
    else if (rd_ok(&r) && version != DIGEST_VERSION && version != DIGEST_VERSION_COARSE)
        rd_fail(&r, ERR_UNSUPPORTED, "digest version %u", version);
    else if (rd_ok(&r) && hash_sv(sv_from(d, rd_offset(&r))) != sum)
        rd_fail(&r, ERR_MALFORMED, "checksum of a digest");
    (void)rd_le32(&r); /* flags */
    uint64_t groups = rd_le32(&r), blocks = rd_le32(&r);
    size_t group_bytes = version == DIGEST_VERSION_COARSE ? DIGEST_GROUP_COARSE_BYTES
                                                          : DIGEST_GROUP_BYTES;
    if (rd_ok(&r) && rd_left(&r) != groups * group_bytes + blocks * DIGEST_BLOCK_BYTES)
        rd_fail(&r, ERR_MALFORMED, "length of a digest");
    return rd_finish(&r, err);
}

struct digest_query digest_query_of(const struct span_query *q)
{
    struct digest_query d = { .q = q,
                              .service = digest_text(q->service),
                              .operation = digest_text(q->operation),
                              .min_duration = digest_duration(q->min_duration_ns),
                              .min_long = digest_long(q->min_duration_ns),
                              .max_duration = digest_duration(q->max_duration_ns) };
    d.wishes_len = MIN(q->attrs_len, (size_t)DIGEST_WISHES_MAX);
    for (size_t i = 0; i < d.wishes_len; i++) {
        const struct attr *a = &q->attrs[i].attr;
        for (int k = ATTR_OF_SPAN; k <= ATTR_OF_LINK; k++) {
            enum attr_level level = (enum attr_level)k;
            if (!attr_level_is_in(level, q->attrs[i].level))
                continue;
            d.wishes[i].any[d.wishes[i].any_len++] = digest_item(level, a);
            d.wishes[i].unknown[d.wishes[i].unknown_len++] = digest_key_unknown(
                level, a->value.type, a->key);
            d.wishes[i].unknown[d.wishes[i].unknown_len++] = digest_level_unknown(level);
        }
    }
    return d;
}

static bool has_item(const uint8_t *filter, size_t blocks, uint64_t hash)
{
    if (blocks == 0)
        return false;
    const uint8_t *block = filter + digest_block(hash, blocks) * DIGEST_BLOCK_BYTES;
    for (size_t i = 0; i < DIGEST_BLOCK_WORDS; i++)
        if (!(digest_le32(block + i * sizeof(uint32_t)) & digest_bit(hash, i)))
            return false;
    return true;
}

static bool has_any(const uint8_t *filter, size_t blocks, const uint64_t *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (has_item(filter, blocks, list[i]))
            return true;
    return false;
}

static bool is_long_enough(const uint8_t *g, bool is_coarse, const struct digest_query *d)
{
    if (!d->q->min_duration_ns)
        return true;
    return is_coarse ? g[11] >= d->min_duration : digest_le32(g + 11) >= d->min_long;
}

static bool group_may_match(const uint8_t *g, bool has_names, bool is_coarse,
                            const struct digest_query *d)
{
    const struct span_query *q = d->q;
    return (!q->service.len || digest_le32(g) == d->service) &&
           (!q->operation.len || !has_names || digest_le32(g + 4) == d->operation) &&
           query_takes_kind(q, (enum span_kind)g[8]) &&
           query_takes_status(q, (enum span_status)g[9]) &&
           (!q->max_duration_ns || g[10] <= d->max_duration) && is_long_enough(g, is_coarse, d);
}

bool digest_may_match(struct sv digest, const struct digest_query *q)
{
    const uint8_t *p = (const uint8_t *)digest.p;
    size_t groups = digest_le32(p + DIGEST_GROUPS_AT), blocks = digest_le32(p + DIGEST_BLOCKS_AT);
    bool has_names = !(digest_le32(p + DIGEST_FLAGS_AT) & DIGEST_ANY_NAME);
    bool is_coarse = digest_is_coarse(digest);
    size_t group_bytes = is_coarse ? DIGEST_GROUP_COARSE_BYTES : DIGEST_GROUP_BYTES;
    p += DIGEST_HEAD_BYTES;
    const uint8_t *filter = p + groups * group_bytes;
    for (size_t i = 0; i < q->wishes_len; i++)
        if (!has_any(filter, blocks, q->wishes[i].any, q->wishes[i].any_len) &&
            !has_any(filter, blocks, q->wishes[i].unknown, q->wishes[i].unknown_len))
            return false;
    for (size_t i = 0; i < groups; i++)
        if (group_may_match(p + i * group_bytes, has_names, is_coarse, q))
            return true;
    return false;
}
