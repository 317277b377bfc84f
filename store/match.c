/* match.c - predicates of a search, summaries of traces, and the orders results come in.
 *
 * Both backends use these, so that "matches" has one meaning. Orders are total as far as content
 * goes: what arrived first only decides between records that agree in time and id. */
#include "store/match.h"

struct window query_window(const struct span_query *q)
{
    if (q->window.from_ns == 0 && q->window.to_ns == 0)
        return (struct window){ INT64_MIN, INT64_MAX };
    return q->window;
}

int64_t duration_ns(int64_t start_ns, int64_t end_ns)
{
    int64_t ns;
    if (__builtin_sub_overflow(end_ns, start_ns, &ns))
        return end_ns > start_ns ? INT64_MAX : INT64_MIN;
    return ns;
}

int64_t span_duration_ns(const struct span *s)
{
    return duration_ns(s->start_ns, s->end_ns);
}

struct sv span_service(const struct span *s)
{
    return attrs_str(&s->resource->attrs, SV("service.name"));
}

bool attrs_have(const struct attrs *list, const struct attr *want)
{
    for (uint32_t i = 0; i < list->len; i++)
        if (sv_eq(list->list[i].key, want->key) && value_eq(&list->list[i].value, &want->value))
            return true;
    return false;
}

bool events_have(const struct span *s, const struct attr *want)
{
    for (uint32_t i = 0; i < s->events_len; i++)
        if (attrs_have(&s->events[i].attrs, want))
            return true;
    return false;
}

bool links_have(const struct span *s, const struct attr *want)
{
    for (uint32_t i = 0; i < s->links_len; i++)
        if (attrs_have(&s->links[i].attrs, want))
            return true;
    return false;
}

bool attr_level_is_in(enum attr_level level, enum attr_level wanted)
{
    return wanted == ATTR_ANYWHERE || level == wanted ||
           (wanted == ATTR_OF_SPAN_OR_RESOURCE &&
            (level == ATTR_OF_SPAN || level == ATTR_OF_RESOURCE));
}

static bool wish_holds(const struct attr_wish *w, const struct span *s)
{
    const struct attr *a = &w->attr;
    return (attr_level_is_in(ATTR_OF_SPAN, w->level) && attrs_have(&s->attrs, a)) ||
           (attr_level_is_in(ATTR_OF_RESOURCE, w->level) && attrs_have(&s->resource->attrs, a)) ||
           (attr_level_is_in(ATTR_OF_SCOPE, w->level) && attrs_have(&s->scope->attrs, a)) ||
           (attr_level_is_in(ATTR_OF_EVENT, w->level) && events_have(s, a)) ||
           (attr_level_is_in(ATTR_OF_LINK, w->level) && links_have(s, a));
}

/* Kinds and statuses come from the wire; one that nobody knows is not asked for either. */
static bool has_bit(uint32_t mask, unsigned bit)
{
    return mask == 0 || (bit < 32 && mask >> bit & 1);
}

bool query_takes_kind(const struct span_query *q, enum span_kind kind)
{
    return has_bit(q->kinds, (unsigned)kind);
}

bool query_takes_status(const struct span_query *q, enum span_status status)
{
    return has_bit(q->statuses, (unsigned)status);
}

bool query_takes_duration(const struct span_query *q, int64_t ns)
{
    return (!q->min_duration_ns || ns >= q->min_duration_ns) &&
           (!q->max_duration_ns || ns <= q->max_duration_ns);
}

bool query_matches(const struct span_query *q, const struct span *s)
{
    if (!window_contains(query_window(q), s->start_ns))
        return false;
    if (!query_takes_kind(q, s->kind) || !query_takes_status(q, s->status) ||
        !query_takes_duration(q, span_duration_ns(s)))
        return false;
    if (q->operation.len && !sv_eq(q->operation, s->name))
        return false;
    if (q->service.len && !sv_eq(q->service, span_service(s)))
        return false;
    for (size_t i = 0; i < q->attrs_len; i++)
        if (!wish_holds(&q->attrs[i], s))
            return false;
    return true;
}

static bool is_better_root(const struct summary *sum, const struct span *s, bool is_root)
{
    if (sum->t.spans_len == 0 || is_root != sum->has_root)
        return sum->t.spans_len == 0 || is_root;
    if (s->start_ns != sum->root_start_ns)
        return s->start_ns < sum->root_start_ns;
    return memcmp(s->span_id.b, sum->root_id.b, sizeof(s->span_id.b)) < 0;
}

int summary_add(struct summary *sum, const struct span *s, struct arena *mem)
{
    struct trace_summary *t = &sum->t;
    bool is_root = !span_id_is_set(s->parent_id);
    if (is_better_root(sum, s, is_root)) {
        struct sv service = arena_copy(mem, span_service(s)), name = arena_copy(mem, s->name);
        if (!service.p || !name.p)
            return -1;
        t->root_service = service;
        t->root_name = name;
        sum->has_root = is_root;
        sum->root_start_ns = s->start_ns;
        sum->root_id = s->span_id;
    }
    t->trace_id = s->trace_id;
    t->start_ns = t->spans_len ? MIN(t->start_ns, s->start_ns) : s->start_ns;
    t->end_ns = t->spans_len ? MAX(t->end_ns, s->end_ns) : s->end_ns;
    t->errors_len += s->status == STATUS_ERROR;
    t->spans_len++;
    return 0;
}

int trace_hit_cmp(const void *a, const void *b)
{
    const struct trace_hit *x = a, *y = b;
    if (x->match_ns != y->match_ns)
        return x->match_ns > y->match_ns ? -1 : 1;
    return memcmp(x->id.b, y->id.b, sizeof(x->id.b));
}

bool is_behind(const struct trace_hit *hit, const struct search_position *after)
{
    if (!after)
        return true;
    struct trace_hit at = { after->id, after->match_ns };
    return trace_hit_cmp(hit, &at) > 0;
}

int span_at_cmp(const void *a, const void *b)
{
    const struct span_at *x = a, *y = b;
    if (x->span->start_ns != y->span->start_ns)
        return x->span->start_ns < y->span->start_ns ? -1 : 1;
    int by_id = memcmp(x->span->span_id.b, y->span->span_id.b, sizeof(x->span->span_id.b));
    if (by_id)
        return by_id;
    return x->arrived < y->arrived ? -1 : x->arrived > y->arrived;
}

int call_at_cmp(const void *a, const void *b)
{
    const struct call_at *x = a, *y = b;
    if (x->call->start_ns != y->call->start_ns)
        return x->call->start_ns > y->call->start_ns ? -1 : 1;
    return x->arrived > y->arrived ? -1 : x->arrived < y->arrived;
}

int operation_cmp(const void *a, const void *b)
{
    const struct operation *x = a, *y = b;
    int order = sv_cmp(x->service, y->service);
    if (order == 0)
        order = sv_cmp(x->name, y->name);
    return order ? order : (int)x->kind - (int)y->kind;
}
