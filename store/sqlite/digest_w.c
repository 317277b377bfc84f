/* digest_w.c - the digest of a segment in the making, while it is finished.
 *
 * Its dictionaries hold the distinct texts, its columns the numbers, so nothing has to be unpacked.
 * The same items as in digest_r.c, and the groups in the same order. */
#include "store/match.h"
#include "store/sqlite/digest.h"
#include "store/sqlite/digest_build.h"
#include "store/sqlite/digest_format.h"
#include "store/sqlite/rows.h"
#include "store/sqlite/segment_format.h"
#include "store/sqlite/segment_w.h"

static bool is_over(const struct digest_build *b, const struct segment_w *w)
{
    return b->is_out_of_memory || w->failed;
}

/* Resources are kept as bytes; *ret_services has the hash of each one's service. */
static void add_resources(struct digest_build *b, struct segment_w *w, uint32_t *ret_services)
{
    digest_begin_source(b, digest_level_unknown(ATTR_OF_RESOURCE));
    for (size_t i = 0; i < w->resources.table.len && !is_over(b, w); i++) {
        struct texts_r t = texts_r_of(w->resources.table.list[i], &w->scratch);
        struct span like = { .resource = resource_get(&t) };
        if (rd_ok(&t.rd)) {
            ret_services[i] = digest_text(span_service(&like));
            digest_add_attrs(b, ATTR_OF_RESOURCE, &like.resource->attrs);
        } else {
            w->failed = true; /* they are our own bytes: only memory can be missing */
        }
        texts_r_done(&t);
    }
    digest_end_source(b);
}

static void add_scopes(struct digest_build *b, struct segment_w *w)
{
    digest_begin_source(b, digest_level_unknown(ATTR_OF_SCOPE));
    for (size_t i = 0; i < w->scopes.table.len && !is_over(b, w); i++) {
        struct texts_r t = texts_r_of(w->scopes.table.list[i], &w->scratch);
        const struct scope *scope = scope_get(&t);
        if (rd_ok(&t.rd))
            digest_add_attrs(b, ATTR_OF_SCOPE, &scope->attrs);
        else
            w->failed = true;
        texts_r_done(&t);
    }
    digest_end_source(b);
}

static struct value value_of(const struct column *c, cell v)
{
    struct value value = { .type = c->type };
    if (c->type == VALUE_INT)
        value.integer = (int64_t)v;
    else if (c->type == VALUE_BOOL)
        value.boolean = v != 0;
    else
        memcpy(&value.real, &v, sizeof(v));
    return value;
}

/* Of the numbers of a column; what came a short while ago is in already. */
static void add_numbers(struct digest_build *b, const struct column *c, const cell *values,
                        uint64_t key)
{
    enum { RECENT_BITS = 11 };
    cell recent[1 << RECENT_BITS];
    bool has_recent[1 << RECENT_BITS] = { false };
    for (uint32_t i = 0; i < c->len && !b->is_out_of_memory; i++) {
        size_t at = (values[i] * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - RECENT_BITS);
        if (has_recent[at] && recent[at] == values[i])
            continue;
        has_recent[at] = true;
        recent[at] = values[i];
        struct value v = value_of(c, values[i]);
        digest_add_item(b, digest_value(key, &v));
    }
}

static void add_column(struct digest_build *b, const struct column *c, const cell *values)
{
    uint64_t key = digest_key(ATTR_OF_SPAN, c->type, c->key);
    digest_begin_source(b, digest_key_unknown(ATTR_OF_SPAN, c->type, c->key));
    switch (c->type) {
    case VALUE_EMPTY:
    case VALUE_ARRAY:
    case VALUE_KVLIST: digest_add_item(b, key); break;
    case VALUE_STR:
    case VALUE_BYTES:
        for (uint32_t i = 0; i < c->dict.len && !b->is_out_of_memory; i++) {
            struct value v = { .type = c->type,
                               .str = sv_of(c->dict.list[i].p, c->dict.list[i].len) };
            digest_add_item(b, digest_value(key, &v));
        }
        break;
    case VALUE_INT:
    case VALUE_BOOL:
    case VALUE_DOUBLE: add_numbers(b, c, values, key); break;
    }
    digest_end_source(b);
}

static void add_extras(struct digest_build *b, const struct segment_w *w, bool of_links)
{
    enum attr_level level = of_links ? ATTR_OF_LINK : ATTR_OF_EVENT;
    size_t records = 0;
    for (size_t i = 0; i < w->extras_len; i++)
        records += of_links ? w->extras[i].links_len : w->extras[i].events_len;
    if (records == 0)
        return;
    digest_begin_source(b, digest_level_unknown(level));
    for (size_t i = 0; i < w->extras_len; i++) {
        const struct added_extra *extra = &w->extras[i];
        for (uint32_t k = 0; k < (of_links ? extra->links_len : extra->events_len); k++)
            digest_add_attrs(b, level, of_links ? &extra->links[k].attrs : &extra->events[k].attrs);
    }
    digest_end_source(b);
}

static bool fill_groups(struct digest_build *b, const struct segment_w *w, const uint32_t *services,
                        const uint32_t *names, bool has_names)
{
    digest_begin_groups(b, has_names);
    for (size_t i = 0; i < w->spans_len; i++) {
        const struct added_span *a = w->order[i];
        struct shape shape;
        memcpy(&shape, w->shapes.list[a->shape].p, sizeof(shape));
        struct digest_span span = { .service = services[a->resource],
                                    .name = names[a->name],
                                    .kind = shape.kind,
                                    .status = shape.status,
                                    .duration_ns = duration_ns(a->start_ns, a->end_ns) };
        if (!digest_add_to_group(b, &span))
            return false;
    }
    return true;
}

static int build(struct digest_build *b, struct segment_w *w, struct buf *out)
{
    uint32_t *services = segment_scratch(w, w->resources.table.len, sizeof(*services));
    uint32_t *names = segment_scratch(w, w->names.len, sizeof(*names));
    if (is_over(b, w))
        return 0;
    add_resources(b, w, services);
    add_scopes(b, w);
    for (size_t c = 0; c < w->columns_len; c++)
        add_column(b, &w->columns[c], w->column_ends[c] - w->columns[c].len);
    add_extras(b, w, false);
    add_extras(b, w, true);
    for (uint32_t i = 0; i < w->names.len; i++)
        names[i] = digest_text(sv_of(w->names.list[i].p, w->names.list[i].len));
    if (is_over(b, w))
        return 0;
    if (!fill_groups(b, w, services, names, true) && !fill_groups(b, w, services, names, false))
        return -1;
    digest_put(b, out);
    return 0;
}

int digest_of_added(struct segment_w *w, struct buf *out, struct err *err)
{
    struct digest_build b;
    int rc = 0;
    digest_build_init(&b, &w->scratch, w->spans_len, w->columns_len + ATTR_LEVELS_LEN);
    if (w->spans_len)
        rc = build(&b, w, out) < 0 ? err_set(err, ERR_LIMIT, "services of a segment") : 0;
    else
        digest_put(&b, out); /* calls alone: no search wants it */
    w->failed |= b.is_out_of_memory;
    digest_build_done(&b);
    return rc;
}
