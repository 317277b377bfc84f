/* semconv.c - one pass over a span's attributes that finds every name we know.
 *
 * Two dozen questions are asked of each span, most with several possible names. Searching the
 * attributes once for each name would compare hundreds of strings; instead each attribute is
 * looked up once by a hash of its ends, and the best rank for a role stays. */
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

_Static_assert(NELEMS(rows) < SEMCONV_SLOTS / 2, "chains stay short, and 255 rows fit in a byte");

static uint32_t load32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* Both ends and the length tell nearly all names apart, ours and those we do not know. */
static size_t slot_of(struct sv name)
{
    uint64_t ends = load32(name.p) | (uint64_t)load32(name.p + name.len - 4) << 32;
    return (ends + name.len) * UINT64_C(0x9e3779b97f4a7c15) >> 56 & (SEMCONV_SLOTS - 1);
}

void semconv_init(struct semconv *names)
{
    memset(names, 0, sizeof(*names));
    for (size_t i = 0; i < NELEMS(rows); i++) {
        INVARIANT(rows[i].name.len >= SEMCONV_NAME_MIN);
        size_t at = slot_of(rows[i].name);
        while (names->row[at])
            at = (at + 1) & (SEMCONV_SLOTS - 1);
        names->row[at] = (uint8_t)(i + 1);
    }
}

static const struct row *row_find(const struct semconv *names, struct sv name)
{
    if (name.len < SEMCONV_NAME_MIN)
        return NULL;
    for (size_t at = slot_of(name); names->row[at]; at = (at + 1) & (SEMCONV_SLOTS - 1))
        if (sv_eq(rows[names->row[at] - 1].name, name))
            return &rows[names->row[at] - 1];
    return NULL;
}

static bool says_something(const struct value *v)
{
    return v->type != VALUE_EMPTY && (v->type != VALUE_STR || v->str.len > 0);
}

static void take_role(struct roles *to, enum role role, const struct value *v, uint8_t rank)
{
    if (to->value[role] && to->rank[role] <= rank)
        return;
    to->value[role] = v;
    to->rank[role] = rank;
    to->played |= ROLE_BIT(role);
}

void roles_add(const struct semconv *names, struct roles *to, const struct attrs *a)
{
    for (uint32_t i = 0; i < a->len; i++) {
        const struct row *row = row_find(names, a->list[i].key);
        if (row && says_something(&a->list[i].value))
            take_role(to, row->role, &a->list[i].value, row->rank);
    }
}

void roles_join(struct roles *to, const struct roles *more)
{
    for (uint64_t left = more->played; left; left &= left - 1) {
        enum role role = (enum role)__builtin_ctzll(left);
        take_role(to, role, more->value[role], more->rank[role]);
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
