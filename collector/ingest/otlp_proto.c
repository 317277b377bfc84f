/* otlp_proto.c - resources, scopes, attributes and groups of OTLP in protobuf.
 *
 * One pass, no copy of text: a request of thousands of spans costs a few arena chunks. A group's
 * resource may stand behind its spans on the wire, so the struct is made first and the spans point
 * to it whether it is filled already or not. */
#include "ingest/otlp_proto.h"

static void read_value(struct rd *r, struct pb_tag t, struct gather *g, unsigned depth,
                       struct value *ret_v);

void proto_check(struct rd *r, int rc)
{
    if (rc < 0)
        rd_fail(r, (enum err_code)rc, "%s", gather_why(rc));
}

void proto_id(struct rd *r, struct pb_tag t, struct gather *g, uint8_t *out, size_t bytes,
              const char *what)
{
    size_t at = rd_offset(r);
    struct sv id = pb_bytes(r, t);
    if (id.len == bytes)
        memcpy(out, id.p, bytes);
    else if (id.len)
        gather_bad(g, ERR_MALFORMED, at, "%s: %zu bytes, expected %zu", what, id.len, bytes);
}

int64_t proto_time(struct rd *r, struct pb_tag t, struct gather *g, const char *what)
{
    size_t at = rd_offset(r);
    uint64_t ns = pb_fixed64(r, t);
    if (ns > INT64_MAX)
        gather_bad(g, ERR_MALFORMED, at, "%s: %llu is beyond the year 2262", what,
                   (unsigned long long)ns);
    return (int64_t)ns;
}

static inline uint16_t le16_at(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

/* The usual value but strings: a small integer, a boolean or a double, len >= 2 bytes. */
static bool read_short_value(const uint8_t *at, size_t len, struct value *ret_v)
{
    enum { INT = OTLP_VALUE_INT << 3 | PB_VARINT, BOOL = OTLP_VALUE_BOOL << 3 | PB_VARINT };
    enum { DOUBLE = OTLP_VALUE_DOUBLE << 3 | PB_FIXED64 };
    ret_v->len = 0;
    if (at[0] == INT && len == 2 && at[1] < 0x80) {
        ret_v->type = VALUE_INT;
        ret_v->integer = at[1];
    } else if (at[0] == INT && len == 3 && at[1] >= 0x80 && at[2] < 0x80) {
        ret_v->type = VALUE_INT;
        ret_v->integer = (at[1] & 0x7f) | at[2] << 7;
    } else if (at[0] == BOOL && len == 2 && at[1] < 0x80) {
        ret_v->type = VALUE_BOOL;
        ret_v->boolean = at[1] != 0;
    } else if (at[0] == DOUBLE && len == 9) {
        uint64_t bits = le64_at(at + 1);
        ret_v->type = VALUE_DOUBLE;
        memcpy(&ret_v->real, &bits, sizeof(ret_v->real));
    } else {
        return false;
    }
    return true;
}

/* The usual KeyValue: key then value, every length one byte. at stands on its length. Its length and
 * that byte; 0 when it is anything else or ends behind end: *ret_a may then hold anything. */
static inline size_t read_short_attr(const uint8_t *at, const uint8_t *end, struct attr *ret_a)
{
    enum { KEY = OTLP_KEY_VALUE_KEY << 3 | PB_BYTES, VALUE = OTLP_KEY_VALUE_VALUE << 3 | PB_BYTES };
    enum { STRING = OTLP_VALUE_STRING << 3 | PB_BYTES };
    size_t left = (size_t)(end - at), len = left ? at[0] : 0;
    /* tag and length of the key, the key, tag and length of the value, tag and first byte in it */
    if (len >= left || len - 6 > 0x7f - 6 || at[1] != KEY || at[2] > len - 6)
        return 0;
    size_t key_len = at[2], value_len = len - 4 - key_len; /* behind its own tag and length */
    const uint8_t *value = at + 3 + key_len;
    if (le16_at(value) != (VALUE | value_len << 8))
        return 0;
    ret_a->key = sv_of(at + 3, key_len);
    if (le16_at(value + 2) == (STRING | (value_len - 2) << 8)) {
        ret_a->value.type = VALUE_STR;
        ret_a->value.len = 0;
        ret_a->value.str = sv_of(value + 4, value_len - 2);
        return len + 1;
    }
    return read_short_value(value + 2, value_len, &ret_a->value) ? len + 1 : 0;
}

/* Usual KeyValues onto the pile, as many as come one after the other with that tag between them and
 * find room. r stands on the length of the first, and afterwards on that of the first that is not read:
 * true; or behind the last one: false. */
static bool read_usual_attrs(struct rd *r, struct gather *g, uint8_t tag)
{
    const uint8_t *at = r->at, *end = r->end;
    size_t room = pile_room(g, &g->attrs, sizeof(struct attr)), n = 0;
    bool is_next = true;
    if (!room)
        return true;
    struct attr *list = (struct attr *)(void *)(g->attrs.mem + g->attrs.len);
    while (is_next && n < room) {
        size_t bytes = read_short_attr(at, end, &list[n]);
        if (!bytes)
            break;
        n++;
        at += bytes;
        is_next = at != end && *at == tag;
        at += is_next;
    }
    g->attrs.len += n * sizeof(*list);
    r->at = at;
    return is_next;
}

static void read_key_value(struct rd *r, struct pb_tag t, struct gather *g, unsigned depth)
{
    struct attr a = { .key = SV_NONE };
    size_t at = rd_offset(r);
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case OTLP_KEY_VALUE_KEY: a.key = pb_bytes(r, u); break;
        case OTLP_KEY_VALUE_VALUE: read_value(r, u, g, depth, &a.value); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
    proto_check(r, pile_add(g, &g->attrs, &a, sizeof(a), at));
}

void proto_attrs(struct rd *r, struct pb_tag t, struct gather *g)
{
    uint8_t tag = (uint8_t)(t.field << 3 | PB_BYTES);
    if (t.wire != PB_BYTES || t.field >= 16) {
        read_key_value(r, t, g, 0);
        return;
    }
    while (read_usual_attrs(r, g, tag)) {
        read_key_value(r, t, g, 0);
        if (r->at == r->end || *r->at != tag)
            return;
        r->at++;
    }
}

void proto_value(struct rd *r, struct pb_tag t, struct gather *g, struct value *ret_v)
{
    read_value(r, t, g, 0, ret_v);
}

static void read_array(struct rd *r, struct pb_tag t, struct gather *g, unsigned depth,
                       struct value *ret_v)
{
    size_t mark = g->values.len;
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        if (u.field != OTLP_LIST_VALUES) {
            pb_skip(r, u);
            continue;
        }
        struct value v;
        size_t at = rd_offset(r);
        read_value(r, u, g, depth, &v);
        proto_check(r, pile_add(g, &g->values, &v, sizeof(v), at));
    }
    pb_leave(r, outer);
    const void *list;
    *ret_v = (struct value){ .type = VALUE_ARRAY };
    proto_check(r, pile_take(g, &g->values, mark, sizeof(struct value), &list, &ret_v->len));
    ret_v->array = list;
}

static void read_kvlist(struct rd *r, struct pb_tag t, struct gather *g, unsigned depth,
                        struct value *ret_v)
{
    size_t mark = g->attrs.len;
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        if (u.field == OTLP_LIST_VALUES)
            read_key_value(r, u, g, depth);
        else
            pb_skip(r, u);
    }
    pb_leave(r, outer);
    struct attrs list = { 0 };
    proto_check(r, gather_attrs(g, mark, &list));
    *ret_v = (struct value){ .type = VALUE_KVLIST, .len = list.len };
    ret_v->kvlist = list.list;
}

/* An array or map inside depth others. */
static void read_list(struct rd *r, struct pb_tag t, struct gather *g, unsigned depth,
                      struct value *ret_v)
{
    if (depth == g->lim->value_depth) {
        gather_bad(g, ERR_LIMIT, rd_offset(r), "an attribute is nested deeper than %u",
                   g->lim->value_depth);
        pb_skip(r, t);
    } else if (t.field == OTLP_VALUE_ARRAY) {
        read_array(r, t, g, depth + 1, ret_v);
    } else {
        read_kvlist(r, t, g, depth + 1, ret_v);
    }
}

/* An AnyValue; depth arrays and maps are around it. Several set members: the last one counts. */
static void read_value(struct rd *r, struct pb_tag t, struct gather *g, unsigned depth,
                       struct value *ret_v)
{
    struct value v = { .type = VALUE_EMPTY };
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case OTLP_VALUE_STRING:
            v = (struct value){ .type = VALUE_STR, .str = pb_bytes(r, u) };
            break;
        case OTLP_VALUE_BOOL:
            v = (struct value){ .type = VALUE_BOOL, .boolean = pb_varint(r, u) != 0 };
            break;
        case OTLP_VALUE_INT:
            v = (struct value){ .type = VALUE_INT, .integer = (int64_t)pb_varint(r, u) };
            break;
        case OTLP_VALUE_DOUBLE:
            v = (struct value){ .type = VALUE_DOUBLE, .real = pb_double(r, u) };
            break;
        case OTLP_VALUE_ARRAY:
        case OTLP_VALUE_KVLIST: read_list(r, u, g, depth, &v); break;
        case OTLP_VALUE_BYTES:
            v = (struct value){ .type = VALUE_BYTES, .str = pb_bytes(r, u) };
            break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
    *ret_v = v;
}

/* A resource or scope that cannot be read right would be wrong for all its records. */
static void must_be_good(struct rd *r, struct gather *g)
{
    if (g->bad.code && rd_ok(r)) {
        rd_fail(r, g->bad.code, "%s", g->bad.why);
        r->failed.at = g->bad.at;
    }
    g->bad.code = 0;
}

void proto_resource(struct rd *r, struct pb_tag t, struct gather *g)
{
    size_t mark = g->attrs.len;
    struct attrs *attrs = &g->resource->attrs;
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case OTLP_RESOURCE_ATTRIBUTES: proto_attrs(r, u, g); break;
        case OTLP_RESOURCE_DROPPED_ATTRIBUTES: attrs->dropped = (uint32_t)pb_varint(r, u); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
    proto_check(r, gather_attrs(g, mark, attrs));
    must_be_good(r, g);
}

void proto_scope(struct rd *r, struct pb_tag t, struct gather *g)
{
    size_t mark = g->attrs.len;
    struct scope *s = g->scope;
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        switch (u.field) {
        case OTLP_SCOPE_NAME: s->name = pb_bytes(r, u); break;
        case OTLP_SCOPE_VERSION: s->version = pb_bytes(r, u); break;
        case OTLP_SCOPE_ATTRIBUTES: proto_attrs(r, u, g); break;
        case OTLP_SCOPE_DROPPED_ATTRIBUTES: s->attrs.dropped = (uint32_t)pb_varint(r, u); break;
        default: pb_skip(r, u);
        }
    }
    pb_leave(r, outer);
    proto_check(r, gather_attrs(g, mark, &s->attrs));
    must_be_good(r, g);
}

static void read_scope_group(struct rd *r, struct pb_tag t, struct gather *g,
                             const struct proto_group *shape)
{
    int rc = gather_scope(g);
    if (rc < 0) {
        proto_check(r, rc);
        return;
    }
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        if (u.field == shape->scope_records)
            shape->record(r, u, g);
        else if (u.field == shape->scope_scope)
            proto_scope(r, u, g);
        else if (u.field == shape->scope_schema_url)
            g->scope->schema_url = pb_bytes(r, u);
        else
            pb_skip(r, u);
    }
    pb_leave(r, outer);
}

static void read_group(struct rd *r, struct pb_tag t, struct gather *g,
                       const struct proto_group *shape)
{
    int rc = gather_resource(g);
    if (rc < 0) {
        proto_check(r, rc);
        return;
    }
    const uint8_t *outer = pb_enter(r, t);
    for (struct pb_tag u; pb_next(r, &u);) {
        if (u.field == shape->group_scopes)
            read_scope_group(r, u, g, shape);
        else if (u.field == shape->group_resource)
            proto_resource(r, u, g);
        else if (u.field == shape->group_schema_url)
            g->resource->schema_url = pb_bytes(r, u);
        else
            pb_skip(r, u);
    }
    pb_leave(r, outer);
}

int proto_request(struct sv body, struct gather *g, const struct proto_group *shape,
                  struct err *err)
{
    struct rd r = rd_of(body);
    for (struct pb_tag t; pb_next(&r, &t);) {
        if (t.field == shape->request_groups)
            read_group(&r, t, g, shape);
        else
            pb_skip(&r, t);
    }
    return rd_finish(&r, err);
}
