/* otlp_json.c - resources, scopes, attributes and groups of OTLP/JSON.
 *
 * The same walk as otlp_proto.c over another spelling: both end in the same structs, and a test
 * holds them to that. Keys come in any order. */
#include "ingest/otlp_json.h"
#include "base/base64.h"

static void read_value(struct json_in *j, struct gather *g, unsigned depth, struct value *ret_v);

bool json_field(struct json_in *j, struct sv *ret_key)
{
    while (jin_key(j, ret_key))
        if (!jin_null(j))
            return true;
    return false;
}

size_t json_which(struct sv key, const struct sv *names, size_t len)
{
    size_t i = 0;
    while (i < len && !sv_eq(key, names[i]))
        i++;
    return i;
}

void json_check(struct json_in *j, int rc)
{
    if (rc < 0)
        jin_fail(j, (enum err_code)rc, gather_why(rc));
}

void json_id(struct json_in *j, struct gather *g, uint8_t *out, size_t bytes, const char *what)
{
    size_t at = jin_offset(j);
    struct sv hex = jin_str(j);
    if (hex.len && !sv_to_bytes(hex, out, bytes))
        gather_bad(g, ERR_MALFORMED, at, "%s: not %zu hex digits", what, 2 * bytes);
}

int64_t json_time(struct json_in *j, struct gather *g, const char *what)
{
    size_t at = jin_offset(j);
    uint64_t ns = jin_u64(j);
    if (ns > INT64_MAX)
        gather_bad(g, ERR_MALFORMED, at, "%s: %llu is beyond the year 2262", what,
                   (unsigned long long)ns);
    return (int64_t)ns;
}

uint32_t json_u32(struct json_in *j)
{
    return (uint32_t)jin_u64(j);
}

uint64_t json_enum(struct json_in *j, const struct sv *names, size_t len)
{
    if (jin_kind(j) != JSON_STRING)
        return jin_u64(j);
    size_t i = json_which(jin_str(j), names, len);
    return i < len ? i : 0;
}

static void read_key_value(struct json_in *j, struct gather *g, unsigned depth)
{
    struct attr a = { .key = SV_NONE };
    struct sv key;
    size_t at = jin_offset(j);
    for (jin_object(j); json_field(j, &key);) {
        if (sv_eq(key, SV("key")))
            a.key = jin_str(j);
        else if (sv_eq(key, SV("value")))
            read_value(j, g, depth, &a.value);
        else
            jin_skip(j);
    }
    json_check(j, pile_add(g, &g->attrs, &a, sizeof(a), at));
}

void json_attrs(struct json_in *j, struct gather *g)
{
    for (jin_array(j); jin_element(j);)
        read_key_value(j, g, 0);
}

void json_value(struct json_in *j, struct gather *g, struct value *ret_v)
{
    read_value(j, g, 0, ret_v);
}

static void read_array(struct json_in *j, struct gather *g, unsigned depth, struct value *ret_v)
{
    size_t mark = g->values.len;
    struct sv key;
    for (jin_object(j); json_field(j, &key);) {
        if (!sv_eq(key, SV("values"))) {
            jin_skip(j);
            continue;
        }
        for (jin_array(j); jin_element(j);) {
            struct value v;
            size_t at = jin_offset(j);
            read_value(j, g, depth, &v);
            json_check(j, pile_add(g, &g->values, &v, sizeof(v), at));
        }
    }
    const void *list;
    *ret_v = (struct value){ .type = VALUE_ARRAY };
    json_check(j, pile_take(g, &g->values, mark, sizeof(struct value), &list, &ret_v->len));
    ret_v->array = list;
}

static void read_kvlist(struct json_in *j, struct gather *g, unsigned depth, struct value *ret_v)
{
    size_t mark = g->attrs.len;
    struct sv key;
    for (jin_object(j); json_field(j, &key);) {
        if (!sv_eq(key, SV("values"))) {
            jin_skip(j);
            continue;
        }
        for (jin_array(j); jin_element(j);)
            read_key_value(j, g, depth);
    }
    struct attrs list = { 0 };
    json_check(j, gather_attrs(g, mark, &list));
    *ret_v = (struct value){ .type = VALUE_KVLIST, .len = list.len };
    ret_v->kvlist = list.list;
}

/* An array or map inside depth others. */
static void read_list(struct json_in *j, struct gather *g, unsigned depth,
                      void (*read)(struct json_in *, struct gather *, unsigned, struct value *),
                      struct value *ret_v)
{
    if (depth == g->lim->value_depth) {
        gather_bad(g, ERR_LIMIT, jin_offset(j), "an attribute is nested deeper than %u",
                   g->lim->value_depth);
        jin_skip(j);
        return;
    }
    read(j, g, depth + 1, ret_v);
}

static struct value read_bytes(struct json_in *j, struct gather *g)
{
    struct value v = { .type = VALUE_BYTES };
    size_t at = jin_offset(j);
    struct sv text = jin_str(j);
    if (!base64_is_valid(text))
        gather_bad(g, ERR_MALFORMED, at, "bytesValue is not base64");
    else if (!base64_decode(&g->b->mem, text, &v.str))
        json_check(j, ERR_NOMEM);
    return v;
}

static void read_member(struct json_in *j, struct gather *g, unsigned depth, struct sv key,
                        struct value *v)
{
    static const struct sv names[] = {
        { "stringValue", 11 }, { "boolValue", 9 },    { "intValue", 8 },    { "doubleValue", 11 },
        { "arrayValue", 10 },  { "kvlistValue", 11 }, { "bytesValue", 10 },
    };
    switch (json_which(key, names, NELEMS(names))) {
    case 0: *v = (struct value){ .type = VALUE_STR, .str = jin_str(j) }; return;
    case 1: *v = (struct value){ .type = VALUE_BOOL, .boolean = jin_bool(j) }; return;
    case 2: *v = (struct value){ .type = VALUE_INT, .integer = jin_i64(j) }; return;
    case 3: *v = (struct value){ .type = VALUE_DOUBLE, .real = jin_double(j) }; return;
    case 4: read_list(j, g, depth, read_array, v); return;
    case 5: read_list(j, g, depth, read_kvlist, v); return;
    case 6: *v = read_bytes(j, g); return;
    default: jin_skip(j);
    }
}

/* An AnyValue; depth arrays and maps are around it. Several members: the last one counts. */
static void read_value(struct json_in *j, struct gather *g, unsigned depth, struct value *ret_v)
{
    struct sv key;
    *ret_v = (struct value){ .type = VALUE_EMPTY };
    if (jin_null(j)) /* protobuf's writers may say so for an empty element of an array */
        return;
    for (jin_object(j); json_field(j, &key);)
        read_member(j, g, depth, key, ret_v);
}

/* A resource or scope that cannot be read right would be wrong for all its records. */
static void must_be_good(struct json_in *j, struct gather *g)
{
    if (g->bad.code && jin_ok(j)) {
        jin_fail(j, g->bad.code, g->bad.why);
        j->in.failed.at = g->bad.at;
    }
    g->bad.code = 0;
}

static void read_resource(struct json_in *j, struct gather *g)
{
    size_t mark = g->attrs.len;
    struct attrs *attrs = &g->resource->attrs;
    struct sv key;
    for (jin_object(j); json_field(j, &key);) {
        if (sv_eq(key, SV("attributes")))
            json_attrs(j, g);
        else if (sv_eq(key, SV("droppedAttributesCount")))
            attrs->dropped = json_u32(j);
        else
            jin_skip(j);
    }
    json_check(j, gather_attrs(g, mark, attrs));
    must_be_good(j, g);
}

static void read_scope(struct json_in *j, struct gather *g)
{
    size_t mark = g->attrs.len;
    struct scope *s = g->scope;
    struct sv key;
    for (jin_object(j); json_field(j, &key);) {
        if (sv_eq(key, SV("name")))
            s->name = jin_str(j);
        else if (sv_eq(key, SV("version")))
            s->version = jin_str(j);
        else if (sv_eq(key, SV("attributes")))
            json_attrs(j, g);
        else if (sv_eq(key, SV("droppedAttributesCount")))
            s->attrs.dropped = json_u32(j);
        else
            jin_skip(j);
    }
    json_check(j, gather_attrs(g, mark, &s->attrs));
    must_be_good(j, g);
}

static void read_scope_group(struct json_in *j, struct gather *g, const struct json_group *shape)
{
    struct sv key;
    int rc = gather_scope(g);
    if (rc < 0) {
        json_check(j, rc);
        return;
    }
    for (jin_object(j); json_field(j, &key);) {
        if (sv_eq(key, shape->records))
            for (jin_array(j); jin_element(j);)
                shape->record(j, g);
        else if (sv_eq(key, SV("scope")))
            read_scope(j, g);
        else if (sv_eq(key, SV("schemaUrl")))
            g->scope->schema_url = jin_str(j);
        else
            jin_skip(j);
    }
}

static void read_group(struct json_in *j, struct gather *g, const struct json_group *shape)
{
    struct sv key;
    int rc = gather_resource(g);
    if (rc < 0) {
        json_check(j, rc);
        return;
    }
    for (jin_object(j); json_field(j, &key);) {
        if (sv_eq(key, shape->scopes))
            for (jin_array(j); jin_element(j);)
                read_scope_group(j, g, shape);
        else if (sv_eq(key, SV("resource")))
            read_resource(j, g);
        else if (sv_eq(key, SV("schemaUrl")))
            g->resource->schema_url = jin_str(j);
        else
            jin_skip(j);
    }
}

int json_request(struct sv body, struct gather *g, const struct json_group *shape, struct err *err)
{
    struct json_in j = json_in_of(body, &g->b->mem, g->lim->json_depth);
    struct sv key;
    for (jin_object(&j); json_field(&j, &key);) {
        if (sv_eq(key, shape->groups))
            for (jin_array(&j); jin_element(&j);)
                read_group(&j, g, shape);
        else
            jin_skip(&j);
    }
    return jin_finish(&j, err);
}
