/* gather.c - lists of unknown length without an allocation each.
 *
 * An attribute list's length is known only behind its last element, and a span's attributes may
 * stand between its events. Counting first would read everything twice; so elements are laid on a
 * pile that grows to the largest record of the request and is then copied to the arena once, at
 * its exact size. Most lists are a span's attributes with nothing below them; so that pile lies in the
 * arena already, and such a list stays where it is. */
#include "ingest/gather.h"
#include "base/mem.h"
#include <stdarg.h>

#define PILE_FIRST_BYTES  ((size_t)4096)
#define ATTRS_FIRST_BYTES ((size_t)640) /* 16 attributes; then half of what the batch holds */
#define ATTRS_MAX_BYTES   ((size_t)32768)

void gather_init(struct gather *g, struct batch *b, const struct limits *lim)
{
    *g = (struct gather){ .b = b, .lim = lim };
}

void gather_done(struct gather *g)
{
    mem_free(g->values.mem);
    mem_free(g->events.mem);
    mem_free(g->links.mem);
    key_orders_done(&g->key_orders);
}

int gather_resource(struct gather *g)
{
    g->resource = arena_zalloc(&g->b->mem, sizeof(*g->resource));
    return g->resource ? 0 : ERR_NOMEM;
}

int gather_scope(struct gather *g)
{
    g->scope = arena_zalloc(&g->b->mem, sizeof(*g->scope));
    return g->scope ? 0 : ERR_NOMEM;
}

void gather_bad(struct gather *g, enum err_code code, size_t at, const char *fmt, ...)
{
    if (g->bad.code)
        return;
    va_list ap;
    va_start(ap, fmt);
    g->bad.code = code;
    g->bad.at = at;
    vsnprintf(g->bad.why, sizeof(g->bad.why), fmt, ap);
    va_end(ap);
}

bool gather_record_ends(struct gather *g)
{
    if (g->bad.code == 0)
        return true;
    if (g->b->rejected++ == 0)
        g->b->first_rejection = g->bad;
    g->bad.code = 0;
    return false;
}

/* What does not fit any more moves to a larger place; the rest of the old one is lost. */
static int grow_in_arena(struct arena *a, struct pile *p)
{
    size_t cap = MIN(MAX(ATTRS_FIRST_BYTES, MAX(p->len * 2, a->held_bytes / 2)), ATTRS_MAX_BYTES);
    cap = MAX(cap, p->len * 2);
    char *mem = arena_alloc(a, cap);
    if (!mem)
        return ERR_NOMEM;
    if (p->len)
        memcpy(mem, p->mem, p->len);
    p->mem = mem;
    p->cap = cap;
    return 0;
}

int pile_grow(struct gather *g, struct pile *p)
{
    if (p == &g->attrs)
        return grow_in_arena(&g->b->mem, p);
    size_t cap = MAX(PILE_FIRST_BYTES, p->cap * 2);
    char *mem = mem_resize(p->mem, cap);
    if (!mem)
        return ERR_NOMEM;
    p->mem = mem;
    p->cap = cap;
    return 0;
}

void pile_is_full(struct gather *g, size_t at)
{
    gather_bad(g, ERR_LIMIT, at, "more than %zu elements in the lists of one record", g->lim->list);
}

static bool is_too_much(const struct gather *g, size_t more)
{
    const struct batch *b = g->b;
    size_t held = b->mem.held_bytes + b->spans_len * sizeof(*b->spans) +
                  b->calls_len * sizeof(*b->calls);
    return more > g->lim->decoded_bytes || held > g->lim->decoded_bytes - more;
}

int pile_take(struct gather *g, struct pile *p, size_t mark, size_t size, const void **ret_list,
              uint32_t *ret_len)
{
    size_t bytes = p->len - mark;
    *ret_list = NULL;
    *ret_len = (uint32_t)(bytes / size);
    p->len = mark;
    if (bytes == 0)
        return 0;
    if (mark == 0 && p == &g->attrs) {
        *ret_list = p->mem;
        p->mem += bytes;
        p->cap -= bytes;
        return is_too_much(g, 0) ? ERR_LIMIT : 0;
    }
    if (is_too_much(g, bytes))
        return ERR_LIMIT;
    void *list = arena_alloc(&g->b->mem, bytes);
    if (!list)
        return ERR_NOMEM;
    memcpy(list, p->mem + mark, bytes);
    *ret_list = list;
    return 0;
}

int gather_attrs(struct gather *g, size_t mark, struct attrs *ret_attrs)
{
    const void *list;
    int rc = pile_take(g, &g->attrs, mark, sizeof(struct attr), &list, &ret_attrs->len);
    ret_attrs->list = list;
    return rc;
}

int gather_span(struct gather *g, struct span **ret_s)
{
    if (g->b->spans_len >= g->lim->records || is_too_much(g, sizeof(**ret_s)))
        return ERR_LIMIT;
    *ret_s = batch_add_span(g->b);
    if (!*ret_s)
        return ERR_NOMEM;
    (*ret_s)->resource = g->resource;
    (*ret_s)->scope = g->scope;
    return 0;
}

int gather_call(struct gather *g, struct call **ret_c)
{
    if (g->b->calls_len >= g->lim->records || is_too_much(g, sizeof(**ret_c)))
        return ERR_LIMIT;
    *ret_c = batch_add_call(g->b);
    return *ret_c ? 0 : ERR_NOMEM;
}

struct span_marks span_marks_now(const struct gather *g)
{
    return (struct span_marks){ g->attrs.len, g->events.len, g->links.len };
}

int span_ends(struct gather *g, const struct span_marks *m, struct span *s, size_t at)
{
    const void *events = NULL, *links = NULL;
    int rc = gather_attrs(g, m->attrs, &s->attrs);
    if (rc == 0)
        rc = key_orders_find(&g->key_orders, g->b, s->attrs.list, s->attrs.len, &s->key_order);
    if (rc == 0)
        rc = pile_take(g, &g->events, m->events, sizeof(*s->events), &events, &s->events_len);
    if (rc == 0)
        rc = pile_take(g, &g->links, m->links, sizeof(*s->links), &links, &s->links_len);
    if (rc < 0)
        return rc;
    s->events = events;
    s->links = links;
    if (!trace_id_is_set(s->trace_id))
        gather_bad(g, ERR_MALFORMED, at, "the span has no trace_id");
    if (!span_id_is_set(s->span_id))
        gather_bad(g, ERR_MALFORMED, at, "the span has no span_id");
    if (!gather_record_ends(g))
        g->b->spans_len--;
    return 0;
}

enum span_kind span_kind_from_wire(uint64_t wire)
{
    return wire <= SPAN_KIND_CONSUMER ? (enum span_kind)wire : SPAN_KIND_UNSPECIFIED;
}

enum span_status span_status_from_wire(uint64_t wire)
{
    return wire <= STATUS_ERROR ? (enum span_status)wire : STATUS_UNSET;
}

const char *gather_why(int rc)
{
    return rc == ERR_LIMIT ? "the request holds more than may be decoded at once" : "out of memory";
}
