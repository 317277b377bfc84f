/* rows_r.c - reading what rows_w.c wrote, believing nothing; see texts_r.c. */
#include "base/mem.h"
#include "store/sqlite/rows.h"
#include "store/sqlite/rows_format.h"
#include "store/sqlite/segment_format.h"

static void bytes_get(struct rd *r, uint8_t *to, size_t len)
{
    struct sv s = rd_bytes(r, len);
    if (s.len == len)
        memcpy(to, s.p, len);
}

const struct resource *resource_get(struct texts_r *r)
{
    struct resource *to = list_get(r, 1, sizeof(*to));
    if (to) {
        to->attrs = attrs_get_all(r);
        to->schema_url = text_get(r);
    }
    return to;
}

const struct scope *scope_get(struct texts_r *r)
{
    struct scope *to = list_get(r, 1, sizeof(*to));
    if (to) {
        to->name = text_get(r);
        to->version = text_get(r);
        to->attrs = attrs_get_all(r);
        to->schema_url = text_get(r);
    }
    return to;
}

void events_get(struct texts_r *r, struct span *s)
{
    s->events_len = count_get(r);
    struct span_event *list = list_get(r, s->events_len, sizeof(*list));
    for (uint32_t i = 0; list && i < s->events_len && rd_ok(&r->rd); i++) {
        list[i].time_ns = (int64_t)((uint64_t)s->start_ns + (uint64_t)rd_zigzag(&r->rd));
        list[i].name = text_get(r);
        list[i].attrs = attrs_get_all(r);
    }
    s->events = list;
}

void links_get(struct texts_r *r, struct span *s)
{
    s->links_len = count_get(r);
    struct span_link *list = list_get(r, s->links_len, sizeof(*list));
    for (uint32_t i = 0; list && i < s->links_len && rd_ok(&r->rd); i++) {
        bytes_get(&r->rd, list[i].trace_id.b, sizeof(list[i].trace_id.b));
        bytes_get(&r->rd, list[i].span_id.b, sizeof(list[i].span_id.b));
        list[i].trace_state = text_get(r);
        list[i].flags = (uint32_t)rd_varint(&r->rd);
        list[i].attrs = attrs_get_all(r);
    }
    s->links = list;
}

/* What the spans of a shape have in common; the values of its attributes are missing. */
struct row_shape {
    struct span span;
    uint32_t parts;
};

struct rows_r {
    struct texts_r texts;
    const struct resource *resources[SEEN_MAX];
    const struct scope *scopes[SEEN_MAX];
    uint32_t resources_len, scopes_len;
    const struct row_shape **shapes;
    size_t shapes_len, shapes_cap;
    struct trace_id trace;
    int64_t start_ns;
};

/* The resource whose number comes next, read first when it is new. */
static const struct resource *numbered_resource_get(struct rows_r *w)
{
    struct texts_r *t = &w->texts;
    uint64_t number = rd_varint(&t->rd);
    if (number > w->resources_len)
        rd_fail(&t->rd, ERR_MALFORMED, "resource %llu of %u", (unsigned long long)number,
                w->resources_len);
    if (!rd_ok(&t->rd))
        return NULL;
    if (number)
        return w->resources[number - 1];
    if (w->resources_len == SEEN_MAX)
        w->resources_len = 0;
    return w->resources[w->resources_len++] = resource_get(t);
}

static const struct scope *numbered_scope_get(struct rows_r *w)
{
    struct texts_r *t = &w->texts;
    uint64_t number = rd_varint(&t->rd);
    if (number > w->scopes_len)
        rd_fail(&t->rd, ERR_MALFORMED, "scope %llu of %u", (unsigned long long)number,
                w->scopes_len);
    if (!rd_ok(&t->rd))
        return NULL;
    if (number)
        return w->scopes[number - 1];
    if (w->scopes_len == SEEN_MAX)
        w->scopes_len = 0;
    return w->scopes[w->scopes_len++] = scope_get(t);
}

static void optional_fields_get(struct texts_r *t, struct span *s, uint64_t mask)
{
    if (mask & ROW_1_STATUS)
        s->status = (enum span_status)rd_varint(&t->rd);
    if (mask & ROW_1_FLAGS)
        s->flags = (uint32_t)rd_varint(&t->rd);
    if (mask & ROW_1_MESSAGE)
        s->status_message = text_get(t);
    if (mask & ROW_1_TRACE_STATE)
        s->trace_state = text_get(t);
    if (mask & ROW_1_DROPPED) {
        s->dropped_events = (uint32_t)rd_varint(&t->rd);
        s->dropped_links = (uint32_t)rd_varint(&t->rd);
    }
    if (mask & ROW_1_EVENTS)
        events_get(t, s);
    if (mask & ROW_1_LINKS)
        links_get(t, s);
}

static void span_1_get(struct rows_r *w, struct span *s)
{
    struct texts_r *t = &w->texts;
    uint64_t mask = rd_varint(&t->rd);
    if (mask & ~(uint64_t)ROW_1_ALL)
        rd_fail(&t->rd, ERR_MALFORMED, "span mask %llx", (unsigned long long)mask);
    if (!(mask & ROW_1_SAME_TRACE))
        bytes_get(&t->rd, w->trace.b, sizeof(w->trace.b));
    s->trace_id = w->trace;
    bytes_get(&t->rd, s->span_id.b, sizeof(s->span_id.b));
    if (mask & ROW_1_PARENT)
        bytes_get(&t->rd, s->parent_id.b, sizeof(s->parent_id.b));
    s->kind = (enum span_kind)rd_varint(&t->rd);
    s->start_ns = (int64_t)((uint64_t)w->start_ns + (uint64_t)rd_zigzag(&t->rd));
    s->end_ns = (int64_t)((uint64_t)s->start_ns + (uint64_t)rd_zigzag(&t->rd));
    w->start_ns = s->start_ns;
    s->name = text_get(t);
    s->resource = numbered_resource_get(w);
    s->scope = numbered_scope_get(w);
    optional_fields_get(t, s, mask);
    s->attrs = attrs_get_all(t);
}

/* The shape whose number plus one that is, read first when it is 0; NULL after a failure. */
static const struct row_shape *shape_get(struct rows_r *w, uint64_t ref)
{
    struct texts_r *t = &w->texts;
    if (ref > w->shapes_len)
        rd_fail(&t->rd, ERR_MALFORMED, "shape %llu of %zu", (unsigned long long)ref, w->shapes_len);
    if (!rd_ok(&t->rd))
        return NULL;
    if (ref)
        return w->shapes[ref - 1];
    if (w->shapes_len == w->shapes_cap) {
        size_t cap = w->shapes_cap ? w->shapes_cap * 2 : 16;
        const struct row_shape **more = mem_resize(w->shapes, cap * sizeof(struct row_shape *));
        if (!more) {
            rd_fail(&t->rd, ERR_NOMEM, "%zu shapes", cap);
            return NULL;
        }
        w->shapes = more;
        w->shapes_cap = cap;
    }
    struct row_shape *shape = list_get(t, 1, sizeof(*shape));
    if (!shape)
        return NULL;
    struct span *s = &shape->span;
    s->kind = (enum span_kind)rd_varint(&t->rd);
    s->status = (enum span_status)rd_varint(&t->rd);
    s->flags = (uint32_t)rd_varint(&t->rd);
    shape->parts = (uint32_t)rd_varint(&t->rd);
    s->attrs.dropped = (uint32_t)rd_varint(&t->rd);
    s->dropped_events = (uint32_t)rd_varint(&t->rd);
    s->dropped_links = (uint32_t)rd_varint(&t->rd);
    s->scope = numbered_scope_get(w);
    s->attrs.len = count_get(t);
    struct attr *keys = list_get(t, s->attrs.len, sizeof(*keys));
    for (uint32_t i = 0; keys && i < s->attrs.len && rd_ok(&t->rd); i++) {
        keys[i].key = text_get(t);
        keys[i].value.type = (enum value_type)rd_u8(&t->rd);
    }
    s->attrs.list = keys;
    if (shape->parts & ~(uint32_t)SHAPE_ALL)
        rd_fail(&t->rd, ERR_MALFORMED, "parts %x of a shape", shape->parts);
    if (!rd_ok(&t->rd))
        return NULL;
    return w->shapes[w->shapes_len++] = shape;
}

/* Values of the keys that s has from its shape: its own list replaces the shape's. */
static void values_get(struct texts_r *t, struct span *s)
{
    if (s->attrs.len > rd_left(&t->rd)) { /* each takes at least a byte */
        rd_fail(&t->rd, ERR_MALFORMED, "%u values in %zu bytes", s->attrs.len, rd_left(&t->rd));
        return;
    }
    struct attr *list = list_get(t, s->attrs.len, sizeof(*list));
    for (uint32_t i = 0; list && i < s->attrs.len && rd_ok(&t->rd); i++) {
        const struct attr *as = &s->attrs.list[i];
        list[i] = (struct attr){ as->key, value_body_get(t, as->value.type) };
        if (as->value.type == VALUE_EMPTY && rd_u8(&t->rd) != 0)
            rd_fail(&t->rd, ERR_MALFORMED, "an empty value that is not empty");
    }
    s->attrs.list = list;
}

static void span_get(struct rows_r *w, struct span *s)
{
    struct texts_r *t = &w->texts;
    uint64_t head = rd_varint(&t->rd);
    const struct row_shape *shape = shape_get(w, head >> ROW_SHAPE_SHIFT);
    if (!shape)
        return;
    *s = shape->span;
    if (!(head & ROW_SAME_TRACE))
        bytes_get(&t->rd, w->trace.b, sizeof(w->trace.b));
    s->trace_id = w->trace;
    bytes_get(&t->rd, s->span_id.b, sizeof(s->span_id.b));
    if (head & ROW_PARENT)
        bytes_get(&t->rd, s->parent_id.b, sizeof(s->parent_id.b));
    s->start_ns = (int64_t)((uint64_t)w->start_ns + (uint64_t)rd_zigzag(&t->rd));
    s->end_ns = (int64_t)((uint64_t)s->start_ns + (uint64_t)rd_zigzag(&t->rd));
    w->start_ns = s->start_ns;
    s->name = text_get(t);
    s->resource = numbered_resource_get(w);
    if (shape->parts & SHAPE_MESSAGE)
        s->status_message = text_get(t);
    if (shape->parts & SHAPE_TRACE_STATE)
        s->trace_state = text_get(t);
    if (shape->parts & SHAPE_EVENTS)
        events_get(t, s);
    if (shape->parts & SHAPE_LINKS)
        links_get(t, s);
    values_get(t, s);
}

static struct identity identity_get(struct texts_r *t)
{
    struct identity who;
    who.cluster = text_get(t);
    who.namespace = text_get(t);
    who.workload = text_get(t);
    who.service = text_get(t);
    who.version = text_get(t);
    who.principal = text_get(t);
    return who;
}

_Static_assert(TLS_STATES_LEN == 1 << ROW_TLS_BASIS_SHIFT, "every value of the bits is a state");

static unsigned enum_get(struct rd *r, unsigned len)
{
    unsigned v = rd_u8(r);
    if (v >= len) {
        rd_fail(r, ERR_MALFORMED, "value %u of an enumeration of %u", v, len);
        return 0;
    }
    return v;
}

void call_get(struct texts_r *t, struct call *c, int64_t *previous_start_ns)
{
    struct rd *r = &t->rd;
    c->reporter = (enum reporter)enum_get(r, CALL_REPORTERS_LEN);
    c->protocol = (enum protocol)enum_get(r, PROTOCOLS_LEN);
    unsigned tls = enum_get(r, CALL_PARTS_LEN << ROW_PART_SHIFT);
    c->part = (enum call_part)(tls >> ROW_PART_SHIFT);
    tls &= (1U << ROW_PART_SHIFT) - 1;
    if (tls >= TLS_BASES_LEN << ROW_TLS_BASIS_SHIFT)
        rd_fail(r, ERR_MALFORMED, "TLS basis %u of a call", tls >> ROW_TLS_BASIS_SHIFT);
    c->tls = (enum tls_state)(tls & ((1U << ROW_TLS_BASIS_SHIFT) - 1));
    c->tls_basis = (enum tls_basis)(tls >> ROW_TLS_BASIS_SHIFT);
    c->source = identity_get(t);
    c->destination = identity_get(t);
    c->start_ns = (int64_t)((uint64_t)*previous_start_ns + (uint64_t)rd_zigzag(r));
    *previous_start_ns = c->start_ns;
    c->duration_ns = rd_zigzag(r);
    c->bytes_received = rd_varint(r);
    c->bytes_sent = rd_varint(r);
    c->response_code = (uint16_t)rd_varint(r);
    c->grpc_status = (int16_t)rd_zigzag(r);
    struct sv *const texts[] = CALL_TEXTS(&c->);
    for (size_t i = 0; i < NELEMS(texts); i++)
        *texts[i] = text_get(t);
    c->peer_cert_expiry_ns = rd_zigzag(r);
    bytes_get(r, c->trace_id.b, sizeof(c->trace_id.b));
    bytes_get(r, c->span_id.b, sizeof(c->span_id.b));
}

static int read_all(struct rows_r *w, struct batch *b)
{
    struct rd *r = &w->texts.rd;
    uint8_t version = rd_u8(r);
    if (rd_ok(r) && version != ROWS_VERSION && version != ROWS_VERSION_1)
        rd_fail(r, ERR_UNSUPPORTED, "rows version %u", version);
    uint64_t spans = rd_varint(r), calls = rd_varint(r);
    for (; spans && rd_ok(r); spans--) {
        struct span *s = batch_add_span(b);
        if (!s)
            return -1;
        if (version == ROWS_VERSION_1)
            span_1_get(w, s);
        else
            span_get(w, s);
    }
    int64_t start_ns = 0;
    for (; calls && rd_ok(r); calls--) {
        struct call *c = batch_add_call(b);
        if (!c)
            return -1;
        call_get(&w->texts, c, &start_ns);
    }
    if (rd_ok(r) && rd_left(r))
        rd_fail(r, ERR_MALFORMED, "%zu bytes after the last record", rd_left(r));
    return 0;
}

int rows_decode(struct sv in, struct batch *b, struct err *err)
{
    size_t spans_len = b->spans_len, calls_len = b->calls_len;
    struct rows_r w = { .texts = texts_r_of(in, &b->mem) };
    int rc = read_all(&w, b) < 0 ? err_set(err, ERR_NOMEM, "spans of a batch")
                                 : rd_finish(&w.texts.rd, err);
    texts_r_done(&w.texts);
    mem_free(w.shapes);
    if (rc < 0) { /* half-read records are nobody's business */
        b->spans_len = spans_len;
        b->calls_len = calls_len;
    }
    return rc;
}
