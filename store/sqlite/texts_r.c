/* texts_r.c - the reading side of texts_w.c.
 *
 * The bytes come from a file that may be damaged. Numbers are checked against what was seen so
 * far, counts against the bytes left, nesting against its limit; the first failure sticks in the
 * cursor and everything after it reads as zero. */
#include "base/mem.h"
#include "store/sqlite/texts.h"

void texts_r_done(struct texts_r *r)
{
    mem_free(r->list);
    r->list = NULL;
}

struct texts_r texts_r_of(struct sv in, struct arena *mem)
{
    return (struct texts_r){ .rd = rd_of(in), .mem = mem };
}

static void remember(struct texts_r *r, struct sv s)
{
    if (r->len == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 256;
        struct sv *list = mem_resize(r->list, cap * sizeof(*list));
        if (!list) {
            rd_fail(&r->rd, ERR_NOMEM, "%zu texts", cap);
            return;
        }
        r->list = list;
        r->cap = cap;
    }
    r->list[r->len++] = s;
}

struct sv text_get(struct texts_r *r)
{
    uint64_t ref = rd_varint(&r->rd);
    if (!rd_ok(&r->rd))
        return SV_NONE;
    if (ref >= TEXT_FIRST_REF) {
        if (ref - TEXT_FIRST_REF < r->len)
            return r->list[ref - TEXT_FIRST_REF];
        rd_fail(&r->rd, ERR_MALFORMED, "text %llu of %zu",
                (unsigned long long)(ref - TEXT_FIRST_REF), r->len);
        return SV_NONE;
    }
    struct sv s = rd_text(&r->rd);
    if (ref == TEXT_NEW && rd_ok(&r->rd))
        remember(r, s);
    return s;
}

uint32_t count_get(struct texts_r *r)
{
    uint64_t n = rd_varint(&r->rd);
    if (n > rd_left(&r->rd) || n > UINT32_MAX) {
        rd_fail(&r->rd, ERR_MALFORMED, "%llu things in %zu bytes", (unsigned long long)n,
                rd_left(&r->rd));
        return 0;
    }
    return (uint32_t)n;
}

void *list_get(struct texts_r *r, size_t n, size_t size)
{
    void *list = arena_array(r->mem, n, size);
    if (!list)
        rd_fail(&r->rd, ERR_NOMEM, "%zu elements", n);
    return list;
}

static struct value value_get_at(struct texts_r *r, unsigned depth);

static void array_get(struct texts_r *r, struct value *v, unsigned depth)
{
    struct value *array = list_get(r, v->len, sizeof(*array));
    for (uint32_t i = 0; array && i < v->len && rd_ok(&r->rd); i++)
        array[i] = value_get_at(r, depth);
    v->array = array;
}

static void kvlist_get(struct texts_r *r, struct value *v, unsigned depth)
{
    struct attr *list = list_get(r, v->len, sizeof(*list));
    for (uint32_t i = 0; list && i < v->len && rd_ok(&r->rd); i++) {
        list[i].key = text_get(r);
        list[i].value = value_get_at(r, depth);
    }
    v->kvlist = list;
}

static struct value body_get_at(struct texts_r *r, enum value_type type, unsigned depth)
{
    struct value v = { .type = type };
    uint64_t bits;
    switch (type) {
    case VALUE_EMPTY: break;
    case VALUE_STR:
    case VALUE_BYTES: v.str = text_get(r); break;
    case VALUE_BOOL: v.boolean = rd_u8(&r->rd) != 0; break;
    case VALUE_INT: v.integer = rd_zigzag(&r->rd); break;
    case VALUE_DOUBLE:
        bits = rd_le64(&r->rd);
        memcpy(&v.real, &bits, sizeof(bits));
        break;
    case VALUE_ARRAY:
    case VALUE_KVLIST:
        if (depth == VALUE_DEPTH_MAX) {
            rd_fail(&r->rd, ERR_MALFORMED, "values nest deeper than %d", VALUE_DEPTH_MAX);
            break;
        }
        v.len = count_get(r);
        if (type == VALUE_ARRAY)
            array_get(r, &v, depth + 1);
        else
            kvlist_get(r, &v, depth + 1);
        break;
    default: rd_fail(&r->rd, ERR_MALFORMED, "value type %d", (int)type);
    }
    return rd_ok(&r->rd) ? v : (struct value){ 0 };
}

static struct value value_get_at(struct texts_r *r, unsigned depth)
{
    return body_get_at(r, (enum value_type)rd_u8(&r->rd), depth);
}

struct value value_get(struct texts_r *r)
{
    return value_get_at(r, 0);
}

struct value value_body_get(struct texts_r *r, enum value_type type)
{
    return body_get_at(r, type, 0);
}

struct attrs attrs_get_all(struct texts_r *r)
{
    struct attrs a = { .len = count_get(r) };
    a.dropped = (uint32_t)rd_varint(&r->rd);
    struct attr *list = list_get(r, a.len, sizeof(*list));
    for (uint32_t i = 0; list && i < a.len && rd_ok(&r->rd); i++) {
        list[i].key = text_get(r);
        list[i].value = value_get_at(r, 0);
    }
    a.list = list;
    return rd_ok(&r->rd) ? a : (struct attrs){ 0 };
}
