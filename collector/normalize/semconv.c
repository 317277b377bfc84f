/* semconv.c - one pass over a span's attributes that finds every name we know.
 *
 * Two dozen questions are asked of each span, most with several possible names. Searching the
 * attributes once for each name would compare hundreds of strings; instead each attribute is
 * looked up once by a hash of its ends, and the best rank for a role stays. Where a batch says that its
 * spans have the same keys, the looking up is done for the first of them (role_places). */
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

/* Both ends and the length tell nearly all names apart, ours and those we do not know. */
static size_t slot_of(struct sv name)
{
    uint64_t ends = sv_load32(name.p) | (uint64_t)sv_load32(name.p + name.len - 4) << 32;
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
        if (sv_same(rows[names->row[at] - 1].name, name))
            return &rows[names->row[at] - 1];
    return NULL;
}

static inline bool says_something(const struct value *v)
{
    return v->type != VALUE_EMPTY && (v->type != VALUE_STR || v->str.len > 0);
}

static inline void take_role(struct roles *to, unsigned role, const struct value *v, unsigned rank)
{
    if (to->value[role] && to->rank[role] <= 2 * rank)
        return;
    to->value[role] = v;
    to->rank[role] = (uint8_t)(2 * rank);
    to->played |= ROLE_BIT(role);
}

uint64_t roles_add(const struct semconv *names, struct roles *to, const struct attrs *a)
{
    uint64_t said = 0;
    for (uint32_t i = 0; i < a->len; i++) {
        const struct row *row = row_find(names, a->list[i].key);
        if (!row || !says_something(&a->list[i].value))
            continue;
        take_role(to, row->role, &a->list[i].value, row->rank);
        said |= ROLE_BIT(row->role);
    }
    return said;
}

void roles_give_way(struct roles *r)
{
    for (size_t i = 0; i < ROLES_LEN; i++)
        r->rank[i] |= 1;
}

bool role_places_of(const struct semconv *names, const struct attrs *a,
                    struct role_places *ret_places)
{
    ret_places->len = 0;
    for (uint32_t i = 0; i < a->len; i++) {
        const struct row *row = row_find(names, a->list[i].key);
        if (!row)
            continue;
        if (ret_places->len == ROLE_PLACES_MAX || i > UINT16_MAX)
            return false;
        ret_places->list[ret_places->len++] = (struct role_place){ (uint16_t)i, (uint8_t)row->role,
                                                                   row->rank };
    }
    return true;
}

uint64_t roles_add_at(const struct role_places *p, struct roles *to, const struct attr *list)
{
    uint64_t said = 0;
    for (uint32_t i = 0; i < p->len; i++) {
        const struct role_place *place = &p->list[i];
        const struct value *v = &list[place->at].value;
        if (!says_something(v))
            continue;
        take_role(to, place->role, v, place->rank);
        said |= ROLE_BIT(place->role);
    }
    return said;
}
