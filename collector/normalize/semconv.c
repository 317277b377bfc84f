/* semconv.c - one pass over a span's attributes that finds every name we know.
 *
 * Two dozen questions are asked of each span, most with several possible names. Searching the
 * attributes once for each name would compare hundreds of strings; instead each attribute is
 * looked up once in the sorted table (about six comparisons), and the best rank for a role stays. */
#include "normalize/semconv.h"

struct row {
    struct sv name;
    enum role role;
    uint8_t rank;
};

static const struct row rows[] = {
#define SEMCONV(name, role, rank) { SV(name), ROLE_##role, rank },
#include "normalize/semconv.def"
#undef SEMCONV
};

static const struct row *row_find(struct sv name)
{
    size_t lo = 0, hi = NELEMS(rows);
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int order = sv_cmp(name, rows[mid].name);
        if (order == 0)
            return &rows[mid];
        if (order < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

static bool says_something(const struct value *v)
{
    return v->type != VALUE_EMPTY && (v->type != VALUE_STR || v->str.len > 0);
}

void roles_add(struct roles *to, const struct attrs *a)
{
    for (uint32_t i = 0; i < a->len; i++) {
        const struct row *row = row_find(a->list[i].key);
        if (!row || !says_something(&a->list[i].value))
            continue;
        if (to->value[row->role] && to->rank[row->role] <= row->rank)
            continue;
        to->value[row->role] = &a->list[i].value;
        to->key[row->role] = a->list[i].key;
        to->rank[row->role] = row->rank;
    }
}

struct sv roles_str(const struct roles *r, enum role role)
{
    const struct value *v = r->value[role];
    return v && v->type == VALUE_STR ? v->str : SV_NONE;
}

bool roles_int(const struct roles *r, enum role role, int64_t *ret_v)
{
    const struct value *v = r->value[role];
    if (v && v->type == VALUE_INT) {
        *ret_v = v->integer;
        return true;
    }
    return v && v->type == VALUE_STR && sv_to_i64(v->str, ret_v);
}
